"""A browser for the tests of the page. It ends with the tests of this folder: its event loop must not meet other tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from minibert.study.page.live import LIVE_SCRIPTS
from minibert.study.page.page import FOLDER, step_through_page
from minibert.study.stepthrough.step import Walk
from minibert.study.stepthrough.walk import walk
from minibert.study.subject import load_subject
from tests.browser import CHROMIUM, Tab, chromium
from tests.study.page.packing import PACKING

TEXT = "the cat sat on the [MASK] ."


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def shared_tab(browser: Any) -> Iterator[Tab]:
    tab = Tab(browser)
    yield tab
    tab.close()


@pytest.fixture
def tab(shared_tab: Tab) -> Iterator[Tab]:
    """A tab. The test fails if the page reports an error or requests anything but its own file."""
    shared_tab.requests.clear()
    shared_tab.problems.clear()
    yield shared_tab
    assert shared_tab.problems == []
    assert all(address.startswith("file:///") and ".html" in address for address in shared_tab.requests)
    assert len(shared_tab.requests) <= 1


@pytest.fixture(scope="package")
def steps() -> Walk:
    return walk(*load_subject(preset="tiny", texts=[TEXT]), TEXT)


@pytest.fixture(scope="package")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write the page of a walk to a file."""

    def write(steps: Walk, facts: dict[str, str] | None = None, **options: Any) -> Path:
        file = tmp_path_factory.mktemp("page") / "page.html"
        file.write_text(step_through_page(steps, facts, **options), encoding="utf-8")
        return file

    return write


@pytest.fixture(scope="package")
def tiny(steps: Walk, write: Callable[..., Path]) -> Path:
    """The page of a small BERT, in which one mistake is known."""
    path = "layers.0.attention.scores"
    mistake = SimpleNamespace(name="unscaled", message="You left out √d_k.", output=steps[path].output * 8)
    return write(steps, {"Model": "tiny"}, mistakes={path: [mistake]})


@pytest.fixture(scope="package")
def live(browser: Any) -> Iterator[Callable[..., Any]]:
    """Evaluate JavaScript that uses the scripts of a live page."""
    page = browser.new_page()
    page.add_script_tag(content="\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in LIVE_SCRIPTS))
    page.add_script_tag(content=PACKING)
    yield page.evaluate
    page.close()
