"""What every model can do: start as BERT does, choose its attention, go to a checkpoint and come back."""

from itertools import chain
from pathlib import Path
from typing import ClassVar, TypeVar

from torch import nn

from minibert.kernels import choose_attention
from minibert.model.attention import MultiHeadAttention
from minibert.model.checkpoint import CONFIG_FILE, WEIGHTS_FILE, load_weights, save_weights
from minibert.model.config import BertConfig

Model = TypeVar("Model", bound="PretrainedModel")


class PretrainedModel(nn.Module):
    """The base of `Bert` and of BERT with each of its heads."""

    architecture: ClassVar[str]
    """The name of the class that transformers reads this model's checkpoint with."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config

    def set_attention(self: Model, attention: str) -> Model:
        """Changes how attention is computed: "auto", "explicit" or "fused". The numbers stay the same to rounding."""
        for module in self.modules():
            if isinstance(module, MultiHeadAttention):
                module.set_attention(attention)
        return self

    def attention_in_use(self) -> str:
        """Which path attention takes at this moment, and why."""
        requested = next(module.attention for module in self.modules() if isinstance(module, MultiHeadAttention))
        return choose_attention(requested)[1]

    def save_pretrained(self, directory: str | Path) -> None:
        """Writes `config.json` and `model.safetensors` into `directory`, so that transformers loads them."""
        save_weights(self, Path(directory) / WEIGHTS_FILE)
        self.config.save_json(Path(directory) / CONFIG_FILE, self.architecture)

    @classmethod
    def from_pretrained(cls: type[Model], directory: str | Path, attention: str = "auto") -> Model:
        """The model in a Hugging Face directory, in float32 and ready for inference (call `train()` to train it).

        A head that the checkpoint does not have starts afresh, with a warning that names it.

        Raises: FileNotFoundError for a missing directory or file, ValueError for one that holds no such model.
        """
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (Path(directory) / name).is_file():
                raise FileNotFoundError(f"{directory}: is no checkpoint, there is no {name} in it")
        model = cls(BertConfig.load_json(Path(directory) / CONFIG_FILE), attention)  # type: ignore[call-arg]
        load_weights(model, Path(directory) / WEIGHTS_FILE)
        return model.eval()

    def _initialise(self, *parts: nn.Module) -> None:
        """Starts `parts` as BERT does: weights from a normal distribution, biases zero.

        Source: Google's BERT code, `create_initializer` (a normal distribution cut off at two standard deviations).
        Differs: Hugging Face does not cut it off, and starts the vector of the padding piece at zero.
        """
        std = self.config.initializer_range
        for module in chain.from_iterable(part.modules() for part in parts):
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
