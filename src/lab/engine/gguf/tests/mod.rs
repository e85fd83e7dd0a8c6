//! What must hold of the files as a whole: they give the model that was written, and whatever else is refused by its name.

mod llama_cpp;

use std::num::NonZeroUsize;
use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::mpsc::unbounded_channel;

use super::super::noise::NoiseSource;
use super::super::score::testing::next;
use super::super::{Emission, Job, Noise, Pool, Sampling};
use super::header::{Header, Value};
use super::*;
use crate::lab::assets::ModelKind;

const PROMPT: [u32; 7] = [0, 3, 206, 312, 305, 228, 24];

fn spec(weights: WeightFormat) -> ModelSpec {
    ModelSpec { weights, ..ModelSpec::HONEST }
}

fn file(kind: ModelKind, weights: WeightFormat) -> Vec<u8> {
    kind.to_gguf(weights).unwrap()
}

fn read_back(bytes: &[u8]) -> Model {
    let gguf = Gguf::from_bytes(bytes).unwrap();
    gguf.model(None, &spec(gguf.format())).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    Gguf::from_bytes(bytes).err().unwrap().to_string()
}

fn scores(model: &Model, prompt: &[u32]) -> Vec<f32> {
    next(model, prompt, &[], NoiseSource::silent())
}

/// The tokens of a greedy answer that no token ends.
fn greedy(pool: &Pool, model: Model) -> Vec<u32> {
    let (reply, mut emissions) = unbounded_channel();
    pool.submit(Job {
        prompt: PROMPT.to_vec(),
        limit: 24,
        sampling: Sampling { temperature: 0.0, ..Sampling::PLAIN },
        images: Vec::new(),
        constraint: None,
        ends: Vec::new(),
        logprobs: None,
        noise: Noise::NONE,
        sampling_seed: [1; 32],
        noise_seed: [1; 32],
        model: Arc::new(model),
        reply,
    });
    let token = |emission| if let Emission::Token(choice) = emission { Some(choice.token) } else { None };
    std::iter::from_fn(|| emissions.blocking_recv()).filter_map(token).collect()
}

/// The file with this text replaced by another of the same length, everywhere.
fn replaced(bytes: &[u8], text: &str, by: &[u8]) -> Vec<u8> {
    assert_eq!(text.len(), by.len());
    let mut out = bytes.to_vec();
    let found: Vec<usize> =
        (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text.as_bytes())).collect();
    assert!(!found.is_empty(), "{text}");
    for at in found {
        out[at..at + by.len()].copy_from_slice(by);
    }
    out
}

/// The file with other bytes after the name and the type of a key.
fn with_value(bytes: &[u8], key: &str, by: &[u8]) -> Vec<u8> {
    let at = (0..bytes.len()).find(|at| bytes[*at..].starts_with(key.as_bytes())).unwrap() + key.len() + 4;
    let mut out = bytes.to_vec();
    out[at..at + by.len()].copy_from_slice(by);
    out
}

#[test]
fn a_file_gives_the_scores_of_the_model_that_was_written_to_the_last_bit() {
    for kind in ModelKind::ALL {
        for weights in WeightFormat::ALL {
            let (ours, back) = (kind.load(&spec(weights)).unwrap(), read_back(&file(kind, weights)));
            assert!(!back.takes_images());
            for prompt in [&PROMPT[..], &PROMPT[..1], &[0, 3, 206, 500, 600, 700]] {
                assert_eq!(scores(&back, prompt), scores(&ours, prompt), "{kind:?} {weights}");
            }
        }
    }
}

#[test]
fn a_file_gives_the_greedy_answers_of_the_model_that_was_written() {
    let pool = Pool::start(NonZeroUsize::MIN).unwrap();
    for weights in [WeightFormat::F16, WeightFormat::Q4_0] {
        let ours = greedy(&pool, ModelKind::Base.load(&spec(weights)).unwrap());
        assert_eq!(ours.len(), 24);
        assert_eq!(greedy(&pool, read_back(&file(ModelKind::Base, weights))), ours, "{weights}");
    }
}

