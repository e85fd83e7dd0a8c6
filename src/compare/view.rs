//! Views: what of answers is compared where models think before they answer.
//!
//! What was generated is a thought, then content, and both are evidence. Where both sides disclose their thoughts, all that was
//! generated is compared, and the content once more by itself: kernels that look at the beginning of a text see nothing behind a
//! long thought. Where a side hides them, content alone can be compared.

use crate::sample::{Asking, drawn_id};
use crate::signal::answers::{Answer, Answers};
use crate::signal::blank::Blank;
use crate::signal::tokens::hides_thoughts;
use crate::stats::Pair;

/// What is taken of each answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The content and the calls, of answers that are not blank.
    Content,
    /// The thought, then content and calls; of answers that used up their cap the thought. What other blanks lack is missing, and is
    /// no difference in what was generated.
    Generated,
    /// The content and the calls, on probes where all answers of both sides have thought the same: what follows other thoughts
    /// differs with them.
    AfterEqualThoughts,
}

/// Whether thoughts can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Disclosure {
    /// Nothing shows that either side thinks.
    #[default]
    NoThoughts,
    /// Both sides disclose them.
    Both,
    /// The endpoint hides them, or most of them.
    HiddenByEndpoint,
    /// The reference hides them, or most of them.
    HiddenByReference,
    /// Both think, and neither shows it.
    HiddenByBoth,
}

/// The part of the other side's that a side must reach to disclose as much: of answers with a thought, and of characters for each
/// token of thinking, below which a thought is summarised.
const AS_MUCH: f64 = 0.5;

impl Disclosure {
    /// What both sides disclose.
    pub fn between(reference: &Answers<'_>, endpoint: &Answers<'_>) -> Self {
        let (r, e) = (Thinking::of(reference), Thinking::of(endpoint));
        match (r.share > 0.0, e.share > 0.0) {
            (false, false) if r.counted || e.counted => Self::HiddenByBoth,
            // Who counts nothing may hide as much as who counts more than it shows.
            (false, false) if may_hide(reference, endpoint) => Self::HiddenByBoth,
            (false, false) => Self::NoThoughts,
            _ if e.share < AS_MUCH * r.share || e.is_summary_of(&r) => Self::HiddenByEndpoint,
            _ if r.share < AS_MUCH * e.share || r.is_summary_of(&e) => Self::HiddenByReference,
            _ => Self::Both,
        }
    }

    /// Whether thoughts are hidden that content follows from.
    pub fn is_hidden(self) -> bool {
        matches!(self, Self::HiddenByEndpoint | Self::HiddenByReference | Self::HiddenByBoth)
    }

    /// How answers asked in this way are compared; the first view bounds how far they are from the reference's, and the second
    /// may contradict it.
    pub fn views(self, asking: Asking) -> &'static [View] {
        match (self, asking) {
            (Self::Both, Asking::Sampled) => &[View::Generated, View::Content],
            (Self::Both, Asking::Greedy) => &[View::Generated, View::AfterEqualThoughts],
            _ => &[View::Content],
        }
    }
}

/// Whether both sides think unseen: either counts more tokens than it shows, or nothing, and not both nothing.
fn may_hide(reference: &Answers<'_>, endpoint: &Answers<'_>) -> bool {
    let counts_nothing = |side: &Answers<'_>| side.compared().all(|a| a.completion_tokens().is_none());
    match (hides_thoughts(reference), hides_thoughts(endpoint)) {
        (true, true) => true,
        (true, false) => counts_nothing(endpoint),
        (false, true) => counts_nothing(reference),
        (false, false) => false,
    }
}

/// What a side shows of its thinking.
struct Thinking {
    /// The share of answers with a thought, between 0 and 1.
    share: f64,
    /// Characters of thoughts for each token of thinking that is counted; absent where none is.
    characters_per_token: Option<f64>,
    /// Whether the host counts tokens of thinking.
    counted: bool,
    /// Characters of a thought, on average over the answers with one; 0 where there is none.
    characters: f64,
}

