//! What must hold of the engine as a whole: its numbers against an independent implementation, and its draws against its
//! numbers.

use std::num::NonZeroUsize;
use std::sync::Arc;

use serde::Deserialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};
use tokio::sync::mpsc::unbounded_channel;

use super::noise::NoiseSource;
use super::score::testing::next;
use super::*;
use crate::lab::assets::ModelKind;

const PROMPT: [u32; 7] = [0, 3, 206, 312, 305, 228, 24];

#[derive(Deserialize)]
struct Golden {
    base: Vec<Case>,
    small: Vec<Case>,
    chat: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    prompt_ids: Vec<u32>,
    /// The squares of a picture, and how many pixels wide it is.
    #[serde(default)]
    patches: Vec<Vec<u8>>,
    width: Option<usize>,
    top: Vec<Top>,
}

#[derive(Deserialize)]
struct Top {
    id: usize,
    logprob: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../model/golden.json")).unwrap()
}

impl Case {
    /// Its picture, put together from its squares.
    fn pictures(&self) -> Vec<Image> {
        self.width.map(|width| picture(&self.patches, width)).into_iter().collect()
    }
}

fn picture(patches: &[Vec<u8>], width: usize) -> Image {
    // A row of pixels is one of each square side by side.
    let rgb = patches.chunks(width / 8).flat_map(|squares| {
        (0..8).flat_map(move |row| squares.iter().flat_map(move |square| square[row * 24..][..24].iter().copied()))
    });
    Image { width, height: patches.len() * 64 / width, rgb: rgb.collect() }
}

fn load(kind: ModelKind, weights: WeightFormat) -> Model {
    kind.load(&ModelSpec { weights, ..ModelSpec::HONEST }).unwrap()
}

fn logprobs(scores: &[f32]) -> Vec<f64> {
    let situation = Situation { scores, prompt: &[], answer: &[], mask: None };
    Sampling::PLAIN.distribution(&situation).into_iter().map(f64::ln).collect()
}

fn silent(model: &Model, prompt: &[u32]) -> Vec<f64> {
    logprobs(&next(model, prompt, &[], NoiseSource::silent()))
}

/// How far log-probabilities are from each other, on average over the first ones' draws.
fn distance(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a.exp() * (a - b).abs()).sum()
}

fn job(model: &Arc<Model>, prompt: &[u32], reply: tokio::sync::mpsc::UnboundedSender<Emission>) -> Job {
    Job {
        model: Arc::clone(model),
        prompt: prompt.to_vec(),
        limit: 12,
        sampling: Sampling::PLAIN,
        images: Vec::new(),
        constraint: None,
        ends: vec![model.config().eos_token_id],
        logprobs: Some(1),
        noise: Noise::NONE,
        sampling_seed: [1; 32],
        noise_seed: [1; 32],
        reply,
    }
}

/// The choices that a pool makes for a job.
fn answer(pool: &Pool, change: impl FnOnce(&mut Job), model: &Arc<Model>, prompt: &[u32]) -> Vec<Choice> {
    let (reply, mut emissions) = unbounded_channel();
    let mut job = job(model, prompt, reply);
    change(&mut job);
    pool.submit(job);
    let choice = |emission| if let Emission::Token(choice) = emission { Some(choice) } else { None };
    std::iter::from_fn(|| emissions.blocking_recv()).filter_map(choice).collect()
}

#[test]
fn next_token_logprobs_are_those_of_an_independent_implementation() {
    let golden = golden();
    for (kind, cases) in
        [(ModelKind::Base, golden.base), (ModelKind::Small, golden.small), (ModelKind::Chat, golden.chat)]
    {
        // Keys and values in half precision are rounded, which the yardstick's are not.
        for (cache, tolerance) in [(CacheFormat::F32, 1e-3), (CacheFormat::F16, 1e-2)] {
            let model = kind.load(&ModelSpec { cache, ..ModelSpec::HONEST }).unwrap();
            assert!(!cases.is_empty());
            for case in &cases {
                let ours = logprobs(&next(&model, &case.prompt_ids, &case.pictures(), NoiseSource::silent()));
                for Top { id, logprob } in &case.top {
                    assert!((ours[*id] - logprob).abs() < tolerance, "{kind:?} {id}: {} for {logprob}", ours[*id]);
                }
            }
        }
    }
}

#[test]
fn other_pixels_give_other_scores_and_are_not_taken_from_memory() {
    let model = load(ModelKind::Base, WeightFormat::F16);
    let golden = golden();
    let case = golden.base.iter().find(|case| !case.patches.is_empty()).unwrap();
    let scores = |images: &[Image]| next(&model, &case.prompt_ids, images, NoiseSource::silent());
    let images = case.pictures();
    let (first, again) = (scores(&images), scores(&images));
    let mut changed = images.clone();
    *changed[0].rgb.last_mut().unwrap() ^= 64;
    assert!(model.takes_images() && first == again);
    assert_ne!(scores(&changed), first);
    assert_ne!(scores(&[]), first);
}

