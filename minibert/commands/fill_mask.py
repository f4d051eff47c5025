"""`minibert fill-mask`: what a pretrained BERT would put in the place of [MASK]."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError


@dataclass(frozen=True)
class FillMask:
    """Shows what a pretrained BERT would put in the place of each [MASK], most probable first."""

    checkpoint: Positional[str]
    """A folder with a Hugging Face checkpoint and its tokenizer, such as runs/quickstart, or a model's id on the hub."""
    text: Positional[str]
    """A sentence with [MASK] where a word is to be guessed."""
    top: Annotated[int, arg(aliases=["-k"])] = 5
    """How many guesses to show."""
    json: bool = False
    """Print JSON, not a table."""


def run(options: FillMask) -> int:
    """Prints the guesses."""
    if options.top < 1:
        raise UsageError(f"--top {options.top}: must be at least 1")
    from minibert.study.fill_mask import fill_mask, load_masked_lm

    try:
        model, tokenizer = load_masked_lm(options.checkpoint)
        places = fill_mask(model, tokenizer, options.text, options.top)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error
    if options.json:
        print(json.dumps([[asdict(guess) for guess in guesses] for guesses in places], indent=2, ensure_ascii=False))
        return 0
    from rich.console import Console
    from rich.table import Table

    for number, guesses in enumerate(places, start=1):
        table = Table(title=f"[MASK] {number} of {len(places)}".replace("[", r"\["), title_justify="left")
        table.add_column("piece")
        table.add_column("probability", justify="right")
        for guess in guesses:
            table.add_row(guess.piece.replace("[", r"\["), f"{guess.probability:.1%}")
        Console().print(table)
    return 0
