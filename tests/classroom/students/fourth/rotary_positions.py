# ruff: noqa
"""Answers of students to the exercise rotary_positions."""

import torch


def answer_01(vectors, positions):
    d = vectors.shape[-1]
    theta = 10000.0 ** (-torch.arange(0, d, 2, dtype=vectors.dtype) / d)
    angle = positions[..., None].to(vectors.dtype) * theta
    cos, sin = angle.cos(), angle.sin()
    x1, x2 = vectors[..., 0::2], vectors[..., 1::2]
    return torch.stack([x1 * cos + x2 * sin, x2 * cos - x1 * sin], dim=-1).flatten(-2)


def answer_02(vectors, positions):
    d = vectors.shape[-1]
    inv_freq = 1.0 / (10000 ** (torch.arange(0, d, 2, dtype=vectors.dtype) / d))
    freqs = positions.to(vectors.dtype).unsqueeze(-1) * inv_freq
    emb = torch.cat((freqs, freqs), dim=-1)
    x1, x2 = vectors[..., : d // 2], vectors[..., d // 2 :]
    rotated = torch.cat((-x2, x1), dim=-1)
    return vectors * emb.cos() + rotated * emb.sin()


def answer_03(vectors, positions):
    d = vectors.shape[-1]
    inv_freq = 1.0 / (10000 ** (torch.arange(0, d, 2, dtype=vectors.dtype) / d))
    freqs = positions.to(vectors.dtype).unsqueeze(-1) * inv_freq
    emb = torch.cat((freqs, freqs), dim=-1)
    rotated = torch.stack((-vectors[..., 1::2], vectors[..., ::2]), dim=-1).flatten(-2)
    return vectors * emb.cos() + rotated * emb.sin()


def answer_04(vectors, positions):
    d = vectors.shape[-1]
    theta = 10000.0 ** (-torch.arange(0, d, 2, dtype=vectors.dtype) / d)
    angle = positions.to(vectors.dtype).unsqueeze(-1) * theta
    z = torch.view_as_complex(vectors.unflatten(-1, (d // 2, 2)).contiguous())
    turned = z * torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(turned).flatten(-2)
