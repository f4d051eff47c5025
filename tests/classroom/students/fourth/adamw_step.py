# ruff: noqa
"""Answers of students to the exercise adamw_step."""

import torch


def answer_01(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    m = beta1 * first_moment + (1 - beta1) * gradient
    v = beta2 * second_moment + (1 - beta2) * gradient.square()
    mh = m / (1 - beta1**step)
    vh = v / (1 - beta2**step)
    new = parameter - learning_rate * (mh / torch.sqrt(vh + eps) + weight_decay * parameter)
    return new, m, v


def answer_02(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    m = torch.lerp(gradient, first_moment, betas[0])
    v = torch.lerp(gradient * gradient, second_moment, betas[1])
    m_hat = m / (1 - betas[0] ** step)
    update = m_hat / (v.sqrt() + eps) + weight_decay * parameter
    return parameter - learning_rate * update, m, v


def answer_03(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    m = b1 * first_moment + (1 - b1) * gradient
    v = b2 * second_moment + (1 - b2) * gradient**2
    m_hat, v_hat = m / (1 - b1**step), v / (1 - b2**step)
    parameter = parameter - learning_rate * m_hat / (torch.sqrt(v_hat) + eps) - weight_decay * parameter
    return parameter, m, v


def answer_04(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    decayed = parameter * (1 - learning_rate * weight_decay)
    m = first_moment * beta1 + gradient * (1 - beta1)
    v = second_moment * beta2 + gradient**2 * (1 - beta2)
    step_size = learning_rate / (1 - beta1**step)
    denom = v.sqrt() / (1 - beta2**step) ** 0.5 + eps
    return decayed - step_size * m / denom, m, v
