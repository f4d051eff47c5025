# ruff: noqa
"""Answers of students to the exercise warmup_linear_schedule."""


def answer_01(step, total_steps, warmup_steps):
    if step < warmup_steps:
        return step / max(1, warmup_steps)
    return max(0.0, (total_steps - step) / max(1, total_steps - warmup_steps))


def answer_02(step, total_steps, warmup_steps):
    if step <= warmup_steps:
        return step / warmup_steps
    return max(0.0, (total_steps - step + 1) / total_steps)


def answer_03(step, total_steps, warmup_steps):
    if step <= warmup_steps:
        return step / warmup_steps
    return (total_steps - step + 1) / (total_steps - warmup_steps)


def answer_04(step, total_steps, warmup_steps):
    if step <= warmup_steps:
        return float(step // warmup_steps)
    return max(0.0, (total_steps - step + 1) / (total_steps - warmup_steps))


def answer_05(step, total_steps, warmup_steps):
    up = step / warmup_steps
    down = (total_steps - step + 1) / (total_steps - warmup_steps)
    return max(0.0, min(up, down))


def answer_06(step, total_steps, warmup_steps):
    if step > total_steps:
        return 0.0
    if step <= warmup_steps:
        return step / warmup_steps
    return 1.0 - (step - 1 - warmup_steps) / (total_steps - warmup_steps)
