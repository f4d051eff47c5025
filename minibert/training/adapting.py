"""The adapter of a fine-tuning run, made from its options."""

from typing import Any

import torch

from minibert.model.adapters import Adapter, BitFit, Bottleneck, LoRA
from minibert.model.adapters.targets import HEAD
from minibert.model.config import BertConfig
from minibert.training.adapter_options import AdapterConfig
from minibert.training.task_type import TaskType


def make_adapter(config: AdapterConfig) -> Adapter | None:
    """Return the adapter that the options describe; None for full fine-tuning."""
    targets: dict[str, Any] = {"targets": config.targets} if config.targets else {}
    train = (HEAD, *config.also_train)
    match config.adapter:
        case "lora":
            return LoRA(
                rank=config.rank,
                alpha=config.alpha,
                rank_stabilized=config.rank_stabilized,
                dropout=config.lora_dropout,
                layers=config.target_layers or None,
                train=train,
                **targets,
            )
        case "bitfit":
            return BitFit(train=train, **targets)
        case "bottleneck":
            return Bottleneck(size=config.bottleneck_size, train=train, **targets)
        case "none":
            return None


def check_adapter(config: AdapterConfig, task_type: TaskType[Any], model: BertConfig, started: Adapter | None = None) -> None:
    """Apply the adapter to a network without memory for its weights.

    Args:
        started: the adapter of the checkpoint that training begins with. It is trained further.

    Raises: ValueError for targets that match nothing, and for a second adapter.
    """
    if (adapter := make_adapter(config)) is None:
        return
    if started is not None:
        raise ValueError(
            f"--from names an adapter ({started.kind}): give no --adapter to train it further, or the model that it is merged "
            "into to train another one"
        )
    with torch.device("meta"):
        adapter.apply(task_type.network(task_type.model_config(model)))
