"""Attention with parameters: the projections into the heads and out of them again."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from minibert.equations import merge_heads, split_heads
from minibert.kernels import Attention, check_attention, choose_attention
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
        keep: Bool[Tensor, "batch 1 #queries keys"] | None = None,
    ) -> Float[Tensor, "batch queries width"]:
        query = observe("query", split_heads(self.query(queries_from), self.heads))
        key = observe("key", split_heads(self.key(keys_from), self.heads))
        value = observe("value", split_heads(self.value(keys_from), self.heads))
        attend, _ = choose_attention(self.attention)
        context = attend(query, key, value, keep, self.dropout if self.training else 0.0)
        return observe("output", self.output(merge_heads(context)))
