"""The base of every network: initialization, choice of the attention path, saving and loading."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from minibert.kernels import AttentionImplementation, choose_attention
from minibert.model.attention import MultiHeadAttention
from minibert.model.checkpoints.config_file import CONFIG_FILE
from minibert.model.checkpoints.loading import read_checkpoint
from minibert.model.checkpoints.names import NameTable, same_values, shorten, without_wrappers
from minibert.model.checkpoints.registry import register
from minibert.model.checkpoints.weights import WEIGHTS_FILE, write_weights
from minibert.model.config import ModelConfig, TextConfig
from minibert.model.layers import LayerNorm
from minibert.model.stacks import LayerStack
from minibert.model.summary import network_html
from minibert.printable import with_article

if TYPE_CHECKING:
    from minibert.model.adapters.adapter import Adapter

ModelT = TypeVar("ModelT", bound="PretrainedModel")


class PretrainedModel(nn.Module):
    """The base of every network.

    A subclass with an `architecture` is a network that `load` finds. It declares what loading, saving and `minibert verify`
    need to know about it, so a new architecture is one file in this package.
    """

    architecture: ClassVar[str]
    """Name of the class of transformers that loads this network's checkpoints."""
    head: ClassVar[str]
    """Name of the head, the second argument of `load`; unique among the networks with the same config class."""
    head_modules: ClassVar[tuple[str, ...]] = ()
    """Modules of the head. A checkpoint has the head if it has weights of all of them."""
    has_classes: ClassVar[bool] = False
    """True if the head has one output for each class that the config names."""
    subfolders: ClassVar[tuple[str, ...]] = ()
    """Folders with other networks that `save_pretrained` writes, in its own folder."""
    optional_modules: ClassVar[tuple[str, ...]] = ()
    """Modules whose weights a checkpoint may lack. They are then initialized, with a warning."""
    depth_fields: ClassVar[Mapping[str, str]] = {}
    """Config field with the number of layers of each stack."""
    config_class: ClassVar[type[ModelConfig]]
    names: ClassVar[NameTable]
    """Parameter names in checkpoint files."""
    tied: ClassVar[Mapping[str, str]] = {}
    """Parameters that are another one if `config.tie_word_embeddings` is true, such as the output matrix, which is then the
    word embeddings. Relative names."""
    reference_stages: ClassVar[Mapping[str, str]] = {}
    """Recorded tensors and the modules of transformers that compute them, for `minibert verify`. N is a layer number. The
    tensor is the output of the module, or its input if the name starts with "<"."""
    attention_modules: ClassVar[Mapping[str, str]] = {}
    """Our attention modules and those of transformers, for `minibert verify`."""

    config: ModelConfig
    initialized: tuple[str, ...] = ()
    """Parameters that the loaded checkpoint did not have, so that they still have initial values."""
    source: str | None = None
    """Folder, file or hub id of the checkpoint that the network was loaded from."""
    adapter: "Adapter | None" = None
    """The adapter that was applied (`Adapter.apply`), or loaded."""
    adapter_parameters: tuple[str, ...] = ()
    """Names of the parameters that belong to the adapter: those that it trains."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "architecture" in vars(cls):
            register(cls)

    def _repr_html_(self) -> str:
        return network_html(self, self.config, self.source)

    def set_attention(self: ModelT, attention: AttentionImplementation) -> ModelT:
        """Choose how attention is computed.

        Args:
            attention: "auto", "explicit", "fused" or "triton", which compute the same values up to rounding; or a function with
                the signature of `equations.scaled_dot_product_attention`.
        """
        for module in self.modules():
            if isinstance(module, MultiHeadAttention):
                module.set_attention(attention)
        return self

    def attention_in_use(self, tokens: int = 128) -> str:
        """Return the name of the attention path that would be used now for texts of so many tokens, and the reason."""
        first = next(module for module in self.modules() if isinstance(module, MultiHeadAttention))
        dropout = first.dropout_probability if first.training else 0.0
        weight = first.query.weight  # its device, type and need of a gradient are those of the queries
        return choose_attention(first.implementation, weight, dropout, tokens)[1]

    @property
    def text_config(self) -> TextConfig:
        """The config of a network whose input is token ids. Raises: ValueError for a network of something else."""
        if not isinstance(self.config, TextConfig):
            raise ValueError(f"{with_article(type(self).__name__)} reads {', '.join(self.random_inputs() or ())}, not texts")
        return self.config

    def random_inputs(self) -> dict[str, Tensor] | None:
        """Return a small random batch, the same one every time, for `minibert verify`.

        None for a network whose input is token ids: `minibert verify` makes them from a text.
        """
        return None

    def freeze_constants(self) -> None:
        """Turn off the training of loaded parameters that are constants. `load` calls this; most networks have none."""

    def set_recompute(self, recompute: bool) -> None:
        """Turn activation checkpointing on or off; see `LayerStack.recompute`."""
        for module in self.modules():
            if isinstance(module, LayerStack):
                module.recompute = recompute

    def with_config(self: ModelT, **changes: Any) -> ModelT:
        """Return a network with other values of config fields, and with the tensors of this one. The sizes must be the same."""
        changed = type(self)(replace(self.config, **changes))
        changed.load_state_dict(self.state_dict(), assign=True)
        return changed

    def save_pretrained(self, directory: str | Path, state_dict: Mapping[str, Tensor] | None = None) -> None:
        """Write `config.json` and `model.safetensors` to `directory`, in the format of transformers.

        A network with an adapter is written without it, with weights that compute the same (LoRA is merged), and the adapter
        to the folder `adapter` in `directory`. Bottleneck adapters cannot be merged: then there is that folder only, and
        `load` needs the base model.

        Args:
            state_dict: the weights to write, such as those gathered from several processes. Default: the model's own.

        Raises: ValueError that names the parameters which are missing in `state_dict`, or have no name in a checkpoint file.
        """
        own = self.state_dict()
        weights = own if state_dict is None else state_dict
        if missing := {*map(without_wrappers, own)} - {*map(without_wrappers, weights)}:
            raise ValueError(f"state_dict has no {shorten(sorted(missing))}")
        if self.adapter is None:
            self.write_checkpoint(weights, Path(directory))
        else:
            self.adapter.save(self, {without_wrappers(name): tensor for name, tensor in weights.items()}, Path(directory))

    def write_checkpoint(self, weights: Mapping[str, Tensor], directory: Path) -> None:
        """Write these weights and the config, in the format of transformers."""
        write_weights(self.export_weights(weights, self.config), directory / WEIGHTS_FILE)
        self.config.save_json(directory / CONFIG_FILE, self.architecture)

    @classmethod
    def from_pretrained(
        cls: type[ModelT],
        source: str | Path,
        attention: AttentionImplementation = "auto",
        dtype: torch.dtype | None = None,
        labels: Sequence[str] | None = None,
    ) -> ModelT:
        """Load this network from a Hugging Face checkpoint, in evaluation mode. The arguments are those of `load`."""
        model: ModelT = read_checkpoint(source).load(cls, labels=labels, attention=attention, dtype=dtype)  # type: ignore[assignment]
        return model

    @classmethod
    def convert_weights(
        cls, tensors: Mapping[str, Tensor], config: ModelConfig, path: Path
    ) -> tuple[dict[str, Tensor], ModelConfig]:
        """Convert the tensors of a checkpoint to our parameters, under names relative to the base model.

        A file may have a tied tensor under one of its names or under several. If the values differ, it is not tied, whatever
        config.json says. transformers has the same rule.

        Returns: the parameters, and the config with the fields that depend on them. Unknown tensors keep their names.
        Raises: ValueError, naming `path`, for weights that this network cannot use.
        """
        try:
            found = cls.names.read(tensors)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if not isinstance(config, TextConfig) or not config.tie_word_embeddings:
            return found, config
        for name, source in cls.tied.items():
            if name not in found:
                continue
            if same_values(found.setdefault(source, found[name]), found[name]):
                del found[name]
                continue
            try:
                config = replace(config, tie_word_embeddings=False)
            except ValueError as error:
                names = f"{cls.names.theirs(name)} and {cls.names.theirs(source)}"
                raise ValueError(f"{path}: tensors {names} differ, but {error}") from error
        return found, config

    @classmethod
    def export_weights(cls, weights: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
        """Convert our parameters to the tensors of a checkpoint: the inverse of `convert_weights`."""
        return cls.names.write(weights)

    def initialize(self, *parts: nn.Module) -> None:
        """Initialize the weights of `parts` as in BERT: truncated normal; biases are zero, and the gains of norms are one.

        Source: Google's BERT code, `create_initializer` (truncated at two standard deviations).
        Differs: Hugging Face uses a normal distribution without truncation, and zeros for the padding piece.
        """
        std = self.config.initializer_range
        for module in (module for part in parts for module in part.modules()):
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std) if std else nn.init.zeros_(module.weight)
            if isinstance(module, LayerNorm):
                nn.init.ones_(module.weight)
            if isinstance(module, nn.Linear | LayerNorm) and module.bias is not None:
                nn.init.zeros_(module.bias)
