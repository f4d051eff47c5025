"""The quickstart: a small BERT is pretrained, fine-tuned and compared with one trained from scratch, on the built-in text.

This module prepares the data and the tasks. `minibert quickstart` runs them and writes the report.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from tokenizers import Tokenizer

from minibert.equations import sinusoidal_positions
from minibert.model import BertConfig, BertForPreTraining, BertForSequenceClassification
from minibert.model.attention import MultiHeadAttention
from minibert.model.heads import BertWithHead
from minibert.model.pretrained import PretrainedModel
from minibert.text.batching import batches_by_length
from minibert.text.corpus import Document
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.text.from_options import make_tokenizer
from minibert.text.labeled.text_rows import TextRow
from minibert.text.module_families import MODULE_FAMILIES, label_by_module
from minibert.text.options import ExampleConfig, VocabularyOptions
from minibert.text.pair_statistics import length_accuracy
from minibert.text.splits import split_documents, training_sentences
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import vocabulary_size
from minibert.training.checkpoints import set_seed
from minibert.training.classification import CLASSIFICATION, Classification
from minibert.training.distributed import Processes
from minibert.training.finetuning import FineTuning, with_dropout
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.options import DeviceOptions, FineTuningConfig, PretrainingConfig
from minibert.training.pretraining import PRETRAINING, PretrainingTask
from minibert.training.pretraining_objectives import PretrainingObjective
from minibert.training.pretraining_text import mlm_baselines
from minibert.training.run import TrainingRun

VOCABULARY_SIZE = 8000
EXAMPLES = ExampleConfig(max_length=64, short_seq_probability=0.0)
"""Validation examples. Shorter ones would give a lower masked-LM loss in the same time, longer ones a better encoder for
fine-tuning: predicting a word takes a few words of context, but the topic of a text shows over several sentences."""
TRAIN_EXAMPLES = replace(EXAMPLES, mlm_probability=0.3)
"""Training examples, with twice the masking of BERT: in so few steps, more targets are worth more than a more complete context
(Wettig et al. 2022). Validation uses BERT's 15%."""
TOKENS_PER_BATCH = 2048
VALIDATION_FRACTION = 0.15
EVALUATION_BATCHES = 16
"""Validation batches of the evaluations during training. The final evaluation uses all."""
PRETRAINING_LEARNING_RATE = 2e-3
BIAS_LEARNING_RATE_FACTOR = 20.0
"""Learning-rate factor of the bias of the masked-LM head, which learns the token frequencies. At the common rate, the weights
learn them first, as a direction that all hidden states share, and there is less room for the content of the text."""

Start = Literal["pretrained", "from scratch"]

TEST_TEXTS_PER_CLASS = 50
FINE_TUNING_LEARNING_RATES: dict[Start, float] = {"pretrained": 1e-3, "from scratch": 1e-3}
"""Best learning rates of 1e-3 and 2e-3 on separate modules, for both starts."""


@dataclass(frozen=True)
class CurvePoint:
    """One number of labels in the learning curve of fine-tuning, with settings that are good for it on separate modules."""

    labels_per_class: int
    epochs: float
    """Passes over the labeled texts, if there is time for all of them."""
    seeds: int
    """Number of seeds. Each has other labeled texts, and other initial weights of the head."""

    @property
    def texts(self) -> float:
        """Number of training texts in all epochs."""
        return self.epochs * self.labels_per_class * len(MODULE_FAMILIES)


LEARNING_CURVE = (CurvePoint(2, 8, 2), CurvePoint(8, 8, 2), CurvePoint(32, 4, 2), CurvePoint(256, 1.5, 1))
"""With few labels the result depends more on the seed, and a run takes less time."""
FINE_TUNING_BATCH_SIZE = 6
"""On separate modules, batches of 6 give a higher accuracy than batches of 12 in the same number of epochs."""


@dataclass(frozen=True)
class CurveRun:
    """One fine-tuning of the learning curve."""

    point: CurvePoint
    start: Start
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.start.replace(' ', '-')}-{self.point.labels_per_class}-labels-{self.seed}"


