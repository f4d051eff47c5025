"""The layout of a model's input: special tokens and segments around one text or two, and the marks of words."""

import json
from dataclasses import dataclass

from tokenizers import Tokenizer

from minibert.text.tokenizer import CLS, SEP, processor_parts, token_id
from minibert.text.wordpiece_training import CONTINUATION_PREFIX

BYTE_SPACE = "Ġ"
"""The sign for a space in byte-level BPE."""


@dataclass(frozen=True)
class Layout:
    """The parts of a model's input that are not text."""

    cls: int
    """Id of the first token."""
    sep: int
    """Id of the token after each text."""
    between: tuple[int, ...]
    """Ids between two texts: one separator, or two in RoBERTa's family."""
    second_segment: int
    """Segment of the second text: 1, or 0 in RoBERTa's family, which has one segment."""


def layout(tokenizer: Tokenizer) -> Layout:
    """Return the layout of a tokenizer's model. Raises: ValueError if the vocabulary has no [CLS] or [SEP]."""
    cls, sep = token_id(tokenizer, CLS), token_id(tokenizer, SEP)
    is_roberta = any(part.get("type") == "RobertaProcessing" for part in processor_parts(tokenizer))
    return Layout(cls, sep, (sep, sep), 0) if is_roberta else Layout(cls, sep, (sep,), 1)


def word_mark(tokenizer: Tokenizer) -> str:
    """Return the sign at the start of the first piece of a word: Ġ in byte-level BPE, ▁ in SentencePiece, "" in WordPiece.

    WordPiece marks the other pieces instead.
    """
    stage = tokenizer.pre_tokenizer
    stored = {} if stage is None else json.loads(stage.__getstate__())
    for each in stored.get("pretokenizers", [stored]):
        if each.get("type") == "ByteLevel":
            return BYTE_SPACE
        if each.get("type") == "Metaspace":
            return str(each["replacement"])
    return ""


def continues_word(token: str, mark: str) -> bool:
    """Return True for a piece that continues a word.

    With a mark for spaces, these are all pieces without it. So punctuation belongs to the word before, as in fairseq.

    Args:
        mark: see `word_mark`.

    >>> continues_word("##ing", ""), continues_word("ing", "Ġ"), continues_word("Ġsing", "Ġ")
    (True, True, False)
    """
    return not token.startswith(mark) if mark else token.startswith(CONTINUATION_PREFIX)


def word_prefix(tokenizer: Tokenizer) -> str:
    """Return what a word needs to be tokenized like one inside a text: a space, if it is a part of the first piece."""
    stage = tokenizer.pre_tokenizer
    stored = {} if stage is None else json.loads(stage.__getstate__())
    return " " if stored.get("type") == "ByteLevel" and not stored.get("add_prefix_space") else ""
