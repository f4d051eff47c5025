"""The page of a step-through in a browser: keys, pointer, addresses, predictions, and the way back to the characters."""

import re

import numpy as np
import pytest

from minibert.classroom.step_mistakes import judge
from minibert.study.page.page import FOLDER
from minibert.study.stepthrough.arithmetic import cell
from minibert.study.stepthrough.omissions import magnitude, omitted_numbers, symbols_of
from minibert.study.stepthrough.selection import select
from tests.browser import Tab

pytestmark = pytest.mark.slow

SCORES = "layers.0.attention.scores"
MASKED = "layers.0.attention.masked_scores"
WEIGHTS = "layers.0.attention.weights"


def test_left_and_right_go_to_the_step_before_and_after(tab, tiny, steps):
    tab.open(tiny)
    paths = [step.path for step in steps.values()]
    assert tab.where()["step"] == paths[0]
    assert tab.press("ArrowLeft")["step"] == paths[0]
    assert [tab.press("ArrowRight")["step"] for _ in paths] == [*paths[1:], paths[-1]]
    assert tab.press("ArrowLeft")["step"] == paths[-2]
    assert tab.press("n")["step"] == paths[-1]
    assert tab.press("p", "p")["step"] == paths[-3]


def test_up_and_down_go_to_the_same_step_of_another_layer(tab, tiny):
    tab.open(tiny, step=SCORES, slice=1, cell="3,5")
    below = tab.press("ArrowDown")
    assert (below["step"], below["place"], below["cursor"]) == ("layers.1.attention.scores", "head 1", [3, 5])
    assert tab.press("ArrowDown")["step"] == "layers.1.attention.scores"
    assert tab.press("ArrowUp", "ArrowUp")["step"] == SCORES


def test_brackets_choose_the_head(tab, tiny, steps):
    tab.open(tiny, step=SCORES, cell="3,5")
    assert tab.where()["place"] == "head 0"
    second = tab.press("]")
    assert (second["place"], second["cursor"]) == ("head 1", [3, 5])
    assert second["result"] == exact(steps[SCORES].output[0, 1, 3, 5].item())
    assert tab.press("]")["place"] == "head 1"
    assert tab.press("[", "[")["place"] == "head 0"


def exact(value: float) -> str:
    """Return a number with the fewest digits of float32, with the page's sign."""
    return np.format_float_positional(np.float32(value), trim="-").replace("-", "−")


def test_arrows_in_the_matrix_move_the_cell(tab, tiny):
    tab.open(tiny, step=SCORES, cell="3,5")
    assert tab.press("m")["focus"] == "matrix"
    assert tab.press("ArrowLeft")["cursor"] == [3, 4]
    assert tab.press("ArrowUp", "ArrowUp")["cursor"] == [1, 4]
    assert tab.press("End")["cursor"] == [1, 8]
    assert tab.press("ArrowRight")["cursor"] == [1, 8]
    assert tab.press("Home")["cursor"] == [1, 0]
    assert tab.press("Control+End")["cursor"] == [8, 8]
    here = tab.press("Shift+ArrowUp")
    assert (here["cursor"], here["focus"], here["step"]) == ([0, 8], "matrix", SCORES)


def test_the_window_of_a_wide_matrix_follows_the_cell(tab, tiny, steps):
    tab.open(tiny, step="layers.0.intermediate", cell="0,0")
    assert tab.cell(0, 0).is_visible()
    here = tab.press("m", "End")
    assert here["cursor"] == [0, 511]
    assert here["result"] == exact(steps["layers.0.intermediate"].output[0, 0, 511].item())
    assert tab.cell(0, 511).is_visible()
    assert tab.cell(0, 0).count() == 0
    tab.page.click("#columns-before")
    assert tab.where()["cursor"][1] < 511


def test_enter_pins_and_escape_unpins_and_leaves_the_matrix(tab, tiny):
    tab.open(tiny, step=SCORES, cell="3,5")
    assert tab.press("m", "Enter")["isPinned"]
    moved = tab.press("ArrowLeft")
    assert moved["cursor"] == [3, 4]
    assert "key 5 the" in moved["cell"]
    assert not tab.press("Escape")["isPinned"]
    assert tab.press("Escape")["focus"] == "main"
    assert tab.press("ArrowRight")["step"] != SCORES


