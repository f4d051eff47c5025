# ruff: noqa
"""Answers of students to the exercise add_and_norm."""

import torch
from torch import nn
from torch.nn import functional as F


def answer_01(hidden, sublayer, gain, bias, eps=1e-12):
    return hidden + sublayer(F.layer_norm(hidden, (hidden.shape[-1],), gain, bias, eps))


def answer_02(hidden, sublayer, gain, bias, eps=1e-12):
    return F.layer_norm(sublayer(hidden), hidden.shape[-1:], gain, bias, eps)


def answer_03(hidden, sublayer, gain, bias, eps=1e-12):
    return hidden + F.layer_norm(sublayer(hidden), hidden.shape[-1:], gain, bias, eps)


def answer_04(hidden, sublayer, gain, bias, eps=1e-12):
    out = sublayer(hidden) + hidden
    return torch.nn.functional.layer_norm(input=out, normalized_shape=[out.size(-1)], weight=gain, bias=bias, eps=eps)


def answer_05(hidden, sublayer, gain, bias, eps=1e-12):
    def norm(t):
        c = t - t.mean(-1, keepdim=True)
        return gain * c / (c.pow(2).mean(-1, keepdim=True) + eps).sqrt() + bias

    return norm(hidden + sublayer(hidden))
