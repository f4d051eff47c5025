"""Mistakes in the causal mask and the padding mask."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import causal_mask, padding_mask

KEPT = "torch.arange(tokens, device=lengths.device) < lengths[..., None, None]"
TRIANGLE = "torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()"

MASK_MISTAKES = [
    Mistake(
        "causal mask without the diagonal",
        causal_mask,
        ((".tril()", ".tril(-1)"),),
        "A token may not attend to itself.",
        "The first token attends to nothing, and every other token misses one.",
        "learners, off by one",
        message="You masked the diagonal: a token may not attend to itself.",
    ),
    Mistake(
        "causal mask one token ahead",
        causal_mask,
        ((".tril()", ".tril(1)"),),
        "A token may attend to the next token.",
        "The next token is the target: the training loss falls to zero, and generation is noise.",
        "learners, off by one",
        message="You let each token attend to the next token.",
    ),
    Mistake(
        "causal mask of the future",
        causal_mask,
        ((".tril()", ".triu()"),),
        "A token may attend to itself and to later tokens.",
        "The decoder sees the tokens it has to predict.",
        'code in which True means "masked"',
        message="You let each token attend to later tokens instead of earlier ones.",
    ),
    Mistake(
        "causal mask by comparison",
        causal_mask,
        (
            (
                TRIANGLE,
                "torch.arange(tokens, device=device) <= torch.arange(tokens, device=device)[:, None]",
            ),
        ),
        "The mask is a comparison of positions instead of a lower triangle.",
        "The mask is the same.",
        "JAX code",
        Kind.EQUIVALENT,
    ),
    Mistake(
        "causal mask without a triangle",
        causal_mask,
        ((".tril()", ""),),
        "All positions are kept.",
        "Each token may attend to the future.",
        "learners",
        message="You kept all positions.",
    ),
    Mistake(
        "causal mask of the diagonal",
        causal_mask,
        (
            (
                TRIANGLE,
                "torch.eye(tokens, dtype=torch.bool, device=device)",
            ),
        ),
        "Only the diagonal is kept.",
        "No token may attend to another token.",
        "learners, by mistake",
        message="You kept the diagonal only.",
    ),
    Mistake(
        "causal mask of what is masked",
        causal_mask,
        (
            (
                TRIANGLE,
                "torch.ones(tokens, tokens, dtype=torch.bool, device=device).triu(1)",
            ),
        ),
        "True marks the positions that may not be attended to.",
        "Used as `keep`, it lets tokens attend to the future only.",
        "PyTorch's torch.nn.MultiheadAttention",
        Kind.CONVENTION,
        message="You marked the positions that are masked instead of those to keep.",
    ),
    Mistake(
        "causal mask to be added",
        causal_mask,
        (
            (
                TRIANGLE,
                "torch.full((tokens, tokens), -math.inf).triu(1)",
            ),
        ),
        "The mask has 0 where a token may attend, and -∞ elsewhere.",
        "It has to be added to the scores. As a Boolean mask it means the opposite.",
        "PyTorch's generate_square_subsequent_mask",
        Kind.CONVENTION,
        message="You returned numbers to add to the scores, 0 and -∞, instead of True and False.",
    ),
    Mistake(
        "padding mask one too long",
        padding_mask,
        (("< lengths", "<= lengths"),),
        "One padding token may be attended to.",
        "The result for a sequence depends on the lengths of the other sequences in the batch.",
        "learners, off by one",
        message="You kept one padding token: the comparison must be strict.",
    ),
    Mistake(
        "padding mask inverted",
        padding_mask,
        (("< lengths", ">= lengths"),),
        "Only padding may be attended to.",
        "Used unchanged as `keep`, it masks the wrong tokens.",
        "key_padding_mask of torch.nn.MultiheadAttention",
        Kind.CONVENTION,
        message="You marked the padding instead of the tokens to keep.",
    ),
    Mistake(
        "padding mask on the queries",
        padding_mask,
        (
            (
                KEPT,
                "(torch.arange(tokens) < lengths[..., None, None]).mT",
            ),
        ),
        "The mask has its token axis on the side of the queries.",
        "Every token attends to the padding. Padding tokens attend to nothing, which is not needed.",
        "learners who broadcast (batch, tokens) the wrong way",
        message="You put the axis of the tokens on the side of the queries instead of the keys.",
    ),
    Mistake(
        "padding mask one too short",
        padding_mask,
        (("< lengths[..., None, None]", "< lengths[..., None, None] - 1"),),
        "The last token is masked.",
        "No token attends to the last one, such as [SEP], and a sequence of one token to nothing.",
        "learners, off by one",
        message="You masked the last token of each sequence.",
    ),
    Mistake(
        "padding at the front",
        padding_mask,
        (
            (
                KEPT,
                "torch.arange(tokens, device=lengths.device) >= tokens - lengths[..., None, None]",
            ),
        ),
        "The padding is in front of the tokens.",
        "Decoders are padded at the front, so that the last token is at the end. BERT is padded at the end.",
        "code for generation with GPT-2",
        Kind.CONVENTION,
        message="You put the padding in front of the tokens instead of after them.",
    ),
    Mistake(
        "padding mask without an axis for the queries",
        padding_mask,
        (("lengths[..., None, None]", "lengths[..., None]"),),
        "The mask has the shape (batch, tokens).",
        "It is not broadcast over the queries: it masks the wrong tokens, or it is an error.",
        "Hugging Face's attention_mask",
        Kind.CONVENTION,
        message="You left out the axis of the queries.",
    ),
    Mistake(
        "padding mask with an axis for the heads",
        padding_mask,
        (("lengths[..., None, None]", "lengths[..., None, None, None]"),),
        "The mask has the shape (batch, 1, 1, tokens).",
        "It fits scores with a heads axis, and no others.",
        "Hugging Face's extended attention mask",
        Kind.CONVENTION,
        message="You added an axis for the heads.",
    ),
    Mistake(
        "padding mask on queries and keys",
        padding_mask,
        (
            (
                KEPT,
                f"({KEPT}) & ({KEPT}).mT",
            ),
        ),
        "Padding tokens are masked as queries too.",
        "They attend to nothing, which needs special care in the softmax. Their outputs are not used anyway.",
        "code that multiplies the mask with its transpose",
        Kind.CONVENTION,
        message="You masked the padding on the side of the queries too.",
    ),
    Mistake(
        "padding mask to be added",
        padding_mask,
        (
            (
                KEPT,
                f"torch.where({KEPT}, 0.0, -math.inf)",
            ),
        ),
        "The mask has 0 for tokens and -∞ for padding.",
        "It has to be added to the scores. As a Boolean mask it means the opposite.",
        "code that adds masks",
        Kind.CONVENTION,
        message="You returned numbers to add to the scores, 0 and -∞, instead of True and False.",
    ),
    Mistake(
        "padding mask of minus ten thousand",
        padding_mask,
        (
            (
                KEPT,
                f"-10000.0 * ~({KEPT})",
            ),
        ),
        "The mask has 0 for tokens and -10000 for padding.",
        "It has to be added to the scores. As a Boolean mask it means the opposite.",
        "Google's BERT code",
        Kind.CONVENTION,
        message="You returned numbers to add to the scores, 0 and -10000, instead of True and False.",
    ),
]
