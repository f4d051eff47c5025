"""Hints of three levels: a question, the place, and the line of the reference with a blank.

If a check names a mistake, all of them are about this mistake.
"""

import inspect
import re
from dataclasses import dataclass
from enum import StrEnum

from minibert.classroom.blanks import BLANK, Statement
from minibert.classroom.exercise import Exercise
from minibert.classroom.mistakes import MISTAKES, Mistake
from minibert.classroom.mistakes.variants import source_of
from minibert.classroom.report import Report, Stage, Verdict
from minibert.classroom.solution import solution_function
from minibert.classroom.stubs import formulas, known_names
from minibert.classroom.value_words import computed_values, in_words
from minibert.study.equations.formulas import plain
from minibert.study.stepthrough.documentation import documented_steps

LEFT_OUT = "Which part of {target} does your code not compute? Go through it part by part."
CALLED = "Which arguments does your call of `{name}` have? Compare all of them with the formula, then look at its own code."
LINE = "What is the line `{code}` of the reference for, and which line of your code does it?"
QUESTIONS = (
    (r"dim", "Along which axis is {target} computed? Write down the shape of each value, with the names of the axes."),
    (
        r"[<>]=?|[=!]=|tril|triu|maskable",
        "For which positions does the condition in {target} hold? Try the first, the last, and one at the limit.",
    ),
    (r".*", "From which values is {target} computed, and by which operations? Compare each of them with your code."),
)
"""A pattern of the code that a mistake removes, and a question about it. The first pattern that is found counts."""
FIRST_QUESTIONS = {
    Stage.RUNS: "Which type and which shape has each value in the line of the error? Print them in the line before it.",
    Stage.SHAPE: "Which shape has each value of your code? Write it down line by line: which is the first that is not right?",
    Stage.DTYPE: "Which line decides the data type of the result?",
    Stage.INPUTS: "Which line changes a tensor in place, as `+=` and methods with `_` at their end do?",
    Stage.FINITE: "Where is a number divided by zero, or too large for an exponential?",
    Stage.GRADIENTS: "Which line computes with numbers that have no gradient, or changes the graph?",
}
"""Questions about the part of the check that failed, if the mistake is unknown."""


class Level(StrEnum):
    """Level of a hint, from the weakest to the strongest."""

    QUESTION = "question"
    PLACE = "place"
    LINE = "line"


@dataclass(frozen=True)
class Hint:
    """A hint."""

    level: Level
    text: str
    code: str = ""
    """A line of the reference, for the last level."""

    def __str__(self) -> str:
        return f"{self.text} {self.code}" if self.code else self.text


def hints(exercise: Exercise, report: Report | None = None) -> tuple[Hint, ...]:
    """Return the hints of an exercise, the weakest first.

    Args:
        report: the last check, if there was one. If it names mistakes, the hints are about them.
    """
    mistakes = _mistakes(exercise, report)
    if mistakes:
        statements = [Statement.of_mistake(source_of(inspect.unwrap(each.function)), each) for each in mistakes]
        questions = [_question_about(exercise, *pair) for pair in zip(mistakes, statements, strict=True)]
        places = [_place_of_mistake(exercise, *pair) for pair in zip(mistakes, statements, strict=True)]
    else:
        statements = [Statement.of_result(solution_function(exercise))]
        has_failed = report is not None and report.verdict is not Verdict.STOPPED  # code that is stopped has no error
        first = FIRST_QUESTIONS.get(report.failed) if report and report.failed and has_failed else None
        questions = [*filter(None, [first]), *(exercise.questions or (_question(exercise),))]
        places = [_place(exercise)]
    if report and report.line:
        text = report.line_text.strip()
        places[0] = f"Look at line {report.line} of your code{f', `{text}`' if text else ''}. {places[0]}"
    codes = [source_of(inspect.unwrap(each.function)) for each in mistakes] or [solution_function(exercise)]
    lines = [_with_legend(exercise, statement.with_blank(), code) for statement, code in zip(statements, codes, strict=True)]
    return (
        *(Hint(Level.QUESTION, question) for question in questions),
        *(Hint(Level.PLACE, place) for place in places),
        *(Hint(Level.LINE, "Fill the blank:" if BLANK in line else "The line of the reference:", line) for line in lines),
    )


def next_hint(exercise: Exercise, given: int, report: Report | None = None) -> Hint:
    """Return the next hint after some were given; after the last one, the last one again."""
    found = hints(exercise, report)
    return found[min(given, len(found) - 1)]


