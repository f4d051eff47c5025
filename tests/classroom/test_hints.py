"""Hints: a question, the place, and the line of the reference with a blank."""

import ast
import inspect
import re

import pytest

from minibert.classroom.checking import check
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.hints import BLANK, Level, hints, next_hint
from minibert.classroom.mistakes import MISTAKES, Kind
from minibert.classroom.mistakes.variants import source_of
from minibert.classroom.report import Named, Report, Stage, Verdict
from minibert.classroom.stubs import known_names
from minibert.classroom.value_words import computed_values, in_words

every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)


@every_exercise
def test_every_exercise_has_hints_of_three_levels(exercise) -> None:
    found = hints(exercise)
    assert [level for level in Level if level in {hint.level for hint in found}] == list(Level)
    assert all(len(hint.text) > 10 for hint in found)
    assert found[-1].code


def others_of(exercise) -> set[str]:
    """Return the names of the arguments that the reference has and the stub does not have."""
    return inspect.signature(inspect.unwrap(exercise.reference)).parameters.keys() - exercise.parameters.keys()


@every_exercise
def test_every_mistake_of_the_catalogue_has_its_line(exercise) -> None:
    """The last hint for a mistake is a line without `observe`, and never the whole solution of several lines."""
    for mistake in exercise.mistakes:
        argument = mistake.edits[0][0].partition(":")[0]
        is_general = argument in others_of(exercise)  # the hints are then those of the exercise
        if mistake.kind is not Kind.EQUIVALENT and not is_general:
            question, place, line = hints(exercise, Report(exercise.name, Verdict.WRONG, mistakes=[Named.of(mistake)]))
            assert (question.level, place.level, line.level) == (*Level,)
            assert question.text not in exercise.questions
            assert line.code.count(BLANK) <= 2
            assert not re.fullmatch(rf"(return )?{BLANK}", line.code)
            assert "\n" not in line.code
            assert "observe(" not in line.code


def of_mistake(name: str):
    exercise = EXERCISES["scaled_dot_product_attention"]
    mistake = next(mistake for mistake in exercise.mistakes if mistake.name == name)
    return hints(exercise, Report(exercise.name, Verdict.WRONG, mistakes=[Named.of(mistake)]))


def test_the_place_and_the_line_are_those_of_the_mistake() -> None:
    *_, place, line = of_mistake("no scale")
    assert "S = P/√d_k" in place.text
    assert line.code == f"scores = dot_products {BLANK}  (here `dot_products` is the matrix product)"


def test_the_place_is_the_line_of_the_learner_if_the_report_names_one() -> None:
    report = Report("softmax", Verdict.WRONG, line=7, line_text="    return scores.exp()")
    place = next(hint for hint in hints(EXERCISES["softmax"], report) if hint.level is Level.PLACE)
    assert place.text.startswith("Look at line 7 of your code, `return scores.exp()`.")


@every_exercise
def test_hints_use_no_name_that_only_the_reference_has(exercise) -> None:
    """Of the last hint, the line of the reference, such names are explained in words."""
    reports = [None, *(Report(exercise.name, Verdict.WRONG, mistakes=[Named.of(mistake)]) for mistake in exercise.mistakes)]
    functions = {inspect.unwrap(exercise.reference), *(inspect.unwrap(mistake.function) for mistake in exercise.mistakes)}
    assigned = {name for function in functions for name in computed_values(source_of(function))}
    unknown = {name for name in assigned - known_names(exercise) if name.isidentifier() and name != exercise.name}
    for report in reports:
        for hint in hints(exercise, report):
            assert unknown.isdisjoint(re.findall(r"`(\w+)`", hint.text)), hint
            line, _, legend = hint.code.partition("  (here ")
            used = re.findall(r"(?<![.\w])(\w+)(?!\w|\()", line.partition(" = ")[2] or line)
            if hint.level is Level.LINE and report is None:
                assert unknown & {*used} <= {*re.findall(r"`(\w+)` is", legend)}, hint


