//! The work that a request makes: what a host has the engine do for it, once its faults have had their say.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::api::{ApiError, Format, Order};
use super::behaviour::{Behaviour, Sight};
use super::constrain::{Form, Guide, Length, Thoughts as Budget};
use super::draws::{Draws, digest};
use super::engine::{Constraint, Image, Job, Model, Noise, Pool, Sampling};
use super::fault::{Blankness, Channel, End, Parser};
use super::images;
use super::memory::Key;
use super::prompt::{PromptError, Prompter};
use super::speech::{Calls, Content, Manner, Opening, Specials, Speech, Thoughts};
use super::templates::Talk;

/// A request on its way to the engine.
pub struct Work {
    behaviour: Behaviour,
    input: Input,
    sampling: Sampling,
    limit: Option<usize>,
    stops: Vec<String>,
    form: Option<Form>,
    opening: Opening,
    length: Length,
    calls: Calls,
    logprobs: Option<usize>,
    choices: usize,
}

/// How one choice comes about.
#[derive(Clone, Copy)]
struct Turn {
    opening: Opening,
    length: Length,
    content: Content,
}

/// What the model reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The prompt's tokens.
    pub tokens: Vec<u32>,
    /// The images in it.
    pub images: Vec<Image>,
}

/// One answer as the engine is asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What the model reads.
    pub input: Input,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// The most tokens.
    pub limit: usize,
    /// The tokens that end the answer.
    pub ends: Vec<u32>,
}

/// What runs it.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// The model that answers.
    pub model: &'a Arc<Model>,
    /// The numeric noise.
    pub noise: Noise,
    /// The worker threads.
    pub pool: &'a Pool,
}

/// What its randomness comes from.
pub struct Chance<'a> {
    /// Everything that differs from one repeat to the next.
    pub draws: &'a Draws,
    /// How tokens are drawn: the same for each repeat where the caller sent a seed.
    pub tokens: Draws,
}

impl Work {
    /// The work that an order makes for a host that behaves like this.
    pub fn new(prompter: &Prompter, behaviour: Behaviour, order: Order) -> Result<Self, ApiError> {
        let form = form(&behaviour, &order)?;
        let tools = behaviour.tools(order.tools);
        let talk = Talk {
            messages: behaviour.messages(order.messages),
            tools: tools.offered,
            thinking: order.thinking,
            wrong: behaviour.template(),
        };
        let opening = if talk.ends_in_thought() { Opening::Thought } else { Opening::Answer };
        let calls = if talk.tools.is_empty() { Calls::Left } else { Calls::Read };
        Ok(Self {
            input: Input::new(prompter, &behaviour, talk)?,
            sampling: known(behaviour.sampling(order.sampling), prompter)?,
            limit: behaviour.limit(order.limit),
            stops: behaviour.stops(order.stops),
            logprobs: order.logprobs,
            choices: order.choices,
            length: if opening == Opening::Thought { behaviour.thoughts(order.thinking) } else { Length::Usual },
            behaviour,
            form,
            opening,
            calls,
        })
    }

    /// What a cache of answers goes by: all that the engine gets, but for the seed.
    pub fn key(&self) -> Key {
        let Self { input, sampling, limit, stops, form, opening, length, calls, logprobs, choices, behaviour: _ } =
            self;
        digest(&((input, sampling, limit, stops), (form, opening, length, calls, logprobs, choices)))
    }

    /// Tokens that are read.
    pub fn prompt_tokens(&self) -> usize {
        self.input.tokens.len()
    }

    /// What the engine gets for one answer, for whoever reckons with probabilities; `None` where a form limits the
    /// answer or its thoughts have a length, since then its tokens are not the model's own choice.
    pub fn task(&self, prompter: &Prompter, positions: usize) -> Option<Task> {
        let room = positions.checked_sub(self.input.tokens.len()).filter(|room| *room > 0)?;
        (self.form.is_none() && self.length == Length::Usual).then(|| Task {
            input: self.input.clone(),
            sampling: self.sampling.clone(),
            limit: self.limit.map_or(room, |limit| limit.min(room)),
            ends: self.ends(prompter),
        })
    }

    /// Sets a machine to work: the choices as they come.
    pub fn begin(&self, prompter: &Arc<Prompter>, machine: Machine<'_>, chance: &Chance<'_>) -> Vec<Speech> {
        (0..self.choices as u64).map(|index| self.choice(prompter, machine, chance, index)).collect()
    }

    fn choice(&self, prompter: &Arc<Prompter>, machine: Machine<'_>, chance: &Chance<'_>, index: u64) -> Speech {
        let draws = chance.draws.of(index.to_le_bytes());
        let turn = self.turn(&draws);
        let manner = self.manner(turn, &draws);
        if turn.content == Content::Unmade {
            return Speech::blank(Arc::clone(prompter), manner, draws);
        }
        let (reply, emissions) = mpsc::unbounded_channel();
        let room = machine.model.config().max_position_embeddings - self.input.tokens.len();
        machine.pool.submit(Job {
            model: Arc::clone(machine.model),
            prompt: self.input.tokens.clone(),
            images: self.input.images.clone(),
            limit: self.limit.map_or(room, |limit| limit.min(room)),
            sampling: self.sampling.clone(),
            constraint: self.guide(prompter, turn),
            ends: self.ends(prompter),
            logprobs: self.logprobs,
            noise: machine.noise,
            sampling_seed: chance.tokens.of(index.to_le_bytes()).seed("tokens"),
            noise_seed: draws.seed("noise"),
            reply,
        });
        Speech::new(Arc::clone(prompter), manner, draws, emissions)
    }

