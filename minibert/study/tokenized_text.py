"""A text with its tokens and the characters of each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from minibert.study.fill_mask import piece_of
from minibert.text.tokenizer_files import tokenizer_errors


@dataclass(frozen=True)
class TokenizedText:
    """A text, or a pair of texts, with its tokens."""

    characters: str
    """The text. Of a pair, sentence B follows sentence A without a space."""
    pieces: tuple[str, ...]
    ids: tuple[int, ...]
    segments: tuple[int, ...]
    """0 for the tokens of sentence A, 1 for those of sentence B."""
    spans: tuple[tuple[int, int], ...]
    """For each token, the range of its characters. A special token that is not in the text has an empty one."""

    def __getitem__(self, tokens: slice) -> "TokenizedText":
        """Return a part of the tokens, with the whole text."""
        return TokenizedText(self.characters, self.pieces[tokens], self.ids[tokens], self.segments[tokens], self.spans[tokens])

    def __add__(self, other: "TokenizedText") -> "TokenizedText":
        """Put the tokens and the characters of another text behind those of this one."""
        shift = len(self.characters)
        spans = tuple((start + shift, end + shift) for start, end in other.spans)
        return TokenizedText(
            self.characters + other.characters,
            self.pieces + other.pieces,
            self.ids + other.ids,
            self.segments + other.segments,
            self.spans + spans,
        )

    def batch(self, device: torch.device | str = "cpu") -> Int[Tensor, "1 tokens"]:
        """Return the ids as a batch of one row."""
        return torch.tensor([self.ids], dtype=torch.int64, device=device)


def tokenize(tokenizer: Tokenizer, text: str, pair: str | None = None) -> TokenizedText:
    """Tokenize a text or a pair of texts, with the special tokens of the tokenizer.

    Raises: ValueError if the tokenizer cannot encode the text.
    """
    with tokenizer_errors("the tokenizer cannot encode the text"):
        encoding: Encoding = tokenizer.encode(text, pair)
    shift = [0, len(text)]
    spans = [
        (0, 0) if is_added else (start + shift[sequence or 0], end + shift[sequence or 0])
        for (start, end), sequence, is_added in zip(
            encoding.offsets, encoding.sequence_ids, encoding.special_tokens_mask, strict=True
        )
    ]
    return TokenizedText(text + (pair or ""), (*encoding.tokens,), (*encoding.ids,), (*encoding.type_ids,), (*spans,))


def from_ids(tokenizer: Tokenizer, ids: Sequence[int]) -> TokenizedText:
    """Return generated tokens. Their pieces, one after another, are the text."""
    pieces = tuple(piece_of(tokenizer, index) for index in ids)
    ends = [sum(map(len, pieces[: number + 1])) for number in range(len(pieces))]
    spans = tuple((end - len(piece), end) for end, piece in zip(ends, pieces, strict=True))
    return TokenizedText("".join(pieces), pieces, tuple(ids), (0,) * len(ids), spans)
