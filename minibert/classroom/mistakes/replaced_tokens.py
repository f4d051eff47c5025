"""Mistakes in replaced-token detection, the pretraining of ELECTRA."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import electra_loss, replaced_token_labels, replaced_token_loss, sample_tokens

LOSSES = "binary_cross_entropy(logits, targets.to(logits.dtype)).masked_fill(~counted, 0.0)"
REDUCED = "reduce_losses(losses, labels, reduction)"
SUM = "(sums <= uniform[..., None].double() * sums[..., -1:]).sum(dim=-1)"

REPLACED_TOKEN_MISTAKES = [
    Mistake(
        "most likely token in place of a sample",
        sample_tokens,
        ((SUM, "sums.diff(dim=-1, prepend=torch.zeros_like(sums[..., :1])).argmax(dim=-1)"),),
        "The generator's best prediction is taken, not a sample.",
        "Frequent tokens alone are proposed, and the discriminator learns to detect these.",
        "learners",
        message="You took the most likely token. Draw one with the random number.",
    ),
    Mistake(
        "sample of uniform probabilities",
        sample_tokens,
        (("torch.softmax(at_least_float32(logits.detach()), dim=-1)", "torch.ones_like(at_least_float32(logits.detach()))"),),
        "Every token of the vocabulary is equally likely.",
        "Most replacements are so odd that they are easy to detect.",
        "random replacement, as in BERT's 10%",
        message="You gave all tokens the same probability. Use those of the generator.",
    ),
    Mistake(
        "sum of probabilities compared with u itself",
        sample_tokens,
        (("uniform[..., None].double() * sums[..., -1:]", "uniform[..., None].double()"),),
        "The last sum of probabilities is 1 only up to rounding, and a number above it leaves the vocabulary.",
        "Very rarely the id is the size of the vocabulary, and the embedding fails.",
        "learners",
        Kind.UNSAFE,
        message="The sum of all probabilities may be less than 1 by rounding. Compare with a share of it.",
    ),
    Mistake(
        "labels of original tokens",
        replaced_token_labels,
        (("corrupted_ids != original_ids", "corrupted_ids == original_ids"),),
        "The label 1 means that a token is original.",
        "The head of a published ELECTRA says the opposite.",
        "readers of the paper, where D is the probability of a real token",
        Kind.CONVENTION,
        message="You gave original tokens the label 1. It is for replaced ones.",
    ),
    Mistake(
        "labels of padding",
        replaced_token_labels,
        ((".masked_fill(~keep, IGNORE_INDEX)", ""),),
        "Padding has the label 0.",
        "Padding is always original and easy, and it dominates the loss.",
        "learners",
        message="You gave padding a label. Its label is IGNORE_INDEX.",
    ),
    Mistake(
        "loss of replaced tokens only",
        replaced_token_loss,
        (
            (
                "counted = labels != IGNORE_INDEX",
                "labels = labels.masked_fill(labels == 0, IGNORE_INDEX)\n    counted = labels != IGNORE_INDEX",
            ),
        ),
        "Original tokens have no label.",
        'The answer "replaced" for every token has the loss 0.',
        "learners: a loss over masked tokens, as in BERT",
        message="You left out the loss of the original tokens.",
    ),
    Mistake(
        "binary loss of padding",
        replaced_token_loss,
        ((".masked_fill(~counted, 0.0)", ""),),
        "Padding has a loss, but it does not count in the mean.",
        "The loss depends on the amount of padding.",
        "learners",
        message="Padding has a loss: you left it out of the number of tokens only.",
    ),
    Mistake(
        "padding counted as original tokens",
        replaced_token_loss,
        ((".masked_fill(~counted, 0.0)", ""), (REDUCED, "reduce_losses(losses, targets, reduction)")),
        "Padding has the label 0, and counts in the mean.",
        "Padding is always original and easy, and it dominates the loss.",
        "learners: labels.clamp(min=0)",
        message="Padding has a loss: you counted it as original tokens, in the mean too.",
    ),
    Mistake(
        "label of padding as a target",
        replaced_token_loss,
        (
            (LOSSES, "binary_cross_entropy(logits, labels.to(logits.dtype))"),
            (REDUCED, "reduce_losses(losses, targets, reduction)"),
        ),
        "The target of padding is the number -100.",
        "The loss of padding is a hundred times its score, has no lower limit, and hides all others.",
        "learners: labels.float(), as this loss of PyTorch ignores no index",
        message="You used the label of padding, -100, as a target. The binary cross-entropy of PyTorch ignores no label.",
    ),
    Mistake(
        "mean over padding",
        replaced_token_loss,
        ((REDUCED, "reduce_losses(losses, targets, reduction)"),),
        "Padding has no loss, but it counts in the mean.",
        "The loss is too small, and depends on the amount of padding.",
        "learners: losses times a mask, then mean()",
        message="You divided by the number of all positions, padding included.",
    ),
    Mistake(
        "sum of the losses of all tokens",
        replaced_token_loss,
        ((REDUCED, "losses.sum()"),),
        "The sum over the tokens is returned.",
        "The gradient grows with the batch.",
        "readers of the paper, which writes a sum",
        message="You summed the losses of the tokens instead of averaging them.",
    ),
    Mistake(
        "loss of original tokens only",
        replaced_token_loss,
        (
            (
                "counted = labels != IGNORE_INDEX",
                "labels = labels.masked_fill(labels == 1, IGNORE_INDEX)\n    counted = labels != IGNORE_INDEX",
            ),
        ),
        "Replaced tokens have no label.",
        'The answer "original" for every token has the loss 0.',
        "learners, by mistake",
        message="You left out the loss of the replaced tokens.",
    ),
    Mistake(
        "mean of the means of the texts",
        replaced_token_loss,
        (
            (
                REDUCED,
                "reduce_losses(losses, labels, reduction) if reduction == 'sum' or labels.ndim < 2 else "
                "(losses.sum(dim=-1) / counted.sum(dim=-1).clamp(min=1)).mean()",
            ),
        ),
        "Each text is averaged by itself, and then the texts are.",
        "A token counts less in a long text.",
        "learners",
        message="You averaged each text by itself. The mean is over all tokens of the batch.",
    ),
    Mistake(
        "one more than the tokens",
        replaced_token_loss,
        ((REDUCED, "losses.sum() / (1 if reduction == 'sum' else 1 + counted.sum())"),),
        "The sum is divided by one more than the number of tokens.",
        "The loss is too small, above all in small batches.",
        "learners who prevent a division by zero",
        message="You divided by the number of tokens plus 1. To prevent 0/0, use the maximum of the number and 1.",
    ),
    Mistake(
        "NaN without a token",
        replaced_token_loss,
        ((REDUCED, "losses.sum() / (1 if reduction == 'sum' else counted.sum())"),),
        "A batch of padding alone divides zero by zero.",
        "One NaN ends the training.",
        "torch.nn.functional.binary_cross_entropy_with_logits of the selected tokens",
        Kind.UNSAFE,
        message="You divide by zero if all tokens are padding.",
    ),
    Mistake(
        "loss of the selected tokens",
        replaced_token_loss,
        (
            (
                LOSSES,
                "binary_cross_entropy(logits[counted], targets[counted].to(logits.dtype))",
            ),
        ),
        "The tokens that have a label are selected first.",
        "The result is the same.",
        "Hugging Face's ELECTRA",
        Kind.EQUIVALENT,
    ),
    Mistake(
        "no weight of the discriminator",
        electra_loss,
        (("discriminator_weight * discriminator_loss", "discriminator_loss"),),
        "Both losses have the weight 1.",
        "The discriminator's loss is smaller than 1, so the shared embeddings are those of the generator.",
        "learners",
        message="You left out the weight λ of the discriminator's loss.",
    ),
    Mistake(
        "weight of the generator",
        electra_loss,
        (
            (
                "generator_loss + discriminator_weight * discriminator_loss",
                "discriminator_weight * generator_loss + discriminator_loss",
            ),
        ),
        "The generator's loss has the weight of the discriminator's.",
        "The discriminator, which is kept after training, is hardly trained.",
        "learners",
        message="You gave the weight λ to the generator. It belongs to the discriminator's loss.",
    ),
]
