"""Speed of data preparation compared with training, in tokens per second on one core.

python -m benchmarks.data [--text PATH …] [--out FILE]

The benchmark prints a table and writes data.json, or with other texts only --out. Each number is the median of seven runs, with
the range of the middle five.
torch, numpy and tokenizers use one thread.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["RAYON_NUM_THREADS"] = "1"

import torch

from benchmarks.output import result_path, write_result
from minibert.files import cache_directory
from minibert.text.batching import batches_by_count
from minibert.text.corpus import find_files, read_corpus
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.text.from_options import make_tokenizer, open_corpus
from minibert.text.options import ExampleConfig, TextOptions, VocabularyOptions
from minibert.text.prefetch import prefetch
from minibert.text.splits import training_sentences
from minibert.text.tokenized import TokenizedCorpus, tokenize_corpus
from minibert.training.options import DeviceOptions, PretrainingConfig
from minibert.training.pretraining import pretraining_run
from minibert.training.run import TrainingRun

RUNS = 7
STEPS_WITH_WAITING = 10
CORES = 16


def measure(tokens: int, work: Callable[[], object]) -> tuple[float, float, float]:
    """Return tokens per second: the median, and the range without the best and the worst run."""
    rates = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        rates.append(tokens / (time.perf_counter() - start))
    rates.sort()
    return statistics.median(rates), rates[1], rates[-2]


def waiting_share(run: TrainingRun[Any, PretrainingBatch]) -> float:
    """Return the share of the steps' time that they wait for their batches, which another thread prepares."""
    waited = 0.0

    def timed(items: Iterator[Any]) -> Iterator[Any]:
        nonlocal waited
        with closing(prefetch(items)) as batches:
            while True:
                began = time.perf_counter()
                batch = next(batches, None)
                waited += time.perf_counter() - began
                if batch is None:
                    return
                yield batch

    with mock.patch("minibert.training.run.prefetch", timed):
        steps = run.run()
        next(steps)  # the first one waits for the first batch
        waited, began = 0.0, time.perf_counter()
        for _ in range(STEPS_WITH_WAITING):
            next(steps)
        share = waited / (time.perf_counter() - began)
        steps.close()
    return share


def main() -> None:
    """Measure every stage of data preparation, then training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, nargs="*", default=())
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = result_path(parser, options, Path(__file__).with_suffix(".json"))
    text_options = TextOptions(text=tuple(options.text))
    corpus = open_corpus(text_options)
    tokenizer = make_tokenizer(VocabularyOptions(), training_sentences(corpus.documents, text_options.validation_fraction))
    train, _ = tokenize_corpus(corpus, tokenizer, text_options.validation_fraction)
    documents = [document for document, _ in zip(corpus.documents, range(2000), strict=False)]
    rows: dict[str, tuple[float, float, float]] = {}
    sample = TokenizedCorpus.from_documents(documents, tokenizer)
    rows["tokenize (once)"] = measure(len(sample.ids), lambda: TokenizedCorpus.from_documents(documents, tokenizer))
    if options.text:
        files = find_files(options.text)[:4]
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MINIBERT_CACHE"] = folder
            documents_read = read_corpus(files).documents
            tokens = len(TokenizedCorpus.from_documents(documents_read, tokenizer).ids)
            numbers = iter(range(RUNS + 1))

            def read_without_cache() -> None:
                os.environ["MINIBERT_CACHE"] = f"{folder}/{next(numbers)}"
                assert cache_directory().name.isdigit()
                read_corpus(files)

            rows["split files into sentences (once)"] = measure(tokens, read_without_cache)
    for name, config in {
        "sentence pairs": ExampleConfig(),
        "sentence pairs, whole words, limited": ExampleConfig(whole_word_masking=True, max_predictions=20),
        "full sentences": ExampleConfig(pairs="none"),
        "sentence pairs, length 512": ExampleConfig(max_length=512),
    }.items():
        examples = PretrainingExamples(train, tokenizer, config, seed=0)
        epoch = examples.epoch(0)
        rows[f"draw: {name} (once per epoch)"] = measure(int(epoch.lengths.sum()), partial(examples.epoch, 1))
        batches = epoch.batch_indices(partial(batches_by_count, batch_size=64))[:50]
        tokens = sum(int(epoch.lengths[indices].sum()) for indices in batches)
        rows[f"batches: {name}"] = measure(tokens, lambda epoch=epoch, batches=batches: [epoch.batch(b) for b in batches])
    for preset in ("tiny", "mini"):
        run = pretraining_run(PretrainingConfig(preset=preset, steps=RUNS * 2), DeviceOptions(device="cpu"), train, tokenizer)
        steps, rates = run.run(), []
        next(steps)
        for _ in range(RUNS):
            start = time.perf_counter()
            next(steps)
            rates.append(sum(int(batch.attention_mask.sum()) for batch in run.last_batches) / (time.perf_counter() - start))
        rates.sort()
        rows[f"training: {preset}"] = statistics.median(rates), rates[1], rates[-2]
        steps.close()
    waiting = {}
    for preset in ("tiny", "mini"):
        config = PretrainingConfig(preset=preset, steps=2 * STEPS_WITH_WAITING)
        shares = sorted(
            waiting_share(pretraining_run(config, DeviceOptions(device="cpu"), train, tokenizer)) for _ in range(RUNS)
        )
        middle = {"lower": shares[1], "median": statistics.median(shares), "upper": shares[-2]}
        waiting[f"waiting: {preset}"] = {name: round(share, 4) for name, share in middle.items()}
        print(f"{preset}: a step waits for its batch for {statistics.median(shares):.2%} of its time")
    width = max(map(len, rows))
    print(f"{'':<{width}}  tokens/s on one core")
    for name, (median, low, high) in rows.items():
        print(f"{name:<{width}}  {median:>12,.0f}   {low:,.0f} to {high:,.0f}")
    slowest = min(median for name, (median, _, _) in rows.items() if name.startswith("batches"))
    print(f"\nThe slowest batches on {CORES} such cores, one process each: {CORES * slowest:,.0f} tokens/s (computed)")
    write_result(path, rows | waiting)


if __name__ == "__main__":
    main()
