"""The command line. Importing it does not load torch or other large libraries, so that `minibert --help` is fast."""

import io
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from typing import Any

import tyro

from minibert import __version__
from minibert.commands import (
    bench,
    check,
    class_grade,
    class_gradescope,
    class_nbgrader,
    class_new,
    class_release,
    distill,
    docs,
    embed,
    equations,
    evaluate,
    fill_mask,
    finetune,
    finetune_multi,
    generate,
    hint,
    learn,
    learning_progress,
    lessons,
    paths,
    plot,
    predict,
    pretrain,
    quickstart,
    reset,
    reveal,
    runs,
    study,
    swap,
    tokenize,
    train_transformer,
    translate,
    verify,
)
from minibert.commands.equations import separate_arguments
from minibert.commands.errors import Stopped, UsageError, WorkFailed
from minibert.commands.help_texts import describe_options
from minibert.commands.metavars import name_values
from minibert.commands.terminal import open_streams, output, report, report_lines, say, show_warning
from minibert.commands.training import stored_options
from minibert.files import describe
from minibert.text.options import InvalidOption
from minibert.training.options import OutputOptions

COMMANDS: dict[str, tuple[type[Any], Callable[[Any], int]]] = {
    "quickstart": (quickstart.Quickstart, quickstart.run),
    "pretrain": (pretrain.Pretrain, pretrain.run),
    "distill": (distill.Distill, distill.run),
    **{f"finetune {name}": (kind, finetune.run) for name, kind in finetune.TASKS.items()},
    "finetune multi": (finetune_multi.FinetuneMulti, finetune_multi.run),
    "runs": (runs.Runs, runs.run),
    "train-letters": (train_transformer.TrainLetters, train_transformer.run_letters),
    "train-translator": (train_transformer.TrainTranslator, train_transformer.run_translator),
    "translate": (translate.Translate, translate.run),
    "tokenize": (tokenize.Tokenize, tokenize.run),
    "predict": (predict.Predict, predict.run),
    "evaluate": (evaluate.Evaluate, evaluate.run),
    "embed": (embed.Embed, embed.run),
    "fill-mask": (fill_mask.FillMask, fill_mask.run),
    "generate": (generate.Generate, generate.run),
    **{f"plot {name}": command for name, command in plot.FIGURES.items()},
    "study": (study.Study, study.run),
    "verify": (verify.Verify, verify.run),
    "bench": (bench.Bench, bench.run),
    "equations": (equations.Equations, equations.run),
    "learn": (learn.Learn, learn.run),
    "check": (check.Check, check.run),
    "hint": (hint.Hint, hint.run),
    "reveal": (reveal.Reveal, reveal.run),
    "reset": (reset.Reset, reset.run),
    "progress": (learning_progress.LearningProgress, learning_progress.run),
    "swap": (swap.Swap, swap.run),
    "lessons": (lessons.Lessons, lessons.run),
    "docs build": (docs.DocsBuild, docs.run_build),
    "docs open": (docs.DocsOpen, docs.run_open),
    "class release": (class_release.ClassRelease, class_release.run),
    "class grade": (class_grade.ClassGrade, class_grade.run),
    "class gradescope": (class_gradescope.ClassGradescope, class_gradescope.run),
    "class nbgrader": (class_nbgrader.ClassNbgrader, class_nbgrader.run),
    "class new": (class_new.ClassNew, class_new.run),
}
"""The options class and the function of each command."""

for _options_class, _ in COMMANDS.values():
    name_values(_options_class)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 1 for a failure, 2 for invalid usage, 130 or 143 if it was stopped."""
    open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            if words == ["--version"]:
                say(f"minibert {__version__}")
                return 0
            options = _options(words)
            return dict(COMMANDS.values())[type(options)](options)
    except UsageError as error:
        report(error)
        return 2
    except BrokenPipeError:  # the reader needs no more of the output
        return 0
    except OSError as error:
        report(describe(error))
        return 1
    except WorkFailed as error:
        report_lines(f"minibert: {error}")
        return 1
    except Stopped as stopped:
        report_lines(f"\n{stopped}")
        return stopped.exit_code
    except KeyboardInterrupt:
        report_lines("\nminibert: stopped")
        return 130
    except Exception:  # a fault of minibert, which the traceback helps to report
        report_lines(traceback.format_exc())
        return 1


def _options(words: Sequence[str]) -> Any:
    """Parse the command line. With --resume, the defaults are the options that the run began with.

    Raises: UsageError for an option with an invalid value, SystemExit after another message.
    """
    if broken := next((word for word in words if "\0" in word), None):
        raise UsageError(f"{broken}: has a null character")
    tyro.extras.set_accent_color("cyan")
    messages = io.StringIO()
    settings: Any = {"config": (tyro.conf.OmitArgPrefixes,)}
    try:
        with redirect_stderr(messages), output(), paths.registry:
            if words == [*finetune.BUILT_IN_TASK[:1]]:
                words = finetune.BUILT_IN_TASK
            name = next((name for name in COMMANDS if list(words[: len(name.split())]) == name.split()), None)
            if name is None:
                return _choose(words, **settings)
            kind, words = COMMANDS[name][0], words[len(name.split()) :]
            if issubclass(kind, OutputOptions) and (stored := stored_options(kind, words)) is not None:
                settings["default"] = stored
            describe_options(kind)
            others, values = separate_arguments(words) if kind is equations.Equations else (words, {})
            options = tyro.cli(kind, prog=f"minibert {name}", args=others, **settings)
            return replace(options, arguments=values) if values else options
    except InvalidOption as error:
        raise UsageError(error) from error
    finally:
        report_lines(messages.getvalue())


def _choose(words: Sequence[str], **settings: Any) -> Any:
    """List the commands, or those that begin with the first word, as help or as part of an error message."""
    group = [name for name in COMMANDS if words and name.startswith(f"{words[0]} ")]
    kinds = {name.removeprefix(f"{words[0]} " if group else ""): COMMANDS[name][0] for name in group or COMMANDS}
    return tyro.extras.subcommand_cli_from_dict(
        {**kinds},
        prog=f"minibert {words[0]}" if group else "minibert",
        description="BERT and its relatives, the original Transformer, GPT-2, T5 and ViT, written by hand in PyTorch. "
        "`minibert --version` prints the version.",
        args=words[1:] if group else words,
        **settings,
    )
