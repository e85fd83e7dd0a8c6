"""Train the eyes of the language models: a small encoder that looks at a whole picture before it becomes part of the prompt.

The encoder is in eyes.py. The language models are frozen: the numbers of all their tensors stay what they are, bit for bit, and
so does everything that they say about text.

Three steps. The encoder first learns on its own to tell what is in pictures, with a head that is thrown away afterwards. Then
it learns, through the frozen language model, what to say so that the model's answers about pictures come out right. Last, the
weights are written in place of whatever image tensors the model had before. Length and learning rate go by steps, never by time.

usage: vision.py --tokenizer tokenizer.json --model base --look 3000 --steps 2000
reads and replaces base.safetensors and base.json (--start takes the first eyes from another model instead of new ones)
"""

import argparse
import collections
import json
import random
import time

import train  # sets up JAX before it is loaded
from train import jax, jnp

import numpy as np
import optax
from safetensors.numpy import load_file
from tokenizers import Tokenizer

import chat
import corpus
import images
from eyes import SIDES, SIZES, features, filled, picture, see

# Patches and tokens of a batch: pictures and conversations go to the smallest that holds them.
PATCHES = [16, 36, 64]
TOKENS = [64, 96, 144]
BATCH = {16: 96, 36: 48, 64: 24}  # pictures of a step while the encoder learns on its own
TARGETS = {64: 24, 96: 48, 144: 96}  # the most tokens of answers in a conversation
TALKS = {64: 48, 96: 32, 144: 20}  # conversations of a step through the language model
LABELS = {"shape": images.SHAPES, "colour": list(images.COLOURS), "digit": list(range(10)),
          "background": list(images.BACKGROUNDS), "scale": [1, 2, 3]}


# The encoder


def init(hidden, rng):
    """New eyes for a language model with a residual stream of this width."""
    width, inner = SIZES["hidden_size"], SIZES["intermediate_size"]

    def matrix(outputs, inputs, scale=1.0):
        return rng.normal(size=(outputs, inputs)) * inputs**-0.5 * scale

    params = {
        "image.patch_proj.weight": 2 * train.look_at_patches(width, rng), "image.patch_proj.bias": np.zeros(width),
        "image.row_embed.weight": rng.normal(size=(SIDES, width)) * 0.5,
        "image.column_embed.weight": rng.normal(size=(SIDES, width)) * 0.5,
        "image.norm.weight": np.ones(width),
        "image.out_proj.weight": matrix(hidden, width, 0.3), "image.out_proj.bias": np.zeros(hidden),
    }
    for layer in range(SIZES["num_hidden_layers"]):
        prefix = f"image.layers.{layer}."
        for name in "qkv":
            params[f"{prefix}self_attn.{name}_proj.weight"] = matrix(width, width)
        params[f"{prefix}self_attn.o_proj.weight"] = matrix(width, width, 0.5)
        params[f"{prefix}mlp.gate_proj.weight"] = matrix(inner, width)
        params[f"{prefix}mlp.up_proj.weight"] = matrix(inner, width)
        params[f"{prefix}mlp.down_proj.weight"] = matrix(width, inner, 0.5)
        for name in ("input_layernorm", "post_attention_layernorm"):
            params[f"{prefix}{name}.weight"] = np.ones(width)
    return {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}


# Pictures and conversations about them, in batches


def smallest(sizes, needed):
    return next((size for size in sizes if needed <= size), None)


def words(spec, tokens):
    """What the patches of a picture say at first, each the token of a word, so that the language model reads on: in turn along a
    row colour, shape and digit, and in every second row the background too. A digit follows the space that stands before it."""
    things = [[tokens["Ġ" + spec["colour"]], tokens["Ġ" + spec["shape"]]]] if "shape" in spec else []
    things += [[tokens["Ġ"], tokens[str(spec["digit"])]]] if "digit" in spec else []
    lines = things[0] + things[-1], things[-1] + [tokens["Ġon"], tokens["Ġ" + spec["background"]]]
    return [lines[row % 2][column % 4] for row, column in images.places(spec["width"], spec["height"])]


def batched(made, size):
    """Batches of things of the same kind; `made` gives (kind, thing), `size` how many of a kind make a batch."""
    waiting = collections.defaultdict(list)
    for kind, thing in made:
        waiting[kind].append(thing)
        if len(waiting[kind]) == size(kind):
            yield [np.stack(parts) for parts in zip(*waiting.pop(kind))]


