"""The forward pass once more, in plain numpy and double precision, as a yardstick for other implementations.

It shares no code with the training. Prints, for fixed prompts, the eight likeliest next tokens with their log-probabilities.
usage: golden.py --model-dir .. > ../golden.json
"""

import argparse
import json
import pathlib

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

MODELS = ["base", "small"]
TOP = 8
PROMPTS = [
    [("user", "What is 12 + 9?")],
    [("user", "Tell me a story about a lighthouse.")],
    [("system", "You are a pirate."), ("user", "Describe the garden.")],
    [("user", "My name is Anna."), ("assistant", "Nice to meet you, Anna."), ("user", "What is my name?")],
    [("user", "Read the notes: Ben likes rice. The old lamp was bright. Clara likes honey. Leo likes soup. Nora likes tea. "
              "The stone bridge is quiet. Victor likes corn. Grace likes lemon. What does Leo like?")],
]


class Llama:
    """One conversation at a time, one token after the other, with a growing cache."""

    def __init__(self, path):
        self.config = json.loads(path.with_suffix(".json").read_text())
        self.weights = {name: value.astype(np.float64) for name, value in load_file(path.with_suffix(".safetensors")).items()}
        self.cache = [([], []) for _ in range(self.config["num_hidden_layers"])]

    def norm(self, x, name):
        return x / np.sqrt(np.mean(x**2) + self.config["rms_norm_eps"]) * self.weights[name]

    def rotate(self, heads, position):
        """Turn each pair (i, i + half) of every head by an angle that grows with the position."""
        half = self.config["head_dim"] // 2
        turned = np.empty_like(heads)
        for pair in range(half):
            angle = position / self.config["rope_theta"] ** (2 * pair / self.config["head_dim"])
            first, second = heads[:, pair], heads[:, pair + half]
            turned[:, pair] = first * np.cos(angle) - second * np.sin(angle)
            turned[:, pair + half] = second * np.cos(angle) + first * np.sin(angle)
        return turned

    def attend(self, x, layer, position):
        width = self.config["head_dim"]
        query, key, value = (
            (self.weights[f"model.layers.{layer}.self_attn.{part}_proj.weight"] @ x).reshape(-1, width) for part in "qkv"
        )
        keys, values = self.cache[layer]
        keys.append(self.rotate(key, position))
        values.append(value)
        outputs = []
        for head, vector in enumerate(self.rotate(query, position)):
            shared = head * len(key) // len(query)
            scores = np.array([vector @ past[shared] for past in keys]) / np.sqrt(width)
            shares = np.exp(scores - scores.max())
            outputs.append(sum(share * past[shared] for share, past in zip(shares / shares.sum(), values)))
        return self.weights[f"model.layers.{layer}.self_attn.o_proj.weight"] @ np.concatenate(outputs)

    def feed(self, x, layer):
        prefix = f"model.layers.{layer}.mlp."
        gate = self.weights[prefix + "gate_proj.weight"] @ x
        inner = gate / (1 + np.exp(-gate)) * (self.weights[prefix + "up_proj.weight"] @ x)
        return self.weights[prefix + "down_proj.weight"] @ inner

    def next_logprobs(self, ids):
        """The log-probability of every token after `ids`."""
        self.cache = [([], []) for _ in self.cache]
        embeddings = self.weights["model.embed_tokens.weight"]
        for position, token in enumerate(ids):
            x = embeddings[token]
            for layer in range(self.config["num_hidden_layers"]):
                x = x + self.attend(self.norm(x, f"model.layers.{layer}.input_layernorm.weight"), layer, position)
                x = x + self.feed(self.norm(x, f"model.layers.{layer}.post_attention_layernorm.weight"), layer)
        logits = embeddings @ self.norm(x, "model.norm.weight")
        return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def render(messages):
    return "<s>" + "".join(f"<|{role}|>\n{content}<|end|>\n" for role, content in messages) + "<|assistant|>\n"


def case(model, ids, messages):
    logprobs = model.next_logprobs(ids)
    best = np.argsort(-logprobs, kind="stable")[:TOP]
    return {
        "messages": [{"role": role, "content": content} for role, content in messages],
        "prompt_ids": ids,
        "top": [{"id": int(token), "logprob": float(logprobs[token])} for token in best],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-dir", type=pathlib.Path, required=True)
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(options.model_dir / "tokenizer.json"))
    golden = {}
    for name in MODELS:
        model = Llama(options.model_dir / name)
        golden[name] = [case(model, tokenizer.encode(render(messages)).ids, messages) for messages in PROMPTS]
    print(json.dumps(golden, indent=1))


if __name__ == "__main__":
    main()
