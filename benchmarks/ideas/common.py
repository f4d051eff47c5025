"""The common parts of the experiments: text, trained models, and the file, the table and the figure of a result.

The text is that of the quickstart, the docstrings of Python and torch, and so are the labels: the family of modules that a
docstring is from. The models have 4 layers of width 128 with 4 heads. Trained models are kept in runs/ideas and used again.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from scipy.stats import ttest_rel

from minibert.model import BertConfig, BertForPreTraining, BertForSequenceClassification
from minibert.model.checkpoints.loading import load
from minibert.model.pretrained import PretrainedModel
from minibert.study.drawing import figure
from minibert.study.drawing import save as save_figure
from minibert.study.quickstart import (
    BIAS_LEARNING_RATE_FACTOR,
    PRETRAINING_LEARNING_RATE,
    TOKENS_PER_BATCH,
    TRAIN_EXAMPLES,
    QuickstartData,
    mimetic_initialization,
    quickstart_config,
    test_texts,
    tokenize,
    train_vocabulary,
)
from minibert.text.batching import batches_by_length
from minibert.text.builtin import builtin_corpus
from minibert.text.examples import PretrainingExamples
from minibert.text.labeled.text_rows import TextRow
from minibert.text.module_families import MODULE_FAMILIES, label_by_module
from minibert.text.tokenizer import vocabulary_size
from minibert.training.checkpoints import set_seed
from minibert.training.classification import Classification
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.finetuning import FineTuning
from minibert.training.logits import predict
from minibert.training.objective import Objective
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.options import DeviceOptions, FineTuningConfig
from minibert.training.pretraining_objectives import PretrainingObjective
from minibert.training.run import TrainingRun

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "runs" / "ideas"
SEEDS = (0, 1, 2)
STEPS = 1000
BIASES = ("mlm.bias", "generator.mlm.bias")
"""Biases of masked-LM heads, whose learning rate is higher."""
LABELS_PER_CLASS = 100
TASK = Classification(tuple(MODULE_FAMILIES), max_length=TRAIN_EXAMPLES.max_length)


@cache
def data() -> QuickstartData:
    """Return the tokenized text."""
    documents = list(builtin_corpus().documents)
    return tokenize(documents, train_vocabulary(documents))


def model_config(**changes: Any) -> BertConfig:
    """Return the config of the models."""
    config = quickstart_config(vocabulary_size(data().tokenizer))
    return replace(config, num_hidden_layers=4, num_attention_heads=4, **changes)


def pretrained(seed: int) -> BertForPreTraining:
    """Pretrain a model with the settings of the quickstart, or load it if that has been done."""
    folder = MODELS / f"bert-{seed}"
    if (folder / "model.safetensors").is_file():
        return load(folder, BertForPreTraining)
    set_seed(seed)
    model = BertForPreTraining(model_config())
    mimetic_initialization(model)
    examples = PretrainingExamples(data().train, data().tokenizer, TRAIN_EXAMPLES, seed)
    train_on_text(model, examples, PretrainingObjective(), STEPS)
    model.save_pretrained(folder)
    return model


def train_on_text(
    model: PretrainedModel,
    examples: PretrainingExamples,
    objective: Objective[Any],
    steps: int,
    max_tokens: int = TOKENS_PER_BATCH,
    learning_rate: float = PRETRAINING_LEARNING_RATE,
) -> None:
    """Pretrain a network with the settings of the quickstart.

    Args:
        max_tokens: tokens of a batch.
        learning_rate: its maximum, after the warm-up.
    """
    run = TrainingRun(
        model,
        examples,
        objective,
        batch_sampler=partial(batches_by_length, max_tokens=max_tokens),
        optimizer=partial(
            adamw,
            learning_rate=learning_rate,
            betas=(0.9, 0.98),
            learning_rate_factors=dict.fromkeys(BIASES, BIAS_LEARNING_RATE_FACTOR),
        ),
        schedule=partial(warmup_linear, steps=steps),
        steps=steps,
        processes=SINGLE_PROCESS,
    )
    finish(run)


def finish(run: TrainingRun[Any, Any]) -> None:
    """Run all steps."""
    for _ in run.run():
        pass


def labeled(per_class: int, seed: int) -> list[TextRow]:
    """Draw training texts. Those of fewer labels are among those of more."""
    return label_by_module(data().train_documents, per_class, np.random.default_rng(seed))


@cache
def tests() -> list[TextRow]:
    """Return the test texts, the same for all seeds."""
    return test_texts(data())


def fine_tuned(
    start: PretrainedModel,
    seed: int,
    rows: Sequence[TextRow],
    task: Classification = TASK,
    epochs: float = 4,
    learning_rate: float = 1e-3,
    **settings: Any,
) -> BertForSequenceClassification:
    """Fine-tune a pretrained model, or go on with a classifier of the same classes."""
    config = FineTuningConfig(epochs=epochs, batch_size=16, learning_rate=learning_rate, dropout=0.0, seed=seed, **settings)

    def new_model() -> BertForSequenceClassification:
        model = BertForSequenceClassification(task.model_config(start.config))
        if isinstance(start, BertForSequenceClassification):
            model.load_state_dict(start.state_dict())
        else:
            model.bert.load_state_dict(start.bert.state_dict(), strict=False)  # a masked-LM network has no pooler
        return model

    run = FineTuning(task, config, new_model, data().tokenizer, rows, []).make_run(DeviceOptions(), SINGLE_PROCESS)
    finish(run)
    return run.model


def classifier(seed: int) -> BertForSequenceClassification:
    """Fine-tune the pretrained model of a seed on the task, or load it if that has been done."""
    folder = MODELS / f"classifier-{seed}"
    if not (folder / "model.safetensors").is_file():
        fine_tuned(pretrained(seed), seed, labeled(LABELS_PER_CLASS, seed)).save_pretrained(folder)
    return load(folder, BertForSequenceClassification)


def accuracy(model: BertForSequenceClassification, rows: Sequence[TextRow] | None = None, task: Classification = TASK) -> float:
    """Return the share of texts whose class is predicted, by default of the test texts."""
    rows = tests() if rows is None else rows
    predictions = predict(model, task, rows, data().tokenizer)
    return sum(found["label"] == row.label for found, row in zip(predictions, rows, strict=True)) / len(rows)


@dataclass(frozen=True)
class Row:
    """One line of a table: a setting, and its value with each seed."""

    setting: dict[str, str | float]
    values: dict[str, list[float]]

    def mean(self, name: str) -> float:
        """Return the mean over the seeds."""
        return statistics.mean(self.values[name])

    def shown(self, name: str, form: str) -> str:
        """Return mean and standard deviation as text."""
        numbers = self.values[name]
        deviation = f" ± {statistics.stdev(numbers):{form}}" if len(numbers) > 1 else ""
        return f"{self.mean(name):{form}}{deviation}"


def change(row: Row, base: Row, name: str, form: str = "+.3f", factor: float = 1.0) -> str:
    """Return the mean difference between two settings as text, with a star if it is significant; see `STAR`."""
    pairs = [*zip(row.values[name], base.values[name], strict=True)]
    mean = factor * statistics.mean(one - other for one, other in pairs)
    is_clear = len({one - other for one, other in pairs}) > 1 and ttest_rel(*zip(*pairs, strict=True)).pvalue < 0.05
    return f"{mean:{form}}{'*' if is_clear else ''}"


STAR = "A star means p < 0.05 in a paired t-test over the seeds; the other differences may be due to chance."


@dataclass(frozen=True)
class Result:
    """The result of an experiment."""

    name: str
    title: str
    question: str
    paper: str
    """Results of the paper."""
    rows: list[Row]
    forms: dict[str, str]
    """Names of the values in the table, with their formats."""
    finding: Callable[[list[Row]], str] = field(repr=False, default=lambda rows: "")
    """A function that describes the rows in sentences."""

    def table(self) -> str:
        """Return the table as Markdown."""
        heads = [*self.rows[0].setting, *self.forms]
        lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        for row in self.rows:
            cells = [str(value) if isinstance(value, str) else f"{value:g}" for value in row.setting.values()]
            lines.append("| " + " | ".join([*cells, *(row.shown(name, form) for name, form in self.forms.items())]) + " |")
        return "\n".join(lines)

    def save(self, *charts: Callable[[Axes], None]) -> None:
        """Write the numbers, the section of the page, and the figure."""
        folder = Path(__file__).parent
        section = "\n\n".join([self.question, self.paper, self.table(), self.finding(self.rows)])
        stored = {
            "title": self.title,
            "torch": torch.__version__,
            "seeds": list(SEEDS),
            "section": section,
            "rows": [asdict(row) for row in self.rows],
        }
        (folder / f"{self.name}.json").write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        save_figure(figure(*charts, size=(4.2, 3.4)), ROOT / "docs" / "ideas" / f"{self.name}.png")
        print(section)


def curve(axes: Axes, xs: Iterable[float], rows: Sequence[Row], name: str, label: str) -> None:
    """Draw the means of some rows, with one standard deviation as a band."""
    means = np.array([row.mean(name) for row in rows])
    deviations = np.array([statistics.stdev(row.values[name]) for row in rows])
    (line,) = axes.plot([*xs], means, "o-", markersize=3, label=label)
    axes.fill_between([*xs], means - deviations, means + deviations, alpha=0.15, color=line.get_color())


def bars(axes: Axes, labels: Sequence[str], rows: Sequence[Row], name: str) -> None:
    """Draw the means of some rows as bars, with one standard deviation."""
    deviations = [statistics.stdev(row.values[name]) for row in rows]
    axes.barh([*labels], [row.mean(name) for row in rows], xerr=deviations, capsize=2)
    axes.invert_yaxis()


def dots(axes: Axes, labels: Sequence[str], rows: Sequence[Row], name: str, **style: Any) -> None:
    """Draw the means of some rows as dots, with one standard deviation: for an axis that does not begin at 0."""
    deviations = [statistics.stdev(row.values[name]) for row in rows]
    places = np.arange(len(labels))
    axes.errorbar([row.mean(name) for row in rows], places, xerr=deviations, capsize=2, **{"fmt": "o"} | style)
    axes.set_yticks(places, labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.locator_params(axis="x", nbins=5)
