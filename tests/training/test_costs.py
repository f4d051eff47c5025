"""The floating-point operations of fine-tuning."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from minibert import BertConfig, BertForSequenceClassification, BertForTokenClassification, Transformer, TransformerConfig
from minibert.equations import IGNORE_INDEX
from minibert.model.adapters import BitFit
from minibert.text.labeled.examples import Example, LabeledBatch, make_batch
from minibert.text.parallel import ParallelBatch
from minibert.training.costs import finetuning_cost, layer_products, translation_cost

CONFIG = BertConfig(
    vocab_size=13, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=12, max_position_embeddings=16
)
BATCH = make_batch([Example([2, 5, 6, 3], [0] * 4, {"labels": 1}, 0), Example([2, 5, 3], [0] * 3, {"labels": 0}, 1)], 0)


@pytest.mark.parametrize(
    ("frozen", "passes"),
    [
        ((), 9),
        (("bert.embeddings",), 9),
        (("bert.embeddings", "bert.layers.0"), 7),
        (("bert.embeddings", "bert.layers.0", "bert.layers.1", "bert.layers.2"), 3),
        (("bert.layers.2",), 8),
        (("bert.embeddings.words", "bert.layers.0"), 8),
    ],
)
def test_frozen_layers_have_no_gradients_of_their_weights(frozen: tuple[str, ...], passes: int) -> None:
    """Forward, gradients of activations, and gradients of weights: three passes of a layer that is trained. A frozen layer
    has one, or two if a part below it is trained."""
    model = BertForTokenClassification(CONFIG)
    for name in frozen:
        model.get_submodule(name).requires_grad_(False)
    lengths = torch.tensor([4, 3])
    assert finetuning_cost(model, [BATCH]) == (7, passes * 2 * layer_products(CONFIG, lengths, lengths))


def test_the_biases_alone_have_no_products_of_weights() -> None:
    model = BertForTokenClassification(CONFIG)
    BitFit().apply(model)
    lengths = torch.tensor([4, 3])
    assert finetuning_cost(model, [BATCH])[1] == 6 * 2 * layer_products(CONFIG, lengths, lengths)


def test_of_the_last_layer_only_what_is_read_is_counted() -> None:
    """The products of a network whose head reads the first token, as torch counts them."""
    model = BertForSequenceClassification(CONFIG, attention="explicit").eval()
    ids = torch.full((3, 5), 5)
    batch = LabeledBatch(ids, ids > 0, torch.zeros_like(ids), {"labels": torch.tensor([0, 1, 0])})
    with FlopCounterMode(display=False) as counter:
        model(*batch.inputs)
    heads = 2 * 3 * (CONFIG.hidden_size**2 + CONFIG.hidden_size * CONFIG.num_labels)  # pooler and classifier
    assert finetuning_cost(model, [batch]) == (15, 3 * (counter.get_total_flops() - heads))


class TestTranslation:
    CONFIG = TransformerConfig(
        vocab_size=31, hidden_size=8, encoder_layers=3, decoder_layers=2, num_attention_heads=2, intermediate_size=12
    )
    SOURCES, TARGETS = torch.arange(5, 15).view(2, 5), torch.arange(5, 13).view(2, 4)
    BATCH = ParallelBatch(SOURCES, SOURCES > 0, TARGETS, TARGETS)

    def test_the_operations_are_those_that_torch_counts(self) -> None:
        """Three times those of the forward pass, without padding."""
        model = Transformer(self.CONFIG, attention="explicit").eval()
        with FlopCounterMode(display=False) as counter:
            model(self.SOURCES, self.BATCH.attention_mask, self.TARGETS)
        assert translation_cost(self.CONFIG, [self.BATCH]) == (18, 3 * counter.get_total_flops())

    def test_padding_and_empty_batches_are_not_counted(self) -> None:
        zeros = torch.zeros(2, 3, dtype=torch.int64)
        sources = torch.cat([self.SOURCES, zeros], dim=1)
        labels = torch.cat([self.TARGETS, zeros + IGNORE_INDEX], dim=1)
        padded = ParallelBatch(sources, sources > 0, torch.cat([self.TARGETS, zeros], dim=1), labels)
        empty = ParallelBatch(sources, sources > 0, labels, torch.full_like(labels, IGNORE_INDEX))
        expected = translation_cost(self.CONFIG, [self.BATCH])
        assert translation_cost(self.CONFIG, [padded]) == expected
        assert translation_cost(self.CONFIG, [empty, padded, self.BATCH]) == tuple(2 * number for number in expected)
