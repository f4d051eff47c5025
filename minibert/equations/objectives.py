"""What training makes small: the losses of BERT's two pretraining tasks. Devlin et al. 2019, section 3.1."""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

IGNORED = -100
"""The label of a position that has none: it adds nothing to a loss, nor to its gradient (PyTorch's own value)."""

Reduction = Literal["mean", "sum"]


def cross_entropy(logits: Float[Tensor, "*batch classes"], labels: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    r"""How surprised a prediction is by the truth, in nats, for each prediction by itself.

    Eq: $$\ell(z, y) = -\log \mathrm{softmax}(z)_y = \log \sum_j e^{z_j} - z_y$$
    Source: the negative log-likelihood; Devlin et al. 2019, section A.2 ("the sum of the mean masked LM likelihood…").
    Differs: takes logits, never probabilities. Where the label is `IGNORED` the loss and its gradient are zero.
    Tests: tests/equations/test_objectives.py

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
    Tests: tests/equations/test_objectives.py

    >>> masked_lm_loss(torch.zeros(3, 8), torch.tensor([5, IGNORED, 2]))  # knows nothing of 8 words: ln 8
    tensor(2.0794)
    """
    return _reduce(cross_entropy(logits, labels), labels, reduction)


def next_sentence_loss(
    logits: Float[Tensor, "*batch 2"], labels: Int[Tensor, "*batch"], reduction: Reduction = "mean"
) -> Float[Tensor, ""]:
    r"""How well is told whether the second segment follows the first (label 0) or is from another document (label 1).

    Eq: $$L_{\mathrm{NSP}} = -\frac{1}{N} \sum_{n=1}^{N} \log p(y_n \mid \mathrm{A}_n, \mathrm{B}_n)$$
    Source: Devlin et al. 2019, section 3.1, task 2; the labels as in Google's code and in Hugging Face.
    Differs: an example of one segment has the label `IGNORED`, not a made-up one: it is no pair.
    Tests: tests/equations/test_objectives.py

    >>> next_sentence_loss(torch.tensor([[9.0, -9.0]]), torch.tensor([0])) < 1e-6  # sure that it follows, and right
    tensor(True)
    """
    return _reduce(cross_entropy(logits, labels), labels, reduction)


def _reduce(losses: Tensor, labels: Tensor, reduction: Reduction) -> Tensor:
    total = losses.sum()
    return total if reduction == "sum" else total / (labels != IGNORED).sum().clamp(min=1)
