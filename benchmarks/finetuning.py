"""Speed of a fine-tuning step on texts of real lengths, next to transformers with the same weights, batches and dropout.

MINIBERT_DATA=FOLDER python -m benchmarks.finetuning [--preset mini] [--batch-size 32] [--rounds 40] [--out FILE]

The texts are those of SST-2 in their order, so the lengths of a batch differ: 70% of the tokens of the committed run are
padding. Without the data, the lengths are drawn from another distribution. minibert computes the last layer for [CLS] only,
and no padding at all.

Only a run with the data and these options replaces finetuning.json. The result of another one is printed, and written to
--out.
"""

import argparse
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import torch

from benchmarks.machine import about
from benchmarks.output import result_path, write_result
from benchmarks.steps import DTYPES, both_models, check_equality, our_steps, their_steps
from minibert import PRESETS, BertForSequenceClassification
from minibert.text.labeled.examples import Example, LabeledBatch, make_batch
from minibert.timing import ratio, time_in_turn
from minibert.training.classification import ClassificationObjective

BATCHES = 8


def lengths_of_sst2(folder: str | None, count: int) -> list[int]:
    """Return the numbers of tokens of the first texts: 1.2 for each word, plus [CLS] and [SEP]."""
    if folder is None:
        drawn = torch.distributions.LogNormal(2.0, 0.75).sample((count,))
        return [min(64, 3 + int(each)) for each in drawn.tolist()]
    lines = (Path(folder) / "data" / "sst2" / "train.tsv").read_text(encoding="utf-8").splitlines()[1 : count + 1]
    return [2 + round(1.2 * len(line.split("\t")[0].split())) for line in lines]


def make_batches(lengths: list[int], batch_size: int, vocabulary: int) -> list[LabeledBatch]:
    """Make batches of random pieces, padded to their longest text."""
    generator = torch.Generator().manual_seed(0)
    examples = [
        Example(torch.randint(1000, vocabulary, (length,), generator=generator).tolist(), [0] * length, {"labels": number % 2})
        for number, length in enumerate(lengths)
    ]
    return [make_batch(examples[start : start + batch_size], 0) for start in range(0, len(examples), batch_size)]


def columns_of(batch: LabeledBatch) -> dict[str, torch.Tensor]:
    """Return the arguments of transformers' model."""
    return {
        "input_ids": batch.input_ids,
        "attention_mask": batch.attention_mask.long(),
        "token_type_ids": batch.token_type_ids,
        "labels": batch.targets["labels"],
    }


def main() -> None:
    """Measure both precisions, and write finetuning.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mini", choices=PRESETS)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", nargs="+", choices=DTYPES, default=[*DTYPES])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    data = os.environ.get("MINIBERT_DATA")
    path = result_path(parser, options, Path(__file__).with_suffix(".json"), missing="" if data else "MINIBERT_DATA")
    config = replace(PRESETS[options.preset].with_labels(("bad", "good")), problem_type="single_label_classification")
    lengths = lengths_of_sst2(data, BATCHES * options.batch_size)
    batches = make_batches(lengths, options.batch_size, config.vocab_size)
    objective, network = ClassificationObjective(), BertForSequenceClassification
    difference = check_equality(*both_models(network, config), batches[0], objective, columns_of(batches[0]))
    padding = 1 - sum(lengths) / sum(batch.input_ids.numel() for batch in batches)
    rows = []
    for precision in options.precision:
        dtype = DTYPES[precision]
        ways = {name: our_steps(both_models(network, config)[0], batches, objective, dtype) for name in ("minibert", "again")}
        for attention in ("sdpa", "eager"):
            model = both_models(network, config, attention)[1]
            ways[f"transformers {attention}"] = their_steps(model, [*map(columns_of, batches)], dtype)
        seconds = time_in_turn(ways, options.rounds)
        row = {
            "precision": precision,
            "milliseconds": {way: round(1000 * sorted(times)[len(times) // 2], 1) for way, times in seconds.items()},
            "times faster than sdpa": asdict(ratio(seconds["transformers sdpa"], seconds["minibert"])),
            "times faster than eager": asdict(ratio(seconds["transformers eager"], seconds["minibert"])),
            "A/A": asdict(ratio(seconds["again"], seconds["minibert"])),
            "largest difference in float64": difference,
            "padding": round(padding, 3),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    write_result(path, about() | {"preset": options.preset, "batch size": options.batch_size, "rows": rows})


if __name__ == "__main__":
    main()
