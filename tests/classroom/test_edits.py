"""Small edits of a function are made from its syntax tree."""

import ast
import functools
import inspect
import re

import pytest
import torch

from minibert import equations
from minibert.classroom.edit_wording import Wording
from minibert.classroom.edits import LONGEST_QUOTE, _quote, _quotes, edits_of
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.mistakes import variant_of
from minibert.classroom.mistakes.variants import called_functions, source_of
from minibert.model.heads import MaskedLMHead
from minibert.model.layers import DecoderLayer


def phrases(function) -> list[str]:
    return [edit.name for edit in edits_of(function)]


def test_the_message_quotes_the_formula() -> None:
    messages = {edit.message for edit in edits_of(equations.scaled_dot_product_attention)}
    assert "You left out `/ math.sqrt(d_k)`." in messages
    assert "You used `query` in the place of `key`, and `key` in that of `query`." in messages


def test_parts_are_left_out() -> None:
    assert {"left out: `.tril()`", "left out: `dtype=torch.bool`"} <= {*phrases(equations.causal_mask)}
    assert {"left out: `+ bias`", "left out: `* gain`", "left out: `torch.sqrt`", "left out: `keepdim=True`"} <= {
        *phrases(equations.layer_norm)
    }


def test_operators_functions_axes_and_constants_are_replaced() -> None:
    found = {*phrases(equations.layer_norm)}
    assert "another operator: `normalized * gain - bias` instead of `normalized * gain + bias`" in found
    assert "another function: `torch.rsqrt(variance + eps)` instead of `torch.sqrt(variance + eps)`" in found
    assert "another order: `torch.sqrt(variance) + eps` instead of `torch.sqrt(variance + eps)`" in found
    assert "another axis: `dim=0` instead of `dim=-1`" in found


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (equations.length_penalty, "5 + length / 6` instead of `(5 + length) / 6"),
        (equations.adamw_step, "first_moment / 1 - beta_1 ** step` instead of `first_moment / (1 - beta_1 ** step)"),
        (equations.gelu, "0.5 * x * 1 + torch.erf(x / math.sqrt(2))` instead of `0.5 * x * (1 + torch.erf(x / math.sqrt(2)))"),
        (equations.clip_by_global_norm, "max_norm / norm.clamp(max=1.0)` instead of `(max_norm / norm).clamp(max=1.0)"),
    ],
)
def test_parentheses_are_left_out(function, wrong) -> None:
    assert f"parentheses left out: `{wrong}`" in phrases(function)


def test_bounds_of_slices_ranges_and_comparisons_are_changed() -> None:
    """Also those that are not written, and those of slices among several."""
    assert {
        "left out: a bound in `labels[:, :-1]`",
        "another number: `labels[:, :-2]` instead of `labels[:, :-1]`",
        "the first left out: `labels[:, 1:-1]` instead of `labels[:, :-1]`",
    } <= {*phrases(EXERCISES["shift_right"].reference)}
    assert {
        "the last left out: `key.shape[-2] - block_size` instead of `key.shape[-2]`",
        "off by one: `slice(start + 1, start + block_size)` instead of `slice(start, start + block_size)`",
    } <= {*phrases(equations.online_softmax_attention)}
    assert "off by one: `lengths[..., None, None] - 1` instead of `lengths[..., None, None]`" in phrases(equations.padding_mask)


def test_numbers_are_added_squared_and_halved_and_defaults_differ() -> None:
    found = {*phrases(equations.layer_norm), *phrases(equations.gelu_tanh), *phrases(equations.length_penalty)}
    assert {
        "added a number: `variance + eps + 0.001` instead of `variance + eps`",
        "squared: `torch.sqrt(variance + eps) ** 2` instead of `torch.sqrt(variance + eps)`",
        "another number: `2 * 0.044715 * x ** 3` instead of `0.044715 * x ** 3`",
        "another argument: `torch.tanh(2 * inner)` instead of `torch.tanh(inner)`",
        "another default: `alpha=1.0` instead of `alpha=0.6`",
    } <= found


