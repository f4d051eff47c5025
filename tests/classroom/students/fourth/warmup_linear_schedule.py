# ruff: noqa
"""Answers of students to the exercise warmup_linear_schedule."""


def answer_01(step, total_steps, warmup_steps):
    if step <= warmup_steps:
        return step / warmup_steps
    if step > total_steps:
        return 0.0
    return (total_steps - step) / (total_steps - warmup_steps)


def answer_02(step, total_steps, warmup_steps):
    warm = step / warmup_steps
    if total_steps == warmup_steps:
        return warm if step <= total_steps else 0.0
    return max(0.0, min(warm, (total_steps - step + 1) / (total_steps - warmup_steps)))


def answer_03(step, total_steps, warmup_steps):
    if step > total_steps:
        return 0.0
    if step <= warmup_steps:
        return step / warmup_steps
    return (total_steps - step + 1) / (total_steps - warmup_steps)