#[test]
fn a_file_says_what_other_engines_ask_for() {
    let bytes = file(ModelKind::Base, WeightFormat::Q5_0);
    assert_eq!((&bytes[..4], bytes[4]), (&b"GGUF"[..], 3));
    let header = Header::read(&bytes).unwrap();
    for (key, value) in [
        ("general.architecture", Value::Text("llama")),
        ("general.name", Value::Text("samemodel lab base")),
        ("general.file_type", Value::Whole(8)),
        ("tokenizer.ggml.model", Value::Text("gpt2")),
        ("tokenizer.ggml.pre", Value::Text("smollm")),
        ("tokenizer.ggml.bos_token_id", Value::Whole(0)),
        ("tokenizer.ggml.eos_token_id", Value::Whole(1)),
        ("tokenizer.chat_template", Value::Text(crate::lab::assets::CHAT_TEMPLATE)),
    ] {
        assert_eq!(header.value(key), Some(&value), "{key}");
    }
    assert!(matches!(header.value("llama.rope.freq_base"), Some(Value::Fraction(_))));
    assert!(header.tensors.contains_key("blk.0.attn_q.weight") && !header.tensors.contains_key("output.weight"));
    assert!(header.tensors.keys().all(|name| !name.contains("image")));
    assert_eq!(header.tensors["token_embd.weight"].format, WeightFormat::Q5_0);
    assert_eq!(header.tensors["output_norm.weight"].format, WeightFormat::F32);
}

#[test]
fn a_file_can_be_tuned_and_kept_in_another_format_on_its_way_in() {
    let gguf = Gguf::from_bytes(&file(ModelKind::Base, WeightFormat::F16)).unwrap();
    for spec in [spec(WeightFormat::Q4_0), ModelSpec { tuned: 0.5, ..ModelSpec::HONEST }] {
        let (ours, back) = (ModelKind::Base.load(&spec).unwrap(), gguf.model(Some(ModelKind::chat_files()), &spec));
        assert_eq!(scores(&back.unwrap(), &PROMPT), scores(&ours, &PROMPT), "{spec:?}");
    }
}

#[test]
fn what_is_no_such_file_is_refused() {
    let whole = file(ModelKind::Small, WeightFormat::Q8_0);
    assert!(refusal(b"").contains("does not begin"));
    assert!(refusal(b"PK\x03\x04").contains("does not begin"));
    assert!(refusal(b"GGUF").contains("ends within its beginning"));
    assert!(refusal(&replaced(&whole, "GGUF\x03", b"GGUF\x01")).contains("version 1"));
    assert!(refusal(&vec![0; MOST_BYTES + 1]).contains("MiB"));
    // As many keys, or tensors, as 64 bits can count.
    for count in [8, 16] {
        let mut bytes = whole.clone();
        bytes[count..count + 8].fill(0xFF);
        Gguf::from_bytes(&bytes).err().unwrap();
    }
}

#[test]
fn keys_that_are_wrong_or_ask_for_more_are_named() {
    let whole = file(ModelKind::Small, WeightFormat::F16);
    let huge = 0xFFFF_FFE0_u32.to_le_bytes();
    for key in keys_of_sizes() {
        let message = refusal(&with_value(&whole, key, &huge));
        assert!(message.contains(key), "{key}: {message}");
        refusal(&with_value(&whole, key, &[0; 4]));
    }
    for (text, by, wanted) in [
        ("llama.context_length", b"llama.expert___count", "`llama.expert___count` asks for something"),
        ("llama.context_length", b"xlama.context_length", "`llama.context_length` is no whole number"),
        ("general.architecture", b"general.architectury", "`general.architecture` is not `llama`"),
    ] {
        let message = refusal(&replaced(&whole, text, by));
        assert!(message.contains(wanted), "{message}");
    }
    let message = refusal(&with_value(&whole, "llama.rope.freq_base", &f32::NAN.to_le_bytes()));
    assert!(message.contains("is no number above 0"), "{message}");
    assert!(refusal(&replaced(&whole, "smollm", b"gpt-42")).contains("`tokenizer.ggml.pre` is not `smollm`"));
}

