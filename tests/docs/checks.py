"""Checks of a site that was built: its links, and its pages in a browser."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

from tests.browser import Tab

VIEWS = [(width, scheme) for width in (400, 1280) for scheme in ("light", "dark")]
"""Widths in pixels, and color schemes."""


class Anchors(HTMLParser):
    """The links of a page, and the names that a link can lead to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.names |= {found[name] or "" for name in ("id", "name") if name in found}
        self.links += [found[name] or "" for name in ("href", "src") if name in found]


def broken_links(site: Path) -> list[str]:
    """Return every link of the site to a file or an anchor that does not exist."""
    pages = {page: Anchors(page.read_text(encoding="utf-8")) for page in site.rglob("*.html")}
    return [f"{page.relative_to(site)}: {link}" for page in pages for link in pages[page].links if not leads(page, link, pages)]


def leads(page: Path, link: str, pages: dict[Path, Anchors]) -> bool:
    """Return False if a link inside of the site leads to nothing."""
    if link.startswith(("https:", "http:", "data:", "mailto:", "javascript:")):
        return True
    address, anchor = urldefrag(link)
    file = (page.parent / unquote(address.partition("?")[0])).resolve() if address else page
    is_state = "=" in anchor  # of a page with a script; see test_ready_page.py
    return file.is_file() and (not anchor or is_state or file not in pages or unquote(anchor) in pages[file].names)


def faults_of(browser: Any, site: Path, pages: list[str]) -> Iterator[str]:
    """Yield the faults of pages in all views: errors, requests, sideways scrolling, and what axe-core finds.

    axe-core takes most of the time. It runs in two of the views, which have both widths and both color schemes.
    """
    for width, scheme in VIEWS:
        tab = Tab(browser, viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        for page in pages:
            tab.open(site / f"{page}.html")
            tab.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            foreign = [address for address in tab.requests if not address.startswith(("file:", "data:"))]
            faults = [*tab.problems, *foreign]
            if (width, scheme) in (VIEWS[0], VIEWS[-1]):
                faults.append(tab.accessibility_violations())
            if (wide := tab.page.evaluate("document.documentElement.scrollWidth")) > width:
                faults.append(f"is {wide} px wide")
            yield from (f"{page}, {width} px, {scheme}: {fault}" for fault in faults if fault)
            tab.problems.clear()
        tab.close()
