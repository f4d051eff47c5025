# ruff: noqa
"""Answers of students to the exercise scaled_dot_product_attention."""

import math

import torch
import torch.nn.functional as F


def answer_01(query, key, value, keep=None):
    d_k = key.size(-2)
    scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(d_k)
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    return torch.nan_to_num(scores.softmax(-1)) @ value


def answer_02(query, key, value, keep=None):
    d_k = query.size(-1)
    scores = query @ key.transpose(-2, -1) / math.sqrt(d_k)
    if keep is not None:
        scores = scores.masked_fill(keep == 0, -1e-9)
    p_attn = F.softmax(scores, dim=-1)
    if keep is not None:
        p_attn = p_attn * keep.any(-1, keepdim=True)
    return torch.matmul(p_attn, value)


def answer_03(query, key, value, keep=None):
    scores = torch.einsum("...qd,...kd->...qk", query, key) / query.shape[-1] ** 0.5
    if keep is not None:
        scores = torch.where(keep, scores, torch.full_like(scores, -1e30))
    weights = scores.softmax(dim=-2)
    if keep is not None:
        weights = torch.where(keep, weights, torch.zeros_like(weights))
    return torch.einsum("...qk,...kv->...qv", weights, value)


def answer_04(query, key, value, keep=None):
    scores = query @ key.mT
    if keep is not None:
        scores = scores.masked_fill(keep.logical_not(), -math.inf)
    attn = scores.softmax(-1).nan_to_num(0.0) / math.sqrt(key.shape[-1])
    return attn @ value


def answer_05(query, key, value, keep=None):
    w = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.size(-1)), -1)
    if keep is not None:
        w = w * keep
    return w @ value


def answer_06(query, key, value, keep=None):
    bias = torch.zeros(())
    if keep is not None:
        bias = torch.zeros(keep.shape).masked_fill_(~keep, float("-inf"))
    attn_weight = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.size(-1))) + bias
    attn_weight = torch.softmax(attn_weight, dim=-1)
    return attn_weight @ value


def answer_07(query, key, value, keep=None):
    rows = []
    for i in range(query.shape[-2]):
        q = query[..., i : i + 1, :].float()
        s = (key.float() * q).sum(-1) / math.sqrt(query.shape[-1])
        if keep is not None:
            mask = keep[..., min(i, keep.shape[-2] - 1), :]
            s = s.masked_fill(~mask, -math.inf)
        m = s.amax(-1, keepdim=True)
        m = torch.where(m == -math.inf, torch.zeros_like(m), m)
        e = torch.exp(s - m)
        z = e.sum(-1, keepdim=True)
        w = e / torch.where(z == 0, torch.ones_like(z), z)
        rows.append((w.unsqueeze(-1) * value.float()).sum(-2))
    return torch.stack(rows, dim=-2).to(query.dtype)


def answer_08(query, key, value, keep=None):
    q, k, v = query.float(), key.float(), value.float()
    logits = torch.einsum("...id,...jd->...ij", q * q.size(-1) ** -0.5, k)
    if keep is None:
        return torch.einsum("...ij,...jv->...iv", logits.softmax(-1), v).to(value.dtype)
    alive = keep.any(dim=-1, keepdim=True)
    logits = logits.masked_fill(~keep & alive, -math.inf)
    probs = logits.softmax(-1) * alive
    return torch.einsum("...ij,...jv->...iv", probs, v).to(value.dtype)
