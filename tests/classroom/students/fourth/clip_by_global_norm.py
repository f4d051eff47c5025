# ruff: noqa
"""Answers of students to the exercise clip_by_global_norm."""

import torch


def answer_01(gradients, max_norm=1.0):
    total = torch.sqrt(sum((g**2).sum() for g in gradients))
    clipped = []
    for g in gradients:
        n = g.norm()
        clipped.append(g * max_norm / n if n > max_norm else g.clone())
    return clipped, total


def answer_02(gradients, max_norm=1.0):
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    if norm > max_norm:
        for g in gradients:
            g.mul_(max_norm / norm)
    return list(gradients), norm


def answer_03(gradients, max_norm=1.0):
    norm = torch.linalg.vector_norm(torch.cat([g.reshape(-1) for g in gradients]))
    scale = max_norm / torch.clamp(norm, min=max_norm)
    return [scale * g for g in gradients], norm
