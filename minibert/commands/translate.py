"""`minibert translate`: lines in, lines out."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from minibert.commands.errors import BadUse


@dataclass(frozen=True)
class Translate:
    """Reads lines from the standard input, and writes what a trained Transformer makes of each to the standard output."""

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
        raise BadUse(f"--beams {options.beams}: must be at least 1")
    import torch

    from minibert.model import Transformer
    from minibert.study.translation import translate
    from minibert.text.tokenizer import load_tokenizer

    try:
        lines = sys.stdin.buffer.read().decode("utf-8").splitlines()
        model, tokenizer = Transformer.from_pretrained(options.checkpoint), load_tokenizer(options.checkpoint)
        if options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available()):
            model.to("cuda")
        for line in translate(model, tokenizer, lines, options.beams, options.alpha):
            print(line)
    except UnicodeDecodeError as error:
        raise BadUse(f"the standard input is not UTF-8 (byte {error.start + 1})") from None
    except (ValueError, FileNotFoundError) as error:
        raise BadUse(str(error)) from error
    return 0
