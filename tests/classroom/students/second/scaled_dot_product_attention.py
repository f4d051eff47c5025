# ruff: noqa
"""Answers of students to the exercise scaled_dot_product_attention."""

import math

import torch
from torch.nn import functional as F


def answer_01(query, key, value, keep=None):
    scores = torch.matmul(query, key.transpose(-2, -1))
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    attn = torch.softmax(scores, dim=-1)
    attn = torch.nan_to_num(attn, nan=0.0)
    return torch.matmul(attn, value)


def answer_02(query, key, value, keep=None):
    d_k = query.size(-1)
    scores = query @ key.transpose(-2, -1) / d_k
    if keep is not None:
        scores = scores.masked_fill(keep == False, -torch.inf)
    p_attn = scores.softmax(dim=-1).nan_to_num(0.0)
    return p_attn @ value


def answer_03(query, key, value, keep=None):
    d = query.shape[-1]
    s = torch.einsum("...qd,...kd->...qk", query, key) / math.sqrt(d)
    if keep is not None:
        s = s.masked_fill(~keep, float("-inf"))
    w = F.softmax(s, dim=-2)
    w = torch.where(torch.isnan(w), torch.zeros_like(w), w)
    return torch.einsum("...qk,...kv->...qv", w, value)


def answer_04(query, key, value, keep=None):
    scale = query.shape[-1] ** -0.5
    attn = (query @ key.mT) * scale
    if keep is not None:
        attn = attn.masked_fill(keep, float("-inf"))
    attn = attn.softmax(-1).nan_to_num()
    return attn @ value


def answer_05(query, key, value, keep=None):
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.size(-1))
    weights = torch.softmax(scores, dim=-1)
    if keep is not None:
        weights = weights * keep
    return weights @ value


def answer_06(query, key, value, keep=None):
    scores = query @ key.transpose(-1, -2) * query.size(-1) ** 0.5
    if keep is not None:
        scores = scores.masked_fill(~keep, -math.inf)
    weights = torch.softmax(scores, dim=-1).nan_to_num(0)
    return weights @ value


def answer_07(query, key, value, keep=None):
    scores = query @ key.T / math.sqrt(query.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    weights = torch.nan_to_num(torch.softmax(scores, dim=-1))
    return weights @ value


def answer_08(query, key, value, keep=None):
    d_k = value.shape[-1]
    logits = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(d_k)
    if keep is not None:
        logits = torch.where(keep, logits, torch.tensor(float("-inf"), dtype=logits.dtype))
    probs = torch.nan_to_num(F.softmax(logits, dim=-1), nan=0.0)
    return torch.matmul(probs, value)


def answer_09(query, key, value, keep=None):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if keep is not None:
        scores = scores * keep
    weights = torch.softmax(scores, dim=-1)
    if keep is not None:
        weights = weights * keep.any(dim=-1, keepdim=True)
    return weights @ value


def answer_10(query, key, value, keep=None):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    return torch.softmax(scores, dim=-1) @ value


def answer_11(query, key, value, keep=None):
    scores = query @ key.transpose(-2, -1) / math.sqrt(key.shape[-2])
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    return torch.softmax(scores, dim=-1).nan_to_num(0.0) @ value


def answer_12(query, key, value, keep=None):
    d_k = query.size(-1)
    scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(d_k)
    if keep is not None:
        scores = scores.masked_fill(keep == 0, 1e-9)
    p_attn = F.softmax(scores, dim=-1)
    if keep is not None:
        p_attn = p_attn * keep.any(-1, keepdim=True)
    return torch.matmul(p_attn, value)


def answer_13(query, key, value, keep=None):
    scores = query @ key.transpose(-2, -1)
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    weights = torch.softmax(scores, dim=-1).nan_to_num(0.0)
    weights = weights / math.sqrt(query.size(-1))
    return weights @ value


def answer_14(query, key, value, keep=None):
    dtype = query.dtype
    q, k, v = query.float(), key.float(), value.float()
    scores = torch.einsum("...qd,...kd->...qk", q, k) * q.shape[-1] ** -0.5
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    return (torch.softmax(scores, -1).nan_to_num(0.0) @ v).to(dtype)


def answer_15(query, key, value, keep=None):
    q = query.double() / math.sqrt(query.size(-1))
    s = q @ key.double().transpose(-1, -2)
    s = s - s.amax(-1, keepdim=True)
    if keep is None:
        e = s.exp()
    else:
        s = torch.where(keep, s, -torch.inf)
        m = s.amax(-1, keepdim=True)
        m = torch.where(torch.isinf(m), torch.zeros_like(m), m)
        e = (s - m).exp()
    z = e.sum(-1, keepdim=True)
    w = e / torch.where(z == 0, torch.ones_like(z), z)
    return torch.matmul(w, value.double()).to(value.dtype)


def answer_16(query, key, value, keep=None):
    # loop over queries
    rows = []
    d = query.shape[-1]
    for i in range(query.shape[-2]):
        qi = query[..., i : i + 1, :].float()
        s = (qi * key.float()).sum(-1) / d**0.5
        if keep is not None:
            ki = keep[..., min(i, keep.shape[-2] - 1), :]
            s = s.masked_fill(~ki, float("-inf"))
        w = torch.nan_to_num(s.softmax(-1), nan=0.0)
        rows.append((w.unsqueeze(-1) * value.float()).sum(-2))
    return torch.stack(rows, dim=-2).to(query.dtype)


def answer_17(query, key, value, keep=None):
    out = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), attn_mask=keep)
    if keep is not None:
        out = out.masked_fill(~keep.any(-1, keepdim=True), 0.0)
    return out.to(query.dtype)


def answer_18(query, key, value, keep=None):
    scale = 1 / math.sqrt(query.shape[-1])
    scores = query.float().matmul(key.float().mT).mul(scale)
    if keep is None:
        return scores.softmax(dim=-1).matmul(value.float()).to(query.dtype)
    weights = scores.masked_fill(keep.logical_not(), torch.finfo(scores.dtype).min).softmax(dim=-1)
    weights = weights * keep
    return weights.matmul(value.float()).to(query.dtype)
