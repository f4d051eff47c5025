"""The page about the families is that of the code."""

from minibert.docs.layout import REPOSITORY
from tests.docs.families_page import page


def test_the_page_is_up_to_date() -> None:
    assert (REPOSITORY / "docs" / "families.md").read_text(encoding="utf-8") == page(), (
        "run: python -m tests.docs.families_page"
    )
