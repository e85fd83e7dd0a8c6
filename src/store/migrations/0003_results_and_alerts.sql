-- What runs came to, the alerts that follow from it, and what is to be sent.
--
-- A run's results, the alerts as they stand after it and the notifications that it causes are written in one
-- transaction with its end, so that a program that is killed has done all of it or nothing.

-- One row for each endpoint that a finished run judged. Imported runs have none.
CREATE TABLE result (
    run         TEXT NOT NULL REFERENCES run (id),
    endpoint    TEXT NOT NULL,
    position    BIGINT NOT NULL,        -- in the report, from 0
    verdict     TEXT NOT NULL CHECK (verdict IN ('consistent', 'drifted', 'inconclusive', 'unmeasured')),
    reason      TEXT NOT NULL,
    p_value     DOUBLE PRECISION,
    q_value     DOUBLE PRECISION,
    e_value     DOUBLE PRECISION,
    effect_name TEXT,                   -- NULL where no effect was measured, and then so are the next three
    estimate    DOUBLE PRECISION,
    low         DOUBLE PRECISION,
    high        DOUBLE PRECISION,
    tolerance   DOUBLE PRECISION NOT NULL,  -- of this effect
    samples     BIGINT NOT NULL,
    attempts    BIGINT NOT NULL,
    errors      BIGINT NOT NULL,
    cost        DOUBLE PRECISION,       -- US dollars; NULL where no price is known
    findings    TEXT NOT NULL,          -- JSON array of {fault, confidence, evidence}
    PRIMARY KEY (run, endpoint)
);

-- The present state of each alert; its history is in the notifications.
CREATE TABLE alert (
    model      TEXT NOT NULL,
    endpoint   TEXT NOT NULL,           -- empty for what concerns the model's checks as a whole
    kind       TEXT NOT NULL,
    phase      TEXT NOT NULL CHECK (phase IN ('quiet', 'pending', 'firing', 'resolved')),
    since      TEXT,
    state      TEXT NOT NULL,           -- JSON, all of it
    updated_at TEXT NOT NULL,
    PRIMARY KEY (model, endpoint, kind)
);

-- What is to be sent, and what became of it. The same event makes the same key, so that it is never here twice.
CREATE TABLE notification (
    key             TEXT NOT NULL PRIMARY KEY,
    receiver        TEXT NOT NULL,
    run             TEXT REFERENCES run (id),   -- NULL where the check failed before there was a run
    created_at      TEXT NOT NULL,
    event           TEXT NOT NULL,              -- JSON
    attempts        BIGINT NOT NULL,
    next_attempt_at TEXT,                       -- NULL once it is sent or given up
    sent_at         TEXT,                       -- set only when the receiver said that it has it
    given_up_at     TEXT,
    failure         TEXT                        -- why the last attempt failed
);

CREATE INDEX notification_due ON notification (next_attempt_at);

CREATE TABLE silence (
    id         TEXT NOT NULL PRIMARY KEY,  -- UUID version 7
    model      TEXT NOT NULL,              -- a name, or a pattern with *
    endpoint   TEXT NOT NULL,              -- likewise
    created_at TEXT NOT NULL,
    until      TEXT NOT NULL,
    comment    TEXT NOT NULL
);
