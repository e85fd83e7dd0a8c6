//! All statements, in words that SQLite and PostgreSQL both speak but for the placeholders of rows that are added by the dozen.
//!
//! Part of layer 3's store. Numbered placeholders, `ON CONFLICT`, and no function that only one of them has. Where rows are added by the
//! dozen the placeholders are `?`, which PostgreSQL does not know: for it these statements would have to be numbered. Sums are of doubles,
//! since PostgreSQL widens a sum of integers to a decimal and SQLite fails when it overflows.

use std::sync::LazyLock;

macro_rules! run_columns {
    () => {
        "id, model, reference, started_at, finished_at, status, seed, config_digest, tool_version"
    };
}

macro_rules! sample_columns {
    () => {
        "id, run, attempt, endpoint, probe, probe_digest, replicate, model, answered_at, text, reasoning, \
         finish_reason, prompt_tokens, completion_tokens, tool_calls, logprobs, response_model, system_fingerprint, \
         provider, first_token_ms, total_ms, temperature, parameters, headers, error_kind, error_message, response_id, \
         reasoning_tokens"
    };
}

macro_rules! result_columns {
    () => {
        "endpoint, verdict, reason, p_value, q_value, e_value, effect_name, estimate, low, high, tolerance, samples, \
         attempts, errors, cost, findings"
    };
}

macro_rules! notification_columns {
    () => {
        "key, receiver, run, created_at, event, attempts, next_attempt_at, sent_at, given_up_at, failure"
    };
}

pub(super) const INSERT_RUN: &str =
    concat!("INSERT INTO run (", run_columns!(), ", plan) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");

pub(super) const FINISH_RUN: &str = "UPDATE run SET status = $2, finished_at = $3 WHERE id = $1";

pub(super) const RUNS: &str = concat!("SELECT ", run_columns!(), " FROM run ORDER BY started_at DESC, id DESC");

pub(super) const RUN: &str = concat!("SELECT ", run_columns!(), " FROM run WHERE id = $1");

pub(super) const PLAN: &str = "SELECT plan FROM run WHERE id = $1";

const INSERT_ATTEMPT: Insertion = Insertion {
    into: "INSERT INTO attempt (id, run, endpoint, probe, replicate, number, started_at, elapsed_us, status, outcome, \
           failure_kind, failure_message, prompt_tokens, completion_tokens, headers, raw, cost)",
    columns: 17,
    then: "",
};

/// Adds no row where the request is answered already.
const INSERT_SAMPLE: Insertion = Insertion {
    into: concat!("INSERT INTO sample (", sample_columns!(), ")"),
    columns: 28,
    then: " ON CONFLICT (run, endpoint, probe, replicate) WHERE error_kind IS NULL DO NOTHING",
};

/// The most rows that one statement adds, as a power of two: the statement for each power is prepared once.
const MOST_ROWS_LOG: usize = 5;

pub(super) static INSERT_ATTEMPTS: LazyLock<Insertions> = LazyLock::new(|| INSERT_ATTEMPT.by_rows());

pub(super) static INSERT_SAMPLES: LazyLock<Insertions> = LazyLock::new(|| INSERT_SAMPLE.by_rows());

/// A statement that adds rows.
struct Insertion {
    into: &'static str,
    columns: usize,
    then: &'static str,
}

/// The statements that add 1, 2, 4 and so on up to 32 rows at once.
pub(super) struct Insertions([String; MOST_ROWS_LOG + 1]);

impl Insertion {
    fn by_rows(&self) -> Insertions {
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        let values = |log: usize| vec![row.as_str(); 1 << log].join(", ");
        Insertions(std::array::from_fn(|log| format!("{} VALUES {}{}", self.into, values(log), self.then)))
    }
}

impl Insertions {
    /// The statement that adds the most of so many rows, at least 1, and how many it adds.
    pub fn most_of(&self, rows: usize) -> (&str, usize) {
        let log = (rows.max(1).ilog2() as usize).min(MOST_ROWS_LOG);
        (&self.0[log], 1 << log)
    }
}

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

/// What was charged by probe and endpoint, and what attempts used whose charge is not stored, as those of earlier versions. Of these,
/// `unmetered` counts attempts that the host may have charged for without saying how much: it began to answer, or the connection went
/// while it may have been at work.
pub(super) const SPENT: &str = "SELECT endpoint, probe, \
     SUM(CASE WHEN cost IS NOT NULL OR prompt_tokens IS NULL OR completion_tokens IS NULL THEN 0.0 \
         ELSE CAST(prompt_tokens AS DOUBLE PRECISION) END) AS prompt_tokens, \
     SUM(CASE WHEN cost IS NOT NULL OR prompt_tokens IS NULL OR completion_tokens IS NULL THEN 0.0 \
         ELSE CAST(completion_tokens AS DOUBLE PRECISION) END) AS completion_tokens, \
     SUM(CASE WHEN cost IS NULL AND (prompt_tokens IS NULL OR completion_tokens IS NULL) \
         AND (status BETWEEN 200 AND 299 OR failure_kind IN ('timeout', 'reset')) THEN 1 ELSE 0 END) AS unmetered, \
     SUM(COALESCE(cost, 0.0)) AS charged \
     FROM attempt WHERE run = $1 GROUP BY endpoint, probe";

/// Without what the answers say, which is long, and without imported lines that are no answers.
pub(super) const TIMES: &str = "SELECT endpoint, first_token_ms, total_ms FROM sample \
     WHERE run = $1 AND error_kind IS NULL AND total_ms IS NOT NULL ORDER BY id";

pub(super) const DELETE_RESULTS: &str = "DELETE FROM result WHERE run = $1";

pub(super) const INSERT_RESULT: &str = concat!(
    "INSERT INTO result (run, position, ",
    result_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
);

