"""The numbers that known mistakes give at a step, and the judgment of a predicted number."""

import inspect
import math
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from minibert.classroom import step_mistakes
from minibert.classroom.mistakes import MISTAKES, Kind
from minibert.classroom.step_mistakes import StepMistake, judge, mistakes_of, predictions_at
from minibert.equations import gelu, layer_norm, scaled_dot_product_attention, softmax
from minibert.model import GPT2Config, GPT2LMHeadModel
from minibert.study import walk
from minibert.study.stepthrough.arithmetic import ELEMENTWISE, REDUCTIONS, Cell, cell
from minibert.study.stepthrough.omissions import magnitude, omitted_numbers, symbols_of
from minibert.study.stepthrough.step import Step, Walk
from minibert.study.subject import load_subject, random_network, tokenizer_of

TEXT = "the cat sat on the [MASK] ."
SAME_NUMBERS = {
    "all axes of the keys reversed": "the shapes do not fit",
    "softmax without subtracting the maximum": "no score of the text overflows",
    "NaN for empty rows": "there are no empty rows",
    "maximum of all scores": "no score of the text is far above the others",
    "maximum added": "no score of the text overflows",
    "mask after the softmax, rescaled": "no masked score is far above the others",
    "scores divided by the root of the values' width": "values are as wide as queries",
    "keys not transposed": "the shapes do not fit",
    "weights returned instead of the output": "they have another shape",
    "weights returned too": "the output is the same",
    "normalization along the tokens of a sequence": "the tokens are the first axis, and that mistake is in the list",
    "mask of the first text": "there is one text",
    "mask with an axis too many": "the output has another shape",
    "fixed eps": "the network has the same eps",
    "fixed eps of PyTorch": "the numbers are those of PyTorch's default",
    "dropout without rescaling": "there is no dropout",
    "scores in half precision": "the network computes in single precision",
    "mean and variance detached": "only gradients differ",
    "variance as a difference": "the mean is small",
    "layer norm in half precision": "the network computes in single precision",
}
"""Mistakes that no reader can see in the numbers of a step of these walks, and the reason."""


@cache
def walks() -> tuple[Walk, Walk]:
    """A walk of an encoder, and one of a decoder, whose mask hides later tokens. Large weights give different scores."""
    encoder, pieces = load_subject(preset="tiny", texts=[TEXT])
    config = GPT2Config(hidden_size=24, num_attention_heads=3, num_hidden_layers=1)
    words = tokenizer_of([TEXT])
    decoder = random_network(GPT2LMHeadModel, config, words)
    with torch.no_grad():
        for parameter in (*encoder.parameters(), *decoder.parameters()):
            if parameter.ndim == 1:
                parameter += 0.1
            else:
                parameter *= 5
    return walk(encoder, pieces, TEXT), walk(decoder, words, TEXT)


@cache
def found() -> dict[str, list[tuple[Step, tuple[StepMistake, ...]]]]:
    """The steps in which each mistake changes the numbers, with all mistakes of the step."""
    steps: dict[str, list[tuple[Step, tuple[StepMistake, ...]]]] = {}
    for walked in walks():
        for step in walked.steps:
            mistakes = mistakes_of(walked, step.path)
            for mistake in mistakes:
                steps.setdefault(mistake.name, []).append((step, mistakes))
    return steps


def catalogue() -> Iterator[str]:
    functions = (scaled_dot_product_attention, softmax, layer_norm, gelu)
    for mistake in MISTAKES.values():
        if mistake.function in functions and mistake.kind is not Kind.EQUIVALENT:
            yield mistake.name


def largest_difference(step: Step, mistake: StepMistake) -> tuple[int, ...]:
    """Return the cell in which a mistake changes a step most."""
    difference = (mistake.output.nan_to_num(1e9, neginf=1.0) - step.output.nan_to_num(neginf=1.0)).abs()
    return tuple(int(place) for place in torch.unravel_index(difference.argmax(), difference.shape))


@pytest.mark.parametrize("name", [*catalogue()])
def test_number_of_each_mistake_is_named(name: str) -> None:
    """The number is typed with seven digits. The right number of the same cell is accepted."""
    if name in SAME_NUMBERS:
        assert name not in found()
        return
    for step, mistakes in found()[name]:
        mistake = next(each for each in mistakes if each.name == name)
        assert mistake.output.shape == step.output.shape
        index = largest_difference(step, mistake)
        typed, right = f"{float(mistake.output[index]):.6e}", float(step.output[index])
        known = [*predictions_at(mistakes, index)]
        same = [message for message, value in known if float(typed) == pytest.approx(value, rel=2e-6, nan_ok=True)]
        answer = judge(typed, right, known)
        assert mistake.message in same
        assert answer.verdict == "wrong"
        assert answer.message.endswith(same[0])
        assert judge(f"{right:.6e}", right, known).verdict == "right"
        assert judge("123.4567", right, known).message == "Not right, and not the number of a known mistake."


