"""The parts between attention and attention: embeddings, layer normalization, the layers themselves."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minibert import kernels
from minibert.equations import relu
from minibert.kernels import Attention
from minibert.model.attention import MultiHeadAttention
from minibert.model.cache import KeyValueCache
from minibert.model.config import BertConfig, ModelConfig
from minibert.model.positions import Rotation
from minibert.observe import observe

ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": kernels.gelu,
    "gelu_new": kernels.gelu_tanh,
    "gelu_pytorch_tanh": kernels.gelu_tanh,
    "relu": relu,
    "silu": nn.functional.silu,
}
"""By Hugging Face's names. The SiLU is in neither paper; some checkpoints have it."""


class LayerNorm(nn.Module):
    """Layer normalization with its two parameters (Ba et al. 2016); the formula is `equations.layer_norm`."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return kernels.layer_norm(hidden, self.weight, self.bias, self.eps)


class Embeddings(nn.Module):
    """What a token is before any attention: word piece plus position plus segment (Devlin et al. 2019, figure 2)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.segments = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        token_type_ids: Int[Tensor, "batch tokens"],
        position_ids: Int[Tensor, "*#batch tokens"],
    ) -> Float[Tensor, "batch tokens width"]:
        """Raises: ValueError as `check_ids`."""
        check_ids("input_ids", input_ids, self.words, "vocab_size")
        check_ids("position_ids", position_ids, self.positions, "max_position_embeddings")
        check_ids("token_type_ids", token_type_ids, self.segments, "type_vocab_size")
        words = observe("words", self.words(input_ids))
        positions = observe("positions", self.positions(position_ids))
        segments = observe("segments", self.segments(token_type_ids))
        output = observe("output", self.norm(observe("sum", words + positions + segments)))
        dropped: Tensor = self.dropout(output)
        return dropped


class EncoderLayer(nn.Module):
    """Tokens read from each other, then each thinks by itself; each time the input is added and the sum normalized.

    Args:
        attention: how it is computed; see `MultiHeadAttention`.
        pre_norm: normalize what goes into attention and feed-forward network, not the sums.

    Source: Vaswani et al. 2017, section 3.1 and figure 1 (post-norm: the normalization comes after the sum).
    Differs: pre-norm is what tensor2tensor came to use, and GPT-2; a stack of such layers ends with one more normalization.
    Tests: tests/model/test_layers.py::TestEncoderLayer
    """

    def __init__(self, config: ModelConfig, attention: Attention, pre_norm: bool = False) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = _attention(config, attention)
        self.attention_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.intermediate = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.feed_forward = nn.Linear(config.intermediate_size, config.hidden_size)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        keep: Bool[Tensor, "#batch 1 #tokens keys"] | None = None,
        bias: Float[Tensor, "#batch heads tokens keys"] | None = None,
        rotate: Rotation | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """The arguments are those of `MultiHeadAttention`."""
        return self._think(self._read_each_other(hidden, keep, bias, rotate, cache))

    def _read_each_other(
        self, hidden: Tensor, keep: Tensor | None, bias: Tensor | None, rotate: Rotation | None, cache: KeyValueCache | None
    ) -> Tensor:
        tokens = self._before("attention_norm", hidden)
        read = self.dropout(self.attention(tokens, tokens, keep, bias, rotate, cache))
        return self._after("attention_norm", observe("attention_residual", hidden + read))

    def _think(self, hidden: Tensor) -> Tensor:
        tokens = self._before("norm", hidden)
        intermediate = observe("intermediate", self.intermediate(tokens))
        activation = observe("activation", self.activation(intermediate))
        thought = self.dropout(observe("feed_forward", self.feed_forward(activation)))
        return observe("output", hidden + thought if self.pre_norm else self.norm(hidden + thought))

    def _before(self, norm: str, hidden: Tensor) -> Tensor:
        """What goes into a sublayer."""
        return observe(norm, self.get_submodule(norm)(hidden)) if self.pre_norm else hidden

    def _after(self, norm: str, residual: Tensor) -> Tensor:
        """What becomes of the sum of a sublayer's input and output."""
        return residual if self.pre_norm else observe(norm, self.get_submodule(norm)(residual))


class DecoderLayer(EncoderLayer):
    """An encoder layer in which the tokens also read from something else, between reading each other and thinking.

    Args:
        cross_attention: whether there is something else to read. Without it the layer is GPT-2's: an encoder layer, which
            only `keep` makes one of a decoder.

    Source: Vaswani et al. 2017, section 3.1 and figure 1, on the right.
    Tests: tests/model/test_layers.py::TestDecoderLayer
    """

    def __init__(self, config: ModelConfig, attention: Attention, pre_norm: bool = False, cross_attention: bool = True) -> None:
        super().__init__(config, attention, pre_norm)
        self.cross_attention = _attention(config, attention) if cross_attention else None
        self.cross_attention_norm = LayerNorm(config.hidden_size, config.layer_norm_eps) if cross_attention else None

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        keep: Bool[Tensor, "#batch 1 #tokens keys"] | None = None,
        bias: Float[Tensor, "#batch heads tokens keys"] | None = None,
        rotate: Rotation | None = None,
        cache: KeyValueCache | None = None,
        memory: Float[Tensor, "batch sources width"] | None = None,
        memory_keep: Bool[Tensor, "batch 1 1 sources"] | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """`memory` is what is read by cross-attention, the encoder's output, where `memory_keep` is True."""
        hidden = self._read_each_other(hidden, keep, bias, rotate, cache)
        if self.cross_attention is not None:
            tokens = self._before("cross_attention_norm", hidden)
            read = self.dropout(self.cross_attention(tokens, memory, memory_keep, cache=cache))
            hidden = self._after("cross_attention_norm", observe("cross_attention_residual", hidden + read))
        return self._think(hidden)


def _attention(config: ModelConfig, attention: Attention) -> MultiHeadAttention:
    return MultiHeadAttention(config.hidden_size, config.num_attention_heads, config.attention_probs_dropout_prob, attention)


def check_ids(name: str, ids: Tensor, table: nn.Embedding, size_name: str) -> None:
    """Raises: ValueError that names the id, for one outside its table: on the CPU, where looking costs nothing."""
    if torch.compiler.is_compiling() or ids.device.type != "cpu":
        return
    if ids.numel() and not (int(ids.min()) >= 0 and int(ids.max()) < table.num_embeddings):
        wrong = int(ids.min()) if ids.min() < 0 else int(ids.max())
        raise ValueError(f"{name} has the id {wrong}, but {size_name} is {table.num_embeddings}")
