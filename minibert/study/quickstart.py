"""The first run: a small BERT pretrained, fine-tuned and compared, on text that every machine has.

Each function is one stage. They are put together, with progress and a report, by `minibert quickstart`.
"""

import json
import math
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from tokenizers import Tokenizer

from minibert.equations import sinusoidal_positions
from minibert.files import cache_directory, write_atomically
from minibert.model import BertConfig, BertForPreTraining, BertForSequenceClassification
from minibert.model.attention import MultiHeadAttention
from minibert.text.batching import batches_by_length
from minibert.text.corpus import Corpus, Document
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.text.labeled import MODULE_FAMILIES, ClassificationBatch, LabeledText, classification_batches, module_families
from minibert.text.options import ExampleConfig, VocabularyOptions
from minibert.text.source import make_tokenizer
from minibert.text.splits import split_documents
from minibert.text.tokenized import TokenizedCorpus
from minibert.training.baselines import baselines
from minibert.training.loop import evaluate, train
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.run import TrainingRun
from minibert.training.tasks import Classification, Pretraining

VOCABULARY_SIZE = 8000
EXAMPLES = ExampleConfig(max_length=64, short_share=0.0)
"""Shorter examples lower the masked-LM loss further in the same time, and longer ones teach more that fine-tuning
can use: what a text is about shows over several sentences, what word comes next in a few words."""
TOKENS_PER_BATCH = 2048
VALIDATION_SHARE = 0.15
TRAIN_MASKED_SHARE = 0.3
"""Twice what BERT masks: in so few steps, more guesses from the same text are worth more than a fuller context around each
(Wettig et al. 2022). What is held out is measured at BERT's 15%."""
PRETRAINING_RATE = 2e-3
BIAS_RATE = 20.0
"""How many times faster the masked-LM head's bias learns: how frequent each piece is. Left to the slower weights, that becomes
one direction which all hidden states share, and what a text is about has less room in them."""

Start = Literal["pretrained", "from scratch"]

LABELS_PER_CLASS = 8
TEST_TEXTS_PER_CLASS = 50
FINE_TUNING_BATCH = 512
FINE_TUNING_RATE: dict[Start, float] = {"pretrained": 1e-3, "from scratch": 1e-3}
"""What did best on modules set apart from the learned ones: of 5e-4 and 1e-3, and from scratch of 5e-4, 1e-3 and 2e-3."""
FINE_TUNING_SEEDS = (0, 1, 2)

PRETRAINING_SHARE = 0.7
FINE_TUNING_SHARE = 0.15
"""Of the time; the rest is for gathering the text, learning the vocabulary, evaluations and figures."""
MOST_EPOCHS = 8
"""The same for both starts. With twice as many the one from scratch comes nearer: it has read the few texts more often."""
REHEARSED_STEPS = 24


def quickstart_config(vocabulary_size: int) -> BertConfig:
    """A BERT that two cores can teach something in a minute and a half.

    The weights start with a larger spread than BERT's 0.02: scores are sums over the width, and at this width they would
    start so small that attention stays even for most of such a short run. Dropout would only slow down who sees a text
    two or three times.
    """
    return BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=EXAMPLES.max_length,
        initializer_range=0.057,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def mimetic_initialization(model: BertForPreTraining | BertForSequenceClassification) -> None:
    """Lets attention begin with what it would have to find out first: who is near, and who is alike.

    Positions start as the sinusoids of the 2017 Transformer, of which a distance is a rotation, with the spread of all
    other weights; they are learned from there. Keys are projected as queries are, so a token's scores are highest with tokens
    like itself.

    Source: Trockman and Kolter 2023, "Mimetic initialization of self-attention layers".
    Differs: they mix noise and identity to the product of both projections, and set the one of values and output too.
    """
    embeddings, spread = model.bert.embeddings.positions.weight, model.config.initializer_range
    places = torch.arange(len(embeddings), dtype=embeddings.dtype)
    with torch.no_grad():
        embeddings.copy_(math.sqrt(2) * spread * sinusoidal_positions(places, embeddings.shape[-1]))
        for module in model.modules():
            if isinstance(module, MultiHeadAttention):
                module.key.weight.copy_(module.query.weight)


@dataclass(frozen=True)
class QuickstartData:
    """What the run learns from and what it is measured on: documents of different modules."""

    tokenizer: Tokenizer
    train_documents: list[Document]
    validation_documents: list[Document]
    train: TokenizedCorpus
    validation: TokenizedCorpus

    @property
    def baselines(self) -> dict[str, float]:
        """Held-out losses that can be had without reading context, in nats."""
        return baselines(self.train, self.validation, self.tokenizer)


def learn_vocabulary(documents: Sequence[Document], size: int = VOCABULARY_SIZE) -> Tokenizer:
    """A WordPiece vocabulary from the documents that are not held out."""
    return make_tokenizer(VocabularyOptions(vocab_size=size), Corpus("", "", documents), VALIDATION_SHARE)


def tokenize(documents: Sequence[Document], tokenizer: Tokenizer) -> QuickstartData:
    """Splits the documents by module and encodes both parts."""
    train, validation = split_documents(documents, VALIDATION_SHARE)
    return QuickstartData(
        tokenizer,
        train,
        validation,
        TokenizedCorpus.from_documents(train, tokenizer),
        TokenizedCorpus.from_documents(validation, tokenizer),
    )


