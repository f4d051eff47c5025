"""Speed of an encoder without training, next to transformers: one text, 32 equally long ones, and 32 of different lengths.

python -m benchmarks.inference [--rounds 25] [--cases one batch ragged]

The network has the size of all-MiniLM-L6-v2: 6 layers of width 384 with 12 heads. Its result is the mean of the vectors of
each text. Before anything is timed, both have to compute the same in float64. "A/A" compares minibert with itself. With
weights in bfloat16, the cosine of its vectors with those in float32 is measured, too.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from benchmarks.steps import both_models
from minibert import Bert, BertConfig
from minibert.kernels import worthwhile_sequences
from minibert.model.pooling import POOLING
from minibert.timing import ratio, time_in_turn

CONFIG = BertConfig(num_hidden_layers=6, hidden_size=384, num_attention_heads=12, intermediate_size=1536)
CASES = {"one": (1, 128, 128), "batch": (32, 128, 128), "ragged": (32, 16, 128)}
"""Number of texts, and the shortest and the longest length."""


def make_inputs(texts: int, shortest: int, longest: int) -> tuple[Tensor, Tensor]:
    """Draw ids and the mask of texts of uniformly distributed lengths."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(shortest, longest + 1, (texts, 1), generator=generator)
    keep = torch.arange(int(lengths.max())) < lengths
    return torch.randint(1000, CONFIG.vocab_size, keep.shape, generator=generator) * keep, keep


def embed_ours(model: nn.Module, ids: Tensor, keep: Tensor) -> Tensor:
    """Return the mean vector of each text. Nobody reads the vectors of padding."""
    sequences = worthwhile_sequences(keep)
    vectors: Tensor = POOLING["mean"](model(ids, keep if sequences is None else sequences).last_hidden_state, keep)
    return vectors


def embed_theirs(model: nn.Module, ids: Tensor, keep: Tensor) -> Tensor:
    """The same with transformers."""
    vectors: Tensor = POOLING["mean"](model(ids, keep.long()).last_hidden_state, keep)
    return vectors


@torch.inference_mode()
def measure(case: str, rounds: int) -> dict[str, object]:
    """Time one case."""
    ids, keep = make_inputs(*CASES[case])
    (ours, theirs), eager = (model.eval() for model in both_models(Bert, CONFIG)), both_models(Bert, CONFIG, "eager")[1].eval()
    exact = [embed(model.double(), ids, keep) for embed, model in ((embed_ours, ours), (embed_theirs, theirs))]
    difference = (exact[0] - exact[1]).abs().max().item()
    assert difference < 1e-9, difference
    ours.float(), theirs.float()
    half = both_models(Bert, CONFIG)[0].eval().bfloat16()
    ways: dict[str, Callable[[], object]] = {
        "minibert": lambda: embed_ours(ours, ids, keep),
        "minibert again": lambda: embed_ours(ours, ids, keep),
        "minibert bfloat16": lambda: embed_ours(half, ids, keep),
        "transformers sdpa": lambda: embed_theirs(theirs, ids, keep),
        "transformers eager": lambda: embed_theirs(eager, ids, keep),
    }
    seconds = time_in_turn(ways, rounds)
    cosines = torch.cosine_similarity(embed_ours(half, ids, keep).float(), embed_ours(ours, ids, keep))
    return {
        "case": case,
        "milliseconds": {way: round(1000 * sorted(times)[len(times) // 2], 1) for way, times in seconds.items()},
        "times faster than sdpa": asdict(ratio(seconds["transformers sdpa"], seconds["minibert"])),
        "times faster than eager": asdict(ratio(seconds["transformers eager"], seconds["minibert"])),
        "bfloat16 times faster than float32": asdict(ratio(seconds["minibert"], seconds["minibert bfloat16"])),
        "least cosine of bfloat16 with float32": round(cosines.min().item(), 5),
        "A/A": asdict(ratio(seconds["minibert again"], seconds["minibert"])),
        "largest difference in float64": difference,
    }


def main() -> None:
    """Measure all cases, and write inference.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    rows = []
    for case in options.cases:
        rows.append(measure(case, options.rounds))
        print(json.dumps(rows[-1]), flush=True)
    result = {"torch": torch.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads()}
    options.out.write_text(json.dumps(result | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
