"""What each optimization is worth: a training step or a decoding step, with one optimization after the other switched off.

python -m benchmarks.ablation [--cases tiny mini small ragged] [--sizes mini small] [--rounds 9] [--out FILE]

Only a run of all cases with these rounds replaces ablation.json. The result of another one is printed, and written to --out.

The steps are those of benchmarks/pretraining.py, and one generated token of benchmarks/generation.py. All ways are timed in
turn, in random order, in one process. A ratio of 2 means that the step takes twice as long without the optimization. "nothing"
compares the step with itself: what differs from 1 there is noise.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.generation import PROMPT, SIZES, both_models, our_tokens
from benchmarks.output import result_path, write_result
from benchmarks.pretraining import CASES, make_batch
from benchmarks.steps import our_steps
from minibert import PRESETS, BertForPreTraining
from minibert.kernels import attention, memory, products
from minibert.model import inputs
from minibert.model.cache import GrowingTensor
from minibert.text.examples import PretrainingBatch
from minibert.timing import Seconds, ratio, time_in_turn
from minibert.training.pretraining_objectives import PretrainingObjective

NEW_TOKENS = 64


@dataclass(frozen=True)
class Optimization:
    """An optimization of a training step, and how to do without it."""

    patch: tuple[Any, str, object] | None = None
    """An attribute to replace: its owner, its name and the replacement."""
    batch: Callable[[PretrainingBatch], PretrainingBatch] = lambda batch: batch
    stores_scores: bool = False

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        """Do without it inside of the `with` block."""
        with nullcontext() if self.patch is None else mock.patch.object(*self.patch):
            yield


TRAINING = {
    "nothing": Optimization(),
    "products by oneDNN": Optimization((products, "onednn_is_faster", lambda: False)),
    "a last layer for the tokens that are read": Optimization(batch=lambda batch: replace(batch, output_at=None)),
    "scores of the vocabulary in chunks": Optimization(stores_scores=True),
    "no padding": Optimization(
        (inputs, "worthwhile_sequences", lambda mask: None), lambda batch: replace(batch, sequences=None)
    ),
    "unfused attention with dropout": Optimization((attention, "unfused_attention", attention.fused_attention)),
    "activations and dropout stored in part": Optimization((memory, "_is_trained", lambda hidden: False)),
}


@contextmanager
def joined_caches() -> Iterator[None]:
    """Store the keys and values of all tokens anew at each token, without room for later ones."""

    def append(self: GrowingTensor, new: torch.Tensor) -> torch.Tensor:
        self._tensor = new if self._tensor is None else torch.cat([self._tensor, new], dim=-2)
        return self._tensor

    with mock.patch.object(GrowingTensor, "append", append):
        yield


GENERATION: dict[str, Callable[[], object]] = {
    "nothing": nullcontext,
    "blocks of weights for one token": lambda: mock.patch.object(products, "FEW_TOKENS", 0),
    "a cache with room": joined_caches,
}


def step_without(case_name: str, name: str) -> Callable[[], object]:
    """Return a function that trains for one step without an optimization."""
    case, optimization = CASES[case_name], TRAINING[name]
    config = PRESETS[case.preset]
    torch.manual_seed(0)
    model = BertForPreTraining(config)
    objective = PretrainingObjective(stores_scores=optimization.stores_scores)
    step = our_steps(model, [optimization.batch(make_batch(case, config, 0))], objective)

    def run() -> None:
        with optimization.switched_off():
            step()

    return run


def rows_of(seconds: Seconds, whole: str, case_name: str) -> list[dict[str, object]]:
    """Return a row for each optimization of a case."""
    return [
        {"case": case_name, "without": name, "times": asdict(ratio(times, seconds[whole]))}
        for name, times in seconds.items()
        if name != whole
    ]


def training_rows(case_name: str, rounds: int) -> list[dict[str, object]]:
    """Time the steps of a case. Padding is left out of ragged batches only."""
    names = [name for name in TRAINING if name != "no padding" or case_name == "ragged"]
    ways = {"all": step_without(case_name, "nothing")} | {name: step_without(case_name, name) for name in names}
    return rows_of(time_in_turn(ways, rounds), "all", case_name)


def generation_rows(size: str, rounds: int) -> list[dict[str, object]]:
    """Time the generation of a text without each optimization of it."""
    config = SIZES[size]
    prompt = torch.randint(0, config.vocab_size, (1, PROMPT), generator=torch.Generator().manual_seed(0))
    model, _ = both_models(config)

    def generate(name: str) -> None:
        with GENERATION[name]():  # type: ignore[attr-defined]
            our_tokens(model, prompt, NEW_TOKENS)

    ways = {"all": lambda: generate("nothing")} | {name: (lambda name=name: generate(name)) for name in GENERATION}
    return rows_of(time_in_turn(ways, rounds), "all", f"generation, {size}")


def main() -> None:
    """Measure all cases, print a line for each optimization, and write ablation.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES])
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=["mini", "small"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    path = result_path(parser, options, Path(__file__).with_suffix(".json"))
    rows = []
    for case_name in options.cases:
        rows += training_rows(case_name, options.rounds)
    for size in options.sizes:
        rows += generation_rows(size, options.rounds)
    for row in rows:
        print(json.dumps(row))
    write_result(path, {"torch": torch.__version__, "threads": torch.get_num_threads(), "rows": rows})


if __name__ == "__main__":
    main()
