"""The layers of an encoder and of a decoder: attention, feed-forward network, residual connections, layer normalization."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from minibert import kernels
from minibert.equations import relu
from minibert.kernels import Attention
from minibert.model.attention import MultiHeadAttention
from minibert.model.cache import KeyValueCache
from minibert.model.config import ModelConfig
from minibert.model.positions import NO_RELATIVE_POSITIONS, RelativePositions
from minibert.observe import observe

ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": kernels.gelu,
    "gelu_new": kernels.gelu_tanh,
    "gelu_pytorch_tanh": kernels.gelu_tanh,
    "relu": relu,
    "silu": nn.functional.silu,
}
"""Activation functions by their Hugging Face names. SiLU is in neither paper, but some checkpoints use it."""


class LayerNorm(nn.Module):
    """Layer normalization with learned gain and bias (Ba et al. 2016). The formula is `equations.layer_norm`."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return kernels.layer_norm(hidden, self.weight, self.bias, self.eps)


class FeedForward(nn.Module):
    """Position-wise feed-forward network (Vaswani et al. 2017, section 3.3).

    It computes `equations.feed_forward`. The matrices are `nn.Linear` modules, so that adapters can replace them.

    Tests: tests/model/test_layers.py::TestFeedForward
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.intermediate = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.output = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        intermediate = observe("intermediate", self.intermediate(hidden))
        activation = observe("activation", self.activation(intermediate))
        return observe("feed_forward", self.output(activation))


class EncoderLayer(nn.Module):
    """One Transformer encoder layer: self-attention and a feed-forward network.

    Each of the two sublayers has a residual connection and layer normalization. With a causal mask this is also the
    layer of GPT-2, a decoder without cross-attention.

    Args:
        config: sizes, activation function and dropout probabilities.
        attention: how attention is computed; see `MultiHeadAttention`.
        pre_norm: normalize the input of each sublayer instead of the sum after it.

    Source: Vaswani et al. 2017, section 3.1 and figure 1, left (post-norm: normalization follows the sum, as in
        `equations.add_and_norm`).
    Differs: pre-norm is used by later versions of tensor2tensor and by GPT-2. A stack of pre-norm layers ends with one
        more normalization.
    Tests: tests/model/test_layers.py::TestEncoderLayer
    """

    def __init__(self, config: ModelConfig, attention: Attention = "auto", pre_norm: bool = False) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = _multi_head_attention(config, attention)
        self.attention_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        keep: Bool[Tensor, "#batch 1 #tokens keys"] | None = None,
        positions: RelativePositions = NO_RELATIVE_POSITIONS,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Compute the layer's output for every token.

        Args:
            keep: Boolean mask; True where a token may attend to a key.
            positions: rotary positions or ALiBi, if the model uses them.
            cache: keys and values of earlier tokens; the tokens in `hidden` are then the new ones.
        """
        if self.pre_norm:
            tokens = observe("attention_norm", self.attention_norm(hidden))
            hidden = observe("attention_residual", hidden + self.self_attention(tokens, keep, positions, cache))
            tokens = observe("norm", self.norm(hidden))
            return observe("output", hidden + self.dropout(self.feed_forward(tokens)))
        residual = observe("attention_residual", hidden + self.self_attention(hidden, keep, positions, cache))
        hidden = observe("attention_norm", self.attention_norm(residual))
        return observe("output", self.norm(hidden + self.dropout(self.feed_forward(hidden))))

    def self_attention(
        self, tokens: Tensor, keep: Tensor | None, positions: RelativePositions, cache: KeyValueCache | None
    ) -> Tensor:
        """Attention of the tokens to themselves, or with a cache to all tokens so far; then dropout."""
        keys_from = tokens if cache is None else cache.extend(self.attention, tokens, positions)
        attended: Tensor = self.dropout(self.attention(tokens, keys_from, keep, positions))
        return attended


class DecoderLayer(EncoderLayer):
    """One Transformer decoder layer: self-attention, cross-attention to the encoder output, and a feed-forward network.

    Args:
        config, attention, pre_norm: as in `EncoderLayer`.

    Source: Vaswani et al. 2017, section 3.1 and figure 1, right.
    Tests: tests/model/test_layers.py::TestDecoderLayer
    """

    def __init__(self, config: ModelConfig, attention: Attention = "auto", pre_norm: bool = False) -> None:
        super().__init__(config, attention, pre_norm)
        self.cross_attention = _multi_head_attention(config, attention)
        self.cross_attention_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(  # type: ignore[override]  # it needs one input more: the encoder output
        self,
        hidden: Float[Tensor, "batch tokens width"],
        keep: Bool[Tensor, "#batch 1 #tokens keys"] | None = None,
        positions: RelativePositions = NO_RELATIVE_POSITIONS,
        cache: KeyValueCache | None = None,
        *,
        memory: Float[Tensor, "batch sources width"],
        memory_keep: Bool[Tensor, "batch 1 1 sources"] | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Compute the layer's output for every token.

        Args:
            keep, positions, cache: as in `EncoderLayer`.
            memory: the encoder output.
            memory_keep: Boolean mask; True where `memory` may be attended to.
        """
        if self.pre_norm:
            tokens = observe("attention_norm", self.attention_norm(hidden))
            hidden = observe("attention_residual", hidden + self.self_attention(tokens, keep, positions, cache))
            tokens = observe("cross_attention_norm", self.cross_attention_norm(hidden))
            hidden = observe("cross_attention_residual", hidden + self.attend_to_memory(tokens, memory, memory_keep, cache))
            tokens = observe("norm", self.norm(hidden))
            return observe("output", hidden + self.dropout(self.feed_forward(tokens)))
        residual = observe("attention_residual", hidden + self.self_attention(hidden, keep, positions, cache))
        hidden = observe("attention_norm", self.attention_norm(residual))
        residual = observe("cross_attention_residual", hidden + self.attend_to_memory(hidden, memory, memory_keep, cache))
        hidden = observe("cross_attention_norm", self.cross_attention_norm(residual))
        return observe("output", self.norm(hidden + self.dropout(self.feed_forward(hidden))))

    def attend_to_memory(
        self, tokens: Tensor, memory: Tensor, memory_keep: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        """Attention of the tokens to the encoder output; then dropout."""
        keys_from = memory if cache is None else cache.of_memory(self.cross_attention, memory)
        attended: Tensor = self.dropout(self.cross_attention(tokens, keys_from, memory_keep))
        return attended


def _multi_head_attention(config: ModelConfig, attention: Attention) -> MultiHeadAttention:
    return MultiHeadAttention(config.hidden_size, config.num_attention_heads, config.attention_probs_dropout_prob, attention)
