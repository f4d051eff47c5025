# ruff: noqa
"""Answers of students to the exercise gelu_tanh."""

import math

import torch


def answer_01(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**2)))


def answer_02(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2) / math.pi * (x + 0.044715 * torch.pow(x, 3))))


def answer_03(x):
    c = (2.0 / math.pi) ** 0.5
    return 0.5 * x * (1.0 + torch.tanh(c * (x + 0.44715 * x * x * x)))


def answer_04(x):
    inner = math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x)
    return x * torch.sigmoid(2 * inner)
