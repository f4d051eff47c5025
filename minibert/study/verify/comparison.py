"""The comparison of two forward passes, stage by stage, and the first stage that differs."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from minibert.model.pretrained import PretrainedModel
from minibert.study.verify.diagnosis import likely_cause
from minibert.study.verify.inputs import Inputs, without_padding
from minibert.study.verify.stages import Stages, is_reference_stage

TOLERANCES = {torch.float32: 2e-5, torch.float64: 1e-10}
"""Largest relative difference that counts as rounding."""
INSIDE_ATTENTION = {"scores", "weights", "context"}
"""Steps inside attention. Fused attention, and a user's own, do not record all of them."""


@dataclass(frozen=True)
class StageComparison:
    """The difference between the two tensors of one stage."""

    name: str
    absolute: float
    """Largest absolute difference."""
    relative: float
    """Largest absolute difference, divided by the largest absolute value of the stage or by 1, whichever is larger."""
    cosine: float
    """Cosine similarity of the two tensors as flat vectors."""
    agrees: bool


@dataclass(frozen=True)
class Comparison:
    """The result of comparing all stages of two forward passes."""

    stages: list[StageComparison]
    tolerance: float
    not_compared: list[str]
    """Stages that only one of the two passes has."""
    cause: str | None
    """Likely cause of the first difference, None if it is unknown or there is no difference."""

    @property
    def agrees(self) -> bool:
        """True if all stages agree, and the only missing ones are steps inside attention."""
        complete = all(name.rpartition(".")[2] in INSIDE_ATTENTION for name in self.not_compared)
        return bool(self.stages) and complete and self.first_difference is None

    @property
    def first_difference(self) -> StageComparison | None:
        """The first stage that does not agree."""
        return next((stage for stage in self.stages if not stage.agrees), None)


def compare(reference: Stages, ours: Stages, inputs: Inputs, model: PretrainedModel) -> Comparison:
    """Compare the stages that both forward passes have, in order.

    Padding is left out: no result depends on it, and libraries number its positions differently.

    Args:
        reference: stages of transformers.
        ours: stages of minibert.
        inputs: the inputs of both.
        model: minibert's network. The cause of a difference is searched with its modules.
    """
    tolerance = TOLERANCES[next(model.parameters()).dtype]
    stages = []
    for name in (name for name in reference if name in ours):
        expected, actual = reference[name].to(torch.float64), ours[name].to(torch.float64)
        masked_scores = ours.get(f"{name.removesuffix('scores')}masked_scores")
        if name.endswith(".scores") and masked_scores is not None:  # transformers adds the mask, minibert replaces
            masked = masked_scores.isinf()
            expected, actual = (scores.masked_fill(masked, 0.0) for scores in (expected, actual))
        stages.append(_compare_stage(name, expected, actual, inputs, tolerance))
    one_sided = [name for name in (*reference, *ours) if (name in reference) != (name in ours)]
    first = next((stage.name for stage in stages if not stage.agrees), None)
    return Comparison(
        stages,
        tolerance,
        not_compared=[name for name in one_sided if name in reference or is_reference_stage(model, name)],
        cause=likely_cause(first, reference, ours, inputs, model) if first else None,
    )


def _compare_stage(name: str, expected: Tensor, actual: Tensor, inputs: Inputs, tolerance: float) -> StageComparison:
    if expected.shape != actual.shape:
        return StageComparison(name, math.inf, math.inf, 0.0, False)
    expected, actual = without_padding(expected, inputs), without_padding(actual, inputs)
    absolute = (expected - actual).abs().max().item() if expected.numel() else 0.0
    relative = absolute / max(1.0, expected.abs().max().item() if expected.numel() else 0.0)
    norms = expected.norm() * actual.norm()
    cosine = ((expected * actual).sum() / norms).item() if norms > 0 else 1.0
    return StageComparison(name, absolute, relative, cosine, relative <= tolerance)  # NaN does not agree
