//! Choices held against the probabilities that they are said to have.

use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::*;
use crate::lab::assets::TOKENIZER;

const PLAIN: Sampling = Sampling::PLAIN;

/// Something of every kind, over a vocabulary of 8.
fn kinds() -> Vec<Sampling> {
    vec![
        PLAIN,
        Sampling { temperature: 0.6, ..PLAIN },
        Sampling { top_k: Some(3), ..PLAIN },
        Sampling { top_p: 0.7, ..PLAIN },
        Sampling { min_p: 0.2, temperature: 1.5, ..PLAIN },
        Sampling { repetition_penalty: 1.5, ..PLAIN },
        Sampling { presence_penalty: 0.5, frequency_penalty: 0.4, ..PLAIN },
        Sampling { logit_bias: vec![(0, -100.0), (5, 2.0), (99, 1.0)], ..PLAIN },
        Sampling { watermark: Some(Watermark { share: 0.5, bias: 1.0 }), ..PLAIN },
        Sampling { best_dropped: 0.3, top_k: Some(4), ..PLAIN },
        Sampling { best_dropped: 0.3, temperature: 0.0, ..PLAIN },
    ]
}

const SCORES: [f32; 8] = [3.0, 2.5, 2.5, -1.0, 1.0, 0.0, -0.5, 1.5];

fn situation(scores: &[f32]) -> Situation<'_> {
    Situation { scores, prompt: &[1, 3], answer: &[4, 0, 4], mask: None }
}

fn scores(shares: &[f64]) -> Vec<f32> {
    shares.iter().map(|share| share.ln() as f32 + 3.0).collect()
}

fn counts(sampling: &Sampling, situation: &Situation<'_>, draws: usize) -> Vec<usize> {
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let mut counts = vec![0; situation.scores.len()];
    for _ in 0..draws {
        counts[sampling.choose(situation, &mut generator, None).token as usize] += 1;
    }
    counts
}

