"""Records the statistic of the PyPI package `model-equality-testing` 0.0.2 on this folder's samples.

    pip install --no-deps model-equality-testing==0.0.2
    pip install numpy
    python met_mmd_hamming.py > met_mmd_hamming.json

The package's `mmd_hamming` needs only numpy, but its modules import PyTorch, plotting and progress bars at their head. Empty
modules stand in for those, so that two gigabytes need not be installed to add numbers up; the statistic itself is computed
by the package's own code, unchanged.
"""

import json
import pathlib
import random
import sys
import types

import numpy as np

LENGTH = 1000
PADDING = -1
HERE = pathlib.Path(__file__).parent


class Stand(types.ModuleType):
    """A module in which every name exists and is a type."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stand_in(name):
    sys.modules[name] = Stand(name)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, sys.modules[name])


for module in ["torch", "torch.nn", "torch.nn.functional", "tqdm", "matplotlib", "matplotlib.pyplot", "transformers", "datasets", "gdown", "requests", "pandas"]:
    stand_in(module)
# Its stopwatch asks for a graphics card.
stand_in("torch.cuda")
sys.modules["torch.cuda"].is_available = lambda: False

from model_equality_testing.tests import mmd_hamming  # noqa: E402


class Sequences:
    """What the statistic reads of the package's samples: one row an answer, the prompt's number first."""

    def __init__(self, rows):
        self.rows = np.array(rows, dtype=np.int64)

    def numpy(self):
        return self.rows


class Sample:
    def __init__(self, answers, prompts):
        self.sequences = Sequences([[prompts[a["probe"]]] + encode(a["text"]) for a in answers])


def encode(text):
    # White space at the ends is no part of what is compared.
    points = [ord(c) for c in text.strip()][:LENGTH]
    return points + [PADDING] * (LENGTH - len(points))


def statistic(reference, endpoint):
    prompts = {probe: i for i, probe in enumerate(sorted({a["probe"] for a in reference + endpoint}))}
    return float(mmd_hamming(Sample(reference, prompts), Sample(endpoint, prompts)))


def load(name):
    with open(HERE / name, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main():
    cases = []
    two = load("ultrachat-two-models.jsonl")
    names = sorted({a["endpoint"] for a in two})
    sides = [[a for a in two if a["endpoint"] == name] for name in names]
    cases.append({"case": "ultrachat", "statistic": statistic(*sides)})
    one = load("llama3-70b-wikipedia.jsonl")
    for first, second in [(10, 10), (7, 12)]:
        reference = [a for a in one if a["replicate"] < first]
        endpoint = [a for a in one if first <= a["replicate"] < first + second]
        cases.append({"case": f"wikipedia {first}+{second}", "statistic": statistic(reference, endpoint)})
    # Unequal numbers of answers to each probe, where pooling over pairs and averaging over probes differ.
    rng = random.Random(1)
    uneven = [a for a in two if rng.random() < 0.6]
    sides = [[a for a in uneven if a["endpoint"] == name] for name in names]
    kept = [[a["endpoint"], a["probe"], a["replicate"]] for a in uneven]
    cases.append({"case": "ultrachat uneven", "statistic": statistic(*sides), "kept": kept})
    json.dump({"package": "model-equality-testing 0.0.2", "cases": cases}, sys.stdout)


if __name__ == "__main__":
    main()
