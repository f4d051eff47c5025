# ruff: noqa
"""Answers of students to the exercise masked_lm_head."""

import torch
from torch.nn import functional as F


def answer_01(self, hidden, embeddings):
    h = self.norm(F.gelu(self.transform(hidden)))
    return h @ embeddings.T


def answer_02(self, hidden, embeddings):
    h = self.norm(self.transform(hidden))
    return h @ embeddings.T + self.bias


def answer_03(self, hidden, embeddings):
    h = F.gelu(self.norm(self.transform(hidden)))
    return h @ embeddings.T + self.bias


def answer_04(self, hidden, embeddings):
    h = self.norm(F.gelu(self.transform(hidden)))
    return torch.softmax(h @ embeddings.T + self.bias, dim=-1)


def answer_05(self, hidden, embeddings):
    n = self.norm(F.gelu(self.transform(hidden)))
    return F.linear(n, embeddings, self.bias)


def answer_06(self, hidden, embeddings):
    h = hidden @ self.transform.weight.T + self.transform.bias
    a = h * 0.5 * (1 + torch.erf(h / 2**0.5))
    return torch.einsum("...d,vd->...v", self.norm(a), embeddings) + self.bias
