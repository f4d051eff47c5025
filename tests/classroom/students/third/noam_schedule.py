# ruff: noqa
"""Answers of students to the exercise noam_schedule."""

import math


def answer_01(step, d_model, warmup_steps=4000):
    if step == 0:
        return 0.0
    return d_model**-0.5 * min(step**-0.5, step * warmup_steps**-0.5)


def answer_02(step, d_model, warmup_steps=4000):
    step = max(step, 1)
    return (d_model ** (-0.5)) * min(step ** (-0.5), step * warmup_steps ** (-1.5))


def answer_03(step, d_model, warmup_steps=4000):
    if step < 1:
        return 0.0
    arg1 = 1 / math.sqrt(step)
    arg2 = step * warmup_steps**-1.5
    return math.sqrt(d_model) * min(arg1, arg2)


def answer_04(step, d_model, warmup_steps=400):
    if step == 0:
        return 0.0
    return min(step**-0.5, step * warmup_steps**-1.5) / d_model**0.5


def answer_05(step, d_model, warmup_steps=4000):
    if step == 0:
        return 0.0
    if step < warmup_steps:
        return step / warmup_steps**1.5
    return 1 / step**0.5


def answer_06(step, d_model, warmup_steps=4000):
    if step <= warmup_steps:
        return step / (warmup_steps * math.sqrt(warmup_steps * d_model))
    return 1 / math.sqrt(step * d_model)


def answer_07(step, d_model, warmup_steps=4000):
    if step == 0:
        return 0.0
    return d_model**-0.5 * max(step**-0.5, step * warmup_steps**-1.5)