def test_question_mark_lists_the_keys(tab, tiny):
    tab.open(tiny)
    tab.press("?")
    keys = tab.page.locator("dialog[open]").inner_text()
    for key in ("←", "→", "↑", "↓", "[", "]", "Enter", "Escape", "?"):
        assert key in keys
    assert tab.press("ArrowRight")["step"] == "text.characters"
    tab.press("Escape")
    assert tab.page.locator("dialog[open]").count() == 0
    assert tab.press("ArrowRight")["step"] == "text.pieces"


def test_keys_with_control_belong_to_the_browser_and_typed_keys_to_the_field(tab, tiny):
    tab.open(tiny, step=SCORES, cell="3,5", predict=1)
    assert tab.press("Control+ArrowRight", "Alt+ArrowDown")["step"] == SCORES
    tab.page.locator("#typed").focus()
    assert tab.press("n", "ArrowLeft", "h")["step"] == SCORES
    assert tab.page.locator("#typed").input_value() == "hn"


def test_every_control_is_reached_with_tab(tab, tiny):
    tab.open(tiny, step=SCORES, cell="3,5")
    reached = []
    for _ in range(200):
        tab.page.keyboard.press("Tab")
        reached.append(tab.page.evaluate("document.activeElement.id || document.activeElement.className"))
        if reached[-1] == "" and len(reached) > 20 and tab.page.evaluate("document.activeElement === document.body"):
            break
    assert {"heads-button", "predict-button", "keys-button", "previous", "next", "sort", "formula"} <= {*reached}
    assert tab.page.evaluate("document.activeElement === document.body")


def test_pointer_shows_another_cell_until_it_leaves(tab, tiny, steps):
    tab.open(tiny, step=SCORES, cell="3,5")
    tab.cell(2, 1).hover()
    here = tab.where()
    assert "query 2 cat, key 1 the" in here["cell"]
    assert here["result"] == exact(steps[SCORES].output[0, 0, 2, 1].item())
    assert here["cursor"] == [3, 5]
    tab.page.mouse.move(0, 0)
    assert "query 3 sat, key 5 the" in tab.where()["cell"]


def test_a_click_pins_a_cell_and_a_second_click_unpins_it(tab, tiny):
    tab.open(tiny, step=SCORES, cell="3,5")
    tab.cell(2, 1).click()
    assert tab.where()["isPinned"]
    tab.cell(4, 4).hover()
    assert "query 2 cat, key 1 the" in tab.where()["cell"]
    tab.cell(2, 1).click()
    assert not tab.where()["isPinned"]
    tab.cell(4, 4).hover()
    assert "query 4 on, key 4 on" in tab.where()["cell"]


def test_inputs_of_a_cell_are_framed(tab, tiny):
    """For a score, the row of Q and the row of K light up."""
    tab.open(tiny, step="layers.0.attention.dot_products", slice=1, cell="3,5")
    for name, row in (("query", 3), ("key", 5)):
        frame = tab.page.locator(f"[data-input='layers.0.attention.{name}'] .frame")
        assert frame.count() == 1
        top, height, width = (
            float(frame.evaluate(f"e => e.style.getPropertyValue('--{each}')")) for each in ("top", "height", "width")
        )
        assert (top, height, width) == pytest.approx((row / 9, 1 / 9, 1))


