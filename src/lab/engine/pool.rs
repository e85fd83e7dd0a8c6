//! The worker threads: each takes requests as they come and moves several on together, a token at a time.
//!
//! A worker is one thread and uses no other. Which worker takes a request, and what else it is serving, changes nothing in
//! the answer: every request has its own generators, and the model's arithmetic is the same in any company.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;

use super::attention::Room;
use super::forward::{Purpose, Row};
use super::image::{Image, Piece};
use super::model::{Model, Sequence};
use super::noise::{Noise, NoiseSource};
use super::sampler::{Choice, Constraint, Sampler, Sampling, Situation, TokenMask};

/// Requests that one worker moves on together. More would decode the weights less often, and make each one wait longer.
const BATCH: usize = 48;

/// Pieces of prompts that a model reads in one step, beside a token for each answer under way, so that a long prompt does not
/// hold up the others for long.
const CHUNK: usize = 64;

/// Tokens that are sent together, after the first: each time costs a listener's awakening, which takes longer than the token.
const BURST: usize = 8;

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
            pool.workers.push(thread.spawn(move || Worker::new(queue).run())?);
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
    room: Room,
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
    fn new(queue: Arc<Queue>) -> Self {
        Self { queue, slots: Vec::new(), room: Room::default() }
    }

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

    /// One token for each request whose prompt is read, and some of the prompts of the others.
    fn step(&mut self) {
        for group in self.slots.chunk_by_mut(|a, b| Arc::ptr_eq(&a.job.model, &b.job.model)) {
            let Some(model) = group.first().map(|slot| Arc::clone(&slot.job.model)) else { continue };
            let scores = pass(&model, group, &mut self.room);
            let mut scores = scores.chunks_exact(model.config().vocab_size);
            for slot in group.iter_mut().filter(|slot| slot.is_read()) {
                if let Some(scores) = scores.next() {
                    slot.advance(scores);
                }
            }
        }
        self.slots.retain(|slot| !slot.done);
    }
}

/// Moves all requests to one model on: the scores of each whose prompt is read by now, in their order.
fn pass(model: &Model, group: &mut [Slot], room: &mut Room) -> Vec<f32> {
    let (mut rows, mut sequences, mut finished) = (Vec::new(), Vec::new(), Vec::new());
    let mut left = CHUNK;
    for (index, slot) in group.iter_mut().enumerate() {
        let Some((last, known)) = slot.pieces[slot.sequence.cache.len()..].split_last() else { continue };
        let now = known.len().min(left);
        left -= now;
        let row = |piece, purpose| Row { piece, sequence: sequences.len(), purpose };
        rows.extend(known[..now].iter().map(|piece| row(piece, Purpose::Memory)));
        if now == known.len() {
            rows.push(row(last, Purpose::Scores));
            if now > 0 {
                finished.push(index);
            }
        }
        sequences.push(&mut slot.sequence);
    }
    let scores = model.pass(&rows, &mut sequences, room);
    for slot in finished.into_iter().filter_map(|index| group.get(index)) {
        model.remember(&slot.pieces[..slot.pieces.len() - 1], &slot.sequence);
    }
    scores
}

/// A request under way.
struct Slot {
    job: Job,
    sequence: Sequence,
    sampler: Sampler,
    /// Prompt and answer. What the sequence has not read yet is read next, all but the last to be remembered and the last for
    /// its scores, so that noise touches every score.
    pieces: Vec<Piece>,
    answer: Vec<u32>,
    /// Chosen and not sent yet.
    pending: Vec<Choice>,
    /// Tokens that may still come.
    left: usize,
    done: bool,
}

impl Slot {
    fn new(job: Job) -> Self {
        let positions = job.model.config().max_position_embeddings;
        let pieces = job.model.pieces(&job.prompt, &job.images);
        let known = pieces.len().saturating_sub(1);
        let left = job.limit.min(positions.saturating_sub(known));
        let noise = NoiseSource::new(job.noise, job.noise_seed);
        let sequence = job.model.begin(&pieces[..known], known + left, noise);
        let sampler = Sampler::new(job.sampling.clone(), job.sampling_seed);
        Self { sequence, sampler, pieces, answer: Vec::new(), pending: Vec::new(), left, done: false, job }
    }

    /// Whether everything is read, and the next token can be chosen.
    fn is_read(&self) -> bool {
        self.sequence.cache.len() == self.pieces.len()
    }

    fn advance(&mut self, scores: &[f32]) {
        let mut choice = self.draw(scores);
        if self.job.constraint.as_mut().is_some_and(|constraint| constraint.refuses(choice.token)) {
            choice = self.draw(scores);
        }
        self.left = self.left.saturating_sub(1);
        if self.job.ends.contains(&choice.token) {
            self.end(Finish::Stop);
            return;
        }
        if let Some(constraint) = &mut self.job.constraint {
            constraint.advance(choice.token);
        }
        self.answer.push(choice.token);
        self.pieces.push(Piece::Token(choice.token));
        self.pending.push(choice);
        if self.left == 0 {
            self.end(Finish::Length);
        } else if self.answer.len() == 1 || self.pending.len() == BURST {
            self.send();
        }
        self.done |= self.job.reply.is_closed();
    }

    fn draw(&mut self, scores: &[f32]) -> Choice {
        let mask = self.job.constraint.as_ref().map(|constraint| {
            let mut mask = TokenMask::all(scores.len());
            constraint.restrict(&mut mask);
            mask
        });
        let situation = Situation { scores, prompt: &self.job.prompt, answer: &self.answer, mask: mask.as_ref() };
        self.sampler.next(&situation, self.job.model.vocabulary(), self.job.logprobs)
    }

    /// Sends what is chosen.
    fn send(&mut self) {
        for choice in self.pending.drain(..) {
            // Whether anybody listens is looked at after each token.
            let _ = self.job.reply.send(Emission::Token(choice));
        }
    }

    fn end(&mut self, finish: Finish) {
        self.send();
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
        let mut worker = Worker::new(Arc::default());
        worker.slots.push(Slot::new(job));
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
