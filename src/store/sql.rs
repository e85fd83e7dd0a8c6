//! All statements, in words that SQLite and PostgreSQL both speak.
//!
//! Part of layer 3's store. Numbered placeholders, `ON CONFLICT`, and no function that only one of them has. Sums are
//! of doubles, since PostgreSQL widens a sum of integers to a decimal and SQLite fails when it overflows.

macro_rules! run_columns {
    () => {
        "id, model, reference, started_at, finished_at, status, seed, config_digest, tool_version"
    };
}

macro_rules! sample_columns {
    () => {
        "id, run, attempt, endpoint, probe, probe_digest, replicate, model, answered_at, text, reasoning, \
         finish_reason, prompt_tokens, completion_tokens, tool_calls, logprobs, response_model, system_fingerprint, \
         provider, first_token_ms, total_ms, temperature, parameters, headers, error_kind, error_message, response_id"
    };
}

pub(super) const INSERT_RUN: &str =
    concat!("INSERT INTO run (", run_columns!(), ", plan) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");

pub(super) const FINISH_RUN: &str = "UPDATE run SET status = $2, finished_at = $3 WHERE id = $1";

pub(super) const RUNS: &str = concat!("SELECT ", run_columns!(), " FROM run ORDER BY started_at DESC, id DESC");

pub(super) const RUN: &str = concat!("SELECT ", run_columns!(), " FROM run WHERE id = $1");

pub(super) const PLAN: &str = "SELECT plan FROM run WHERE id = $1";

pub(super) const LATEST_UNFINISHED: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM run WHERE model = $1 AND status <> 'complete' ORDER BY started_at DESC, id DESC LIMIT 1"
);

pub(super) const INSERT_ATTEMPT: &str = "INSERT INTO attempt (id, run, endpoint, probe, replicate, number, \
     started_at, elapsed_us, status, outcome, failure_kind, failure_message, prompt_tokens, completion_tokens, \
     headers, raw) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

/// Affects no row when the request is answered already.
pub(super) const INSERT_SAMPLE: &str = concat!(
    "INSERT INTO sample (",
    sample_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
     $23, $24, $25, $26, $27) ON CONFLICT (run, endpoint, probe, replicate) WHERE error_kind IS NULL DO NOTHING"
);

pub(super) const ANSWERED: &str = "SELECT endpoint, probe, replicate FROM sample WHERE run = $1 AND error_kind IS NULL";

pub(super) const SAMPLES: &str = concat!("SELECT ", sample_columns!(), " FROM sample WHERE run = $1 ORDER BY id");

pub(super) const ATTEMPTS: &str = "SELECT endpoint, probe, replicate, number, started_at, elapsed_us, status, \
     failure_kind, failure_message FROM attempt WHERE run = $1 ORDER BY id";

/// Imported samples have no attempt of their own here, and each counts as one.
pub(super) const COUNTS: &str = "SELECT endpoint, SUM(attempts) AS attempts, SUM(answers) AS answers, \
     SUM(failures) AS failures FROM ( \
       SELECT endpoint, 1 AS attempts, 0 AS answers, CASE WHEN outcome = 'failed' THEN 1 ELSE 0 END AS failures \
         FROM attempt WHERE run = $1 \
       UNION ALL \
       SELECT endpoint, CASE WHEN attempt IS NULL THEN 1 ELSE 0 END, CASE WHEN error_kind IS NULL THEN 1 ELSE 0 END, \
         CASE WHEN error_kind IS NULL THEN 0 ELSE 1 END FROM sample WHERE run = $1 \
     ) AS made GROUP BY endpoint";

/// What was used by probe and endpoint. `unmetered` counts attempts that the host may have charged for without saying
/// how much: it began to answer, or the connection went while it may have been at work.
pub(super) const SPENT: &str = "SELECT endpoint, probe, \
     SUM(CASE WHEN prompt_tokens IS NULL OR completion_tokens IS NULL THEN 0.0 \
         ELSE CAST(prompt_tokens AS DOUBLE PRECISION) END) AS prompt_tokens, \
     SUM(CASE WHEN prompt_tokens IS NULL OR completion_tokens IS NULL THEN 0.0 \
         ELSE CAST(completion_tokens AS DOUBLE PRECISION) END) AS completion_tokens, \
     SUM(CASE WHEN (prompt_tokens IS NULL OR completion_tokens IS NULL) \
         AND (status BETWEEN 200 AND 299 OR failure_kind IN ('timeout', 'reset')) THEN 1 ELSE 0 END) AS unmetered \
     FROM attempt WHERE run = $1 GROUP BY endpoint, probe";
