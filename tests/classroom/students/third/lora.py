# ruff: noqa
"""Answers of students to the exercise lora."""

import torch
from torch.nn import functional as F


def answer_01(x, frozen, a, b, scale=1.0, dropout=None):
    if dropout is not None:
        x = dropout(x)
    return frozen(x) + scale * (x @ a.T @ b.T)


def answer_02(x, frozen, a, b, scale=1.0, dropout=None):
    h = x if dropout is None else dropout(x)
    return frozen(x) + F.linear(F.linear(h, a), b)


def answer_03(x, frozen, a, b, scale=1.0, dropout=None):
    out = frozen(x)
    if dropout:
        x = dropout(x)
    out = out + x @ (b @ a).mT
    return out * scale


def answer_04(x, frozen, a, b, scale=1.0, dropout=None):
    update = scale * torch.einsum("...i,ri,or->...o", x, a, b)
    if dropout is not None:
        update = dropout(update)
    return frozen(x) + update


def answer_05(x, frozen, a, b, scale=1.0, dropout=None):
    low_rank = torch.matmul(x, a.transpose(0, 1))
    return frozen(x) + torch.matmul(low_rank, b.transpose(0, 1)) * scale


def answer_06(x, frozen, a, b, scale=1.0, dropout=None):
    z = F.linear(x, a)
    if dropout is not None:
        z = dropout(z)
    return frozen(x) + scale * F.linear(z, b)


def answer_07(x, frozen, a, b, scale=1.0, dropout=None):
    drop = dropout or (lambda t: t)
    small = torch.einsum("rw,...w->...r", a, drop(x))
    return torch.add(frozen(x), torch.einsum("or,...r->...o", b, small), alpha=scale)
