"""`minibert verify`: does a checkpoint give the same numbers here as in transformers, and if not, where do they part?"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from minibert.commands.errors import UsageError

if TYPE_CHECKING:
    import torch

    from minibert.study.verify.comparison import Verification
    from minibert.study.verify.stages import Inputs, Reference, Stages


@dataclass(frozen=True)
class Verify:
    """Compares minibert with transformers on one input, stage by stage, and names the first that differs.

    Exit code 0 if all agree, 1 if not. The input is a batch of two: the tokens, and their first half with padding.
    """

    checkpoint: Positional[str]
    """A folder with a Hugging Face BERT or GPT-2, a file with weights, or the id of a model on the hub."""
    text: str | None = None
    """What to run on; else a sentence of ours, or random ids where there is no tokenizer."""
    ids: tuple[int, ...] | None = None
    """Token ids to run on."""
    dtype: Literal["float32", "float64"] = "float32"
    """Both are computed in it. In float64 rounding can be told from a mistake."""
    attention: Literal["auto", "explicit", "fused"] = "auto"
    """How minibert computes attention; the inner steps of fused attention cannot be compared."""
    attention_from: str | None = None
    """FILE.py:FUNCTION, an attention of your own in the place of minibert's; run apart, with limits."""
    save_reference: Path | None = None
    """Keep what transformers has computed, and do not compare."""
    reference: Path | None = None
    """Compare with what was kept: transformers is not needed then."""
    figure: Path | None = None
    """Draw the differences over depth into this file, a PNG."""
    json: bool = False
    """Print JSON, not a table."""


def run(options: Verify) -> int:
    """Prints the comparison."""
    if options.text is not None and options.ids is not None:
        raise UsageError("--text and --ids: give one of them")
    if options.reference is not None and (options.text is not None or options.ids is not None):
        raise UsageError(f"--reference {options.reference} has an input of its own: leave out --text and --ids")
    if options.save_reference is not None:
        others = {"--reference": options.reference, "--figure": options.figure, "--attention-from": options.attention_from}
        if given := [name for name, value in {**others, "--json": options.json or None}.items() if value is not None]:
            raise UsageError(f"--save-reference compares nothing: leave out {', '.join(given)}")
    if options.attention_from is not None and options.attention != "auto":
        raise UsageError("--attention and --attention-from: give one of them")
    import torch

    from minibert.study.verify.sandbox import UserCodeError

    dtype: torch.dtype = getattr(torch, options.dtype)
    try:
        if options.reference is not None:
            return _compare(options, _load_reference(options.reference, dtype), dtype)
        from minibert.study.verify.comparison import inputs_for
        from minibert.study.verify.stages import config_of

        ids = None if options.ids is None else list(options.ids)
        inputs = inputs_for(options.checkpoint, config_of(options.checkpoint), options.text, ids)
        reference = _make_reference(options.checkpoint, inputs, dtype)
        if options.save_reference is not None:
            reference.save(options.save_reference)
            print(f"{options.save_reference}: {len(reference.stages)} stages of {reference.made_with} in {options.dtype}")
            return 0
        return _compare(options, reference, dtype)
    except (UserCodeError, ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error


def _make_reference(checkpoint: str, inputs: "Inputs", dtype: "torch.dtype") -> "Reference":
    from minibert.study.verify.stages import Reference, their_stages

    try:
        import transformers
    except ImportError:
        raise UsageError(
            "transformers is not installed: pip install 'minibert[verify]', or make a reference where it is "
            "(--save-reference FILE) and compare with that here (--reference FILE)"
        ) from None
    return Reference(inputs, their_stages(checkpoint, inputs, dtype), checkpoint, f"transformers {transformers.__version__}")


def _load_reference(path: Path, dtype: "torch.dtype") -> "Reference":
    from minibert.study.verify.stages import Reference

    reference = Reference.load(path)
    made = next(iter(reference.stages.values())).dtype
    if made != dtype:
        raise UsageError(
            f"{path}: was made in {str(made).removeprefix('torch.')}; give --dtype {str(made).removeprefix('torch.')}"
        )
    return reference


def _compare(options: Verify, reference: "Reference", dtype: "torch.dtype") -> int:
    from minibert.study.verify.comparison import compare
    from minibert.study.verify.stages import load_model

    ours = _our_stages(options, reference.inputs, dtype)
    found = compare(reference.stages, ours, reference.inputs, load_model(options.checkpoint), dtype)
    if options.figure is not None:
        from minibert.study import figures as plots
        from minibert.study.verify.comparison import draw_depth

        plots.save_png(plots.figure(draw_depth(found), size=(8.0, 4.2)), options.figure)
    if options.json:
        result = {"agrees": found.agrees, "reference": reference.made_with, **asdict(found)}
        for stage in result["stages"]:  # JSON has no infinity and no NaN
            stage.update({name: str(x) for name, x in stage.items() if isinstance(x, float) and not math.isfinite(x)})
        print(json.dumps(result, indent=2, allow_nan=False))
    else:
        _show(found, reference.made_with)
    return 0 if found.agrees else 1


def _our_stages(options: Verify, inputs: "Inputs", dtype: "torch.dtype") -> "Stages":
    if options.attention_from is not None:
        from minibert.study.verify.sandbox import stages_with

        return stages_with(options.attention_from, options.checkpoint, inputs, dtype)
    from minibert.study.verify.stages import our_stages

    return our_stages(options.checkpoint, inputs, dtype, options.attention)


def _show(found: "Verification", made_with: str) -> None:
    width = max([len(stage.name) for stage in found.stages] or [5])
    print(f"{'stage':<{width}}  {'largest difference':>18}  {'relative':>9}  {'1 - cosine':>10}")
    for stage in found.stages:
        mark = "" if stage.agrees else "  differs"
        numbers = f"{stage.absolute:>18.2e}  {stage.relative:>9.1e}  {max(0.0, 1 - stage.cosine):>10.1e}"
        print(f"{stage.name:<{width}}  {numbers}{mark}")
    if found.not_compared:
        print(f"\nOn one side only, so not compared: {len(found.not_compared)} stages, such as {found.not_compared[0]}")
    first = found.first_difference
    if first is not None:
        print(f"\nThe first stage that differs from {made_with} is {first.name}.")
        print(f"Likely cause: {found.cause or 'not known'}.")
    elif found.agrees:
        worst = max(found.stages, key=lambda stage: stage.relative)
        print(f"\nAll {len(found.stages)} stages agree with {made_with}, to {worst.relative:.1e} ({worst.name}).")
    else:
        print("\nWhat was compared agrees, but it is not all: is this the reference of another checkpoint?")
