"""A page in a real browser: Chromium, without a window, driven by Playwright. All requests and errors are recorded."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CURRENT_STEP = "#steps [aria-current='step']"
WHERE = r"""() => {
  const text = (id) => document.getElementById(id).textContent.replace(/[\u2068\u2069]/g, ""); // of the direction of text
  const cell = document.querySelector("#matrix td[aria-selected='true']");
  const focused = document.activeElement;
  return {
    step: document.querySelector(CURRENT_STEP).dataset.step,
    place: text("place"),
    cursor: cell && [Number(cell.dataset.row), Number(cell.dataset.column)],
    cell: text("cell"),
    result: text("result"),
    isPinned: !document.getElementById("pinned").hidden,
    isOverview: !document.getElementById("heads").hidden,
    verdict: text("verdict"),
    focus: focused.dataset.row ? "matrix" : focused.id,
  };
}""".replace("CURRENT_STEP", f'"{CURRENT_STEP}"')
AXE = {"preload": False, "resultTypes": ["violations"]}
"""Options of axe-core: no request of style sheets, and no details of the thousands of elements without a violation."""
SHOW = """(hash) => { // the browser itself fires the event later, and none if the address stays the same
  history.pushState(null, "", hash);
  dispatchEvent(new HashChangeEvent("hashchange"));
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser. A sandbox needs rights that containers do not give."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Tab:
    """A tab with a page of a step-through.

    `requests` are the addresses of all requests, `problems` the errors and the messages of the console.
    """

    def __init__(self, browser: Browser, **options: Any) -> None:
        """Open an empty tab. The options are those of a context of Playwright: size, dark mode and so on."""
        self.context = browser.new_context(**{"viewport": {"width": 1600, "height": 900}, **options})
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))

    def open(self, file: Path, **state: Any) -> None:
        """Load a file from the disk, in a state such as step="layers.0.attention.scores", cell="3,5"."""
        self.page.goto("about:blank")
        self.requests.clear()
        self.page.goto(file.as_uri() + hash_of(state), wait_until="load")

    def show(self, **state: Any) -> None:
        """Go to a state of the same page."""
        self.page.evaluate(SHOW, hash_of(state))

    def press(self, *keys: str) -> dict[str, Any]:
        """Press keys, and return what the page shows then."""
        for key in keys:
            self.page.keyboard.press(key)
        return self.where()

    def where(self) -> dict[str, Any]:
        """Return the step, the cell and so on that the page shows."""
        self.page.wait_for_selector(CURRENT_STEP, state="attached")  # on a busy machine a page is drawn late
        found: dict[str, Any] = self.page.evaluate(WHERE)
        return found

    def state(self) -> dict[str, str]:
        """Return the state in the address, once it is written there."""
        self.page.wait_for_timeout(300)
        fields = parse_qs(self.page.evaluate("location.hash").removeprefix("#"))
        return {name: values[0] for name, values in fields.items()}

    def cell(self, row: int, column: int) -> Any:
        """Return a cell of the matrix."""
        return self.page.locator(f"#matrix td[data-row='{row}'][data-column='{column}']")

    def text(self, selector: str) -> str:
        """Return the text of an element, without the marks that isolate its direction."""
        return re.sub("[\u2068\u2069]", "", self.page.locator(selector).text_content() or "")

    def accessibility_violations(self) -> str:
        """Return the report of axe-core, empty if it finds nothing."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page, options=AXE).response["violations"]
        return "\n".join(f"{each['id']}: {json.dumps([node['html'] for node in each['nodes']])}" for each in found)

    def close(self) -> None:
        self.context.close()


def hash_of(state: dict[str, Any]) -> str:
    """Return the part of an address that has the state of a page."""
    return "#" + urlencode(state, safe=",") if state else ""
