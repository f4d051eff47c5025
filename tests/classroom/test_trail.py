"""The values that each line of a function computes."""

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minibert.classroom import trail
from minibert.classroom.trail import MAX_ENTRIES, MAX_NUMBERS, Entry, Trail, code_of
from minibert.equations import softmax
from minibert.observe import observe

X = torch.tensor([1.0, 2.0])


def entries_of(function: Callable[..., Any], *arguments: Any) -> list[Entry]:
    with Trail(function) as recorder:
        function(*arguments)
    return recorder.entries


def shown(function: Callable[..., Any], *arguments: Any) -> list[tuple[int, str, list[float]]]:
    """Return line, counted from the definition of the function, label and numbers of each entry."""
    first = function.__code__.co_firstlineno
    return [(each.line - first, each.label, each.value.flatten().tolist()) for each in entries_of(function, *arguments)]


def lines(x: Tensor) -> tuple[Tensor, float]:
    y = x + 1  # a comment
    n = 0.5
    y = y * 2
    return y - 1, n


def test_each_line_has_its_operations_and_its_variables() -> None:
    """A variable with another value counts again, and a result has a value for each part."""
    assert shown(lines, X) == [
        (1, "", [2.0, 3.0]), (1, "y", [2.0, 3.0]), (2, "n", [0.5]), (3, "", [4.0, 6.0]), (3, "y", [4.0, 6.0]),
        (4, "", [3.0, 5.0]), (4, "return", [3.0, 5.0]), (4, "return", [0.5]),
    ]  # fmt: skip
    first = entries_of(lines, X)[0]
    assert (first.text, first.repeated, first.line) == ("y = x + 1  # a comment", False, lines.__code__.co_firstlineno + 1)


def loop(x: Tensor) -> Tensor:
    total = x
    for _ in range(3):
        total = total + x
    return total


def test_of_a_loop_the_last_value_stays_and_is_marked() -> None:
    assert [(each.label, each.value.tolist(), each.repeated) for each in entries_of(loop, X)] == [
        ("total", [1.0, 2.0], False), ("", [4.0, 8.0], True), ("total", [4.0, 8.0], True), ("return", [4.0, 8.0], False),
    ]  # fmt: skip


def helper(x: Tensor) -> Tensor:
    z = x * 3
    return z  # noqa: RET504


def with_a_helper(x: Tensor) -> Tensor:
    return helper(x) + 1


def test_functions_of_the_same_file_are_recorded_too() -> None:
    """Their results have no label: only that of the function is "return"."""
    offset = helper.__code__.co_firstlineno - with_a_helper.__code__.co_firstlineno
    assert shown(with_a_helper, X) == [
        (offset + 1, "", [3.0, 6.0]), (offset + 1, "z", [3.0, 6.0]), (offset + 2, "", [3.0, 6.0]),
        (1, "", [4.0, 7.0]), (1, "return", [4.0, 7.0]),
    ]  # fmt: skip


def with_an_equation(x: Tensor) -> Tensor:
    return softmax(x)


def test_values_inside_of_an_equation_have_the_line_that_calls_it() -> None:
    """Also those that it names, and its variables."""
    found = entries_of(with_an_equation, X)
    assert {each.line for each in found} == {with_an_equation.__code__.co_firstlineno + 1}
    assert "exponentials" in {each.label for each in found}
    assert found[-1].label == "return"
    torch.testing.assert_close(found[-1].value, X.softmax(0))


def others(x: Tensor) -> list[Any]:
    flag, count, size, text = True, 3, x.shape, "text"
    array, numbers = np.ones(2), [0.5, 1.5]
    large, small = torch.zeros(MAX_NUMBERS + 1), torch.zeros(MAX_NUMBERS)
    nothing, rows = [], [[0.5] * 100] * 51
    return [flag, count, size, text, array, numbers, large, small, nothing, rows]


def test_sizes_counters_texts_and_large_tensors_are_left_out() -> None:
    labels = [each.label for each in entries_of(others, X) if each.label]
    assert labels == ["array", "numbers", "small"]


def changed_in_place(x: Tensor) -> Tensor:
    y = x.clone()
    y += 1
    y = y.double()
    z = torch.full((1,), torch.nan)
    z = z + 1
    return y.detach()


