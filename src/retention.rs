//! Retention: how much of which run is kept, by the configuration's policy.
//!
//! Layer 2, pure: the clock is a parameter. Runs and results are kept for ever, since they are small and the history is made of them.
//! What a host sent word for word goes first, then attempts, samples and the plan. What cannot be had again, or may still be gone on
//! with, is left alone: imported runs, the latest run that ended of each model, the one that `--resume` would take up, and runs whose
//! end nobody noted.

use jiff::{SignedDuration, Timestamp};

use crate::config::History;

/// How much of a run there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    Whole,
    /// All but the bodies and headers that hosts sent.
    WithoutRaw,
    /// The run itself and its results.
    ResultsOnly,
}

impl Level {
    /// The name used in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::WithoutRaw => "without-raw",
            Self::ResultsOnly => "results-only",
        }
    }
}

/// How a run stands, as far as retention asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It goes on, or was killed: nobody noted its end.
    Open,
    /// It ended before its plan did, so that it may be gone on with.
    Stopped(Timestamp),
    /// It ended with its plan.
    Complete(Timestamp),
    /// Its samples came from elsewhere.
    Imported,
}

/// One run, from the latest to the oldest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<Id> {
    /// Its identity.
    pub id: Id,
    /// The model.
    pub model: String,
    /// How it stands.
    pub standing: Standing,
    /// How much of it there is.
    pub level: Level,
}

/// How much is kept for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    raw: Option<SignedDuration>,
    samples: Option<SignedDuration>,
}

impl Policy {
    /// The configuration's policy; `None` when it keeps everything.
    pub fn new(history: &History) -> Option<Self> {
        let days = |days: Option<u32>| days.map(|d| SignedDuration::from_hours(24 * i64::from(d)));
        let policy = Self { raw: days(history.raw_days), samples: days(history.sample_days) };
        (policy.raw.is_some() || policy.samples.is_some()).then_some(policy)
    }

    /// The runs of which less is to be kept than there is, with how much. `runs` come from the latest to the oldest.
    pub fn apply<Id: Copy>(self, runs: &[Run<Id>], now: Timestamp) -> Vec<(Id, Level)> {
        let is_first = |at: usize, alike: fn(&Standing) -> bool| {
            !runs[..at].iter().any(|r| r.model == runs[at].model && alike(&r.standing))
        };
        let ended = |s: &Standing| matches!(s, Standing::Stopped(_) | Standing::Complete(_));
        let unfinished = |s: &Standing| matches!(s, Standing::Stopped(_) | Standing::Open);
        let mut out = Vec::new();
        for (at, run) in runs.iter().enumerate() {
            let end = match run.standing {
                Standing::Open | Standing::Imported => continue,
                Standing::Stopped(_) if is_first(at, unfinished) => continue,
                Standing::Stopped(end) | Standing::Complete(end) => end,
            };
            let wanted = self.level(now.duration_since(end));
            if wanted > run.level && !is_first(at, ended) {
                out.push((run.id, wanted));
            }
        }
        out
    }

    /// How much is kept of a run of this age. One that ends in the future, by a clock that was wrong, is kept whole.
    fn level(self, age: SignedDuration) -> Level {
        let over = |limit: Option<SignedDuration>| limit.is_some_and(|limit| age > limit);
        if over(self.samples) {
            Level::ResultsOnly
        } else if over(self.raw) {
            Level::WithoutRaw
        } else {
            Level::Whole
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-12-31T00:00:00Z";

    fn days_ago(days: i64) -> Timestamp {
        NOW.parse::<Timestamp>().unwrap().checked_sub(SignedDuration::from_hours(24 * days)).unwrap()
    }

    fn run(id: u32, standing: Standing) -> Run<u32> {
        Run { id, model: "m".into(), standing, level: Level::Whole }
    }

    fn applied(raw: Option<u32>, samples: Option<u32>, runs: &[Run<u32>]) -> Vec<(u32, Level)> {
        let policy = Policy::new(&History { raw_days: raw, sample_days: samples }).unwrap();
        policy.apply(runs, NOW.parse().unwrap())
    }

    #[test]
    fn what_hosts_sent_goes_first_and_answers_later() {
        let complete = |id, days| run(id, Standing::Complete(days_ago(days)));
        let runs = [complete(0, 1), complete(1, 29), complete(2, 31), complete(3, 200)];
        let expected = [(2, Level::WithoutRaw), (3, Level::ResultsOnly)];
        assert_eq!(applied(Some(30), Some(180), &runs), expected);
        assert_eq!(applied(Some(30), None, &runs), [(2, Level::WithoutRaw), (3, Level::WithoutRaw)]);
        assert_eq!(applied(None, Some(180), &runs), [(3, Level::ResultsOnly)]);
    }

    #[test]
    fn what_is_gone_already_is_not_dropped_again() {
        let old = |id, level| Run { level, ..run(id, Standing::Complete(days_ago(200))) };
        let runs = [old(0, Level::Whole), old(1, Level::ResultsOnly), old(2, Level::WithoutRaw)];
        assert_eq!(applied(Some(30), Some(180), &runs), [(2, Level::ResultsOnly)]);
        assert_eq!(applied(Some(30), None, &runs), []);
    }

    #[test]
    fn the_latest_run_of_each_model_stays_whole_however_old() {
        let of = |id, model: &str| Run { model: model.into(), ..run(id, Standing::Complete(days_ago(400))) };
        let runs = [of(0, "m"), of(1, "n"), of(2, "m")];
        assert_eq!(applied(Some(1), Some(1), &runs), [(2, Level::ResultsOnly)]);
    }

    #[test]
    fn what_is_not_finished_or_came_from_elsewhere_is_left_alone() {
        let runs = [
            run(0, Standing::Complete(days_ago(300))),
            run(1, Standing::Stopped(days_ago(301))),
            run(2, Standing::Open),
            run(3, Standing::Imported),
            run(4, Standing::Stopped(days_ago(302))),
        ];
        assert_eq!(applied(Some(1), Some(1), &runs), [(4, Level::ResultsOnly)], "1 is what --resume would take up");
    }

    #[test]
    fn a_run_from_the_future_is_kept() {
        let runs = [run(0, Standing::Complete(days_ago(0))), run(1, Standing::Complete(days_ago(-30)))];
        assert_eq!(applied(Some(0), Some(0), &runs), []);
    }

    #[test]
    fn without_days_everything_is_kept() {
        assert_eq!(Policy::new(&History::default()), None);
    }
}
