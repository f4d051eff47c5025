"""The labels of a backward pass: what is true, in words, or the model's own prediction."""

from dataclasses import replace

import pytest
import torch

from minibert import (
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2LMHeadModel,
    Transformer,
)
from minibert.model.config import ModelConfig
from minibert.model.families import NETWORKS, AlbertConfig, ElectraConfig
from minibert.model.pretrained import PretrainedModel
from minibert.study.stepthrough.truth import labels
from minibert.study.stepthrough.walk import StepBuilder
from minibert.study.subject import random_network
from tests.study.stepthrough.test_backward import BERT, GPT2, PAIR, TEXT, TOKENIZER, TRANSFORMERS

VOCABULARY, CLASSES = ("batch", "tokens", "vocabulary"), ("batch", "classes")
TOKEN_CLASSES, ENDS = ("batch", "tokens", "classes"), ("batch", "tokens", "ends")


def made(
    network: type[PretrainedModel],
    config: ModelConfig,
    axes: tuple[str, ...],
    *truth: str,
    text: str = TEXT,
    pair: str | None = None,
) -> dict[str, list[object]]:
    """Return the labels of a network that predicts class 1, or the piece with the id 1, everywhere."""
    model = random_network(network, config, TOKENIZER)
    builder = StepBuilder(model, TOKENIZER, text, pair)
    sizes = {"batch": 1, "tokens": len(builder.source.ids), "vocabulary": model.config.vocab_size, "ends": 2}
    scores = torch.zeros([sizes.get(name, len(getattr(config, "id2label", {}))) for name in axes])
    scores[..., 1] = 1.0
    found = labels(builder, {"logits": scores}, {"logits": axes}, truth)
    return {name: value.tolist() for name, value in found.items()}


def ids(*pieces: str) -> list[int]:
    return [TOKENIZER.token_to_id(piece) for piece in pieces]


