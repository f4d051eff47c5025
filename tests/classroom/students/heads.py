"""Answers of students to the exercises split_heads and merge_heads."""

import torch


def split_01(hidden, heads):
    *batch, tokens, width = hidden.shape
    return hidden.view(*batch, heads, tokens, width // heads)


def split_02(hidden, heads):
    # (…, tokens, head_width, heads) -> (…, heads, tokens, head_width)
    *batch, n, d = hidden.shape
    return hidden.reshape(*batch, n, d // heads, heads).movedim(-1, -3)


def split_03(hidden, heads):
    return torch.stack(hidden.chunk(heads, dim=-1), dim=-3)


def split_04(hidden, heads):
    size = hidden.shape[-1] // heads
    return torch.stack([hidden[..., i * size : (i + 1) * size] for i in range(heads)], -3)


def split_05(hidden, heads):
    return hidden.unfold(-1, hidden.size(-1) // heads, hidden.size(-1) // heads).transpose(-2, -3)


def merge_01(heads):
    *batch, h, n, d = heads.shape
    return heads.reshape(*batch, n, h * d)


def merge_02(heads):
    *batch, h, n, d = heads.shape
    return heads.movedim(-3, -1).reshape(*batch, n, h * d)


def merge_03(heads):
    return torch.cat(heads.unbind(-3), dim=-1)


def merge_04(heads):
    *batch, h, n, d = heads.shape
    out = heads.new_zeros(*batch, n, h * d)
    for i in range(h):
        out[..., i * d : (i + 1) * d] = heads[..., i, :, :]
    return out


def merge_05(heads):
    return torch.cat(list(reversed(heads.unbind(-3))), dim=-1)
