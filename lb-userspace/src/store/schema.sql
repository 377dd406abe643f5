-- The store of a holdfast daemon. What is written here is never edited: look,
-- do not touch (`sqlite3 -readonly holdfast.db`).

-- One row: whose store this is, and where its journal ends.
CREATE TABLE identity (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    store_id     TEXT    NOT NULL,
    -- SHA-256 of /etc/machine-id, salted; '' where there was none.
    host         TEXT    NOT NULL,
    head_seq     INTEGER NOT NULL,
    head_hash    TEXT    NOT NULL
) STRICT;

CREATE TABLE journal (
    seq          INTEGER PRIMARY KEY,
    time         TEXT    NOT NULL,
    author       TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    payload      TEXT    NOT NULL,
    previous     TEXT    NOT NULL,
    hash         TEXT    NOT NULL
) STRICT;

CREATE TRIGGER journal_is_not_edited BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER journal_is_not_cut BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

-- Canonical JSON under its digest; the journal holds the digest.
CREATE TABLE contents (
    digest       TEXT    PRIMARY KEY,
    json         TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER contents_are_not_edited BEFORE UPDATE ON contents
BEGIN SELECT RAISE(ABORT, 'contents are immutable'); END;

CREATE TRIGGER contents_are_not_deleted BEFORE DELETE ON contents
BEGIN SELECT RAISE(ABORT, 'contents are immutable'); END;

-- Revisions, as the digests of their parts (states.rs).
CREATE TABLE states (
    digest       TEXT    PRIMARY KEY,
    json         TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE parts (
    digest       TEXT    PRIMARY KEY,
    json         TEXT    NOT NULL
) STRICT;

-- Lookup tables, packed; the digest is that of the table.
CREATE TABLE tables (
    digest       TEXT    PRIMARY KEY,
    packed       BLOB    NOT NULL
) STRICT;

-- Derived from the journal; can be made again from it at any time.
CREATE TABLE generations (
    generation   INTEGER PRIMARY KEY,
    content      TEXT    NOT NULL,
    author       TEXT    NOT NULL,
    cause        TEXT    NOT NULL,
    message      TEXT,
    plan_digest  TEXT,
    -- When it was first served; NULL if it never was.
    applied      TEXT
) STRICT;

CREATE TABLE revisions (
    revision     INTEGER PRIMARY KEY,
    generation   INTEGER NOT NULL,
    content      TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    intent_seq   INTEGER NOT NULL,
    new_generation INTEGER NOT NULL,
    -- NULL while it is pending.
    outcome_seq  INTEGER,
    served       INTEGER
) STRICT;

CREATE INDEX revisions_by_outcome ON revisions (served, outcome_seq);
