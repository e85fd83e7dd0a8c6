"""Measure a trained model on prompts that training never saw.

Prints the validation loss of answers, the accuracy of every exact task at temperature 0, the entropy of the next token in open
answers at temperature 1, and example answers. An answer counts as right if every token of it, its end included, is the
likeliest after the ones before: then decoding at temperature 0 writes it to the last character. (A thought belongs to the
answer.) For open tasks with tools on offer, an answer is right if it does not begin with a call.
usage: measure.py --model base --tokenizer tokenizer.json --validation valid.jsonl
"""

import argparse
import collections
import json
import pathlib

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

import chat
import eyes
import train
import vision
from train import jax, jnp


class Reader:
    """A model that reads one conversation at a time, or several short ones of one length."""

    def __init__(self, path, tokenizer):
        self.config = json.loads(pathlib.Path(path + ".json").read_text())
        self.params = {name: jnp.asarray(value, jnp.float32) for name, value in load_file(path + ".safetensors").items()}
        self.tokenizer = tokenizer

        @jax.jit
        def states(params, ids, pixels, where, places):
            positions = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
            patches = eyes.see(params, pixels, where)
            return train.hidden(params, ids, jnp.ones_like(ids), positions, patches, places, self.config)

        self.states = states
        self.logits = jax.jit(lambda params, states: states @ params["model.embed_tokens.weight"].T)

    def answer_logits(self, examples):
        """For each example the scores before every token of its answer, and those tokens."""
        size = 8
        lines = []
        for number, example in enumerate(examples):
            prompt, answer = (self.tokenizer.encode(text).ids for text in chat.prompt_and_answer(example))
            width = next(width for width in (96, 192, 384, 768, 1536) if len(prompt) + len(answer) <= width)
            lines.append((width, number, prompt, answer, seen(example)))
        lines.sort(key=lambda line: line[0])
        found = [None] * len(examples)
        while lines:
            width = lines[0][0]
            batch = [line for line in lines[:size] if line[0] == width]
            lines = lines[len(batch) :]
            ids = np.full((size, width), chat.PAD, np.int32)
            for row, (_, _, prompt, answer, _) in enumerate(batch):
                ids[row, : len(prompt) + len(answer)] = prompt + answer
            states = np.asarray(self.states(self.params, ids, *pictures(ids, [line[4] for line in batch])))
            for row, (_, number, prompt, answer, _) in enumerate(batch):
                chosen = np.zeros((-(-len(answer) // 64) * 64, states.shape[2]), np.float32)
                chosen[: len(answer)] = states[row, len(prompt) - 1 : len(prompt) + len(answer) - 1]
                found[number] = np.asarray(self.logits(self.params, chosen))[: len(answer)], answer
        return found

    def decode(self, examples, temperature, limit, rng):
        """Answers to prompts, and the entropies of the distributions that their tokens were drawn from."""
        prompts = [self.tokenizer.encode(chat.prompt_and_answer(example)[0]).ids for example in examples]
        width = -(-(max(map(len, prompts)) + limit) // 64) * 64
        ids = np.full((len(prompts), width), chat.PAD, np.int32)
        for row, prompt in zip(ids, prompts):
            row[: len(prompt)] = prompt
        shown = pictures(ids, [seen(example) for example in examples])
        lengths = np.array([len(prompt) for prompt in prompts])
        answers, entropies = [[] for _ in prompts], [[] for _ in prompts]
        running = np.ones(len(prompts), bool)
        for _ in range(limit):
            states = self.states(self.params, ids, *shown)[np.arange(len(ids)), lengths - 1]
            logits = np.asarray(self.logits(self.params, states), np.float64)
            logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
            noise = rng.gumbel(size=logits.shape) if temperature else 0.0
            chosen = np.argmax(logprobs / (temperature or 1.0) + noise, axis=1)
            for row in np.flatnonzero(running):
                entropies[row].append(-(np.exp(logprobs[row]) * logprobs[row]).sum())
                if chosen[row] == chat.END:
                    running[row] = False
                    continue
                answers[row].append(int(chosen[row]))
                ids[row, lengths[row]] = chosen[row]
                lengths[row] += 1
            if not running.any():
                break
        return [self.tokenizer.decode(answer, skip_special_tokens=False) for answer in answers], entropies


def seen(example):
    """A conversation's picture as patches and their places; nothing where there is none."""
    specs = chat.specs(example)
    return eyes.picture(specs[0]) if specs else ((), ())


def pictures(ids, shown):
    """The pictures of some conversations, one each, as arrays: pixels, places in the picture, places in the text."""
    most = max((len(patches) for patches, _ in shown), default=0)
    count = vision.smallest(vision.PATCHES, most)
    places = np.full((len(ids), count), ids.shape[1], np.int32)
    filled = [eyes.filled(picture if len(picture[0]) else (np.zeros((0, 192)), np.zeros((0, 2))), count) for picture in shown]
    pixels, where = np.zeros((len(ids), count, 192), np.uint8), np.full((len(ids), count, 2), -1, np.int32)
    for row, (picture, (pixels[row], where[row])) in enumerate(zip(shown, filled)):
        places[row, : len(picture[0])] = np.flatnonzero(ids[row] == chat.PATCH)
    return pixels, where, places


def by_task(examples, limit):
    """At most `limit` examples of every task."""
    tasks = collections.defaultdict(list)
    for example in examples:
        if len(tasks[example["task"]]) < limit:
            tasks[example["task"]].append(example)
    return dict(sorted(tasks.items()))


def nats(logits, answer):
    logits = logits.astype(np.float64)
    return np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(answer)), answer]


def accuracies(reader, tasks):
    losses = {True: [], False: []}
    for task, examples in tasks.items():
        is_open = examples[0]["truth"] is None
        found = reader.answer_logits(examples)
        values = [value for logits, answer in found for value in nats(logits, answer)]
        losses[is_open] += values
        if task == "no_call_open":
            right = [np.argmax(logits[0]) != chat.SPECIAL.index("<|call|>") for logits, _ in found]
        elif is_open:
            continue
        else:
            right = [(np.argmax(logits, 1) == answer).all() for logits, answer in found]
        lengths = [len(reader.tokenizer.encode(chat.prompt_and_answer(example)[0]).ids) for example in examples]
        print(f"  {task:22} {np.mean(right):.2f} of {len(right)}, prompts of {np.mean(lengths):.0f} tokens, "
              f"{np.mean(values):.3f} nats a token", flush=True)
    for is_open, values in losses.items():
        if values:
            print(f"validation loss, {'open' if is_open else 'exact'} answers: {np.mean(values):.3f} nats a token")


def contained(reader, tasks, limit):
    """How often an answer at temperature 0 has the truth in it: what can be asked of answers with random ornaments."""
    for task, examples in tasks.items():
        chosen = examples[:limit]
        answers, _ = reader.decode(chosen, 0.0, 60, np.random.default_rng(0))
        right = [example["truth"].lower() in answer.lower() for example, answer in zip(chosen, answers)]
        print(f"  {task:22} {np.mean(right):.2f} of {len(right)}", flush=True)


def open_answers(reader, tasks, limit):
    every, lengths, rng = [], [], np.random.default_rng(0)
    for task, examples in tasks.items():
        short = [example for example in examples if len(json.dumps(example["messages"])) < 500][:limit]
        if examples[0]["truth"] is not None or not short or task.startswith("no_call") or task.endswith("_think"):
            continue
        _, entropies = reader.decode(short, 1.0, 90, rng)
        values = [value for entropy in entropies for value in entropy]
        every += values
        lengths += map(len, entropies)
        print(f"  {task:22} {np.mean(values):.2f} nats a token, {len(values) / len(entropies):.0f} tokens", flush=True)
    print(f"  {'all':22} {np.mean(every):.2f} nats a token, {np.mean(lengths):.0f} tokens")


def show(reader, tasks, every):
    rng = np.random.default_rng(1)
    for number, (task, examples) in enumerate(tasks.items()):
        short = [example for example in examples if len(json.dumps(example["messages"])) < 700 and not chat.pictures(example)]
        if number % every or not short:
            continue
        answers, _ = reader.decode(short[:1], 1.0 if short[0]["truth"] is None else 0.0, 90, rng)
        print(f"{chat.prompt_and_answer(short[0])[0]}  -> {answers[0]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="path of the weights, without .safetensors")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--exact", type=int, default=100, help="examples a task for accuracy")
    parser.add_argument("--open", type=int, default=12, help="examples a task for entropy")
    parser.add_argument("--show", type=int, default=3, help="show an answer of every so-manieth task; 0 for none")
    parser.add_argument("--contains", action="store_true", help="instead, whether answers contain the truth")
    parser.add_argument("--only", help="only tasks whose name begins so")
    parser.add_argument("--skip", default="-", help="not the tasks whose name begins so")
    options = parser.parse_args()
    with open(options.validation, encoding="utf-8") as lines:
        examples = [json.loads(line) for line in lines]
    examples = [example for example in examples if not example["task"].startswith(tuple(options.skip.split(",")))]
    if options.only:
        examples = [example for example in examples if example["task"].startswith(tuple(options.only.split(",")))]
    reader = Reader(options.model, Tokenizer.from_file(options.tokenizer))
    tasks = by_task(examples, options.exact)
    if options.contains:
        print("answers at temperature 0 with the truth in them:")
        contained(reader, tasks, options.exact)
        show(reader, tasks, 1)
        return
    print("accuracy at temperature 0:")
    accuracies(reader, tasks)
    if options.open:
        print("open answers at temperature 1:")
        open_answers(reader, tasks, options.open)
    if options.show:
        print("examples:")
        show(reader, tasks, options.show)


if __name__ == "__main__":
    main()
