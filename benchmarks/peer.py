"""Train minibert and transformers on the same batches from the same weights. Writes peer.json and docs/peer.png.

python -m benchmarks.peer [--preset mini] [--steps 200] [--batch-size 16] [--max-length 64] [--text PATH …]
    [--device cpu] [--precision float32] [--out FILE]

transformers' BertForPreTraining computes its own loss. Both use torch's AdamW with the same schedule. There is no dropout,
because the two models would draw different random numbers. The figure shows the losses of a run on the CPU. A run
with other options than these prints its result, and writes it to --out, with a figure of the same name.
"""

import argparse
import json
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import transformers
from matplotlib.axes import Axes

from benchmarks.output import figure_path, result_path, write_result
from minibert.study.drawing import BLUE, ORANGE, figure, save
from minibert.text.from_options import make_tokenizer, open_corpus
from minibert.text.options import ExampleConfig, TextOptions, VocabularyOptions
from minibert.text.splits import training_sentences
from minibert.text.tokenized import tokenize_corpus
from minibert.training.distributed import start_processes
from minibert.training.optimizer import warmup_linear
from minibert.training.options import DeviceOptions, PretrainingConfig
from minibert.training.pretraining import pretraining_run


def peer_of(optimizer: torch.optim.Optimizer, ours: torch.nn.Module, theirs: torch.nn.Module) -> torch.optim.Optimizer:
    """Create the same optimizer for transformers' model: weight decay for matrices, but not for biases and norm gains."""
    matrices = [parameter for parameter in theirs.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in theirs.parameters() if parameter.ndim < 2]
    groups = [{"params": some, "weight_decay": 0.01 if some is matrices else 0.0} for some in (matrices, vectors)]
    return torch.optim.AdamW(groups, lr=optimizer.defaults["lr"], betas=(0.9, 0.999), eps=1e-8, fused=True)


def seconds_since(began: float) -> float:
    """Return the elapsed time. A GPU finishes the work that was given to it before."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    """Train both models in turn, and compare their losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--text", type=Path, nargs="*", default=())
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    path = result_path(parser, options, Path(__file__).with_suffix(".json"), inputs=("text",))
    config = PretrainingConfig(
        preset=options.preset,
        steps=options.steps,
        batch_size=options.batch_size,
        precision=options.precision,
        dropout=0.0,
        examples=ExampleConfig(max_length=options.max_length),
    )
    source = TextOptions(text=tuple(options.text))
    corpus = open_corpus(source)
    tokenizer = make_tokenizer(VocabularyOptions(), training_sentences(corpus.documents, source.validation_fraction))
    train, _ = tokenize_corpus(corpus, tokenizer, source.validation_fraction)
    device_options = DeviceOptions(device=options.device, micro_batch_size=config.batch_size)
    processes = start_processes(options.device)
    run, same_run = (pretraining_run(config, device_options, train, tokenizer, processes) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        run.export(Path(folder))
        theirs = transformers.BertForPreTraining.from_pretrained(folder).to(processes.device).train()
    optimizer = peer_of(run.optimizer, run.model, theirs)
    schedule = warmup_linear(optimizer, config.steps)
    curves: dict[str, list[float]] = {"minibert": [], "transformers": []}
    seconds: dict[str, list[float]] = {"minibert": [], "transformers": []}
    steps = run.run()
    for _, (batch,) in islice(same_run.batches(), config.steps):
        began = time.perf_counter()
        step = next(steps)
        curves["minibert"].append(step.losses["mlm"] + step.losses["nsp"])
        seconds["minibert"].append(seconds_since(began))
        began = time.perf_counter()
        with torch.autocast(options.device, torch.bfloat16, enabled=options.precision == "bfloat16"):
            columns = {
                name: column.long()
                for name, column in vars(batch.to(processes.device)).items()
                if isinstance(column, torch.Tensor) and not name.endswith("_at")
            }
            loss = theirs(**columns).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), config.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        curves["transformers"].append(loss.item())
        seconds["transformers"].append(seconds_since(began))
        if step.number % 20 == 0:
            print(f"step {step.number}: {curves['minibert'][-1]:.5f} {curves['transformers'][-1]:.5f}", flush=True)
    ours, peer = (np.array(curves[name]) for name in ("minibert", "transformers"))
    result = {
        "preset": config.preset,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "precision": config.precision,
        "batch size and maximum length": [config.batch_size, options.max_length],
        "torch": torch.__version__,
        "text": corpus.name,
        "steps": config.steps,
        "largest difference of the losses": float(np.abs(ours - peer).max()),
        "largest difference in the first 20 steps": float(np.abs(ours - peer)[:20].max()),
        "last loss": [float(ours[-1]), float(peer[-1])],
        "seconds per step, quartiles": {
            name: [round(float(value), 4) for value in np.quantile(times[5:], (0.25, 0.5, 0.75))]
            for name, times in seconds.items()
        },
    }
    print(json.dumps(result, indent=1))
    write_result(path, result | {"curves": curves})
    if path is None:
        return

    def both(axes: Axes) -> None:
        axes.plot(ours, color=BLUE, linewidth=3, alpha=0.5, label="minibert")
        axes.plot(peer, color="black", linewidth=0.8, label="transformers")
        axes.set(title="Loss with the same batches and initial weights", xlabel="step", ylabel="loss, nats")
        axes.legend(frameon=False)

    def difference(axes: Axes) -> None:
        axes.semilogy(np.abs(ours - peer) + 1e-9, color=ORANGE, linewidth=1)
        axes.set(title="Difference of the losses", xlabel="step", ylabel="nats")

    save(figure(both, difference, size=(5.2, 3.4)), figure_path(path))


if __name__ == "__main__":
    main()
