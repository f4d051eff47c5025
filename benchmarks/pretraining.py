"""Speed and memory of a pretraining step, next to transformers with the same weights, batches, dtype and dropout.

python -m benchmarks.pretraining [--cases tiny mini small ragged] [--precision float32 bfloat16] [--rounds 15]

A step is all of it: forward pass, backward pass, clipping, AdamW, schedule. transformers computes its own loss, which needs
the scores of the vocabulary at every token; minibert computes them at the masked ones. Before anything is timed, both have to
compute the same loss and the same gradients. "A/A" compares minibert with itself: what differs from 1 there is noise.

Memory is what the first two steps add to a process that holds the model: gradients, the state of AdamW, and the activations.

The matrix products of a step, for a batch with n masked tokens and sequences of length s, in a network with L layers of width d
and a vocabulary V:  6 · [L · Σ (12 d² s + 2 d s²) + n · (d² + d V)]  floating-point operations.
"""

import argparse
import json
import multiprocessing
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import transformers
from torch import Tensor

from benchmarks.memory import added_mebibytes
from benchmarks.steps import DTYPES, both_models, check_equality, our_steps, their_steps
from minibert import PRESETS, BertConfig, BertForPreTraining
from minibert.kernels import worthwhile_sequences
from minibert.text.examples import PretrainingBatch
from minibert.text.masking import first_and_masked
from minibert.timing import Seconds, matrix_product_peak, ratio, time_in_turn
from minibert.training.costs import pretraining_cost
from minibert.training.pretraining import PretrainingObjective

LENGTH, SHARE_OF_MASKS, IGNORE = 128, 0.15, -100


@dataclass(frozen=True)
class Case:
    """A network and the shape of its batches."""

    preset: str
    batch_size: int
    shortest: int = LENGTH
    """Lengths are uniform from this to the longest one."""


CASES = {"tiny": Case("tiny", 32), "mini": Case("mini", 32), "small": Case("small", 16), "ragged": Case("mini", 32, 16)}


def make_batch(case: Case, config: BertConfig, seed: int) -> PretrainingBatch:
    """Draw a batch of random pieces with 15% masked tokens, half of its sentence pairs with a wrong second sentence."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(case.shortest, LENGTH + 1, (case.batch_size,), generator=generator)
    keep = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.randint(1000, config.vocab_size, keep.shape, generator=generator) * keep
    masked = keep & (torch.rand(keep.shape, generator=generator) < SHARE_OF_MASKS)
    masked[:, 0] = False
    segments = keep & (torch.arange(keep.shape[1]) >= lengths[:, None] // 2)
    return PretrainingBatch(
        input_ids=ids.masked_fill(masked, 103),
        attention_mask=keep,
        token_type_ids=segments.long(),
        labels=ids.masked_fill(~masked, IGNORE),
        next_sentence_label=torch.randint(0, 2, (case.batch_size,), generator=generator),
        predict_at=(predict_at := masked.flatten().nonzero()[:, 0]),
        output_at=torch.from_numpy(first_and_masked(predict_at.numpy(), tuple(masked.shape))),
        sequences=worthwhile_sequences(keep),
    )


def columns_of(batch: PretrainingBatch) -> dict[str, Tensor]:
    """Return the arguments of transformers' model."""
    names = ("input_ids", "attention_mask", "token_type_ids", "labels", "next_sentence_label")
    return {name: vars(batch)[name].long() for name in names}


def difference(case: Case) -> dict[str, float]:
    """Return how much loss and gradients differ in float64, for a part of a batch."""
    batch = make_batch(replace(case, batch_size=4), PRESETS[case.preset], 0)
    models = both_models(BertForPreTraining, PRESETS[case.preset])
    return check_equality(*models, batch, PretrainingObjective(), columns_of(batch))


def measure(case: Case, precision: str, rounds: int) -> tuple[Seconds, int]:
    """Time the steps of minibert, of the same again, and of transformers with two implementations of attention."""
    config, dtype = PRESETS[case.preset], DTYPES[precision]
    batch = make_batch(case, config, 0)
    ways: dict[str, Callable[[], object]] = {}
    for name in ("minibert", "minibert again"):
        ways[name] = our_steps(both_models(BertForPreTraining, config)[0], [batch], PretrainingObjective(), dtype)
    for attention in ("sdpa", "eager"):
        model = both_models(BertForPreTraining, config, attention)[1]
        ways[f"transformers {attention}"] = their_steps(model, [columns_of(batch)], dtype)
    _, operations = pretraining_cost(config, [batch])
    return time_in_turn(ways, rounds), operations


def added_memory(case: Case, precision: str, is_ours: bool) -> float:
    """Return the mebibytes that two steps add, in a process of their own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_added_memory, (case, precision, is_ours))


def _added_memory(case: Case, precision: str, is_ours: bool) -> float:
    config = PRESETS[case.preset]
    batch = make_batch(case, config, 0)
    ours, theirs = both_models(BertForPreTraining, config)
    dtype = DTYPES[precision]

    def two_steps() -> None:
        if is_ours:
            step = our_steps(ours, [batch], PretrainingObjective(), dtype)
        else:
            step = their_steps(theirs, [columns_of(batch)], dtype)
        for _ in range(2):
            step()

    return added_mebibytes(two_steps)


def main() -> None:
    """Measure all cases, print a table, and write pretraining.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES])
    parser.add_argument("--precision", nargs="+", choices=DTYPES, default=[*DTYPES])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    rows = []
    for name in options.cases:
        case = CASES[name]
        largest = difference(case)
        for precision in options.precision:
            seconds, operations = measure(case, precision, options.rounds)
            ours = sorted(seconds["minibert"])
            row = {
                "case": name,
                "precision": precision,
                "milliseconds": {way: round(1000 * sorted(times)[len(times) // 2], 1) for way, times in seconds.items()},
                "times faster than sdpa": asdict(ratio(seconds["transformers sdpa"], seconds["minibert"])),
                "times faster than eager": asdict(ratio(seconds["transformers eager"], seconds["minibert"])),
                "A/A": asdict(ratio(seconds["minibert again"], seconds["minibert"])),
                "gigaflops": round(operations / 1e9, 2),
                "largest difference in float64": largest,
            }
            peak = matrix_product_peak(DTYPES[precision] or torch.float32)
            row["share of the matrix-product peak"] = round(operations / ours[len(ours) // 2] / peak, 3)
            if not options.no_memory:
                row["added MiB"] = [round(added_memory(case, precision, is_ours)) for is_ours in (True, False)]
            rows.append(row)
            print(json.dumps(row), flush=True)
    result = {"torch": torch.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads()}
    options.out.write_text(json.dumps(result | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
