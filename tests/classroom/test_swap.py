"""A learner's function inside a real model: the cases that are compared, and the result."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from unittest import mock

import pytest
import torch
from torch import Tensor

import minibert.classroom.swap as module
from minibert import (
    Bert,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertForTokenClassification,
    Transformer,
    TransformerConfig,
)
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Report, Verdict
from minibert.classroom.running import LocalRunner, Outcome
from minibert.classroom.sandbox import SandboxRunner
from minibert.classroom.swap import TEXTS, Cases, SwapResult, case_scores, layers_of, make_cases, swap, top_predictions
from minibert.model import load
from minibert.model.pretrained import PretrainedModel
from minibert.study.checked_attention import UserCodeError
from minibert.study.subject import random_network, tokenizer_of
from minibert.study.user_code import limits_of
from minibert.study.verify.comparison import Comparison
from minibert.study.verify.diagnosis import Names
from minibert.study.verify.stages import minibert_stages
from minibert.text.tokenizer import save_tokenizer

TEXT = "the cat sat on the [MASK] ."
TOKENIZER = tokenizer_of([TEXT])
SIZES = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 16}
SOFTMAX, REPORT = EXERCISES["softmax"], Report("softmax", Verdict.WRONG)


def model_of(network: type[PretrainedModel] = BertForMaskedLM, layers: int = 2, **options) -> PretrainedModel:
    """A model whose attention is far from uniform."""
    model = random_network(network, BertConfig(**SIZES, num_hidden_layers=layers, **options), TOKENIZER)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 10
    return model


def pieces(ids: Tensor) -> list[str]:
    return [" ".join(TOKENIZER.id_to_token(index) for index in row) for row in ids.tolist()]


def test_the_masks_of_a_text_are_its_cases() -> None:
    cases = make_cases(model_of(), TOKENIZER, ["the [MASK] sat on the [MASK] .", "the [MASK]"])
    assert pieces(cases.inputs["input_ids"]) == [
        "[CLS] the [MASK] sat on the [MASK] . [SEP]",
        "[CLS] the [MASK] sat on the [MASK] . [SEP]",
        "[CLS] the [MASK] [SEP] [PAD] [PAD] [PAD] [PAD] [PAD]",
    ]
    assert cases.inputs["attention_mask"].tolist() == [[1] * 9, [1] * 9, [1] * 4 + [0] * 5]
    assert cases.positions.tolist() == [[0, 2], [1, 6], [2, 2]]
    assert cases.labels == ["[CLS] the [MASK] sat on the [MASK]", "[MASK] sat on the [MASK] . [SEP]", "[CLS] the [MASK] [SEP]"]
    assert cases.texts == ["the [MASK] sat on the [MASK] .", "the [MASK]"]


def test_without_a_mask_each_token_is_masked_once() -> None:
    cases = make_cases(model_of(), TOKENIZER, ["the cat sat"])
    assert cases.labels == ["[CLS] [MASK] cat sat [SEP]", "[CLS] the [MASK] sat [SEP]", "[CLS] the cat [MASK] [SEP]"]
    assert pieces(cases.inputs["input_ids"]) == cases.labels
    assert cases.positions.tolist() == [[0, 1], [1, 2], [2, 3]]


def test_without_a_masked_lm_head_each_token_is_a_case() -> None:
    cases = make_cases(model_of(BertForTokenClassification), TOKENIZER, ["the cat", "cat"])
    assert pieces(cases.inputs["input_ids"]) == ["[CLS] the cat [SEP]", "[CLS] cat [SEP] [PAD]"]
    assert cases.positions.tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [1, 1], [1, 2]]
    assert cases.labels[:2] == ["[[CLS]] the cat [SEP]", "[CLS] [the] cat [SEP]"]
    assert cases.labels[4:] == ["[[CLS]] cat [SEP]", "[CLS] [cat] [SEP]", "[CLS] cat [[SEP]]"]


def test_a_case_ends_where_the_positions_of_the_model_end() -> None:
    cases = make_cases(model_of(), TOKENIZER, ["cat " * 20])
    assert cases.inputs["input_ids"].shape == (15, 16)
    assert make_cases(model_of(), TOKENIZER, ["cat " * 20 + "[MASK]"]).inputs["input_ids"].shape == (15, 16)
    assert make_cases(model_of(), TOKENIZER, [""]) is None


def encoder_and_decoder() -> Transformer:
    """A network with one layer in the encoder and two in the decoder."""
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    return Transformer(TransformerConfig(vocab_size=20, encoder_layers=1, decoder_layers=2, **sizes))


def test_a_network_with_a_decoder_has_no_cases() -> None:
    assert make_cases(encoder_and_decoder(), TOKENIZER, [TEXT]) is None


def test_scores_of_each_case() -> None:
    """The model computes without dropout, and is left as it was."""
    model = model_of(hidden_dropout_prob=0.5).train()
    cases = make_cases(model, TOKENIZER, ["the cat sat"])
    scores = case_scores(model, cases.inputs, cases.positions)
    assert scores.shape == (3, TOKENIZER.get_vocab_size())
    assert torch.equal(scores, case_scores(model, cases.inputs, cases.positions))
    assert torch.equal(scores, model.eval()(**cases.inputs).logits[range(3), range(1, 4)])
    assert not scores.requires_grad
    both = model_of(BertForPreTraining)
    assert torch.equal(
        case_scores(both, cases.inputs, cases.positions), both(**cases.inputs).prediction_logits[range(3), range(1, 4)]
    )
    texts = model_of(BertForSequenceClassification)
    assert case_scores(texts, cases.inputs, cases.positions).shape == (3, 2)
    assert case_scores(model_of(Bert), cases.inputs, cases.positions) is None


def test_the_most_probable_classes_come_first() -> None:
    scores = torch.tensor([0.25, 0.5, 0.125]).log()
    best = top_predictions(scores, ["a", "b", "c"])
    assert [name for name, _ in best] == ["b", "a", "c"]
    assert [value for _, value in best] == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    assert len(top_predictions(torch.zeros(9), [*"abcdefghi"])) == 5
    assert top_predictions(torch.tensor([0.0, torch.nan]), ["a", "b"]) == []


def result(before: list | None, after: list | None, cases: bool = True) -> SwapResult:
    scores = [None if each is None else torch.tensor(each) for each in (before, after)]
    shown = Cases({}, torch.zeros(2, 2), ["one", "two", "three"], ["text", "other"])
    return SwapResult(Comparison([], 0.0, [], None), shown if cases else None, *scores, ["a", "b"], 1, REPORT)


def test_the_cases_with_another_top_prediction_are_counted_and_shown() -> None:
    before = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    found = result(before, [[0.0, 1.0], [0.0, 9.0], [1.0, torch.nan]])
    assert (found.changed, found.labels) == (2, ["one", "two", "three"])
    assert [found.examples(count) for count in (1, 2, 3)] == [[0], [0, 2], [0, 2]]
    assert [[name for name, _ in side] for side in found.predictions(0)] == [["a", "b"], ["b", "a"]]
    assert found.predictions(2)[1] == []
    same = result(before, before)
    assert (same.changed, same.examples(3)) == (0, [0])


def test_a_classifier_of_texts_has_a_case_for_each_text() -> None:
    assert result([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]).labels == ["text", "other"]


@pytest.mark.parametrize(
    "found", [result(None, None), result(None, [[1.0]]), result([[1.0]], None, cases=False), result(None, None, cases=False)]
)
def test_without_a_head_there_are_no_cases(found: SwapResult) -> None:
    assert (found.labels, found.changed, found.examples(3)) == ([], 0, [])


def test_classes_have_the_labels_of_the_config_or_are_pieces() -> None:
    names, scores = module._class_names, torch.zeros(3, 2)
    labeled = model_of(BertForSequenceClassification)
    assert names(labeled, TOKENIZER, scores) == [labeled.config.id2label[0], labeled.config.id2label[1]]
    assert names(labeled, TOKENIZER, torch.zeros(3, 6))[4:] == [TOKENIZER.id_to_token(4), TOKENIZER.id_to_token(5)]
    assert names(encoder_and_decoder(), TOKENIZER, scores) == [TOKENIZER.id_to_token(0), TOKENIZER.id_to_token(1)]
    assert names(labeled, None, scores) == names(labeled, TOKENIZER, None) == []


def test_a_layer_has_a_number() -> None:
    model = model_of(layers=3)
    assert layers_of(model, 0) == [model.bert.layers[0]]
    assert layers_of(model, 2) == [model.bert.layers[2]]
    for number in (-1, 3):
        with pytest.raises(ValueError, match=rf"^--layer {number}: the model has layers 0 to 2$"):
            layers_of(model, number)
    both = encoder_and_decoder()
    assert layers_of(both, 0) == [both.encoder.layers[0], both.decoder.layers[0]]
    assert layers_of(both, 1) == [both.decoder.layers[1]]


class Runner(SandboxRunner):
    """Stands for the process of a learner's function, and calls it here. It keeps the arguments of all that are made."""

    made: ClassVar[list] = []
    function: ClassVar[Callable] = torch.softmax
    printed = "seen\n"

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
        self.made.append(arguments)

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, arguments: dict, gradients: bool) -> Outcome:
        assert not gradients
        return LocalRunner(self.arguments[0], type(self).function)(arguments, gradients)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model. Learners' functions run in this process, their check takes no time, and minibert is compared."""
    model_of().save_pretrained(tmp_path)
    save_tokenizer(TOKENIZER, tmp_path)
    monkeypatch.setattr(module, "SandboxRunner", Runner)
    monkeypatch.setattr(module, "transformers_stages", mock.Mock(side_effect=ImportError))
    monkeypatch.setattr(Runner, "made", [])
    monkeypatch.setattr(module, "check_function", lambda exercise, runner, find: REPORT)
    return tmp_path


