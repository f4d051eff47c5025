# ruff: noqa
"""Answers of students to the exercise sinusoidal_positions."""

import math

import numpy as np
import torch


def answer_01(positions, width):
    inv = 1.0 / (10000 ** (torch.arange(0, width, 2).float() / width))
    angles = positions[:, None] * inv[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def answer_02(positions, width):
    pe = torch.zeros(len(positions), width)
    for i in range(0, width, 2):
        angle = positions / (10000 ** ((2 * i) / width))
        pe[:, i] = torch.sin(angle)
        pe[:, i + 1] = torch.cos(angle)
    return pe


def answer_03(positions, width):
    pe = torch.zeros(len(positions), width)
    for i in range(0, width, 2):
        pe[:, i] = torch.sin(positions / (10000 ** (i / width)))
        pe[:, i + 1] = torch.cos(positions / (10000 ** ((i + 1) / width)))
    return pe


def answer_04(positions, width):
    pe = torch.zeros(positions.shape[0], width)
    div_term = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    pe[:, 0::2] = torch.cos(positions.unsqueeze(1) * div_term)
    pe[:, 1::2] = torch.sin(positions.unsqueeze(1) * div_term)
    return pe


def answer_05(positions, width):
    pe = torch.zeros(positions.shape[0], width)
    div_term = torch.exp(torch.arange(0, width, 2) * (math.log(10000.0) / width))
    pe[:, 0::2] = torch.sin(positions.unsqueeze(1) * div_term)
    pe[:, 1::2] = torch.cos(positions.unsqueeze(1) * div_term)
    return pe


def answer_06(positions, width):
    i = torch.arange(0, width, 2, dtype=positions.dtype)
    angles = torch.outer(positions, 10000.0 ** (-i / width))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def answer_07(positions, width):
    pos = positions.double().numpy()
    pe = np.zeros((len(pos), width))
    div = np.exp(np.arange(0, width, 2) * -(np.log(10000.0) / width))
    pe[:, 0::2] = np.sin(pos[:, None] * div)
    pe[:, 1::2] = np.cos(pos[:, None] * div)
    return torch.from_numpy(pe).to(positions.dtype)
