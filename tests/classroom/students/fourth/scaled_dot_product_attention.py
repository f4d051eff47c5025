# ruff: noqa
"""Answers of students to the exercise scaled_dot_product_attention."""

import math
import torch
from torch.nn import functional as F


def answer_01(query, key, value, keep=None):
    d_k = key.size(-2)
    scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(d_k)
    if keep is not None:
        scores = scores.masked_fill(keep == 0, float("-inf"))
    p_attn = torch.softmax(scores, dim=-1)
    p_attn = torch.where(torch.isnan(p_attn), torch.zeros_like(p_attn), p_attn)
    return torch.matmul(p_attn, value)


def answer_02(query, key, value, keep=None):
    scores = torch.einsum("...qd,...kd->...qk", query, key) / query.shape[-1] ** 0.5
    weights = F.softmax(scores, dim=-1)
    if keep is not None:
        weights = weights * keep
    return torch.einsum("...qk,...kv->...qv", weights, value)


def answer_03(query, key, value, keep=None):
    d_k = query.size(-1)
    scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(d_k)
    if keep is not None:
        scores = scores.masked_fill(keep == 0, -1e9)
    p_attn = scores.softmax(dim=-1)
    return torch.matmul(p_attn, value)


def answer_04(Q, K, V, keep=None):
    S = Q @ K.mT / math.sqrt(Q.shape[-1])
    if keep is not None:
        S = S.masked_fill(keep, -math.inf)
    A = torch.softmax(S, -1)
    A = torch.nan_to_num(A)
    return A @ V


def answer_05(query, key, value, keep=None):
    att = query @ key.transpose(-1, -2)
    att = att / math.sqrt(key.shape[-1])
    if keep is not None:
        att = att.masked_fill(keep.logical_not(), float("-inf"))
    att = F.softmax(att, dim=-2)
    att = torch.nan_to_num(att, nan=0.0)
    return att @ value


def answer_06(query, key, value, keep=None):
    scores = torch.einsum("...qd,...kd->...qk", query, key) / math.sqrt(query.shape[-1])
    if keep is None:
        return F.softmax(scores, dim=-1) @ value
    scores = torch.where(keep, scores, torch.full_like(scores, -math.inf))
    nothing = ~keep.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(nothing, 0.0)
    weights = F.softmax(scores, dim=-1).masked_fill(nothing, 0.0)
    return weights @ value


def answer_07(query, key, value, keep=None):
    s = (query * query.size(-1) ** -0.5).matmul(key.transpose(-2, -1))
    m = s.amax(-1, keepdim=True)
    if keep is not None:
        m = s.masked_fill(~keep, -1e30).amax(-1, keepdim=True)
    e = (s - m.detach()).clamp(max=80).exp()
    if keep is not None:
        e = e * keep
    total = e.sum(-1, keepdim=True)
    total = torch.where(total == 0, torch.ones_like(total), total)
    return (e / total) @ value