def swapped(folder: Path, function: Callable, *options: object, **more: object) -> SwapResult:
    Runner.function = staticmethod(function)
    return swap(SOFTMAX, "a:b/my.py:mine", folder, print, *options, **more)


def wrong(scores: Tensor) -> Tensor:
    return torch.softmax(-scores, -1)


def test_a_right_function_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = swapped(folder, lambda scores: torch.softmax(scores, -1), TEXT, time_limit=7.0)
    assert (found.comparison.agrees, found.comparison.not_compared, found.changed, found.calls) == (True, [], 0, 4)
    assert found.comparison.names == Names("minibert", "a:b/my.py:mine")
    assert found.cases.labels == ["cat sat on the [MASK] . [SEP]"]
    assert torch.allclose(found.before, found.after)
    assert found.names == [TOKENIZER.id_to_token(index) for index in range(TOKENIZER.get_vocab_size())]
    assert found.report is REPORT
    assert capsys.readouterr().out == "seen\n\n"
    assert Runner.made == [(SOFTMAX, Path("a:b/my.py"), "mine", limits_of(7.0)), (SOFTMAX, Path("a:b/my.py"), "mine")]


def test_a_wrong_function_shows_in_stages_and_scores(folder: Path) -> None:
    found = swapped(folder, wrong)
    assert found.comparison.first_difference.name == "layers.0.attention.weights"
    assert found.cases.texts == [*TEXTS]
    model = load(folder, attention="explicit")
    assert torch.equal(found.before, case_scores(model, found.cases.inputs, found.cases.positions))
    assert not torch.allclose(found.before, found.after)
    second = swapped(folder, wrong, TEXT, 1)
    assert (second.comparison.first_difference.name, second.calls) == ("layers.1.attention.weights", 2)


