//! Texts that were written otherwise on their way.

use rand::RngExt as _;

use super::comparison;
use super::world::{Draft, Kind, host};
use crate::stats::rng;
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
    type Rewriting = (fn(&str) -> String, &'static str);
    let rewritings: [Rewriting; 4] = [
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
    assert_eq!(told(|text| text.replace('\n', "\u{10a}")), Some(Confidence::Certain), "line feeds alone");
    assert_eq!(told(|text| text.replacen(' ', "\u{120}", 1)), Some(Confidence::Certain), "one an answer");
    assert_eq!(told(|text| format!("it isn\u{e2}\u{122}\u{13b}t {text}")), Some(Confidence::Certain));
    assert_eq!(told(|text| text.replacen(' ', "<0x0A>", 1)), Some(Confidence::Certain));
    assert_eq!(told(|text| text.replace(' ', "</w> ")), Some(Confidence::Certain));
    assert_eq!(told(|text| format!("\u{120}gantija {text}")), None, "a Maltese word");
    assert_eq!(told(|text| format!("\u{120}orġ u \u{120}anni: {text}")), None, "Maltese names");
    assert_eq!(told(|text| format!("{text}\n\u{2581}\u{2582}\u{2581}\u{2583}\u{2581}")), None, "bars");
}

#[test]
fn tokens_that_a_probe_asks_for_are_no_tokens_that_were_not_decoded() {
    let written = |d: &mut Draft| d.sample.text = format!("the\u{120}river {}", d.sample.text);
    let (mut reference, mut endpoint) = (host("reference"), host("endpoint"));
    let asked = |d: &&mut Draft| d.kind == Kind::Plain && d.number < 8;
    reference.iter_mut().filter(asked).for_each(written);
    endpoint.iter_mut().filter(asked).for_each(written);
    let both = comparison(reference, endpoint).endpoints.remove(0);
    assert!(both.findings.iter().all(|f| f.fault != "undecoded-tokens"), "{:#?}", both.findings);
    let mut endpoint = host("endpoint");
    endpoint.iter_mut().filter(|d| d.kind == Kind::Sampled && d.number == 0).for_each(written);
    let one = comparison(host("reference"), endpoint).endpoints.remove(0);
    let told = one.findings.iter().find(|f| f.fault == "undecoded-tokens").map(|f| f.confidence);
    assert_eq!(told, Some(Confidence::Possible), "{:#?}", one.findings);
}

#[test]
fn characters_that_were_read_byte_by_byte_are_possibly_spoilt() {
    let mut endpoint = host("endpoint");
    for d in endpoint.iter_mut().filter(|d| d.kind == Kind::Plain) {
        d.sample.text += " Caf\u{c3}\u{a9}.";
    }
    let found = comparison(host("reference"), endpoint).endpoints.remove(0);
    let told = found.findings.iter().find(|f| f.fault == "corrupted-output").map(|f| f.confidence);
    assert_eq!(told, Some(Confidence::Possible), "{:#?}", found.findings);
}

#[test]
fn what_the_reference_itself_writes_in_two_ways_is_no_rewriting_for_sure() {
    let both_ways = |name: &str| {
        let mut drafts = host(name);
        for d in drafts.iter_mut().filter(|d| d.kind == Kind::Sampled) {
            let mut rng = rng::derive(3, &[name, &d.sample.probe, &d.sample.replicate.to_string()]);
            let mut quote = || if rng.random_bool(0.5) { "&#39;" } else { "'" };
            d.sample.text = format!("{}a{}b{}c{}", quote(), quote(), quote(), quote());
        }
        drafts
    };
    let found = comparison(both_ways("reference"), both_ways("endpoint")).endpoints.remove(0);
    let told = found.findings.iter().find(|f| f.fault == "unicode-normalised");
    assert_eq!(told, None, "{:#?}", found.findings);
}
