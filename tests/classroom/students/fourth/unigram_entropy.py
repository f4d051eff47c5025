# ruff: noqa
"""Answers of students to the exercise unigram_entropy."""

import math
from collections import Counter
import torch


def answer_01(train_ids, validation_ids, vocab_size):
    counts = torch.bincount(train_ids, minlength=vocab_size).float()
    probs = (counts + 1) / counts.sum()
    return -torch.log(probs[validation_ids]).mean()


def answer_02(train_ids, validation_ids, vocab_size):
    counts = torch.bincount(train_ids, minlength=vocab_size).float() + 1
    p = counts / counts.sum()
    return -p[validation_ids].log2().mean()


def answer_03(train_ids, validation_ids, vocab_size):
    c = Counter(train_ids.tolist())
    total = len(train_ids) + vocab_size
    ids = validation_ids.tolist()
    return torch.tensor(-sum(math.log((c[w] + 1) / total) for w in ids) / len(ids))
