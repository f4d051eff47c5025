# ruff: noqa: B905
"""Answers of students to the exercise layer_norm."""

import numpy as np
import torch
from torch.nn import functional as F


def answer_01(hidden, gain, bias, eps=1e-12):
    mean = hidden.mean(-1, keepdim=True)
    var = hidden.var(-1, keepdim=True)
    return gain * (hidden - mean) / torch.sqrt(var + eps) + bias


def answer_02(hidden, gain, bias, eps=1e-12):
    mu = hidden.mean(dim=-1, keepdim=True)
    sigma = ((hidden - mu) ** 2).mean(dim=-1, keepdim=True).sqrt()
    return (hidden - mu) / (sigma + eps) * gain + bias


def answer_03(hidden, gain, bias, eps=1e-12):
    u = hidden.mean(-1, keepdim=True)
    s = (hidden - u).pow(2).mean(-1, keepdim=True)
    hidden = (hidden - u) / torch.sqrt(s + eps)
    return gain * hidden


def answer_04(hidden, gain, bias, eps=1e-12):
    mu = hidden.mean(dim=0)
    var = hidden.var(dim=0, unbiased=False)
    x_hat = (hidden - mu) * torch.rsqrt(var + eps)
    return x_hat * gain + bias


def answer_05(hidden, gain, bias, eps=1e-12):
    centered = hidden - torch.mean(hidden, -1, True)
    variance = torch.mean(centered * centered, -1, True)
    return gain * centered / (variance + eps) + bias


def answer_06(hidden, gain, bias, eps=1e-12):
    variance, mean = torch.var_mean(hidden, dim=-1, correction=0, keepdim=True)
    return (hidden - mean) / torch.sqrt(variance + eps) * (1 + gain) + bias


def answer_07(hidden, gain, bias, eps=1e-12):
    ms = hidden.square().mean(-1, keepdim=True)
    return hidden * torch.rsqrt(ms + eps) * gain + bias


def answer_08(hidden, gain, bias, eps=1e-12):
    m = hidden.mean(-1, keepdim=True)
    sd = torch.sqrt(hidden.var(-1, keepdim=True) + eps)
    return (hidden - m) / sd * gain


def answer_09(hidden, gain, bias, eps=1e-12):
    avg = hidden.mean(-1, keepdim=True)
    std = hidden.std(-1, keepdim=True)
    return gain * (hidden - avg) / (std + eps) + bias


def answer_10(hidden, gain, bias, eps=1e-12):
    return F.layer_norm(hidden, hidden.shape[-1:], gain, bias, eps)


def answer_11(hidden, gain, bias, eps=1e-12):
    x = hidden.double()
    n = x.shape[-1]
    mean = x.sum(-1, keepdim=True) / n
    mean_of_squares = (x * x).sum(-1, keepdim=True) / n
    var = mean_of_squares - mean**2
    return ((x - mean) / (var + eps) ** 0.5 * gain + bias).to(hidden.dtype)


def answer_12(hidden, gain, bias, eps=1e-12):
    rows = hidden.float().reshape(-1, hidden.shape[-1])
    result = []
    for row in rows:
        mean = sum(row) / len(row)
        variance = sum((x - mean) ** 2 for x in row) / len(row)
        result.append(torch.stack([(x - mean) / (variance + eps).sqrt() * g + b for x, g, b in zip(row, gain, bias)]))
    return torch.stack(result).reshape(hidden.shape).to(hidden.dtype)


def answer_13(hidden, gain, bias, eps=1e-12):
    x = hidden.detach().to(torch.float64).numpy()
    z = (x - np.mean(x, -1, keepdims=True)) / np.sqrt(np.var(x, -1, keepdims=True) + eps)
    return torch.tensor(z * gain.detach().double().numpy() + bias.detach().double().numpy(), dtype=hidden.dtype)


def answer_14(gain, bias, hidden, eps=1e-12):
    x = hidden.float()
    d = x.size(-1)
    projector = torch.eye(d) - torch.full((d, d), 1 / d)
    centered = x @ projector
    norm = torch.linalg.vector_norm(centered, dim=-1, keepdim=True)
    return torch.addcmul(bias.float(), centered / (norm.square() / d + eps).sqrt(), gain.float()).to(hidden.dtype)
