"""The verdicts about functions that return something else, fail, print, keep state or change settings; and their sentences."""

import json
import math
import random
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from minibert import equations
from minibert.classroom.checking import check, check_function
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.probes import probes
from minibert.classroom.report import Report, Stage, Verdict
from minibert.classroom.running import LocalRunner, Outcome
from tests.classroom.students.fourth import multi_head_attention_layer
from tests.classroom.students.third import mask_tokens

SOFTMAX, ATTENTION = EXERCISES["softmax"], EXERCISES["scaled_dot_product_attention"]


def report_of(function, exercise=SOFTMAX) -> Report:
    return check_function(exercise, LocalRunner(exercise, function), find=None)


def attention(value, key, query, keep=None):
    scores = query @ key.mT / math.sqrt(key.shape[-1])
    scores = scores if keep is None else scores.masked_fill(~keep, -math.inf)
    return scores.softmax(-1).nan_to_num() @ value


def with_lists(scores):
    def rows(values):
        if isinstance(values[0], list):
            return [rows(row) for row in values]
        exponentials = [math.exp(value - max(values)) for value in values]
        return [value / sum(exponentials) for value in exponentials]

    return rows(scores.tolist())


def with_arrays(scores):
    scores = np.asarray(scores, dtype=np.float64)
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def with_other_settings(scores):
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(3)
    random.seed(1)
    torch.use_deterministic_algorithms(mode=False)
    return scores.softmax(-1)


RIGHT = {
    "other order by name": (attention, ATTENTION),
    "other names": (lambda q, k, v, mask=None: attention(v, k, q, mask), ATTENTION),
    "some other names": (lambda q, key, value, mask=None: attention(value, key, q, mask), ATTENTION),
    "any arguments": (lambda *args: args[0].softmax(-1), SOFTMAX),
    "any names": (lambda **given: given["scores"].softmax(-1), SOFTMAX),
    "the rest in order": (
        lambda parameter, *others: EXERCISES["adamw_step"].reference(parameter, *others),
        EXERCISES["adamw_step"],
    ),
    "by name only": (lambda *, scores: scores.softmax(-1), SOFTMAX),
    "one more parameter": (lambda x, dim=-1: x.softmax(dim), SOFTMAX),
    "a module": (torch.nn.Softmax(dim=-1), SOFTMAX),
    "float64": (lambda scores: scores.double().softmax(-1), SOFTMAX),
    "arrays": (with_arrays, SOFTMAX),
    "settings": (with_other_settings, SOFTMAX),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_functions_pass_in_every_form(name: str) -> None:
    report = report_of(*RIGHT[name])
    assert report.passed, report
    assert torch.get_default_dtype() is torch.float32
    assert (report.mistakes, report.reason, report.warnings) == ([], "", [])


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (with_lists, "softmax"),
        (lambda tokens: [[key <= query for key in range(tokens)] for query in range(tokens)], "causal_mask"),
        (lambda lengths, tokens: tuple(equations.padding_mask(lengths, tokens).tolist()), "padding_mask"),
    ],
)
def test_a_list_in_place_of_a_tensor_passes_with_a_warning(function, name: str) -> None:
    report = report_of(function, EXERCISES[name])
    assert report.verdict is Verdict.WARNING
    assert report.warnings[-1].startswith("The function returns a list, the stub a tensor")


def test_functions_without_gradients_pass_with_a_note_if_they_do_not_use_torch() -> None:
    for function in (with_lists, with_arrays, lambda scores: torch.from_numpy(with_arrays(scores.detach().numpy())).float()):
        assert "gradients were not checked" in report_of(function).notes[0]
    assert not report_of(lambda scores: scores.softmax(-1)).notes


def test_gradients_are_checked_if_only_labels_and_counts_become_numbers() -> None:
    def loss(logits, labels):
        losses = equations.cross_entropy(logits, labels)
        return losses.sum() / max((labels != equations.IGNORE_INDEX).sum().item(), 1)

    assert not report_of(loss, EXERCISES["masked_lm_loss"]).notes
    detached = report_of(lambda logits, labels: loss(logits.detach(), labels), EXERCISES["masked_lm_loss"])
    assert detached.failed is Stage.GRADIENTS


