# ruff: noqa
"""Answers of students to the exercise online_softmax_attention."""

import math

import torch


def answer_01(query, key, value, keep=None, block_size=64):
    scale = 1 / math.sqrt(query.shape[-1])
    scores_shape = (query @ key.transpose(-1, -2)).shape[:-1]
    m = torch.full((*scores_shape, 1), -1e30)
    l = torch.zeros(*scores_shape, 1)
    o = torch.zeros(*scores_shape, value.shape[-1])
    for start in range(0, key.shape[-2], block_size):
        k, v = key[..., start : start + block_size, :], value[..., start : start + block_size, :]
        s = query @ k.transpose(-1, -2) * scale
        if keep is not None:
            s = s.masked_fill(~keep[..., start : start + block_size], -math.inf)
        m_new = torch.maximum(m, s.amax(-1, keepdim=True))
        p = torch.exp(s - m_new)
        m = m_new
        alpha = torch.exp(m - m_new)
        l = alpha * l + p.sum(-1, keepdim=True)
        o = alpha * o + p @ v
    return o / torch.where(l == 0, torch.ones_like(l), l)


def answer_02(query, key, value, keep=None, block_size=64):
    n_blocks = key.shape[-2] // block_size
    out, denom, peak = 0.0, 0.0, torch.tensor(-1e30)
    for b in range(n_blocks):
        sl = slice(b * block_size, (b + 1) * block_size)
        s = torch.einsum("...qd,...kd->...qk", query, key[..., sl, :]) / query.shape[-1] ** 0.5
        if keep is not None:
            s = torch.where(keep[..., sl], s, torch.tensor(float("-inf")))
        new_peak = torch.maximum(peak, s.max(dim=-1, keepdim=True).values)
        fix = torch.exp(peak - new_peak)
        e = torch.exp(s - new_peak)
        denom = denom * fix + e.sum(-1, keepdim=True)
        out = out * fix + e @ value[..., sl, :]
        peak = new_peak
    return out / (denom + (denom == 0))


def answer_03(query, key, value, keep=None, block_size=64):
    q = query / math.sqrt(query.size(-1))
    keys = key.split(block_size, -2)
    values = value.split(block_size, -2)
    masks = [None] * len(keys) if keep is None else keep.split(block_size, -1)
    first = (q @ keys[0].mT)[..., :1]
    m = torch.full_like(first, -1e30)
    l = torch.zeros_like(first)
    o = 0
    for k, v, mask in zip(keys, values, masks):
        s = q @ k.mT
        if mask is not None:
            s = s.masked_fill(~mask, -math.inf)
        m2 = torch.max(m, s.amax(-1, keepdim=True))
        p = torch.exp(s - m2)
        l = torch.exp(m - m2) * l + p.sum(-1, keepdim=True)
        o = o + p @ v
        m = m2
    return torch.where(l > 0, o / l.clamp(min=1e-30), torch.zeros_like(o))


def answer_04(query, key, value, keep=None, block_size=64):
    d = query.shape[-1]
    m = l = o = None
    for j in range(0, key.shape[-2], block_size):
        s = query @ key[..., j : j + block_size, :].transpose(-2, -1) / math.sqrt(d)
        if keep is not None:
            s = s.masked_fill(~keep[..., j : j + block_size], -1e30)
        vj = value[..., j : j + block_size, :]
        if m is None:
            m = s.amax(-1, keepdim=True)
            p = torch.exp(s - m)
            l, o = p.sum(-1, keepdim=True), p @ vj
            continue
        m_new = torch.maximum(m, s.amax(-1, keepdim=True))
        p = torch.exp(s - m_new)
        corr = torch.exp(m_new - m)
        l = corr * l + p.sum(-1, keepdim=True)
        o = corr * o + p @ vj
        m = m_new
    result = o / l
    return result if keep is None else result * keep.any(-1, keepdim=True)


def answer_05(query, key, value, keep=None, block_size=64):
    lse, acc = None, None
    for i in range(0, key.shape[-2], block_size):
        block = slice(i, i + block_size)
        s = query.matmul(key[..., block, :].transpose(-2, -1))
        if keep is not None:
            s = s.masked_fill(~keep[..., block], -1e30)
        z = s.logsumexp(-1, keepdim=True)
        part = s.softmax(-1) @ value[..., block, :]
        if lse is None:
            lse, acc = z, part
        else:
            total = torch.logaddexp(lse, z)
            acc = acc * (lse - total).exp() + part * (z - total).exp()
            lse = total
    if keep is not None:
        acc = torch.where(keep.any(-1, keepdim=True), acc, torch.zeros_like(acc))
    return acc


def answer_06(query, key, value, keep=None, block_size=64):
    parts, sums = [], []
    for i in range(0, key.shape[-2], block_size):
        block = slice(i, i + block_size)
        s = (query / math.sqrt(query.shape[-1])) @ key[..., block, :].transpose(-2, -1)
        if keep is not None:
            s = s.masked_fill(~keep[..., block], -1e30)
        sums.append(s.logsumexp(-1))
        parts.append(s.softmax(-1) @ value[..., block, :])
    shares = torch.stack(sums).softmax(0)
    result = (torch.stack(parts) * shares.unsqueeze(-1)).sum(0)
    if keep is None:
        return result
    return torch.where(keep.any(-1, keepdim=True), result, torch.zeros_like(result))
