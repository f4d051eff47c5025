"""The page makes no requests, and every text in it is data."""

import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from tokenizers import AddedToken

from minibert import BertConfig, BertForPreTraining, BertForSequenceClassification
from minibert.printable import printable
from minibert.study.stepthrough.walk import walk
from minibert.study.subject import random_network
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from tests.browser import Tab
from tests.hostile_text import HOSTILE_TEXTS

pytestmark = pytest.mark.slow  # they need a browser

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
LABELS = [
    *HOSTILE_TEXTS,
    "a" * 20_000,
    "\ud800",
    "\udfff lone",
    "%00",
    "\x1b]0;x\x07" * 3,
    "</th></tr></table>",
    "$data",
    "${script}",
]
ELEMENTS = (
    "() => Object.fromEntries(['script', 'img', 'iframe', 'svg', 'base', 'object', 'embed', 'form', 'link', 'meta', 'style']"
)
ELEMENTS += ".map((name) => [name, document.querySelectorAll(name).length]))"
HEADERS = "cells => cells.map((cell) => [cell.children[0].textContent, Number(cell.children[1].textContent)])"


@pytest.fixture(scope="module")
def tokenizer():
    """Hostile texts are pieces of the vocabulary."""
    made = build_tokenizer([*SPECIAL_TOKENS, "a", "b"])
    pieces = dict.fromkeys(text for text in HOSTILE_TEXTS if text.strip() and len(text) < 300 and text not in SPECIAL_TOKENS)
    made.add_tokens([AddedToken(text, normalized=False) for text in pieces])
    return made


@pytest.fixture(scope="module")
def hostile_steps(tokenizer):
    """A text of 512 tokens, most of them hostile, and a vocabulary of hostile pieces."""
    config = BertConfig(**SIZES, max_position_embeddings=512)
    model = random_network(BertForPreTraining, config, tokenizer)
    text = " ".join([*HOSTILE_TEXTS, *["b"] * 512])
    for count in range(len(text), 0, -1):
        if len(tokenizer.encode(text[:count]).ids) == 512:
            return walk(model, tokenizer, text[:count])
    raise AssertionError("no part of the text has 512 tokens")


@pytest.fixture(scope="module")
def hostile(hostile_steps, write):
    return write(hostile_steps, {f"Text {number}": text for number, text in enumerate(LABELS)})


def check_headers(tab, which, labels, places):
    """Compare the labels of the rows or columns around some places."""
    for place in places:
        tab.show(step=tab.where()["step"], cell=f"{place},0" if which == "tbody" else f"0,{place}")
        found = tab.page.locator(f"#matrix {which} th").evaluate_all(HEADERS)
        assert place in [position for _, position in found]
        assert found == [[printable(labels[position]), position] for _, position in found]


def check_no_element_was_added(tab, tiny):
    found = tab.page.evaluate(ELEMENTS)
    tab.open(tiny)
    assert found == tab.page.evaluate(ELEMENTS)


def test_hostile_tokens_and_pieces_are_text(tab, tiny, hostile, hostile_steps):
    tab.open(hostile, step="mlm.logits", cell="511,0")
    rows, columns = (axis.labels for axis in hostile_steps["mlm.logits"].axes[-2:])
    assert len(rows) == 512
    assert len({*columns} & {*HOSTILE_TEXTS}) > 200
    check_headers(tab, "tbody", rows, (0, 130, 511))
    check_headers(tab, "thead", columns, range(8, len(columns), 9))
    assert tab.text("#text") == printable(hostile_steps.title)
    assert tab.page.locator("#facts dd").all_text_contents() == [printable(label) for label in LABELS]
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    check_no_element_was_added(tab, tiny)


def test_hostile_class_labels_are_text(tab, tiny, tokenizer, write):
    config = replace(BertConfig(**SIZES), id2label=dict(enumerate(LABELS)))
    steps = walk(random_network(BertForSequenceClassification, config, tokenizer), tokenizer, "a b")
    tab.open(write(steps), step="classifier.logits" if "classifier.logits" in steps else steps.steps[-1].path, cell="0,0")
    check_headers(tab, "thead", LABELS, (0, 60, len(LABELS) - 1))
    best = tab.page.locator("#predictions a").all_text_contents()
    assert best
    assert {*best} <= {printable(label) for label in LABELS}
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    check_no_element_was_added(tab, tiny)


