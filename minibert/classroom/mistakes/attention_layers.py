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
        "values from the key projection",
        MultiHeadAttention.forward,
        (('observe("value", value)', 'observe("value", key)'),),
        "The keys are used as values.",
        "The value projection is never trained.",
        "learners, by copying a line",
        message="You used the keys as values. The values have their own projection.",
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
        "mask ignored in the attention layer",
        MultiHeadAttention.forward,
        ((ATTENDED, "self._attend(query, key, value, None, relative_positions)"),),
        "The mask is not used.",
        "Tokens attend to padding.",
        "learners",
        message="You did not pass the mask to attention.",
    ),
    Mistake(
        "mask inverted in the attention layer",
        MultiHeadAttention.forward,
        ((ATTENDED, "self._attend(query, key, value, None if keep is None else ~keep, relative_positions)"),),
        "The mask is inverted.",
        "Tokens attend to padding only.",
        "learners: masks of torch.nn.MultiheadAttention",
        message="You inverted the mask: True means that a token may be attended to.",
    ),
    Mistake(
        "no scale in the attention layer",
        MultiHeadAttention.forward,
        ((ATTENDED, "self._attend(query * query.shape[-1] ** 0.5, key, value, keep, relative_positions)"),),
        "The scores are not divided by √d_k.",
        "Softmax chooses one key only, and gradients vanish.",
        "learners",
        message="You left out √d_k.",
    ),
    Mistake(
        "scale of the whole width in the layer",
        MultiHeadAttention.forward,
        (
            (
                ATTENDED,
                (
                    "self._attend(query * (query.shape[-1] / queries_from.shape[-1]) ** 0.5, key, value, keep, "
                    "relative_positions)"
                ),
            ),
        ),
        "The scores are divided by the root of the width of the model.",
        "The weights are too equal.",
        "learners",
        message="You divided by the root of the width of the model. d_k is the width of one head.",
    ),
    Mistake(
        "scores of the layer divided by the width",
        MultiHeadAttention.forward,
        ((ATTENDED, "self._attend(query / query.shape[-1] ** 0.5, key, value, keep, relative_positions)"),),
        "The scores are divided by d_k instead of its root.",
        "The weights are too equal.",
        "learners",
        message="You divided by d_k, not by its root.",
    ),
    Mistake(
        "softmax over the queries in the layer",
        MultiHeadAttention.forward,
        (
            (
                ATTENDED,
                (
                    "((query @ key.mT / query.shape[-1] ** 0.5) if keep is None else (query @ key.mT / "
                    'query.shape[-1] ** 0.5).masked_fill(~keep, -float("inf"))).softmax(dim=-2).nan_to_num() @ value'
                ),
            ),
        ),
        "The weights sum to one over the queries.",
        "Each query gets an arbitrary amount of attention.",
        "softmax with the wrong dim",
        message="You normalized over the queries. The weights of each query sum to one over the keys.",
    ),
    Mistake(
        "mask after the softmax in the layer",
        MultiHeadAttention.forward,
        ((ATTENDED, ("((query @ key.mT / query.shape[-1] ** 0.5).softmax(dim=-1) * (1 if keep is None else keep)) @ value")),),
        "The mask is applied after the softmax.",
        "The weights of the other keys sum to less than one.",
        "learners",
        message="You masked the weights after the softmax.",
    ),
    Mistake(
        "mask multiplied into the scores of the layer",
        MultiHeadAttention.forward,
        ((ATTENDED, ("((query @ key.mT / query.shape[-1] ** 0.5) * (1 if keep is None else keep)).softmax(dim=-1) @ value")),),
        "Masked scores are 0 instead of minus infinity.",
        "A masked key still gets the weight of a score of 0.",
        "learners",
        message="Your masked scores are about 0, not -∞, so masked keys still get e⁰, which is 1.",
    ),
    Mistake(
        "no softmax in the layer",
        MultiHeadAttention.forward,
        (
            (
                ATTENDED,
                (
                    "((query @ key.mT / query.shape[-1] ** 0.5) if keep is None else (query @ key.mT / "
                    "query.shape[-1] ** 0.5).masked_fill(~keep, 0.0)) @ value"
                ),
            ),
        ),
        "The softmax is missing.",
        "The weights are negative, or larger than one.",
        "learners",
        message="You left out the softmax.",
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
]
