# ruff: noqa
"""Answers of students to the exercise rotary_positions."""

import torch


def answer_01(vectors, positions):
    d = vectors.shape[-1]
    theta = 10000 ** (-torch.arange(0, d, 2) / d)
    ang = positions[..., None] * theta
    out = vectors.clone()
    out[..., 0::2] = out[..., 0::2] * ang.cos() - out[..., 1::2] * ang.sin()
    out[..., 1::2] = out[..., 0::2] * ang.sin() + out[..., 1::2] * ang.cos()
    return out


def answer_02(vectors, positions):
    d = vectors.size(-1)
    inv = 1.0 / (10000 ** (torch.arange(0, d, 2).float() / d))
    f = torch.einsum("...t,f->...tf", positions.float(), inv)
    c, s = f.cos(), f.sin()
    x, y = vectors[..., ::2], vectors[..., 1::2]
    return torch.stack([x * c + y * s, y * c - x * s], dim=-1).flatten(-2)


def rotate_every_two(x):
    x1 = x[..., ::2]
    x2 = x[..., 1::2]
    return torch.stack((-x2, x1), dim=-1).flatten(-2)


def answer_03(vectors, positions):
    d = vectors.shape[-1]
    freqs = 10000 ** (-torch.arange(0, d, 2, dtype=torch.float32) / d)
    angles = positions.unsqueeze(-1) * freqs
    emb = torch.cat((angles, angles), dim=-1)
    return vectors * emb.cos() + rotate_every_two(vectors) * emb.sin()


def answer_04(vectors, positions):
    d = vectors.shape[-1]
    angles = positions.unsqueeze(-1) * 10000.0 ** (-2 * torch.arange(d // 2) / d)
    a, b = vectors[..., 0::2], vectors[..., 1::2]
    return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], dim=-1)


def answer_05(vectors, positions):
    d = vectors.shape[-1]
    i = torch.arange(d // 2)
    theta = torch.pow(10000.0, -i / d)
    z = torch.view_as_complex(vectors.float().unflatten(-1, (-1, 2)).contiguous())
    rot = torch.polar(torch.ones(()), positions.float().unsqueeze(-1) * theta)
    return torch.view_as_real(z * rot).flatten(-2).type_as(vectors)


def answer_06(vectors, positions):
    d = vectors.shape[-1]
    inv_freq = 1.0 / (10000 ** (torch.arange(0, d, 2).float() / d))
    freqs = positions[..., None] * inv_freq
    emb = torch.cat((freqs, freqs), dim=-1)
    x1, x2 = vectors[..., : d // 2], vectors[..., d // 2 :]
    return vectors * emb.cos() + torch.cat((-x2, x1), dim=-1) * emb.sin()


def answer_07(vectors, positions):
    d = vectors.shape[-1]
    ang = positions.double().unsqueeze(-1) * 10000.0 ** (-torch.arange(0, d, 2).double() / d)
    c, s = ang.cos(), ang.sin()
    R = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2).to(vectors.dtype)
    pairs = vectors.unflatten(-1, (-1, 2)).unsqueeze(-1)
    return (R @ pairs).flatten(-3)


def answer_08(vectors, positions):
    width = vectors.shape[-1]
    cols = []
    for i in range(width // 2):
        t = positions * 10000 ** (-2 * i / width)
        x, y = vectors[..., 2 * i], vectors[..., 2 * i + 1]
        cols += [x * torch.cos(t) - y * torch.sin(t), x * torch.sin(t) + y * torch.cos(t)]
    return torch.stack(cols, dim=-1)
