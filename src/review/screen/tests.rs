//! What a screen of a review shows, and that it fits.

use super::*;
use crate::report::Paint;
use crate::review::summary::judged;
use crate::review::{Part, Scroll};
use crate::snapshot::testing::snapshot;
use crate::snapshot::{Change, ChangeKind};
use crate::verdict::{Confidence, Effect, EffectName, Finding, Verdict};
use proptest::prelude::*;

fn drifted(texts: &[&str]) -> Snapshot {
    let mut new = snapshot(texts);
    new.head.prompt_tokens = Some(29);
    new.head.change = Some(Change {
        kind: ChangeKind::Drifted,
        reason: "as if 31 % of its answers (22 % to 39 %) came from another model".into(),
        verdict: Some(Verdict::Drifted),
        because: None,
        effect: Some(Effect { name: EffectName::Substitution, estimate: 0.31, low: 0.22, high: 0.39 }),
        tolerance: Some(0.05),
        p_value: Some(0.001),
        findings: vec![Finding {
            fault: "hidden-system-prompt".into(),
            confidence: Confidence::Certain,
            evidence: "prompt_tokens 29 against 12 on 25 of 25 probes".into(),
        }],
    });
    new
}

fn review() -> Review {
    let mut review = Review::new(vec!["llama/together/core/greeting".into(), "llama/together/core/haiku".into()]);
    review.decided(Decision::Skip, 1);
    review
}

const OLD: [&str; 5] = ["frost on the window", "frost on the window", "thin light, then a crow", "\x1b[2J<b>", "quiet"];
const NEW: [&str; 4] = ["frost on the warm window pane", "quiet", "quiet", "As an AI, I love haikus! 🎉"];

#[test]
fn a_screen_says_what_changed_and_shows_answers_side_by_side() {
    let (old, new) = (snapshot(&OLD), drifted(&NEW));
    let text = render(&review(), Waiting { approved: Some(&old), new: &new }, View::default(), 24).text;
    insta::assert_snapshot!(text);
}

#[test]
fn a_screen_says_what_the_run_found_of_the_endpoint_whatever_the_snapshot_waits_for() {
    let mut new = drifted(&NEW);
    let change = new.head.change.as_mut().expect("it waits");
    (change.kind, change.reason) = (ChangeKind::Unseen, "nothing was approved yet".into());
    change.because = Some("as if half of its answers came from another model".into());
    let text = whole("m/e/p", Waiting { approved: None, new: &new }, Shown::default(), View::default());
    assert!(text.contains("verdict     drifted, 31 % (22 to 39), in run 1 of 2026-11-25 12:00 UTC: as if"), "{text}");
    new.head.change.as_mut().expect("it waits").verdict = None;
    assert!(judged(&new.head).starts_with("verdict unknown"), "{}", judged(&new.head));
}

#[test]
fn unlike_answers_fill_both_columns_from_the_first_line_on_and_have_no_marks() {
    let (old, new) = ("frost on the window pane ".repeat(40), "0123 4567 8901 2345 ".repeat(40));
    let (old, new) = (snapshot(&[&old]), drifted(&[&new]));
    let text = render(&review(), Waiting { approved: Some(&old), new: &new }, View::default(), 24).text;
    let row = text.lines().find(|row| row.starts_with("1 × frost")).expect("the first answers");
    assert!(row.contains("│ 1 × 0123"), "{text}");
    assert!(!text.contains("{+") && !text.contains("[-"), "{text}");
}

