"""Options for text, tokenizers and examples. Importing this module loads no library, so that the command line starts fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Layout = Literal["lines", "paragraphs", "wrapped", "documents"]
"""Arrangement of the text in a plain-text file.

lines: one sentence per line, a blank line between documents (the input format of Google's BERT code).
paragraphs: one paragraph per line, a blank line between documents.
wrapped: paragraphs wrapped over several lines, a blank line between paragraphs, two or more between documents (chapters).
documents: one document per line. This layout is not detected.
"""

PairTask = Literal["nsp", "sop", "none"]
"""Pretraining task for the second segment.

nsp: next-sentence prediction. B follows A, or comes from another document (Devlin et al. 2019).
sop: sentence-order prediction. B follows A, or A and B are swapped (Lan et al. 2020, ALBERT, section 3.1).
none: no second segment. An example is as many whole sentences as fit, across document boundaries (Liu et al. 2019, RoBERTa,
"full sentences" in section 4.2).
"""

Cut = Literal["end", "head+tail"]
"""Part of a long text that is left out.

end: the end of the text.
head+tail: the middle. A quarter of the kept tokens are from the beginning, the others from the end (Sun et al. 2019).
"""

LettersTask = Literal["copy", "reverse", "sort"]
"""Operation that a model learns to apply to a sequence of letters."""

SHORT_SEQ_PROBABILITY = 0.1
"""Default probability of a shorter example, so that the model also trains on short texts."""
MLM_PROBABILITY = 0.15
"""Default probability that a token is selected for masked language modeling (Devlin et al. 2019, section 3.1)."""


MIN_LENGTH = 5
"""Smallest maximum length of fine-tuning: [CLS], a token, [SEP], a token of a second text, [SEP]."""
MAX_LENGTH = 2**16
"""Largest maximum length. A model has a table with a row for every position."""


PARALLEL_VALIDATION_FRACTION = 0.02
"""Default fraction of parallel text that is used for validation."""


class InvalidOption(Exception):
    """An option with an invalid value. It is not a `ValueError`, because command-line libraries catch that themselves."""


@dataclass(frozen=True)
class TextOptions:
    """Text for pretraining. The default is the docstrings of Python and torch, which are always available."""

    text: tuple[Path, ...] = ()
    """Files, or folders to search for files: plain text, .jsonl, .csv, .tsv, .parquet, optionally compressed as .gz."""
    dataset: str | None = None
    """Dataset to use instead of files: its id on the Hugging Face hub, or a folder."""
    dataset_config: str | None = None
    """Configuration of the dataset, if it has several."""
    split: str = "train"
    """Split of the dataset."""
    column: str = "text"
    """Name of the column that contains the text, for datasets and files with columns. Each row is a document."""
    layout: Literal["auto"] | Layout = "auto"
    """Arrangement of plain text. auto: detected for each file.
    lines: one sentence per line, a blank line between documents.
    paragraphs: one paragraph per line, a blank line between documents.
    wrapped: paragraphs wrapped over several lines, one blank line between paragraphs, two between documents.
    documents: one document per line."""
    validation_fraction: float = 0.05
    """Fraction of the documents used for validation instead of training."""

    def __post_init__(self) -> None:
        if self.text and self.dataset is not None:
            raise InvalidOption("give files (text) or a dataset (dataset), not both")
        if not 0 <= self.validation_fraction < 1:
            raise InvalidOption(f"validation_fraction {self.validation_fraction:g}: must be at least 0 and below 1")


@dataclass(frozen=True)
class ParallelTextOptions:
    """Parallel text for translation: sentences and their translations, line by line."""

    text: tuple[Path, ...]
    """Two files (source and target), or one file with a tab between source and target. Optionally compressed as .gz."""
    validation: tuple[Path, ...] = ()
    """Parallel text for validation, in the same form. Default: a fraction of the training text."""
    validation_fraction: float = PARALLEL_VALIDATION_FRACTION
    """Fraction of the text used for validation if no validation files are given."""
    max_length: int = 128
    """Maximum number of tokens of a source or a target. Longer pairs are skipped."""

    def __post_init__(self) -> None:
        for name, counts in (("text", (1, 2)), ("validation", (0, 1, 2))):
            if len(getattr(self, name)) not in counts:
                raise InvalidOption(f"{name}: give two files (source and target), or one file with a tab between them")
        if not 0 <= self.validation_fraction < 1:
            raise InvalidOption(f"validation_fraction {self.validation_fraction:g}: must be at least 0 and below 1")
        if self.validation and self.validation_fraction != PARALLEL_VALIDATION_FRACTION:
            raise InvalidOption("--validation-fraction: there is validation text, so nothing is held out; leave it out")
        if self.max_length < 3:
            raise InvalidOption(f"max_length {self.max_length}: must be at least 3, for [CLS], one token and [SEP]")
        _check_maximum(self.max_length)


@dataclass(frozen=True)
class VocabularyOptions:
    """The vocabulary: trained on the training documents, or loaded."""

    tokenizer: str | None = None
    """Existing tokenizer to use instead of training one: a folder, or the id of a model on the hub."""
    pieces: Literal["subwords", "characters"] = "subwords"
    """Pieces of the new vocabulary: the subwords of the model's family, or the characters of the text (for gpt2 only)."""
    vocab_size: int = 8000
    """Size of the trained vocabulary, including special tokens."""
    alphabet_size: int | None = None
    """Maximum number of different characters in the trained vocabulary; words with others become [UNK]. Default: as many as
    99.95% of the text needs, but at most half of the vocabulary and at least 1000."""
    cased: bool = False
    """Keep uppercase letters and accents."""
    trainer: Literal["minibert", "tokenizers"] = "minibert"
    """Training algorithm: minibert's own, or the one of Hugging Face's tokenizers, whose result varies from run to run."""

    def __post_init__(self) -> None:
        if self.vocab_size < 10:
            raise InvalidOption(f"vocab_size {self.vocab_size}: must be at least 10")
        if self.alphabet_size is not None and self.alphabet_size < 1:
            raise InvalidOption(f"alphabet_size {self.alphabet_size}: must be at least 1")


@dataclass(frozen=True)
class ExampleConfig:
    """Pretraining examples. The defaults follow Devlin et al. 2019, with dynamic masking (Liu et al. 2019)."""

    max_length: int = 128
    """Maximum number of tokens of an example, including special tokens."""
    pairs: PairTask | None = None
    """Task for the second segment: nsp (next sentence, or from another document), sop (in order, or swapped), none. None: nsp,
    or the task with which the family of the model is pretrained."""
    short_seq_probability: float = SHORT_SEQ_PROBABILITY
    """Probability that an example is shorter than the maximum length."""
    mlm_probability: float = MLM_PROBABILITY
    """Probability that a token is selected for masked language modeling."""
    whole_word_masking: bool = False
    """Mask either all tokens of a word or none of them."""
    max_predictions: int | None = None
    """Maximum number of masked tokens per example."""
    dupe_factor: int | None = None
    """Number of versions of the examples, used in turn (static masking). None: a new version every epoch (dynamic masking)."""

    def __post_init__(self) -> None:
        if self.max_length < 5:
            raise InvalidOption(f"max_length {self.max_length}: must be at least 5, for [CLS] A [SEP] B [SEP]")
        _check_maximum(self.max_length)
        for name in ("short_seq_probability", "mlm_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidOption(f"{name} {getattr(self, name):g}: must be from 0 to 1")
        for name in ("max_predictions", "dupe_factor"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InvalidOption(f"{name} {getattr(self, name)}: must be at least 1")

    @property
    def pair_task(self) -> PairTask:
        """The task for the second segment. Without `pairs` it is BERT's."""
        return self.pairs or "nsp"


def _check_maximum(max_length: int) -> None:
    if max_length > MAX_LENGTH:
        raise InvalidOption(f"max_length {max_length}: must be at most {MAX_LENGTH}")
