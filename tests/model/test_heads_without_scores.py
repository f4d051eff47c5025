"""The masked-LM head with `labels_at`: the sums of the losses and of the correct predictions, without the scores."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from minibert import BertConfig, BertForMaskedLM, BertForPreTraining, record
from minibert.equations import IGNORE_INDEX, masked_lm_loss
from minibert.model.outputs import MaskedLMSums

CONFIG = BertConfig(
    vocab_size=50,
    hidden_size=12,
    num_hidden_layers=1,
    num_attention_heads=3,
    intermediate_size=20,
    max_position_embeddings=16,
    initializer_range=0.5,
)
IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11], [12, 13, 14, 15, 16, 17, 18]])
PREDICT_AT = torch.tensor([1, 2, 7, 9, 13])
LABELS_AT = torch.tensor([6, 30, IGNORE_INDEX, 14, 49])
every_network = pytest.mark.parametrize("network", [BertForMaskedLM, BertForPreTraining])


def model_of(network: type[nn.Module], tied: bool) -> nn.Module:
    torch.manual_seed(0)
    model = network(replace(CONFIG, tie_word_embeddings=tied)).double().eval()
    for parameter in model.mlm.parameters():
        nn.init.normal_(parameter)
    return model


def sums_and_gradients(model: nn.Module, loss: Tensor, correct: Tensor) -> list[Tensor]:
    gradients = torch.autograd.grad(loss, [*model.parameters()], materialize_grads=True)
    return [loss.detach(), correct, *gradients]


@every_network
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("is_recorded", [False, True])
def test_the_sums_are_those_of_the_scores(network: type[nn.Module], tied: bool, is_recorded: bool) -> None:
    """The sum of the losses, its gradients, and the number of correct predictions, of which there is at least one."""
    model = model_of(network, tied)
    scores = next(iter(vars(model(IDS, predict_at=PREDICT_AT)).values()))
    labels = LABELS_AT.clone()
    labels[1] = scores[1].argmax()
    expected = sums_and_gradients(model, masked_lm_loss(scores, labels, "sum"), (scores.argmax(dim=-1) == labels).sum())
    if is_recorded:
        with record(model) as recording:
            sums = model(IDS, predict_at=PREDICT_AT, labels_at=labels)
        torch.testing.assert_close(recording["mlm.logits"], scores)
    else:
        sums = model(IDS, predict_at=PREDICT_AT, labels_at=labels)
        found = sums_and_gradients(model, sums.loss_sum, sums.correct)
        torch.testing.assert_close(found, expected)
    assert isinstance(sums, MaskedLMSums)
    torch.testing.assert_close([sums.loss_sum, sums.correct], expected[:2])
    assert sums.correct >= 1


def test_scores_of_pairs_are_given_too() -> None:
    """They are those of the next-sentence head. Without this head there are none."""
    model = model_of(BertForPreTraining, True)
    pairs = model(IDS, predict_at=PREDICT_AT, labels_at=LABELS_AT).seq_relationship_logits
    torch.testing.assert_close(pairs, model(IDS).seq_relationship_logits)
    without = model_of(BertForMaskedLM, True)(IDS, predict_at=PREDICT_AT, labels_at=LABELS_AT)
    assert without.seq_relationship_logits is None


@every_network
def test_the_scores_are_not_stored(network: type[nn.Module]) -> None:
    """No tensor that is kept for the backward pass has a number for each position and piece, except for a loss of scores."""
    shapes: list[tuple[int, ...]] = []

    def seen(tensor: Tensor) -> Tensor:
        shapes.append(tuple(tensor.shape))
        return tensor

    model = model_of(network, True)
    labels = torch.where(IDS % 2 == 0, IDS, IGNORE_INDEX)
    with saved_tensors_hooks(seen, lambda tensor: tensor):
        model(IDS, predict_at=PREDICT_AT, labels=labels)
        assert (5, 50) in shapes
        shapes.clear()
        model(IDS, predict_at=PREDICT_AT, labels_at=LABELS_AT)
    assert shapes
    assert (5, 50) not in shapes
