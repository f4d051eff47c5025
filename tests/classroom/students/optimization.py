# ruff: noqa: B905
"""Answers of students to the exercises adamw_step, warmup_linear_schedule, noam_schedule and clip_by_global_norm."""

import math

import numpy as np
import torch


def adamw_01(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    g = gradient + weight_decay * parameter
    m = betas[0] * first_moment + (1 - betas[0]) * g
    v = betas[1] * second_moment + (1 - betas[1]) * g * g
    m_hat = m / (1 - betas[0] ** step)
    v_hat = v / (1 - betas[1] ** step)
    return parameter - learning_rate * m_hat / (v_hat.sqrt() + eps), m, v


def adamw_02(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    m = b1 * first_moment + (1 - b1) * gradient
    v = b2 * second_moment + (1 - b2) * gradient.pow(2)
    update = m / (v.sqrt() + eps) + weight_decay * parameter
    return parameter - learning_rate * update, m, v


def adamw_03(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    m = torch.lerp(gradient, first_moment, b1)
    v = torch.lerp(gradient.square(), second_moment, b2)
    mh, vh = m / (1 - b1**step), v / (1 - b2**step)
    new = parameter - learning_rate * (mh / torch.sqrt(vh + eps) + weight_decay * parameter)
    return new, m, v


def adamw_04(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    exp_avg = first_moment * beta1 + gradient * (1 - beta1)
    exp_avg_sq = second_moment * beta2 + gradient**2 * (1 - beta2)
    step_size = learning_rate / (1 - beta1**step)
    denom = (exp_avg_sq / (1 - beta2**step)).sqrt() + eps
    p = parameter - step_size * exp_avg / denom
    # decoupled weight decay
    p = p - weight_decay * parameter
    return p, exp_avg, exp_avg_sq


def adamw_05(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b2, b1 = betas
    m = b1 * first_moment + (1 - b1) * gradient
    v = b2 * second_moment + (1 - b2) * gradient**2
    mh, vh = m / (1 - b1**step), v / (1 - b2**step)
    return parameter - learning_rate * (mh / (vh.sqrt() + eps) + weight_decay * parameter), m, v


def adamw_06(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    g = gradient + weight_decay * parameter
    m = b1 * first_moment + (1 - b1) * g
    v = b2 * second_moment + (1 - b2) * g**2
    return parameter - learning_rate * m / (v.sqrt() + eps), m, v


def adamw_07(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    p = torch.nn.Parameter(parameter.detach().clone())
    p.grad = gradient.detach().clone()
    optimizer = torch.optim.AdamW([p], lr=learning_rate, betas=betas, eps=eps, weight_decay=weight_decay, foreach=False)
    optimizer.state[p] = {
        "step": torch.tensor(float(step - 1)),
        "exp_avg": first_moment.detach().clone(),
        "exp_avg_sq": second_moment.detach().clone(),
    }
    optimizer.step()
    state = optimizer.state[p]
    return p.detach(), state["exp_avg"], state["exp_avg_sq"]


def adamw_08(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    (b1, b2), dtype = betas, parameter.dtype
    p, g, m, v = (x.double() for x in (parameter, gradient, first_moment, second_moment))
    m = m + (1 - b1) * (g - m)
    v = v + (1 - b2) * (g * g - v)
    p = p * (1 - learning_rate * weight_decay)
    p = p - learning_rate * math.sqrt(1 - b2**step) / (1 - b1**step) * m / (v.sqrt() + eps * math.sqrt(1 - b2**step))
    return p.to(dtype), m.to(dtype), v.to(dtype)


def adamw_09(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    p, g, m, v = (x.detach().double().numpy() for x in (parameter, gradient, first_moment, second_moment))
    m = np.average([m, g], axis=0, weights=[betas[0], 1 - betas[0]])
    v = np.average([v, g**2], axis=0, weights=[betas[1], 1 - betas[1]])
    direction = (m / (1 - betas[0] ** step)) / (np.sqrt(v / (1 - betas[1] ** step)) + eps)
    new = p - learning_rate * direction - learning_rate * weight_decay * p
    return tuple(torch.tensor(x, dtype=parameter.dtype) for x in (new, m, v))


def schedule_01(step, total_steps, warmup_steps):
    if step <= warmup_steps:
        return step / warmup_steps
    return max(0.0, (total_steps - step) / (total_steps - warmup_steps))


def schedule_02(step, total_steps, warmup_steps):
    if step < warmup_steps:
        return step / warmup_steps
    return max(0.0, (total_steps - step + 1) / total_steps)


def schedule_03(step, total_steps, warmup_steps):
    # get_linear_schedule_with_warmup of transformers
    t = step - 1
    if t < warmup_steps:
        return float(t) / float(max(1, warmup_steps))
    return max(0.0, float(total_steps - t) / float(max(1, total_steps - warmup_steps)))


def schedule_04(step, total_steps, warmup_steps):
    warm = min(1.0, step / max(1, warmup_steps))
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    if step <= warmup_steps:
        return warm
    return max(0.0, 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def schedule_05(step, total_steps, warmup_steps):
    # warm-up and then nothing
    if warmup_steps and step < warmup_steps:
        return step / warmup_steps
    if step > total_steps:
        return 0.0
    return 1.0


def schedule_06(step, total_steps, warmup_steps):
    t = step - 1
    if t < warmup_steps:
        return t / warmup_steps
    return (total_steps - t) / (total_steps - warmup_steps)


def schedule_07(step, total_steps, warmup_steps):
    if step > total_steps:
        return 0.0
    if step <= warmup_steps:
        return step / warmup_steps
    return 1 - (step - 1 - warmup_steps) / (total_steps - warmup_steps)


def schedule_08(step, total_steps, warmup_steps):
    if step > total_steps:
        return 0.0
    if warmup_steps == 0:
        return float(np.interp(step, [1, total_steps + 1], [1, 0]))
    return float(np.interp(step, [0, warmup_steps, warmup_steps + 1, total_steps + 1], [0, 1, 1, 0]))


def schedule_09(step, total_steps, warmup_steps):
    factor = 0.0
    for t in range(1, step + 1):
        if t <= warmup_steps:
            factor += 1 / warmup_steps
        elif t == warmup_steps + 1:
            factor = 1.0
        else:
            factor -= 1 / (total_steps - warmup_steps)
    return 0.0 if step > total_steps else factor


def noam_01(step, d_model, warmup_steps=4000):
    if step == 0:
        return 0.0
    return min(step**-0.5, step * warmup_steps**-1.5)


def noam_02(step, d_model, warmup_steps=4000):
    if step == 0:
        return 0.0
    return d_model**-0.5 * max(step**-0.5, step * warmup_steps**-1.5)


def noam_03(step, d_model, warmup_steps=4000):
    if step < 1:
        return 0.0
    peak = 1 / math.sqrt(d_model * warmup_steps)
    return peak * step / warmup_steps if step < warmup_steps else peak * math.sqrt(warmup_steps / step)


def clip_01(gradients, max_norm=1.0):
    norms = [g.norm() for g in gradients]
    total = torch.sqrt(sum(n**2 for n in norms))
    return [g * min(1.0, max_norm / n) if n > 0 else g.clone() for g, n in zip(gradients, norms)], total


def clip_02(gradients, max_norm=1.0):
    total = sum(g.norm() for g in gradients)
    factor = torch.clamp(max_norm / total, max=1.0)
    return [g * factor for g in gradients], total


def clip_03(gradients, max_norm=1.0):
    norm = torch.cat([g.float().flatten() for g in gradients]).norm()
    if norm <= max_norm:
        return [g.clone() for g in gradients], norm
    return [g * (max_norm / norm) for g in gradients], norm
