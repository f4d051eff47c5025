"""BERT's encoder (Devlin et al. 2019): embeddings, a stack of layers, and a pooler."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert.checks import check_tensor, value_outside
from minibert.equations import positions_without_padding
from minibert.kernels import AttentionImplementation, Sequences, pad, unpad
from minibert.model.checkpoints.names import NameTable
from minibert.model.config import BertConfig, ModelConfig
from minibert.model.embeddings import BertEmbeddings
from minibert.model.inputs import ID_TYPES, Mask, attention_keep, check_batch, check_outputs
from minibert.model.layers import EncoderLayer
from minibert.model.linear import Linear
from minibert.model.outputs import ModelOutput
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import LayerStack
from minibert.observe import observe

DECODER, DECODER_BIAS = "mlm.decoder.weight", "mlm.decoder.bias"
OLD_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
"""Buffers in files of older versions of transformers."""


@dataclass(frozen=True, repr=False)
class BertOutput(ModelOutput):
    """Output of the encoder."""

    last_hidden_state: Float[Tensor, "batch tokens width"]
    """One vector per token."""
    pooler_output: Float[Tensor, "batch width"] | None
    """One vector per sequence; None without a pooler."""
    output_at: Int[Tensor, "batch tokens"] | None = None
    """The positions of these tokens, if they are not all."""


class PretrainedBert(PretrainedModel):
    """Base class of `Bert` and of the networks in `heads.py`.

    The tables declare what loading, saving and `minibert verify` need to know; see `PretrainedModel`.
    """

    config_class = BertConfig
    config: BertConfig
    # Our modules and those of transformers. N is a layer number. In networks with a head, all names of the encoder start with
    # "bert.", here and there.
    names = NameTable(
        {
            "embeddings.words": "embeddings.word_embeddings",
            "embeddings.positions": "embeddings.position_embeddings",
            "embeddings.segments": "embeddings.token_type_embeddings",
            "embeddings.norm": "embeddings.LayerNorm",
            "layers.N.attention.query": "encoder.layer.N.attention.self.query",
            "layers.N.attention.key": "encoder.layer.N.attention.self.key",
            "layers.N.attention.value": "encoder.layer.N.attention.self.value",
            "layers.N.attention.output": "encoder.layer.N.attention.output.dense",
            "layers.N.attention_norm": "encoder.layer.N.attention.output.LayerNorm",
            "layers.N.feed_forward.intermediate": "encoder.layer.N.intermediate.dense",
            "layers.N.feed_forward.output": "encoder.layer.N.output.dense",
            "layers.N.feed_forward_norm": "encoder.layer.N.output.LayerNorm",
            "pooler.dense": "pooler.dense",
            "mlm.transform": "cls.predictions.transform.dense",
            "mlm.norm": "cls.predictions.transform.LayerNorm",
            "mlm": "cls.predictions",  # for its bias
            "mlm.decoder": "cls.predictions.decoder",
            "nsp": "cls.seq_relationship",
            "classifier": "classifier",
            "span": "qa_outputs",
        },
        our_prefix="bert.",
        their_prefix="bert.",
        outside_base_model=("mlm", "nsp", "classifier", "span"),
    )
    depth_fields: ClassVar[Mapping[str, str]] = {"layers": "num_hidden_layers"}
    # Recorded tensors, and the module of transformers that returns the same tensor ("<": that receives it as input).
    reference_stages: ClassVar[Mapping[str, str]] = {
        "embeddings.words": "embeddings.word_embeddings",
        "embeddings.positions": "embeddings.position_embeddings",
        "embeddings.segments": "embeddings.token_type_embeddings",
        "embeddings.sum": "<embeddings.LayerNorm",
        "embeddings.output": "embeddings.LayerNorm",
        "layers.N.attention.output": "encoder.layer.N.attention.output.dense",
        "layers.N.attention_residual": "<encoder.layer.N.attention.output.LayerNorm",
        "layers.N.attention_norm": "encoder.layer.N.attention.output.LayerNorm",
        "layers.N.intermediate": "encoder.layer.N.intermediate.dense",
        "layers.N.activation": "encoder.layer.N.intermediate",
        "layers.N.feed_forward": "encoder.layer.N.output.dense",
        "layers.N.output": "encoder.layer.N.output.LayerNorm",
        "pooler": "pooler",
        "mlm.transform": "cls.predictions.transform",
        "mlm.logits": "cls.predictions.decoder",
        "nsp.logits": "cls.seq_relationship",
        "classifier.logits": "classifier",
        "span.logits": "qa_outputs",
    }
    attention_modules: ClassVar[Mapping[str, str]] = {"layers.N.attention": "encoder.layer.N.attention.self"}
    tied: ClassVar[Mapping[str, str]] = {DECODER: "embeddings.words.weight"}
    optional_modules = ("pooler", "mlm", "nsp", "classifier", "span")

    @classmethod
    def convert_weights(
        cls, tensors: Mapping[str, Tensor], config: ModelConfig, path: Path
    ) -> tuple[dict[str, Tensor], ModelConfig]:
        """As in `PretrainedModel`. Of two different biases of the decoder its own is used, as in transformers."""
        found, config = super().convert_weights(tensors, config, path)
        found = {name: tensor for name, tensor in found.items() if not name.endswith(OLD_BUFFERS)}
        if DECODER_BIAS in found:
            found["mlm.bias"] = found.pop(DECODER_BIAS)
        return found, config

    @classmethod
    def export_weights(cls, weights: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
        """As in `PretrainedModel`. The bias of an untied decoder is written twice, as transformers expects."""
        tensors = super().export_weights(weights, config)
        if DECODER in weights and (name := cls.names.theirs(DECODER_BIAS)):
            tensors[name] = weights["mlm.bias"].clone()
        return tensors


class Pooler(nn.Module):
    r"""The first token's vector after a linear layer and tanh: "C" in figure 1 of Devlin et al. 2019.

    Steps:
        linear (batch width): $$c = x_0 W^\top + b$$ A linear map of the vector of the first token, [CLS].
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = Linear(width, width)

    def forward(self, hidden: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch width"]:
        return torch.tanh(observe("linear", self.dense(hidden[:, 0])))


class Bert(PretrainedBert):
    r"""BERT without a head: from token ids to one vector per token.

    Args:
        config: the sizes; `minibert.PRESETS` has the published ones.
        attention: "auto", "explicit", "fused", "triton" or a function; see `set_attention`.
        pooler: whether to build the pooler. Heads that use the vector of every token do not need it.

    Steps:
        projection (batch tokens width): $$h = x\,W^\top + b$$ A linear map of embeddings that are not as wide as the layers.
        pooler (batch width): $$v = \tanh(c)$$ The pooled vector, which represents the whole input.

    >>> from minibert import PRESETS
    >>> bert = Bert(PRESETS["tiny"])
    >>> bert(torch.tensor([[101, 7592, 102]])).last_hidden_state.shape
    torch.Size([1, 3, 128])
    """

    architecture = "BertModel"
    head = "encoder"  # the name of "no head" for `load`

    def __init__(self, config: BertConfig, attention: AttentionImplementation = "auto", pooler: bool = True) -> None:
        super().__init__(config)
        self.embeddings = BertEmbeddings(config)
        self.projection = Linear(config.embedding_width, config.hidden_size) if config.projects_embeddings else None
        layers = (EncoderLayer(config, attention) for _ in range(config.layer_groups))
        self.layers = LayerStack(layers, config.num_hidden_layers)
        self.pooler = Pooler(config.hidden_size) if pooler and config.has_pooler else None
        self.initialize(self)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | Sequences | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
        output_at: Int[Tensor, "batch outputs"] | None = None,
    ) -> BertOutput:
        """Encode a batch. All arguments but the last are those of transformers' BertModel.

        Args:
            attention_mask: 1 or True for tokens, 0 or False for padding. Default: no padding. Or `Sequences`, if the
                vectors of padding are not read: they are zeros and take no time.
            token_type_ids: segment of each token, 0 for sentence A, 1 for sentence B. Default: all 0.
            position_ids: default 0, 1, 2, …
            output_at: positions of the tokens whose vectors are wanted, in ascending order, for each sequence first that of
                [CLS] (`first_and_masked` makes them). Those of the first sequence are 0, 1, 2, …, and those of the next one
                follow. The last layer computes no others. Default: all.

        Raises: TypeError for an argument that is not a tensor of whole numbers; ValueError for a wrong shape, a value outside
        its table (checked on the CPU only), or more tokens than `max_position_embeddings`.
        """
        check_batch("input_ids", input_ids)
        if output_at is not None:
            check_outputs(output_at, input_ids.shape)
        length, max_length = input_ids.shape[1], self.config.max_position_embeddings
        if length > max_length and self.config.counts_padding:
            raise ValueError(f"input_ids has {length} tokens, max_position_embeddings is {max_length}: truncate the text")
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        if position_ids is None:
            position_ids = self.default_positions(input_ids)
        check_tensor("token_type_ids", token_type_ids, *ID_TYPES, shape=input_ids.shape)
        check_tensor("position_ids", position_ids, *ID_TYPES)
        if position_ids.shape not in (input_ids.shape, (1, length), (length,)):
            raise ValueError(f"position_ids has shape {tuple(position_ids.shape)}, expected {tuple(input_ids.shape)}")
        keep = attention_keep(attention_mask, input_ids, output_at)
        ids = [input_ids, token_type_ids, position_ids]
        if isinstance(keep, Sequences):
            ids = [unpad(each.expand(input_ids.shape), keep) for each in ids]
        hidden = self.embeddings(*ids)
        if self.projection is not None:
            hidden = observe("projection", self.projection(hidden))
        hidden = self.layers(hidden, keep, output_at=output_at)
        if isinstance(attention_mask, Sequences) and keep is not None and output_at is None:
            hidden = pad(hidden, keep) if isinstance(keep, Sequences) else hidden * attention_mask.mask[..., None]
        return BertOutput(hidden, None if self.pooler is None else observe("pooler", self.pooler(hidden)), output_at)

    def default_positions(self, input_ids: Int[Tensor, "batch tokens"]) -> Int[Tensor, "#batch tokens"]:
        """Return the positions of a batch. Raises: ValueError for a text that is too long (checked on the CPU only)."""
        if self.config.counts_padding:
            return torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        assert self.config.pad_token_id is not None
        positions = positions_without_padding(input_ids, self.config.pad_token_id)
        if (last := value_outside(positions, 0, self.config.max_position_embeddings - 1)) is not None:
            tokens = int(last) - self.config.pad_token_id
            raise ValueError(f"input_ids has a text of {tokens} tokens, but at most {self.config.max_tokens}: truncate it")
        return positions
