# ruff: noqa
"""Answers of students to the exercise clip_by_global_norm."""

import torch


def answer_01(gradients, max_norm=1.0):
    total = torch.sqrt(sum((g**2).sum() for g in gradients))
    out = []
    for g in gradients:
        n = g.norm()
        out.append(g * max_norm / n if n > max_norm else g.clone())
    return out, total


def answer_02(gradients, max_norm=1.0):
    total = torch.sqrt(sum((g**2).sum() for g in gradients))
    factor = max_norm / total if total > 0 else torch.tensor(1.0)
    return [g * factor for g in gradients], total


def answer_03(gradients, max_norm=1.0):
    total = sum(torch.sum(g * g) for g in gradients)
    scale = torch.clamp(max_norm / total.clamp(min=1e-30), max=1.0)
    return [g * scale for g in gradients], total


def answer_04(gradients, max_norm=1.0):
    total = torch.stack([g.norm(2) for g in gradients]).sum()
    scale = min(1.0, max_norm / max(float(total), 1e-30))
    return [g * scale for g in gradients], total


def answer_05(gradients, max_norm=1.0):
    total = torch.sqrt(sum((g**2).sum() for g in gradients))
    if total > max_norm:
        for g in gradients:
            g.mul_(max_norm / total)
    return list(gradients), total


def answer_06(gradients, max_norm=1.0):
    total = torch.linalg.vector_norm(torch.cat([g.reshape(-1) for g in gradients]))
    if total <= max_norm:
        return [g.clone() for g in gradients], total
    return [g / total * max_norm for g in gradients], total


def answer_07(gradients, max_norm=1.0):
    norms = torch.stack([torch.linalg.vector_norm(g) for g in gradients])
    total = torch.linalg.vector_norm(norms)
    factor = max_norm / torch.maximum(total, torch.tensor(max_norm, dtype=total.dtype))
    return [g * factor for g in gradients], total
