//! What the faults that touch a request add up to, layer by layer. Pure.

use std::time::Duration;

use super::api::{Format, Thinking, Tools};
use super::assets::ModelKind;
use super::constrain::Length;
use super::engine::{ModelSpec, Sampling, Watermark};
use super::fault::{
    Blankness, Channel, End, Fault, FinishSaid, Hiding, Override, Parser, Reach, Routing, Template, UsageSaid,
};
use super::prompt::{Message, Role};

/// The share of the vocabulary that a watermark favours.
const FAVOURED: f64 = 0.5;

/// The behaviour of a host towards one request; without faults, that of the reference.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Behaviour {
    faults: Vec<Fault>,
}

/// Which model a request was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The promised one.
    Promised,
    /// The smaller one.
    Smaller,
}

/// What becomes of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// They are seen, smaller by this factor.
    Seen {
        /// 1 leaves them as they are.
        shrink: usize,
    },
    /// They never arrive.
    Blind,
}

impl Behaviour {
    /// The behaviour with these faults.
    pub fn of<'a>(faults: impl IntoIterator<Item = &'a Fault>) -> Self {
        Self { faults: faults.into_iter().cloned().collect() }
    }

    /// What the first fault that has something to say says.
    fn find<T>(&self, says: impl FnMut(&Fault) -> Option<T>) -> Option<T> {
        self.faults.iter().find_map(says)
    }

    fn has(&self, fault: &Fault) -> bool {
        self.faults.contains(fault)
    }

    /// The share of requests that go to the smaller model, and what decides which.
    pub fn routing(&self) -> Option<(f64, Routing)> {
        self.find(|fault| match fault {
            Fault::PartialRouting { share, by } => Some((*share, *by)),
            _ => None,
        })
    }

    /// The model that really answers, and what has been made of its weights.
    pub fn model(&self, honest: ModelSpec, route: Route) -> (ModelKind, ModelSpec) {
        let (mut kind, mut spec) = (ModelKind::Base, honest);
        for fault in &self.faults {
            match fault {
                Fault::QuantizedWeights(format) => spec.weights = *format,
                Fault::QuantizedCache(format) => spec.cache = *format,
                Fault::WrongRope { factor } => spec.rope_factor = *factor,
                Fault::FinetunedVariant { tuned } => spec.tuned = *tuned,
                Fault::SwappedModel => kind = ModelKind::Small,
                _ => {}
            }
        }
        if route == Route::Smaller {
            kind = ModelKind::Small;
        }
        // Only the promised model has a variant.
        if kind != ModelKind::Base {
            spec.tuned = honest.tuned;
        }
        (kind, spec)
    }

    /// The conversation as the template gets it.
    pub fn messages(&self, mut messages: Vec<Message>) -> Vec<Message> {
        if self.has(&Fault::DroppedSystemPrompt) {
            messages.retain(|message| message.role != Role::System);
        }
        if self.sight() == Sight::Blind {
            for message in &mut messages {
                message.pictures.clear();
            }
        }
        let hidden = self.find(|fault| match fault {
            Fault::HiddenSystemPrompt(text) => Some(Message::new(Role::System, text.as_str())),
            _ => None,
        });
        if let Some(hidden) = hidden {
            messages.insert(0, hidden);
        }
        messages
    }

    /// The tools as the template gets them.
    pub fn tools(&self, tools: Tools) -> Tools {
        if self.has(&Fault::ToolsDropped) { Tools::default() } else { tools }
    }

    /// What is wrong with the template.
    pub fn template(&self) -> Option<Template> {
        self.find(|fault| match fault {
            Fault::WrongTemplate(template) => Some(*template),
            _ => None,
        })
    }

    /// What becomes of images.
    pub fn sight(&self) -> Sight {
        if self.has(&Fault::ImageDropped) {
            return Sight::Blind;
        }
        let shrink = self.find(|fault| match fault {
            Fault::ImageDownscaled { factor } => Some(*factor),
            _ => None,
        });
        Sight::Seen { shrink: shrink.unwrap_or(1) }
    }

    /// What is left of a prompt whose first token is `bos`, in the order in which servers do it: the tokenizer adds or
    /// forgets the token that begins, then the engine cuts to what it has room for.
    pub fn tokens(&self, mut tokens: Vec<u32>, bos: u32) -> Vec<u32> {
        if self.has(&Fault::DoubleBos) {
            tokens.insert(0, bos);
        }
        if self.has(&Fault::MissingBos) && tokens.first() == Some(&bos) {
            tokens.remove(0);
        }
        let keep = self.find(|fault| match fault {
            Fault::TruncatedContext { keep } => Some(*keep),
            _ => None,
        });
        if let Some(keep) = keep {
            tokens.drain(..tokens.len().saturating_sub(keep));
        }
        tokens
    }

    /// How tokens are chosen.
    pub fn sampling(&self, asked: Sampling) -> Sampling {
        self.faults.iter().fold(asked, |mut sampling, fault| {
            match fault {
                Fault::TemperatureIgnored(own) => overrule(&mut sampling, own),
                Fault::Watermark { bias } => sampling.watermark = Some(Watermark { share: FAVOURED, bias: *bias }),
                Fault::TopkMiscompile { share } => sampling.best_dropped = *share,
                Fault::CorruptedOutput { share } => sampling.corruption = *share,
                _ => {}
            }
            sampling
        })
    }

    /// The cap on an answer.
    pub fn limit(&self, asked: Option<usize>) -> Option<usize> {
        let asked = asked.filter(|_| !self.has(&Fault::MaxTokensIgnored));
        asked.or_else(|| {
            self.find(|fault| match fault {
                Fault::LowOutputDefault { cap } => Some(*cap),
                _ => None,
            })
        })
    }

    /// The sequences that end an answer.
    pub fn stops(&self, asked: Vec<String>) -> Vec<String> {
        if self.has(&Fault::StopIgnored) { Vec::new() } else { asked }
    }

    /// The seed.
    pub fn seed(&self, asked: Option<i64>) -> Option<i64> {
        asked.filter(|_| !self.has(&Fault::SeedIgnored))
    }

    /// How the end of an answer is missed.
    pub fn ending(&self) -> Option<End> {
        self.find(|fault| match fault {
            Fault::WrongEos(end) => Some(*end),
            _ => None,
        })
    }

    /// The form that is enforced.
    pub fn format(&self, asked: Format) -> Format {
        if self.has(&Fault::SchemaNotEnforced) { Format::Text } else { asked }
    }

    /// The share of repeats that are replayed.
    pub fn replayed(&self) -> Option<f64> {
        self.find(|fault| match fault {
            Fault::CachedResponses { share } => Some(*share),
            _ => None,
        })
    }

    /// The share of answers whose special tokens stay in the text.
    pub fn leaking(&self) -> Option<f64> {
        self.find(|fault| match fault {
            Fault::LeakedTokens { share } => Some(*share),
            _ => None,
        })
    }

    /// How the parser of calls fails, and for which share of them.
    pub fn parser(&self) -> Option<(Parser, f64)> {
        self.find(|fault| match fault {
            Fault::ToolParser { how, share } => Some((*how, *share)),
            _ => None,
        })
    }

    /// Where thoughts and answer go.
    pub fn channel(&self) -> Option<Channel> {
        self.find(|fault| match fault {
            Fault::ReasoningMisplaced(channel) => Some(*channel),
            _ => None,
        })
    }

    /// What is kept of thoughts that are not passed on.
    pub fn hiding(&self) -> Option<Hiding> {
        self.find(|fault| match fault {
            Fault::ReasoningHidden(hiding) => Some(*hiding),
            _ => None,
        })
    }

    /// How long thoughts are.
    pub fn thoughts(&self, asked: Thinking) -> Length {
        let ignored = self.find(|fault| match fault {
            Fault::ReasoningEffortIgnored { factor } => Some(*factor),
            _ => None,
        });
        let factor = asked.factor() * ignored.unwrap_or(1.0);
        if asked == Thinking::Off || (factor - 1.0).abs() < f64::EPSILON {
            Length::Usual
        } else {
            Length::Times(factor)
        }
    }

    /// Why answers are blank, and which share of them.
    pub fn blanks(&self) -> Option<(Blankness, f64)> {
        self.find(|fault| match fault {
            Fault::BlankAnswers { share, why } => Some((*why, *share)),
            _ => None,
        })
    }

    /// What is said instead of the finish reason.
    pub fn finish_said(&self) -> Option<FinishSaid> {
        self.find(|fault| match fault {
            Fault::FinishReasonWrong(said) => Some(*said),
            _ => None,
        })
    }

    /// What is said instead of the token counts.
    pub fn usage_said(&self) -> Option<UsageSaid> {
        self.find(|fault| match fault {
            Fault::UsageMiscounted(said) => Some(*said),
            _ => None,
        })
    }

    /// The share of requests that fail.
    pub fn failing(&self) -> f64 {
        let share = self.find(|fault| match fault {
            Fault::FlakyHost { share } => Some(*share),
            _ => None,
        });
        share.unwrap_or(0.0)
    }

    /// How late an answer is.
    pub fn delay(&self) -> Option<Duration> {
        self.find(|fault| match fault {
            Fault::Slow(delay) => Some(*delay),
            _ => None,
        })
    }
}

