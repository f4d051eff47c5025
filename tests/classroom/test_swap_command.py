"""The command that puts a learner's function inside a real model, with code that ends, and that does not."""

import json
from pathlib import Path

import pytest
import torch

from minibert import BertConfig, BertForMaskedLM
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.solution import solution
from minibert.classroom.swap import swap
from minibert.commands import main
from minibert.study.subject import random_network, tokenizer_of
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


def model_of(text: str) -> BertForMaskedLM:
    """Return a model whose attention is far from uniform."""
    model = random_network(BertForMaskedLM, BertConfig(**SIZES, num_hidden_layers=2), tokenizer_of([text]))
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
    model_of(TEXT).save_pretrained(path / "model")
    save_tokenizer(tokenizer_of([TEXT]), path / "model")
    return path


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


@pytest.mark.slow
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
        assert main([*words, "--time-limit", "0.5" if "did not finish" in message else "20"]) == expected
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
