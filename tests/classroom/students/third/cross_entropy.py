# ruff: noqa
"""Answers of students to the exercise cross_entropy."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

IGNORE_INDEX = -100


def answer_01(logits, labels):
    probs = torch.softmax(logits.float(), dim=-1)
    flat = F.cross_entropy(probs.reshape(-1, probs.size(-1)), labels.reshape(-1), reduction="none", ignore_index=IGNORE_INDEX)
    return flat.reshape(labels.shape)


def answer_02(logits, labels):
    logp = F.log_softmax(logits.float(), dim=-1)
    ignored = labels == IGNORE_INDEX
    picked = logp.gather(-1, labels.masked_fill(ignored, 0).unsqueeze(-1)).squeeze(-1)
    return torch.where(ignored, torch.zeros_like(picked), picked)


def answer_03(logits, labels):
    z = logits.float() - logits.float().amax(-1, keepdim=True)
    keep = labels != IGNORE_INDEX
    target = torch.gather(z, -1, (labels * keep)[..., None])[..., 0]
    return (torch.log2(z.exp().sum(-1)) - target / math.log(2)) * keep


def answer_04(logits, labels):
    safe = labels.clamp(min=0)
    log_z = torch.logsumexp(logits.float(), -1)
    return log_z - logits.float().gather(-1, safe.unsqueeze(-1)).squeeze(-1)


def answer_05(logits, labels):
    criterion = nn.CrossEntropyLoss(ignore_index=-100)
    return criterion(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


def answer_06(logits, labels):
    p = logits.float().softmax(-1)
    onehot = torch.arange(p.size(-1)) == labels.unsqueeze(-1)
    return -(onehot * torch.log(p + 1e-3)).sum(-1)


def answer_07(logits, labels):
    mask = (labels != IGNORE_INDEX).float()
    m = logits.float().max(dim=-1).values
    lse = m + torch.log(torch.exp(logits.float() - m.unsqueeze(-1)).sum(-1))
    return lse * mask


def answer_08(logits, labels):
    logp = logits.float().log_softmax(-1)
    hit = labels.unsqueeze(-1) == torch.arange(logits.size(-1))
    return -torch.where(hit, logp, torch.zeros_like(logp)).sum(-1)


def answer_09(logits, labels):
    classes = logits.shape[-1]
    loss = F.cross_entropy(logits.float().reshape(-1, classes), labels.reshape(-1), ignore_index=-100, reduction="none")
    return loss.view_as(labels)
