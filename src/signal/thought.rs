//! Thoughts: what a model generated before its answer, in whatever form a host passes it on.
//!
//! A host that knows its model's format sends thoughts in a field of their own. One that does not leaves them in the content,
//! between the marks of the model's format, or behind a closing mark alone where the template has opened the thought.

/// The marks of one format: what opens a thought, what closes it, and what opens the answer behind it, empty where nothing does.
struct Marks {
    open: &'static str,
    close: &'static str,
    answer: &'static str,
}

/// The formats of models that think aloud.
const FORMATS: [Marks; 8] = [
    Marks { open: "<think>", close: "</think>", answer: "" },
    Marks { open: "<thinking>", close: "</thinking>", answer: "" },
    Marks { open: "<thought>", close: "</thought>", answer: "" },
    Marks { open: "<seed:think>", close: "</seed:think>", answer: "" },
    Marks { open: "◁think▷", close: "◁/think▷", answer: "" },
    Marks { open: "[THINK]", close: "[/THINK]", answer: "" },
    Marks { open: "<|START_THINKING|>", close: "<|END_THINKING|>", answer: "<|START_RESPONSE|>" },
    // Harmony with its special tokens taken out.
    Marks { open: "analysis", close: "assistantfinal", answer: "" },
];

/// A text taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The thought without its marks and without white space at its ends; `None` where the text holds none.
    pub thought: Option<&'a str>,
    /// The answer; without the white space at its beginning that a thought leaves there.
    pub content: &'a str,
}

/// Takes the thought at the beginning of a content's text out of it. A thought that is opened and not closed, as a cap leaves it,
/// is all there is.
///
/// `marks` are pairs of an opening and a closing mark that are known of the host beside those of common formats.
pub fn split<'a>(text: &'a str, marks: &[[String; 2]]) -> Parts<'a> {
    match find(text, marks) {
        Some(Found { thought, content, .. }) => {
            let thought = thought.trim();
            Parts { thought: (!thought.is_empty()).then_some(thought), content: content.trim_start() }
        }
        None => Parts { thought: None, content: text },
    }
}

/// A thought that stands in a text, the answer behind it, and the mark that opens it in its format.
struct Found<'a, 'm> {
    thought: &'a str,
    content: &'a str,
    open: &'m str,
}

/// The thought at the beginning of a text, by the marks of its host before those of common formats.
fn find<'a, 'm>(text: &'a str, marks: &'m [[String; 2]]) -> Option<Found<'a, 'm>> {
    let begun = text.trim_start();
    let own = marks.iter().map(|[open, close]| (open.as_str(), close.as_str(), ""));
    let known = || FORMATS.iter().map(|marks| (marks.open, marks.close, marks.answer));
    let opened = own.clone().chain(known()).find_map(|(open, close, answer)| {
        let rest = begun.strip_prefix(open).filter(|_| !open.is_empty())?;
        let thought = rest.split_once(close);
        // A word may begin an answer too: that format is only known by both its marks.
        if thought.is_none() && open.chars().all(char::is_alphabetic) {
            return None;
        }
        let (thought, content) = thought.map_or((rest, ""), |(thought, content)| (thought, behind(content, answer)));
        Some(Found { thought, content, open })
    });
    let closed = || {
        own.chain(known()).filter(|(open, close, _)| is_mirrored(open, close)).find_map(|(open, close, answer)| {
            let (thought, content) = text.split_once(close)?;
            Some(Found { thought, content: behind(content, answer), open })
        })
    };
    harmony(begun).or(opened).or_else(closed)
}

/// What opens a thought in OpenAI's Harmony format.
const ANALYSIS: &str = "<|channel|>analysis<|message|>";

