"""A live page of each relative of BERT: the numbers of Python, for every network, tokenizer and change."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from minibert.model.config import BertConfig
from minibert.model.families import NETWORKS
from minibert.observe import Recording, record
from minibert.study.page.live import live_page
from minibert.study.stepthrough.walk import walk
from minibert.text.tokenizer import ALBERT_TOKENS, MASK, PAD, UNK, build_byte_pair_tokenizer, name_special_tokens, special_token
from tests.study.page.test_live_network import (
    SENTENCES,
    SMALL,
    TOKENIZER,
    WORDS,
    check,
    check_walks,
    in_javascript,
    network,
    with_cell,
    without_heads,
)
from tests.study.page.test_live_walk import DATA, EVALUATE
from tests.study.page.test_live_walk import check as check_data
from tests.study.page.test_live_walk import in_javascript as data_in_javascript
from tests.study.page.test_page import data_of

pytestmark = pytest.mark.slow

SIZES = {
    name: getattr(SMALL, name)
    for name in ("hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings")
} | {"num_hidden_layers": 3, "hidden_act": "silu"}
OTHERS: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 12, "num_hidden_groups": 2},
    "electra": {"embedding_size": 12},
}
PRETRAINED = ("RobertaForMaskedLM", "AlbertForPreTraining", "ElectraForPreTraining", "DistilBertForMaskedLM")


def byte_pairs() -> Tokenizer:
    """Build RoBERTa's tokenizer. Each word of the experiments is one piece behind a space."""
    merges = [(f"Ġ{word[:end]}", word[end]) for word in ("a", *WORDS) if word.isascii() for end in range(len(word))]
    return build_byte_pair_tokenizer([*dict.fromkeys(merges), ("t", "h"), ("th", "e")])


