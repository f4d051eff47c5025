"""The whole site. It takes minutes, because every lesson runs."""

import filecmp
from pathlib import Path
from typing import Any

import pytest

from tests.docs.checks import broken_links, faults_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(built: Any) -> Path:
    path: Path = built()
    return path


def test_whole_site_has_no_broken_links(site: Path) -> None:
    assert broken_links(site) == []


def test_whole_site_is_the_same_every_time(site: Path, built: Any) -> None:
    again = built()
    files, other = ({path.relative_to(root) for path in root.rglob("*") if path.is_file()} for root in (site, again))
    assert files == other
    different = [file for file in sorted(files) if not filecmp.cmp(site / file, again / file, shallow=False)]
    assert different == []


def test_whole_site_has_no_faults_in_a_browser(site: Path, browser: Any) -> None:
    pages = [page.relative_to(site).with_suffix("").as_posix() for page in sorted(site.rglob("*.html"))]
    pages = [page for page in pages if not page.startswith(("_modules/", "source/"))]
    assert list(faults_of(browser, site, pages)) == []
