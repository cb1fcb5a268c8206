-- All keys begin with the time an event was received and a digest of its messageId, so
-- that rows are written where the last ones were, and the oldest go as one range. Both
-- stand in the headers of an event and of its outcomes: they meet without being joined.
-- An event's value stays in the log; partition, offset and the time of its append say
-- where. PostgreSQL has these tables, too (postgres.py): there INTEGER has 64 bits, INT
-- 32 and SMALLINT 16, which SQLite does not ask about.

CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;

CREATE TABLE places (        -- how far each topic was followed
    topic     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset    INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

CREATE TABLE words (         -- texts that are few and come again and again
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL
);
CREATE UNIQUE INDEX words_by_text ON words (text);

CREATE TABLE events (
    at        INTEGER NOT NULL,  -- receivedAt, unix milliseconds
    digest    INTEGER NOT NULL,  -- of the messageId
    partition INTEGER NOT NULL,
    offset    INTEGER NOT NULL,
    appended  INTEGER NOT NULL,  -- milliseconds after at
    source    INT NOT NULL,
    type      INT NOT NULL,
    route     INT NOT NULL,
    message   BLOB NOT NULL,     -- the messageId, packed
    person    BLOB,              -- the person key, packed; NULL: it has none
    who       INTEGER,           -- its digest
    name      TEXT,              -- of a track, page or screen
    PRIMARY KEY (at, digest, partition, offset)
) WITHOUT ROWID;
CREATE INDEX events_by_message ON events (digest, at);
CREATE INDEX events_by_person ON events (who, at) WHERE who IS NOT NULL;
CREATE INDEX events_by_source ON events (source, at);

CREATE TABLE refused (
    at        INTEGER NOT NULL,
    digest    INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    offset    INTEGER NOT NULL,
    appended  INTEGER NOT NULL,
    source    INT NOT NULL,
    reason    INT NOT NULL,      -- the first error's code and pointer
    message   BLOB NOT NULL,
    more      TEXT NOT NULL,     -- JSON: endpoint, errors, userAgent
    PRIMARY KEY (at, digest, partition, offset)
) WITHOUT ROWID;
CREATE INDEX refused_by_message ON refused (digest, at);
CREATE INDEX refused_by_source ON refused (source, reason, at);

CREATE TABLE ends (
    at          INTEGER NOT NULL,
    digest      INTEGER NOT NULL,
    partition   INTEGER NOT NULL,
    offset      INTEGER NOT NULL,
    appended    INTEGER NOT NULL,
    source      INT NOT NULL,
    destination INT NOT NULL,
    kind        SMALLINT NOT NULL,
    reason      INT,
    replay      INT,
    mark        INT,             -- of the destination's configuration then
    attempts    INT NOT NULL,
    first       INTEGER,         -- the first attempt, milliseconds after at
    ended       INTEGER NOT NULL,-- milliseconds after at
    status      INT,
    more        TEXT,            -- JSON: detail, tries, a reason that is no word
    PRIMARY KEY (at, digest, partition, offset)
) WITHOUT ROWID;
CREATE INDEX ends_undelivered ON ends (destination, kind, at) WHERE kind <> 1;

CREATE TABLE counts (        -- by the minute an event was received in
    minute      INTEGER NOT NULL,
    source      INT NOT NULL,
    destination INT NOT NULL, -- 0: none
    kind        SMALLINT NOT NULL,
    replayed    SMALLINT NOT NULL,
    events      INTEGER NOT NULL,
    PRIMARY KEY (minute, source, destination, kind, replayed)
) WITHOUT ROWID;

CREATE TABLE names (         -- by the hour; type 0 and no name: all of the source
    hour   INTEGER NOT NULL,
    source INT NOT NULL,
    type   INT NOT NULL,
    name   TEXT NOT NULL,
    events INTEGER NOT NULL,
    first  INTEGER NOT NULL, -- unix milliseconds
    last   INTEGER NOT NULL,
    gap    INTEGER NOT NULL, -- the longest silence within the hour, milliseconds
    PRIMARY KEY (hour, source, type, name)
) WITHOUT ROWID;

CREATE TABLE looks (         -- by the day; of a kind how many came, how many were seen
    day    INTEGER NOT NULL,
    source INT NOT NULL,
    type   INT NOT NULL,
    name   TEXT NOT NULL,
    events INTEGER NOT NULL,
    looked INTEGER NOT NULL, -- at so many of them
    PRIMARY KEY (day, source, type, name)
) WITHOUT ROWID;

CREATE TABLE fields (        -- what these had, by the day
    day       INTEGER NOT NULL,
    source    INT NOT NULL,
    type      INT NOT NULL,
    name      TEXT NOT NULL,
    path      TEXT NOT NULL,    -- traits.plan, properties.total
    json_type TEXT NOT NULL,
    events    INTEGER NOT NULL,
    first     INTEGER NOT NULL, -- unix milliseconds
    last      INTEGER NOT NULL,
    example   TEXT NOT NULL,    -- its form, not its content
    PRIMARY KEY (day, source, type, name, path, json_type)
) WITHOUT ROWID;
