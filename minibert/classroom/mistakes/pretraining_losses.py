"""Mistakes in the losses of masked language modeling and next-sentence prediction."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import masked_lm_loss, next_sentence_loss

REDUCED = "reduce_losses(cross_entropy(logits, labels), labels, reduction)"
RETURN = "    return "
NO_FIRST_LABEL = "labels = labels.masked_fill(labels == 0, IGNORE_INDEX)"

PRETRAINING_LOSS_MISTAKES = [
    Mistake(
        "mean over all tokens",
        masked_lm_loss,
        ((REDUCED, "cross_entropy(logits, labels).sum() / (1 if reduction == 'sum' else max(1, labels.numel()))"),),
        "The sum over the masked positions is divided by the number of all positions.",
        "The loss is too small, 7 times with the usual 15% of masked tokens, and depends on the amount of padding.",
        "learners; d2l weights a loss that is already a mean (#2582)",
        message="You divided by the number of all positions, not by the number of masked ones.",
    ),
    Mistake(
        "one more than the masked positions",
        masked_lm_loss,
        ((REDUCED, "cross_entropy(logits, labels).sum() / (1 if reduction == 'sum' else 1 + (labels != IGNORE_INDEX).sum())"),),
        "The sum is divided by one more than the number of labels.",
        "The loss is too small, above all in small batches.",
        "learners who prevent a division by zero",
        message="You divided by the number of labels plus 1. To prevent 0/0, use the maximum of the number and 1.",
    ),
    Mistake(
        "loss over all tokens",
        masked_lm_loss,
        ((REDUCED, "reduce_losses(cross_entropy(logits, labels.clamp(min=0)), labels.clamp(min=0), reduction)"),),
        "Positions that are not masked also have a loss.",
        "Copying visible tokens is easy, and it dominates the loss.",
        "learners",
        message="You gave positions that are not masked a loss too.",
    ),
    Mistake(
        "NaN for an empty mean",
        masked_lm_loss,
        ((REDUCED, "cross_entropy(logits, labels).sum() / (1 if reduction == 'sum' else (labels != IGNORE_INDEX).sum())"),),
        "A batch without a masked position divides zero by zero.",
        "One NaN ends the training.",
        "torch.nn.functional.cross_entropy, Hugging Face",
        Kind.UNSAFE,
        message="You divide by zero if no position is masked.",
    ),
    Mistake(
        "masked loss by selection",
        masked_lm_loss,
        (
            (
                REDUCED,
                "reduce_losses(cross_entropy(logits[labels != IGNORE_INDEX], labels[labels != IGNORE_INDEX]), "
                "labels, reduction)",
            ),
        ),
        "The masked positions are selected first.",
        "The result is the same.",
        "Google's BERT code",
        Kind.EQUIVALENT,
    ),
    Mistake(
        "label 0 has no loss",
        masked_lm_loss,
        ((RETURN, f"    {NO_FIRST_LABEL}\n    return "),),
        "A position whose label is 0 has no loss.",
        "The token with the id 0 is never learned, and the mean is over fewer positions.",
        "learners: labels > 0",
        message="You ignored the label 0 too. It is a token like any other; IGNORE_INDEX is -100.",
    ),
    Mistake(
        "label 0 ignored in place of -100",
        masked_lm_loss,
        ((RETURN, f"    {NO_FIRST_LABEL.replace('labels.masked', 'labels.clamp(min=0).masked')}\n    return "),),
        "All positions have no loss whose label is 0, or IGNORE_INDEX counted as class 0.",
        "The token with the id 0 is never learned.",
        "code in which the label of padding is 0",
        message="You ignored the label 0, not IGNORE_INDEX, which is -100.",
    ),
    Mistake(
        "labels shifted to the left",
        masked_lm_loss,
        ((RETURN, "    if labels.ndim:\n        logits, labels = logits[..., :-1, :], labels[..., 1:]\n    return "),),
        "Each prediction is compared with the label of the next position.",
        "The model learns to predict the next token, not the masked one.",
        "losses of causal language models",
        message="You compared each prediction with the label of the next position, as a causal language model does.",
    ),
    Mistake(
        "labels shifted to the right",
        masked_lm_loss,
        ((RETURN, "    if labels.ndim:\n        logits, labels = logits[..., 1:, :], labels[..., :-1]\n    return "),),
        "Each prediction is compared with the label of the position before it.",
        "The model learns to predict a token that it sees.",
        "learners",
        message="You compared each prediction with the label of the position before it.",
    ),
    Mistake(
        "sum in place of the masked mean",
        masked_lm_loss,
        ((REDUCED, "cross_entropy(logits, labels).sum() * (1 if reduction == 'sum' else 1.0)"),),
        "The sum over the masked positions is returned.",
        "The gradient grows with the batch.",
        "learners",
        message="You summed the losses of the masked positions instead of averaging them.",
    ),
    Mistake(
        "mean over the texts",
        masked_lm_loss,
        ((REDUCED, "cross_entropy(logits, labels).sum() / (1 if reduction == 'sum' else max(1, len(labels)))"),),
        "The sum is divided by the number of texts.",
        "Long texts, which have more masked positions, have a larger loss.",
        "learners",
        message="You divided by the number of texts, not by the number of masked positions.",
    ),
    Mistake(
        "mean of the means of each text",
        masked_lm_loss,
        (
            (
                REDUCED,
                (
                    "reduce_losses(cross_entropy(logits, labels), labels, reduction) if reduction == 'sum' or "
                    "labels.ndim < 2 else (cross_entropy(logits, labels).sum(dim=-1) / (labels != "
                    "IGNORE_INDEX).sum(dim=-1).clamp(min=1)).mean()"
                ),
            ),
        ),
        "Each text is averaged by itself, and then the texts are.",
        "A masked token counts less in a text with many of them.",
        "learners",
        message="You averaged each text by itself. The mean is over all masked positions of the batch.",
    ),
    Mistake(
        "loss over the tokens that are not masked",
        masked_lm_loss,
        (
            (
                REDUCED,
                (
                    "(cross_entropy(logits, labels.clamp(min=0)) * (labels == IGNORE_INDEX)).sum() / (1 if reduction "
                    "== 'sum' else (labels == IGNORE_INDEX).sum().clamp(min=1))"
                ),
            ),
        ),
        "The condition on the labels is inverted.",
        "Only padding and visible tokens are trained, with a label that is not theirs.",
        "learners, by mistake",
        message="You inverted the condition: positions whose label is IGNORE_INDEX have no loss.",
    ),
    Mistake(
        "perplexity in place of the loss",
        masked_lm_loss,
        ((REDUCED, "reduce_losses(cross_entropy(logits, labels), labels, reduction).exp()"),),
        "The exponential of the loss is returned.",
        "Its gradient is multiplied by the perplexity.",
        "learners",
        message="You returned the perplexity, e to the power of the loss.",
    ),
    Mistake(
        "next-sentence label flipped",
        next_sentence_loss,
        ((REDUCED, "reduce_losses(cross_entropy(logits.flip(-1), labels), labels, reduction)"),),
        'Label 1 means "is next".',
        "Training from scratch works as well, but a checkpoint from elsewhere predicts the opposite.",
        "code that calls the label is_next",
        message='You swapped the two logits. The first one is that of "is next", label 0.',
    ),
    Mistake(
        "one segment labeled as another document",
        next_sentence_loss,
        ((REDUCED, "reduce_losses(cross_entropy(logits, labels % 101), labels % 101, reduction)"),),
        'An example with one segment is labeled "another document".',
        'More than half of the labels are then "another document", and the model can use the length to predict them.',
        "learners",
        message="You counted examples without a pair as label 1.",
    ),
    Mistake(
        "label 0 of a pair has no loss",
        next_sentence_loss,
        ((RETURN, f"    {NO_FIRST_LABEL}\n    return "),),
        "A pair whose label is 0 has no loss.",
        'The model learns to predict "is random" for every pair.',
        "learners: labels > 0",
        message="You ignored the label 0. It means that B follows A; IGNORE_INDEX is -100.",
    ),
    Mistake(
        "sum of the next-sentence losses",
        next_sentence_loss,
        ((REDUCED, "cross_entropy(logits, labels).sum() * (1 if reduction == 'sum' else 1.0)"),),
        "The sum over the pairs is returned.",
        "The gradient grows with the batch.",
        "learners",
        message="You summed the losses of the pairs instead of averaging them.",
    ),
    Mistake(
        "mean over examples without a pair",
        next_sentence_loss,
        ((REDUCED, "cross_entropy(logits, labels).sum() / (1 if reduction == 'sum' else max(1, len(labels)))"),),
        "Examples without a pair count in the mean.",
        "The loss is too small, and it depends on how many documents have one sentence.",
        "learners",
        message="You divided by the number of all examples, also those without a pair.",
    ),
    Mistake(
        "sigmoid of one of the two logits",
        next_sentence_loss,
        (
            (
                REDUCED,
                (
                    "reduce_losses(binary_cross_entropy(logits[..., 1], "
                    "labels.clamp(min=0).to(logits.dtype)).masked_fill(labels == IGNORE_INDEX, 0.0), labels, "
                    "reduction)"
                ),
            ),
        ),
        "Only the second logit is used, with a sigmoid.",
        "The first output of the head is never trained.",
        "learners",
        message="You used a sigmoid of the second logit. The two logits have a softmax.",
    ),
    Mistake(
        "NaN without a pair",
        next_sentence_loss,
        ((REDUCED, ("cross_entropy(logits, labels).sum() / (1 if reduction == 'sum' else (labels != IGNORE_INDEX).sum())")),),
        "A batch without a pair divides zero by zero.",
        "One NaN ends the training.",
        "torch.nn.functional.cross_entropy, Hugging Face",
        Kind.UNSAFE,
        message="You divide by zero if no example is a pair.",
    ),
    Mistake(
        "one more than the pairs",
        next_sentence_loss,
        ((REDUCED, "cross_entropy(logits, labels).sum() / (1 if reduction == 'sum' else 1 + (labels != IGNORE_INDEX).sum())"),),
        "The sum is divided by one more than the number of labels.",
        "The loss is too small, above all in small batches.",
        "learners who prevent a division by zero",
        message="You divided by the number of labels plus 1. To prevent 0/0, use the maximum of the number and 1.",
    ),
]
