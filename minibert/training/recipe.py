"""From the settings of a run to the run."""

from dataclasses import replace
from functools import partial

import torch
from tokenizers import Tokenizer

from minibert.model import PRESETS, TRANSFORMERS, BertForMaskedLM, BertForPreTraining, Transformer
from minibert.text.batching import batches_by_count, batches_by_length
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.text.options import ExampleConfig
from minibert.text.parallel import ParallelBatch
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import CLS, PAD, SEP, token_id
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.optimizer import adamw, noam, warmup_linear
from minibert.training.options import DeviceOptions, PretrainingConfig, TranslationConfig
from minibert.training.run import Examples, TrainingRun
from minibert.training.tasks import MaskedLM, Pretraining, Translation

TYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}
MICRO_BATCH_ON_CPU = 16
EVALUATED_EXAMPLES, EVALUATED_AT_ONCE = 1024, 64


def pretraining_run(
    recipe: PretrainingConfig,
    machine: DeviceOptions,
    train: TokenizedCorpus,
    tokenizer: Tokenizer,
    processes: Processes = SINGLE_PROCESS,
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
        PretrainingExamples(train, tokenizer, recipe.examples, recipe.seed),
        Pretraining() if isinstance(model, BertForPreTraining) else MaskedLM(),
        partial(batches_by_count, recipe.batch_size),
        partial(adamw, learning_rate=recipe.rate, weight_decay=recipe.weight_decay),
        partial(warmup_linear, steps=recipe.steps, warmup=recipe.warmup),
        recipe.steps,
        recipe.max_grad_norm,
        torch.bfloat16 if recipe.precision == "bfloat16" else None,
        machine.micro_batch_size or (MICRO_BATCH_ON_CPU if processes.device.type == "cpu" else None),
        machine.sharding,
        processes,
    )
    torch.manual_seed(recipe.seed + processes.rank)  # other dropout in each
    return run


def transformer_run(
    recipe: TranslationConfig,
    machine: DeviceOptions,
    examples: Examples[ParallelBatch],
    tokenizer: Tokenizer,
    longest: int,
    processes: Processes = SINGLE_PROCESS,
) -> TrainingRun[Transformer, ParallelBatch]:
    """The run of an encoder-decoder at its first step, trained as in Vaswani et al. 2017, section 5.

    Args:
        longest: tokens on each side, for positions that have to be told how many there are.
    """
    config = replace(
        TRANSFORMERS[recipe.preset],
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=longest,
        hidden_dropout_prob=recipe.dropout,
        pre_norm=recipe.pre_norm,
        positions=recipe.positions,
        pad_token_id=token_id(tokenizer, PAD),
        decoder_start_token_id=token_id(tokenizer, CLS),
        eos_token_id=token_id(tokenizer, SEP),
    )
    torch.manual_seed(recipe.seed)
    model = Transformer(config).to(TYPES[recipe.precision])
    if machine.compile:
        model.encoder.compile(dynamic=True)
        model.decoder.compile(dynamic=True)
    run = TrainingRun(
        model,
        examples,
        Translation(recipe.label_smoothing),
        partial(batches_by_length, recipe.batch_tokens),
        partial(adamw, learning_rate=recipe.rate, weight_decay=0.0, betas=(0.9, 0.98), eps=1e-9),
        partial(noam, width=config.hidden_size, warmup=recipe.warmup, ends=recipe.steps if recipe.decay == "linear" else None),
        recipe.steps,
        recipe.max_grad_norm,
        torch.bfloat16 if recipe.precision == "bfloat16" else None,
        machine.micro_batch_size,
        machine.sharding,
        processes,
    )
    torch.manual_seed(recipe.seed + processes.rank)  # other dropout in each
    return run


def validation_batches(
    recipe: PretrainingConfig, validation: TokenizedCorpus, tokenizer: Tokenizer, most: int = EVALUATED_EXAMPLES
) -> list[PretrainingBatch]:
    """Examples to evaluate on, their pairs and masks the same for every run: nothing of the recipe is in them but the length
    and the task.

    Raises: ValueError if the validation documents have no pairs.
    """
    settings = ExampleConfig(max_length=recipe.examples.max_length, pairs=recipe.examples.pairs)
    epoch = PretrainingExamples(validation, tokenizer, settings, seed=0).epoch(0)
    chosen = epoch.in_batches(partial(batches_by_count, most))[0]
    by_length = chosen[epoch.lengths[chosen].argsort(kind="stable")]
    return [epoch.batch(by_length[start : start + EVALUATED_AT_ONCE]) for start in range(0, len(by_length), EVALUATED_AT_ONCE)]
