"""Answers of students to the exercise scaled_dot_product_attention."""

import math

import numpy as np
import torch
from torch.nn import functional as F


def answer_01(query, key, value, keep=None):
    scores = torch.einsum("...qd,...kd->...qk", query, key)
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    weights = torch.softmax(scores, dim=-1).nan_to_num(0.0)
    return torch.einsum("...qk,...kv->...qv", weights, value)


def answer_02(query, key, value, keep=None):
    d_k = query.shape[-1]
    attn_logits = query @ key.transpose(-2, -1) * math.sqrt(d_k)
    if keep is not None:
        attn_logits = torch.where(keep, attn_logits, torch.tensor(-math.inf))
    p_attn = attn_logits.softmax(-1)
    if keep is not None:
        p_attn = p_attn.masked_fill(~keep, 0)
    return p_attn @ value


def answer_03(query, key, value, keep=None):
    """Scaled dot-product attention, see "Attention is all you need"."""
    # scale
    dim = query.size(-1)
    sim = torch.matmul(query, key.mT) / dim
    # mask
    if keep is not None:
        sim = sim.masked_fill(keep == 0, float("-inf"))
    attn = F.softmax(sim, dim=-1)
    attn = torch.nan_to_num(attn, nan=0.0)
    return torch.matmul(attn, value)


def answer_04(query, key, value, keep=None):
    s = query.matmul(key.transpose(-1, -2)).div(query.size(-1) ** 0.5)
    if keep is not None:
        s = s.masked_fill(keep.logical_not(), -torch.inf)
    a = s.softmax(dim=-2)
    return a.nan_to_num().matmul(value)


def answer_05(query, key, value, keep=None):
    logits = query @ key.mT
    logits = logits / math.sqrt(query.shape[-1])
    if keep is not None:
        # fill the masked positions
        logits = logits.masked_fill(keep, float("-inf"))
    probs = torch.softmax(logits, -1)
    probs = torch.where(torch.isnan(probs), torch.zeros_like(probs), probs)
    return probs @ value


def answer_06(query, key, value, keep=None):
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    weights = F.softmax(scores, dim=-1)
    if keep is not None:
        weights = weights * keep.to(weights.dtype)
    return weights @ value


def answer_07(query, key, value, keep=None):
    n = key.size(-2)
    attention = query @ key.transpose(-2, -1) / n**0.5
    if keep is not None:
        attention = attention.masked_fill(~keep, float("-inf"))
    attention = F.softmax(attention, dim=-1)
    if keep is not None:
        attention = attention.masked_fill(~keep.any(-1, keepdim=True), 0.0)
    return attention @ value


def answer_08(query, key, value, keep=None):
    score = query @ key.mT / np.sqrt(query.shape[-1])
    if keep is not None:
        score = score * keep
    return torch.softmax(score, dim=-1) @ value


def answer_09(query, key, value, keep=None):
    # as in the paper, with einsum
    scores = torch.einsum("...id,...jd->...ij", query, key)
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    weights = scores.softmax(dim=-2).nan_to_num(0.0)
    return torch.einsum("...ij,...jd->...id", weights, value)


def answer_10(query, key, value, keep=None):
    dk = key.size(-1)
    raw = query @ key.mT / dk
    if keep is not None:
        raw = raw.masked_fill(keep, float("-inf"))
    w = F.softmax(raw, dim=-1).nan_to_num(0.0)
    return w @ value


def answer_11(query, key, value, keep=None):
    mask = None if keep is None else keep
    result = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    if keep is not None:
        result = result.masked_fill(~keep.any(-1, keepdim=True), 0.0)
    return result


def answer_12(query, key, value, keep=None):
    """Written for one query at a time."""
    scale = 1 / math.sqrt(query.shape[-1])
    rows = []
    for i in range(query.shape[-2]):
        q = query[..., i, :].unsqueeze(-2)
        s = (q * key).sum(-1) * scale
        if keep is None:
            m = torch.ones_like(s, dtype=torch.bool)
        else:
            m = keep[..., 0 if keep.shape[-2] == 1 else i, :].expand(s.shape)
        s = torch.where(m, s, torch.full_like(s, -math.inf))
        top = s.amax(-1, keepdim=True).detach()
        top = torch.where(top == -math.inf, torch.zeros_like(top), top)
        e = torch.where(m, (s - top).exp(), torch.zeros_like(s))
        total = e.sum(-1, keepdim=True)
        w = e / torch.where(total == 0, torch.ones_like(total), total)
        rows.append((w.unsqueeze(-1) * value).sum(-2))
    return torch.stack(rows, dim=-2)


