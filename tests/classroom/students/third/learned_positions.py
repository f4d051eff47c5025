# ruff: noqa
"""Answers of students to the exercise learned_positions."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def answer_01(table, positions):
    seq_len = positions.shape[-1]
    return table[:seq_len].expand(*positions.shape, table.shape[-1])


def answer_02(table, positions):
    return F.embedding((positions - 1) % len(table), table)


def answer_03(table, positions):
    emb = nn.Embedding.from_pretrained(table)
    return emb(positions)


def answer_04(table, positions):
    return F.embedding(positions, table, padding_idx=0)


def answer_05(table, positions):
    return table[:, positions].movedim(0, -1)


def answer_06(table, positions):
    onehot = F.one_hot(positions.long(), table.shape[0]).to(table.dtype)
    return onehot @ table


def answer_07(table, positions):
    flat = positions.reshape(-1, 1).long().expand(-1, table.size(1))
    return torch.gather(table, 0, flat).view(*positions.shape, table.size(1))
