"""Options of the fine-tuning tasks. Importing this module loads no library, so that the command line starts fast."""

from dataclasses import dataclass, field

from minibert.text.labeled.options import TableColumns
from minibert.text.options import MAX_LENGTH, Cut, InvalidOption


@dataclass(frozen=True)
class ClassifyOptions:
    """Classification of texts or pairs of texts."""

    table: TableColumns = field(default_factory=TableColumns)
    multi_label: bool = False
    """Predict any number of classes for each text."""
    regression: bool = False
    """Predict a number for each text."""
    max_length: int = 128
    """Maximum number of tokens, including special tokens. Longer texts are cut."""
    cut: Cut = "end"
    """Part of a longer text that is left out: its end, or the middle (head+tail)."""

    def __post_init__(self) -> None:
        if self.multi_label and self.regression:
            raise InvalidOption("--multi-label and --regression: give only one")
        check_max_length(self.max_length)


def check_max_length(max_length: int) -> None:
    """Check an option. Raises: InvalidOption for a length that leaves no room for two texts, or is larger than any model's."""
    if not 5 <= max_length <= MAX_LENGTH:
        raise InvalidOption(f"max_length {max_length}: must be from 5 to {MAX_LENGTH}")
