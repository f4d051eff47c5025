# ruff: noqa
"""Answers of students to the exercise masked_lm_head."""

import math
import torch
from torch.nn import functional as F


def answer_01(self, hidden, embeddings):
    h = self.transform(hidden)
    h = F.gelu(self.norm(h))
    return h @ embeddings.T + self.bias


def answer_02(self, hidden, embeddings):
    x = self.transform(hidden)
    x = F.gelu(x)
    x = self.norm(x)
    return torch.matmul(x, embeddings.transpose(0, 1))


def answer_03(self, hidden, embeddings):
    x = self.norm(torch.relu(self.transform(hidden)))
    return F.linear(x, embeddings, self.bias)


def answer_04(self, hidden, embeddings):
    n = self.norm(F.gelu(self.transform(hidden)))
    z = n @ embeddings.mT + self.bias
    return torch.log_softmax(z, dim=-1)


def answer_05(self, hidden, embeddings):
    n = self.norm(F.gelu(self.transform(hidden)))
    scores = torch.einsum("...d,vd->...v", n, embeddings) / math.sqrt(hidden.shape[-1])
    return scores + self.bias


def answer_06(self, hidden, embeddings):
    return F.linear(self.norm(self.transform(hidden)), embeddings, bias=self.bias)


def answer_07(self, hidden, embeddings):
    h = hidden @ self.transform.weight.T + self.transform.bias
    a = 0.5 * h * (1 + torch.erf(h / math.sqrt(2)))
    n = self.norm(a)
    return torch.einsum("...d,vd->...v", n, embeddings) + self.bias


def answer_08(self, hidden, embeddings):
    h = F.gelu(self.transform(hidden), approximate="tanh")
    return F.linear(self.norm(h), embeddings, self.bias)


def answer_09(self, hidden, embeddings):
    h = F.gelu(self.transform(hidden))
    h = F.layer_norm(h, h.shape[-1:], eps=1e-12)
    return h @ embeddings.t() + self.bias


def answer_10(self, hidden, embeddings):
    h = torch.matmul(hidden, self.transform.weight) + self.transform.bias
    n = self.norm(F.gelu(h))
    return n @ embeddings.mT + self.bias