/// The p-value of a chi-square test of counts against probabilities; tokens that are expected less than five times are put
/// together.
fn chi_square(counts: &[usize], probabilities: &[f64]) -> f64 {
    let draws = counts.iter().sum::<usize>() as f64;
    let cells = counts.iter().zip(probabilities).map(|(count, p)| (*count as f64, p * draws));
    let (rare, mut common): (Vec<_>, Vec<_>) = cells.partition(|(_, expected)| *expected < 5.0);
    let rest = rare.iter().fold((0.0, 0.0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
    if rest.1 > 0.0 {
        common.push(rest);
    }
    assert!(rest.1 > 0.0 || rest.0 <= 0.0, "something came that cannot come");
    if common.len() < 2 {
        return 1.0;
    }
    let statistic: f64 = common.iter().map(|(seen, expected)| (seen - expected).powi(2) / expected).sum();
    1.0 - ChiSquared::new(common.len() as f64 - 1.0).unwrap().cdf(statistic)
}

#[test]
fn draws_come_as_often_as_the_distribution_says_in_every_way_of_sampling() {
    for sampling in kinds() {
        let probabilities = sampling.distribution(&situation(&SCORES));
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{sampling:?}");
        let p = chi_square(&counts(&sampling, &situation(&SCORES), 100_000), &probabilities);
        assert!(p > 1e-4, "{sampling:?}: {p}");
    }
}

#[test]
fn temperature_zero_takes_the_first_of_the_likeliest() {
    let greedy = Sampling { temperature: 0.0, ..PLAIN };
    assert_eq!(counts(&greedy, &situation(&[1.0, 2.0, 2.0, 0.0]), 10), [0, 10, 0, 0]);
    let [_, one, two, _] = greedy.distribution(&situation(&[1.0, 2.0, 2.0, 0.0]))[..] else { panic!() };
    assert_eq!([one, two].map(f64::to_bits), [1.0_f64, 0.0].map(f64::to_bits));
}

#[test]
fn plain_shares_are_those_of_the_scores() {
    let shares = [0.5, 0.3, 0.15, 0.05];
    for (ours, share) in PLAIN.distribution(&situation(&scores(&shares))).into_iter().zip(shares) {
        assert!((ours - share).abs() < 1e-6, "{ours} for {share}");
    }
}

#[test]
fn a_low_temperature_sharpens() {
    let sharp = Sampling { temperature: 0.5, ..PLAIN }.distribution(&situation(&scores(&[0.6, 0.4])));
    assert!((sharp[0] - 0.36 / (0.36 + 0.16)).abs() < 1e-6, "{sharp:?}");
}

#[test]
fn cuts_leave_the_likeliest_tokens() {
    let scores = scores(&[0.1, 0.5, 0.05, 0.35]);
    let left = |sampling: Sampling| {
        let shares = sampling.distribution(&situation(&scores));
        (0..4).filter(|token| shares[*token] > 0.0).collect::<Vec<_>>()
    };
    assert_eq!(left(Sampling { top_k: Some(2), ..PLAIN }), [1, 3]);
    assert_eq!(left(Sampling { top_p: 0.86, ..PLAIN }), [0, 1, 3]);
    assert_eq!(left(Sampling { top_p: 0.84, ..PLAIN }), [1, 3]);
    assert_eq!(left(Sampling { top_k: Some(2), top_p: 0.1, ..PLAIN }), [1]);
    assert_eq!(left(Sampling { min_p: 0.15, ..PLAIN }), [0, 1, 3]);
    assert_eq!(left(Sampling { min_p: 1.0, ..PLAIN }), [1]);
}

#[test]
fn a_nucleus_of_many_tokens_is_the_smallest_that_makes_up_its_share() {
    let scores: Vec<f32> = (0..500).map(|n| ((n * 37 % 500) as f32 * 0.01).sin()).collect();
    let plain = PLAIN.distribution(&situation(&scores));
    for top_p in [0.01, 0.3, 0.9, 0.999] {
        let cut = Sampling { top_p, ..PLAIN }.distribution(&situation(&scores));
        let kept = |token: &usize| cut[*token] > 0.0;
        let mass: f64 = (0..500).filter(kept).map(|token| plain[token]).sum();
        let least = (0..500).filter(kept).map(|token| plain[token]).fold(1.0, f64::min);
        assert!(mass >= top_p - 1e-6 && mass - least < top_p + 1e-6, "{top_p}: {mass} {least}");
        assert!((0..500).filter(|token| !kept(token)).all(|token| plain[token] <= least));
    }
}

#[test]
fn penalties_look_where_they_should() {
    let at = |sampling: Sampling| {
        let shares = sampling.distribution(&situation(&SCORES));
        // Relative to token 7, which is in neither prompt nor answer.
        shares.into_iter().map(|share| (share.ln() + f64::from(SCORES[7])) as f32).collect::<Vec<_>>()
    };
    let score = |shifted: &[f32], token: usize| shifted[token] - shifted[7] + SCORES[7];
    let repeated = at(Sampling { repetition_penalty: 2.0, ..PLAIN });
    for (token, wanted) in [(0, 1.5), (1, 1.25), (2, 2.5), (3, -2.0), (4, 0.5)] {
        assert!((score(&repeated, token) - wanted).abs() < 1e-5, "{token}");
    }
    let counted = at(Sampling { presence_penalty: 0.5, frequency_penalty: 0.25, ..PLAIN });
    for (token, wanted) in [(0, 2.25), (1, 2.5), (3, -1.0), (4, 0.0)] {
        assert!((score(&counted, token) - wanted).abs() < 1e-5, "{token}");
    }
}

#[test]
fn a_watermark_favours_its_share_of_the_vocabulary_anew_after_each_token() {
    let mark = Watermark { share: 0.25, bias: 2.0 };
    let favoured = |before| (0..2048).filter(|token| mark.favours(before, *token)).count();
    let total: usize = (0..50).map(favoured).sum();
    assert!((f64::from(total as u32) / (50.0 * 2048.0) - 0.25).abs() < 0.01, "{total}");
    assert!((0..2048).any(|token| mark.favours(1, token) != mark.favours(2, token)));
}

#[test]
fn a_mask_leaves_what_it_allows_and_a_dropped_best_token_leaves_something() {
    let mut mask = TokenMask::all(8);
    mask.retain(|token| token == 6 || token == 3);
    let masked = Situation { mask: Some(&mask), ..situation(&SCORES) };
    for sampling in kinds() {
        let shares = sampling.distribution(&masked);
        assert!((shares[6] + shares[3] - 1.0).abs() < 1e-9, "{sampling:?}");
    }
    mask.retain(|token| token == 6);
    let only = Situation { mask: Some(&mask), ..situation(&SCORES) };
    assert!((Sampling { best_dropped: 1.0, ..PLAIN }.distribution(&only)[6] - 1.0).abs() < 1e-9);
}

#[test]
fn reported_logprobs_are_those_drawn_from() {
    let shares = [0.1, 0.5, 0.05, 0.35];
    let scores = scores(&shares);
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let whole = PLAIN.choose(&situation(&scores), &mut generator, Some(4));
    let logprobs = whole.logprobs.unwrap();
    assert!((logprobs.chosen - shares[whole.token as usize].ln()).abs() < 1e-6);
    assert_eq!(logprobs.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 3, 0, 2]);
    for sampling in kinds().into_iter().filter(|s| s.best_dropped <= 0.0) {
        let shares = sampling.distribution(&situation(&SCORES));
        let choice = sampling.choose(&situation(&SCORES), &mut generator, Some(8));
        let logprobs = choice.logprobs.unwrap();
        assert_eq!(logprobs.chosen.to_bits(), shares[choice.token as usize].ln().to_bits(), "{sampling:?}");
        let sum: f64 = logprobs.top.iter().map(|(_, log)| log.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }
}

#[test]
fn at_temperature_zero_reported_logprobs_are_those_of_temperature_one() {
    let greedy = Sampling { temperature: 0.0, top_k: Some(1), ..PLAIN };
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let logprobs = greedy.choose(&situation(&SCORES), &mut generator, Some(8)).logprobs.unwrap();
    let plain = PLAIN.distribution(&situation(&SCORES));
    assert_eq!(logprobs.top.len(), 8);
    assert!((logprobs.chosen - plain[0].ln()).abs() < 1e-9);
}

#[test]
fn corrupted_characters_come_whole_and_as_often_as_they_should() {
    let vocabulary = Vocabulary::from_json(TOKENIZER, 2048).unwrap();
    let tokenizer: tokenizers::Tokenizer = TOKENIZER.parse().unwrap();
    let mut scores = vec![0.0; 2048];
    let letter = vocabulary.spelt('a').unwrap()[0];
    scores[letter as usize] = 50.0;
    let mut sampler = Sampler::new(Sampling { corruption: 0.1, ..PLAIN }, [1; 32]);
    let mut draw = || sampler.next(&situation(&scores), &vocabulary, Some(0));
    let choices: Vec<Choice> = (0..5_000).map(|_| draw()).collect();
    let tokens: Vec<u32> = choices.iter().map(|choice| choice.token).collect();
    let text = tokenizer.decode(&tokens, false).unwrap();
    let strays = text.trim_end_matches('\u{FFFD}').chars().filter(|char| *char != 'a').collect::<Vec<_>>();
    assert!(strays.iter().all(|char| matches!(char, '\u{E00}'..='\u{E7F}' | '\u{4E00}'..='\u{5FFF}')), "{strays:?}");
    // A character of three tokens begins at a tenth of the other steps.
    let expected = 5_000.0 / 12.0;
    assert!((strays.len() as f64 - expected).abs() < 4.0 * expected.sqrt(), "{}", strays.len());
    assert!(choices.iter().all(|choice| choice.logprobs.as_ref().unwrap().chosen < 0.0 || choice.token == letter));
}

#[test]
fn nothing_stray_comes_where_the_mask_forbids_it() {
    let vocabulary = Vocabulary::from_json(TOKENIZER, 2048).unwrap();
    let letter = vocabulary.spelt('a').unwrap()[0];
    let mut mask = TokenMask::all(2048);
    mask.retain(|token| token == letter);
    let scores = vec![0.0; 2048];
    let only = Situation { mask: Some(&mask), ..situation(&scores) };
    let mut sampler = Sampler::new(Sampling { corruption: 0.9, ..PLAIN }, [1; 32]);
    assert!((0..200).all(|_| sampler.next(&only, &vocabulary, None).token == letter));
}

#[test]
fn one_seed_gives_one_answer() {
    let vocabulary = Vocabulary::from_json(TOKENIZER, 2048).unwrap();
    let answer = |seed| {
        let mut sampler = Sampler::new(Sampling { best_dropped: 0.2, corruption: 0.1, ..PLAIN }, [seed; 32]);
        (0..50).map(|_| sampler.next(&situation(&SCORES), &vocabulary, None).token).collect::<Vec<_>>()
    };
    assert_eq!(answer(1), answer(1));
    assert_ne!(answer(1), answer(2));
}
