"""The catalogue of mistakes that people make when they write attention and BERT, each once.

Any one can be made, and any two that do not stand in each other's way: `variant(MISTAKES["no scale"])`.
"""

from minibert.classroom.mistakes.attention import ATTENTION
from minibert.classroom.mistakes.heads import HEADS
from minibert.classroom.mistakes.layers import LAYERS
from minibert.classroom.mistakes.masks import MASKS
from minibert.classroom.mistakes.mistake import Kind, Mistake, compiled, source_with, variant
from minibert.classroom.mistakes.objectives import OBJECTIVES
from minibert.classroom.mistakes.optimization import OPTIMIZATION
from minibert.classroom.mistakes.positions import POSITIONS
from minibert.classroom.mistakes.pretraining import PRETRAINING

CATALOGUE = (ATTENTION, MASKS, HEADS, POSITIONS, LAYERS, OBJECTIVES, OPTIMIZATION, PRETRAINING)
MISTAKES: dict[str, Mistake] = {mistake.name: mistake for mistakes in CATALOGUE for mistake in mistakes}

__all__ = ["MISTAKES", "Kind", "Mistake", "compiled", "source_with", "variant"]
