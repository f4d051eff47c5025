"""The results of a comparison as text."""

import math
from collections.abc import Iterator

from minibert.printable import printable
from minibert.study.verify.checkpoints import CheckpointDifferences
from minibert.study.verify.comparison import Comparison
from minibert.study.verify.diagnosis import Names
from minibert.study.verify.tokenization import TokenizerComparison

MAX_PARAMETERS = 10
"""Number of different parameters that are listed."""
MAX_IDS = 12
"""Number of token ids that are shown, beginning one before the first difference."""


def stage_lines(comparison: Comparison) -> Iterator[str]:
    """Return a table with one line for every stage."""
    width = max([len(stage.name) for stage in comparison.stages] or [5])
    yield f"{'stage':<{width}}  {'largest difference':>18}  {'relative':>9}  {'1 - cosine':>10}"
    for stage in comparison.stages:
        numbers = f"{stage.absolute:>18.2e}  {stage.relative:>9.1e}  {1 - stage.cosine:>10.1e}"
        yield f"{stage.name:<{width}}  {numbers}{'' if stage.agrees else '  differs'}"
    if missing := comparison.not_compared:
        yield f"\nNot compared, because only one side has them: {len(missing)} stages, such as {printable(missing[0])}"


def verdict_lines(comparison: Comparison) -> Iterator[str]:
    """Return the result for the stages: all agree, or the first that differs, by how much, and the likely cause."""
    reference = comparison.names.reference
    if (first := comparison.first_difference) is not None:
        yield f"\nThe first stage that differs from {reference} is {first.name}."
        yield f"Largest difference: {first.absolute:.2e}, relative {first.relative:.1e}."
        yield f"Likely cause: {comparison.cause or 'unknown'}."
    elif comparison.agrees:
        worst = max(comparison.stages, key=lambda stage: stage.relative)
        yield f"\nAll {len(comparison.stages)} stages agree with {reference}, to {worst.relative:.1e} ({worst.name})."
    else:
        yield "\nThe compared stages agree, but others are missing."


def parameter_lines(differences: CheckpointDifferences, names: Names) -> Iterator[str]:
    """Return the settings and the parameters that differ between two checkpoints."""
    reference, ours = names
    if differences.settings:
        values = (f"{name} ({theirs} in {reference}, {own} in {ours})" for name, (theirs, own) in differences.settings.items())
        yield f"Settings that differ: {', '.join(values)}"
    if differences.agrees:
        yield f"All {differences.parameters_compared} parameters agree."
        return
    yield f"Parameters that differ: {len(differences.parameters)} of {differences.parameters_compared}"
    for parameter in differences.parameters[:MAX_PARAMETERS]:
        size = [] if math.isnan(parameter.absolute) else [f"largest difference {parameter.absolute:.2e}"]
        yield f"  {parameter.name}: {', '.join([*size, *parameter.description])}"
    if len(differences.parameters) > MAX_PARAMETERS:
        yield f"  and {len(differences.parameters) - MAX_PARAMETERS} more"


def tokenizer_lines(comparison: TokenizerComparison, reference: str, ours: str = "minibert") -> Iterator[str]:
    """Return the result for the tokenizers: all texts agree, or the first text with different ids."""
    if comparison.text is None:
        yield f"The tokenizers compute the same ids for {comparison.texts:,} texts."
        return
    yield f"The tokenizers differ. The first text with different ids is {comparison.text!r}:"
    first = next(
        (n for n, (a, b) in enumerate(zip(comparison.reference, comparison.ours, strict=False)) if a != b),
        min(len(comparison.reference), len(comparison.ours)),
    )
    start = max(0, first - 1)
    for side, ids in ((reference, comparison.reference), (ours, comparison.ours)):
        shown = " ".join(map(str, ids[start : start + MAX_IDS]))
        yield f"  {side}: {len(ids)} ids, from number {start + 1} on: {shown}"
    yield "The networks are not compared. To compare them alone, give them the same token ids with --ids."
