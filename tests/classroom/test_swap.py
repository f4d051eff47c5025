"""A learner's function inside a real model."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from minibert import BertConfig, BertForMaskedLM
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.running import Arguments
from minibert.classroom.swap import TEXTS, case_scores, layers_of, make_cases, top_predictions
from minibert.classroom.swapping import swapped, without_hooks
from minibert.classroom.training_effect import Curve, TrainingEffect
from minibert.commands import main
from minibert.equations import softmax
from minibert.study.checked_attention import UserCodeError
from minibert.study.subject import random_network, tokenizer_of
from minibert.study.verify.stages import minibert_stages
from minibert.text.tokenizer import save_tokenizer

TEXT = "the cat sat on the [MASK] ."
SIZES = {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 16, "max_position_embeddings": 16}
CODE = """
import torch

def scaled_dot_product_attention(query, key, value, keep=None):
    scores = query @ key.mT
    if keep is not None:
        scores = scores.masked_fill(~keep, -torch.inf)
    return torch.softmax(scores, -1) @ value

def softmax(scores):
    return torch.softmax(scores, -1)

def layer_norm(hidden, gain, bias, eps=1e-12):
    raise ValueError("\\x1b[31m not finished")
"""


def model_of(words=TEXTS) -> BertForMaskedLM:
    """A model whose attention is far from uniform. It is made inside `swapped`, because it keeps its activation function."""
    model = random_network(BertForMaskedLM, BertConfig(**SIZES, num_hidden_layers=2), tokenizer_of(words))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 10
    return model.set_attention("explicit")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("swap")
    (path / "my.py").write_text(CODE)
    (path / "one.py").write_text("def any_name(scores):\n    return scores.exp()\n")
    model_of([TEXT]).save_pretrained(path / "model")
    save_tokenizer(tokenizer_of([TEXT]), path / "model")
    return path


def stages(model) -> dict[str, torch.Tensor]:
    return minibert_stages(model, {"input_ids": torch.tensor([[2, 5, 6, 7, 3]])})


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("softmax", 2),
        ("scaled_dot_product_attention", 2),
        ("layer_norm", 6),
        ("gelu", 3),
        ("encoder_layer", 2),
        ("bert_embeddings", 1),
    ],
)
def test_the_reference_in_its_own_place_changes_nothing(name: str, calls: int) -> None:
    """It is called once at each place, with arguments that can be sent, and every stage stays the same."""
    expected = stages(model_of())
    reference = EXERCISES[name].reference

    def called(given: Arguments) -> torch.Tensor:
        with without_hooks(given):
            pickle.dumps(given)
        return reference(**given)

    with swapped(EXERCISES[name], called) as swap:
        found = stages(model_of())
    assert swap.calls == calls
    assert all(torch.equal(expected[path], found[path]) for path in found)
    assert found["layers.0.attention.context"].shape == expected["layers.0.attention.context"].shape


def test_a_mistake_shows_from_its_stage_on_and_is_gone_after_the_block() -> None:
    expected = stages(model_of())
    with swapped(EXERCISES["softmax"], lambda given: softmax(2 * given["scores"])):
        found = stages(model_of())
    different = [path for path in found if not torch.equal(expected[path], found[path])]
    assert different[0] == "layers.0.attention.weights"
    assert all(torch.equal(expected[path], value) for path, value in stages(model_of()).items())


def test_one_layer_only() -> None:
    expected = stages(model_of())
    with swapped(EXERCISES["softmax"], lambda given: softmax(2 * given["scores"])) as swap:
        model = model_of()
        swap.only_inside = layers_of(model, 1)
        found = stages(model)
    assert swap.calls == 1
    assert next(path for path in found if not torch.equal(expected[path], found[path])) == "layers.1.attention.weights"
    with pytest.raises(ValueError, match="layers 0 to 1"):
        layers_of(model, 2)


def test_an_argument_that_the_exercise_lacks_is_an_error() -> None:
    with swapped(EXERCISES["layer_norm"], lambda given: given["hidden"]) as swap:
        replacement = swap.replacement_of(EXERCISES["scaled_dot_product_attention"].reference)
    ones = torch.ones(1, 1)
    with pytest.raises(UserCodeError, match="argument query"):
        replacement(ones, ones, ones)


def test_cases_have_one_mask_each() -> None:
    tokenizer = tokenizer_of(TEXTS)
    cases = make_cases(model_of(), tokenizer, TEXTS[1:2])
    scores = case_scores(model_of(), cases.inputs, cases.positions)
    mask = tokenizer.token_to_id("[MASK]")
    assert cases.inputs["input_ids"].eq(mask).sum(dim=1).tolist() == [1] * len(cases.labels)
    assert scores.shape == (len(cases.labels), tokenizer.get_vocab_size())
    assert cases.labels[1] == "[CLS] the [MASK] sat on the mat"


def test_the_masks_of_a_text_are_its_cases() -> None:
    cases = make_cases(model_of([TEXT]), tokenizer_of([TEXT]), [TEXT])
    assert cases.labels == ["cat sat on the [MASK] . [SEP]"]


def test_steps_inside_the_replaced_function_are_not_those_of_minibert() -> None:
    """A learner's function has no such steps, and minibert's own would agree with themselves."""

    def attention(given: Arguments) -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(given["query"], given["key"], given["value"])

    with swapped(EXERCISES["scaled_dot_product_attention"], attention) as swap:
        found = stages(model_of())
    assert swap.calls == 2
    assert "layers.0.attention.context" in found
    inside = [path for path in found if path.endswith((".weights", ".scores", ".dot_products"))]
    assert inside == []


def test_scores_that_are_not_finite_have_no_predictions() -> None:
    assert top_predictions(torch.tensor([0.0, torch.nan]), ["a", "b"]) == []
    assert top_predictions(torch.tensor([0.0, 1.0]), ["a", "b"])[0][0] == "b"


def test_the_command_compares_stages_and_predictions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["swap", folder / "my.py", "--exercise", "attention", "--checkpoint", folder / "model", "--text", TEXT]
    assert main([*map(str, words)]) == 1
    printed = capsys.readouterr().out
    assert "differs from transformers is layers.0.attention.context" in printed
    assert "Mistake: no scale." in printed
    assert "With this mistake the top prediction changes in" in printed
    assert main([*map(str, words[:3]), "softmax", *map(str, words[4:]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["agrees"], found["changed"], found["cases"]) == (True, 0, 1)


def test_errors_of_the_command_say_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--checkpoint", str(folder / "model"), "--text", TEXT]
    for words, message in (
        (["my.py", "--exercise", "layer_norm", *model], "line 14: ValueError: \\u001b[31m not finished"),
        (["my.py", "--exercise", "gelu", *model], "has no function gelu"),
        (["my.py", "--exercise", "softmaxx", *model], "similar names: softmax"),
        (["none.py", "--exercise", "softmax", *model], "cannot be read"),
        (["one.py", "--exercise", "softmax"], "give a model"),
        (["one.py", "--exercise", "softmax", *model, "--figure", "a.svg"], "add --train"),
        (["one.py", "--exercise", "softmax", "--train", "--layer", "1"], "add --checkpoint"),
    ):
        assert main(["swap", str(folder / words[0]), *words[1:]]) == 2
        assert message in capsys.readouterr().err


def test_the_effect_on_training_is_a_sentence() -> None:
    right = Curve([25, 50], [6.0, 5.0])
    for loss, is_correct, words in (
        (5.31, False, "0.31 nats higher after 50 steps. This bug costs 0.31 nats."),
        (5.001, False, "This bug does not show in the loss, which is why it survives."),
        (5.0, True, "Your function is correct."),
        (4.5, False, "0.50 nats lower after 50 steps."),
        (float("nan"), False, "not finite"),
    ):
        assert words in TrainingEffect(right, Curve([25, 50], [6.0, loss]), is_correct).sentence


@pytest.mark.slow
def test_training_with_and_without_a_mistake(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = folder / "curves.svg"
    words = ["--exercise", "softmax", "--train", "--seconds", "4", "--figure", str(figure), "--json"]
    assert main(["swap", str(folder / "one.py"), *words]) == 0
    training = json.loads(capsys.readouterr().out)["training"]
    assert training["mine"]["steps"] == training["right"]["steps"]
    assert training["cost"] != 0
    assert figure.is_file()


@pytest.mark.slow
def test_the_code_sees_no_secrets_of_the_environment(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the sandbox of a check nor in the subprocess that trains."""
    monkeypatch.setenv("API_TOKEN", "secret")
    (folder / "spy.py").write_text("import os\ndef softmax(scores):\n    raise ValueError(sorted(os.environ))\n")
    for words in (["--checkpoint", str(folder / "model"), "--text", TEXT], ["--train", "--seconds", "1"]):
        assert main(["swap", str(folder / "spy.py"), "--exercise", "softmax", *words]) == 2
        error = capsys.readouterr().err
        assert "PATH" in error
        assert "API_TOKEN" not in error