    /// How one choice comes about, which may be blank.
    fn turn(&self, draws: &Draws) -> Turn {
        let usual = Turn { opening: self.opening, length: self.length, content: Content::Told };
        match self.behaviour.blanks().filter(|(_, share)| draws.unit("blank") < *share) {
            Some((Blankness::Nothing, _)) => Turn { content: Content::Unmade, ..usual },
            Some((Blankness::Lost, _)) => Turn { content: Content::Lost, ..usual },
            // Without a cap there is none to meet.
            Some((Blankness::Thought, _)) if self.limit.is_some() => {
                Turn { opening: Opening::Thought, length: Length::Endless, ..usual }
            }
            Some((Blankness::Thought, _)) | None => usual,
        }
    }

    fn guide(&self, prompter: &Prompter, turn: Turn) -> Option<Box<dyn Constraint>> {
        let signs = prompter.signs();
        let guide = self.form.clone().map(|form| {
            let guide = Guide::new(form, Arc::clone(prompter.vocabulary()), signs);
            let guide = if turn.opening == Opening::Thought { guide.after_thoughts() } else { guide };
            Box::new(guide) as Box<dyn Constraint>
        });
        if turn.length == Length::Usual { guide } else { Some(Box::new(Budget::new(turn.length, signs, guide))) }
    }

    /// The tokens that end an answer.
    fn ends(&self, prompter: &Prompter) -> Vec<u32> {
        let right = prompter.signs().end;
        match self.behaviour.ending() {
            None => vec![right],
            Some(End::Late) => Vec::new(),
            Some(End::Early) => [&[right], prompter.newlines()].concat(),
        }
    }

    /// How the host reads one choice.
    fn manner(&self, turn: Turn, draws: &Draws) -> Manner {
        let leaks = self.behaviour.leaking().is_some_and(|share| draws.unit("leak") < share);
        let fails = self.behaviour.parser().filter(|(_, share)| draws.unit("parser") < *share);
        Manner {
            opening: turn.opening,
            thoughts: match (self.behaviour.channel(), self.behaviour.hiding()) {
                (Some(Channel::Content), _) => Thoughts::InContent,
                // Only what has thoughts at all is taken for thoughts as a whole.
                (Some(Channel::Reasoning), _) if self.opening == Opening::Thought => Thoughts::WithAnswer,
                (_, Some(hiding)) => Thoughts::Hidden(hiding),
                (Some(Channel::Reasoning) | None, None) => Thoughts::Apart,
            },
            content: turn.content,
            calls: match (self.calls, fails) {
                (Calls::Read, Some((Parser::Content, _))) => Calls::Left,
                (Calls::Read, Some((Parser::Arguments, _))) => Calls::Broken,
                (calls, _) => calls,
            },
            specials: if leaks { Specials::Shown } else { Specials::Hidden },
            // What ends a thought that takes all of the cap is the cap.
            stops: if turn.length == Length::Endless { Vec::new() } else { self.stops.clone() },
        }
    }
}

impl Input {
    fn new(prompter: &Prompter, behaviour: &Behaviour, talk: Talk) -> Result<Self, ApiError> {
        let shrink = match behaviour.sight() {
            Sight::Seen { shrink } => shrink,
            Sight::Blind => 1,
        };
        let (tokens, images) = prompter.prompt(talk, shrink).map_err(|error| match error {
            PromptError::Places | PromptError::Template(_) => ApiError::parameter("messages", error.to_string()),
            PromptError::Tokenizer(_) | PromptError::Missing(_) => ApiError::internal(error.to_string()),
        })?;
        let tokens = behaviour.tokens(tokens, prompter.bos());
        let images = images::last_patches(images, prompter.patches(&tokens));
        Ok(Self { tokens, images })
    }
}

/// What is enforced of what an order asks for.
fn form(behaviour: &Behaviour, order: &Order) -> Result<Option<Form>, ApiError> {
    let (format, tools) = (behaviour.format(order.format.clone()), behaviour.tools(order.tools.clone()));
    let place = if matches!(format, Format::Schema(_)) { "response_format" } else { "tools" };
    Form::asked(&format, &tools).map_err(|error| ApiError::parameter(place, error.to_string()))
}

/// Refuses biases of tokens that do not exist.
fn known(sampling: Sampling, prompter: &Prompter) -> Result<Sampling, ApiError> {
    match sampling.logit_bias.iter().find(|(token, _)| *token as usize >= prompter.size()) {
        None => Ok(sampling),
        Some((token, _)) => {
            let message = format!("there is no token {token}: ids are below {}", prompter.size());
            Err(ApiError::parameter("logit_bias", message))
        }
    }
}
