# ruff: noqa
"""Answers of students to the exercise masked_lm_loss."""

from torch.nn import functional as F

from minibert.equations import IGNORE_INDEX


def answer_01(logits, labels):
    loss = F.cross_entropy(logits.float().reshape(-1, logits.size(-1)), labels.reshape(-1), ignore_index=-100, reduction="none")
    return loss.mean()


def answer_02(logits, labels):
    return F.cross_entropy(logits.float().reshape(-1, logits.size(-1)), labels.reshape(-1), ignore_index=-100)


def answer_03(logits, labels):
    return F.cross_entropy(logits.float().reshape(-1, logits.size(-1)), labels.reshape(-1), ignore_index=-100, reduction="sum")


def answer_04(logits, labels):
    sel = labels != IGNORE_INDEX
    n = sel.sum()
    logp = logits.float().log_softmax(-1)
    lp = logp[sel].gather(-1, labels[sel].unsqueeze(-1))
    return lp.sum() / n.clamp(min=1)


def answer_05(logits, labels):
    sel = labels != IGNORE_INDEX
    if not sel.any():
        return logits.float().sum() * 0.0
    return F.cross_entropy(logits[sel].float(), labels[sel])


def answer_06(logits, labels):
    logp = F.log_softmax(logits.float(), dim=-1).flatten(0, -2)
    y = labels.flatten()
    total = F.nll_loss(logp, y, ignore_index=-100, reduction="sum")
    return total / (y != -100).sum().clamp(min=1)
