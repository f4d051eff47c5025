"""The forward pass in JavaScript: every tensor that Python records, for every head, sentence and change."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from minibert import (
    Bert,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minibert.equations import softmax
from minibert.model.config import ACTIVATIONS, PRESETS, BertConfig
from minibert.observe import Recording, record
from minibert.study.page.live import live_page, network_json
from minibert.study.page.tokenizer_data import tokenizer_json
from minibert.study.stepthrough.walk import walk
from minibert.study.subject import random_network, tokenizer_of
from tests.study.page.packing import unpacked
from tests.study.page.test_page import data_of

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
WORDS = ["the", "cat", "sat", "on", "mat", "dog", "bites", "man", "and", "running", *",.!中文猫坐垫"]
TOKENIZER = tokenizer_of([" ".join(WORDS)])
SMALL = BertConfig(hidden_size=24, num_attention_heads=3, intermediate_size=40, num_hidden_layers=2, max_position_embeddings=70)
SENTENCES: tuple[tuple[str, str | None], ...] = (
    ("", None),
    ("", ""),
    ("[MASK] the cat [MASK]", None),
    ("the cat sat .", "the dog [MASK] !"),
    ("the", None),
    (" ".join(["dog bites man"] * 20 + ["cat", "!"]), None),  # 64 tokens with [CLS] and [SEP]
    ("猫坐在垫子上。中文 [MASK]", "中文!"),
    ("quixotic zebras xylophone", None),  # nothing is in the vocabulary
)
HEADS: list[tuple[type[Any], dict[str, Any]]] = [
    (Bert, {}),
    (BertForMaskedLM, {}),
    (BertForMaskedLM, {"tie_word_embeddings": False}),
    (BertForNextSentencePrediction, {}),
    (BertForNextSentencePrediction, {"type_vocab_size": 1}),
    (BertForPreTraining, {}),
    (BertForSequenceClassification, {}),
    (BertForSequenceClassification, {"problem_type": "multi_label_classification"}),
    (BertForSequenceClassification, {"id2label": {0: "score"}}),
    (BertForTokenClassification, {"id2label": {0: "a", 1: "b", 2: "c"}, "type_vocab_size": 1}),
    (BertForQuestionAnswering, {"layer_norm_eps": 0.1, "num_hidden_layers": 1}),
]
RUN = """([network, fields, runs]) => {
  const [bert, tokenizer] = [networkOf(network), tokenizerOf(fields)];
  return runs.map(({ text, pair, length, changes }) => {
    const tokens = tokenizer.encode(text, pair);
    const input = { ids: tokens.map(({ id }) => id), segments: tokens.map(({ segment }) => segment), length };
    return [...bert.run(input, changes)].map(([path, tensor]) => [path, packed(tensor)]);
  });
}"""


def network(kind: type[Any], config: BertConfig, spread: float = 0.2, tokenizer: Tokenizer = TOKENIZER) -> Any:
    """Return a network with larger weights than a new one has, so that each change matters, rounded to half precision."""
    return rounded(random_network(kind, replace(config, initializer_range=spread), tokenizer))


def rounded(model: Any) -> Any:
    """Make the gains and biases of a network differ, and round all weights to half precision."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # gains and biases that are not all the same
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter.half().float())
    return model


def in_javascript(
    live: Callable[..., Any], model: Any, runs: Sequence[dict[str, Any]], tokenizer: Tokenizer = TOKENIZER
) -> list[dict[str, Tensor]]:
    """Compute forward passes in one call of the browser."""
    data = [network_json(model, tokenizer), tokenizer_json(tokenizer), [{"pair": None, "changes": {}, **each} for each in runs]]
    return [{path: unpacked(tensor) for path, tensor in found} for found in live(RUN, data)]


def check(found: dict[str, Tensor], expected: Recording | dict[str, Tensor]) -> None:
    """The same paths in the same order, with the same shapes and numbers."""
    assert [*found] == [*expected]
    for path, tensor in found.items():
        torch.testing.assert_close(tensor, expected[path], rtol=1e-6, atol=TOLERANCE, msg=lambda m, p=path: f"{p}: {m}")


def check_walks(
    live: Callable[..., Any], model: Any, sentences: Sequence[tuple[str, str | None]], tokenizer: Tokenizer = TOKENIZER
) -> None:
    """The tensors are those of a step-through, predictions included."""
    found = in_javascript(live, model, [{"text": text, "pair": pair} for text, pair in sentences], tokenizer)
    for (text, pair), tensors in zip(sentences, found, strict=True):
        check(tensors, walk(model, tokenizer, text, pair).recording)


@pytest.mark.parametrize(("kind", "options"), HEADS)
def test_every_tensor_of_every_head(live, kind, options):
    check_walks(live, network(kind, replace(SMALL, **options)), SENTENCES[2:4])


