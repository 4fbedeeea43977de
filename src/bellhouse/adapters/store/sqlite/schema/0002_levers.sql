-- What operators have pulled, and what they did. The version in `meta` grows with every change of a lever.
INSERT INTO meta VALUES ('levers', 0);

CREATE TABLE levers (
    kind   TEXT NOT NULL,
    scope  TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (kind, scope)
) WITHOUT ROWID;

-- One row an act, inserted and never changed.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    act    TEXT NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX audit_by_act ON audit (act, number);

-- Due rows that the end of a brake brings forward; their own moment is the end of their lifetime.
CREATE TABLE held (
    scope  TEXT NOT NULL,
    topic  TEXT NOT NULL,
    id     BLOB NOT NULL,
    due_at INTEGER NOT NULL,
    PRIMARY KEY (scope, topic, id)
) WITHOUT ROWID;
