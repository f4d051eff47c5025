"""One task after another: how much of the first one does a network forget?

python -m benchmarks.ideas.continual

A classifier of nine classes learns five of them, and then the other four. What it forgets is the fall of its accuracy on the
test texts of the first five (catastrophic forgetting: McCloskey and Cohen 1989). Three ways against it: rehearsal, which mixes
texts of the first task into the second one (Robins 1995); frozen layers; and a low learning rate.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from benchmarks.ideas.common import LABELS_PER_CLASS, SEEDS, Result, Row, accuracy, bars, fine_tuned, labeled, pretrained, tests
from minibert.text.module_families import MODULE_FAMILIES
from minibert.training.transfer_options import TransferConfig

FIRST = tuple(MODULE_FAMILIES)[:5]
WAYS: dict[str, tuple[float, dict[str, Any]]] = {
    "second task alone": (0.0, {}),
    "with 5% of the first task": (0.05, {}),
    "with 20% of the first task": (0.2, {}),
    "embeddings and 2 layers frozen": (0.0, {"transfer": TransferConfig(freeze="embeddings,0-1")}),
    "encoder frozen": (0.0, {"transfer": TransferConfig(freeze="encoder")}),
    "learning rate 1e-4 instead of 1e-3": (0.0, {"learning_rate": 1e-4}),
    "both tasks at once": (1.0, {}),
}
"""The share of the first task's texts that are mixed in, and the settings of the second fine-tuning."""


def main() -> None:
    """Train the two tasks one after the other in all ways."""
    names = ("first task, before", "first task, after", "second task, after")
    table = [Row({"second fine-tuning": way}, {name: [] for name in names}) for way in WAYS]
    for seed in SEEDS:
        generator = np.random.default_rng(seed)
        first, second = split(labeled(LABELS_PER_CLASS, seed))
        first_tests, second_tests = split(tests())
        start = fine_tuned(pretrained(seed), seed, first)
        before = accuracy(start, first_tests)
        for (share, settings), row in zip(WAYS.values(), table, strict=True):
            count = round(share * len(first))
            kept = [first[index] for index in sorted(generator.permutation(len(first))[:count])]
            model = fine_tuned(pretrained(seed) if share == 1 else start, seed, [*second, *kept], **settings)
            for name, value in zip(names, (before, accuracy(model, first_tests), accuracy(model, second_tests)), strict=True):
                row.values[name].append(value)

    def draw(axes: Axes) -> None:
        bars(axes, [*WAYS], table, "first task, after")
        axes.axvline(table[0].mean("first task, before"), color="black", linewidth=0.8, label="before the second task")
        axes.set_xlabel("accuracy on the first task")
        axes.legend(frameon=False, fontsize=8)

    Result(
        "continual",
        "One task after another",
        "How much of the first five classes does a classifier forget while it learns four others, and what helps?",
        "McCloskey and Cohen 1989: a network that had learned to add one forgot it nearly completely while it learned to add "
        "two. Robins 1995: rehearsal of a few old examples prevents most of the forgetting.",
        table,
        dict.fromkeys(names, ".1%"),
        finding,
    ).save(draw)


def split(rows: list[Any]) -> tuple[list[Any], list[Any]]:
    """Divide texts by their task."""
    return [row for row in rows if row.label in FIRST], [row for row in rows if row.label not in FIRST]


def finding(rows: list[Row]) -> str:
    """Compare what is left of the first task."""
    left = {str(row.setting["second fine-tuning"]): row.mean("first task, after") for row in rows}
    ways = [*WAYS]
    return (
        f"Of {rows[0].mean('first task, before'):.1%}, {left[ways[0]]:.1%} is left after the second task alone. With 5% of "
        f"the old texts it is {left[ways[1]]:.1%}, and with 20% {left[ways[2]]:.1%}. With a frozen encoder, where only the "
        f"head can forget, it is {left[ways[4]]:.1%}."
    )


if __name__ == "__main__":
    main()
