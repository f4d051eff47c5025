"""`minibert fill-mask`: masked-token prediction with a pretrained BERT."""

from dataclasses import asdict, dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError, check_text
from minibert.commands.terminal import report, say_json, say_table
from minibert.printable import printable

MAX_WORDS = 5
"""Number of unknown words that are shown."""


@dataclass(frozen=True)
class FillMask:
    """Predict the word piece at each [MASK] of a text with a pretrained BERT."""

    checkpoint: Positional[str]
    """A folder with a checkpoint and its tokenizer, such as runs/quickstart, or the id of a model on the Hugging Face hub."""
    text: Positional[str]
    """A text with [MASK] in place of each word to predict."""
    top: Annotated[int, arg(aliases=["-k"], metavar="N")] = 5
    """Number of predictions per [MASK]."""
    json: bool = False
    """Print JSON instead of a table."""


def run(options: FillMask) -> int:
    """Print the predictions."""
    if options.top < 1:
        raise UsageError(f"--top must be at least 1, not {options.top}")
    check_text(options.text)
    from minibert.study.fill_mask import fill_mask, load_masked_lm, unknown_words
    from minibert.text.tokenizer import special_token

    try:
        model, tokenizer = load_masked_lm(options.checkpoint)
        predictions = fill_mask(model, tokenizer, options.text, options.top)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    unknown, tokens = unknown_words(tokenizer, options.text)
    if unknown:
        meaning = "; the predictions do not depend on its words" if len(unknown) == tokens else ""
        report(f"note: {len(unknown)} of {tokens} tokens of the text are unknown to the tokenizer ({_some(unknown)}){meaning}")
    if options.json:
        rows = [[asdict(prediction) for prediction in ranked] for ranked in predictions]
        say_json(rows)
        return 0
    from rich.table import Table

    mask = printable(special_token(tokenizer, "[MASK]"))
    for number, ranked in enumerate(predictions, start=1):
        table = Table(title=f"{mask} {number} of {len(predictions)}", title_justify="left")
        table.add_column("prediction")
        table.add_column("probability", justify="right")
        for prediction in ranked:
            table.add_row(printable(prediction.piece), f"{prediction.probability:.1%}")
        say_table(table)
    return 0


def _some(words: list[str]) -> str:
    return ", ".join(words[:MAX_WORDS]) + (", …" if len(words) > MAX_WORDS else "")
