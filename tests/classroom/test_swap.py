"""A learner's function inside a real model."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from minibert import BertConfig, BertForMaskedLM
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Verdict
from minibert.classroom.running import Arguments
from minibert.classroom.small_pretraining import Curve
from minibert.classroom.solution import solution
from minibert.classroom.swap import TEXTS, case_scores, layers_of, make_cases, swap, top_predictions
from minibert.classroom.swapping import swapped, without_hooks
from minibert.classroom.training_effect import TrainingEffect, effect_figure
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

    with swapped(EXERCISES[name], called) as replaced:
        found = stages(model_of())
    assert replaced.calls == calls
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
    with swapped(EXERCISES["softmax"], lambda given: softmax(2 * given["scores"])) as replaced:
        model = model_of()
        replaced.only_inside = layers_of(model, 1)
        found = stages(model)
    assert replaced.calls == 1
    assert next(path for path in found if not torch.equal(expected[path], found[path])) == "layers.1.attention.weights"
    with pytest.raises(ValueError, match="layers 0 to 1"):
        layers_of(model, 2)


def test_an_argument_that_the_exercise_lacks_is_an_error() -> None:
    with swapped(EXERCISES["layer_norm"], lambda given: given["hidden"]) as replaced:
        replacement = replaced.replacement_of(EXERCISES["scaled_dot_product_attention"].reference)
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

    with swapped(EXERCISES["scaled_dot_product_attention"], attention) as replaced:
        found = stages(model_of())
    assert replaced.calls == 2
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


@pytest.mark.parametrize("name", ["multi_head_attention_layer", "encoder_layer", "bert_embeddings", "masked_lm_head"])
def test_right_layers_agree_with_transformers(tmp_path: Path, folder: Path, name: str) -> None:
    """Steps inside the replaced function are no stages that are missing."""
    result = swap(EXERCISES[name], f"{layer_file(tmp_path, name)}:{name}", folder / "model", print, TEXT)
    assert result.comparison.agrees
    assert (result.comparison.not_compared, result.changed, result.report.passed) == ([], 0, True)


def layer_file(folder: Path, name: str) -> Path:
    (folder / "layer.py").write_text(solution(EXERCISES[name]))
    return folder / "layer.py"


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


@pytest.mark.parametrize(
    ("loss", "verdict", "words"),
    [
        (5.31, Verdict.WRONG, "This bug costs 0.31 nats: the losses differ by 0.310 nats after 50 steps"),
        (5.05, Verdict.WRONG, "This bug does not show in the loss, which is why it survives: the losses differ by 0.050 nats"),
        (5.0, Verdict.PASSED, "This function does not change the loss: the losses differ by 0.000 nats"),
        (5.2, Verdict.CONVENTION, "This convention costs 0.2 nats"),
        (4.5, Verdict.WRONG, "This bug saves 0.5 nats"),
        (float("nan"), Verdict.WRONG, "With this bug the loss is not finite after 50 steps."),
    ],
)
def test_the_effect_on_training_is_a_sentence(loss: float, verdict: Verdict, words: str) -> None:
    """A difference that is less than twice that of two seeds is no difference."""
    right, other = Curve([25, 50], [6.0, 5.0]), Curve([25, 50], [6.3, 5.03])
    effect = TrainingEffect(right, Curve([25, 50], [6.0, loss]), other, verdict)
    assert effect.sentence.startswith(words)
    axes = effect_figure(effect, EXERCISES["softmax"]).axes[0]
    assert axes.get_title("left").startswith(words.partition(":")[0].partition(" after")[0])
    assert [text.get_text() for text in axes.texts if "seed" in text.get_text()] == ["minibert, other seed"]
    assert "nats" in axes.get_ylabel()


HOSTILE = {
    "an endless loop": ("while True: pass", "did not finish in"),
    "os._exit": ("os._exit(0)", "ends its process, with exit code 0"),
    "a fork bomb": ("[os.fork() for _ in range(64)]", "starts a process"),
    "10 GB": ("torch.ones(10 * 2**30, dtype=torch.uint8)", "of memory"),
    "a flood": ("while True: os.write(1, b'x' * 1000)", "printed more than 8 MB"),
    "its own folder": ("shutil.rmtree(pathlib.Path(__file__).parent); raise ValueError('deleted')", "ValueError: deleted"),
}


def hostile_file(folder: Path, body: str) -> Path:
    file = folder / "hostile.py"
    file.write_text(
        f"import os, pathlib, shutil, torch\ndef softmax(scores):\n    {body}\n    return torch.softmax(scores, -1)\n"
    )
    return file


@pytest.mark.parametrize(("body", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_code_ends_with_a_sentence(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], body: str, message: str
) -> None:
    """In a model, in the check before the training, and next to the steps of a model."""
    file = hostile_file(tmp_path, body)
    model, own = ["--checkpoint", str(folder / "model"), "--text", TEXT], ["swap", str(file), "--exercise", "softmax"]
    study = ["study", TEXT, *model[:2], "--against", str(file)]
    for words in ([*own, *model], [*own, "--train"], study):
        expected = 1 if words is study and "ValueError" in message else 2  # an exception is the first difference
        assert main([*words, "--time-limit", "2"]) == expected
        printed = capsys.readouterr()
        assert message in printed.err + printed.out
        assert "Traceback" not in printed.err + printed.out
        assert file.is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("body", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_code_that_passes_the_check_ends_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    monkeypatch.setattr("minibert.classroom.training_effect.SOME_SECONDS", 5)
    file = hostile_file(tmp_path, f"if scores.numel() > 20000:\n        {body}")
    assert main(["swap", str(file), "--exercise", "softmax", "--train", "--seconds", "1"]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert file.is_file()


def test_exercises_that_are_no_stage_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any training."""
    for name, message in (
        ("greedy_decoding", "pretraining does not compute greedy_decoding"),
        ("mask_tokens", "mask_tokens is no stage of a model"),
    ):
        (tmp_path / "my.py").write_text(solution(EXERCISES[name]))
        assert main(["swap", str(tmp_path / "my.py"), "--exercise", name, "--train", "--seconds", "1"]) == 2
        assert message in capsys.readouterr().err


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
