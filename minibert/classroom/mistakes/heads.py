"""Mistakes in multi-head attention."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import merge_heads, multi_head_attention, split_heads

HEAD_MISTAKES = [
    Mistake(
        "heads split without transposing",
        split_heads,
        (
            (
                "hidden.reshape(*hidden.shape[:-1], heads, width).transpose(-2, -3)",
                "hidden.reshape(*hidden.shape[:-2], heads, hidden.shape[-2], width)",
            ),
        ),
        "The heads are split with view or reshape alone, without a transpose.",
        "The shape is right, but tokens are mixed: a change to one token changes the query of another.",
        "learners; the most frequent mistake",
        message="You split the heads without a transpose.",
    ),
    Mistake(
        "heads from every h-th column",
        split_heads,
        (("heads, width).transpose(-2, -3)", "width, heads).movedim(-1, -3)"),),
        "Head i has the columns i, i + h, i + 2h and so on.",
        "A model trained this way works, but its weights are not compatible with other code.",
        "code that reshapes to (width, heads)",
        Kind.CONVENTION,
        message="You gave head i the columns i, i + h, i + 2h and so on, instead of adjacent columns.",
    ),
    Mistake(
        "heads split with movedim",
        split_heads,
        ((".transpose(-2, -3)", ".movedim(-2, -3)"),),
        "The axes are moved with another function.",
        "The result is the same.",
        "einops users",
        Kind.EQUIVALENT,
    ),
    Mistake(
        "heads merged without transposing",
        merge_heads,
        (
            (
                "heads.transpose(-2, -3).flatten(-2)",
                "heads.reshape(*heads.shape[:-3], heads.shape[-2], heads.shape[-3] * heads.shape[-1])",
            ),
        ),
        "The outputs of the heads are reshaped without transposing them back.",
        "Tokens get each other's results. A copy task can still be learned.",
        "learners",
        message="You merged the heads without a transpose.",
    ),
    Mistake(
        "no output projection",
        multi_head_attention,
        ((" @ w_o", ""),),
        "The output is not multiplied by W_O.",
        "The output of one head never reaches the columns of another.",
        "learners",
        message="You left out the output projection W_O.",
    ),
    Mistake(
        "output projection transposed",
        multi_head_attention,
        ((" @ w_o", " @ w_o.mT"),),
        "The output is multiplied by the transpose of W_O.",
        "The shapes fit if all widths are equal, but the numbers are wrong.",
        "learners who mix the paper's x W with PyTorch's x Wᵀ",
        message="You transposed the output projection W_O.",
    ),
    Mistake(
        "values from the queries",
        multi_head_attention,
        (("keys_from @ w_v", "queries_from @ w_v"),),
        "The values are computed from the tokens of the queries.",
        "Self-attention is not affected. Cross-attention attends to the wrong sequence.",
        "learners, in the decoder",
        message="You computed the values from the tokens of the queries.",
    ),
    Mistake(
        "keys with the query projection",
        multi_head_attention,
        (("keys_from @ w_k", "keys_from @ w_q"),),
        "Keys and queries use the same projection.",
        "The scores become symmetric: if token i attends to j, then j attends to i.",
        "learners, by mistake",
        message="You computed the keys with W_Q instead of W_K.",
    ),
    Mistake(
        "mask with a misplaced heads axis",
        multi_head_attention,
        (("keep.unsqueeze(-3)", "keep.unsqueeze(-2)"),),
        "The heads axis of the mask is in the wrong position.",
        "Where sizes happen to agree, each head gets the mask of another query.",
        "learners; hidden if batch = heads",
        message="You put the heads axis of the mask in the wrong position.",
    ),
    Mistake(
        "loop over heads",
        multi_head_attention,
        (
            (
                "scaled_dot_product_attention(query, key, value, head_keep)",
                "torch.stack([scaled_dot_product_attention(q, k, v, keep) for q, k, v in "
                "zip(query.unbind(-3), key.unbind(-3), value.unbind(-3))], dim=-3)",
            ),
        ),
        "The heads are computed one at a time in a loop.",
        "The result is the same, and slower.",
        "the paper's notation",
        Kind.EQUIVALENT,
    ),
]
