"""The page of a step-through: what is in the file. Its behavior in a browser is tested elsewhere."""

import base64
import hashlib
import html
import json
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.classroom.step_mistakes import mistakes_of
from minibert.printable import printable
from minibert.study.page import data as data_module
from minibert.study.page.data import PageData
from minibert.study.page.expressions import expression_tree
from minibert.study.page.live import PAGE_SCRIPTS
from minibert.study.page.page import FOLDER, SCRIPTS, script_json, step_through_page
from minibert.study.stepthrough.backward import backward_walk
from minibert.study.stepthrough.walk import walk
from minibert.study.subject import RANDOM_NETWORKS, load_subject, random_network, tokenizer_of
from minibert.trace import Leaf, Operation

TEXT = "the cat sat on the [MASK] ."
HOSTILE = "</script><script>alert(1)</script> <!-- & \" ' \u2028 \u2029 猫 🐈 \u202e \x00 $data ${style}"


@pytest.fixture(scope="module")
def steps():
    return walk(*load_subject(preset="tiny", texts=[TEXT]), TEXT)


@pytest.fixture(scope="module")
def page(steps):
    return step_through_page(steps, {"Model": "tiny"})


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def numbers_of(record: dict) -> np.ndarray:
    kind = {"float32": "<f4", "float64": "<f8", "int32": "<i4", "bool": "u1"}[record["dtype"]]
    return np.frombuffer(base64.b64decode(record["data"]), kind)


def test_the_numbers_are_the_recorded_ones(steps, page):
    """Every step has its recorded numbers, bit for bit, or is a view of an earlier step."""
    records = data_of(page)["tensors"]
    with_data = [step for step in steps.steps if records[step.path]["data"] is not None]
    assert len(with_data) > len(steps) - 5
    for step in with_data:
        assert records[step.path]["shape"] == [*step.output.shape]
        np.testing.assert_array_equal(numbers_of(records[step.path]), step.output.numpy().ravel())


def test_the_policy_allows_only_the_scripts_and_styles_of_the_page(page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    for name in ("script", "style"):
        content = re.search(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}';" in f"{policy};"
    for directive in ("default-src", "connect-src", "form-action", "base-uri"):
        assert f"{directive} 'none'" in policy
    assert "unsafe" not in policy


def test_nothing_in_the_page_leads_outside(page):
    """The only address is the name of MathML's namespace, which is never requested. No inline handlers or styles."""
    assert set(re.findall(r"\w+://[^\s\"'`)]+", page)) == {"http://www.w3.org/1998/Math/MathML"}
    markup = re.sub(r"<(script|style)[ >].*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"\s(on\w+|style|src)=", markup)


def test_no_script_parses_text_as_html():
    for name in PAGE_SCRIPTS:
        source = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|new Function", source)
    assert {path.stem for path in FOLDER.glob("*.js")} == {*PAGE_SCRIPTS}


def test_no_two_scripts_have_a_name_in_common():
    """All scripts of a page are one program, in which a second function of a name would replace the first one."""
    names = [
        re.findall(r"^(?:function|class|const|let) (\w+)", (FOLDER / f"{name}.js").read_text(encoding="utf-8"), re.MULTILINE)
        for name in PAGE_SCRIPTS
    ]
    counts = Counter(name for each in names for name in each)
    assert [name for name, count in counts.items() if count > 1] == []


def test_hostile_text_is_data():
    model, tokenizer = load_subject(preset="tiny", texts=[TEXT])
    page = step_through_page(walk(model, tokenizer, HOSTILE), {"Model": HOSTILE})
    assert page.count("</script>") == 2
    assert data_of(page)["text"] == printable(HOSTILE)
    assert data_of(page)["facts"] == [["Model", printable(HOSTILE)]]
    assert html.unescape(re.search("<title>(.*?)</title>", page, re.DOTALL)[1]).endswith(printable(HOSTILE))


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("<>&/!-\u2028\u2029\u202e\x00\ud800")))
def test_json_cannot_end_its_script(text):
    written = script_json({text: [text]})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {text: [text]}


class TestSize:
    @pytest.mark.slow
    def test_of_a_small_model(self):
        """At 16 tokens, the page of the preset `tiny` has at most 1.5 MB, even with BERT's number of word pieces."""
        words = " ".join(f"w{number:05}" for number in range(30_000))
        tokenizer = tokenizer_of([words, TEXT])
        model = random_network(*RANDOM_NETWORKS["tiny"], tokenizer)
        for text in (f"{TEXT} and it was very , very happy", "the cat sat on the mat and it was very , very happy ."):
            steps = walk(model, tokenizer, text)
            mistakes = {path: mistakes_of(steps, path) for path in steps}
            assert len(step_through_page(steps, mistakes=mistakes).encode()) <= 1_500_000

    def test_without_room_for_the_weights(self, steps, monkeypatch):
        """One row of each matrix is left."""
        for name, value in (("MIN_WEIGHTS", {True: 0, False: 0}), ("SMALL", 1), ("LARGE", 1)):
            monkeypatch.setattr(data_module, name, value)
        record = PageData(steps).to_json()["tensors"]["layers.0.attention.query.weight"]
        assert record["rows"] == [0]

    def test_mistakes_of_a_page_are_those_of_its_first_layer(self, steps):
        """Of a tensor that is too large, the page has some rows of each head."""
        outputs = {path: [SimpleNamespace(name="m", message="You.", output=steps[path].output + 1)] for path in steps}
        data = PageData(steps, None, outputs).to_json()
        with_mistakes = {step["path"] for step in data["steps"] if step["mistakes"]}
        assert "layers.0.attention.scores" in with_mistakes
        assert "mlm.transform" in with_mistakes
        assert not any(path.startswith("layers.1.") for path in with_mistakes)
        sizes = [len(numbers_of(record)) for name, record in data["tensors"].items() if name.startswith("mistake ")]
        assert 0 < max(sizes) <= 512

    @pytest.mark.slow
    def test_of_a_large_model(self, monkeypatch):
        """At 16 tokens, the page of 12 layers of width 768 has at most 6 MB, with BERT's number of word pieces."""
        for name in ("normal_", "uniform_"):  # random numbers take seconds, and have the size of other numbers
            monkeypatch.setattr(torch.Tensor, name, lambda tensor, *_, **__: tensor.detach().fill_(0.01))
        words = " ".join(f"w{number:05}" for number in range(30_000))
        text = "the cat sat on the [MASK] and it was very , very happy ."
        tokenizer = tokenizer_of([words, text])
        steps = walk(random_network(*RANDOM_NETWORKS["base"], tokenizer), tokenizer, text)
        assert len(steps["text.pieces"].output) == 16
        assert len(step_through_page(steps).encode()) <= 6_000_000

    def test_scripts_and_styles(self):
        files = [*(FOLDER / f"{name}.js" for name in SCRIPTS), *FOLDER.glob("*.css")]
        assert sum(path.stat().st_size for path in files) < 150_000


