# ruff: noqa
"""Answers of students to the exercise feed_forward."""

import torch
from torch.nn import functional as F


def answer_01(hidden, weight_1, bias_1, weight_2, bias_2, activation=F.relu):
    h = hidden @ weight_1 + bias_1
    return h @ weight_2 + bias_2


def answer_02(hidden, weight_1, bias_1, weight_2, bias_2, activation=F.relu):
    return torch.relu(hidden @ weight_1 + bias_1) @ weight_2 + bias_2


def answer_03(hidden, weight_1, bias_1, weight_2, bias_2, activation=F.relu):
    h = activation(hidden @ weight_1 + bias_1)
    return activation(h @ weight_2 + bias_2)


def answer_04(hidden, weight_1, bias_1, weight_2, bias_2, activation=F.relu):
    h = activation(hidden @ weight_1) + bias_1
    return h @ weight_2 + bias_2


def answer_05(hidden, weight_1, bias_1, weight_2, bias_2, activation=F.relu):
    return F.linear(activation(F.linear(hidden, weight_1.t(), bias_1)), weight_2.t(), bias_2)
