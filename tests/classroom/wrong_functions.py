"""Wrong functions as learners write them: loops, NumPy, einsum, other structures. Each has one mistake."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

WRONG: list[tuple[str, str, Callable[..., Any]]] = []
"""Exercise, what is named (a part of the name, or of the relation), and the function."""


def wrong(exercise: str, named: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        WRONG.append((exercise, named, function))
        return function

    return add


@wrong("softmax", "softmax over all axes")
def _(scores):
    values = scores.numpy() if not scores.requires_grad else scores.detach().numpy()
    e = np.exp(values - values.max())
    return e / np.sum(e)


@wrong("softmax", "softmax over the first axis")
def _(scores):
    return torch.softmax(scores, dim=0)


@wrong("softmax", "exponentials not normalized")
def _(scores):
    return torch.exp(scores - scores.max(dim=-1, keepdim=True).values)


@wrong("softmax", "logarithm of the softmax")
def _(scores):
    return F.log_softmax(scores, -1)


@wrong("softmax", "powers of two instead of e")
def _(scores):
    powers = 2 ** (scores - scores.amax(-1, keepdim=True))
    return powers / powers.sum(-1, keepdim=True)


@wrong("causal_mask", "causal mask one token ahead")
def _(tokens):
    mask = torch.zeros(tokens, tokens, dtype=torch.bool)
    for i in range(tokens):
        for j in range(tokens):
            mask[i, j] = j <= i + 1
    return mask


@wrong("causal_mask", "causal mask without the diagonal")
def _(tokens):
    return torch.from_numpy(np.tri(tokens, k=-1) > 0)


@wrong("causal_mask", "causal mask of the future")
def _(tokens):
    i = torch.arange(tokens)
    return i[None, :] >= i[:, None]


@wrong("causal_mask", "causal mask of what is masked")
def _(tokens):
    return torch.triu(torch.ones(tokens, tokens), diagonal=1).bool()


@wrong("padding_mask", "padding mask one too long")
def _(lengths, tokens):
    return torch.stack([torch.tensor([j <= n for j in range(tokens)])[None] for n in lengths.tolist()])


@wrong("padding_mask", "padding mask inverted")
def _(lengths, tokens):
    mask = torch.zeros(*lengths.shape, 1, tokens, dtype=torch.bool)
    for row, n in zip(mask.view(-1, tokens), lengths.flatten().tolist(), strict=True):
        row[n:] = True
    return mask


def attend(query, key, value, keep=None, scale=math.sqrt, axis=-1, fill=-math.inf):
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / scale(query.size(-1))
    if keep is not None:
        scores = torch.where(keep, scores, torch.tensor(fill))
    weights = torch.nan_to_num(F.softmax(scores, dim=axis))
    return torch.einsum("bhqk,bhkd->bhqd", weights, value)


@wrong("scaled_dot_product_attention", "no scale")
def _(query, key, value, keep=None):
    return attend(query, key, value, keep, scale=lambda d: 1.0)


@wrong("scaled_dot_product_attention", "scores divided by the width")
def _(query, key, value, keep=None):
    return attend(query, key, value, keep, scale=lambda d: d)


@wrong("scaled_dot_product_attention", "scores multiplied by the root")
def _(query, key, value, keep=None):
    return attend(query * query.size(-1), key, value, keep)


@wrong("scaled_dot_product_attention", "softmax over the queries")
def _(query, key, value, keep=None):
    return attend(query, key, value, keep, axis=-2)


@wrong("scaled_dot_product_attention", "mask ignored")
def _(query, key, value, keep=None):
    return attend(query, key, value)


@wrong("scaled_dot_product_attention", "mask inverted")
def _(query, key, value, keep=None):
    return attend(query, key, value, None if keep is None else ~keep)


@wrong("scaled_dot_product_attention", "mask after the softmax")
def _(query, key, value, keep=None):
    weights = F.softmax(query.matmul(key.transpose(-2, -1)) / query.size(-1) ** 0.5, dim=-1)
    return (weights if keep is None else weights * keep).matmul(value)


@wrong("scaled_dot_product_attention", "mask multiplied with the scores")
def _(query, key, value, keep=None):
    return attend(query, key, value, keep, fill=0.0)


@wrong("scaled_dot_product_attention", "scores.masked_fill(~keep, -1.0)` instead of")
def _(query, key, value, keep=None):
    return attend(query, key, value, keep, fill=-1.0)


@wrong("scaled_dot_product_attention", "mask transposed")
def _(query, key, value, keep=None):
    return attend(query, key, value, None if keep is None else keep.transpose(-1, -2))


@wrong("scaled_dot_product_attention", "no softmax")
def _(query, key, value, keep=None):
    scores = query @ key.mT / query.shape[-1] ** 0.5
    return (scores if keep is None else scores * keep) @ value


@wrong("split_heads", "heads split without transposing")
def _(hidden, heads):
    *batch, tokens, width = hidden.shape
    return hidden.contiguous().view(*batch, heads, tokens, width // heads)


@wrong("split_heads", "heads from every h-th column")
def _(hidden, heads):
    return torch.stack([hidden[..., head::heads] for head in range(heads)], dim=-3)


@wrong("merge_heads", "heads merged without transposing")
def _(heads):
    h, t, w = heads.shape[-3:]
    return heads.reshape(*heads.shape[:-3], t, h * w)


@wrong("sinusoidal_positions", "sines first, then cosines")
def _(positions, width):
    rates = torch.tensor([10000 ** (-2 * i / width) for i in range(width // 2)])
    angles = torch.outer(positions, rates)
    return torch.cat((angles.sin(), angles.cos()), 1)


@wrong("sinusoidal_positions", "cosine before sine")
def _(positions, width):
    table = torch.zeros(len(positions), width)
    for i in range(0, width, 2):
        table[:, i] = torch.cos(positions / 10000 ** (i / width))
        table[:, i + 1] = torch.sin(positions / 10000 ** (i / width))
    return table


@wrong("sinusoidal_positions", "positional exponent doubled")
def _(positions, width):
    table = torch.zeros(len(positions), width)
    for i in range(0, width, 2):
        table[:, i] = torch.sin(positions / 10000 ** (2 * i / width))
        table[:, i + 1] = torch.cos(positions / 10000 ** (2 * i / width))
    return table


@wrong("layer_norm", "variance divided by d - 1")
def _(hidden, gain, bias, eps=1e-12):
    return gain * (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, keepdim=True) + eps).sqrt() + bias


@wrong("layer_norm", "eps outside the root")
def _(hidden, gain, bias, eps=1e-12):
    mean = hidden.mean(-1, keepdim=True)
    return gain * (hidden - mean) / (hidden.std(-1, keepdim=True, unbiased=False) + eps) + bias


@wrong("layer_norm", "no bias after the norm")
def _(hidden, gain, bias, eps=1e-12):
    return F.layer_norm(hidden, hidden.shape[-1:], gain, None, eps)


@wrong("layer_norm", "no gain after the norm")
def _(hidden, gain, bias, eps=1e-12):
    return F.layer_norm(hidden, hidden.shape[-1:], None, bias, eps)


@wrong("layer_norm", "gain and bias swapped")
def _(hidden, gain, bias, eps=1e-12):
    return F.layer_norm(hidden, hidden.shape[-1:], bias, gain, eps)


@wrong("layer_norm", "`hidden / torch.sqrt(variance + eps)` instead of `centered")
def _(hidden, gain, bias, eps=1e-12):
    return (
        hidden * torch.rsqrt((hidden * hidden).mean(-1, keepdim=True) - hidden.mean(-1, keepdim=True) ** 2 + eps) * gain + bias
    )


@wrong("gelu", "GELU with tanh")
def _(x):
    return F.gelu(x, approximate="tanh")


@wrong("gelu", "GELU with a sigmoid")
def _(x):
    return x / (1 + (-1.702 * x).exp())


@wrong("gelu", "GELU without the half")
def _(x):
    return x * (1 + torch.special.erf(x / 2**0.5))


@wrong("gelu", "GELU without the root of two")
def _(x):
    return torch.tensor([v / 2 * (1 + math.erf(v)) for v in x.tolist()])


@wrong("feed_forward", "no activation")
def _(hidden, weight_1, bias_1, weight_2, bias_2, activation=torch.relu):
    return torch.addmm(bias_2, torch.addmm(bias_1, hidden.flatten(0, -2), weight_1), weight_2).reshape(
        *hidden.shape[:-1], weight_2.shape[1]
    )


@wrong("feed_forward", "no second bias")
def _(hidden, weight_1, bias_1, weight_2, bias_2, activation=torch.relu):
    return activation(torch.einsum("...i,ij->...j", hidden, weight_1) + bias_1) @ weight_2


@wrong("feed_forward", "activation after both maps only")
def _(hidden, weight_1, bias_1, weight_2, bias_2, activation=torch.relu):
    return activation(F.linear(F.linear(hidden, weight_1.T, bias_1), weight_2.T, bias_2))


@wrong("perplexity", "perplexity with base 2")
def _(mean_loss):
    return 2**mean_loss


@wrong("relu", "absolute value instead of ReLU")
def _(x):
    return (x * x).sqrt()


@wrong("length_penalty", "length penalty inverted")
def _(length, alpha):
    return (6 / (5 + length)) ** alpha


@wrong("lora_merged_weight", "merged without the scale")
def _(weight, a, b, scale):
    return torch.einsum("or,ri->oi", b, a) + weight


@wrong("noam_schedule", "maximum instead of minimum")
def _(step, d_model, warmup_steps):
    return d_model**-0.5 * (step**-0.5 if step < warmup_steps else step / warmup_steps**1.5)


@wrong("layer_norm", "mean not subtracted")
def _(hidden, gain, bias, eps=1e-12):
    rows = [row / (sum(v * v for v in row) / len(row) + eps) ** 0.5 for row in hidden.flatten(0, -2)]
    return torch.stack(rows).reshape(hidden.shape) * gain + bias
