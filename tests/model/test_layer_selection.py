"""Networks with some layers of another one."""

import pytest
import torch

from minibert.model import BertConfig, BertForMaskedLM
from minibert.model.families import NETWORKS
from minibert.model.layer_selection import select_layers, spread_layers

SIZES = {"vocab_size": 30, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "num_hidden_layers": 4}
IDS = torch.tensor([[2, 7, 9, 11, 3]])
NAMES = ["RobertaForMaskedLM", "DistilBertForMaskedLM", "ElectraForMaskedLM"]


@pytest.mark.parametrize("network", [BertForMaskedLM, *(NETWORKS[name] for name in NAMES)])
def test_the_layers_are_copies_and_run_in_their_order(network) -> None:
    """The output is that of the large network without the other layers, whose weights stay."""
    torch.manual_seed(0)
    model = network(network.config_class(**SIZES)).double().eval()
    small = select_layers(model, [1, 3]).eval()
    assert small.config.num_hidden_layers == 2
    assert next(small.parameters()).dtype == torch.float64
    for one, other in zip(small.bert.layers, (model.bert.layers[1], model.bert.layers[3]), strict=True):
        for (name, left), right in zip(one.named_parameters(), other.parameters(), strict=True):
            assert torch.equal(left, right), name
            assert left.data_ptr() != right.data_ptr()
    del model.bert.layers[2], model.bert.layers[0]
    torch.testing.assert_close(small(IDS).logits, model(IDS).logits, rtol=0, atol=0)


def test_shared_layers_run_fewer_times() -> None:
    model = NETWORKS["AlbertForMaskedLM"](NETWORKS["AlbertForMaskedLM"].config_class(**SIZES))
    small = select_layers(model, [0, 2])
    assert len(small.bert.layers) == 1
    assert len(small.bert.layers.passes) == 2
    assert small.state_dict().keys() == model.state_dict().keys()


def test_groups_of_shared_layers_are_refused() -> None:
    config = NETWORKS["AlbertForMaskedLM"].config_class(**SIZES, num_hidden_groups=2)
    with pytest.raises(ValueError, match="its 4 layers share 2 groups of parameters"):
        select_layers(NETWORKS["AlbertForMaskedLM"](config), [0])


@pytest.mark.parametrize("numbers", [[], [4], [-1, 0]])
def test_numbers_of_layers_that_do_not_exist(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="choose from 0 to 3, at least one"):
        select_layers(BertForMaskedLM(BertConfig(**SIZES)), numbers)


def test_a_layer_may_be_there_twice() -> None:
    model = BertForMaskedLM(BertConfig(**SIZES))
    small = select_layers(model, [2, 2, 0])
    for layer, number in zip(small.bert.layers, (2, 2, 0), strict=True):
        assert torch.equal(layer.attention.query.weight, model.bert.layers[number].attention.query.weight)


@pytest.mark.parametrize(
    ("layers", "wanted", "expected"),
    [(12, 6, [0, 2, 4, 6, 8, 10]), (12, 4, [0, 3, 6, 9]), (5, 3, [0, 1, 3]), (3, 3, [0, 1, 2])],
)
def test_layers_are_evenly_spread(layers: int, wanted: int, expected: list[int]) -> None:
    assert spread_layers(layers, wanted) == expected