def labels(spec):
    """What is in a picture, by number; −1 where nothing is."""
    return [values.index(spec[label]) if label in spec else -1 for label, values in LABELS.items()]


def pictures(rng, told):
    """Pictures of the corpus, every third of another size that the lab takes, and what is `told` of them."""
    while True:
        size = (8 * rng.randint(2, 8), 8 * rng.randint(2, 8)) if rng.random() < 0.35 else None
        spec = images.draw_spec(rng, size)
        kind = smallest(PATCHES, spec["width"] * spec["height"] // 64)
        yield kind, (*filled(picture(spec), kind), told(spec, kind))


def talks(rng, tokenizer, shapes, chatty):
    """Conversations about pictures as the corpus has them, none of them held out; in a share of them, shapes alone are asked for."""
    while True:
        made = rng.choices([corpus.picture, corpus.shape_picture], [1 - shapes, shapes])[0](rng)
        if corpus.held_out(made):
            continue
        example = corpus.chatty(rng, made) if chatty else made
        spec = chat.specs(example)[0]
        ids, weights, _ = next(train.encode(tokenizer, [example]))
        answers = sum(weight >= 1 for weight in weights)
        length = next((size for size in TOKENS if len(ids) <= size and answers <= TARGETS[size]), None)
        if length:
            kind = length, smallest(PATCHES, spec["width"] * spec["height"] // 64)
            yield kind, conversation(ids, weights, picture(spec), kind)


def conversation(ids, weights, seen, kind):
    """A conversation as arrays: ids, the places before answers' tokens and their weights, pixels, their places in picture and
    text."""
    length, count = kind
    wanted = [place for place, weight in enumerate(weights) if weight >= 1]
    ids_, places = np.full(length, chat.PAD, np.int32), np.full(count, length, np.int32)
    targets, weights_ = np.zeros(TARGETS[length], np.int32), np.zeros(TARGETS[length], np.float32)
    ids_[: len(ids)] = ids
    targets[: len(wanted)], weights_[: len(wanted)] = np.array(wanted) - 1, np.array(weights)[wanted]
    places[: len(seen[0])] = np.flatnonzero(ids_ == chat.PATCH)
    return (ids_, targets, weights_, *filled(seen, count), places)


# Training


def optimizer(rate, steps):
    warm = optax.warmup_cosine_decay_schedule(0.0, rate, 100, steps, rate * 0.02)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(warm, b1=0.9, b2=0.98))


def fit(params, loss, batches, rate, steps, name):
    """Follow the gradient of `loss`, which gives a value and something to report."""
    rule = optimizer(rate, steps)
    state = rule.init(params)

    @jax.jit
    def step(params, state, batch):
        (value, seen), gradient = jax.value_and_grad(loss, has_aux=True)(params, batch)
        updates, state = rule.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value, seen

    started, values = time.time(), []
    for number, batch in zip(range(1, steps + 1), batches):
        params, state, *told = step(params, state, batch)
        values.append(told)
        if number % 100 == 0:
            short, seen = np.mean([float(value) for value, _ in values]), np.mean([seen for _, seen in values], 0)
            print(f"{name} step {number} loss {short:.4f} right {np.round(seen, 2)} seconds {time.time() - started:.0f}", flush=True)
            values = []
    return params


def label_loss(params, batch):
    """How badly the head tells what is in the pictures; the share of labels that it tells, for each."""
    pixels, places, labels = batch
    made = features(params, pixels, places)
    there = (places[..., :1] >= 0).astype(jnp.float32)
    scores = (made * there).sum(1) / there.sum(1) @ params["head"].T
    total, told, start = 0.0, [], 0
    for index, values in enumerate(LABELS.values()):
        part = scores[:, start : start + len(values) + 1]  # the last one is "nothing"
        truth = jnp.where(labels[:, index] < 0, len(values), labels[:, index])
        total += optax.softmax_cross_entropy_with_integer_labels(part, truth).mean()
        there = labels[:, index] >= 0
        told.append(((part.argmax(1) == truth) & there).sum() / jnp.maximum(there.sum(), 1))
        start += len(values) + 1
    return total, jnp.stack(told)


def look(params, steps, seed):
    """Let the encoder learn on its own what is in pictures."""
    head = np.zeros((sum(len(values) + 1 for values in LABELS.values()), SIZES["hidden_size"]), np.float32)
    made = pictures(random.Random(f"look/{seed}"), lambda spec, _: np.array(labels(spec), np.int32))
    batches = batched(made, BATCH.get)
    params = fit({**params, "head": jnp.asarray(head)}, label_loss, batches, 3e-3, steps, "look")
    return {name: value for name, value in params.items() if name != "head"}


def speak(params, steps, seed, tokens, embeddings):
    """Let the encoder learn to say what it sees as the embeddings of words, each nearer to its own word's than to the others'."""
    texts = ["Ġ" + word for label in ("shape", "colour", "background") for word in LABELS[label]]
    known = np.array([tokens[text] for text in [*texts, "Ġon", "Ġ", *map(str, LABELS["digit"])]])
    embeddings = embeddings[known]
    lengths, scale = jnp.square(embeddings).sum(1) / 2, jnp.square(embeddings).mean()

    def told(spec, kind):
        said = [int(np.flatnonzero(known == token)[0]) for token in words(spec, tokens)]
        return np.array(said + [-1] * (kind - len(said)), np.int32)

    def loss(params, batch):
        pixels, places, said = batch
        made, there = see(params, pixels, places), said >= 0
        scores = made @ embeddings.T - lengths
        nats = optax.softmax_cross_entropy_with_integer_labels(scores, jnp.maximum(said, 0))
        far = jnp.square(made - embeddings[said]).mean(-1) / scale
        return ((nats + far) * there).sum() / there.sum(), ((scores.argmax(-1) == said) & there).sum() / there.sum()

    return fit(params, loss, batched(pictures(random.Random(f"speak/{seed}"), told), BATCH.get), 2e-3, steps, "speak")


def talk_loss(language, config):
    """The loss of answers through a frozen language model, and the share of answers' tokens that are the likeliest."""

    def loss(params, batch):
        ids, targets, weights, pixels, where, places = batch
        positions = jnp.broadcast_to(jnp.arange(ids.shape[1] - 1), (len(ids), ids.shape[1] - 1))
        states = train.hidden(language, ids[:, :-1], jnp.ones_like(positions), positions, see(params, pixels, where), places, config)
        rows = jnp.arange(len(ids))[:, None]
        logits, tokens = states[rows, targets] @ language["model.embed_tokens.weight"].T, ids[rows, targets + 1]
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, tokens)
        right = (logits.argmax(-1) == tokens) | (weights == 0)
        return (nats * weights).sum() / weights.sum(), right.all(1).mean()

    return loss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--model", required=True, help="path of the weights, without .safetensors")
    parser.add_argument("--out", help="path of the new weights, without .safetensors; those of --model if left out")
    parser.add_argument("--start", help="weights whose encoder to begin with, without .safetensors")
    parser.add_argument("--look", type=int, default=0, help="steps in which the encoder learns on its own")
    parser.add_argument("--speak", type=int, default=0, help="steps in which it learns to say what it sees in words")
    parser.add_argument("--steps", type=int, required=True, help="steps through the language model")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--shapes", type=float, default=1 / 6, help="share of conversations about shapes alone")
    parser.add_argument("--chatty", action="store_true", help="answers as the chatty variant gives them")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with open(options.model + ".json", encoding="utf-8") as file:
        config = json.load(file)
    language = {name: value for name, value in load_file(options.model + ".safetensors").items() if not name.startswith("image.")}
    params = init(config["hidden_size"], np.random.default_rng(options.seed))
    if options.start:
        old = load_file(options.start + ".safetensors")
        params = {name: jnp.asarray(old[name], jnp.float32) if name in old and old[name].shape == value.shape else value
                  for name, value in params.items()}
    print("parameters", sum(value.size for value in params.values()), flush=True)
    if options.look:
        params = look(params, options.look, options.seed)
    frozen = {name: jnp.asarray(value, jnp.float32) for name, value in language.items()}
    tokenizer = Tokenizer.from_file(options.tokenizer)
    if options.speak:
        params = speak(params, options.speak, options.seed, tokenizer.get_vocab(), frozen["model.embed_tokens.weight"])
    if options.steps:
        made = talks(random.Random(f"talk/{options.seed}"), tokenizer, options.shapes, options.chatty)
        batches = batched(made, lambda kind: TALKS[kind[0]])
        params = fit(params, talk_loss(frozen, config), batches, options.rate, options.steps, "talk")
    config["vision_config"] = SIZES
    train.save({**language, **params}, config, options.out or options.model)


if __name__ == "__main__":
    main()