class TestAddress:
    def test_has_the_state(self, tab, tiny):
        tab.open(tiny, step=SCORES, slice=1, cell="3,5")
        tab.press("m", "ArrowLeft", "Enter")
        expected = {"step": SCORES, "slice": "1", "cell": "3,4", "pin": "3,4"}
        assert tab.state() == expected
        tab.page.reload()
        here = tab.where()
        assert (here["step"], here["place"], here["cursor"], here["isPinned"]) == (SCORES, "head 1", [3, 4], True)
        tab.requests.clear()

    def test_back_and_forward_return_to_the_steps(self, tab, tiny):
        tab.open(tiny, step=SCORES, cell="3,5")
        tab.press("ArrowRight")
        assert tab.state()["step"] == MASKED
        tab.press("ArrowRight")
        assert tab.state()["step"] == WEIGHTS
        for move, step in (("back", MASKED), ("back", SCORES), ("forward", MASKED)):
            tab.page.evaluate(f"history.{move}()")
            tab.page.wait_for_function("step => document.querySelector('[aria-current]').dataset.step === step", arg=step)
            assert tab.where()["cursor"] == [3, 5]

    def test_a_state_that_waits_to_be_written_does_not_replace_a_newer_one(self, tab, tiny):
        tab.open(tiny, step=SCORES, cell="3,5")
        tab.press("n", "p")
        tab.show(step=WEIGHTS, cell="2,1")
        assert (tab.state()["step"], tab.where()["step"]) == (WEIGHTS, WEIGHTS)

    @pytest.mark.parametrize(
        ("hash_", "step", "cursor"),
        [
            ("#step=nothing", "text.characters", [0, 0]),
            (f"#step={SCORES}&slice=99&cell=99,-5", SCORES, [8, 0]),
            (f"#step={SCORES}&slice=x&cell=NaN,1e9&pin=a&sort=zz", SCORES, [0, 1]),
            ("#step=__proto__&cell=,,,", "text.characters", [0, 0]),
            ("#%00<script>alert(1)</script>&step=%FF&cell=1", "text.characters", [0, 1]),
        ],
    )
    def test_an_impossible_state_becomes_a_possible_one(self, tab, tiny, hash_, step, cursor):
        tab.open(tiny)
        tab.page.evaluate("hash => { location.hash = hash; }", hash_)
        tab.page.wait_for_timeout(30)
        here = tab.where()
        assert here["step"] == step
        assert here["cursor"] is not None
        if step == SCORES:
            assert here["cursor"] == cursor

    @pytest.mark.parametrize(("name", "cell"), [(SCORES, "2,3"), ("pooler", "5"), ("text.pieces", "3")])
    def test_a_page_opens_at_its_start(self, tab, write, steps, name, cell):
        """A step of each number of axes. The address counts more than the start."""
        selection = select(steps, name, None, 1 if name == SCORES else None, cell)
        page = write(steps, start=selection)
        tab.open(page)
        here = tab.where()
        assert here["step"] == name
        assert here["cursor"] == [*(0, 0, *selection.index)[-2:]]
        tab.open(page, step="layers.1.attention.weights")
        assert tab.where()["step"] == "layers.1.attention.weights"


class TestOverview:
    def test_shows_all_heads_and_a_click_opens_one(self, tab, tiny):
        tab.open(tiny)
        assert tab.press("h")["isOverview"]
        maps = tab.page.locator("#heads canvas")
        assert maps.count() == 4
        tab.page.wait_for_function("[...document.querySelectorAll('#heads canvas')].every((map) => map.width === 9)")
        tab.page.click("#heads a[data-step='layers.1.attention.weights'][data-slice='1']")
        here = tab.where()
        assert (here["isOverview"], here["step"], here["place"]) == (False, "layers.1.attention.weights", "head 1")

    def test_a_map_has_its_largest_weight_in_words_and_a_click_on_a_cell_opens_it(self, tab, tiny, steps):
        weights = steps[WEIGHTS].output[0, 1].clone()
        weights.fill_diagonal_(0)
        row, column = divmod(int(weights.argmax()), 9)
        tokens = steps[WEIGHTS].axes[-1].labels
        tab.open(tiny, step=SCORES, view="heads")
        link = f"#heads a[data-step='{WEIGHTS}'][data-slice='1']"
        assert tab.text(f"{link} small") == f"{weights[row, column]:.3f}: {tokens[row]} → {tokens[column]}"
        box = tab.page.locator(f"{link} canvas").bounding_box()
        tab.page.mouse.click(box["x"] + box["width"] * 5.5 / 9, box["y"] + box["height"] * 2.5 / 9)
        here = tab.where()
        assert (here["step"], here["place"], here["cursor"]) == (WEIGHTS, "head 1", [2, 5])

    def test_a_matrix_that_appears_under_a_resting_pointer_keeps_the_chosen_cell(self, tab, tiny):
        """The browser tells a cell that it is under the pointer now, although nobody has moved it."""
        tab.open(tiny, step=SCORES, view="heads")
        tab.page.evaluate("addEventListener('mousemove', (event) => { window.last = event; }, true)")
        tab.page.click("#heads a[data-step='layers.1.attention.weights'][data-slice='1'] small")
        chosen = tab.where()["cell"]
        move = """distance => document.querySelector("#matrix td[data-row='3'][data-column='0']").dispatchEvent(
            new MouseEvent("mousemove", { bubbles: true, screenX: last.screenX + distance, screenY: last.screenY }))"""
        tab.page.evaluate(move, 0)
        assert tab.where()["cell"] == chosen
        tab.page.evaluate(move, 1)
        assert "query 3 " in tab.where()["cell"]

    def test_all_maps_have_one_scale_of_color(self, tab, tiny, steps):
        tab.open(tiny, step=SCORES, view="heads")
        opacity = "c => c.getContext('2d').getImageData(5, 2, 1, 1).data[3]"
        shown = tab.page.locator(f"#heads a[data-step='{WEIGHTS}'][data-slice='1'] canvas").evaluate(opacity)
        assert shown == pytest.approx(255 * steps[WEIGHTS].output[0, 1, 2, 5].item(), abs=1)

    def test_h_closes_it(self, tab, tiny):
        tab.open(tiny, step=SCORES)
        assert not tab.press("h", "h")["isOverview"]


