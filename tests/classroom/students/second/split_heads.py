# ruff: noqa
"""Answers of students to the exercise split_heads."""

import torch


def answer_01(hidden, heads):
    *batch, tokens, width = hidden.shape
    return hidden.reshape(*batch, heads, tokens, width // heads)


def answer_02(hidden, heads):
    *batch, tokens, width = hidden.shape
    x = hidden.reshape(*batch, tokens, width // heads, heads)
    return x.movedim(-1, -3)


def answer_03(hidden, heads):
    *batch, tokens, width = hidden.shape
    return hidden.view(*batch, tokens, heads, width // heads)


def answer_04(hidden, heads):
    return torch.stack(hidden.chunk(heads, dim=-1), dim=-3)


def answer_05(hidden, heads):
    d = hidden.shape[-1] // heads
    parts = [hidden[..., i * d : (i + 1) * d] for i in range(heads)]
    return torch.stack(parts, dim=hidden.ndim - 2)
