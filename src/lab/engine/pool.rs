//! The worker threads: each takes requests as they come and moves several on together, a token at a time.
//!
//! A worker is one thread and uses no other. Which worker takes a request, and what else it is serving, changes nothing in
//! the answer: every request has its own generators, and the model's arithmetic is the same in any company.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::sync::mpsc::UnboundedSender;

use super::model::{Model, Sequence};
use super::noise::{Noise, NoiseSource};
use super::sampler::{Choice, Constraint, Sampling};

/// Requests that one worker moves on together. More would read the weights less often, and make each one wait longer.
const BATCH: usize = 8;

/// One request for an answer.
pub struct Job {
    /// The model that answers.
    pub model: Arc<Model>,
    /// The prompt's tokens: at least one, and fewer than the model has positions.
    pub prompt: Vec<u32>,
    /// The most tokens of the answer, its end included.
    pub limit: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// The pixels of each image in the prompt, in the order of their places.
    pub images: Vec<Image>,
    /// What limits the answer's form.
    pub constraint: Option<Box<dyn Constraint>>,
    /// Tokens that end the answer, the model's own unless a host has it wrong.
    pub ends: Vec<u32>,
    /// Report log-probabilities, with so many of the likeliest tokens.
    pub logprobs: Option<usize>,
    /// The numeric noise.
    pub noise: Noise,
    /// The seed of the generator that tokens are drawn with.
    pub sampling_seed: [u8; 32],
    /// The seed of the noise.
    pub noise_seed: [u8; 32],
    /// Where tokens go. When nobody listens any more, generation stops.
    pub reply: UnboundedSender<Emission>,
}

/// An image as the model reads it: 8-bit RGB, width and height multiples of 8, a patch token in the prompt for each square of
/// 8 by 8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of each pixel, row after row.
    pub rgb: Vec<u8>,
}

/// What comes back for a job: tokens, then the end.
#[derive(Debug, Clone, PartialEq)]
pub enum Emission {
    /// The next token of the answer; the one that ends it is not sent.
    Token(Choice),
    /// The answer is complete.
    End(Finish),
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// It reached its limit, or the model's last position.
    Length,
}

/// Worker threads with one queue; they stop, mid-answer, when the pool is dropped.
pub struct Pool {
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Pool {
    /// Starts so many workers.
    pub fn start(workers: NonZeroUsize) -> std::io::Result<Self> {
        let mut pool = Self { queue: Arc::default(), workers: Vec::new() };
        for number in 0..workers.get() {
            let queue = Arc::clone(&pool.queue);
            let thread = std::thread::Builder::new().name(format!("lab-worker-{number}"));
            pool.workers.push(thread.spawn(move || Worker { queue, slots: Vec::new() }.run())?);
        }
        Ok(pool)
    }

    /// Puts a job into the queue. One that has no room for an answer ends at once, by its length.
    pub fn submit(&self, job: Job) {
        if job.limit == 0 || !(1..job.model.config().max_position_embeddings).contains(&job.prompt.len()) {
            // Nobody may be listening any more; there is nothing to say either way.
            let _ = job.reply.send(Emission::End(Finish::Length));
            return;
        }
        let mut state = self.queue.lock();
        if !state.closed {
            state.jobs.push_back(job);
            self.queue.ready.notify_one();
        }
    }

    /// Ends all answers where they are, and refuses new ones: their listeners find the channel closed.
    pub fn close(&self) {
        self.queue.close();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker of the lab had stopped with a panic");
            }
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.jobs.clear();
        self.ready.notify_all();
    }

    /// The next job, if there is one; when `wait` says so, the thread sleeps until there is. `Err` when closed.
    fn next(&self, wait: Wait) -> Result<Option<Job>, Closed> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(Closed);
            }
            // A job whose listener has gone while it waited needs no answer.
            let job = std::iter::from_fn(|| state.jobs.pop_front()).find(|job| !job.reply.is_closed());
            match (job, wait) {
                (None, Wait::Forever) => state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
                (job, _) => return Ok(job),
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Wait {
    Forever,
    Never,
}

struct Closed;

struct Worker {
    queue: Arc<Queue>,
    slots: Vec<Slot>,
}

impl Drop for Worker {
    /// A worker that panics takes the pool with it: requests fail at once instead of waiting for nobody.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.queue.close();
        }
    }
}

impl Worker {
    fn run(mut self) {
        while self.admit().is_ok() {
            self.step();
        }
    }

    /// Takes at most one more job, so that those that come together spread over all workers.
    fn admit(&mut self) -> Result<(), Closed> {
        let wait = if self.slots.is_empty() { Wait::Forever } else { Wait::Never };
        if self.slots.len() < BATCH
            && let Some(job) = self.queue.next(wait)?
        {
            // Requests to one model stand together, so that one pass serves them.
            let model = Arc::as_ptr(&job.model);
            let place = self.slots.partition_point(|slot| Arc::as_ptr(&slot.job.model) <= model);
            self.slots.insert(place, Slot::new(job));
        } else if self.queue.lock().closed {
            return Err(Closed);
        }
        Ok(())
    }

