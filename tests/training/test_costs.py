"""The floating-point operations of fine-tuning."""

import pytest
import torch

from minibert import BertConfig, BertForSequenceClassification
from minibert.model.adapters import BitFit
from minibert.text.labeled.examples import Example, make_batch
from minibert.training.costs import finetuning_cost, layer_products

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
    ],
)
def test_frozen_layers_have_no_gradients_of_their_weights(frozen: tuple[str, ...], passes: int) -> None:
    """Forward, gradients of activations, and gradients of weights: three passes of a layer that is trained. A frozen layer
    has one, or two if a part below it is trained."""
    model = BertForSequenceClassification(CONFIG)
    for name in frozen:
        model.get_submodule(name).requires_grad_(False)
    lengths = torch.tensor([4, 3])
    assert finetuning_cost(model, [BATCH]) == (7, passes * 2 * layer_products(CONFIG, lengths))


def test_the_biases_alone_have_no_products_of_weights() -> None:
    model = BertForSequenceClassification(CONFIG)
    BitFit().apply(model)
    assert finetuning_cost(model, [BATCH])[1] == 6 * 2 * layer_products(CONFIG, torch.tensor([4, 3]))
