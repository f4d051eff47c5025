# ruff: noqa
"""Answers of students to the exercise top_k_filter."""

import torch


def answer_01(logits, k):
    kth = torch.topk(logits, min(k, logits.shape[-1]))[0][..., -1:]
    return torch.where(logits < kth, torch.zeros_like(logits), logits)


def answer_02(logits, k):
    kth = torch.topk(logits, min(k, logits.shape[-1]))[0][..., -1, None]
    return logits.masked_fill(logits <= kth, float("-inf"))


def answer_03(logits, k):
    k = min(k, logits.shape[-1])
    kth = logits.sort(dim=-1).values[..., k - 1 : k]
    return logits.masked_fill(logits > kth, float("-inf"))


def answer_04(logits, k):
    bigger = (logits[..., None, :] > logits[..., :, None]).sum(-1)
    return torch.where(bigger < k, logits, -torch.inf)


def answer_05(logits, k):
    k = min(k, logits.size(-1))
    threshold = torch.topk(logits, k, dim=-1).values.min(dim=-1, keepdim=True).values
    return logits.masked_fill(logits < threshold, -float("inf"))
