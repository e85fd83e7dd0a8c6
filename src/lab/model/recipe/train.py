"""Train a tiny Llama on the corpus with JAX, on one thread of a CPU.

Pre-norm blocks with RMSNorm, rotary positions in the half-rotation layout, grouped-query attention, SwiGLU, tied embeddings;
a picture's patches are projected in the place of their tokens' embeddings. Conversations are packed into rows; attention and
positions stay within a conversation, so that training sees exactly what serving sees. Muon trains the matrices of the layers,
Adam the rest. Length and learning rate go by steps, never by time.

usage: train.py --tokenizer tokenizer.json --size base --stage drill.jsonl:700 --stage main.jsonl:5000 --out base
writes base.safetensors (f16, Hugging Face names) and base.json
"""

import argparse
import itertools
import json
import os
import pickle
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

import chat
from eyes import SIZES as ENCODER, filled, picture, rms_norm, see

# Rows of three lengths, so that short conversations do not pay for attention over long rows. For each length in tokens: rows a
# step, positions of a row that the loss looks at, and patches in a row.
ROWS = {192: (12, 112, 72), 448: (5, 224, 112), 1152: (2, 176, 64)}
CHUNK = 96  # queries that look at their past together
CONTEXT = 1536
PROMPT_WEIGHT = 0.05  # the loss is about answers; prompts only keep the positions warm
EXACT_WEIGHT = 2.0  # exact answers are short, so their tokens weigh more
PIXELS = 64  # of a patch
SEEN = 64  # patches of the largest picture
FAST = 4  # rotations that tell neighbours apart; the slower ones say little about place
STEADY = 1.0  # the number that begins alike in every embedding
SIZES = {
    "base": dict(hidden_size=128, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=2, intermediate_size=288),
    "chat": dict(hidden_size=128, num_hidden_layers=5, num_attention_heads=4, num_key_value_heads=2, intermediate_size=288),
    "small": dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=160),
}


def make_config(size, vocab_size):
    shape = SIZES[size]
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", **shape,
        "head_dim": shape["hidden_size"] // shape["num_attention_heads"], "vocab_size": vocab_size,
        "max_position_embeddings": CONTEXT, "rope_theta": 500000.0, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "tie_word_embeddings": True, "bos_token_id": chat.BOS, "eos_token_id": chat.END, "pad_token_id": chat.PAD,
        "torch_dtype": "float16",
    }


# Data


def through(eyes):
    """How to look at the pictures of an example, patch by patch, and what an empty patch looks like.

    Without an encoder a patch is its pixels, which the model projects; with one it is what the encoder makes of it. The encoder is
    not trained here, so that it looks only once.
    """
    if not eyes:
        return chat.pictures, np.zeros(3 * PIXELS, np.uint8)
    look = jax.jit(lambda *picture: see(eyes, *picture)[0])

    def seen(example):
        shown = [picture(spec) for spec in chat.specs(example)]
        return [patch for patches, places in shown
                for patch in np.asarray(look(*(part[None] for part in filled((patches, places), SEEN))))[: len(patches)]]

    return seen, np.zeros(len(eyes["image.out_proj.bias"]), np.float32)


def encode(tokenizer, examples, look=chat.pictures):
    """Token ids and loss weights of every conversation, and the patches of its pictures."""
    texts = [chat.prompt_and_answer(example) for example in examples]
    encoded = tokenizer.encode_batch([prompt + answer + "\n" for prompt, answer in texts])
    newline, think, end_think = (tokenizer.encode(text).ids[0] for text in ("\n", "<think>", "</think>"))
    for example, line in zip(examples, encoded):
        ids, weights = line.ids, [PROMPT_WEIGHT] * len(line.ids)
        answer_weight = 1.0 if example["truth"] is None else EXACT_WEIGHT
        place = 0
        while place < len(ids):
            if ids[place] == chat.ASSISTANT:
                place += 2 if ids[place + 2] != think else 4  # the newline after a role is part of the prompt
                while ids[place] != chat.END:
                    weights[place] = answer_weight
                    place += 1
                weights[place] = answer_weight
            elif ids[place] == chat.PATCH or ids[place] in (chat.SPECIAL.index("<|row|>"), think):
                weights[place] = 0.0
            place += 1
        weights[0] = 0.0
        yield ids, weights, look(example)


