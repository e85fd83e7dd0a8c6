//! How fast the lab's engine makes tokens: one worker, one request at a time and as many as it moves on together.
//!
//! Divan's items are tokens.

use std::num::NonZeroUsize;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use samemodel::lab::ModelKind;
use samemodel::lab::engine::{Emission, Job, Model, ModelSpec, Noise, Pool, Sampling, WeightFormat};
use tokio::sync::mpsc::unbounded_channel;

/// Ids that any model of the lab reads; what they mean makes no difference to the time.
const PROMPT: [u32; 40] = [206; 40];
const TOKENS: usize = 32;

fn main() {
    divan::main();
}

/// Makes answers of up to `TOKENS` tokens, all at once, and counts the tokens.
fn answer(pool: &Pool, model: &Arc<Model>, answers: usize) -> usize {
    let (reply, mut emissions) = unbounded_channel();
    for number in 0..answers {
        pool.submit(Job {
            model: Arc::clone(model),
            prompt: PROMPT.to_vec(),
            limit: TOKENS,
            sampling: Sampling::PLAIN,
            images: Vec::new(),
            constraint: None,
            ends: vec![model.config().eos_token_id],
            logprobs: None,
            noise: Noise::HONEST,
            sampling_seed: [number as u8; 32],
            noise_seed: [number as u8; 32],
            reply: reply.clone(),
        });
    }
    drop(reply);
    // The end of an answer is a token too when the model chose it; those few are left out.
    std::iter::from_fn(|| emissions.blocking_recv()).filter(|emission| matches!(emission, Emission::Token(_))).count()
}

fn bench(bencher: Bencher<'_, '_>, weights: WeightFormat, answers: usize) {
    let pool = Pool::start(NonZeroUsize::MIN).expect("a thread can be started");
    let spec = ModelSpec { weights, ..ModelSpec::HONEST };
    let model = Arc::new(ModelKind::Base.load(&spec).expect("the compiled-in model can be loaded"));
    let tokens = answer(&pool, &model, answers);
    bencher.counter(ItemsCount::new(tokens)).bench_local(|| answer(&pool, &model, answers));
}

#[divan::bench(args = [1, 8, 64])]
fn f16(bencher: Bencher<'_, '_>, answers: usize) {
    bench(bencher, WeightFormat::F16, answers);
}

#[divan::bench(args = [1, 8, 64])]
fn f32(bencher: Bencher<'_, '_>, answers: usize) {
    bench(bencher, WeightFormat::F32, answers);
}

#[divan::bench(args = [1, 8, 64])]
fn q4_0(bencher: Bencher<'_, '_>, answers: usize) {
    bench(bencher, WeightFormat::Q4_0, answers);
}

#[divan::bench(args = [8])]
fn q5_0(bencher: Bencher<'_, '_>, answers: usize) {
    bench(bencher, WeightFormat::Q5_0, answers);
}

#[divan::bench(args = [8])]
fn q8_0(bencher: Bencher<'_, '_>, answers: usize) {
    bench(bencher, WeightFormat::Q8_0, answers);
}