CURVE_RUNS = [
    CurveRun(point, start, seed)
    for point in LEARNING_CURVE
    for start in FINE_TUNING_LEARNING_RATES
    for seed in range(point.seeds)
]
"""All fine-tunings, in the order in which they run."""


def quickstart_config(vocab_size: int) -> BertConfig:
    """Return the config of a BERT that trains in 90 seconds on two CPU cores.

    The initial weights have a larger standard deviation than BERT's 0.02. Attention scores are sums over the hidden size; with
    this small hidden size they would be so small that attention stays uniform for most of the run. There is no dropout, because
    each text is seen only two or three times.
    """
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=EXAMPLES.max_length,
        initializer_range=0.057,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def mimetic_initialization(model: BertWithHead) -> None:
    """Initialize attention to prefer nearby and similar tokens.

    Position embeddings start as the sinusoids of the 2017 Transformer, scaled to the standard deviation of all other weights.
    Key projections start equal to query projections, so that the scores of a token are highest with similar tokens.

    Source: Trockman and Kolter 2023, "Mimetic initialization of self-attention layers".
    Differs: the paper adds noise and identity to the product of both projections, and also initializes values and output.
    """
    embeddings, std = model.bert.embeddings.positions.weight, model.config.initializer_range
    positions = torch.arange(len(embeddings), dtype=embeddings.dtype)
    with torch.no_grad():
        embeddings.copy_(math.sqrt(2) * std * sinusoidal_positions(positions, embeddings.shape[-1]))
        for module in model.modules():
            if isinstance(module, MultiHeadAttention):
                module.key.weight.copy_(module.query.weight)


@dataclass(frozen=True)
class QuickstartData:
    """Training and validation documents, from different modules, and their tokens."""

    tokenizer: Tokenizer
    train_documents: list[Document]
    validation_documents: list[Document]
    train: TokenizedCorpus
    validation: TokenizedCorpus

    @property
    def baselines(self) -> dict[str, float]:
        """Validation losses of masked language modeling without context, in nats."""
        return mlm_baselines(self.train, self.validation, self.tokenizer)

    @property
    def length_accuracy(self) -> float | None:
        """Accuracy of next-sentence prediction from segment lengths alone."""
        return length_accuracy(self.train, self.validation, EXAMPLES)

    @property
    def digest(self) -> str:
        """Hash of the training tokens."""
        return hashlib.sha256(self.train.ids.tobytes()).hexdigest()[:16]


def train_vocabulary(documents: Sequence[Document], size: int = VOCABULARY_SIZE) -> Tokenizer:
    """Train a WordPiece vocabulary on the training documents."""
    return make_tokenizer(VocabularyOptions(vocab_size=size), training_sentences(documents, VALIDATION_FRACTION))


def tokenize(documents: Sequence[Document], tokenizer: Tokenizer) -> QuickstartData:
    """Split the documents by module and tokenize both parts."""
    train, validation = split_documents(documents, VALIDATION_FRACTION)
    return QuickstartData(
        tokenizer,
        train,
        validation,
        TokenizedCorpus.from_documents(train, tokenizer),
        TokenizedCorpus.from_documents(validation, tokenizer),
    )


@dataclass(frozen=True)
class QuickstartPretraining(PretrainingTask):
    """Pretraining with the quickstart's model, initialization and batches."""

    def make_run(self, device_options: DeviceOptions, processes: Processes) -> TrainingRun[PretrainedModel, PretrainingBatch]:
        set_seed(self.config.seed)
        model = BertForPreTraining(quickstart_config(vocabulary_size(self.tokenizer)))
        mimetic_initialization(model)
        factors = {"mlm.bias": BIAS_LEARNING_RATE_FACTOR}
        return TrainingRun(
            model,
            PretrainingExamples(self.train, self.tokenizer, self.config.examples, self.config.seed),
            PretrainingObjective(),
            batch_sampler=partial(batches_by_length, max_tokens=TOKENS_PER_BATCH),
            optimizer=partial(
                adamw,
                learning_rate=self.config.peak_learning_rate,
                weight_decay=self.config.weight_decay,
                betas=(0.9, 0.98),
                learning_rate_factors=factors,
            ),
            schedule=partial(warmup_linear, steps=self.config.steps),
            steps=self.config.steps,
            micro_batch_size=device_options.micro_batch_size,
            processes=processes,
        )


