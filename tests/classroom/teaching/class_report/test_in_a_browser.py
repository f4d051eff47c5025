"""The report of a class in a browser: no requests, accessible, and nothing cut off."""

from dataclasses import replace
from datetime import datetime

import pytest

from minibert.classroom.teaching.class_report.page import class_report
from tests.browser import Tab
from tests.classroom.teaching.synthetic_results import class_of, course, failed, named, right, unknown
from tests.hostile_text import HOSTILE_TEXTS

pytestmark = pytest.mark.slow

LOOKS = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 640}},
    "4K": {"viewport": {"width": 3840, "height": 2160}},
    "forced colors": {"forced_colors": "active"},
}
INVISIBLE = """() => [...document.querySelectorAll('main *')].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width > 1 && box.right > innerWidth + 1 && !e.closest('.scroll');
}).map((e) => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    late = course()
    due = replace(late.assignments[0], due=datetime(1969, 12, 30, 12))
    file = tmp_path_factory.mktemp("report") / "report.html"
    text = class_report(replace(late, assignments=(due, *late.assignments[1:])), class_of(20))
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def tab(browser):
    opened = Tab(browser)
    yield opened
    assert opened.problems == []
    assert len(opened.requests) <= 1
    opened.close()


@pytest.mark.parametrize("look", LOOKS)
def test_axe_reports_nothing_and_the_page_fits(browser, page, look):
    tab = Tab(browser, **LOOKS[look])
    tab.open(page)
    assert tab.accessibility_violations() == ""
    assert tab.page.evaluate(INVISIBLE) == []
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.problems == []
    assert tab.requests == [page.as_uri()]
    tab.close()


def test_every_mark_of_the_heat_map_leads_to_its_mistake(tab, page):
    tab.open(page)
    targets = tab.page.evaluate("[...document.querySelectorAll('.heat a')].map((e) => e.getAttribute('href'))")
    assert len(targets) > 50
    assert tab.page.evaluate("(targets) => targets.filter((each) => !document.querySelector(each))", targets) == []


def test_paper_has_all_rows_and_the_colors(tab, page):
    tab.open(page)
    tab.page.emulate_media(media="print", color_scheme="dark")
    box = "document.querySelector('.scroll')"
    assert tab.page.evaluate(f"{box}.scrollHeight <= {box}.clientHeight + 1")
    assert tab.page.evaluate("getComputedStyle(document.querySelector('.level5')).printColorAdjust") == "exact"
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_hostile_names_and_code_are_data(tab, tmp_path):
    """Every text appears as it is, and adds no element."""
    hostile = [text for text in HOSTILE_TEXTS if text.strip()]
    makes = (
        right,
        lambda student, name: unknown(student, name, 1.0, line=student),
        lambda student, name: failed(student, name, student),
    )
    results = {text: [makes[number % 3](text, "softmax")] for number, text in enumerate(hostile)}
    harmless = {
        f"student {number}": [replace(each[0], student=f"student {number}")] for number, each in enumerate(results.values())
    }
    counts = []
    for number, each in enumerate((results, harmless)):
        file = tmp_path / f"{number}.html"
        file.write_text(class_report(course(["softmax"], title=hostile[0]), each), encoding="utf-8")
        tab.requests.clear()
        tab.open(file)
        counts.append(
            tab.page.evaluate(
                "[...document.querySelectorAll('*')].filter((e) => !['P', 'PRE', 'CODE', 'BDI'].includes(e.tagName)).length"
            )
        )
    assert counts[0] >= len(hostile)
    assert tab.page.evaluate("document.querySelectorAll('script, img, iframe, form, base, object, embed').length") == 0
    assert counts[0] == counts[1]


def test_a_policy_forbids_styles_that_were_added(tab, tmp_path):
    text = class_report(course(["softmax"]), {"ann": [named("ann", "softmax", 0)]})
    file = tmp_path / "changed.html"
    file.write_text(text.replace("</main>", "<style>main { display: none }</style></main>"), encoding="utf-8")
    tab.open(file)
    assert tab.page.locator("main").is_visible()
    assert any("Content Security Policy" in problem for problem in tab.problems)
    tab.problems.clear()