/// Takes messages in OpenAI's Harmony format apart, as it is generated: thoughts are messages in the channel `analysis`, one or several,
/// and the answer is the one in `final`, or in `commentary`: a call, or words before one that the user is to see. Hosts pass the
/// beginning of the first message on, or leave it out as part of the prompt.
fn harmony(text: &str) -> Option<Found<'_, 'static>> {
    const MESSAGE: &str = "<|start|>assistant";
    const FINAL: &str = "<|channel|>final<|message|>";
    const PREAMBLE: &str = "<|channel|>commentary<|message|>";
    const CALL: &str = "<|channel|>commentary";
    fn shown(text: &str) -> Option<&str> {
        [FINAL, PREAMBLE].into_iter().find_map(|mark| text.strip_prefix(mark))
    }
    let begun = text.strip_prefix(MESSAGE).unwrap_or(text);
    if let Some(content) = shown(begun) {
        return Some(Found { thought: "", content, open: ANALYSIS });
    }
    let rest = begun.strip_prefix(ANALYSIS)?;
    let answer = [FINAL, CALL].into_iter().filter_map(|mark| rest.find(mark)).min();
    let (thought, answer) = rest.split_at(answer.unwrap_or(rest.len()));
    let content = shown(answer).unwrap_or(answer);
    let thought = thought.trim_end().trim_end_matches(MESSAGE).trim_end().trim_end_matches("<|end|>");
    Some(Found { thought, content, open: ANALYSIS })
}

fn behind<'a>(content: &'a str, answer: &str) -> &'a str {
    content.trim_start().strip_prefix(answer).unwrap_or(content)
}

/// Whether a closing mark can belong to nothing but its opening one, so that it closes a thought that the template has opened.
fn is_mirrored(open: &str, close: &str) -> bool {
    let plain = |mark: &str| mark.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    close.contains('/') && plain(open) == plain(close)
}

/// Whether a thought stands in a content's text between other marks than those that are known of its host, whose place
/// it is. Marks with nothing between them are no thought.
pub fn holds_misplaced(text: &str, marks: &[[String; 2]]) -> bool {
    elsewhere(text, marks).is_some_and(|found| !found.thought.trim().is_empty())
}

/// The marks at the beginning of a content's text that hold no thought, as models that can think leave them where they
/// do not; but for marks that are known of its host.
pub fn empty_marks<'a>(text: &'a str, marks: &[[String; 2]]) -> Option<&'a str> {
    let found = elsewhere(text, marks).filter(|found| found.thought.trim().is_empty())?;
    Some(text[..text.len() - found.content.len()].trim())
}

