"""The parts of T5 that differ from those of the Transformer (Raffel et al. 2020, section 2.1).

They are normalization without a mean, maps without biases, attention without a scale, and a learned number for each distance.
The forward passes are those of `layers` and `stacks`.
"""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert.equations import relative_position_buckets, rms_norm
from minibert.kernels import AttentionImplementation, Sequences
from minibert.model.attention import MultiHeadAttention
from minibert.model.layers import ACTIVATION_FUNCTIONS, DecoderLayer, EncoderLayer
from minibert.model.linear import Dropout, Linear
from minibert.model.positions import Positions, RelativePositions
from minibert.model.stacks import Decoder, Encoder, LayerStack, Stack
from minibert.model.t5_config import T5Config
from minibert.observe import observe


class RMSNorm(nn.Module):
    """Normalization by the root mean square, with a learned gain (Zhang and Sennrich 2019). See `equations.rms_norm`."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps:g}"

    def forward(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return rms_norm(hidden, self.weight, self.eps)


class BucketPositions(Positions):
    r"""A learned number for each head and each bucket of distances, which is added to the scores of all layers.

    Steps:
        position_bias (1 heads queries keys): $$b_{ij} = T_{\mathrm{bucket}(j - i)}$$ The number of each head for the bucket of
            the distance from each query to each key. In a decoder, all buckets are for earlier tokens.

    Args:
        bidirectional: True for an encoder, with buckets for later tokens.

    Source: Raffel et al. 2020, section 2.1. See `equations.relative_position_buckets`.
    """

    has_score_bias = True

    def __init__(self, config: T5Config, bidirectional: bool) -> None:
        super().__init__()
        self.bidirectional, self.max_distance = bidirectional, config.relative_attention_max_distance
        self.table = nn.Embedding(config.relative_attention_num_buckets, config.num_attention_heads)

    def extra_repr(self) -> str:
        return f"bidirectional={self.bidirectional}, max_distance={self.max_distance}"

    def relative(
        self, query_positions: Int[Tensor, "#batch queries"], key_positions: Int[Tensor, "#batch keys"], dtype: torch.dtype
    ) -> RelativePositions:
        buckets = relative_position_buckets(
            query_positions, key_positions, self.table.num_embeddings, self.max_distance, self.bidirectional
        )
        return RelativePositions(score_bias=observe("position_bias", self.table(buckets).permute(0, 3, 1, 2).to(dtype)))


class T5Attention(MultiHeadAttention):
    r"""Multi-head attention without biases, and without the division by √d_k. The heads may have any width.

    T5 has that factor in the initial weights of the query projection instead. Here, the queries are multiplied by √d_k before
    attention divides by it. The forward pass is that of `MultiHeadAttention`.

    Steps:
        scaled_query (batch heads queries head_width): $$Q' = \sqrt{d_k}\,Q$$ The queries times √d_k. The
            scores are divided by it two steps later, so that both cancel out: T5 has no such division.
    """

    def __init__(self, config: T5Config, attention: AttentionImplementation = "auto") -> None:
        nn.Module.__init__(self)
        self.heads, self.dropout_probability = config.num_attention_heads, config.attention_probs_dropout_prob
        width, all_heads = config.hidden_size, config.num_attention_heads * config.head_width
        self.query = Linear(width, all_heads, bias=False)
        self.key = Linear(width, all_heads, bias=False)
        self.value = Linear(width, all_heads, bias=False)
        self.output = Linear(all_heads, width, bias=False)
        self.set_attention(attention)

    def set_attention(self, attention: AttentionImplementation) -> None:
        """Choose how attention is computed. Raises: ValueError for an unknown name, and for "triton"."""
        if attention == "triton":
            raise ValueError(
                'attention="triton" computes no gradient of the numbers for distances that T5 learns: choose "auto" or "fused"'
            )
        super().set_attention(attention)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | Sequences | None, relative_positions: RelativePositions
    ) -> Tensor:
        scaled = observe("scaled_query", query * math.sqrt(query.shape[-1]))
        return super()._attend(scaled, key, value, keep, relative_positions)


class T5FeedForward(nn.Module):
    r"""The feed-forward network without biases, and with dropout inside.

    Steps:
        intermediate (batch tokens intermediate): $$u = x W_1^\top$$ The first linear map of the feed-forward network, to more
            features.
        activation (batch tokens intermediate): $$a = f(u)$$ The activation function of each feature.
        feed_forward (batch tokens width): $$F = a W_2^\top$$ The second linear map, back to the width of the model.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.intermediate = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.output = Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def extra_repr(self) -> str:
        return f"activation={self.activation.__name__}"

    def forward(self, hidden: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        activation = observe("activation", self.activation(observe("intermediate", self.intermediate(hidden))))
        return observe("feed_forward", self.output(self.dropout(activation)))


class GatedFeedForward(nn.Module):
    r"""The feed-forward network of T5 1.1: the activated features are multiplied by others (Shazeer 2020, equation 6).

    The names of the two maps, gate and up, are those of later models such as LLaMA; their matrices are W and V in the paper.

    Steps:
        gate (batch tokens intermediate): $$u = x W_G^\top$$ The linear map of the features that get the activation function.
        activation (batch tokens intermediate): $$a = f(u)$$ The activation function of each feature.
        up (batch tokens intermediate): $$v = x W_U^\top$$ A second linear map of the tokens.
        gated (batch tokens intermediate): $$g = a \odot v$$ The product of both, feature by feature.
        feed_forward (batch tokens width): $$F = g W_2^\top$$ The last linear map, back to the width of the model.
    """

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.gate = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.output = Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def extra_repr(self) -> str:
        return f"activation={self.activation.__name__}"

    def forward(self, hidden: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        activation = observe("activation", self.activation(observe("gate", self.gate(hidden))))
        gated = observe("gated", activation * observe("up", self.up(hidden)))
        return observe("feed_forward", self.output(self.dropout(gated)))


class T5EncoderLayer(EncoderLayer):
    """A pre-norm encoder layer from the parts of T5."""

    def __init__(self, config: T5Config, attention: AttentionImplementation = "auto") -> None:
        nn.Module.__init__(self)
        self.pre_norm = True
        self.attention = T5Attention(config, attention)
        self.attention_norm = RMSNorm(config.hidden_size, config.layer_norm_eps)  # type: ignore[assignment]
        self.feed_forward = GatedFeedForward(config) if config.is_gated else T5FeedForward(config)  # type: ignore[assignment]
        self.feed_forward_norm = RMSNorm(config.hidden_size, config.layer_norm_eps)  # type: ignore[assignment]
        self.dropout = Dropout(config.hidden_dropout_prob)


class T5DecoderLayer(T5EncoderLayer, DecoderLayer):
    """A pre-norm decoder layer from the parts of T5."""

    def __init__(self, config: T5Config, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config, attention)
        self.cross_attention = T5Attention(config, attention)
        self.cross_attention_norm = RMSNorm(config.hidden_size, config.layer_norm_eps)  # type: ignore[assignment]


class T5Stack(Stack):
    """The base of `T5Encoder` and `T5Decoder`: positions, layers, and a final normalization with dropout."""

    def __init__(self, config: T5Config, layers: Iterable[nn.Module], bidirectional: bool) -> None:
        nn.Module.__init__(self)
        self.positions = BucketPositions(config, bidirectional)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.layers = LayerStack(layers)
        self.norm = RMSNorm(config.hidden_size, config.layer_norm_eps)  # type: ignore[assignment]

    def final_norm(self, hidden: Tensor) -> Tensor:
        dropped: Tensor = self.dropout(super().final_norm(hidden))
        return dropped


class T5Encoder(T5Stack, Encoder):
    """The encoder of T5: the forward pass of `Encoder`."""

    def __init__(self, config: T5Config, attention: AttentionImplementation = "auto") -> None:
        layers = (T5EncoderLayer(config, attention) for _ in range(config.encoder_layers))
        super().__init__(config, layers, bidirectional=True)


class T5Decoder(T5Stack, Decoder):
    """The decoder of T5: the forward pass of `Decoder`."""

    def __init__(self, config: T5Config, attention: AttentionImplementation = "auto") -> None:
        layers = (T5DecoderLayer(config, attention) for _ in range(config.decoder_layers))
        super().__init__(config, layers, bidirectional=False)
        self.skip_padding = False
