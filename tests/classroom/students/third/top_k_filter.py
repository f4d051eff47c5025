# ruff: noqa
"""Answers of students to the exercise top_k_filter."""

import torch


def answer_01(logits, k):
    values, indices = torch.topk(logits, min(k, logits.shape[-1]), dim=-1)
    out = torch.full_like(logits, float("-inf"))
    return out.scatter(-1, indices, values)


def answer_02(logits, k):
    ordered = logits.sort(dim=-1, descending=True).values
    k = min(k, logits.size(-1) - 1)
    threshold = ordered[..., k].unsqueeze(-1)
    return logits.masked_fill(logits < threshold, -float("inf"))


def answer_03(logits, k):
    kth = torch.topk(logits, min(k, logits.shape[-1]))[0][..., -1, None]
    return torch.where(logits <= kth, torch.tensor(float("-inf")), logits)


def answer_04(logits, k):
    k = min(k, logits.size(-1))
    threshold = logits.topk(k, dim=-1).values.min(dim=-1, keepdim=True).values
    return logits * (logits >= threshold)


def answer_05(logits, k):
    top_k = min(k, logits.size(-1))
    indices_to_remove = logits < torch.topk(logits, top_k)[0][..., -1, None]
    logits[indices_to_remove] = float("-inf")
    return logits


def answer_06(logits, k):
    k = min(k, logits.size(-1))
    values = torch.topk(logits, k).values
    return logits.masked_fill(logits < values.min(), float("-inf"))


def answer_07(logits, k):
    k = min(k, logits.shape[-1])
    kth = torch.kthvalue(logits, k, dim=-1, keepdim=True).values
    return logits.masked_fill(logits > kth, float("-inf"))


def answer_08(logits, k):
    larger = (logits.unsqueeze(-2) > logits.unsqueeze(-1)).sum(-1)
    return torch.where(larger < k, logits, -torch.inf)


def answer_09(logits, k):
    n = logits.shape[-1]
    if k >= n:
        return logits.clone()
    kth, _ = torch.kthvalue(logits, n - k + 1, dim=-1, keepdim=True)
    result = logits.clone()
    result[logits < kth] = float("-inf")
    return result
