"""`minibert translate`: lines in, lines out."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from minibert.commands.errors import UsageError


@dataclass(frozen=True)
class Translate:
    """Reads lines from the standard input, and writes what a trained Transformer makes of each to the standard output.

    There is a line out for each line in, after the last has been read. Letters are given with spaces between them: d a c b.
    """

    checkpoint: Positional[Path]
    """The folder of a run of `minibert train-translator` or `minibert train-letters`."""
    beams: int = 4
    """Outputs that are followed side by side; 1 is greedy search."""
    alpha: float = 0.6
    """Of the length penalty; 0 is none."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is one."""


def run(options: Translate) -> int:
    """Translates everything, then prints it."""
    if options.beams < 1:
        raise UsageError(f"--beams {options.beams}: must be at least 1")
    from minibert.model import Transformer
    from minibert.study.translation import translate
    from minibert.text.tokenizer import UNK, load_tokenizer, token_id
    from minibert.training.distributed import choose_device

    try:
        lines = [line.rstrip("\r") for line in sys.stdin.buffer.read().decode("utf-8-sig").split("\n")]
        if not lines[-1]:
            lines.pop()  # a line ends with its newline, and none begins there
        device = choose_device(options.device)
        model, tokenizer = Transformer.from_pretrained(options.checkpoint).to(device), load_tokenizer(options.checkpoint)
        unknown = token_id(tokenizer, UNK)
        strange = [number for number, found in enumerate(tokenizer.encode_batch(lines), start=1) if unknown in found.ids]
        if strange:
            which = f"line {strange[0]}" + (f" and {len(strange) - 1:,} more" if len(strange) > 1 else "")
            print(f"minibert: {which}: there are words without pieces in the vocabulary, read as {UNK}", file=sys.stderr)
        for line in translate(model, tokenizer, lines, options.beams, options.alpha):
            print(line)
    except UnicodeDecodeError as error:
        raise UsageError(f"the standard input is not UTF-8 (byte {error.start + 1})") from None
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error
    return 0
