"""Tests of the labels of every head: shape, type, range, ignored labels, and the losses of a sequence classifier."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minibert import (
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
from minibert.equations import IGNORE_INDEX, gelu, layer_norm
from minibert.model.heads import MaskedLMHead
from tests.strategies import normal

SIZES = {"vocab_size": 30, "hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 20, "max_position_embeddings": 16}
CONFIG = BertConfig(**SIZES, num_hidden_layers=1, id2label={0: "a", 1: "b", 2: "c"}, initializer_range=0.5)
IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11], [12, 13, 14, 15, 16, 17, 18]])
TOKENS, PER_TEXT = torch.where(IDS % 2 == 0, IDS, IGNORE_INDEX), torch.tensor([0, 1])
CLASSES = torch.where(IDS % 2 == 0, IDS % 3, IGNORE_INDEX)

HEADS: dict[str, tuple[type[nn.Module], str, Tensor, int]] = {
    "pretraining": (BertForPreTraining, "labels", TOKENS, 30),
    "pretraining, pairs": (BertForPreTraining, "next_sentence_label", PER_TEXT, 2),
    "masked LM": (BertForMaskedLM, "labels", TOKENS, 30),
    "next sentence": (BertForNextSentencePrediction, "labels", PER_TEXT, 2),
    "sequence": (BertForSequenceClassification, "labels", PER_TEXT, 3),
    "token": (BertForTokenClassification, "labels", CLASSES, 3),
    "GPT-2": (GPT2LMHeadModel, "labels", TOKENS, 30),
    "Transformer": (Transformer, "labels", TOKENS, 30),
}
every_head = pytest.mark.parametrize("name", HEADS)


def random_head(seed: int) -> MaskedLMHead:
    """Create a masked-LM head with all parameters random, in float64."""
    torch.manual_seed(seed)
    head = MaskedLMHead(CONFIG).double()
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    return head


class TestMaskedLMHead:
    @pytest.mark.parametrize("seed", range(3))
    def test_value(self, seed: int) -> None:
        """The logits are those of the equations, one after another."""
        head, hidden, embeddings = random_head(seed), normal(seed, 2, 3, 12), normal(seed + 1, 30, 12)
        activated = gelu(hidden @ head.transform.weight.T + head.transform.bias)
        expected = layer_norm(activated, head.norm.weight, head.norm.bias, CONFIG.layer_norm_eps) @ embeddings.T + head.bias
        torch.testing.assert_close(head(hidden, embeddings), expected)

    @pytest.mark.parametrize("seed", range(3))
    def test_logits_are_linear_in_the_normalized_vector(self, seed: int) -> None:
        """They are the bias if the gain and bias of the normalization are 0, and depend linearly on the word embeddings."""
        head, hidden, embeddings = random_head(seed), normal(seed, 2, 3, 12), normal(seed + 1, 30, 12)
        other = normal(seed + 2, 30, 12)
        torch.testing.assert_close(
            head(hidden, embeddings) + head(hidden, other), head(hidden, embeddings + other) + head.bias.detach()
        )
        with torch.no_grad():
            head.norm.weight.zero_()
            head.norm.bias.zero_()
        torch.testing.assert_close(head(hidden, embeddings), head.bias.expand(2, 3, -1))

    @pytest.mark.parametrize("seed", range(3))
    def test_scale_of_the_transform_has_no_influence_on_large_features(self, seed: int) -> None:
        """The vectors before the dot product have the mean and the size of the normalization, and GELU keeps what is large."""
        head, hidden = random_head(seed), normal(seed, 2, 3, 12)
        with torch.no_grad():
            head.transform.weight.mul_(1e3)
            head.transform.bias.mul_(1e3)
            head.norm.weight.fill_(1)
            head.norm.bias.zero_()
            head.bias.zero_()
        transformed = head(hidden, torch.eye(12).double().repeat(3, 1)[:30])[..., :12]
        torch.testing.assert_close(transformed.mean(dim=-1), torch.zeros(2, 3).double(), atol=1e-6, rtol=0)
        torch.testing.assert_close(transformed.square().mean(dim=-1), torch.ones(2, 3).double(), atol=1e-6, rtol=0)
        linear = hidden @ head.transform.weight.T + head.transform.bias
        kept = linear.clamp(min=0)
        expected = (kept - kept.mean(dim=-1, keepdim=True)) / kept.std(dim=-1, correction=0, keepdim=True)
        torch.testing.assert_close(transformed, expected, atol=1e-2, rtol=1e-2)

    def test_zero_vectors_give_equal_logits_for_all_tokens(self) -> None:
        """For hidden = 0 and b = 0 the logits are the bias plus the dot product with the bias of the normalization."""
        head, embeddings = random_head(0), normal(1, 30, 12)
        with torch.no_grad():
            head.transform.bias.zero_()
        expected = embeddings @ head.norm.bias + head.bias
        torch.testing.assert_close(head(torch.zeros(2, 3, 12).double(), embeddings), expected.expand(2, 3, -1))

    def test_negative_features_are_close_to_zero_but_not_zero(self) -> None:
        """For a feature of -1, GELU is -0.1587: the values of one feature, before and after the normalization."""
        head = random_head(0)
        with torch.no_grad():
            head.transform.weight.zero_()
            head.transform.bias.copy_(torch.arange(12).double() - 6)
        hidden, embeddings = normal(0, 1, 12), torch.eye(12).double().repeat(3, 1)[:30]
        features = torch.arange(12).double() - 6
        activated = features * torch.special.ndtr(features)
        normalized = (activated - activated.mean()) / activated.std(correction=0)
        expected = normalized * head.norm.weight + head.norm.bias
        torch.testing.assert_close(head(hidden, embeddings)[0, :12], expected + head.bias[:12], rtol=1e-9, atol=1e-9)


def model_of(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    if kind is GPT2LMHeadModel:
        return GPT2LMHeadModel(GPT2Config(**SIZES, num_hidden_layers=1)).double().eval()
    if kind is Transformer:
        return Transformer(TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1)).double().eval()
    return kind(CONFIG).double().eval()


def loss(name: str, labels: Any, rows: slice = slice(None), **others: Any) -> Tensor:
    kind, argument, _, _ = HEADS[name]
    if kind is Transformer:
        others["decoder_input_ids"] = IDS[rows]
    return model_of(kind)(IDS[rows], **{argument: labels}, **others).loss


def wrong_shapes(labels: Tensor) -> list[Tensor]:
    """Return labels that broadcasting would accept, and others."""
    shapes = [labels[:1], labels[0], labels[:, None], labels[..., None], torch.cat([labels, labels])]
    return shapes + ([labels[:, :5], labels[:, :1], labels.flatten(), labels.T] if labels.ndim == 2 else [])


@pytest.mark.usefixtures("without_shape_checks")
@every_head
def test_labels_of_another_shape_are_rejected(name: str) -> None:
    """Nothing is broadcast. The message has the name of the argument and both shapes."""
    _, argument, labels, _ = HEADS[name]
    for wrong in wrong_shapes(labels):
        with pytest.raises(ValueError, match=rf"{argument} has shape {re.escape(str(tuple(wrong.shape)))}"):
            loss(name, wrong)


@pytest.mark.usefixtures("without_shape_checks")
@every_head
@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int32, torch.float32])
def test_labels_of_another_type_are_rejected(name: str, kind: torch.dtype) -> None:
    """transformers accepts int64 only, too. The message has the conversion."""
    _, argument, labels, _ = HEADS[name]
    if name == "sequence" and kind.is_floating_point:
        pytest.skip("floating-point labels mean several independent classes")
    with pytest.raises(TypeError, match=rf"{argument} has the type \w+, expected int64: convert it with {argument}\.long\(\)"):
        loss(name, labels.to(kind))


@pytest.mark.usefixtures("without_shape_checks")
@every_head
def test_labels_that_are_not_a_tensor_are_rejected(name: str) -> None:
    _, argument, labels, _ = HEADS[name]
    for wrong in (labels.tolist(), labels.numpy(), 1):
        with pytest.raises(TypeError, match=rf"{argument} is a \w+: pass a tensor, such as torch.tensor\({argument}\)"):
            loss(name, wrong)


@every_head
@pytest.mark.parametrize("offset", [0, 5])
def test_labels_out_of_range_are_rejected(name: str, offset: int) -> None:
    """The number of classes, a larger number, and every negative number except -100."""
    _, argument, labels, classes = HEADS[name]
    for number in (classes + offset, -1 - offset, -101):
        wrong = labels.clone()
        wrong.view(-1)[-1] = number
        with pytest.raises(ValueError, match=rf"{argument} has the class {number}, expected 0 to {classes - 1}, or -100"):
            loss(name, wrong)


@every_head
def test_ignored_labels_have_no_influence(name: str) -> None:
    """A text whose labels are all -100 leaves the loss of the other text, and -100 everywhere gives 0."""
    _, _, labels, _ = HEADS[name]
    first = labels.clone()
    first[1] = IGNORE_INDEX
    torch.testing.assert_close(loss(name, first), loss(name, labels[:1], slice(1)))
    assert loss(name, torch.full_like(labels, IGNORE_INDEX)) == 0


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("name", ["pretraining", "masked LM"])
def test_labels_and_predicted_positions_must_match(name: str) -> None:
    """`predict_at` has the positions of tokens in the batch. There is one label per token, before the selection."""
    mask = TOKENS != IGNORE_INDEX
    masked = mask.flatten().nonzero()[:, 0]
    torch.testing.assert_close(loss(name, TOKENS, predict_at=masked), loss(name, TOKENS))
    for wrong in (masked[None], masked[0]):
        with pytest.raises(ValueError, match=r"predict_at has shape \(.*\), expected one axis"):
            loss(name, TOKENS, predict_at=wrong)
    for position in (-1, 14):
        with pytest.raises(ValueError, match=rf"has the position {position}, but a batch of shape \(2, 7\) has 14 positions"):
            loss(name, TOKENS, predict_at=torch.tensor([3, position]))
    with pytest.raises(TypeError, match=r"Boolean mask, expected positions: pass predict_at\.flatten\(\)\.nonzero\(\)"):
        loss(name, TOKENS, predict_at=mask)
    with pytest.raises(TypeError, match=r"predict_at has the type int32, expected int64: convert it with predict_at\.long\(\)"):
        loss(name, TOKENS, predict_at=masked.int())
    for labels in wrong_shapes(TOKENS):
        with pytest.raises(ValueError, match=r"labels has shape \(.*\), expected \(2, 7\)"):
            loss(name, labels, predict_at=masked)


@pytest.mark.usefixtures("without_shape_checks")
def test_answer_positions_of_another_shape_or_type_are_rejected() -> None:
    """Both positions are needed. A position outside the text has no loss."""
    model = model_of(BertForQuestionAnswering)
    right = torch.tensor([1, 3])
    for wrong in (right[:1], right[:, None], right[0], torch.tensor([1, 2, 3])):
        for arguments in ((wrong, right), (right, wrong)):
            with pytest.raises(ValueError, match=r"(start|end)_positions has shape \(.*\), expected \(2,\)"):
                model(IDS, **dict(zip(("start_positions", "end_positions"), arguments, strict=True)))
    with pytest.raises(TypeError, match=r"end_positions has the type float32"):
        model(IDS, start_positions=right, end_positions=right.float())
    with pytest.raises(ValueError, match="pass both start_positions and end_positions"):
        model(IDS, start_positions=right)
    with pytest.raises(ValueError, match="pass both start_positions and end_positions"):
        model(IDS, end_positions=right)
    outside = torch.tensor([1, 7])
    expected = model(IDS[:1], start_positions=right[:1], end_positions=right[:1]).loss
    torch.testing.assert_close(model(IDS, start_positions=outside, end_positions=torch.tensor([1, -100])).loss, expected)


PROBLEMS = [
    ("regression", 1, (2,), False),
    ("regression", 1, (2, 1), False),
    ("regression", 3, (2, 3), False),
    ("multi_label_classification", 3, (2, 3), False),
    ("multi_label_classification", 1, (2, 1), False),
    ("single_label_classification", 3, (2,), False),
    (None, 1, (2,), False),
    (None, 3, (2, 3), False),
    (None, 3, (2,), True),
]


@pytest.mark.parametrize(("problem_type", "classes", "shape", "whole"), PROBLEMS)
def test_losses_of_a_sequence_classifier_equal_those_of_transformers(
    problem_type: str | None, classes: int, shape: tuple[int, ...], whole: bool, tmp_path: Path
) -> None:
    """Loss and gradients agree for every `problem_type`, given or chosen by the labels."""
    transformers = pytest.importorskip("transformers")
    config = replace(CONFIG, problem_type=problem_type, id2label={n: str(n) for n in range(classes)})
    torch.manual_seed(0)
    mine = BertForSequenceClassification(config).double().eval()
    mine.save_pretrained(tmp_path)
    other = transformers.BertForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float64)
    assert other.config.problem_type == problem_type
    labels = torch.tensor([2, 0]) if problem_type == "single_label_classification" or whole else normal(1, *shape).sigmoid()
    losses = [model(IDS, labels=labels).loss for model in (mine, other)]
    torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
    for value in losses:
        value.backward()
    for ours, theirs in ((mine.classifier.weight, other.classifier.weight), (mine.classifier.bias, other.classifier.bias)):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(
        mine.bert.layers[0].attention.query.weight.grad,
        other.bert.encoder.layer[0].attention.self.query.weight.grad,
        rtol=1e-9,
        atol=1e-14,
    )


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("problem_type", "classes", "labels", "message"),
    [
        ("regression", 1, torch.tensor([1, 2]), "labels has the type torch.int64, expected floating point"),
        ("regression", 1, torch.tensor([1.0]), r"labels has shape \(1,\), expected \(2,\)"),
        ("regression", 1, torch.ones(2, 2), r"labels has shape \(2, 2\), expected \(2, 1\)"),
        ("regression", 3, torch.ones(2), r"labels has shape \(2,\), expected \(2, 3\)"),
        ("multi_label_classification", 3, torch.ones(2, 3).long(), "labels has the type torch.int64, expected floating point"),
        ("multi_label_classification", 3, torch.ones(1, 3), r"labels has shape \(1, 3\), expected \(2, 3\)"),
        ("multi_label_classification", 3, torch.ones(3), r"labels has shape \(3,\), expected \(2, 3\)"),
        (
            "multi_label_classification",
            3,
            torch.full((2, 3), -100.0),
            "labels has the value -100, expected 0 for no",
        ),
        ("multi_label_classification", 3, torch.full((2, 3), math.nan), "labels has the value nan"),
        ("single_label_classification", 3, torch.ones(2, 3), r"labels has the type float32, expected int64"),
        (None, 1, torch.tensor([0, 0]), "labels has the type torch.int64, expected floating point"),
        (None, 3, [0.0, 1.0], "labels is a list: pass a tensor"),
    ],
)
def test_labels_that_do_not_fit_the_problem_type_are_rejected(
    problem_type: str | None, classes: int, labels: Any, message: str
) -> None:
    model = BertForSequenceClassification(
        replace(CONFIG, problem_type=problem_type, id2label={n: str(n) for n in range(classes)})
    )
    with pytest.raises((TypeError, ValueError), match=message):
        model(IDS, labels=labels)


@pytest.mark.parametrize("kind", [BertForSequenceClassification, BertForTokenClassification])
@pytest.mark.parametrize(("classifier_dropout", "expected"), [(None, 0.25), (0.0, 0.0), (0.4, 0.4)])
def test_classifier_dropout_of_the_config_is_obeyed(
    kind: type[nn.Module], classifier_dropout: float | None, expected: float, tmp_path: Path
) -> None:
    """It is read and written, and applies before the classifier. Without it, the dropout of the hidden vectors applies."""
    config = replace(CONFIG, hidden_dropout_prob=0.25, classifier_dropout=classifier_dropout)
    kind(config).save_pretrained(tmp_path)
    model = kind.from_pretrained(tmp_path)
    assert model.config == config
    assert model.dropout.p == expected
    assert model.bert.layers[0].dropout.p == 0.25


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"problem_type": "multilabel"}, "problem_type 'multilabel' is unknown; choose one of regression"),
        ({"problem_type": 3}, "problem_type 3 is unknown"),
        ({"problem_type": ["regression"]}, "problem_type .* is unknown"),
        ({"problem_type": "single_label_classification", "id2label": {0: "a"}}, "needs at least two classes"),
        ({"classifier_dropout": 1.0}, "classifier_dropout must be null or a number from 0 to below 1, not 1.0"),
        ({"classifier_dropout": "0.1"}, "classifier_dropout must be null or a number from 0 to below 1, not '0.1'"),
        ({"classifier_dropout": True}, "classifier_dropout must be null or a number from 0 to below 1, not True"),
    ],
)
def test_unknown_problem_types_and_dropouts_are_rejected(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **fields)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("kind", [BertForSequenceClassification, BertForNextSentencePrediction, BertForMaskedLM])
def test_a_text_that_is_no_batch_is_rejected_with_a_hint(kind: type[nn.Module]) -> None:
    """Also by a head that needs the first token of each text only."""
    with pytest.raises(ValueError, match=r"input_ids has shape \(7,\), .*for one text, pass input_ids\[None\]"):
        model_of(kind)(IDS[0])


def test_the_text_of_a_head_has_its_settings() -> None:
    expected = "vocabulary=30, activation=gelu, tied=True"
    assert MaskedLMHead(CONFIG).extra_repr() == expected
    assert MaskedLMHead(replace(CONFIG, tie_word_embeddings=False)).extra_repr() == expected.replace("True", "False")
