"""The outcome of a call as a message: long texts are cut, and fields of another type are refused."""

from typing import Any

import pytest
import torch

from minibert.classroom.running import Outcome
from minibert.classroom.sandbox.outcomes import MESSAGE_LENGTH, decode, encode
from minibert.classroom.trail import Entry
from minibert.sandbox import Limits, Stopped
from minibert.sandbox.messages import WROTE_TO_SANDBOX


@pytest.mark.parametrize(("length", "sent"), [(MESSAGE_LENGTH, MESSAGE_LENGTH), (MESSAGE_LENGTH + 1, MESSAGE_LENGTH)])
def test_long_texts_are_cut(length: int, sent: int) -> None:
    text = "x" * length
    outcome = decode(encode(Outcome(error=text, printed=text, trail=[Entry(1, text, text, torch.ones(1))]), Limits()))
    (entry,) = outcome.trail
    assert [len(each) for each in (outcome.error or "", outcome.printed, entry.text, entry.label)] == [sent] * 4


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("error", 1), ("line", "1"), ("line_text", None), ("gradient_error", True), ("is_list", None), ("leaves_torch", "yes"),
        ("repeatable", 1), ("printed", 1),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_refused(field: str, wrong: Any) -> None:
    """Only an error, its line and the error of the gradients may be missing."""
    outcome = Outcome()
    setattr(outcome, field, wrong)
    with pytest.raises(Stopped, match=WROTE_TO_SANDBOX):
        decode(encode(outcome, Limits()))


def test_every_entry_of_a_trail_has_its_own_value() -> None:
    entries = [Entry(line, f"x = {line}", f"x{line}", torch.full((line,), float(line))) for line in (3, 1, 2)]
    received = decode(encode(Outcome(trail=entries), Limits())).trail
    assert [(each.line, each.text, each.label, each.value.tolist()) for each in received] == [
        (3, "x = 3", "x3", [3.0] * 3),
        (1, "x = 1", "x1", [1.0]),
        (2, "x = 2", "x2", [2.0] * 2),
    ]


def test_a_result_that_is_no_array_of_numbers_is_an_error_of_the_function() -> None:
    received = decode(encode(Outcome({"output": torch.eye(2).to_sparse()}, line=3), Limits()))
    assert (received.error or "").startswith("TypeError: the result cannot be read as numbers (")
    assert (received.line, received.outputs) == (3, {})


def test_a_result_that_is_too_large_stops_the_function() -> None:
    limits = Limits(answer=1000)
    with pytest.raises(Stopped, match="The function returned more than"):
        encode(Outcome({"output": torch.ones(1000)}), limits)
