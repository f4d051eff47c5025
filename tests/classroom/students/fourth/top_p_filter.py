# ruff: noqa
"""Answers of students to the exercise top_p_filter."""

import torch


def answer_01(logits, p):
    sorted_logits, order = torch.sort(logits, dim=-1, descending=True, stable=True)
    cumulative = sorted_logits.softmax(-1).cumsum(-1)
    remove = cumulative > p
    remove[..., 0] = False
    remove = torch.zeros_like(remove).scatter(-1, order, remove)
    return logits.masked_fill(remove, float("-inf"))


def answer_02(logits, p):
    probs, idx = torch.softmax(logits, dim=-1).sort(dim=-1, descending=True, stable=True)
    before = probs.cumsum(dim=-1) - probs
    drop = before >= p
    drop[..., 0] = False
    return logits.masked_fill(drop, -float("inf"))


def answer_03(logits, p):
    sorted_logits, order = torch.sort(logits, dim=-1, descending=True, stable=True)
    cumulative = sorted_logits.softmax(-1).cumsum(-1)
    remove = cumulative >= p
    remove[..., 1:] = remove[..., :-1].clone()
    remove[..., 0] = False
    inverse = order.argsort(-1)
    return logits.masked_fill(remove.gather(-1, inverse), float("-inf"))
