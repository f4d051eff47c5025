"""The label-smoothed cross-entropy, in one pass over the vocabulary."""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from minibert import equations
from minibert.equations.objectives import IGNORE_INDEX, Reduction, check_label_smoothing, check_labels, reduce_losses
from minibert.observe import is_recording
from minibert.precision import at_least_float32


def label_smoothing_loss(
    logits: Float[Tensor, "*batch classes"],
    labels: Int[Tensor, "*batch"],
    label_smoothing: float = 0.1,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""]:
    """Compute `equations.label_smoothing_loss` with PyTorch's kernel, which computes the log-probabilities only once."""
    check_label_smoothing(label_smoothing)
    check_labels(logits, labels)
    if is_recording():
        return equations.label_smoothing_loss(logits, labels, label_smoothing, reduction)
    losses = F.cross_entropy(
        at_least_float32(logits).flatten(0, -2),
        labels.flatten(),
        label_smoothing=label_smoothing,
        ignore_index=IGNORE_INDEX,
        reduction="none",
    )
    return reduce_losses(losses, labels.flatten(), reduction)