class TestLayers:
    def test_other_layers_have_their_attention_weights_and_what_the_shown_layers_are_computed_from(self, steps):
        data = PageData(steps, [1]).to_json()
        others = {path for path in data["tensors"] if path.startswith("layers.0.")}
        assert others == {"layers.0.attention.weights", "layers.0.feed_forward_norm"}
        assert {"layers.0.attention.weights", "layers.1.attention.scores"} <= {*data["tensors"]}
        omitted = next(step for step in data["steps"] if step["path"] == "layers.0.attention.scores")
        assert "--layers 0 1" in omitted["omitted"]
        assert data["overview"] == ["layers.0.attention.weights", "layers.1.attention.weights"]

    def test_a_large_backward_pass_has_the_layer_that_is_updated(self):
        steps = backward_walk(*load_subject(preset="tiny", texts=[TEXT]), TEXT)
        data = PageData(steps, None, {})
        assert data.layers == {1}

    def test_a_small_model_has_all_layers(self, page):
        assert all(step["omitted"] is None for step in data_of(page)["steps"])


def test_predictions_are_the_best_entries(steps, page):
    probabilities = steps["mlm.probabilities"].output[0]
    best = data_of(page)["predictions"][0]
    assert (best["step"], best["label"]) == ("mlm.probabilities", "[MASK]")
    place = int(probabilities.argmax())
    assert best["best"][0] == {
        "text": steps["mlm.probabilities"].axes[-1].labels[place],
        "value": float(probabilities[place]),
        "cell": [0, place],
    }


def test_mistakes_have_their_numbers(steps):
    scores = steps["layers.0.attention.scores"].output
    mistake = SimpleNamespace(name="unscaled", message="You left out √d_k.", output=scores * 8)
    data = PageData(steps, None, {"layers.0.attention.scores": [mistake]}).to_json()
    step = next(step for step in data["steps"] if step["path"] == "layers.0.attention.scores")
    assert step["mistakes"][0]["message"] == "You left out √d_k."
    np.testing.assert_array_equal(numbers_of(data["tensors"][step["mistakes"][0]["tensor"]]), (scores * 8).numpy().ravel())


def test_a_second_tensor_is_shown_next_to_a_step(steps):
    scores = steps["layers.1.attention.scores"].output
    data = PageData(steps, others={"layers.1.attention.scores": ("my_attention.py", scores + 1)}).to_json()
    step = next(step for step in data["steps"] if step["path"] == "layers.1.attention.scores")
    assert step["other"]["label"] == "my_attention.py"
    np.testing.assert_array_equal(numbers_of(data["tensors"][step["other"]["tensor"]]), (scores + 1).numpy().ravel())


class TestViews:
    """A view in the page is an offset and strides, or the starts of its rows."""

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("transpose", (-2, -1)),
            ("transpose", (0, 1)),
            ("unsqueeze", (1,)),
            ("getitem", ((slice(None), 0),)),
            ("getitem", ((..., slice(1, None, 2)),)),
            ("getitem", ((1, [0, 2, 1]),)),
            ("getitem", ((0, [2]),)),
            ("getitem", (1,)),
        ],
    )
    def test_places_are_those_of_torch(self, name, arguments):
        value = torch.arange(24).reshape(2, 3, 4)
        function = {"transpose": torch.transpose, "unsqueeze": torch.unsqueeze, "getitem": torch.Tensor.__getitem__}[name]
        expected = function(value, *arguments)
        node = Operation(name, (Leaf("constant", "", value), *arguments), {}, tuple(expected.shape), None)
        assert places(expression_tree(node, lambda leaf: "x")) == expected.flatten().tolist()


def places(tree: dict) -> list[int]:
    """Return the index of each cell of a view, as the page computes it."""
    if tree["op"] == "rows":
        width = tree["shape"][-1]
        return [start + column * tree["strides"][0] for start in tree["starts"] for column in range(width)]
    return [
        tree["offset"] + sum(place * stride for place, stride in zip(cell, tree["strides"], strict=True))
        for cell in np.ndindex(*tree["shape"])
    ]


def test_the_wheel_carries_the_files_of_the_page():
    """All files are in the package's folder, which the wheel contains as a whole."""
    assert {path.suffix for path in Path(FOLDER).iterdir() if path.is_file()} == {".py", ".js", ".css", ".html"}
