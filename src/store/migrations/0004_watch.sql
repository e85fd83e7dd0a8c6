-- Which times of a watch were started, how much of each run is kept, and results as a table to query.

-- Numbers count up within a model and tier, so that of two watchers that see the same state only one can start a time.
CREATE TABLE watch_start (
    model      TEXT NOT NULL,
    tier       TEXT NOT NULL CHECK (tier IN ('pulse', 'full')),
    number     BIGINT NOT NULL,             -- from 1, in the order of starting, whatever the clock said
    cause      TEXT NOT NULL CHECK (cause IN ('schedule', 'suspicion', 'covered')),
    due_at     TEXT NOT NULL,
    started_at TEXT NOT NULL,
    suspects   TEXT NOT NULL,               -- JSON array of endpoints, empty unless the cause is suspicion
    run        TEXT REFERENCES run (id),    -- NULL where no run came of it, and of a pulse that a full check covered
    outcome    TEXT,                        -- the verdict on all endpoints, or 'failed'; NULL while it goes on or after a kill
    PRIMARY KEY (model, tier, number)
);

CREATE INDEX watch_start_by_run ON watch_start (run);

-- How much of a run is kept: what hosts sent is dropped first, then attempts, samples and the plan.
ALTER TABLE run ADD COLUMN kept TEXT NOT NULL DEFAULT 'whole' CHECK (kept IN ('whole', 'without-raw', 'results-only'));

CREATE VIEW result_by_time AS
    SELECT run.model, result.endpoint, run.started_at, run.finished_at, run.status, watch_start.tier, run.reference,
        result.verdict, result.reason, result.effect_name, result.estimate, result.low, result.high, result.tolerance,
        result.p_value, result.q_value, result.e_value, result.samples, result.attempts, result.errors, result.cost,
        result.findings, result.run
    FROM result
    JOIN run ON run.id = result.run
    LEFT JOIN watch_start ON watch_start.run = result.run;
