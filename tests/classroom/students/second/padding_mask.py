# ruff: noqa
"""Answers of students to the exercise padding_mask."""

import numpy as np
import torch


def answer_01(lengths, tokens):
    pos = torch.arange(tokens)
    return (pos <= lengths[..., None]).unsqueeze(-2)


def answer_02(lengths, tokens):
    pos = torch.arange(tokens)
    return (pos >= lengths.unsqueeze(-1)).unsqueeze(-2)


def answer_03(lengths, tokens):
    return torch.arange(tokens) < lengths.unsqueeze(-1)


def answer_04(lengths, tokens):
    return lengths[..., None, None] > torch.arange(tokens, device=lengths.device)


def answer_05(lengths, tokens):
    mask = torch.zeros(*lengths.shape, 1, tokens, dtype=torch.bool)
    for index in np.ndindex(*lengths.shape):
        mask[index][0, : int(lengths[index])] = True
    return mask
