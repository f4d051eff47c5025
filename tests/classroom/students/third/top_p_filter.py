# ruff: noqa
"""Answers of students to the exercise top_p_filter."""

import torch
from torch.nn import functional as F


def answer_01(logits, p):
    sorted_logits, idx = torch.sort(logits, descending=True, dim=-1, stable=True)
    cum = sorted_logits.softmax(-1).cumsum(-1)
    remove = cum > p
    remove[..., 0] = False
    return logits.masked_fill(torch.zeros_like(remove).scatter(-1, idx, remove), float("-inf"))


def answer_02(logits, p):
    sorted_logits, _ = logits.sort(dim=-1, descending=True, stable=True)
    probs = torch.softmax(sorted_logits, dim=-1)
    before = probs.cumsum(-1) - probs
    return logits.masked_fill(before >= p, float("-inf"))


def answer_03(logits, p):
    sorted_logits, order = torch.sort(logits, dim=-1, stable=True)
    probs = F.softmax(sorted_logits, dim=-1)
    before = torch.cumsum(probs, dim=-1) - probs
    drop = before >= p
    drop[..., 0] = False
    mask = drop.gather(-1, order.argsort(-1))
    return torch.where(mask, float("-inf"), logits)


def answer_04(logits, p):
    order = logits.argsort(dim=-1, descending=True, stable=True)
    probs = torch.softmax(logits, dim=0).gather(-1, order)
    before = probs.cumsum(-1) - probs
    keep_sorted = before < p
    keep_sorted[..., 0] = True
    keep = torch.empty_like(keep_sorted).scatter_(-1, order, keep_sorted)
    return logits.masked_fill(~keep, -torch.inf)


def answer_05(logits, p):
    sorted_logits, order = logits.sort(dim=-1, descending=True, stable=True)
    probs = sorted_logits.softmax(-1)
    keep_sorted = probs.cumsum(-1) - probs < p
    keep_sorted[..., 0] = True
    keep = torch.zeros_like(keep_sorted).scatter(-1, order, keep_sorted)
    return logits.masked_fill(~keep, float("-inf")).softmax(-1)


def answer_06(logits, p):
    values, order = torch.sort(logits, dim=-1, descending=True, stable=True)
    probs = values.softmax(dim=-1)
    before = torch.cat([torch.zeros_like(probs[..., :1]), probs.cumsum(-1)[..., :-1]], dim=-1)
    values = values.masked_fill(~(before < p), float("-inf"))
    return torch.empty_like(values).scatter(-1, order, values)


def answer_07(logits, p):
    probs = F.softmax(logits, dim=-1)
    keep = probs >= p
    best = probs.argmax(dim=-1, keepdim=True)
    keep = keep.scatter(-1, best, True)
    return torch.where(keep, logits, torch.full_like(logits, float("-inf")))


def answer_08(logits, p):
    sorted_logits, sorted_indices = torch.sort(logits, descending=True, dim=-1, stable=True)
    cumulative = torch.cumsum(F.softmax(sorted_logits, dim=-1), dim=-1)
    remove = cumulative >= p
    remove = torch.cat([torch.zeros_like(remove[..., :1]), remove[..., :-1]], dim=-1)
    mask = remove.scatter(-1, sorted_indices, remove)
    return logits.masked_fill(mask, float("-inf"))


def answer_09(logits, p):
    flat = logits.reshape(-1, logits.shape[-1])
    out = torch.full_like(flat, float("-inf"))
    for row in range(flat.shape[0]):
        probs = torch.softmax(flat[row], 0)
        order = torch.argsort(flat[row], descending=True, stable=True)
        total = 0.0
        for rank, i in enumerate(order):
            if rank > 0 and total >= p:
                break
            out[row, i] = flat[row, i]
            total = total + probs[i]
    return out.view_as(logits)


def answer_10(logits, p):
    sorted_logits, order = logits.sort(dim=-1, descending=True, stable=True)
    before = sorted_logits.cumsum(-1) - sorted_logits
    keep_sorted = before < p
    keep_sorted[..., 0] = True
    keep = torch.zeros_like(keep_sorted).scatter(-1, order, keep_sorted)
    return torch.where(keep, logits, float("-inf"))
