"""The check agrees with a teacher about answers that were written without a look at the catalogue of mistakes."""

import pytest

from minibert.classroom.report import Verdict
from tests.classroom.students.agreement import DISAGREEMENTS, NAMES, SENTENCES, agrees
from tests.classroom.students.expected import ANSWERS, Answer, Kind
from tests.classroom.students.report import judge, markdown

QUICK = {"softmax", "layer_norm", "gelu", "split_heads", "causal_mask", "lora"}
"""Exercises whose answers of the first set are checked in every run; CI checks the others after the suite."""

QUICK_OF_SECOND = {"softmax", "lora", "top_k_filter"}
QUICK_OF_THIRD = {"padding_mask", "relu", "split_word"}
QUICK_OF_FOURTH = {"clip_by_global_norm", "lora", "shift_right"}


def is_quick(answer: Answer) -> bool:
    name = answer.name.partition(".")[0]
    return answer.exercise in {"second": QUICK_OF_SECOND, "third": QUICK_OF_THIRD, "fourth": QUICK_OF_FOURTH}.get(name, QUICK)


@pytest.mark.parametrize(
    "answer",
    [pytest.param(answer, marks=[] if is_quick(answer) else [pytest.mark.slow], id=answer.name) for answer in ANSWERS],
)
@pytest.mark.usefixtures("without_shape_checks")  # a learner meets the error messages of torch
def test_the_check_agrees_with_the_teacher(answer) -> None:
    """Every wrong answer fails, every right one passes, and the named mistakes are those in the words of the teacher."""
    report = judge(answer)
    passes = answer.kind in (Kind.RIGHT, Kind.UNSAFE)
    assert (report.verdict in (Verdict.PASSED, Verdict.WARNING)) is passes, report
    if answer.name in DISAGREEMENTS:
        assert not agrees(answer, report), f"{answer.name} is judged well now: remove it from DISAGREEMENTS"
    else:
        assert agrees(answer, report), f"{answer.words}\n{report}"


def test_the_tables_list_existing_answers() -> None:
    assert {*NAMES, *SENTENCES, *DISAGREEMENTS} <= {answer.name for answer in ANSWERS}


def test_the_page_has_a_row_for_each_answer() -> None:
    judged = [(answer, judge(answer)) for answer in ANSWERS if answer.exercise == "gelu"]
    page = markdown(judged * 2)
    assert all(f"| `gelu` | `{answer.name}` |" in page for answer, _ in judged)
