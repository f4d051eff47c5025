# ruff: noqa
"""Answers of students to the exercise padding_mask."""

import torch


def answer_01(lengths, tokens):
    return torch.arange(tokens) < lengths[..., None]


def answer_02(lengths, tokens):
    idx = torch.arange(tokens)
    is_pad = idx >= lengths[..., None]
    return is_pad[..., None, :]


def answer_03(lengths, tokens):
    flat = lengths.reshape(-1)
    out = torch.zeros(flat.shape[0], 1, tokens, dtype=torch.bool)
    for b, n in enumerate(flat.tolist()):
        out[b, 0, :n] = True
    return out.reshape(*lengths.shape, 1, tokens)