pub(super) const RESULTS: &str = concat!("SELECT ", result_columns!(), " FROM result WHERE run = $1 ORDER BY position");

pub(super) const RESULTS_SINCE: &str = concat!(
    "SELECT run, started_at, reference, ",
    result_columns!(),
    " FROM result JOIN run ON run.id = result.run WHERE model = $1 AND started_at >= $2 \
     ORDER BY started_at, run, position"
);

pub(super) const PUT_ALERT: &str = "INSERT INTO alert (model, endpoint, kind, phase, since, state, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (model, endpoint, kind) DO UPDATE SET phase = excluded.phase, \
     since = excluded.since, state = excluded.state, updated_at = excluded.updated_at";

pub(super) const ALERTS: &str = "SELECT state FROM alert";

/// Affects no row when an event of this key is there already.
pub(super) const INSERT_NOTIFICATION: &str = "INSERT INTO notification (key, receiver, run, created_at, event, \
     attempts, next_attempt_at) VALUES ($1, $2, $3, $4, $5, 0, $4) ON CONFLICT (key) DO NOTHING";

/// Without what an earlier message to the same receiver waits before: nobody is to hear that something ended before that it began.
pub(super) const DUE_NOTIFICATIONS: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification WHERE next_attempt_at <= $1 AND NOT EXISTS (SELECT 1 FROM notification AS earlier \
     WHERE earlier.receiver = notification.receiver AND earlier.next_attempt_at > $1 \
     AND (earlier.created_at, earlier.key) < (notification.created_at, notification.key)) ORDER BY created_at, key"
);

pub(super) const NOTIFICATIONS_SINCE: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification WHERE created_at >= $1 OR next_attempt_at IS NOT NULL ORDER BY created_at, key"
);

/// What was sent stays sent, whoever says otherwise later.
pub(super) const SETTLE_NOTIFICATION: &str = "UPDATE notification SET attempts = attempts + 1, next_attempt_at = $2, \
     sent_at = $3, given_up_at = $4, failure = $5 WHERE key = $1 AND sent_at IS NULL";

pub(super) const TAKE_UP_NOTIFICATIONS: &str = "UPDATE notification SET next_attempt_at = $1, given_up_at = NULL \
     WHERE sent_at IS NULL AND given_up_at IS NOT NULL";

pub(super) const INSERT_SILENCE: &str =
    "INSERT INTO silence (id, model, endpoint, created_at, until, comment) VALUES ($1, $2, $3, $4, $5, $6)";

pub(super) const SILENCES: &str =
    "SELECT id, model, endpoint, created_at, until, comment FROM silence WHERE until > $1 ORDER BY id";

/// A silence is ended and not deleted, so that it stays known why nobody was told.
pub(super) const END_SILENCE: &str = "UPDATE silence SET until = $2 WHERE id = $1 AND until > $2";

macro_rules! start_columns {
    () => {
        "model, tier, number, cause, due_at, started_at, suspects, run, outcome"
    };
}

/// The latest starts: enough for what was caused within any sensible time to cool down.
pub(super) const STARTS: &str = concat!(
    "SELECT ",
    start_columns!(),
    " FROM watch_start WHERE model = $1 AND tier = $2 ORDER BY number DESC LIMIT 1000"
);

pub(super) const STARTED_RUNS: &str = concat!("SELECT ", start_columns!(), " FROM watch_start WHERE run IS NOT NULL");

/// Affects no row when the number is taken.
pub(super) const INSERT_START: &str = "INSERT INTO watch_start (model, tier, number, cause, due_at, started_at, \
     suspects) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (model, tier, number) DO NOTHING";

pub(super) const DELETE_START: &str =
    "DELETE FROM watch_start WHERE model = $1 AND tier = $2 AND number = $3 AND outcome IS NULL";

pub(super) const END_START: &str =
    "UPDATE watch_start SET run = $4, outcome = $5 WHERE model = $1 AND tier = $2 AND number = $3";

pub(super) const RETAINED: &str = "SELECT id, model, status, finished_at, kept, \
     CASE WHEN plan IS NULL THEN 1 ELSE 0 END AS imported FROM run ORDER BY started_at DESC, id DESC";

pub(super) const DROP_RAW: &str = "UPDATE attempt SET raw = '', headers = '{}' WHERE run = $1";

pub(super) const DROP_HEADERS: &str = "UPDATE sample SET headers = '{}' WHERE run = $1";

pub(super) const DROP_SAMPLES: &str = "DELETE FROM sample WHERE run = $1";

pub(super) const DROP_ATTEMPTS: &str = "DELETE FROM attempt WHERE run = $1";

pub(super) const DROP_PLAN: &str = "UPDATE run SET plan = NULL WHERE id = $1";

pub(super) const SET_KEPT: &str = "UPDATE run SET kept = $2 WHERE id = $1";

pub(super) const PUT_EXAMINATION: &str = "INSERT INTO examination (model, endpoint, examined_at, document) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (model, endpoint, examined_at) DO UPDATE SET document = excluded.document";

pub(super) const RECENT_EXAMINATIONS: &str = "SELECT document FROM \
     (SELECT endpoint, examined_at, document, \
       ROW_NUMBER() OVER (PARTITION BY endpoint ORDER BY examined_at DESC) AS place \
       FROM examination WHERE model = $1) AS placed \
     WHERE place <= 8 ORDER BY endpoint, examined_at DESC";

pub(super) const LATEST_EXAMINATIONS: &str = "SELECT document FROM examination WHERE model = $1 AND examined_at = \
     (SELECT MAX(later.examined_at) FROM examination AS later \
       WHERE later.model = examination.model AND later.endpoint = examination.endpoint)";
