"""Configuration of a ViT."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from minibert.model.config import ACTIVATIONS, ClassifierConfig

Size = int | tuple[int, int]
"""Height and width in pixels, or one number for a square."""
SIZE_FIELDS = ("image_size", "patch_size")


@dataclass(frozen=True, kw_only=True)
class ViTConfig(ClassifierConfig):
    """Configuration of a ViT. The defaults are those of ViT-Base with patches of 16 × 16 pixels.

    Raises: ValueError for values that do not fit each other, TypeError for values of the wrong type.

    >>> ViTConfig(image_size=28, patch_size=(7, 14)).num_patches
    8
    """

    model_types = ("vit",)
    supported: ClassVar[Mapping[str, object]] = {"quantization_config": None}

    num_hidden_layers: int = 12
    """Number of encoder layers."""
    hidden_dropout_prob: float = 0.0
    """Dropout probability of embeddings and sublayer outputs."""
    attention_probs_dropout_prob: float = 0.0
    """Dropout probability of attention weights."""
    image_size: Size = 224
    """Height and width of the images, in pixels; one number for squares."""
    patch_size: Size = 16
    """Height and width of a patch, in pixels; one number for squares."""
    num_channels: int = 3
    """Number of channels of the images: 3 for colors, 1 for gray."""
    qkv_bias: bool = True
    """True if the linear maps to queries, keys and values have a bias."""
    pooler_output_size: int | None = None
    """Size of the pooled vector. None: `hidden_size`."""
    pooler_act: str = "tanh"
    """Activation function of the pooler: "tanh" or one of `ACTIVATIONS`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in SIZE_FIELDS:
            height, width = _height_and_width(name, getattr(self, name))
            object.__setattr__(self, name, height if height == width else (height, width))
        for side, image, patch in zip(("height", "width"), self.image_shape, self.patch_shape, strict=True):
            if image % patch:
                raise ValueError(f"the {side} of image_size, {image}, is not a multiple of that of patch_size, {patch}")
        if self.pooler_act not in ("tanh", *ACTIVATIONS):
            known = ", ".join(("tanh", *ACTIVATIONS))
            raise ValueError(f"pooler_act {reprlib.repr(self.pooler_act)} is unknown; choose one of {known}")

    @classmethod
    def read_fields(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        known = super().read_fields(stored)
        return known | {name: tuple(known[name]) for name in SIZE_FIELDS if isinstance(known.get(name), list)}

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of an image."""
        return _height_and_width("image_size", self.image_size)

    @property
    def patch_shape(self) -> tuple[int, int]:
        """Height and width of a patch."""
        return _height_and_width("patch_size", self.patch_size)

    @property
    def num_patches(self) -> int:
        """Number of patches of an image."""
        (rows, columns), (height, width) = self.image_shape, self.patch_shape
        return (rows // height) * (columns // width)


def _height_and_width(name: str, size: object) -> tuple[int, int]:
    """Return both numbers of a `Size`. Raises: ValueError that names the field, for anything else."""
    pair = size if isinstance(size, tuple) else (size, size)
    if len(pair) != 2 or not all(type(number) is int and number > 0 for number in pair):
        raise ValueError(f"{name} must be a whole number above 0, or height and width, not {reprlib.repr(size)}")
    return pair[0], pair[1]
