"""The confusion matrix and its chart."""

import io
from itertools import pairwise

import numpy as np
import pytest

from minibert.study.evaluation.confusion import MAX_CLASSES, OTHERS, axis_names, confusion_figure, confusion_matrix


def test_rows_are_gold_classes_and_columns_are_predictions() -> None:
    """The order is that of the model; a gold class that it lacks comes last, and a class that does not occur is left out."""
    pairs = [("good", "bad"), ("good", "good"), ("new", "good"), ("bad", "bad"), ("good", "bad")]
    matrix = confusion_matrix(pairs, ["good", "unused", "bad"])
    assert matrix.classes == ["good", "bad", "new"]
    assert matrix.counts.tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 0]]


def test_rare_classes_are_put_together() -> None:
    """No row is lost."""
    pairs = [("a", "a")] * 5 + [("b", "b")] * 4 + [("c", "d"), ("d", "a"), ("a", "c")]
    merged = confusion_matrix(pairs, ["a", "b", "c", "d"]).largest(3)
    assert merged.classes == ["a", "b", OTHERS]
    assert merged.counts.tolist() == [[5, 0, 1], [0, 4, 0], [1, 0, 1]]


def test_the_chart_has_the_number_in_every_cell() -> None:
    fig = confusion_figure(confusion_matrix([("good", "bad")] * 3 + [("bad", "bad")] * 12_345, ["bad", "good"]))
    axes = fig.axes[0]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {(0, 0): "12k", (0, 1): "3"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bad", "good"]


def test_the_shade_of_a_cell_is_its_share_of_the_gold_class() -> None:
    fig = confusion_figure(confusion_matrix([("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")], ["a", "b"]))
    assert np.array_equal(fig.axes[0].images[0].get_array(), [[0.5, 0.5], [0.0, 1.0]])


@pytest.mark.parametrize("count", [1, 2, 30, MAX_CLASSES + 60])
def test_names_do_not_overlap(count: int) -> None:
    """Neither long names nor many of them, and they are inside the figure."""
    names = [f"class {number} with a name that is longer than the chart has room for, {number}" for number in range(count)]
    fig = confusion_figure(confusion_matrix([(name, name) for name in names], names))
    fig.savefig(io.BytesIO(), format="png")
    axes, whole = fig.axes[0], fig.bbox
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(above.y0 >= below.y1 for above, below in pairwise(boxes))
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)


def test_long_names_that_become_equal_are_numbered() -> None:
    names = ["a name with the same beginning, a " + middle + " word and the same end" for middle in ("first", "second")]
    one, other = axis_names(names)
    assert one.startswith("1. a name")
    assert other.startswith("2. a name")
    assert axis_names(["short", "names"]) == ["short", "names"]


@pytest.mark.parametrize("name", ["积极", "$x_1$", "a\nb", "\x1b[31m", "", "🙂"])
def test_any_name_can_be_drawn(name: str) -> None:
    confusion_figure(confusion_matrix([(name, "good"), ("good", name)], ["good"])).savefig(io.BytesIO(), format="png")
