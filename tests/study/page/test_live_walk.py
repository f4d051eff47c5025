"""The steps that the browser makes of a text: they are those of Python, and their calculations are true after each change."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from minibert import Bert, BertForMaskedLM, BertForPreTraining, BertForSequenceClassification
from minibert.observe import observe
from minibert.study.page.data import TYPES, PageData
from minibert.study.page.live import network_json
from minibert.study.page.page import script_json
from minibert.study.page.templates import step_templates
from minibert.study.page.tokenizer_data import tokenizer_json
from minibert.study.stepthrough.step import Walk
from minibert.study.stepthrough.walk import walk
from tests.sampling import slow
from tests.study.page.test_live_network import CHANGES, HEADS, SENTENCES, SMALL, TOKENIZER, network, random_sentences
from tests.study.page.test_page import data_of

pytestmark = pytest.mark.slow

TEXTS = (
    *SENTENCES,
    ("the\x07 cat\x9f \u202e sat\u2028 \x7f café ﬁne 😀", None),
    ("[CLS] [SEP]", "[MASK]"),
    *((text, None) for text in random_sentences(10)),
)
SIZES = (2, SMALL.hidden_size // SMALL.num_attention_heads)
"""Sizes of other axes. A text with as many tokens has omissions that no other text has."""
DATA = """
  result = input.map(([text, pair]) => {
    const data = live.data(live.run(text, pair));
    const tensors = Object.entries(data.tensors).map(([name, record]) => [name, { ...record, ...packed(record) }]);
    return { ...data, tensors: Object.fromEntries(tensors) };
  });
"""


def in_javascript(
    live: Callable[..., Any], script: str, model: Any, data: object = None, tokenizer: Tokenizer = TOKENIZER
) -> Any:
    """Run a script that sets `result` from `input` and the `LiveWalk` of a network. Both travel as JSON, which is fastest."""
    made = [network_json(model, tokenizer), tokenizer_json(tokenizer), step_templates(model, tokenizer), data]
    start = """
      const [network, tokenizer, templates, input] = JSON.parse(made);
      const live = new LiveWalk(templates, networkOf(network), tokenizerOf(tokenizer));
      let result;
    """
    return json.loads(live(f"(made) => {{ {start} {script}; return JSON.stringify(result); }}", json.dumps(made)))


def numbers(record: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(record["data"]), TYPES[record["dtype"]])


class WithAllWeights(PageData):
    """The data of a page that does not choose rows of the weights."""

    def _add_weights(self, predictions: object) -> None:
        for name, value in self.weights.items():
            self._add(name, value)


def with_labels(step: dict[str, Any], labels: dict[str, list[str]]) -> dict[str, Any]:
    """Return a step with the labels themselves in place of their keys, which differ."""
    axes = [{**axis, "labels": axis["labels"] and labels[axis["labels"]]} for axis in step["axes"]]
    return {**step, "axes": axes}


def check(found: dict[str, Any], steps: Walk, layers: int) -> None:
    """The same data, but for the numbers of views, and for omissions that only a text of some length has."""
    expected = json.loads(json.dumps(WithAllWeights(steps, range(layers)).to_json()))
    for name in ("formulas", "overview", "letters"):
        assert found[name] == expected[name]
    for step, other in zip(found["steps"], expected["steps"], strict=True):
        assert all(each in other["omissions"] for each in step["omissions"])
        assert len(step["omissions"]) == len(other["omissions"]) or len(steps["text.ids"].output) in SIZES
        common = {**other, "omissions": step["omissions"]}
        assert with_labels(step, found["labels"]) == with_labels(common, expected["labels"])
    assert found["tensors"].keys() == expected["tensors"].keys()
    for name, record in expected["tensors"].items():
        own = found["tensors"][name]
        assert (own["shape"], own["dtype"]) == (record["shape"], record["dtype"]), name
        other = steps[name].output.flatten().numpy() if record["data"] is None else numbers(record)
        np.testing.assert_allclose(numbers(own), other, rtol=1e-5, atol=1e-4, err_msg=name)
    for prediction, other in zip(found["predictions"], expected["predictions"], strict=True):
        for best, other_best in zip(prediction["best"], other["best"], strict=True):
            assert best == {**other_best, "value": pytest.approx(other_best["value"], abs=1e-5)}
        assert {**prediction, "best": []} == {**other, "best": []}


def check_texts(live: Callable[..., Any], kind: type[Any], options: dict[str, Any], texts: Sequence[Any]) -> None:
    model = network(kind, replace(SMALL, **options))
    for (text, pair), found in zip(texts, in_javascript(live, DATA, model, [*texts]), strict=True):
        check(found, walk(model, TOKENIZER, text, pair), model.config.num_hidden_layers)


@pytest.mark.parametrize(("kind", "options"), [slow(*head) if number % 5 else head for number, head in enumerate(HEADS)])
def test_every_head(live, kind, options):
    check_texts(live, kind, {"num_hidden_layers": 1, **options}, SENTENCES[2:4])


@pytest.mark.slow
def test_every_text(live):
    check_texts(live, BertForPreTraining, {"num_hidden_layers": 1}, TEXTS)


@pytest.mark.long
@pytest.mark.parametrize(("kind", "options"), HEADS)
def test_every_text_and_head(live, kind, options):
    check_texts(live, kind, options, TEXTS)


EVALUATE = """
  const text = "the cat [MASK] on 中 mat .";
  const before = live.run(text, null, {}, 2);
  result = input.map((changes) => {
    const data = live.data(live.run(text, null, changes, 2), before);
    const shown = new Walk(data);
    return data.steps.filter(({ expression }) => expression).map(({ path, expression: tree, explanation, inputs, ...step }) => {
      const [tensor, other] = [shown.tensor(path), shown.tensor(step.other.tensor)];
      const expression = new Expression(tree, shown);
      const errors = Array.from(tensor.values, (value, cell) => {
        const computed = expression.value(cell);
        return Object.is(computed, value) ? 0 : Math.abs(computed - value) / Math.max(1, Math.abs(value));
      });
      return {
        path,
        inputs,
        error: Math.max(...errors),
        change: explanation.split(" Changed: ").slice(1),
        differs: tensor.values.some((value, cell) => value !== other.values[cell]),
        omissions: step.omissions.length,
        sources: Object.keys(changes.cells?.[path] ?? {}).map(
          (cell) => expression.source(placeOf(cell, tensor.shape))?.leaf.leaf,
        ),
      };
    });
  });
