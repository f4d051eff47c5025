"""From the settings of a pretraining run to the run."""

from dataclasses import replace
from functools import partial

import torch
from tokenizers import Tokenizer

from minibert.model import PRESETS, BertForMaskedLM, BertForPreTraining
from minibert.text.batching import batches_of
from minibert.text.pretraining import PretrainingBatch, PretrainingExamples
from minibert.text.settings import ExampleSettings
from minibert.text.tokenized import TokenizedCorpus
from minibert.training.distributed import ALONE, Processes
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.run import TrainingRun
from minibert.training.settings import Machine, Recipe
from minibert.training.tasks import MaskedLM, Pretraining

TYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}
MICRO_BATCH_ON_CPU = 16
EVALUATED_EXAMPLES, EVALUATED_AT_ONCE = 1024, 64


def pretraining_run(
    recipe: Recipe, machine: Machine, learnt: TokenizedCorpus, tokenizer: Tokenizer, processes: Processes = ALONE
) -> TrainingRun[BertForPreTraining | BertForMaskedLM, PretrainingBatch]:
    """The run at its first step."""
    config = replace(
        PRESETS[recipe.preset],
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=recipe.examples.max_length,
        hidden_dropout_prob=recipe.dropout,
        attention_probs_dropout_prob=recipe.dropout,
    )
    torch.manual_seed(recipe.seed)
    made = BertForMaskedLM(config) if recipe.examples.pairs == "none" else BertForPreTraining(config)
    model: BertForPreTraining | BertForMaskedLM = made.to(TYPES[recipe.precision])
    model.bert.recompute = machine.recompute
    if machine.compile:
        model.bert.compile(dynamic=True)
    run = TrainingRun(
        model,
        PretrainingExamples(learnt, tokenizer, recipe.examples, recipe.seed),
        Pretraining() if isinstance(model, BertForPreTraining) else MaskedLM(),
        partial(batches_of, recipe.batch_size),
        partial(adamw, learning_rate=recipe.rate, weight_decay=recipe.weight_decay),
        partial(warmup_linear, steps=recipe.steps, warmup=recipe.warmup),
        recipe.steps,
        recipe.clip,
        torch.bfloat16 if recipe.precision == "bfloat16" else None,
        machine.micro_batch_size or (MICRO_BATCH_ON_CPU if processes.device.type == "cpu" else None),
        machine.sharding,
        processes,
    )
    torch.manual_seed(recipe.seed + processes.rank)  # other dropout in each
    return run


def held_out_batches(
    recipe: Recipe, held_out: TokenizedCorpus, tokenizer: Tokenizer, most: int = EVALUATED_EXAMPLES
) -> list[PretrainingBatch]:
    """Examples to evaluate on, their pairs and masks the same for every run: nothing of the recipe is in them but the length
    and the task.

    Raises: ValueError if the held-out documents have no pairs.
    """
    settings = ExampleSettings(max_length=recipe.examples.max_length, pairs=recipe.examples.pairs)
    epoch = PretrainingExamples(held_out, tokenizer, settings, seed=0).epoch(0)
    chosen = epoch.in_batches(partial(batches_of, most))[0]
    by_length = chosen[epoch.lengths[chosen].argsort(kind="stable")]
    return [epoch.batch(by_length[start : start + EVALUATED_AT_ONCE]) for start in range(0, len(by_length), EVALUATED_AT_ONCE)]
