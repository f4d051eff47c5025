"""The input of a step-through: texts, their tokens, and the arguments of the network."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from minibert.model.pretrained import PretrainedModel
from minibert.study.stepthrough.step import Axis, TextStep
from minibert.text.tokenizer import check_id

SOURCE, TARGET = "text", "target"
"""Beginning of the paths of the steps from text to token ids, and of those of the decoder's text."""


@dataclass(frozen=True)
class TokenizedText:
    """A text with its tokens."""

    name: str
    """`SOURCE` or `TARGET`."""
    characters: str
    """The text. For a pair, sentence B follows sentence A."""
    pieces: tuple[str, ...]
    ids: tuple[int, ...]
    segments: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    """For each token, the range of its characters. A special token has none."""

    @classmethod
    def encode(cls, name: str, tokenizer: Tokenizer, text: str, pair: str | None = None) -> "TokenizedText":
        """Tokenize a text or a pair of texts."""
        encoding: Encoding = tokenizer.encode(text, pair)
        shift = [0, len(text)]
        spans = [
            (start + shift[sequence or 0], end + shift[sequence or 0])
            for (start, end), sequence in zip(encoding.offsets, encoding.sequence_ids, strict=True)
        ]
        return cls(name, text + (pair or ""), (*encoding.tokens,), (*encoding.ids,), (*encoding.type_ids,), (*spans,))

    def tensor(self) -> Tensor:
        """Return the ids as a batch of one row."""
        return torch.tensor([self.ids], dtype=torch.int64)

    def steps(self, input_ids: Tensor) -> list[TextStep]:
        """Return the steps from characters to ids."""
        characters, tokens = tuple(self.characters), (Axis("tokens", len(self.pieces), self.pieces),)
        return [
            TextStep(
                path=f"{self.name}.characters",
                output=torch.tensor([ord(character) for character in characters], dtype=torch.int64),
                axes=(Axis("characters", len(characters), characters),),
                formula="",
                symbol="",
                explanation="The characters of the text. Each number is the Unicode code point of a character.",
                entries=characters,
            ),
            TextStep(
                path=f"{self.name}.pieces",
                output=torch.tensor([end - start for start, end in self.spans], dtype=torch.int64),
                axes=tokens,
                formula="",
                symbol="",
                explanation="The text is split into pieces of the vocabulary. Each number counts the characters of a piece.",
                entries=self.pieces,
                sources=self.spans,
            ),
            TextStep(
                path=f"{self.name}.ids",
                output=input_ids[0],
                axes=tokens,
                formula="",
                symbol="id",
                explanation="Each piece becomes its number in the vocabulary.",
                entries=self.pieces,
                sources=tuple((number, number + 1) for number in range(len(self.pieces))),
            ),
        ]


def network_inputs(
    model: PretrainedModel, tokenizer: Tokenizer, source: TokenizedText, target: TokenizedText | None
) -> dict[str, Tensor]:
    """Return the arguments of the network's forward pass.

    Raises: ValueError for a text without tokens, or a tokenizer of another model.
    """
    if not source.ids:
        raise ValueError("the text has no tokens: give another text")
    for text in (source, *([target] if target else [])):
        check_id(tokenizer, max(text.ids), model.config.vocab_size)
    arguments = inspect.signature(model.forward).parameters
    inputs = {"input_ids": source.tensor()}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "token_type_ids" in arguments:
        inputs["token_type_ids"] = torch.tensor([source.segments], dtype=torch.int64)
    if target is not None:
        inputs["decoder_input_ids"] = target.tensor()
    return inputs


def has_decoder(model: PretrainedModel) -> bool:
    """Return True if the network gets a second text, which its decoder continues."""
    return "decoder_input_ids" in inspect.signature(model.forward).parameters


def with_start(target: TokenizedText, tokenizer: Tokenizer, start: int, end: Sequence[int]) -> TokenizedText:
    """Return the decoder input: the start token, then the tokens of the target without special tokens."""
    kept = [number for number, index in enumerate(target.ids) if index not in end]
    return TokenizedText(
        target.name,
        target.characters,
        (tokenizer.id_to_token(start) or str(start), *(target.pieces[number] for number in kept)),
        (start, *(target.ids[number] for number in kept)),
        (0,) * (1 + len(kept)),
        ((0, 0), *(target.spans[number] for number in kept)),
    )
