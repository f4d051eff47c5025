"""`minibert translate`: translate lines of text with a trained Transformer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from minibert.commands.errors import UsageError
from minibert.commands.terminal import input_lines, report, say
from minibert.printable import printable


@dataclass(frozen=True)
class Translate:
    """Translate the lines of the standard input with a trained Transformer, and write the results to the standard output.

    All lines are read first. Each line of input gives one line of output. Letters are separated by spaces: d a c b.
    """

    checkpoint: Positional[Path]
    """Folder of a run of `minibert train-translator` or `minibert train-letters`."""
    beams: int = 4
    """Beam size; 1 for greedy search."""
    alpha: float = 0.6
    """Exponent of the length penalty; 0 for none."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if it is available, else the CPU."""


def run(options: Translate) -> int:
    """Translate all lines, then print the translations."""
    from minibert.model import Transformer
    from minibert.model.generation import check_beam_search
    from minibert.text.spacing import Spacing
    from minibert.text.tokenizer import UNK, token_id, without_special_tokens
    from minibert.text.tokenizer_loading import load_tokenizer
    from minibert.training.decoding import translate
    from minibert.training.distributed import choose_device

    try:
        check_beam_search(options.beams, options.alpha)
        lines = input_lines()
        device = choose_device(options.device)
        model, tokenizer = Transformer.from_pretrained(options.checkpoint).to(device), load_tokenizer(options.checkpoint)
        unknown, encodings = token_id(tokenizer, UNK), without_special_tokens(tokenizer).encode_batch(lines)
        affected = [number for number, row in enumerate(encodings, start=1) if unknown in row.ids]
        if affected:
            where = f"line {affected[0]}" + (f" and {len(affected) - 1:,} more" if len(affected) > 1 else "")
            report(f"{where}: words that are not in the vocabulary were replaced with {UNK}")
        spacing = Spacing.load(options.checkpoint)
        for translation in translate(model, tokenizer, lines, options.beams, options.alpha, spacing):
            say(printable(translation))
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    return 0
