"""Speed of translation, next to torch.nn.Transformer with the same weights, batches and dropout: training steps and decoding.

python -m benchmarks.translation_speed --text train.de train.en --test test.de test.en
    [--preset tiny] [--steps 300] [--batch-tokens 4096] [--vocab-size 8000] [--decoding-batch 64] [--threads 2] [--out FILE]

Only a run with these options replaces translation_speed.json. The result of another one is printed, and written to --out.

A step is all of it: forward pass, backward pass, clipping, Adam, schedule. Before anything is timed, both have to compute the
same loss and gradients. Three models are then trained in turn on the same batches of real text, which a background thread
prepares for each. minibert's is trained twice: "A/A" compares it with itself, and what differs from 1 there is noise. The
trained weights of minibert decode the test text, also in torch's module. That has no cache, so that each step decodes all
tokens so far; it computes the scores of the last token only. Both decode the same batches until all sentences have ended;
rounding may choose another token among equally likely ones.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.output import result_path, write_result
from benchmarks.translation import LogitsObjective, TorchTransformer, counterparts
from minibert.model import Transformer
from minibert.text.batching import pad_rows
from minibert.text.options import ParallelTextOptions, VocabularyOptions
from minibert.text.parallel import ParallelBatch, read_parallel, tokenize_lines
from minibert.text.prefetch import prefetch
from minibert.timing import Seconds, ratio, time_in_turn
from minibert.training.decoding import similar_lengths
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.loop import train
from minibert.training.optimizer import adamw, noam
from minibert.training.options import DeviceOptions, TranslationConfig
from minibert.training.translation import TranslationObjective, TranslationTask, prepare_translation

WARMUP = 10
"""Steps that are not counted: memory is allocated in them."""


def copied(ours: Transformer) -> TorchTransformer:
    """Return torch's module with our weights."""
    theirs = TorchTransformer(ours.config)
    with torch.no_grad():
        for mine, other in counterparts(ours, theirs):
            other.copy_(mine)
    return theirs


def check_equality(model: Transformer, batch: ParallelBatch) -> dict[str, float]:
    """Compare loss and gradients in float64 without dropout. Raises: AssertionError if they differ."""
    ours = Transformer(replace(model.config, hidden_dropout_prob=0.0)).double()
    theirs = copied(ours).double()
    ways = ((TranslationObjective(), ours), (LogitsObjective(), theirs))
    count = TranslationObjective().target_counts(batch)["target"]
    losses = [objective.loss_sums(model, batch)["target"].loss / count for objective, model in ways]
    for loss in losses:
        loss.backward()
    for parameter in (*ours.parameters(), *theirs.parameters()):
        parameter.data = parameter.grad  # so that the gradients are paired as the weights are
    largest = max(float((one - other).detach().abs().max()) for one, other in counterparts(ours, theirs))
    found = {"loss": abs(losses[0].item() - losses[1].item()), "gradients": largest}
    assert max(found.values()) < 1e-9, found
    return found


def time_training(task: TranslationTask, steps: int) -> tuple[Seconds, Transformer]:
    """Train two models of minibert and one of torch in turn on the same batches. Return the seconds and the first model."""
    runs = [task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS) for _ in range(3)]
    theirs = copied(runs[0].model)
    config = task.config
    optimizer = adamw(theirs, config.learning_rate_factor, 0.0, (0.9, 0.98), eps=1e-9)
    with closing(prefetch(runs[2].batches())) as batches:
        their_steps = train(
            theirs,
            (micro_batches for _, micro_batches in batches),
            LogitsObjective(config.label_smoothing),
            optimizer,
            noam(optimizer, theirs.config.hidden_size, config.warmup_steps),
            config.max_grad_norm,
        )
        iterators: dict[str, Iterator[object]] = {
            "minibert": runs[0].run(),
            "minibert again": runs[1].run(),
            "torch.nn.Transformer": their_steps,
        }
        ways = {name: (lambda steps=steps: next(steps)) for name, steps in iterators.items()}
        return time_in_turn(ways, steps, WARMUP), runs[0].model


