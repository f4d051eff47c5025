"""Multi-head attention as a module: query, key and value projections, then attention, then the output projection.

`observe(name, x)` returns x. Inside `record(model)` it also stores x under that name, or returns a replacement for it.
"""

from functools import partial

from jaxtyping import Bool, Float
from torch import Tensor, nn

from minibert.equations import merge_heads, split_heads
from minibert.kernels import AttentionImplementation, Sequences, check_attention, choose_attention, ragged_attention
from minibert.model.linear import Linear
from minibert.model.positions import NO_RELATIVE_POSITIONS, RelativePositions
from minibert.observe import observe

KeysAndValues = tuple[Float[Tensor, "batch heads keys head_width"], Float[Tensor, "batch heads keys head_width"]]
"""The projected keys and values of some tokens."""


class MultiHeadAttention(nn.Module):
    r"""Multi-head attention (Vaswani et al. 2017, section 3.2.2).

    It computes `equations.multi_head_attention`, with a bias in every projection, as in BERT. The projections are
    `nn.Linear` modules, so that a library such as peft can wrap them with LoRA.

    Args:
        width: size of the token vectors. Each head has size `width / heads`.
        heads: number of attention heads; must divide `width`.
        dropout: probability of dropping an attention weight during training.
        attention: "explicit" (the formula, line by line); "fused" (one fast kernel); "triton" (FlashAttention by hand, for
            CUDA); "auto" (a fast kernel, but explicit inside `record`, which needs the scores and weights); or a function
            of query, key, value, keep and dropout like `equations.scaled_dot_product_attention`, for ALiBi also of bias.
        qkv_bias: whether the maps to queries, keys and values have a bias.

    Steps:
        query (batch heads queries head_width): $$Q = x W_Q^\top + b_Q$$ The query of each token in each head: the vector that
            is compared with the keys.
        key (batch heads keys head_width): $$K = x W_K^\top + b_K$$ The key of each token in each head: the vector that the
            queries are compared with.
        value (batch heads keys value_width): $$V = x W_V^\top + b_V$$ The value of each token in each head: the vector that
            is averaged.
        merged (batch queries width): $$H = \mathrm{Concat}(C_0, C_1, \ldots)$$ The context vectors of all heads, one after
            another: the results of scaled dot-product attention.
        output (batch queries width): $$O = H W_O^\top + b_O$$ The output projection, which mixes the heads.
    Tests: tests/model/test_attention.py::TestMultiHeadAttention
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float = 0.0,
        attention: AttentionImplementation = "auto",
        qkv_bias: bool = True,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout_probability = dropout
        self.query = Linear(width, width, bias=qkv_bias)
        self.key = Linear(width, width, bias=qkv_bias)
        self.value = Linear(width, width, bias=qkv_bias)
        self.output = Linear(width, width)
        self.set_attention(attention)

    def extra_repr(self) -> str:
        name = getattr(self.implementation, "__name__", self.implementation)
        return f"heads={self.heads}, dropout={self.dropout_probability:g}, attention={name}"

    def set_attention(self, attention: AttentionImplementation) -> None:
        """Choose how attention is computed. Raises: ValueError for an unknown name."""
        check_attention(attention)
        self.implementation = attention

    def forward(
        self,
        queries_from: Float[Tensor, "batch queries width"],
        keys_from: Float[Tensor, "batch keys width"] | KeysAndValues,
        keep: Bool[Tensor, "#batch 1 #queries keys"] | Sequences | None = None,
        relative_positions: RelativePositions = NO_RELATIVE_POSITIONS,
    ) -> Float[Tensor, "batch queries width"]:
        """Compute the attention of every query token to the key tokens.

        Args:
            queries_from: vectors of the tokens that attend.
            keys_from: vectors of the tokens that they attend to: the same tensor in self-attention, the encoder output in
                cross-attention. When decoding with a `KeyValueCache`, the tuple of their projected keys and values.
            keep: Boolean mask; True where a query may attend to a key. The context vectors of a query that may attend to no
                key are zeros. For the tokens of a ragged batch in one row, `Sequences`.
            relative_positions: rotary positions or ALiBi. The default has no effect, and `rotate` returns its argument.
        """
        query = split_heads(self.query(queries_from), self.heads)
        query = observe("query", relative_positions.rotate(query))
        if isinstance(keys_from, tuple):
            key, value = keys_from
        else:
            key, value = self.keys_and_values(keys_from, relative_positions)
        key, value = observe("key", key), observe("value", value)
        context = self._attend(query, key, value, keep, relative_positions)
        merged = observe("merged", merge_heads(context))
        return observe("output", self.output(merged))

    def keys_and_values(
        self, hidden: Float[Tensor, "batch keys width"], relative_positions: RelativePositions = NO_RELATIVE_POSITIONS
    ) -> KeysAndValues:
        """Compute the keys and values of every head. With rotary positions, the keys are rotated."""
        key = split_heads(self.key(hidden), self.heads)
        value = split_heads(self.value(hidden), self.heads)
        return relative_positions.rotate(key), value

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | Sequences | None, relative_positions: RelativePositions
    ) -> Tensor:
        dropout = self.dropout_probability if self.training else 0.0
        longest = keep.shape[1] if isinstance(keep, Sequences) else key.shape[-2]
        attend, _ = choose_attention(self.implementation, query, dropout, longest)
        if isinstance(keep, Sequences):
            return ragged_attention(attend, query, key, value, keep, dropout)
        if relative_positions.score_bias is not None:  # only for ALiBi: a user's function might not have this argument
            attend = partial(attend, bias=relative_positions.score_bias)
        return attend(query, key, value, keep, dropout)