def unigram() -> Tokenizer:
    """Build ALBERT's tokenizer."""
    special = dict.fromkeys(("<pad>", "<unk>", *ALBERT_TOKENS.values()), 0.0)
    pieces = {
        **special,
        **{f"▁{word}": -2.0 - number / 8 for number, word in enumerate(("a", *WORDS))},
        **dict.fromkeys("▁catsgimn", -5.0),
    }
    tokenizer = Tokenizer(models.Unigram([*pieces.items()], 1, False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.add_special_tokens([*special])
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ids)
    name_special_tokens(tokenizer, {PAD: "<pad>", UNK: "<unk>"})
    return tokenizer


TOKENIZERS = {"roberta": byte_pairs, "albert": unigram}


def made(name: str, **changes: Any) -> tuple[Any, Tokenizer]:
    """Return a small network with larger weights than a new one has, and a tokenizer of its family."""
    kind = NETWORKS[name]
    (family,) = kind.config_class.model_types
    tokenizer = TOKENIZERS.get(family, lambda: TOKENIZER)()
    config: BertConfig = kind.config_class(**SIZES | OTHERS.get(family, {}) | changes)
    return network(kind, config, tokenizer=tokenizer), tokenizer


def sentences(tokenizer: Tokenizer) -> list[tuple[str, str | None]]:
    """Return the sentences with the names that the tokenizer has for [MASK] and [PAD], and one with padding inside."""
    names = {name: special_token(tokenizer, name) for name in (MASK, PAD)}
    pairs = [*SENTENCES, ("the [PAD] cat [MASK]", "sat")]
    for name, own in names.items():
        pairs = [(a.replace(name, own), b and b.replace(name, own)) for a, b in pairs]
    return pairs


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_of_every_network(live: Callable[..., Any], name: str) -> None:
    model, tokenizer = made(name)
    texts = sentences(tokenizer)
    check_walks(live, model, [text for text in texts if len(text[0]) < 100], tokenizer)


@pytest.mark.parametrize("name", NETWORKS)
def test_data_of_every_network(live: Callable[..., Any], name: str) -> None:
    """Steps, formulas, labels, predictions and inputs are those of Python."""
    model, tokenizer = made(name)
    texts = [sentences(tokenizer)[number] for number in (2, 3, -1)]
    for (text, pair), found in zip(texts, data_in_javascript(live, DATA, model, texts, tokenizer), strict=True):
        check_data(found, walk(model, tokenizer, text, pair), model.config.num_hidden_layers)


@pytest.mark.parametrize("name", PRETRAINED)
@pytest.mark.parametrize("padding", [0, 3])
def test_changes(live: Callable[..., Any], name: str, padding: int) -> None:
    """Each change gives the numbers of the same change in Python, with padding behind the text, too."""
    model, tokenizer = made(name)
    pad = special_token(tokenizer, PAD)
    text = f"the cat {special_token(tokenizer, MASK)} sat" + pad * padding
    run = {"text": text, "length": len(tokenizer.encode(text).ids) - padding}
    first = "projection" if model.config.projects_embeddings else "embeddings.output"
    last = model.config.num_hidden_layers - 1
    edits: dict[str, Any] = {
        "first layer": ({"layersOff": [0]}, lambda at: {"layers.0.output": lambda _: at(first)}),
        "last layer": (
            {"layersOff": [last]},
            lambda at: {f"layers.{last}.output": lambda _: at(f"layers.{last - 1}.output")},
        ),
        "heads": ({"headsOff": [[1, 0], [1, 2]]}, lambda at: {"layers.1.attention.context": without_heads(0, 2)}),
        "positions": ({"noPositions": True}, lambda at: {"embeddings.positions": torch.zeros_like}),
        "cells": ({"cells": {"layers.1.output": {"0,0,1": 9.0}}}, lambda at: {"layers.1.output": with_cell(1, 9.0)}),
    }
    found = in_javascript(live, model, [run, *({**run, "changes": changes} for changes, _ in edits.values())], tokenizer)
    for tensors, (_, made_edits) in zip(found[1:], edits.values(), strict=True):
        expected = edited(model, tokenizer, text, padding, made_edits)
        check({path: tensor for path, tensor in tensors.items() if path in expected}, expected)
        assert any(not torch.equal(tensor, found[0][path]) for path, tensor in tensors.items())


def edited(model: Any, tokenizer: Tokenizer, text: str, padding: int, edits: Callable[..., dict[str, Any]]) -> Any:
    """Compute a forward pass in Python with edits that can use earlier tensors of it."""
    ids = torch.tensor([tokenizer.encode(text).ids])
    keep = torch.arange(ids.shape[1])[None] < ids.shape[1] - padding
    recordings: list[Recording] = []
    with torch.no_grad(), record(model, edit=edits(lambda path: recordings[0][path])) as recording:
        recordings.append(recording)
        model(ids, keep)
    return {path: recording[path] for path in recording}


@pytest.mark.parametrize("name", ["RobertaForMaskedLM", "AlbertForPreTraining", "ElectraForSequenceClassification"])
def test_calculations_after_a_change(live: Callable[..., Any], name: str) -> None:
    """Each number follows from the shown calculation, and the first step that differs says what was changed."""
    model, tokenizer = made(name)
    changes = [{"layersOff": [0]}, {"layersOff": [1]}, {"noPositions": True}, {"noMask": True}, {"headsOff": [[2, 1]]}]
    script = EVALUATE.replace("[MASK]", special_token(tokenizer, MASK))
    for steps in data_in_javascript(live, script, model, changes, tokenizer):
        assert max(step["error"] for step in steps) < 1e-4
        changed = [step["path"] for step in steps if step["change"]]
        differing = [step["path"] for step in steps if step["differs"]]
        assert differing[:1] == changed[:1]
        assert changed


def test_a_layer_that_is_off_has_the_projection_as_its_output(live: Callable[..., Any]) -> None:
    model, tokenizer = made("AlbertForMaskedLM")
    (steps,) = data_in_javascript(live, EVALUATE, model, [{"layersOff": [0]}], tokenizer)
    (step,) = [step for step in steps if step["path"] == "layers.0.feed_forward_norm"]
    assert step["inputs"] == ["projection"]


PADDED = """([made, text, padding]) => {
  const { live } = new Laboratory(JSON.parse(made));
  return live.data(live.run(text, null, {}, padding)).tensors["positions"].data.join();
}"""


def test_positions_do_not_count_padding(live: Callable[..., Any]) -> None:
    model, tokenizer = made("RobertaForMaskedLM")
    page = json.dumps(data_of(live_page(model, tokenizer, "the cat")))
    pieces = len(tokenizer.encode("the cat").ids)
    assert live(PADDED, [page, "the cat", 2]) == ",".join(map(str, [*range(2, 2 + pieces), 1, 1]))


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_page_in_a_browser(tab: Any, tmp_path: Any, name: str) -> None:
    """A typed text gives the predictions of Python, and the page reports no problem."""
    model, tokenizer = made(name)
    mask = special_token(tokenizer, MASK)
    file = tmp_path / "page.html"
    file.write_text(live_page(model, tokenizer, f"the cat {mask} .", None, {"Model": name}), encoding="utf-8")
    tab.open(file)
    text = f"the dog {mask} on the mat"
    tab.page.fill("#sentence", text)
    tab.page.press("#sentence", "Enter")
    steps = walk(model, tokenizer, text)
    step = next(step for step in steps.steps if step.name == "probabilities")
    best = int(step.output.flatten(0, -2)[0].argmax()) if step.output.ndim > 1 else int(step.output.argmax())
    labels = step.axes[-1].labels
    assert labels is not None
    assert tab.page.locator("#predictions a").first.text_content() == labels[best]
    tab.page.click("[data-part='0']")
    tab.page.fill("#padding", "2")
    tab.page.press("#padding", "Enter")
    assert tab.page.locator("#changes button").count() == 3


def test_the_answers_fit_the_network() -> None:
    """The first input of the layers, and a text whose first word is the same piece as elsewhere."""
    model, tokenizer = made("AlbertForMaskedLM")
    found = {each["name"]: each for each in data_of(live_page(model, tokenizer, "the"))["experiments"]}
    assert found["A layer off"]["answer"].startswith("The projection of the embeddings: the input of the layer.")
    model, tokenizer = made("RobertaForMaskedLM")
    found = {each["name"]: each for each in data_of(live_page(model, tokenizer, "the"))["experiments"]}
    assert found["A layer off"]["answer"].startswith("The output of the embeddings: the input of the layer.")
    assert "text=+man+bites+dog" in found["Word order"]["address"]
