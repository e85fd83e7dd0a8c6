//! Texts that were written otherwise on their way.

use super::comparison;
use super::world::{Draft, Kind, host};
use crate::verdict::{Confidence, Verdict};

#[test]
fn another_normal_form_of_the_same_characters_is_told_and_is_no_drift_by_itself() {
    let accented = |d: &mut Draft, accent: &str| {
        if d.kind == Kind::Plain {
            d.sample.text = d.sample.text.replace('e', accent);
        }
    };
    let (mut reference, mut endpoint) = (host("reference"), host("endpoint"));
    for (ours, theirs) in reference.iter_mut().zip(&mut endpoint) {
        accented(ours, "\u{e9}");
        accented(theirs, "e\u{301}");
    }
    let found = comparison(reference, endpoint).endpoints.remove(0);
    let told = found.findings.iter().find(|f| f.fault == "unicode-normalised").map(|f| f.confidence);
    assert_eq!(told, Some(Confidence::Certain), "{:#?}", found.findings);
    assert!(found.findings.iter().all(|f| !f.is_certain_drift()), "{:#?}", found.findings);
}

#[test]
fn what_transport_makes_of_a_text_is_told_and_is_no_drift() {
    let rewritings: [(fn(&str) -> String, &str); 4] = [
        (|text| text.replace('\n', "\r\n"), "the ends of lines"),
        (|text| text.replace(" the", "\u{a0}the"), "no-break spaces"),
        (|text| text.replace('"', "&quot;").replace('\'', "&#39;"), "entities of HTML"),
        (|text| text.replace('\'', "\u{2019}"), "quotation marks"),
    ];
    for (rewritten, says) in rewritings {
        let (mut reference, mut endpoint) = (host("reference"), host("endpoint"));
        let of_words = |d: &&mut Draft| matches!(d.kind, Kind::Plain | Kind::System | Kind::History);
        for d in reference.iter_mut().chain(&mut endpoint).filter(of_words) {
            d.sample.text = d.sample.text.replace(" a ", " a's \"a\" ").replace("the", "the'");
        }
        for d in endpoint.iter_mut().filter(of_words) {
            d.sample.text = rewritten(&d.sample.text);
        }
        let found = comparison(reference, endpoint).endpoints.remove(0);
        let told: Vec<(&str, Confidence)> = found.findings.iter().map(|f| (f.fault.as_str(), f.confidence)).collect();
        assert_eq!(told, [("unicode-normalised", Confidence::Certain)], "{:#?}", found.findings);
        assert!(found.findings[0].evidence.contains(says), "{}", found.findings[0].evidence);
        assert_ne!(found.verdict, Verdict::Drifted, "{}", found.reason);
    }
}

#[test]
fn a_quotation_mark_that_comes_out_otherwise_now_and_then_is_the_models_own() {
    let (mut reference, mut endpoint) = (host("reference"), host("endpoint"));
    let of_some = |d: &&mut Draft| d.kind == Kind::Plain && d.number < 2;
    for (drafts, mark) in [(&mut reference, '\''), (&mut endpoint, '\u{2019}')] {
        for d in drafts.iter_mut().filter(of_some) {
            d.sample.text.push(mark);
        }
    }
    let found = comparison(reference, endpoint).endpoints.remove(0);
    assert!(found.findings.is_empty(), "{:#?}", found.findings);
}

#[test]
fn tokens_that_were_not_decoded_are_told_and_one_such_letter_in_a_word_is_not() {
    let told = |text: fn(&str) -> String| {
        let mut endpoint = host("endpoint");
        for d in endpoint.iter_mut().filter(|d| d.kind == Kind::Plain) {
            d.sample.text = text(&d.sample.text);
        }
        let found = comparison(host("reference"), endpoint).endpoints.remove(0);
        found.findings.into_iter().find(|f| f.fault == "undecoded-tokens").map(|f| f.confidence)
    };
    assert_eq!(told(|text| text.replace(' ', "\u{120}")), Some(Confidence::Certain));
    assert_eq!(told(|text| format!("\u{120}gantija {text}")), None, "a Maltese word");
    assert_eq!(told(|text| format!("\u{120}orġ u \u{120}anni: {text}")), None, "Maltese names");
    assert_eq!(told(|text| format!("{text}\n\u{2581}\u{2582}\u{2581}\u{2583}\u{2581}")), None, "bars");
}
