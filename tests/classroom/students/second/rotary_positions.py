# ruff: noqa
"""Answers of students to the exercise rotary_positions."""

import torch


def answer_01(vectors, positions):
    d = vectors.shape[-1]
    inv_freq = 1.0 / (10000 ** (torch.arange(0, d, 2).float() / d))
    freqs = positions[..., None] * inv_freq
    emb = torch.cat((freqs, freqs), dim=-1)
    x1, x2 = vectors[..., : d // 2], vectors[..., d // 2 :]
    rotated = torch.cat((-x2, x1), dim=-1)
    return vectors * emb.cos() + rotated * emb.sin()


def answer_02(vectors, positions):
    d = vectors.shape[-1]
    theta = 10000 ** (-torch.arange(0, d, 2).float() / d)
    angle = positions[..., None] * theta
    x1, x2 = vectors[..., 0::2], vectors[..., 1::2]
    out = torch.empty_like(vectors)
    out[..., 0::2] = x1 * angle.cos() + x2 * angle.sin()
    out[..., 1::2] = -x1 * angle.sin() + x2 * angle.cos()
    return out


def answer_03(vectors, positions):
    d = vectors.shape[-1]
    theta = 10000 ** (-torch.arange(d // 2).float() / d)
    angle = positions[..., None] * theta
    x1, x2 = vectors[..., 0::2], vectors[..., 1::2]
    return torch.stack((x1 * angle.cos() - x2 * angle.sin(), x1 * angle.sin() + x2 * angle.cos()), dim=-1).flatten(-2)


def answer_04(vectors, positions):
    d = vectors.shape[-1]
    inv_freq = 1.0 / (10000 ** (torch.arange(0, d, 2).float() / d))
    freqs = positions[..., None] * inv_freq
    emb = torch.cat((freqs, freqs), dim=-1)
    x1, x2 = vectors[..., 0::2], vectors[..., 1::2]
    rotated = torch.stack((-x2, x1), dim=-1).flatten(-2)
    return vectors * emb.cos() + rotated * emb.sin()


def answer_05(vectors, positions):
    d = vectors.shape[-1]
    theta = 1.0 / (10000 ** (torch.arange(0, d, 2).float() / d))
    angle = positions[..., None] * theta
    x1, x2 = vectors[..., 0::2], vectors[..., 1::2]
    return torch.cat((x1 * angle.cos() - x2 * angle.sin(), x1 * angle.sin() + x2 * angle.cos()), dim=-1)


def answer_06(vectors, positions):
    d = vectors.shape[-1]
    theta = 10000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = positions.double().unsqueeze(-1) * theta
    z = torch.view_as_complex(vectors.double().unflatten(-1, (-1, 2)).contiguous())
    z = z * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(z).flatten(-2).to(vectors.dtype)


def answer_07(vectors, positions):
    d = vectors.shape[-1]
    freqs = positions[..., None] / 10000.0 ** (torch.arange(0, d, 2, dtype=positions.dtype) / d)
    cos = freqs.cos().repeat_interleave(2, dim=-1)
    sin = freqs.sin().repeat_interleave(2, dim=-1)
    even, odd = vectors[..., ::2], vectors[..., 1::2]
    rotated = torch.stack((-odd, even), dim=-1).reshape(vectors.shape)
    return vectors * cos + rotated * sin
