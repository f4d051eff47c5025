"""Speed and memory of attention alone, over the length of the sequences, at a fixed number of tokens.

python -m benchmarks.attention [--lengths 128 256 ...] [--tokens 16384] [--rounds 5] [--out FILE]

The batch is smaller where the sequences are longer. So the queries, keys and values have the same size at every length, and
only the number of scores grows. All ways compute the same, which is checked first:

- explicit: `equations.scaled_dot_product_attention`, which stores the scores;
- online: `equations.online_softmax_attention`. Its forward pass stores one block of scores at a time. Its backward pass is that
  of autograd, which needs all blocks;
- fused: `kernels.fused_attention`, PyTorch's kernels;
- triton: `kernels.flash_attention`, on CUDA only.

"forward" is the output without gradients. "training" adds the backward pass. The exponents are the slopes of straight lines
through the logarithms, at the longer half of the lengths: 0 for flat, 1 for twice as much at twice the length.

"fused is faster" has the quartiles of the ratios in each round. In the row of fused it is the noise: fused against fused.

Writes attention.json and docs/attention.png, or on a GPU attention_gpu. Only a run with the default lengths, tokens, rounds and
number of threads of the committed file does so. The result of another one is printed, and written to --out with its figure.
"""

import argparse
import json
import math
import multiprocessing
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, StrMethodFormatter
from torch import Tensor

from benchmarks.machine import result_file
from benchmarks.memory import added_mebibytes
from benchmarks.output import figure_path, result_path, write_result
from minibert.equations import online_softmax_attention, scaled_dot_product_attention
from minibert.kernels import flash_attention, fused_attention
from minibert.study.drawing import figure, save
from minibert.timing import ratio, time_in_turn

HEADS, WIDTH = 4, 64
ON_CUDA = torch.cuda.is_available()
DEVICE, DTYPE = ("cuda", torch.bfloat16) if ON_CUDA else ("cpu", torch.float32)
TOKENS, LONGEST = (65_536, 65_536) if ON_CUDA else (16_384, 4096)
LENGTHS = [2**exponent for exponent in range(7, LONGEST.bit_length())]
WAYS: dict[str, Callable[..., Tensor]] = {
    "explicit": scaled_dot_product_attention,
    "online": online_softmax_attention,
    "fused": fused_attention,
    **({"triton": flash_attention} if ON_CUDA else {}),
}
PASSES = ("forward", "training")
AGAIN = "fused again"
"""What differs between two measurements of the same is noise."""


def make_inputs(length: int, tokens: int, dtype: torch.dtype = DTYPE) -> list[Tensor]:
    """Draw query, key and value."""
    generator = torch.Generator().manual_seed(0)
    shape = (tokens // length, HEADS, length, WIDTH)
    return [torch.randn(shape, generator=generator).to(DEVICE, dtype).requires_grad_() for _ in range(3)]


def compute(way: str, inputs: list[Tensor], kind: str) -> list[Tensor]:
    """Return the output, and in training the gradients of its sum of squares."""
    if kind == "forward":
        with torch.no_grad():
            return [WAYS[way](*inputs)]
    output = WAYS[way](*inputs)
    return [output, *torch.autograd.grad((output.float() ** 2).sum(), inputs)]


def check_equality() -> dict[str, float]:
    """Return the largest difference of each way from the formula. Raises: AssertionError if one is too large."""
    inputs = make_inputs(256, 1024, torch.float32)
    expected = compute("explicit", [each.detach().double().requires_grad_() for each in inputs], "training")
    found = {way: compute(way, inputs, "training") for way in WAYS}
    differences = {
        way: max(float((one - other).detach().abs().max()) for one, other in zip(results, expected, strict=True))
        for way, results in found.items()
    }
    assert max(differences.values()) < 1e-3, differences
    return differences


def memory(way: str, kind: str, length: int, tokens: int) -> float | None:
    """Return the mebibytes that a way adds, on a CPU in a process of its own; None if the GPU has too little memory."""
    if ON_CUDA:
        return _memory(way, kind, length, tokens, torch.get_num_threads())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_memory, (way, kind, length, tokens, torch.get_num_threads()))


def _memory(way: str, kind: str, length: int, tokens: int, threads: int) -> float | None:
    torch.set_num_threads(threads)
    compute(way, make_inputs(16, 64), kind)  # libraries are loaded, and threads started
    inputs = make_inputs(length, tokens)
    try:
        return round(added_mebibytes(lambda: compute(way, inputs, kind)), 1)
    except torch.cuda.OutOfMemoryError:
        return None