def pretraining_task(data: QuickstartData, steps: int, seed: int) -> QuickstartPretraining:
    """Create the pretraining task of the quickstart."""
    config = PretrainingConfig(
        steps=steps, learning_rate=PRETRAINING_LEARNING_RATE, dropout=0.0, seed=seed, examples=TRAIN_EXAMPLES
    )
    training = {name: value for name, value in asdict(config).items() if name not in ("preset", "batch_size")}
    return QuickstartPretraining(
        config,
        data.tokenizer,
        data.train,
        quickstart_validation_batches(data, seed)[:EVALUATION_BATCHES],
        data.baselines,
        settings={
            "task": PRETRAINING.task,
            "training": {"preset": "quickstart", "batch_tokens": TOKENS_PER_BATCH, **training},
            "corpus": {"validation_fraction": VALIDATION_FRACTION, "digest": data.digest},
        },
        summary=f"  vocabulary: {vocabulary_size(data.tokenizer):,}; {len(data.train.ids):,} training tokens",
    )


def quickstart_validation_batches(data: QuickstartData, seed: int) -> list[PretrainingBatch]:
    """Create batches of all validation examples, with BERT's sentence pairs and masks."""
    epoch = PretrainingExamples(data.validation, data.tokenizer, EXAMPLES, seed).epoch(0)
    return [epoch.batch(indices) for indices in epoch.batch_indices(partial(batches_by_length, max_tokens=TOKENS_PER_BATCH))]


def fine_tuning_task(
    encoder: BertForPreTraining, run: CurveRun, data: QuickstartData, epoch_factor: float = 1.0
) -> FineTuning[TextRow]:
    """Create one fine-tuning task: which module family is this docstring from?

    The texts of a seed are the same for both starts, and those of fewer labels are among those of more.

    Args:
        encoder: the pretrained model. Training from scratch uses only its config.
        epoch_factor: factor on the number of epochs.
    """
    config = FineTuningConfig(
        epochs=epoch_factor * run.point.epochs,
        batch_size=FINE_TUNING_BATCH_SIZE,
        learning_rate=FINE_TUNING_LEARNING_RATES[run.start],
        dropout=0.0,
        seed=run.seed,
    )
    task_type = Classification(tuple(MODULE_FAMILIES), max_length=EXAMPLES.max_length)
    texts = label_by_module(data.train_documents, run.point.labels_per_class, np.random.default_rng(run.seed))
    new_model = partial(new_classifier, encoder, run.start, task_type, config)
    task = FineTuning(task_type, config, new_model, data.tokenizer, texts, test_texts(data))
    settings: dict[str, Any] = {
        "task": CLASSIFICATION.task,
        "training": {
            "start": run.start,
            "labels_per_class": run.point.labels_per_class,
            "steps": task.steps,
            **asdict(config),
        },
        "corpus": {"validation_fraction": VALIDATION_FRACTION, "digest": data.digest},
    }
    return replace(task, settings=settings)


def new_classifier(
    encoder: BertForPreTraining, start: Start, task_type: Classification, config: FineTuningConfig
) -> BertForSequenceClassification:
    """Create the network to fine-tune: the pretrained encoder, or initial weights, with a new classification head."""
    model = BertForSequenceClassification(with_dropout(task_type.model_config(encoder.config), config.dropout))
    mimetic_initialization(model)
    if start == "pretrained":
        model.bert.load_state_dict(encoder.bert.state_dict())
    return model


def test_texts(data: QuickstartData) -> list[TextRow]:
    """Select the labeled test texts, the same for all seeds."""
    return label_by_module(data.validation_documents, TEST_TEXTS_PER_CLASS, np.random.default_rng(0))


def majority_accuracy(texts: Iterable[TextRow]) -> float:
    """Compute the accuracy of always predicting the most frequent class."""
    counts = Counter(text.label for text in texts)
    return max(counts.values()) / counts.total()
