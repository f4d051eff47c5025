"""Speed and memory of a pretraining step, next to transformers with the same weights, batches, dtype and dropout.

python -m benchmarks.pretraining [--cases tiny mini small ragged] [--precision float32 bfloat16] [--rounds 15] [--out FILE]

Only a run of all cases with these rounds replaces pretraining.json. The result of another one is printed, and written to --out.

A step is all of it: forward pass, backward pass, clipping, AdamW, schedule. transformers computes its own loss, which needs
the scores of the vocabulary at every token; minibert computes them at the masked ones. Before anything is timed, both have to
compute the same loss and the same gradients. "A/A" compares minibert with itself: what differs from 1 there is noise.

On a GPU, the network is BERT-base, in bfloat16. minibert is compiled, and compared with the fastest of transformers: with
sdpa, with sdpa and no mask (which PyTorch computes by FlashAttention, if no token is padding), and with both compiled.

Memory is what the first two steps add to a process that holds the model: gradients, the state of AdamW, and the activations.

The matrix products of a step, for a batch with n masked tokens and sequences of length s, in a network with L layers of width d
and a vocabulary V:  6 · [L · Σ (12 d² s + 2 d s²) + n · (d² + d V)]  floating-point operations.
"""

import argparse
import json
import multiprocessing
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.machine import about, result_file
from benchmarks.memory import added_mebibytes
from benchmarks.output import result_path, write_result
from benchmarks.steps import DTYPES, both_models, check_equality, our_steps, their_steps
from minibert import PRESETS, BertConfig, BertForPreTraining
from minibert.kernels import worthwhile_sequences
from minibert.text.examples import PretrainingBatch
from minibert.text.masking import first_and_masked
from minibert.timing import Seconds, matrix_product_peak, ratio, time_in_turn
from minibert.training.costs import pretraining_cost
from minibert.training.pretraining_objectives import PretrainingObjective

SHARE_OF_MASKS, IGNORE = 0.15, -100
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
IS_CUDA = DEVICE.type == "cuda"


@dataclass(frozen=True)
class Case:
    """A network and the shape of its batches."""

    preset: str
    batch_size: int
    longest: int = 128
    shortest: int | None = None
    """Lengths are uniform from this to the longest one. None: all are equal."""
    attention: str = "auto"
    """How minibert computes attention."""


CASES = {
    "tiny": Case("tiny", 32),
    "mini": Case("mini", 32),
    "small": Case("small", 16),
    "ragged": Case("mini", 32, shortest=16),
}
GPU_CASES = {
    "base": Case("base", 256),
    "base, length 512": Case("base", 64, 512),
    "base, half padded": Case("base", 256, shortest=1),
    "base, half padded, triton": Case("base", 256, shortest=1, attention="triton"),
}
if IS_CUDA:
    CASES = GPU_CASES


def make_batch(case: Case, config: BertConfig, seed: int) -> PretrainingBatch:
    """Draw a batch of random pieces with 15% masked tokens, half of its sentence pairs with a wrong second sentence."""
    generator = torch.Generator().manual_seed(seed)
    shortest = case.longest if case.shortest is None else case.shortest
    lengths = torch.randint(shortest, case.longest + 1, (case.batch_size,), generator=generator)
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
    ).to(DEVICE)


def columns_of(batch: PretrainingBatch) -> dict[str, Tensor]:
    """Return the arguments of transformers' model."""
    names = ("input_ids", "attention_mask", "token_type_ids", "labels", "next_sentence_label")
    return {name: vars(batch)[name].long() for name in names}


def models(case: Case, attention: str = "sdpa") -> tuple[BertForPreTraining, nn.Module]:
    """Return minibert's network and that of transformers, on the device."""
    ours, theirs = both_models(BertForPreTraining, PRESETS[case.preset], attention)
    return ours.set_attention(case.attention).to(DEVICE), theirs.to(DEVICE)


def difference(case: Case) -> dict[str, float]:
    """Return how much loss and gradients differ in float64, for a part of a batch."""
    batch = make_batch(replace(case, batch_size=4), PRESETS[case.preset], 0)
    return check_equality(*models(case), batch, PretrainingObjective(), columns_of(batch))


