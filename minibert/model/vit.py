"""ViT: an image as a sequence of patches, in the layers of BERT (Dosovitskiy et al. 2021)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert.checks import check_tensor
from minibert.equations import patches
from minibert.kernels import AttentionImplementation
from minibert.model.checkpoints.names import NameTable
from minibert.model.config import ModelConfig
from minibert.model.layers import ACTIVATION_FUNCTIONS, EncoderLayer, LayerNorm
from minibert.model.linear import Dropout, Linear
from minibert.model.losses import classification_loss
from minibert.model.outputs import ImageClassifierOutput, ModelOutput
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import LayerStack
from minibert.model.vit_config import ViTConfig
from minibert.observe import observe


@dataclass(frozen=True, repr=False)
class ViTOutput(ModelOutput):
    """Output of `ViTModel`."""

    last_hidden_state: Float[Tensor, "batch tokens width"]
    """One vector per token: the class token, then the patches."""
    pooler_output: Float[Tensor, "batch pooled"] | None
    """One vector per image; None without a pooler."""


class PretrainedViT(PretrainedModel):
    """Base class of the networks below. The tables are explained in `PretrainedModel`."""

    config_class = ViTConfig
    config: ViTConfig
    names = NameTable(
        {
            "embeddings.class_token.weight": "embeddings.cls_token",
            "embeddings.positions.weight": "embeddings.position_embeddings",
            "embeddings.projection": "embeddings.patch_embeddings.projection",
            "layers.N.attention_norm": "encoder.layer.N.layernorm_before",
            "layers.N.attention.query": "encoder.layer.N.attention.attention.query",
            "layers.N.attention.key": "encoder.layer.N.attention.attention.key",
            "layers.N.attention.value": "encoder.layer.N.attention.attention.value",
            "layers.N.attention.output": "encoder.layer.N.attention.output.dense",
            "layers.N.feed_forward_norm": "encoder.layer.N.layernorm_after",
            "layers.N.feed_forward.intermediate": "encoder.layer.N.intermediate.dense",
            "layers.N.feed_forward.output": "encoder.layer.N.output.dense",
            "norm": "layernorm",
            "pooler.dense": "pooler.dense",
            "classifier": "classifier",
        },
        our_prefix="vit.",
        their_prefix="vit.",
        outside_base_model=("classifier",),
        also={  # the modules of transformers today, in files that its `save_pretrained` has not written
            "layers.N.layernorm_before": "layers.N.attention_norm",
            "layers.N.attention.q_proj": "layers.N.attention.query",
            "layers.N.attention.k_proj": "layers.N.attention.key",
            "layers.N.attention.v_proj": "layers.N.attention.value",
            "layers.N.attention.o_proj": "layers.N.attention.output",
            "layers.N.layernorm_after": "layers.N.feed_forward_norm",
            "layers.N.mlp.fc1": "layers.N.feed_forward.intermediate",
            "layers.N.mlp.fc2": "layers.N.feed_forward.output",
        },
    )
    depth_fields: ClassVar[Mapping[str, str]] = {"layers": "num_hidden_layers"}
    reference_stages: ClassVar[Mapping[str, str]] = {
        "embeddings.projection": "embeddings.patch_embeddings",
        "embeddings.sum": "<embeddings.dropout",
        "layers.N.attention_norm": "layers.N.layernorm_before",
        "layers.N.attention.output": "layers.N.attention.o_proj",
        "layers.N.attention_residual": "<layers.N.layernorm_after",
        "layers.N.feed_forward_norm": "layers.N.layernorm_after",
        "layers.N.intermediate": "layers.N.mlp.fc1",
        "layers.N.activation": "<layers.N.mlp.fc2",
        "layers.N.feed_forward": "layers.N.mlp.fc2",
        "layers.N.output": "layers.N",
        "norm": "layernorm",
        "pooler": "pooler",
        "classifier.logits": "classifier",
    }
    attention_modules: ClassVar[Mapping[str, str]] = {"layers.N.attention": "layers.N.attention"}
    optional_modules = ("pooler", "classifier")

    def random_inputs(self) -> dict[str, Tensor]:
        shape = (2, self.config.num_channels, *self.config.image_shape)
        return {"pixel_values": torch.randn(shape, generator=torch.Generator().manual_seed(0))}

    @classmethod
    def convert_weights(
        cls, tensors: Mapping[str, Tensor], config: ModelConfig, path: Path
    ) -> tuple[dict[str, Tensor], ModelConfig]:
        """As in `PretrainedModel`. The kernel of a convolution becomes a matrix, and tables lose their batch axis."""
        found, config = super().convert_weights(tensors, config, path)
        for name, (theirs, ours) in _shapes(config).items():
            if name in found and found[name].shape == theirs:
                found[name] = found[name].reshape(ours)
        return found, config

    @classmethod
    def export_weights(cls, weights: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
        shapes = {name: theirs for name, (theirs, _) in _shapes(config).items()}
        relative = cls.names.relative
        return super().export_weights(
            {name: each.reshape(shapes.get(relative(name), each.shape)) for name, each in weights.items()}, config
        )


def _shapes(config: ModelConfig) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the shapes of parameters that have others in a checkpoint file: there, and here."""
    assert isinstance(config, ViTConfig)
    width, tokens, pixels = config.hidden_size, config.num_patches + 1, (config.num_channels, *config.patch_shape)
    return {
        "embeddings.class_token.weight": ((1, 1, width), (1, width)),
        "embeddings.positions.weight": ((1, tokens, width), (tokens, width)),
        "embeddings.projection.weight": ((width, *pixels), (width, math.prod(pixels))),
    }


