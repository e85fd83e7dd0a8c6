-- What `samemodel doctor` found of an endpoint, each time that it looked.

CREATE TABLE examination (
    model       TEXT NOT NULL,
    endpoint    TEXT NOT NULL,
    examined_at TEXT NOT NULL,
    document    TEXT NOT NULL,              -- JSON, redacted
    PRIMARY KEY (model, endpoint, examined_at)
);
