# ruff: noqa
"""Answers of students to the exercise alibi_bias."""

import torch


def answer_01(query_positions, key_positions, heads):
    slopes = torch.tensor([2 ** (-8 * h / heads) for h in range(heads)])
    dist = (query_positions[..., :, None] - key_positions[..., None, :]).abs()
    return -slopes[:, None, None] * dist.unsqueeze(-3)


def answer_02(query_positions, key_positions, heads):
    h = torch.arange(1, heads + 1)
    m = 2.0 ** (-8.0 * h / heads)
    relative = key_positions.unsqueeze(-2) - query_positions.unsqueeze(-1)
    return torch.einsum("h,...qk->...hqk", m, relative)


def answer_03(query_positions, key_positions, heads):
    out = []
    d = torch.abs(query_positions.unsqueeze(-1) - key_positions.unsqueeze(-2))
    for h in range(1, heads + 1):
        out.append(-(2 ** (-8 / h)) * d)
    return torch.stack(out, dim=-3)


def answer_04(query_positions, key_positions, heads):
    start = 2 ** (-8 / heads)
    slopes = torch.tensor([start * start**i for i in range(heads)]).view(heads, 1, 1)
    gap = query_positions[..., None, :, None] - key_positions[..., None, None, :]
    return slopes * gap.abs()


def answer_05(query_positions, key_positions, heads):
    slopes = torch.logspace(-8, -8 / heads, heads, base=2)
    distance = (query_positions.unsqueeze(-1) - key_positions.unsqueeze(-2)).abs().neg()
    return distance.unsqueeze(-3) * slopes.reshape(-1, 1, 1)


def answer_06(query_positions, key_positions, heads):
    gap = torch.cdist(query_positions.unsqueeze(-1).float(), key_positions.unsqueeze(-1).float(), p=1)
    return torch.stack([-gap / 2 ** (8 * (h + 1) / heads) for h in range(heads)], dim=-3)
