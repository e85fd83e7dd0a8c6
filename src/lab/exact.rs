//! Exact probabilities: how likely each answer is at a host with these faults, which only a lab can know.
//!
//! For power studies: the likelihood ratio of answers is the most that any test could go by. Honest noise is left out, and a host
//! whose answers are no independent draws from one distribution has no probabilities here.

use std::num::NonZeroUsize;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::api::{ApiError, Order};
use super::assets::Library;
use super::behaviour::{Behaviour, Route};
use super::draws::{Draws, digest};
use super::engine::{Emission, Finish, Job, Model, Noise, Pool, WeightsError, score};
use super::fault::{Fault, Routing, Schedule, Setup};
use super::prompt::{PromptError, Prompter};
use super::work::{Task, Work};
use super::{LabError, usual_workers};

/// Hosts and what they would answer.
pub struct Exact {
    prompter: Arc<Prompter>,
    library: Library,
    pool: Pool,
    workers: NonZeroUsize,
}

/// What a host makes of one request: a mixture of models with their shares, which sum to 1.
pub struct Serving {
    parts: Vec<Part>,
}

struct Part {
    share: f64,
    model: Arc<Model>,
    task: Task,
}

/// An answer as tokens, the one that ends it included where it ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tokens(pub Vec<u32>);

/// Why there are no probabilities.
#[derive(Debug, Error)]
pub enum ExactError {
    /// The request is refused.
    #[error("the lab refuses the request: {0}")]
    Refused(String),
    /// A model cannot be loaded.
    #[error("the lab's model: {0}")]
    Model(#[from] WeightsError),
    /// The prompt cannot be made.
    #[error("the lab's prompts: {0}")]
    Prompt(#[from] PromptError),
}

impl From<ApiError> for ExactError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error.message)
    }
}

impl Exact {
    /// Loads what all hosts share.
    pub fn start() -> Result<Self, LabError> {
        let workers = usual_workers();
        Ok(Self {
            prompter: Arc::new(Prompter::load()?),
            library: Library::default(),
            pool: Pool::start(workers).map_err(LabError::Worker)?,
            workers,
        })
    }

    /// What a host with this setup makes of a request's body; `None` where its answers have no probabilities: a fault that
    /// comes and goes, a cache, corrupted characters, a form or a length of thoughts that is enforced, a way that
    /// depends on the prompt.
    pub fn serving(&self, setup: &Setup, body: &[u8]) -> Result<Option<Serving>, ExactError> {
        if !setup.faults.iter().all(|one| one.schedule == Schedule::default() && has_probabilities(&one.fault)) {
            return Ok(None);
        }
        let order = Order::from_json(body)?;
        let behaviour = Behaviour::of(setup.faults.iter().map(|one| &one.fault));
        let work = Work::new(&self.prompter, behaviour.clone(), order)?;
        let smaller = behaviour.routing().map_or(0.0, |(share, _)| share);
        let mut parts = Vec::new();
        for (share, route) in [(1.0 - smaller, Route::Promised), (smaller, Route::Smaller)] {
            if share <= 0.0 {
                continue;
            }
            let (kind, spec) = behaviour.model(setup.honest(self.library.published()), route);
            let model = self.library.model(kind, &spec)?;
            let Some(task) = work.task(&self.prompter, model.config().max_position_embeddings) else { return Ok(None) };
            // With several ends it would not be known which one came.
            if task.ends.len() != 1 {
                return Ok(None);
            }
            parts.push(Part { share, model, task });
        }
        Ok(Some(Serving { parts }))
    }

    /// Answers drawn at the host, without noise; the same for a seed. Blocks until all are there.
    pub fn draw(&self, serving: &Serving, answers: usize, seed: u64) -> Vec<Tokens> {
        let draws = Draws::new(seed, "exact").of(digest(&serving.parts.iter().map(|p| &p.task).collect::<Vec<_>>()));
        let begun: Vec<(u32, UnboundedReceiver<Emission>)> =
            (0..answers).map(|number| self.begin(serving, &draws.of(number.to_le_bytes()))).collect();
        begun.into_iter().map(|(end, emissions)| collect(end, emissions)).collect()
    }

    fn begin(&self, serving: &Serving, draws: &Draws) -> (u32, UnboundedReceiver<Emission>) {
        let mut left = draws.unit("route");
        let part = serving.parts.iter().find(|part| {
            left -= part.share;
            left < 0.0
        });
        let Part { model, task, .. } = part.unwrap_or(&serving.parts[serving.parts.len() - 1]);
        let (reply, emissions) = unbounded_channel();
        self.pool.submit(Job {
            model: Arc::clone(model),
            prompt: task.input.tokens.clone(),
            limit: task.limit,
            sampling: task.sampling.clone(),
            images: task.input.images.clone(),
            constraint: None,
            ends: task.ends.clone(),
            logprobs: None,
            noise: Noise::NONE,
            sampling_seed: draws.seed("tokens"),
            noise_seed: draws.seed("noise"),
            reply,
        });
        (task.ends[0], emissions)
    }

