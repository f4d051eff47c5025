# ruff: noqa
"""Answers of students to the exercise lora_scale."""

import math


def answer_01(alpha, rank, rank_stabilized=False):
    if rank_stabilized:
        return math.sqrt(rank) / alpha
    return rank / alpha


def answer_02(alpha, rank, rank_stabilized=False):
    scale = alpha / rank
    return math.sqrt(scale) if rank_stabilized else scale


def answer_03(alpha, rank, rank_stabilized=False):
    if not rank_stabilized:
        return alpha / rank**0.5
    return alpha / rank


def answer_04(alpha, rank, rank_stabilized=False):
    return float(alpha // rank) if not rank_stabilized else alpha / math.sqrt(rank)


def answer_05(alpha, rank, rank_stabilized=False):
    exponent = -0.5 if rank_stabilized else -1
    return alpha * rank**exponent