def _question(exercise: Exercise) -> str:
    latex = formulas(exercise)
    parts = f"each part of {plain(latex[0])}" if latex else "each step"
    return f"Which operation of PyTorch computes {parts}, and which shape does its result have?"


def _mistakes(exercise: Exercise, report: Report | None) -> list[Mistake]:
    """Return the mistakes that a report names, without those in an argument that the exercise does not have."""
    names = [mistake.name for mistake in report.mistakes] if report else []
    found = [MISTAKES[name] for name in names if name in MISTAKES and MISTAKES[name] in exercise.mistakes]
    return [mistake for mistake in found if not _is_in_other_argument(exercise, mistake)]


def _is_in_other_argument(exercise: Exercise, mistake: Mistake) -> bool:
    """Return True for a change of the default of an argument that the stub does not have, such as `bias_correction`."""
    name = mistake.edits[0][0].strip().partition(":")[0]
    function = inspect.unwrap(mistake.function)
    has_argument = name in inspect.signature(function).parameters
    return function is inspect.unwrap(exercise.reference) and has_argument and name not in exercise.parameters


def _question_about(exercise: Exercise, mistake: Mistake, statement: Statement) -> str:
    question = next(text for pattern, text in QUESTIONS if re.search(rf"(?<!\w)(?:{pattern})(?!\w)", statement.removed))
    if not statement.computes:
        question = LINE
    elif statement.only_removes:
        question = LEFT_OUT
    if _is_called_exercise(exercise, mistake) and question in (LEFT_OUT, QUESTIONS[-1][1]):
        return CALLED.format(name=mistake.function.__name__)
    target = _target(exercise, mistake, statement)
    return _function_of(exercise, mistake) + question.format(target=target, code=statement.code)


def _function_of(exercise: Exercise, mistake: Mistake) -> str:
    """Return "In softmax: " for a mistake in a function that the reference of the exercise calls."""
    function = inspect.unwrap(mistake.function)
    return "" if function is inspect.unwrap(exercise.reference) else f"In {function.__name__}: "


def _is_called_exercise(exercise: Exercise, mistake: Mistake) -> bool:
    """Return True for a mistake in the function of an earlier exercise, of which the learner may have written the call only."""
    return inspect.unwrap(mistake.function).__name__ in exercise.needs


def _target(exercise: Exercise, mistake: Mistake, statement: Statement) -> str:
    """Return the variable that a mistake changes: its name if the learner knows it, else words for it."""
    values = computed_values(source_of(inspect.unwrap(mistake.function)))
    name = statement.target.strip("`")
    return in_words(name, values[name], known_names(exercise)) if name in values else statement.target


def _with_legend(exercise: Exercise, line: str, code: str) -> str:
    """Add words for the names in a line of the reference that the learner does not know."""
    known = known_names(exercise)
    values = computed_values(code)
    assigned = re.match(r"(\w+) = ", line)
    unknown = [
        name
        for name in dict.fromkeys(re.findall(r"\b(?<!\.)[^\W\d]\w*", line))
        if name in values and name not in known and not (assigned and assigned[1] == name)
    ]
    words = " and ".join(f"`{name}` is {in_words(name, values[name], known)}" for name in unknown)
    return f"{line}  (here {words})" if words else line


def _place_of_mistake(exercise: Exercise, mistake: Mistake, statement: Statement) -> str:
    function = inspect.unwrap(mistake.function)
    if _is_called_exercise(exercise, mistake):
        return f"Look at your call of `{function.__name__}`, and at its code if you wrote it."
    where, target = _function_of(exercise, mistake), _target(exercise, mistake, statement)
    if step := documented_steps(function).get(statement.step):
        return f"{where}The step {statement.step}: {plain(step.formula)}. {step.explanation}"
    if values := _values_in_order(exercise, source_of(function)):
        return f"{where}The reference computes, in this order: {', '.join([*values, 'the result'])}. Look at {target}."
    if not where and (latex := formulas(exercise)):
        return f"It is one line, the formula itself: {'; '.join(map(plain, latex))}"
    return f"{where}Look at {target}."


def _place(exercise: Exercise) -> str:
    code = solution_function(exercise)
    if values := _values_in_order(exercise, code):
        return f"The reference computes, in this order: {', '.join([*values, 'the result'])}."
    if latex := formulas(exercise):
        return f"It is one line, the formula itself: {'; '.join(map(plain, latex))}"
    return f"The solution has {code.strip().count(chr(10))} lines."


def _values_in_order(exercise: Exercise, code: str) -> list[str]:
    """Return the variables that a function computes, in words if the learner does not know their names."""
    known = known_names(exercise)
    return [in_words(name, value, known) for name, value in computed_values(code).items()]
