"""Options for labeled data. Importing this module loads no library, so that the command line starts fast."""

from dataclasses import dataclass
from pathlib import Path

from minibert.text.options import InvalidOption

MIN_WINDOW = 16
"""Minimum number of tokens of a window with a question and a part of its context."""
WINDOW_SPECIAL_TOKENS = 3
"""Number of special tokens of such a window: [CLS] and two [SEP]."""


@dataclass(frozen=True)
class LabeledSource:
    """The files or the split of a dataset that rows are read from."""

    files: tuple[Path, ...] = ()
    dataset: str | None = None
    """Id on the Hugging Face hub, or a folder."""
    dataset_config: str | None = None
    split: str = "train"


VALIDATION_FRACTION = 0.1
"""Default share of the training data that is held out for validation."""


@dataclass(frozen=True)
class LabeledDataOptions:
    """Labeled data for training and validation."""

    train: tuple[Path, ...] = ()
    """Files with training data."""
    validation: tuple[Path, ...] = ()
    """Files with validation data. Without them, a part of the training data is held out."""
    validation_fraction: float = VALIDATION_FRACTION
    """Share of the training data that is held out for validation if there are no validation data."""
    dataset: str | None = None
    """Dataset to use instead of files: its id on the Hugging Face hub, or a folder."""
    dataset_config: str | None = None
    """Configuration of the dataset, if it has several."""
    train_split: str = "train"
    """Split of the dataset for training."""
    validation_split: str | None = None
    """Split of the dataset for validation. Without it, a part of the training split is held out."""
    drop_shared: bool = False
    """Leave out the training rows that are also in the validation data."""

    def __post_init__(self) -> None:
        if not 0 <= self.validation_fraction < 1:
            raise InvalidOption(f"validation_fraction {self.validation_fraction:g}: must be at least 0 and below 1")
        if self.dataset is not None and (self.train or self.validation):
            raise InvalidOption("--dataset and --train or --validation: give either a dataset or files")
        if self.validation and not self.train:
            raise InvalidOption("--validation without --train: give both")
        if (self.validation or self.validation_split is not None) and self.validation_fraction != VALIDATION_FRACTION:
            raise InvalidOption("--validation-fraction: there are validation data, so nothing is held out; leave it out")
        if self.validation_split is not None and self.dataset is None:
            raise InvalidOption("--validation-split needs --dataset")

    @property
    def train_source(self) -> LabeledSource | None:
        """The source of the training rows; None for built-in data."""
        if self.dataset is not None:
            return LabeledSource((), self.dataset, self.dataset_config, self.train_split)
        return LabeledSource(self.train) if self.train else None

    @property
    def validation_source(self) -> LabeledSource | None:
        """The source of the validation rows; None if they are held out from the training rows."""
        if self.dataset is not None and self.validation_split is not None:
            return LabeledSource((), self.dataset, self.dataset_config, self.validation_split)
        return LabeledSource(self.validation) if self.validation else None


def check_windows(max_length: int, overlap: int) -> None:
    """Check the sizes of windows of a context. Raises: ValueError if they are too small, or do not move on.

    Args:
        max_length: number of tokens of a window, with the question and special tokens.
        overlap: number of tokens of the context that two windows share.
    """
    if max_length < MIN_WINDOW:
        raise ValueError(f"max_length {max_length}: must be at least {MIN_WINDOW}, for a question and a part of its context")
    limit = 3 * (max_length - WINDOW_SPECIAL_TOKENS) // 4
    if not 0 <= overlap <= limit:
        raise ValueError(
            f"overlap {overlap}: must be from 0 to {limit}, three quarters of a window of {max_length} tokens without its "
            f"{WINDOW_SPECIAL_TOKENS} special tokens"
        )


@dataclass(frozen=True)
class TableColumns:
    """Columns of the texts and labels. By default they are found by their names, and printed."""

    columns: str | None = None
    """Names of the columns of files without a header, with commas: label,_,text. A column named _ is not used."""
    text_column: str | None = None
    """Column of the text, or of the first text of a pair."""
    pair_column: str | None = None
    """Column of the second text."""
    label_column: str | None = None
    """Column of the label. Several, separated by commas: one for each of several independent classes, with 0 and 1."""
    label_separator: str = ","
    """Character between the labels of a text in TSV and CSV files, if it can have several."""
    label_names: str | None = None
    """Names of the labels, for data with numbers: 0=negative,1=positive."""

    def __post_init__(self) -> None:
        for name in filter(None, (self.label_names or "").split(",")):
            if not all(part.strip() for part in (name.partition("=")[0], name.partition("=")[2])):
                raise InvalidOption(f"label_names {name!r}: must be a label, = and its name, such as 0=negative")

    @property
    def header(self) -> tuple[str, ...] | None:
        """The names of the columns of a file without a header; None for files with one."""
        return tuple(name.strip() for name in self.columns.split(",")) if self.columns else None

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns of the label."""
        return tuple(name.strip() for name in self.label_column.split(",")) if self.label_column else ()

    @property
    def names_by_label(self) -> dict[str, str]:
        """The names of labels."""
        pairs = (text.partition("=") for text in (self.label_names or "").split(",") if text)
        return {label.strip(): name.strip() for label, _, name in pairs}


@dataclass(frozen=True)
class WordColumns:
    """Columns of the words and their tags. By default they are found, and printed."""

    word_column: str | None = None
    """Column of the words: its number in CoNLL files, from 1 (-1 is the last one); its name in JSONL, Parquet and datasets."""
    tag_column: str | None = None
    """Column of the tags, by number or name as above. By default, the last column of a CoNLL file."""
    tag_names: str | None = None
    """Names of tags that are numbers, from 0, separated by commas: O,B-PER,I-PER."""

    @property
    def names_of_tags(self) -> tuple[str, ...]:
        """The names of tags that are numbers."""
        return tuple(name.strip() for name in self.tag_names.split(",")) if self.tag_names else ()
