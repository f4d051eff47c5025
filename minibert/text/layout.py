"""The layout of a model's input: the special tokens and segments around one text or two."""

import json
from dataclasses import dataclass

from tokenizers import Tokenizer

from minibert.text.tokenizer import CLS, SEP, processor_parts, token_id


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


def word_prefix(tokenizer: Tokenizer) -> str:
    """Return what a word needs to be tokenized like one inside a text: a space, if it is a part of the first piece."""
    stage = tokenizer.pre_tokenizer
    stored = {} if stage is None else json.loads(stage.__getstate__())
    return " " if stored.get("type") == "ByteLevel" and not stored.get("add_prefix_space") else ""
