//! What stands where in a GGUF file of the architecture `llama`: keys, names and shapes of tensors, and the order of rows. Pure.

use super::super::weights::ModelConfig;

/// The version that is written.
pub const VERSION: u32 = 3;
/// The architecture, and what its keys begin with.
pub const ARCHITECTURE: &str = "llama";
/// The kind of tokenizer: byte-level BPE, as GPT-2 has it.
pub const TOKENIZER: &str = "gpt2";
/// How a text is split before it is merged: digits one by one, then as GPT-2 does. Files say so by naming a model that does it.
pub const SPLIT: &str = "smollm";
/// The type of a token that no text is merged to.
pub const CONTROL: i32 = 3;
/// The type of any other token.
pub const NORMAL: i32 = 1;

/// The keys that both sides need.
pub mod keys {
    pub const ARCHITECTURE: &str = "general.architecture";
    pub const ALIGNMENT: &str = "general.alignment";
    pub const LAYERS: &str = "llama.block_count";
    pub const POSITIONS: &str = "llama.context_length";
    pub const HIDDEN: &str = "llama.embedding_length";
    pub const FEED: &str = "llama.feed_forward_length";
    pub const HEADS: &str = "llama.attention.head_count";
    pub const SHARED_HEADS: &str = "llama.attention.head_count_kv";
    pub const KEY_WIDTH: &str = "llama.attention.key_length";
    pub const VALUE_WIDTH: &str = "llama.attention.value_length";
    pub const EPSILON: &str = "llama.attention.layer_norm_rms_epsilon";
    pub const TURNED: &str = "llama.rope.dimension_count";
    pub const THETA: &str = "llama.rope.freq_base";
    pub const VOCABULARY: &str = "llama.vocab_size";
    pub const TOKENIZER: &str = "tokenizer.ggml.model";
    pub const SPLIT: &str = "tokenizer.ggml.pre";
    pub const TOKENS: &str = "tokenizer.ggml.tokens";
    pub const TOKEN_TYPES: &str = "tokenizer.ggml.token_type";
    pub const MERGES: &str = "tokenizer.ggml.merges";
    pub const BOS: &str = "tokenizer.ggml.bos_token_id";
    pub const EOS: &str = "tokenizer.ggml.eos_token_id";
    pub const PAD: &str = "tokenizer.ggml.padding_token_id";
    pub const TEMPLATE: &str = "tokenizer.chat_template";

    /// All that say what the model computes.
    pub const OF_THE_MODEL: [&str; 12] = [
        LAYERS,
        POSITIONS,
        HIDDEN,
        FEED,
        HEADS,
        SHARED_HEADS,
        KEY_WIDTH,
        VALUE_WIDTH,
        EPSILON,
        TURNED,
        THETA,
        VOCABULARY,
    ];
}

/// A tensor in both worlds.
pub struct Place {
    /// Its name in the published file.
    pub ours: String,
    /// Its name in the GGUF file.
    pub theirs: String,
    /// Its rows; 1 for a gain.
    pub rows: usize,
    /// The numbers of a row.
    pub columns: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A factor for each number, always in single precision.
    Gain,
    /// A matrix whose rows are in the same order in both worlds.
    Matrix,
    /// A matrix whose outputs are turned by their position.
    Turned,
}

/// All tensors of a model of these sizes.
pub fn places(config: &ModelConfig) -> Vec<Place> {
    let hidden = config.hidden_size;
    let place = |ours: String, theirs: String, (rows, columns), kind| Place {
        ours: format!("{ours}.weight"),
        theirs: format!("{theirs}.weight"),
        rows,
        columns,
        kind,
    };
    let whole = |ours: &str, theirs: &str, shape, kind| place(ours.to_owned(), theirs.to_owned(), shape, kind);
    let mut all = vec![
        whole("model.embed_tokens", "token_embd", (config.vocab_size, hidden), Kind::Matrix),
        whole("model.norm", "output_norm", (1, hidden), Kind::Gain),
    ];
    let (feed, width) = (config.intermediate_size, config.head_dim);
    let (asking, asked) = (config.num_attention_heads * width, config.num_key_value_heads * width);
    for layer in 0..config.num_hidden_layers {
        let parts = [
            ("input_layernorm", "attn_norm", (1, hidden), Kind::Gain),
            ("self_attn.q_proj", "attn_q", (asking, hidden), Kind::Turned),
            ("self_attn.k_proj", "attn_k", (asked, hidden), Kind::Turned),
            ("self_attn.v_proj", "attn_v", (asked, hidden), Kind::Matrix),
            ("self_attn.o_proj", "attn_output", (hidden, asking), Kind::Matrix),
            ("post_attention_layernorm", "ffn_norm", (1, hidden), Kind::Gain),
            ("mlp.gate_proj", "ffn_gate", (feed, hidden), Kind::Matrix),
            ("mlp.up_proj", "ffn_up", (feed, hidden), Kind::Matrix),
            ("mlp.down_proj", "ffn_down", (hidden, feed), Kind::Matrix),
        ];
        all.extend(parts.map(|(ours, theirs, shape, kind)| {
            place(format!("model.layers.{layer}.{ours}"), format!("blk.{layer}.{theirs}"), shape, kind)
        }));
    }
    all
}

/// The rows of heads as the published file has them, brought into the order of the GGUF file.
///
/// The published file turns a head's number `i` with number `i + half`, a GGUF file its neighbours `2i` and `2i + 1`.
pub fn neighbours(rows: &[f32], columns: usize, head: usize) -> Vec<f32> {
    reordered(rows, columns, head, |row| row % 2 * (head / 2) + row / 2)
}

/// The way back from [`neighbours`].
pub fn halves(rows: &[f32], columns: usize, head: usize) -> Vec<f32> {
    reordered(rows, columns, head, |row| 2 * (row % (head / 2)) + row / (head / 2))
}

/// Each head's rows, where `source` says which one of them comes to a row.
fn reordered(rows: &[f32], columns: usize, head: usize, source: impl Fn(usize) -> usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len());
    for rows in rows.chunks_exact(head * columns) {
        for row in 0..head {
            out.extend_from_slice(&rows[source(row) * columns..][..columns]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_turn_together_become_neighbours_and_come_back() {
        let rows: Vec<f32> = (0..2 * 6).map(|row| row as f32).collect();
        let turned = neighbours(&rows, 1, 6);
        assert_eq!(turned[..6], [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(turned[6..8], [6.0, 9.0]);
        assert_eq!(halves(&turned, 1, 6), rows);
        assert_eq!(halves(&neighbours(&rows, 3, 4), 3, 4), rows);
    }
}
