"""`minibert verify`: compare a checkpoint in minibert and in transformers, or with another checkpoint, stage by stage."""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from minibert.commands.errors import UsageError, check_figure, check_text
from minibert.commands.terminal import report_lines, say, say_json
from minibert.printable import printable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from minibert.classroom.diagnosis import Diagnosis
    from minibert.model import Checkpoint
    from minibert.model.pretrained import PretrainedModel
    from minibert.study.verify.checkpoints import CheckpointDifferences
    from minibert.study.verify.comparison import Comparison
    from minibert.study.verify.stages import ReferenceStages
    from minibert.study.verify.tokenization import TokenizerComparison


MAX_SECONDS = 86_400
"""Largest --time-limit: a day."""


@dataclass(frozen=True)
class Verify:
    """Compare minibert with transformers, or with another checkpoint (--against), and report the first stage that differs.

    The tokenizers are compared first, on texts that libraries split differently. Then the networks are compared on one input: a
    batch of two rows, the tokens, and their first half with padding. Exit code 0 if everything agrees, 1 if not.
    """

    checkpoint: Positional[str]
    """A folder with a checkpoint, a file with weights, or the id of a model on the Hugging Face hub."""
    text: str | None = None
    """The input text. Default: an example sentence, or random ids if the checkpoint has no tokenizer."""
    ids: tuple[int, ...] | None = None
    """Token ids as the input. The tokenizers are then not compared."""
    against: str | None = None
    """Another checkpoint of the same architecture, to compare with instead of transformers. minibert computes both."""
    dtype: Literal["float32", "float64"] = "float32"
    """Data type of both computations. In float64, a mistake is easier to distinguish from rounding."""
    attention: Literal["auto", "explicit", "fused"] = "auto"
    """Attention path of minibert. The steps inside fused attention are not compared."""
    attention_from: str | None = None
    """FILE.py:FUNCTION, your own attention function instead of minibert's. It runs in a subprocess with limits, and is compared
    with the catalogue of mistakes (docs/mistakes.md)."""
    time_limit: float = 60.0
    """Seconds after which the code of --attention-from is stopped."""
    save_reference: Path | None = None
    """Save the stages of transformers to this file, and do not compare."""
    reference: Path | None = None
    """Compare with the stages in this file. transformers is not needed."""
    figure: Path | None = None
    """Save a chart of the differences over the stages; the extension of the file is its format: .png, .svg or .pdf."""
    json: bool = False
    """Print JSON instead of a table."""


