# ruff: noqa
"""Answers of students to the exercise online_softmax_attention."""

import math
import torch


def answer_01(query, key, value, keep=None, block_size=64):
    scale = 1 / math.sqrt(query.shape[-1])
    lead = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    m = query.new_full((*lead, query.shape[-2], 1), -1e30)
    l = torch.zeros_like(m)
    o = query.new_zeros((*lead, query.shape[-2], value.shape[-1]))
    for start in range(0, key.shape[-2], block_size):
        kb = key[..., start : start + block_size, :]
        vb = value[..., start : start + block_size, :]
        s = query @ kb.transpose(-2, -1) * scale
        if keep is not None:
            s = s.masked_fill(~keep[..., start : start + block_size], -math.inf)
        m_new = torch.maximum(m, s.amax(-1, keepdim=True))
        p = torch.exp(s - m_new)
        alpha = torch.exp(m - m_new)
        l = alpha * l + p.sum(-1, keepdim=True)
        o = o + p @ vb
        m = m_new
    return o / l.clamp(min=1e-30)


def answer_02(query, key, value, keep=None, block_size=64):
    n_keys = key.shape[-2]
    block_size = min(block_size, n_keys)
    m = query.new_full((*query.shape[:-1], 1), -1e30)
    l = query.new_zeros((*query.shape[:-1], 1))
    o = query.new_zeros((*query.shape[:-1], value.shape[-1]))
    for b in range(n_keys // block_size):
        cols = slice(b * block_size, (b + 1) * block_size)
        s = query @ key[..., cols, :].mT / math.sqrt(query.shape[-1])
        if keep is not None:
            s = s.masked_fill(~keep[..., cols], -math.inf)
        m2 = torch.maximum(m, s.max(dim=-1, keepdim=True).values)
        p, factor = torch.exp(s - m2), torch.exp(m - m2)
        l = factor * l + p.sum(dim=-1, keepdim=True)
        o = factor * o + p @ value[..., cols, :]
        m = m2
    return torch.where(l > 0, o / l.clamp(min=1e-30), torch.zeros_like(o))


def answer_03(query, key, value, keep=None, block_size=64):
    q = query / math.sqrt(query.shape[-1])
    running_max, total, acc = None, None, None
    if keep is not None:
        keep = keep.expand(*keep.shape[:-1], key.shape[-2])
    for i, (k, v) in enumerate(zip(key.split(block_size, dim=-2), value.split(block_size, dim=-2))):
        s = q @ k.transpose(-1, -2)
        if keep is not None:
            s = s.masked_fill(~keep[..., i * block_size : i * block_size + k.shape[-2]], -math.inf)
        top = s.amax(dim=-1, keepdim=True).clamp(min=-1e30)
        if running_max is None:
            running_max = top
            e = (s - top).exp()
            total, acc = e.sum(-1, keepdim=True), e @ v
        else:
            new = torch.maximum(running_max, top)
            e = (s - new).exp()
            c = (running_max - new).exp()
            total = c * total + e.sum(-1, keepdim=True)
            acc = c * acc + e @ v
            running_max = new
    return acc / torch.where(total == 0, torch.ones_like(total), total)
