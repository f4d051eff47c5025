"""Speed of an encoder without training, next to transformers: one text, 32 equally long ones, and 32 of different lengths.

python -m benchmarks.inference [--rounds 25] [--cases one batch ragged] [--out FILE]

Only a run of all cases with these rounds replaces inference.json. The result of another one is printed, and written to --out.

The network has the size of all-MiniLM-L6-v2: 6 layers of width 384 with 12 heads. Its result is the mean of the vectors of
each text. Before anything is timed, both have to compute the same in float64. "A/A" compares minibert with itself. With
weights in bfloat16, the cosine of its vectors with those in float32 is measured, too.

On a GPU, the network is BERT-base, with 64 texts and weights in bfloat16 on both sides, as they are and compiled.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.machine import about, result_file
from benchmarks.output import result_path, write_result
from benchmarks.steps import both_models
from minibert import PRESETS, Bert, BertConfig
from minibert.kernels import worthwhile_sequences
from minibert.model.pooling import POOLING
from minibert.timing import ratio, time_in_turn

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
IS_CUDA = DEVICE.type == "cuda"
MINILM = BertConfig(num_hidden_layers=6, hidden_size=384, num_attention_heads=12, intermediate_size=1536)
CONFIG = PRESETS["base"] if IS_CUDA else MINILM
CASES = {"one": (1, 128, 128), "batch": (32, 128, 128), "ragged": (32, 16, 128)}
"""Number of texts, and the shortest and the longest length."""
if IS_CUDA:
    CASES = {"one": (1, 128, 128), "batch": (64, 128, 128), "ragged": (64, 16, 128), "ragged, length 512": (64, 16, 512)}


def make_inputs(texts: int, shortest: int, longest: int) -> tuple[Tensor, Tensor]:
    """Draw ids and the mask of texts of uniformly distributed lengths."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(shortest, longest + 1, (texts, 1), generator=generator)
    keep = torch.arange(int(lengths.max())) < lengths
    return torch.randint(1000, CONFIG.vocab_size, keep.shape, generator=generator) * keep, keep


def embed_ours(model: nn.Module, ids: Tensor, keep: Tensor) -> Tensor:
    """Return the mean vector of each text. Nobody reads the vectors of padding."""
    mask = worthwhile_sequences(keep) or keep
    return _mean(model, ids, keep, mask)


def embed_theirs(model: nn.Module, ids: Tensor, keep: Tensor) -> Tensor:
    """The same with transformers."""
    return _mean(model, ids, keep, keep.long())


def _mean(model: nn.Module, ids: Tensor, keep: Tensor, mask: Any) -> Tensor:
    hidden = model(ids.to(DEVICE), mask.to(DEVICE)).last_hidden_state
    vectors: Tensor = POOLING["mean"](hidden, keep.to(DEVICE))
    return vectors


def models(dtype: torch.dtype = torch.float32, attention: str = "sdpa", compiled: bool = False) -> list[nn.Module]:
    """Return minibert's network and that of transformers on the device."""
    both = [model.eval().to(DEVICE, dtype) for model in both_models(Bert, CONFIG, attention)]
    for model in both if compiled else ():
        model.compile(dynamic=True)
    return both


@torch.inference_mode()
def measure(case: str, rounds: int) -> dict[str, object]:
    """Time one case."""
    ids, keep = make_inputs(*CASES[case])
    exact = [embed(model, ids, keep) for embed, model in zip((embed_ours, embed_theirs), models(torch.float64), strict=True)]
    difference = (exact[0] - exact[1]).abs().max().item()
    assert difference < 1e-9, difference
    (ours, others), half = models(), models(torch.bfloat16)
    used: dict[str, nn.Module] = {}
    if IS_CUDA:
        compiled = models(torch.bfloat16, compiled=True)
        used = {"minibert": compiled[0], "minibert again": compiled[0], "minibert, not compiled": half[0]}
        used |= {"transformers sdpa": half[1], "transformers compiled": compiled[1]}
    else:
        used = {"minibert": ours, "minibert again": ours, "minibert bfloat16": half[0]}
        used |= {"transformers sdpa": others, "transformers eager": models(attention="eager")[1]}
    ways: dict[str, Callable[[], object]] = {
        name: partial(embed_ours if name.startswith("minibert") else embed_theirs, model, ids, keep)
        for name, model in used.items()
    }
    seconds = time_in_turn(ways, rounds)
    cosines = torch.cosine_similarity(embed_ours(half[0], ids, keep).float(), embed_ours(ours, ids, keep))
    theirs = [name for name in seconds if name.startswith("transformers ")]
    fastest = min(theirs, key=lambda name: statistics.median(seconds[name]))
    faster = {"times faster than the fastest": asdict(ratio(seconds[fastest], seconds["minibert"]))} | {
        f"times faster than {name.removeprefix('transformers ')}": asdict(ratio(times, seconds["minibert"]))
        for name, times in seconds.items()
        if name in theirs
    }
    if "minibert bfloat16" in seconds:
        faster["bfloat16 times faster than float32"] = asdict(ratio(seconds["minibert"], seconds["minibert bfloat16"]))
    return {
        "case": case,
        "milliseconds": {way: round(1000 * sorted(times)[len(times) // 2], 2) for way, times in seconds.items()},
        **faster,
        "least cosine of bfloat16 with float32": round(cosines.min().item(), 5),
        "A/A": asdict(ratio(seconds["minibert again"], seconds["minibert"])),
        "largest difference in float64": difference,
    }


def main() -> None:
    """Measure all cases, and write inference.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    path = result_path(parser, options, result_file("inference"))
    rows = []
    for case in options.cases:
        rows.append(measure(case, options.rounds))
        print(json.dumps(rows[-1]), flush=True)
    write_result(path, about() | {"rows": rows})


if __name__ == "__main__":
    main()