class TestPrediction:
    """A number is hidden until the reader types one."""

    def check(self, tab, text):
        tab.page.fill("#typed", text)
        tab.page.keyboard.press("Enter")
        return tab.where()

    def open(self, tab, tiny, steps):
        tab.open(tiny, step=SCORES, slice=1, cell="3,5")
        tab.page.click("#predict-button")
        return steps[SCORES].output[0, 1, 3, 5].item()

    def test_the_number_is_nowhere_in_the_page_until_one_is_typed(self, tab, tiny, steps):
        value = self.open(tab, tiny, steps)
        assert tab.where()["result"] == "?"
        assert tab.cell(3, 5).text_content() == "?"
        shown = tab.page.evaluate(
            "() => { const copy = document.body.cloneNode(true); copy.querySelectorAll('script').forEach((s) => s.remove());"
            "return copy.outerHTML; }"
        )
        for count in (4, 5, 6):
            digits = f"{abs(value):.{count - 1}e}".partition("e")[0].replace(".", "")
            assert digits not in shown
        assert self.check(tab, f"{value:.4f}")["result"] == exact(value)

    def test_a_right_number(self, tab, tiny, steps):
        value = self.open(tab, tiny, steps)
        here = self.check(tab, f"{value:.5f}")
        assert here["verdict"] == f"Right. The number is {exact(value)}."
        assert tab.cell(3, 5).text_content() != "?"

    def test_the_number_of_a_known_mistake(self, tab, tiny, steps):
        value = self.open(tab, tiny, steps)
        here = self.check(tab, f"{value * 8:.4f}".replace(".", ","))
        assert "Not right" in here["verdict"]
        assert "You left out √d_k." in here["verdict"]

    @pytest.mark.parametrize(
        "name", ["intermediate", "activation", "attention_norm", "feed_forward_residual", "attention.weights"]
    )
    def test_what_was_left_out_is_named(self, tab, tiny, steps, name):
        """In every layer, the page computes the numbers of all omissions as Python does."""
        step = steps[f"layers.1.{name}"]
        index = (*(0,) * (step.output.ndim - 2), 3, 0)
        right, known = float(step.output[index]), [*omitted_numbers(step, symbols_of(steps.steps), index)]
        size = magnitude(cell(step.expression, index))
        tab.open(tiny, step=step.path, cell="3,0", predict=1)
        for message, number in known:
            text = f"{number:.8g}"
            expected = judge(text, right, known, size)
            here = self.check(tab, text)
            if expected.verdict == "right":
                tab.open(tiny, step=step.path, cell="3,0", predict=1)
            assert here["verdict"].startswith(expected.message), (message, here["verdict"])

    def test_another_number(self, tab, tiny, steps):
        self.open(tab, tiny, steps)
        here = self.check(tab, "123.45")
        assert "Not right" in here["verdict"]
        assert "√d_k" not in here["verdict"]

    def test_after_a_wrong_number_the_reader_tries_again_or_asks_for_the_number(self, tab, tiny, steps):
        value = self.open(tab, tiny, steps)
        assert tab.where()["focus"] == "typed"
        here = self.check(tab, f"{value * 8:.4f}")
        assert (here["result"], here["focus"]) == ("?", "typed")
        assert "You left out √d_k." in here["verdict"]
        assert self.check(tab, f"{value:.4f}")["result"] == exact(value)
        tab.press("ArrowLeft")
        assert not tab.page.locator("#reveal").is_visible()
        tab.page.locator("#typed").focus()
        self.check(tab, "123")
        tab.page.click("#reveal")
        here = tab.where()
        assert here["result"] == exact(steps[SCORES].output[0, 1, 3, 4].item())
        assert here["verdict"].endswith(f"The number is {here['result']}.")
        assert (here["focus"], tab.page.locator("#typed").is_visible()) == ("matrix", False)

    def test_a_key_opens_the_field(self, tab, tiny):
        tab.open(tiny, step=SCORES, cell="3,5")
        assert tab.press("e")["focus"] == "typed"
        assert tab.press("Escape")["focus"] == "main"
        assert tab.press("e")["result"] != "?"

    def test_the_page_judges_as_python_does(self, tab, steps):
        value = steps[SCORES].output[0, 1, 3, 5].item()
        mistaken = value * 8
        texts = [
            f"{number * factor:.{digits}e}"
            for number in (value, mistaken)
            for digits in (0, 1, 2, 3, 4, 6)
            for factor in (1, 1 + 2e-5, 1 - 2e-5, 1 + 2e-3)
        ]
        texts += ["0", "0.0", "x", "inf", f"{-value:.4f}"]
        texts += [f"{value * (1 + change):.7e}" for change in (2e-4, 4e-4, 6e-4, 9e-4, 2e-3)]
        mistakes = [("You left out √d_k.", mistaken)]
        expected = [judge(text, value, mistakes, 10 * value) for text in texts]
        script = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in ("numbers.js", "prediction.js"))
        judged = tab.page.evaluate(
            f"([texts, value, mistakes]) => {{ {script}\n"
            "return texts.map((text) => judge(text, value, mistakes, 10 * value)); }",
            [texts, value, [{"message": message, "value": number} for message, number in mistakes]],
        )
        assert [(each["verdict"], each["message"]) for each in judged] == [(each.verdict, each.message) for each in expected]
        assert {each.verdict for each in expected} == {"right", "wrong", "unclear"}

    def test_no_number(self, tab, tiny, steps):
        self.open(tab, tiny, steps)
        here = self.check(tab, "<b>much</b>")
        assert "not a number" in here["verdict"]
        assert here["result"] == "?"

    def test_every_other_cell_hides_its_number_too(self, tab, tiny, steps):
        self.open(tab, tiny, steps)
        self.check(tab, "1.23")
        here = tab.press("Escape", "m", "ArrowLeft")
        assert (here["result"], here["verdict"]) == ("?", "")


