# ruff: noqa
"""Answers of students to the exercise adamw_step."""

import math
import torch


def answer_01(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    gradient = gradient + weight_decay * parameter
    m = beta1 * first_moment + (1 - beta1) * gradient
    v = beta2 * second_moment + (1 - beta2) * gradient**2
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    return parameter - learning_rate * m_hat / (v_hat.sqrt() + eps), m, v


def answer_02(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    m = b1 * first_moment + (1 - b1) * gradient
    v = b2 * second_moment + (1 - b2) * gradient * gradient
    mh = m / (1 - b1**step)
    vh = v / (1 - b2**step)
    new = parameter - learning_rate * (mh / torch.sqrt(vh + eps) + weight_decay * parameter)
    return new, m, v


def answer_03(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    m = torch.lerp(gradient, first_moment, betas[0])
    v = torch.lerp(gradient.square(), second_moment, betas[1])
    bias1 = 1 - betas[0] ** step
    bias2 = 1 - betas[1] ** step
    update = (m / bias1) / ((v / bias2).sqrt() + eps)
    return parameter - learning_rate * update - weight_decay * parameter, m, v


def answer_04(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    t = step + 1
    m = beta1 * first_moment + (1 - beta1) * gradient
    v = beta2 * second_moment + (1 - beta2) * torch.pow(gradient, 2)
    step_size = learning_rate * math.sqrt(1 - beta2**t) / (1 - beta1**t)
    eps_hat = eps * math.sqrt(1 - beta2**t)
    p = parameter * (1 - learning_rate * weight_decay)
    return p - step_size * m / (v.sqrt() + eps_hat), m, v


def answer_05(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    first_moment.mul_(beta1).add_(gradient, alpha=1 - beta1)
    second_moment.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    m_hat = first_moment / (1 - beta1**step)
    v_hat = second_moment / (1 - beta2**step)
    new_parameter = parameter - learning_rate * (m_hat / (v_hat.sqrt() + eps) + weight_decay * parameter)
    return new_parameter, first_moment, second_moment


def answer_06(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    m = beta1 * first_moment + (1 - beta1) * gradient
    v = beta2 * second_moment + (1 - beta1) * gradient**2
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    delta = m_hat / (v_hat.sqrt() + eps)
    delta = delta + weight_decay * parameter
    return parameter - learning_rate * delta, m, v


def answer_07(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    (b1, b2) = betas
    m = (b1 * first_moment + (1 - b1) * gradient) / (1 - b1**step)
    v = (b2 * second_moment + (1 - b2) * gradient.pow(2)) / (1 - b2**step)
    theta = parameter - learning_rate * (m / (v.sqrt() + eps) + weight_decay * parameter)
    return theta, m, v


def answer_08(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    p = parameter.clone()
    p.mul_(1 - learning_rate * weight_decay)
    exp_avg = first_moment.clone().mul_(beta1).add_(gradient, alpha=1 - beta1)
    exp_avg_sq = second_moment.clone().mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    denom = (exp_avg_sq.sqrt() / math.sqrt(1 - beta2**step)).add_(eps)
    p.addcdiv_(exp_avg, denom, value=-learning_rate / (1 - beta1**step))
    return p, exp_avg, exp_avg_sq


def answer_09(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    def average(old, new, beta):
        return old + (1 - beta) * (new - old)

    m = average(first_moment, gradient, betas[0])
    v = average(second_moment, gradient**2, betas[1])
    m_hat, v_hat = (x / (1 - beta**step) for x, beta in zip((m, v), betas))
    return parameter - learning_rate * (m_hat / (v_hat**0.5 + eps) + weight_decay * parameter), m, v


def answer_10(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    m = beta1 * first_moment + (1 - beta1) * gradient
    v = beta2 * second_moment + (1 - beta2) * gradient**2
    m_hat = m / (1 - beta1 * step)
    v_hat = v / (1 - beta2**step)
    p = parameter - learning_rate * (m_hat / (v_hat.sqrt() + eps) + weight_decay * parameter)
    return p, m, v


def answer_11(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    m = beta1 * first_moment + (1 - beta1) * gradient
    v = beta2 * second_moment + (1 - beta2) * gradient**2
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    p = parameter - learning_rate * m_hat / (v_hat.sqrt() + eps)
    p = p - learning_rate * weight_decay * p
    return p, m, v


def answer_12(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    beta1, beta2 = betas
    m = first_moment * beta1 + gradient * (1 - beta1)
    v = second_moment * beta2 + gradient * gradient * (1 - beta2)
    lr = learning_rate / (1 - beta1**step)
    p = parameter - lr * m / (torch.sqrt(v) + eps) - learning_rate * weight_decay * parameter
    return p, m, v
