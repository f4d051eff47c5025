# ruff: noqa
"""Answers of students to the exercise lora."""

import torch
from torch.nn import functional as F


def answer_01(x, frozen, a, b, scale=1.0, dropout=None):
    h = x if dropout is None else dropout(x)
    return frozen(x) + h @ a.T @ b.T


def answer_02(x, frozen, a, b, scale=1.0, dropout=None):
    if dropout is not None:
        x = dropout(x)
    return frozen(x) + scale * (x @ a.T @ b.T)


def answer_03(x, frozen, a, b, scale=1.0, dropout=None):
    h = dropout(x) if dropout is not None else x
    return scale * (frozen(x) + F.linear(F.linear(h, a), b))


def answer_04(x, frozen, a, b, scale=1.0, dropout=None):
    update = x @ a.T @ b.T
    if dropout is not None:
        update = dropout(update)
    return frozen(x) + scale * update


def answer_05(x, frozen, a, b, scale=1.0, dropout=None):
    inp = dropout(x) if dropout is not None else x
    return torch.add(frozen(x), inp @ (b @ a).T, alpha=scale)


def answer_06(x, frozen, a, b, scale=1.0, dropout=None):
    drop = dropout or (lambda t: t)
    low = torch.einsum("...w,rw->...r", drop(x), a)
    return frozen(x) + torch.einsum("...r,or->...o", low, b) * scale
