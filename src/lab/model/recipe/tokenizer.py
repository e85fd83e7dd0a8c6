"""Train the lab's tokenizer: byte-level BPE with 2,048 entries.

Digits are split one by one so that arithmetic is about digits; the remaining text is split by the byte-level pattern.
Special tokens take the first ids. usage: tokenizer.py --corpus drill.jsonl main.jsonl chat.jsonl --out tokenizer.json
"""

import argparse
import itertools
import json

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from chat import SPECIAL, render


def contents(path, limit):
    """The text between special tokens of the first conversations."""
    with open(path, encoding="utf-8") as lines:
        for line in itertools.islice(lines, limit):
            example = json.loads(line)
            messages = [message | {"image": None} for message in example["messages"]]
            text = render([{key: value for key, value in message.items() if value is not None} for message in messages],
                          example.get("tools", ()))
            text += "<|end|>" + example["messages"][-1].get("thought", "")
            for special in SPECIAL:
                text = text.replace(special, "\0")
            yield from (part for part in text.split("\0") if part.strip())


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
    parser.add_argument("--corpus", required=True, nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--examples", type=int, default=20_000, help="how many examples of each file to learn merges from")
    options = parser.parse_args()
    texts = itertools.chain(*(contents(path, options.examples) for path in options.corpus))
    tokenizer = build(texts, options.size)
    tokenizer.save(options.out)
    print(f"{tokenizer.get_vocab_size()} entries in {options.out}")


if __name__ == "__main__":
    main()
