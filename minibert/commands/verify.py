"""`minibert verify`: compare a checkpoint in minibert and in transformers, stage by stage."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from minibert.commands.errors import UsageError
from minibert.commands.terminal import say, say_json

if TYPE_CHECKING:
    from minibert.model import Checkpoint
    from minibert.model.pretrained import PretrainedModel
    from minibert.study.verify.comparison import Comparison
    from minibert.study.verify.inputs import Inputs
    from minibert.study.verify.stages import ReferenceStages


@dataclass(frozen=True)
class Verify:
    """Compare minibert with transformers on one input, stage by stage, and report the first stage that differs.

    The input is a batch of two rows: the tokens, and their first half with padding. Exit code 0 if all stages agree, 1 if not.
    """

    checkpoint: Positional[str]
    """A folder with a checkpoint, a file with weights, or the id of a model on the Hugging Face hub."""
    text: str | None = None
    """The input text. Default: an example sentence, or random ids if the checkpoint has no tokenizer."""
    ids: tuple[int, ...] | None = None
    """Token ids as the input."""
    dtype: Literal["float32", "float64"] = "float32"
    """Data type of both computations. In float64, a mistake is easier to distinguish from rounding."""
    attention: Literal["auto", "explicit", "fused"] = "auto"
    """Attention path of minibert. The steps inside fused attention are not compared."""
    attention_from: str | None = None
    """FILE.py:FUNCTION, your own attention function instead of minibert's. It runs in a subprocess with limits."""
    save_reference: Path | None = None
    """Save the stages of transformers to this file, and do not compare."""
    reference: Path | None = None
    """Compare with the stages in this file. transformers is not needed."""
    figure: Path | None = None
    """Save a chart of the differences over the stages as a PNG file."""
    json: bool = False
    """Print JSON instead of a table."""


def run(options: Verify) -> int:
    """Print the comparison."""
    _check_options(options)
    import torch

    from minibert.model import read_checkpoint
    from minibert.study.verify.inputs import make_inputs
    from minibert.study.verify.sandbox import UserCodeError

    try:
        checkpoint = read_checkpoint(options.checkpoint)
        model = checkpoint.load(attention=options.attention, dtype=getattr(torch, options.dtype))
        if options.reference is not None:
            return _compare(options, _load_reference(options.reference, options.dtype), model)
        inputs = make_inputs(model, options.checkpoint, options.text, None if options.ids is None else list(options.ids))
        reference = _compute_reference(checkpoint, model, inputs)
        if options.save_reference is not None:
            reference.save(options.save_reference)
            say(f"{options.save_reference}: {len(reference.stages)} stages of {reference.made_with} in {options.dtype}")
            return 0
        return _compare(options, reference, model)
    except (UserCodeError, ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error


def _check_options(options: Verify) -> None:
    if options.text is not None and options.ids is not None:
        raise UsageError("--text and --ids exclude each other: give only one")
    if options.reference is not None and (options.text is not None or options.ids is not None):
        raise UsageError(f"--reference {options.reference} contains the input: leave out --text and --ids")
    if options.save_reference is not None:
        others = {"--reference": options.reference, "--figure": options.figure, "--attention-from": options.attention_from}
        if given := [name for name, value in {**others, "--json": options.json or None}.items() if value is not None]:
            raise UsageError(f"--save-reference does not compare: leave out {', '.join(given)}")
    if options.attention_from is not None and options.attention != "auto":
        raise UsageError("--attention and --attention-from exclude each other: give only one")


def _compute_reference(checkpoint: "Checkpoint", model: "PretrainedModel", inputs: "Inputs") -> "ReferenceStages":
    from minibert.study.verify.stages import ReferenceStages

    try:
        return ReferenceStages.compute(checkpoint, model, inputs)
    except ImportError:
        raise UsageError(
            "transformers is not installed. Run pip install 'minibert[verify]', or save a reference on a machine that has it "
            "(--save-reference FILE) and compare with that file here (--reference FILE)"
        ) from None


def _load_reference(path: Path, dtype: str) -> "ReferenceStages":
    from minibert.study.verify.stages import ReferenceStages

    reference = ReferenceStages.load(path)
    saved = str(reference.dtype).removeprefix("torch.")
    if saved != dtype:
        raise UsageError(f"{path}: the reference is in {saved}; add --dtype {saved}")
    return reference


def _compare(options: Verify, reference: "ReferenceStages", model: "PretrainedModel") -> int:
    from minibert.study.verify.comparison import compare
    from minibert.study.verify.sandbox import user_attention_stages
    from minibert.study.verify.stages import minibert_stages

    inputs = reference.inputs
    if options.attention_from is not None:
        ours = user_attention_stages(options.attention_from, options.checkpoint, inputs, reference.dtype)
    else:
        ours = minibert_stages(model, inputs)
    comparison = compare(reference.stages, ours, inputs, model)
    if options.figure is not None:
        from minibert.study import figures

        figures.save_png(figures.figure(figures.difference_chart(comparison), size=(8.0, 4.2)), options.figure)
    if options.json:
        result = {"agrees": comparison.agrees, "reference": reference.made_with, **asdict(comparison)}
        say_json(result)
    else:
        _print_table(comparison, reference.made_with)
    return 0 if comparison.agrees else 1


def _print_table(comparison: "Comparison", made_with: str) -> None:
    width = max([len(stage.name) for stage in comparison.stages] or [5])
    say(f"{'stage':<{width}}  {'largest difference':>18}  {'relative':>9}  {'1 - cosine':>10}")
    for stage in comparison.stages:
        mark = "" if stage.agrees else "  differs"
        numbers = f"{stage.absolute:>18.2e}  {stage.relative:>9.1e}  {max(0.0, 1 - stage.cosine):>10.1e}"
        say(f"{stage.name:<{width}}  {numbers}{mark}")
    if missing := comparison.not_compared:
        say(f"\nNot compared, because only one side has them: {len(missing)} stages, such as {missing[0]}")
    first = comparison.first_difference
    if first is not None:
        say(f"\nThe first stage that differs from {made_with} is {first.name}.")
        say(f"Likely cause: {comparison.cause or 'unknown'}.")
    elif comparison.agrees:
        worst = max(comparison.stages, key=lambda stage: stage.relative)
        say(f"\nAll {len(comparison.stages)} stages agree with {made_with}, to {worst.relative:.1e} ({worst.name}).")
    else:
        say("\nThe compared stages agree, but others are missing. Is this the reference of another checkpoint?")
