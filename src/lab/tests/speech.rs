//! What a host reads in the tokens of its model: text, thoughts and calls, rightly or wrongly.

use futures_util::FutureExt as _;
use tokio::sync::mpsc::unbounded_channel;

use crate::lab::answer::Answer;
use crate::lab::api::{Counting, Ending, News, Reply, Tally};
use crate::lab::draws::Draws;
use crate::lab::engine::{Choice, Emission, Finish};
use crate::lab::fault::Hiding;
use crate::lab::prompt::Prompter;
use crate::lab::speech::{Calls, Content, Manner, Opening, Specials, Speech, Thoughts};

const RIGHT: Manner = Manner {
    opening: Opening::Answer,
    thoughts: Thoughts::Apart,
    content: Content::Told,
    calls: Calls::Read,
    specials: Specials::Hidden,
    stops: Vec::new(),
};

/// What a reader gets of these tokens: content, reasoning, calls with their arguments, and the end.
#[derive(Debug, Default, PartialEq)]
struct Read {
    content: String,
    reasoning: String,
    calls: Vec<(String, String)>,
    ending: Option<Ending>,
    tally: Tally,
}

fn read(manner: &Manner, written: &str, finish: Finish) -> Read {
    let prompter = std::sync::Arc::new(Prompter::load().unwrap());
    let (sender, emissions) = unbounded_channel();
    for token in prompter.encode(written) {
        sender.send(Emission::Token(Choice { token, logprobs: None })).unwrap();
    }
    sender.send(Emission::End(finish)).unwrap();
    let speech = Speech::new(prompter, manner.clone(), Draws::new(0, "host"), emissions);
    let reply = Reply {
        id: String::new(),
        created: 0,
        model: String::new(),
        fingerprint: String::new(),
        prompt_tokens: 0,
        counting: Counting::True,
        said: None,
    };
    let mut answer = Answer::new(reply, vec![speech], None);
    let mut all = Read::default();
    while let Some(next) = answer.next().now_or_never().unwrap() {
        match next.unwrap().1.news {
            News::Role => {}
            News::Content(text) => all.content.push_str(&text),
            News::Reasoning(text) => all.reasoning.push_str(&text),
            News::Call { index, id, name } => {
                assert!(index == all.calls.len() && id.starts_with("call_"));
                all.calls.push((name, String::new()));
            }
            News::Arguments { index, text } => all.calls[index].1.push_str(&text),
            News::End(ending) => all.ending = Some(ending),
        }
    }
    all.tally = answer.tally();
    all
}

fn call(name: &str, arguments: &str) -> (String, String) {
    (name.to_owned(), arguments.to_owned())
}

const CALL: &str = r#"<|call|>{"name": "buy", "arguments": {"item": "tea"}}"#;

#[test]
fn thoughts_end_with_their_mark_and_are_counted() {
    let thinking = Manner { opening: Opening::Thought, ..RIGHT };
    let all = read(&thinking, "I think.</think>\nIt is so.\n", Finish::Stop);
    assert_eq!((all.reasoning.as_str(), all.content.as_str()), ("I think.", "It is so.\n"));
    assert!(all.tally.reasoning >= 2 && all.tally.completion > all.tally.reasoning + 3, "{:?}", all.tally);
    let unfinished = read(&thinking, "I think", Finish::Length);
    assert_eq!((unfinished.reasoning.as_str(), unfinished.ending), ("I think", Some(Ending::Length)));
    let again = read(&RIGHT, "So.<think>Really?</think>\nYes.", Finish::Stop);
    assert_eq!((again.content.as_str(), again.reasoning.as_str()), ("So.Yes.", "Really?"));
}

#[test]
fn thoughts_are_left_in_the_content_or_take_the_answer_in() {
    let manner = |thoughts| Manner { opening: Opening::Thought, thoughts, ..RIGHT };
    let written = "I think.</think>\nIt is so.";
    let left = read(&manner(Thoughts::InContent), written, Finish::Stop);
    assert_eq!((left.content.as_str(), left.reasoning.as_str()), ("<think>\nI think.</think>\nIt is so.", ""));
    let taken = read(&manner(Thoughts::WithAnswer), written, Finish::Stop);
    assert_eq!((taken.content.as_str(), taken.reasoning.as_str()), ("", "I think.\nIt is so."));
}

