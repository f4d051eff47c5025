# ruff: noqa
"""Answers of students to the exercise perplexity."""

import math
import torch


def answer_01(mean_loss):
    return 2.0**mean_loss


def answer_02(mean_loss):
    return torch.exp(-mean_loss)


def answer_03(mean_loss):
    return math.e ** mean_loss.mean()


def answer_04(mean_loss):
    return torch.expm1(mean_loss)


def answer_05(mean_loss):
    e = 2.17828
    return torch.pow(e, mean_loss)


def answer_06(mean_loss):
    return torch.pow(torch.full_like(mean_loss, math.e), mean_loss)


def answer_07(mean_loss):
    bits = mean_loss / math.log(2)
    return torch.exp2(bits)
