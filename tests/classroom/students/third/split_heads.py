# ruff: noqa
"""Answers of students to the exercise split_heads."""

import torch


def answer_01(hidden, heads):
    *rest, width = hidden.shape
    return hidden.reshape(*rest, heads, width // heads)


def answer_02(hidden, heads):
    *batch, tokens, width = hidden.shape
    return hidden.contiguous().view(*batch, heads, tokens, width // heads)


def answer_03(hidden, heads):
    return torch.stack([hidden[..., h::heads] for h in range(heads)], dim=-3)


def answer_04(hidden, heads):
    return torch.stack(hidden.split(heads, dim=-1), dim=-3)


def answer_05(hidden, heads):
    d = hidden.shape[1] // heads
    parts = [hidden[..., h * d : (h + 1) * d] for h in range(heads)]
    return torch.stack(parts, dim=-3)


def answer_06(hidden, heads):
    return torch.stack(torch.chunk(hidden, heads, dim=-1), dim=-3)


def answer_07(hidden, heads):
    return hidden.unflatten(-1, (heads, -1)).movedim(-2, -3)