fn elsewhere<'a, 'm>(text: &'a str, marks: &'m [[String; 2]]) -> Option<Found<'a, 'm>> {
    find(text, marks).filter(|found| marks.iter().all(|[open, _]| open != found.open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> (Option<&str>, &str) {
        let Parts { thought, content } = split(text, &[]);
        (thought, content)
    }

    #[test]
    fn a_thought_in_any_format_is_taken_out_of_the_answer() {
        for text in [
            "<think>\nhm\n</think>\n\nYes.",
            "  <thinking>hm</thinking>Yes.",
            "[THINK]hm[/THINK]Yes.",
            "◁think▷hm◁/think▷Yes.",
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
            "analysishmassistantfinalYes.",
        ] {
            assert_eq!(parts(text), (Some("hm"), "Yes."), "{text}");
        }
    }

    #[test]
    fn harmony_is_read_with_the_beginning_of_its_first_message_and_with_several_thoughts() {
        let last = "<|start|>assistant<|channel|>final<|message|>Yes.";
        let one = "<|channel|>analysis<|message|>hm<|end|>";
        assert_eq!(parts(&format!("<|start|>assistant{one}{last}")), (Some("hm"), "Yes."));
        let (thought, content) = {
            let text = format!("{one}<|start|>assistant<|channel|>analysis<|message|>so<|end|>{last}");
            let (thought, content) = parts(&text);
            (thought.map(str::to_owned), content.to_owned())
        };
        assert_eq!(content, "Yes.");
        assert!(thought.is_some_and(|thought| thought.starts_with("hm") && thought.ends_with("so")));
        assert_eq!(parts("<|channel|>analysis<|message|>hm, and"), (Some("hm, and"), ""));
        assert_eq!(parts("<|channel|>final<|message|>Yes."), (None, "Yes."));
        let call = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>";
        let text = format!("{one}<|start|>assistant{call}");
        assert_eq!(parts(&text), (Some("hm"), call), "a call is no thought");
        let preamble = format!("{one}<|start|>assistant<|channel|>commentary<|message|>Let me see.<|end|>");
        assert_eq!(parts(&preamble), (Some("hm"), "Let me see.<|end|>"), "what the user is to see is none either");
        assert_eq!(parts("<|channel|>commentary<|message|>Let me see."), (None, "Let me see."));
    }

    #[test]
    fn a_thought_that_the_template_opened_ends_at_its_closing_mark() {
        assert_eq!(parts("hm, so\n</think>\n\nYes."), (Some("hm, so"), "Yes."));
        assert_eq!(parts("Press </b> and <|end|> it"), (None, "Press </b> and <|end|> it"));
    }

    #[test]
    fn a_thought_that_was_cut_is_all_there_is_and_an_empty_one_is_none() {
        assert_eq!(parts("<think>\nOkay, the user"), (Some("Okay, the user"), ""));
        assert_eq!(parts("<think>\n\n</think>\n\nYes."), (None, "Yes."));
        assert_eq!(parts("analysis of the text"), (None, "analysis of the text"));
        assert_eq!(parts(" Yes."), (None, " Yes."));
    }

    #[test]
    fn marks_of_a_host_are_known_beside_the_common_ones() {
        let marks = [["{{".to_owned(), "}}".to_owned()]];
        assert_eq!(split("{{hm}} Yes.", &marks), Parts { thought: Some("hm"), content: "Yes." });
        assert_eq!(split("{{hm}} Yes.", &[]).thought, None);
    }

    #[test]
    fn a_text_holds_a_thought_where_its_marks_stand() {
        let holds = |text: &str| holds_misplaced(text, &[]);
        assert!(holds("<think>hm</think> yes") && holds("hm</think>yes") && holds("<think>hm"));
        assert!(!holds("I think: yes") && !holds("  yes"));
    }

    #[test]
    fn marks_with_nothing_between_them_hold_no_thought() {
        let channel = "<|channel|>final<|message|>";
        let marks = ["<think>\n\n</think>", "<think></think>", "\n</think>", "[THINK] [/THINK]", channel];
        for mark in marks {
            let text = format!("{mark}\n\nYes.");
            assert!(!holds_misplaced(&text, &[]), "{text}");
            assert_eq!(empty_marks(&text, &[]), Some(mark.trim()), "{text}");
        }
        let declared = [["<think>".to_owned(), "</think>".to_owned()]];
        assert_eq!(empty_marks("<think></think>Yes.", &declared), None, "where the host is known to put them");
        assert_eq!((empty_marks("<think>hm</think>Yes.", &[]), empty_marks("Yes.", &[])), (None, None));
    }

    #[test]
    fn a_thought_between_the_marks_of_its_host_is_in_its_place() {
        let holds = |text: &str, open: &str, close: &str| holds_misplaced(text, &[[open.to_owned(), close.to_owned()]]);
        for text in ["<think>hm</think>yes", "hm</think>yes", "<think>hm"] {
            assert!(!holds(text, "<think>", "</think>") && holds(text, "{{", "}}"), "{text}");
        }
        assert!(!holds("{{hm}} yes", "{{", "}}"));
        let analysis = "<|channel|>analysis<|message|>";
        let text = format!("{analysis}hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.");
        assert!(!holds(&text, analysis, "<|end|>") && holds(&text, "<think>", "</think>"));
    }

    proptest! {
        #[test]
        fn both_parts_stand_in_the_text_in_their_order(text in "(<think>|</think>|analysis|assistantfinal|<\\|end\\|>|[THINK]|\\PC| ){0,12}") {
            let Parts { thought, content } = split(&text, &[]);
            let at = thought.map_or(0, |thought| text.find(thought).map_or(usize::MAX, |at| at + thought.len()));
            prop_assert!(at <= text.len() && text[at.min(text.len())..].ends_with(content));
        }
    }
}