class TestMaskedWords:
    def test_the_true_word_is_the_label_of_the_mask_and_nothing_else_has_one(self) -> None:
        assert made(BertForMaskedLM, BERT, VOCABULARY, "mat") == {"labels": [[-100] * 6 + ids("mat") + [-100] * 2]}
        assert made(BertForMaskedLM, BERT, VOCABULARY, "MAT") == made(BertForMaskedLM, BERT, VOCABULARY, "mat"), "lowercased"

    def test_the_prediction_is_the_label_without_a_true_word(self) -> None:
        assert made(BertForMaskedLM, BERT, VOCABULARY) == {"labels": [[-100] * 6 + [1] + [-100] * 2]}

    def test_words_are_their_own_labels_without_a_mask(self) -> None:
        found = made(BertForMaskedLM, BERT, VOCABULARY, text="the cat")
        assert found == {"labels": [[-100, *ids("the", "cat"), -100]]}

    @pytest.mark.parametrize(
        ("truth", "text", "message"),
        [
            (("the cat",), TEXT, r"has 2 pieces \(the, cat\), but a \[MASK\] is one"),
            (("dinosaur",), TEXT, "not in the vocabulary"),
            (("",), TEXT, "0 pieces"),
            (("mat",), "[MASK] [MASK]", r"2 \[MASK\], but there is 1 true word"),
            (("mat", "cat"), TEXT, "too many true values: 'cat'"),
            (("mat",), "the cat", "too many true values: 'mat'"),
        ],
    )
    def test_other_words_are_refused(self, truth: tuple[str, ...], text: str, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            made(BertForMaskedLM, BERT, VOCABULARY, *truth, text=text)


class TestClasses:
    CONFIG = replace(BERT, id2label={0: "good", 1: "bad", 2: "so so"})

    @pytest.mark.parametrize(("truth", "label"), [(("so so",), 2), (("0",), 0), ((), 1)])
    def test_a_class_is_a_name_or_a_number_or_the_prediction(self, truth: tuple[str, ...], label: int) -> None:
        assert made(BertForSequenceClassification, self.CONFIG, CLASSES, *truth) == {"labels": [label]}

    def test_independent_classes_are_all_that_are_true(self) -> None:
        config = replace(self.CONFIG, problem_type="multi_label_classification")
        assert made(BertForSequenceClassification, config, CLASSES, "good", "2") == {"labels": [[1.0, 0.0, 1.0]]}
        assert made(BertForSequenceClassification, config, CLASSES) == {"labels": [[0.0, 1.0, 0.0]]}

    def test_regression_needs_the_true_numbers(self) -> None:
        config = replace(self.CONFIG, problem_type="regression")
        assert made(BertForSequenceClassification, config, CLASSES, "1", "-2.5", "3") == {"labels": [[1.0, -2.5, 3.0]]}
        for truth, message in ((("1",), "give the true one"), (("1", "x", "2"), "not a number"), (("1", "nan", "2"), "finite")):
            with pytest.raises(ValueError, match=message):
                made(BertForSequenceClassification, config, CLASSES, *truth)

    @pytest.mark.parametrize("name", ["terrible", "3", "-1", "²"])
    def test_an_unknown_class_is_refused_with_the_known_ones(self, name: str) -> None:
        with pytest.raises(ValueError, match="choose one of good, bad, so so"):
            made(BertForSequenceClassification, self.CONFIG, CLASSES, name)

    def test_each_token_has_a_class_but_special_tokens_have_none(self) -> None:
        found = made(BertForTokenClassification, self.CONFIG, TOKEN_CLASSES, "good", "so so", text="the cat")
        assert found == {"labels": [[-100, 0, 2, -100]]}
        with pytest.raises(ValueError, match="2 tokens, but there are 3 true classes"):
            made(BertForTokenClassification, self.CONFIG, TOKEN_CLASSES, "0", "0", "0", text="the cat")


def test_an_answer_is_a_part_of_the_text() -> None:
    found = made(BertForQuestionAnswering, BERT, ENDS, "a cat", pair=PAIR)
    assert found == {"start_positions": [11], "end_positions": [12]}
    with pytest.raises(ValueError, match="'a dog' is not in the text"):
        made(BertForQuestionAnswering, BERT, ENDS, "a dog", pair=PAIR)


def test_the_next_sentence_counts_for_pairs() -> None:
    axes = ("batch", "next_sentence")
    config = replace(BERT, id2label={0: "a", 1: "b"})
    assert made(BertForPreTraining, config, axes) == {}
    assert made(BertForPreTraining, config, axes, "B is next", pair=PAIR) == {"next_sentence_label": [0]}
    assert made(BertForPreTraining, config, axes, pair=PAIR) == {"next_sentence_label": [1]}


def test_the_true_order_of_a_pair() -> None:
    """The classes of ALBERT are not those of BERT, and have the same numbers."""
    config = AlbertConfig(
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=20,
        embedding_size=6,
        id2label={0: "a", 1: "b"},
    )
    axes, network = ("batch", "next_sentence"), NETWORKS["AlbertForPreTraining"]
    assert made(network, config, axes, "A and B are in order", pair=PAIR) == {"next_sentence_label": [0]}
    assert made(network, config, axes, "A and B are swapped", pair=PAIR) == {"next_sentence_label": [1]}
    with pytest.raises(ValueError, match="choose one of A and B are in order, A and B are swapped"):
        made(network, config, axes, "B is next", pair=PAIR)


class TestNextTokens:
    def test_the_labels_of_gpt2_are_its_tokens(self) -> None:
        found = made(GPT2LMHeadModel, GPT2, VOCABULARY, text="the cat")
        assert found == {"labels": [ids("[CLS]", "the", "cat", "[SEP]")]}

    def test_the_labels_of_a_transformer_are_the_target_and_its_end(self) -> None:
        found = made(Transformer, TRANSFORMERS[0], VOCABULARY, pair="the cat")
        assert found == {"labels": [ids("the", "cat", "[SEP]")]}

    def test_true_words_are_refused(self) -> None:
        with pytest.raises(ValueError, match="next tokens"):
            made(GPT2LMHeadModel, GPT2, VOCABULARY, "mat")


class TestReplacedTokens:
    def test_the_named_tokens_were_replaced_and_special_tokens_have_no_label(self) -> None:
        found = made(NETWORKS["ElectraForPreTraining"], ElectraConfig.of_size(BERT), ("batch", "tokens"), "cat", text="the cat")
        assert found == {"labels": [[-100, 0, 1, -100]]}

    def test_the_prediction_is_the_label_without_names(self) -> None:
        found = made(NETWORKS["ElectraForPreTraining"], ElectraConfig.of_size(BERT), ("batch", "tokens"), text="the cat")
        assert found == {"labels": [[-100, 1, 0, -100]]}

    def test_a_token_that_the_text_does_not_have(self) -> None:
        with pytest.raises(ValueError, match="the text has no token 'dog': the true values are the tokens that were replaced"):
            made(NETWORKS["ElectraForPreTraining"], ElectraConfig.of_size(BERT), ("batch", "tokens"), "dog", text="the cat")