class PatchEmbeddings(nn.Module):
    r"""The patches of an image as tokens: a linear map, the class token in front, and positions (equation 1).

    Steps:
        patches (batch patches pixels): $$x_p$$ The numbers of each patch, one after another (`equations.patches`).
        projection (batch patches width): $$p = x_p E + b$$ A linear map of each patch, which takes the place of the word
            embeddings.
        sum (batch tokens width): $$z = [x_\mathrm{class};\, p] + E_\mathrm{pos}$$ The vector of the class token, then those
            of the patches, each plus the vector of its position.
    Tests: tests/model/test_vit.py::TestPatchEmbeddings
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.patch_shape = config.patch_shape
        self.projection = Linear(config.num_channels * math.prod(config.patch_shape), config.hidden_size)
        self.class_token = nn.Embedding(1, config.hidden_size)
        self.positions = nn.Embedding(config.num_patches + 1, config.hidden_size)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self, pixel_values: Float[Tensor, "batch channels image_height image_width"]
    ) -> Float[Tensor, "batch tokens width"]:
        projected = observe("projection", self.projection(observe("patches", patches(pixel_values, *self.patch_shape))))
        first = self.class_token.weight.expand(len(projected), 1, -1)
        dropped: Tensor = self.dropout(observe("sum", torch.cat([first, projected], dim=1) + self.positions.weight))
        return dropped


class ViTModel(PretrainedViT):
    r"""ViT without a head: from an image to one vector per patch, and one for the whole image.

    Args:
        config: the sizes.
        attention: "auto", "explicit", "fused", "triton" or a function; see `set_attention`.
        pooler: whether to build the pooler.

    Source: Dosovitskiy et al. 2021, section 3.1, equations 1 to 4. The layers are BERT's, with `pre_norm`.
    Differs: as in transformers, there is an optional pooler after equation 4.
    Steps:
        norm (batch tokens width): $$y = \mathrm{LayerNorm}(z)$$ The normalization after the last layer.
        pooler (batch pooled): $$v = f(y_0 W^\top + b)$$ The pooled vector of the class token.

    >>> vit = ViTModel(ViTConfig(image_size=8, patch_size=4, hidden_size=48, num_hidden_layers=2))
    >>> vit(torch.rand(1, 3, 8, 8)).last_hidden_state.shape
    torch.Size([1, 5, 48])
    """

    architecture = "ViTModel"
    head = "encoder"

    def __init__(self, config: ViTConfig, attention: AttentionImplementation = "auto", pooler: bool = True) -> None:
        super().__init__(config)
        self.embeddings = PatchEmbeddings(config)
        self.layers = LayerStack(EncoderLayer(config, attention, pre_norm=True) for _ in range(config.num_hidden_layers))
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.pooler = ImagePooler(config) if pooler else None
        self.initialize(self)

    def forward(self, pixel_values: Float[Tensor, "batch channels image_height image_width"]) -> ViTOutput:
        """Encode a batch of images.

        Args:
            pixel_values: images of the size in the config. The numbers are usually scaled to be from -1 to 1.

        Raises: TypeError for whole numbers; ValueError for images of another size or with other channels.
        """
        check_tensor("pixel_values", pixel_values)
        if not pixel_values.is_floating_point():
            raise TypeError("pixel_values has whole numbers: scale them, such as pixel_values / 127.5 - 1")
        expected = (self.config.num_channels, *self.config.image_shape)
        if pixel_values.ndim != 4 or pixel_values.shape[1:] != expected or not len(pixel_values):
            hint = "scale the images to this size; the positions of another size are not interpolated"
            if pixel_values.ndim != 4 or not len(pixel_values):
                hint = "pass a batch; for one image, that is pixel_values[None]"
            elif pixel_values.shape[1] != expected[0]:
                hint = "the channels come first, and there must be as many as in the config"
            shape = tuple(pixel_values.shape)
            raise ValueError(f"pixel_values has shape {shape}, expected (batch, {', '.join(map(str, expected))}): {hint}")
        hidden = self.embeddings(pixel_values.to(self.embeddings.projection.weight.dtype))
        hidden = observe("norm", self.norm(self.layers(hidden)))
        return ViTOutput(hidden, None if self.pooler is None else observe("pooler", self.pooler(hidden)))


class ImagePooler(nn.Module):
    """A linear map of the class token's vector, and an activation function."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.pooler_output_size or config.hidden_size)
        self.activation = (ACTIVATION_FUNCTIONS | {"tanh": torch.tanh})[config.pooler_act]

    def forward(self, hidden: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch pooled"]:
        return self.activation(self.dense(hidden[:, 0]))


class ViTForImageClassification(PretrainedViT):
    r"""ViT with a classifier on the vector of the class token. `config.id2label` names the classes.

    Steps:
        classifier.logits (batch classes): $$z = y_0 W^\top + b$$ The score of each class.
    """

    architecture = "ViTForImageClassification"
    head = "image-classification"
    head_modules = ("classifier",)
    has_classes = True

    def __init__(self, config: ViTConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config)
        self.vit = ViTModel(config, attention, pooler=False)
        self.classifier = Linear(config.hidden_size, config.num_labels)
        self.initialize(self.classifier)

    def forward(
        self,
        pixel_values: Float[Tensor, "batch channels image_height image_width"],
        labels: Int[Tensor, " batch"] | Float[Tensor, "batch ..."] | None = None,
    ) -> ImageClassifierOutput:
        """Compute the scores of the classes and, with labels, the mean loss; the labels are as in `classification_loss`."""
        hidden = self.vit(pixel_values).last_hidden_state
        logits = observe("classifier.logits", self.classifier(hidden[:, 0]))
        return ImageClassifierOutput(logits, None if labels is None else classification_loss(logits, labels, self.config))
