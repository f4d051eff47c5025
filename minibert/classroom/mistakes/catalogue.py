"""The catalogue: every mistake by name."""

import difflib

from minibert.classroom.mistakes.adapters import ADAPTER_MISTAKES
from minibert.classroom.mistakes.attention import ATTENTION_MISTAKES
from minibert.classroom.mistakes.decoders import DECODER_MISTAKES
from minibert.classroom.mistakes.heads import HEAD_MISTAKES
from minibert.classroom.mistakes.layers import LAYER_MISTAKES
from minibert.classroom.mistakes.masks import MASK_MISTAKES
from minibert.classroom.mistakes.mistake import Mistake
from minibert.classroom.mistakes.objectives import OBJECTIVE_MISTAKES
from minibert.classroom.mistakes.optimization import OPTIMIZATION_MISTAKES
from minibert.classroom.mistakes.positions import POSITION_MISTAKES
from minibert.classroom.mistakes.pretraining import PRETRAINING_MISTAKES

CATALOGUE = (
    ATTENTION_MISTAKES,
    MASK_MISTAKES,
    HEAD_MISTAKES,
    POSITION_MISTAKES,
    LAYER_MISTAKES,
    OBJECTIVE_MISTAKES,
    OPTIMIZATION_MISTAKES,
    PRETRAINING_MISTAKES,
    DECODER_MISTAKES,
    ADAPTER_MISTAKES,
)


class MistakeTable(dict[str, Mistake]):
    """Mistakes by name. The error for an unknown name lists similar names."""

    def __missing__(self, name: str) -> Mistake:
        near = difflib.get_close_matches(name, self, n=3, cutoff=0.3)
        raise KeyError(f"no mistake is named {name!r}; similar names: {', '.join(near) or 'none, see docs/mistakes.md'}")


MISTAKES = MistakeTable((mistake.name, mistake) for mistakes in CATALOGUE for mistake in mistakes)
