"""docs/live_page.html and the links to it."""

import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from minibert.docs.layout import REPOSITORY
from tests.docs.ready_page import FILE, content_of, current_page

LINKS = sorted(
    {
        (file.relative_to(REPOSITORY).as_posix(), address)
        for pattern in ("docs/*.md", "lessons/*.py", "lessons/*/*.md", "README.md")
        for file in REPOSITORY.glob(pattern)
        for address in re.findall(r"\]\((\S*live_page\.html\S*)\)", file.read_text(encoding="utf-8"))
    }
)


def test_the_page_is_that_of_the_code() -> None:
    assert FILE.read_text(encoding="utf-8") == current_page(), "run: python -m tests.docs.ready_page"


def test_the_page_is_small() -> None:
    assert FILE.stat().st_size < 3_000_000


@pytest.mark.parametrize(("file", "address"), LINKS)
def test_links_lead_to_an_experiment_or_a_step(file: str, address: str) -> None:
    place, _, fields = address.partition("#")
    assert (REPOSITORY / file).parent.joinpath(place).resolve() == FILE
    content = content_of(FILE.read_text(encoding="utf-8"))
    given = {name: values[-1] for name, values in parse_qs(fields).items()}
    assert given.keys() <= {"experiment", "step", "text", "pair"}
    if "experiment" in given:
        assert given["experiment"] in {each["name"] for each in content["experiments"]}
    if "step" in given:
        assert given["step"] in {step["path"] for step in content["templates"]["steps"]}


def test_lessons_link_to_experiments() -> None:
    assert {Path(file).name[:2] for file, _ in LINKS if file.startswith("lessons/")} >= {
        "02",
        "03",
        "04",
        "05",
        "07",
        "08",
        "09",
    }
