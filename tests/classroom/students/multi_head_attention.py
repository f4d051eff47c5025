# ruff: noqa: B905, E741, N806
"""Answers of students to the exercise multi_head_attention."""

import math

import torch
from torch.nn import functional as F


def _attend(q, k, v, keep, scale):
    scores = q @ k.transpose(-2, -1) * scale
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    weights = scores.softmax(-1)
    if keep is not None:
        weights = weights.masked_fill(~keep, 0.0)
    return weights @ v


def answer_01(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    def split(x):
        return x.unflatten(-1, (heads, -1)).transpose(-3, -2)

    q, k, v = split(queries_from @ w_q), split(keys_from @ w_k), split(keys_from @ w_v)
    mask = None if keep is None else keep.unsqueeze(-3)
    out = _attend(q, k, v, mask, 1 / math.sqrt(w_q.shape[-1]))
    return out.transpose(-3, -2).flatten(-2) @ w_o


def answer_02(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    d = w_q.shape[-1] // heads
    q = (queries_from @ w_q).unflatten(-1, (heads, d)).transpose(-3, -2)
    k = (keys_from @ w_k).unflatten(-1, (heads, d)).transpose(-3, -2)
    v = (keys_from @ w_v).unflatten(-1, (heads, -1)).transpose(-3, -2)
    if keep is not None:
        keep = keep.unsqueeze(-3)
    context = _attend(q, k, v, keep, d**-0.5)
    # concatenate the heads
    context = context.reshape(*queries_from.shape[:-1], -1)
    return context @ w_o


def answer_03(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    d = w_q.shape[-1] // heads
    Q = queries_from @ w_q
    K = keys_from @ w_k
    V = keys_from @ w_v
    Q = Q.reshape(*Q.shape[:-2], heads, Q.shape[-2], d)
    K = K.reshape(*K.shape[:-2], heads, K.shape[-2], d)
    V = V.reshape(*V.shape[:-2], heads, V.shape[-2], V.shape[-1] // heads)
    if keep is not None:
        keep = keep.unsqueeze(-3)
    O = _attend(Q, K, V, keep, 1 / math.sqrt(d))
    return O.transpose(-2, -3).flatten(start_dim=-2) @ w_o


def answer_04(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    def split(x):
        return x.unflatten(-1, (heads, -1)).movedim(-2, -3)

    mask = None if keep is None else keep[..., None, :, :]
    out = _attend(split(queries_from @ w_q), split(keys_from @ w_k), split(keys_from @ w_v), mask, 1.0)
    out = out.reshape(*queries_from.shape[:-1], -1)
    return out @ w_o


def answer_05(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q, k, v = queries_from @ w_q, keys_from @ w_k, keys_from @ w_v
    d = q.shape[-1] // heads
    parts = []
    for qh, kh, vh in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1)):
        parts.append(_attend(qh, kh, vh, keep, 1 / math.sqrt(d)))
    return torch.cat(parts, dim=-1) @ w_o


def answer_06(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    """Sum over the heads of each head's part of W^O."""
    dq, dv = w_q.shape[1] // heads, w_v.shape[1] // heads
    total = 0
    for h in range(heads):
        qk, vs = slice(h * dq, (h + 1) * dq), slice(h * dv, (h + 1) * dv)
        head = _attend(queries_from @ w_q[:, qk], keys_from @ w_k[:, qk], keys_from @ w_v[:, vs], keep, dq**-0.5)
        total = total + head @ w_o[vs]
    return total


def answer_07(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    wq = w_q.view(w_q.shape[0], heads, -1)
    wk = w_k.view(w_k.shape[0], heads, -1)
    wv = w_v.view(w_v.shape[0], heads, -1)
    wo = w_o.view(heads, -1, w_o.shape[1])
    scores = torch.einsum("...qa,ahd,...kb,bhd->...hqk", queries_from, wq, keys_from, wk) / math.sqrt(wq.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep.unsqueeze(-3), -math.inf)
    weights = torch.softmax(scores, -1)
    if keep is not None:
        weights = weights.masked_fill(~keep.unsqueeze(-3), 0)
    return torch.einsum("...hqk,...kb,bhd,hdo->...qo", weights, keys_from, wv, wo)


def answer_08(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    def rearrange(x):
        *b, n, c = x.shape
        return x.reshape(*b, n, heads, c // heads).transpose(-3, -2)

    q, k, v = (rearrange(x @ w) for x, w in ((queries_from, w_q), (keys_from, w_k), (keys_from, w_v)))
    mask = None if keep is None else keep.unsqueeze(-3)
    context = F.scaled_dot_product_attention(q, k, v, mask)
    if keep is not None:
        context = torch.where(mask.any(-1, keepdim=True), context, torch.zeros_like(context))
    return F.linear(context.transpose(-3, -2).flatten(-2), w_o.T)


def answer_09(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    # heads as the first axis
    q = torch.stack((queries_from @ w_q).tensor_split(heads, -1))
    k = torch.stack((keys_from @ w_k).tensor_split(heads, -1))
    v = torch.stack((keys_from @ w_v).tensor_split(heads, -1))
    o = _attend(q, k, v, keep, 1 / q.size(-1) ** 0.5)
    return torch.cat(list(o), -1) @ w_o
