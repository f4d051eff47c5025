"""Multi-head attention as a layer: the projections into the heads and out of them."""

from functools import partial

from jaxtyping import Bool, Float
from torch import Tensor, nn

from minibert.equations import merge_heads, split_heads
from minibert.kernels import Attention, check_attention, choose_attention
from minibert.model.positions import NO_RELATIVE_POSITIONS, RelativePositions
from minibert.observe import observe

KeysAndValues = tuple[Float[Tensor, "batch heads keys head_width"], Float[Tensor, "batch heads keys head_width"]]
"""The projected keys and values of some tokens."""


class MultiHeadAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, section 3.2.2).

    It computes `equations.multi_head_attention`, with a bias in every projection, as in BERT. The projections are
    `nn.Linear` modules, so that adapters can replace them.

    Args:
        width: size of the token vectors. Each head has size `width / heads`.
        heads: number of attention heads; must divide `width`.
        dropout: probability of dropping an attention weight during training.
        attention: "explicit" (the formula), "fused" (one kernel), "auto" (fused, or explicit during a recording), or a
            function with the signature of `equations.scaled_dot_product_attention`.

    Tests: tests/model/test_attention.py::TestMultiHeadAttention
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, attention: Attention = "auto") -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.set_attention(attention)

    def set_attention(self, attention: Attention) -> None:
        """Choose how attention is computed. Raises: ValueError for an unknown name."""
        check_attention(attention)
        self.attention = attention

    def forward(
        self,
        queries_from: Float[Tensor, "batch queries width"],
        keys_from: Float[Tensor, "batch keys width"] | KeysAndValues,
        keep: Bool[Tensor, "#batch 1 #queries keys"] | None = None,
        positions: RelativePositions = NO_RELATIVE_POSITIONS,
    ) -> Float[Tensor, "batch queries width"]:
        """Compute the attention of every query token to the key tokens.

        Args:
            queries_from: the tokens that attend.
            keys_from: the tokens attended to: the same tensor in self-attention, the encoder output in cross-attention. Or
                their keys and values, if these have been computed before (see `KeyValueCache`).
            keep: Boolean mask; True where a query may attend to a key.
            positions: rotary positions or ALiBi, if the model uses them.
        """
        query = observe("query", positions.rotate(split_heads(self.query(queries_from), self.heads)))
        key, value = keys_from if isinstance(keys_from, tuple) else self.keys_and_values(keys_from, positions)
        key, value = observe("key", key), observe("value", value)
        context = self._attend(query, key, value, keep, positions)
        return observe("output", self.output(merge_heads(context)))

    def keys_and_values(
        self, tokens: Float[Tensor, "batch keys width"], positions: RelativePositions = NO_RELATIVE_POSITIONS
    ) -> KeysAndValues:
        """Project tokens to the keys and values of every head."""
        return positions.rotate(split_heads(self.key(tokens), self.heads)), split_heads(self.value(tokens), self.heads)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None, positions: RelativePositions) -> Tensor:
        attend, _ = choose_attention(self.attention)
        if positions.bias is not None:
            attend = partial(attend, bias=positions.bias)
        return attend(query, key, value, keep, self.dropout if self.training else 0.0)
