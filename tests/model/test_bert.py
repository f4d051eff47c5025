"""Tests of BERT: padding, attention paths, losses, weight tying, initialization, and error messages."""

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor

from minibert import Bert, BertConfig, BertForPreTraining, BertForSequenceClassification, record
from minibert.equations import IGNORE_INDEX, feed_forward, gelu

CONFIG = BertConfig(
    vocab_size=60,
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=20,
    max_position_embeddings=10,
    initializer_range=0.3,
)


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(5, 60, (3, 7), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> BertForPreTraining:
    torch.manual_seed(1)
    return BertForPreTraining(CONFIG).double().eval()


def outputs(model: torch.nn.Module, *args: object, **kwargs: object) -> list[Tensor]:
    return [x for x in vars(model(*args, **kwargs)).values() if x is not None]


@pytest.mark.parametrize("attention", ["explicit", "fused"])
def test_padding_has_no_influence(model: BertForPreTraining, ids: Tensor, attention: str) -> None:
    """The outputs for the tokens of a padded sequence equal those without padding, for any ids in the padding."""
    model.set_attention(attention)
    mask = torch.ones_like(ids)
    mask[:, 5:] = 0
    short = model.bert(ids[:, :5])
    padded = model.bert(ids, attention_mask=mask)
    torch.testing.assert_close(padded.last_hidden_state[:, :5], short.last_hidden_state)
    torch.testing.assert_close(padded.pooler_output, short.pooler_output)
    torch.testing.assert_close(model.bert(ids, attention_mask=mask.bool()).pooler_output, short.pooler_output)


def test_attention_paths_agree(model: BertForPreTraining, ids: Tensor) -> None:
    """The three paths compute the same values and gradients, also for a sequence that is all padding."""
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    mask[2] = 0
    results = []
    for attention in ("auto", "explicit", "fused"):
        model.set_attention(attention).zero_grad()
        out = model(ids, mask, labels=ids, next_sentence_label=torch.tensor([0, 1, 1]))
        out.loss.backward()
        results.append([out.prediction_logits, out.loss, *(p.grad for p in model.parameters())])
    for one, *others in zip(*results, strict=True):
        for other in others:
            torch.testing.assert_close(other, one, rtol=0, atol=1e-10)


def test_attention_in_use_names_the_chosen_path(model: BertForPreTraining) -> None:
    """An unknown name raises an error that lists the known ones."""
    assert model.set_attention("explicit").attention_in_use() == "explicit: as requested"
    assert model.set_attention("auto").attention_in_use().startswith("fused")
    in_half_precision = Bert(CONFIG).to(torch.bfloat16)
    assert in_half_precision.eval().attention_in_use().startswith("unfused: on a CPU in bfloat16, it trains faster")
    assert in_half_precision.requires_grad_(False).attention_in_use().startswith("fused")
    with pytest.raises(ValueError, match="choose one of auto, explicit, fused"):
        Bert(CONFIG, attention="flash")


def test_predict_at_selects_positions(model: BertForPreTraining, ids: Tensor) -> None:
    """With `predict_at`, only the logits at these positions are computed. They and the loss are unchanged."""
    labels = ids.masked_fill(torch.rand(ids.shape, generator=torch.Generator().manual_seed(2)) > 0.3, IGNORE_INDEX)
    masked = labels != IGNORE_INDEX
    predict_at = masked.flatten().nonzero()[:, 0]
    complete, selected = model(ids, labels=labels), model(ids, labels=labels, predict_at=predict_at)
    assert selected.prediction_logits.shape == (int(masked.sum()), 60)
    torch.testing.assert_close(selected.prediction_logits, complete.prediction_logits[masked])
    torch.testing.assert_close(selected.loss, complete.loss)


def test_loss_is_the_sum_of_the_losses_with_labels(model: BertForPreTraining, ids: Tensor) -> None:
    pairs = torch.tensor([0, 1, 0])
    both, masked_lm, next_sentence = (
        model(ids, labels=labels, next_sentence_label=pair).loss for labels, pair in ((ids, pairs), (ids, None), (None, pairs))
    )
    torch.testing.assert_close(both, masked_lm + next_sentence)
    assert model(ids).loss is None


def test_segments_and_positions_change_the_output(model: BertForPreTraining, ids: Tensor) -> None:
    """The defaults are segment 0 and positions 0, 1, 2, …; other values change the output."""
    default = model.bert(ids).pooler_output
    torch.testing.assert_close(model.bert(ids, None, torch.zeros_like(ids), torch.arange(7)[None]).pooler_output, default)
    assert not torch.allclose(model.bert(ids, token_type_ids=torch.ones_like(ids)).pooler_output, default)
    assert not torch.allclose(model.bert(ids, position_ids=torch.arange(7).flip(0)[None]).pooler_output, default)


def test_feed_forward_equals_the_equation(model: BertForPreTraining, ids: Tensor) -> None:
    with record(model) as recording:
        model(ids)
    layer = model.bert.layers[1]
    expected = feed_forward(
        recording["layers.1.attention_norm"],
        layer.feed_forward.intermediate.weight.mT,
        layer.feed_forward.intermediate.bias,
        layer.feed_forward.output.weight.mT,
        layer.feed_forward.output.bias,
        gelu,
    )
    torch.testing.assert_close(recording["layers.1.feed_forward"], expected)


def test_normalization_follows_the_residual_sum(model: BertForPreTraining, ids: Tensor) -> None:
    """Post-norm: if the feed-forward network returns zeros, the layer returns its normalized input, not the input."""
    layer = model.bert.layers[0]
    torch.nn.init.zeros_(layer.feed_forward.output.weight)
    torch.nn.init.zeros_(layer.feed_forward.output.bias)
    with record(model) as recording:
        model(ids)
    torch.testing.assert_close(recording["layers.0.output"], layer.feed_forward_norm(recording["layers.0.attention_norm"]))


def make_copies(model: BertForPreTraining) -> dict[str, BertForPreTraining]:
    return {"deepcopy": copy.deepcopy(model), "pickle": pickle.loads(pickle.dumps(model)), "to": copy.deepcopy(model).to("cpu")}


@pytest.mark.parametrize("method", ["deepcopy", "pickle", "to"])
def test_copies_keep_the_decoder_tied(model: BertForPreTraining, ids: Tensor, method: str) -> None:
    """In a copy, changing a token's embedding changes its logit. The original model does not change."""
    before = model(ids).prediction_logits
    copied = make_copies(model)[method]
    torch.testing.assert_close(copied(ids).prediction_logits, before)
    with torch.no_grad():
        copied.bert.embeddings.words.weight[3] *= 2
    changed = copied(ids).prediction_logits
    assert not torch.allclose(changed[..., 3], before[..., 3])
    torch.testing.assert_close(model(ids).prediction_logits, before)
    assert sum("words" in name or "decoder" in name for name, _ in copied.named_parameters()) == 1


def test_tied_embeddings_have_a_gradient_from_the_decoder(model: BertForPreTraining, ids: Tensor) -> None:
    """The embedding of a token that is not in the input has a gradient, from the decoder."""
    model(ids, labels=ids).loss.backward()
    absent = next(token for token in range(60) if token not in ids)
    assert model.bert.embeddings.words.weight.grad[absent].any()


def test_initialization_is_that_of_bert() -> None:
    """Weights are normal with standard deviation 0.02, truncated at two standard deviations; biases are 0, gains are 1.

    The embedding of the padding token is initialized like all others.
    """
    torch.manual_seed(0)
    model = BertForPreTraining(BertConfig(vocab_size=2000, hidden_size=96, num_hidden_layers=1, intermediate_size=384))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        else:
            assert parameter.abs().max() <= 0.04, name
            # Truncation at two standard deviations reduces the standard deviation by the factor 0.8796.
            assert math.isclose(parameter.std().item(), 0.02 * 0.8796, rel_tol=0.15), name
    assert model.bert.embeddings.words.weight[0].any()


def test_dropout_is_active_in_training_only(model: BertForPreTraining, ids: Tensor) -> None:
    """Two calls agree bit for bit in evaluation mode, and differ in training mode."""
    torch.testing.assert_close(model(ids).prediction_logits, model(ids).prediction_logits, rtol=0, atol=0)
    model.train()
    assert not torch.allclose(model(ids).prediction_logits, model(ids).prediction_logits)


def test_classification_logits_and_loss(ids: Tensor) -> None:
    """The logits have one score per class for each sequence. The loss is the mean cross-entropy."""
    model = BertForSequenceClassification(CONFIG.with_labels(["a", "b", "c", "d"])).eval()
    out = model(ids, labels=torch.tensor([0, 3, 1]))
    assert out.logits.shape == (3, 4)
    torch.testing.assert_close(out.loss, torch.nn.functional.cross_entropy(out.logits, torch.tensor([0, 3, 1])))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_ids": torch.zeros(1, 11, dtype=torch.long)}, ValueError, "11 tokens, max_position_embeddings is 10"),
        ({"input_ids": torch.tensor([[60]])}, ValueError, "input_ids has the id 60, but vocab_size is 60"),
        ({"input_ids": torch.tensor([[-1]])}, ValueError, "input_ids has the id -1"),
        ({"input_ids": torch.tensor([[1]]), "token_type_ids": torch.tensor([[2]])}, ValueError, "token_type_ids has the id 2"),
    ],
)
def test_invalid_inputs_are_rejected(arguments: dict[str, Tensor], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Bert(CONFIG)(**arguments)


@pytest.mark.usefixtures("without_shape_checks")
def test_floating_point_mask_is_rejected() -> None:
    """It could be an additive mask, in which 0 has the opposite meaning."""
    with pytest.raises(TypeError, match=r"attention_mask is torch\.float32"):
        Bert(CONFIG)(torch.ones(1, 3).long(), torch.ones(1, 3))


@pytest.mark.cuda
def test_cuda_and_cpu_agree(model: BertForPreTraining, ids: Tensor) -> None:
    on_cpu = outputs(model, ids)
    model.cuda()
    for attention in ("explicit", "fused"):
        on_cuda = outputs(model.set_attention(attention), ids.cuda())
        for one, other in zip(on_cpu, on_cuda, strict=True):
            torch.testing.assert_close(other.cpu(), one, rtol=0, atol=1e-10)


SMALL = Bert(BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4))


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"input_ids": torch.ones(3).long()}, ValueError, "input_ids has"),
        ({"input_ids": [[1, 2]]}, TypeError, "input_ids is a list"),
        ({"token_type_ids": torch.zeros(2, 1).long()}, ValueError, r"token_type_ids has shape \(2, 1\), expected \(1, 2\)"),
        ({"position_ids": torch.zeros(1, 2)}, TypeError, "position_ids has the type float32"),
        ({"position_ids": [0, 1]}, TypeError, "position_ids is a list"),
    ],
)
def test_each_argument_is_checked_by_name(wrong: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SMALL(**{"input_ids": torch.ones(1, 2).long(), **wrong})
