//! The course of an examination: which request comes next, from what came back so far.

use std::time::Duration;

use jiff::Timestamp;

use super::question::{Delivery, Inquiry, Manner, Question};
use super::read::{said, stop_of, thought_of};
use super::{Examined, judge, settings};
use crate::attempt::{Answer, Attempt, Failure, FailureKind, Outcome};
use crate::charge::charge;
use crate::config::{Defaults, Endpoint, MaxTokensField, Price, Provider};
use crate::plan::{Estimate, Pace, Plan, PlannedProbe, SCHEMA, Sampling};
use crate::probe::UNCAPPED_TOKENS;

/// The most requests to one endpoint.
pub const MOST_REQUESTS: usize = 16;

/// The longest that a host may ask to wait; above it the examination ends there.
pub const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Tokens for thinking where a thought used up its cap and no whole one was seen.
const GENEROUS_ALLOWANCE: u32 = 1024;

/// What stands for temperature 0 where 0 itself is refused.
const NEAR_ZERO: f64 = 0.01;

/// What is examined, as it is configured.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The nominal model.
    pub model: &'a str,
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// Its provider.
    pub provider: &'a Provider,
    /// The defaults with the model's own settings applied.
    pub defaults: &'a Defaults,
    /// The price, where one is known.
    pub price: Option<Price>,
}

/// A request that was sent, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub inquiry: Inquiry,
    pub attempt: Attempt,
}

impl Asked {
    pub fn answer(&self) -> Option<&Answer> {
        match &self.attempt.outcome {
            Outcome::Answered(answer) => Some(answer),
            Outcome::Failed(_) => None,
        }
    }

    pub fn failure(&self) -> Option<&Failure> {
        match &self.attempt.outcome {
            Outcome::Answered(_) => None,
            Outcome::Failed(failure) => Some(failure),
        }
    }

    /// The host's refusal of this very request. What a filter withholds says nothing of the request's form.
    pub fn refusal(&self) -> Option<&Failure> {
        self.failure().filter(|failure| failure.kind.is_refusal() && failure.kind != FailureKind::Filtered)
    }
}

/// What was written in another way because the host refused the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aspect {
    CapField,
    Zero,
    Delivery,
    StreamUsage,
    Effort,
}

/// A change of manner, and the refusal that led to it.
#[derive(Debug, Clone)]
pub(super) struct Remedy {
    pub aspect: Aspect,
    pub words: String,
    before: Manner,
}

/// An examination under way.
#[derive(Debug)]
pub struct Examination<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) manner: Manner,
    pub(super) asked: Vec<Asked>,
    pub(super) remedies: Vec<Remedy>,
    tried: Vec<Aspect>,
    /// What is to be asked once more in another manner, before anything else.
    again: Option<Question>,
}

impl<'a> Examination<'a> {
    /// Nothing asked yet.
    pub fn new(subject: Subject<'a>) -> Self {
        let dialect = &subject.provider.dialect;
        let manner = Manner {
            cap_field: dialect.max_tokens,
            zero: Some(dialect.zero_temperature),
            stream_usage: true,
            effort: subject.defaults.reasoning.effort.is_some(),
            delivery: Delivery::Whole,
            allowance: subject.defaults.reasoning.allowance,
        };
        Self { subject, manner, asked: Vec::new(), remedies: Vec::new(), tried: Vec::new(), again: None }
    }

    /// What an examination takes at most: every question, and others once more until [`MOST_REQUESTS`] are reached.
    pub fn estimate(&self, pace: Pace) -> Estimate {
        let inquiries = Question::ORDER.map(|question| self.inquiry(question));
        let spare = MOST_REQUESTS.saturating_sub(inquiries.len());
        let spares = inquiries.iter().filter(|i| i.question == Question::Tools).cycle().take(spare).cloned();
        let probes: Vec<PlannedProbe> = inquiries.iter().cloned().chain(spares).map(|i| planned(&i)).collect();
        let plan = Plan {
            schema: SCHEMA.to_owned(),
            model: self.subject.model.to_owned(),
            seed: 0,
            sampling: Sampling::of(self.subject.defaults),
            endpoints: vec![self.subject.endpoint.name.clone()],
            probes,
            left_out: Vec::new(),
        };
        plan.estimate(&self.subject.endpoint.name, self.subject.price, pace)
    }

    /// The next request; `None` when all is asked that can tell anything.
    pub fn next(&self) -> Option<Inquiry> {
        if self.asked.len() >= MOST_REQUESTS || self.is_hopeless() {
            return None;
        }
        let first = || Question::ORDER.into_iter().find(|&q| self.count(q) == 0 && self.is_due(q));
        let once_more = || Question::ORDER.into_iter().find(|&q| self.deserves_another(q));
        self.again.or_else(first).or_else(once_more).map(|question| self.inquiry(question))
    }

