-- One event's bytes are stored once, in bodies; its records in several topics refer to
-- them. Offsets are counted in topics.next, so that none is ever used twice.

CREATE TABLE topics (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    first   INTEGER NOT NULL,  -- below it everything is deleted
    next    INTEGER NOT NULL,  -- the offset of the next record
    records INTEGER NOT NULL,
    bytes   INTEGER NOT NULL   -- a body that topics share counts in each
);

CREATE TABLE bodies (
    id      INTEGER PRIMARY KEY,
    refs    INTEGER NOT NULL,  -- how many records refer to it
    key     BLOB NOT NULL,
    value   BLOB NOT NULL,
    headers BLOB NOT NULL      -- those that all its records have in common
);

CREATE TABLE records (
    topic    INTEGER NOT NULL,
    offset   INTEGER NOT NULL,
    body     INTEGER NOT NULL,
    headers  BLOB,             -- those that this record has beyond its body's
    bytes    INTEGER NOT NULL,
    appended INTEGER NOT NULL, -- unix milliseconds, never falling within a topic
    PRIMARY KEY (topic, offset)
) WITHOUT ROWID;

CREATE TABLE groups (
    topic   INTEGER NOT NULL,
    name    TEXT NOT NULL,
    mark    INTEGER NOT NULL,
    runs    TEXT NOT NULL,     -- marks.py says how
    PRIMARY KEY (topic, name)
) WITHOUT ROWID;

CREATE TABLE pings (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);

PRAGMA user_version = 1;
