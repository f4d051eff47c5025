"""The equations again, in float64, as loops over numbers, transcribed from the papers. Shares no code with minibert."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IGNORED = -100


def softmax(x: Array) -> Array:
    """Vaswani et al. 2017, in equation 1: e^x_i over the sum of all e^x_j, over the last axis."""
    y = np.zeros_like(x)
    for row in np.ndindex(x.shape[:-1]):
        for i in range(x.shape[-1]):
            y[row][i] = math.exp(x[row][i]) / sum(math.exp(x[row][j]) for j in range(x.shape[-1]))
    return y


def attention(q: Array, k: Array, v: Array, keep: NDArray[np.bool_]) -> Array:
    """Vaswani et al. 2017, equation 1, for one head: softmax(q k^T / sqrt(d_k)) v over the kept keys."""
    queries, d_k = q.shape
    keys, width = v.shape
    out = np.zeros((queries, width))
    for i in range(queries):
        scores = [sum(q[i, c] * k[j, c] for c in range(d_k)) / math.sqrt(d_k) for j in range(keys)]
        kept = [j for j in range(keys) if keep[i, j]]
        total = sum(math.exp(scores[j]) for j in kept)
        for j in kept:
            for c in range(width):
                out[i, c] += math.exp(scores[j]) / total * v[j, c]
    return out


def split_heads(x: Array, heads: int) -> Array:
    """Vaswani et al. 2017, section 3.2.2: head h has columns h*d to (h+1)*d of every token."""
    tokens, width = x.shape
    d = width // heads
    out = np.zeros((heads, tokens, d))
    for h in range(heads):
        for t in range(tokens):
            for c in range(d):
                out[h, t, c] = x[t, h * d + c]
    return out


def layer_norm(x: Array, gain: Array, bias: Array, eps: float) -> Array:
    """Ba et al. 2016, equations 3 and 4, one vector: mean and variance over all d elements, both divided by d."""
    d = len(x)
    mean = sum(x) / d
    variance = sum((x[i] - mean) ** 2 for i in range(d)) / d
    return np.array([(x[i] - mean) / math.sqrt(variance + eps) * gain[i] + bias[i] for i in range(d)])


def gelu(x: float) -> float:
    """Hendrycks and Gimpel 2016: x times the normal distribution function, here by numerical integration of its density."""
    lowest, pieces = -12.0, 4000
    if x <= lowest:
        return 0.0
    h = (x - lowest) / pieces

    def density(t: float) -> float:
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)

    inner = sum((4 if i % 2 else 2) * density(lowest + i * h) for i in range(1, pieces))
    return x * (density(lowest) + inner + density(x)) * h / 3


def feed_forward(x: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    """Vaswani et al. 2017, equation 2, one vector: max(0, x W1 + b1) W2 + b2."""
    inner = [max(0.0, sum(x[i] * w1[i, j] for i in range(len(x))) + b1[j]) for j in range(len(b1))]
    return np.array([sum(inner[j] * w2[j, c] for j in range(len(b1))) + b2[c] for c in range(len(b2))])


def cross_entropy(logits: Array, label: int) -> float:
    """Minus the log of the probability that softmax gives to the label, one prediction; nothing if it is ignored."""
    if label == IGNORED:
        return 0.0
    return -math.log(math.exp(logits[label]) / sum(math.exp(z) for z in logits))


def mean_cross_entropy(logits: Array, labels: NDArray[np.int64]) -> float:
    """Devlin et al. 2019, section 3.1: the mean over the predictions that have a label."""
    losses = [cross_entropy(logits[i], int(labels[i])) for i in range(len(labels)) if labels[i] != IGNORED]
    return sum(losses) / len(losses) if losses else 0.0
