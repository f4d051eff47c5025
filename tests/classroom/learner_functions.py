"""Functions as learners write them, right and wrong, in a file of their own whose lines a check can name."""

import math

import numpy as np
import torch
from torch.nn import functional as F


def loops(query, key, value, keep=None):
    scores = torch.zeros(*query.shape[:-1], key.shape[-2])
    for i in range(query.shape[-2]):
        for j in range(key.shape[-2]):
            scores[..., i, j] = (query[..., i, :] * key[..., j, :]).sum(-1) / math.sqrt(key.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep, -math.inf)
    return normalized(scores).nan_to_num() @ value


def normalized(scores):
    exponentials = [torch.exp(row - row.amax(-1, keepdim=True)) for row in scores]
    return torch.stack([row / row.sum(-1, keepdim=True) for row in exponentials])


def arrays(q, k, v, mask=None):
    q, k, v = (np.asarray(x) for x in (q, k, v))
    s = q @ k.swapaxes(-1, -2)
    s = s / np.sqrt(q.shape[-1])
    if mask is not None:
        s = np.where(mask.numpy(), s, -1e30)
    e = np.exp(s - s.max(-1, keepdims=True))
    w = e / e.sum(-1, keepdims=True)
    if mask is not None:
        w = w * mask.numpy()
    return w @ v


def no_scale(q, k, v, mask=None):
    s = torch.matmul(q, k.transpose(-2, -1))  # the line
    if mask is not None:
        s = s.masked_fill(~mask, float("-inf"))
    w = F.softmax(s, dim=-1)
    return w @ v


def shifted_and_stretched(q, k, v, mask=None):
    s = q @ k.mT / math.sqrt(q.shape[-1])
    s = 1.7 * s + torch.arange(s.shape[-1])  # the line
    if mask is not None:
        s = s.masked_fill(~mask, float("-inf"))
    return F.softmax(s, dim=-1) @ v


def zero_instead_of_infinity(q, k, v, mask=None):
    q, k, v = (np.asarray(x) for x in (q, k, v))
    s = np.einsum("bhqd,bhkd->bhqk", q, k) / np.sqrt(q.shape[-1])
    if mask is not None:
        s = np.where(mask.numpy(), s, 0)  # the line
    e = np.exp(s)
    return e / e.sum(-1, keepdims=True) @ v


def sample_deviation(hidden, gain, bias, eps=1e-12):
    centered = hidden - hidden.mean(-1, keepdim=True)
    deviation = hidden.std(-1, keepdim=True)  # the line
    return gain * centered / (deviation + eps) + bias


def no_bias(hidden, gain, bias, eps=1e-12):
    mean = hidden.mean(-1, keepdim=True)
    variance = hidden.var(-1, keepdim=True, correction=0)
    return gain * (hidden - mean) / torch.sqrt(variance + eps)  # the line


def in_place(scores):
    scores -= scores.amax(-1, keepdim=True)  # the line
    exponentials = scores.exp()
    return exponentials / exponentials.sum(-1, keepdim=True)


def recursive(scores):
    if len(scores) == 1:
        return (2 * scores).softmax(-1)  # the line
    return torch.cat([recursive(scores[:1]), recursive(scores[1:])])
