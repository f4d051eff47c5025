"""Every mistake of the catalogue is found out, by a formula and by a theorem; nothing right is."""

import re

import pytest
import torch

from minibert.classroom.mistakes import CATALOGUE, MISTAKES, Kind, Mistake, source_with, variant
from tests.mistake_detection import ROOT, is_value_test
from tests.mistake_table import PROPERTY, VALUE, outcome_of, page

KINDS = {kind: [m for m in MISTAKES.values() if m.kind == kind] for kind in Kind}


def named(mistakes: list[Mistake]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mistake", mistakes, ids=lambda mistake: mistake.name)


@named(KINDS[Kind.BUG])
def test_a_bug_is_killed_by_a_value_and_by_a_property(mistake: Mistake) -> None:
    """Not by the stored formula alone: a theorem that follows from it finds it out as well."""
    killed_by = [name for name, killed in outcome_of(mistake).items() if killed]
    assert [name for name in killed_by if is_value_test(name)], f"no value test notices: {mistake.description}"
    assert [name for name in killed_by if not is_value_test(name)], f"no property test notices: {mistake.description}"


@named(KINDS[Kind.CONVENTION] + KINDS[Kind.UNSAFE])
def test_other_conventions_and_unsafe_numerics_are_noticed(mistake: Mistake) -> None:
    """They are not what the docstring says."""
    assert any(outcome_of(mistake).values()), f"no test notices: {mistake.description}"


@named(KINDS[Kind.EQUIVALENT])
def test_what_is_equivalent_passes_every_test(mistake: Mistake) -> None:
    """A test that objects would object to a right answer."""
    assert [name for name, killed in outcome_of(mistake).items() if killed] == []


def test_every_kind_is_there_and_every_entry_says_why() -> None:
    """And no name is used twice."""
    assert all(KINDS.values())
    assert len(MISTAKES) == sum(map(len, CATALOGUE))
    for mistake in MISTAKES.values():
        for text in (mistake.description, mistake.consequence):
            assert text.endswith(".")
        assert mistake.seen_in
        assert mistake.edits


def test_mistakes_can_be_made_two_at_a_time() -> None:
    """The numbers differ from those of each by itself; what stands in each other's way is refused, and named."""
    no_scale, after = MISTAKES["no scale"], MISTAKES["masked after the softmax"]
    query, keep = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), torch.ones(3, 3, dtype=torch.bool).tril()
    results = [variant(*some)(query, query, query, keep) for some in ((no_scale,), (after,), (no_scale, after))]
    for number, one in enumerate(results):
        for other in results[:number]:
            assert (one - other).abs().max() > 1e-2
    with pytest.raises(ValueError, match=r"divided by the width: .* is there 0 times, not once"):
        variant(no_scale, MISTAKES["divided by the width"])
    with pytest.raises(ValueError, match="not of one function"):
        variant(no_scale, MISTAKES["pre-norm"])


def test_a_name_that_is_not_there_is_answered_with_near_ones() -> None:
    with pytest.raises(KeyError, match="near ones: no scale"):
        _ = MISTAKES["no scales"]


def test_the_source_of_a_mistake_can_be_read() -> None:
    """Without the docstring, which tells the truth."""
    source = source_with(MISTAKES["no scale"])
    assert 'scores = observe("scores", query @ key.mT)' in source
    assert '"""' not in source


def test_the_page_of_mistakes_is_true() -> None:
    """Written anew by `python -m tests.mistake_table > docs/mistakes.md`.

    Word for word, but for one cell in a hundred: whether a property finds the rare case in 20 examples is left to the draw.
    """
    written, measured = (ROOT / "docs/mistakes.md").read_text(encoding="utf-8"), page()
    cells = [re.split(r"(?<=\|)|(?=\|)", text) for text in (written, measured)]
    blank = [["" if cell.strip() in {VALUE, PROPERTY} else cell.strip() for cell in some] for some in cells]
    assert blank[0] == blank[1]
    different = sum(one.strip() != other.strip() for one, other in zip(*cells, strict=True))
    assert different <= len(cells[0]) / 200