#[test]
fn thoughts_are_kept_back_with_their_count_without_it_or_but_for_their_first_word() {
    let hidden = |hiding| {
        let manner = Manner { opening: Opening::Thought, thoughts: Thoughts::Hidden(hiding), ..RIGHT };
        let all = read(&manner, "I think so.</think>\nIt is so.", Finish::Stop);
        assert_eq!(all.content, "It is so.");
        (all.reasoning, all.tally.reasoning > 0)
    };
    assert_eq!(hidden(Hiding::Counted), (String::new(), true));
    assert_eq!(hidden(Hiding::Uncounted), (String::new(), false));
    assert_eq!(hidden(Hiding::Summary), ("I".to_owned(), true));
}

#[test]
fn content_that_gets_lost_is_counted() {
    let manner = Manner { opening: Opening::Thought, content: Content::Lost, ..RIGHT };
    let all = read(&manner, "I think.</think>\nIt is so.", Finish::Stop);
    assert_eq!((all.reasoning.as_str(), all.content.as_str()), ("I think.", ""));
    assert!(all.tally.completion > all.tally.reasoning + 3, "{:?}", all.tally);
}

#[test]
fn calls_are_read_one_after_the_other() {
    let two = format!("Well.{CALL}<|call|>{{\"name\": \"sell\", \"arguments\": {{}}}}");
    let all = read(&RIGHT, &two, Finish::Stop);
    assert_eq!(all.calls, [call("buy", r#"{"item": "tea"}"#), call("sell", "{}")]);
    assert_eq!((all.content.as_str(), all.ending), ("Well.", Some(Ending::ToolCalls)));
    let thinking = Manner { opening: Opening::Thought, ..RIGHT };
    let thought = read(&thinking, &format!("I shop.</think>\n{CALL}"), Finish::Stop);
    assert_eq!((thought.reasoning.as_str(), thought.calls.len(), thought.content.as_str()), ("I shop.", 1, ""));
    let cut = read(&RIGHT, &CALL[..CALL.len() - 6], Finish::Length);
    assert_eq!((cut.calls, cut.ending), (vec![call("buy", r#"{"item": ""#)], Some(Ending::Length)));
}

#[test]
fn what_is_no_call_is_text() {
    let all = read(&RIGHT, "<|call|>hello", Finish::Stop);
    assert_eq!((all.content.as_str(), all.calls.len(), all.ending), ("hello", 0, Some(Ending::Stop)));
}

#[test]
fn parsers_of_calls_fail_in_two_ways() {
    let left = read(&Manner { calls: Calls::Left, ..RIGHT }, CALL, Finish::Stop);
    assert_eq!(left.content, r#"{"name": "buy", "arguments": {"item": "tea"}}"#);
    assert_eq!((left.calls.len(), left.ending), (0, Some(Ending::Stop)));
    let broken = read(&Manner { calls: Calls::Broken, ..RIGHT }, &format!("{CALL}{CALL}"), Finish::Stop);
    assert_eq!(broken.calls, [call("buy", r#"{"item": "tea""#), call("buy", r#"{"item": "tea""#)]);
}

#[test]
fn special_tokens_are_hidden_or_leak() {
    let written = "So.<|user|>\nAnd?";
    assert_eq!(read(&RIGHT, written, Finish::Stop).content, "So.\nAnd?");
    let leaky = Manner { specials: Specials::Shown, ..RIGHT };
    assert_eq!(read(&leaky, written, Finish::Stop).content, "So.<|user|>\nAnd?<|end|>");
    assert_eq!(read(&leaky, written, Finish::Length).content, "So.<|user|>\nAnd?");
    let marked = Manner { calls: Calls::Left, ..leaky };
    assert!(read(&marked, CALL, Finish::Stop).content.starts_with("<|call|>{\"name\""));
}

#[test]
fn stop_sequences_end_thoughts_and_answers() {
    let manner = Manner { stops: vec!["STOP".to_owned()], opening: Opening::Thought, ..RIGHT };
    let thought = read(&manner, "a STOP b</think>\nc", Finish::Stop);
    assert_eq!((thought.reasoning.as_str(), thought.content.as_str(), thought.ending), ("a ", "", Some(Ending::Stop)));
    let answer = read(&manner, "a ST</think>\nOP c STOP d", Finish::Stop);
    assert_eq!((answer.reasoning.as_str(), answer.content.as_str()), ("a ST", "OP c "));
}
