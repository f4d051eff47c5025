"""The arguments of each case with other axes."""

from typing import Any

import pytest
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercise import Case, Exercise, Role
from minibert.classroom.other_axes import (
    CHANGES,
    CLEAR,
    Axes,
    axes_of_annotation,
    cases_of_other_axes,
    full_size,
    without_front,
)


def scores(
    x: Float[Tensor, "*batch queries width"],
    keep: Bool[Tensor, "*#batch #queries keys"] | None = None,
    weight: Float[Tensor, "width keys"] | None = None,
    n: int = 1,
) -> Float[Tensor, "*batch queries keys"]:
    return x @ weight


def losses(logits: Float[Tensor, "*batch vocab"], labels: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    return logits.sum(-1) + labels


X = torch.arange(12.0).reshape(2, 3, 2)
KEEP = torch.arange(8).reshape(2, 1, 4) % 3 > 0
USUAL = {"x": X, "keep": KEEP, "weight": torch.ones(2, 4), "n": 2}
LABELS = {"logits": torch.arange(12.0).reshape(3, 2, 2), "labels": torch.arange(6).reshape(3, 2)}


def cases_of(reference: Any, *arguments: dict[str, Any], **options: Any) -> dict[str, Case]:
    cases = tuple(Case(f"case {number}", lambda draw, each=each: each, **options) for number, each in enumerate(arguments))
    return {case.name: case for case in cases_of_other_axes(Exercise(reference.__name__, reference, cases))}


def arguments_of(case: Case) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, Tensor) else value for name, value in case.recipe(RandomDraw(0)).items()}


def test_the_arguments_of_each_case() -> None:
    """The other arguments stay as they are. The case with most arguments is changed."""
    cases = cases_of(scores, {"x": X, "weight": torch.ones(2, 4)}, USUAL)
    kept = {"weight": torch.ones(2, 4).tolist(), "n": 2}
    rows = [[row.roll(number).tolist() for number in range(3)] for row in KEEP[:, 0]]
    full = [[row.roll(number + 3 * batch).tolist() for number in range(3)] for batch, row in enumerate(KEEP[:, 0])]
    assert rows[0] == full[0]
    assert {name: arguments_of(case) for name, case in cases.items()} == {
        "without a batch": {"x": X[0].tolist(), "keep": KEEP[0].tolist(), **kept},
        "one more batch axis": {"x": [X.tolist(), X.flip(0).tolist()], "keep": [KEEP.tolist(), KEEP.flip(0).tolist()], **kept},
        "batch axes of size 1": {"x": X.tolist(), "keep": KEEP[:1].tolist(), **kept},
        "fewer batch axes": {"x": X.tolist(), "keep": KEEP[0].tolist(), **kept},
        "all axes of full size": {"x": X.tolist(), "keep": full, **kept},
    }
    assert {(case.role, case.tolerance, case.gradients) for case in cases.values()} == {(Role.AXES, CLEAR, False)}


def test_an_axis_of_full_size_becomes_one_of_size_1() -> None:
    cases = cases_of(scores, {**USUAL, "keep": KEEP.expand(2, 3, 4)})
    assert arguments_of(cases["other axes of size 1"])["keep"] == KEEP.tolist()
    assert "all axes of full size" not in cases


def test_no_argument_becomes_a_single_number() -> None:
    """Labels have no axis but those in front. One of these stays in all arguments."""
    cases = cases_of(losses, LABELS)
    assert {name: arguments_of(case) for name, case in cases.items()} == {
        "without a batch": {"logits": LABELS["logits"][0].tolist(), "labels": [0, 1]},
        "one more batch axis": {name: [value.tolist(), value.flip(0).tolist()] for name, value in LABELS.items()},
    }


def test_only_usual_cases_are_changed() -> None:
    assert cases_of(scores, USUAL, role=Role.EDGE) == {}
    assert cases_of(scores, USUAL, summary=torch.sum) == {}
    assert cases_of(lambda x, y: x, {"x": X, "y": X}) == {}
    assert [*cases_of(scores, {"x": X, "keep": None, "weight": torch.ones(2, 4)})] == ["without a batch", "one more batch axis"]
    assert [*cases_of(scores, USUAL)] == [name for name in CHANGES if name != "other axes of size 1"]


@pytest.mark.parametrize(
    ("annotation", "axes"),
    [
        (Float[Tensor, "*batch queries width"], Axes("*batch", ("queries", "width"))),
        (Float[Tensor, "*#batch #queries"] | None, Axes("*#batch", ("#queries",))),
        (Float[Tensor, "width keys"], Axes("", ("width", "keys"))),
        (Float[Tensor, "width *rest"], None),
        (Float[Tensor, "width ..."], None),
        (Float[Tensor, ""], None),
        (Tensor, None),
        (int | None, None),
    ],
)
def test_the_axes_of_an_annotation(annotation: Any, axes: Axes | None) -> None:
    assert axes_of_annotation(annotation) == axes


def test_the_sizes_of_axes() -> None:
    axes = Axes("*#batch", ("#queries", "keys"))
    assert axes.sizes(torch.ones(5, 2, 3, 4)) == {"*#batch": (5, 2), "#queries": (3,), "keys": (4,)}
    assert axes.sizes(torch.ones(3, 4)) == {"*#batch": (), "#queries": (3,), "keys": (4,)}
    assert Axes("", ("a",)).sizes(torch.ones(2)) == {"a": (2,)}
    assert (axes.in_front(torch.ones(5, 2, 3, 4)), axes.may_differ) == (2, True)
    assert [Axes(front, names).may_differ for front, names in (("*batch", ("a",)), ("*#batch", ()), ("", ("#a",)))] == [
        False, True, True,
    ]  # fmt: skip


def test_the_axes_in_front_are_kept_or_left_out_by_their_kind() -> None:
    """Axes such as `*#batch` are no reason for a case without a batch: their number depends on other arguments."""
    shared = {"keep": Axes("*#batch", ("keys",))}
    assert without_front(shared, {"keep": KEEP}) == {}
    one = {**shared, "x": Axes("*batch", ())}
    assert {name: tuple(value.shape) for name, value in without_front(one, {"keep": KEEP, "x": X[0]}).items()} == {
        "keep": (1, 4),
        "x": (2,),
    }


def test_an_axis_in_front_gets_the_full_size_of_another_argument() -> None:
    axes = {"x": Axes("*batch", ("width",)), "y": Axes("*#batch", ("width",)), "z": Axes("*#batch", ("#width",))}
    y = torch.tensor([[1.0, 2.0]])
    full = full_size(axes, {"x": torch.zeros(3, 2), "y": y, "z": torch.arange(6.0).reshape(3, 2)})
    assert {name: value.tolist() for name, value in full.items()} == {
        "y": [[1, 2], [2, 1], [1, 2]],
        "z": [[0, 1], [2, 3], [4, 5]],
    }
