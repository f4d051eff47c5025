# ruff: noqa
"""Answers of students to the exercise multi_head_attention_layer."""

import math
import torch


def answer_01(self, queries_from, keys_from, keep=None):
    def split(x):
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    q = split(self.query(queries_from))
    if isinstance(keys_from, tuple):
        k, v = keys_from
    else:
        k, v = split(self.key(keys_from)), split(self.key(keys_from))
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    w = torch.softmax(scores, dim=-1).nan_to_num(0.0)
    return self.output((w @ v).transpose(1, 2).flatten(2))


def answer_02(self, queries_from, keys_from, keep=None):
    def heads_of(x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    q = heads_of(self.query(queries_from))
    if isinstance(keys_from, tuple):
        k, v = keys_from
    else:
        k = heads_of(self.key(queries_from))
        v = heads_of(self.value(queries_from))
    scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.size(-1))
    if keep is not None:
        scores = scores.masked_fill(~keep, -math.inf)
    probs = torch.nan_to_num(scores.softmax(-1))
    context = (probs @ v).transpose(1, 2).flatten(-2)
    return self.output(context)


def answer_03(self, queries_from, keys_from, keep=None):
    def heads_of(x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    q, k, v = heads_of(self.query(queries_from)), heads_of(self.key(keys_from)), heads_of(self.value(keys_from))
    scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.size(-1))
    if keep is not None:
        scores = scores.masked_fill(~keep, -math.inf)
    probs = torch.nan_to_num(scores.softmax(-1))
    context = (probs @ v).transpose(1, 2).flatten(-2)
    return self.output(context)


def answer_04(self, queries_from, keys_from, keep=None):
    batch, n, width = queries_from.shape
    d = width // self.heads

    def split(x):
        return torch.stack(x.split(d, dim=-1), dim=1)

    q = split(self.query(queries_from))
    if isinstance(keys_from, tuple):
        k, v = keys_from
    else:
        k, v = split(self.key(keys_from)), split(self.value(keys_from))
    scores = q @ k.mT / math.sqrt(d)
    if keep is not None:
        scores = scores.masked_fill(~keep, -math.inf)
    a = torch.softmax(scores, -1)
    if keep is not None:
        a = a.masked_fill(~keep, 0.0)
    c = a @ v
    return self.output(torch.cat([c[:, h] for h in range(self.heads)], dim=-1))
