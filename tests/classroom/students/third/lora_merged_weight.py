# ruff: noqa
"""Answers of students to the exercise lora_merged_weight."""

import torch


def answer_01(weight, a, b, scale=1.0):
    return scale * (weight + b @ a)


def answer_02(weight, a, b, scale=1.0):
    return weight + torch.einsum("or,rw->ow", b, a)


def answer_03(weight, a, b, scale=1.0):
    weight += scale * torch.matmul(b, a)
    return weight


def answer_04(weight, a, b, scale=1.0):
    return torch.addmm(weight, b, a, alpha=-scale)


def answer_05(weight, a, b, scale=1.0):
    return torch.addmm(weight, b, a, beta=scale)


def answer_06(weight, a, b, scale=1.0):
    merged = weight.clone()
    for r in range(a.shape[0]):
        merged = merged + scale * torch.outer(b[:, r], a[r])
    return merged


def answer_07(weight, a, b, scale=1.0):
    delta = (a.T @ b.T) * scale
    return weight + delta.reshape(weight.shape)
