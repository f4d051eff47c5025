"""The command line. Importing it loads neither torch nor any other room of the house: `minibert --help` is quick."""

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
    "train-letters": (train_transformer.TrainLetters, train_transformer.run),
    "train-translator": (train_transformer.TrainTranslator, train_transformer.run),
    "translate": (translate.Translate, translate.run),
    "tokenize": (tokenize.Tokenize, tokenize.run),
    "fill-mask": (fill_mask.FillMask, fill_mask.run),
    "verify": (verify.Verify, verify.run),
    "equations": (equations.Equations, equations.run),
}
"""Each command's options and what it does with them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0, 1 for failed work, 2 for bad use, 130 or 143 if it was stopped."""
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
    except BrokenPipeError:  # whoever was reading has read enough; what is left in the buffer must not raise again
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
    """The options of the command that was typed."""
    try:
        return tyro.extras.subcommand_cli_from_dict(
            {name: options for name, (options, _) in COMMANDS.items()},
            prog="minibert",
            description="The Transformer and BERT written out by hand, to understand them and to check them. "
            "`minibert --version` prints the version.",
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except InvalidOption as error:
        raise UsageError(str(error)) from error
