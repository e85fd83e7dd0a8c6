"""Train a tiny Llama on the corpus with JAX, on one thread of a CPU.

Pre-norm blocks with RMSNorm, rotary positions in the half-rotation layout, grouped-query attention, SwiGLU, tied embeddings.
Conversations are packed into rows; attention and positions stay within a conversation, so that training sees exactly what
serving sees. Muon trains the matrices of the layers, Adam the rest. Length and learning rate go by steps, never by time.

usage: train.py --corpus train.jsonl --validation valid.jsonl --tokenizer tokenizer.json --size base --steps 3000 --out base
writes base.safetensors (f16, Hugging Face names) and base.json
"""

import argparse
import json
import os
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from safetensors.numpy import save_file
from tokenizers import Tokenizer

ROW = 288  # tokens in a packed row
CONTEXT = 256  # no conversation of the corpus is longer
BOS, END, PAD = 0, 1, 6
PROMPT_WEIGHT = 0.05  # the loss is about answers; prompts only keep the positions warm
EXACT_WEIGHT = 2.0  # exact answers are short, so their tokens weigh more
SIZES = {
    "base": dict(hidden_size=128, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, intermediate_size=384),
    "small": dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=192),
}


def make_config(size, vocab_size):
    shape = SIZES[size]
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", **shape,
        "head_dim": shape["hidden_size"] // shape["num_attention_heads"], "vocab_size": vocab_size,
        "max_position_embeddings": CONTEXT, "rope_theta": 10000.0, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "tie_word_embeddings": True, "bos_token_id": BOS, "eos_token_id": END, "pad_token_id": PAD, "torch_dtype": "float16",
    }


# Data


def encode(tokenizer, examples):
    """Token ids and loss weights of every conversation, in the chat template's format."""
    newline = tokenizer.encode("\n").ids
    contents = tokenizer.encode_batch(["\n" + message["content"] for example in examples for message in example["messages"]])
    contents = iter(contents)
    for example in examples:
        answer_weight = 1.0 if example["truth"] is None else EXACT_WEIGHT
        ids, weights = [BOS], [0.0]
        for message in example["messages"]:
            body = next(contents).ids + [END]
            weight = answer_weight if message["role"] == "assistant" else PROMPT_WEIGHT
            ids += [tokenizer.token_to_id(f"<|{message['role']}|>")] + body + newline
            # The newline after a role is part of the prompt, and so is what follows the end of an answer.
            weights += [PROMPT_WEIGHT] * 2 + [weight] * (len(body) - 1) + [PROMPT_WEIGHT] * len(newline)
        yield ids, weights


def pack(conversations, length, open_rows=16):
    """Rows of `length` + 1 tokens: arrays of ids, weights, segment numbers (0 is padding) and positions."""
    done, rows = [], []
    for ids, weights in conversations:
        if len(ids) > length + 1:
            continue
        room = [row for row in rows if len(row[0]) + len(ids) <= length + 1]
        row = max(room, key=lambda row: len(row[0])) if room else ([], [], [], [])
        if not room:
            rows.append(row)
        segment = row[2][-1] + 1 if row[2] else 1
        for part, values in zip(row, (ids, weights, [segment] * len(ids), range(len(ids)))):
            part.extend(values)
        if len(rows) > open_rows:
            done.append(rows.pop(max(range(len(rows)), key=lambda place: len(rows[place][0]))))
    filled = []
    for row in done + rows:
        gap = length + 1 - len(row[0])
        filled.append([list(part) + [value] * gap for part, value in zip(row, (PAD, 0.0, 0, 0))])
    kinds = (np.int32, np.float32, np.int32, np.int32)
    return [np.array([row[part] for row in filled], kind) for part, kind in enumerate(kinds)]


def load(path, tokenizer):
    with open(path, encoding="utf-8") as lines:
        return pack(encode(tokenizer, [json.loads(line) for line in lines]), ROW)


# Model. Parameters are a dictionary with Hugging Face's names; matrices have the output dimension first.


def init(config, seed):
    rng = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    depth = (2 * config["num_hidden_layers"]) ** -0.5
    shapes = {
        "self_attn.q_proj": (queries, hidden, 1), "self_attn.k_proj": (keys, hidden, 1), "self_attn.v_proj": (keys, hidden, 1),
        "self_attn.o_proj": (hidden, queries, depth), "mlp.gate_proj": (inner, hidden, 1), "mlp.up_proj": (inner, hidden, 1),
        "mlp.down_proj": (hidden, inner, depth),
    }
    embeddings = rng.normal(size=(config["vocab_size"], hidden)) * 0.02
    params = {"model.embed_tokens.weight": embeddings, "model.norm.weight": np.ones(hidden)}
    for layer in range(config["num_hidden_layers"]):
        for name, (rows, columns, scale) in shapes.items():
            params[f"model.layers.{layer}.{name}.weight"] = rng.normal(size=(rows, columns)) * scale * columns**-0.5
        for name in ("input_layernorm", "post_attention_layernorm"):
            params[f"model.layers.{layer}.{name}.weight"] = np.ones(hidden)
    return {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}


def rms_norm(x, weight, eps):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + eps) * weight