def our_ways(case: Case, batch: PretrainingBatch, dtype: torch.dtype | None) -> dict[str, Callable[[], object]]:
    """Return functions that train minibert for a step: compiled on a GPU, as `minibert pretrain --compile` does."""
    ways: dict[str, Callable[[], object]] = {}
    names = ("minibert", "minibert again", *(["minibert, not compiled"] if IS_CUDA else []))
    for name in names:
        model, _ = models(case)
        if IS_CUDA and "not" not in name:
            model.bert.compile(dynamic=True)
        ways[name] = our_steps(model, [batch], PretrainingObjective(), dtype)
    return ways


def their_ways(case: Case, batch: PretrainingBatch, dtype: torch.dtype | None) -> dict[str, Callable[[], object]]:
    """Return functions that train transformers' model for a step, by the names of what differs."""
    ways: dict[str, Callable[[], object]] = {}
    if not IS_CUDA:
        for attention in ("sdpa", "eager"):
            ways[f"transformers {attention}"] = their_steps(models(case, attention)[1], [columns_of(batch)], dtype)
        return ways
    masks = ("sdpa", "flash") if case.shortest is None else ("sdpa",)
    for name in masks:
        columns = columns_of(batch)
        if name == "flash":
            del columns["attention_mask"]
        for compiled in ("", " compiled"):
            _, model = models(case)
            if compiled:
                model.compile()
            ways[f"transformers {name}{compiled}"] = their_steps(model, [columns], dtype)
    return ways


def measure(case: Case, precision: str, rounds: int) -> tuple[Seconds, int]:
    """Time the steps of minibert, of the same again, and of transformers in several ways."""
    batch = make_batch(case, PRESETS[case.preset], 0)
    dtype = DTYPES[precision]
    _, operations = pretraining_cost(PRESETS[case.preset], [batch])
    return time_in_turn(our_ways(case, batch, dtype) | their_ways(case, batch, dtype), rounds), operations


def added_memory(case: Case, precision: str, is_ours: bool) -> float:
    """Return the mebibytes that two steps add, in a process of their own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_added_memory, (case, precision, is_ours))


def _added_memory(case: Case, precision: str, is_ours: bool) -> float:
    batch = make_batch(case, PRESETS[case.preset], 0)
    ours, theirs = models(case)
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
    parser.add_argument("--precision", nargs="+", choices=DTYPES, default=["bfloat16"] if IS_CUDA else [*DTYPES])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    path = result_path(parser, options, result_file("pretraining"))
    rows = []
    for name in options.cases:
        case = CASES[name]
        largest = difference(case)
        for precision in options.precision:
            seconds, operations = measure(case, precision, options.rounds)
            medians = {way: statistics.median(times) for way, times in seconds.items()}
            theirs = {way: times for way, times in seconds.items() if way.startswith("transformers ")}
            fastest = min(theirs, key=lambda way: medians[way])
            ratios = {way.removeprefix("transformers "): ratio(times, seconds["minibert"]) for way, times in theirs.items()}
            row = {
                "case": name,
                "precision": precision,
                "milliseconds": {way: round(1000 * median, 1) for way, median in medians.items()},
                **{f"times faster than {way}": asdict(value) for way, value in ratios.items()},
                "times faster than the fastest": asdict(ratio(seconds[fastest], seconds["minibert"])),
                "A/A": asdict(ratio(seconds["minibert again"], seconds["minibert"])),
                "gigaflops": round(operations / 1e9, 2),
                "largest difference in float64": largest,
            }
            peak = matrix_product_peak(DTYPES[precision] or torch.float32, DEVICE)
            row["share of the matrix-product peak"] = round(operations / medians["minibert"] / peak, 3)
            if not options.no_memory:
                row["added MiB"] = [round(added_memory(case, precision, is_ours)) for is_ours in (True, False)]
            rows.append(row)
            print(json.dumps(row), flush=True)
    write_result(path, about() | {"rows": rows})


if __name__ == "__main__":
    main()
