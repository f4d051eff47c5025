"""The catalogue of mistakes that people make when they write attention and BERT, each once.

Any one can be made, and any two that do not stand in each other's way: `variant(MISTAKES["no scale"])`.
"""

import difflib

from minibert.classroom.mistakes.attention import ATTENTION
from minibert.classroom.mistakes.decoders import DECODERS
from minibert.classroom.mistakes.heads import HEADS
from minibert.classroom.mistakes.layers import LAYERS
from minibert.classroom.mistakes.masks import MASKS
from minibert.classroom.mistakes.mistake import Kind, Mistake, compiled, source_with, variant
from minibert.classroom.mistakes.objectives import OBJECTIVES
from minibert.classroom.mistakes.optimization import OPTIMIZATION
from minibert.classroom.mistakes.positions import POSITIONS
from minibert.classroom.mistakes.pretraining import PRETRAINING

CATALOGUE = (ATTENTION, MASKS, HEADS, POSITIONS, LAYERS, OBJECTIVES, OPTIMIZATION, PRETRAINING, DECODERS)


class NameTable(dict[str, Mistake]):
    """By name; a name that is not there is answered with near ones."""

    def __missing__(self, name: str) -> Mistake:
        near = difflib.get_close_matches(name, self, n=3, cutoff=0.3)
        raise KeyError(f"there is no mistake {name!r}; near ones: {', '.join(near) or 'none, see docs/mistakes.md'}")


MISTAKES = NameTable((mistake.name, mistake) for mistakes in CATALOGUE for mistake in mistakes)

__all__ = ["MISTAKES", "Kind", "Mistake", "compiled", "source_with", "variant"]
