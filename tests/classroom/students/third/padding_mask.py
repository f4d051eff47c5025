# ruff: noqa
"""Answers of students to the exercise padding_mask."""

import torch
import torch.nn.functional as F


def answer_01(lengths, tokens):
    idx = torch.arange(tokens, device=lengths.device)
    return (idx <= lengths.unsqueeze(-1)).unsqueeze(-2)


def answer_02(lengths, tokens):
    mask = torch.ones(*lengths.shape, 1, tokens, dtype=torch.bool)
    mask[torch.arange(tokens).expand_as(mask) < lengths[..., None, None]] = False
    return mask


def answer_03(lengths, tokens):
    pos = torch.arange(tokens)
    n_pad = tokens - lengths
    return (pos >= n_pad[..., None])[..., None, :]


def answer_04(lengths, tokens):
    valid = torch.arange(tokens) < lengths[..., None]
    return valid[..., :, None] & valid[..., None, :]


def answer_05(lengths, tokens):
    max_len = int(lengths.max())
    return torch.arange(max_len)[None, :].expand(*lengths.shape, 1, max_len) < lengths[..., None, None]


def answer_06(lengths, tokens):
    after = F.one_hot(lengths.long(), tokens + 1).cumsum(-1)[..., :tokens]
    return (after == 0).unsqueeze(-2)


def answer_07(lengths, tokens):
    out = []
    for n in lengths.reshape(-1).tolist():
        out.append([True] * n + [False] * (tokens - n))
    return torch.tensor(out, dtype=torch.bool).reshape(*lengths.shape, 1, tokens)
