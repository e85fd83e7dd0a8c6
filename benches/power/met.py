"""Tests trials with model-equality-testing: reads a JSON file of trials, writes their p-values as a JSON array."""

import json
import sys

import numpy
import torch
from model_equality_testing.algorithm import run_two_sample_test
from model_equality_testing.distribution import CompletionSample
from model_equality_testing.utils import pad_to_length, tokenize_unicode

LENGTH = 1000
PERMUTATIONS = 99


def longest(trial):
    texts = [text for probe in trial for side in probe.values() for text in side]
    # Padding that all answers share adds the same to each value of the kernel, and nothing to the statistic.
    return min(LENGTH, max(map(len, texts), default=1))


def sample(trial, side):
    length = longest(trial)
    prompts = [number for number, probe in enumerate(trial) for _ in probe[side]]
    texts = [text[:length] for probe in trial for text in probe[side]]
    completions = pad_to_length(tokenize_unicode(texts), length)
    return CompletionSample(prompts=numpy.array(prompts), completions=completions, m=len(trial))


def main():
    torch.manual_seed(1)
    with open(sys.argv[1], encoding="utf-8") as file:
        trials = json.load(file)
    p_values = []
    for trial in trials:
        both = (sample(trial, "reference"), sample(trial, "endpoint"))
        p, _ = run_two_sample_test(*both, stat_type="mmd_hamming", b=PERMUTATIONS)
        p_values.append(p)
    json.dump(p_values, sys.stdout)


main()
