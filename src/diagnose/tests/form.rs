//! Texts in another normal form of Unicode.

use super::comparison;
use super::world::{Draft, Kind, host};
use crate::verdict::Confidence;

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
