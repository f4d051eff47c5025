# ruff: noqa
"""Answers of students to the exercise alibi_bias."""

import torch


def answer_01(query_positions, key_positions, heads):
    slopes = torch.tensor([2 ** (-8 * h / heads) for h in range(1, heads + 1)], dtype=query_positions.dtype)
    distance = (query_positions[..., :, None] - key_positions[..., None, :]).abs()
    return slopes[:, None, None] * distance[..., None, :, :]


def answer_02(query_positions, key_positions, heads):
    h = torch.arange(heads, dtype=query_positions.dtype)
    m = 2 ** (-8 * h / heads)
    dist = torch.abs(query_positions.unsqueeze(-1) - key_positions.unsqueeze(-2))
    return -m.view(heads, 1, 1) * dist.unsqueeze(-3)


def answer_03(query_positions, key_positions, heads):
    h = torch.arange(1, heads + 1).to(query_positions)
    m = torch.pow(2.0, -8.0 * h / heads)
    diff = query_positions[..., None, :, None] - key_positions[..., None, None, :]
    return -m[:, None, None] * diff


def answer_04(query_positions, key_positions, heads):
    out = []
    for h in range(1, heads + 1):
        slope = 2.0 ** (-8.0 * h / heads)
        out.append(-slope * (query_positions.unsqueeze(-1) - key_positions.unsqueeze(-2)).abs())
    return torch.stack(out, dim=-3)
