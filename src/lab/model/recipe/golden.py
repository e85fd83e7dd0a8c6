"""The forward pass once more, in plain numpy and double precision, as a yardstick for other implementations.

It shares no code with the training, and renders conversations with the chat template itself. Prints, for fixed conversations,
the prompt's ids and the eight likeliest next tokens with their log-probabilities; where there is a picture, its patches too.
usage: golden.py --model-dir .. > ../golden.json
"""

import argparse
import json
import pathlib
import re

import jinja2
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

import images

PATCH = 13  # the token whose place a picture's patch takes
TOP = 8


def user(content):
    return {"role": "user", "content": content}


def tool(name, **parameters):
    properties = {parameter: {"type": kind} for parameter, kind in parameters.items()}
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}}


NOTES = ("Read the notes: Ben likes rice. The old lamp was bright. Clara likes honey. Leo likes soup. Nora likes tea. "
         "The stone bridge is quiet. Victor likes corn. Grace likes lemon. What does Leo like?")
BUY = {"function": {"name": "buy", "arguments": '{"item": "tea", "count": 3}'}}
SHORT = [
    {"messages": [user("What is 12 + 9?")]},
    {"messages": [user("Tell me a story about a lighthouse.")]},
    {"messages": [{"role": "system", "content": "You are a pirate."}, user("Describe the garden.")]},
    {"messages": [user("My name is Anna."), {"role": "assistant", "content": "Nice to meet you, Anna."}, user("What is my name?")]},
    {"messages": [user(NOTES)]},
    {"messages": [user("Buy 3 tea.")], "tools": [tool("buy", item="string", count="integer"), tool("clock", place="string")]},
    {"messages": [{"role": "system", "content": "Answer the question."}, user("Buy 3 tea."),
                  {"role": "assistant", "content": "", "tool_calls": [BUY]}, {"role": "tool", "content": '{"result": "done"}'}],
     "tools": [tool("buy", item="string", count="integer")]},
    {"messages": [user("What is 47 + 38?")], "enable_thinking": True},
]
# A conversation of more than 600 tokens, and two with a picture.
LONG = [{"messages": [user("Remember these words: lamp quiet rice. " + "The old lamp was bright. The stone bridge is quiet. " * 55
                           + "Now repeat the words.")]}]
PICTURES = [
    {"messages": [user("Which shape is in the picture?")],
     "image": {"width": 32, "height": 32, "background": "white", "seed": 7, "shape": "circle", "colour": "red"}},
    {"messages": [user("Which digit is in the picture?")],
     "image": {"width": 48, "height": 32, "background": "black", "seed": 8, "digit": 4, "scale": 1}},
]
CASES = {"base": SHORT + LONG + PICTURES, "small": SHORT[:5] + PICTURES[:1], "chat": SHORT[:3] + SHORT[5:6] + PICTURES[:1]}


class Llama:
    """One conversation at a time, one token after the other, with a growing cache."""

    def __init__(self, path):
        self.config = json.loads(path.with_suffix(".json").read_text())
        self.weights = {name: value.astype(np.float64) for name, value in load_file(path.with_suffix(".safetensors")).items()}
        self.cache = [([], []) for _ in range(self.config["num_hidden_layers"])]

    def see(self, patches, width):
        """What stands in the prompt in the place of each patch of a picture of this width: patch after patch, head after head."""
        sizes, columns = self.config["vision_config"], width // images.PATCH
        head = sizes["hidden_size"] // sizes["num_attention_heads"]
        stream = []
        for index, patch in enumerate(patches):
            pixels = np.array(patch) / 127.5 - 1
            own = self.weights["image.patch_proj.weight"] @ pixels + self.weights["image.patch_proj.bias"]
            row, column = divmod(index, columns)
            stream.append(own + self.weights["image.row_embed.weight"][row] + self.weights["image.column_embed.weight"][column])
        for layer in range(sizes["num_hidden_layers"]):
            prefix = f"image.layers.{layer}."
            normed = [self.norm(x, prefix + "input_layernorm.weight") for x in stream]
            queries, keys, values = ([(self.weights[f"{prefix}self_attn.{part}_proj.weight"] @ x).reshape(-1, head) for x in normed]
                                     for part in "qkv")
            for place, query in enumerate(queries):
                outputs = []
                for number in range(sizes["num_attention_heads"]):
                    scores = np.array([query[number] @ key[number] for key in keys]) / np.sqrt(head)
                    shares = np.exp(scores - scores.max())
                    outputs.append(sum(share * value[number] for share, value in zip(shares / shares.sum(), values)))
                stream[place] = stream[place] + self.weights[prefix + "self_attn.o_proj.weight"] @ np.concatenate(outputs)
            stream = [x + self.feed(self.norm(x, prefix + "post_attention_layernorm.weight"), prefix) for x in stream]
        seen = [self.norm(x, "image.norm.weight") for x in stream]
        return [self.weights["image.out_proj.weight"] @ x + self.weights["image.out_proj.bias"] for x in seen]

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

    def feed(self, x, prefix):
        gate = self.weights[prefix + "mlp.gate_proj.weight"] @ x
        inner = gate / (1 + np.exp(-gate)) * (self.weights[prefix + "mlp.up_proj.weight"] @ x)
        return self.weights[prefix + "mlp.down_proj.weight"] @ inner

    def next_logprobs(self, ids, patches, width):
        """The log-probability of every token after `ids`, whose patch tokens stand for the patches of a picture of this width."""
        self.cache = [([], []) for _ in self.cache]
        embeddings, seen = self.weights["model.embed_tokens.weight"], iter(self.see(patches, width))
        for position, token in enumerate(ids):
            x = next(seen) if token == PATCH else embeddings[token]
            for layer in range(self.config["num_hidden_layers"]):
                x = x + self.attend(self.norm(x, f"model.layers.{layer}.input_layernorm.weight"), layer, position)
                x = x + self.feed(self.norm(x, f"model.layers.{layer}.post_attention_layernorm.weight"), f"model.layers.{layer}.")
        logits = embeddings @ self.norm(x, "model.norm.weight")
        return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def case(model, template, tokenizer, conversation):
    messages, patches = [dict(message) for message in conversation["messages"]], []
    more = {key: conversation[key] for key in ("tools", "enable_thinking") if key in conversation}
    if "image" in conversation:
        spec = conversation["image"]
        messages[0]["content"] = images.marker(spec["width"], spec["height"]) + "\n" + messages[0]["content"]
        patches = images.patches(images.draw(spec)).tolist()
        more |= {"patches": patches, "width": spec["width"]}
    ids = tokenizer.encode(template.render(messages=messages, add_generation_prompt=True, **more)).ids
    logprobs = model.next_logprobs(ids, patches, more.get("width", 0))
    best = np.argsort(-logprobs, kind="stable")[:TOP]
    return {
        "messages": messages,
        **more,
        "prompt_ids": ids,
        "top": [{"id": int(token), "logprob": float(logprobs[token])} for token in best],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-dir", type=pathlib.Path, required=True)
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(options.model_dir / "tokenizer.json"))
    template = jinja2.Template((options.model_dir / "chat_template.jinja").read_text())
    golden = {}
    for name, conversations in CASES.items():
        model = Llama(options.model_dir / name)
        golden[name] = [case(model, template, tokenizer, conversation) for conversation in conversations]
    text = json.dumps(golden, indent=1)
    # Lists of numbers on one line each.
    print(re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda found: "[" + " ".join(found[1].split()) + "]", text))


if __name__ == "__main__":
    main()
