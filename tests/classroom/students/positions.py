"""Answers of students to the exercises rotary_positions and alibi_bias."""

import math

import torch


def rotary_01(vectors, positions):
    d = vectors.shape[-1]
    theta = 10000 ** (-torch.arange(0, d, 2) / d)
    a = positions[..., None] * theta
    x, y = vectors[..., 0::2], vectors[..., 1::2]
    return torch.stack([x * a.cos() + y * a.sin(), y * a.cos() - x * a.sin()], -1).flatten(-2)


def rotary_02(vectors, positions):
    # rotate_half as in LLaMA
    d = vectors.shape[-1]
    theta = 10000 ** (-torch.arange(0, d, 2) / d)
    a = torch.cat([positions[..., None] * theta] * 2, -1)
    x, y = vectors.chunk(2, -1)
    return vectors * a.cos() + torch.cat([-y, x], -1) * a.sin()


def rotary_03(vectors, positions):
    d = vectors.shape[-1]
    theta = 10000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = positions.double()[..., None] * theta
    z = torch.view_as_complex(vectors.double().unflatten(-1, (-1, 2)).contiguous())
    turned = z * torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(turned).flatten(-2).to(vectors.dtype)


def alibi_01(query_positions, key_positions, heads):
    slopes = 2.0 ** (-8 * torch.arange(heads) / heads)
    distance = (query_positions[..., :, None] - key_positions[..., None, :]).abs()
    return -slopes[:, None, None] * distance[..., None, :, :]


def alibi_02(query_positions, key_positions, heads):
    slopes = torch.tensor([2 ** (-8 * (h + 1) / heads) for h in range(heads)])
    distance = (query_positions[..., :, None] - key_positions[..., None, :]).abs()
    return slopes[:, None, None] * distance.unsqueeze(-3)


def alibi_03(query_positions, key_positions, heads):
    step = math.pow(2, -8 / heads)
    far = torch.maximum(
        query_positions[..., :, None] - key_positions[..., None, :], key_positions[..., None, :] - query_positions[..., :, None]
    )
    slope, layers = 1.0, []
    for _ in range(heads):
        slope *= step
        layers.append(-slope * far)
    return torch.stack(layers, dim=-3)