def test_every_sentence(live):
    check_walks(live, network(BertForMaskedLM, SMALL), SENTENCES)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_functions(live, activation):
    check_walks(live, network(BertForMaskedLM, replace(SMALL, hidden_act=activation)), SENTENCES[2:3])


Edit = Callable[[Tensor], Tensor]
Steps = Callable[[str], Tensor]
"""The tensor that was observed before at a path."""


@dataclass(frozen=True)
class Change:
    """A change on the page, and how Python makes the same change."""

    changes: dict[str, Any]
    edits: Callable[[Steps], dict[str, Edit]] = field(default=lambda at: {})
    temperature: float = 1
    hides_padding: bool = True


def without_heads(*heads: int) -> Edit:
    return lambda context: context.index_fill(1, torch.tensor(heads), 0.0)


def with_cell(index: int, value: float) -> Edit:
    return lambda tensor: tensor.flatten().index_fill(0, torch.tensor(index), value).reshape(tensor.shape)


def in_layers(name: str, edit: Callable[[Steps, int], Edit]) -> Callable[[Steps], dict[str, Edit]]:
    return lambda at: {f"layers.{layer}.{name}": edit(at, layer) for layer in range(SMALL.num_hidden_layers)}


CHANGES = {
    "one head": Change({"headsOff": [[1, 2]]}, lambda _: {"layers.1.attention.context": without_heads(2)}),
    "heads of both layers": Change(
        {"headsOff": [[0, 0], [1, 1], [0, 2]]},
        lambda _: {"layers.0.attention.context": without_heads(0, 2), "layers.1.attention.context": without_heads(1)},
    ),
    "first layer": Change({"layersOff": [0]}, lambda at: {"layers.0.output": lambda _: at("embeddings.output")}),
    "second layer": Change({"layersOff": [1]}, lambda at: {"layers.1.output": lambda _: at("layers.0.output")}),
    "all layers": Change(
        {"layersOff": [0, 1]},
        lambda at: {f"layers.{layer}.output": lambda _: at("embeddings.output") for layer in range(2)},
    ),
    "scale": Change({"noScale": True}, in_layers("attention.scores", lambda at, _: lambda scores: scores * math.sqrt(8))),
    "mask": Change({"noMask": True}, hides_padding=False),
    "positions": Change({"noPositions": True}, lambda _: {"embeddings.positions": torch.zeros_like}),
    "residual of attention": Change(
        {"residualsOff": ["attention"]},
        in_layers("attention_residual", lambda at, layer: lambda _: at(f"layers.{layer}.attention.output")),
    ),
    "residual of the feed-forward network": Change(
        {"residualsOff": ["feed_forward"]},
        in_layers("feed_forward_residual", lambda at, layer: lambda _: at(f"layers.{layer}.feed_forward")),
    ),
    "temperature of attention": Change(
        {"attentionTemperature": 0.25}, in_layers("attention.scores", lambda at, _: lambda scores: scores / 0.25)
    ),
    "temperature": Change({"temperature": 4}, temperature=4),
    "cells": Change(
        {
            "cells": {
                "embeddings.sum": {"0,0,5": 3.5},
                "layers.0.attention.weights": {"0,0,0,0": -1},
                "layers.1.output": {"0,1,6": 1e3},
            }
        },
        lambda _: {
            "embeddings.sum": with_cell(5, 3.5),
            "layers.0.attention.weights": with_cell(0, -1),
            "layers.1.output": with_cell(30, 1e3),
        },
    ),
    "a cell that the sentence does not have": Change(
        {"cells": {"embeddings.sum": {"0,0,24": 3.5, "0,99,0": 1, "0,5": 1, "0,-1,0": 1}, "pooler": {}}}
    ),
    "everything at once": Change(
        {"headsOff": [[0, 1]], "noPositions": True, "noMask": True, "temperature": 0.5, "cells": {"pooler": {"0,0": 9}}},
        lambda _: {
            "layers.0.attention.context": without_heads(1),
            "embeddings.positions": torch.zeros_like,
            "pooler": with_cell(0, 9),
        },
        temperature=0.5,
        hides_padding=False,
    ),
}


NO_CHANGE = Change({})


def in_python(model: Any, text: str, padding: int = 0, change: Change = NO_CHANGE) -> dict[str, Tensor]:
    """Compute the forward pass with the edits of a change. The predictions follow from its logits.

    Args:
        padding: number of tokens at the end that are hidden.
    """
    encoding = TOKENIZER.encode(text)
    ids, tokens = torch.tensor([encoding.ids]), len(encoding.ids)
    keep = torch.arange(tokens)[None] < tokens - padding * change.hides_padding
    recordings: list[Recording] = []
    edits = change.edits(lambda path: recordings[0][path])
    with torch.no_grad(), record(model, edit=edits) as recording:
        recordings.append(recording)
        model(ids, keep)
    tensors = {path: recording[path] for path in recording}
    masked = [place for place, index in enumerate(encoding.ids) if index == TOKENIZER.token_to_id("[MASK]")]
    tensors["mlm.predicted_logits"] = tensors["mlm.logits"][0, masked or [*range(tokens)]]
    tensors["mlm.probabilities"] = softmax(tensors["mlm.predicted_logits"] / change.temperature)
    tensors["nsp.probabilities"] = softmax(tensors["nsp.logits"] / change.temperature)
    return tensors


