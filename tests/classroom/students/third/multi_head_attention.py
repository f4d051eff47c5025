# ruff: noqa
"""Answers of students to the exercise multi_head_attention."""

import math

import torch


def _heads(x, h):
    return x.unflatten(-1, (h, -1)).transpose(-3, -2)


def _attend(q, k, v, keep):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.size(-1))
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    return scores.softmax(-1).nan_to_num(0.0) @ v


def answer_01(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q, k, v = _heads(queries_from @ w_q, heads), _heads(keys_from @ w_k, heads), _heads(queries_from @ w_v, heads)
    mask = None if keep is None else keep.unsqueeze(-3)
    return _attend(q, k, v, mask).transpose(-3, -2).flatten(-2) @ w_o


def answer_02(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q = queries_from @ w_q
    k = keys_from @ w_k
    v = keys_from @ w_v
    scale = math.sqrt(q.shape[-1])
    outs = []
    for qh, kh, vh in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1)):
        s = qh @ kh.transpose(-2, -1) / scale
        if keep is not None:
            s = s.masked_fill(~keep, -1e20)
        a = torch.softmax(s, -1)
        if keep is not None:
            a = a.masked_fill(~keep, 0)
        outs.append(a @ vh)
    return torch.cat(outs, -1) @ w_o


def answer_03(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q, k, v = (_heads(x @ w, heads) for x, w in ((queries_from, w_q), (keys_from, w_k), (keys_from, w_v)))
    context = _attend(q, k, v, keep if keep is None else keep[..., None, :, :])
    *batch, h, n, d = context.shape
    return context.transpose(-2, -3).reshape(*batch, n, h * d)


def answer_04(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q, k, v = _heads(queries_from @ w_q, heads), _heads(keys_from @ w_k, heads), _heads(keys_from @ w_v, heads)
    out = _attend(q, k, v, None if keep is None else keep.unsqueeze(-3))
    out = out.reshape(*out.shape[:-3], queries_from.shape[-2], -1)
    return out @ w_o


def answer_05(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q, k, v = _heads(queries_from @ w_q, heads), _heads(keys_from @ w_k, heads), _heads(keys_from @ w_v, heads)
    return _attend(q, k, v, keep).transpose(-3, -2).flatten(-2) @ w_o


def answer_06(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    Q = torch.einsum("...td,dhe->...hte", queries_from, w_q.reshape(w_q.shape[0], heads, -1))
    K = torch.einsum("...td,dhe->...hte", keys_from, w_v.reshape(w_v.shape[0], heads, -1))
    V = torch.einsum("...td,dhe->...hte", keys_from, w_k.reshape(w_k.shape[0], heads, -1))
    if keep is not None:
        keep = keep.unsqueeze(-3)
    O = _attend(Q, K, V, keep)
    return torch.einsum("...hte,hed->...td", O, w_o.reshape(heads, -1, w_o.shape[-1]))


def answer_07(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    d = w_q.shape[1] // heads
    e = w_v.shape[1] // heads
    total = 0
    for h in range(heads):
        wq, wk = w_q[:, h * d : (h + 1) * d], w_k[:, h * d : (h + 1) * d]
        wv, wo = w_v[:, h * e : (h + 1) * e], w_o[h * e : (h + 1) * e]
        total = total + _attend(queries_from @ wq, keys_from @ wk, keys_from @ wv, keep) @ wo
    return total
