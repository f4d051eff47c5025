"""Rows of one text or a pair of texts, and their encoding as model inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tokenizers import Tokenizer

from minibert.text.layout import Layout, layout
from minibert.text.options import Cut
from minibert.text.tokenizer import without_special_tokens

HEAD_FRACTION = 128 / 510
"""Share of the first tokens among those that are kept of a long text (Sun et al. 2019, section 5.3.1: 128 and 382)."""


@dataclass(frozen=True)
class TextRow:
    """A text, or a pair of texts, with its label."""

    text: str
    pair: str | None = None
    """The second text."""
    label: str | tuple[str, ...] | None = None
    """Name of the class, or number, as in the file; several names with independent classes; None without a label."""
    line: int | None = None
    """Line of the file, starting at 1; or row, in data without lines."""
    file: str = ""
    """Path of the file, or name of the dataset."""
    unit: Literal["line", "row"] = "line"
    """Unit of `line`."""


class EncodedText(NamedTuple):
    """Token ids and segments of a text or a pair."""

    input_ids: list[int]
    token_type_ids: list[int]
    is_cut: bool


def encode_texts(rows: Sequence[TextRow], tokenizer: Tokenizer, max_length: int, cut: Cut) -> list[EncodedText]:
    """Encode rows as `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`. A literal [MASK] in a text is text.

    In RoBERTa's family, there are two separators between the texts of a pair.

    Args:
        max_length: maximum number of tokens, including special tokens.
        cut: the part of a longer text that is left out. The longer text of a pair is cut first, as in Google's BERT code.
    """
    plain, parts = without_special_tokens(tokenizer), layout(tokenizer)
    texts = [text for row in rows for text in (row.text, row.pair or "")]
    ids = [encoding.ids for encoding in plain.encode_batch(texts, add_special_tokens=False)]
    return [
        _assemble(first, None if row.pair is None else second, parts, max_length, cut)
        for row, first, second in zip(rows, ids[::2], ids[1::2], strict=True)
    ]


def _assemble(first: list[int], second: list[int] | None, parts: Layout, max_length: int, cut: Cut) -> EncodedText:
    if second is None:
        kept = shorten(first, max_length - 2, cut)
        return EncodedText([parts.cls, *kept, parts.sep], [0] * (len(kept) + 2), len(kept) < len(first))
    room = max_length - 2 - len(parts.between)
    second_size = min(len(second), max(room - len(first), room // 2))
    first_size = min(len(first), room - second_size)
    a, b = shorten(first, first_size, cut), shorten(second, second_size, cut)
    is_cut = len(a) + len(b) < len(first) + len(second)
    head, tail = [parts.cls, *a, *parts.between], [*b, parts.sep]
    return EncodedText([*head, *tail], [0] * len(head) + [parts.second_segment] * len(tail), is_cut)


def shorten(ids: list[int], size: int, cut: Cut) -> list[int]:
    """Return at most `size` ids: the first ones, or the first and the last ones.

    >>> shorten([1, 2, 3, 4, 5, 6], 4, "end"), shorten([1, 2, 3, 4, 5, 6], 4, "head+tail")
    ([1, 2, 3, 4], [1, 4, 5, 6])
    """
    if len(ids) <= size:
        return ids
    head = size if cut == "end" else round(HEAD_FRACTION * size)
    return ids[:head] + ids[len(ids) - (size - head) :]
