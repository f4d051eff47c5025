"""Cross-entropies over a large vocabulary, in few passes over it."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from minibert import equations
from minibert.checks import is_transformed
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

    The scores of all positions are never stored: a chunk of rows is computed, and with it what the gradients need of it. They
    are stored for a second derivative, for a second backward pass (`retain_graph=True`), and inside of `torch.func`.
    """
    if is_recording() or is_transformed(hidden, weight, bias, labels):
        scores = F.linear(hidden, weight, bias)
        return equations.masked_lm_loss(scores, labels, "sum"), (scores.argmax(dim=-1) == labels).sum()
    check_labels(bias.expand(len(hidden), -1), labels)
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


def _exponentials(scores: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return e_ij - s_i 1[j = y_i], the sums s, log Σ_j exp(z_ij), and the piece with the highest score.

    The first takes the place of the scores z. In half precision, it is divided by s before it is rounded, so that it is as
    exact as the gradient of the equation; the s that is returned is then 1.
    """
    numbers = at_least_float32(scores)
    highest, best = numbers.max(dim=-1, keepdim=True)
    exponentials = numbers.sub_(highest).exp_()
    totals = exponentials.sum(dim=-1, keepdim=True)
    log_totals = totals.log() + highest
    if exponentials.dtype != scores.dtype:
        exponentials, totals = exponentials.div_(totals), torch.ones_like(totals)
    return exponentials.scatter_add_(-1, ids, -totals), totals, log_totals, best


def _fused_exponentials(scores: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Do the same on a GPU, where PyTorch's kernel of log-softmax needs fewer passes over the scores: e is divided by s."""
    best = scores.argmax(dim=-1, keepdim=True)
    log_shares = scores.log_softmax(dim=-1, dtype=at_least_float32(scores[:0]).dtype)
    log_totals = scores[:, :1] - log_shares[:, :1]
    at_label = log_shares.gather(-1, ids).expm1().to(scores.dtype)
    return torch.exp(log_shares, out=scores).scatter_(-1, ids, at_label), torch.ones_like(log_totals), log_totals, best


class _LinearCrossEntropy(torch.autograd.Function):
    """The loss and its gradients, computed together from the scores of some rows at a time.

    With e_ij = exp(z_ij - max_j z_ij) and s_i = Σ_j e_ij, the gradient at the scores is (e_ij - s_i 1[j = y_i]) / s_i. Instead
    of this large matrix, the rows of the small matrices are divided by s.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, needs_gradient: bool
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(hidden, weight, bias, labels)
        if dtype := autocast_dtype(hidden.device):
            hidden, weight, bias = (each.to(dtype) for each in (hidden, weight, bias))
        pieces = len(weight)
        if hidden.is_cuda and (missing := -pieces % MULTIPLE):  # pieces that no text has, with probability 0
            weight, bias = F.pad(weight, (0, 0, 0, missing)), F.pad(bias, (0, missing), value=-math.inf)
        loss, correct = at_least_float32(hidden.new_zeros(())), labels.new_zeros(())
        gradients = [at_least_float32(torch.zeros_like(each)) for each in (hidden, weight, bias)] if needs_gradient else []
        exponentials_of = _fused_exponentials if hidden.is_cuda else _exponentials
        rows_at_once, pieces_at_once = CHUNKS.get(hidden.device.type, CHUNKS["cpu"])
        for first in range(0, len(hidden), rows_at_once):
            rows, targets = hidden[first : first + rows_at_once], labels[first : first + rows_at_once, None]
            is_target, ids = targets != IGNORE_INDEX, targets.clamp(min=0)
            scores = linear(rows, weight, bias)
            at_label = scores.gather(-1, ids)
            exponentials, totals, log_totals, best = exponentials_of(scores, ids)
            loss = loss + (log_totals - at_label).masked_fill(~is_target, 0.0).sum()
            correct = correct + (best == targets).sum()
            if needs_gradient:
                d_hidden, d_weight, d_bias = gradients
                exponentials, shares = exponentials.to(rows.dtype), (is_target / totals).to(rows.dtype)
                d_hidden[first : first + rows_at_once] = shares * matrix_product(exponentials, weight)
                scaled = shares * rows
                for start in range(0, len(weight), pieces_at_once):  # a product of all would be as large as their gradients
                    some = slice(start, start + pieces_at_once)
                    d_weight[some] += matrix_product(exponentials[:, some].mT, scaled)
                if ctx.needs_input_grad[2]:
                    d_bias += (exponentials.mT @ shares)[:, 0]
        ctx.gradients = [gradients[0], *(each[:pieces] for each in gradients[1:])] if needs_gradient else None
        return loss, correct

    @staticmethod
    def backward(ctx: Any, d_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None  # a second copy of the largest one would be as large as the vocabulary
        if gradients is None or torch.is_grad_enabled():  # given away before, or needed with a graph
            return *(d_loss * gradient for gradient in _gradients(*ctx.saved_tensors)), None, None
        return *(gradient.mul_(d_loss) for gradient in gradients), None, None


def _gradients(hidden: Tensor, weight: Tensor, bias: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of the loss from all scores at once, in operations that have a gradient."""
    hidden, weight, bias = (at_least_float32(each) for each in (hidden, weight, bias))
    is_target, ids = (labels != IGNORE_INDEX)[:, None], labels.clamp(min=0)
    d_scores = (F.linear(hidden, weight, bias).softmax(dim=-1) - F.one_hot(ids, len(weight))) * is_target
    return d_scores @ weight, d_scores.mT @ hidden, d_scores.sum(dim=0)
