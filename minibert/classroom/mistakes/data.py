"""Mistakes in masking and in sentence pairs."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.text.masking import mask_tokens
from minibert.text.pairs import _split_into_chunks, draw_pairs

DATA_MISTAKES = [
    Mistake(
        "no random replacement",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.where(kind < 0.8, mask_token_id, input_ids)",
            ),
        ),
        "20% of the selected tokens stay unchanged, and none is random.",
        "The model learns to trust every visible token.",
        "learners",
        message="You left out the random tokens: a tenth of the selected tokens.",
    ),
    Mistake(
        "no token left unchanged",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.where(kind < 0.8, mask_token_id, random_ids)",
            ),
        ),
        "20% of the selected tokens are replaced by random ones.",
        "The model learns that a selected token is never the right one.",
        "learners",
        message="You left no selected token unchanged: a tenth of them stay as they are.",
    ),
    Mistake(
        "always a random token",
        mask_tokens,
        (("np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))", "random_ids"),),
        "Every selected token is replaced by a random one.",
        "[MASK] is never trained.",
        "learners",
        message="You replaced every selected token by a random one.",
    ),
    Mistake(
        "[MASK] and random tokens swapped",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.where(kind < 0.8, random_ids, np.where(kind < 0.9, mask_token_id, input_ids))",
            ),
        ),
        "80% are random, and 10% are [MASK].",
        "The model has to find the wrong tokens first.",
        "learners, by mistake",
        message="You swapped 80% [MASK] and 10% random tokens.",
    ),
    Mistake(
        "90% [MASK] and 10% random",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.where(kind < 0.9, mask_token_id, random_ids)",
            ),
        ),
        "90% are [MASK], and none stays unchanged.",
        "The model learns that a selected token is never the right one.",
        "learners",
        message="You used 90% [MASK] and left no token unchanged. It is 80%, 10% and 10%.",
    ),
    Mistake(
        "90% [MASK] and 10% unchanged",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.where(kind < 0.9, mask_token_id, input_ids)",
            ),
        ),
        "90% are [MASK], and none is random.",
        "The model learns to trust every visible token.",
        "learners",
        message="You used 90% [MASK] and no random tokens. It is 80%, 10% and 10%.",
    ),
    Mistake(
        "80% of the rest random",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.98, random_ids, input_ids))",
            ),
        ),
        "18% are random and 2% unchanged.",
        "The random tokens do harm.",
        "learners who multiply the probabilities again",
        message="You left 2% unchanged. It is 10%, as many as random ones.",
    ),
    Mistake(
        "unchanged before random tokens",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, input_ids, random_ids))",
            ),
        ),
        "The number of a random token and that of an unchanged one are swapped.",
        "The probabilities are the same.",
        "learners",
        Kind.CONVENTION,
        message=(
            "You swapped the ranges of the random number for random and for unchanged tokens. The probabilities are the same."
        ),
    ),
    Mistake(
        "random tokens in the first tenth",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.where(kind < 0.1, random_ids, np.where(kind < 0.2, input_ids, mask_token_id))",
            ),
        ),
        "The first tenth of the random numbers means a random token.",
        "The probabilities are the same.",
        "learners",
        Kind.CONVENTION,
        message="You used other ranges of the random number for the three cases. The probabilities are the same.",
    ),
    Mistake(
        "unchanged tokens in the first tenth",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.where(kind < 0.1, input_ids, np.where(kind < 0.2, random_ids, mask_token_id))",
            ),
        ),
        "The first tenth of the random numbers means an unchanged token.",
        "The probabilities are the same.",
        "learners",
        Kind.CONVENTION,
        message="You used other ranges of the random number for the three cases. The probabilities are the same.",
    ),
    Mistake(
        "random numbers in another order",
        mask_tokens,
        (("selection, kind, replacement = np.moveaxis", "selection, replacement, kind = np.moveaxis"),),
        "The second and the third random number are swapped.",
        "The probabilities are the same.",
        "learners",
        Kind.CONVENTION,
        message=("You swapped the random numbers for the kind and for the random token. The probabilities are the same."),
    ),
    Mistake(
        "selection inverted",
        mask_tokens,
        (("(selection < mlm_probability)", "(selection >= mlm_probability)"),),
        "Tokens are selected with the probability 1 - p.",
        "85% of the tokens are masked: too little context.",
        "learners, by mistake",
        message="You inverted the condition: a token is selected if its number is below the probability.",
    ),
    Mistake(
        "probability of the selection ignored",
        mask_tokens,
        (("(selection < mlm_probability)", "(selection < 0.15)"),),
        "15% are selected, always.",
        "The setting has no effect.",
        "learners",
        message="You selected 15%, whatever `mlm_probability` says.",
    ),
    Mistake(
        "index of the random token as its id",
        mask_tokens,
        (
            (
                "replacement_ids[(replacement * len(replacement_ids)).astype(np.int64)]",
                "(replacement * len(replacement_ids)).astype(np.int64)",
            ),
        ),
        "The index in the list of replacements is used as an id.",
        "Special tokens are drawn, and the last tokens never are.",
        "learners",
        message="You used the index of the random token as its id.",
    ),
    Mistake(
        "zero as the label of other tokens",
        mask_tokens,
        (("np.where(selected, input_ids, IGNORE_INDEX)", "np.where(selected, input_ids, 0)"),),
        "Tokens that are not selected have the label 0.",
        "The model learns to predict [PAD] at most positions.",
        "codertimo/BERT-pytorch, which ignores the label 0",
        message="You used the label 0 for tokens that are not selected. It is IGNORE_INDEX, -100.",
    ),
    Mistake(
        "labels of [MASK] only",
        mask_tokens,
        (("np.where(selected, input_ids, IGNORE_INDEX)", "np.where(selected & (kind < 0.8), input_ids, IGNORE_INDEX)"),),
        "Only tokens that became [MASK] have a label.",
        "The random and unchanged tokens have no purpose.",
        "learners",
        message=("You gave a label to [MASK] only. All selected tokens have one, also the random and unchanged ones."),
    ),
    Mistake(
        "labels inverted",
        mask_tokens,
        (("np.where(selected, input_ids, IGNORE_INDEX)", "np.where(selected, IGNORE_INDEX, input_ids)"),),
        "The tokens that are not selected have labels.",
        "The model learns to copy.",
        "learners, by mistake",
        message="You inverted the condition of the labels: only selected tokens have one.",
    ),
    Mistake(
        "every token replaced",
        mask_tokens,
        (("np.where(selected, replaced, input_ids), ", "replaced, "),),
        "All tokens are replaced, not only the selected ones.",
        "There is no text left.",
        "learners",
        message="You replaced all tokens, not only the selected ones.",
    ),
    Mistake(
        "ids before masking",
        mask_tokens,
        (("np.where(selected, replaced, input_ids), ", "input_ids.copy(), "),),
        "The ids are returned unchanged.",
        "The model sees the tokens that it has to predict.",
        "learners",
        message="You returned the ids unchanged, without the replacements.",
    ),
    Mistake(
        "no maximum of predictions",
        mask_tokens,
        (("if max_predictions is not None and", "if False and"),),
        "`max_predictions` has no effect.",
        "Memory for the predictions is exceeded.",
        "learners",
        message="You ignored `max_predictions`.",
    ),
    Mistake(
        "one prediction too few",
        mask_tokens,
        (("[..., max_predictions, None]", "[..., max_predictions - 1, None]"),),
        "One selected token less than allowed is kept.",
        "One label less for each long text.",
        "learners",
        message="You selected one token less than `max_predictions` allows.",
    ),
    Mistake(
        "label 1 for every pair",
        _split_into_chunks,
        (("generator.integers(0, 2, len(start))", "np.ones(len(start), dtype=np.int64)"),),
        "No pair is from one document.",
        "There is nothing to learn.",
        "learners",
        message="You drew B from another document always.",
    ),
    Mistake(
        "pairs not truncated",
        draw_pairs,
        (
            (
                "_truncate(Pairs(a_start, a_end, b_start, b_end, chunks.label), max_tokens, generator)",
                "Pairs(a_start, a_end, b_start, b_end, chunks.label)",
            ),
        ),
        "Long pairs are not truncated.",
        "They exceed the positions of the model.",
        "learners",
        message="You did not truncate pairs that are too long.",
    ),
    Mistake(
        "labels drawn again",
        draw_pairs,
        (
            (
                "b_start, b_end, chunks.label), max_tokens",
                (
                    "b_start, b_end, np.where(chunks.label < 0, chunks.label, generator.integers(0, 2, "
                    "len(chunks.label)))), max_tokens"
                ),
            ),
        ),
        "The label is independent of the pair.",
        "There is nothing to learn.",
        "learners who call random() twice",
        message="You drew the label again, so it says nothing about the pair.",
    ),
]
