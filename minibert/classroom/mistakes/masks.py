"""Mistakes in the causal mask and the padding mask."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import causal_mask, padding_mask

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
                "torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()",
                "torch.arange(tokens, device=device) <= torch.arange(tokens, device=device)[:, None]",
            ),
        ),
        "The mask is a comparison of positions instead of a lower triangle.",
        "The mask is the same.",
        "JAX code",
        Kind.EQUIVALENT,
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
        "PyTorch's key_padding_mask is True for padding. Used unchanged as `keep`, it masks the wrong tokens.",
        "users of torch.nn.MultiheadAttention",
        message="You marked the padding instead of the tokens to keep.",
    ),
    Mistake(
        "padding mask on the queries",
        padding_mask,
        (
            (
                "torch.arange(tokens, device=lengths.device) < lengths[..., None, None]",
                "(torch.arange(tokens) < lengths[..., None, None]).mT",
            ),
        ),
        "The mask has its token axis on the side of the queries.",
        "Every token attends to the padding. Padding tokens attend to nothing, which is not needed.",
        "learners who broadcast (batch, tokens) the wrong way",
        message="You put the axis of the tokens on the side of the queries instead of the keys.",
    ),
]
