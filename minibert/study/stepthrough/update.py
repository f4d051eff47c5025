"""The steps of one update of a parameter with AdamW, with and without bias correction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from minibert.equations import adamw_step
from minibert.observe import record
from minibert.study.stepthrough.documentation import documented_step
from minibert.study.stepthrough.step import Step
from minibert.trace import Leaf, Operation

CORRECTED, UNCORRECTED = "adamw", "adamw_without_bias_correction"
"""Beginning of the paths of the steps. The name of the parameter and of the step follow."""


@dataclass(frozen=True, eq=False)
class AdamW:
    """Settings of AdamW, and its state before the update. The defaults are those of training, and the first step."""

    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    """As in training, parameters with one axis (biases, gains) have none."""
    step: int = 1
    """Number of the update, from 1."""
    first_moment: Tensor | None = None
    """Running mean of the gradient, of the shape of the parameter. None: zeros, as before the first step."""
    second_moment: Tensor | None = None
    """Running mean of the squared gradient."""


@torch.no_grad()
def update_steps(parameter: Leaf, gradient: Step, settings: AdamW) -> Iterator[Step]:
    """Return the steps from a gradient to the new parameter, first with bias correction and then without.

    Args:
        parameter: the parameter, or the rows of it that the gradient has.

    Raises: ValueError for moments of another shape than the parameter, and for a step below 1.
    """
    value, grad = parameter.value, gradient.output
    first, second = (
        torch.zeros_like(value) if each is None else each for each in (settings.first_moment, settings.second_moment)
    )
    for moment in (first, second):
        if moment.shape != value.shape:
            raise ValueError(f"a moment has the shape {tuple(moment.shape)}, {parameter.name} has {tuple(value.shape)}")
    for prefix in (CORRECTED, UNCORRECTED):
        path = f"{prefix}.{parameter.name}"
        known = {
            "parameter": parameter,
            "gradient": Leaf("step", gradient.path, grad),
            "first": Leaf("input", f"{path}.first_moment_before", first),
            "second": Leaf("input", f"{path}.second_moment_before", second),
        }
        with record(trace={name: leaf.value for name, leaf in known.items()}) as recording:
            adamw_step(
                value,
                grad,
                first,
                second,
                settings.step,
                settings.learning_rate,
                settings.betas,
                settings.eps,
                weight_decay=settings.weight_decay if value.ndim > 1 else 0.0,
                bias_correction=prefix == CORRECTED,
            )
        for name in recording.paths:
            text = documented_step(recording.origin(name), name)
            assert text is not None
            yield Step(
                path=f"{path}.{name}",
                output=recording[name],
                axes=gradient.axes,
                formula=text.formula,
                symbol=text.symbol,
                explanation=text.explanation,
                expression=_renamed(recording.origin(name).expression, known, path),
                equation="adamw_step",
            )


def _renamed(node: Any, known: Mapping[str, Leaf], path: str) -> Any:
    """Return an expression with the names that its leaves have in the whole walk."""
    if isinstance(node, Operation):
        return replace(node, arguments=tuple(_renamed(argument, known, path) for argument in node.arguments))
    if isinstance(node, Leaf) and node.kind == "step":
        return replace(node, name=f"{path}.{node.name}")
    return known[node.name] if isinstance(node, Leaf) and node.name in known else node
