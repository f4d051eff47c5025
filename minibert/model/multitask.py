"""BERT with a head for each of several tasks (Liu et al. 2019, "Multi-Task Deep Neural Networks")."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from minibert.kernels import Sequences
from minibert.model.bert import PretrainedBert
from minibert.model.heads import BertWithHead


class MultiTaskBert(PretrainedBert):
    """One encoder with several heads. Each task is saved as a network of its own, in a folder with the name of the task.

    Args:
        networks: a network for each task. The encoder of the first one is used by all, so the others need not be trained.
    """

    def __init__(self, networks: Mapping[str, BertWithHead]) -> None:
        first = next(iter(networks.values()))
        super().__init__(first.config)
        self.bert = first.encoder(first.config)
        self.bert.load_state_dict(_encoder_weights(networks))
        self.heads = nn.ModuleDict(networks)
        new = (name for network in networks.values() for name in network.initialized)
        self.initialized = tuple(dict.fromkeys(name for name in new if name in self.bert.state_dict()))
        for network in networks.values():
            del network.bert

    def forward(self, task: str, input_ids: Tensor, *inputs: Tensor | Sequences) -> Any:
        """Encode a batch and apply the head of one task."""
        head = cast("BertWithHead", self.heads[task])
        return head.apply_head(self.bert(input_ids, *inputs, output_at=head.needed_outputs(input_ids)))

    def save_pretrained(self, directory: str | Path, state_dict: Mapping[str, Tensor] | None = None) -> None:
        """Write one checkpoint for each task, in the format of transformers, to the subfolder with the name of the task."""
        weights = self.state_dict() if state_dict is None else state_dict
        for task, head in cast("Mapping[str, BertWithHead]", self.heads).items():
            with torch.device("meta"):  # only the names are needed: initial weights would take random numbers from the training
                network = type(head)(head.config)
            names = network.state_dict()
            own = {name: weights[name if name.startswith("bert.") else f"heads.{task}.{name}"] for name in names}
            network.save_pretrained(Path(directory) / task, own)


class OneTask(nn.Module):
    """A `MultiTaskBert` as a network for one of its tasks."""

    def __init__(self, model: nn.Module, task: str) -> None:
        super().__init__()
        self.model, self.task = model, task

    def forward(self, *inputs: Tensor | Sequences) -> Any:
        """Encode a batch and apply the head of the task."""
        return self.model(self.task, *inputs)


def _encoder_weights(networks: Mapping[str, BertWithHead]) -> dict[str, Tensor]:
    """Return the weights of the encoder and its pooler, from the first network that has one; else a new pooler."""
    weights: dict[str, Tensor] = {}
    for network in [*networks.values()][::-1]:
        weights |= network.bert.state_dict()
    if network.config.has_pooler and "pooler.dense.weight" not in weights:
        new = network.encoder(network.config).state_dict()
        weights |= {name: tensor for name, tensor in new.items() if name.startswith("pooler.")}
    return weights
