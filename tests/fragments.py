"""Check of the HTML that objects show in a notebook."""

from html.parser import HTMLParser

from minibert.display import Shown

VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "wbr"})
"""Elements without an end tag."""
ACTIVE = frozenset({"script", "style", "link", "base", "object", "embed", "img", "form", "a", "meta"})
"""Elements that run code, load something, or change the notebook around them."""
NAMESPACE = ("xmlns", "http://www.w3.org/1998/Math/MathML")


class Fragment(HTMLParser):
    """Parses HTML, checks that it is well-formed and inert, and collects its texts, elements and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"
        assert ACTIVE.isdisjoint(self.elements)
        assert not [name for name in self.attributes if name.startswith("on") or name in ("src", "href", "action")]
        assert "//" not in "".join(value for name, values in self.attributes.items() if name != "srcdoc" for value in values)
        assert html.encode("utf-8")
        assert "\x00" not in html

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        assert len({name for name, _ in attributes}) == len(attributes), "an attribute is given twice"
        for name, value in attributes:
            if (name, value) != NAMESPACE:
                self.attributes.setdefault(name, []).append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without its beginning"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def shown(thing: object) -> Fragment:
    """Return the checked HTML of an object, which must have a text, too."""
    assert not isinstance(thing, Shown) or ("\n" not in thing.summary and " at 0x" not in repr(thing))
    return Fragment(thing._repr_html_())  # type: ignore[attr-defined]
