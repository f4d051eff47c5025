"""Are sixteen heads really better than one? (Michel et al. 2019): heads are removed, in three orders.

python -m benchmarks.ideas.heads

The importance of a head is |Σ C · ∂L/∂C|, the sum over the tokens and features of its context C, averaged over training texts
(equation 2 of the paper; it is the change of the loss if the head's output were scaled). A head is removed by zeros in the
columns of the output projection that read it. The network stays a checkpoint like any other.
"""

import copy
import tempfile
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from benchmarks.ideas.common import SEEDS, TASK, Result, Row, accuracy, classifier, curve, data, labeled
from minibert import record
from minibert.model import BertForSequenceClassification
from minibert.model.checkpoints.loading import load
from minibert.text.labeled.examples import make_batch
from minibert.text.tokenizer import PAD, token_id

Head = tuple[int, int]
"""Number of the layer, and of the head in it."""
TEXTS_PER_CLASS = 20
RANDOM_ORDERS = 3


def heads_of(model: BertForSequenceClassification) -> list[Head]:
    """Return all heads."""
    config = model.config
    return [(layer, head) for layer in range(config.num_hidden_layers) for head in range(config.num_attention_heads)]


def importance(model: BertForSequenceClassification, seed: int) -> dict[Head, float]:
    """Return the importance of each head, divided by the norm of its layer (section 4.1 of the paper)."""
    pad_id = token_id(data().tokenizer, PAD)
    sums = torch.zeros(model.config.num_hidden_layers, model.config.num_attention_heads)
    for example in TASK.encode(labeled(TEXTS_PER_CLASS, seed), data().tokenizer):
        batch = make_batch([example], pad_id)
        with record(model.eval(), gradients=True) as recording:
            model(*batch.inputs, **batch.targets).loss.backward()
        for layer in range(len(sums)):
            path = f"layers.{layer}.attention.context"
            sums[layer] += (recording[path] * recording.gradient(path)).sum(dim=(0, 2, 3)).abs().detach()
    shares = sums / sums.norm(dim=1, keepdim=True)
    return {(layer, head): float(shares[layer, head]) for layer, head in heads_of(model)}


def without_heads(model: BertForSequenceClassification, removed: Sequence[Head]) -> BertForSequenceClassification:
    """Return a copy of the network in which nothing reads these heads."""
    pruned, width = copy.deepcopy(model), model.config.hidden_size // model.config.num_attention_heads
    for layer, head in removed:
        weight = pruned.bert.layers[layer].attention.output.weight
        weight.data[:, head * width : (head + 1) * width] = 0.0
    return pruned


def main() -> None:
    """Remove the heads of the classifiers of all seeds."""
    rows: dict[tuple[str, int], list[float]] = {}
    for seed in SEEDS:
        model, generator = classifier(seed), np.random.default_rng(seed)
        scores = importance(model, seed)
        ascending = sorted(scores, key=lambda head: scores[head])
        orders = {"least important first": [ascending], "most important first": [ascending[::-1]]}
        orders["random"] = [[ascending[i] for i in generator.permutation(len(ascending))] for _ in range(RANDOM_ORDERS)]
        for name, sequences in orders.items():
            for count in range(0, len(ascending) + 1, 2):
                found = [accuracy(without_heads(model, order[:count])) for order in sequences]
                rows.setdefault((name, count), []).append(float(np.mean(found)))
        with tempfile.TemporaryDirectory() as folder:
            pruned = without_heads(model, ascending[:8])
            pruned.save_pretrained(folder)
            assert accuracy(load(folder, BertForSequenceClassification)) == accuracy(pruned)
    counts = sorted({count for _, count in rows})
    names = ("least important first", "random", "most important first")
    table = [Row({"heads removed, of 16": count}, {name: rows[name, count] for name in names}) for count in counts]

    def draw(axes: Axes) -> None:
        for name in names:
            curve(axes, counts, table, name, name)
        axes.set_xlabel("heads removed")
        axes.set_ylabel("test accuracy")
        axes.legend(frameon=False, fontsize=8)

    Result(
        "heads",
        "Removing heads",
        "How many of the 16 heads of a fine-tuned classifier can be removed, and does it matter which ones?",
        "Michel et al. 2019 (section 4.2, figure 3): 40% of BERT's heads can be removed without a noticeable effect on MNLI, "
        "if the least important ones go first.",
        table,
        dict.fromkeys(names, ".1%"),
        finding,
    ).save(draw)


def finding(rows: list[Row]) -> str:
    """Compare at half of the heads."""
    whole, half = rows[0], rows[len(rows) // 2]
    least, chance, most = (half.mean(name) - whole.mean(name) for name in rows[0].values)
    return (
        f"With half of the heads removed, the accuracy changes by {100 * least:+.1f} points if the least important ones go "
        f"first, by {100 * chance:+.1f} in a random order, and by {100 * most:+.1f} if the most important ones go first. "
        f"Without any head it is {rows[-1].mean('random'):.1%}."
    )


if __name__ == "__main__":
    main()
