"""The command line. Importing it does not load torch or other large libraries, so that `minibert --help` is fast."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from minibert import __version__
from minibert.commands import (
    equations,
    fill_mask,
    pretrain,
    quickstart,
    runs,
    tokenize,
    train_transformer,
    translate,
    verify,
)
from minibert.commands.errors import Stopped, UsageError, WorkFailed
from minibert.text.options import InvalidOption

COMMANDS: dict[str, tuple[type[Any], Callable[[Any], int]]] = {
    "quickstart": (quickstart.Quickstart, quickstart.run),
    "pretrain": (pretrain.Pretrain, pretrain.run),
    "runs": (runs.Runs, runs.run),
    "train-letters": (train_transformer.TrainLetters, train_transformer.run_letters),
    "train-translator": (train_transformer.TrainTranslator, train_transformer.run_translator),
    "translate": (translate.Translate, translate.run),
    "tokenize": (tokenize.Tokenize, tokenize.run),
    "fill-mask": (fill_mask.FillMask, fill_mask.run),
    "verify": (verify.Verify, verify.run),
    "equations": (equations.Equations, equations.run),
}
"""The options class and the function of each command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 1 for a failure, 2 for invalid usage, 130 or 143 if it was stopped."""
    try:
        if list(sys.argv[1:] if arguments is None else arguments) == ["--version"]:
            print(f"minibert {__version__}")
            return 0
        options = _options(arguments)
        code = dict(COMMANDS.values())[type(options)](options)
        sys.stdout.flush()
        return code
    except UsageError as error:
        print(f"minibert: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has closed the pipe; flushing the rest of the buffer must not raise again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (WorkFailed, OSError) as error:
        print(f"minibert: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        print(f"\n{stopped}", file=sys.stderr)
        return stopped.exit_code
    except KeyboardInterrupt:
        print("\nminibert: stopped", file=sys.stderr)
        return 130


def _options(arguments: Sequence[str] | None) -> Any:
    """Parse the command line."""
    try:
        return tyro.extras.subcommand_cli_from_dict(
            {name: options for name, (options, _) in COMMANDS.items()},
            prog="minibert",
            description="BERT, the original Transformer and GPT-2, written by hand in PyTorch. "
            "`minibert --version` prints the version.",
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except InvalidOption as error:
        raise UsageError(str(error)) from error