    /// One token for each request.
    fn step(&mut self) {
        for group in self.slots.chunk_by_mut(|a, b| Arc::ptr_eq(&a.job.model, &b.job.model)) {
            let Some(model) = group.first().map(|slot| Arc::clone(&slot.job.model)) else { continue };
            let tokens: Vec<u32> = group.iter().map(|slot| slot.last).collect();
            let mut sequences: Vec<&mut Sequence> = group.iter_mut().map(|slot| &mut slot.sequence).collect();
            let scores = model.step(&tokens, &mut sequences);
            for (slot, scores) in group.iter_mut().zip(scores.chunks_exact(model.config().vocab_size)) {
                slot.advance(scores);
            }
        }
        self.slots.retain(|slot| !slot.done);
    }
}

/// A request under way.
struct Slot {
    job: Job,
    sequence: Sequence,
    generator: ChaCha8Rng,
    /// The token to be read next: the prompt's last at first, so that noise touches every score.
    last: u32,
    /// Tokens that may still come.
    left: usize,
    done: bool,
}

impl Slot {
    fn new(job: Job) -> Self {
        let positions = job.model.config().max_position_embeddings;
        let (last, known) = job.prompt.split_last().map_or((0, &[][..]), |(last, known)| (*last, known));
        let left = job.limit.min(positions.saturating_sub(known.len()));
        let noise = NoiseSource::new(job.noise, job.noise_seed);
        let sequence = job.model.begin(known, known.len() + left, noise);
        let generator = ChaCha8Rng::from_seed(job.sampling_seed);
        Self { sequence, generator, last, left, done: false, job }
    }

    fn advance(&mut self, scores: &[f32]) {
        let choice = self.job.sampling.choose(scores, &mut self.generator, self.job.logprobs);
        self.left = self.left.saturating_sub(1);
        if self.job.ends.contains(&choice.token) {
            self.end(Finish::Stop);
            return;
        }
        self.last = choice.token;
        if self.job.reply.send(Emission::Token(choice)).is_err() {
            self.done = true;
        } else if self.left == 0 {
            self.end(Finish::Length);
        }
    }

    fn end(&mut self, finish: Finish) {
        // Nobody may be listening any more; the answer is over either way.
        let _ = self.job.reply.send(Emission::End(finish));
        self.done = true;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::lab::assets::ModelKind;
    use crate::lab::engine::ModelSpec;

    fn job(model: &Arc<Model>, prompt: &[u32], limit: usize) -> (Job, UnboundedReceiver<Emission>) {
        let (reply, emissions) = unbounded_channel();
        let job = Job {
            model: Arc::clone(model),
            prompt: prompt.to_vec(),
            limit,
            sampling: Sampling { temperature: 0.0, ..Sampling::PLAIN },
            images: Vec::new(),
            constraint: None,
            ends: vec![model.config().eos_token_id],
            logprobs: None,
            noise: Noise::NONE,
            sampling_seed: [0; 32],
            noise_seed: [0; 32],
            reply,
        };
        (job, emissions)
    }

    fn small() -> Arc<Model> {
        Arc::new(ModelKind::Small.load(&ModelSpec::HONEST).unwrap())
    }

    fn drain(mut emissions: UnboundedReceiver<Emission>) -> Vec<Emission> {
        std::iter::from_fn(|| emissions.blocking_recv()).collect()
    }

    #[test]
    fn an_answer_ends_at_its_limit_and_at_the_last_position() {
        let (pool, model) = (Pool::start(NonZeroUsize::MIN).unwrap(), small());
        let (capped, emissions) = job(&model, &[0, 3, 206], 3);
        pool.submit(capped);
        let capped = drain(emissions);
        assert!(matches!(capped.as_slice(), [Emission::Token(_), .., Emission::End(Finish::Length)]), "{capped:?}");
        assert_eq!(capped.len(), 4);
        let positions = model.config().max_position_embeddings;
        let (full, emissions) = job(&model, &vec![3; positions - 1], usize::MAX);
        pool.submit(full);
        assert!(drain(emissions).len() <= 3);
    }

    #[test]
    fn jobs_without_room_for_an_answer_end_at_once() {
        let (pool, model) = (Pool::start(NonZeroUsize::MIN).unwrap(), small());
        for (prompt, limit) in [(vec![], 5), (vec![0], 0), (vec![3; model.config().max_position_embeddings], 5)] {
            let (job, emissions) = job(&model, &prompt, limit);
            pool.submit(job);
            assert_eq!(drain(emissions), [Emission::End(Finish::Length)]);
        }
    }

    #[test]
    fn work_stops_when_nobody_listens() {
        let model = small();
        let (job, emissions) = job(&model, &[0, 3, 206], 100);
        let mut worker = Worker { queue: Arc::default(), slots: vec![Slot::new(job)] };
        worker.step();
        assert_eq!(worker.slots.len(), 1);
        drop(emissions);
        worker.step();
        assert!(worker.slots.is_empty());
    }

    #[test]
    fn a_closed_pool_interrupts_and_refuses() {
        let (pool, model) = (Pool::start(NonZeroUsize::MIN).unwrap(), small());
        pool.close();
        let (job, emissions) = job(&model, &[0, 3, 206], 100);
        pool.submit(job);
        assert_eq!(drain(emissions), []);
    }
}
