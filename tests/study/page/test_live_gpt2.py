"""A live page of GPT-2: the numbers of Python, with the causal mask and without it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from minibert.model.gpt2 import GPT2Config, GPT2LMHeadModel
from minibert.study.page.live import LIVE, live_page
from minibert.study.stepthrough.walk import walk
from minibert.text.tokenizer import GPT2_TOKENS, build_byte_pair_tokenizer
from tests.study.page.packing import unpacked
from tests.study.page.test_live_families import edited
from tests.study.page.test_live_network import check, in_javascript, rounded, with_cell, without_heads
from tests.study.page.test_live_walk import DATA, EVALUATE
from tests.study.page.test_live_walk import check as check_data
from tests.study.page.test_live_walk import in_javascript as data_in_javascript
from tests.study.page.test_page import data_of

pytestmark = pytest.mark.slow

SIZES = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 40}
MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("c", "a"), ("ca", "t"), ("Ġ", "cat"), ("Ġ", "a")]
TEXTS = ["the cat sat on the mat", "a", "<|endoftext|>The cat", "café 猫 !", "the cat " * 12]


def made(**changes: Any) -> tuple[Any, Tokenizer]:
    tokenizer = build_byte_pair_tokenizer(MERGES, GPT2_TOKENS)
    config = GPT2Config(**{**SIZES, "max_position_embeddings": 70, "vocab_size": tokenizer.get_vocab_size(), **changes})
    torch.manual_seed(0)
    return rounded(GPT2LMHeadModel(replace(config, initializer_range=0.2)).eval()), tokenizer


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": False, "hidden_act": "relu"}], ids=str)
def test_every_tensor(live: Callable[..., Any], changes: dict[str, Any]) -> None:
    model, tokenizer = made(**changes)
    for text, found in zip(TEXTS, in_javascript(live, model, [{"text": text} for text in TEXTS], tokenizer), strict=True):
        check(found, walk(model, tokenizer, text).recording)


def test_data(live: Callable[..., Any]) -> None:
    """Steps, formulas, labels, predictions and inputs are those of Python."""
    model, tokenizer = made()
    texts = [(text, None) for text in TEXTS if len(text) > 1]
    for (text, _), found in zip(texts, data_in_javascript(live, DATA, model, texts, tokenizer), strict=True):
        check_data(found, walk(model, tokenizer, text), 2)


Edits = dict[str, Callable[[torch.Tensor], torch.Tensor]]
LAYER = "decoder.layers"
CHANGES: dict[str, tuple[dict[str, Any], Callable[[Callable[[str], torch.Tensor]], Edits]]] = {
    "heads": ({"headsOff": [[1, 0]]}, lambda at: {f"{LAYER}.1.attention.context": without_heads(0)}),
    "first layer": ({"layersOff": [0]}, lambda at: {f"{LAYER}.0.output": lambda _: at("decoder.embeddings.sum")}),
    "second layer": ({"layersOff": [1]}, lambda at: {f"{LAYER}.1.output": lambda _: at(f"{LAYER}.0.output")}),
    "positions": ({"noPositions": True}, lambda at: {"decoder.vectors": torch.zeros_like}),
    "scale": (
        {"noScale": True},
        lambda at: {f"{LAYER}.{n}.attention.scores": lambda scores: scores * 8**0.5 for n in range(2)},
    ),
    "residual": (
        {"residualsOff": ["attention"]},
        lambda at: {f"{LAYER}.{n}.attention_residual": lambda _, n=n: at(f"{LAYER}.{n}.attention.output") for n in range(2)},
    ),
    "cells": ({"cells": {f"{LAYER}.0.output": {"0,0,1": 9.0}}}, lambda at: {f"{LAYER}.0.output": with_cell(1, 9.0)}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_change(live: Callable[..., Any], name: str) -> None:
    """Each change gives the numbers of the same change in Python."""
    model, tokenizer = made()
    changes, edits = CHANGES[name]
    run = {"text": TEXTS[0]}
    before, found = in_javascript(live, model, [run, {**run, "changes": changes}], tokenizer)
    expected = edited(model, tokenizer, TEXTS[0], 0, edits)
    check({path: tensor for path, tensor in found.items() if path in expected}, expected)
    assert any(not torch.equal(tensor, before[path]) for path, tensor in found.items())


def test_without_the_mask_the_first_token_attends_to_later_ones(live: Callable[..., Any]) -> None:
    model, tokenizer = made()
    run = {"text": TEXTS[0]}
    masked, open_ = in_javascript(live, model, [run, {**run, "changes": {"noMask": True}}], tokenizer)
    weights = f"{LAYER}.0.attention.weights"
    assert masked[weights][0, :, 0].sum(dim=0).tolist() == [3.0, *[0.0] * (masked[weights].shape[-1] - 1)]
    assert bool((open_[weights] > 0).all())
    torch.testing.assert_close(open_[weights], torch.softmax(open_[f"{LAYER}.0.attention.scores"], -1), rtol=0, atol=1e-6)


def test_calculations_after_a_change(live: Callable[..., Any]) -> None:
    """Each number follows from the shown calculation, and the first step that differs says what was changed."""
    model, tokenizer = made()
    changes = [{"noMask": True}, *(changes for name, (changes, _) in CHANGES.items() if name != "cells")]
    script = EVALUATE.replace(", null, {}, 2)", ")").replace(", null, changes, 2)", ", null, changes)")
    for steps in data_in_javascript(live, script, model, changes, tokenizer):
        assert max(step["error"] for step in steps) < 1e-4
        changed = [step["path"] for step in steps if step["change"]]
        differing = [step["path"] for step in steps if step["differs"]]
        assert differing[:1] == changed[:1]
        assert changed


def test_tokenizer_without_an_end_of_text() -> None:
    model, _ = made()
    tokenizer = build_byte_pair_tokenizer(MERGES, {"unk_token": "<unk>"})
    with pytest.raises(ValueError, match=r"GPT-2 needs a tokenizer with the token <\|endoftext\|>"):
        live_page(model, tokenizer, "the cat")


RUN = """(made) => {
  const content = JSON.parse(made);
  const { experiments, live } = new Laboratory(content);
  return content.experiments.map(({ name, address }) => {
    const experiment = experiments.parse(address);
    const { tensors } = live.run(experiment.text, null, changesOf(experiment));
    return [name, [...tensors].map(([path, tensor]) => [path, packed(tensor)])];
  });
}"""


def test_the_answers_of_the_experiments(live: Callable[..., Any]) -> None:
    model, tokenizer = made()
    found = live(RUN, json.dumps(data_of(live_page(model, tokenizer, "the cat"))))
    runs = {name: {path: unpacked(tensor) for path, tensor in run} for name, run in found}
    assert [*runs] == ["Causal mask", "One head off", "A layer off", "Residual connection", "A repeated word"]
    assert bool((runs["Causal mask"][f"{LAYER}.0.attention.weights"] > 0).all())
    masked = runs["A repeated word"][f"{LAYER}.0.attention.weights"]
    assert not masked.triu(1).any()
    assert torch.equal(masked[0, :, 0, 0], torch.ones(3))
    assert not runs["One head off"][f"{LAYER}.0.attention.merged"][..., :8].any()
    layer, residual, word = (runs[name] for name in ("A layer off", "Residual connection", "A repeated word"))
    assert torch.equal(layer[f"{LAYER}.0.output"], layer["decoder.embeddings.sum"])
    assert torch.equal(residual[f"{LAYER}.0.attention_residual"], residual[f"{LAYER}.0.attention.output"])
    words, sums = word["decoder.embeddings.words"][0], word["decoder.embeddings.sum"][0]
    assert torch.equal(words[0], words[1])
    assert not torch.equal(sums[0], sums[1])


def test_the_page_in_a_browser(tab: Any, tmp_path: Any) -> None:
    """A typed text gives the prediction of Python; the mask can be off, and there is no padding."""
    model, tokenizer = made()
    file = tmp_path / "page.html"
    file.write_text(live_page(model, tokenizer, "the cat", None, {"Model": "GPT-2"}), encoding="utf-8")
    tab.open(file, step=f"{LAYER}.0.attention.weights", slice=0, cell="0,1")
    tab.page.fill("#sentence", "the cat sat")
    tab.page.press("#sentence", "Enter")
    best = int(walk(model, tokenizer, "the cat sat")["probabilities"].output[0].argmax())
    assert tab.page.locator("#predictions a").first.text_content() == tokenizer.id_to_token(best)
    assert (tab.text("#predictions h2"), tab.text("#source")) == ("Next token after t", LIVE)
    assert tab.page.locator("#padding").is_hidden()
    weight = "Number(document.getElementById('result').dataset.value)"
    assert tab.page.evaluate(weight) == 0
    tab.page.click("[data-part='mask']")
    assert tab.page.evaluate(weight) > 0


def test_a_decoder_has_no_padding_and_no_masked_words(tab: Any, tmp_path: Any) -> None:
    """Even if the tokenizer has tokens for them: the causal mask hides no padding, and the last token predicts."""
    model, tokenizer = made()
    tokenizer.add_special_tokens(["[PAD]", "[MASK]"])
    file = tmp_path / "page.html"
    file.write_text(live_page(model, tokenizer, "the cat"), encoding="utf-8")
    tab.open(file)
    assert tab.page.locator("#padding").is_hidden()
    assert tab.page.locator("#word-mask").is_hidden()
    assert tab.page.locator("#words").get_attribute("aria-label") == "Words: choose one to move it"


def test_a_group_of_one_step_is_this_step(tab: Any, tmp_path: Any) -> None:
    """Its link is in the list itself, in the order of the steps, also after a change."""
    model, tokenizer = made()
    file = tmp_path / "page.html"
    file.write_text(live_page(model, tokenizer, "the cat"), encoding="utf-8")
    tab.open(file)
    entries = tab.page.locator("#step-list > :is(details, ol)")
    for text in ("the cat sat", "the"):
        names = [each.partition("\n")[0].strip() for each in entries.all_inner_texts()]
        groups = ["Text", "Decoder", "Decoder layer 0", "Decoder layer 1"]
        assert names == [*groups, "Logits z", "Predicted logits ẑ", "Probabilities p"]
        tab.page.click("#step-list > ol a[data-step='logits']")
        assert tab.page.locator("#steps [aria-current]").get_attribute("data-step") == "logits"
        assert tab.text("#name") == "Logits: output"
        tab.page.fill("#sentence", text)
        tab.page.press("#sentence", "Enter")