def test_a_changed_array_is_copied_as_arrays_are() -> None:
    report = report_of(mask_tokens.answer_06, EXERCISES["mask_tokens"])
    assert (report.failed, "input_ids.copy()" in report.reason) == (Stage.INPUTS, True)


def test_a_gradient_at_a_limit_is_a_warning() -> None:
    report = report_of(lambda x: x.clamp(min=0), EXERCISES["relu"])
    assert (report.verdict, report.mistakes[0].name) == (Verdict.WARNING, "gradient of one at zero")


def in_place(scores):
    scores -= scores.amax(-1, keepdim=True)
    return scores.exp() / scores.exp().sum(-1, keepdim=True)


def with_nan(scores):
    result = scores.softmax(-1).clone()
    result[..., 0] = math.nan
    return result


def without_graph(scores):
    torch.set_grad_enabled(False)
    return scores.softmax(-1)


def generator(scores):
    yield scores


class TextFails(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def fails(error: BaseException):
    def function(scores):
        raise error

    return function


WRONG = {
    "None": (lambda scores: None, Stage.RUNS, "the function returned None; does it end with `return`?"),
    "generator": (generator, Stage.RUNS, "an object of type generator, which has no numbers"),
    "text": (lambda scores: "hello", Stage.RUNS, "an object of type str"),
    "missing parameter": (lambda: 1, Stage.RUNS, "no parameter for scores; its parameters: none"),
    "exit": (lambda scores: sys.exit(3), Stage.RUNS, "SystemExit: 3"),
    "error without a text": (fails(TextFails()), Stage.RUNS, "TextFails"),
    "tuple of one": (lambda scores: (scores.softmax(-1),), Stage.SHAPE, "a comma at the end of the `return` line"),
    "list of tensors": (
        lambda scores: [row.softmax(-1) for row in scores],
        Stage.SHAPE,
        "tensors in a tuple, list or dictionary",
    ),
    "dictionary": (lambda scores: {"weights": scores.softmax(-1)}, Stage.SHAPE, "returned 1 tensor in a"),
    "shape": (lambda scores: scores.softmax(-1).mT, Stage.SHAPE, "choices) = ("),
    "whole numbers": (lambda scores: scores.softmax(-1).round().int(), Stage.DTYPE, "int32, expected float32"),
    "complex": (lambda scores: scores.softmax(-1).to(torch.complex64), Stage.DTYPE, "complex64, expected float32"),
    "NaN": (with_nan, Stage.FINITE, "numbers are NaN, the first at [0, 0, 0], expected 0."),
    "in place": (in_place, Stage.INPUTS, "changes its argument `scores`"),
    "no graph": (without_graph, Stage.GRADIENTS, "no gradient flows"),
    "detached": (lambda scores: scores.detach().softmax(-1), Stage.GRADIENTS, "no gradient flows"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_functions_fail_in_the_first_part_with_a_sentence(name: str) -> None:
    function, stage, sentence = WRONG[name]
    report = report_of(function)
    assert not report.passed
    assert (report.failed, torch.is_grad_enabled()) == (stage, True)
    assert sentence in report.reason


@pytest.mark.parametrize("name", WRONG)
def test_what_a_question_explains_is_not_called_an_unknown_mistake(name: str) -> None:
    shown = repr(report_of(WRONG[name][0]))
    assert "Not a known mistake" not in shown


def test_an_error_that_only_some_inputs_raise_names_the_input(without_shape_checks: None) -> None:
    report = report_of(multi_head_attention_layer.answer_03, EXERCISES["multi_head_attention_layer"])
    assert "must be Tensor, not tuple. The input: given keys and values." in report.reason
    assert "keys_from a tuple of 2 tensors of shapes (" in report.reason


def test_an_error_that_every_input_raises_names_none() -> None:
    reason = report_of(lambda scores: 1 / 0).reason
    assert reason == "ZeroDivisionError: division by zero"


@pytest.mark.slow
def test_the_expected_kind_of_result_is_that_of_the_exercise() -> None:
    def many_parts(model, batches, optimizer, schedule, max_grad_norm=1.0):
        return [1.0], [2.0, 3.0]

    assert report_of(many_parts, EXERCISES["training_steps"]).reason.endswith("expected list[float].")


@pytest.mark.slow
def test_a_parameter_that_is_added_to_the_module_changes_an_input() -> None:
    exercise = EXERCISES["encoder_layer"]

    def encoder_layer(self, *arguments):
        self.added = torch.nn.Parameter(torch.ones(2))
        return exercise.reference(self, *arguments)

    report = check(encoder_layer, exercise)
    assert report.failed is Stage.INPUTS
    assert "`self.added`" in report.reason


def test_a_mask_of_ones_and_zeros_gets_advice() -> None:
    name = next(name for name in EXERCISES if "mask" in name)
    exercise = EXERCISES[name]
    report = report_of(lambda *args: exercise.reference(*args) * 1, exercise)
    assert report.failed is Stage.DTYPE
    assert "expected bool" in report.reason
    assert "mask.bool()" in report.reason


def test_values_have_numbers_and_a_place() -> None:
    report = report_of(lambda query, key, value, keep=None: 2 * attention(value, key, query, keep), ATTENTION)
    assert (report.failed, report.verdict) == (Stage.VALUES, Verdict.WRONG)
    assert "numbers differ, most at [" in report.reason


def test_a_result_that_is_kept_between_calls_fails() -> None:
    kept = {}

    def cached(scores):
        return kept.setdefault(scores.shape, with_arrays(scores))

    count = iter(range(10**6))
    reports = report_of(cached), report_of(lambda scores: with_arrays(scores) * (1 + (next(count) > 11)))
    assert not any(report.passed for report in reports)
    assert "Does it keep something from an earlier call" in reports[0].reason


def test_what_a_function_prints_is_kept_and_not_printed(capfd) -> None:
    def prints(scores):
        print("\x1b[31mhello" * 1000)
        return scores.softmax(-1)

    report = report_of(prints)
    assert report.passed
    assert 0 < len(report.printed) <= 2_000
    assert capfd.readouterr().out == ""


def test_a_check_leaves_the_random_generator_alone() -> None:
    before = torch.get_rng_state()
    report_of(with_other_settings)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stopped_process_ends_the_check() -> None:
    calls = []

    def runner(arguments, gradients, trail=False):
        calls.append(arguments)
        return Outcome(stopped="It ran longer than 10 s.", line=7)

    report = check_function(SOFTMAX, runner)
    assert (report.verdict, report.reason, report.line, len(calls)) == (Verdict.STOPPED, "It ran longer than 10 s.", 7, 1)


def stopped_if(condition: Callable[[torch.Tensor, int], bool], function) -> Callable[..., Outcome]:
    """Return a runner that is stopped if the condition holds for the scores and the number of the call."""
    local, calls = LocalRunner(SOFTMAX, function), []

    def runner(arguments, gradients, trail=False):
        calls.append(arguments)
        is_stopped = condition(arguments["scores"], len(calls))
        return Outcome(stopped="It ran longer than 10 s.") if is_stopped else local(arguments, gradients, trail)

    return runner


def test_a_process_that_is_stopped_in_the_search_gives_the_known_input() -> None:
    report = check_function(SOFTMAX, stopped_if(lambda scores, _: scores.numel() < 4, lambda scores: scores.softmax(-1)[None]))
    assert (report.verdict, report.failed) == (Verdict.WRONG, Stage.SHAPE)
    assert report.example.arguments["scores"] == "4 × 3 × 6 numbers"


def test_a_process_that_is_stopped_after_the_known_inputs_ends_the_check() -> None:
    known = len(probes(SOFTMAX))
    report = check_function(SOFTMAX, stopped_if(lambda _, number: number > known, lambda scores: scores.softmax(-1)))
    assert (report.verdict, report.reason) == (Verdict.STOPPED, "It ran longer than 10 s.")


def test_a_report_survives_json_and_is_the_same_for_the_same_code() -> None:
    def wrong(scores):
        return 3 * scores.softmax(-1)

    reports = [check(wrong, SOFTMAX).as_json() for _ in range(2)]
    assert reports[0] == reports[1]
    assert Report.from_json(json.loads(json.dumps(reports[0]))).as_json() == reports[0]
