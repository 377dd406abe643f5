
-- Plans that wait for approvals, as they were exported; the journal has their
-- digests, and says when they wait no more.
CREATE TABLE plans (
    digest       TEXT    PRIMARY KEY,
    json         TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
