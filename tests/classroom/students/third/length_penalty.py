# ruff: noqa
"""Answers of students to the exercise length_penalty."""


def answer_01(length, alpha=0.6):
    return ((6 + length) / 5) ** alpha


def answer_02(length, alpha=0.6):
    return (5 + length) ** alpha / 6


def answer_03(length, alpha=0.6):
    return float(((5 + length) // 6) ** alpha)


def answer_04(length, alpha=0.6):
    ratio = 5 + length / 6
    return pow(ratio, alpha)


def answer_05(length, alpha=0.6):
    return float(length**alpha)


def answer_06(length, alpha=0.6):
    import math

    return math.exp(alpha * (math.log(length + 5) - math.log(6)))


def answer_07(length, alpha=1.0):
    return ((5 + length) / 6) ** alpha
