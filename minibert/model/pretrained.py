"""What every model can do: start as BERT does, choose its attention, go to a checkpoint and come back."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from minibert.kernels import Attention, choose_attention
from minibert.model.attention import MultiHeadAttention
from minibert.model.checkpoints.loading import (
    CONFIG_FILE,
    check_shapes,
    config_file,
    load_weights,
    read_checkpoint,
    save_weights,
)
from minibert.model.checkpoints.names import BERT, NameTable
from minibert.model.checkpoints.weights import WEIGHTS_FILE
from minibert.model.config import BertConfig, ModelConfig

Model = TypeVar("Model", bound="PretrainedModel")


def load_config(source: str | Path) -> BertConfig:
    """The configuration of a checkpoint. Raises: FileNotFoundError if it has none, ValueError if it cannot be run here."""
    return BertConfig.load_json(config_file(source))


class PretrainedModel(nn.Module):
    """The base of every network."""

    architecture: ClassVar[str]
    """The name of the class that transformers reads this model's checkpoint with."""
    names: ClassVar[NameTable]
    """What its parameters are called there."""
    config: ModelConfig

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def set_attention(self: Model, attention: Attention) -> Model:
        """Changes how attention is computed.

        "auto", "explicit" and "fused" give the same numbers, to rounding; or give a function of your own, which is called as
        `equations.scaled_dot_product_attention` is.
        """
        for module in self.modules():
            if isinstance(module, MultiHeadAttention):
                module.set_attention(attention)
        return self

    def attention_in_use(self) -> str:
        """Which path attention takes at this moment, and why."""
        requested = next(module.attention for module in self.modules() if isinstance(module, MultiHeadAttention))
        return choose_attention(requested)[1]

    def save_pretrained(self, directory: str | Path, state_dict: Mapping[str, Tensor] | None = None) -> None:
        """Writes `config.json` and `model.safetensors` into `directory`, so that transformers loads them.

        Args:
            state_dict: the weights to write; None for the model's own. For a model that is spread over several processes.
        """
        weights = self.state_dict() if state_dict is None else state_dict
        save_weights(weights, Path(directory) / WEIGHTS_FILE, self.names)
        self.config.save_json(Path(directory) / CONFIG_FILE, self.architecture)

    @classmethod
    def from_pretrained(cls: type[Model], source: str | Path, attention: Attention = "auto") -> Model:
        """The model of a Hugging Face checkpoint, in float32 and ready for inference (call `train()` to train it).

        Args:
            source: a folder; or a file with weights, its config.json beside it; or the id of a model on the hub.
            attention: see `set_attention`.

        A head that the checkpoint does not have starts afresh, with a warning that names it.

        Raises: FileNotFoundError for what is not there, ValueError that says what is wrong, and where, for what is there
        and is no such model.
        """
        found, config, path = cls.read(source)
        with torch.device("meta"):  # shapes alone: nothing of the size that a file speaks of is made before it fits
            check_shapes(cls(config, attention), found, path, cls.names)  # type: ignore[call-arg]
        model = cls(config, attention)  # type: ignore[call-arg]
        load_weights(model, found, path, cls.names)
        return model.eval()

    @classmethod
    def read(cls, source: str | Path) -> tuple[dict[str, Tensor], ModelConfig, Path]:
        """The tensors of a checkpoint under our names, the configuration that they have, and their file."""
        raise NotImplementedError

    def initialize(self, *parts: nn.Module) -> None:
        """Starts `parts` as BERT does: weights from a normal distribution, biases zero.

        Source: Google's BERT code, `create_initializer` (a normal distribution cut off at two standard deviations).
        Differs: Hugging Face does not cut it off, and starts the vector of the padding piece at zero.
        """
        std = self.config.initializer_range
        for module in chain.from_iterable(part.modules() for part in parts):
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std) if std else nn.init.zeros_(module.weight)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


class PretrainedBert(PretrainedModel):
    """The base of `Bert` and of BERT with each of its heads."""

    names = BERT
    config: BertConfig

    @classmethod
    def read(cls, source: str | Path) -> tuple[dict[str, Tensor], ModelConfig, Path]:
        return read_checkpoint(source, load_config(source))
