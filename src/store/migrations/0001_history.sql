-- The history: runs, the attempts made in them, and the samples those brought.
--
-- Both SQLite and PostgreSQL speak this. Times are RFC 3339 in UTC with nine digits of a second, so that their order as
-- text is their order in time. What a host did not send is NULL.

CREATE TABLE run (
    id            TEXT NOT NULL PRIMARY KEY,  -- UUID version 7
    model         TEXT NOT NULL,
    reference     TEXT NOT NULL,
    started_at    TEXT NOT NULL,
    finished_at   TEXT,
    status        TEXT NOT NULL CHECK (status IN ('running', 'complete', 'partial', 'stopped-budget')),
    seed          TEXT NOT NULL,              -- decimal: its 64 bits have no sign
    config_digest TEXT NOT NULL,
    tool_version  TEXT NOT NULL,
    plan          TEXT                        -- JSON; NULL for an imported run
);

CREATE INDEX run_by_model ON run (model, started_at);

CREATE TABLE attempt (
    id                TEXT NOT NULL PRIMARY KEY,  -- UUID version 7: its order is the order of recording
    run               TEXT NOT NULL REFERENCES run (id),
    endpoint          TEXT NOT NULL,
    probe             TEXT NOT NULL,
    replicate         BIGINT NOT NULL,
    number            BIGINT NOT NULL,            -- of the try, from 1; begins anew when a run is resumed
    started_at        TEXT NOT NULL,
    elapsed_us        BIGINT NOT NULL,
    status            BIGINT,                     -- HTTP
    outcome           TEXT NOT NULL CHECK (outcome IN ('answered', 'failed')),
    failure_kind      TEXT,
    failure_message   TEXT,
    prompt_tokens     BIGINT,
    completion_tokens BIGINT,
    headers           TEXT NOT NULL,              -- JSON object
    raw               TEXT NOT NULL               -- the response body as received, redacted
);

CREATE INDEX attempt_by_run ON attempt (run, endpoint, probe);

CREATE TABLE sample (
    id                 TEXT NOT NULL PRIMARY KEY,  -- UUID version 7: its order is the order of recording
    run                TEXT NOT NULL REFERENCES run (id),
    attempt            TEXT REFERENCES attempt (id),  -- NULL for an imported sample
    endpoint           TEXT NOT NULL,
    probe              TEXT NOT NULL,
    probe_digest       TEXT,
    replicate          BIGINT NOT NULL,
    model              TEXT,
    answered_at        TEXT,
    text               TEXT NOT NULL,
    reasoning          TEXT,
    finish_reason      TEXT,
    prompt_tokens      BIGINT,
    completion_tokens  BIGINT,
    tool_calls         TEXT NOT NULL,              -- JSON array of {name, arguments}
    logprobs           TEXT,                       -- JSON as received
    response_model     TEXT,
    system_fingerprint TEXT,
    provider           TEXT,
    first_token_ms     BIGINT,
    total_ms           BIGINT,
    temperature        DOUBLE PRECISION,           -- also in parameters
    parameters         TEXT,                       -- JSON object
    headers            TEXT NOT NULL,              -- JSON object
    error_kind         TEXT,                       -- set on an imported line that is no answer
    error_message      TEXT
);

-- A planned request is answered once; a failure may come as often as it likes.
CREATE UNIQUE INDEX sample_answer ON sample (run, endpoint, probe, replicate) WHERE error_kind IS NULL;

CREATE INDEX sample_by_run ON sample (run);