def test_the_list_of_steps_keeps_the_head_and_the_token(tab, tiny):
    tab.open(tiny, step=SCORES, slice=1, cell="3,5")
    tab.page.click(f"#steps a[data-step='{WEIGHTS}']")
    here = tab.where()
    assert (here["place"], here["cursor"]) == ("head 1", [3, 5])
    tab.page.click("#steps a[data-step='layers.0.attention.query']")
    assert (tab.where()["place"], tab.where()["cursor"]) == ("head 1", [3, 0])
    tab.page.click("#steps a[data-step='layers.0.activation']")
    assert tab.where()["cursor"] == [3, 0]


def test_enter_on_a_link_leads_to_the_matrix(tab, tiny):
    tab.open(tiny, step=SCORES, slice=1, cell="3,5")
    tab.page.locator("#inputs .cells a").first.focus()
    here = tab.press("Enter")
    assert (here["step"], here["focus"]) == ("layers.0.attention.dot_products", "matrix")


def test_the_badge_unpins(tab, tiny):
    tab.open(tiny, step=SCORES, cell="3,5", pin="3,5")
    tab.page.click("#pinned")
    assert (tab.where()["isPinned"], tab.where()["focus"]) == (False, "matrix")


def test_buttons_that_lead_nowhere_are_disabled(tab, tiny):
    tab.open(tiny, step="layers.0.attention.query", slice=1, cell="3,63")
    disabled = {name: tab.page.locator(f"#{name}").is_disabled() for name in ("slice-before", "slice-after", "columns-after")}
    assert disabled == {"slice-before": False, "slice-after": True, "columns-after": True}
    tab.press("m", "Home", "[")
    assert tab.page.locator("#columns-before").is_disabled()


