# ruff: noqa
"""Answers of students to the exercise causal_mask."""

import numpy as np
import torch


def answer_01(tokens):
    mask = torch.triu(torch.ones(tokens, tokens))
    return mask == 0


def answer_02(tokens):
    i = torch.arange(tokens)
    return i.unsqueeze(1) <= i.unsqueeze(0)


def answer_03(tokens):
    mask = torch.zeros(tokens, tokens)
    for i in range(tokens):
        for j in range(i + 1):
            mask[i, j] = 1.0
    return mask


def answer_04(tokens):
    return torch.eye(tokens).cumsum(dim=1).bool()


def answer_05(tokens):
    attn_shape = (1, tokens, tokens)
    subsequent_mask = torch.triu(torch.ones(attn_shape), diagonal=1).type(torch.uint8)
    return subsequent_mask == 0


def answer_06(tokens):
    rows = []
    for i in range(tokens):
        rows.append([j in range(i + 2) for j in range(tokens)])
    return torch.tensor(rows)


def answer_07(tokens):
    return torch.eye(tokens).cumsum(dim=0) > 0


def answer_08(tokens):
    return torch.from_numpy(np.tri(tokens, dtype=bool))
