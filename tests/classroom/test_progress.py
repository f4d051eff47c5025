"""The progress file: portable, versioned, merged, and safe against damage."""

import json

import pytest

from minibert.classroom.progress import Attempts, DamagedProgress, Progress, changed_progress, read_progress
from minibert.classroom.report import Named, Report, Verdict


def test_a_check_is_entered(tmp_path) -> None:
    path = tmp_path / "progress.json"
    named = Named("no scale", "bug", "", "", "")
    for report in (
        Report("softmax", Verdict.WRONG, mistakes=[named]),
        Report("softmax", Verdict.WRONG, mistakes=[named]),
        Report("softmax", Verdict.PASSED),
        Report("softmax", Verdict.ERROR),
    ):
        with changed_progress(path) as progress:
            progress.entry("softmax").add(report)
    assert read_progress(path)["softmax"] == Attempts(4, True, "does not run", 0, False, ["no scale"])
    assert str(tmp_path) not in path.read_text()
    assert path.read_text().endswith("}\n")


def test_nothing_is_written_if_nothing_changed(tmp_path) -> None:
    with changed_progress(tmp_path / "progress.json") as progress:
        assert not progress["softmax"].passed
    assert list(tmp_path.iterdir()) == []


def test_progress_of_two_copies_is_merged() -> None:
    one = Progress({"a": Attempts(3, False, "not correct", 1, True, ["x"]), "b": Attempts(1, True, "passed")})
    two = Progress({"a": Attempts(2, True, "passed", 2, False, ["y", "x"]), "c": Attempts(1)})
    merged = one.merged(two)
    assert merged["a"] == Attempts(3, True, "not correct", 2, True, ["x", "y"])
    assert list(merged.exercises) == ["a", "b", "c"]
    assert merged.merged(two) == merged
    assert merged.merged(one) == merged


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ('{"version": 1, "exerc', "is not JSON"),
        ("[]", "must contain one JSON object"),
        ("{}", "is not a progress file"),
        ('{"version": "1", "exercises": {}}', "is not a progress file"),
        ('{"version": 1, "exercises": []}', "is not a progress file"),
        ('{"version": 1, "exercises": {"a": 1}}', "a must be an object"),
        ('{"version": 1, "exercises": {"a": {"checks": "3"}}}', 'a: checks is "3"'),
        ('{"version": 1, "exercises": {"a": {"checks": true}}}', "a: checks is true"),
        ('{"version": 1, "exercises": {"a": {"checks": -1}}}', "a: checks is -1"),
        ('{"version": 1, "exercises": {"a": {"mistakes": [1]}}}', "a: mistakes is"),
        ('{"version": 2, "exercises": {}}', "version 2 of the format, newer than 1: update minibert"),
    ],
)
def test_a_damaged_file_is_described(tmp_path, content, message) -> None:
    """A file of a newer version and one of another program are not damaged."""
    path = tmp_path / "progress.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_progress(path)
    assert str(caught.value).startswith(str(path))
    assert isinstance(caught.value, DamagedProgress) is ("newer" not in message and "is not a progress" not in message)


def test_entries_of_unknown_exercises_and_unknown_fields_do_no_harm(tmp_path) -> None:
    path = tmp_path / "progress.json"
    path.write_text(json.dumps({"version": 1, "exercises": {"later": {"checks": 2, "new": 1}}}))
    with changed_progress(path) as progress:
        progress.entry("softmax").hints += 1
    assert read_progress(path)["later"].checks == 2
