"""Cross-entropies over a large vocabulary, in few passes over it."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from minibert import equations
from minibert.equations.objectives import IGNORE_INDEX, check_label_smoothing, check_labels
from minibert.kernels.products import linear, matrix_product
from minibert.observe import is_recording, observe
from minibert.precision import at_least_float32, autocast_dtype

CHUNKS = {"cpu": (128, 8192), "cuda": (8192, 2**20)}
"""Number of rows and of pieces that `linear_cross_entropy` computes at a time: scores by rows, gradients by pieces.
The scores of 128 rows and 30,000 pieces take 16 MB in single precision. A GPU needs larger products."""
MULTIPLE = 64
"""On a GPU, the number of pieces is made a multiple of this: the fast kernels for half precision need a multiple of 8."""


def linear_cross_entropy(
    hidden: Float[Tensor, "positions width"],
    weight: Float[Tensor, "vocabulary width"],
    bias: Float[Tensor, " vocabulary"],
    labels: Int[Tensor, " positions"],
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Compute the sum of `equations.masked_lm_loss` for the scores x Wᵀ + b, and the number of labels with the highest score.

    The scores of all positions are never stored: a chunk of rows is computed, and with it what the gradients need of it.
    """
    if is_recording():
        scores = F.linear(hidden, weight, bias)
        return equations.masked_lm_loss(scores, labels, "sum"), (scores.argmax(dim=-1) == labels).sum()
    check_labels(bias.expand(len(hidden), -1), labels)
    if dtype := autocast_dtype(hidden.device):
        hidden, weight, bias = (each.to(dtype) for each in (hidden, weight, bias))
    if hidden.is_cuda and (missing := -len(weight) % MULTIPLE):  # pieces that no text has, with probability 0
        weight, bias = F.pad(weight, (0, 0, 0, missing)), F.pad(bias, (0, missing), value=-math.inf)
    needs_gradient = torch.is_grad_enabled() and any(each.requires_grad for each in (hidden, weight, bias))
    loss, correct = _LinearCrossEntropy.apply(hidden, weight, bias, labels, needs_gradient)  # type: ignore[no-untyped-call]
    return loss, correct


def linear_label_smoothing_loss(
    hidden: Float[Tensor, "positions width"],
    weight: Float[Tensor, "vocabulary width"],
    bias: Float[Tensor, " vocabulary"],
    labels: Int[Tensor, " positions"],
    label_smoothing: float = 0.1,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Compute the sum of `equations.label_smoothing_loss` for the scores x Wᵀ + b, and the number of correct predictions.

    It is the cross-entropy plus ε Σ (z_y - mean_k z_k). The mean of the scores is the score of the mean of all weights, so that
    label smoothing needs no scores: the chunks of `linear_cross_entropy` are all that is computed of the vocabulary.
    """
    check_label_smoothing(label_smoothing)
    if is_recording():
        scores = observe("logits", F.linear(hidden, weight, bias))
        loss = equations.label_smoothing_loss(scores, labels, label_smoothing, "sum")
        return loss, (scores.argmax(dim=-1) == labels).sum()
    loss, correct = linear_cross_entropy(hidden, weight, bias, labels)
    if not label_smoothing:
        return loss, correct
    hidden, weight, bias = (at_least_float32(each) for each in (hidden, weight, bias))
    ids = labels.clamp(min=0)
    above_mean = (hidden * (F.embedding(ids, weight) - weight.mean(dim=0))).sum(dim=-1) + bias[ids] - bias.mean()
    return loss + label_smoothing * above_mean.masked_fill(labels == IGNORE_INDEX, 0.0).sum(), correct


def _exponentials(scores: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return e, its sums s, log Σ_j exp(z_ij), and the piece with the highest score, in place of the scores z."""
    scores = at_least_float32(scores)
    highest, best = scores.max(dim=-1, keepdim=True)
    exponentials = scores.sub_(highest).exp_()
    totals = exponentials.sum(dim=-1, keepdim=True)
    return exponentials, totals, totals.log() + highest, best


def _fused_exponentials(scores: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Do the same on a GPU, where PyTorch's kernel of log-softmax needs fewer passes over the scores: e is divided by s."""
    best = scores.argmax(dim=-1, keepdim=True)
    log_shares = scores.log_softmax(dim=-1, dtype=at_least_float32(scores[:0]).dtype)
    log_totals = scores[:, :1] - log_shares[:, :1]
    return torch.exp(log_shares, out=scores), torch.ones_like(log_totals), log_totals, best


class _LinearCrossEntropy(torch.autograd.Function):
    """The loss and its gradients, computed together from the scores of some rows at a time.

    With e_ij = exp(z_ij - max_j z_ij) and s_i = Σ_j e_ij, the gradient at the scores is e_ij / s_i - 1[j = y_i]. Instead of the
    large matrix e, the rows of the small matrices are divided by s.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, needs_gradient: bool
    ) -> tuple[Tensor, Tensor]:
        loss, correct = at_least_float32(hidden.new_zeros(())), labels.new_zeros(())
        gradients = [at_least_float32(torch.zeros_like(each)) for each in (hidden, weight, bias)] if needs_gradient else []
        chunk, pieces = CHUNKS.get(hidden.device.type, CHUNKS["cpu"])
        for first in range(0, len(hidden), chunk):
            rows, targets = hidden[first : first + chunk], labels[first : first + chunk]
            is_target = (targets != IGNORE_INDEX)[:, None]
            ids = targets.clamp(min=0)
            scores = linear(rows, weight, bias)
            at_label = scores.gather(-1, ids[:, None])
            exponentials, totals, log_totals, best = (_fused_exponentials if scores.is_cuda else _exponentials)(scores)
            loss = loss + (log_totals - at_label).masked_fill(~is_target, 0.0).sum()
            correct = correct + (best[:, 0] == targets).sum()
            if needs_gradient:
                d_hidden, d_weight, d_bias = gradients
                exponentials, shares = exponentials.to(rows.dtype), (is_target / totals).to(rows.dtype)
                d_hidden[first : first + chunk] = shares * matrix_product(exponentials, weight) - is_target * weight[ids]
                scaled = shares * rows
                for start in range(0, len(weight), pieces):  # a product of all pieces would be as large as their gradients
                    some = slice(start, start + pieces)
                    d_weight[some] += matrix_product(exponentials[:, some].mT, scaled)
                d_weight.index_add_(0, ids, (is_target * rows).to(d_weight.dtype), alpha=-1)
                if ctx.needs_input_grad[2]:
                    d_bias += (exponentials.mT @ shares)[:, 0]
                    d_bias.index_add_(0, ids, is_target[:, 0].to(d_bias.dtype), alpha=-1)
        ctx.gradients = gradients
        return loss, correct

    @staticmethod
    def backward(ctx: Any, d_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("linear_cross_entropy has given its gradients away: compute it again for another backward pass")
        gradients, ctx.gradients = ctx.gradients, None  # a second copy of the largest one would be as large as the vocabulary
        return *(gradient.mul_(d_loss) for gradient in gradients), None, None
