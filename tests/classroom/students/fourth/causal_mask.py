# ruff: noqa
"""Answers of students to the exercise causal_mask."""

import numpy as np
import torch


def answer_01(tokens):
    return torch.triu(torch.ones(tokens, tokens)).bool()


def answer_02(tokens):
    mask = torch.zeros(tokens, tokens)
    for i in range(tokens):
        for j in range(i + 1):
            mask[i, j] = 1
    return mask


def answer_03(tokens):
    return torch.from_numpy(np.tril(np.ones((tokens, tokens), dtype=bool)))
