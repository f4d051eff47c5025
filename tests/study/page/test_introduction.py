"""The introduction of a live page names the special tokens and the parts of its network, and no others."""

import re
from html import unescape

import pytest
from tokenizers import Tokenizer

from minibert import BertForPreTraining
from minibert.model.gpt2 import GPT2Config, GPT2LMHeadModel
from minibert.model.pretrained import PretrainedModel
from minibert.study.page.data import heading_of
from minibert.study.page.introduction import PREDICTIONS, introduction
from minibert.study.page.live import HEADS, LIVE, live_page, network_json
from minibert.study.page.page import RECORDED, step_through_page
from minibert.study.stepthrough.walk import walk
from minibert.text.tokenizer import GPT2_TOKENS, SPECIAL_TOKENS, build_byte_pair_tokenizer, build_tokenizer
from tests.model.test_families import network
from tests.study.page.test_live_families import unigram
from tests.study.page.test_live_network import SMALL, TOKENIZER
from tests.study.page.test_live_network import network as bert

PARTS = {
    *("segment", "causal mask", "pooler", "projection"),
    *("MLM", "NSP", "SOP", "classifier", "span", "Replaced-token", "next token"),
}
BERT_NAMES = {"[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "##"}
ROBERTA_NAMES = {"<s>", "</s>", "<mask>", "<pad>", "Ġ"}
ALBERT_NAMES = {"[CLS]", "[SEP]", "[MASK]", "<unk>", "<pad>", "▁"}
GPT2_NAMES = {"Ġ", "<|endoftext|>"}
NAMES = BERT_NAMES | ROBERTA_NAMES | ALBERT_NAMES | GPT2_NAMES


def gpt2() -> GPT2LMHeadModel:
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "max_position_embeddings": 12}
    return GPT2LMHeadModel(GPT2Config(vocab_size=300, **sizes))


def text_of(model: PretrainedModel, tokenizer: Tokenizer) -> str:
    return unescape(re.sub("</?b>", "", " ".join(introduction(network_json(model, tokenizer), tokenizer).values())))


WORDS = build_tokenizer(SPECIAL_TOKENS)


@pytest.mark.parametrize(
    ("model", "tokenizer", "names", "parts"),
    [
        (bert(BertForPreTraining, SMALL), TOKENIZER, BERT_NAMES, {"segment", "pooler", "MLM", "NSP"}),
        (network("RobertaForMaskedLM"), build_byte_pair_tokenizer([]), ROBERTA_NAMES, {"segment", "MLM"}),
        (network("AlbertForPreTraining"), unigram(), ALBERT_NAMES, {"segment", "pooler", "MLM", "SOP", "projection"}),
        (network("ElectraForPreTraining"), WORDS, BERT_NAMES, {"segment", "Replaced-token", "projection"}),
        (network("DistilBertForQuestionAnswering"), WORDS, BERT_NAMES, {"span"}),
        (gpt2(), build_byte_pair_tokenizer([], GPT2_TOKENS), GPT2_NAMES, {"causal mask", "next token"}),
    ],
    ids=["BERT", "RoBERTa", "ALBERT", "ELECTRA", "DistilBERT", "GPT-2"],
)
def test_special_tokens_and_parts(model: PretrainedModel, tokenizer: Tokenizer, names: set[str], parts: set[str]) -> None:
    text = text_of(model, tokenizer)
    assert {name for name in NAMES if name in text} == names
    assert {part for part in PARTS if part in text} == parts


def test_the_head_for_pairs_is_listed_under_the_task_of_the_family() -> None:
    tasks = {
        heading_of(walk(model, tokenizer, "a cat", "a cat")["nsp.logits"])
        for model, tokenizer in ((bert(BertForPreTraining, SMALL), TOKENIZER), (network("AlbertForPreTraining"), unigram()))
    }
    assert tasks == {"NSP", "SOP"}


def test_shared_layers() -> None:
    assert "Some layers have the same weights." in text_of(network("AlbertForMaskedLM"), unigram())
    assert "same weights" not in text_of(gpt2(), build_byte_pair_tokenizer([], GPT2_TOKENS))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "and the softmax makes a probability of it. The classifier predicts a class of the text."),
        ({"isMultiLabel": True}, "and the sigmoid function makes a probability of it. The classifier"),
        ({"predictsClasses": False}, "The head predicts a number: its score (logit)."),
    ],
)
def test_predictions_of_a_classifier(changes: dict[str, bool], sentence: str) -> None:
    found = network_json(network("RobertaForSequenceClassification"), TOKENIZER)
    text = introduction({**found, "predictsClasses": True, "isMultiLabel": False, **changes}, TOKENIZER)["prediction"]
    assert sentence in re.sub("</?b>", "", text)


def test_every_head_has_a_sentence() -> None:
    assert PREDICTIONS.keys() == HEADS


def test_the_header_says_where_the_numbers_come_from() -> None:
    model = bert(BertForPreTraining, SMALL)
    pages = {LIVE: live_page(model, TOKENIZER, "the cat"), RECORDED: step_through_page(walk(model, TOKENIZER, "the cat"))}
    for sentence, page in pages.items():
        assert [each for each in pages if each in page] == [sentence]
