"""The first steps: from the characters of a text to token ids."""

import torch
from torch import Tensor

from minibert.study.stepthrough.step import Axis, TextStep
from minibert.study.tokenized_text import TokenizedText

SOURCE, TARGET = "text", "target"
"""Beginning of the paths of the steps from text to token ids, and of those of the decoder's text."""


def text_steps(name: str, text: TokenizedText, input_ids: Tensor) -> list[TextStep]:
    """Return the steps from characters to pieces to ids.

    Args:
        name: `SOURCE` or `TARGET`.
        input_ids: the ids that the network gets, a batch of one row.
    """
    characters, tokens = tuple(text.characters), (Axis("tokens", len(text.pieces), text.pieces),)
    return [
        TextStep(
            path=f"{name}.characters",
            output=torch.tensor([ord(character) for character in characters], dtype=torch.int64),
            axes=(Axis("characters", len(characters), characters),),
            explanation="The characters of the text. Each number is the Unicode code point of a character.",
            entries=characters,
        ),
        TextStep(
            path=f"{name}.pieces",
            output=torch.tensor([end - start for start, end in text.spans], dtype=torch.int64),
            axes=tokens,
            explanation="The text is split into pieces of the vocabulary. Each number counts the characters of a piece.",
            entries=text.pieces,
            sources=text.spans,
        ),
        TextStep(
            path=f"{name}.ids",
            output=input_ids[0],
            axes=tokens,
            explanation="Each piece becomes its number in the vocabulary.",
            symbol="id",
            entries=text.pieces,
            sources=tuple((number, number + 1) for number in range(len(text.pieces))),
        ),
    ]
