"""The encoder that keeps its output: it gives what the encoder itself gives, and takes as much memory as it says."""

import os

import pytest
import torch
from torch import Tensor

from minibert.model import Bert, BertConfig, BertForQuestionAnswering, BertForSequenceClassification, BertForTokenClassification
from minibert.model.heads import BertWithHead
from minibert.text.labeled.examples import Example
from minibert.text.labeled.question_windows import QuestionWindow
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.features import MEMORY_SHARE, CachedBert, cache_features

CONFIG = BertConfig(
    vocab_size=13, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=16
)
IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
INPUTS = {
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    "token_type_ids": torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]]),
    "position_ids": torch.tensor([[3, 2, 1, 0]]),
}
LENGTHS = (3, 5, 4)
ONE_NUMBER = 8
"""Bytes of a number in float64."""


def encoder() -> Bert:
    torch.manual_seed(0)
    return Bert(CONFIG).double().eval()


class TestInputs:
    @pytest.mark.parametrize("names", [(), ("attention_mask",), ("token_type_ids",), ("position_ids",), tuple(INPUTS)])
    def test_the_output_is_that_of_the_encoder(self, names: tuple[str, ...]) -> None:
        """With the same meaning of arguments that are left out. Outputs for given positions are not kept."""
        inputs: dict[str, Tensor] = {name: INPUTS[name] for name in names}
        cached = CachedBert(encoder(), first_token_only=False, keeps_padding=True)
        for _ in range(2):
            output, expected = cached(IDS, **inputs), encoder()(IDS, **inputs)
            torch.testing.assert_close(output.last_hidden_state, expected.last_hidden_state, rtol=0, atol=1e-12)
            torch.testing.assert_close(output.pooler_output, expected.pooler_output, rtol=0, atol=1e-12)
        assert bool(cached.features) == ("position_ids" not in names)

    def test_the_features_of_a_text_hold_no_graph_and_no_other_text(self) -> None:
        """Not even if the parameters of the encoder are not frozen: the memory is that of the features alone."""
        cached = CachedBert(encoder(), first_token_only=True, keeps_padding=False)
        cached(IDS)
        for features in cached.features.values():
            assert not features.requires_grad
            assert features.untyped_storage().nbytes() == CONFIG.hidden_size * ONE_NUMBER

    @pytest.mark.parametrize(("first_token_only", "keeps_padding"), [(True, False), (False, False), (False, True)])
    def test_a_known_text_is_not_computed_again(self, first_token_only: bool, keeps_padding: bool) -> None:
        """Neither in another order, nor with less padding."""
        cached = CachedBert(encoder(), first_token_only, keeps_padding)
        mask = INPUTS["attention_mask"]
        expected = cached(IDS, mask).last_hidden_state
        del cached.embeddings
        assert torch.equal(cached(IDS.flip(0), mask.flip(0)).last_hidden_state, expected.flip(0))
        alone = cached(IDS[1:, :3], mask[1:, :3]).last_hidden_state
        assert torch.equal(alone, expected[1:, : alone.shape[1]])


class TestMemory:
    @pytest.mark.parametrize(
        ("network", "kind", "tokens"),
        [
            (BertForSequenceClassification, Example, len(LENGTHS)),
            (BertForTokenClassification, Example, sum(LENGTHS)),
            (BertForQuestionAnswering, QuestionWindow, len(LENGTHS) * max(LENGTHS)),
        ],
    )
    def test_the_limit(
        self, monkeypatch: pytest.MonkeyPatch, network: type[BertWithHead], kind: type[Example], tokens: int
    ) -> None:
        """The first token of each text; all of its tokens; or as many as the longest text has. The exact limit is allowed."""
        examples = [kind([2, *range(5, 3 + length), 3], [0] * length, {}) for length in LENGTHS]
        size = tokens * CONFIG.hidden_size * ONE_NUMBER
        for memory in (size - 1, size):
            monkeypatch.setattr(os, "sysconf", lambda name, memory=memory: {"SC_PAGE_SIZE": memory / MEMORY_SHARE}.get(name, 1))
            model = network(CONFIG).double()
            if memory < size:
                with pytest.raises(ValueError, match="more than 50% of the memory here"):
                    cache_features(model, examples, 0, SINGLE_PROCESS)
                continue
            cache_features(model, examples, 0, SINGLE_PROCESS)
            assert sum(each.numel() for each in model.bert.features.values()) == tokens * CONFIG.hidden_size

    def test_the_message_has_the_size(self) -> None:
        """In megabytes of a million bytes."""
        examples = [Example([2, 5, 3], [0, 0, 0], {})] * 2500
        message = cache_features(BertForSequenceClassification(CONFIG).double(), examples, 0, SINGLE_PROCESS)
        assert message == "The encoder has computed 2,500 texts once. Their features take 0.2 MB of memory."
