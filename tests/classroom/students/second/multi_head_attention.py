# ruff: noqa
"""Answers of students to the exercise multi_head_attention."""

import math

import torch
from torch.nn import functional as F


def answer_01(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q, k, v = queries_from @ w_q, keys_from @ w_k, keys_from @ w_v
    *batch, n, _ = q.shape
    m = k.shape[-2]
    q = q.reshape(*batch, heads, n, -1)
    k = k.reshape(*batch, heads, m, -1)
    v = v.reshape(*batch, heads, m, -1)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep.unsqueeze(-3), float("-inf"))
    out = torch.softmax(scores, -1).nan_to_num(0.0) @ v
    return out.transpose(-3, -2).reshape(*batch, n, -1) @ w_o


def answer_02(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    def split(t):
        return t.reshape(*t.shape[:-1], heads, t.shape[-1] // heads).transpose(-2, -3)

    q, k, v = split(queries_from @ w_q), split(keys_from @ w_k), split(keys_from @ w_v)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep.unsqueeze(-3), float("-inf"))
    out = scores.softmax(-1).nan_to_num(0.0) @ v
    out = out.reshape(*queries_from.shape[:-1], -1)
    return out @ w_o


def answer_03(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    def split(t):
        return t.unflatten(-1, (heads, -1)).transpose(-2, -3)

    q, k, v = split(queries_from @ w_q), split(keys_from @ w_k), split(keys_from @ w_v)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep.unsqueeze(-3), float("-inf"))
    out = scores.softmax(-1).nan_to_num(0.0) @ v
    return out.transpose(-2, -3).flatten(-2)


def answer_04(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    d_model = w_q.shape[1]

    def split(t):
        return t.unflatten(-1, (heads, -1)).transpose(-2, -3)

    q, k, v = split(queries_from @ w_q), split(keys_from @ w_k), split(keys_from @ w_v)
    scores = q @ k.transpose(-1, -2) / d_model**0.5
    if keep is not None:
        scores = scores.masked_fill(~keep.unsqueeze(-3), float("-inf"))
    out = scores.softmax(-1).nan_to_num(0.0) @ v
    return out.transpose(-2, -3).flatten(-2) @ w_o


def answer_05(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    def split(t):
        return t.unflatten(-1, (heads, -1)).transpose(-2, -3)

    q = split(queries_from @ w_q)
    k = split(queries_from @ w_k)
    v = split(queries_from @ w_v)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep.unsqueeze(-3), float("-inf"))
    out = scores.softmax(-1).nan_to_num(0.0) @ v
    return out.transpose(-2, -3).flatten(-2) @ w_o


def answer_06(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    def split(t):
        return t.unflatten(-1, (heads, -1)).transpose(-2, -3)

    q, k, v = split(queries_from @ w_q), split(keys_from @ w_k), split(keys_from @ w_v)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    out = scores.softmax(-1).nan_to_num(0.0) @ v
    return out.transpose(-2, -3).flatten(-2) @ w_o


def answer_07(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q, k, v = F.linear(queries_from, w_q), F.linear(keys_from, w_k), F.linear(keys_from, w_v)
    outs = []
    for qi, ki, vi in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1)):
        s = qi @ ki.transpose(-1, -2) / math.sqrt(qi.shape[-1])
        if keep is not None:
            s = s.masked_fill(~keep, float("-inf"))
        outs.append(s.softmax(-1).nan_to_num(0.0) @ vi)
    return F.linear(torch.cat(outs, -1), w_o)


def answer_08(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q = (queries_from @ w_q).chunk(heads, dim=-1)
    k = (keys_from @ w_k).chunk(heads, dim=-1)
    v = (keys_from @ w_v).chunk(heads, dim=-1)
    outs = []
    for i in range(heads):
        s = q[i] @ k[i].transpose(-1, -2) / math.sqrt(q[i].shape[-1])
        if keep is not None:
            s = s.masked_fill(~keep, -math.inf)
        outs.append(torch.softmax(s, -1).nan_to_num(0.0) @ v[i])
    return torch.cat(outs, dim=-1) @ w_o


def answer_09(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q = (queries_from @ w_q).unflatten(-1, (heads, -1))
    k = (keys_from @ w_k).unflatten(-1, (heads, -1))
    v = (keys_from @ w_v).unflatten(-1, (heads, -1))
    a = torch.einsum("...qhd,...khd->...hqk", q, k) / q.shape[-1] ** 0.5
    if keep is not None:
        a = a.masked_fill(~keep.unsqueeze(-3), float("-inf"))
    a = a.softmax(-1).nan_to_num(0.0)
    return torch.einsum("...hqk,...khd->...qhd", a, v).flatten(-2) @ w_o


def answer_10(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    # sum over heads of (attention @ rows of w_o)
    d, dv = w_q.shape[1] // heads, w_v.shape[1] // heads
    total = 0
    for h in range(heads):
        q = queries_from @ w_q[:, h * d : (h + 1) * d]
        k = keys_from @ w_k[:, h * d : (h + 1) * d]
        v = keys_from @ w_v[:, h * dv : (h + 1) * dv]
        s = (q * d**-0.5) @ k.transpose(-2, -1)
        if keep is not None:
            s = torch.where(keep, s, torch.full_like(s, float("-inf")))
        w = s.softmax(-1)
        w = torch.where(w.isnan(), torch.zeros_like(w), w)
        total = total + w @ v @ w_o[h * dv : (h + 1) * dv]
    return total
