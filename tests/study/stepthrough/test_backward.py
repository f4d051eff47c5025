"""The steps of a backward pass: every gradient equals PyTorch's, and its formula explains it."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

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
from minibert.model.adapters.lora import LoRA
from minibert.model.config import ModelConfig
from minibert.model.pretrained import PretrainedModel
from minibert.study import backward_walk
from minibert.study.equations.formulas import mathml
from minibert.study.stepthrough import derivatives
from minibert.study.stepthrough.algebra import mul, neg
from minibert.study.stepthrough.arithmetic import cell, evaluate
from minibert.study.stepthrough.step import Step, Walk
from minibert.study.subject import random_network, tokenizer_of

TEXT, PAIR = "the cat sat on the [MASK] .", "it was a cat ."
TOKENIZER = tokenizer_of([TEXT, PAIR, "mat"])
SIZES = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
BERT = BertConfig(num_hidden_layers=1, max_position_embeddings=32, **SIZES)
TRANSFORMERS = [
    TransformerConfig(positions=positions, pre_norm=pre_norm, encoder_layers=1, decoder_layers=1, **SIZES)
    for positions in ("sinusoidal", "learned", "rotary", "alibi")
    for pre_norm in (False, True)
]
GPT2 = GPT2Config(num_hidden_layers=1, **SIZES)
NETWORKS: dict[str, tuple[type[PretrainedModel], ModelConfig, tuple[str, ...]]] = {
    "masked LM": (BertForMaskedLM, replace(BERT, num_hidden_layers=2), ("mat",)),
    "untied masked LM": (BertForMaskedLM, replace(BERT, tie_word_embeddings=False), ()),
    "pretraining": (BertForPreTraining, replace(BERT, hidden_act="gelu_new"), ("mat", "B is next")),
    "next sentence": (BertForNextSentencePrediction, replace(BERT, hidden_act="relu"), ()),
    "classes": (BertForSequenceClassification, replace(BERT, hidden_act="silu"), ("LABEL_1",)),
    "independent classes": (
        BertForSequenceClassification,
        replace(BERT, problem_type="multi_label_classification"),
        ("1", "0"),
    ),
    "number": (BertForSequenceClassification, replace(BERT, id2label={0: "score"}), ("2.5",)),
    "token classes": (BertForTokenClassification, replace(BERT, hidden_act="quick_gelu"), ()),
    "answer": (BertForQuestionAnswering, BERT, ("a cat",)),
    "GPT-2": (GPT2LMHeadModel, GPT2, ()),
    **{f"{config.positions}, pre-norm {config.pre_norm}": (Transformer, config, ()) for config in TRANSFORMERS},
}

SLOW = {"sinusoidal, pre-norm True", "learned, pre-norm False", "rotary, pre-norm False", "alibi, pre-norm True"}
"""Networks whose encoding of positions and whose order of normalization other networks have, too."""


def network(kind: type[PretrainedModel], config: ModelConfig, tokenizer: Tokenizer = TOKENIZER) -> PretrainedModel:
    """Build a network in float64, with weights so large that all parts of a gradient count."""
    model = random_network(kind, config, tokenizer).double()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


@cache
def walk_of(name: str) -> Walk:
    return walked(name)


def walked(name: str) -> Walk:
    kind, config, truth = NETWORKS[name]
    pair = None if kind is GPT2LMHeadModel else PAIR
    return backward_walk(network(kind, config), TOKENIZER, TEXT, pair, truth=truth)


shown = cache(mathml)


def gradients(walk: Walk) -> Iterator[Step]:
    return (step for step in walk.steps if step.path.startswith("gradient."))


def error(step: Step) -> float:
    """Return the largest error of a gradient's formula, relative to the gradients that it is computed from."""
    assert step.expression is not None
    output = step.output.numpy()
    sizes = [float(leaf.value.abs().max()) for leaf in step.inputs if leaf.name.startswith("gradient.")]
    return float(np.abs(evaluate(step.expression) - output).max() / max([*sizes, np.abs(output).max()]))


