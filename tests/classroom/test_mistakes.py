"""The tests of the equations detect every mistake of the catalogue, and accept every equivalent variant."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from minibert.classroom.mistakes import CATALOGUE, MISTAKES, Kind, Mistake, source_with, variant
from tests.mistake_detection import ROOT, failing_tests, is_value_test
from tests.mistake_table import PROPERTY, VALUE, description_of, page
from tests.sampling import sampled

KINDS = {kind: [m for m in MISTAKES.values() if m.kind == kind] for kind in Kind}


def named(mistakes: list[Mistake]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mistake", sampled(mistakes, 5), ids=lambda mistake: mistake.name)


def detecting_tests(mistake: Mistake, enough: Callable[[dict[str, bool]], bool]) -> dict[str, bool]:
    """Return for each test that was run, by name, whether it detects the mistake. It stops when it is `enough`.

    Few mistakes need more than a few examples.
    """
    for examples in (5, 20):
        outcome = failing_tests(mistake.function, variant(mistake), mistake.tests, examples, enough)
        if enough(outcome):
            break
    return outcome


def by_kind_of_test(outcome: dict[str, bool]) -> tuple[bool, bool]:
    """Return True for a failed value test, and True for a failed property test."""
    failed = [is_value_test(name) for name, failed in outcome.items() if failed]
    return True in failed, False in failed


@named(KINDS[Kind.BUG])
def test_bugs_are_detected_by_a_value_test_and_a_property_test(mistake: Mistake) -> None:
    """The comparison with the formula detects the bug, and so does a theorem that follows from the formula."""
    by_value, by_property = by_kind_of_test(detecting_tests(mistake, lambda outcome: all(by_kind_of_test(outcome))))
    assert by_value, f"no value test detects: {mistake.description}"
    assert by_property, f"no property test detects: {mistake.description}"


@named(KINDS[Kind.CONVENTION] + KINDS[Kind.UNSAFE])
def test_other_conventions_and_unsafe_numerics_are_detected(mistake: Mistake) -> None:
    """At least one test fails for a variant that differs from the docstring."""
    outcome = detecting_tests(mistake, lambda outcome: any(outcome.values()))
    assert any(outcome.values()), f"no test detects: {mistake.description}"


@named(KINDS[Kind.EQUIVALENT])
def test_equivalent_variants_pass_every_test(mistake: Mistake) -> None:
    """No test rejects a correct solution."""
    assert not any(failing_tests(mistake.function, variant(mistake), mistake.tests, examples=10).values())


def test_every_kind_occurs_and_every_entry_is_complete() -> None:
    """Names are unique, and every entry has a description, a consequence and edits."""
    assert all(KINDS.values())
    assert len(MISTAKES) == sum(map(len, CATALOGUE))
    for mistake in MISTAKES.values():
        for text in (mistake.description, mistake.consequence):
            assert text.endswith(".")
        assert mistake.seen_in
        assert mistake.edits


ALWAYS = {"angles in degrees", "cross-entropy in bits", "binary cross-entropy in bits"}
"""Mistakes whose factor is the same for all inputs."""


def test_a_factor_in_a_consequence_has_its_condition() -> None:
    """The numbers of a learner may be others: "7 times too small" holds only with 15% of masked tokens."""
    factors = {
        each.name: each.consequence for each in MISTAKES.values() if re.search(r"\d times (as|too|longer)", each.consequence)
    }
    without = {name for name, text in factors.items() if not re.search(r"\b([Ww]ith|At) .*\d", text)}
    assert without == ALWAYS


def test_two_mistakes_can_be_combined() -> None:
    """The result differs from the result of each mistake alone. Mistakes that edit the same code raise an error."""
    no_scale, after = MISTAKES["no scale"], MISTAKES["mask after the softmax"]
    query, keep = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), torch.ones(3, 3, dtype=torch.bool).tril()
    results = [variant(*some)(query, query, query, keep) for some in ((no_scale,), (after,), (no_scale, after))]
    for number, one in enumerate(results):
        for other in results[:number]:
            assert (one - other).abs().max() > 1e-2
    with pytest.raises(ValueError, match=r"scores divided by the width: .* occurs 0 times in the source, not once"):
        variant(no_scale, MISTAKES["scores divided by the width"])
    with pytest.raises(ValueError, match="different functions"):
        variant(no_scale, MISTAKES["pre-norm"])


def test_a_mistake_may_be_given_by_its_name() -> None:
    """Alone, with others, and next to mistakes that are not in the catalogue."""
    assert source_with("no scale") == source_with(MISTAKES["no scale"])
    assert source_with("no scale", MISTAKES["mask after the softmax"]) == source_with("no scale", "mask after the softmax")
    own = replace(MISTAKES["no scale"], name="own", edits=(("math.sqrt(d_k)", "7.0"),))
    ones = torch.ones(1, 4)
    assert torch.equal(variant(own)(ones, ones, ones), variant("no scale")(ones, ones, ones))
    with pytest.raises(ValueError, match="at least one"):
        variant()


@pytest.mark.parametrize("lookup", [MISTAKES.__getitem__, variant, source_with])
def test_error_for_an_unknown_name_lists_similar_names(lookup: Callable[[str], object]) -> None:
    with pytest.raises(KeyError, match="similar names: no scale"):
        lookup("no scales")


def test_source_of_a_mistake_has_no_docstring() -> None:
    """The docstring describes the correct function, so it is left out."""
    source = source_with(MISTAKES["no scale"])
    assert 'scores = observe("scores", dot_products)' in source
    assert '"""' not in source


def test_page_of_mistakes_describes_every_entry() -> None:
    written = (ROOT / "docs/mistakes.md").read_text(encoding="utf-8")
    assert [mistake.name for mistake in MISTAKES.values() if description_of(mistake) not in written] == []
    assert written.count("\n- **") == len(MISTAKES)


@pytest.mark.slow
def test_page_of_mistakes_is_up_to_date() -> None:
    """The page can be generated with `python -m tests.mistake_table > docs/mistakes.md`.

    All words must be equal. One cell in a hundred may differ: whether 20 random examples contain a rare case is chance.
    """
    written, measured = (ROOT / "docs/mistakes.md").read_text(encoding="utf-8"), page()
    cells = [re.split(r"(?<=\|)|(?=\|)", text) for text in (written, measured)]
    blank = [["" if cell.strip() in {VALUE, PROPERTY} else cell.strip() for cell in some] for some in cells]
    assert blank[0] == blank[1]
    different = sum(one.strip() != other.strip() for one, other in zip(*cells, strict=True))
    assert different <= len(cells[0]) / 200
