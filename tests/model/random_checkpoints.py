"""Strategies for tests of checkpoints: small BERT configurations of varied shape, with inputs and labels."""

import torch
from hypothesis import strategies as st

from minibert import (
    Bert,
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minibert.equations import IGNORE_INDEX
from minibert.model.config import ACTIVATIONS
from minibert.model.pretrained import PretrainedModel

CLASSES: list[type[PretrainedModel]] = [
    Bert,
    BertForPreTraining,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertForQuestionAnswering,
]


@st.composite
def configs(draw: st.DrawFn) -> BertConfig:
    """Draw a small configuration. The initial weights are large, so that every part affects the output."""
    heads = draw(st.integers(1, 3))
    return BertConfig(
        vocab_size=draw(st.integers(6, 40)),
        hidden_size=heads * draw(st.integers(1, 4)),
        num_hidden_layers=draw(st.integers(1, 3)),
        num_attention_heads=heads,
        intermediate_size=draw(st.integers(1, 9)),
        hidden_act=draw(st.sampled_from(ACTIVATIONS)),
        max_position_embeddings=8,
        type_vocab_size=draw(st.integers(1, 3)),
        initializer_range=0.5,
        tie_word_embeddings=draw(st.sampled_from([True, True, False])),
        layer_norm_eps=draw(st.sampled_from([1e-12, 1e-5])),
    )


def inputs_for(config: BertConfig, seed: int) -> dict[str, torch.Tensor]:
    """Create random ids and segments: sequences of different lengths, padded with token 0, which may also be inside."""
    generator = torch.Generator().manual_seed(seed)
    shape = (3, int(torch.randint(1, 9, (1,), generator=generator)))
    ids = torch.randint(config.vocab_size, shape, generator=generator)
    lengths = torch.randint(1, shape[1] + 1, (3, 1), generator=generator)
    ids[torch.arange(shape[1]) >= lengths] = 0
    return {
        "input_ids": ids,
        "attention_mask": (torch.arange(shape[1]) < lengths).long(),
        "token_type_ids": torch.randint(config.type_vocab_size, shape, generator=generator),
    }


def labels_for(model: type[PretrainedModel], ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Create labels for the losses of a class; every second token has no label."""
    tokens = ids.masked_fill((torch.arange(ids.shape[1]) % 2 == 1) | (ids == 0), IGNORE_INDEX)
    sequences = torch.tensor([0, 1, 1])
    positions = torch.arange(3) % ids.shape[1]
    return {
        BertForPreTraining: {"labels": tokens, "next_sentence_label": sequences},
        BertForMaskedLM: {"labels": tokens},
        BertForNextSentencePrediction: {"labels": sequences},
        BertForSequenceClassification: {"labels": sequences},
        BertForTokenClassification: {"labels": torch.where(tokens == IGNORE_INDEX, IGNORE_INDEX, tokens % 2)},
        BertForQuestionAnswering: {"start_positions": positions, "end_positions": positions.flip(0)},
    }.get(model, {})


def largest_difference(mine: object, theirs: object) -> float:
    """Return the largest absolute difference over all outputs of `mine`, matched by name."""
    return max((value - getattr(theirs, name)).abs().max().item() for name, value in vars(mine).items() if value is not None)