def test_forgotten_scale_is_named() -> None:
    """A reader computes the dot product of one query and one key, and forgets √d_k."""
    encoder, _ = walks()
    query, key = (encoder[f"layers.0.attention.{name}"].output[0, 1] for name in ("query", "key"))
    typed = float(query[3] @ key[5])
    mistakes = mistakes_of(encoder, "layers.0.attention.scores")
    answer = judge(f"{typed:.4g}", typed / math.sqrt(64), [*predictions_at(mistakes, (0, 1, 3, 5))])
    assert answer.message.endswith("You left out √d_k.")


def test_mistakes_of_a_step_differ_from_each_other_and_from_the_right_numbers() -> None:
    for walked in walks():
        for step in walked.steps:
            outputs = [step.output, *(mistake.output for mistake in mistakes_of(walked, step.path))]
            for number, one in enumerate(outputs):
                assert not any(torch.equal(one, other) for other in outputs[:number])


def test_mistakes_with_random_numbers_are_always_the_same() -> None:
    """So that a page of the same text has the same bytes."""
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append([mistake.output for mistake in mistakes_of(walks()[0], "layers.0.attention.context")])
    assert len(found[0]) > 9
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0, equal_nan=True)


def test_every_mistake_that_a_step_can_show_has_a_message() -> None:
    """It addresses the reader, or says what the numbers are."""
    for steps in found().values():
        for _, mistakes in steps:
            assert all(each.mistake.message.endswith(".") for each in mistakes)


def test_numbers_at_a_cell_are_those_of_the_catalogue_and_then_those_of_omissions() -> None:
    walked, path, index = walks()[0], "layers.0.attention.scores", (0, 1, 3, 5)
    found, omitted = mistakes_of(walked, path), [*omitted_numbers(walked[path], symbols_of(walked.steps), index)]
    assert found
    assert omitted
    assert [*step_mistakes.numbers_at(walked, path, index)] == [*predictions_at(found, index), *omitted]


def test_step_without_an_equation_has_no_mistakes() -> None:
    encoder, _ = walks()
    assert mistakes_of(encoder, "text.ids") == mistakes_of(encoder, "layers.0.attention_residual") == ()


def test_unknown_step_is_an_error_that_lists_similar_ones() -> None:
    with pytest.raises(KeyError, match=r"layers\.0\.attention\.scores"):
        mistakes_of(walks()[0], "layers.0.attention.score")


@pytest.mark.parametrize(
    ("typed", "value", "verdict"),
    [
        ("0.25", 0.2512, "right"),
        ("0.26", 0.2512, "wrong"),
        ("-1,5", -1.49, "right"),
        ("−1.5e-3", -0.0015, "right"),
        (" .5 ", 0.5, "right"),
        ("-∞", -math.inf, "right"),
        ("-inf", math.inf, "wrong"),
        ("1e3", -math.inf, "wrong"),
        ("nan", math.nan, "right"),
        ("0", math.nan, "wrong"),
        ("", 0.0, "unclear"),
        ("a lot", 0.0, "unclear"),
        ("1e999", 1.0, "unclear"),
        ("٣", 3.0, "unclear"),
        ("0", 0.2512, "wrong"),
        ("0.0", -1e-9, "right"),
        ("1.70325", 1.7032864, "right"),
        ("-1703.25", -1703.2864, "right"),
        ("1.70325", 1.7052, "wrong"),
        ("0.8201", 0.8200368, "right"),
        ("0.8209", 0.8200368, "wrong"),
        ("0.2", 0.2256, "unclear"),
        ("2", 2.0, "right"),
        ("0.00001", -1e-9, "wrong"),
    ],
)
def test_number_is_compared_with_the_digits_that_were_typed(typed: str, value: float, verdict: str) -> None:
    assert judge(typed, value).verdict == verdict


def test_one_digit_is_too_little_to_name_a_mistake() -> None:
    assert judge("2", 0.25, [("You left out √d_k.", 2.01)]).message == "Not right, and not the number of a known mistake."
    assert judge("0.3", 0.25001).message == "Right so far: this is the number with one digit. Type at least two digits."
    assert judge("0", 0.25, [("You masked it.", 0.0)]).message.endswith("You masked it.")


def test_number_with_enough_digits_is_the_nearest_of_the_right_one_and_those_of_mistakes() -> None:
    assert judge("1.70325", 1.7032864, [("You left out ε.", 1.70325)]).message.endswith("You left out ε.")
    assert judge("1.70330", 1.7032864, [("You left out ε.", 1.70325)]).verdict == "right"


def test_a_mistake_that_rounding_hides_is_none() -> None:
    assert judge("1.7033", 1.7032864, [("You left out ε.", 1.7032866)]).verdict == "right"
    assert judge("1.70329", 1.7032864, [("You left out ε.", 1.7032866)]).verdict == "right"


def test_a_batch_of_one_is_left_out_of_arguments_with_more_axes() -> None:
    shapes = [(1, 3), (1, 2, 3), (2, 3), (1,), (3,), ()]
    found = [tuple(step_mistakes._without_batch(torch.zeros(shape)).shape) for shape in shapes]
    assert found == [(3,), (2, 3), (2, 3), (1,), (3,), ()]
    assert [step_mistakes._without_batch(value) for value in (0.5, None, [1])] == [0.5, None, [1]]