@torch.no_grad()
def their_translations(model: TorchTransformer, ids: Tensor, keep: Tensor, limits: Tensor) -> list[list[int]]:
    """Decode with torch's module: greedy search without a cache. Sentences that have ended leave the batch."""
    start, end = model.config.decoder_start_token_id, model.config.eos_token_id
    memory = model.transformer.encoder(model._embedded(ids), src_key_padding_mask=~keep)
    outputs: list[list[int]] = [[] for _ in ids]
    active, tokens = [*range(len(ids))], torch.full((len(ids), 1), start)
    while active:
        length = tokens.shape[1]
        hidden = model.transformer.decoder(
            model._embedded(tokens),
            memory,
            tgt_mask=~torch.ones(length, length, dtype=torch.bool).tril(),
            memory_key_padding_mask=~keep,
            tgt_is_causal=True,
        )
        chosen = nn.functional.linear(hidden[:, -1], model.words.weight).argmax(dim=-1)
        for row, token in zip(active, chosen.tolist(), strict=True):
            outputs[row].append(token)
        left = [place for place, row in enumerate(active) if outputs[row][-1] != end and length < int(limits[row])]
        active, tokens = [active[place] for place in left], torch.cat([tokens, chosen[:, None]], dim=1)[left]
        memory, keep = memory[left], keep[left]
    return outputs


def time_decoding(model: Transformer, batches: list[tuple[Tensor, Tensor]]) -> tuple[Seconds, float]:
    """Decode each batch in both ways. Return the seconds of the batches, and the share of equal translations."""
    ours, theirs = model.eval(), copied(model).eval()
    seconds: Seconds = {"minibert": [], "minibert again": [], "torch.nn.Transformer": []}
    equal = total = 0
    for number, (ids, keep) in enumerate(batches):
        limits = keep.sum(dim=1) + 50
        found: dict[str, list[list[int]]] = {}

        def decode(name: str, ids: Tensor = ids, keep: Tensor = keep, limits: Tensor = limits, found=found) -> None:
            if name == "torch.nn.Transformer":
                found[name] = their_translations(theirs, ids, keep, limits)
            else:
                found[name] = [output.tokens for output in ours.generate(ids, keep, beams=1)]

        ways: dict[str, Callable[[], object]] = {name: (lambda name=name: decode(name)) for name in seconds}
        for name, times in time_in_turn(ways, rounds=1, warmup=1 if number == 0 else 0, seed=number).items():
            seconds[name] += times
        equal += sum(one == other for one, other in zip(found["minibert"], found["torch.nn.Transformer"], strict=True))
        total += len(ids)
    return seconds, equal / total


def summary(seconds: Seconds) -> dict[str, object]:
    """Return the medians and ratios of three ways."""
    return {
        "milliseconds": {name: round(1000 * sorted(times)[len(times) // 2], 1) for name, times in seconds.items()},
        "times faster than torch": asdict(ratio(seconds["torch.nn.Transformer"], seconds["minibert"])),
        "A/A": asdict(ratio(seconds["minibert again"], seconds["minibert"])),
    }


def main() -> None:
    """Measure training and decoding, print the results, and write translation_speed.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("text", "test"):
        parser.add_argument(f"--{name}", type=Path, nargs=2, required=True)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--decoding-batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path = result_path(parser, options, Path(__file__).with_suffix(".json"), inputs=("text", "test"))
    config = TranslationConfig(
        preset=options.preset, steps=options.steps + WARMUP, batch_tokens=options.batch_tokens, warmup_steps=200
    )
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = VocabularyOptions(vocab_size=options.vocab_size, cased=True)
        task = prepare_translation(ParallelTextOptions(text=tuple(options.text)), vocabulary, config, Path(folder))
    example = task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)
    ((_, (batch,)),) = islice(example.batches(), 1)
    result = {"torch": torch.__version__, "threads": options.threads, "settings": task.settings}
    result["largest difference in float64"] = check_equality(example.model, batch)
    began = time.perf_counter()
    seconds, model = time_training(task, options.steps)
    result["training step"] = summary(seconds)
    print(json.dumps(result["training step"]), f"{time.perf_counter() - began:.0f} s", flush=True)
    encoded = tokenize_lines(read_parallel(options.test).sources, task.tokenizer)
    rows = similar_lengths(torch.tensor([len(ids) for ids in encoded]).numpy(), options.decoding_batch)
    batches = [pad_rows([encoded[row] for row in batch], model.config.pad_token_id) for batch in rows]
    seconds, share = time_decoding(model, batches)
    result["greedy decoding"] = summary(seconds) | {"batch": options.decoding_batch, "share of equal translations": share}
    print(json.dumps(result["greedy decoding"]), flush=True)
    write_result(path, result)


if __name__ == "__main__":
    main()