def test_sources_have_the_symbols_of_the_formula_and_the_names_of_the_list(tab, tiny):
    tab.open(tiny, step="layers.0.attention.query", cell="3,5")
    texts = tab.page.locator("#inputs li").all_text_contents()
    assert [text.split(" = ")[0] for text in texts] == ["x", "WQ", "bQ"]
    tab.show(step="layers.1.attention.query", cell="3,5")
    assert tab.page.locator("#inputs li").first.text_content().startswith("y(0) = layer 0: feed forward norm")
    assert "(0)" in tab.page.locator("#formula").text_content()
    assert tab.page.locator("#terms thead th").nth(1).text_content() == "y(0)[3, k]"
    tab.show(step=MASKED)
    assert tab.page.locator("#inputs a").first.text_content() == "layer 0: attention scores"
    assert tab.page.locator("#steps sup").first.text_content() == "w"


def test_pieces_say_their_characters(tab, tiny):
    tab.open(tiny, step="text.pieces", cell="0,3")
    assert tab.text("#cell").endswith("from sat")
    tab.show(step="text.pieces", cell="0,0")
    assert tab.text("#cell").endswith("added by the tokenizer")
    tab.show(step="text.characters")
    assert not tab.page.locator("#inputs-heading").is_visible()
    tab.show(step="text.ids")
    assert "embeddings: words" in tab.page.locator("#users a").all_text_contents()


def test_on_a_phone_the_list_of_steps_is_folded(browser, tiny):
    tab = Tab(browser, viewport={"width": 390, "height": 844})
    tab.open(tiny, step=SCORES)
    assert not tab.page.locator("#steps li a").first.is_visible()
    tab.page.click("#step-list > summary")
    assert tab.page.locator("#steps [aria-current]").is_visible()
    tab.close()


def test_a_click_on_an_input_goes_to_the_step_that_produced_it(tab, tiny):
    tab.open(tiny, step="layers.1.attention.context", slice=1, cell="3,5")
    tab.page.click("[data-input='layers.1.attention.weights'] .cells a")
    here = tab.where()
    assert (here["step"], here["place"], here["cursor"]) == ("layers.1.attention.weights", "head 1", [3, 0])
    assert tab.state()["step"] == here["step"]
    tab.page.go_back()
    tab.page.wait_for_function("document.querySelector('[aria-current]').dataset.step.endsWith('context')")
    tab.page.locator("#terms td a").first.click()
    assert re.match(r"layers\.1\.attention\.(weights|value)", tab.where()["step"])


def test_one_can_walk_back_from_a_predicted_token_to_the_characters(tab, tiny):
    """By clicks only: the best prediction, then always an input of the cell."""
    tab.open(tiny)
    best = tab.page.locator("#predictions a").first
    assert best.text_content()
    best.click()
    assert tab.where()["step"] == "mlm.probabilities"
    passed = ["mlm.probabilities"]
    while passed[-1] != "text.characters" and len(passed) < 60:
        links = tab.page.locator("#inputs .cells a")
        assert links.count() > 0, passed
        links.first.click()
        passed.append(tab.where()["step"])
        assert passed[-1] != passed[-2]
    assert passed[-3:] == ["text.ids", "text.pieces", "text.characters"]
    assert {"layers.1.feed_forward", "layers.0.attention_norm"} & {*passed}