@pytest.mark.parametrize(("typed", "is_named"), [("2.0", True), ("2.", False), ("2", False), ("0.02e2", False)])
def test_two_digits_are_enough_to_name_a_mistake(typed: str, is_named: bool) -> None:
    """Zeros at the beginning are no digits that count."""
    assert judge(typed, 0.25, [("You left out √d_k.", 2.01)]).message.endswith("You left out √d_k.") is is_named


@pytest.mark.parametrize(
    ("typed", "value", "mistakes"),
    [("5e-10", 0.0, []), ("5e-10", 1.0, [("You masked it.", 0.0)]), ("5", 1.0, [("You add.", 4.0)])],
)
def test_a_small_number_is_not_near_to_zero(typed: str, value: float, mistakes: list[tuple[str, float]]) -> None:
    assert judge(typed, value, mistakes).message == "Not right, and not the number of a known mistake."


def test_the_difference_of_two_mistakes_is_more_than_rounding() -> None:
    """It is larger than a millionth for numbers near zero."""
    zero = torch.zeros(2)
    assert [step_mistakes._equal(zero, zero + difference) for difference in (0.95e-6, 1.05e-6)] == [True, False]
    large = torch.full((2,), 1000.0)
    assert [step_mistakes._equal(large, large + difference) for difference in (0.009, 0.011)] == [True, False]


def test_a_lost_sign_is_named() -> None:
    assert judge("1.5", -1.5).message == "Not right. This is the number of a known mistake. The sign is wrong."
    assert judge("0", 0.0).verdict == "right"


def test_the_rounding_of_a_small_sum_of_large_numbers_is_right() -> None:
    """Each of the two products is rounded to four digits: 3.142 - 3.141."""
    assert judge("0.001", 3.14159 - 3.14121, magnitude=0.0).verdict == "wrong"
    assert judge("0.0006", 3.14159 - 3.14121, magnitude=3.14159).verdict == "right"
    assert judge("0.001", 3.14159 - 3.14121, magnitude=3.14159).verdict == "wrong"


def test_calculation_with_the_shown_digits_is_right() -> None:
    """A reader computes cells of every step from inputs that are rounded to the five digits of the page."""
    encoder, _ = walks()
    generator, symbols = np.random.default_rng(0), symbols_of(encoder.steps)
    for step in encoder.steps:
        if step.expression is None or not step.output.is_floating_point():
            continue
        index = tuple(int(generator.integers(size)) for size in step.output.shape)
        exact = cell(step.expression, index)
        rounded = recomputed(exact)
        known = [*omitted_numbers(step, symbols, index)]
        assert judge(f"{rounded:.5g}", float(step.output[index]), known, magnitude(exact)).verdict == "right", (
            step.path,
            rounded,
            exact.value,
            magnitude(exact),
            known,
        )


def recomputed(part: Cell) -> float:
    """Return the number of a cell, computed from leaves of five digits."""
    if part.leaf is not None or part.operation == "number":
        return float(f"{part.value:.5g}")
    numbers = [recomputed(each) for each in part.parts]
    if part.operation in ("matmul", "linear"):
        return sum(numbers)
    return float({**ELEMENTWISE, **REDUCTIONS}[part.operation](*([numbers] if part.operation in REDUCTIONS else numbers)))


@pytest.mark.parametrize(("axes", "shape"), [((), (1, 2, 2)), (("batch", "rows"), (2, 2)), (("rows", "columns"), (1, 2, 2))])
def test_the_batch_of_one_is_left_out_if_it_is_the_first_axis_of_the_step(axes: tuple[str, ...], shape) -> None:
    scores = torch.tensor([[[1.0, 2.0], [3.0, 5.0]]])
    given = []

    def function(scores: torch.Tensor) -> torch.Tensor:
        given.append(tuple(scores.shape))
        return 2 * softmax(scores)

    step = SimpleNamespace(name="weights", axes=tuple(SimpleNamespace(name=name) for name in axes), output=softmax(scores))
    call = SimpleNamespace(equation="softmax", arguments={"scores": scores})
    output = inspect.unwrap(step_mistakes._output)(step, function, call)
    torch.testing.assert_close(output, 2 * step.output)
    assert given == [shape]


def test_a_mistake_with_the_numbers_of_an_earlier_one_is_left_out(monkeypatch) -> None:
    walked, path = walks()[0], "layers.0.attention.weights"
    variants = [(MISTAKES[name], lambda number=number: number) for name, number in (("no scale", 2), ("mask inverted", 2))]
    monkeypatch.setattr(step_mistakes, "_variants", lambda equation: (*variants, (MISTAKES["sum over all rows"], lambda: 3)))
    monkeypatch.setattr(step_mistakes, "_output", lambda step, function, call: function() * step.output)
    assert [each.name for each in mistakes_of(walked, path)] == ["no scale", "sum over all rows"]
