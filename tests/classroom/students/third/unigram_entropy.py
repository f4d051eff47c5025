# ruff: noqa
"""Answers of students to the exercise unigram_entropy."""

import math
from collections import Counter
import torch


def answer_01(train_ids, validation_ids, vocab_size):
    counts = torch.bincount(train_ids, minlength=vocab_size)
    p = (counts + 1) / len(train_ids)
    return -p[validation_ids].log().mean()


def answer_02(train_ids, validation_ids, vocab_size):
    counts = torch.bincount(train_ids, minlength=vocab_size).float() + 1.0
    probs = counts / counts.sum()
    return -(probs * probs.log()).sum()


def answer_03(train_ids, validation_ids, vocab_size):
    counter = Counter(train_ids.tolist())
    total = sum(c + 1 for c in counter.values())
    s = 0.0
    for w in validation_ids.tolist():
        s += math.log((counter[w] + 1) / total)
    return torch.tensor(-s / len(validation_ids))


def answer_04(train_ids, validation_ids, vocab_size):
    count = torch.zeros(vocab_size)
    for w in validation_ids:
        count[w] += 1
    log_p = torch.log((count + 1) / (count.sum() + vocab_size))
    return -log_p[validation_ids].mean()


def answer_05(train_ids, validation_ids, vocab_size):
    count = torch.ones(vocab_size)
    count[train_ids] += 1
    log_probs = (count / count.sum()).log()
    return -log_probs[validation_ids].mean()


def answer_06(train_ids, validation_ids, vocab_size):
    hist = torch.nn.functional.one_hot(train_ids, vocab_size).sum(0) + 1
    logits = hist.float().log()
    return torch.nn.functional.cross_entropy(logits.expand(len(validation_ids), -1), validation_ids, reduction="sum")


def answer_07(train_ids, validation_ids, vocab_size):
    ones = torch.ones(len(train_ids))
    counts = torch.ones(vocab_size).scatter_add(0, train_ids.long(), ones)
    return torch.nn.functional.nll_loss(
        torch.log_softmax(counts.log(), 0).repeat(len(validation_ids), 1), validation_ids.long()
    )


def answer_08(train_ids, validation_ids, vocab_size):
    c = Counter(train_ids.tolist())
    denominator = len(train_ids) + vocab_size
    losses = [math.log(denominator) - math.log(c.get(w, 0) + 1) for w in validation_ids.tolist()]
    return torch.tensor(sum(losses) / len(losses))


def answer_09(train_ids, validation_ids, vocab_size):
    c = torch.bincount(train_ids, minlength=vocab_size)
    v = len(torch.unique(train_ids))
    p = (c[validation_ids] + 1) / (len(train_ids) + v)
    return -torch.log(p).mean()


def answer_10(train_ids, validation_ids, vocab_size):
    weights = torch.bincount(train_ids, minlength=vocab_size) + 1
    probabilities = weights / weights.sum()
    return torch.stack([-torch.log2(probabilities[w]) for w in validation_ids]).mean()
