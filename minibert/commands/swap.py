"""`minibert swap`: a learner's function in a real model."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError, check_figure, check_text
from minibert.commands.terminal import report_lines, say, say_json, say_table
from minibert.printable import printable

if TYPE_CHECKING:
    from minibert.classroom.exercise import Exercise
    from minibert.classroom.swap import SwapResult
    from minibert.classroom.training_effect import TrainingEffect

MAX_SECONDS = 3600
MAX_CHANGED = 3
"""Number of cases with another top prediction that are shown."""


@dataclass(frozen=True)
class Swap:
    """Put your function into a real model, and compare the stages and the predictions.

    The file must have a function with the name of the exercise, or only one function. Your code runs in a subprocess with
    limits on time, memory and files. Exit code 0 if the stages agree, 1 if not.
    """

    file: Annotated[Positional[Path], arg(metavar="FILE.py")]
    """A Python file with your function."""
    exercise: str
    """The exercise that the function solves, such as attention, softmax, layer_norm or gelu."""
    checkpoint: str | None = None
    """A folder with a checkpoint, or the id of a model on the Hugging Face hub."""
    layer: Annotated[int | None, arg(metavar="N")] = None
    """Replace the function in this layer only, counted from 0. Default: in all layers."""
    text: str | None = None
    """The text of the predictions. Default: a few English sentences."""
    train: bool = False
    """Pretrain a small model with minibert's function, with yours, and with another seed, and compare the losses."""
    seconds: float = 30.0
    """Time of the pretraining with minibert's function. The run with yours has as many steps."""
    figure: Path | None = None
    """Save the curves of --train to this file; its extension is the format: .png, .svg or .pdf. Default: swap.svg."""
    time_limit: float = 60.0
    """Seconds after which your code is stopped."""
    json: bool = False
    """Print JSON instead of text."""


def run(options: Swap) -> int:
    """Print the comparison."""
    _check_options(options)
    from minibert.classroom.exercises import find_exercise
    from minibert.classroom.swap import swap
    from minibert.study.checked_attention import UserCodeError

    show = report_lines if options.json else say
    try:
        exercise = find_exercise(options.exercise)
        location = f"{options.file}:{_function(options.file, exercise.name)}"
        result = effect = None
        if options.checkpoint is not None:
            result = swap(exercise, location, options.checkpoint, show, options.text, options.layer, options.time_limit)
        if options.train:
            effect = _train(options, exercise, location, show)
    except KeyError as error:
        raise UsageError(f"--exercise: {error.args[0]}") from error
    except (UserCodeError, ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    if options.json:
        say_json(_as_json(result, effect))
    else:
        if result is not None:
            _show(result, exercise.name)
        if effect is not None:
            for name in effect.mistakes:
                say(f"\nMistake: {name}")
            losses = f"minibert {effect.right.losses[-1]:.3f}, your function {effect.mine.losses[-1]:.3f} nats"
            say(f"\nValidation loss: {losses}.", effect.sentence, f"Curves: {printable(_figure(options))}")
    return 0 if result is None or result.comparison.agrees else 1


def _check_options(options: Swap) -> None:
    if options.checkpoint is None and not options.train:
        raise UsageError("give a model with --checkpoint CHECKPOINT, or --train, or both")
    if options.checkpoint is None and (options.layer is not None or options.text is not None):
        raise UsageError("--layer and --text are for a model: add --checkpoint CHECKPOINT")
    if options.figure is not None:
        if not options.train:
            raise UsageError("--figure is for the curves of --train: add --train, or leave it out")
        check_figure(options.figure)
    for name, value in (("--time-limit", options.time_limit), ("--seconds", options.seconds)):
        if not 0 < value <= MAX_SECONDS:
            raise UsageError(f"{name} must be above 0 and at most {MAX_SECONDS} seconds, not {value:g}")
    check_text(options.text or "")


def _figure(options: Swap) -> Path:
    return options.figure or Path("swap.svg")


def _function(file: Path, name: str) -> str:
    """Return the name of the learner's function: that of the exercise, or of the only function in the file."""
    from minibert.classroom.learner_file import BadFile, LearnerFile

    try:
        names = LearnerFile.read(file).functions()
    except BadFile as error:
        raise UsageError(f"{file}{f', line {error.line}' if error.line else ''}: {error.reason}") from error
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    if name in names:
        return name
    if len(names) == 1:
        return names[0]
    raise UsageError(f"{file} has no function {name}; it has {', '.join(names) or 'none'}")


def _train(options: Swap, exercise: "Exercise", location: str, show: Callable[[str], None]) -> "TrainingEffect":
    from minibert.classroom.training_effect import effect_figure, training_effect
    from minibert.study.drawing import save

    show(f"Pretraining for {options.seconds:g} seconds with minibert's function, and then as many steps with yours.")
    effect = training_effect(exercise, location, show, options.seconds, options.time_limit)
    save(effect_figure(effect, exercise), _figure(options))
    return effect


def _show(result: "SwapResult", name: str) -> None:
    from minibert.study.verify.report import stage_lines, verdict_lines

    say(f"{name}: your function was called {result.calls} times.\n", *stage_lines(result.comparison))
    say(*verdict_lines(result.comparison))
    if result.before is None or result.after is None:
        say("\nThe model has no head, so there are no predictions to compare.")
        return
    mistakes = result.report.mistakes if not result.report.passed else []
    for mistake in mistakes:
        say(f"\nMistake: {mistake.name}. {mistake.message}")
    cause = "these mistakes" if len(mistakes) > 1 else "this mistake" if mistakes else "your function"
    say(f"\nWith {cause} the top prediction changes in {result.changed} of {len(result.labels)} cases.")
    for case in result.examples(MAX_CHANGED):
        _show_case(result, case)


def _show_case(result: "SwapResult", case: int) -> None:
    from rich.table import Table

    table = Table(title=printable(result.labels[case]), title_justify="left")
    for column in ("minibert", "", "your function", ""):
        table.add_column(column, justify="left" if column else "right")
    before, after = result.predictions(case)
    for number, (piece, probability) in enumerate(before):
        mine, chance = after[number] if after else ("not finite", float("nan"))
        table.add_row(printable(piece), f"{probability:.1%}", printable(mine), f"{chance:.1%}" if after else "")
    say_table(table)


def _as_json(result: "SwapResult | None", effect: "TrainingEffect | None") -> dict[str, object]:
    found: dict[str, object] = {}
    if result is not None:
        first = result.comparison.first_difference
        found |= {
            "agrees": result.comparison.agrees,
            "first_difference": first and first.name,
            "stages": [asdict(stage) for stage in result.comparison.stages],
            "cases": len(result.labels),
            "changed": result.changed,
            "calls": result.calls,
            "mistakes": [mistake.name for mistake in result.report.mistakes],
        }
    if effect is not None:
        found |= {"training": {**asdict(effect), "cost": effect.cost, "noise": effect.noise}}
    return found
