"""The tokenizer and the network as JSON for a live page: what they have, and what is refused."""

import re
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from minibert.model.families import NETWORKS
from minibert.model.gpt2 import GPT2Config, GPT2LMHeadModel
from minibert.study.page.live import network_json
from minibert.study.page.tokenizer_data import tokenizer_json
from minibert.text.tokenizer import SPECIAL_TOKENS, build_byte_pair_tokenizer, build_tokenizer
from tests.model.test_families import network


def unigram(**stages: Any) -> Tokenizer:
    """Build a small unigram tokenizer, with some stages in place of ALBERT's."""
    pieces = [("<unk>", 0.0), ("▁", -2.0), ("a", -3.0), ("▁a", -1.5), ("b", -3.0), ("ab", -3.5), ("▁aab", -9.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, 0, stages.pop("byte_fallback", False)))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    for name, stage in stages.items():
        setattr(tokenizer, name, stage)
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (unigram(normalizer=normalizers.Strip()), "a live page has no rule for the normalizer Strip"),
        (unigram(pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first")), "no rule for the pre_tokenizer"),
        (unigram(pre_tokenizer=pre_tokenizers.Whitespace()), "no rule for the pre_tokenizer"),
        (unigram(byte_fallback=True), "a piece for unknown characters and without bytes"),
        (Tokenizer(models.WordLevel({"a": 0}, "a")), "no tokenizer of type WordLevel, only WordPiece, BPE, Unigram"),
        (Tokenizer(models.BPE({"a": 0}, [])), "a live page needs the tokenizer of GPT-2 or RoBERTa, pre_tokenizer"),
        (unigram(post_processor=processors.TemplateProcessing("$A a", "$B $A", [("a", 2)])), "no rule for ▁a a and ▁ b ▁a"),
    ],
)
def test_tokenizers_that_are_not_supported(tokenizer: Tokenizer, message: str) -> None:
    """The message names the part that the page cannot compute."""
    with pytest.raises(ValueError, match=re.escape(message)):
        tokenizer_json(tokenizer)


def test_replacement_of_a_text() -> None:
    found = tokenizer_json(unigram(normalizer=normalizers.Replace(" ", "_")))
    assert found["normalizers"] == [{"type": "Replace", "from": " ", "to": "_"}]


def test_special_tokens_around_texts() -> None:
    names = ("first", "between", "last", "secondSegment")
    bert, roberta = tokenizer_json(build_tokenizer([*SPECIAL_TOKENS, "a", "b"])), tokenizer_json(build_byte_pair_tokenizer([]))
    assert [bert[name] for name in names] == [[2], [3], [3], 1]
    assert [roberta[name] for name in names] == [[0], [2, 2], [2], 0]
    assert roberta["added"][-1] == {"content": "<mask>", "lstrip": True, "rstrip": False}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_written(name: str) -> None:
    """Layers that share their parameters have the same number, and padding is counted or not."""
    model = network(name)
    found = network_json(model, build_tokenizer(SPECIAL_TOKENS))
    assert found["head"] == model.head
    assert found["layers"] == ([0, 0] if "Albert" in name else [0, 1])
    assert (found["uncounted"] is None) is ("Roberta" not in name)
    assert {"embeddings.words.weight", "embeddings.positions.weight"} <= {*found["tables"]}


def test_gpt2_is_causal() -> None:
    config = GPT2Config(vocab_size=20, hidden_size=8, num_attention_heads=2, num_hidden_layers=2, max_position_embeddings=12)
    found = network_json(GPT2LMHeadModel(config), build_byte_pair_tokenizer([]))
    assert found["mask"] is None
    assert (found["isCausal"], found["tables"]) == (True, ["words.weight", "decoder.positions.table.weight"])
