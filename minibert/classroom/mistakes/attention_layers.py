"""Mistakes in the layer with the parameters of multi-head attention."""

from minibert.classroom.mistakes.mistake import Mistake
from minibert.model.attention import MultiHeadAttention

ATTENDED = "self._attend(query, key, value, keep, relative_positions)"

ATTENTION_LAYER_MISTAKES = [
    Mistake(
        "dropout in evaluation",
        MultiHeadAttention._attend,
        (("self.dropout_probability if self.training else 0.0", "self.dropout_probability"),),
        "Attention weights are dropped in evaluation too.",
        "The same input gives a different output every time.",
        "users of the functional dropout, whose default is training=True",
        message="You applied dropout in evaluation too.",
    ),
    Mistake(
        "cross-attention to itself",
        MultiHeadAttention.forward,
        (("self.keys_and_values(keys_from, relative_positions)", "self.keys_and_values(queries_from, relative_positions)"),),
        "Keys and values are computed from the tokens of the queries.",
        "Self-attention is not affected. A decoder never uses the source sentence.",
        "learners",
        message="You computed keys and values from the tokens of the queries.",
    ),
    Mistake(
        "no output projection in the layer",
        MultiHeadAttention.forward,
        (("self.output(merged)", "merged"),),
        "The output projection is missing.",
        "The heads are never mixed.",
        "learners",
        message="You left out the output projection.",
    ),
    Mistake(
        "queries from the keys' tokens",
        MultiHeadAttention.forward,
        (("self.query(queries_from)", "self.query(keys_from if not isinstance(keys_from, tuple) else queries_from)"),),
        "The queries are computed from the tokens of the keys.",
        "In cross-attention, the output does not depend on the tokens that attend.",
        "learners",
        message="You computed the queries from the tokens of the keys.",
    ),
    Mistake(
        "keys from the query projection",
        MultiHeadAttention.forward,
        (
            (
                'observe("key", key)',
                ('observe("key", split_heads(self.query(keys_from), self.heads) if not isinstance(keys_from, tuple) else key)'),
            ),
        ),
        "The keys are computed with the query projection.",
        "Tokens attend mostly to themselves.",
        "learners, by copying a line",
        message="You computed the keys with the query projection.",
    ),
    Mistake(
        "keys and values swapped in the layer",
        MultiHeadAttention.forward,
        ((ATTENDED, "self._attend(query, value, key, keep, relative_positions)"),),
        "Keys and values are swapped.",
        "The scores come from the values.",
        "learners, by the order of arguments",
        message="You swapped keys and values.",
    ),
    Mistake(
        "heads split without a transpose in the layer",
        MultiHeadAttention.forward,
        (
            (
                "query = split_heads(self.query(queries_from), self.heads)",
                ("query = self.query(queries_from).view(queries_from.shape[0], self.heads, queries_from.shape[1], -1)"),
            ),
            (
                "self.keys_and_values(keys_from, relative_positions)",
                (
                    "(part(keys_from).view(len(keys_from), self.heads, keys_from.shape[1], -1) for part in "
                    "(self.key, self.value))"
                ),
            ),
        ),
        "The heads are split with a view only.",
        "Each head gets parts of different tokens.",
        "learners: view without transpose",
        message="You split the heads without a transpose, which mixes the tokens.",
    ),
    Mistake(
        "residual connection in the attention layer",
        MultiHeadAttention.forward,
        (('observe("output", self.output(merged))', 'observe("output", self.output(merged) + queries_from)'),),
        "The input is added to the output.",
        "The encoder layer adds it again.",
        "learners",
        message="You added the input. The residual connection belongs to the encoder layer.",
    ),
    Mistake(
        "keys of the layer from the queries' tokens",
        MultiHeadAttention.forward,
        (
            (
                "key, value = self.keys_and_values(keys_from, relative_positions)",
                "(key, _), (_, value) = (self.keys_and_values(x, relative_positions) for x in (queries_from, keys_from))",
            ),
        ),
        "The keys are computed from the tokens of the queries, and the values from the others.",
        "Self-attention is not affected. In cross-attention, the weights say nothing about the values.",
        "learners",
        message="You computed the keys from the tokens of the queries.",
    ),
    Mistake(
        "values of the layer from the queries' tokens",
        MultiHeadAttention.forward,
        (
            (
                "key, value = self.keys_and_values(keys_from, relative_positions)",
                "(key, _), (_, value) = (self.keys_and_values(x, relative_positions) for x in (keys_from, queries_from))",
            ),
        ),
        "The values are computed from the tokens of the queries, and the keys from the others.",
        "Self-attention is not affected. In cross-attention, the weights say nothing about the values.",
        "learners",
        message="You computed the values from the tokens of the queries.",
    ),
    Mistake(
        "given keys and values swapped",
        MultiHeadAttention.forward,
        (("key, value = keys_from", "value, key = keys_from"),),
        "The parts of a given tuple are taken in the wrong order.",
        "Training is right, and decoding with a cache is not.",
        "learners, by mistake",
        message="You swapped the given keys and values: the keys are the first of the two.",
    ),
]
