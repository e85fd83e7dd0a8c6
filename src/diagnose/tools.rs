//! Tool calls: whether they come, as calls, with arguments that can be read.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::Tally;
use super::{Evidence, finding};
use crate::signal::answers::{Answer, Answers};
use crate::signal::finish::Ended;
use crate::signal::marks::{holds_call, holds_whole_call};
use crate::stats::exact::Share;
use crate::verdict::Confidence::{Certain, Likely, Possible};
use crate::verdict::Finding;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let offered = Offered::of(evidence);
    let rules = [calls_in_text, broken_arguments, never_calls];
    rules.into_iter().filter_map(|rule| rule(evidence, &offered)).collect()
}

/// The tools of each probe that has any: as its traits say, or as the reference calls them.
struct Offered<'a>(BTreeMap<&'a str, Vec<String>>);

impl<'a> Offered<'a> {
    fn of(evidence: &'a Evidence<'_>) -> Self {
        let mut tools: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (_, probe, answers) in evidence.reference.everything() {
            let known = evidence.traits(probe).into_iter().flat_map(|t| t.tools.iter().cloned());
            let called = answers.iter().flat_map(|a| a.sample.tool_calls.iter().map(|call| call.name.clone()));
            let names: BTreeSet<String> = known.chain(called).collect();
            if !names.is_empty() {
                tools.insert(probe, names);
            }
        }
        Self(tools.into_iter().map(|(probe, names)| (probe, names.into_iter().collect())).collect())
    }

    fn tally(&self, evidence: &Evidence<'_>, of: impl Fn(&Answer<'_>, &[String]) -> Option<bool>) -> Tally {
        let side = |answers: &Answers<'_>| {
            let mut share = Share::default();
            let known = answers.all().filter_map(|a| Some((a, self.0.get(a.sample.probe.as_str())?)));
            known.filter_map(|(a, tools)| of(a, tools)).for_each(|shows| share.count(shows.into()));
            share
        };
        Tally { endpoint: side(evidence.answers), reference: side(evidence.reference) }
    }
}

/// Answers with a call in its own field, where there are tools. Who is offered none parses none, though a model may write a call
/// all the same.
pub(super) fn calls(evidence: &Evidence<'_>) -> Tally {
    Offered::of(evidence).tally(evidence, |a, _| Some(!a.sample.tool_calls.is_empty()))
}

/// Whether a call is written in an answer or at its end. One that a thought considers is not made.
pub(super) fn writes(answer: &Answer<'_>, is_written: impl Fn(&str) -> bool) -> bool {
    [answer.content, answer.left].into_iter().any(is_written)
}

/// Calls that stand in the text instead of the calls' own field.
fn calls_in_text(evidence: &Evidence<'_>, offered: &Offered<'_>) -> Option<Finding> {
    let written = |is_written: fn(&str, &[String]) -> bool| {
        offered.tally(evidence, move |a, tools| {
            let called = !a.sample.tool_calls.is_empty();
            (called || writes(a, |text| holds_call(text, tools)))
                .then(|| !called && writes(a, |text| is_written(text, tools)))
        })
    };
    // A model may break off a call, and no parser then takes it for one. A whole one is the parser's to take.
    let (any, whole) = (written(holds_call), written(holds_whole_call));
    let (confidence, tally) = match (whole.never(), any.seldom()) {
        (Some(Certain), _) | (_, None) => (whole.never()?, whole),
        (_, Some(confidence)) => (confidence, any),
    };
    let evidence = format!("the call stands in the text in {} that call a tool", tally.words());
    Some(finding("tool-parser", confidence, evidence))
}

/// Calls whose arguments are no JSON object. An answer that was cut may end within one, and a call may have none.
fn broken_arguments(evidence: &Evidence<'_>, offered: &Offered<'_>) -> Option<Finding> {
    let broken = |arguments: &str| !matches!(serde_json::from_str(arguments), Ok(serde_json::Value::Object(_)));
    let tally = offered.tally(evidence, |a, _| {
        let calls = &a.sample.tool_calls;
        let whole = !calls.is_empty() && Ended::of(a) != Ended::AtCap;
        whole.then(|| calls.iter().any(|call| !call.is_bare() && broken(&call.arguments)))
    });
    let confidence = tally.seldom()?;
    Some(finding("tool-parser", confidence, format!("arguments that are no JSON in {} with calls", tally.words())))
}

/// No calls, where the reference calls. Tools that are among the prompt's tokens have reached the template, so that something
/// else may keep the model from calling. Fewer tokens are a matter of the prompt's rules.
fn never_calls(evidence: &Evidence<'_>, offered: &Offered<'_>) -> Option<Finding> {
    let shorter = evidence.tokens.differing().any(|p| p.traits.is_some_and(|t| !t.tools.is_empty()));
    let calling: BTreeSet<&str> =
        evidence.reference.all().filter(|a| !a.sample.tool_calls.is_empty()).map(|a| a.sample.probe.as_str()).collect();
    let quiet = offered.tally(evidence, |a, tools| {
        let calls = !a.sample.tool_calls.is_empty() || writes(a, |text| holds_call(text, tools));
        calling.contains(a.sample.probe.as_str()).then_some(!calls)
    });
    let never = quiet.endpoint.showing == quiet.endpoint.all && !shorter;
    let confidence = quiet.seldom().filter(|_| never)?;
    let are_counted = evidence.tokens.probes.iter().any(|p| p.traits.is_some_and(|t| !t.tools.is_empty()));
    let confidence = confidence.max(if are_counted { Possible } else { Likely });
    let evidence = format!("no tool is called in {}", quiet.words());
    Some(finding("tools-dropped", confidence, evidence))
}