def measure(length: int, tokens: int, rounds: int) -> list[dict[str, Any]]:
    """Measure all ways at one length. A way that does not fit into the memory has no time."""
    inputs, rows = make_inputs(length, tokens), []
    for kind in PASSES:
        mebibytes = {way: memory(way, kind, length, tokens) for way in WAYS}
        fitting = [way for way, size in mebibytes.items() if size is not None]
        calls = {way: partial(compute, way, inputs, kind) for way in fitting}
        seconds = time_in_turn(calls | {AGAIN: calls["fused"]}, rounds, warmup=1)
        for way in WAYS:
            row: dict[str, Any] = {"length": length, "pass": kind, "way": way, "MiB": mebibytes[way], "seconds": None}
            if way in fitting:
                row["seconds"] = statistics.median(seconds[way])
                row["fused is faster"] = str(ratio(seconds[AGAIN if way == "fused" else way], seconds["fused"]))
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def curve(rows: Sequence[dict[str, Any]], kind: str, way: str, quantity: str) -> dict[int, float]:
    """Return the numbers of one way over the lengths, without missing ones."""
    chosen = [row for row in rows if (row["pass"], row["way"]) == (kind, way)]
    return {row["length"]: row[quantity] for row in chosen if row[quantity] is not None}


def exponent(numbers: dict[int, float]) -> float:
    """Fit a straight line to the logarithms at the longer half of the lengths, and return its slope."""
    lengths = sorted(numbers)[len(numbers) // 2 :]
    if len(lengths) < 2:
        return float("nan")
    slope, _ = np.polyfit(np.log(lengths), np.log([max(numbers[length], 1e-9) for length in lengths]), 1)
    return round(float(slope), 2)


def judge(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Compare the numbers of training with the targets."""
    fused, explicit = (curve(rows, "training", way, "MiB") for way in ("fused", "explicit"))
    middle = statistics.median(fused.values())
    before_last, last = sorted(explicit)[-2:]
    growth = (explicit[last] / explicit[before_last]) ** (1 / math.log2(last / before_last))
    times = {way: curve(rows, "training", way, "seconds") for way in ("fused", "explicit")}
    faster = {length: round(times["explicit"][length] / times["fused"][length], 2) for length in times["explicit"]}
    return {
        "fused memory is flat (30%)": max(abs(size / middle - 1) for size in fused.values()) <= 0.3,
        "growth of explicit memory at the last doubling (1.7)": round(growth, 2),
        "times that fused is faster than explicit (2 from length 512 on)": faster,
    }


def draw(axes: Axes, rows: Sequence[dict[str, Any]], kind: str, quantity: str) -> None:
    """Draw one line for each way. Its label has the exponent."""
    for way in WAYS:
        numbers = curve(rows, kind, way, quantity)
        axes.loglog([*numbers], [*numbers.values()], "o-", markersize=3, label=f"{way} ({exponent(numbers):.1f})")
    axes.set_title(f"{kind}: {quantity}")
    axes.set_xlabel("length of the sequences")
    axes.set_xticks(ticks := sorted({row["length"] for row in rows})[::2], [f"{tick:,}" for tick in ticks])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=7.5)


def main() -> None:
    """Measure all lengths, print the targets, and write the numbers and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    path = result_path(parser, options, result_file("attention"))
    result: dict[str, Any] = {"torch": torch.__version__, "device": DEVICE, "dtype": str(DTYPE), "tokens": options.tokens}
    result |= {"heads": HEADS, "width": WIDTH, "threads": torch.get_num_threads(), "differences": check_equality()}
    rows = [row for length in options.lengths for row in measure(length, options.tokens, options.rounds)]
    result["exponents"] = {
        f"{kind} {quantity}": {way: exponent(curve(rows, kind, way, quantity)) for way in WAYS}
        for kind in PASSES
        for quantity in ("seconds", "MiB")
    }
    result["targets"] = judge(rows)
    print(json.dumps({name: result[name] for name in ("exponents", "targets")}, indent=1))
    write_result(path, result | {"rows": rows})
    if path is None:
        return
    charts = [partial(draw, rows=rows, kind=kind, quantity=quantity) for kind in PASSES for quantity in ("seconds", "MiB")]
    save(figure(*charts, size=(3.6, 3.4)), figure_path(path))


if __name__ == "__main__":
    main()