def test_a_function_ends_early() -> None:
    assert {
        "left out: the last round of `for start in range(0, key.shape[-2], block_size)`",
        "ended early: `for start in range(0, key.shape[-2], block_size)`",
        "returned early: after `exponentials = torch.exp(scores - shift)`",
    } <= {*phrases(equations.online_softmax_attention)}


SHORT = 500
"""Functions with fewer characters of source are checked in every run; CI checks the others after the suite."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if len(source_of(inspect.unwrap(exercise.reference))) < SHORT else [pytest.mark.slow])
        for name, exercise in EXERCISES.items()
    ],
)
def test_every_wording_quotes_the_code_itself(name) -> None:
    """No learner reads a template such as "left out: a part of `{old}`"."""
    reference = EXERCISES[name].reference
    functions = {reference: None, **dict.fromkeys(called_functions(reference), reference)}
    texts = {f"{edit.name}\n{edit.message}" for each, caller in functions.items() for edit in edits_of(each, caller)}
    assert texts or name == "lora_initialization"
    assert not [text for text in texts if re.search(r"\{(old|new)\}", text)]


@pytest.mark.parametrize("title", ["a part of `{old}`", "`{new}` instead of another", "no code at all"])
def test_a_template_is_filled_whichever_code_it_quotes(title) -> None:
    words = Wording(title, "You have `{new}`. The formula has `{old}`.").filled("a + b", "a")
    assert words.message == "You have `a`. The formula has `a + b`."
    assert "{" not in words.title


def test_no_wrong_formula_comes_twice_under_two_titles() -> None:
    """`1 - targets * x` can be another order, or parentheses left out."""
    formulas = [name.partition(": ")[2] for name in phrases(equations.binary_cross_entropy)]
    assert any(formula.startswith("`1 - targets * ") for formula in formulas)
    assert len({*formulas}) == len(formulas)


def test_every_edit_quotes_some_code() -> None:
    """Also where the code around a change is equal in its normal form."""
    messages = [edit.message for edit in edits_of(EXERCISES["noam_schedule"].reference)]
    assert messages
    assert not [message for message in messages if "``" in message]


def test_two_numbers_are_exchanged() -> None:
    exchanged = next(edit for edit in edits_of(equations.length_penalty) if edit.name == "exchanged: `6` and `5`")
    assert variant_of(equations.length_penalty, exchanged)(4, 1.0) == 2.0


def test_a_factor_moves_to_the_other_term() -> None:
    assert "factor of the other term: `scale * weight + b @ a` instead of `weight + scale * (b @ a)`" in phrases(
        equations.lora_merged_weight
    )


def test_what_is_left_out_of_a_method_call_begins_with_the_point() -> None:
    assert "left out: `.clamp(max=1.0)`" in phrases(equations.clip_by_global_norm)


def test_modules_are_exchanged_and_their_parameters_are_misused() -> None:
    assert {
        "exchanged: `self.attention_norm` and `self.cross_attention_norm`",
        "left out: gain and bias of `self.attention_norm`",
    } <= {*phrases(DecoderLayer.forward)}
    assert "not transposed: the weight of `self.transform`" in phrases(MaskedLMHead.forward)


def test_every_place_is_edited_and_each_alone() -> None:
    edits = {edit.name: edit for edit in edits_of(equations.layer_norm)}
    inputs = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)), torch.ones(3), torch.zeros(3)
    both = variant_of(equations.layer_norm, edits["another axis: `dim=0` instead of `dim=-1`"])(*inputs)
    assert torch.allclose(both, equations.layer_norm(inputs[0].T, *inputs[1:]).T, atol=1e-6)
    assert "another axis: `dim=0` instead of `dim=-1` in `hidden.mean(dim=-1, keepdim=True)`" in edits


def test_no_edit_can_run_forever() -> None:
    def halvings(number):
        rounds = 0
        while number > 1:
            number = number // 2
            rounds += 1
        return rounds

    for edit in edits_of(halvings):
        assert "while" not in edit.edits[0][1]


def test_edits_of_a_called_function_say_where() -> None:
    found = [edit.name for edit in edits_of(equations.softmax, equations.scaled_dot_product_attention)]
    assert found
    assert all(name.endswith(", in `softmax`") for name in found)


def test_a_function_of_checks_only_has_edits_that_compile() -> None:
    def check_size(size):
        if size < 1:
            raise ValueError(size)

    assert list(edits_of(check_size)) == []


@pytest.mark.parametrize("name", ["sinusoidal_positions", "label_smoothing_loss", "bert_embeddings"])
def test_called_functions_of_checks_only_have_edits_that_compile(name) -> None:
    """Without its checks, a function such as `check_ids` has no statement left."""
    reference = EXERCISES[name].reference
    for called in called_functions(reference):
        for edit in edits_of(called, reference):
            ast.parse(edit.edits[0][1])


def test_a_statement_left_out_comes_early() -> None:
    """A long function has more edits than are compared, and a forgotten line is likely."""
    first = phrases(EXERCISES["training_steps"].reference)[:40]
    assert "left out: `optimizer.zero_grad()`" in first
    assert "left out: `model.train()`" in first


def two_parts(self, x):
    return self.first(x) - self.second(2 * x)


@functools.wraps(two_parts)
def wrapped(*arguments):
    return two_parts(*arguments)


def test_parts_with_parameters_are_exchanged() -> None:
    """A wrapped function has the edits of the function inside, which is its own caller."""
    edits = [*edits_of(two_parts)]
    assert edits[1].edits[0][1].endswith("return self.second(x) - self.first(2 * x)")
    assert edits[1].message == "You used `self.first` in the place of `self.second`, and `self.second` in that of `self.first`."
    assert [*edits_of(wrapped, wrapped)] == edits
    assert {edit.function for edit in edits_of(wrapped)} == {two_parts}


def test_an_expression_is_quoted_in_its_normal_form_and_a_statement_is_not() -> None:
    assert [_quote(code) for code in (" (x+y)", "x = 3", "return x", "x +")] == ["x + y", "", "", ""]


def twice(x):
    return torch.exp(torch.exp(x))


def test_an_edit_that_gives_the_same_code_as_an_earlier_one_is_left_out() -> None:
    """Such as leaving out the outer or the inner of two equal calls."""
    sources = [edit.edits[0][1] for edit in edits_of(twice)]
    assert [source.strip() for source in sources].count("def twice(x):\n    return torch.exp(x)") == 1
    assert len({*sources}) == len(sources)


def test_a_short_piece_is_quoted_with_its_surroundings() -> None:
    tree = ast.parse("f(x, a)")
    assert _quotes(tree.body[0].value.args[0], "y", tree, "f(x, a)") == ("f(x, a)", "f(y, a)")


@pytest.mark.parametrize(("code", "new"), [("a", "(a)"), ("a + b", "c = 1"), ("x", "")])
def test_the_same_code_and_code_that_is_no_expression_are_not_quoted(code: str, new: str) -> None:
    tree = ast.parse(code)
    first = next(each for each in ast.walk(tree) if isinstance(each, ast.Name))
    assert _quotes(first, new, tree, code) == ("", "")


@pytest.mark.parametrize(("long", "short"), [("a", "b" * LONGEST_QUOTE), ("a" * LONGEST_QUOTE, "b")])
def test_both_codes_of_a_quote_are_short(long: str, short: str) -> None:
    """A piece whose surroundings are long, before the edit or after it, is quoted alone."""
    source = f"f(x, {long})"
    tree = ast.parse(source)
    name = tree.body[0].value.args[1]
    assert _quotes(name, short, tree, source) == (long, short)
