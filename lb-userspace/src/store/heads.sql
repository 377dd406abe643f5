-- Schema 3: signed heads (head.rs).
CREATE TABLE heads (
    seq          INTEGER NOT NULL,
    hash         TEXT    NOT NULL,
    time         TEXT    NOT NULL,
    -- Of the key, as `ssh-keygen -l` prints it.
    fingerprint  TEXT    NOT NULL,
    -- SSHSIG over the head's canonical JSON and a line feed.
    signature    TEXT    NOT NULL,
    PRIMARY KEY (seq, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER heads_are_not_edited BEFORE UPDATE ON heads
BEGIN SELECT RAISE(ABORT, 'heads are append-only'); END;

CREATE TRIGGER heads_are_not_deleted BEFORE DELETE ON heads
BEGIN SELECT RAISE(ABORT, 'heads are append-only'); END;

-- Which key was in force when.
CREATE INDEX journal_keys ON journal (seq) WHERE kind IN ('keyMade', 'keyRotated');
