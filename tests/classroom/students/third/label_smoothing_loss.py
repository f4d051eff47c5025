# ruff: noqa
"""Answers of students to the exercise label_smoothing_loss."""

import math
import torch
from torch import Tensor
from torch.nn import functional as F

IGNORE_INDEX = -100


def answer_01(logits, labels, label_smoothing=0.1):
    mask = labels != IGNORE_INDEX
    z = logits[mask]
    y = labels[mask]
    logp = torch.log_softmax(z, dim=-1)
    nll = -logp.gather(1, y.unsqueeze(1)).squeeze(1)
    smooth = -logp.sum(dim=-1)
    return ((1 - label_smoothing) * nll + label_smoothing * smooth).mean()


def answer_02(logits, labels, label_smoothing=0.1):
    K = logits.size(-1)
    logits = logits.reshape(-1, K)
    labels = labels.reshape(-1)
    keep = labels != IGNORE_INDEX
    logits, labels = logits[keep], labels[keep]
    true_dist = torch.full_like(logits, label_smoothing / (K - 1))
    true_dist.scatter_(1, labels[:, None], 1.0 - label_smoothing)
    return torch.sum(-true_dist * F.log_softmax(logits, dim=-1), dim=-1).mean()


def answer_03(logits, labels, label_smoothing=0.1):
    valid = labels != IGNORE_INDEX
    log_probs = logits.log_softmax(-1)[valid]
    target = labels[valid]
    rows = torch.arange(len(target))
    hard = -log_probs[rows, target]
    soft = -log_probs.mean(-1)
    return (hard + label_smoothing * soft).mean()


def answer_04(logits, labels, label_smoothing=0.1):
    lprobs = F.log_softmax(logits, dim=-1)
    pad = labels.eq(IGNORE_INDEX)
    safe = labels.clamp(min=0)
    nll_loss = -lprobs.gather(dim=-1, index=safe.unsqueeze(-1)).squeeze(-1)
    smooth_loss = -lprobs.mean(dim=-1)
    nll_loss = nll_loss.masked_fill(pad, 0.0)
    smooth_loss = smooth_loss.masked_fill(pad, 0.0)
    total = (1.0 - label_smoothing) * nll_loss.sum() + label_smoothing * smooth_loss.sum()
    return total / labels.numel()


def answer_05(logits, labels, label_smoothing=0.1):
    lprobs = F.log_softmax(logits, dim=-1)
    pad = labels == IGNORE_INDEX
    n = (~pad).sum()
    nll = -lprobs.gather(-1, labels.masked_fill(pad, 0).unsqueeze(-1)).squeeze(-1)
    nll = nll.masked_fill(pad, 0.0)
    smooth = -lprobs.mean(dim=-1)
    return ((1 - label_smoothing) * nll.sum() + label_smoothing * smooth.sum()) / n


def answer_06(logits, labels, label_smoothing=0.1):
    return F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        labels.reshape(-1),
        ignore_index=IGNORE_INDEX,
        label_smoothing=label_smoothing,
    )


def answer_07(logits, labels, label_smoothing=0.1):
    k = logits.shape[-1]
    used = labels.flatten() >= 0
    z = logits.flatten(0, -2)[used] if logits.dim() > 1 else logits[None][used]
    target = F.one_hot(labels.flatten()[used], k).to(z.dtype)
    target = target * (1 - label_smoothing) + label_smoothing / k
    logq = z - torch.logsumexp(z, 1, keepdim=True)
    return -(target * logq).sum() / len(z)


def answer_08(logits, labels, label_smoothing=0.1):
    if labels.dim() < 2:
        logits, labels = logits[None], labels[None]
    total = 0.0
    logits = logits.flatten(0, -3)
    labels = labels.flatten(0, -2)
    rows = 0
    for z, y in zip(logits, labels):
        used = y != IGNORE_INDEX
        if not used.any():
            continue
        total = total + F.cross_entropy(z[used], y[used], label_smoothing=label_smoothing)
        rows += 1
    return total / rows


def answer_09(logits, labels, label_smoothing=0.1):
    eps = 0.1
    k = logits.size(-1)
    lp = logits.reshape(-1, k).log_softmax(dim=1)
    y = labels.reshape(-1)
    lp, y = lp[y != IGNORE_INDEX], y[y != IGNORE_INDEX]
    q = torch.full_like(lp, eps / k)
    q[torch.arange(len(y)), y] += 1 - eps
    return -(q * lp).sum(dim=1).mean()
