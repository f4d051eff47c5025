"""Options of the fine-tuning tasks. Importing this module loads no library, so that the command line starts fast."""

from dataclasses import dataclass, field

from minibert.text.labeled.options import TableColumns, WordColumns, check_windows
from minibert.text.options import MAX_LENGTH, MIN_LENGTH, Cut, InvalidOption


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


@dataclass(frozen=True)
class AnswerOptions:
    """Extractive question answering."""

    max_length: int = 384
    """Maximum number of tokens of a window: question, a part of the context and special tokens."""
    overlap: int | None = None
    """Number of tokens of the context that a window shares with the one before. None: a third of --max-length."""
    n_best: int = 20
    """Number of answers that are predicted, each with a probability."""
    max_answer_tokens: int = 30
    """Maximum number of tokens of a predicted answer."""

    def __post_init__(self) -> None:
        check_max_length(self.max_length)
        try:
            check_windows(self.max_length, self.max_length // 3 if self.overlap is None else self.overlap)
        except ValueError as error:
            raise InvalidOption(error) from error
        for name in ("n_best", "max_answer_tokens"):
            if getattr(self, name) < 1:
                raise InvalidOption(f"{name} {getattr(self, name)}: must be at least 1")


@dataclass(frozen=True)
class TagOptions:
    """Tagging of words, such as named entities."""

    words: WordColumns = field(default_factory=WordColumns)
    max_length: int = 128
    """Maximum number of tokens of a window, including special tokens. A longer sentence is cut into several windows."""
    overlap: int | None = None
    """Number of tokens that a window shares with the one before. None: a quarter of the maximum length. Each word is predicted
    in the window in which it has the most context."""

    def __post_init__(self) -> None:
        check_max_length(self.max_length)
        if self.overlap is not None and not 0 <= self.overlap < self.max_length - 2:
            raise InvalidOption(
                f"overlap {self.overlap}: must be at least 0 and below {self.max_length - 2}, the tokens of a window without "
                "[CLS] and [SEP]"
            )


def check_max_length(max_length: int) -> None:
    """Check an option. Raises: InvalidOption for a length that leaves no room for two texts, or is larger than any model's."""
    if not MIN_LENGTH <= max_length <= MAX_LENGTH:
        raise InvalidOption(f"max_length {max_length}: must be from {MIN_LENGTH} to {MAX_LENGTH}")
