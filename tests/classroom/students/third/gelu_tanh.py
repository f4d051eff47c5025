# ruff: noqa
"""Answers of students to the exercise gelu_tanh."""

import math

import numpy as np
import torch
import torch.nn.functional as F


def answer_01(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.44715 * x**3)))


def answer_02(x):
    inner = math.sqrt(2) / math.pi * (x + 0.044715 * torch.pow(x, 3))
    return 0.5 * x * (1.0 + torch.tanh(inner))


def answer_03(x):
    c = np.sqrt(2 / np.pi)
    t = torch.tanh(float(c) * x + 0.044715 * x * x * x)
    return x * (t + 1) / 2


def answer_04(x):
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x.pow(3))
    return x * torch.sigmoid(u)


def answer_05(x):
    cdf = 0.5 * (1.0 + torch.tanh((math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.square(x)))))
    return x * cdf


def answer_06(x):
    return x * torch.sigmoid(math.sqrt(8 / math.pi) * x * (1 + 0.044715 * x * x))


def answer_07(x):
    return F.gelu(x, approximate="tanh")
