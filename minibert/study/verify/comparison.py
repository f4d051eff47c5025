"""The comparison of two forward passes, stage by stage, and the first stage that differs."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from minibert.model.pretrained import PretrainedModel
from minibert.study.verify.diagnosis import DEFAULT_NAMES, Names, likely_cause
from minibert.study.verify.inputs import Inputs, without_padding
from minibert.study.verify.stages import Stages, is_reference_stage

TOLERANCES = {torch.float32: 2e-5, torch.float64: 1e-10}
"""Largest relative difference that counts as rounding."""
INSIDE_ATTENTION = {"dot_products", "scores", "biased_scores", "masked_scores", "weights", "context"}
"""Steps inside attention. Fused attention, and a user's own, do not record all of them."""


@dataclass(frozen=True)
class StageComparison:
    """The difference between the two tensors of one stage. All three numbers are NaN if their shapes differ."""

    name: str
    absolute: float
    """Largest absolute difference."""
    relative: float
    """Largest absolute difference, divided by the largest absolute value of the stage or by 1, whichever is larger."""
    cosine: float
    """Cosine similarity of the two tensors as flat vectors."""
    agrees: bool
    """True if the relative difference is within the tolerance. A NaN or an infinity never is, not even on both sides."""


@dataclass(frozen=True)
class Comparison:
    """The result of comparing all stages of two forward passes."""

    stages: list[StageComparison]
    tolerance: float
    not_compared: list[str]
    """Stages that only one of the two passes has."""
    cause: str | None
    """Likely cause of the first difference, None if it is unknown or there is no difference."""
    names: Names = DEFAULT_NAMES
    """Names of the two sides."""

    @property
    def agrees(self) -> bool:
        """True if all stages agree, and the only missing ones are steps inside attention."""
        complete = all(name.rpartition(".")[2] in INSIDE_ATTENTION for name in self.not_compared)
        return bool(self.stages) and complete and self.first_difference is None

    @property
    def first_difference(self) -> StageComparison | None:
        """The first stage that does not agree."""
        return next((stage for stage in self.stages if not stage.agrees), None)


def compare(
    reference: Stages, ours: Stages, inputs: Inputs, model: PretrainedModel, names: Names = DEFAULT_NAMES
) -> Comparison:
    """Compare the stages that both forward passes have, in order.

    Padding is left out: no result depends on it, and libraries number its positions differently.

    Args:
        reference: stages of transformers, or of another checkpoint.
        ours: stages of minibert.
        inputs: the inputs of both.
        model: minibert's network. The cause of a difference is searched with its modules.
        names: names of the two sides, for the cause.
    """
    tolerance = TOLERANCES[next(model.parameters()).dtype]
    stages = []
    for name in (name for name in reference if name in ours and not name.endswith("masked_scores")):
        expected, actual = reference[name].to(torch.float64), ours[name].to(torch.float64)
        masked_scores = ours.get(f"{name.removesuffix('scores').removesuffix('biased_')}masked_scores")
        if masked_scores is not None and masked_scores.shape == expected.shape:  # transformers adds the mask, minibert replaces
            masked = masked_scores.isinf()
            expected, actual = (scores.masked_fill(masked, 0.0) for scores in (expected, actual))
        stages.append(_compare_stage(name, expected, actual, inputs, tolerance))
    one_sided = [name for name in (*reference, *ours) if (name in reference) != (name in ours)]
    first = next((stage.name for stage in stages if not stage.agrees), None)
    return Comparison(
        stages,
        tolerance,
        not_compared=[name for name in one_sided if name in reference or is_reference_stage(model, name)],
        cause=likely_cause(first, reference, ours, inputs, model, names) if first else None,
        names=names,
    )


def _compare_stage(name: str, expected: Tensor, actual: Tensor, inputs: Inputs, tolerance: float) -> StageComparison:
    if expected.shape != actual.shape:
        return StageComparison(name, math.nan, math.nan, math.nan, agrees=False)
    absolute, relative, cosine = difference(without_padding(expected, inputs), without_padding(actual, inputs))
    return StageComparison(name, absolute, relative, cosine, agrees=relative <= tolerance)  # false for NaN


def difference(expected: Tensor, actual: Tensor) -> tuple[float, float, float]:
    """Compute the largest absolute difference, the same relative to the largest value or to 1, and the cosine similarity.

    If one of the tensors has a NaN, all three are NaN. The cosine with a tensor of zeros is 0.
    """
    if torch.equal(expected, actual):
        return 0.0, 0.0, 1.0
    absolute = (expected - actual).abs().max()
    relative = absolute / expected.abs().max().clamp(min=1.0)
    norms = expected.norm() * actual.norm()
    cosine = torch.zeros_like(norms) if norms == 0 else ((expected * actual).sum() / norms).clamp(max=1.0)
    return absolute.item(), relative.item(), cosine.item()
