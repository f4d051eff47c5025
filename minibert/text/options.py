"""What a run is told about its text. Importing this loads no library, so that a command line of it is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Layout = Literal["lines", "paragraphs", "wrapped"]
"""How text stands in a file.

lines: one sentence a line, a blank line between documents (as Google's BERT takes it).
paragraphs: one paragraph a line, a blank line between documents.
wrapped: a paragraph over several lines, a blank line between paragraphs, two or more between documents (chapters).
"""

PairTask = Literal["nsp", "sop", "none"]
"""What the second segment is.

nsp: what follows, or sentences of another document (Devlin et al. 2019).
sop: what follows, or A and B exchanged (sentence order; Lan et al. 2020, ALBERT, section 3.1).
none: there is none; an example is as many whole sentences as fit, over the ends of documents (Liu et al. 2019, RoBERTa,
"full sentences" in section 4.2), and there is nothing to tell about it.
"""

SHORT_SHARE = 0.1
"""Of the examples that are made shorter than they could be, so that short texts are not strange to the model."""
MASKED_SHARE = 0.15
"""Of the tokens that may be masked, so many are to be guessed (Devlin et al., section 3.1)."""


class InvalidOption(Exception):
    """A setting that cannot be; the message names it. No ValueError, which command-line libraries take for their own."""


@dataclass(frozen=True)
class TextOptions:
    """The text to learn from. Without any it is the docstrings of Python and torch, which every machine has."""

    text: tuple[Path, ...] = ()
    """Files, and folders that are searched for files: plain text, .jsonl, .csv, .tsv, .parquet, each also as .gz."""
    dataset: str | None = None
    """A data set instead: its id on the hub, or a folder with one."""
    config: str | None = None
    """Which configuration of the data set, if it has several."""
    split: str = "train"
    """Which part of the data set."""
    column: str = "text"
    """Where the text is, in files and data sets that have columns. A row is a document."""
    layout: Literal["auto"] | Layout = "auto"
    """How text stands in a file. lines: one sentence a line, a blank line between documents. paragraphs: one a line. wrapped:
    a paragraph over several lines, a blank line after it, two or more between documents. auto: guessed for each file."""
    validation_share: float = 0.05
    """Share of the documents that is not learned from, but evaluated on."""

    def __post_init__(self) -> None:
        if self.text and self.dataset is not None:
            raise InvalidOption("give files (text) or a data set (dataset), not both")
        if not 0 <= self.validation_share < 1:
            raise InvalidOption(f"validation_share {self.validation_share:g}: must be at least 0 and below 1")


SequenceTask = Literal["copy", "reverse", "sort"]
"""What is to be done to a sequence of letters."""


@dataclass(frozen=True)
class ParallelTextOptions:
    """Sentences in two languages (or any two texts that belong together, line by line) to learn to translate."""

    text: tuple[Path, ...]
    """Two files, source and target, line by line; or one, with a tab between source and target. Each also as .gz."""
    valid: tuple[Path, ...] = ()
    """The same, to evaluate on. Without it, a share of the text is held out."""
    validation_share: float = 0.02
    """That share."""
    longest: int = 128
    """Sentences with more tokens than this are left out, on both sides."""

    def __post_init__(self) -> None:
        for name in ("text", "valid"):
            if len(getattr(self, name)) not in ((1, 2) if name == "text" else (0, 1, 2)):
                raise InvalidOption(f"{name}: give two files, source and target, or one with a tab between them")
        if not 0 <= self.validation_share < 1:
            raise InvalidOption(f"validation_share {self.validation_share:g}: must be at least 0 and below 1")
        if self.longest < 3:
            raise InvalidOption(f"longest {self.longest}: must be at least 3, [CLS], a piece and [SEP]")


@dataclass(frozen=True)
class VocabularyOptions:
    """The pieces that words are made of: learned from the text that is not held out, or taken from elsewhere."""

    tokenizer: str | None = None
    """A folder with a tokenizer, or a model's id on the hub: its vocabulary is taken, and none is learned."""
    vocab_size: int = 8000
    """Pieces to learn, special tokens included."""
    cased: bool = False
    """Keep capital letters and accents."""
    trainer: Literal["minibert", "tokenizers"] = "minibert"
    """Who learns it: the trainer that can be read here, or Hugging Face's, whose pieces differ from run to run."""

    def __post_init__(self) -> None:
        if self.vocab_size < 10:
            raise InvalidOption(f"vocab_size {self.vocab_size}: must be at least 10")


@dataclass(frozen=True)
class ExampleConfig:
    """How examples are made of text. The defaults are those of Devlin et al. 2019, with masks that change (Liu et al. 2019)."""

    max_length: int = 128
    """Of an example in tokens, special tokens included."""
    pairs: PairTask = "nsp"
    """What the second segment is: nsp (follows, or of another document), sop (in order, or exchanged), none (there is none)."""
    short_share: float = SHORT_SHARE
    """Of the examples that are made shorter than they could be."""
    masked_share: float = MASKED_SHARE
    """Of the tokens that are to be guessed."""
    whole_words: bool = False
    """Hide all pieces of a word, or none."""
    max_predictions: int | None = None
    """Tokens to be guessed in an example, at most."""
    dupe_factor: int | None = None
    """Draw every example so many times and then show the same again (static masking; Google: 10). None: always anew."""

    def __post_init__(self) -> None:
        if self.max_length < 5:
            raise InvalidOption(f"max_length {self.max_length}: must be at least 5, [CLS] A [SEP] B [SEP]")
        for name in ("short_share", "masked_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidOption(f"{name} {getattr(self, name):g}: must be from 0 to 1")
        for name in ("max_predictions", "dupe_factor"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InvalidOption(f"{name} {getattr(self, name)}: must be at least 1")