#[test]
fn half_precision_and_the_order_of_sums_change_the_last_bits_only() {
    let honest = load(ModelKind::Base, WeightFormat::F16);
    let single = load(ModelKind::Base, WeightFormat::F32);
    let other = ModelKind::Base.load(&ModelSpec { sums: SumOrder::Other, ..ModelSpec::HONEST }).unwrap();
    let ours = silent(&honest, &PROMPT);
    assert_eq!(silent(&single, &PROMPT), ours, "the files hold half precision");
    let far = distance(&ours, &silent(&other, &PROMPT));
    assert!(0.0 < far && far < 1e-3, "{far}");
}

#[test]
fn probabilities_sum_to_one_in_every_format() {
    for weights in WeightFormat::ALL {
        for cache in CacheFormat::ALL {
            let model = ModelKind::Base.load(&ModelSpec { weights, cache, ..ModelSpec::HONEST }).unwrap();
            for prompt in [&PROMPT[..], &PROMPT[..1], &[0, 3, 206, 500, 600, 700]] {
                let sum: f64 = silent(&model, prompt).into_iter().map(f64::exp).sum();
                assert!((sum - 1.0).abs() < 1e-6, "{weights} {cache}: {sum}");
            }
        }
    }
}

#[test]
fn draws_come_as_often_as_the_models_probabilities_say() {
    let model = load(ModelKind::Base, WeightFormat::F16);
    for (number, case) in golden().base.iter().take(3).enumerate() {
        let scores = next(&model, &case.prompt_ids, &[], NoiseSource::silent());
        let situation = Situation { scores: &scores, prompt: &case.prompt_ids, answer: &[], mask: None };
        // The softmax once more, from the scores alone.
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f64> = scores.iter().map(|score| f64::from(score - top).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mut counts = vec![0_u32; scores.len()];
        for token in Sampling::PLAIN.draws(&situation, number as u64, 100_000) {
            counts[token as usize] += 1;
        }
        let cells: Vec<_> = weights.iter().zip(counts).map(|(w, n)| (w / sum * 1e5, f64::from(n))).collect();
        let (rare, mut common): (Vec<_>, Vec<_>) = cells.into_iter().partition(|(expected, _)| *expected < 5.0);
        common.push(rare.into_iter().fold((0.0, 0.0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1)));
        let statistic: f64 = common.iter().map(|(expected, seen)| (seen - expected).powi(2) / expected).sum();
        let p = 1.0 - ChiSquared::new(common.len() as f64 - 1.0).unwrap().cdf(statistic);
        assert!(p > 1e-4, "prompt {number}: {p}");
    }
}

#[test]
fn a_greedy_answer_is_the_likeliest_token_each_time() {
    let (pool, model) = (Pool::start(NonZeroUsize::MIN).unwrap(), Arc::new(load(ModelKind::Base, WeightFormat::F16)));
    let mut prompt = golden().base[1].prompt_ids.clone();
    let choices = answer(&pool, |job| job.sampling.temperature = 0.0, &model, &prompt);
    assert!(!choices.is_empty());
    for Choice { token, logprobs: reported } in choices {
        let scores = silent(&model, &prompt);
        let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        let reported = reported.unwrap();
        assert_eq!(best.0, token as usize);
        assert!((reported.chosen - best.1).abs() < 1e-5 && reported.top[0].0 == token);
        prompt.push(token);
    }
}

#[test]
fn reported_logprobs_are_those_that_scoring_finds() {
    let (pool, model) = (Pool::start(NonZeroUsize::MIN).unwrap(), Arc::new(load(ModelKind::Base, WeightFormat::F16)));
    let prompt = &golden().base[1].prompt_ids;
    for sampling in [
        Sampling::PLAIN,
        Sampling { temperature: 0.7, top_p: 0.9, repetition_penalty: 1.2, ..Sampling::PLAIN },
        Sampling { watermark: Some(Watermark { share: 0.5, bias: 1.0 }), top_k: Some(40), ..Sampling::PLAIN },
    ] {
        let choices = answer(&pool, |job| job.sampling = sampling.clone(), &model, prompt);
        let tokens: Vec<u32> = choices.iter().map(|choice| choice.token).collect();
        assert!(tokens.len() > 3);
        let exact = score(&model, prompt, &[], &tokens, &sampling);
        assert_eq!(exact.len(), tokens.len());
        for (choice, exact) in choices.iter().zip(exact) {
            let reported = choice.logprobs.as_ref().unwrap().chosen;
            assert!((reported - exact).abs() < 1e-9, "{reported} {exact}");
        }
    }
}

#[test]
fn scoring_knows_what_cannot_come_and_where_the_model_ends() {
    let model = load(ModelKind::Small, WeightFormat::F16);
    let greedy = Sampling { temperature: 0.0, ..Sampling::PLAIN };
    let best = silent(&model, &PROMPT).iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 as u32;
    assert_eq!(score(&model, &PROMPT, &[], &[best], &greedy), [0.0; 1]);
    assert_eq!(score(&model, &PROMPT, &[], &[best + 1, 9999], &greedy), [f64::NEG_INFINITY; 2]);
    assert!(score(&model, &[], &[], &[1], &Sampling::PLAIN).is_empty());
    let positions = model.config().max_position_embeddings;
    let long = vec![3; positions];
    assert_eq!(score(&model, &PROMPT, &[], &long, &Sampling::PLAIN).len(), positions + 1 - PROMPT.len());
}

#[test]
fn an_answer_repeats_with_its_seeds_in_any_company() {
    let (pool, model) = (Pool::start(NonZeroUsize::MIN).unwrap(), Arc::new(load(ModelKind::Small, WeightFormat::F16)));
    let noisy = |seed: u8| {
        move |job: &mut Job| {
            job.noise = Noise::HONEST;
            job.sampling_seed = [seed; 32];
        }
    };
    let alone = answer(&pool, noisy(1), &model, &PROMPT);
    assert_eq!(answer(&pool, noisy(1), &model, &PROMPT), alone);
    assert_ne!(answer(&pool, noisy(2), &model, &PROMPT), alone);
    // A fresh model has to read the prompt again, in pieces and beside others.
    let fresh = Arc::new(load(ModelKind::Small, WeightFormat::F16));
    let others: Vec<_> = (0..20_u8)
        .map(|number| {
            let (reply, emissions) = unbounded_channel();
            let mut job = job(&fresh, &[[0, 3, 206].as_slice(), &[300 + u32::from(number); 60]].concat(), reply);
            noisy(number)(&mut job);
            pool.submit(job);
            emissions
        })
        .collect();
    assert_eq!(answer(&pool, noisy(1), &fresh, &PROMPT), alone);
    drop(others);
}

#[test]
fn a_prompt_from_memory_gives_the_numbers_of_one_read_afresh() {
    for cache in CacheFormat::ALL {
        let spec = ModelSpec { cache, ..ModelSpec::HONEST };
        let (warm, cold) = (ModelKind::Small.load(&spec).unwrap(), ModelKind::Small.load(&spec).unwrap());
        let longer = [&PROMPT[..], &[312; 90]].concat();
        let fresh = silent(&cold, &longer);
        silent(&warm, &[&PROMPT[..], &[312, 312, 7]].concat());
        assert_eq!(silent(&warm, &longer), fresh, "{cache}: a shared beginning");
        assert_eq!(silent(&warm, &longer), fresh, "{cache}: the whole");
        assert_eq!(silent(&warm, &PROMPT), silent(&ModelKind::Small.load(&spec).unwrap(), &PROMPT), "{cache}");
    }
}

#[test]
fn noise_and_fewer_bits_move_the_scores_a_little() {
    let exact = load(ModelKind::Base, WeightFormat::F16);
    let fresh = silent(&exact, &PROMPT);
    let noisy = logprobs(&next(&exact, &PROMPT, &[], NoiseSource::new(Noise::HONEST, [3; 32])));
    let coarse = silent(&load(ModelKind::Base, WeightFormat::Q4_0), &PROMPT);
    let (noisy, coarse) = (distance(&fresh, &noisy), distance(&fresh, &coarse));
    assert!(0.0 < noisy && noisy < coarse && coarse < 2.0, "{noisy} {coarse}");
}

#[test]
fn a_memory_of_fewer_bits_moves_the_scores_more() {
    let prompt = &golden().base[4].prompt_ids;
    let of = |cache| silent(&ModelKind::Base.load(&ModelSpec { cache, ..ModelSpec::HONEST }).unwrap(), prompt);
    let half = of(CacheFormat::F16);
    let [eight, four] = [CacheFormat::Q8, CacheFormat::Q4].map(|cache| distance(&half, &of(cache)));
    assert!(0.0 < eight && eight < four && four < 2.0, "{eight} {four}");
}

#[test]
fn positions_and_tuning_go_into_the_model() {
    let served = |spec| silent(&ModelKind::Base.load(&spec).unwrap(), &PROMPT);
    let honest = served(ModelSpec::HONEST);
    assert_ne!(served(ModelSpec { rope_factor: 2.0, ..ModelSpec::HONEST }), honest);
    let chat = silent(&ModelKind::Chat.load(&ModelSpec::HONEST).unwrap(), &PROMPT);
    assert_eq!(served(ModelSpec { tuned: 1.0, ..ModelSpec::HONEST }), chat);
}
