"""The layers of an encoder and of a decoder: attention, feed-forward network, residual connections, layer normalization.

`kernels` has fast versions of functions in `equations`; inside `record(model)` they call the equations. `observe(name, x)`
returns x. Inside `record(model)` it also stores x under that name, or returns a replacement for it.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from minibert import kernels
from minibert.equations import relu
from minibert.kernels import AttentionImplementation, Sequences
from minibert.model.attention import MultiHeadAttention
from minibert.model.cache import AllTokens, KeyValueCache
from minibert.model.config import ModelConfig
from minibert.model.linear import ActivatedLinear, Dropout, Linear
from minibert.model.positions import NO_RELATIVE_POSITIONS, RelativePositions
from minibert.observe import is_recording, observe


def quick_gelu(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return x σ(1.702 x), an approximation of GELU (Hendrycks and Gimpel 2016, section 2)."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": kernels.gelu,
    "gelu_new": kernels.gelu_tanh,
    "gelu_pytorch_tanh": kernels.gelu_tanh,
    "relu": relu,  # a single operation, which needs no kernel
    "silu": nn.functional.silu,
    "quick_gelu": quick_gelu,
}
"""Activation functions by their Hugging Face names. Neither Vaswani et al. 2017 nor Devlin et al. 2019 has the last two, but
some checkpoints use them."""


class LayerNorm(nn.Module):
    """Layer normalization with learned gain and bias (Ba et al. 2016). The formula is `equations.layer_norm`."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps:g}"

    def forward(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return kernels.layer_norm(hidden, self.weight, self.bias, self.eps)


class FeedForward(nn.Module):
    r"""Position-wise feed-forward network (Vaswani et al. 2017, section 3.3).

    It computes `equations.feed_forward`. The matrices are `nn.Linear` modules, so that a library such as peft
    can wrap them with LoRA.

    Steps:
        intermediate (batch tokens intermediate): $$u = x W_1^\top + b_1$$ The first linear map of the feed-forward network, to
            more features.
        activation (batch tokens intermediate): $$a = f(u)$$ The activation function of each feature.
        feed_forward (batch tokens width): $$F = a W_2^\top + b_2$$ The second linear map, back to the width of the model.
    Tests: tests/model/test_layers.py::TestFeedForward
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.intermediate = Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.output = ActivatedLinear(config.intermediate_size, config.hidden_size)

    def extra_repr(self) -> str:
        return f"activation={self.activation.__name__}"

    def forward(self, hidden: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        intermediate = observe("intermediate", self.intermediate(hidden))
        if type(self.output) is ActivatedLinear and not is_recording():  # without an adapter
            transformed: Tensor = self.output(intermediate, self.activation)
            return transformed
        activation = observe("activation", self.activation(intermediate))
        return observe("feed_forward", self.output(activation))


class EncoderLayer(nn.Module):
    r"""One Transformer encoder layer: self-attention and a feed-forward network.

    Each of the two sublayers has a residual connection and layer normalization. With a causal mask and `pre_norm`, this is
    also the layer of GPT-2. In the steps below, x is the input of the sublayer or of the normalization.

    Args:
        config: sizes, activation function and dropout probabilities.
        attention: how attention is computed: "auto", "explicit", "fused", "triton" or a function; see `MultiHeadAttention`.
        pre_norm: if True, x + Sublayer(LayerNorm(x)), as in GPT-2; if False, LayerNorm(x + Sublayer(x)), as in Vaswani et
            al. 2017 and BERT (`equations.add_and_norm`).

    Source: Vaswani et al. 2017, section 3.1 and figure 1, left.
    Differs: pre-norm is not in the paper, but in Google's later code (tensor2tensor) and in GPT-2. A model of pre-norm
        layers needs a final normalization after the last layer; see `stacks.Stack`.
    Steps:
        attention_residual (batch tokens width): $$r = x + O$$ The residual connection: O, the output of attention
            after dropout, plus its input.
        attention_norm (batch tokens width): $$n = \mathrm{LayerNorm}(x)$$ Layer normalization of each token's vector.
        feed_forward_residual (batch tokens width): $$r' = x + F$$ The residual connection: F, the output of the
            feed-forward network after dropout, plus its input.
        feed_forward_norm (batch tokens width): $$y = \mathrm{LayerNorm}(x)$$ Layer normalization of each token's vector.
        output (batch tokens width): $$y$$ The output of the layer.
    Tests: tests/model/test_layers.py::TestEncoderLayer
    """

    def __init__(self, config: ModelConfig, attention: AttentionImplementation = "auto", pre_norm: bool = False) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = _make_attention(config, attention)
        self.attention_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def extra_repr(self) -> str:
        return f"pre_norm={self.pre_norm}"

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        keep: Bool[Tensor, "#batch 1 #tokens keys"] | Sequences | None = None,
        relative_positions: RelativePositions = NO_RELATIVE_POSITIONS,
        cache: KeyValueCache | AllTokens | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Compute the layer's output for every token.

        Args:
            keep: Boolean mask; True where a token may attend to a key. For a ragged batch in one row, `Sequences`.
            relative_positions: rotary positions or ALiBi. Models that add position vectors to the embeddings, such as BERT,
                leave the default, which has no effect.
            cache: keys and values of earlier tokens. If given, `hidden` has the new tokens only, and their keys and values
                are appended to the cache. Or `AllTokens`, if the output of some tokens is not wanted.
        """
        if self.pre_norm:
            normalized = observe("attention_norm", self.attention_norm(hidden))
            attended = self.dropout(self.self_attend(normalized, keep, relative_positions, cache))
            hidden = observe("attention_residual", hidden + attended)
            normalized = observe("feed_forward_norm", self.feed_forward_norm(hidden))
            transformed = self.dropout(self.feed_forward(normalized))
            return observe("output", observe("feed_forward_residual", hidden + transformed))
        attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))
        summed = observe("attention_residual", hidden + attended)
        hidden = observe("attention_norm", self.attention_norm(summed))
        transformed = self.dropout(self.feed_forward(hidden))
        summed = observe("feed_forward_residual", hidden + transformed)
        return observe("output", observe("feed_forward_norm", self.feed_forward_norm(summed)))

    def self_attend(
        self,
        hidden: Tensor,
        keep: Tensor | Sequences | None,
        relative_positions: RelativePositions,
        cache: KeyValueCache | AllTokens | None,
    ) -> Tensor:
        """Compute self-attention. With a cache, the keys and values of other tokens come from it."""
        if cache is None:
            attended: Tensor = self.attention(hidden, hidden, keep, relative_positions)
        else:
            keys_and_values = cache.keys_and_values(self.attention, hidden, relative_positions)
            attended = self.attention(hidden, keys_and_values, keep, relative_positions)
        return attended


