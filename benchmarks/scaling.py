"""Cost of pretraining: tokens per second and memory of each preset on this machine, and days for the text of Wikipedia.

python -m benchmarks.scaling [--presets tiny mini small base] [--device cpu] [--precision float32] [--batch-size 16]
    [--out FILE]

Writes scaling.json, or with other options than these only --out, and prints a table. Tokens per second are
measured. Days are calculated from them.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.output import result_path, write_result
from minibert.model import PRESETS
from minibert.text.from_options import make_tokenizer, open_corpus
from minibert.text.options import ExampleConfig, TextOptions, VocabularyOptions
from minibert.text.splits import training_sentences
from minibert.text.tokenized import tokenize_corpus
from minibert.training.costs import pretraining_cost
from minibert.training.distributed import start_processes
from minibert.training.options import DeviceOptions, PretrainingConfig
from minibert.training.pretraining import pretraining_run

WIKIPEDIA = 3.3e9
"""Number of tokens in the 2,500 million words of Wikipedia (Devlin et al. 2019, section 3.1), with 1.3 tokens per word."""
BERT = 1e6 * 256 * 512
"""Maximum number of tokens in BERT's pretraining (Devlin et al. 2019, section A.2)."""


def measure(options: argparse.Namespace, preset: str) -> dict[str, float]:
    """Measure one preset in this process, so that the memory is that of this preset."""
    corpus = open_corpus(TextOptions())
    tokenizer = make_tokenizer(VocabularyOptions(), training_sentences(corpus.documents, 0.05))
    train, _ = tokenize_corpus(corpus, tokenizer, 0.05)
    # Without pairs, examples cross document boundaries, so that they are as long as with long documents.
    config = PretrainingConfig(
        preset=preset,
        steps=options.steps + 2,
        batch_size=options.batch_size,
        precision=options.precision,
        examples=ExampleConfig(max_length=128, pairs="none"),
    )
    device_options = DeviceOptions(device=options.device, compile=options.compile)
    run = pretraining_run(config, device_options, train, tokenizer, start_processes(options.device))
    rates, flops, began = [], [], time.perf_counter()
    for step in run.run():
        tokens, operations = pretraining_cost(run.model.config, run.last_batches)
        seconds = time.perf_counter() - began
        if step.number > 2:
            rates.append(tokens / seconds)
            flops.append(operations / seconds)
        began = time.perf_counter()
    on_gpu = run.processes.device.type == "cuda"
    memory = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "tokens_per_second": statistics.median(rates),
        "lowest": min(rates),
        "highest": max(rates),
        "gigaflops": statistics.median(flops) / 1e9,
        "memory_gb": memory / 2**30,
    }


def main() -> None:
    """Measure each preset in a separate process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="*", default=["tiny", "mini", "small", "base"], choices=list(PRESETS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", choices=list(PRESETS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options, options.one)))
        return
    path = result_path(parser, options, Path(__file__).with_suffix(".json"))
    rows = {}
    print("| preset | parameters | tokens/s | GFLOP/s | memory | Wikipedia once, days | BERT's pretraining, days |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for preset in options.presets:
        command = [sys.executable, "-m", "benchmarks.scaling", *sys.argv[1:], "--one", preset]
        row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        rows[preset] = row
        days = [tokens / row["tokens_per_second"] / 86400 for tokens in (WIKIPEDIA, BERT)]
        print(
            f"| {preset} | {row['parameters'] / 1e6:.1f} M | {row['tokens_per_second']:,.0f} | {row['gigaflops']:,.0f} | "
            f"{row['memory_gb']:.1f} GB | {days[0]:,.1f} | {days[1]:,.0f} |",
            flush=True,
        )
    on_gpu = start_processes(options.device).device.type == "cuda"
    about = {
        "machine": torch.cuda.get_device_name() if on_gpu else platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    settings = {name: value for name, value in vars(options).items() if name not in ("out", "one")}
    write_result(path, {"about": about | settings, "rows": rows})


if __name__ == "__main__":
    main()
