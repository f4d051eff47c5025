"""Training the Transformer of 2017 (Vaswani et al. 2017, section 5) on parallel text."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from minibert.equations import IGNORE_INDEX
from minibert.model import TRANSFORMERS, Transformer
from minibert.model.modes import evaluation_mode
from minibert.printable import printable
from minibert.text.batching import Examples, batches_by_length
from minibert.text.file_formats import CorpusError
from minibert.text.from_options import tokenizer_in
from minibert.text.options import ParallelTextOptions, VocabularyOptions
from minibert.text.parallel import (
    ParallelBatch,
    ParallelEpoch,
    ParallelExamples,
    ParallelText,
    read_parallel,
    split_parallel,
)
from minibert.text.spacing import SPACING_FILE, Spacing
from minibert.text.tokenizer import (
    CLS,
    PAD,
    SEP,
    token_id,
    vocabulary_size,
)
from minibert.text.unknown import count_unknown
from minibert.training.checkpoints import set_seed
from minibert.training.costs import translation_cost
from minibert.training.decoding import (
    as_the_tokenizer_writes,
    bleu,
    round_trip,
    similar_lengths,
    translate,
)
from minibert.training.distributed import SINGLE_PROCESS, Processes, reshard
from minibert.training.objective import LossSum, count_targets
from minibert.training.optimizer import adamw, noam
from minibert.training.options import DeviceOptions, TranslationConfig
from minibert.training.preparation import prepare_model
from minibert.training.records import Column, Evaluation, TaskMetrics, format_metric, validation_entry
from minibert.training.run import TrainingRun
from minibert.training.translation_text import describe_parallel

TARGET_COLUMNS = (
    Column("target loss", "validation_target_loss", ".3f", higher_is_better=False),
    Column("target acc.", "validation_target_accuracy", ".1%"),
)
BLEU = Column("BLEU", "validation_bleu", ".1f")
BLEU_CEILING = Column("BLEU ceiling", "validation_bleu_ceiling", ".1f")
TRANSLATION = TaskMetrics("translation", "target", (*TARGET_COLUMNS, BLEU, BLEU_CEILING), curve=BLEU)


@dataclass(frozen=True)
class TranslationObjective:
    """Prediction of each target token from the source and the target tokens before it (Vaswani et al. 2017, section 5).

    Tests: tests/training/test_translation.py::TestTranslationObjective
    """

    label_smoothing: float = 0.1
    """Share of the target probability that is spread over the vocabulary (section 5.4); 0 in evaluation."""

    def target_counts(self, batch: ParallelBatch) -> dict[str, Tensor]:
        return {"target": count_targets(batch.labels)}

    def loss_sums(self, model: nn.Module, batch: ParallelBatch) -> dict[str, LossSum]:
        output = model(
            batch.input_ids,
            batch.sequences or batch.attention_mask,
            batch.decoder_input_ids,
            labels=batch.labels,
            label_smoothing=self.label_smoothing,
        )
        return {"target": LossSum(output.loss_sum, output.correct)}


@dataclass(frozen=True)
class TranslationTask:
    """Training an encoder-decoder, with its prepared data."""

    metrics: TaskMetrics
    config: TranslationConfig
    tokenizer: Tokenizer
    train: Examples[ParallelBatch]
    validation: list[ParallelBatch]
    """Validation batches; empty if there is no validation text."""
    validation_text: ParallelText
    """Validation text. Its targets have the characters that the tokenizer writes: lower-case letters, for example."""
    max_length: int
    """Maximum number of tokens of a source or a target."""
    score_outputs: Callable[[Sequence[str], Sequence[str]], float | None]
    """Function of outputs and targets that computes the metric `metrics.curve`; None if it is not available."""
    settings: dict[str, Any]
    summary: str
    spacing: Spacing | None = None
    """Spaces between the words of outputs; see `decoding.translate`."""
    bleu_ceiling: float | None = None
    """BLEU of the validation targets themselves, tokenized and decoded: that of a perfect model."""

    @property
    def baselines(self) -> dict[str, float]:
        return {"ln V": math.log(vocabulary_size(self.tokenizer))}

    def make_run(self, device_options: DeviceOptions, processes: Processes) -> TrainingRun[Transformer, ParallelBatch]:
        run = translation_run(self.config, device_options, self.train, self.tokenizer, self.max_length, processes)
        if self.spacing is not None:
            run.extra_files[SPACING_FILE] = self.spacing.to_json()
        return run

    def cost(self, run: TrainingRun[Any, ParallelBatch]) -> tuple[int, int]:
        return translation_cost(run.model.config, run.last_batches)

    @property
    def main_metric(self) -> Column | None:
        return self.metrics.columns[0] if self.validation else None

    def evaluate(self, run: TrainingRun[Any, ParallelBatch]) -> Evaluation | None:
        if not self.validation:
            return None
        scores = run.evaluate(self.validation, TranslationObjective(label_smoothing=0.0))
        if not (entry := validation_entry(scores)):
            return Evaluation({}, "the loss is not finite")
        with evaluation_mode(run.model):
            outputs = translate(run.model, self.tokenizer, self.validation_text.sources, beams=1, spacing=self.spacing)
        reshard(run.model)
        loss, accuracy = format_metric(scores["target"].loss, ".3f"), format_metric(scores["target"].accuracy, ".1%")
        line = f"loss {loss} nats, token accuracy {accuracy}"
        column = self.metrics.curve
        assert column is not None
        if (score := self.score_outputs(outputs, self.validation_text.targets)) is None:
            return Evaluation(entry, f"{line} (no {column.heading}: pip install 'minibert[translation]')")
        entry[column.metric] = score
        ceiling = ""
        if self.bleu_ceiling is not None:
            entry[BLEU_CEILING.metric] = self.bleu_ceiling
            ceiling = f" of at most {self.bleu_ceiling:{column.form}}"
        return Evaluation(entry, f"{line}, {column.heading} {score:{column.form}}{ceiling} (greedy)")

    def describe(self, batches: Sequence[ParallelBatch]) -> list[str]:
        def tokens(ids: list[int]) -> str:
            return " ".join(str(self.tokenizer.id_to_token(number)) for number in ids)

        return [
            f"source: {tokens(ids[keep].tolist())}\ntarget: {tokens(labels[labels != IGNORE_INDEX].tolist())}"
            for batch in batches
            for ids, keep, labels in zip(batch.input_ids, batch.attention_mask, batch.labels, strict=True)
        ]


def prepare_translation(
    text: ParallelTextOptions,
    vocabulary: VocabularyOptions,
    config: TranslationConfig,
    directory: Path,
    create_tokenizer: bool = True,
) -> TranslationTask:
    """Read parallel text, train one vocabulary on both sides (Vaswani et al. 2017, section 5.1), and tokenize.

    Args:
        directory: folder of the tokenizer.
        create_tokenizer: True to create the tokenizer even if the folder has one.

    Raises: ValueError for text and tokenizers that cannot be used, FileNotFoundError if they do not exist.
    """
    whole = read_parallel(text.text)
    train, validation = (
        (whole, read_parallel(text.validation)) if text.validation else split_parallel(whole, text.validation_fraction)
    )
    if not len(train):
        raise CorpusError(f"{text.text[0]}: no pair is left for training, all are used for validation")
    train = replace(train, skipped=whole.skipped)
    both_sides = [*train.sources, *train.targets]  # they share one embedding
    tokenizer = tokenizer_in(directory, vocabulary, both_sides, create_tokenizer)
    examples = ParallelExamples(train, tokenizer, config.seed, text.max_length, config.batch_tokens)
    held_out = ParallelExamples(validation, tokenizer, 0, text.max_length)
    for split, files in ((examples, text.text), (held_out, text.validation)):
        if files and not split.sources:
            raise CorpusError(f"{files[0]}: no pair can be used; there are {split.describe_skipped()}")
    unknown = [count_unknown(texts, tokenizer) for texts in (examples.text.sources, examples.text.targets)]
    for file, side in zip((text.text[0], text.text[-1]), unknown, strict=True):
        try:
            side.check()
        except ValueError as error:
            raise CorpusError(f"{file}: {error}") from None
    spacing = Spacing.learn(examples.text.targets, tokenizer)
    targets = [as_the_tokenizer_writes(target, tokenizer) for target in held_out.text.targets]
    bleu_ceiling = bleu(round_trip(targets, tokenizer, spacing), targets) if targets else None
    facts = describe_parallel(examples, held_out, unknown, tokenizer, bleu_ceiling)
    return TranslationTask(
        TRANSLATION,
        config,
        tokenizer,
        examples,
        validation_batches(held_out.epoch(0)),
        replace(held_out.text, targets=targets),
        text.max_length,
        bleu,
        translation_settings(text, vocabulary, config, examples),
        "\n  ".join([f"Text: {printable(corpus_name(text))}", *facts]),
        spacing,
        bleu_ceiling,
    )


def corpus_name(text: ParallelTextOptions) -> str:
    """Return the names of the files with the training text."""
    return " and ".join(path.name for path in text.text)


def translation_settings(
    text: ParallelTextOptions, vocabulary: VocabularyOptions, config: TranslationConfig, examples: ParallelExamples
) -> dict[str, Any]:
    """Collect everything that determines the results of a run, for run.json."""
    return {
        "task": TRANSLATION.task,
        "training": asdict(config),
        "vocabulary": asdict(vocabulary),
        "corpus": {
            "name": corpus_name(text),
            "validation": [path.name for path in text.validation] or text.validation_fraction,
            "pairs": len(examples.sources),
            "digest": hashlib.sha256(json.dumps([examples.sources, examples.targets]).encode()).hexdigest()[:16],
            "max_length": text.max_length,
        },
    }


def validation_batches(epoch: ParallelEpoch) -> list[ParallelBatch]:
    """Create batches of all validation examples, of similar lengths."""
    return [epoch.batch(indices) for indices in similar_lengths(epoch.lengths_by_side)]


def translation_run(
    config: TranslationConfig,
    device_options: DeviceOptions,
    examples: Examples[ParallelBatch],
    tokenizer: Tokenizer,
    max_length: int,
    processes: Processes = SINGLE_PROCESS,
) -> TrainingRun[Transformer, ParallelBatch]:
    """Create a run at its first step, with the training of Vaswani et al. 2017, section 5.

    Args:
        max_length: maximum number of tokens of a source or a target; the number of learned positions.
    """
    model_config = replace(
        TRANSFORMERS[config.preset],
        vocab_size=vocabulary_size(tokenizer),
        max_position_embeddings=max_length,
        hidden_dropout_prob=config.dropout,
        pre_norm=config.pre_norm,
        positions=config.positions,
        pad_token_id=token_id(tokenizer, PAD),
        decoder_start_token_id=token_id(tokenizer, CLS),
        eos_token_id=token_id(tokenizer, SEP),
    )
    torch.manual_seed(config.seed)
    model = prepare_model(Transformer(model_config), config.precision, device_options)
    run = TrainingRun(
        model,
        examples,
        TranslationObjective(config.label_smoothing),
        batch_sampler=partial(batches_by_length, max_tokens=config.batch_tokens),
        optimizer=partial(adamw, learning_rate=config.learning_rate_factor, weight_decay=0.0, betas=(0.9, 0.98), eps=1e-9),
        schedule=partial(
            noam,
            width=model_config.hidden_size,
            warmup_steps=config.warmup_steps,
            linear_decay_steps=config.steps if config.decay == "linear" else None,
        ),
        steps=config.steps,
        max_grad_norm=config.max_grad_norm,
        autocast_dtype=torch.bfloat16 if config.precision == "bfloat16" else None,
        micro_batch_size=device_options.micro_batch_size,
        sharding=device_options.sharding,
        processes=processes,
    )
    set_seed(config.seed + processes.rank)  # different dropout in each process
    return run
