"""A live page in a browser: its controls, its address, and that it shows the numbers of Python."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minibert import Bert, BertForPreTraining, BertForSequenceClassification
from minibert.study.page.live import live_page
from minibert.study.stepthrough.selection import select
from minibert.study.stepthrough.walk import walk
from minibert.text.tokenizer_loading import load_tokenizer
from tests.browser import Tab
from tests.study.page import test_page
from tests.study.page.test_accessibility import LOOKS, OVERFLOW
from tests.study.page.test_live_network import SMALL, TOKENIZER, Change, in_python, network, without_heads
from tests.text.test_tokenizer import write_files

pytestmark = pytest.mark.slow

TEXT = "the cat sat on the [MASK] ."
WEIGHTS = "layers.0.attention.weights"
CHANGES = {
    "off": "0.1,1,scale,attention_residual",
    "temperature": 2,
    "cells": f"{WEIGHTS}:0,0,1,2:0.5",
    "text": "the dog [MASK]",
    "pair": "sat .",
}

OVERWRITE_EACH = """() => {
  const links = [...document.querySelectorAll("#steps [data-step]")].map((link) => link.dataset.step);
  return links.filter((path) => !path.startsWith("text.")).map((path, number) => {
    document.querySelector(`#steps [data-step='${path}']`).click();
    document.getElementById("number").value = number + 1;
    document.getElementById("overwrite").requestSubmit();
    const changes = document.querySelectorAll("#changes button").length;
    return { path, result: document.getElementById("result").dataset.value, changes };
  });
}"""
"""Overwrite a number of each step that the network computed, one after the other. All changes stay."""


@pytest.fixture(scope="module")
def model() -> BertForPreTraining:
    made: BertForPreTraining = network(BertForPreTraining, SMALL)
    return made


@pytest.fixture(scope="module")
def write_live(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def write(*arguments: Any, **options: Any) -> Path:
        file = tmp_path_factory.mktemp("live") / "page.html"
        file.write_text(live_page(*arguments, **options), encoding="utf-8")
        return file

    return write


@pytest.fixture(scope="module")
def file(model: BertForPreTraining, write_live: Callable[..., Path]) -> Path:
    return write_live(model, TOKENIZER, TEXT, None, {"Model": "small"})


@pytest.fixture
def page(tab: Tab, file: Path) -> Tab:
    tab.open(file)
    return tab


def number(tab: Tab) -> float:
    return float(tab.page.evaluate("document.getElementById('result').dataset.value"))


def type_text(tab: Tab, text: str, field: str = "#sentence") -> None:
    tab.page.fill(field, text)
    tab.page.press(field, "Enter")


def changes(tab: Tab) -> list[str]:
    return [re.sub("[\u2068\u2069]", "", text) for text in tab.page.locator("#changes button").all_text_contents()]


def test_a_typed_text_is_computed(page, model):
    """Each step has the numbers of Python, at the same step and cell, and the predictions are those of the new text."""
    page.show(step="layers.1.feed_forward_norm", slice=0, cell="2,3")
    type_text(page, "the dog [MASK] .")
    type_text(page, "the man", "#pair")
    expected = walk(model, TOKENIZER, "the dog [MASK] .", "the man")
    assert number(page) == pytest.approx(float(expected["layers.1.feed_forward_norm"].output[0, 2, 3]), abs=1e-4)
    assert page.text("#text") == "the dog [MASK] . / the man"
    best = int(expected["mlm.probabilities"].output[0].argmax())
    assert page.page.locator("#predictions a").first.text_content() == TOKENIZER.id_to_token(best)
    assert page.state() == {
        "step": "layers.1.feed_forward_norm",
        "slice": "0",
        "cell": "2,3",
        "text": "the dog [MASK] .",
        "pair": "the man",
    }


def test_typing_is_followed_after_a_pause(page):
    page.page.focus("#sentence")
    page.page.keyboard.press("End")
    page.page.keyboard.type(" cat")
    page.page.locator("#text", has_text=f"{TEXT} cat").wait_for()
    assert page.where()["focus"] == "sentence"
    assert page.state()["text"] == f"{TEXT} cat"


def test_a_head_that_is_off(page, model):
    """The number is that of Python. Before and after are shown, and the difference is now minus before."""
    page.show(step="layers.1.feed_forward_norm", slice=0, cell="2,3")
    before = number(page)
    page.page.click("[data-part='0.1']")
    edit = {"layers.0.attention.context": without_heads(1)}
    expected = in_python(model, TEXT, change=Change({}, lambda _: edit))["layers.1.output"][0, 2, 3]
    assert number(page) == pytest.approx(float(expected), abs=1e-4)
    assert page.state()["off"] == "0.1"
    assert changes(page) == ["Head 1 of layer 0 off ×", "Take back everything"]
    cell = "[data-row='2'][data-column='3']"
    shown = {name: page.text(f"{name} {cell}") for name in ("#other", "#difference")}
    assert float(shown["#other"].replace("−", "-")) == pytest.approx(before, abs=0.01)
    assert float(shown["#difference"].replace("−", "-")) == pytest.approx(number(page) - before, abs=0.01)
    assert page.text("#difference caption") == "layer norm output minus before" or "minus before" in page.text(
        "#difference caption"
    )
    page.page.click("[data-part='0.1']")
    assert changes(page) == []
    assert number(page) == before


def test_another_text_is_compared_with_the_opened_one(page):
    """Steps of the same shape are compared. With a change, it is the same text without the change."""
    page.show(step="embeddings.words", cell="2,0")
    opened = number(page)
    assert page.page.locator("#other").is_hidden()
    type_text(page, "the dog sat on the [MASK] .")
    cell = "#other [data-row='2'][data-column='0']"
    assert float(page.text(cell).replace("−", "-")) == pytest.approx(opened, abs=0.01)
    assert number(page) != opened
    page.page.click("[data-part='scale']")
    assert float(page.text(cell).replace("−", "-")) == pytest.approx(number(page), abs=0.01)
    page.page.click("[data-part='scale']")
    type_text(page, "the dog")
    assert page.page.locator("#other").is_hidden()


def test_each_switch(page):
    page.show(step="mlm.probabilities", slice=0, cell="0,3")
    before = number(page)
    for part in ("scale", "positions", "attention_residual", "feed_forward_residual", "0", "1.2"):
        page.page.click(f"[data-part='{part}']")
        assert page.page.get_attribute(f"[data-part='{part}']", "aria-pressed") == "false"
        assert number(page) != before
        page.page.click("#changes button >> nth=0")
        assert number(page) == before
    for slider in ("attention-temperature", "prediction-temperature"):
        page.page.focus(f"#{slider}")
        page.page.keyboard.press("ArrowRight")
        assert page.page.get_attribute(f"#{slider}", "aria-valuetext") == "1.19"
        assert number(page) != before
        page.page.click("#changes button >> nth=0")
        assert number(page) == before
    assert page.where()["focus"] == "sentence"  # the list of changes is empty


def test_padding_and_its_mask(page):
    """Padding is hidden by the mask, until that is switched off. Both are part of the address."""
    button = page.page.locator("[data-part='mask']")
    assert button.is_disabled()
    page.page.fill("#padding", "2")
    page.page.press("#padding", "Enter")
    page.show(**{**page.state(), "step": WEIGHTS, "cell": "1,9"})
    assert page.where()["cell"].endswith("[PAD]")
    assert number(page) == 0
    assert "mask (not keep)" in page.text("#inputs")
    assert "false in every cell" not in page.text("#inputs")
    button.click()
    assert number(page) > 0
    assert "false in every cell" in page.text("#inputs")
    assert page.state()["padding"] == "2"
    assert page.state()["off"] == "mask"
    page.show(**{**page.state(), "step": "layers.0.attention.masked_scores"})
    assert "Changed: every token may be attended to." in page.text("#explanation")
    page.page.click("#changes button >> nth=0")
    assert button.is_disabled()
    assert {"padding", "off"}.isdisjoint(page.state())


def test_take_back_everything_and_the_back_button(page):
    page.page.click("[data-part='scale']")
    page.page.click("[data-part='positions']")
    assert page.state()["off"] == "scale,positions"  # changes that follow quickly are one entry of the history
    type_text(page, "the mat")
    assert page.state()["text"] == "the mat"
    assert changes(page) == ["Scale 1/√d_k off ×", "Positions off ×", "Take back everything"]
    page.page.click("#changes button >> nth=2")
    assert (changes(page), page.text("#text")) == ([], TEXT)
    assert "off" not in page.state()
    page.page.go_back()
    page.page.locator("#text", has_text="the mat").wait_for()
    assert len(changes(page)) == 3
    page.page.go_back()
    page.page.locator("#text", has_text="the cat sat").wait_for()
    assert changes(page) == ["Scale 1/√d_k off ×", "Positions off ×", "Take back everything"]


def test_a_number_is_overwritten(page):
    page.show(step=WEIGHTS, slice=1, cell="1,2")
    page.page.fill("#number", "−0,25")
    page.page.press("#number", "Enter")
    assert number(page) == -0.25
    assert page.page.input_value("#number") == ""
    assert changes(page)[0] == "Layer 0: attention weights, head 1, query 1 the, key 2 cat: −0.250 ×"
    assert page.state()["cells"] == f"{WEIGHTS}:0,1,1,2:-0.25"
    for wrong in ("", "a", "1e7", "Infinity"):
        page.page.fill("#number", wrong)
        page.page.press("#number", "Enter")
        assert page.text("#overwrite-problem") == "Type a number from −1000000 to 1000000."
        assert number(page) == -0.25
    page.show(step="text.ids", cell="0,1")
    assert page.page.locator("#overwrite").is_hidden()


def test_a_number_of_each_step_is_overwritten(tab, write_live):
    """The step has the number then, and the list has one change more, and the button that takes back everything."""
    tab.open(write_live(network(BertForPreTraining, replace(SMALL, num_hidden_layers=1)), TOKENIZER, "the [MASK]"))
    found = tab.page.evaluate(OVERWRITE_EACH)
    assert len(found) > 30
    assert [each["result"] for each in found] == [str(number) for number in range(1, len(found) + 1)]
    assert [each["changes"] for each in found] == [number + 1 for number in range(1, len(found) + 1)]


def test_an_overwritten_output_of_a_layer_that_is_off(page):
    """The number is that of the step as later steps use it."""
    page.show(step="layers.0.feed_forward_norm", cell="1,2", off="0")
    page.page.fill("#number", "7")
    page.page.press("#number", "Enter")
    assert number(page) == 7
    assert changes(page)[1].endswith(", token 1 the, width 2: 7 ×")


def test_words_are_moved_and_masked(page):
    page.page.click("#words button >> nth=1")
    page.page.click("#word-after")
    assert page.text("#text") == "the sat cat on the [MASK] ."
    assert page.page.locator("#words").get_attribute("aria-label") == "Words: choose one to move or mask it"
    page.page.click("#word-mask")
    assert page.text("#text") == "the sat [MASK] on the [MASK] ."
    page.page.click("#word-before")
    page.page.click("#word-before")
    assert page.text("#text") == "[MASK] the sat on the [MASK] ."
    assert page.page.locator("#word-before").is_disabled()


def test_mask_with_another_name(tab, write_live, tmp_path):
    """The button, the words and the experiments have the name of the tokenizer."""
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    pieces = sorted(TOKENIZER.get_vocab(), key=TOKENIZER.token_to_id)
    folder = write_files(tmp_path, [*names.values(), *pieces[len(names) :]], special_tokens_map=names)
    tokenizer = load_tokenizer(folder)
    tab.open(write_live(network(BertForPreTraining, SMALL), tokenizer, "the cat <mask> ."))
    tab.page.click("#word-mask")
    assert tab.text("#word-mask") == "Replace by <mask>"
    assert tab.page.locator("#words button").all_text_contents() == ["<mask>", "cat", "<mask>", "."]
    tab.page.select_option("#choice", "6")
    assert tab.text("#text") == "a <mask> <mask> ."


@pytest.mark.parametrize(("text", "message"), [("  ", "Type a text"), ("cat " * 80, "has 82 tokens, but the network has 70")])
def test_a_text_that_cannot_be_computed(page, text, message):
    """A sentence stands at the field, and the last page stays. A text that can be computed removes the sentence."""
    before = page.text("#predictions")
    type_text(page, text)
    assert message in page.text("#problem")
    assert page.page.get_attribute("#sentence", "aria-invalid") == "true"
    assert page.text("#predictions") == before
    assert page.page.input_value("#sentence") == text
    type_text(page, "cat")
    assert (page.text("#problem"), page.page.get_attribute("#sentence", "aria-invalid")) == ("", None)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"off": "9,0.9,__proto__,scale,scale,<b>"}, {"off": "scale"}),
        ({"temperature": "1e99", "attention": "-3"}, {"attention": "0.125", "temperature": "8"}),
        ({"temperature": "warm", "attention": ""}, {"attention": "0.125"}),
        ({"cells": "__proto__:0:1;constructor:1;embeddings.sum:0,0,0:NaN;a;embeddings.sum:x:1;;:"}, {}),
        ({"cells": "embeddings.sum:0,0,0:1e300"}, {"cells": "embeddings.sum:0,0,0:1000000"}),
        ({"cells": "embeddings.sum:0,99,0:2"}, {"cells": "embeddings.sum:0,99,0:2"}),  # for longer texts
        ({"text": "<img src=x onerror=alert(1)>"}, {"text": "<img src=x onerror=alert(1)>"}),
        ({"text": "cat " * 3000}, {}),
        ({"text": "", "off": "scale"}, {"off": "scale"}),
        ({"pair": "without a text"}, {}),
    ],
)
def test_hash_that_is_not_possible(tab, file, fields, kept):
    """The page shows the nearest experiment, and writes that one into the address."""
    tab.open(file, step=WEIGHTS, **fields)
    tab.press("m", "ArrowRight")
    state = tab.state()
    assert {name: state[name] for name in state if name not in ("step", "slice", "cell")} == kept
    assert number(tab) == number(tab)  # it is no NaN


def test_an_address_opens_an_experiment(tab, file):
    tab.open(file, step=WEIGHTS, slice=0, cell="1,2", **CHANGES)
    assert tab.text("#text") == "the dog [MASK] / sat ."
    assert number(tab) == 0.5
    assert len(changes(tab)) == 7
    first = tab.page.get_attribute("#predictions a >> nth=0", "href")
    assert "off=" in first
    assert "text=the+dog" in first
    tab.show(step=WEIGHTS, slice=0, cell="1,2")
    assert (changes(tab), tab.text("#text")) == ([], TEXT)


def test_an_address_names_an_experiment(tab, file):
    """A lesson links to it by its name. The name of no experiment opens the page as it is."""
    tab.open(file, experiment="Word order")
    assert tab.text("#text") == "man bites dog"
    assert tab.state()["off"] == "positions"
    assert tab.text("#question").startswith("The positions are removed.")
    tab.show(experiment="Scale")
    assert tab.state()["off"] == "scale"
    tab.show(experiment="Temperature")
    best = tab.page.locator("#predictions a").first.text_content()
    assert tab.where()["cell"].endswith(f" {best}")  # sorted by a row, and no cell is named: the largest number
    tab.show(experiment="None of them")
    assert (changes(tab), tab.text("#text")) == ([], TEXT)


def test_a_class_and_a_score(tab, write_live):
    """A regression predicts its score."""
    cases = (["bad", "good"], "classifier.probabilities", "class 1 good"), (["score"], "classifier.logits", "")
    for names, step, cell in cases:
        model = network(BertForSequenceClassification, replace(SMALL, id2label=dict(enumerate(names))))
        tab.open(write_live(model, TOKENIZER, TEXT), step=step, slice=0, cell="0,1")
        assert tab.where()["cell"].endswith(cell)
        best = tab.page.locator("#predictions a").all_text_contents()
        assert sorted(best) == sorted(names)


def test_the_page_opens_at_a_step(tab, model, write_live):
    start = select(walk(model, TOKENIZER, TEXT), "scores", 1, 2, "3,4")
    tab.open(write_live(model, TOKENIZER, TEXT, "a pair", start=start))
    assert tab.where()["cell"] == "head 2, query 3 sat, key 4 on"
    assert tab.page.input_value("#pair") == "a pair"


def test_what_is_in_the_file(file):
    """The same as in the page of a step-through: a policy for its own scripts and styles, and no address outside."""
    html = file.read_text(encoding="utf-8")
    test_page.test_the_policy_allows_only_the_scripts_and_styles_of_the_page(html)
    test_page.test_nothing_in_the_page_leads_outside(html)


@pytest.mark.parametrize("text", ["", "the\ncat\r\nsat", "</script><b> \u2028 \u202e $data"])
def test_unusual_texts_that_the_page_opens_with(tab, write_live, text):
    """The text stays as it is until the reader types another one."""
    model = network(Bert, replace(SMALL, num_hidden_layers=1))
    tab.open(write_live(model, TOKENIZER, text))
    tab.page.click("[data-part='scale']")
    state = tab.state()
    assert state["off"] == "scale"
    assert "text" not in state
    assert tab.page.locator("#pair").is_hidden()


def test_an_experiment_is_chosen(page):
    """Its question is shown, and its answer when the reader asks for it. A link to it shows them, too."""
    page.page.focus("#choice")
    for _ in range(2):
        page.page.keyboard.press("ArrowDown")
    assert page.where()["focus"] == "choice"
    assert page.state() == {"step": WEIGHTS, "slice": "0", "cell": "2,2", "text": "a dog bites a man .", "off": "scale"}
    assert page.text("#question").startswith("The dot products are no longer divided by √d_k.")
    assert not page.page.locator("#answer p").is_visible()
    page.page.click("#answer summary")
    assert page.text("#answer p").startswith("It grows")
    assert page.page.locator("#answer p").is_visible()
    page.page.click("[data-part='positions']")  # the answer stays while the reader goes on from here
    assert page.page.locator("#answer p").is_visible()
    page.page.click("#changes button >> nth=-1")
    assert (page.text("#question"), page.page.locator("#answer").is_hidden()) == ("", True)
    page.page.click("[data-part='scale']")
    type_text(page, "a dog bites a man .")
    assert page.page.input_value("#choice") == "1"
    assert not page.page.locator("#answer p").is_visible()


def test_the_overview_follows_a_change(page):
    page.press("h")
    before = page.page.locator("#heads small").all_text_contents()
    page.page.click("[data-part='scale']")
    page.page.locator("#heads small >> nth=5").filter(has_text="→").wait_for()
    after = page.page.locator("#heads small").all_text_contents()
    assert len(after) == len(before) == 6
    assert after != before


@pytest.fixture(params=["light", *LOOKS])
def styled_tab(request: Any, browser: Any) -> Iterator[Tab]:
    tab = Tab(browser, **LOOKS.get(request.param, {}))
    yield tab
    tab.close()


def test_axe_reports_nothing(styled_tab, file):
    styled_tab.open(file, step=WEIGHTS, cell="1,2", **CHANGES)
    styled_tab.page.evaluate("for (const part of document.querySelectorAll('#controls')) part.open = true")
    assert styled_tab.accessibility_violations() == ""
    styled_tab.page.select_option("#choice", "0")
    styled_tab.page.click("#answer summary")
    type_text(styled_tab, "")
    assert styled_tab.text("#problem") != ""
    assert styled_tab.accessibility_violations() == ""
    assert styled_tab.page.evaluate(OVERFLOW.replace("header *", "header *, #experiment *")) == []
    assert styled_tab.problems == []


def test_the_controls_are_folded_on_a_narrow_screen(browser, file):
    tab = Tab(browser, **LOOKS["narrow"])
    tab.open(file)
    assert not tab.page.locator("#sentence").is_visible()
    tab.page.click("#experiment summary >> nth=0")
    assert tab.page.locator("#sentence").is_visible()
    tab.close()
