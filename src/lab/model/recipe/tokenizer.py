"""Train the lab's tokenizer: byte-level BPE with 2,048 entries.

Digits are split one by one so that arithmetic is about digits; the remaining text is split by the byte-level pattern.
Special tokens take the first ids. usage: tokenizer.py --corpus train.jsonl --out tokenizer.json
"""

import argparse
import json

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<s>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<unk>", "<pad>", "<|tool|>"]


def contents(path, limit):
    """The text of every message, with the newline that the chat template puts before it."""
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number == limit:
                return
            for message in json.loads(line)["messages"]:
                yield "\n" + message["content"]


def build(texts, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=14,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--examples", type=int, default=40_000, help="how many examples to learn merges from")
    options = parser.parse_args()
    tokenizer = build(contents(options.corpus, options.examples), options.size)
    tokenizer.save(options.out)
    print(f"{tokenizer.get_vocab_size()} entries in {options.out}")


if __name__ == "__main__":
    main()
