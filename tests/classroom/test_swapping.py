"""A learner's function in place of minibert's own."""

import inspect
import pickle
import sys
from collections.abc import Callable
from types import ModuleType
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from minibert import BertConfig, BertForMaskedLM, equations, kernels
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.running import Arguments
from minibert.classroom.swap import TEXTS, layers_of
from minibert.classroom.swapping import HOOKS, Swap, swapped, without_hooks
from minibert.equations import softmax
from minibert.kernels import layers as kernels_of_layers
from minibert.observe import record
from minibert.study.checked_attention import UserCodeError
from minibert.study.subject import random_network, tokenizer_of
from minibert.study.verify.stages import minibert_stages

SIZES = {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 16, "max_position_embeddings": 16}
SOFTMAX, ATTENTION = EXERCISES["softmax"], EXERCISES["scaled_dot_product_attention"]
SCORES = torch.tensor([[1.0, 2.0]])


def model_of() -> BertForMaskedLM:
    """A model whose attention is far from uniform. It is made inside `swapped`, because it keeps its activation function."""
    model = random_network(BertForMaskedLM, BertConfig(**SIZES, num_hidden_layers=2), tokenizer_of(TEXTS))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 10
    return model.set_attention("explicit")


def stages(model) -> dict[str, torch.Tensor]:
    return minibert_stages(model, {"input_ids": torch.tensor([[2, 5, 6, 7, 3]])})


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("softmax", 2),
        ("scaled_dot_product_attention", 2),
        ("layer_norm", 6),
        ("gelu", 3),
        ("encoder_layer", 2),
        ("bert_embeddings", 1),
    ],
)
def test_the_reference_in_its_own_place_changes_nothing(name: str, calls: int) -> None:
    """It is called once at each place, with arguments that can be sent, and every stage stays the same."""
    expected = stages(model_of())
    reference = EXERCISES[name].reference

    def called(given: Arguments) -> torch.Tensor:
        with without_hooks(given):
            pickle.dumps(given)
        return reference(**given)

    with swapped(EXERCISES[name], called) as replaced:
        found = stages(model_of())
    assert replaced.calls == calls
    assert all(torch.equal(expected[path], found[path]) for path in found)
    assert found["layers.0.attention.context"].shape == expected["layers.0.attention.context"].shape


def test_a_mistake_shows_from_its_stage_on_and_is_gone_after_the_block() -> None:
    expected = stages(model_of())
    with swapped(EXERCISES["softmax"], lambda given: softmax(2 * given["scores"])):
        found = stages(model_of())
    different = [path for path in found if not torch.equal(expected[path], found[path])]
    assert different[0] == "layers.0.attention.weights"
    assert all(torch.equal(expected[path], value) for path, value in stages(model_of()).items())


def test_one_layer_only() -> None:
    expected = stages(model_of())
    with swapped(EXERCISES["softmax"], lambda given: softmax(2 * given["scores"])) as replaced:
        model = model_of()
        replaced.only_inside = layers_of(model, 1)
        found = stages(model)
    assert replaced.calls == 1
    assert next(path for path in found if not torch.equal(expected[path], found[path])) == "layers.1.attention.weights"
    with pytest.raises(ValueError, match="layers 0 to 1"):
        layers_of(model, 2)


def test_an_argument_that_the_exercise_lacks_is_an_error() -> None:
    with swapped(EXERCISES["layer_norm"], lambda given: given["hidden"]) as replaced:
        replacement = replaced.replacement_of(EXERCISES["scaled_dot_product_attention"].reference)
    ones = torch.ones(1, 1)
    with pytest.raises(UserCodeError, match="argument query"):
        replacement(ones, ones, ones)


def test_steps_inside_the_replaced_function_are_not_those_of_minibert() -> None:
    """A learner's function has no such steps, and minibert's own would agree with themselves."""

    def attention(given: Arguments) -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(given["query"], given["key"], given["value"])

    with swapped(EXERCISES["scaled_dot_product_attention"], attention) as replaced:
        found = stages(model_of())
    assert replaced.calls == 2
    assert "layers.0.attention.context" in found
    inside = [path for path in found if path.endswith((".weights", ".scores", ".dot_products"))]
    assert inside == []


def replacement(exercise=SOFTMAX, result: Callable = lambda given: given["scores"], original=softmax) -> tuple[Swap, Callable]:
    swap = Swap(exercise, result)
    return swap, swap.replacement_of(original)


def test_a_replacement_looks_like_the_function_and_is_called_in_its_place() -> None:
    given = []
    swap, own = replacement(result=lambda arguments: given.append(arguments) or 3 * arguments["scores"])
    assert (own.__name__, inspect.signature(own)) == ("softmax", inspect.signature(softmax))
    assert torch.equal(own(SCORES), 3 * SCORES)
    assert torch.equal(own(scores=SCORES), 3 * SCORES)
    assert [[*each] for each in given] == [["scores"]] * 2
    assert swap.calls == 2


def test_the_result_is_recorded_and_what_it_is_compared_with_is_not() -> None:
    _, own = replacement(ATTENTION, lambda given: given["value"], ATTENTION.reference)
    with record() as recording:
        own(SCORES, SCORES, 5 * SCORES)
    assert recording.paths == ["context"]
    assert torch.equal(recording["context"], 5 * SCORES)