"""


@pytest.fixture(scope="module")
def changed_steps(live: Callable[..., Any]) -> dict[str, list[dict[str, Any]]]:
    """The steps after each change."""
    changes = [change.changes for change in CHANGES.values()]
    found = in_javascript(live, EVALUATE, network(BertForPreTraining, SMALL), changes)
    return dict(zip(CHANGES, found, strict=True))


@pytest.mark.parametrize("name", CHANGES)
def test_calculations_after_a_change(changed_steps, name):
    """Each number follows from the shown calculation, and the first step that differs says what was changed."""
    steps = changed_steps[name]
    assert max(step["error"] for step in steps) < 1e-4
    changed = [step["path"] for step in steps if step["change"]]
    differing = [step["path"] for step in steps if step["differs"]]
    assert differing[:1] == changed[:1]
    assert bool(changed) is (name != "a cell that the sentence does not have")
    assert all(step["omissions"] == 0 for step in steps if step["change"])


@pytest.mark.parametrize(
    ("name", "path", "change", "inputs"),
    [
        (
            "second layer",
            "layers.1.feed_forward_norm",
            "the layer is off: its output is its input.",
            ["layers.0.feed_forward_norm"],
        ),
        ("first layer", "layers.0.feed_forward_norm", "the layer is off: its output is its input.", ["embeddings.output"]),
        (
            "scale",
            "layers.1.attention.scores",
            "the dot products are not divided by √d_k.",
            ["layers.1.attention.dot_products"],
        ),
        (
            "residual of attention",
            "layers.0.attention_residual",
            "the input of attention is not added.",
            ["layers.0.attention.output"],
        ),
        (
            "heads of both layers",
            "layers.0.attention.context",
            "the context of each head that is off is zero. Heads that are off: 0, 2.",
            ["layers.0.attention.weights", "layers.0.attention.value"],
        ),
    ],
)
def test_changed_step(changed_steps, name, path, change, inputs):
    (step,) = [step for step in changed_steps[name] if step["path"] == path]
    assert (step["change"], step["inputs"]) == ([change], inputs)


def test_a_number_of_the_reader_has_no_calculation(changed_steps):
    steps = {step["path"]: step for step in changed_steps["cells"]}
    for path in ("embeddings.sum", "layers.0.attention.weights"):
        assert steps[path]["change"] == ["you wrote one number yourself."]
        assert steps[path]["sources"] == [f"your numbers in {path}"]
    assert steps["layers.1.feed_forward_norm"]["change"] == ["you wrote one number yourself."]  # it is layers.1.output


def test_the_page_shows_changed_steps(live, tab, write):
    """The page of a step-through with the data of a live page: the result of a cell is that of its calculation."""
    model = network(BertForPreTraining, replace(SMALL, num_hidden_layers=1))
    changes = {
        "headsOff": [[0, 1]],
        "noPositions": True,
        "noScale": True,
        "attentionTemperature": 2,
        "residualsOff": ["attention", "feed_forward"],
        "temperature": 3,
        "cells": {"layers.0.attention.weights": {"0,0,0,1": 0.5}},
    }
    run = f"live.run(text, pair, {json.dumps(changes)}), live.run(text, pair)"
    (data,) = in_javascript(live, DATA.replace("live.run(text, pair)", run), model, [["the cat [MASK]", None]])
    file = write(walk(model, TOKENIZER, "the cat"))
    page = file.read_text(encoding="utf-8")
    file.write_text(page.replace(script_json(data_of(page)), script_json({**data_of(page), **data})), encoding="utf-8")
    tab.open(file)
    changed = []
    for step in data["steps"]:
        tab.show(step=step["path"], slice=1 if "context" in step["path"] else 0, cell="0,1" if len(step["axes"]) > 1 else "0,0")
        shown = tab.page.evaluate("() => ({ ...document.getElementById('result').dataset })")
        assert tab.where()["step"] == step["path"]
        if step["expression"]:
            assert float(shown["computed"]) == pytest.approx(float(shown["value"]), abs=1e-4)
            assert tab.text("#difference") != ""
        changed += [step["path"]] if "Changed: " in tab.text("#explanation") else []
    assert changed == [
        "embeddings.positions",
        "layers.0.attention.scores",
        "layers.0.attention.weights",
        "layers.0.attention.context",
        "layers.0.attention_residual",
        "layers.0.feed_forward_residual",
        "mlm.probabilities",
        "nsp.probabilities",
    ]


def test_independent_probabilities_have_no_temperature(live):
    config = replace(SMALL, problem_type="multi_label_classification", num_hidden_layers=1)
    (steps,) = in_javascript(live, EVALUATE, network(BertForSequenceClassification, config), [{"temperature": 3}])
    assert not any(step["change"] or step["differs"] for step in steps)
    assert steps[-1]["path"] == "classifier.probabilities"


def test_texts_of_other_lengths_are_not_compared(live):
    script = "result = live.data(live.run('cat'), live.run('the cat')).steps.map(({ other }) => other)"
    others = in_javascript(live, script, network(Bert, replace(SMALL, num_hidden_layers=1)))
    assert {other["tensor"] for other in others if other} == {"pooler: before", "pooler.linear: before"}


def test_sizes_that_are_the_same_by_accident():
    """A head as wide as a text is long: of that text only, the keys have the shape of the scores."""
    model = network(Bert, replace(SMALL, hidden_size=20, num_attention_heads=4, num_hidden_layers=1))
    steps = {step["path"]: step for step in step_templates(model, TOKENIZER)["steps"]}
    assert steps["layers.0.attention.dot_products"]["omissions"] == []
    assert steps["layers.0.attention.scores"]["omissions"] != []


class Extended(BertForMaskedLM):
    """A BERT with another step."""

    def step(self, hidden: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, *args: Any, **options: Any) -> Any:
        output = super().forward(*args, **options)
        self.step(output.logits)
        return output


class WithHalf(Extended):
    def step(self, hidden: Tensor) -> Tensor:
        return observe("half", hidden[:, : hidden.shape[1] // 2] * 2)


class WithCube(Extended):
    def step(self, hidden: Tensor) -> Tensor:
        return observe("cube", hidden.new_zeros(hidden.shape[1] ** 3))


class WithRows(Extended):
    def step(self, hidden: Tensor) -> Tensor:
        return observe("first", hidden[0, [0, 1]])


class WithSome(Extended):
    def step(self, hidden: Tensor) -> Tensor:
        return observe("some", hidden * 2) if hidden.shape[1] > 5 else hidden


class WithFactor(Extended):
    def step(self, hidden: Tensor) -> Tensor:
        return observe("scaled", hidden * (1 / hidden.shape[1]))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WithHalf, r"no rule for half, axes, size: it is 2 for 4 tokens and 1 predictions, 2 for 5 tokens"),
        (WithCube, r"no rule for cube, axes, size: it is 64 for 4 tokens"),
        (WithRows, r"no rule for first: it has other rows than those of the predicted tokens"),
        (WithSome, r"no rule for the page, steps: it is \d+ entries for 4 tokens"),
        (WithFactor, r"no rule for scaled, expression, args: it is 0\.25 for 4 tokens"),
    ],
)
def test_network_that_a_live_page_cannot_show(kind, message):
    model = network(kind, replace(SMALL, num_hidden_layers=1))
    with torch.no_grad(), pytest.raises(ValueError, match=message):
        step_templates(model, TOKENIZER)


def test_number_of_positions():
    config = replace(SMALL, num_hidden_layers=1)
    step_templates(network(Bert, replace(config, max_position_embeddings=9)), TOKENIZER)
    with pytest.raises(ValueError, match="a live page needs a network with at least 9 positions; this one has 8"):
        step_templates(network(Bert, replace(config, max_position_embeddings=8)), TOKENIZER)
