"""The page is usable with a screen reader, with a keyboard, in the dark, on a small screen and on paper."""

import pytest

from tests.browser import Tab

pytestmark = pytest.mark.slow

SCORES = "layers.0.attention.scores"
STATES = {
    "first step": {},
    "scores": {"step": SCORES, "slice": 1, "cell": "3,5", "pin": "3,5"},
    "LayerNorm": {"step": "layers.0.feed_forward_norm", "cell": "3,5"},
    "overview": {"step": SCORES, "view": "heads"},
    "predict first": {"step": SCORES, "cell": "3,5", "predict": 1},
    "probabilities": {"step": "mlm.probabilities", "cell": "0,3", "sort": 0},
}
LOOKS = {
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 640}},
    "forced colors": {"forced_colors": "active"},
}
OVERFLOW = """() => [...document.querySelectorAll('header *, main *, aside *, nav *')].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width > 1 && box.right > innerWidth + 1 && !e.closest('.scroll, .skip, #predictions, .visually-hidden, dialog');
}).map((e) => e.outerHTML.slice(0, 80))"""


@pytest.fixture(params=LOOKS)
def styled_tab(request, browser):
    tab = Tab(browser, **LOOKS[request.param])
    yield tab
    tab.close()


def test_axe_reports_nothing(tab, tiny):
    tab.open(tiny)
    for name, state in STATES.items():
        tab.show(**state)
        assert tab.accessibility_violations() == "", name
    tab.press("?")
    assert tab.accessibility_violations() == "", "keys"
    tab.press("Escape")


def test_axe_reports_nothing_in_other_looks(styled_tab, tiny):
    styled_tab.open(tiny, **STATES["scores"])
    assert styled_tab.accessibility_violations() == ""
    styled_tab.show(**STATES["predict first"])
    styled_tab.page.fill("#typed", "1.5")
    styled_tab.press("Enter")
    assert styled_tab.accessibility_violations() == ""


def test_axe_finds_a_fault(browser, tmp_path):
    """The report of a page with a fault is not empty."""
    file = tmp_path / "page.html"
    file.write_text(
        "<!doctype html><html lang=en><title>a</title><main><h1>a</h1><img src='data:,'><input></main>", encoding="utf-8"
    )
    tab = Tab(browser)
    tab.open(file)
    assert "image-alt" in tab.accessibility_violations()
    tab.close()


def test_nothing_is_cut_off_at_any_width(browser, tiny):
    tab = Tab(browser)
    tab.open(tiny)
    for width in (320, 768, 1024, 1440, 3840):
        tab.page.set_viewport_size({"width": width, "height": 900})
        for name, state in STATES.items():
            tab.show(**state)
            assert tab.page.evaluate(OVERFLOW) == [], (width, name)
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, name
    tab.close()


def test_a_screen_reader_hears_the_selected_cell(tab, tiny):
    tab.open(tiny, step=SCORES, cell="3,5")
    tab.press("m", "ArrowLeft")
    tab.page.wait_for_timeout(400)
    heard = tab.text("#announcement")
    assert heard.startswith("attention scores, head 0, query 3 sat, key 4 on: ")
    assert heard.endswith(tab.where()["result"])
    grid = tab.page.locator("[role='grid']").first
    assert (grid.get_attribute("aria-rowcount"), grid.get_attribute("aria-colcount")) == ("10", "10")
    assert tab.page.locator("#matrix td[aria-selected='true']").get_attribute("aria-colindex") == "6"
    tab.press("ArrowRight")
    tab.page.click("#predict-button")
    tab.page.wait_for_timeout(400)
    assert tab.text("#announcement").endswith("hidden until you predict it")


def test_on_paper_the_matrix_and_the_calculation_remain(tab, tiny):
    tab.open(tiny, step=SCORES, cell="3,5")
    tab.page.emulate_media(media="print")
    visible = {
        name: tab.page.locator(name).first.is_visible() for name in ("#matrix", "#numbers", "#formula", "#steps", ".buttons")
    }
    tab.page.emulate_media(media="screen")
    assert visible == {"#matrix": True, "#numbers": True, "#formula": True, "#steps": False, ".buttons": False}


def test_movement_is_reduced_for_readers_who_ask_for_it(browser, tiny):
    tab = Tab(browser)
    tab.open(tiny, step=SCORES, cell="3,5")
    for preference, moves in (("no-preference", True), ("reduce", False)):
        tab.page.emulate_media(reduced_motion=preference)
        duration = tab.page.locator(".frame").first.evaluate("e => parseFloat(getComputedStyle(e).transitionDuration)")
        assert (duration > 0) == moves
    tab.close()


def test_a_second_tensor_is_shown_with_the_difference(tab, steps, write):
    """A learner's own attention, next to the correct one."""
    own = steps[SCORES].output * 8
    tab.open(write(steps, others={SCORES: ("my_attention.py <script>", own)}), step=SCORES, slice=1, cell="3,5")
    assert tab.text("#other caption") == "my_attention.py <script>"
    cell = "td[data-row='3'][data-column='5']"
    value = steps[SCORES].output[0, 1, 3, 5].item()
    assert float(tab.page.locator(f"#other {cell}").get_attribute("data-value")) == value * 8
    assert float(tab.page.locator(f"#difference {cell}").get_attribute("data-value")) == pytest.approx(value * 7, rel=1e-5)
    assert tab.accessibility_violations() == ""
