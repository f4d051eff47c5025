# ruff: noqa
"""Answers of students to the exercise top_p_filter."""

import torch


def answer_01(logits, p):
    s, idx = torch.sort(logits, descending=True, stable=True, dim=-1)
    cum = s.softmax(-1).cumsum(-1)
    remove = cum > p
    remove[..., 0] = False
    mask = torch.zeros_like(remove).scatter(-1, idx, remove)
    return logits.masked_fill(mask, float("-inf"))


def answer_02(logits, p):
    s, idx = torch.sort(logits, descending=True, stable=True, dim=-1)
    probs = s.softmax(-1)
    remove = probs.cumsum(-1) - probs >= p
    return logits.masked_fill(remove, float("-inf"))


def answer_03(logits, p):
    s, idx = torch.sort(logits, descending=True, stable=True, dim=-1)
    remove = s.cumsum(-1) - s >= p
    remove[..., 0] = False
    return logits.masked_fill(torch.zeros_like(remove).scatter(-1, idx, remove), float("-inf"))


def answer_04(logits, p):
    s, idx = torch.sort(logits, dim=-1, descending=True, stable=True)
    probs = s.softmax(-1)
    remove = (probs.cumsum(-1) - probs) >= p
    remove[..., 0] = False
    return logits.masked_fill(remove.gather(-1, idx.argsort(-1)), float("-inf"))