class DecoderLayer(EncoderLayer):
    r"""One Transformer decoder layer: masked self-attention, cross-attention to the encoder output, feed-forward network.

    It is an `EncoderLayer` with cross-attention added between its two sublayers. The caller passes the causal mask in `keep`.

    Args:
        config, attention, pre_norm: as in `EncoderLayer`.

    Source: Vaswani et al. 2017, section 3.1 and figure 1, right.
    Steps:
        cross_attention_residual (batch tokens width): $$c = x + O$$ The residual connection: O, here the output of
            cross-attention after dropout, plus its input.
        cross_attention_norm (batch tokens width): $$n' = \mathrm{LayerNorm}(x)$$ Layer normalization of each token's vector.
    Tests: tests/model/test_layers.py::TestDecoderLayer
    """

    def __init__(self, config: ModelConfig, attention: AttentionImplementation = "auto", pre_norm: bool = False) -> None:
        super().__init__(config, attention, pre_norm)
        self.cross_attention = _make_attention(config, attention)
        self.cross_attention_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(  # type: ignore[override]  # it has one more required argument, `memory`
        self,
        hidden: Float[Tensor, "batch tokens width"],
        keep: Bool[Tensor, "#batch 1 #tokens keys"] | None = None,
        relative_positions: RelativePositions = NO_RELATIVE_POSITIONS,
        cache: KeyValueCache | None = None,
        *,
        memory: Float[Tensor, "batch sources width"],
        memory_keep: Bool[Tensor, "batch 1 1 sources"] | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Compute the layer's output for every token.

        Args:
            keep, relative_positions: as in `EncoderLayer`.
            cache: as in `EncoderLayer`; it also stores the keys and values of `memory`.
            memory: the encoder output.
            memory_keep: Boolean mask; True where `memory` may be attended to.
        """
        if self.pre_norm:
            normalized = observe("attention_norm", self.attention_norm(hidden))
            attended = self.dropout(self.self_attend(normalized, keep, relative_positions, cache))
            hidden = observe("attention_residual", hidden + attended)
            normalized = observe("cross_attention_norm", self.cross_attention_norm(hidden))
            attended = self.dropout(self.cross_attend(normalized, memory, memory_keep, cache))
            hidden = observe("cross_attention_residual", hidden + attended)
            normalized = observe("feed_forward_norm", self.feed_forward_norm(hidden))
            transformed = self.dropout(self.feed_forward(normalized))
            return observe("output", observe("feed_forward_residual", hidden + transformed))
        attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))
        summed = observe("attention_residual", hidden + attended)
        hidden = observe("attention_norm", self.attention_norm(summed))
        attended = self.dropout(self.cross_attend(hidden, memory, memory_keep, cache))
        summed = observe("cross_attention_residual", hidden + attended)
        hidden = observe("cross_attention_norm", self.cross_attention_norm(summed))
        transformed = self.dropout(self.feed_forward(hidden))
        summed = observe("feed_forward_residual", hidden + transformed)
        return observe("output", observe("feed_forward_norm", self.feed_forward_norm(summed)))

    def cross_attend(self, hidden: Tensor, memory: Tensor, memory_keep: Tensor | None, cache: KeyValueCache | None) -> Tensor:
        """Compute cross-attention. With a cache, the keys and values of the encoder output are computed only once."""
        if cache is None:
            attended: Tensor = self.cross_attention(hidden, memory, memory_keep)
        else:
            keys_and_values = cache.memory_keys_and_values(self.cross_attention, memory)
            attended = self.cross_attention(hidden, keys_and_values, memory_keep)
        return attended


def _make_attention(config: ModelConfig, attention: AttentionImplementation) -> MultiHeadAttention:
    return MultiHeadAttention(
        config.hidden_size, config.num_attention_heads, config.attention_probs_dropout_prob, attention, config.qkv_bias
    )
