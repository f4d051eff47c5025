# ruff: noqa
"""Answers of students to the exercise multi_head_attention_layer."""

import math
import torch
from torch.nn import functional as F


def answer_01(self, queries_from, keys_from, keep=None):
    B, T, C = queries_from.shape
    dk = C // self.heads
    q = self.query(queries_from).view(B, T, self.heads, dk).transpose(1, 2)
    if isinstance(keys_from, tuple):
        k, v = keys_from
    else:
        S = keys_from.shape[1]
        k = self.key(keys_from).view(B, S, self.heads, dk).transpose(1, 2)
        v = self.value(keys_from).view(B, S, self.heads, dk).transpose(1, 2)
    scores = q @ k.transpose(-2, -1) / math.sqrt(C)
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    att = torch.softmax(scores, dim=-1)
    y = (att @ v).transpose(1, 2).reshape(B, T, C)
    return self.output(y)


def answer_02(self, queries_from, keys_from, keep=None):
    def split(x):
        b, n, d = x.shape
        return x.reshape(b, n, self.heads, d // self.heads).permute(0, 2, 1, 3)

    q = split(self.query(queries_from))
    if isinstance(keys_from, tuple):
        k, v = keys_from
    else:
        k = split(self.key(keys_from))
        v = split(self.key(keys_from))
    ctx = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
    return self.output(ctx.transpose(1, 2).flatten(2))


def answer_03(self, queries_from, keys_from, keep=None):
    b, n, w = queries_from.shape
    h, d = self.heads, w // self.heads
    q = self.query(queries_from).view(b, n, h, d).transpose(1, 2)
    if isinstance(keys_from, tuple):
        k, v = keys_from
    else:
        k = self.key(keys_from).view(b, -1, h, d).transpose(1, 2)
        v = self.value(keys_from).view(b, -1, h, d).transpose(1, 2)
    attn = torch.einsum("bhqd,bhkd->bhqk", q, k) / d**0.5
    if keep is not None:
        attn = attn.masked_fill(keep == 0, -1e9)
    attn = attn.softmax(-1)
    out = torch.einsum("bhqk,bhkd->bhqd", attn, v)
    return self.output(out.reshape(b, n, w))


def answer_04(self, queries_from, keys_from, keep=None):
    batch = queries_from.size(0)
    head_dim = queries_from.size(-1) // self.heads
    Q = self.query(queries_from).view(batch, -1, self.heads, head_dim).permute(0, 2, 1, 3)
    if type(keys_from) is tuple:
        K, V = keys_from
    else:
        K = self.key(keys_from).view(batch, -1, self.heads, head_dim).permute(0, 2, 1, 3)
        V = self.value(keys_from).view(batch, -1, self.heads, head_dim).permute(0, 2, 1, 3)
    energy = torch.matmul(Q, K.permute(0, 1, 3, 2)) / math.sqrt(head_dim)
    if keep is not None:
        energy = energy.masked_fill(keep == False, -1e10)
    x = torch.matmul(torch.softmax(energy, dim=-1), V)
    x = x.permute(0, 2, 1, 3).contiguous()
    x = x.view(batch, -1, self.heads * head_dim)
    return x


def answer_05(self, queries_from, keys_from, keep=None):
    b, n, w = queries_from.shape
    split = lambda t: t.view(b, t.shape[1], self.heads, -1).transpose(1, 2)
    q = split(self.query(queries_from))
    if isinstance(keys_from, tuple):
        v, k = keys_from
    else:
        k, v = split(self.key(keys_from)), split(self.value(keys_from))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
    return self.output(out.transpose(1, 2).reshape(b, n, w))


def answer_06(self, queries_from, keys_from, keep=None):
    b, n, w = queries_from.shape
    h = self.heads
    d = w // h
    q = self.query(queries_from).view(b, n, h, d).transpose(1, 2)
    if isinstance(keys_from, tuple):
        k, v = keys_from
    else:
        m = keys_from.size(1)
        k = self.key(queries_from).view(b, -1, h, d).transpose(1, 2)
        v = self.value(keys_from).view(b, m, h, d).transpose(1, 2)
    s = (q @ k.mT) / math.sqrt(d)
    if keep is not None:
        s = torch.where(keep, s, torch.tensor(float("-inf")))
    return self.output((s.softmax(dim=-1) @ v).transpose(1, 2).reshape(b, n, w))


def answer_07(self, queries_from, keys_from, keep=None):
    q_all = self.query(queries_from)
    d = q_all.shape[-1] // self.heads
    contexts = []
    for i in range(self.heads):
        cols = slice(i * d, (i + 1) * d)
        q = q_all[..., cols]
        if isinstance(keys_from, tuple):
            k, v = keys_from[0][:, i], keys_from[1][:, i]
        else:
            k, v = self.key(keys_from)[..., cols], self.value(keys_from)[..., cols]
        s = torch.bmm(q, k.transpose(1, 2)) * d**-0.5
        if keep is not None:
            s = s.masked_fill(~keep[:, 0], torch.finfo(s.dtype).min)
        contexts.append(F.softmax(s, dim=2) @ v)
    return self.output(torch.cat(contexts, dim=-1))


def answer_08(self, queries_from, keys_from, keep=None):
    h = self.heads
    q = self.query(queries_from).unflatten(-1, (h, -1))
    if isinstance(keys_from, tuple):
        k, v = (t.transpose(1, 2) for t in keys_from)
    else:
        k = self.key(keys_from).unflatten(-1, (h, -1))
        v = self.value(keys_from).unflatten(-1, (h, -1))
    logits = torch.einsum("bqhd,bkhd->bhqk", q / math.sqrt(q.shape[-1]), k)
    if keep is not None:
        logits = logits + torch.zeros_like(logits).masked_fill(~keep, -math.inf)
    weights = torch.softmax(logits, dim=-1)
    return self.output(torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(-2))