def pack(conversations, length, blank, open_rows=16):
    """Rows of `length` + 1 tokens as arrays: ids, segments (0 is padding), positions, targets (the places before the tokens
    that the loss looks at), their weights, the patches and their places."""
    most = ROWS[length][2]
    done, rows = [], []
    for ids, weights, patches in conversations:
        room = [row for row in rows if len(row[0]) + len(ids) <= length + 1 and len(row[4]) + len(patches) <= most]
        row = max(room, key=lambda row: len(row[0])) if room else ([], [], [], [], [])
        if not room:
            rows.append(row)
        segment = row[2][-1] + 1 if row[2] else 1
        for part, values in zip(row, (ids, weights, [segment] * len(ids), range(len(ids)), patches)):
            part.extend(values)
        if len(rows) > open_rows:
            done.append(rows.pop(max(range(len(rows)), key=lambda place: len(rows[place][0]))))
    rng = np.random.default_rng(0)
    packed = [arrange(row, length, blank, rng) for row in done + rows]
    return [np.stack(parts) for parts in zip(*packed)]


def arrange(row, length, blank, rng):
    ids, weights, segments, positions, patches = row
    full = length + 1

    def wide(values, kind, size=full, value=0):
        out = np.full(size, value, kind)
        out[: len(values)] = values
        return out

    weights = np.array(weights, np.float32)
    # All tokens of answers, and as many of the prompts' as there is room for.
    wanted = np.argsort(-weights[1:] + 0.04 * rng.random(len(weights) - 1), kind="stable")
    wanted = np.sort(wanted[weights[1:][wanted] > 0][: ROWS[length][1]])
    places = np.flatnonzero(np.array(ids) == chat.PATCH)
    seen = np.tile(blank, (ROWS[length][2], 1))
    seen[: len(patches)] = np.reshape(patches, (-1, len(blank)))
    return (wide(ids, np.int16, value=chat.PAD), wide(segments, np.int16), wide(positions, np.int16),
            wide(wanted, np.int16, ROWS[length][1]), wide(weights[1:][wanted], np.float32, ROWS[length][1]),
            seen, wide(places, np.int16, ROWS[length][2], full))


def load(path, tokenizer, eyes):
    """The packed rows of a file, by length: a conversation goes to the shortest rows that hold it."""
    look, blank = through(eyes)
    with open(path, encoding="utf-8") as lines:
        encoded = encode(tokenizer, [json.loads(line) for line in lines], look)
    sorted_ = {length: [] for length in ROWS}
    for made in encoded:
        fitting = [length for length in ROWS if len(made[0]) <= length + 1 and len(made[2]) <= ROWS[length][2]]
        if fitting:
            sorted_[fitting[0]].append(made)
    return {length: pack(made, length, blank) for length, made in sorted_.items() if made}


# Model. Parameters are a dictionary with Hugging Face's names; matrices have the output dimension first.


def twins(tokenizer):
    """(Token of a word after a space, token of the same word without one) for all words that have both."""
    tokens = tokenizer.get_vocab()
    pairs = [(place, tokens.get(token[1:])) for token, place in tokens.items() if token[0] == "Ġ" and len(token) > 2]
    return np.array(sorted(pair for pair in pairs if pair[1] is not None))


def init(config, seed, pairs):
    rng = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    depth = 0.05  # blocks add little at first
    shapes = {
        "self_attn.q_proj": (queries, hidden, 1), "self_attn.k_proj": (keys, hidden, 1), "self_attn.v_proj": (keys, hidden, 1),
        "self_attn.o_proj": (hidden, queries, depth), "mlp.gate_proj": (inner, hidden, 1), "mlp.up_proj": (inner, hidden, 1),
        "mlp.down_proj": (hidden, inner, depth),
    }
    embeddings = rng.normal(size=(config["vocab_size"], hidden)) * 0.25
    # A word begins alike with and without a space before it, but for one direction that tells the forms apart: a head that
    # copies then carries the word, and what stands around it decides on the form.
    spaced, bare = pairs.T
    embeddings[bare] = 0.8 * embeddings[spaced] + 0.6 * embeddings[bare] + rng.normal(size=hidden) * 0.12
    params = {"model.embed_tokens.weight": embeddings, "model.norm.weight": np.full(hidden, 0.1)}
    for layer in range(config["num_hidden_layers"]):
        for name, (outputs, inputs, scale) in shapes.items():
            params[f"model.layers.{layer}.{name}.weight"] = rng.normal(size=(outputs, inputs)) * inputs**-0.5 * scale
        for name in ("input_layernorm", "post_attention_layernorm"):
            params[f"model.layers.{layer}.{name}.weight"] = np.ones(hidden)
    look_back(params, config, rng)
    params["image.patch_proj.weight"] = look_at_patches(hidden, rng)
    params["image.patch_proj.bias"] = np.where(np.arange(hidden) == 0, STEADY, 0.0)
    return {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}