def rotate(x, cos, sin):
    first, second = jnp.split(x, 2, -1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def attention(params, prefix, x, cos, sin, mask, config):
    heads, kv_heads, width = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    batch, length, _ = x.shape
    query = (x @ params[prefix + "q_proj.weight"].T).reshape(batch, length, heads, width)
    key = (x @ params[prefix + "k_proj.weight"].T).reshape(batch, length, kv_heads, width)
    value = (x @ params[prefix + "v_proj.weight"].T).reshape(batch, length, kv_heads, width)
    key = jnp.repeat(rotate(key, cos, sin), heads // kv_heads, 2)
    value = jnp.repeat(value, heads // kv_heads, 2)
    scores = jnp.einsum("bqhd,bkhd->bhqk", rotate(query, cos, sin), key) * width**-0.5
    mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(jnp.where(mask, scores, -1e30), -1), value)
    return mixed.reshape(batch, length, -1) @ params[prefix + "o_proj.weight"].T


def hidden(params, ids, segments, positions, config):
    """The last hidden state of every position."""
    width, eps = config["head_dim"], config["rms_norm_eps"]
    angles = positions[..., None] * config["rope_theta"] ** (-np.arange(0, width, 2) / width)
    cos, sin = jnp.cos(angles)[:, :, None], jnp.sin(angles)[:, :, None]
    causal = np.tril(np.ones((ids.shape[1], ids.shape[1]), bool))
    mask = (causal & (segments[:, :, None] == segments[:, None, :]))[:, None]
    x = params["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        normal = rms_norm(x, params[prefix + "input_layernorm.weight"], eps)
        x = x + attention(params, prefix + "self_attn.", normal, cos, sin, mask, config)
        normal = rms_norm(x, params[prefix + "post_attention_layernorm.weight"], eps)
        gate = jax.nn.silu(normal @ params[prefix + "mlp.gate_proj.weight"].T)
        x = x + (gate * (normal @ params[prefix + "mlp.up_proj.weight"].T)) @ params[prefix + "mlp.down_proj.weight"].T
    return rms_norm(x, params["model.norm.weight"], eps)


def loss(params, batch, config):
    """Mean weighted cross-entropy of the next token within each conversation."""
    ids, weights, segments, positions = batch
    logits = hidden(params, ids[:, :-1], segments[:, :-1], positions[:, :-1], config) @ params["model.embed_tokens.weight"].T
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, ids[:, 1:])
    weights = weights[:, 1:] * (segments[:, 1:] == segments[:, :-1])
    return (nats * weights).sum() / weights.sum()


# Training


def schedule(peak, steps, warmup=60):
    """Linear warm-up, a plateau, and a linear decay to almost nothing over the last 60 %."""
    flat = int(steps * 0.4)
    up, decay = optax.linear_schedule(0, peak, warmup), optax.linear_schedule(peak, peak * 0.01, steps - flat)
    return optax.join_schedules([up, optax.constant_schedule(peak), decay], [warmup, flat])


def output_first(matrices):
    """Tell Muon which dimension is which."""
    return jax.tree.map(lambda _: optax.contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=0), matrices)


def make_optimizer(params, rate, steps):
    labels = {name: "matrix" if "_proj" in name else "other" for name in params}
    return optax.partition(
        {
            "matrix": optax.contrib.muon(schedule(rate * 5, steps), beta=0.95, muon_weight_dimension_numbers=output_first),
            "other": optax.adam(schedule(rate, steps), b1=0.9, b2=0.98),
        },
        labels,
    )


def train(options, config, data, validation):
    params = init(config, options.seed)
    print("parameters", sum(value.size for value in params.values()), "rows", len(data[0]), flush=True)
    optimizer = make_optimizer(params, options.rate, options.steps)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, batch):
        value, gradient = jax.value_and_grad(loss)(params, batch, config)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    measure = jax.jit(lambda params, batch: loss(params, batch, config))
    started, tokens = time.time(), 0
    for number in range(options.steps):
        rows = np.arange(number * options.batch, (number + 1) * options.batch) % len(data[0])
        batch = [part[rows] for part in data]
        params, state, value = step(params, state, batch)
        tokens += int((batch[2] > 0).sum())
        if (number + 1) % 100 == 0:
            print(f"step {number + 1} loss {value:.4f} tokens {tokens} seconds {time.time() - started:.0f}", flush=True)
    starts = range(0, len(validation[0]) - options.batch + 1, options.batch)
    losses = [float(measure(params, [part[start : start + options.batch] for part in validation])) for start in starts]
    print(f"validation loss {np.mean(losses):.4f} after {options.steps} steps, {tokens} tokens, {time.time() - started:.0f} s")
    return params


def save(params, config, out):
    """Write weights and config whole: under a new name first, then renamed."""
    tensors = {name: np.ascontiguousarray(value, np.float16) for name, value in params.items()}
    save_file(tensors, out + ".safetensors.new", metadata={"format": "pt"})
    with open(out + ".json.new", "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
        file.write("\n")
    for suffix in (".safetensors", ".json"):
        os.replace(out + suffix + ".new", out + suffix)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, default=8, help="rows a step")
    parser.add_argument("--rate", type=float, default=4e-3, help="peak learning rate of Adam; Muon's is five times as high")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True, help="path of the weights, without .safetensors")
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(options.tokenizer)
    config = make_config(options.size, tokenizer.get_vocab_size())
    data, validation = load(options.corpus, tokenizer), load(options.validation, tokenizer)
    save(train(options, config, data, validation), config, options.out)


if __name__ == "__main__":
    main()
