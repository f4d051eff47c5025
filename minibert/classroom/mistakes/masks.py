"""Mistakes in saying who may read whom."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import causal_mask, padding_mask

MASKS = [
    Mistake(
        "causal mask without the diagonal",
        causal_mask,
        ((".tril()", ".tril(-1)"),),
        "A token may not read itself.",
        "The first token reads nothing at all, and every other one a token too little.",
        "learners, off by one",
    ),
    Mistake(
        "causal mask that looks ahead",
        causal_mask,
        ((".tril()", ".tril(1)"),),
        "A token may read the one after it.",
        "It is the one that is to be predicted: the loss falls to nothing, and generation is noise.",
        "learners, off by one",
    ),
    Mistake(
        "causal mask of the future",
        causal_mask,
        ((".tril()", ".triu()"),),
        "A token may read itself and what stands after it.",
        "The decoder predicts what it sees.",
        "the code for masks that say what is hidden",
    ),
    Mistake(
        "causal mask by comparison",
        causal_mask,
        (
            (
                "torch.ones(tokens, tokens, dtype=torch.bool).tril()",
                "torch.arange(tokens) <= torch.arange(tokens)[:, None]",
            ),
        ),
        "Positions are compared instead of a triangle cut out.",
        "The same mask.",
        "JAX codes",
        Kind.EQUIVALENT,
    ),
    Mistake(
        "padding mask one too long",
        padding_mask,
        (("< lengths", "<= lengths"),),
        "One token of padding may be read.",
        "What a sequence means depends on how long its neighbors in the batch are.",
        "learners, off by one",
    ),
    Mistake(
        "padding mask of the padding",
        padding_mask,
        (("< lengths", ">= lengths"),),
        "Only padding may be read.",
        "PyTorch's key_padding_mask is True for padding: handed over as it is, everything is the wrong way round.",
        "users of torch.nn.MultiheadAttention",
    ),
    Mistake(
        "padding hides the queries",
        padding_mask,
        (
            (
                "torch.arange(tokens, device=lengths.device) < lengths[..., None, None]",
                "(torch.arange(tokens) < lengths[..., None, None]).mT",
            ),
        ),
        "The mask has its axis on the queries' side.",
        "Padding is read by every token, and padded tokens read nothing, which nobody needed.",
        "learners who broadcast (batch, tokens) the wrong way",
    ),
]
