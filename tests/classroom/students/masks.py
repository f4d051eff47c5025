# ruff: noqa: B905
"""Answers of students to the exercises causal_mask and padding_mask."""

import numpy as np
import torch


def causal_01(tokens):
    return torch.tril(torch.ones(tokens, tokens), diagonal=-1).bool()


def causal_02(tokens):
    return torch.ones(tokens, tokens, dtype=torch.bool).triu()


def causal_03(tokens):
    # True where the position must be masked
    return torch.triu(torch.ones(tokens, tokens, dtype=torch.bool), diagonal=1)


def causal_04(tokens):
    return torch.tensor([[j <= i for j in range(tokens)] for i in range(tokens)], dtype=torch.bool).reshape(tokens, tokens)


def causal_05(tokens):
    i = torch.arange(tokens)
    return i[:, None] >= i[None, :]


def causal_06(tokens):
    return torch.from_numpy(np.tri(tokens, dtype=bool))


def causal_07(tokens):
    return torch.eye(tokens).flip(-1).cumsum(-1).flip(-1) > 0


def padding_01(lengths, tokens):
    return (torch.arange(tokens) <= lengths.unsqueeze(-1)).unsqueeze(-2)


def padding_02(lengths, tokens):
    positions = torch.arange(tokens)
    return (positions >= tokens - lengths[..., None])[..., None, :]


def padding_03(lengths, tokens):
    # as the key_padding_mask of PyTorch
    idx = torch.arange(tokens).expand(*lengths.shape, tokens)
    return (idx >= lengths.unsqueeze(-1)).unsqueeze(-2)


def padding_04(lengths, tokens):
    flat = lengths.reshape(-1).tolist()
    mask = torch.zeros(len(flat), 1, tokens, dtype=torch.bool)
    for row, n in zip(mask, flat):
        row[:, :n] = True
    return mask.reshape(*lengths.shape, 1, tokens)


def padding_05(lengths, tokens):
    return torch.ones(*lengths.shape, tokens).cumsum(-1).le(lengths[..., None]).unsqueeze(-2)