fn overrule(sampling: &mut Sampling, own: &Override) {
    match *own {
        Override::Temperature { reach: Reach::Sampled, .. } if sampling.temperature == 0.0 => {}
        Override::Temperature { fixed, .. } => sampling.temperature = fixed,
        Override::TopK(k) => sampling.top_k = Some(sampling.top_k.map_or(k, |asked| asked.min(k))),
        Override::TopP(p) => sampling.top_p = sampling.top_p.min(p),
        Override::RepetitionPenalty(penalty) => sampling.repetition_penalty = penalty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::engine::{CacheFormat, WeightFormat};
    use crate::lab::fault::Setup;

    const ASKED: Sampling = Sampling::PLAIN;

    fn behaviour(address: &str) -> Behaviour {
        let setup = address.parse::<Setup>().unwrap();
        Behaviour::of(setup.faults.iter().map(|one| &one.fault))
    }

    fn model(address: &str) -> (ModelKind, ModelSpec) {
        behaviour(address).model(ModelSpec::HONEST, Route::Promised)
    }

    #[test]
    fn the_reference_changes_nothing() {
        let honest = behaviour("lab:");
        assert_eq!(honest.tokens(vec![0, 5, 6], 0), [0, 5, 6]);
        assert_eq!(honest.sampling(ASKED), ASKED);
        assert_eq!(model("lab:"), (ModelKind::Base, ModelSpec::HONEST));
        assert_eq!((honest.limit(Some(3)), honest.limit(None), honest.seed(Some(1))), (Some(3), None, Some(1)));
        assert_eq!(honest.sight(), Sight::Seen { shrink: 1 });
        assert_eq!(honest.stops(vec!["x".to_owned()]), ["x"]);
    }

    #[test]
    fn weights_cache_positions_and_tuning_go_together() {
        let honest = ModelSpec::HONEST;
        let all = "lab:quantized-weights=q8_0+quantized-kv=q8+wrong-rope=2+finetuned-variant=0.5";
        let weights = WeightFormat::quantized("q8_0").unwrap();
        let spec = ModelSpec { weights, cache: CacheFormat::Q8, rope_factor: 2.0, tuned: 0.5, ..honest };
        assert_eq!(model(all), (ModelKind::Base, spec));
        let swapped = behaviour(&format!("{all}+swapped-model")).model(honest, Route::Promised);
        assert_eq!(swapped, (ModelKind::Small, ModelSpec { tuned: 0.0, ..spec }));
        assert_eq!(behaviour("lab:").model(honest, Route::Smaller), (ModelKind::Small, honest));
    }

    #[test]
    fn the_token_that_begins_comes_twice_or_never() {
        assert_eq!(behaviour("lab:double-bos").tokens(vec![0, 5], 0), [0, 0, 5]);
        assert_eq!(behaviour("lab:missing-bos").tokens(vec![0, 5], 0), [5]);
    }

    #[test]
    fn truncation_keeps_the_end() {
        assert_eq!(behaviour("lab:truncated-context=2").tokens(vec![0, 5, 6, 7], 0), [6, 7]);
        assert_eq!(behaviour("lab:truncated-context=9").tokens(vec![0, 5], 0), [0, 5]);
        assert_eq!(behaviour("lab:truncated-context=3+double-bos").tokens(vec![0, 5], 0), [0, 0, 5]);
    }

    #[test]
    fn a_fixed_temperature_reaches_greedy_requests_unless_told_otherwise() {
        let greedy = Sampling { temperature: 0.0, ..ASKED };
        let fixed = behaviour("lab:temperature-ignored").sampling(greedy.clone());
        assert_eq!(fixed, Sampling { temperature: 0.3, ..ASKED });
        let sampled = behaviour("lab:temperature-ignored=0.5,sampled");
        assert_eq!(sampled.sampling(greedy.clone()), greedy);
        assert_eq!(sampled.sampling(ASKED), Sampling { temperature: 0.5, ..ASKED });
    }

    #[test]
    fn hidden_cuts_are_at_least_as_sharp_as_those_asked_for() {
        let cut = behaviour("lab:temperature-ignored=top_k:40");
        assert_eq!(cut.sampling(ASKED).top_k, Some(40));
        assert_eq!(cut.sampling(Sampling { top_k: Some(5), ..ASKED }).top_k, Some(5));
        let share = behaviour("lab:temperature-ignored=top_p:0.9").sampling(ASKED);
        assert_eq!(share, Sampling { top_p: 0.9, ..ASKED });
        let penalty = behaviour("lab:temperature-ignored=repetition_penalty:1.1").sampling(ASKED);
        assert_eq!(penalty, Sampling { repetition_penalty: 1.1, ..ASKED });
    }

    #[test]
    fn the_sampler_is_marked_miscompiled_and_corrupted() {
        let all = behaviour("lab:watermark=1+topk-miscompile=0.1+corrupted-output=0.01").sampling(ASKED);
        let mark = Watermark { share: 0.5, bias: 1.0 };
        assert_eq!(all, Sampling { watermark: Some(mark), best_dropped: 0.1, corruption: 0.01, ..ASKED });
    }

    #[test]
    fn system_messages_are_hidden_and_dropped() {
        let asked = || vec![Message::new(Role::System, "own"), Message::new(Role::User, "hello")];
        let contents = |address: &str| {
            let messages = behaviour(address).messages(asked());
            messages.into_iter().map(|message| message.content).collect::<Vec<_>>()
        };
        assert_eq!(contents("lab:hidden-system-prompt=theirs"), ["theirs", "own", "hello"]);
        assert_eq!(contents("lab:dropped-system-prompt"), ["hello"]);
        assert_eq!(contents("lab:hidden-system-prompt=theirs+dropped-system-prompt"), ["theirs", "hello"]);
    }

    #[test]
    fn caps_are_ignored_and_set() {
        assert_eq!(behaviour("lab:max-tokens-ignored").limit(Some(3)), None);
        let low = behaviour("lab:low-output-default=8");
        assert_eq!((low.limit(None), low.limit(Some(30))), (Some(8), Some(30)));
        assert_eq!(behaviour("lab:low-output-default=8+max-tokens-ignored").limit(Some(3)), Some(8));
    }

    #[test]
    fn what_is_asked_for_is_dropped() {
        assert!(behaviour("lab:stop-ignored").stops(vec!["x".to_owned()]).is_empty());
        assert_eq!(behaviour("lab:seed-ignored").seed(Some(1)), None);
        assert_eq!(behaviour("lab:schema-not-enforced").format(Format::Object), Format::Text);
        assert_eq!(behaviour("lab:image-dropped+image-downscaled=4").sight(), Sight::Blind);
        assert_eq!(behaviour("lab:image-downscaled=4").sight(), Sight::Seen { shrink: 4 });
    }
}
