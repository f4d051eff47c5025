"""Labels as they are in files, as text."""

from decimal import Decimal

import pytest

from minibert.text.labeled.label_values import LabelError, comparable, label_of, number, skeleton, tidy, whole_number


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("NA", "NA"), ("", None), (None, None), ("1.0", "1.0"), (1, "1"), (1.0, "1"), (-0.0, "0"), (0.5, "0.5"),
        (2**70, str(2**70)),
        (10**400, "1" + "0" * 400), (1e22, str(10**22)), (Decimal("4.50"), "4.50"), (Decimal("3.00"), "3"), (True, "true"),
        (False, "false"), ([], ()), (["a", 1, 2.0], ("a", "1", "2")), (("a",), ("a",)),
    ],
)  # fmt: skip
def test_values_as_labels(value: object, label: object) -> None:
    assert label_of(value) == label


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "not a finite number"), (float("-inf"), "not a finite number"), ({"a": 1}, "neither text nor a number"),
        (b"a", "neither text nor a number"), ([["a"]], "another list"), ([None], "a missing one"), (["", "a"], "a missing one"),
        ("\ud800", "half a surrogate pair"),
    ],
)  # fmt: skip
def test_values_that_are_no_labels(value: object, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        label_of(value)


def test_class_names_of_a_schema() -> None:
    """-1 stands for a missing label in datasets on the hub, such as the test sets of GLUE."""
    assert [label_of(value, ["neg", "pos"]) for value in (0, 1, -1, None, [1, 0])] == ["neg", "pos", None, None, ("pos", "neg")]
    with pytest.raises(LabelError, match="has the label 2, but its schema names only the 2 labels from 0"):
        label_of(2, ["neg", "pos"])


@pytest.mark.parametrize(
    ("label", "whole"),
    [("1.0", "1"), ("1", "1"), ("+1", "1"), ("10.", "10"), ("-3.00", "-3"), ("007", "007"), ("1.5", "1.5"), ("1e3", "1e3"),
     ("v1.0", "v1.0")],
)  # fmt: skip
def test_whole_numbers_have_no_decimal_point(label: str, whole: str) -> None:
    assert whole_number(label) == whole


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "1_000", "４", "1,5", "0x10", "", " 1", "one", "1.2.3", "--1", "."])
def test_what_is_no_finite_number(text: str) -> None:
    assert number(text) is None


def test_numbers() -> None:
    assert [number(text) for text in ("1", "-1.5", ".5", "2.", "1e-3", "+4")] == [1, -1.5, 0.5, 2, 1e-3, 4]
    assert comparable("4.40") == comparable("4.4") != comparable("4.41")
    assert comparable("5.00") == comparable("5") == "5"


def test_blanks_at_the_ends_and_unicode_forms() -> None:
    assert tidy("\ufeff\u200b\u00a0 cafe\u0301 x\u3000\0\n") == "caf\u00e9 x"
    assert tidy("❤\ufe0f") == "❤\ufe0f"  # a variation selector belongs to an emoji


def test_digits_and_signs_of_names_stay_as_they_are() -> None:
    """Only those of numbers become those of ASCII."""
    assert [tidy(label) for label in ("v\uff14", "\u2212x", "1\u22122")] == ["v\uff14", "\u2212x", "1\u22122"]
    assert [tidy(label) for label in ("\uff14", "\u22122")] == ["4", "-2"]


def test_labels_that_look_alike() -> None:
    assert skeleton("Ｐｏｓ ") == skeleton("pos") == skeleton("P\u00a0os")
    assert skeleton("not_entailment") == skeleton("Not-Entailment") == skeleton("not entailment")
    assert skeleton("01") == skeleton("1.00") == skeleton("+1") == skeleton("true")
    assert skeleton("-0") == skeleton("0")
    assert skeleton("\u0130yi") == skeleton("iyi")
    assert skeleton("\u2764\ufe0f") == skeleton("\u2764")
    assert len({*map(skeleton, ("1", "-1", "12", "1-2", "pos", "neg", "9" * 30, "9" * 29 + "8"))}) == 8