def answer_13(query, key, value, keep=None):
    dtype = query.dtype
    q = query.detach().double().numpy()
    k = key.detach().double().numpy()
    v = value.detach().double().numpy()
    s = np.einsum("...qd,...kd->...qk", q, k) / np.sqrt(q.shape[-1])
    ok = np.ones(s.shape, bool) if keep is None else np.broadcast_to(keep.numpy(), s.shape)
    e = np.zeros_like(s)
    top = np.where(ok, s, -np.inf).max(-1, keepdims=True)
    top[~np.isfinite(top)] = 0
    e[ok] = np.exp((s - top)[ok])
    z = e.sum(-1, keepdims=True)
    z[z == 0] = 1
    return torch.from_numpy(e / z @ v).to(dtype)


def answer_14(query, key, value, keep=None):
    scores = (query / query.size(-1) ** 0.5).float() @ key.float().mT
    if keep is not None:
        scores = scores.masked_fill(~keep, -1e9)
    return (torch.softmax(scores, dim=-1) @ value.float()).to(query.dtype)


def answer_15(query, key, value, keep=None, *, scale=None, dropout=0.0):
    q, k, v = query.float(), key.float(), value.float()
    scale = scale or q.shape[-1] ** -0.25
    bias = 0.0
    if keep is not None:
        bias = torch.zeros(keep.shape).masked_fill(~keep, -math.inf)
    s = (q * scale) @ (k * scale).transpose(-1, -2) + bias
    w = s.softmax(-1)
    if keep is not None:
        w = torch.where(keep.any(-1, keepdim=True), w, 0.0)
    return (w @ v).type_as(query)


def answer_16(value, key, query, keep=None):
    """The order of my parameters is v, k, q."""
    scores = (
        torch.tensordot(query.double(), key.double(), dims=([-1], [-1]))
        if query.ndim == 2
        else query.double() @ key.double().mT
    )
    scores = scores / math.sqrt(key.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep, -math.inf)
    log_weights = scores.log_softmax(dim=-1)
    weights = log_weights.exp()
    if keep is not None:
        weights = weights.masked_fill(~keep, 0.0)
    return (weights @ value.double()).to(query.dtype)


def answer_17(query, key, value, keep=None):
    # numerator and denominator separately, one extra column of ones gives the denominator
    scores = query.float() @ key.float().mT / math.sqrt(query.shape[-1])
    if keep is not None:
        scores = torch.where(keep, scores, -math.inf)
    top = scores.detach().amax(dim=-1, keepdim=True).clamp(min=-1e30)
    unnormalized = torch.exp(scores - top)
    ones = torch.ones_like(value.float()[..., :1])
    both = unnormalized @ torch.cat([value.float(), ones], dim=-1)
    return (both[..., :-1] / both[..., -1:].clamp(min=1e-30)).to(query.dtype)


def answer_18(query, key, value, keep=None):
    width = query.shape[-1]
    shape = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    flat_q = query.expand(*shape, *query.shape[-2:]).reshape(-1, *query.shape[-2:]).float()
    flat_k = key.expand(*shape, *key.shape[-2:]).reshape(-1, *key.shape[-2:]).float()
    flat_v = value.expand(*shape, *value.shape[-2:]).reshape(-1, *value.shape[-2:]).float()
    scores = torch.bmm(flat_q, flat_k.transpose(1, 2)) / width**0.5
    if keep is not None:
        flat_keep = keep.expand(*shape, query.shape[-2], key.shape[-2]).reshape(scores.shape)
        scores = scores.masked_fill(~flat_keep, -math.inf)
        probs = scores.softmax(-1).masked_fill(~flat_keep, 0)
    else:
        probs = scores.softmax(-1)
    return torch.bmm(probs, flat_v).reshape(*shape, query.shape[-2], value.shape[-1]).to(query.dtype)