    /// Takes what came of a request.
    pub fn record(&mut self, inquiry: Inquiry, attempt: Attempt) {
        let question = inquiry.question;
        let is_again = self.again.take().is_some();
        let asked = Asked { inquiry, attempt };
        if let Some(refusal) = asked.refusal().cloned() {
            self.learn_from_refusal(question, &refusal, is_again);
        }
        self.asked.push(asked);
        self.learn_about_thoughts(question);
    }

    /// What was found.
    pub fn finish(self, examined_at: Timestamp) -> Examined {
        let findings = judge::findings(&self);
        let settings = settings::settings(&self, &findings);
        let Subject { endpoint, price, .. } = self.subject;
        let charged = |price: Price| {
            let each = |a: &Asked| charge(&a.attempt.outcome, price, planned(&a.inquiry).worst_cost(price));
            self.asked.iter().map(each).sum::<f64>()
        };
        Examined {
            endpoint: endpoint.name.clone(),
            provider: endpoint.provider.clone(),
            model: endpoint.model.clone(),
            examined_at,
            requests: self.asked.len(),
            cost: price.map(charged),
            findings,
            settings,
        }
    }

    fn inquiry(&self, question: Question) -> Inquiry {
        let stop = (question == Question::Stop).then(|| self.stop().unwrap_or_else(|| "the".to_owned()));
        let field = if question == Question::Short && judge::exceeds_its_cap(self) {
            other_field(self.manner.cap_field)
        } else {
            self.manner.cap_field
        };
        let manner = Manner { cap_field: field, allowance: self.allowance(question), ..self.manner.clone() };
        Inquiry::new(question, &manner, &self.subject.provider.dialect, stop)
    }

    /// Tokens for thinking. What is held against the answer with a seed is asked as that was, though its thoughts may have shown that
    /// they take more: under another cap a host may draw otherwise.
    fn allowance(&self, question: Question) -> u32 {
        let is_held_against =
            matches!(question, Question::SeededAgain | Question::OtherSeed | Question::OtherSeedAgain);
        let seeded = self.answered(Question::Seeded).filter(|_| is_held_against);
        seeded.map_or(self.manner.allowance, |asked| asked.inquiry.allowance)
    }

    /// A stop sequence, from an answer to the same prompt.
    pub(super) fn stop(&self) -> Option<String> {
        self.answer(Question::Whole)
            .or_else(|| self.answer(Question::Streamed))
            .and_then(|answer| stop_of(&said(answer)))
    }

    /// The last answer to a question.
    pub(super) fn answer(&self, question: Question) -> Option<&Answer> {
        self.answered(question).and_then(Asked::answer)
    }

    /// The last request for a question that was answered.
    pub(super) fn answered(&self, question: Question) -> Option<&Asked> {
        self.asked.iter().rev().find(|asked| asked.inquiry.question == question && asked.answer().is_some())
    }

    /// The last failure of a question that has no answer.
    pub(super) fn failure(&self, question: Question) -> Option<&Failure> {
        if self.answered(question).is_some() {
            return None;
        }
        self.asked.iter().rev().find(|asked| asked.inquiry.question == question).and_then(Asked::failure)
    }

    /// The host's refusal of a question, where it is sure: it names what is particular about the request, or came twice.
    pub(super) fn refusal(&self, question: Question) -> Option<&Failure> {
        self.failure(question)?;
        let refusals = || {
            let of = self.asked.iter().filter(move |asked| asked.inquiry.question == question);
            of.filter_map(Asked::refusal)
        };
        let named = refusals().find(|failure| is_about(question, &failure.message));
        named.or_else(|| refusals().nth(1))
    }

    /// How often a question was asked.
    pub(super) fn count(&self, question: Question) -> usize {
        self.asked.iter().filter(|asked| asked.inquiry.question == question).count()
    }

    pub(super) fn has_any_answer(&self) -> bool {
        self.asked.iter().any(|asked| asked.answer().is_some())
    }

    /// Whether no other request can succeed either.
    fn is_hopeless(&self) -> bool {
        let last = self.asked.last().and_then(Asked::failure);
        last.is_some_and(|failure| failure.kind.is_fatal() || failure.kind == FailureKind::Local)
    }

    /// Whether what a question needs is there.
    fn is_due(&self, question: Question) -> bool {
        match question {
            Question::Uncapped | Question::Whole => true,
            Question::SeededAgain | Question::OtherSeed | Question::OtherSeedAgain => {
                self.answer(Question::Seeded).is_some()
            }
            Question::Stop => self.stop().is_some(),
            Question::ToolChoice => self.answer(Question::Tools).is_some(),
            Question::Short => {
                let unseen = self.count(Question::Choices) > 0 && self.answer(Question::Choices).is_none();
                self.has_any_answer() && (unseen || judge::exceeds_its_cap(self))
            }
            _ => self.has_any_answer(),
        }
    }

    /// Whether a question that failed once is worth a second request: it failed by chance, or was refused in words that may be about
    /// anything.
    fn deserves_another(&self, question: Question) -> bool {
        let Some(failure) = self.failure(question).filter(|_| self.count(question) == 1) else { return false };
        let in_time = failure.retry_after.is_none_or(|wait| wait <= LONGEST_WAIT);
        in_time && !is_about(question, &failure.message) && self.is_due(question)
    }