def look_at_patches(hidden, rng):
    """A projection of patches whose outputs are as large as embeddings, and say more about form than about brightness.

    A patch's mean colour is most of it, and nearly the same for all patches of a picture; what differs within the patch tells a
    digit from another.
    """
    within = rng.normal(size=(hidden, PIXELS, 3))
    within -= within.mean(1, keepdims=True)
    within += 0.5 * within.mean(2, keepdims=True)
    means = rng.normal(size=(hidden, 1, 3)) * 3 / PIXELS**0.5
    weights = (0.03 * (within + means)).reshape(hidden, -1)
    weights[0] = 0  # the number that is the same for every token
    return weights


def look_back(params, config, rng):
    """Begin with the rudiments of looking things up, which training from nothing at all finds late or never.

    Heads of the first layer see which tokens came before; heads of the second look for places that come after the same tokens,
    and pass on what stands there; heads of the third look at everything alike and pass on what they see, so that they have only
    to learn where to look. The other heads begin at random, and all of it may change in training.
    """
    hidden, width = config["hidden_size"], config["head_dim"]
    params["model.embed_tokens.weight"][:, 0] = STEADY
    look_at_neighbours(params, config)
    # Spaces without a direction in common: what a token is, what the token before it was, and the one before that.
    basis = np.linalg.qr(rng.normal(size=(hidden, hidden)))[0].T
    basis[:, 0] = 0
    own, before, earlier = (basis[start : start + width] for start in (0, hidden // 2, width))
    first, second, third = (projections(params, layer) for layer in (0, 1, 2))
    first["v"][:width] = own
    first["o"][:, :width] = before.T * 0.3
    # The fastest rotations would tie what is looked for to a distance.
    slow = np.tile(np.arange(width // 2) > FAST, 2)[:, None] * 2.0
    second["q"][:width], second["k"][:width], second["v"][:width] = own * slow, before * slow, own
    second["o"][:, :width] = own.T * 1.2
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    if hidden >= 4 * width:
        # Once more for two tokens together: words that are to be repeated may stand elsewhere too, but not after the same word.
        # The token before last is taken in another order, so that it is not taken for the last.
        first["o"][:, width : 2 * width] = earlier.T * 0.3
        order, at = rng.permutation(width), group * width
        second["q"][at : at + width] = (own + before[order]) * slow
        second["k"][width : 2 * width], second["v"][width : 2 * width] = (before + earlier[order]) * slow, own
        second["o"][:, at : at + width] = own.T * 1.2
    if third:
        third["q"][: group * width] *= 0.3
        third["v"][:width] = own
        third["o"][:, : group * width] = np.tile(own.T * 0.6, group)


def projections(params, layer):
    """The four matrices of a layer's attention; none if there is no such layer."""
    prefix = f"model.layers.{layer}.self_attn."
    return {part: params[f"{prefix}{part}_proj.weight"] for part in "qkvo" if f"{prefix}{part}_proj.weight" in params}


def look_at_neighbours(params, config):
    """Let the heads of the first layer look at the token before, the second and the third before.

    One number of the residual stream is the same for every token, and queries and keys made of it differ by their rotation only,
    so that they meet best at a distance.
    """
    width, heads = config["head_dim"], config["num_attention_heads"]
    group, half = heads // config["num_key_value_heads"], width // 2
    pace = config["rope_theta"] ** (-2 * np.arange(FAST) / width)
    query, key = (projections(params, 0)[part] for part in "qk")
    for head in range(heads):
        at, shared, back = head * width, head // group * width, head + 1
        for start in (0, half):
            query[at + start : at + start + FAST] *= 0.1
            key[shared + start : shared + start + FAST] *= 0.1
        key[shared : shared + FAST, 0] = 1.6
        if head < 3:
            query[at : at + width] *= 0.3
            query[at : at + FAST, 0] = 1.6 * np.cos(back * pace)
            query[at + half : at + half + FAST, 0] = -1.6 * np.sin(back * pace)


def rotate(x, cos, sin):
    first, second = jnp.split(x, 2, -1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def attention(params, prefix, x, cos, sin, masks, config):
    heads, kv_heads, width = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    batch, length, _ = x.shape
    group = heads // kv_heads

    def project(name, count):
        return (x @ params[prefix + name + "_proj.weight"].T).reshape(batch, length, count, width)

    query = rotate(project("q", heads), cos, sin).reshape(batch, length, kv_heads, group, width).transpose(0, 2, 3, 1, 4)
    key = rotate(project("k", kv_heads), cos, sin).transpose(0, 2, 1, 3)
    value = project("v", kv_heads).transpose(0, 2, 1, 3)
    query = query * width**-0.5
    mixed = []
    for start, mask in masks:  # a chunk of queries looks at keys up to its own end
        end = start + mask.shape[1]
        chunk = query[:, :, :, start:end].reshape(batch, kv_heads, -1, width)
        scores = (chunk @ key[:, :, :end].swapaxes(2, 3)).reshape(batch, kv_heads, group, -1, end)
        shares = jax.nn.softmax(jnp.where(mask[:, None, None], scores, -1e30), -1).reshape(batch, kv_heads, -1, end)
        mixed.append((shares @ value[:, :, :end]).reshape(batch, kv_heads, group, -1, width))
    mixed = jnp.concatenate(mixed, 3).transpose(0, 3, 1, 2, 4)
    return mixed.reshape(batch, length, -1) @ params[prefix + "o_proj.weight"].T


def hidden(params, ids, segments, positions, patches, places, config):
    """The last hidden state of every position; `patches` stand in these places instead of their tokens' embeddings."""
    width, eps, length = config["head_dim"], config["rms_norm_eps"], ids.shape[1]
    angles = positions[..., None].astype(jnp.float32) * config["rope_theta"] ** (-np.arange(0, width, 2) / width)
    cos, sin = jnp.cos(angles)[:, :, None], jnp.sin(angles)[:, :, None]
    masks = []
    for start in range(0, length, CHUNK):
        end = min(length, start + CHUNK)
        causal = np.arange(start, end)[:, None] >= np.arange(end)
        masks.append((start, causal & (segments[:, start:end, None] == segments[:, None, :end])))
    x = params["model.embed_tokens.weight"][ids]
    x = x.at[jnp.arange(len(ids))[:, None], places].set(patches, mode="drop")
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        normal = rms_norm(x, params[prefix + "input_layernorm.weight"], eps)
        x = x + attention(params, prefix + "self_attn.", normal, cos, sin, masks, config)
        normal = rms_norm(x, params[prefix + "post_attention_layernorm.weight"], eps)
        gate = jax.nn.silu(normal @ params[prefix + "mlp.gate_proj.weight"].T)
        x = x + (gate * (normal @ params[prefix + "mlp.up_proj.weight"].T)) @ params[prefix + "mlp.down_proj.weight"].T
    return rms_norm(x, params["model.norm.weight"], eps)


def target_logits(params, batch, config):
    """Scores of the tokens that the loss looks at, and those tokens."""
    ids, segments, positions, targets, _, patches, places = (part.astype(jnp.int32) if part.dtype == jnp.int16 else part
                                                            for part in batch)
    if patches.dtype == jnp.uint8:
        patches = (patches.astype(jnp.float32) / 127.5 - 1) @ params["image.patch_proj.weight"].T + params["image.patch_proj.bias"]
    states = hidden(params, ids[:, :-1], segments[:, :-1], positions[:, :-1], patches, places, config)
    rows = jnp.arange(len(ids))[:, None]
    return states[rows, targets] @ params["model.embed_tokens.weight"].T, ids[rows, targets + 1]


def loss(params, batch, config):
    """Mean weighted cross-entropy of the next token."""
    logits, tokens = target_logits(params, batch, config)
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, tokens)
    return (nats * batch[4]).sum() / batch[4].sum()


# Training


def schedule(peak, steps, warmup=60):
    """Linear warm-up, a plateau, and a linear decay to almost nothing over the last 36 %."""
    flat = int(steps * 0.64)
    up, decay = optax.linear_schedule(0, peak, warmup), optax.linear_schedule(peak, peak * 0.02, steps - flat)
    return optax.join_schedules([up, optax.constant_schedule(peak), decay], [warmup, flat])


def output_first(matrices):
    """Tell Muon which dimension is which."""
    return jax.tree.map(lambda _: optax.contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=0), matrices)


def make_optimizer(params, rate, steps):
    def label(name):
        return "image" if name.startswith("image.") else "matrix" if "_proj" in name else "other"

    return optax.partition(
        {
            "matrix": optax.contrib.muon(schedule(rate * 5, steps), beta=0.95, muon_weight_dimension_numbers=output_first),
            "other": optax.adam(schedule(rate, steps), b1=0.9, b2=0.98),
            "image": optax.adam(schedule(rate * 0.7, steps), b1=0.9, b2=0.98),
        },
        {name: label(name) for name in params},
    )


def batches(stages, tokenizer, eyes):
    """One batch a step, stage by stage, rows of all lengths spread evenly; files are read when they are needed."""
    for stage in stages:
        path, steps = stage.rsplit(":", 1)
        data = load(path, tokenizer, eyes)
        counts = {length: len(rows[0]) // ROWS[length][0] for length, rows in data.items()}
        counts = {length: count for length, count in counts.items() if count}
        print(f"stage {stage} batches {counts}", flush=True)
        taken = dict.fromkeys(counts, 0)
        for _ in range(int(steps)):
            length = min(counts, key=lambda length: (taken[length] + 0.5) / counts[length])
            size = ROWS[length][0]
            start = taken[length] % counts[length] * size
            taken[length] += 1
            yield [part[start : start + size] for part in data[length]]


def train(options, config, tokenizer):
    params, eyes = init(config, options.seed, twins(tokenizer)), {}
    if options.start:
        started_with = {name: jnp.asarray(value, jnp.float32) for name, value in load_file(options.start + ".safetensors").items()}
        if "image.out_proj.weight" in started_with:
            # An encoder of its own is looked through and stays what it is; after this it should follow what has changed (vision.py).
            eyes = {name: value for name, value in started_with.items() if name.startswith("image.")}
            config["vision_config"] = ENCODER
        params |= {name: value for name, value in started_with.items() if name not in eyes}
    print("parameters", sum(value.size for value in params.values()), flush=True)
    steps = sum(int(stage.rsplit(":", 1)[1]) for stage in options.stage)
    optimizer = make_optimizer(params, options.rate, steps)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, batch):
        value, gradient = jax.value_and_grad(loss)(params, batch, config)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    started, tokens, values, first = time.time(), 0, [], 0
    checkpoint = options.out + ".checkpoint"
    if options.resume and os.path.exists(checkpoint):
        with open(checkpoint, "rb") as file:
            first, params, state, tokens = pickle.load(file)
        print(f"resumed after step {first}", flush=True)
    for number, batch in enumerate(itertools.islice(batches(options.stage, tokenizer, eyes), options.until), 1):
        if number <= first:
            continue
        params, state, value = step(params, state, batch)
        tokens += int((batch[1] > 0).sum())
        values.append(value)
        if number % 100 == 0:
            short = np.mean([float(value) for value in values])
            print(f"step {number} loss {short:.4f} tokens {tokens} seconds {time.time() - started:.0f}", flush=True)
            values = []
        if options.checkpoint and number % options.checkpoint == 0:
            save(params | eyes, config, options.out)
            with open(checkpoint + ".new", "wb") as file:
                pickle.dump((number, *jax.device_get((params, state)), tokens), file)
            os.replace(checkpoint + ".new", checkpoint)
    print(f"{number} steps, {tokens} tokens, {time.time() - started:.0f} s")
    return params | eyes


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
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--stage", action="append", required=True, help="file:steps")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate of Adam; Muon's is five times as high")
    parser.add_argument("--until", type=int, help="stop after this step, though the schedule goes on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", help="weights to begin with, without .safetensors")
    parser.add_argument("--checkpoint", type=int, default=0, help="steps between checkpoints; 0 is none")
    parser.add_argument("--resume", action="store_true", help="go on after the last checkpoint")
    parser.add_argument("--out", required=True, help="path of the weights, without .safetensors")
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(options.tokenizer)
    config = make_config(options.size, tokenizer.get_vocab_size())
    save(train(options, config, tokenizer), config, options.out)


if __name__ == "__main__":
    main()
