-- What the ledger's tables need on PostgreSQL beside schema.sql.

-- Words of SQLite.
CREATE OR REPLACE FUNCTION max(bigint, bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT greatest($1, $2)';
CREATE OR REPLACE FUNCTION max(bigint, bigint, bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT greatest($1, $2, $3)';
CREATE OR REPLACE FUNCTION min(bigint, bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT least($1, $2)';
-- '$.tries[#-1].error' of a JSON text; U+0000, which no text may have, as U+FFFD.
CREATE OR REPLACE FUNCTION json_extract(document text, path text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT replace(document, '\u0000', '\ufffd')::jsonb
    #>> string_to_array(translate(replace(substr(path, 3), '[#', '.'), ']', ''), '.')
$$;

-- Bytes of the rows that are there. A table's file does not shrink, so it does not
-- tell; `share` is bytes of the file per byte of a row, when it was filled best.
CREATE TABLE sizes (
    relation text PRIMARY KEY,
    bytes    bigint NOT NULL DEFAULT 0,
    share    double precision
);
INSERT INTO sizes (relation) VALUES ('events'), ('refused'), ('ends');

CREATE OR REPLACE FUNCTION weigh_fresh() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sizes SET bytes = bytes
        + (SELECT coalesce(sum(pg_column_size(each)), 0) FROM fresh AS each)
    WHERE relation = TG_TABLE_NAME;
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION weigh_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sizes SET bytes = bytes
        - (SELECT coalesce(sum(pg_column_size(each)), 0) FROM gone AS each)
    WHERE relation = TG_TABLE_NAME;
    RETURN NULL;
END
$$;

DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT relation FROM sizes LOOP
        EXECUTE format('CREATE TRIGGER fresh AFTER INSERT ON %I REFERENCING NEW TABLE'
            ' AS fresh FOR EACH STATEMENT EXECUTE FUNCTION weigh_fresh()', name);
        EXECUTE format('CREATE TRIGGER gone AFTER DELETE ON %I REFERENCING OLD TABLE'
            ' AS gone FOR EACH STATEMENT EXECUTE FUNCTION weigh_gone()', name);
    END LOOP;
    -- Room is given back after a fiftieth was deleted; a fifth is the server's default.
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
        EXECUTE format('ALTER TABLE %I SET (autovacuum_vacuum_scale_factor = 0.02,'
            ' autovacuum_vacuum_insert_scale_factor = 0.05,'
            ' autovacuum_analyze_scale_factor = 0.05)', name);
    END LOOP;
END
$$;
-- Rows that are counted up again and again find room on their page.
ALTER TABLE counts SET (fillfactor = 70);
ALTER TABLE names SET (fillfactor = 70);
ALTER TABLE looks SET (fillfactor = 70);
ALTER TABLE fields SET (fillfactor = 70);
-- A row weighs the same when it comes and when it goes.
ALTER TABLE events ALTER COLUMN message SET STORAGE EXTERNAL;
ALTER TABLE events ALTER COLUMN person SET STORAGE EXTERNAL;
ALTER TABLE refused ALTER COLUMN message SET STORAGE EXTERNAL;
ALTER TABLE refused ALTER COLUMN more SET STORAGE EXTERNAL;
ALTER TABLE ends ALTER COLUMN more SET STORAGE EXTERNAL;
