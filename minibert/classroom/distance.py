"""The distance of two outcomes of the same call, relative to the size of the numbers."""

import math
from collections.abc import Mapping, Set

import torch
from torch import Tensor

from minibert.classroom.exercise import Case, Role
from minibert.classroom.running import Outcome

NO_MATCH = math.inf
"""Distance of outcomes that are not numbers of the same shape, with NaN and infinity at the same places."""

SMALL_GRADIENT = 1e-3
"""Gradients whose largest number is smaller are compared with this number."""

AT_LIMITS = 1.0
"""At a limit of the formula, smaller results and gradients are compared with this number: the rounding of large scores does not
shrink with a loss."""


def value_distance(outcome: Outcome, other: Outcome, case: Case, changes: Set[str] = frozenset()) -> float:
    """Return the largest difference of the outputs and of the changed arguments, relative to the largest number of `other`.

    It is 0 if both calls raised an error, and `NO_MATCH` if one did.
    """
    if outcome.error or other.error:
        return 0.0 if outcome.error and other.error else NO_MATCH
    one, another = ({**each.outputs, **changed_arguments(each.after, changes)} for each in (outcome, other))
    least = AT_LIMITS if case.role is Role.LIMIT else 0.0
    return largest_difference(summarized(one, case), summarized(another, case), least=least)


def changed_arguments(after: Mapping[str, Tensor], changes: Set[str]) -> dict[str, Tensor]:
    """Return the tensors of the arguments that the function should change."""
    return {name: tensor for name, tensor in after.items() if name.partition(".")[0] in changes}


def gradient_distance(outcome: Outcome, other: Outcome, case: Case) -> float:
    """Return the largest difference of the gradients, relative to the largest gradient of `other`; 0 if either has none."""
    if not outcome.gradients or not other.gradients:
        return 0.0
    return largest_difference(outcome.gradients, other.gradients, scale=scale_of_gradients(other.gradients, case))


def scale_of_gradients(gradients: Mapping[str, Tensor], case: Case) -> float:
    """Return the size of the largest gradient. Rounding does not shrink with gradients that are almost zero."""
    least = AT_LIMITS if case.role is Role.LIMIT else SMALL_GRADIENT
    return max(_size(gradients), least) if any(map(Tensor.any, gradients.values())) else 1.0


def summarized(outputs: Mapping[str, Tensor], case: Case) -> Mapping[str, Tensor]:
    """Return the outputs, or the statistic of them that is compared."""
    if case.summary is None:
        return outputs
    try:
        return {name: case.summary(output) for name, output in outputs.items()}
    except Exception:  # the statistic is not defined for the shape or the data type of a learner's output
        return outputs


def largest_difference(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], scale: float | None = None, least: float = 0.0
) -> float:
    """Return the largest difference of tensors with the same names, relative to `scale` or to the size of `other`.

    A size below `least` counts as `least`.
    """
    if one.keys() != other.keys():
        return NO_MATCH
    return max((relative_difference(one[name], other[name], scale, least) for name in one), default=0.0)


def relative_difference(one: Tensor, other: Tensor, scale: float | None = None, least: float = 0.0) -> float:
    """Return the largest difference of two tensors, relative to `scale`, or to the largest number of `other` or `least`."""
    if one.shape != other.shape:
        return NO_MATCH
    one, other = one.to(torch.float64), other.to(torch.float64)
    finite = other.isfinite()
    if not torch.equal(one.isfinite(), finite) or not torch.equal(one[~finite].nan_to_num(), other[~finite].nan_to_num()):
        return NO_MATCH
    if not finite.any():
        return 0.0
    scale = max(_size({"": other}), least) if scale is None else scale
    return (one[finite] - other[finite]).abs().max().item() / scale


def _size(tensors: Mapping[str, Tensor]) -> float:
    finite = (tensor[tensor.isfinite()].abs() for tensor in tensors.values())
    return max((tensor.max().item() for tensor in finite if tensor.numel()), default=0.0) or 1.0


def differences(own: Tensor, other: Tensor) -> Tensor:
    """Return own − other; infinity where only one of both is finite, or the infinite numbers differ."""
    own, other = own.double(), other.double()
    same = (own == other) | (own.isnan() & other.isnan())
    return (own - other).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).masked_fill(same, 0.0)
