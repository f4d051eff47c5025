"""The loss of a classification head, as transformers chooses it."""

from jaxtyping import Float
from torch import Tensor, nn

from minibert.checks import value_outside
from minibert.equations import binary_cross_entropy, cross_entropy
from minibert.equations.objectives import check_numbers, reduce_losses
from minibert.model.config import ClassifierConfig


def classification_loss(logits: Float[Tensor, "batch classes"], labels: Tensor, config: ClassifierConfig) -> Float[Tensor, ""]:
    """Compute the cross-entropy of one class, the binary cross-entropy of each class, or the squared error: the mean.

    `config.problem_type` says which of them. Without it, a single output means regression, and floating-point labels mean
    independent classes.

    Args:
        labels: for one class per row, its number, or -100 for none. For independent classes (multi-label), a row of
            probabilities, 0 or 1 for each class. For regression, a number or a row of numbers.

    Source: the losses of transformers' networks for classification.
    Raises: TypeError and ValueError for labels of a wrong type, shape or range.
    """
    problem_type = config.problem_type
    if problem_type is None and config.num_labels == 1:
        problem_type = "regression"
    if problem_type == "regression":
        outputs = logits[:, 0] if isinstance(labels, Tensor) and labels.ndim == 1 and logits.shape[1] == 1 else logits
        check_numbers(outputs, labels)
        return nn.functional.mse_loss(outputs, labels.to(outputs.dtype))
    if problem_type is None and isinstance(labels, Tensor) and labels.is_floating_point():
        problem_type = "multi_label_classification"
    if problem_type == "multi_label_classification":
        check_numbers(logits, labels)
        if (wrong := value_outside(labels, 0, 1)) is not None:
            raise ValueError(f"labels has the value {wrong:g}, expected 0 for no, 1 for yes, or a probability")
        return binary_cross_entropy(logits, labels.to(logits.dtype)).mean()
    return reduce_losses(cross_entropy(logits, labels), labels)
