"""Four kinds of positions on sequences longer than in training. Writes positions.json and docs/positions.png.

python -m benchmarks.positions [--task copy] [--steps 800] [--letters 10] [--longest 20] [--out FILE]

A Transformer with each kind of positions is trained on sequences of up to --letters letters and tested on sequences of up to
--longest letters ("train short, test long", Press et al. 2022). Hyperparameters, seed and batches are the same for all. A run
with other options than these writes its result and its figure to --out only.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from benchmarks.output import figure_path, result_path, write_result
from minibert.model.config import POSITIONS
from minibert.study.drawing import GRAY, figure, save
from minibert.text.batching import batches_by_count
from minibert.text.letters import ALPHABET, LettersExamples, solve_letters
from minibert.text.options import LettersTask
from minibert.text.parallel import ParallelBatch, ParallelExamples, ParallelText
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training.loop import evaluate
from minibert.training.options import DeviceOptions, TranslationConfig
from minibert.training.translation import TranslationObjective, translation_run

TESTED = 200
"""Number of test sequences of each length."""


def main() -> None:
    """Train one model for each kind, test it on each length, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=get_args(LettersTask), default="copy")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--letters", type=int, default=10)
    parser.add_argument("--longest", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    path = result_path(parser, options, Path(__file__).with_suffix(".json"))
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])
    tests = {
        length: test_batches(
            options.task, length, partial(ParallelExamples, tokenizer=tokenizer, seed=0, max_length=length + 2)
        )
        for length in range(1, options.longest + 1)
    }
    accuracies: dict[str, dict[int, float]] = {}
    for kind in POSITIONS:
        config = TranslationConfig(
            steps=options.steps,
            batch_tokens=1024,
            warmup_steps=200,
            learning_rate_factor=0.4,
            dropout=0.0,
            label_smoothing=0.0,
            positions=kind,
        )
        examples = LettersExamples(options.task, tokenizer, seed=0, size=5000, max_length=options.letters)
        run = translation_run(config, DeviceOptions(device="cpu"), examples, tokenizer, options.longest + 2)
        for _ in run.run():
            pass
        score = partial(evaluate, run.model, objective=TranslationObjective(0.0))
        accuracies[kind] = {length: score(batches)["target"].accuracy for length, batches in tests.items()}
        longer = np.mean([accuracies[kind][length] for length in tests if length > options.letters])
        train = np.mean([accuracies[kind][length] for length in tests if length <= options.letters])
        print(f"{kind}: token accuracy {train:.1%} up to {options.letters} letters, {longer:.1%} above", flush=True)
    settings = {name: value for name, value in vars(options).items() if name != "out"}
    write_result(path, {"settings": settings, "token accuracy by length": accuracies})
    if path is not None:
        save(figure(partial(draw, accuracies, options.letters, options.task)), figure_path(path))


def test_batches(task: LettersTask, length: int, encoded: Callable[[ParallelText], ParallelExamples]) -> list[ParallelBatch]:
    """Draw random test sequences of one length, the same for all models."""
    generator = np.random.default_rng(length)
    text = ParallelText([], [])
    for _ in range(TESTED):
        letters = generator.choice(ALPHABET, length).tolist()
        text.sources.append(" ".join(letters))
        text.targets.append(" ".join(solve_letters(task, letters)))
    epoch = encoded(text).epoch(0)
    return [epoch.batch(some) for some in epoch.batch_indices(partial(batches_by_count, batch_size=100))]


def draw(accuracies: dict[str, dict[int, float]], train: int, task: str, axes: Axes) -> None:
    """Draw a curve for each kind, and a line at the maximum training length."""
    for kind, by_length in accuracies.items():
        axes.plot(list(by_length), list(by_length.values()), "o-", markersize=3, linewidth=1.2, label=kind)
    axes.axvline(train + 0.5, color=GRAY, linewidth=0.9, linestyle="--")
    axes.text(train + 0.4, 0.02, "maximum length in training", color=GRAY, ha="right", fontsize=8.5)
    axes.set(title=f"Train short, test long: {task}", xlabel="letters", ylabel="token accuracy", ylim=(0, 1.03))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(frameon=False, loc="lower left")


if __name__ == "__main__":
    main()
