//! What examinations found changed: it is told once, since unlike what is wrong it has no end.

use super::advance::{Transition, What};
use super::state::{Facts, FeatureChange, Kind, Severity, Subject};
use crate::doctor::{Change, Examined, State};
use crate::probe::sha256_hex;

/// What people are to be told after examinations of a model's endpoints: one transition for each endpoint that was examined
/// before and of which anything changed since.
pub fn changes(model: &str, now: &[Examined], before: &[Examined]) -> Vec<Transition> {
    let changed = |now: &Examined| {
        let before = before.iter().find(|before| before.endpoint == now.endpoint)?;
        transition(model, now, before)
    };
    now.iter().filter_map(changed).collect()
}

fn transition(model: &str, now: &Examined, before: &Examined) -> Option<Transition> {
    let with_words = |change: Change| {
        let words = now.finding(change.feature).and_then(|finding| finding.words.clone());
        FeatureChange { change, words }
    };
    let features: Vec<FeatureChange> = now.changes(before).into_iter().map(with_words).collect();
    if features.is_empty() {
        return None;
    }
    let severity = severity(&features);
    let said: Vec<String> = features.iter().map(|feature| feature.change.words()).collect();
    Some(Transition {
        subject: Subject { model: model.to_owned(), endpoint: now.endpoint.clone(), kind: Kind::FeaturesChanged },
        what: What::Changed,
        since: before.examined_at,
        severity,
        facts: Facts { severity, reason: said.join("; "), features, ..Facts::default() },
    })
}

/// Where requests fail that were answered, somebody should be woken.
fn severity(features: &[FeatureChange]) -> Severity {
    let is_lost = |change: &Change| change.before == State::Honoured && change.now == State::Refused;
    if features.iter().any(|feature| is_lost(&feature.change)) { Severity::Critical } else { Severity::Warning }
}

/// The same for the same changes, in whatever words the host refuses.
pub(super) fn digest(features: &[FeatureChange]) -> String {
    let changes: Vec<&Change> = features.iter().map(|feature| &feature.change).collect();
    // Serialising has nothing to fail on: all keys are names of fields.
    let text = serde_json::to_string(&changes).unwrap_or_default();
    sha256_hex(text.as_bytes())[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Feature, Finding};

    const FIRST: &str = "2026-11-21T09:00:00Z";
    const SECOND: &str = "2026-11-22T09:00:00Z";
    const THIRD: &str = "2026-11-23T09:00:00Z";

    fn finding(feature: Feature, state: State) -> Finding {
        let words = (state == State::Refused).then(|| "HTTP 404: no such thing".to_owned());
        Finding { feature, state, evidence: String::new(), words, value: None }
    }

    fn examined(at: &str, tools: State, seed: State) -> Examined {
        Examined {
            endpoint: "e".into(),
            provider: "p".into(),
            model: "m".into(),
            examined_at: at.parse().unwrap(),
            requests: 13,
            cost: None,
            findings: vec![finding(Feature::Tools, tools), finding(Feature::Seed, seed)],
            settings: Vec::new(),
        }
    }

    fn told(now: &Examined, before: &Examined) -> Transition {
        let mut all = changes("m", std::slice::from_ref(now), std::slice::from_ref(before));
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn what_is_honoured_no_longer_is_told_with_the_hosts_words_and_is_critical_where_it_is_refused() {
        use State::{Honoured, Ignored, Refused};
        let before = examined(FIRST, Honoured, Honoured);
        let refuses = told(&examined(SECOND, Refused, Honoured), &before);
        assert_eq!((refuses.what, refuses.severity), (What::Changed, Severity::Critical));
        assert_eq!(refuses.since, before.examined_at);
        assert_eq!(refuses.facts.reason, "tools: honoured → refused");
        assert_eq!(refuses.facts.severity, Severity::Critical);
        assert_eq!(refuses.facts.features[0].words.as_deref(), Some("HTTP 404: no such thing"));
        let ignores = told(&examined(SECOND, Ignored, Ignored), &before);
        assert_eq!(ignores.severity, Severity::Warning);
        assert_eq!(ignores.facts.reason, "tools: honoured → ignored; seed: honoured → ignored");
        let takes_again = told(&before, &examined(SECOND, Refused, Honoured));
        assert_eq!(takes_again.severity, Severity::Warning, "what is honoured again wakes nobody");
    }

    #[test]
    fn a_first_examination_and_one_that_finds_all_as_before_or_cannot_tell_are_told_to_nobody() {
        use State::{Honoured, Refused, Unknown};
        let before = examined(FIRST, Honoured, Refused);
        assert_eq!(changes("m", std::slice::from_ref(&before), &[]), []);
        let other = Examined { endpoint: "other".into(), ..examined(FIRST, Refused, Honoured) };
        assert_eq!(changes("m", std::slice::from_ref(&before), &[other]), [], "each endpoint has its own past");
        for now in [examined(SECOND, Honoured, Refused), examined(SECOND, Unknown, Unknown)] {
            assert_eq!(changes("m", &[now], std::slice::from_ref(&before)), []);
        }
    }

    #[test]
    fn the_same_change_makes_the_same_key_whenever_and_in_whatever_words_it_is_found() {
        use State::{Honoured, Ignored, Refused};
        let before = examined(FIRST, Honoured, Honoured);
        let first = told(&examined(SECOND, Refused, Honoured), &before);
        let mut later = examined(THIRD, Refused, Honoured);
        later.findings[0].words = Some("HTTP 404: request 17 failed".into());
        assert_eq!(told(&later, &before).key(), first.key());
        assert!(first.key().starts_with("m/e/features-changed/2026-11-21T09:00:00Z/changed-"), "{}", first.key());
        assert_ne!(told(&examined(SECOND, Refused, Ignored), &before).key(), first.key());
        let since_then = examined(SECOND, Honoured, Honoured);
        assert_ne!(told(&later, &since_then).key(), first.key(), "it was right in between");
    }
}
