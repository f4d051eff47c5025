"""The collection of pages, and a small site in a browser."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sphinx", reason="Sphinx is not installed (pip install minibert[docs])")
from sphinx.application import Sphinx

from minibert.docs.layout import REPOSITORY
from minibert.docs.lesson_pages import declare_language
from minibert.docs.site import build, collect, located
from tests.browser import Tab
from tests.docs.checks import broken_links, faults_of
from tests.docs.conftest import SMALL

LESSON = SMALL[0]


def test_the_chosen_pages_and_all_images_are_collected(tmp_path: Path) -> None:
    """A page is chosen by its name or by its file."""
    collect(tmp_path, ["study", "docs/runs/mini.md", "lessons/02_scaled_dot_product_attention.py", "CONTRIBUTING.md"])
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    pages = {file for file in files if not file.endswith(".png")}
    assert pages == {
        "index.md",
        "lessons/index.md",
        "api/index.md",
        "study.md",
        "runs/mini.md",
        f"{LESSON}.ipynb",
        "CONTRIBUTING.md",
    }
    assert "study_page.png" in files


def test_a_page_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="studdy: there is no such page; similar names: study"):
        collect(tmp_path, ["studdy"])


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.md").touch()
    with pytest.raises(ValueError, match="has other files than a site"):
        next(build(tmp_path))
    assert (tmp_path / "thesis.md").exists()


def test_without_a_clone_there_is_nothing_to_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("minibert.docs.site"), "REPOSITORY", tmp_path)
    with pytest.raises(ValueError, match="run this in a clone of the repository"):
        next(build(tmp_path / "site"))


def test_translations_are_pages_that_the_list_of_lessons_names(tmp_path: Path) -> None:
    """A page is chosen by the file of its text, and what opens a fold is written in the same language."""
    collect(tmp_path, ["lessons/zh/01_softmax.md"])
    page = (tmp_path / "lessons" / "zh" / "01_softmax.ipynb").read_text(encoding="utf-8")
    assert "# 1 · 点积与 softmax" in page
    assert "显示答案" in page
    assert "Show the answer" not in page
    contents = (tmp_path / "lessons" / "index.md").read_text(encoding="utf-8")
    _, _, chinese = contents.partition("\n## 中文\n")
    assert "[1 · 点积与 softmax](zh/01_softmax.md)  \n  向量的比较" in chinese
    assert "\nzh/01_softmax\n" in chinese


@pytest.mark.parametrize(
    ("page", "language"),
    [("lessons/zh/01_softmax", "zh"), ("lessons/01_softmax", "en"), ("lessons/index", "en"), ("study", "en")],
)
def test_a_page_declares_its_language(page: str, language: str) -> None:
    context: dict[str, Any] = {"language": "en"}
    declare_language(Sphinx.__new__(Sphinx), page, "page.html", context, None)
    assert context == {"language": language}


def test_a_message_of_sphinx_names_the_original_file() -> None:
    source = Path("/tmp/x/source")
    assert located(f"{source}/study.md:5: WARNING: a", source) == "docs/study.md:5: WARNING: a"
    assert located(f"{source}/lessons/02_a.ipynb:5: WARNING: a", source) == "lessons/02_a.py:5: WARNING: a"
    assert located(f"{source}/lessons/zh/02_a.ipynb:5: WARNING: a", source) == "lessons/zh/02_a.md:5: WARNING: a"
    assert located("done", source) == "done"


def test_every_guide_is_in_the_contents() -> None:
    """Sphinx warns of a page that is in no table of contents, but only when the whole site is built."""
    contents = (REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8").split("\n")
    for page in (REPOSITORY / "docs").rglob("*.md"):
        name = page.relative_to(REPOSITORY / "docs").with_suffix("").as_posix()
        assert name == "index" or name.startswith("_build/") or name in contents, name


SLOW_LINE = """---
file_format: mystnb
kernelspec: {name: python3}
---

# A

```{code-cell}
import time

print("one", end=" ", flush=False)
time.sleep(0.5)
print("line")
```
"""


@pytest.mark.slow
def test_a_line_that_is_printed_slowly_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise two builds would differ, if the machine is slow enough."""
    site = import_module("minibert.docs.site")
    monkeypatch.setattr(site, "copied", lambda: iter([("index.md", SLOW_LINE.encode)]))
    monkeypatch.setattr(site, "generated", lambda: iter([]))
    monkeypatch.setattr(site, "LISTS", ("index",))
    lines = list(build(tmp_path / "site"))
    assert "one line\n" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8"), lines


