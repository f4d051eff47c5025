"""The difference of two forward passes of the same text, step by step: of two checkpoints, or of minibert and transformers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from minibert.model import read_checkpoint
from minibert.model.pretrained import PretrainedModel
from minibert.study.stepthrough.step import Step, TextStep, Walk
from minibert.study.stepthrough.walk import StepBuilder

MASKED = -1e4
"""Scores of transformers below this are those of masked keys. minibert has minus infinity there."""

ROUNDING = 2e-5
"""Largest relative difference that counts as rounding."""


@dataclass(frozen=True)
class StepDifference:
    """The difference between the outputs of one step in two forward passes."""

    step: Step = field(repr=False)
    """The step in the first one."""
    other: Tensor = field(repr=False)
    """The output in the second one."""
    relative: float
    """Norm of the difference, divided by the norm of the first output. NaN if only one of them has a NaN at some place."""
    largest: float
    """Largest absolute difference."""
    cosine: float
    """Cosine similarity of the two outputs as flat vectors. 1 if both are zero, 0 if one is."""


@dataclass(frozen=True)
class Differences:
    """The differences of all steps that two forward passes have in common, in order."""

    steps: tuple[StepDifference, ...]
    not_compared: dict[str, str]
    """The other steps by path, and the reason."""

    @property
    def first(self) -> StepDifference | None:
        """The first step whose outputs differ by more than rounding."""
        return next((found for found in self.steps if not found.relative <= ROUNDING), None)

    def others(self, label: str) -> dict[str, tuple[str, Tensor]]:
        """Return the second outputs as the argument `others` of `step_through_page`."""
        return {found.step.path: (label, found.other) for found in self.steps}


def differences(walk: Walk, other: Walk | Mapping[str, Tensor]) -> Differences:
    """Compare each step with the step of the same path in another walk, or with a tensor of transformers.

    Args:
        other: a walk of the same text; or tensors by path, see `transformers_outputs`.

    Raises: ValueError if the two walks have different tokens: their steps then belong to different inputs.
    """
    if isinstance(other, Walk):
        _check_tokens(walk, other)
    found, not_compared = [], {}
    for step in walk.steps:
        if isinstance(step, TextStep):
            continue
        path = next((path for path in (step.path, *step.aliases) if path in other), None)
        if path is None:
            not_compared[step.path] = "only the first one has this step"
        elif obstacle := _obstacle(step, other[path]):
            not_compared[step.path] = obstacle
        else:
            found.append(difference(step, _tensor(other[path])))
    not_compared |= {path: "only the second one has this step" for path in other if path not in walk}
    return Differences(tuple(found), not_compared)


def transformers_outputs(
    source: str | Path, model: PretrainedModel, tokenizer: Tokenizer, text: str, pair: str | None = None
) -> dict[str, Tensor]:
    """Run transformers on a text, and return the outputs of its modules by the path of the step in minibert.

    Args:
        source: the checkpoint.
        model: minibert's network of this checkpoint.
        tokenizer, text, pair: as in `walk`.

    Raises: ImportError without transformers; ValueError for a network that transformers does not have.
    """
    from minibert.study.verify.stages import transformers_stages

    stages = transformers_stages(read_checkpoint(source), model, StepBuilder(model, tokenizer, text, pair).arguments)
    scores = {path: f"{path.removesuffix('scores')}masked_scores" for path in stages if path.endswith("attention.scores")}
    return {scores.get(path, path): tensor for path, tensor in stages.items()}  # transformers masks them at once


def _check_tokens(walk: Walk, other: Walk) -> None:
    for step in walk.steps:
        if not isinstance(step, TextStep) or not step.path.endswith("pieces"):
            continue
        theirs = other.get(step.path)
        if not isinstance(theirs, TextStep) or theirs.entries != step.entries:
            pieces = [] if not isinstance(theirs, TextStep) else [*theirs.entries]
            raise ValueError(
                f"the two checkpoints have different tokens for this text, so their numbers belong to different inputs: "
                f"{' '.join(step.entries)} and {' '.join(pieces)}. Compare checkpoints with the same tokenizer"
            )


def _tensor(other: Step | Tensor) -> Tensor:
    return other if isinstance(other, Tensor) else other.output


def _obstacle(step: Step, other: Step | Tensor) -> str | None:
    """Return the reason why two outputs cannot be compared; None if they can."""
    shape, their_shape = tuple(step.output.shape), tuple(_tensor(other).shape)
    if shape != their_shape:
        return f"the shapes are {shape} and {their_shape}"
    for axis, their_axis in zip(step.axes, () if isinstance(other, Tensor) else other.axes, strict=False):
        if axis.labels != their_axis.labels:
            return f"the entries of the axis {axis.name!r} have other names"
    return None


def difference(step: Step, output: Tensor) -> StepDifference:
    """Compare the output of a step with another tensor of its shape."""
    one, other = step.output.double(), output.to(torch.float64)
    masked = (one.isneginf() & (other < MASKED)) | (one.isnan() & other.isnan()) | (one.isposinf() & other.isposinf())
    one, other = one.masked_fill(masked, 0.0), other.masked_fill(masked, 0.0)
    if torch.equal(one, other):
        return StepDifference(step, output, 0.0, 0.0, 1.0)
    change, norm = (other - one), one.norm()
    norms = norm * other.norm()
    cosine = 0.0 if norms == 0 else ((one * other).sum() / norms).clamp(-1.0, 1.0).item()
    relative = (change.norm() / norm).item() if norm > 0 else torch.inf
    return StepDifference(step, output, relative, change.abs().max().item(), cosine)
