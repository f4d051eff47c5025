"""The networks: shapes, masks, tying, what is and what is not computed."""

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
def test_padding_changes_nothing(model: BertForPreTraining, ids: Tensor, attention: str) -> None:
    """A padded sequence says of its own tokens what it says without padding, whatever the padding holds."""
    model.set_attention(attention)
    mask = torch.ones_like(ids)
    mask[:, 5:] = 0
    short = model.bert(ids[:, :5])
    padded = model.bert(ids, attention_mask=mask)
    torch.testing.assert_close(padded.last_hidden_state[:, :5], short.last_hidden_state)
    torch.testing.assert_close(padded.pooler_output, short.pooler_output)
    torch.testing.assert_close(model.bert(ids, attention_mask=mask.bool()).pooler_output, short.pooler_output)


def test_attention_paths_agree(model: BertForPreTraining, ids: Tensor) -> None:
    """Auto, explicit and fused give the same numbers and the same gradients, a sequence of padding only included."""
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


def test_the_chosen_attention_is_told(model: BertForPreTraining) -> None:
    """And a name that is none is an error that lists those that are."""
    assert model.set_attention("explicit").attention_in_use() == "explicit: as requested"
    assert model.set_attention("auto").attention_in_use().startswith("fused")
    with pytest.raises(ValueError, match="there are auto, explicit, fused"):
        Bert(CONFIG, attention="flash")


def test_logits_at_chosen_places_are_those_of_all_places(model: BertForPreTraining, ids: Tensor) -> None:
    """`predict_at` gives the same rows and the same loss, and makes no others."""
    labels = ids.masked_fill(torch.rand(ids.shape, generator=torch.Generator().manual_seed(2)) > 0.3, IGNORE_INDEX)
    at = labels != IGNORE_INDEX
    everywhere, chosen = model(ids, labels=labels), model(ids, labels=labels, predict_at=at)
    assert chosen.prediction_logits.shape == (int(at.sum()), 60)
    torch.testing.assert_close(chosen.prediction_logits, everywhere.prediction_logits[at])
    torch.testing.assert_close(chosen.loss, everywhere.loss)


def test_the_loss_is_the_sum_of_those_with_labels(model: BertForPreTraining, ids: Tensor) -> None:
    pairs = torch.tensor([0, 1, 0])
    both, words, sentences = (
        model(ids, labels=labels, next_sentence_label=pair).loss for labels, pair in ((ids, pairs), (ids, None), (None, pairs))
    )
    torch.testing.assert_close(both, words + sentences)
    assert model(ids).loss is None


def test_segments_and_positions_matter(model: BertForPreTraining, ids: Tensor) -> None:
    """The defaults are sentence A and 0, 1, 2…; others give other numbers."""
    plain = model.bert(ids).pooler_output
    torch.testing.assert_close(model.bert(ids, None, torch.zeros_like(ids), torch.arange(7)[None]).pooler_output, plain)
    assert not torch.allclose(model.bert(ids, token_type_ids=torch.ones_like(ids)).pooler_output, plain)
    assert not torch.allclose(model.bert(ids, position_ids=torch.arange(7).flip(0)[None]).pooler_output, plain)


def test_the_layers_feed_forward_is_the_equation(model: BertForPreTraining, ids: Tensor) -> None:
    with record(model) as recording:
        model(ids)
    layer = model.bert.layers[1]
    expected = feed_forward(
        recording["layers.1.attention_norm"],
        layer.intermediate.weight.mT,
        layer.intermediate.bias,
        layer.feed_forward.weight.mT,
        layer.feed_forward.bias,
        gelu,
    )
    torch.testing.assert_close(recording["layers.1.feed_forward"], expected)


def test_normalization_comes_after_the_sum(model: BertForPreTraining, ids: Tensor) -> None:
    """Post-norm: with a sublayer that says nothing, its output is the norm of its input, not the input."""
    layer = model.bert.layers[0]
    torch.nn.init.zeros_(layer.feed_forward.weight)
    torch.nn.init.zeros_(layer.feed_forward.bias)
    with record(model) as recording:
        model(ids)
    torch.testing.assert_close(recording["layers.0.output"], layer.norm(recording["layers.0.attention_norm"]))


def copies(model: BertForPreTraining) -> dict[str, BertForPreTraining]:
    return {"deepcopy": copy.deepcopy(model), "pickle": pickle.loads(pickle.dumps(model)), "to": copy.deepcopy(model).to("cpu")}


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "to"])
def test_the_decoder_stays_tied(model: BertForPreTraining, ids: Tensor, way: str) -> None:
    """After any copy: changing a word's embedding changes its logit, and the original is not touched."""
    before = model(ids).prediction_logits
    twin = copies(model)[way]
    torch.testing.assert_close(twin(ids).prediction_logits, before)
    with torch.no_grad():
        twin.bert.embeddings.words.weight[3] *= 2
    changed = twin(ids).prediction_logits
    assert not torch.allclose(changed[..., 3], before[..., 3])
    torch.testing.assert_close(model(ids).prediction_logits, before)
    assert sum("words" in name or "decoder" in name for name, _ in twin.named_parameters()) == 1


def test_the_embeddings_gradient_comes_from_both_ends(model: BertForPreTraining, ids: Tensor) -> None:
    """A piece that is not in the input still gets a gradient: through the decoder."""
    model(ids, labels=ids).loss.backward()
    absent = next(piece for piece in range(60) if piece not in ids)
    assert model.bert.embeddings.words.weight.grad[absent].any()


def test_initialization_is_berts() -> None:
    """Weights: normal with std 0.02, none beyond two of them; biases 0, gains 1; the padding piece is like any other."""
    torch.manual_seed(0)
    model = BertForPreTraining(BertConfig(vocab_size=2000, hidden_size=96, num_hidden_layers=1, intermediate_size=384))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        else:
            assert parameter.abs().max() <= 0.04, name
            # cut off at two standard deviations, a normal distribution keeps 0.8796 of its spread
            assert math.isclose(parameter.std().item(), 0.02 * 0.8796, rel_tol=0.15), name
    assert model.bert.embeddings.words.weight[0].any()


def test_dropout_only_in_training(model: BertForPreTraining, ids: Tensor) -> None:
    """In evaluation two calls agree; in training they do not."""
    torch.testing.assert_close(model(ids).prediction_logits, model(ids).prediction_logits, rtol=0, atol=0)
    model.train()
    assert not torch.allclose(model(ids).prediction_logits, model(ids).prediction_logits)


def test_classification(ids: Tensor) -> None:
    """One score for each class and sequence, and the mean cross-entropy."""
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
def test_bad_input_is_named(arguments: dict[str, Tensor], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Bert(CONFIG)(**arguments)


@pytest.mark.usefixtures("without_shape_checks")
def test_a_float_mask_is_refused() -> None:
    """It could be additive, where 0 means the opposite."""

    with pytest.raises(TypeError, match=r"attention_mask is torch\.float32"):
        Bert(CONFIG)(torch.ones(1, 3).long(), torch.ones(1, 3))


@pytest.mark.cuda
def test_on_cuda_as_on_the_cpu(model: BertForPreTraining, ids: Tensor) -> None:
    here = outputs(model, ids)
    model.cuda()
    for attention in ("explicit", "fused"):
        there = outputs(model.set_attention(attention), ids.cuda())
        for one, other in zip(here, there, strict=True):
            torch.testing.assert_close(other.cpu(), one, rtol=0, atol=1e-10)
