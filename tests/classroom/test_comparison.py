"""A failed call as text: small inputs, readable numbers, and both calls for a property."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from minibert.classroom.checking import check
from minibert.classroom.comparison import MAX_SHOWN, number_text, text_of
from minibert.classroom.counterexample import SmallDraw
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Report, Stage
from tests.sampling import slow


def test_numbers_are_readable() -> None:
    assert number_text(torch.tensor([[1.0, -2.0], [0.5, 1 / 3]])) == "[[ 1.     -2.    ]\n [ 0.5     0.3333]]"
    assert number_text(torch.tensor([True, False])) == "[ True False]"
    assert number_text(torch.tensor([-0.0, -3.0])) == "[ 0. -3.]"
    assert number_text(torch.tensor([math.nan, -math.inf, 1.5])) == "[ nan -inf  1.5]"
    assert number_text(torch.tensor([-1, 20])) == "[-1 20]"
    assert number_text(torch.tensor([1.0, 3e-9])) == "[    1 3e-09]"
    assert number_text(torch.tensor([[1.0], [-2e9]])) == "[[     1]\n [-2e+09]]"
    assert number_text(torch.tensor(3)) == "3"
    assert number_text(torch.zeros(0)) == "[]"
    assert number_text(torch.ones(8, 3, 4)) == "8 × 3 × 4 numbers"


def test_arguments_are_short_texts() -> None:
    assert len(text_of("a" * 10_000)) < 400
    assert text_of(torch.nn.Linear(1, 1)).startswith("Linear with\nweight = [[")
    assert text_of(torch.nn.Linear(50, 50)) == "Linear"
    assert text_of({"b", "a"}) == "{'a', 'b'}"
    assert text_of([torch.zeros(1), torch.ones(1, 2)]) == "list of 2 with\n[0] = [0.]\n[1] = [[1. 1.]]"
    assert text_of(F.relu) == "relu"


@pytest.mark.parametrize("name", EXERCISES)
def test_the_arguments_of_every_exercise_are_short_and_the_same_in_every_process(name: str) -> None:
    for case in EXERCISES[name].cases:
        for value in case.recipe(SmallDraw(0)).values():
            text = text_of(value)
            assert len(text.splitlines()) <= MAX_SHOWN
            assert " at 0x" not in text
            assert "tensor(" not in text


def batch_mean(hidden, gain, bias, eps=1e-12):
    centered = hidden - hidden.mean(0, keepdim=True)
    return gain * centered / torch.sqrt(hidden.var(0, keepdim=True, correction=0) + eps) + bias


def one_threshold(logits, k):
    return torch.where(logits >= logits.flatten().topk(k).values[-1], logits, -math.inf)


def masked_with_zero(query, key, value, keep=None):
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return F.softmax(scores if keep is None else scores.masked_fill(~keep, 0.0), -1) @ value


def first_head_sharper(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    factor = torch.ones(heads).index_fill(0, torch.tensor(0), 2.0).repeat_interleave(w_q.shape[1] // heads)
    return EXERCISES["multi_head_attention"].reference(queries_from, keys_from, w_q * factor, w_k, w_v, w_o, heads, keep)


@pytest.mark.parametrize(
    ("function", "name", "changed", "relation"),
    [
        (batch_mean, "layer_norm", {"hidden"}, "the last of the sequences of a batch (axis 0)"),
        (one_threshold, "top_k_filter", {"logits"}, "first row of the first result"),
        (masked_with_zero, "scaled_dot_product_attention", {"key", "value"}, "Both results must be equal"),
        slow(first_head_sharper, "multi_head_attention", {"w_q", "w_k", "w_v", "w_o"}, "the heads are in reverse order"),
    ],
)
def test_a_property_shows_both_calls(function, name, changed, relation) -> None:
    report = check(function, EXERCISES[name])
    example = report.example
    assert "property does not hold" in report.reason
    assert set(example.changed) == changed
    assert all(example.arguments[argument] != text for argument, text in example.changed.items())
    assert relation in example.relation
    assert example.mine != example.again
    shown = repr(report)
    assert "The second call\n" in shown
    assert "mine, first call   " in shown or "mine, first call\n" in shown
    assert len(shown.splitlines()) < 90
    assert Report.from_json(report.as_json()) == report


def test_of_a_property_of_one_call_the_expected_result_is_shown() -> None:
    example = check(lambda scores: 2 * scores.softmax(-1), EXERCISES["softmax"]).example
    assert not example.again
    assert example.expected


def test_of_a_large_result_the_part_with_the_largest_difference_is_shown() -> None:
    example = check(lambda x: x * (x > 0) + 3 * (x > 8.9), EXERCISES["relu"]).example
    assert example.mine.startswith("result[57:65]:\n")
    assert {*example.arguments, *example.changed} == {"x[57:65]"}


def test_results_in_words() -> None:
    def pieces(word, vocabulary, unk_token="[UNK]"):
        return [piece.removeprefix("##") for piece in EXERCISES["split_word"].reference(word, vocabulary, unk_token)]

    report = check(pieces, EXERCISES["split_word"])
    assert "'##" in report.example.expected
    assert "'##" not in report.example.mine
    assert report.reason.startswith("The result is ['")


def test_boolean_results_differ_by_signs() -> None:
    example = check(lambda tokens: torch.ones(tokens, tokens).triu().bool(), EXERCISES["causal_mask"]).example
    assert example.mine.split() == ["[[", "True", "True]", "[False", "True]]"]
    assert example.difference == "[[= ≠]\n [≠ =]]"


def adamw(parameter, gradient, first_moment, second_moment, *others):
    result = EXERCISES["adamw_step"].reference(parameter, gradient, first_moment, second_moment, *others)
    return result[0], result[1], result[2] + 0.1


@pytest.mark.slow
def test_the_parts_of_a_tuple_have_the_names_of_the_docstring() -> None:
    report = check(adamw, EXERCISES["adamw_step"])
    assert report.reason.startswith("The second moment: 11 of 11 numbers differ")
    assert report.example.mine.startswith("second moment:\n")
    report = check(lambda *given: adamw(*given)[:2], EXERCISES["adamw_step"])
    assert report.reason == "The function returned 2 tensors, expected 3: new parameter, first moment, second moment."
    assert report.example.mine.startswith("result[0]:\n")
    report = check(lambda gradients, max_norm=1.0: (list(gradients), torch.tensor(1.0)), EXERCISES["clip_by_global_norm"])
    assert "`new gradients[" in report.reason


def test_a_changed_input_is_called_an_input() -> None:
    def in_place(scores):
        scores -= scores.amax(-1, keepdim=True)
        return scores.softmax(-1)

    example = check(in_place, EXERCISES["softmax"]).example
    assert example.mine.startswith("scores after the call:\n")


def test_arrays_are_tables() -> None:
    assert text_of(np.array([[True]])) == "[[ True]]"


def test_a_result_without_numbers_is_nothing() -> None:
    report = check(lambda mean_loss: mean_loss.exp().tolist()[:-1], EXERCISES["perplexity"])
    assert report.failed is Stage.SHAPE
    assert report.example.mine in ("nothing", "[]")


def test_a_single_number_is_not_counted() -> None:
    report = check(lambda *given: torch.tensor(math.inf), EXERCISES["unigram_entropy"])
    assert report.reason.startswith("The result is infinite, expected ")