fn keys_of_sizes() -> impl Iterator<Item = &'static str> {
    let whole = |key: &&str| !["llama.rope.freq_base", "llama.attention.layer_norm_rms_epsilon"].contains(key);
    super::layout::keys::OF_THE_MODEL.into_iter().filter(whole)
}

#[test]
fn tensors_that_are_missing_or_misshapen_are_named() {
    let whole = file(ModelKind::Small, WeightFormat::F16);
    let message = refusal(&replaced(&whole, "blk.1.attn_k.weight", b"blk.1.attn_x.weight"));
    assert!(message.contains("tensor `blk.1.attn_x.weight` has no place"), "{message}");
    let message = refusal(&replaced(&whole, "blk.1.attn_k.weight", b"blk.1.attn_v.weight"));
    assert!(message.contains("`blk.1.attn_v.weight` is there twice"), "{message}");
    let message = refusal(&replaced(&whole, "blk.1.attn_k.weight", b"blk.1.attn_\x1b.weight"));
    assert!(message.contains("\\u{1b}") && !message.contains('\x1b'), "{message}");
    // After the name: dimensions, then their sizes, the type, and the offset.
    let message = refusal(&with_value(&whole, "blk.1.attn_v.weight", &96_u64.to_le_bytes()));
    assert!(message.contains("tensor `blk.1.attn_v.weight` is of 32 × 96 numbers, not 32 × 64"), "{message}");
    let sizes = [64_u64.to_le_bytes(), u64::MAX.to_le_bytes()].concat();
    let message = refusal(&with_value(&whole, "blk.1.attn_v.weight", &sizes));
    assert!(message.contains("tensor `blk.1.attn_v.weight` is not within the file"), "{message}");
    let message = refusal(&with_value(&whole, "blk.1.attn_v.weight", &[sizes, vec![12, 0, 0, 0]].concat()));
    assert!(message.contains("in a format other than"), "{message}");
    assert!(refusal(&whole[..whole.len() - 64]).contains("is not within the file"));
}

#[test]
fn numbers_that_the_engine_would_change_are_refused() {
    let mut whole = file(ModelKind::Small, WeightFormat::F16);
    let end = whole.len();
    whole[end - 2..].copy_from_slice(&half::f16::NAN.to_le_bytes());
    assert!(refusal(&whole).contains("not finite"));
    // Rounding spreads a block over all steps: one that holds the first step and the third alone was made otherwise.
    let mut whole = file(ModelKind::Small, WeightFormat::Q4_0);
    let start = whole.len() - 18 * 4;
    whole[start + 2..start + 18].fill(0x9B);
    assert!(refusal(&whole).contains("round it once more"), "{}", refusal(&whole));
}

/// Where bytes are spoilt: most of the head is words, so that its beginning and its end are hit on purpose.
fn places(bytes: usize) -> impl Strategy<Value = usize> {
    prop_oneof![0_usize..1400, Just(bytes).prop_flat_map(|bytes| 0..bytes), 50_000..70_000_usize]
}

/// A spoilt file is refused in words, or its model answers; nothing else comes of it.
fn answers_or_is_refused(bytes: &[u8]) {
    match Gguf::from_bytes(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(gguf) => {
            let model = gguf.model(None, &spec(gguf.format())).unwrap();
            assert_eq!(scores(&model, &[0, 3]).len(), model.config().vocab_size);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_that_is_cut_short_is_refused(share in 0.0..1.0_f64) {
        let whole = file(ModelKind::Small, WeightFormat::Q4_0);
        let kept = (whole.len() as f64 * share) as usize;
        // The last tensor is filled up with zeros that nobody misses.
        prop_assert!(kept + 32 > whole.len() || Gguf::from_bytes(&whole[..kept]).is_err());
    }

    #[test]
    fn a_file_with_spoilt_bytes_is_read_or_refused_without_a_panic(
        spoilt in prop::collection::vec((places(100_000), any::<u8>()), 1..4)
    ) {
        let mut bytes = file(ModelKind::Small, WeightFormat::Q4_0);
        for (at, by) in spoilt {
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= by;
        }
        answers_or_is_refused(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        answers_or_is_refused(&[&b"GGUF\x03\0\0\0"[..], &bytes].concat());
    }
}