def test_nothing_printed_is_not_shown(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(Runner, "printed", "")
    swapped(folder, wrong, TEXT)
    assert capsys.readouterr().out == ""


def test_steps_of_the_replaced_function_are_no_stages(folder: Path) -> None:
    """A learner's function has other steps, or none."""
    Runner.function = staticmethod(torch.nn.functional.scaled_dot_product_attention)
    found = swap(EXERCISES["scaled_dot_product_attention"], "my.py:mine", folder, print, TEXT)
    names = [stage.name.rpartition(".")[2] for stage in found.comparison.stages]
    assert found.comparison.not_compared == []
    assert "context" in names
    assert "weights" not in names


def test_a_model_that_does_not_call_the_function_is_an_error(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"this model does not compute relu, so my\.py:relu was never called$"):
        swap(EXERCISES["relu"], "my.py:relu", folder, print, TEXT)


@pytest.mark.parametrize(("network", "has_tokenizer", "text"), [(Bert, True, TEXT), (BertForMaskedLM, False, None)])
def test_a_model_without_a_head_or_without_a_tokenizer_has_stages_only(folder: Path, network, has_tokenizer, text) -> None:
    model_of(network).save_pretrained(folder / "model")
    if has_tokenizer:
        save_tokenizer(TOKENIZER, folder / "model")
    found = swapped(folder / "model", wrong, text)
    assert (found.cases, found.before, found.after, found.names) == (None, None, None, [])
    assert found.comparison.first_difference.name == "layers.0.attention.weights"


def test_transformers_is_the_reference_if_it_has_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "transformers_stages", lambda checkpoint, model, inputs: minibert_stages(model, inputs))
    assert swapped(folder, wrong, TEXT).comparison.names.reference == "transformers"
    for error in (ImportError, ValueError):
        monkeypatch.setattr(module, "transformers_stages", mock.Mock(side_effect=error))
        assert swapped(folder, wrong, TEXT).comparison.names.reference == "minibert"


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Outcome(error="ValueError: no", line=3), "a:b/my.py, line 3: ValueError: no"),
        (Outcome(error="ValueError: no"), "a:b/my.py: ValueError: no"),
        (Outcome(stopped="It is too slow.", line=2), "a:b/my.py, line 2: It is too slow."),
    ],
)
def test_an_error_of_the_function_has_its_place(outcome: Outcome, message: str) -> None:
    with pytest.raises(UserCodeError) as error:
        inspect.unwrap(module._call)(lambda arguments, gradients: outcome, "a:b/my.py:softmax", {})
    assert str(error.value) == message
