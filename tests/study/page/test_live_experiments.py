"""What the answers of the ready experiments claim is true: in a network with random weights, and in a trained one."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from minibert import Bert, BertForPreTraining, BertForSequenceClassification
from minibert.model.families import NETWORKS
from minibert.study.page.experiments import EXPERIMENTS, experiments_json
from minibert.study.page.live import live_page
from tests.study.page.packing import unpacked
from tests.study.page.test_live_families import made
from tests.study.page.test_live_network import SMALL, TOKENIZER, network
from tests.study.page.test_page import data_of

pytestmark = pytest.mark.slow

ATTENTION, OUTPUT = "layers.0.attention", "layers.0.feed_forward_norm"
PLACES = ["layers.0.output", "layers.1.output"]
Tensors = dict[str, Tensor]
RUN = """(made) => {
  const content = JSON.parse(made);
  const { experiments, live } = new Laboratory(content);
  return content.experiments.map(({ name, address }) => {
    const experiment = experiments.parse(address);
    const words = experiment.text.trim().split(" ");
    const start = experiment.text.slice(0, experiment.text.indexOf(words[0]));
    const orders = [experiment.text, start + words.reverse().join(" ")];
    const changes = changesOf(experiment);
    const runs = [[orders[0], changes], [orders[0], {}], [orders[1], changes]].map(([text, changes]) => {
      const { tensors } = live.run(text, null, changes, experiment.padding);
      return [...tensors].map(([path, tensor]) => [path, packed(tensor)]);
    });
    return [name, runs];
  });
}"""


def trained() -> BertForPreTraining:
    """Return a network that has learned to copy words."""
    model = network(BertForPreTraining, SMALL, spread=0.05)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(40):
        ids = torch.randint(5, TOKENIZER.get_vocab_size(), (16, 8), generator=generator)
        logits = model(ids).prediction_logits
        loss = functional.cross_entropy(logits.flatten(0, 1), ids.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    return model.eval()


def same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=2e-5)


def word_order(now: Tensors, before: Tensors, other: Tensors) -> bool:
    """Of three words in reverse order, the vectors are in reverse order. With positions they are not."""
    moved = [0, 3, 2, 1, 4]
    return all(same(now[path][:, moved], other[path]) and not same(now[path], before[path]) for path in PLACES)


def scale(now: Tensors, before: Tensors, other: Tensors) -> bool:
    largest, earlier = (tensors[f"{ATTENTION}.weights"].amax(-1) for tensors in (now, before))
    return bool((largest > earlier).all())


def one_head(now: Tensors, before: Tensors, other: Tensors) -> bool:
    width = SMALL.hidden_size // SMALL.num_attention_heads
    merged, earlier = (tensors[f"{ATTENTION}.merged"] for tensors in (now, before))
    return (
        not merged[..., :width].any() and bool(earlier[..., :width].all()) and same(merged[..., width:], earlier[..., width:])
    )


def mask(now: Tensors, before: Tensors, other: Tensors) -> bool:
    """Each query gives some weight to the padding, and each vector changes. With the mask, the padding has no weight."""
    weights, earlier = (tensors[f"{ATTENTION}.weights"][..., -2:] for tensors in (now, before))
    changed = [not same(one, two) for one, two in zip(now[PLACES[0]][0], before[PLACES[0]][0], strict=True)]
    return bool((weights > 0).all()) and not earlier.any() and all(changed)


def layer(now: Tensors, before: Tensors, other: Tensors) -> bool:
    first = now.get("projection", now["embeddings.output"])
    return same(now["layers.0.output"], first) and not same(before["layers.0.output"], first)


def residual(now: Tensors, before: Tensors, other: Tensors) -> bool:
    output = now[f"{ATTENTION}.output"]
    earlier = before.get("projection", before["embeddings.output"]) + before[f"{ATTENTION}.output"]
    return same(now["layers.0.attention_residual"], output) and same(before["layers.0.attention_residual"], earlier)


def two_masks(now: Tensors, before: Tensors, other: Tensors) -> bool:
    same_now = [same(now[path][0, 2], now[path][0, 3]) for path in PLACES]
    return all(same_now) and not any(same(before[path][0, 2], before[path][0, 3]) for path in PLACES)


def repeated_word(now: Tensors, before: Tensors, other: Tensors) -> bool:
    words, sums = now["embeddings.words"][0], now["embeddings.sum"][0]
    return same(words[1], words[2]) and same(words[2], words[3]) and not same(sums[1], sums[2]) and not same(sums[2], sums[3])


def temperature(now: Tensors, before: Tensors, other: Tensors) -> bool:
    one, earlier = now["mlm.probabilities"], before["mlm.probabilities"]
    return bool((one.argsort() == earlier.argsort()).all() and (one.amax(-1) < earlier.amax(-1)).all())


def score(now: Tensors, before: Tensors, other: Tensors) -> bool:
    """The row of query 1 has no weight at key 2, and is otherwise one factor larger. The other rows are the same."""
    weights, earlier = (tensors[f"{ATTENTION}.weights"][0] for tensors in (now, before))
    factors = (weights[0, 1] / earlier[0, 1])[[0, 1, *range(3, weights.shape[-1])]]
    rows = [row for row in range(weights.shape[1]) if row != 1]
    is_row_true = weights[0, 1, 2] == 0 and same(factors, factors[:1].expand_as(factors)) and bool(factors[0] > 1)
    return is_row_true and same(weights[0, rows], earlier[0, rows]) and same(weights[1:], earlier[1:])


CLAIMS: dict[str, Callable[[Tensors, Tensors, Tensors], bool]] = dict(
    zip(
        [each.name for each in EXPERIMENTS],
        [word_order, scale, one_head, mask, layer, residual, two_masks, repeated_word, temperature, score],
        strict=True,
    )
)


@pytest.fixture(
    scope="module", params=["random", "trained", "RobertaForMaskedLM", "AlbertForPreTraining", "ElectraForMaskedLM"]
)
def runs(request: Any, live: Callable[..., Any]) -> dict[str, list[Tensors]]:
    """Of each experiment, the tensors with the changes, without them, and with them of the words in reverse order."""
    if request.param in NETWORKS:
        model, tokenizer = made(request.param)
    else:
        model, tokenizer = trained() if request.param == "trained" else network(BertForPreTraining, SMALL), TOKENIZER
    content = data_of(live_page(model, tokenizer, "the cat"))
    return {
        name: [{path: unpacked(tensor) for path, tensor in run} for run in found]
        for name, found in live(RUN, json.dumps(content))
    }


@pytest.mark.parametrize("name", CLAIMS)
def test_answer(runs, name):
    assert CLAIMS[name](*runs[name])


def test_each_question_is_about_a_step_of_the_page(runs):
    for each in experiments_json(["mlm.probabilities"], 8):
        assert each["address"].split("&")[0].removeprefix("#step=") in {*runs[each["name"]][0], OUTPUT}


def test_network_without_predictions():
    names = [each["name"] for each in experiments_json([], 8)]
    assert len(names) == 9
    assert "Temperature" not in names


@pytest.mark.parametrize(
    ("kind", "options", "step"),
    [
        (Bert, {}, None),
        (BertForSequenceClassification, {}, "classifier.probabilities"),
        (BertForSequenceClassification, {"problem_type": "multi_label_classification"}, None),
    ],
)
def test_the_temperature_is_for_a_softmax(kind, options, step):
    model = network(kind, replace(SMALL, num_hidden_layers=1, **options))
    experiments = data_of(live_page(model, TOKENIZER, "the cat"))["experiments"]
    found = [each["address"] for each in experiments if each["name"] == "Temperature"]
    assert found == ([] if step is None else [f"#step={step}&slice=0&sort=0&text=a+%5BMASK%5D+bites+a+man+.&temperature=4"])


OPENED = {"text": "the cat", "pair": None, "padding": 0, "off": [], "attention": 1, "temperature": 1, "cells": {}}
PARSE = """(hashes) => {
  const opened = { text: "the cat", pair: null, padding: 0, off: [], attention: 1, temperature: 1, cells: {} };
  const experiments = new Experiments(opened, [2, 2], ["embeddings.sum", "pooler"], true, true);
  return hashes.map((hash) => {
    const experiment = experiments.parse(hash);
    const written = experiments.format(experiment);
    return { experiment, written, again: experiments.parse(written), possible: experiments.possible(experiment) };
  });
}"""


def hashes(count: int) -> list[str]:
    """Return hashes with fields and values that are possible, almost possible, and hostile."""
    generator = random.Random(0)
    parts = ["", "0", "1", "0.0", "1.1", "1.2", "scale", "mask", "positions", "attention_residual", "toString", "__proto__"]
    values = ["1", "0.5", "-1e400", "1e-9", "NaN", "8", "8.1", "", "0x10", " 2 ", "Infinity", "٣"]
    texts = ["the cat", "a&b=c#d", "猫 [MASK]", "\ud800", "%", "x" * 20_000, "", "\n\t", "<b>"]
    places = ["embeddings.sum:0,1,2", "pooler:0,1", "pooler:0", "pooler:", "sum:0", "__proto__:0", "pooler:0,-1", "pooler:0:0"]
    found = []
    for _ in range(count):
        fields = {
            "text": generator.choice(texts),
            "pair": generator.choice(texts),
            "padding": generator.choice(["0", "2", "8", "9", "1.5", "-1", "1e9", "NaN", "Infinity", "", "x"]),
            "off": ",".join(generator.choices(parts, k=3)),
            "attention": generator.choice(values),
            "temperature": generator.choice(values),
            "cells": ";".join(f"{generator.choice(places)}:{generator.choice(values)}" for _ in range(3)),
        }
        chosen = {name: value for name, value in fields.items() if generator.random() < 0.6}
        found.append(generator.choice(["", "#"]) + urlencode(chosen, errors="replace"))
    return [*found, *("".join(generator.choices("#&=%;:,.-0123offcellstext[]\x00", k=40)) for _ in range(count))]


def test_hashes(live):
    """Every hash gives a possible experiment, and its own hash gives the same one."""
    for each in live(PARSE, hashes(1000)):
        assert each["again"] == each["experiment"] == each["possible"]
        experiment = each["experiment"]
        assert experiment["padding"] in range(9)
        assert experiment["padding"] or "mask" not in experiment["off"]
        assert {*experiment["off"]} < {"scale", "mask", "positions", "attention_residual", "0", "1", "0.0", "1.1"} | {""}
        assert all(1 / 8 <= experiment[name] <= 8 for name in ("attention", "temperature"))
        assert all(abs(value) <= 1e6 for value in experiment["cells"].values())
        assert {place.split(":")[0] for place in experiment["cells"]} <= {"embeddings.sum", "pooler"}
        assert (each["written"] == "") is (experiment == OPENED)