    /// The log-probability, in nats, with which the host gives each of these answers.
    pub fn log_probabilities(&self, serving: &Serving, answers: &[Tokens]) -> Vec<f64> {
        let size = answers.len().div_ceil(self.workers.get()).max(1);
        std::thread::scope(|scope| {
            let workers: Vec<_> = answers
                .chunks(size)
                .map(|chunk| {
                    scope.spawn(|| chunk.iter().map(|answer| serving.log_probability(answer)).collect::<Vec<_>>())
                })
                .collect();
            // A worker that panicked has no answer to give; its answers count as impossible and stand out.
            let lost = |count: usize| vec![f64::NAN; count];
            workers
                .into_iter()
                .zip(answers.chunks(size))
                .flat_map(|(w, c)| w.join().unwrap_or_else(|_| lost(c.len())))
                .collect()
        })
    }
}

impl Serving {
    fn log_probability(&self, answer: &Tokens) -> f64 {
        let parts = self.parts.iter().map(|Part { share, model, task }| {
            let scores = score(model, &task.input.tokens, &task.input.images, &answer.0, &task.sampling);
            share.ln() + scores.iter().sum::<f64>()
        });
        let parts: Vec<f64> = parts.collect();
        let most = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return most;
        }
        most + parts.iter().map(|part| (part - most).exp()).sum::<f64>().ln()
    }
}

fn has_probabilities(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::BlankAnswers { .. }
            | Fault::CachedResponses { .. }
            | Fault::CorruptedOutput { .. }
            | Fault::PartialRouting { by: Routing::Sticky, .. }
    )
}

fn collect(end: u32, mut emissions: UnboundedReceiver<Emission>) -> Tokens {
    let mut tokens = Vec::new();
    while let Some(emission) = emissions.blocking_recv() {
        match emission {
            Emission::Token(choice) => tokens.push(choice.token),
            Emission::End(Finish::Stop) => tokens.push(end),
            Emission::End(Finish::Length) => {}
        }
    }
    Tokens(tokens)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn serving(exact: &Exact, address: &str, cap: usize) -> Serving {
        let message = json!({"role": "user", "content": "Which colour is a rose?"});
        let body = json!({"model": "lab", "messages": [message], "max_tokens": cap, "temperature": 1});
        let setup: Setup = address.parse().unwrap();
        exact.serving(&setup, body.to_string().as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn answers_come_as_often_as_their_probabilities_say() {
        let exact = Exact::start().unwrap();
        for address in ["lab:", "lab:temperature-ignored=top_k:5", "lab:partial-routing=0.5"] {
            let serving = serving(&exact, address, 1);
            let drawn = exact.draw(&serving, 600, 1);
            let mut counts: HashMap<&Tokens, usize> = HashMap::new();
            for answer in &drawn {
                *counts.entry(answer).or_default() += 1;
            }
            let answers: Vec<Tokens> = counts.keys().map(|answer| (*answer).clone()).collect();
            for (answer, log) in answers.iter().zip(exact.log_probabilities(&serving, &answers)) {
                let (expected, seen) = (log.exp(), counts[answer] as f64 / 600.0);
                // One of the many rare answers comes now and then.
                let error = (expected * (1.0 - expected) / 600.0).sqrt() + 1.0 / 600.0;
                assert!((seen - expected).abs() < 5.0 * error, "{address} {answer:?}: {seen} for {expected}");
            }
        }
    }

    #[test]
    fn an_honest_host_has_no_evidence_against_it_and_a_faulty_one_has() {
        let exact = Exact::start().unwrap();
        let (reference, other) = (serving(&exact, "lab:", 12), serving(&exact, "lab:swapped-model", 12));
        let drawn = exact.draw(&other, 20, 2);
        let logs = [&reference, &other].map(|serving| exact.log_probabilities(serving, &drawn).iter().sum::<f64>());
        assert!(logs[1] > logs[0], "{logs:?}");
        assert!(logs.iter().all(|log| log.is_finite()), "{logs:?}");
        assert_eq!(
            exact.log_probabilities(&serving(&exact, "lab:", 12), &drawn),
            exact.log_probabilities(&reference, &drawn)
        );
    }

    #[test]
    fn a_host_whose_answers_are_no_draws_has_no_probabilities() {
        let exact = Exact::start().unwrap();
        let body = json!({"model": "lab", "messages": [{"role": "user", "content": "Hello"}]}).to_string();
        for address in
            ["lab:cached-responses", "lab:corrupted-output", "lab:partial-routing=0.2,sticky", "lab:double-bos@from:1d"]
        {
            assert!(exact.serving(&address.parse().unwrap(), body.as_bytes()).unwrap().is_none(), "{address}");
        }
    }
}