def test_functions_that_the_original_calls_are_not_replaced_while_it_runs() -> None:
    """A kernel calls the equation, which is replaced too."""
    swap = Swap(SOFTMAX, lambda given: given["scores"])
    inner = swap.replacement_of(softmax)
    outer = swap.replacement_of(lambda scores: inner(scores=scores))
    assert torch.equal(outer(SCORES), SCORES)
    assert swap.calls == 1
    assert swap.is_active
    with pytest.raises(TypeError, match="missing"):
        swap.replacement_of(lambda scores: inner())(SCORES)
    assert swap.is_active


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (torch.zeros(2), "softmax returned shape (2,), expected a tensor of shape (1, 2)"),
        (None, "softmax returned NoneType, expected a tensor of shape (1, 2)"),
        ([[1.0, 2.0]], "softmax returned list, expected a tensor of shape (1, 2)"),
    ],
)
def test_a_result_of_another_shape_is_an_error(result: object, message: str) -> None:
    _, own = replacement(result=lambda given: result)
    with pytest.raises(UserCodeError) as error:
        own(SCORES)
    assert str(error.value) == message


def test_the_result_has_the_data_type_of_the_original() -> None:
    _, own = replacement(result=lambda given: given["scores"].double())
    assert own(SCORES).dtype is torch.float32


def test_a_function_without_a_tensor_as_result_cannot_be_replaced() -> None:
    _, own = replacement(original=lambda scores: [1.0])
    with pytest.raises(UserCodeError, match="softmax is no stage of a model: its result is no tensor"):
        own(SCORES)


@pytest.mark.parametrize(("argument", "value"), [("dropout", 0.0), ("dropout", 0), ("bias", None)])
def test_an_argument_that_has_its_default_value_is_left_out(argument: str, value: object) -> None:
    given = []
    _, own = replacement(ATTENTION, lambda arguments: given.append([*arguments]) or arguments["value"], ATTENTION.reference)
    own(SCORES, SCORES, SCORES, None, **{argument: value})
    assert given == [["query", "key", "value", "keep"]]


@pytest.mark.parametrize(("argument", "value"), [("dropout", 0.5), ("bias", torch.zeros(1, 1))])
def test_another_argument_that_the_exercise_lacks_is_an_error(argument: str, value: object) -> None:
    _, own = replacement(ATTENTION, lambda given: given["value"], ATTENTION.reference)
    with pytest.raises(UserCodeError) as error:
        own(SCORES, SCORES, SCORES, **{argument: value})
    assert str(error.value) == (
        f"this model calls scaled_dot_product_attention with the argument {argument}, which the exercise does not have, "
        "so it cannot be replaced"
    )


def test_arguments_have_no_hooks_until_the_block_ends() -> None:
    """Nor have the modules inside of a module."""
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
    for module in model.modules():
        for kinds in ({"always_call": True, "with_kwargs": True}, {}):
            module.register_forward_hook(lambda *_: None, **kinds)
        module.register_forward_pre_hook(lambda *_: None, with_kwargs=True)

    def sizes() -> list[int]:
        return [len(getattr(module, name)) for module in model.modules() for name in HOOKS]

    with without_hooks({"x": SCORES, "model": model}):
        assert sizes() == [0] * len(HOOKS) * 4
    assert sizes() == [2, 1, 1, 1, 1] * 4


def test_every_name_of_a_function_is_replaced_until_the_block_ends() -> None:
    """Also that of its kernel, and the entries of tables, but not those of the classroom."""
    gelu, table, module = kernels.gelu, {"a": equations.gelu, "b": 3}, ModuleType("minibert.last")
    module.table = table
    with mock.patch.dict(sys.modules, {module.__name__: module}):
        with swapped(EXERCISES["gelu"], lambda given: given["x"]):
            for function in (equations.gelu, kernels.gelu, kernels_of_layers.gelu, table["a"]):
                assert torch.equal(function(SCORES), SCORES)
            assert not torch.equal(EXERCISES["gelu"].reference(SCORES), SCORES)
            assert table["b"] == 3
        assert (kernels.gelu, table["a"]) == (gelu, equations.gelu)
    assert not torch.equal(equations.gelu(SCORES), SCORES)


def test_a_method_is_replaced_in_its_class_until_the_block_ends() -> None:
    layer, x = model_of().bert.layers[0], torch.ones(1, 2, 24)
    before = type(layer).forward
    with swapped(EXERCISES["encoder_layer"], lambda given: 7 * given["hidden"]) as swap:
        assert torch.equal(layer(x), 7 * x)
    assert swap.calls == 1
    assert type(layer).forward is before


def test_inside_of_some_modules_only_also_after_an_error() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(swap.is_active)
            raise ArithmeticError

    seen, failing, outer = [], Fails(), nn.Sequential(nn.Identity())
    outer.append(failing)
    with swapped(SOFTMAX, lambda given: given["scores"]) as swap:
        assert swap.is_active
        swap.only_inside = [outer]
        assert not swap.is_active
        for _ in range(2):
            with pytest.raises(ArithmeticError):
                outer(SCORES)
        assert not swap.is_active
        with pytest.raises(ArithmeticError):
            failing(SCORES)
    assert seen == [True, True, False]
    with pytest.raises(ArithmeticError):
        outer(SCORES)
    assert seen[-1] is False
