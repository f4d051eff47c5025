"""The page about the families is that of the code."""

import pytest

from minibert.docs.layout import REPOSITORY
from minibert.model.families import FAMILIES
from tests.docs.families_page import EXPERIMENTS, EXPLANATIONS, LESSONS, PAPERS, page, section


def test_the_page_is_up_to_date() -> None:
    assert (REPOSITORY / "docs" / "families.md").read_text(encoding="utf-8") == page(), (
        "run: python -m tests.docs.families_page"
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_each_section_names_its_experiments_and_lessons(name: str) -> None:
    """The experiments are sections of docs/ideas.md, and the lessons name the family or its paper."""
    lines = section(name, FAMILIES[name])
    assert all(line in lines for line in EXPLANATIONS[name].split("\n"))
    headings = (REPOSITORY / "docs" / "ideas.md").read_text(encoding="utf-8").splitlines()
    assert all(f"## {title}" in headings for title in EXPERIMENTS[name])
    for lesson in LESSONS[name]:
        text = (REPOSITORY / "lessons" / f"{lesson}.py").read_text(encoding="utf-8")
        assert FAMILIES[name].title in text or PAPERS[name][0] in text


@pytest.mark.parametrize("name", ["roberta", "electra"])
def test_the_names_of_a_classifier_for_texts_are_there(name: str) -> None:
    row = f"| `classifier` in `{name.title()}ForSequenceClassification` | `classifier.out_proj` |"
    assert row in section(name, FAMILIES[name])
