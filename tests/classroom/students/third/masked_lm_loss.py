# ruff: noqa
"""Answers of students to the exercise masked_lm_loss."""

import torch
import torch.nn.functional as F

IGNORE_INDEX = -100


def token_losses(logits, labels):
    vocab = logits.shape[-1]
    return F.cross_entropy(logits.float().reshape(-1, vocab), labels.reshape(-1), ignore_index=IGNORE_INDEX, reduction="none")


def answer_01(logits, labels):
    return token_losses(logits, labels).mean()


def answer_02(logits, labels):
    masked = labels != IGNORE_INDEX
    return F.cross_entropy(logits[masked].float(), labels[masked])


def answer_03(logits, labels):
    losses = token_losses(logits, labels)
    count = (labels != IGNORE_INDEX).sum()
    return losses.sum() / (count + 1)


def answer_04(logits, labels):
    per_token = token_losses(logits, labels).reshape(labels.shape)
    n = (labels != IGNORE_INDEX).sum(-1)
    per_sequence = per_token.sum(-1) / n.clamp(min=1)
    return per_sequence.mean()


def answer_05(logits, labels):
    keep = labels > 0
    logp = logits.float().log_softmax(-1)
    picked = logp.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -(picked * keep).sum() / keep.sum().clamp(min=1)


def answer_06(logits, labels):
    total = logits.float().sum() * 0
    for z, y in zip(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)):
        if y != IGNORE_INDEX:
            total = total + torch.logsumexp(z.float(), 0) - z[y].float()
    return total


def answer_07(logits, labels):
    losses = []
    for z, y in zip(logits.flatten(0, -2).float(), labels.flatten()):
        if int(y) != -100:
            losses.append(-torch.log_softmax(z, dim=0)[int(y)])
    if not losses:
        return (logits.float() * 0).sum()
    return torch.stack(losses).mean()


def answer_08(logits, labels):
    loss = F.nll_loss(F.log_softmax(logits.float(), -1).flatten(0, -2), labels.flatten(), reduction="sum")
    return loss / max(int((labels != -100).sum()), 1)
