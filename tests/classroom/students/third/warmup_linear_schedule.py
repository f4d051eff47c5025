# ruff: noqa
"""Answers of students to the exercise warmup_linear_schedule."""

import math
import torch


def answer_01(step, total_steps, warmup_steps):
    if step < warmup_steps:
        return step / warmup_steps
    return max(0.0, (total_steps - step) / (total_steps - warmup_steps))


def answer_02(step, total_steps, warmup_steps):
    if step <= warmup_steps:
        return float(step) / float(max(1, warmup_steps))
    return max(0.0, float(total_steps - step + 1) / float(max(1, total_steps)))


def answer_03(step, total_steps, warmup_steps):
    decay = (total_steps - step + 1) / (total_steps - warmup_steps)
    if warmup_steps == 0:
        return min(1.0, decay)
    return min(step / warmup_steps, decay)


def answer_04(step, total_steps, warmup_steps):
    step = step - 1
    if step < warmup_steps:
        return step / max(1, warmup_steps)
    return max(0.0, (total_steps - step) / max(1, total_steps - warmup_steps))


def answer_05(step, total_steps, warmup_steps):
    if step > total_steps:
        return 0.0
    down = (total_steps - step + 1) / (total_steps - warmup_steps)
    if warmup_steps == 0:
        return down
    up = step / warmup_steps
    return max(up, down)


def answer_06(step, total_steps, warmup_steps):
    up = step / warmup_steps
    down = (total_steps - step + 1) / (total_steps - warmup_steps)
    return max(0.0, min(up, down))


def answer_07(step, total_steps, warmup_steps):
    if step > total_steps:
        return 0.0
    if step < warmup_steps:
        return step / warmup_steps
    remaining = total_steps + 1 - step
    return min(1.0, remaining / (total_steps - warmup_steps)) if total_steps > warmup_steps else 1.0


def answer_08(step, total_steps, warmup_steps):
    progress = (step - warmup_steps - 1) / max(1, total_steps - warmup_steps)
    warm = step / warmup_steps if warmup_steps else math.inf
    return max(0.0, min(1.0, warm, 1 - progress))


def answer_09(step, total_steps, warmup_steps):
    up = step / (warmup_steps + 1)
    down = (total_steps - step + 1) / (total_steps - warmup_steps)
    if warmup_steps == 0:
        up = 1.0
    return max(0.0, min(1.0, up, down))
