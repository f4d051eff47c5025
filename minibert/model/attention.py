"""Attention with parameters: the projections into the heads and out of them again."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from minibert.equations import merge_heads, split_heads
from minibert.kernels import Attention, check_attention, choose_attention
from minibert.model.cache import KeysAndValues, KeyValueCache
from minibert.model.positions import Rotation
from minibert.observe import observe


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in its own subspace (Vaswani et al. 2017, section 3.2.2).

    Args:
        width: of the tokens, and of all heads together.
        heads: number of attentions; must divide `width`.
        dropout: probability with which an attention weight is dropped in training.
        attention: "explicit" (the formula), "fused" (one kernel), "auto" (fused, but explicit while recording), or any
            function that is called as `equations.scaled_dot_product_attention` is.

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
        """Changes how attention is computed. Raises: ValueError for a name that is unknown."""
        check_attention(attention)
        self.attention = attention

    def forward(
        self,
        queries_from: Float[Tensor, "batch queries width"],
        keys_from: Float[Tensor, "batch keys width"],
        keep: Bool[Tensor, "#batch 1 #queries all_keys"] | None = None,
        bias: Float[Tensor, "#batch heads queries all_keys"] | None = None,
        rotate: Rotation | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch queries width"]:
        """Each query reads from the keys, in every head.

        Args:
            keys_from: the same tensor as `queries_from` in self-attention. With a `cache` these are the new tokens, and the
                keys are all so far; in attention to anything else, such as the encoder's output, they stay what they were.
            keep: True where a query may read a key.
            bias, turn: what positions add to the scores, and do to queries and keys (`model.positions`).
        """
        query = split_heads(self.query(queries_from), self.heads)
        query = observe("query", query if rotate is None else rotate(query))

        def make() -> KeysAndValues:
            return self._keys_and_values(keys_from, rotate)

        if cache is None:
            key, value = make()
        elif keys_from is queries_from:
            key, value = cache.extended(self, make())
        else:
            key, value = cache.once(self, make)
        attend, _ = choose_attention(self.attention)
        biased = {} if bias is None else {"bias": bias}
        context = attend(query, key, value, keep, self.dropout if self.training else 0.0, **biased)
        return observe("output", self.output(merge_heads(context)))

    def _keys_and_values(self, keys_from: Float[Tensor, "batch keys width"], rotate: Rotation | None) -> KeysAndValues:
        key = split_heads(self.key(keys_from), self.heads)
        return (
            observe("key", key if rotate is None else rotate(key)),
            observe("value", split_heads(self.value(keys_from), self.heads)),
        )
