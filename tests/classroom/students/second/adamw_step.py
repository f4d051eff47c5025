# ruff: noqa
"""Answers of students to the exercise adamw_step."""

import math

import torch


def answer_01(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    g = gradient + weight_decay * parameter
    m = b1 * first_moment + (1 - b1) * g
    v = b2 * second_moment + (1 - b2) * g * g
    mh = m / (1 - b1**step)
    vh = v / (1 - b2**step)
    return parameter - learning_rate * mh / (vh.sqrt() + eps), m, v


def answer_02(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    m = b1 * first_moment + (1 - b1) * gradient
    v = b2 * second_moment + (1 - b2) * gradient**2
    update = m / (torch.sqrt(v) + eps) + weight_decay * parameter
    return parameter - learning_rate * update, m, v


def answer_03(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    m = b1 * first_moment + (1 - b1) * gradient
    v = b2 * second_moment + (1 - b2) * gradient**2
    m_hat = m / (1 - b1**step)
    v_hat = v / (1 - b2**step)
    return parameter - learning_rate * (m_hat / torch.sqrt(v_hat + eps) + weight_decay * parameter), m, v


def answer_04(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    m = b1 * first_moment + (1 - b1) * gradient
    v = b2 * second_moment + (1 - b2) * gradient**2
    m_hat = m / (1 - b1**step)
    v_hat = v / (1 - b2**step)
    p = parameter - learning_rate * m_hat / (torch.sqrt(v_hat) + eps) - weight_decay * parameter
    return p, m, v


def answer_05(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    first_moment.mul_(b1).add_(gradient, alpha=1 - b1)
    second_moment.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
    m_hat = first_moment / (1 - b1**step)
    v_hat = second_moment / (1 - b2**step)
    new = parameter - learning_rate * (m_hat / (v_hat.sqrt() + eps) + weight_decay * parameter)
    return new, first_moment, second_moment


def answer_06(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    m = b1 * first_moment + (1 - b1) * gradient
    v = b2 * second_moment + (1 - b2) * gradient**2
    m = m / (1 - b1**step)
    v = v / (1 - b2**step)
    return parameter - learning_rate * (m / (v.sqrt() + eps) + weight_decay * parameter), m, v


def answer_07(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    b1, b2 = betas
    p = parameter * (1 - learning_rate * weight_decay)
    m = first_moment.lerp(gradient, 1 - b1)
    v = second_moment * b2 + gradient.pow(2) * (1 - b2)
    denom = v.sqrt() / math.sqrt(1 - b2**step) + eps
    return p - (learning_rate / (1 - b1**step)) * m / denom, m, v


def answer_08(
    parameter, gradient, first_moment, second_moment, step, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    p, m, v = parameter.clone(), first_moment.clone(), second_moment.clone()
    m.mul_(betas[0]).add_(gradient, alpha=1 - betas[0])
    v.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    mhat, vhat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    p.mul_(1 - learning_rate * weight_decay)
    p.addcdiv_(mhat, vhat.sqrt().add_(eps), value=-learning_rate)
    return p, m, v
