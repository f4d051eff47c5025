"""Losses, perplexity, and the unigram baseline. Devlin et al. 2019, section 3.1."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from minibert.checks import check_tensor, value_outside
from minibert.precision import at_least_float32

IGNORE_INDEX = -100
"""Label of a position that has no target: it adds nothing to the loss or the gradient. PyTorch's default `ignore_index`."""

Reduction = Literal["mean", "sum"]


def check_labels(logits: Tensor, labels: Tensor, name: str = "labels") -> None:
    """Check the labels of a classification: one class, or `IGNORE_INDEX`, for each row of logits.

    Raises: TypeError unless they are an int64 tensor; ValueError for another shape, or a number that is not a class (checked
        on the CPU only).
    """
    check_tensor("logits", logits)
    check_tensor(name, labels, torch.int64, shape=logits.shape[:-1])
    classes = logits.shape[-1]
    if (wrong := value_outside(labels.masked_fill(labels == IGNORE_INDEX, 0), 0, classes - 1)) is not None:
        raise ValueError(f"{name} has the class {wrong}, expected 0 to {classes - 1}, or {IGNORE_INDEX} for no target")


def check_label_smoothing(label_smoothing: float) -> None:
    """Raise ValueError for a share of the target probability that is not from 0 to 1."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is {label_smoothing}, but must be from 0 to 1")


def check_numbers(outputs: Tensor, targets: Tensor, name: str = "labels") -> None:
    """Check the targets of a regression or of yes-or-no questions: a floating-point number for each output.

    Raises: TypeError unless they are a floating-point tensor, ValueError for another shape, and for NaN or an infinite number
        (checked on the CPU only).
    """
    check_tensor("outputs", outputs)
    check_tensor(name, targets, shape=outputs.shape)
    if not targets.is_floating_point():
        raise TypeError(f"{name} has the type {targets.dtype}, expected floating point: convert it with {name}.float()")
    largest = torch.finfo(targets.dtype).max
    if (wrong := value_outside(targets, -largest, largest)) is not None:
        raise ValueError(f"{name} has the value {wrong}, expected finite numbers")


def cross_entropy(logits: Float[Tensor, "*batch classes"], labels: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    r"""Compute the negative log-probability of each label, in nats, for each prediction separately.

    The loss of half-precision logits is in single precision; so it is in all losses.

    Eq: $$\ell(z, y) = -\log \mathrm{softmax}(z)_y = \log \sum_j e^{z_j} - z_y$$
    Source: the negative log-likelihood; Devlin et al. 2019, section A.2 ("the sum of the mean masked LM likelihood…").
    Differs: the input is logits, not probabilities. Where the label is `IGNORE_INDEX`, the loss and its gradient are zero.
    Tests: tests/equations/test_objectives.py::TestCrossEntropy
    Lesson: lessons/09_pretraining_objectives.py

    >>> cross_entropy(torch.tensor([[0.0, 0.0], [0.0, 50.0]]), torch.tensor([1, 1]))
    tensor([0.6931, 0.0000])
    """
    check_labels(logits, labels)
    logits = at_least_float32(logits)
    ignored = labels == IGNORE_INDEX
    label_logits = logits.gather(-1, labels.masked_fill(ignored, 0).unsqueeze(-1)).squeeze(-1)
    return (logits.logsumexp(dim=-1) - label_logits).masked_fill(ignored, 0.0)


def masked_lm_loss(
    logits: Float[Tensor, "*batch vocabulary"], labels: Int[Tensor, "*batch"], reduction: Reduction = "mean"
) -> Float[Tensor, ""]:
    r"""Compute the loss of masked language modeling: the mean cross-entropy over the masked positions.

    Eq: $$L_{\mathrm{MLM}} = -\frac{1}{|M|} \sum_{i \in M} \log p(w_i \mid \tilde w)$$
    Source: Devlin et al. 2019, section 3.1, task 1; M is the set of positions whose label is not `IGNORE_INDEX`.
    Differs: without a masked position the mean is 0 (PyTorch and Hugging Face return NaN). `reduction="sum"` leaves out
        1/|M|: the training loop divides once, by the number of targets in all batches of a step.
    Tests: tests/equations/test_objectives.py::TestMaskedLMLoss
    Lesson: lessons/09_pretraining_objectives.py

    >>> masked_lm_loss(torch.zeros(3, 8), torch.tensor([5, IGNORE_INDEX, 2]))  # 8 equally likely words: ln 8
    tensor(2.0794)
    """
    return reduce_losses(cross_entropy(logits, labels), labels, reduction)


def next_sentence_loss(
    logits: Float[Tensor, "*batch 2"], labels: Int[Tensor, "*batch"], reduction: Reduction = "mean"
) -> Float[Tensor, ""]:
    r"""Compute the loss of a head for sentence pairs: of next-sentence prediction, or of sentence-order prediction.

    Next sentence: label 0 if segment B follows A, 1 if B is from another document. Sentence order: label 0 if A and B are in
    order, 1 if they are swapped. The formula is the same; the tasks differ in their pairs (`draw_pairs`).

    Eq: $$L_{\mathrm{NSP}} = -\frac{1}{N} \sum_{n=1}^{N} \log p(y_n \mid \mathrm{A}_n, \mathrm{B}_n)$$
    Source: Devlin et al. 2019, section 3.1, task 2 (next sentence); Lan et al. 2020, section 3.1 (ALBERT, sentence order); the
        labels as in Google's code and in Hugging Face.
    Differs: an example with one segment is not a pair, so its label is `IGNORE_INDEX`. Without a pair the loss is 0.
    Tests: tests/equations/test_objectives.py::TestNextSentenceLoss
    Lesson: lessons/09_pretraining_objectives.py

    >>> next_sentence_loss(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]))  # one correct, one wrong
    tensor(1.1269)
    """
    check_labels(logits, labels)
    check_tensor("logits", logits, shape=(*labels.shape, 2))
    return reduce_losses(cross_entropy(logits, labels), labels, reduction)


def label_smoothing_loss(
    logits: Float[Tensor, "*batch classes"],
    labels: Int[Tensor, "*batch"],
    label_smoothing: float = 0.1,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""]:
    r"""Compute the mean cross-entropy with smoothed labels: a part of the target probability is shared by all classes.

    Eq: $$L = \frac{1}{N} \sum_n \Big[(1 - \varepsilon)\,\ell(z_n, y_n)
        + \frac{\varepsilon}{K} \sum_{k=1}^{K} \ell(z_n, k)\Big]$$
    Source: Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4, with ε = 0.1.
    Differs: tensor2tensor shares ε among the K - 1 wrong classes only, and The Annotated Transformer among K - 2 (without
        the padding). A prediction whose label is `IGNORE_INDEX` has no loss and does not count in N; if all are such, the
        loss is 0.
    Tests: tests/equations/test_objectives.py::TestLabelSmoothingLoss
    Lesson: lessons/10_training.py

    >>> label_smoothing_loss(torch.tensor([[0.0, 0.0, 8.0, 0.0]]), torch.tensor([2]))  # confident, correct, and not 0
    tensor(0.6010)
    """
    check_label_smoothing(label_smoothing)
    check_labels(logits, labels)
    logits = at_least_float32(logits)
    log_probabilities = logits - logits.logsumexp(dim=-1, keepdim=True)
    uniform_loss = -log_probabilities.mean(dim=-1).masked_fill(labels == IGNORE_INDEX, 0.0)
    losses = (1 - label_smoothing) * cross_entropy(logits, labels) + label_smoothing * uniform_loss
    return reduce_losses(losses, labels, reduction)


def binary_cross_entropy(logits: Float[Tensor, "*batch"], targets: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    r"""Compute the negative log-probability of yes-or-no targets, in nats, for each prediction separately.

    Eq: $$\ell(z, y) = -\,y \log \sigma(z) - (1 - y) \log(1 - \sigma(z)), \qquad
        \frac{\partial \ell}{\partial z} = \sigma(z) - y, \qquad \sigma(z) = \frac{1}{1 + e^{-z}}$$
    Source: Bishop 2006, equations 4.90 and 4.91.
    Differs: the input is logits, not probabilities. The code uses 1 - σ(z) = σ(-z), so that it never takes the logarithm
        of zero.
    Tests: tests/equations/test_objectives.py::TestBinaryCrossEntropy
    Lesson: lessons/12_transfer.py

    Raises: TypeError unless `targets` is a floating-point tensor, ValueError if it has another shape than the logits.

    >>> binary_cross_entropy(torch.tensor([0.0, -3.0]), torch.tensor([1.0, 1.0]))  # undecided; confident and wrong
    tensor([0.6931, 3.0486])
    """
    check_numbers(logits, targets, "targets")
    logits, targets = at_least_float32(logits), at_least_float32(targets)
    return -targets * F.logsigmoid(logits) - (1 - targets) * F.logsigmoid(-logits)


def perplexity(mean_loss: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    r"""Compute the perplexity of a mean loss: the number of equally likely words that would give the same loss.

    Eq: $$\mathrm{PPL} = e^{L}$$
    Source: Jelinek et al. 1977; Vaswani et al. 2017, table 3 (per word piece, not per word).
    Differs: the loss is in nats. For a loss in bits, the base is 2.
    Tests: tests/equations/test_objectives.py::TestPerplexity
    Lesson: lessons/09_pretraining_objectives.py

    >>> perplexity(cross_entropy(torch.zeros(1, 8), torch.tensor([5])))  # 8 equally likely classes
    tensor([8.])
    """
    return torch.exp(mean_loss)


def unigram_entropy(
    train_ids: Int[Tensor, " train_tokens"], validation_ids: Int[Tensor, " validation_tokens"], vocab_size: int
) -> Float[Tensor, ""]:
    r"""Compute the validation loss of a model that predicts every token from its frequency in the training text alone.

    It is a baseline for the masked-LM loss, in nats. The loss starts near ln V and quickly falls to this baseline. A lower
    loss means that the model uses the context.

    Eq: $$H = -\frac{1}{N} \sum_{n=1}^{N} \log\left(\frac{c(w_n) + 1}{\sum_v (c(v) + 1)}\right)$$
    Source: Shannon 1951, F₁; the added one is Laplace's rule of succession (Jurafsky and Martin, on smoothing n-grams).
    Differs: it is a cross-entropy: frequencies of one text, evaluated on the tokens of another. Without the added one, a
        token that is missing in the training text would make it infinite.
    Tests: tests/equations/test_objectives.py::TestUnigramEntropy
    Lesson: lessons/09_pretraining_objectives.py

    Raises: TypeError unless the ids are int64 tensors, ValueError for an id outside the vocabulary, and without
        validation tokens.

    >>> unigram_entropy(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0]), vocab_size=4)  # -ln 3/8
    tensor(0.9808)
    """
    _check_texts(train_ids, validation_ids, vocab_size, least=1)
    counts = torch.bincount(train_ids, minlength=vocab_size) + 1.0
    log_frequencies = torch.log(counts / counts.sum())
    return -log_frequencies[validation_ids].mean()


def bigram_entropy(
    train_ids: Int[Tensor, " train_tokens"], validation_ids: Int[Tensor, " validation_tokens"], vocab_size: int
) -> Float[Tensor, ""]:
    r"""Compute the validation loss of a model that predicts every token from the token before it alone.

    It is a baseline for the loss of predicting the next token, in nats. c(v, w) counts how often w follows v in the training
    text, c(v) how often any token does, T(v) how many different ones do, and p(w) is the frequency in `unigram_entropy`.

    Eq: $$H_2 = -\frac{1}{N - 1} \sum_{n=2}^{N} \log p(w_n \mid w_{n-1}), \qquad
        p(w \mid v) = \frac{c(v, w) + T(v)\,p(w)}{c(v) + T(v)}$$
    Source: Shannon 1951, F₂; Witten and Bell 1991, method C; Chen and Goodman 1999, section 2.4.
    Differs: it is a cross-entropy: frequencies of one text, evaluated on the tokens of another. After a token that nothing
        follows in the training text, p(w | v) = p(w).
    Tests: tests/equations/test_objectives.py::TestBigramEntropy
    Lesson: lessons/11_pretraining.py

    Raises: as `unigram_entropy`, and ValueError for fewer than two validation tokens.

    >>> bigram_entropy(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1]), vocab_size=4)  # -ln 1.5/4
    tensor(0.9808)
    """
    _check_texts(train_ids, validation_ids, vocab_size, least=2)
    counts = torch.bincount(train_ids, minlength=vocab_size) + 1.0
    frequencies = counts / counts.sum()
    pairs, pair_counts = torch.unique(train_ids[:-1] * vocab_size + train_ids[1:], return_counts=True)
    followed = torch.bincount(train_ids[:-1], minlength=vocab_size)
    different = torch.bincount(pairs // vocab_size, minlength=vocab_size)
    before, after = validation_ids[:-1], validation_ids[1:]
    asked, places = torch.unique(before * vocab_size + after, return_inverse=True)
    seen_counts = torch.zeros_like(asked)
    seen_counts[torch.isin(asked, pairs)] = pair_counts[torch.isin(pairs, asked)]  # both are in ascending order
    weight = different[before].clamp(min=1)  # without a follower, c(v) = 0 and any weight gives p(w)
    probabilities = (seen_counts[places] + weight * frequencies[after]) / (followed[before] + weight)
    return -torch.log(probabilities).mean()


def _check_texts(train_ids: Tensor, validation_ids: Tensor, vocab_size: int, least: int) -> None:
    """Check the ids of two texts; the validation text has at least `least` tokens."""
    for name, ids in (("train_ids", train_ids), ("validation_ids", validation_ids)):
        check_tensor(name, ids, torch.int64)
        if (wrong := value_outside(ids, 0, vocab_size - 1)) is not None:
            raise ValueError(f"{name} has the id {wrong}, but vocab_size is {vocab_size}")
    if validation_ids.numel() < least:
        raise ValueError(f"validation_ids has {validation_ids.numel() or 'no'} tokens, so there is no mean")


def reduce_losses(losses: Tensor, labels: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Compute the mean or the sum of the losses whose label is not `IGNORE_INDEX`, and 0 if there is none.

    Losses at ignored labels must already be zero.

    Raises: ValueError if `reduction` is neither "mean" nor "sum".
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction {reduction!r} is unknown: use 'mean' or 'sum'")
    total = losses.sum()
    return total if reduction == "sum" else total / (labels != IGNORE_INDEX).sum().clamp(min=1)