impl Thinking {
    fn of(answers: &Answers<'_>) -> Self {
        let (mut all, mut with_thought, mut characters, mut tokens, mut counted) = (0_usize, 0_usize, 0, 0, false);
        let mut in_all = 0;
        for answer in answers.compared() {
            in_all += answer.thought.map_or(0, |thought| thought.chars().count());
            all += 1;
            with_thought += usize::from(answer.thought.is_some());
            if let Some(n) = answer.reasoning_tokens().filter(|n| *n > 0) {
                counted = true;
                characters += answer.thought.map_or(0, |thought| thought.chars().count() as u64);
                tokens += n;
            }
        }
        Self {
            share: with_thought as f64 / all.max(1) as f64,
            characters_per_token: (tokens > 0).then(|| characters as f64 / tokens as f64),
            counted,
            characters: in_all as f64 / with_thought.max(1) as f64,
        }
    }

    /// Whether thoughts are far shorter than the other side's, and than the tokens of thinking that are counted for them.
    fn is_summary_of(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (self.characters_per_token, other.characters_per_token) else { return false };
        own < AS_MUCH * others && self.characters < AS_MUCH * other.characters
    }
}

/// Pairs of answers to all probes that both sides answered in one way of asking.
pub(crate) fn pairs<'a>(
    reference: &'a Answers<'_>,
    endpoint: &'a Answers<'_>,
    asking: Asking,
    view: View,
) -> Vec<Pair<'a>> {
    reference
        .with_blanks(asking)
        .filter(|(probe, _)| !endpoint.is_set_aside(probe))
        .filter_map(|(probe, ours)| {
            let theirs = endpoint.all_of(asking, probe);
            if view == View::AfterEqualThoughts && !think_alike(ours, theirs) {
                return None;
            }
            pair(probe, texts(ours, view), texts(theirs, view))
        })
        .collect()
}

/// Pairs of a side's greedy answers and of draws to the same probes, asked as probes of their own or under the same id.
pub(crate) fn drawn_pairs<'a>(greedy: &'a Answers<'_>, draws: &'a Answers<'_>, view: View) -> Vec<Pair<'a>> {
    greedy
        .with_blanks(Asking::Greedy)
        .filter_map(|(probe, ours)| {
            let drawn = match draws.all_of(Asking::Sampled, &drawn_id(probe)) {
                [] => draws.all_of(Asking::Sampled, probe),
                drawn => drawn,
            };
            pair(probe, texts(ours, view), texts(drawn, view))
        })
        .collect()
}

fn pair<'a>(probe: &'a str, reference: Vec<&'a str>, endpoint: Vec<&'a str>) -> Option<Pair<'a>> {
    (!reference.is_empty() && !endpoint.is_empty()).then_some(Pair { probe, reference, endpoint })
}

