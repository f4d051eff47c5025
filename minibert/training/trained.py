"""Trained models: the network, the task and the tokenizer of a run, an adapter, or a Hugging Face checkpoint with a head."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import torch
from tokenizers import Tokenizer

from minibert.files import read_json
from minibert.hub import fetch
from minibert.model.adapters.adapter import ADAPTER_FOLDER
from minibert.model.checkpoints.config_file import models_inside
from minibert.model.checkpoints.loading import Checkpoint, read_checkpoint
from minibert.model.config import BertConfig
from minibert.model.heads import BertWithHead
from minibert.text.tokenizer import vocabulary_size
from minibert.text.tokenizer_files import has_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.training.logits import predict
from minibert.training.records import SETTINGS_FILE
from minibert.training.task_type import TASK_FILE, Prediction, TaskType, bert_config, task_types

RowT = TypeVar("RowT")


@dataclass(frozen=True)
class TrainedModel(Generic[RowT]):
    """A network that was trained for a task, with everything that its predictions need."""

    network: BertWithHead
    type: TaskType[RowT]
    tokenizer: Tokenizer
    source: str
    """Folder, or id on the hub."""

    def predict(self, rows: Sequence[RowT]) -> list[Prediction]:
        """Predict rows, in order."""
        return predict(self.network, self.type, rows, self.tokenizer)


def load_trained(source: str | Path, device: str = "cpu", dtype: torch.dtype | None = None) -> TrainedModel[Any]:
    """Load a trained model.

    The task is the one in task.json. A checkpoint without this file, such as one from the hub, has the task of its head.

    Args:
        source: a folder of a run, an adapter, a checkpoint with a head; or the id of a model on the hub.
        device: "cpu" or "cuda".
        dtype: type of the parameters; by default that of the file.

    Raises: FileNotFoundError for a missing file; ValueError that names the file, for one that cannot be used, and for a
        checkpoint without the head of a task.
    """
    checkpoint = _read(source)
    places = _places(source, checkpoint)
    task_type = _task_type(source, checkpoint, places)
    network = checkpoint.load(task_type.network.head, dtype=dtype, new_head=False)
    tokenizer = load_tokenizer(next((each for each in places if has_tokenizer(each)), source))
    if (size := vocabulary_size(tokenizer)) > (limit := network.text_config.vocab_size):
        raise ValueError(f"{source}: its tokenizer has {size:,} pieces, but its model only {limit:,}")
    return TrainedModel(cast("BertWithHead", network.to(device)), task_type, tokenizer, str(source))


def _read(source: str | Path) -> Checkpoint:
    try:
        return read_checkpoint(source)
    except FileNotFoundError:
        if os.path.isfile(Path(source) / SETTINGS_FILE) and not models_inside(Path(source)):
            saved = sorted((Path(source) / "checkpoints").glob("step-*"))
            advice = f"use its last checkpoint, {saved[-1]}, or continue it" if saved else "and no checkpoint either"
            raise FileNotFoundError(f"{source}: this run has not ended, so it has no model yet; {advice}") from None
        raise


def _places(source: str | Path, checkpoint: Checkpoint) -> list[str | Path]:
    """Return where the files of a model can be: in its folder; for an adapter also next to it, and with its base model."""
    folder = Path(source)
    return [source, *([folder.parent] if folder.is_dir() and folder.name == ADAPTER_FOLDER else []), checkpoint.source]


def _task_type(source: str | Path, checkpoint: Checkpoint, places: Sequence[str | Path]) -> TaskType[Any]:
    """Return the task of a checkpoint with its settings: those in task.json, or those that its head implies."""
    config = bert_config(checkpoint)
    for file in (fetch(place, TASK_FILE) for place in places):
        if file is not None:
            return _stored_task(file, config)
    kinds = task_types()
    found = [kind for kind in kinds if kind.network.head == checkpoint.network().head]
    if not found:
        if possible := [kind.network.architecture for kind in kinds if kind.network.head in checkpoint.heads]:
            raise ValueError(
                f"{checkpoint.config_file}: architectures is {checkpoint.architectures or 'missing'}, and the weights can be "
                f"those of {' or '.join(possible)}: name the right one there"
            )
        heads, tasks = ", ".join(checkpoint.heads), ", ".join(kind.command for kind in kinds)
        raise ValueError(
            f"{source}: has no head of a task (heads found: {heads}). Train one with `minibert finetune`; its tasks are {tasks}"
        )
    try:
        task_type = found[0].of_model(config)
        task_type.model_config(config)
    except ValueError as error:
        raise ValueError(f"{checkpoint.config_file}: {error}") from error
    return task_type


def _stored_task(file: Path, config: BertConfig) -> TaskType[Any]:
    """Read task.json. Raises: ValueError that names the file."""
    stored = read_json(file)
    kind = next((kind for kind in task_types() if kind.task_metrics.task == stored.get("task")), None)
    if kind is None or not isinstance(stored.get("settings"), dict):
        raise ValueError(f"{file}: must have the name of a task and its settings, not {str(stored)[:80]}")
    try:
        task_type: TaskType[Any] = kind.from_settings(stored["settings"])
        expected = task_type.model_config(config).id2label
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: its settings cannot be used ({error})") from error
    if expected != config.id2label:
        names = [", ".join(map(str, labels.values()))[:200] for labels in (expected, config.id2label)]
        raise ValueError(f"{file}: its classes ({names[0]}) are not those of the model's config ({names[1]})")
    if (length := task_type.max_length) > (limit := config.max_tokens):
        raise ValueError(
            f"{file}: max_length {length:,} is more than the {limit:,} tokens of the model (max_position_embeddings)"
        )
    return task_type
