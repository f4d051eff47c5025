"""Attention masks as models take them: booleans, or integers 0 and 1."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from minibert import (
    Bert,
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    Transformer,
    TransformerConfig,
)
from tests.strategies import normal

SIZES = {
    "vocab_size": 23,
    "hidden_size": 12,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
}
IDS = torch.tensor([[5, 6, 7, 8, 9], [9, 4, 4, 11, 12]])
KEEP = torch.tensor([[False, True, True, True, True], [False, False, True, True, True]])
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]

Run = Callable[[Tensor | None], Tensor]
"""From a mask to an output."""


def randomized(model: nn.Module) -> nn.Module:
    """Random parameters everywhere, in float64, in evaluation mode."""
    for place, parameter in enumerate(model.parameters()):
        parameter.data = 0.4 * normal(place, *parameter.shape)
    return model.double().eval()


def bert_run(kind: type[nn.Module], field: str) -> Run:
    model = randomized(kind(BertConfig(**SIZES, num_hidden_layers=2)))
    return lambda mask: getattr(model(IDS, mask), field)


def gpt2_run(run: Callable[[GPT2LMHeadModel, Tensor | None], Tensor]) -> Run:
    return partial(run, randomized(GPT2LMHeadModel(GPT2Config(**SIZES, num_hidden_layers=2))))


def transformer_run(run: Callable[[Transformer, Tensor | None], Tensor]) -> Run:
    return partial(run, randomized(Transformer(TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1))))


def memory() -> Tensor:
    return normal(50, 2, 5, SIZES["hidden_size"])


def generated(outputs: list) -> Tensor:
    return torch.tensor([output.log_probability for output in outputs], dtype=torch.float64)


RUNS: dict[str, Callable[[], Run]] = {
    "Bert": lambda: bert_run(Bert, "last_hidden_state"),
    "BertForMaskedLM": lambda: bert_run(BertForMaskedLM, "logits"),
    "BertForNextSentencePrediction": lambda: bert_run(BertForNextSentencePrediction, "logits"),
    "BertForPreTraining": lambda: bert_run(BertForPreTraining, "prediction_logits"),
    "BertForQuestionAnswering": lambda: bert_run(BertForQuestionAnswering, "start_logits"),
    "BertForSequenceClassification": lambda: bert_run(BertForSequenceClassification, "logits"),
    "BertForTokenClassification": lambda: bert_run(BertForTokenClassification, "logits"),
    "GPT-2": lambda: gpt2_run(lambda model, mask: model(IDS, mask).logits),
    "GPT-2, generation": lambda: gpt2_run(lambda model, mask: generated(model.generate(IDS, mask, max_new_tokens=3))),
    "Transformer, source": lambda: transformer_run(lambda model, mask: model(IDS, mask, IDS).logits),
    "Transformer, encoder": lambda: transformer_run(lambda model, mask: model.encode(IDS, mask)),
    "Transformer, memory": lambda: transformer_run(lambda model, mask: model.decode(IDS, memory(), mask)),
    "Transformer, target": lambda: transformer_run(lambda model, mask: model(IDS, None, IDS, mask).logits),
    "Transformer, generation": lambda: transformer_run(
        lambda model, mask: generated(model.generate(IDS, mask, beams=2, max_new_tokens=3))
    ),
}
every_run = pytest.mark.parametrize("name", RUNS)


@every_run
def test_integers_are_booleans(name: str) -> None:
    """Zeros and ones, in every integer type, give what False and True give."""
    run = RUNS[name]()
    expected = run(KEEP)
    for kind in INTEGERS:
        torch.testing.assert_close(run(KEEP.to(kind)), expected, rtol=0, atol=0)


@every_run
def test_the_mask_has_a_part_in_the_result_and_none_is_all_true(name: str) -> None:
    """The mask above is another result than no mask, or its opposite; and no mask is one of True, or of ones."""
    run = RUNS[name]()
    everything = run(None)
    assert not torch.allclose(run(KEEP), everything)
    torch.testing.assert_close(run(torch.ones_like(KEEP)), everything)
    torch.testing.assert_close(run(torch.ones_like(IDS)), everything)


@pytest.mark.parametrize("beams", [1, 2])
def test_generation_attends_to_no_padding(beams: int) -> None:
    """Each row of a batch padded at the end has the output of its text alone, in the encoder and cross-attention."""
    keep = KEEP.flip(1)

    def run(ids: Tensor, mask: Tensor | None) -> Tensor:
        return transformer_run(lambda model, mask: generated(model.generate(ids, mask, beams, max_new_tokens=4)))(mask)

    alone = [run(IDS[row : row + 1, keep[row]], None) for row in range(2)]
    torch.testing.assert_close(run(IDS, keep), torch.cat(alone))


@every_run
@pytest.mark.parametrize("wrong", [-10000, -1, 2])
def test_other_numbers_are_rejected(name: str, wrong: int) -> None:
    """A negative number could be one that is added to the scores, where zero means the opposite."""
    mask = KEEP.long()
    mask[1, 2] = wrong
    with pytest.raises(ValueError, match=f"attention_mask has the value {wrong}: pass True or 1 where"):
        RUNS[name]()(mask)


@pytest.mark.usefixtures("without_shape_checks")
@every_run
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floats_are_a_type_error(name: str, kind: torch.dtype) -> None:
    """A mask of floats could be one that is added, where zero means the opposite."""
    with pytest.raises(TypeError, match=r"attention_mask is torch\."):
        RUNS[name]()(KEEP.to(kind))


@pytest.mark.usefixtures("without_shape_checks")
@every_run
@pytest.mark.parametrize("shape", [(2, 4), (2, 6), (1, 5), (3, 5), (5,), (2, 1, 5), (2, 1)], ids=str)
def test_another_shape_is_a_value_error(name: str, shape: tuple[int, ...]) -> None:
    """Also one that could be broadcast."""
    with pytest.raises(ValueError, match=r"attention_mask has shape \("):
        RUNS[name]()(torch.ones(shape, dtype=torch.bool))
