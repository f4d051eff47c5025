"""A walk in a notebook: the page in a frame, and as text."""

import html
import os
import shutil
from pathlib import Path

import pytest

from minibert import GPT2Config, GPT2LMHeadModel, Transformer, TransformerConfig
from minibert.study.page.page import step_through_page
from minibert.study.stepthrough.step import Walk
from minibert.study.stepthrough.walk import walk
from minibert.study.subject import load_subject, random_network, tokenizer_of
from tests.fragments import Fragment, shown

TEXT = "the cat sat on the [MASK] ."
HOSTILE = "</iframe><script>alert(1)</script> \"' & مرحبا 雨 \x1b[31m \u202e"
SIZES = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16}
POLICIES = (
    "default-src * data:; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'",
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' https: data:;"
    " child-src https: data:",
)
"""Content security policies as those of Colab and of VS Code, which a frame inherits."""
CELLS = """
from minibert import Bert, PRESETS, record
from minibert.study import walk
from minibert.study.equations.registry import registry
from minibert.study.subject import load_subject
import torch
model, tokenizer = load_subject(preset="tiny", texts=["the cat [MASK] ."])
steps = walk(model, tokenizer, "the cat [MASK] .")
steps
---
steps["layers.0.attention.scores"]
---
with record(model) as recording:
    output = model(torch.tensor([[1, 2, 3]]))
recording
---
output
---
model
---
registry()["softmax"]
---
[steps["text.ids"], steps["pooler"]]
"""


@pytest.fixture(scope="module")
def steps() -> Walk:
    return walk(*load_subject(preset="tiny", texts=[TEXT]), TEXT)


def test_html_is_a_sentence_and_a_sandboxed_frame_with_the_page(steps: Walk) -> None:
    fragment = shown(steps)
    assert fragment.elements.count("iframe") == 1
    assert fragment.attributes["sandbox"] == ["allow-scripts"]  # no access to the notebook, no forms, no windows
    assert fragment.attributes["srcdoc"] == [step_through_page(steps)]
    assert fragment.text.strip() == f'{steps.summary}. One step: walk["layers.0.attention.scores"]'
    assert steps["layers.0.attention.scores"].path in steps


def test_text_lists_steps_with_axes_and_predictions(steps: Walk) -> None:
    lines = repr(steps).splitlines()
    assert lines[0] == f"Walk of '{TEXT}': {len(steps)} steps"
    table = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:]}
    assert table["text.pieces"] == "tokens 9"
    assert table["layers.0-1.attention.scores"] == "heads 2 × queries 9 × keys 9"
    assert table["mlm.logits"].startswith("tokens 9 × vocabulary ")
    assert table["layers.0-1.attention_norm.mean"] == "tokens 9 × 1"
    prediction = next(line for line in lines if line.startswith("  mlm.probabilities for [MASK]: "))
    assert prediction.count("%") == 5


def test_text_of_a_hostile_input_is_text() -> None:
    hostile = walk(*load_subject(preset="tiny", texts=[HOSTILE]), HOSTILE)
    fragment = shown(hostile)
    assert fragment.elements == ["p", "code", "iframe"]
    assert "\\x1b[31m" in fragment.text
    assert "\x1b" not in repr(hostile) + html.unescape(hostile._repr_html_())
    assert "\u202e" not in repr(hostile) + hostile._repr_html_()


def test_the_size_of_the_text_is_bounded() -> None:
    text = "a " * 400
    subject = load_subject(preset="tiny", texts=[text])
    long = walk(*subject, text)
    assert len(repr(long)) < 12_000
    assert "more predictions" in repr(long)
    assert len(long.summary) < 200


@pytest.mark.parametrize(
    ("network", "config", "steps_of_layers"),
    [
        (GPT2LMHeadModel, GPT2Config(**SIZES, num_hidden_layers=3), "layers.0-2.attention.scores"),
        (GPT2LMHeadModel, GPT2Config(**SIZES, num_hidden_layers=1), "layers.0.attention.scores"),
        (
            Transformer,
            TransformerConfig(**SIZES, encoder_layers=2, decoder_layers=2),
            "decoder.layers.0-1.cross_attention.scores",
        ),
    ],
)
def test_every_network_can_be_shown(network: type, config: object, steps_of_layers: str) -> None:
    tokenizer = tokenizer_of([TEXT])
    shown_walk = walk(random_network(network, config, tokenizer), tokenizer, "the cat")
    assert steps_of_layers in repr(shown_walk)
    assert "%" in repr(shown_walk)
    assert shown(shown_walk).elements == ["p", "code", "iframe"]


@pytest.mark.slow
def test_a_notebook_has_html_and_text_of_every_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook runs in a kernel of its own, without a network connection to anything but the kernel."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (pip install minibert[lessons])")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed (pip install minibert[lessons])")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]))
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.split("---")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    results = [next(output for output in cell.outputs if output.output_type == "execute_result") for cell in cells]
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    for result in results[:-1]:
        assert Fragment(result.data["text/html"]).text
        assert "\n" in result.data["text/plain"]
        assert " at 0x" not in result.data["text/plain"]
    in_a_list = results[-1].data
    assert "text/html" not in in_a_list
    assert in_a_list["text/plain"] == "[text.ids  tokens 6, pooler  v = tanh(c)  width 128]"


@pytest.mark.slow
def test_the_frame_works_under_the_policies_of_notebooks(steps: Walk, tmp_path: Path) -> None:
    """Its scripts run, keys change the step, nothing is requested, and the scripts do not reach the notebook."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or pytest.skip("chromium is not installed")
    messages: list[str] = []
    requests: list[str] = []
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        for number, policy in enumerate(POLICIES):
            file = tmp_path / f"{number}.html"
            meta = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
            file.write_text(f"<!doctype html>{meta}<body>{steps._repr_html_()}", encoding="utf-8")
            page.goto(file.as_uri())
            frame = page.frames[-1]
            before = frame.locator("#name").inner_text()
            frame.locator("h1").click()  # otherwise the notebook gets the keys
            page.keyboard.press("ArrowRight")
            playwright.expect(frame.locator("#name")).not_to_have_text(before)
            reached = frame.evaluate("() => { try { return String(parent.document) } catch (error) { return error.name } }")
            assert reached == "SecurityError"
            assert requests == [file.as_uri()]
            requests.clear()
        browser.close()
    assert messages == []
