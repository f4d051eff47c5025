"""Small weights removed, and weights of 8 bits or fewer: how much of a classifier's accuracy needs its numbers?

python -m benchmarks.ideas.weights

Pruning sets the smallest weights of each matrix of the encoder to zero (magnitude pruning: Han et al. 2015), next to random
ones as a control. Quantization rounds each weight to a whole number of units: w ≈ s q with q from -127 to 127 for 8 bits, and
one unit s for each row of a matrix, or for the whole matrix (symmetric quantization: Jacob et al. 2018). Both give a checkpoint
like any other; in memory its weights are still in single precision, so that nothing is said about speed.
"""

import copy
from collections.abc import Callable, Iterator
from functools import partial

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from benchmarks.ideas.common import SEEDS, TASK, Result, Row, accuracy, bars, classifier, curve, data, tests
from minibert.model import BertForSequenceClassification
from minibert.text.tokenizer import PAD, token_id
from minibert.training.logits import compute_logits

SHARES = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9)


def matrices(model: nn.Module) -> Iterator[Tensor]:
    """Yield the matrices of the encoder's layers and its word embeddings."""
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and name.startswith("bert.") and "positions" not in name and "segments" not in name:
            yield weight.data


def changed(model: BertForSequenceClassification, change: Callable[[Tensor], Tensor]) -> BertForSequenceClassification:
    """Return a copy of the network with changed matrices."""
    other = copy.deepcopy(model)
    for weight in matrices(other):
        weight.copy_(change(weight))
    return other


def without_smallest(weight: Tensor, share: float) -> Tensor:
    """Set a share of the weights to zero: those of the smallest magnitude.

    >>> without_smallest(torch.tensor([[3.0, -1.0], [0.5, -2.0]]), 0.5).tolist()
    [[3.0, 0.0], [0.0, -2.0]]
    """
    order = weight.abs().flatten().argsort()
    return weight.flatten().index_fill(0, order[: round(share * len(order))], 0.0).view_as(weight)


def without_random(weight: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set a share of the weights to zero, whatever they are."""
    order = torch.randperm(weight.numel(), generator=generator)
    return weight.flatten().index_fill(0, order[: round(share * len(order))], 0.0).view_as(weight)


def rounded(weight: Tensor, bits: int, per_row: bool) -> Tensor:
    """Round weights to whole units, of which the largest weight has 2^(bits - 1) - 1.

    >>> rounded(torch.tensor([[127.0, 1.4], [0.3, -0.2]]), 8, per_row=False).tolist()
    [[127.0, 1.0], [0.0, -0.0]]
    """
    largest = weight.abs().amax(dim=1, keepdim=True) if per_row else weight.abs().max()
    unit = (largest / (2 ** (bits - 1) - 1)).clamp(min=torch.finfo(weight.dtype).tiny)
    return (weight / unit).round() * unit


def mebibytes(model: nn.Module, bits: int, per_row: bool) -> float:
    """Return the size of the matrices with weights of so many bits, and with their units in single precision."""
    units = sum(4 * (len(weight) if per_row else 1) for weight in matrices(model)) if bits < 32 else 0
    return (sum(weight.numel() for weight in matrices(model)) * bits / 8 + units) / 2**20


def logits_of(model: BertForSequenceClassification) -> Tensor:
    """Return the scores of the classes of all test texts."""
    examples = TASK.encode(tests(), data().tokenizer)
    found = compute_logits(model, TASK, examples, token_id(data().tokenizer, PAD))
    return torch.stack([torch.as_tensor(each) for each in found])


def prune() -> None:
    """Remove weights of the classifiers of all seeds."""
    names = ("smallest", "random")
    table = [Row({"weights removed": f"{share:.0%}"}, {name: [] for name in names}) for share in SHARES]
    for seed in SEEDS:
        model, generator = classifier(seed), torch.Generator().manual_seed(seed)
        for share, row in zip(SHARES, table, strict=True):
            smallest, random = partial(without_smallest, share=share), partial(without_random, share=share, generator=generator)
            row.values["smallest"].append(accuracy(changed(model, smallest)))
            row.values["random"].append(accuracy(changed(model, random)))

    def draw(axes: Axes) -> None:
        for name in names:
            curve(axes, [100 * share for share in SHARES], table, name, f"{name} weights")
        axes.set_xlabel("weights removed (%)")
        axes.set_ylabel("test accuracy")
        axes.legend(frameon=False, fontsize=8)

    def finding(rows: list[Row]) -> str:
        kept = [row for row in rows if row.mean("smallest") >= rows[0].mean("smallest") - 0.02]
        lost = [row for row in rows if row.mean("random") >= rows[0].mean("random") - 0.02]
        return (
            f"Without training again, {kept[-1].setting['weights removed']} of the weights can go for less than 2 points of "
            f"accuracy if they are the smallest ones, and {lost[-1].setting['weights removed']} if they are chosen at random."
        )

    Result(
        "pruning",
        "Removing small weights",
        "How many weights of a fine-tuned classifier can be set to zero?",
        "Han et al. 2015 (table 1): AlexNet keeps its accuracy with one ninth of its weights, if these are trained again. "
        "Gordon et al. 2020: 30 to 40% of BERT's weights do not matter for transfer.",
        table,
        dict.fromkeys(names, ".1%"),
        finding,
    ).save(draw)


def quantize() -> None:
    """Round the weights of the classifiers of all seeds."""
    ways = [(32, True), (8, True), (8, False), (6, True), (6, False), (4, True), (4, False), (3, True), (3, False)]
    names = ("accuracy", "same prediction", "least cosine")
    table = []
    for bits, per_row in ways:
        size = mebibytes(classifier(SEEDS[0]), bits, per_row)
        setting = {
            "bits": bits,
            "one unit for each": "" if bits == 32 else ("row" if per_row else "matrix"),
            "MiB": f"{size:.2f}",
        }
        table.append(Row(setting, {name: [] for name in names}))
    for seed in SEEDS:
        model = classifier(seed)
        exact = logits_of(model)
        for (bits, per_row), row in zip(ways, table, strict=True):
            other = model if bits == 32 else changed(model, partial(rounded, bits=bits, per_row=per_row))
            scores = logits_of(other)
            row.values["accuracy"].append(accuracy(other))
            row.values["same prediction"].append(float((scores.argmax(1) == exact.argmax(1)).double().mean()))
            row.values["least cosine"].append(float(torch.cosine_similarity(scores, exact).min()))
    labels = [
        " ".join(str(value) for value in (row.setting["bits"], "bits", row.setting["one unit for each"])) for row in table
    ]

    def draw(axes: Axes) -> None:
        bars(axes, labels, table, "accuracy")
        axes.set_xlabel("test accuracy")

    def finding(rows: list[Row]) -> str:
        eight, four = rows[1], rows[5]
        return (
            f"With 8 bits and a unit for each row, {eight.mean('same prediction'):.1%} of the predictions stay the same in a "
            f"quarter of the memory; with 4 bits, {four.mean('same prediction'):.1%}."
        )

    Result(
        "quantization",
        "Weights of few bits",
        "How many bits does a weight need?",
        "Zafrir et al. 2019 (Q8BERT, table 1): with 8 bits, BERT keeps 99% of its accuracy, if it is fine-tuned with rounded "
        "weights. Here the weights are rounded after fine-tuning.",
        table,
        {"accuracy": ".1%", "same prediction": ".1%", "least cosine": ".4f"},
        finding,
    ).save(draw)


if __name__ == "__main__":
    prune()
    quantize()