/// What a view shows of these answers.
fn texts<'a>(answers: &'a [Answer<'_>], view: View) -> Vec<&'a str> {
    match view {
        View::Generated => {
            let whole = answers.iter().filter(|a| a.blank().is_none_or(|blank| blank == Blank::Thought));
            whole.map(Answer::generated).filter(|text| !text.trim().is_empty()).collect()
        }
        View::Content | View::AfterEqualThoughts => {
            answers.iter().filter(|a| a.blank().is_none()).map(|a| &*a.text).collect()
        }
    }
}

/// Whether all of these answers follow one and the same thought.
fn think_alike(ours: &[Answer<'_>], theirs: &[Answer<'_>]) -> bool {
    let mut thoughts = ours.iter().chain(theirs).map(|a| a.thought);
    thoughts.next().flatten().is_some_and(|first| thoughts.all(|thought| thought == Some(first)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, Usage};

    fn sample(thought: Option<&str>, text: &str, reasoning_tokens: Option<u64>) -> Sample {
        Sample {
            reasoning: thought.map(str::to_owned),
            usage: Some(Usage { reasoning_tokens, ..Usage::default() }),
            ..Sample::new("e", "p", text)
        }
    }

    fn disclosure(reference: &[Sample], endpoint: &[Sample]) -> Disclosure {
        Disclosure::between(&Answers::new(reference), &Answers::new(endpoint))
    }

    #[test]
    fn thoughts_are_compared_where_both_sides_disclose_them_in_any_form() {
        let field = [sample(Some("Let me see."), "Yes.", None)];
        let marks = [sample(None, "<think>Let me see.</think>Yes.", None)];
        let plain = [sample(None, "Yes.", None)];
        assert_eq!(disclosure(&field, &marks), Disclosure::Both);
        assert_eq!(disclosure(&field, &plain), Disclosure::HiddenByEndpoint);
        assert_eq!(disclosure(&plain, &field), Disclosure::HiddenByReference);
        assert_eq!(disclosure(&plain, &plain), Disclosure::NoThoughts);
        let long = "Yes, and no, and yes again.";
        let of_all = |completion_tokens| {
            let usage = Some(Usage { completion_tokens: Some(completion_tokens), ..Usage::default() });
            [0, 1, 2].map(|replicate| Sample { replicate, usage, ..sample(None, long, None) })
        };
        assert_eq!(disclosure(&of_all(320), &of_all(290)), Disclosure::HiddenByBoth);
        assert_eq!(disclosure(&of_all(320), &of_all(9)), Disclosure::NoThoughts);
        assert_eq!(disclosure(&of_all(8), &of_all(9)), Disclosure::NoThoughts);
        let uncounted = [0, 1, 2].map(|replicate| Sample { replicate, usage: None, ..sample(None, long, None) });
        assert_eq!(disclosure(&of_all(320), &uncounted), Disclosure::HiddenByBoth, "the other may hide as much");
        assert_eq!(disclosure(&uncounted, &of_all(320)), Disclosure::HiddenByBoth);
        assert_eq!(disclosure(&uncounted, &of_all(9)), Disclosure::NoThoughts);
        let counted = [sample(None, "Yes.", Some(30))];
        assert_eq!(disclosure(&counted, &plain), Disclosure::HiddenByBoth);
    }

    #[test]
    fn a_summary_is_no_thought_that_can_be_compared() {
        let whole = [sample(Some(&"Let me see. ".repeat(30)), "Yes.", Some(90))];
        let summary = [sample(Some("It thought."), "Yes.", Some(90))];
        assert_eq!(disclosure(&whole, &summary), Disclosure::HiddenByEndpoint);
        assert_eq!(disclosure(&whole, &whole), Disclosure::Both);
    }

    #[test]
    fn an_answer_that_used_up_its_cap_is_seen_by_its_thought_and_not_as_an_empty_content() {
        let cut = Sample { finish_reason: Some("length".into()), ..sample(Some("hm"), "", None) };
        let (ours, theirs) = ([cut], [sample(Some("so"), "Yes.", None)]);
        let (ours, theirs) = (Answers::new(&ours), Answers::new(&theirs));
        let seen = |view| pairs(&ours, &theirs, Asking::Sampled, view);
        assert!(seen(View::Content).is_empty() && seen(View::AfterEqualThoughts).is_empty());
        assert_eq!(seen(View::Generated)[0].endpoint, ["so\n\nYes."]);
        assert_eq!(seen(View::Generated)[0].reference, ["hm"]);
    }

    #[test]
    fn content_that_was_lost_behind_a_thought_is_missing_and_no_other_text() {
        let ours = [sample(Some("hm"), "Yes.", None), sample(Some("hm"), "No.", None)];
        let theirs = [sample(Some("hm"), "", None), sample(Some("hm"), "No.", None)];
        let (ours, theirs) = (Answers::new(&ours), Answers::new(&theirs));
        let found = pairs(&ours, &theirs, Asking::Sampled, View::Generated);
        assert_eq!(found[0].endpoint, ["hm\n\nNo."]);
    }

    #[test]
    fn content_behind_equal_thoughts_is_compared_by_itself() {
        let ours = [sample(Some("hm"), "Yes.", None)];
        let theirs = [sample(Some("hm"), "No.", None)];
        let (ours, theirs) = (Answers::new(&ours), Answers::new(&theirs));
        let found = pairs(&ours, &theirs, Asking::Sampled, View::AfterEqualThoughts);
        assert_eq!((found[0].reference[0], found[0].endpoint[0]), ("Yes.", "No."));
    }
}
