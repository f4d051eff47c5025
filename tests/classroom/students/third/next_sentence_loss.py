# ruff: noqa
"""Answers of students to the exercise next_sentence_loss."""

import torch
import torch.nn.functional as F

IGNORE_INDEX = -100


def answer_01(logits, labels):
    known = labels != IGNORE_INDEX
    flipped = torch.where(known, 1 - labels, labels)
    total = F.cross_entropy(logits.reshape(-1, 2), flipped.reshape(-1), reduction="sum")
    return total / known.sum().clamp(min=1)


def answer_02(logits, labels):
    use = labels != IGNORE_INDEX
    target = labels.clamp(min=0).to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits[..., 1], target, reduction="none")
    return (loss * use).sum() / use.sum().clamp(min=1)


def answer_03(logits, labels):
    logp = logits.log_softmax(dim=-1)
    y = labels.reshape(-1)
    logp = logp.reshape(-1, 2)
    loss = 0.0
    for i in range(len(y)):
        if y[i] != IGNORE_INDEX:
            loss = loss - logp[i, y[i]]
    return loss / len(y) + logits.sum() * 0


def answer_04(logits, labels):
    z = logits.reshape(-1, 2)
    y = labels.reshape(-1)
    logp = torch.log_softmax(z, dim=0)
    ok = y != IGNORE_INDEX
    picked = torch.where(y == 1, logp[:, 1], logp[:, 0])
    return -(picked * ok).sum() / ok.sum().clamp(min=1)


def answer_05(logits, labels):
    p_not_next = torch.sigmoid(logits[..., 1] - logits[..., 0])
    n = (labels != IGNORE_INDEX).sum().clamp(min=1)
    return -((labels == 1) * torch.log(p_not_next)).sum() / n


def answer_06(logits, labels):
    delta = logits[..., 1] - logits[..., 0]
    losses = torch.where(labels == 0, F.softplus(delta), F.softplus(-delta))
    losses = losses.masked_fill(labels == -100, 0.0)
    return losses.sum() / max(1, (labels != -100).sum().item())