#[test]
fn info_and_diff_are_shown_where_asked_for() {
    let (old, new) = (snapshot(&OLD), drifted(&NEW));
    let mut review = review();
    review.toggle(Part::Info);
    review.toggle(Part::Diff);
    let text = render(&review, Waiting { approved: Some(&old), new: &new }, View::default(), 70).text;
    insta::assert_snapshot!(text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn a_low_screen_keeps_the_keys_and_says_where_it_stands() {
    let (old, new) = (snapshot(&OLD), drifted(&NEW));
    let (mut review, waiting) = (review(), Waiting { approved: Some(&old), new: &new });
    let before = render(&review, waiting, View::default(), 12);
    assert_eq!(before.text.lines().count(), 12, "{}", before.text);
    assert!(before.text.contains("\nlines 1 to 6 of 7\na accept"), "{}", before.text);
    review.scroll(Scroll::End, before.extent);
    review.notice = "skipped llama/together/core/greeting".into();
    let after = render(&review, waiting, View::default(), 12).text;
    assert!(after.contains("1 × quiet ") && after.contains("core/greeting · lines 2 to 7 of 7\n"), "{after}");
}

#[test]
fn a_narrow_screen_tells_all_that_matters_and_how_to_leave() {
    let (old, new) = (snapshot(&OLD), drifted(&NEW));
    let (mut review, waiting) = (review(), Waiting { approved: Some(&old), new: &new });
    review.notice = "accepted llama/together/core/greeting-in-the-morning; u takes that back".into();
    for columns in [72, 60, 40] {
        let view = View { width: columns, paint: Paint::Plain };
        let text = render(&review, waiting, view, 16).text;
        assert_eq!(text.lines().count(), 16, "{text}");
        assert!(text.lines().all(|row| width(row) <= columns), "{text}");
        assert!(text.ends_with(" · ? all keys · q quit") && text.contains("takes that back"), "{text}");
        let high = render(&review, waiting, view, 40).text;
        assert!(columns == 40 || (high.contains("p = 0.001") && high.contains("25 probes")), "{high}");
        let end = render_end(&review, view);
        assert!(end.lines().all(|row| width(row) <= columns) && end.ends_with("key ends the review"), "{end}");
    }
}

#[test]
fn a_long_name_keeps_the_probe_in_the_title() {
    let (new, name) = (drifted(&NEW), "snap/a-rather-long-endpoint-name-via-openrouter/core/haiku");
    let view = View { width: 60, paint: Paint::Plain };
    let text = render(&Review::new(vec![name.into()]), Waiting { approved: None, new: &new }, view, 24).text;
    let title = text.lines().next().expect("a title");
    assert_eq!(title, "snapshot 1 of 1: snap/a-rather…ame-via-openrouter/core/haiku");
}

#[test]
fn help_says_what_every_key_does_within_eighty_by_twenty_four() {
    let (new, mut review) = (drifted(&NEW), review());
    review.toggle(Part::Help);
    let help = render(&review, Waiting { approved: None, new: &new }, View::default(), 24);
    insta::assert_snapshot!(help.text);
    assert!(help.extent.lines <= help.extent.room, "{:?}", help.extent);
    let narrow = View { width: 60, paint: Paint::Plain };
    let help = render(&review, Waiting { approved: None, new: &new }, narrow, 24);
    assert!(help.extent.lines <= help.extent.room, "{}", help.text);
}

#[test]
fn what_is_decided_together_is_told_of_before_it_is_done() {
    assert_eq!(question(Decision::Reject, 12, 12), "reject all 12 that are left? y does, any other key does not");
    let some = "accept 64 of the 130 that are left? y does, any other key does not";
    let asks = question(Decision::Accept, 64, 130);
    assert_eq!(asks, format!("{some}; of the others the run's verdict was not seen yet"));
    for columns in [80, 40] {
        let lines = asked(&asks, View { width: columns, paint: Paint::Plain });
        assert!(lines.iter().all(|line| width(line) <= columns), "{lines:?}");
        assert_eq!(lines.join(" "), asks);
        let keys = lines.iter().position(|line| line.contains("not;")).expect("what the keys do");
        assert!(keys < 2, "{lines:?}");
    }
    assert_eq!(under_way(Decision::Accept, 66), "accepting 66 snapshots …");
    let mut review = review();
    review.decided(Decision::Reject, 1);
    let text = render_end(&review, View::default());
    assert!(text.starts_with("all decided: 0 accepted, 1 rejected, 1 skipped\n"), "{text}");
}

#[test]
fn colours_stand_for_marks() {
    let (old, new) = (snapshot(&["a red cat"]), drifted(&["a blue cat"]));
    let view = View { width: 80, paint: Paint::Ansi };
    let text = render(&review(), Waiting { approved: Some(&old), new: &new }, view, 24).text;
    assert!(text.contains("\x1b[31mred\x1b[0m") && text.contains("\x1b[32mblue\x1b[0m"), "{text:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_hostile_reaches_the_screen_and_no_line_is_too_wide(
        old in proptest::collection::vec(any::<String>(), 1..4),
        new in proptest::collection::vec(any::<String>(), 1..4),
        columns in 60_usize..120,
    ) {
        let texts = |of: &'_ [String]| -> Vec<String> { of.to_vec() };
        let (old, new) = (texts(&old), texts(&new));
        let o: Vec<&str> = old.iter().map(String::as_str).collect();
        let n: Vec<&str> = new.iter().map(String::as_str).collect();
        let (old, new) = (snapshot(&o), drifted(&n));
        let view = View { width: columns, paint: Paint::Plain };
        for shown in [Shown::default(), Shown { info: Visibility::Shown, diff: Visibility::Shown, ..Shown::default() }] {
            let text = whole("m/e/p", Waiting { approved: Some(&old), new: &new }, shown, view);
            prop_assert!(!text.chars().any(|c| c != '\n' && crate::visible::is_hidden(c)), "{text:?}");
            for row in text.lines() {
                prop_assert!(width(row) <= columns, "{row:?}");
            }
        }
    }
}
