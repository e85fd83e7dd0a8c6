"""What llama.cpp makes of the exported models, as a yardstick for the lab's engine.

Takes GGUF files as `samemodel lab export` writes them, renders the text-only conversations of golden.json with the chat template
in the file, and prints for each the token ids and, at some positions, the likeliest next tokens with their log-probabilities.
Refuses files that were made of other weights than those in the folder of the models. `llama_cpp.sh` makes the files and runs it.
usage: llama_record.py --model-dir .. --gguf-dir <folder with MODEL-FORMAT.gguf> > ../llama_cpp.json
"""

import argparse
import hashlib
import importlib.metadata
import json
import pathlib
import re

import jinja2
import llama_cpp
import numpy as np

FORMATS = ["f32", "f16", "q8_0", "q5_0", "q4_0"]
TOP = 20
PLACES = 3  # positions of each prompt, evenly spread, the last one among them


def tokens_of(model, conversation):
    """The conversation's ids, by the template and the tokenizer that the file has."""
    template = jinja2.Template(model.metadata["tokenizer.chat_template"])
    text = template.render(
        messages=conversation["messages"],
        add_generation_prompt=True,
        **{key: conversation[key] for key in ("tools", "enable_thinking") if key in conversation},
    )
    return model.tokenize(text.encode(), add_bos=False, special=True)


def positions(ids):
    """After how many tokens the next one's probabilities are recorded."""
    return [len(ids) * (place + 1) // PLACES for place in range(PLACES)]


def likeliest(scores):
    scores = scores.astype(np.float64)
    logprobs = scores - scores.max() - np.log(np.exp(scores - scores.max()).sum())
    best = np.argsort(-logprobs, kind="stable")[:TOP]
    return [[int(token), round(float(logprobs[token]), 5)] for token in best]


def load(path, digest):
    model = llama_cpp.Llama(str(path), n_ctx=0, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False)
    if model.metadata["samemodel.safetensors.sha256"] != digest:
        raise SystemExit(f"{path.name} is of other weights than the folder of the models: build the program again")
    return model


def recorded(model, ids):
    model.reset()
    model.eval(ids)
    return [likeliest(model.scores[position - 1]) for position in positions(ids)]


def record(name, conversations, options):
    digest = hashlib.sha256((options.model_dir / f"{name}.safetensors").read_bytes()).hexdigest()
    cases = []
    for number, kept in enumerate(FORMATS):
        model = load(options.gguf_dir / f"{name}-{kept}.gguf", digest)
        for index, conversation in enumerate(conversations):
            ids = tokens_of(model, conversation)
            if number == 0:
                cases.append({"ids": ids, "positions": positions(ids), "top": {}})
            if ids != cases[index]["ids"]:
                raise SystemExit(f"the files of {name} have different tokenizers")
            cases[index]["top"][kept] = recorded(model, ids)
    return {"sha256": digest, "cases": cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-dir", type=pathlib.Path, required=True)
    parser.add_argument("--gguf-dir", type=pathlib.Path, required=True)
    options = parser.parse_args()
    golden = json.loads((options.model_dir / "golden.json").read_text())
    models = {
        name: record(name, [case for case in cases if "patches" not in case], options) for name, cases in golden.items()
    }
    version = importlib.metadata.version("llama-cpp-python")
    text = json.dumps({"llama_cpp_python": version, "models": models}, indent=1)
    # Lists of numbers, and of pairs of numbers, on one line each.
    text = re.sub(r"\[\s+([-\d,.\se]+?)\s+\]", lambda found: "[" + " ".join(found[1].split()) + "]", text)
    print(re.sub(r"\[\s+(\[[^\[\]]*\](?:,\s+\[[^\[\]]*\])*)\s+\]", lambda found: "[" + re.sub(r",\s+", ",", found[1]) + "]", text))


if __name__ == "__main__":
    main()
