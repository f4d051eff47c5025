"""What training makes small, and what a loss can be held against. Devlin et al. 2019, section 3.1."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100
"""The label of a position that has none: it adds nothing to a loss, nor to its gradient (PyTorch's own value)."""

Reduction = Literal["mean", "sum"]


def cross_entropy(logits: Float[Tensor, "*batch classes"], labels: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    r"""How surprised a prediction is by the truth, in nats, for each prediction by itself.

    Eq: $$\ell(z, y) = -\log \mathrm{softmax}(z)_y = \log \sum_j e^{z_j} - z_y$$
    Source: the negative log-likelihood; Devlin et al. 2019, section A.2 ("the sum of the mean masked LM likelihood…").
    Differs: takes logits, never probabilities. Where the label is `IGNORED` the loss and its gradient are zero.
    Tests: tests/equations/test_objectives.py::TestCrossEntropy

    >>> cross_entropy(torch.tensor([[0.0, 0.0], [0.0, 50.0]]), torch.tensor([1, 1]))
    tensor([0.6931, 0.0000])
    """
    ignored = labels == IGNORED
    chosen = logits.gather(-1, labels.masked_fill(ignored, 0).unsqueeze(-1)).squeeze(-1)
    return (logits.logsumexp(dim=-1) - chosen).masked_fill(ignored, 0.0)


def masked_lm_loss(
    logits: Float[Tensor, "*batch vocabulary"], labels: Int[Tensor, "*batch"], reduction: Reduction = "mean"
) -> Float[Tensor, ""]:
    r"""How well the hidden words are guessed: the mean surprise over the masked positions, and over no others.

    Eq: $$L_{\mathrm{MLM}} = -\frac{1}{|M|} \sum_{i \in M} \log p(w_i \mid \tilde w)$$
    Source: Devlin et al. 2019, section 3.1, task 1; M is where `labels` is not `IGNORED`.
    Differs: with no masked position the mean is 0 (PyTorch and Hugging Face give NaN). `reduction="sum"` leaves out
        1/|M|: the training loop divides once, over all the batches of a step.
    Tests: tests/equations/test_objectives.py::TestMaskedLMLoss

    >>> masked_lm_loss(torch.zeros(3, 8), torch.tensor([5, IGNORED, 2]))  # knows nothing of 8 words: ln 8
    tensor(2.0794)
    """
    return reduce_over_labeled(cross_entropy(logits, labels), labels, reduction)


def next_sentence_loss(
    logits: Float[Tensor, "*batch 2"], labels: Int[Tensor, "*batch"], reduction: Reduction = "mean"
) -> Float[Tensor, ""]:
    r"""How well is told whether the second segment follows the first (label 0) or is from another document (label 1).

    Eq: $$L_{\mathrm{NSP}} = -\frac{1}{N} \sum_{n=1}^{N} \log p(y_n \mid \mathrm{A}_n, \mathrm{B}_n)$$
    Source: Devlin et al. 2019, section 3.1, task 2; the labels as in Google's code and in Hugging Face.
    Differs: an example of one segment has the label `IGNORED`, not a made-up one: it is no pair.
    Tests: tests/equations/test_objectives.py::TestNextSentenceLoss

    >>> next_sentence_loss(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]))  # "it follows": right, and wrong
    tensor(1.1269)
    """
    return reduce_over_labeled(cross_entropy(logits, labels), labels, reduction)


def label_smoothing_loss(
    logits: Float[Tensor, "*batch classes"],
    labels: Int[Tensor, "*batch"],
    label_smoothing: float = 0.1,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""]:
    r"""Cross-entropy with a little of the truth spread evenly over all classes, so that nobody gets too sure.

    Eq: $$L = \frac{1}{N} \sum_n \Big[(1 - \varepsilon)\,\ell(z_n, y_n)
        + \frac{\varepsilon}{K} \sum_{k=1}^{K} \ell(z_n, k)\Big]$$
    Source: Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4, with 0.1.
    Differs: tensor2tensor spreads the share over the K - 1 wrong classes only, and The Annotated Transformer over K - 2
        (not the padding either). Where the label is `IGNORED` the loss is zero, and does not count in N.
    Tests: tests/equations/test_objectives.py::TestLabelSmoothingLoss

    >>> label_smoothing_loss(torch.tensor([[0.0, 0.0, 8.0, 0.0]]), torch.tensor([2]))  # sure and right, yet not free
    tensor(0.6010)
    """
    log_probabilities = logits - logits.logsumexp(dim=-1, keepdim=True)
    spread = -log_probabilities.mean(dim=-1).masked_fill(labels == IGNORED, 0.0)
    losses = (1 - label_smoothing) * cross_entropy(logits, labels) + label_smoothing * spread
    return reduce_over_labeled(losses, labels, reduction)


def binary_cross_entropy(logits: Float[Tensor, "*batch"], targets: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    r"""How surprised a yes-or-no prediction is by the truth, in nats, for each prediction by itself.

    Eq: $$\ell(z, y) = -\,y \log \sigma(z) - (1 - y) \log(1 - \sigma(z)), \qquad
        \frac{\partial \ell}{\partial z} = \sigma(z) - y, \qquad \sigma(z) = \frac{1}{1 + e^{-z}}$$
    Source: Bishop 2006, equations 4.90 and 4.91: the textbooks' first derivation.
    Differs: takes logits, never probabilities, and uses that 1 - σ(z) = σ(-z): no logarithm ever meets a zero.
    Tests: tests/equations/test_objectives.py::TestBinaryCrossEntropy

    >>> binary_cross_entropy(torch.tensor([0.0, -3.0]), torch.tensor([1.0, 1.0]))  # a coin, and nearly sure and wrong
    tensor([0.6931, 3.0486])
    """
    return -targets * F.logsigmoid(logits) - (1 - targets) * F.logsigmoid(-logits)


def perplexity(mean_loss: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    r"""Among how many equally likely words a model that is as uncertain would have to choose.

    Eq: $$\mathrm{PPL} = e^{L}$$
    Source: Jelinek et al. 1977; Vaswani et al. 2017, table 3 (per word piece, not per word).
    Differs: the loss is in nats; one in bits would be a power of 2.
    Tests: tests/equations/test_objectives.py::TestPerplexity

    >>> perplexity(cross_entropy(torch.zeros(1, 8), torch.tensor([5])))  # as one of eight
    tensor([8.])
    """
    return torch.exp(mean_loss)


def unigram_entropy(
    train: Int[Tensor, " learned"], validation: Int[Tensor, " validation"], vocabulary: int
) -> Float[Tensor, ""]:
    r"""A landmark: the loss on validation tokens of who knows how frequent each is, and reads no context. In nats.

    Masked-LM training starts near ln V, falls to here at once, and only below has it learned to read.

    Eq: $$H = -\frac{1}{N} \sum_{n=1}^{N} \log\left(\frac{c(w_n) + 1}{\sum_v (c(v) + 1)}\right)$$
    Source: Shannon 1951, F₁; the added one is Laplace's rule of succession (Jurafsky and Martin, on smoothing n-grams).
    Differs: it is a cross-entropy, frequencies of one text on the tokens of another. Without the one, a token that was
        never seen would make it infinite.
    Tests: tests/equations/test_objectives.py::TestUnigramEntropy

    >>> unigram_entropy(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0]), vocabulary=4)  # -ln 3/8
    tensor(0.9808)
    """
    counts = torch.bincount(train, minlength=vocabulary) + 1.0
    log_frequencies = torch.log(counts / counts.sum())
    return -log_frequencies[validation].mean()


def reduce_over_labeled(losses: Tensor, labels: Tensor, reduction: Reduction = "mean") -> Tensor:
    """The mean (or the sum) of the losses whose label is not `IGNORED`; 0 if there is none.

    Raises: ValueError for another reduction.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction {reduction!r} is unknown; there are mean and sum")
    total = losses.sum()
    return total if reduction == "sum" else total / (labels != IGNORED).sum().clamp(min=1)