def test_a_text_from_right_to_left_does_not_reorder_what_is_around_it(tab, hostile, hostile_steps):
    """The number of a row stands at the right of its label, and digits are in their order."""
    row = next(n for n, label in enumerate(hostile_steps["text.pieces"].axes[-1].labels) if label == "مرحبا بالعالم")
    tab.open(hostile, step="embeddings.words", cell=f"{row},3")
    label, number = tab.page.locator(f"#matrix td[data-row='{row}']").first.locator("xpath=../th").locator("span").all()
    assert label.bounding_box()["x"] < number.bounding_box()["x"]
    assert "\u2068مرحبا بالعالم\u2069, width 3" in tab.page.locator("#cell").text_content()


def test_a_page_in_a_frame_of_a_notebook_works_without_requests(browser, steps, tmp_path):
    """In a sandbox, without an address of its own."""
    file = tmp_path / "notebook.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><title>Notebook</title>{steps._repr_html_()}", encoding="utf-8")
    tab = Tab(browser)
    tab.open(file)
    frame = tab.page.frames[1]
    frame.wait_for_selector("#matrix td[data-row]")
    frame.locator("#main").focus()
    for key in ("n", "ArrowRight", "m", "ArrowDown", "Enter", "h", "?"):
        tab.page.keyboard.press(key)
    assert frame.locator("dialog[open]").count() == 1
    assert frame.locator("[aria-current]").get_attribute("data-step") == "text.ids"
    frame.wait_for_timeout(300)  # the address is written
    tab.close()
    assert tab.problems == []
    assert tab.requests == [file.as_uri()]


ATTEMPTS = {
    "fetch": "fetch(address)",
    "image": "new Image().src = address",
    "style": "document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: address }))",
    "script": "document.head.append(Object.assign(document.createElement('script'), { src: address }))",
    "frame": "document.body.append(Object.assign(document.createElement('iframe'), { src: address }))",
    "font": "document.fonts.add(new FontFace('a', `url(${address})`)); document.body.style.fontFamily = 'a'",
    "beacon": "navigator.sendBeacon(address, 'a')",
}
OUTSIDE_OF_EVALUATE = "() => new Promise((done) => setTimeout(() => { try { done(%s) } catch (error) { done(error.name) } }))"
"""What Playwright evaluates is free of the policy. What runs later is not."""


@pytest.fixture
def server():
    """A web server, and the paths that were requested from it."""
    paths = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield SimpleNamespace(address=f"http://127.0.0.1:{server.server_port}", paths=paths)
        server.shutdown()


def test_the_policy_refuses_every_request(browser, tiny, tmp_path, server):
    """A script in the page cannot make a request. Without the policy, the same attempts reach the server."""
    unprotected = tmp_path / "unprotected.html"
    unprotected.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", tiny.read_text()), encoding="utf-8")
    reached = {}
    for file in (tiny, unprotected):
        tab = Tab(browser)
        tab.open(file)
        for name, attempt in ATTEMPTS.items():
            code = f"(() => {{ const address = '{server.address}/{name}'; {attempt}; }})()"
            tab.page.evaluate(OUTSIDE_OF_EVALUATE % code)
        for _ in range(1 if file == tiny else 20):  # a busy machine needs time for requests that are possible
            tab.page.wait_for_timeout(300)
            if {f"/{name}" for name in ATTEMPTS if name != "font"} <= {*server.paths}:
                break
        reached[file] = {path.removeprefix("/") for path in server.paths}
        server.paths.clear()
        tab.close()
    assert reached[tiny] == set()
    assert {*ATTEMPTS} - {"font"} <= reached[unprotected]


def test_the_policy_refuses_scripts_and_markup_from_text(browser, tiny):
    tab = Tab(browser)
    tab.open(tiny)
    for code in ("eval('1')", "document.body.innerHTML = '<b>a</b>'", "document.write('<b>a</b>')", "new Function('1')()"):
        assert tab.page.evaluate(OUTSIDE_OF_EVALUATE % f"({code}, 'done')") in ("EvalError", "TypeError")
    handler = "const link = document.createElement('a'); link.setAttribute('onclick', 'window.ran = 1'); link.click();"
    tab.page.evaluate(f"() => setTimeout(() => {{ {handler} }})")
    tab.page.wait_for_timeout(50)
    assert tab.page.evaluate("window.ran ?? null") is None
    tab.close()


def test_the_title_is_text(tab, hostile, hostile_steps):
    tab.open(hostile)
    assert tab.page.title().split() == f"Step through: {printable(hostile_steps.title)}".split()