def test_a_mistake_in_the_function_of_an_earlier_exercise_may_be_in_its_call() -> None:
    report = Report("add_and_norm", Verdict.WRONG, mistakes=[Named.of(MISTAKES["fixed eps"])])
    question, place, _ = hints(EXERCISES["add_and_norm"], report)
    assert question.text.startswith("Which arguments does your call of `layer_norm` have?")
    assert "your call of `layer_norm`" in place.text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x.exp()", "the value of `exp`"),
        ('observe("a", a @ b)', "the matrix product"),
        ("a - b", "the difference"),
        ("x.topk(k).values[..., -1:]", "the part of the value of `topk`"),
        ("-(a / b)", "the quotient"),
        ("None if keep is None else keep.unsqueeze(-3)", "the value of `unsqueeze`"),
        ("x.shape[-1]", "the size of an axis"),
        ("a == b", "the comparison"),
        ("b", "the value of a step"),
    ],
)
def test_values_of_the_reference_are_described_by_their_last_operation(code: str, words: str) -> None:
    assert in_words("hidden_name", ast.parse(code, mode="eval").body, {"x"}) == words
    assert in_words("x", ast.parse(code, mode="eval").body, {"x"}) == "`x`"


@pytest.mark.parametrize(
    ("exercise", "name", "question", "line"),
    [
        ("softmax", "sum over all rows", "Along which axis is the result computed?", "exponentials.sum(____)"),
        ("softmax", "softmax over the first axis", "Along which axis is the result computed?", "exponentials.sum(dim=____"),
        ("softmax", "softmax over all axes", "Along which axis is the result computed?", "exponentials.sum(____)"),
        ("softmax", "exponentials not normalized", "Which part of the result does your code not", "return exponentials ____"),
        ("padding_mask", "padding mask one too long", "For which positions does the condition in", ") ____ lengths"),
        (
            "scaled_dot_product_attention",
            "mask transposed",
            "the value of `masked_fill` computed",
            ".masked_fill(~____, -",
        ),
        ("scaled_dot_product_attention", "sum over all rows", "In softmax: Along which axis", "exponentials.sum(____)"),
        ("greedy_decoding", "stop with the first finished text", "the line `if finished.all():`", "if finished.____():"),
        ("training_steps", "schedule forgotten", "the line `schedule.step()`", "schedule.____()"),
        ("layer_norm", "eps of PyTorch", "the line `eps: float = 1e-12,`", "eps: float = ____"),
    ],
)
def test_the_question_and_the_blank_are_about_the_mistake(exercise, name, question, line) -> None:
    found = {each.name: each for each in EXERCISES[exercise].mistakes}
    given = hints(EXERCISES[exercise], Report(exercise, Verdict.WRONG, mistakes=[Named.of(found[name])]))
    assert question in given[0].text
    assert line in given[-1].code


def test_two_mistakes_have_their_hints_of_the_same_level_together() -> None:
    exercise = EXERCISES["layer_norm"]
    named = [
        Named.of(mistake) for mistake in exercise.mistakes if mistake.name in ("no bias after the norm", "mean not subtracted")
    ]
    found = hints(exercise, Report("layer_norm", Verdict.WRONG, mistakes=named))
    assert [hint.level for hint in found] == [level for level in Level for _ in named]


def test_of_an_unknown_mistake_the_first_question_is_about_what_failed() -> None:
    first, second, *_ = hints(EXERCISES["softmax"], Report("softmax", Verdict.WRONG, Stage.SHAPE))
    assert "shape" in first.text
    assert second.text == EXERCISES["softmax"].questions[0]


def test_without_an_error_no_question_is_about_its_line() -> None:
    """An empty stub was not begun, and code that is stopped, such as an endless loop, has no error."""

    def softmax(scores):
        raise NotImplementedError

    exercise = EXERCISES["softmax"]
    empty = check(softmax, exercise)
    stopped = Report("softmax", Verdict.STOPPED, Stage.RUNS, "The code did not finish in 10 seconds.")
    assert empty.verdict is Verdict.EMPTY
    assert hints(exercise, empty) == hints(exercise, stopped) == hints(exercise)


def test_hints_come_in_order_and_the_last_one_stays() -> None:
    exercise = EXERCISES["scaled_dot_product_attention"]
    levels = [next_hint(exercise, given).level for given in range(6)]
    assert levels == [Level.QUESTION, Level.QUESTION, Level.PLACE, Level.LINE, Level.LINE, Level.LINE]


@every_exercise
def test_no_hint_is_about_an_argument_that_the_stub_does_not_have(exercise) -> None:
    """Such as `bias_correction` of AdamW, whose default is False in one entry of the catalogue."""
    for mistake in exercise.mistakes:
        if mistake.kind is not Kind.EQUIVALENT:
            for hint in hints(exercise, Report(exercise.name, Verdict.WRONG, mistakes=[Named.of(mistake)])):
                assert not [name for name in others_of(exercise) if f"`{name}: " in str(hint)]