    fn learn_from_refusal(&mut self, question: Question, refusal: &Failure, is_again: bool) {
        // What did not help is taken back.
        if is_again && let Some(remedy) = self.remedies.pop_if(|remedy| same_words(&remedy.words, &refusal.message)) {
            self.manner = remedy.before;
        }
        let named = if names_the_effort(&refusal.message) { self.without_effort() } else { None };
        let Some((aspect, manner)) = named.or_else(|| self.remedy(question, refusal)) else { return };
        let before = std::mem::replace(&mut self.manner, manner);
        self.tried.push(aspect);
        self.remedies.push(Remedy { aspect, words: refusal.message.clone(), before });
        self.again = Some(question);
    }

    /// Another manner in which the request may be taken, by the host's words.
    fn remedy(&self, question: Question, refusal: &Failure) -> Option<(Aspect, Manner)> {
        let words = refusal.message.to_lowercase();
        let says = |word: &str| words.contains(word);
        let manner = &self.manner;
        let is_new = |aspect: Aspect| !self.tried.contains(&aspect);
        if question == Question::Streamed {
            let without = Manner { stream_usage: false, ..manner.clone() };
            return (is_new(Aspect::StreamUsage) && manner.stream_usage).then_some((Aspect::StreamUsage, without));
        }
        if question != Question::Whole {
            return None;
        }
        let other = Manner { cap_field: other_field(manner.cap_field), ..manner.clone() };
        if is_new(Aspect::CapField) && (says("max_tokens") || says("max_completion_tokens")) {
            return Some((Aspect::CapField, other));
        }
        if says("temperature")
            && let Some(zero) = manner.zero
        {
            let next = if zero < NEAR_ZERO { Some(NEAR_ZERO) } else { None };
            return Some((Aspect::Zero, Manner { zero: next, ..manner.clone() }));
        }
        if is_new(Aspect::Delivery) && says("stream") {
            return Some((Aspect::Delivery, Manner { delivery: Delivery::Streamed, ..manner.clone() }));
        }
        if refusal.kind == FailureKind::Rejected
            && let Some(without) = self.without_effort()
        {
            return Some(without);
        }
        let may_be_the_field =
            is_new(Aspect::CapField) && refusal.kind == FailureKind::Rejected && self.has_any_answer();
        may_be_the_field.then_some((Aspect::CapField, other))
    }

    /// The manner without the effort, where it is sent and nothing was answered with it. What takes it in one request and not in
    /// another does not refuse it.
    fn without_effort(&self) -> Option<(Aspect, Manner)> {
        let is_in_doubt = self.manner.effort && !self.tried.contains(&Aspect::Effort) && !self.has_any_answer();
        is_in_doubt.then(|| (Aspect::Effort, Manner { effort: false, ..self.manner.clone() }))
    }

    /// Leaves room for thoughts from here on where some are seen, and asks again what they left no room for.
    fn learn_about_thoughts(&mut self, question: Question) {
        // Where thoughts were given no room none of them ends.
        if matches!(question, Question::Choices | Question::Short) {
            return;
        }
        let Some(answer) = self.asked.last().and_then(Asked::answer) else { return };
        let Some(thought) = thought_of(answer, &self.subject.provider.dialect.thought_marks) else { return };
        let known = u32::try_from(thought.tokens).unwrap_or(u32::MAX);
        let wanted = if thought.complete { settings::allowance_for(known) } else { GENEROUS_ALLOWANCE };
        if wanted <= self.manner.allowance {
            return;
        }
        self.manner.allowance = wanted.min(UNCAPPED_TOKENS);
        if question == Question::Whole && !thought.complete && self.count(question) == 1 {
            self.again = Some(question);
        }
    }
}

/// The other name of the cap's field.
pub(super) fn other_field(field: MaxTokensField) -> MaxTokensField {
    match field {
        MaxTokensField::MaxTokens => MaxTokensField::MaxCompletionTokens,
        MaxTokensField::MaxCompletionTokens => MaxTokensField::MaxTokens,
    }
}

/// Whether a refusal names what is particular about a question.
fn is_about(question: Question, message: &str) -> bool {
    let message = message.to_lowercase();
    question.keywords().iter().any(|word| message.contains(word))
}

/// Whether a refusal is about the effort that was asked for.
pub fn names_the_effort(message: &str) -> bool {
    message.to_lowercase().contains("effort")
}

/// Whether two messages say the same, numbers aside.
fn same_words(a: &str, b: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
        words.map(str::to_owned).collect()
    };
    words(a) == words(b)
}

/// A request as a plan counts it.
fn planned(inquiry: &Inquiry) -> PlannedProbe {
    let cap = inquiry.cap().unwrap_or(UNCAPPED_TOKENS).saturating_mul(inquiry.choices());
    PlannedProbe { probe: inquiry.probe.clone(), answers: 1, max_tokens: cap, only: None, not_for: Vec::new() }
}
