"""The catalogue: every mistake by name."""

import difflib

from minibert.classroom.mistakes.absolute_positions import ABSOLUTE_POSITION_MISTAKES
from minibert.classroom.mistakes.activations import ACTIVATION_MISTAKES
from minibert.classroom.mistakes.adamw import ADAMW_MISTAKES
from minibert.classroom.mistakes.adapters import ADAPTER_MISTAKES
from minibert.classroom.mistakes.attention import ATTENTION_MISTAKES
from minibert.classroom.mistakes.attention_layers import ATTENTION_LAYER_MISTAKES
from minibert.classroom.mistakes.bert import BERT_MISTAKES
from minibert.classroom.mistakes.byte_pairs import BYTE_PAIR_MISTAKES
from minibert.classroom.mistakes.cross_entropy import CROSS_ENTROPY_MISTAKES
from minibert.classroom.mistakes.decoder_layers import DECODER_LAYER_MISTAKES
from minibert.classroom.mistakes.decoders import DECODER_MISTAKES
from minibert.classroom.mistakes.decoding import DECODING_MISTAKES
from minibert.classroom.mistakes.distillation import DISTILLATION_MISTAKES
from minibert.classroom.mistakes.encoder_layers import ENCODER_LAYER_MISTAKES
from minibert.classroom.mistakes.feed_forward import FEED_FORWARD_MISTAKES
from minibert.classroom.mistakes.gradient_clipping import GRADIENT_CLIPPING_MISTAKES
from minibert.classroom.mistakes.lora import LORA_MISTAKES
from minibert.classroom.mistakes.masking import MASKING_MISTAKES
from minibert.classroom.mistakes.masks import MASK_MISTAKES
from minibert.classroom.mistakes.mistake import Mistake
from minibert.classroom.mistakes.multi_head_attention import MULTI_HEAD_ATTENTION_MISTAKES
from minibert.classroom.mistakes.normalization import NORMALIZATION_MISTAKES
from minibert.classroom.mistakes.online_softmax import ONLINE_SOFTMAX_MISTAKES
from minibert.classroom.mistakes.patches import PATCH_MISTAKES
from minibert.classroom.mistakes.perplexity import PERPLEXITY_MISTAKES
from minibert.classroom.mistakes.pretraining_losses import PRETRAINING_LOSS_MISTAKES
from minibert.classroom.mistakes.relative_positions import RELATIVE_POSITION_MISTAKES
from minibert.classroom.mistakes.replaced_tokens import REPLACED_TOKEN_MISTAKES
from minibert.classroom.mistakes.sampling import SAMPLING_MISTAKES
from minibert.classroom.mistakes.schedules import SCHEDULE_MISTAKES
from minibert.classroom.mistakes.sentence_pairs import SENTENCE_PAIR_MISTAKES
from minibert.classroom.mistakes.softmax import SOFTMAX_MISTAKES
from minibert.classroom.mistakes.training import TRAINING_MISTAKES
from minibert.classroom.mistakes.wordpiece import WORDPIECE_MISTAKES

CATALOGUE = (
    SOFTMAX_MISTAKES,
    ATTENTION_MISTAKES,
    ONLINE_SOFTMAX_MISTAKES,
    MASK_MISTAKES,
    MULTI_HEAD_ATTENTION_MISTAKES,
    ABSOLUTE_POSITION_MISTAKES,
    RELATIVE_POSITION_MISTAKES,
    PATCH_MISTAKES,
    NORMALIZATION_MISTAKES,
    ACTIVATION_MISTAKES,
    FEED_FORWARD_MISTAKES,
    CROSS_ENTROPY_MISTAKES,
    PRETRAINING_LOSS_MISTAKES,
    REPLACED_TOKEN_MISTAKES,
    PERPLEXITY_MISTAKES,
    DISTILLATION_MISTAKES,
    ADAMW_MISTAKES,
    SCHEDULE_MISTAKES,
    GRADIENT_CLIPPING_MISTAKES,
    WORDPIECE_MISTAKES,
    BYTE_PAIR_MISTAKES,
    MASKING_MISTAKES,
    SENTENCE_PAIR_MISTAKES,
    ATTENTION_LAYER_MISTAKES,
    ENCODER_LAYER_MISTAKES,
    DECODER_LAYER_MISTAKES,
    BERT_MISTAKES,
    DECODER_MISTAKES,
    DECODING_MISTAKES,
    SAMPLING_MISTAKES,
    LORA_MISTAKES,
    ADAPTER_MISTAKES,
    TRAINING_MISTAKES,
)
"""The mistakes by topic."""


class MistakeTable(dict[str, Mistake]):
    """Mistakes by name. The error for an unknown name lists similar names."""

    def __missing__(self, name: str) -> Mistake:
        near = difflib.get_close_matches(name, self, n=3, cutoff=0.3)
        raise KeyError(f"no mistake is named {name!r}; similar names: {', '.join(near) or 'none, see docs/mistakes.md'}")


MISTAKES = MistakeTable((mistake.name, mistake) for mistakes in CATALOGUE for mistake in mistakes)
"""All mistakes by name."""
