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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from benchmarks.paired import Seconds, matrix_product_peak, ratio, time_in_turn
from minibert import PRESETS, BertConfig, BertForPreTraining
from minibert.text.examples import PretrainingBatch
from minibert.text.masking import first_and_masked
from minibert.training.costs import pretraining_cost
from minibert.training.loop import train
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.pretraining import PretrainingObjective

LENGTH, SHARE_OF_MASKS, IGNORE = 128, 0.15, -100
DTYPES = {"float32": None, "bfloat16": torch.bfloat16}
"""The dtype of autocast."""


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
    )


def both_models(config: BertConfig, attention: str = "sdpa") -> tuple[BertForPreTraining, nn.Module]:
    """Return the same network twice: minibert's, and transformers' with one of its implementations of attention."""
    torch.manual_seed(0)
    ours = BertForPreTraining(config)
    theirs = transformers.BertForPreTraining._from_config(
        transformers.BertConfig(**config.hub_fields()), attn_implementation=attention
    )
    theirs.load_state_dict(BertForPreTraining.export_weights(ours.state_dict(), config), strict=False)
    return ours, theirs


def our_steps(model: nn.Module, batch: PretrainingBatch, dtype: torch.dtype | None) -> Callable[[], object]:
    """Return a function that trains minibert's model for one step."""
    optimizer = adamw(model, 1e-4)
    schedule = warmup_linear(optimizer, 10_000)
    steps = train(model, repeat([batch]), PretrainingObjective(), optimizer, schedule, autocast_dtype=dtype)
    return lambda: next(steps)


def their_loss(model: nn.Module, batch: PretrainingBatch) -> Tensor:
    """Compute the loss of transformers' model."""
    columns = {name: column.long() for name, column in vars(batch).items() if not name.endswith("_at")}
    loss: Tensor = model(**columns).loss
    return loss


def their_steps(model: nn.Module, batch: PretrainingBatch, dtype: torch.dtype | None) -> Callable[[], object]:
    """Return a function that trains transformers' model for one step, in the usual way."""

    def steps() -> Iterator[float]:
        model.train()
        optimizer = adamw(model, 1e-4)
        schedule = warmup_linear(optimizer, 10_000)
        while True:
            with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
                loss = their_loss(model, batch)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            yield loss.item()

    running = steps()
    return lambda: next(running)


def check_equality(case: Case) -> dict[str, float]:
    """Compare loss and gradients in float64 without dropout. Raises: AssertionError if they differ."""
    config = replace(PRESETS[case.preset], hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    batch = make_batch(replace(case, batch_size=4), config, 0)
    ours, theirs = (model.double().train() for model in both_models(config))
    our_loss = ours(**vars(batch)).loss
    peer_loss = their_loss(theirs, batch)
    our_loss.backward()
    peer_loss.backward()
    names = {parameter: name for name, parameter in theirs.named_parameters()}
    peer_gradients = {name: parameter.grad for parameter, name in names.items()}
    own = {name: parameter.grad for name, parameter in ours.named_parameters()}
    gradients = BertForPreTraining.export_weights(own, config)
    largest = max(float((gradients[name] - grad).abs().max()) for name, grad in peer_gradients.items() if name in gradients)
    found = {"loss": abs(our_loss.item() - peer_loss.item()), "gradients": largest}
    assert max(found.values()) < 1e-9, found
    return found


def measure(case: Case, precision: str, rounds: int) -> tuple[Seconds, int]:
    """Time the steps of minibert, of the same again, and of transformers with two implementations of attention."""
    config, dtype = PRESETS[case.preset], DTYPES[precision]
    batch = make_batch(case, config, 0)
    models = {"minibert": both_models(config)[0], "minibert again": both_models(config)[0]}
    ways = {name: our_steps(model, batch, dtype) for name, model in models.items()}
    for attention in ("sdpa", "eager"):
        ways[f"transformers {attention}"] = their_steps(both_models(config, attention)[1], batch, dtype)
    _, operations = pretraining_cost(config, [batch])
    return time_in_turn(ways, rounds), operations


def added_memory(case: Case, precision: str, is_ours: bool) -> float:
    """Return the mebibytes that two steps add, in a process of their own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_added_memory, (case, precision, is_ours))


def _added_memory(case: Case, precision: str, is_ours: bool) -> float:
    config = PRESETS[case.preset]
    batch = make_batch(case, config, 0)
    model = both_models(config)[0 if is_ours else 1]
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    before = _memory("VmRSS")
    step = (our_steps if is_ours else their_steps)(model, batch, DTYPES[precision])
    for _ in range(2):
        step()
    return (_memory("VmHWM") - before) / 1024


def _memory(name: str) -> int:
    """Return a number of kibibytes that Linux has about this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


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
        difference = check_equality(case)
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
                "largest difference in float64": difference,
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