def test_a_pointer_that_rests_does_not_choose_the_cell(tab, tiny):
    """The calculation is that of the selected cell until the pointer moves. The heading says which cell it is."""
    tab.open(tiny, step=SCORES, cell="3,5")
    tab.cell(1, 3).hover()
    assert (tab.text("#cell-heading"), tab.where()["cell"]) == ("Cell under the pointer", "head 0, query 1 the, key 3 sat")
    here = tab.press("n")
    tab.page.wait_for_timeout(100)
    assert (tab.text("#cell-heading"), here["cell"]) == ("Selected cell", "head 0, query 3 sat, key 5 the")
    assert tab.where()["cell"] == here["cell"]
    tab.cell(2, 4).hover()
    assert tab.text("#cell-heading") == "Cell under the pointer"


def test_the_focus_is_never_lost(tab, tiny):
    tab.open(tiny, step=SCORES, cell="3,5")
    tab.page.keyboard.press("Tab")
    assert tab.press("Enter")["focus"] == "matrix"
    assert tab.page.evaluate("document.activeElement.dataset.step") is None
    tab.press("h")
    assert tab.page.evaluate("document.activeElement.dataset.step") == WEIGHTS
    assert tab.press("h")["focus"] == "matrix"
    assert tab.press("c")["focus"] == "details"
    tab.page.locator("#inputs .cells a").first.click()
    tab.page.wait_for_timeout(300)
    tab.page.go_back()
    tab.page.wait_for_function("document.querySelector('[aria-current]').dataset.step.endsWith('.scores')")
    assert tab.where()["focus"] == "matrix"


def test_an_unknown_step_in_the_address_is_named(tab, tiny):
    tab.open(tiny, step="layers.9.nothing")
    assert "no step layers.9.nothing" in tab.text("#unknown")
    tab.press("n")
    assert tab.text("#unknown") == ""


def test_predict_first_hides_the_predictions_and_only_numbers_with_a_calculation(tab, tiny):
    tab.open(tiny, step="text.ids", cell="0,3")
    tab.press("e")
    assert tab.where()["result"] != "?"
    assert "not hidden" in tab.where()["verdict"]
    assert not tab.page.locator("#predictions").is_visible()
    tab.press("Escape", "e")
    assert tab.page.locator("#predictions").is_visible()


def test_a_map_names_the_weight_under_the_pointer(tab, tiny, steps):
    tab.open(tiny, step=SCORES, view="heads")
    link = tab.page.locator(f"#heads a[data-step='{WEIGHTS}'][data-slice='1']")
    tab.page.wait_for_function("[...document.querySelectorAll('#heads canvas')].every((map) => map.width === 9)")
    box = link.locator("canvas").bounding_box()
    tab.page.mouse.move(box["x"] + box["width"] * 5.5 / 9, box["y"] + box["height"] * 2.5 / 9)
    title = re.sub("[\u2068\u2069]", "", link.get_attribute("title"))
    assert title == f"{steps[WEIGHTS].output[0, 1, 2, 5]:.3f}: cat → the"


def test_tensors_without_a_name_are_named_by_what_they_are(tab, tiny):
    tab.open(tiny, step=MASKED, cell="3,5")
    assert "mask (not keep), false in every cell" in tab.text("#inputs")
    assert tab.page.locator("#inputs canvas").count() == 1
    tab.show(step="embeddings.segments")
    assert "segments (0: sentence A, 1: sentence B)" in tab.text("#inputs")
    tab.show(step="embeddings.positions")
    assert "positions 0 to 8" in tab.text("#inputs")


def test_the_calculation_is_not_cut_on_a_small_screen(browser, tiny):
    """The table of a sum of products, and all parts of the equation of layer normalization."""
    tab = Tab(browser, viewport={"width": 1280, "height": 720})
    for step, part in ((SCORES, "#where .scroll:has(table)"), ("layers.0.attention_norm", "#equation-formula")):
        tab.open(tiny, step=step, cell="3,5")
        tab.page.evaluate("document.getElementById('equation').open = true")
        assert tab.page.locator(part).evaluate("box => box.scrollWidth <= box.clientWidth"), step
    tab.close()


def test_a_printed_page_has_no_controls_and_is_light(browser, tiny):
    tab = Tab(browser, color_scheme="dark")
    tab.open(tiny, step=SCORES, cell="3,5")
    tab.page.emulate_media(media="print", color_scheme="dark")
    assert tab.page.locator("button:visible").count() == 0
    assert tab.page.locator("#cell-heading").is_visible()
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tab.close()
