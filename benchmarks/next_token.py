"""Loss per character of small GPT-2s with vocabularies of characters and of byte pairs.

MINIBERT_DATA=FOLDER python -m benchmarks.next_token [--steps 2000] [--vocab-sizes 1000 8000] [--out FILE]

Writes next_token.json and docs/next_token.png; with other options than these, only --out and its figure. The text is
FOLDER/data/gutenberg. The settings are those of nanoGPT for Shakespeare on a CPU: 4 layers of width 128, 4 heads, 64 tokens, 12
windows a step, no dropout. All models are evaluated on the same text: the beginnings of two books that are not trained on.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from tokenizers import Tokenizer

from benchmarks.output import figure_path, result_path, write_result
from minibert import GPT2Config, GPT2LMHeadModel
from minibert.study.drawing import GRAY, PALETTE, figure, save
from minibert.study.text_generation import continue_text
from minibert.text.corpus import Document, read_corpus
from minibert.text.from_options import make_tokenizer
from minibert.text.options import ExampleConfig, VocabularyOptions
from minibert.text.packing import LINES, in_order, target_ids
from minibert.text.splits import split_documents, sufficient_validation_fraction
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import END_OF_TEXT, token_id, vocabulary_size
from minibert.training.next_token import next_token_run, tokens_per_character
from minibert.training.next_token_text import next_token_baselines
from minibert.training.options import DeviceOptions, PretrainingConfig

WINDOW, WIDTH = 64, 128
CONFIG = PretrainingConfig(
    family="gpt2",
    batch_size=12,
    learning_rate=1e-3,
    warmup_fraction=0.05,
    weight_decay=0.1,
    dropout=0.0,
    examples=ExampleConfig(max_length=WINDOW),
)
EVALUATIONS = 10
VALIDATION_CHARACTERS = 30_000
"""Number of characters of each validation book."""


def main() -> None:
    """Train a model with each vocabulary, and write the losses and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--vocab-sizes", type=int, nargs="*", default=[1000, 8000])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    path = result_path(parser, options, Path(__file__).with_suffix(".json"))
    documents = list(read_corpus(Path(os.environ["MINIBERT_DATA"]) / "data" / "gutenberg").documents)
    train, held_out = split_documents(documents, sufficient_validation_fraction(documents, 0.05))
    validation = [beginning(document, VALIDATION_CHARACTERS) for document in held_out]
    vocabularies = {"characters": VocabularyOptions(pieces="characters")}
    vocabularies |= {
        f"{size:,} byte pairs": VocabularyOptions(vocab_size=size, trainer="tokenizers") for size in options.vocab_sizes
    }
    runs = {}
    for name, vocabulary in vocabularies.items():
        sentences = (sentence for document in train for sentence in document.sentences)
        runs[name] = train_one(make_tokenizer(vocabulary, sentences, "gpt2"), train, validation, options.steps)
        print(f"{name}: {json.dumps({key: value for key, value in runs[name].items() if key != 'losses'})}", flush=True)
    report = {"steps": options.steps, "validation": [document.source for document in validation], "runs": runs}
    write_result(path, report)
    if path is not None:
        save(figure(partial(draw, runs, "step"), partial(draw, runs, "characters")), figure_path(path))


def beginning(document: Document, characters: int) -> Document:
    """Return the first lines of a document."""
    count = 0
    while sum(len(line) + 1 for line in document.sentences[:count]) < characters:
        count += 1
    return replace(document, sentences=document.sentences[:count])


def train_one(tokenizer: Tokenizer, train: Sequence[Document], validation: Sequence[Document], steps: int) -> dict[str, Any]:
    """Train a model and return its losses on the validation text, in nats per character."""
    train_corpus, held_out = (TokenizedCorpus.from_documents(each, tokenizer, LINES) for each in (train, validation))
    batches = in_order(held_out, tokenizer, WINDOW, windows=10**9, batch_size=64)
    torch.manual_seed(CONFIG.seed)
    config = GPT2Config(
        vocab_size=vocabulary_size(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=WINDOW,
        eos_token_id=token_id(tokenizer, END_OF_TEXT),
    )
    run = next_token_run(
        replace(CONFIG, steps=steps), DeviceOptions(device="cpu"), train_corpus, tokenizer, start=GPT2LMHeadModel(config)
    )
    per_character = tokens_per_character(batches, tokenizer)
    read, losses, seconds, start = 0.0, [point(run.evaluate(batches), 0, 0.0, per_character)], 0.0, time.perf_counter()
    for step in run.run():
        read += len(target_ids(run.last_batches)) / per_character
        if step.number % max(1, steps // EVALUATIONS) == 0:
            seconds += time.perf_counter() - start
            losses.append(point(run.evaluate(batches), step.number, read, per_character))
            start = time.perf_counter()
    baselines = next_token_baselines(train_corpus, batches, tokenizer)
    return {
        "vocabulary": config.vocab_size,
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "characters per token": 1 / per_character,
        "seconds": seconds,
        "nats per character": losses[-1]["nats per character"],
        "baselines": {name: loss * per_character for name, loss in baselines.items()},
        "sample": continue_text(run.model, tokenizer, "The ", WINDOW - 8, seed=0, temperature=0.8).text,
        "losses": losses,
    }


def point(scores: Any, step: int, characters: float, per_character: float) -> dict[str, float]:
    """Return one point of a curve."""
    return {"step": step, "characters": characters, "nats per character": scores["clm"].loss * per_character}


def draw(runs: dict[str, dict[str, Any]], over: str, axes: Axes) -> None:
    """Draw a curve for each vocabulary, and its bigram baseline as a dotted line."""
    unit = 1 if over == "step" else 1e6
    for (name, run), color in zip(runs.items(), PALETTE, strict=False):
        points = [(each[over] / unit, each["nats per character"]) for each in run["losses"]]
        axes.plot(*zip(*points, strict=True), "o-", color=color, markersize=3, linewidth=1.2, label=name)
        axes.axhline(run["baselines"]["bigram entropy"], color=color, linewidth=0.9, linestyle=":")
    axes.text(0.99, 0.97, "dotted: bigram entropy", color=GRAY, fontsize=8.5, ha="right", va="top", transform=axes.transAxes)
    axes.set(title=f"Validation loss over {'steps' if over == 'step' else 'the characters read'}")
    axes.set(xlabel="step" if over == "step" else "characters read, in millions", ylabel="nats per character", ylim=(1.2, 3.6))
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(1.0, 0.93))


if __name__ == "__main__":
    main()