def run(options: Verify) -> int:
    """Print the comparison."""
    _check_options(options)
    check_text(options.text or "")
    import torch

    from minibert.model import read_checkpoint
    from minibert.study.checked_attention import UserCodeError

    try:
        checkpoint = read_checkpoint(options.checkpoint)
        model = checkpoint.load(attention=options.attention, dtype=getattr(torch, options.dtype))
        if options.against is not None:
            return _compare_checkpoints(options, options.against, model)
        if checkpoint.adapter is not None:
            raise UsageError(f"{options.checkpoint}: is an adapter; compare the whole model that it is merged into")
        return _compare_with_transformers(options, checkpoint, model)
    except (UserCodeError, ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error


def _check_options(options: Verify) -> None:
    if options.text is not None and options.ids is not None:
        raise UsageError("--text and --ids exclude each other: give only one")
    if options.reference is not None and (options.text is not None or options.ids is not None):
        raise UsageError(f"--reference {options.reference} contains the input: leave out --text and --ids")
    others: dict[str, object] = {"--reference": options.reference, "--attention-from": options.attention_from}
    if options.save_reference is not None:
        others |= {"--against": options.against, "--figure": options.figure, "--json": options.json or None}
        if given := [name for name, value in others.items() if value is not None]:
            raise UsageError(f"--save-reference does not compare: leave out {', '.join(given)}")
    if options.against is not None and (given := [name for name, value in others.items() if value is not None]):
        raise UsageError(f"--against compares two checkpoints in minibert: leave out {', '.join(given)}")
    if options.figure is not None:
        check_figure(options.figure)
    if not 0 < options.time_limit <= MAX_SECONDS:
        raise UsageError(f"--time-limit must be above 0 and at most {MAX_SECONDS} seconds, not {options.time_limit:g}")
    if options.attention_from is not None and options.attention != "auto":
        raise UsageError("--attention and --attention-from exclude each other: give only one")


def _compare_with_transformers(options: Verify, checkpoint: "Checkpoint", model: "PretrainedModel") -> int:
    from minibert.study.verify.inputs import make_inputs
    from minibert.study.verify.stages import ReferenceStages
    from minibert.study.verify.tokenization import compare_token_ids, encode_with

    saved = None if options.reference is None else _load_reference(options.reference, options.dtype)
    tokenizer = _tokenizer(options, options.checkpoint) if saved is None or saved.token_ids else None
    try:
        token_ids = _transformers_ids(options, checkpoint, model, tokenizer) if saved is None else saved.token_ids
        tokenizers = compare_token_ids(token_ids, encode_with(tokenizer)) if tokenizer and token_ids else None
        if tokenizers is not None and not tokenizers.agrees and options.save_reference is None:
            return _show_tokenizers(options, tokenizers, "transformers")
        inputs = make_inputs(model, options.checkpoint, options.text, _ids(options)) if saved is None else saved.inputs
        reference = saved or ReferenceStages.compute(checkpoint, model, inputs, token_ids)
    except ImportError:
        raise UsageError(
            "transformers is not installed. Run pip install 'minibert[verify]', or save a reference on a machine that has it "
            "(--save-reference FILE) and compare with that file here (--reference FILE)"
        ) from None
    if options.save_reference is None:
        return _compare_stages(options, reference, model, tokenizers)
    reference.save(options.save_reference)
    say(f"{printable(options.save_reference)}: {len(reference.stages)} stages of {reference.made_with} in {options.dtype}")
    return 0


def _ids(options: Verify) -> list[int] | None:
    return None if options.ids is None else list(options.ids)


def _tokenizer(options: Verify, source: str) -> "Tokenizer | None":
    """Load a tokenizer to compare; None with --ids, and for a checkpoint without a tokenizer."""
    from minibert.text.tokenizer_loading import load_tokenizer

    if options.ids is not None:
        return None
    try:
        return load_tokenizer(source)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UsageError(f"{error}. To compare the networks alone, give token ids with --ids") from error


def _texts(options: Verify, *tokenizers: "Tokenizer") -> list[str]:
    """Return the texts to compare: the input, and those that tokenizers split differently."""
    from minibert.study.verify.inputs import DEFAULT_TEXT
    from minibert.study.verify.tokenization import strings_to_compare

    texts = [text for tokenizer in tokenizers for text in strings_to_compare(tokenizer)]
    return [DEFAULT_TEXT if options.text is None else options.text, *texts]


def _transformers_ids(
    options: Verify, checkpoint: "Checkpoint", model: "PretrainedModel", tokenizer: "Tokenizer | None"
) -> dict[str, list[int]]:
    """Compute the ids of transformers by text. Raises: as `transformers_network` and `encode_with_transformers`."""
    from minibert.study.verify.stages import transformers_network
    from minibert.study.verify.tokenization import encode_with_transformers

    network = transformers_network(checkpoint, model)  # an architecture that transformers lacks is refused first
    if tokenizer is None:
        return {}
    texts = _texts(options, tokenizer)
    return dict(zip(texts, encode_with_transformers(checkpoint.source, network)(texts), strict=True))


def _load_reference(path: Path, dtype: str) -> "ReferenceStages":
    from minibert.study.verify.stages import ReferenceStages

    reference = ReferenceStages.load(path)
    saved = str(reference.dtype).removeprefix("torch.")
    if saved != dtype:
        raise UsageError(f"{path}: the reference is in {saved}; add --dtype {saved}")
    return reference


def _compare_stages(
    options: Verify, reference: "ReferenceStages", model: "PretrainedModel", tokenizers: "TokenizerComparison | None"
) -> int:
    from minibert.classroom.diagnosis import diagnose_attention
    from minibert.study.verify.comparison import compare
    from minibert.study.verify.diagnosis import Names
    from minibert.study.verify.stages import minibert_stages
    from minibert.study.verify.user_attention import run_user_attention

    inputs, names = reference.inputs, Names(printable(reference.made_with))
    if options.attention_from is None:
        return _show(options, compare(reference.stages, minibert_stages(model, inputs), inputs, model, names), tokenizers)
    show = report_lines if options.json else say
    run = run_user_attention(options.attention_from, options.checkpoint, inputs, reference.dtype, show, options.time_limit)
    comparison = compare(reference.stages, run.stages, inputs, model, Names(names.reference, printable(options.attention_from)))
    diagnosis = diagnose_attention(run.probes)
    if diagnosis is not None and (first := comparison.first_difference) is not None:
        not_finite = "" if math.isfinite(first.absolute) else f"{comparison.cause}; "
        comparison = replace(comparison, cause=f"{not_finite}{diagnosis.description}")
    return _show(options, comparison, tokenizers, diagnosis=diagnosis)


def _compare_checkpoints(options: Verify, against: str, model: "PretrainedModel") -> int:
    from minibert.model import load
    from minibert.study.verify.checkpoints import check_same_architecture, compare_checkpoints
    from minibert.study.verify.comparison import compare
    from minibert.study.verify.diagnosis import Names
    from minibert.study.verify.inputs import make_inputs
    from minibert.study.verify.stages import minibert_stages
    from minibert.study.verify.tokenization import compare_token_ids, encode_with

    names = Names(printable(against), printable(options.checkpoint))
    other = load(against, attention=options.attention, dtype=next(model.parameters()).dtype)
    check_same_architecture(other, model, names)
    theirs, ours = _tokenizer(options, against), _tokenizer(options, options.checkpoint)
    tokenizers = None
    if theirs is not None and ours is not None:
        texts = _texts(options, theirs, ours)
        tokenizers = compare_token_ids(dict(zip(texts, encode_with(theirs)(texts), strict=True)), encode_with(ours))
        if not tokenizers.agrees:
            return _show_tokenizers(options, tokenizers, *names)
    source = options.checkpoint if theirs is None or ours is not None else against
    inputs = make_inputs(model, source, options.text, _ids(options), other)
    comparison = compare(minibert_stages(other, inputs), minibert_stages(model, inputs), inputs, model, names)
    return _show(options, comparison, tokenizers, compare_checkpoints(other, model, names))


def _show_tokenizers(options: Verify, tokenizers: "TokenizerComparison", reference: str, ours: str = "minibert") -> int:
    """Print the first text with different ids. The comparison ends here."""
    from minibert.study.verify.report import tokenizer_lines

    if options.json:
        say_json({"agrees": False, "reference": reference, "tokenizers": asdict(tokenizers)})
    else:
        say(*tokenizer_lines(tokenizers, reference, ours))
    return 1


def _show(
    options: Verify,
    comparison: "Comparison",
    tokenizers: "TokenizerComparison | None",
    differences: "CheckpointDifferences | None" = None,
    diagnosis: "Diagnosis | None" = None,
) -> int:
    """Print the comparison of the networks, and draw it if a file is given."""
    from minibert.study.verify.report import parameter_lines, stage_lines, tokenizer_lines, verdict_lines

    if options.figure is not None:
        from minibert.study import figures
        from minibert.study.drawing import figure, save

        save(figure(figures.difference_chart(comparison), size=(8.0, 4.2)), options.figure)
    agrees = comparison.agrees and all(part.agrees for part in (differences, diagnosis) if part is not None)
    if options.json:
        found: dict[str, object] = {"tokenizers": None if tokenizers is None else asdict(tokenizers)}
        if differences is not None:
            found["checkpoints"] = asdict(differences)
        if diagnosis is not None:
            found["function"] = {"agrees": diagnosis.agrees, "mistakes": [mistake.name for mistake in diagnosis.mistakes]}
        say_json({"agrees": agrees, "reference": comparison.names.reference, **found, **asdict(comparison)})
        return 0 if agrees else 1
    say(*stage_lines(comparison))
    if tokenizers is None:
        missing = "the checkpoint has none" if options.against is None else "a tokenizer is missing"
        missing = missing if options.reference is None else "the reference has no token ids"
        reason = "--ids gives the token ids" if options.ids else missing
        say("", f"The tokenizers are not compared: {reason}.")
    else:
        say("", *tokenizer_lines(tokenizers, comparison.names.reference))
    say(*verdict_lines(comparison))
    if options.reference is not None and not agrees and comparison.first_difference is None:
        say("Is this the reference of another checkpoint?")
    if differences is not None:
        say("", *parameter_lines(differences, comparison.names))
    if diagnosis is not None and not diagnosis.agrees and comparison.first_difference is None:
        say("\nBut on random inputs the function differs from the equation. This network has too small scores to show it.")
        say(f"Likely cause: {diagnosis.description}.")
    return 0 if agrees else 1
