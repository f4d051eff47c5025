"""Train short, test long: four kinds of positions on longer sequences than they have learned. Writes positions.json, a figure.

python benchmarks/positions.py [--task copy] [--steps 800] [--letters 10] [--longest 20]

A Transformer for each kind learns a task on sequences of up to --letters letters, and is then asked for longer ones, up to
--longest (Press et al. 2022 ask this of language models). The same recipe, seed and batches for all.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from minibert.model.config import POSITIONS
from minibert.study import figures as plots
from minibert.text.batching import batches_by_count
from minibert.text.options import SequenceTask
from minibert.text.parallel import ALPHABET, ParallelBatch, ParallelExamples, ParallelText, SequenceExamples, solved
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training.loop import evaluate
from minibert.training.options import DeviceOptions, TranslationConfig
from minibert.training.recipe import transformer_run
from minibert.training.tasks import Translation

ROOT = Path(__file__).resolve().parents[1]
TESTED = 200
"""Sequences of each length."""


def main() -> None:
    """Trains one for each kind, tests it on each length, and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=get_args(SequenceTask), default="copy")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--letters", type=int, default=10)
    parser.add_argument("--longest", type=int, default=20)
    options = parser.parse_args()
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])
    tests = {
        length: tested(options.task, length, partial(ParallelExamples, tokenizer=tokenizer, seed=0, longest=length + 2))
        for length in range(1, options.longest + 1)
    }
    accuracies: dict[str, dict[int, float]] = {}
    for kind in POSITIONS:
        recipe = TranslationConfig(
            steps=options.steps, batch_tokens=1024, warmup=200, rate=0.4, dropout=0.0, label_smoothing=0.0, positions=kind
        )
        examples = SequenceExamples(options.task, tokenizer, seed=0, size=5000, longest=options.letters)
        run = transformer_run(recipe, DeviceOptions(device="cpu"), examples, tokenizer, longest=options.longest + 2)
        for _ in run.run():
            pass
        score = partial(evaluate, run.model, objective=Translation(0.0))
        accuracies[kind] = {length: score(batches)["target"].accuracy for length, batches in tests.items()}
        beyond = np.mean([accuracies[kind][length] for length in tests if length > options.letters])
        train = np.mean([accuracies[kind][length] for length in tests if length <= options.letters])
        print(f"{kind}: tokens right {train:.1%} up to {options.letters} letters, {beyond:.1%} beyond", flush=True)
    report = {"settings": vars(options), "share of tokens that are right, by length": accuracies}
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    plots.save_png(plots.figure(partial(draw, accuracies, options.letters, options.task)), ROOT / "docs" / "positions.png")


def tested(task: SequenceTask, length: int, encoded: Callable[[ParallelText], ParallelExamples]) -> list[ParallelBatch]:
    """Random sequences of one length, the same for all."""
    generator = np.random.default_rng(length)
    text = ParallelText([], [])
    for _ in range(TESTED):
        letters = generator.choice(ALPHABET, length).tolist()
        text.sources.append(" ".join(letters))
        text.targets.append(" ".join(solved(task, letters)))
    epoch = encoded(text).epoch(0)
    return [epoch.batch(some) for some in epoch.in_batches(partial(batches_by_count, 100))]


def draw(accuracies: dict[str, dict[int, float]], train: int, task: str, axes: Axes) -> None:
    """A curve for each kind, and where learning ended."""
    for kind, by_length in accuracies.items():
        axes.plot(list(by_length), list(by_length.values()), "o-", markersize=3, linewidth=1.2, label=kind)
    axes.axvline(train + 0.5, color=plots.GREY, linewidth=0.9, linestyle="--")
    axes.text(train + 0.4, 0.02, "learned up to here", color=plots.GREY, ha="right", fontsize=8.5)
    axes.set(
        title=f"Train short, test long: {task}", xlabel="letters", ylabel="tokens right, given those before", ylim=(0, 1.03)
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(frameon=False, loc="lower left")


if __name__ == "__main__":
    main()
