"""The difference of two forward passes of the same text, step by step."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minibert import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    Transformer,
    TransformerConfig,
    load,
    load_tokenizer,
)
from minibert.model.pretrained import PretrainedModel
from minibert.study import walk
from minibert.study.stepthrough.differences import differences, transformers_outputs
from minibert.study.stepthrough.step import Walk
from minibert.study.subject import random_network, tokenizer_of
from minibert.text.tokenizer import save_tokenizer

TEXT = "the cat sat on the [MASK] ."
TOKENIZER = tokenizer_of([TEXT])
CONFIG = BertConfig(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=16, max_position_embeddings=16
)


def network(config: BertConfig = CONFIG) -> PretrainedModel:
    return random_network(BertForMaskedLM, config, TOKENIZER)


def walked(model: PretrainedModel, text: str = TEXT) -> Walk:
    return walk(model, tokenizer_of([text]) if text != TEXT else TOKENIZER, text)


def test_equal_networks_do_not_differ() -> None:
    """Minus infinity of masked scores is equal on both sides."""
    for model in (network(), random_network(GPT2LMHeadModel, GPT2Config(hidden_size=24, num_attention_heads=3), TOKENIZER)):
        found = differences(walked(model), walked(model))
        assert found.first is None
        assert not found.not_compared
        assert {(step.relative, step.largest, step.cosine) for step in found.steps} == {(0.0, 0.0, 1.0)}


def test_first_step_that_a_changed_weight_reaches() -> None:
    one, other = network(), network()
    with torch.no_grad():
        other.bert.layers[1].attention.key.weight *= 2
    found = differences(walked(one), walked(other))
    assert found.first is not None
    assert found.first.step.path == "layers.1.attention.key"
    assert found.first.relative == pytest.approx(1.0)
    assert found.first.cosine == pytest.approx(1.0)
    expected = (found.first.other - found.first.step.output).abs().max().item()
    assert found.first.largest == pytest.approx(expected)
    label, tensor = found.others("after")["layers.1.attention.key"]
    assert label == "after"
    assert torch.equal(tensor, 2 * found.first.step.output)


def test_other_depth_and_other_heads() -> None:
    """What both have is compared. The rest has a reason."""
    deeper = replace(CONFIG, num_hidden_layers=3)
    found = differences(walked(network()), walked(network(deeper)))
    assert found.not_compared["layers.2.attention.query"] == "only the second one has this step"
    assert (
        differences(walked(network(deeper)), walked(network()))
        .not_compared["layers.2.intermediate"]
        .startswith("only the first")
    )
    found = differences(walked(network()), walked(network(replace(CONFIG, num_attention_heads=2))))
    assert found.not_compared["layers.0.attention.query"] == "the shapes are (1, 3, 9, 8) and (1, 2, 9, 12)"
    assert any(step.step.path == "layers.0.attention.output" for step in found.steps)


def test_other_tokens_are_an_error_that_shows_them() -> None:
    with pytest.raises(ValueError, match=r"different tokens.*the cat sat .*the dog sat .*same tokenizer"):
        differences(walked(network()), walked(network(), "the dog sat on the [MASK] ."))


def test_nan_is_a_difference() -> None:
    one, other = network(), network()
    with torch.no_grad():
        other.bert.embeddings.words.weight.fill_(math.nan)
    found = differences(walked(one), walked(other))
    assert found.first is not None
    assert found.first.step.path == "embeddings.words"
    assert math.isnan(found.first.relative)


def test_zeros_have_no_direction() -> None:
    one, other = network(), network()
    with torch.no_grad():
        one.bert.embeddings.segments.weight.zero_()
    found = differences(walked(one), walked(other))
    assert found.first is not None
    assert (found.first.relative, found.first.cosine) == (math.inf, 0.0)


@pytest.mark.parametrize(
    "model",
    [
        lambda: network(),
        lambda: random_network(
            GPT2LMHeadModel, GPT2Config(hidden_size=24, num_attention_heads=3, num_hidden_layers=2), TOKENIZER
        ),
    ],
    ids=["BERT", "GPT-2"],
)
def test_transformers_computes_the_same(tmp_path: Path, model: "type[PretrainedModel]") -> None:
    """Also the scores, which transformers masks before it returns them."""
    pytest.importorskip("transformers")
    made: PretrainedModel = model()
    made.save_pretrained(tmp_path)
    save_tokenizer(TOKENIZER, tmp_path)
    loaded, tokenizer = load(tmp_path), load_tokenizer(tmp_path)
    found = differences(walk(loaded, tokenizer, TEXT), transformers_outputs(tmp_path, loaded, tokenizer, TEXT))
    compared = {step.step.path.removeprefix("decoder.") for step in found.steps}
    assert {"layers.1.attention.masked_scores", "layers.1.attention.weights"} <= compared
    assert max(step.relative for step in found.steps) < 1e-5
    assert any(path.endswith("layers.0.attention.dot_products") for path in found.not_compared)


def test_encoder_decoder() -> None:
    config = TransformerConfig(hidden_size=24, num_attention_heads=3, intermediate_size=16, encoder_layers=1, decoder_layers=1)
    made = walk(random_network(Transformer, config, TOKENIZER), TOKENIZER, TEXT, "the cat")
    assert differences(made, made).first is None
