"""Measure a trained model on prompts that training never saw.

Prints the validation loss over answers, the entropy of the next token in open answers at temperature 1, the accuracy of every
exact task at temperature 0 (the whole answer must be right), and example answers. Conversations are decoded in batches, with
the whole row computed anew for every token: slow for serving, short to read.
usage: measure.py --model base --tokenizer tokenizer.json --validation valid.jsonl
"""

import argparse
import collections
import json

import numpy as np

from safetensors.numpy import load_file
from tokenizers import Tokenizer

import train
from train import END, PAD, ROW, jax, jnp


def prompt_ids(tokenizer, messages):
    text = "<s>" + "".join(f"<|{message['role']}|>\n{message['content']}<|end|>\n" for message in messages)
    return tokenizer.encode(text + "<|assistant|>\n").ids


class Decoder:
    def __init__(self, path, tokenizer):
        with open(path + ".json", encoding="utf-8") as file:
            config = json.load(file)
        self.params = {name: jnp.asarray(value, jnp.float32) for name, value in load_file(path + ".safetensors").items()}
        self.config, self.tokenizer = config, tokenizer

        @jax.jit
        def next_logits(params, ids, lengths):
            positions = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
            states = train.hidden(params, ids, jnp.ones_like(ids), positions, config)
            return states[jnp.arange(len(ids)), lengths - 1] @ params["model.embed_tokens.weight"].T

        self.next_logits = next_logits

    def decode(self, prompts, temperature, limit, rng):
        """Answers to prompts (lists of ids), and the entropies of the distributions that they were drawn from."""
        width = min(ROW, -(-(max(map(len, prompts)) + limit) // 96) * 96)  # few different shapes to compile
        ids = np.full((len(prompts), width), PAD, np.int32)
        for row, prompt in zip(ids, prompts):
            row[: len(prompt)] = prompt
        lengths = np.array([len(prompt) for prompt in prompts])
        answers, entropies = [[] for _ in prompts], [[] for _ in prompts]
        running = np.ones(len(prompts), bool)
        for _ in range(limit):
            logits = np.asarray(self.next_logits(self.params, ids, lengths), np.float64)
            logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
            noise = rng.gumbel(size=logits.shape) if temperature else 0.0
            chosen = np.argmax(logprobs / (temperature or 1.0) + noise, axis=1)
            running &= lengths < width
            for row in np.flatnonzero(running):
                entropies[row].append(-(np.exp(logprobs[row]) * logprobs[row]).sum())
                if chosen[row] == END:
                    running[row] = False
                    continue
                answers[row].append(int(chosen[row]))
                ids[row, lengths[row]] = chosen[row]
                lengths[row] += 1
            if not running.any():
                break
        return [self.tokenizer.decode(answer) for answer in answers], entropies

    def decode_all(self, examples, temperature, limit, seed=0, batch=32):
        rng = np.random.default_rng(seed)
        order = sorted(range(len(examples)), key=lambda place: len(json.dumps(examples[place]["messages"])))
        answers, entropies = [None] * len(examples), [None] * len(examples)
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            prompts = [prompt_ids(self.tokenizer, examples[place]["messages"][:-1]) for place in places]
            padding = [prompts[0]] * (batch - len(places))
            for place, answer, entropy in zip(places, *self.decode(prompts + padding, temperature, limit, rng)):
                answers[place], entropies[place] = answer, entropy
        return answers, entropies


def validation_loss(decoder, examples):
    """Cross-entropy per token of the last answers of open and of exact examples, in nats."""
    losses = {"open": [0.0, 0], "exact": [0.0, 0]}
    measure = jax.jit(lambda params, batch: train.loss(params, batch, decoder.config))
    for kind in losses:
        chosen = [example for example in examples if (example["truth"] is None) == (kind == "open")]
        rows = train.pack(train.encode(decoder.tokenizer, chosen), ROW)
        rows[1] = (rows[1] > train.PROMPT_WEIGHT).astype(np.float32)
        for start in range(0, len(rows[0]) - 7, 8):
            batch = [part[start : start + 8] for part in rows]
            count = batch[1].sum()
            losses[kind][0] += float(measure(decoder.params, batch)) * count
            losses[kind][1] += count
    return {kind: total / count for kind, (total, count) in losses.items()}


def by_task(examples, limit):
    """At most `limit` examples of every task."""
    tasks = collections.defaultdict(list)
    for example in examples:
        if len(tasks[example["task"]]) < limit:
            tasks[example["task"]].append(example)
    return dict(sorted(tasks.items()))


def accuracies(decoder, tasks):
    for task, examples in tasks.items():
        if examples[0]["truth"] is None:
            continue
        answers, _ = decoder.decode_all(examples, 0.0, 40)
        right = sum(example["messages"][-1]["content"] == answer for example, answer in zip(examples, answers))
        print(f"  {task:13} {right / len(examples):.2f} of {len(examples)}", flush=True)


def open_answers(decoder, tasks, limit):
    every, lengths = [], []
    for task, examples in tasks.items():
        if examples[0]["truth"] is not None:
            continue
        _, entropies = decoder.decode_all(examples[:limit], 1.0, 90)
        values = [value for entropy in entropies for value in entropy]
        every += values
        lengths += map(len, entropies)
        print(f"  {task:13} {np.mean(values):.2f} nats a token, {len(values) / len(entropies):.0f} tokens", flush=True)
    print(f"  {'all':13} {np.mean(every):.2f} nats a token, {np.mean(lengths):.0f} tokens")


def show(decoder, tasks, count):
    for number, task in enumerate(list(tasks)[:: max(1, len(tasks) // count)][:count]):
        example = tasks[task][number % len(tasks[task])]
        answers, _ = decoder.decode_all([example], 1.0 if example["truth"] is None else 0.0, 90, batch=1)
        print("\n".join(f"  {message['role']}: {message['content']}" for message in example["messages"][:-1]))
        print(f"  -> {answers[0]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="path of the weights, without .safetensors")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--exact", type=int, default=100, help="examples a task for accuracy")
    parser.add_argument("--open", type=int, default=24, help="examples a task for entropy")
    parser.add_argument("--show", type=int, default=10)
    options = parser.parse_args()
    with open(options.validation, encoding="utf-8") as lines:
        examples = [json.loads(line) for line in lines]
    decoder = Decoder(options.model, Tokenizer.from_file(options.tokenizer))
    tasks = by_task(examples, options.exact)
    for kind, value in validation_loss(decoder, examples).items():
        print(f"validation loss, {kind} answers: {value:.3f} nats a token")
    print("open answers at temperature 1:")
    open_answers(decoder, tasks, options.open)
    print("accuracy at temperature 0:")
    accuracies(decoder, tasks)
    print("examples:")
    show(decoder, tasks, options.show)


if __name__ == "__main__":
    main()