def random_sentences(count: int) -> list[str]:
    """Return sentences of up to 62 tokens, with unknown words and masks."""
    generator = random.Random(0)
    words = [*WORDS, "[MASK]", "unknown", "ﬁne", "Café", "[SEP]"]
    return [" ".join(generator.choices(words, k=generator.randint(0, 62))) for _ in range(count)]


@pytest.mark.parametrize(
    ("config", "spread", "count"),
    [(SMALL, 0.2, 40), *(pytest.param(PRESETS["tiny"], spread, 200, marks=pytest.mark.long) for spread in (0.02, 0.1))],
    ids=["small", "tiny, as initialized", "tiny, larger weights"],
)
def test_random_sentences(live, config, spread, count):
    model, sentences = network(BertForPreTraining, config, spread), random_sentences(count)
    for text, found in zip(sentences, in_javascript(live, model, [{"text": each} for each in sentences]), strict=True):
        check(found, in_python(model, text))


@pytest.mark.parametrize("name", CHANGES)
def test_change(live, name):
    """All numbers after a change are those of the same change in Python, and at least one of the first numbers differs."""
    model, change = network(BertForPreTraining, SMALL), CHANGES[name]
    text, padding = "the cat [MASK] on 中 mat . [PAD] [PAD]", 2
    run = {"text": text, "length": len(TOKENIZER.encode(text).ids) - padding}
    before, found = in_javascript(live, model, [run, {**run, "changes": change.changes}])
    check(before, in_python(model, text, padding))
    check(found, in_python(model, text, padding, change))
    differs = any(not torch.equal(tensor, before[path]) for path, tensor in found.items())
    assert differs is (name != "a cell that the sentence does not have")


PADDED = """([made, padding]) => {
  const { live } = new Laboratory(JSON.parse(made));
  const run = live.run("the cat [MASK] on 中 mat .", "the dog", {}, padding);
  return [...run.tensors].map(([path, tensor]) => [path, packed(tensor)]);
}"""


@pytest.mark.parametrize("kind", [BertForPreTraining, BertForSequenceClassification, BertForTokenClassification])
def test_padding_is_hidden_by_the_mask(live, kind):
    """The tokens of the text get the same numbers with and without padding, which no token attends to."""
    made = json.dumps(data_of(live_page(network(kind, SMALL), TOKENIZER, "the cat")))
    plain, padded = ({path: unpacked(each) for path, each in live(PADDED, [made, count])} for count in (0, 3))
    assert [*plain] == [*padded]
    for path, tensor in plain.items():
        part = padded[path][tuple(slice(size) for size in tensor.shape)]
        torch.testing.assert_close(part, tensor, rtol=1e-6, atol=TOLERANCE, msg=lambda m, p=path: f"{p}: {m}")
    weights = padded["layers.1.attention.weights"]
    assert weights.shape[-1] == plain["layers.1.attention.weights"].shape[-1] + 3
    assert not weights[..., -3:].any()
    assert padded["layers.1.attention.masked_scores"][..., -3:].isneginf().all()


def test_without_a_mask_every_word_is_predicted_but_no_padding(live):
    made = json.dumps(data_of(live_page(network(BertForMaskedLM, SMALL), TOKENIZER, "the cat")))
    script = PADDED.replace("[MASK]", "sat")
    shapes = [{path: unpacked(each).shape for path, each in live(script, [made, count])} for count in (0, 3)]
    assert shapes[0]["mlm.probabilities"] == shapes[1]["mlm.probabilities"]


def test_too_many_tokens(live):
    model = network(Bert, SMALL)
    (found,) = in_javascript(live, model, [{"text": "cat " * 68}])
    assert found["embeddings.output"].shape == (1, 70, 24)
    with pytest.raises(Exception, match=r"The input has 71 tokens, but the network has 70 positions\."):
        in_javascript(live, model, [{"text": "cat " * 69}])


def test_no_recording_remains(live):
    """After a forward pass, also one that fails, the equations record nothing."""
    in_javascript(live, network(Bert, SMALL), [{"text": "cat"}])
    assert live("() => recording") is None
    with pytest.raises(Exception, match="stop"):
        live("() => record({}, () => { throw new Error('stop'); })")
    assert live("() => recording") is None


def test_weight_that_is_too_large_for_half_precision():
    model = network(Bert, SMALL)
    with torch.no_grad():
        model.layers[1].feed_forward.output.bias[3] = -70_000
    with pytest.raises(ValueError, match=r"layers\.1\.feed_forward\.output\.bias has the value 70000, which is too large"):
        network_json(model, TOKENIZER)