def test_a_value_is_a_copy_and_another_type_another_value() -> None:
    found = [
        (each.label, each.value.dtype, each.value.tolist()) for each in entries_of(changed_in_place, X) if each.label == "y"
    ]
    assert found == [
        ("y", torch.float32, [1.0, 2.0]), ("y", torch.float32, [2.0, 3.0]), ("y", torch.float64, [2.0, 3.0]),
    ]  # fmt: skip
    assert [each.label for each in entries_of(changed_in_place, X)].count("z") == 1
    assert not any(each.value.requires_grad for each in entries_of(lines, X.clone().requires_grad_()))


def comprehension(x: Tensor) -> Tensor:
    return torch.stack([row * 2 for row in x])


def test_variables_of_python_itself_are_left_out() -> None:
    assert not any(each.label.startswith(".") for each in entries_of(comprehension, X))


def test_a_trail_ends_with_its_block() -> None:
    before = sys.gettrace()
    with Trail(lines) as recorder:
        assert sys.gettrace() is not before
        lines(X)
    count = len(recorder.entries)
    assert sys.gettrace() is before
    lines(X)
    X.exp()
    assert len(recorder.entries) == count


def test_a_trail_has_a_largest_number_of_entries(monkeypatch) -> None:
    """A value that is there is still replaced."""
    monkeypatch.setattr(trail, "MAX_ENTRIES", 2)
    assert [(each.label, each.value.tolist()) for each in entries_of(loop, X)] == [("total", [1.0, 2.0]), ("", [4.0, 8.0])]
    assert MAX_ENTRIES > 2


def events_of(function: Callable[..., Any], x: Tensor) -> int:
    with Trail(function) as recorder:
        function(x)
        return recorder.events


def test_after_many_events_nothing_is_recorded(monkeypatch) -> None:
    most = events_of(lines, X)
    counts = []
    for number in (0, most - 1, most):
        monkeypatch.setattr(trail, "MAX_EVENTS", number)
        counts.append(len(entries_of(lines, X)))
    assert counts == [0, 6, 8]


def test_many_numbers_in_variables_are_several_events() -> None:
    """One for each hundred, in all variables of a line: 19 variables before all lines, of 20 hundreds instead of 2."""
    assert events_of(loop, torch.ones(2_000)) - events_of(loop, torch.ones(200)) == 19 * (20 - 2)


class Callee:
    def __call__(self, x: Tensor) -> Tensor:
        return x

    def method(self, x: Tensor) -> Tensor:
        return x


def test_the_code_of_anything_that_can_be_called() -> None:
    assert code_of(lines) is lines.__code__
    assert code_of(functools.partial(functools.partial(lines), X)) is lines.__code__
    assert code_of(Callee()) is Callee.__call__.__code__
    assert code_of(Callee().method) is Callee.method.__code__
    assert code_of(functools.wraps(lines)(lambda x: x)) is lines.__code__
    assert code_of(torch.exp) is None
    assert code_of(nn.ReLU()) is not None
    assert entries_of(torch.exp, X) == []


def observing(x: Tensor) -> Tensor:
    return observe("double", 2 * x) + 1


def test_an_observed_value_has_its_name_and_the_line_of_the_call() -> None:
    assert shown(observing, X) == [
        (1, "", [2.0, 4.0]), (1, "double", [2.0, 4.0]), (1, "", [3.0, 5.0]), (1, "return", [3.0, 5.0]),
    ]  # fmt: skip


def test_after_many_events_no_observed_value_is_recorded(monkeypatch) -> None:
    recorded = []
    for number in range(events_of(observing, X) + 1):
        monkeypatch.setattr(trail, "MAX_EVENTS", number)
        recorded.append(len(entries_of(observing, X)))
    assert recorded == sorted(recorded)
    assert recorded[:3] == [0, 0, 0]
    assert recorded[-1] == 4


def test_functions_that_begin_after_many_events_are_not_followed(monkeypatch) -> None:
    monkeypatch.setattr(trail, "MAX_EVENTS", 2)
    recorder = Trail(lines)
    followed = [recorder._enter(sys._getframe(), "call", None) for _ in range(4)]
    assert followed == [recorder._step, recorder._step, None, None]
