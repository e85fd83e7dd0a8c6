//! Examinations of hosts that are functions from a request to an outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::examination::Subject;
use super::question::{CHOSEN_TOOL, Delivery, NATURAL_TOOL};
use super::{Advice, Examination, Examined, Feature, Inquiry, MOST_REQUESTS, Place, Question, State, last_told};
use crate::attempt::{Answer, Attempt, Failure, FailureKind, Outcome, Slot};
use crate::config::{Defaults, Dialect, Endpoint, MaxTokensField, Provider, Reasoning};
use crate::sample::{Asking, ToolCall, Usage};

/// Words of which a story has as many as it likes.
const WORDS: [&str; 8] = ["lamp", "the", "keeper", "sea", "letter", "opens", "window", "gull"];

/// What a host does with one request, the number of requests before it given.
type Host = dyn Fn(&Inquiry, usize) -> Reply;

/// What came back.
enum Reply {
    Told(Box<Answer>, String),
    Failed(FailureKind, &'static str),
}

/// A story that begins as a number says.
fn story(number: usize, words: usize) -> String {
    let word = |i: usize| WORDS[(number * 31 + i * 7 + (i * i * (number + 1)) / 3) % WORDS.len()];
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

/// Does all that is asked.
fn honest(inquiry: &Inquiry, number: usize) -> Reply {
    let seed = inquiry.probe.parameters.seed.map(|seed| seed as usize);
    let draw = if inquiry.probe.asking == Asking::Greedy { 0 } else { seed.unwrap_or(number + 1) };
    let mut finish = "length";
    let mut text = story(draw, inquiry.cap().map_or(1, |cap| cap as usize));
    if let Some(stop) = inquiry.probe.parameters.stop.first()
        && let Some(end) = text.find(stop.as_str())
    {
        text.truncate(end);
        finish = "stop";
    }
    let mut answer = Answer { response_model: Some("m".into()), ..Answer::default() };
    if inquiry.probe.response_schema.is_some() {
        (text, finish) = (r#"{"colour": "red", "size": "small"}"#.into(), "stop");
    }
    if !inquiry.probe.tools.is_empty() {
        let name = if inquiry.fields.contains_key("tool_choice") { CHOSEN_TOOL } else { NATURAL_TOOL };
        answer.tool_calls.push(ToolCall { name: name.into(), arguments: r#"{"city": "Oslo"}"#.into() });
        (text, finish) = (String::new(), "tool_calls");
    }
    if inquiry.question == Question::Uncapped {
        finish = "stop";
    }
    let prompt: usize = inquiry.probe.messages.iter().map(|message| message.content.len() / 4 + 3).sum();
    let tokens = text.split_whitespace().count().max(1) as u64;
    answer.usage = Some(Usage {
        prompt_tokens: Some(prompt as u64),
        completion_tokens: Some(tokens * u64::from(inquiry.choices())),
        reasoning_tokens: None,
    });
    answer.logprobs =
        inquiry.fields.contains_key("logprobs").then(|| json!({"content": [{"token": "a", "logprob": -0.1}]}));
    answer.finish_reason = Some(finish.into());
    answer.text = text;
    let choices: Vec<Value> = (0..inquiry.choices()).map(|index| json!({"index": index})).collect();
    let raw = json!({"choices": choices}).to_string();
    let raw = if inquiry.delivery == Delivery::Streamed { format!("data: {raw}\n\n") } else { raw };
    Reply::Told(Box::new(answer), raw)
}

fn changed(inquiry: &Inquiry, number: usize, change: impl Fn(&mut Answer)) -> Reply {
    match honest(inquiry, number) {
        Reply::Told(mut answer, raw) => {
            change(&mut answer);
            Reply::Told(answer, raw)
        }
        failed @ Reply::Failed(..) => failed,
    }
}

fn refused(words: &'static str) -> Reply {
    Reply::Failed(FailureKind::Rejected, words)
}

fn attempt(reply: Reply) -> Attempt {
    let (outcome, raw) = match reply {
        Reply::Told(answer, raw) => (Outcome::Answered(answer), raw),
        Reply::Failed(kind, words) => {
            let failure = Failure { kind, message: words.into(), retry_after: None, should_retry: None };
            (Outcome::Failed(failure), String::new())
        }
    };
    Attempt {
        slot: Slot { endpoint: "e".into(), probe: "p".into(), replicate: 0 },
        number: 1,
        started_at: Timestamp::UNIX_EPOCH,
        elapsed: Duration::from_millis(20),
        status: Some(200),
        headers: BTreeMap::from([("x-ratelimit-limit-requests".to_owned(), "60".to_owned())]),
        raw,
        outcome,
        cost: None,
    }
}

fn provider(dialect: Dialect) -> Provider {
    let provider: Provider = serde_json::from_value(json!({"base_url": "http://localhost"})).expect("a provider");
    Provider { dialect, ..provider }
}

fn examined_as(dialect: Dialect, defaults: &Defaults, host: &Host) -> Examined {
    let endpoint: Endpoint =
        serde_json::from_value(json!({"name": "e", "provider": "p", "model": "m"})).expect("an endpoint");
    let provider = provider(dialect);
    let subject = Subject { model: "m", endpoint: &endpoint, provider: &provider, defaults, price: None };
    let mut examination = Examination::new(subject);
    let mut number = 0;
    while let Some(inquiry) = examination.next() {
        let reply = host(&inquiry, number);
        examination.record(inquiry, attempt(reply));
        number += 1;
        assert!(number <= MOST_REQUESTS, "an examination has no more requests than it says");
    }
    examination.finish(Timestamp::UNIX_EPOCH)
}

fn examined(host: &Host) -> Examined {
    examined_as(Dialect::default(), &Defaults::default(), host)
}

fn state(examined: &Examined, feature: Feature) -> State {
    examined.finding(feature).expect("a finding of each feature").state
}

/// The features that are neither honoured nor noted.
fn amiss(examined: &Examined) -> Vec<(Feature, State)> {
    let fine = |state: State| matches!(state, State::Honoured | State::Noted);
    examined.findings.iter().filter(|f| !fine(f.state)).map(|f| (f.feature, f.state)).collect()
}

fn keys(examined: &Examined) -> Vec<(&str, &Value)> {
    examined.settings.iter().map(|setting| (setting.key.as_str(), &setting.value)).collect()
}

#[test]
fn of_an_honest_host_everything_is_honoured_and_nothing_is_to_be_set() {
    let found = examined(&honest);
    assert_eq!((amiss(&found), keys(&found)), (Vec::new(), Vec::new()), "{found:#?}");
    assert_eq!(found.requests, 14);
    let limits = found.finding(Feature::Limits).expect("a finding");
    assert_eq!(limits.evidence, "x-ratelimit-limit-requests: 60");
}

#[test]
fn what_is_ignored_is_told_and_nothing_else() {
    let ignoring: [(Feature, &Host); 9] = [
        (Feature::Seed, &|inquiry, number| {
            let mut without = inquiry.clone();
            without.probe.parameters.seed = None;
            honest(&without, number)
        }),
        (Feature::Stop, &|inquiry, number| {
            let mut without = inquiry.clone();
            without.probe.parameters.stop.clear();
            honest(&without, number)
        }),
        (Feature::JsonSchema, &|inquiry, number| {
            let mut without = inquiry.clone();
            without.probe.response_schema = None;
            honest(&without, number)
        }),
        (Feature::Logprobs, &|inquiry, number| changed(inquiry, number, |answer| answer.logprobs = None)),
        (Feature::ToolChoice, &|inquiry, number| {
            let mut without = inquiry.clone();
            without.fields.remove("tool_choice");
            honest(&without, number)
        }),
        (Feature::Stream, &|inquiry, number| {
            let whole = Inquiry { delivery: Delivery::Whole, ..inquiry.clone() };
            honest(&whole, number)
        }),
        (Feature::Temperature0, &|inquiry, number| {
            let mut drawn = inquiry.clone();
            drawn.probe.asking = Asking::Sampled;
            honest(&drawn, number)
        }),
        (Feature::NoCap, &|inquiry, number| {
            changed(inquiry, number, |answer| {
                if inquiry.question == Question::Uncapped {
                    answer.finish_reason = Some("length".into());
                }
            })
        }),
        (Feature::Model, &|inquiry, number| {
            changed(inquiry, number, |answer| answer.response_model = Some("other".into()))
        }),
    ];
    for (feature, host) in ignoring {
        let found = examined(host);
        let amiss = amiss(&found);
        // Without temperature 0 there is no telling where a stop would have come.
        let others: Vec<_> = amiss.iter().filter(|(f, s)| *f != feature && *s != State::Unknown).collect();
        assert!(amiss.contains(&(feature, State::Ignored)) && others.is_empty(), "{feature:?}: {found:#?}");
    }
}

#[test]
fn dropped_tools_and_a_cap_that_is_not_kept_are_told() {
    let no_tools = |inquiry: &Inquiry, number: usize| {
        let mut without = inquiry.clone();
        without.probe.tools.clear();
        honest(&without, number)
    };
    let found = examined(&no_tools);
    assert_eq!(state(&found, Feature::Tools), State::Ignored);
    let no_cap = |inquiry: &Inquiry, number: usize| {
        let longer = Inquiry { allowance: inquiry.allowance + 90, ..inquiry.clone() };
        honest(&longer, number)
    };
    let found = examined(&no_cap);
    assert_eq!((state(&found, Feature::Cap), keys(&found)), (State::Ignored, Vec::new()), "{found:#?}");
}

#[test]
fn an_answer_that_the_context_ends_is_no_cap_of_the_hosts() {
    let ended_after = |tokens: u64| {
        let host = move |inquiry: &Inquiry, number: usize| {
            changed(inquiry, number, |answer| {
                if inquiry.question == Question::Uncapped {
                    answer.finish_reason = Some("length".into());
                    answer.usage = answer.usage.map(|usage| Usage { completion_tokens: Some(tokens), ..usage });
                }
            })
        };
        state(&examined(&host), Feature::NoCap)
    };
    assert_eq!(
        [16, 1000, 2048, 1515].map(ended_after),
        [State::Ignored, State::Ignored, State::Ignored, State::Unknown]
    );
}

#[test]
fn a_cap_that_is_kept_under_its_other_name_alone_is_found() {
    let host = |inquiry: &Inquiry, number: usize| {
        let more = if inquiry.dialect.max_tokens == MaxTokensField::MaxTokens { 90 } else { 0 };
        honest(&Inquiry { allowance: inquiry.allowance + more, ..inquiry.clone() }, number)
    };
    let found = examined(&host);
    assert_eq!(keys(&found), [("max_tokens", &json!("max_completion_tokens"))], "{found:#?}");
}

#[test]
fn what_is_refused_by_name_is_asked_once_and_written_in_another_way_where_there_is_one() {
    let host = |inquiry: &Inquiry, number: usize| {
        let capped = inquiry.cap().is_some();
        if capped && inquiry.dialect.max_tokens == MaxTokensField::MaxTokens {
            return refused("HTTP 400: 'max_tokens' is not supported: use 'max_completion_tokens'");
        }
        if inquiry.delivery == Delivery::Streamed && inquiry.dialect.stream_usage {
            return refused("HTTP 400: unknown field");
        }
        match inquiry.question {
            Question::Seeded => refused("HTTP 400: seed is not supported"),
            Question::Tools => refused("HTTP 404: no endpoints support tool use"),
            _ => honest(inquiry, number),
        }
    };
    let found = examined(&host);
    let expected =
        [("max_tokens", &json!("max_completion_tokens")), ("stream_usage", &json!(false)), ("seed", &json!(false))];
    assert_eq!(keys(&found), expected, "{found:#?}");
    let states = [Feature::Cap, Feature::Usage, Feature::Seed, Feature::Tools, Feature::ToolChoice];
    let expected = [State::Honoured, State::Refused, State::Refused, State::Refused, State::Refused];
    assert_eq!(states.map(|feature| state(&found, feature)), expected);
    let tools = found.finding(Feature::Tools).expect("a finding");
    assert_eq!(tools.words.as_deref(), Some("HTTP 404: no endpoints support tool use"));
}

#[test]
fn a_refusal_in_words_that_may_be_about_anything_is_asked_again_before_it_is_believed() {
    let once = |inquiry: &Inquiry, number: usize| {
        if number == 7 { refused("HTTP 400: the prompt does not fit") } else { honest(inquiry, number) }
    };
    let found = examined(&once);
    assert_eq!((amiss(&found), found.requests), (Vec::new(), 15), "{found:#?}");
    let always = |inquiry: &Inquiry, number: usize| {
        if inquiry.question == Question::Logprobs { refused("HTTP 422: no") } else { honest(inquiry, number) }
    };
    assert_eq!(amiss(&examined(&always)), [(Feature::Logprobs, State::Refused)]);
}

#[test]
fn what_fails_for_other_reasons_stays_unknown_with_the_reason() {
    let host = |inquiry: &Inquiry, number: usize| {
        let fails = inquiry.question == Question::Choices;
        if fails { Reply::Failed(FailureKind::Timeout, "late") } else { honest(inquiry, number) }
    };
    let found = examined(&host);
    assert_eq!(amiss(&found), [(Feature::N, State::Unknown)], "{found:#?}");
    assert_eq!(found.finding(Feature::N).expect("a finding").evidence, "the request failed: timeout");
}

#[test]
fn a_host_that_answers_nothing_is_left_in_peace() {
    for (kind, most) in [(FailureKind::Unauthorized, 1), (FailureKind::Forbidden, 4), (FailureKind::Connect, 4)] {
        let host = move |_: &Inquiry, _: usize| Reply::Failed(kind, "no");
        let found = examined(&host);
        assert!(found.requests <= most && !found.has_answered(), "{kind}: {}", found.requests);
        assert!(found.settings.is_empty());
        let told = found.findings.iter().find(|f| f.feature != Feature::Answers && f.state != State::Unknown);
        assert_eq!(told, None, "{kind}");
    }
}

#[test]
fn temperature_0_is_moved_where_it_is_refused() {
    let host = |inquiry: &Inquiry, number: usize| {
        if inquiry.probe.asking == Asking::Greedy && inquiry.dialect.zero_temperature == 0.0 {
            return refused("HTTP 400: temperature must be above 0");
        }
        honest(inquiry, number)
    };
    let found = examined(&host);
    assert_eq!(
        (state(&found, Feature::Temperature0), keys(&found)),
        (State::Refused, vec![("zero_temperature", &json!(0.01))])
    );
}

/// Thinks so many tokens first, which count with the answer's.
fn thinking(tokens: usize, inquiry: &Inquiry, number: usize) -> Reply {
    let cap = inquiry.cap().map_or(usize::MAX, |cap| cap as usize);
    let room = cap.saturating_sub(tokens);
    let visible = Inquiry { allowance: 0, ..inquiry.clone() };
    changed(&visible, number, |answer| {
        answer.reasoning = Some("so ".repeat(tokens.min(cap)));
        let words: Vec<&str> = answer.text.split_whitespace().take(room).collect();
        let (cut, shown) = (room == 0, words.len().max(1));
        answer.text = words.join(" ");
        if cut {
            answer.finish_reason = Some("length".into());
            answer.tool_calls.clear();
        }
        answer.usage = answer.usage.map(|usage| Usage {
            completion_tokens: Some(((tokens + shown).min(cap) * inquiry.choices() as usize) as u64),
            reasoning_tokens: Some(tokens.min(cap) as u64),
            ..usage
        });
    })
}

#[test]
fn a_model_that_thinks_gets_room_for_its_thoughts() {
    let found = examined(&|inquiry, number| thinking(100, inquiry, number));
    assert_eq!((amiss(&found), keys(&found)), (Vec::new(), vec![("allowance", &json!(512))]), "{found:#?}");
    let thinking = found.finding(Feature::Thinking).expect("a finding");
    assert_eq!(thinking.value.as_deref(), Some("100"), "{}", thinking.evidence);
    assert_eq!((&found.settings[0].place, found.settings[0].advice), (&Place::Reasoning("m".into()), Advice::Set));
}

#[test]
fn answers_with_a_seed_are_asked_for_alike_though_one_has_thought() {
    // Draws otherwise under another cap, and thinks under a seed alone, so that the first such answer teaches how much.
    let host = |inquiry: &Inquiry, number: usize| {
        let mut asked = inquiry.clone();
        asked.probe.parameters.seed =
            inquiry.probe.parameters.seed.map(|seed| seed + inquiry.cap().unwrap_or_default());
        if asked.probe.parameters.seed.is_some() { thinking(10, &asked, number) } else { honest(&asked, number) }
    };
    let found = examined(&host);
    assert_eq!(state(&found, Feature::Seed), State::Honoured, "{found:#?}");
}

#[test]
fn a_host_that_refuses_an_effort_is_examined_without_one_and_the_line_that_leaves_it_out_is_told() {
    let reasoning = Reasoning { effort: Some("low".into()), allowance: 0 };
    let defaults = Defaults { reasoning, ..Defaults::default() };
    let by_name = "HTTP 400: Unrecognized request argument supplied: reasoning_effort";
    for words in [by_name, "HTTP 400: extra inputs are not permitted"] {
        let host = move |inquiry: &Inquiry, number: usize| {
            if inquiry.dialect.effort { refused(words) } else { honest(inquiry, number) }
        };
        let found = examined_as(Dialect::default(), &defaults, &host);
        assert_eq!(amiss(&found), [(Feature::Thinking, State::Refused)], "{found:#?}");
        assert_eq!(keys(&found), [("effort", &json!(false))]);
        let thinking = found.finding(Feature::Thinking).expect("a finding");
        assert_eq!(thinking.words.as_deref(), Some(words));
        assert_eq!(thinking.evidence, "`reasoning_effort` is refused; without it no answer thinks first");
        let left_out = examined_as(Dialect { effort: false, ..Dialect::default() }, &defaults, &host);
        assert_eq!((keys(&left_out), left_out.changes(&found)), (Vec::new(), Vec::new()), "{left_out:#?}");
    }
    let mended = examined_as(Dialect { effort: false, ..Dialect::default() }, &defaults, &honest);
    assert_eq!((keys(&mended), mended.settings[0].advice), (vec![("effort", &json!(true))], Advice::Consider));
}

#[test]
fn an_effort_that_is_refused_beside_tools_alone_is_not_refused() {
    let reasoning = Reasoning { effort: Some("low".into()), allowance: 0 };
    let defaults = Defaults { reasoning, ..Defaults::default() };
    let host = |inquiry: &Inquiry, number: usize| {
        let refuses = !inquiry.probe.tools.is_empty();
        if refuses { refused("HTTP 400: no function tools with reasoning_effort") } else { honest(inquiry, number) }
    };
    let found = examined_as(Dialect::default(), &defaults, &host);
    assert_eq!(amiss(&found), [(Feature::Tools, State::Refused), (Feature::ToolChoice, State::Refused)], "{found:#?}");
    assert!(found.settings.is_empty(), "{found:#?}");
}

#[test]
fn what_was_refused_is_taken_for_refused_until_two_examinations_of_a_week_are_missed() {
    let found = examined(&honest);
    let after = |hours: i64| found.holds_at(found.examined_at + SignedDuration::from_hours(hours));
    assert!(after(0) && after(14 * 24) && !after(14 * 24 + 1));
}

#[test]
fn a_seed_is_not_said_to_be_ignored_where_sums_differ_from_request_to_request() {
    // The second answer with one seed leaves the first at its first word.
    let host = |inquiry: &Inquiry, number: usize| {
        changed(inquiry, number, |answer| {
            if inquiry.question == Question::SeededAgain {
                answer.text = story(number + 4, 32);
            }
        })
    };
    let found = examined(&host);
    assert_eq!((amiss(&found), found.requests), (Vec::new(), 14), "{found:#?}");
    // So do both second answers, and one of the greedy ones.
    let noisy = |inquiry: &Inquiry, number: usize| {
        changed(inquiry, number, |answer| {
            let again =
                [Question::SeededAgain, Question::OtherSeedAgain, Question::Streamed].contains(&inquiry.question);
            if again {
                answer.text = story(number + 4, 32);
            }
        })
    };
    let found = examined(&noisy);
    assert_eq!(amiss(&found), [(Feature::Seed, State::Unknown), (Feature::Temperature0, State::Unknown)], "{found:#?}");
}

#[test]
fn a_stop_sequence_that_only_the_thought_goes_past_is_not_said_to_be_ignored() {
    let host = |inquiry: &Inquiry, number: usize| {
        changed(inquiry, number, |answer| {
            if let Some(stop) = inquiry.probe.parameters.stop.first() {
                answer.reasoning = Some(format!("so {stop} it is, and on {stop} on"));
            }
        })
    };
    assert_eq!(state(&examined(&host), Feature::Stop), State::Unknown);
}

#[test]
fn changes_are_of_what_was_told_both_times() {
    let before = examined(&honest);
    let host = |inquiry: &Inquiry, number: usize| match inquiry.question {
        Question::Tools => refused("HTTP 404: no tools"),
        Question::Choices => Reply::Failed(FailureKind::Timeout, "late"),
        _ => changed(inquiry, number, |answer| answer.response_model = Some("m-2".into())),
    };
    let now = examined(&host);
    let changes = now.changes(&before);
    let told: Vec<(Feature, State, Option<&str>)> =
        changes.iter().map(|change| (change.feature, change.now, change.is.as_deref())).collect();
    let expected = [
        (Feature::Model, State::Honoured, Some("m-2")),
        (Feature::Tools, State::Refused, None),
        (Feature::ToolChoice, State::Refused, None),
    ];
    assert_eq!(told, expected);
    assert!(now.changes(&now).is_empty());
}

#[test]
fn what_could_not_be_told_last_time_is_held_against_the_time_before() {
    let told = |endpoint: &str, seed: State| {
        let mut found = examined(&honest);
        found.endpoint = endpoint.to_owned();
        found.findings.iter_mut().filter(|f| f.feature == Feature::Seed).for_each(|f| f.state = seed);
        found
    };
    let now = told("a", State::Ignored);
    let seed = |before: Vec<Examined>| {
        let before = last_told(before);
        let changes = before.iter().filter(|before| before.endpoint == "a").flat_map(|before| now.changes(before));
        changes.map(|change| (change.feature, change.before)).collect::<Vec<_>>()
    };
    let unknown = || told("a", State::Unknown);
    assert_eq!(seed(vec![unknown(), unknown(), told("a", State::Honoured)]), [(Feature::Seed, State::Honoured)]);
    assert_eq!(seed(vec![told("a", State::Ignored), told("a", State::Honoured)]), [], "the latest that told");
    assert_eq!(seed(vec![unknown(), told("b", State::Honoured)]), [], "each endpoint has its own past");
    let other = Examined { model: "other".into(), ..told("a", State::Honoured) };
    assert_eq!(seed(vec![unknown(), other]), [], "and each model");
}
