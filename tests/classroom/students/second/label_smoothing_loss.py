# ruff: noqa
"""Answers of students to the exercise label_smoothing_loss."""

import torch
from torch.nn import functional as F

from minibert.equations import IGNORE_INDEX


def answer_01(logits, labels, label_smoothing=0.1):
    k = logits.size(-1)
    logp = logits.float().log_softmax(-1)
    sel = labels != IGNORE_INDEX
    target = torch.full_like(logp, label_smoothing / (k - 1))
    target.scatter_(-1, labels.clamp(min=0).unsqueeze(-1), 1 - label_smoothing)
    loss = -(target * logp).sum(-1)
    return (loss * sel).sum() / sel.sum().clamp(min=1)


def answer_02(logits, labels, label_smoothing=0.1):
    logp = logits.float().log_softmax(-1)
    sel = labels != IGNORE_INDEX
    nll = -logp.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    smooth = -logp.sum(-1)
    loss = (1 - label_smoothing) * nll + label_smoothing * smooth
    return loss[sel].sum() / max(1, int(sel.sum()))


def answer_03(logits, labels, label_smoothing=0.1):
    loss = F.cross_entropy(
        logits.float().reshape(-1, logits.size(-1)),
        labels.reshape(-1),
        ignore_index=-100,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return loss.mean()


def answer_04(logits, labels, label_smoothing=0.1):
    logp = logits.float().log_softmax(-1)
    sel = labels != IGNORE_INDEX
    nll = -logp.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    loss = nll + label_smoothing * -logp.mean(-1)
    return torch.where(sel, loss, 0.0).sum() / sel.sum().clamp(min=1)


def answer_05(logits, labels, label_smoothing=0.1):
    k = logits.size(-1)
    sel = labels != IGNORE_INDEX
    target = F.one_hot(labels.clamp(min=0), k) * (1 - label_smoothing) + label_smoothing / k
    loss = -(target * logits.float().log_softmax(-1)).sum(-1)
    return (loss * sel).sum() / sel.sum().clamp(min=1)
