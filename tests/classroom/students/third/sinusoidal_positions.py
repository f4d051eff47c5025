# ruff: noqa
"""Answers of students to the exercise sinusoidal_positions."""

import math

import numpy as np
import torch


def answer_01(positions, width):
    pe = torch.zeros(len(positions), width)
    for row, pos in enumerate(positions.tolist()):
        for i in range(0, width, 2):
            angle = pos / (10000 ** (2 * i / width))
            pe[row, i] = math.sin(angle)
            pe[row, i + 1] = math.cos(angle)
    return pe


def answer_02(positions, width):
    position = torch.arange(positions.shape[0], dtype=torch.float).unsqueeze(1)
    div_term = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
    pe = torch.zeros(positions.shape[0], width)
    pe[:, 0::2] = torch.sin(position * div_term)
    pe[:, 1::2] = torch.cos(position * div_term)
    return pe


def answer_03(positions, width):
    j = np.arange(width)
    angle_rates = torch.tensor(1 / np.power(10000, j / width), dtype=torch.float32)
    angles = positions[:, None] * angle_rates[None, :]
    out = torch.empty_like(angles)
    out[:, 0::2] = angles[:, 0::2].sin()
    out[:, 1::2] = angles[:, 1::2].cos()
    return out


def answer_04(positions, width):
    half = width // 2
    freq = torch.exp(-math.log(10000) * torch.arange(half) / max(half - 1, 1))
    t = torch.outer(positions.float(), freq)
    return torch.stack((t.sin(), t.cos()), dim=-1).reshape(len(positions), width)


def answer_05(positions, width):
    theta = positions[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    z = torch.polar(torch.ones_like(theta), theta)
    return torch.view_as_real(z).flatten(-2)


def answer_06(positions, width):
    inv_freq = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * math.log(10000.0) / width)
    ang = positions.unsqueeze(-1) * inv_freq
    return torch.stack([ang.sin(), ang.cos()], -1).flatten(1)


def answer_07(positions, width):
    inv_freq = 10000 ** -(torch.arange(0, width, 2) / width)
    args = torch.einsum("p,f->pf", positions.float(), inv_freq)
    return torch.cat([args.sin(), args.cos()], dim=-1)


def answer_08(positions, width):
    column = torch.arange(width)
    exponent = (column - column % 2).double() / width
    angle = positions.double().unsqueeze(1) * 10000.0**-exponent
    return torch.sin(angle + (column % 2) * math.pi / 2).float()


def answer_09(positions, width):
    columns = []
    for c in range(width):
        i = c // 2
        x = positions / (10000 ** (2 * i / width))
        columns.append(torch.cos(x) if c % 2 else torch.sin(x))
    return torch.stack(columns, dim=1)
