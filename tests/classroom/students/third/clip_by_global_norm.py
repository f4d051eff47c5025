# ruff: noqa
"""Answers of students to the exercise clip_by_global_norm."""

import math
import torch


def answer_01(gradients, max_norm=1.0):
    clipped = []
    total = 0.0
    for g in gradients:
        n = g.norm()
        total = total + n**2
        if n > max_norm:
            g = g * max_norm / n
        clipped.append(g)
    return clipped, torch.sqrt(total)


def answer_02(gradients, max_norm=1.0):
    norm = torch.sqrt(sum((g**2).sum() for g in gradients))
    factor = max_norm / norm
    return [g * factor for g in gradients], norm


def answer_03(gradients, max_norm=1.0):
    norm = sum(torch.linalg.vector_norm(g) for g in gradients)
    coef = torch.clamp(max_norm / norm, max=1.0)
    return [coef * g for g in gradients], norm


def answer_04(gradients, max_norm=1.0):
    norms = torch.stack([g.norm(2) for g in gradients])
    total_norm = norms.norm(2)
    clip_coef = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
    return [g * clip_coef for g in gradients], total_norm


def answer_05(gradients, max_norm=1.0):
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    if norm > max_norm:
        for g in gradients:
            g.mul_(max_norm / norm)
    return list(gradients), norm


def answer_06(gradients, max_norm=1.0):
    norm = torch.sqrt(torch.stack([g.square().sum() for g in gradients]).sum())
    if norm > max_norm:
        gradients = [g / norm * max_norm for g in gradients]
        norm = torch.tensor(max_norm)
    return list(gradients), norm


def answer_07(gradients, max_norm=1.0):
    norm = torch.zeros(())
    for g in gradients:
        norm = norm + (g * g).sum()
    if norm <= max_norm:
        return [g.clone() for g in gradients], norm
    return [g * (max_norm / norm) for g in gradients], norm


def answer_08(gradients, max_norm=1.0):
    flat = torch.cat([g.reshape(-1) for g in gradients])
    norm = flat.norm()
    if float(norm) > max_norm:
        flat = flat / norm * max_norm
    pieces = flat.split([g.numel() for g in gradients])
    return [piece.view(g.shape).clone() for piece, g in zip(pieces, gradients)], norm


def answer_09(gradients, max_norm=1.0):
    norm = math.sqrt(sum(g.pow(2).sum().item() for g in gradients))
    return [g * max_norm / max(norm, max_norm) for g in gradients], torch.tensor(norm, dtype=gradients[0].dtype)


def answer_10(gradients, max_norm=1.0):
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    if norm > 1.0:
        return [g * (max_norm / norm) for g in gradients], norm
    return [g.clone() for g in gradients], norm
