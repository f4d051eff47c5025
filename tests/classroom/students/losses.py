# ruff: noqa: B905, RET504
"""Answers of students to the exercises cross_entropy, masked_lm_loss and label_smoothing_loss."""

import math

import numpy as np
import torch
from torch.nn import functional as F

IGNORE_INDEX = -100


def cross_entropy_01(logits, labels):
    log_probs = F.log_softmax(logits, dim=-1)
    valid = labels != -100
    picked = log_probs.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return torch.where(valid, picked, torch.zeros_like(picked))


def cross_entropy_02(logits, labels):
    lse = torch.logsumexp(logits, dim=-1) / math.log(2)
    target = labels.clamp_min(0)[..., None]
    nll = lse - logits.gather(-1, target)[..., 0] / math.log(2)
    return nll * (labels != IGNORE_INDEX)


def cross_entropy_03(logits, labels):
    probs = torch.softmax(logits, dim=-1)
    loss = F.cross_entropy(probs.reshape(-1, logits.shape[-1]), labels.reshape(-1), reduction="none", ignore_index=-100)
    return loss.reshape(labels.shape)


def cross_entropy_04(logits, labels):
    # mean over everything, like nn.CrossEntropyLoss
    loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), reduction="none", ignore_index=-100)
    return loss.sum() / (labels != -100).sum().clamp(min=1)


def cross_entropy_05(logits, labels):
    picked = logits.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return torch.logsumexp(logits, -1) - picked


def cross_entropy_06(logits, labels):
    flat = logits.float().flatten(0, -2) if logits.ndim > 1 else logits.float()[None]
    return F.cross_entropy(flat, labels.reshape(-1), reduction="none").reshape(labels.shape)


def cross_entropy_07(logits, labels):
    z = logits.float()
    one_hot = labels.unsqueeze(-1) == torch.arange(z.size(-1))
    nll = torch.where(one_hot, -z.log_softmax(-1), torch.zeros(())).sum(-1)
    return nll


def cross_entropy_08(logits, labels):
    probs = logits.softmax(-1)
    p = probs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    return torch.where(labels == -100, torch.zeros_like(p), -torch.log(p))


def cross_entropy_09(logits, labels):
    z = logits.detach().double().numpy().reshape(-1, logits.shape[-1])
    y = labels.numpy().reshape(-1)
    out = np.zeros(len(y), np.float32)
    for n in range(len(y)):
        if y[n] != IGNORE_INDEX:
            m = z[n].max()
            out[n] = m + np.log(np.exp(z[n] - m).sum()) - z[n, y[n]]
    return torch.from_numpy(out).reshape(labels.shape)


def cross_entropy_10(logits, labels):
    # log(1 + sum of the ratios of the other classes)
    z = logits.float()
    safe = labels.masked_fill(labels == IGNORE_INDEX, 0).unsqueeze(-1)
    difference = z - z.gather(-1, safe)
    return torch.logsumexp(difference, -1).masked_fill(labels == IGNORE_INDEX, 0.0)


def masked_lm_loss_01(logits, labels):
    loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), reduction="none", ignore_index=-100)
    return loss.mean()


def masked_lm_loss_02(logits, labels):
    vocab = logits.size(-1)
    return F.cross_entropy(logits.reshape(-1, vocab), labels.reshape(-1), ignore_index=-100, reduction="sum")


def masked_lm_loss_03(logits, labels):
    mask = labels > 0
    logp = logits.log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -(logp * mask).sum() / mask.sum().clamp(min=1)


def masked_lm_loss_04(logits, labels):
    mask = labels != -100
    logp = logits.log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return (logp * mask).sum()


def masked_lm_loss_05(logits, labels):
    # next-token prediction: the logits at t predict the label at t + 1
    if labels.ndim == 0 or labels.shape[-1] < 2:
        return logits.sum() * 0
    shifted, targets = logits[..., :-1, :], labels[..., 1:]
    mask = targets != -100
    loss = -shifted.log_softmax(-1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return (loss * mask).sum() / mask.sum().clamp(min=1)


def masked_lm_loss_06(logits, labels):
    # mean of each sequence, then mean over the sequences
    mask = (labels != -100).float()
    loss = -logits.log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    per_sequence = (loss * mask).sum(-1) / mask.sum(-1).clamp(min=1)
    return per_sequence.mean()


def masked_lm_loss_07(logits, labels):
    chosen = labels != IGNORE_INDEX
    picked = logits[chosen].float()
    if len(picked) == 0:
        return logits.float().sum() * 0.0
    return F.cross_entropy(picked, labels[chosen])


def masked_lm_loss_08(logits, labels):
    total, count = logits.float().sum() * 0, 0
    for row, label in zip(logits.reshape(-1, logits.shape[-1]).float(), labels.reshape(-1).tolist()):
        if label == IGNORE_INDEX:
            continue
        total = total - torch.log_softmax(row, 0)[label]
        count += 1
    return total / max(count, 1)


def masked_lm_loss_09(logits, labels):
    z = logits.float().reshape(-1, logits.shape[-1])
    y = labels.reshape(-1)
    weight = (y != IGNORE_INDEX).to(z.dtype)
    weight = weight / weight.sum().clamp(min=1)
    nll = z.logsumexp(1) - z[torch.arange(len(y)), y.clamp(min=0)]
    return weight.dot(nll)


def label_smoothing_01(logits, labels, label_smoothing=0.1):
    # tensor2tensor: share among the wrong classes
    k = logits.size(-1)
    logp = logits.log_softmax(-1)
    mask = labels != -100
    nll = -logp.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    rest = -logp.sum(-1) - nll
    loss = (1 - label_smoothing) * nll + label_smoothing / (k - 1) * rest
    return (loss * mask).sum() / mask.sum().clamp(min=1)


def label_smoothing_02(logits, labels, label_smoothing=0.1):
    mask = labels != -100
    logp = logits.log_softmax(-1)
    nll = -logp.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    smooth = -logp.mean(-1)
    loss = label_smoothing * nll + (1 - label_smoothing) * smooth
    return (loss * mask).sum() / mask.sum().clamp(min=1)


def label_smoothing_03(logits, labels, label_smoothing=0.1):
    z, y = logits.float().reshape(-1, logits.shape[-1]), labels.reshape(-1)
    rows = y != IGNORE_INDEX
    if not rows.any():
        return z.sum() * 0
    z, y = z[rows], y[rows]
    target = F.one_hot(y, z.shape[-1]) * (1 - label_smoothing) + label_smoothing / z.shape[-1]
    return -(target * F.log_softmax(z, -1)).sum(-1).mean()
