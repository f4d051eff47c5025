# ruff: noqa
"""Answers of students to the exercise causal_mask."""

import torch


def answer_01(tokens):
    return torch.triu(torch.ones(tokens, tokens)).bool()


def answer_02(tokens):
    i = torch.arange(tokens)
    return i[None, :] < i[:, None]


def answer_03(tokens):
    return torch.triu(torch.ones(tokens, tokens, dtype=torch.bool), diagonal=1)


def answer_04(tokens):
    return torch.tril(torch.ones(tokens, tokens, dtype=torch.bool), diagonal=1)


def answer_05(tokens):
    return torch.tensor([[j <= i for j in range(tokens)] for i in range(tokens)], dtype=torch.bool).reshape(tokens, tokens)


def answer_06(tokens):
    return ~torch.triu(torch.ones(tokens, tokens, dtype=torch.bool), diagonal=1)
