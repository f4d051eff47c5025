"""Mistakes in putting several attentions side by side."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import merge_heads, multi_head_attention, split_heads

HEADS = [
    Mistake(
        "heads cut with view",
        split_heads,
        (
            (
                "hidden.reshape(*hidden.shape[:-1], heads, width).transpose(-2, -3)",
                "hidden.reshape(*hidden.shape[:-2], heads, hidden.shape[-2], width)",
            ),
        ),
        "The heads are cut with view or reshape alone, and nothing is transposed.",
        "The shape is right, and tokens are mixed: changing one changes another's query.",
        "learners, most often of all",
    ),
    Mistake(
        "heads take every h-th column",
        split_heads,
        (("heads, width).transpose(-2, -3)", "width, heads).movedim(-1, -3)"),),
        "Head i has the columns i, i + h, i + 2h and so on.",
        "A model trained so works, but its weights fit no other code.",
        "some codes that reshape to (width, heads)",
        Kind.CONVENTION,
    ),
    Mistake(
        "heads cut with permute",
        split_heads,
        ((".transpose(-2, -3)", ".movedim(-2, -3)"),),
        "The axes are moved by another name.",
        "The same.",
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
        "What the heads have read is reshaped without being transposed back.",
        "Tokens get each other's results; a copy task still trains.",
        "learners",
    ),
    Mistake(
        "scaled by the whole width",
        multi_head_attention,
        (("split_heads(queries_from @ w_q, heads)", "split_heads(queries_from @ w_q, heads) / heads**0.5"),),
        "The scores are divided by √d_model instead of √d_k.",
        "Weights are too even, the more so the more heads there are; with one head nothing is wrong.",
        "learners",
    ),
    Mistake(
        "no output projection",
        multi_head_attention,
        ((" @ w_o", ""),),
        "W_O is forgotten.",
        "What one head has read can never reach the columns of another.",
        "learners",
    ),
    Mistake(
        "output projection transposed",
        multi_head_attention,
        ((" @ w_o", " @ w_o.mT"),),
        "The output is multiplied by the transpose of W_O.",
        "Shapes fit where all widths are equal, and nothing else does.",
        "learners who mix the paper's x W with PyTorch's x Wᵀ",
    ),
    Mistake(
        "values from the queries",
        multi_head_attention,
        (("keys_from @ w_v", "queries_from @ w_v"),),
        "The values are made from the tokens that read.",
        "Self-attention does not notice; cross-attention reads itself.",
        "learners, in the decoder",
    ),
    Mistake(
        "keys projected as queries",
        multi_head_attention,
        (("keys_from @ w_k", "keys_from @ w_q"),),
        "Keys and queries have the same projection.",
        "Scores become symmetric: whom I find, finds me.",
        "learners, by a slip",
    ),
    Mistake(
        "mask for the first axis",
        multi_head_attention,
        (("keep.unsqueeze(-3)", "keep.unsqueeze(-2)"),),
        "The mask's axis for the heads stands in the wrong place.",
        "Where sizes agree by chance, each head gets another query's mask.",
        "learners; batch = heads hides it",
    ),
    Mistake(
        "heads one by one",
        multi_head_attention,
        (
            (
                "scaled_dot_product_attention(query, key, value, everywhere)",
                "torch.stack([scaled_dot_product_attention(q, k, v, keep) for q, k, v in "
                "zip(query.unbind(-3), key.unbind(-3), value.unbind(-3))], dim=-3)",
            ),
        ),
        "A loop over heads.",
        "The same, and slower.",
        "the paper's notation",
        Kind.EQUIVALENT,
    ),
]