@pytest.mark.slow
def test_small_site_has_no_faults_in_a_browser(small_site: Path, browser: Any) -> None:
    assert list(faults_of(browser, small_site, ["index", LESSON, "study", "search"])) == []


@pytest.mark.slow
def test_small_site_has_no_broken_links(small_site: Path) -> None:
    assert broken_links(small_site) == []


@pytest.mark.slow
def test_small_site_finds_words(small_site: Path, browser: Any) -> None:
    tab = Tab(browser)
    tab.page.goto((small_site / "search.html").as_uri() + "?q=softmax")
    tab.page.wait_for_selector("#search-results li a")
    found = tab.page.eval_on_selector_all("#search-results li a", "(links) => links.map((each) => each.getAttribute('href'))")
    assert any(LESSON in link for link in found)
    assert any("equations" in link for link in found)
    assert tab.problems == []
    tab.close()


@pytest.mark.slow
def test_small_site_folds_answers_and_solutions(small_site: Path, browser: Any) -> None:
    tab = Tab(browser)
    tab.open(small_site / f"{LESSON}.html")
    for summary in ("Show the solution", "Show the answer"):
        fold = tab.page.locator("details", has_text=summary).first
        inside = fold.locator("pre").first
        assert not inside.is_visible()
        fold.locator("summary").first.click()
        assert inside.is_visible()
    assert "passed" in tab.text("article")
    tab.close()


@pytest.mark.slow
def test_small_site_shows_formulas_in_its_own_font(small_site: Path, browser: Any) -> None:
    tab = Tab(browser)
    tab.open(small_site / "equations.html")
    assert tab.page.locator("math").count() > 30
    assert tab.page.evaluate("document.fonts.ready.then(() => document.fonts.check('20px \"STIX Two Math\"', 'h'))")
    assert tab.page.evaluate("[...document.fonts].map((font) => font.status)") == ["loaded"]
    bracket = tab.page.locator("#scaled-dot-product-attention mo", has_text="(").last.bounding_box()
    assert bracket["height"] > 30, "the bracket around the fraction has not grown"
    tab.close()


@pytest.mark.slow
def test_small_site_links_docstrings_to_tests_and_lessons(small_site: Path) -> None:
    page = (small_site / "api" / "minibert.equations.html").read_text(encoding="utf-8")
    assert 'href="../source/tests/equations/test_attention.py.html#TestScaledDotProductAttention"' in page
    assert f'href="../{LESSON}.html"><span>2 · Scaled dot-product attention</span>' in page
    assert 'href="../_modules/minibert/equations/attention.html#scaled_dot_product_attention"' in page


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_site_shows_figures_as_cards_in_dark_mode(small_site: Path, browser: Any, scheme: str) -> None:
    """With a margin, and less bright. On paper they are as they were drawn, whatever the screen is."""
    tab = Tab(browser, color_scheme=scheme)
    tab.open(small_site / f"{LESSON}.html")
    is_card = """(image) => {
      const style = getComputedStyle(image);
      return [style.paddingTop !== "0px", style.filter.startsWith("brightness")];
    }"""
    assert tab.page.locator("article img").first.evaluate(is_card) == [scheme == "dark"] * 2
    tab.page.emulate_media(media="print")
    assert tab.page.locator("article img").first.evaluate(is_card) == [False, False]
    tab.close()


@pytest.mark.slow
@pytest.mark.parametrize("page", [LESSON, "study", "equations"])
def test_small_site_is_printed_without_what_needs_a_screen(small_site: Path, browser: Any, page: str) -> None:
    """Neither navigation nor scroll bars: long lines are wrapped."""
    tab = Tab(browser, viewport={"width": 700, "height": 900})
    tab.open(small_site / f"{page}.html")
    tab.page.emulate_media(media="print")
    for navigation in (".skip-to-content", ".sidebar-drawer", ".toc-drawer", ".mobile-header"):
        assert not tab.page.locator(navigation).first.is_visible()
    wide = "(all) => all.filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.outerHTML.slice(0, 200))"
    assert tab.page.eval_on_selector_all("article pre, article .output, article .table-wrapper", wide) == []
    tab.close()