@pytest.fixture(scope="module", params=[pytest.param(name, marks=[pytest.mark.long] * (name in SLOW)) for name in NETWORKS])
def walk(request: pytest.FixtureRequest) -> Walk:
    return walk_of(request.param)


class TestEveryNetwork:
    def test_the_formula_of_every_gradient_gives_the_gradient_of_pytorch(self, walk: Walk) -> None:
        for step in gradients(walk):
            assert step.expression is not None, step.explanation
            assert evaluate(step.expression).shape == step.output.shape, step.path
            assert error(step) < 1e-10, step.path

    def test_a_cell_of_every_gradient_is_explained_by_its_inputs(self, walk: Walk) -> None:
        for step in gradients(walk):
            index = tuple(size // 2 for size in step.output.shape)
            assert step.expression is not None
            assert cell(step.expression, index).value == pytest.approx(float(evaluate(step.expression)[index]), abs=1e-12)

    def test_the_loss_is_that_of_the_network_and_its_formula_gives_it(self, walk: Walk) -> None:
        loss = walk["loss"]
        assert loss.expression is not None
        assert evaluate(loss.expression) == pytest.approx(float(walk.recording["loss"].detach()), rel=1e-10)
        assert cell(loss.expression, ()).value == pytest.approx(float(loss.output), rel=1e-10)

    def test_every_recorded_tensor_and_parameter_with_a_gradient_has_a_step(self, walk: Walk) -> None:
        with_gradient = [path for path in walk.recording if walk.recording[path].grad is not None and path != "loss"]
        assert len(with_gradient) > 20
        assert all(f"gradient.{path}" in walk for path in with_gradient)

    def test_gradients_come_from_steps_before_them(self, walk: Walk) -> None:
        seen: set[str] = set()
        for step in walk.steps:
            assert all(leaf.name in seen for leaf in step.inputs if leaf.kind == "step"), step.path
            seen |= {step.path, *step.aliases}

    def test_formulas_can_be_shown(self, walk: Walk) -> None:
        for step in walk.steps:
            if step.formula:
                shown(step.formula)
        assert all(step.formula and step.explanation for step in gradients(walk))


WRONG = {
    "attention scores without 1/√d_k": ("div", lambda node, output, gradient, number: gradient),
    "an average that lets its gradient pass whole": ("mean", lambda node, output, gradient, number: gradient),
    "a layer normalization whose mean is a constant": ("sub", lambda node, output, gradient, number: mul(0.0, gradient)),
    "a product whose other factor is left out": ("mul", lambda node, output, gradient, number: gradient),
    "a tanh with the derivative of its negative": ("tanh", lambda node, output, gradient, number: neg(gradient)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_derivative_is_detected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operation, rule = WRONG[name]
    monkeypatch.setitem(derivatives.OPERATIONS, operation, rule)
    assert max(map(error, gradients(walked("pretraining")))) > 1e-3


def test_softmax_without_the_sum_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        derivatives.EQUATIONS, "softmax", lambda node, output, gradient: (derivatives._argument(node), mul(output, gradient))
    )
    wrong = {step.path for step in gradients(walked("untied masked LM")) if error(step) > 1e-3}
    assert wrong == {"gradient.layers.0.attention.masked_scores"}


@pytest.mark.parametrize("name", ["bert.layers.0.attention.query.weight", "mlm.norm.bias", "bert.embeddings.words.weight"])
def test_gradients_equal_differences_of_the_loss(name: str) -> None:
    model, walk = network(BertForMaskedLM, BERT), backward_walk(network(BertForMaskedLM, BERT), TOKENIZER, TEXT, truth=["mat"])
    ids = walk["text.ids"].output[None]
    labels = torch.where(ids == TOKENIZER.token_to_id("[MASK]"), TOKENIZER.token_to_id("mat"), -100)
    parameter = model.get_parameter(name)
    row, losses = int(ids[0, 1]), []
    index = (row, 3) if "words" in name else (3,) * parameter.ndim
    for change in (1e-5, -2e-5):
        with torch.no_grad():
            parameter[index] += change
            losses.append(float(model(ids, labels=labels).loss))
    step = walk[f"gradient.{name.removeprefix('bert.')}"]
    rows = step.axes[0].labels
    place = index if rows is None else (rows.index("the"), 3)
    assert float(step.output[place]) == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-5)


def test_formulas_are_those_of_textbooks() -> None:
    walk = walk_of("masked LM")
    d = r"\mathrm{d}"
    assert walk["gradient.layers.0.attention.weights"].formula == rf"{d}A = {d}C\,{{V}}^\top"
    assert walk["gradient.layers.0.attention.value"].formula == rf"{d}V = {{A}}^\top\,{d}C"
    assert walk["gradient.layers.0.attention.dot_products"].formula == rf"{d}P = \frac{{{d}S}}{{2}}"
    softmax = rf"{d}M = A \odot \left({d}A - \sum_{{j}} {{\left(A \odot {d}A\right)}}_{{j}}\right)"
    assert walk["gradient.layers.0.attention.masked_scores"].formula == softmax


def test_a_tensor_with_several_users_gets_the_sum_of_what_comes_back() -> None:
    step = walk_of("masked LM")["gradient.embeddings.output"]
    names = {leaf.name for leaf in step.inputs if leaf.kind == "step"}
    assert names == {
        f"gradient.layers.0.{name}" for name in ("attention_residual", *(f"attention.{x}" for x in ("query", "key", "value")))
    }


def test_rows_of_word_embeddings_have_the_names_of_their_pieces() -> None:
    axis = walk_of("masked LM")["gradient.embeddings.words.weight"].axes[0]
    assert axis.labels is not None
    assert {"the", "cat", "[MASK]", "mat"} <= {*axis.labels}, "the text and the label"
    assert len(axis.labels) == len({*axis.labels})


def test_frozen_parameters_have_no_gradient_and_the_update_of_lora_has() -> None:
    model = network(BertForMaskedLM, BERT)
    LoRA(rank=2).apply(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_b" in name:
                parameter += 0.1
    walk = backward_walk(model.double(), TOKENIZER, TEXT, truth=["mat"])
    assert "gradient.embeddings.output" not in walk
    assert "gradient.layers.0.attention.query.weight" not in walk
    assert {"gradient.layers.0.attention.query.lora_a", "gradient.layers.0.attention.query.lora_b"} <= {*walk}
    assert all(error(step) < 1e-10 for step in gradients(walk))


def test_gradients_of_the_model_stay_as_they_were() -> None:
    model = network(BertForMaskedLM, BERT)
    first, *others = model.parameters()
    first.grad = torch.ones_like(first)
    backward_walk(model, TOKENIZER, TEXT)
    assert first.grad is not None
    assert (first.grad == 1).all()
    assert all(parameter.grad is None for parameter in others)


def test_an_unknown_operation_leaves_the_gradient_without_a_formula() -> None:
    def attend(query, key, value, keep, dropout):  # type: ignore[no-untyped-def]
        return torch.softmax(query @ key.mT, dim=-1) @ value

    walk = backward_walk(network(BertForMaskedLM, BERT).set_attention(attend), TOKENIZER, TEXT)
    step = walk["gradient.layers.0.attention.query"]
    assert step.expression is None
    assert "softmax is not known" in step.explanation
    assert walk["gradient.layers.0.attention.merged"].expression is not None


def test_a_network_without_a_head_or_without_trained_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="no head"):
        backward_walk(network(Bert, BERT), TOKENIZER, TEXT)
    with pytest.raises(ValueError, match="frozen"):
        backward_walk(network(BertForMaskedLM, BERT).requires_grad_(False), TOKENIZER, TEXT)
