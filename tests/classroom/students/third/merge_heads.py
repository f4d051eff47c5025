# ruff: noqa
"""Answers of students to the exercise merge_heads."""

import torch


def answer_01(heads):
    *b, h, t, d = heads.shape
    return heads.reshape(*b, t, h * d)


def answer_02(heads):
    x = heads.transpose(-3, -2)
    return x.view(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def answer_03(heads):
    *batch, h, n, d = heads.shape
    return torch.einsum("...hnd->...ndh", heads).reshape(*batch, n, d * h)


def answer_04(heads):
    return torch.cat([heads[..., i, :, :] for i in range(heads.size(-3))], dim=-2)


def answer_05(heads):
    out = torch.zeros_like(heads[..., 0, :, :])
    for i in range(heads.shape[-3]):
        out = out + heads[..., i, :, :]
    return out


def answer_06(heads):
    return torch.cat(heads.unbind(dim=-3), dim=-1)


def answer_07(heads):
    *batch, h, n, d = heads.shape
    merged = heads.new_empty(*batch, n, h * d)
    for i in range(h):
        merged[..., i * d : (i + 1) * d] = heads[..., i, :, :]
    return merged
