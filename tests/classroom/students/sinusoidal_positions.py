"""Answers of students to the exercise sinusoidal_positions."""

import math

import numpy as np
import torch


def answer_01(positions, width):
    # every column has its own frequency, then sin for the even ones and cos for the odd ones
    j = torch.arange(width)
    angle = positions[:, None] / 10000 ** (j / width)
    pe = torch.zeros_like(angle)
    pe[:, 0::2] = angle[:, 0::2].sin()
    pe[:, 1::2] = angle[:, 1::2].cos()
    return pe


def answer_02(positions, width):
    div_term = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    pe = torch.zeros(len(positions), width)
    pe[:, 0::2] = torch.cos(positions.unsqueeze(1) * div_term)
    pe[:, 1::2] = torch.sin(positions.unsqueeze(1) * div_term)
    return pe


def answer_03(positions, width):
    div_term = torch.exp(torch.arange(0, width, 2) * (-math.log(1000.0) / width))
    pe = torch.zeros(len(positions), width)
    pe[:, 0::2] = torch.sin(positions.unsqueeze(1) * div_term)
    pe[:, 1::2] = torch.cos(positions.unsqueeze(1) * div_term)
    return pe


def answer_04(positions, width):
    i = torch.arange(width // 2)
    angles = positions.unsqueeze(-1) * 10000 ** (-i / width)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def answer_05(positions, width):
    freqs = 1.0 / (1000 ** (torch.arange(0, width, 2) / width))
    a = torch.outer(positions, freqs)
    return torch.stack((a.cos(), a.sin()), -1).reshape(len(positions), width)


def answer_06(positions, width):
    inv_freq = 1 / 10000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
    a = positions.double()[:, None] * inv_freq
    return torch.cat([a.sin(), a.cos()], dim=-1).to(positions.dtype)


def answer_07(positions, width):
    rows = []
    for t in positions.tolist():
        row = []
        for j in range(width):
            angle = t / 10000 ** ((j - j % 2) / width)
            row.append(math.sin(angle) if j % 2 == 0 else math.cos(angle))
        rows.append(row)
    return torch.tensor(rows, dtype=positions.dtype).reshape(len(rows), width)


def answer_08(positions, width):
    t = positions.detach().double().numpy()
    j = np.arange(width)
    angle = t[:, None] / np.power(10000.0, 2 * (j // 2) / width)
    table = np.where(j % 2 == 0, np.sin(angle), np.cos(angle))
    return torch.as_tensor(table, dtype=positions.dtype)


def answer_09(positions, width):
    # cos x = sin(x + π/2)
    column = torch.arange(width, dtype=torch.float64)
    rate = torch.exp(-math.log(10000) * 2 * torch.floor(column / 2) / width)
    phase = (column % 2) * math.pi / 2
    return torch.sin(positions.double().outer(rate) + phase).to(positions.dtype)


def answer_10(positions, width):
    rate = torch.pow(torch.tensor(1e4, dtype=torch.float64), -torch.arange(0, width, 2) / width)
    z = torch.polar(torch.ones(len(positions), len(rate), dtype=torch.float64), positions.double()[:, None] * rate)
    return torch.view_as_real(z).flip(-1).flatten(1)[:, :width].to(positions.dtype)
