# ruff: noqa
"""Answers of students to the exercise shift_right."""

import torch


def answer_01(labels, start, padding):
    first = torch.full_like(labels[:, :1], start)
    return torch.cat([first, labels[:, :-1]], dim=1)


def answer_02(labels, start, padding):
    shifted = torch.zeros_like(labels)
    shifted[:, :-1] = labels[:, 1:]
    shifted[:, 0] = start
    return shifted.masked_fill(shifted == -100, padding)


def answer_03(labels, start, padding):
    column = torch.ones(labels.size(0), 1, dtype=labels.dtype) * start
    out = torch.cat((column, labels), dim=1)
    return torch.where(out == -100, padding, out)


def answer_04(labels, start, padding):
    out = labels.clone()
    out[:, 0] = start
    out[out == -100] = padding
    return out


def answer_05(labels, start, padding):
    new = labels.new_full(labels.shape, padding)
    new[:, 1:] = labels[:, :-1]
    return new.masked_fill(new == -100, padding)


def answer_06(labels, start, padding):
    decoder = labels.new_zeros(labels.shape)
    decoder[:, 1:] = labels[:, :-1].clone()
    decoder[:, 0] = start
    decoder.masked_fill_(decoder == -100, start)
    return decoder


def answer_07(labels, start, padding):
    out = torch.roll(labels, shifts=1, dims=1)
    out[:, 0] = start
    return out.masked_fill(out == -100, padding)


def answer_08(labels, start, padding):
    rows = []
    for row in labels.tolist():
        rows.append([start] + [padding if x == -100 else x for x in row[:-1]])
    return torch.tensor(rows, dtype=labels.dtype).view(labels.shape)
