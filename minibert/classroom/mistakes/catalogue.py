"""The catalogue: every mistake by name."""

import difflib

from minibert.classroom.mistakes.adapters import ADAPTER_MISTAKES
from minibert.classroom.mistakes.attention import ATTENTION_MISTAKES
from minibert.classroom.mistakes.attention_layers import ATTENTION_LAYER_MISTAKES
from minibert.classroom.mistakes.bert import BERT_MISTAKES
from minibert.classroom.mistakes.cross_entropy import CROSS_ENTROPY_MISTAKES
from minibert.classroom.mistakes.data import DATA_MISTAKES
from minibert.classroom.mistakes.decoder_layers import DECODER_LAYER_MISTAKES
from minibert.classroom.mistakes.decoders import DECODER_MISTAKES
from minibert.classroom.mistakes.decoding import DECODING_MISTAKES
from minibert.classroom.mistakes.encoder_layers import ENCODER_LAYER_MISTAKES
from minibert.classroom.mistakes.heads import HEAD_MISTAKES
from minibert.classroom.mistakes.layers import LAYER_MISTAKES
from minibert.classroom.mistakes.losses import LOSS_MISTAKES
from minibert.classroom.mistakes.low_rank import LOW_RANK_MISTAKES
from minibert.classroom.mistakes.masks import MASK_MISTAKES
from minibert.classroom.mistakes.mistake import Mistake
from minibert.classroom.mistakes.objectives import OBJECTIVE_MISTAKES
from minibert.classroom.mistakes.optimization import OPTIMIZATION_MISTAKES
from minibert.classroom.mistakes.positions import POSITION_MISTAKES
from minibert.classroom.mistakes.pretraining import PRETRAINING_MISTAKES
from minibert.classroom.mistakes.pretraining_losses import PRETRAINING_LOSS_MISTAKES
from minibert.classroom.mistakes.sampling import SAMPLING_MISTAKES
from minibert.classroom.mistakes.schedules import SCHEDULE_MISTAKES
from minibert.classroom.mistakes.steps import STEP_MISTAKES
from minibert.classroom.mistakes.training import TRAINING_MISTAKES
from minibert.classroom.mistakes.wordpiece import WORDPIECE_MISTAKES

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
    CROSS_ENTROPY_MISTAKES,
    PRETRAINING_LOSS_MISTAKES,
    LOSS_MISTAKES,
    STEP_MISTAKES,
    SCHEDULE_MISTAKES,
    SAMPLING_MISTAKES,
    DECODING_MISTAKES,
    LOW_RANK_MISTAKES,
    ATTENTION_LAYER_MISTAKES,
    ENCODER_LAYER_MISTAKES,
    DECODER_LAYER_MISTAKES,
    BERT_MISTAKES,
    TRAINING_MISTAKES,
    DATA_MISTAKES,
    WORDPIECE_MISTAKES,
)


class MistakeTable(dict[str, Mistake]):
    """Mistakes by name. The error for an unknown name lists similar names."""

    def __missing__(self, name: str) -> Mistake:
        near = difflib.get_close_matches(name, self, n=3, cutoff=0.3)
        raise KeyError(f"no mistake is named {name!r}; similar names: {', '.join(near) or 'none, see docs/mistakes.md'}")


MISTAKES = MistakeTable((mistake.name, mistake) for mistakes in CATALOGUE for mistake in mistakes)
