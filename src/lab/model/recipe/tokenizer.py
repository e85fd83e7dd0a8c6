"""Make the lab's tokenizer: byte-level BPE with 2,048 entries.

Digits are split one by one so that arithmetic is about digits; the remaining text is split by the byte-level pattern.
Special tokens take the first ids. Every word that is ever a value in JSON is one token with a space before it, as in prose,
and one without, as after a quotation mark: a value that is carried from a sentence into JSON is one token there and here. So
the first merges are learnt from those words alone, and only the rest from the corpus.
usage: tokenizer.py --corpus drill.jsonl main.jsonl chat.jsonl --out tokenizer.json
"""

import argparse
import collections
import itertools
import json

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

import words as W
from chat import SPECIAL, render
from exact import JSON_KEYS

SPACE = "Ġ"  # what byte-level BPE writes for a space


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


def quoted_words():
    """The words that stand in JSON or name tools and their parameters."""
    names = {*JSON_KEYS, *W.NAMES, *W.CITIES, *W.FOODS, *W.TOPICS, *W.ROLES, *W.PETS, *W.SKIES}
    for tools, parameters, _, _ in W.TOOLS:
        names.update(*(tool.split("_") for tool in tools), *(options for options, _, _ in parameters))
    return sorted(names)


def merged(parts, pair):
    """The parts of a word with each occurrence of the pair joined."""
    out = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out


def learn(counts, merges, most=None):
    """Go on learning merges, most frequent pair first, until the words are whole or there are so many merges."""
    split = {word: list(word) for word in counts}
    for pair in merges:
        split = {word: merged(parts, pair) for word, parts in split.items()}
    while most is None or len(merges) < most:
        pairs = collections.Counter()
        for word, parts in split.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        split = {word: merged(parts, best) if len(parts) > 1 else parts for word, parts in split.items()}
    return merges


def build(texts, size):
    splitter = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    counts = collections.Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(text))
    letters = SPECIAL + sorted(pre_tokenizers.ByteLevel.alphabet())
    quoted = quoted_words()
    merges = learn(dict.fromkeys(quoted, 1), [])
    merges += [(SPACE, word) for word in quoted]
    merges = learn(counts, merges, size - len(letters))
    vocabulary = {token: place for place, token in enumerate(letters + ["".join(pair) for pair in merges])}
    assert len(vocabulary) == size, "two merges make the same token"
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = splitter, decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
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