def pretraining_run(material: QuickstartData, steps: int, seed: int) -> TrainingRun[BertForPreTraining, PretrainingBatch]:
    """The pretraining of the first run, before its first step."""
    torch.manual_seed(seed)
    model = BertForPreTraining(quickstart_config(material.tokenizer.get_vocab_size()))
    mimetic_initialization(model)
    return TrainingRun(
        model,
        PretrainingExamples(material.train, material.tokenizer, replace(EXAMPLES, masked_share=TRAIN_MASKED_SHARE), seed),
        Pretraining(),
        partial(batches_by_length, TOKENS_PER_BATCH),
        partial(adamw, learning_rate=PRETRAINING_RATE, betas=(0.9, 0.98), learning_rate_factors={"mlm.bias": BIAS_RATE}),
        partial(warmup_linear, steps=steps),
        steps,
    )


def validation_batches(material: QuickstartData, seed: int) -> list[PretrainingBatch]:
    """Everything held out, with the pairs and masks that BERT would have."""
    epoch = PretrainingExamples(material.validation, material.tokenizer, EXAMPLES, seed).epoch(0)
    return [epoch.batch(chosen) for chosen in epoch.in_batches(partial(batches_by_length, TOKENS_PER_BATCH))]


@dataclass(frozen=True)
class Plan:
    """How much is done; decided before the work begins, and kept when it is taken up again."""

    steps: int
    """Updates in pretraining."""
    epochs: int
    """Times that each fine-tuning sees its labeled texts."""


def plan(material: QuickstartData, seconds: float, seed: int) -> Plan:
    """As much as this machine can do in `seconds`, by its speed in a short rehearsal.

    The speed is measured once and then remembered in the cache, since the same seed is to give the same numbers again.
    """
    machine = f"{platform.node()}-{torch.get_num_threads()}-torch-{torch.__version__}"
    cache = cache_directory() / f"speed-{machine}.json"
    if not cache.is_file():
        write_atomically(cache, json.dumps({"seconds_per_step": _rehearse(material, seed)}))
    seconds_per_step = json.loads(cache.read_text(encoding="utf-8"))["seconds_per_step"]
    steps_affordable = seconds / seconds_per_step
    epoch_costs = len(FINE_TUNING_SEEDS) * 2 * 2  # in pretraining steps: the texts of an epoch, for every seed and start
    return Plan(
        steps=max(8, round(PRETRAINING_SHARE * steps_affordable)),
        epochs=min(MOST_EPOCHS, max(1, int(FINE_TUNING_SHARE * steps_affordable / epoch_costs))),
    )


def _rehearse(material: QuickstartData, seed: int) -> float:
    """The median time of a pretraining step, in seconds."""
    rehearsal = pretraining_run(material, REHEARSED_STEPS, seed)
    times = [time.perf_counter() for _ in rehearsal.run()]
    return float(np.median(np.diff(times)[REHEARSED_STEPS // 4 :]))


@dataclass(frozen=True)
class LabeledTask:
    """Which module family does this docstring come from? Few labels to learn from, other modules to be tested on."""

    train: list[LabeledText]
    test: list[LabeledText]

    @classmethod
    def draw(cls, material: QuickstartData, seed: int) -> "LabeledTask":
        """The texts to learn from differ from seed to seed; those of the test are always the same."""
        return cls(
            module_families(material.train_documents, LABELS_PER_CLASS, np.random.default_rng(seed)),
            module_families(material.validation_documents, TEST_TEXTS_PER_CLASS, np.random.default_rng(0)),
        )

    def majority_accuracy(self) -> float:
        """Accuracy of who always names the most frequent class."""
        return max(Counter(example.label for example in self.test).values()) / len(self.test)


def fine_tune(
    encoder: BertForPreTraining,
    start: Start,
    material: QuickstartData,
    seed: int,
    epochs: int,
    after_step: Callable[[], object] = lambda: None,
) -> float:
    """Fine-tunes a classifier and returns its accuracy on the test.

    Args:
        encoder: the pretrained model; what starts from scratch takes only its sizes, and starts as it did.
        seed: which labels there are, how the classifier starts (and the rest, from scratch), order and dropout.
        after_step: called after every step; what it raises ends the work.
    """
    torch.manual_seed(seed)
    task = LabeledTask.draw(material, seed)
    config = replace(encoder.config, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    model = BertForSequenceClassification(config.with_labels(list(MODULE_FAMILIES)))
    mimetic_initialization(model)
    if start == "pretrained":
        model.bert.load_state_dict(encoder.bert.state_dict())

    def batches(examples: list[LabeledText], tokens: int, epoch: int) -> list[ClassificationBatch]:
        generator = np.random.default_rng([seed, epoch])
        return classification_batches(examples, material.tokenizer, EXAMPLES.max_length, tokens, generator)

    steps = [[batch] for epoch in range(epochs) for batch in batches(task.train, FINE_TUNING_BATCH, epoch)]
    optimizer = adamw(model, FINE_TUNING_RATE[start])
    for _ in train(model, steps, Classification(), optimizer, warmup_linear(optimizer, len(steps))):
        after_step()
    return evaluate(model, batches(task.test, TOKENS_PER_BATCH, 0), Classification())["classification"].accuracy
