# ruff: noqa
"""Answers of students to the exercise multi_head_attention."""

import math
import torch


def answer_01(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    def split(x):
        return x.reshape(*x.shape[:-1], heads, -1).transpose(-2, -3)

    q, k, v = queries_from @ w_q, keys_from @ w_k, keys_from @ w_v
    d = q.shape[-1]
    q, k, v = split(q), split(k), split(v)
    scores = q @ k.transpose(-1, -2) / math.sqrt(d)
    if keep is not None:
        scores = scores.masked_fill(~keep.unsqueeze(-3), float("-inf"))
    weights = torch.softmax(scores, -1).nan_to_num(0.0)
    out = (weights @ v).transpose(-2, -3).flatten(-2)
    return out @ w_o


def answer_02(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    q = (queries_from @ w_q).chunk(heads, dim=-1)
    k = (keys_from @ w_k).chunk(heads, dim=-1)
    v = (keys_from @ w_v).chunk(heads, dim=-1)
    outputs = []
    for qi, ki, vi in zip(q, k, v):
        s = qi @ ki.mT / math.sqrt(qi.shape[-1])
        if keep is not None:
            s = s.masked_fill(~keep, -math.inf)
        outputs.append(torch.softmax(s, -1).nan_to_num(0.0) @ vi)
    return torch.cat(outputs, dim=-1)


def answer_03(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    def project(x, w):
        y = x @ w
        return y.view(*y.shape[:-1], heads, y.shape[-1] // heads).transpose(-3, -2)

    Q, K, V = project(queries_from, w_q), project(keys_from, w_k), project(keys_from, w_v)
    S = Q @ K.transpose(-1, -2) / Q.shape[-1] ** 0.5
    if keep is not None:
        S = S.masked_fill(~keep[..., None, :, :], float("-inf"))
    O = torch.softmax(S, dim=-1).nan_to_num(0.0) @ V
    O = O.reshape(*queries_from.shape[:-1], -1)
    return O @ w_o


def answer_04(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    result = 0
    dk, dv = w_q.shape[1] // heads, w_v.shape[1] // heads
    for h in range(heads):
        q = queries_from @ w_q[:, h * dk : (h + 1) * dk]
        k = keys_from @ w_k[:, h * dk : (h + 1) * dk]
        v = keys_from @ w_v[:, h * dv : (h + 1) * dv]
        s = q @ k.transpose(-1, -2) / math.sqrt(dk)
        if keep is not None:
            s = s.masked_fill(~keep, float("-inf"))
        p = torch.softmax(s, dim=-1)
        if keep is not None:
            p = p.masked_fill(~keep, 0.0)
        result = result + p @ v @ w_o[h * dv : (h + 1) * dv]
    return result
