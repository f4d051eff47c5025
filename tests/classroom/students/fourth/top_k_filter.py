# ruff: noqa
"""Answers of students to the exercise top_k_filter."""

import torch


def answer_01(logits, k):
    k = min(k, logits.size(-1))
    kth = torch.topk(logits, k, dim=-1).values[..., -1:]
    return torch.where(logits > kth, logits, torch.full_like(logits, float("-inf")))


def answer_02(logits, k):
    threshold = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1, None]
    return logits.masked_fill(logits < threshold, 0.0)


def answer_03(logits, k):
    larger = (logits.unsqueeze(-2) > logits.unsqueeze(-1)).sum(-1)
    return logits.masked_fill(larger >= k, -float("inf"))
