"""Fine-tune a real BERT with minibert and with transformers, on the same data. Writes transfer.json and prints a table.

python benchmarks/transfer.py --model FOLDER [--data $MINIBERT_DATA/data] [--only SST-2 RTE …] [--library minibert]
python benchmarks/transfer.py --model FOLDER --figure labels    # also: frozen, parameters. Writes docs/transfer_labels.png

Every result is kept in transfer.json at once: the same command continues where it was stopped. Two processes can work at the
same time, such as one with `--library minibert` and one with `--library transformers`.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from transfer_figures import FIGURES, draw
from transfer_runs import LIBRARIES, TRAINING, Cell, Dataset, find_result, result_of

from minibert.study.drawing import figure, save
from minibert.text.labeled.options import TableColumns
from minibert.training.finetuning_options import AnswerOptions, ClassifyOptions, TagOptions

DOCS = Path(__file__).resolve().parents[1] / "docs"
MRPC = ClassifyOptions(TableColumns(label_column="Quality", text_column="#1 String", pair_column="#2 String"))
STSB = ClassifyOptions(TableColumns(label_column="score", text_column="sentence1", pair_column="sentence2"), regression=True)
IMDB = ClassifyOptions(TableColumns(columns="label,_,text"), cut="head+tail")
DATASETS = {
    "SST-2": Dataset("classify", ClassifyOptions(), "sst2/train.tsv", "sst2/dev.tsv", "accuracy"),
    "RTE": Dataset("classify", ClassifyOptions(), "rte/train.tsv", "rte/dev.tsv", "accuracy"),
    "MRPC": Dataset("classify", MRPC, "mrpc/train.tsv", "mrpc/dev.tsv", "accuracy"),
    "STS-B": Dataset("classify", STSB, "stsb/train.tsv", "stsb/dev.tsv", "pearson"),
    "CoNLL-2003": Dataset("tag", TagOptions(), "conll2003/train.txt", "conll2003/valid.txt", "entity_f1"),
    "XQuAD-en": Dataset("answer", AnswerOptions(), "xquad/xquad.en.json", None, "f1"),
    "IMDB": Dataset("classify", IMDB, "imdb/train.tsv.gz", "imdb/val.tsv.gz", "accuracy", validation_limit=1000),
}


@dataclass(frozen=True)
class Row:
    """A row of the table: a training with both libraries, with several seeds."""

    cell: Cell
    seeds: Sequence[int] = (0,)

    def cells(self, library: str) -> list[Cell]:
        """Return the training of each seed."""
        return [replace(self.cell, library=library, training=replace(self.cell.training, seed=seed)) for seed in self.seeds]


ROWS = (
    Row(Cell("SST-2", train_limit=8000), seeds=(0, 1, 2)),
    Row(Cell("RTE"), seeds=(0, 1, 2)),
    Row(Cell("MRPC")),
    Row(Cell("STS-B", train_limit=4000)),
    Row(Cell("CoNLL-2003", train_limit=4000)),
    Row(Cell("XQuAD-en", training=replace(TRAINING, epochs=4, learning_rate=1e-4))),
    Row(Cell("IMDB", train_limit=2000, training=replace(TRAINING, epochs=2))),
)


def main() -> None:
    """Measure what is missing, then write the table or the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder with a BERT, such as MiniLM")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MINIBERT_DATA", "../shared")) / "data")
    parser.add_argument("--only", nargs="+", choices=DATASETS, default=[*DATASETS], help="rows of the table")
    parser.add_argument("--library", choices=LIBRARIES, help="measure only this library")
    parser.add_argument("--figure", choices=FIGURES, help="measure and draw a figure instead of the table")
    options = parser.parse_args()
    if options.figure:
        points = FIGURES[options.figure]()
        cells = [cell for point in points for cell in point.cells]
        results = {cell: result_of(cell, DATASETS[cell.data], options.data, options.model) for cell in cells}
        chart = draw(options.figure, points, results)
        save(figure(chart), DOCS / f"transfer_{options.figure}.png")
        return
    for row in ROWS:
        for library in [options.library] if options.library else LIBRARIES:
            for cell in row.cells(library) if row.cell.data in options.only else []:
                result_of(cell, DATASETS[cell.data], options.data, options.model)
    print(markdown_table())


def markdown_table() -> str:
    """Return the table of all results so far."""
    lines = [
        "| data | rows: training, validation | steps | score | minibert | transformers | difference | CPU seconds of both |",
        "|---|---|--:|---|---|---|--:|---|",
    ]
    for row in ROWS:
        pairs = [[find_result(cell) for cell in row.cells(library)] for library in LIBRARIES]
        found = [[result for result in results if result is not None] for results in pairs]
        if not all(found):
            continue
        first, scores = found[0][0], [np.array([100 * result["score"] for result in results]) for results in found]
        seconds = ", ".join(f"{np.mean([result['CPU seconds'] for result in results]):.0f}" for results in found)
        lines.append(
            f"| {row.cell.data} | {first['rows'][0]:,}, {first['rows'][1]:,} | {first['steps']:,} | {first['metric']} "
            f"| {describe(scores[0])} | {describe(scores[1])} | {scores[0].mean() - scores[1].mean():+.2f} | {seconds} |"
        )
    return "\n".join(lines)


def describe(scores: Any) -> str:
    """Return the mean with the standard deviation over seeds, if there are several."""
    return f"{scores.mean():.2f}" + (f" ± {scores.std(ddof=1):.2f}" if len(scores) > 1 else "")


if __name__ == "__main__":
    main()
