"""`minibert study --against`, `--diff` and `--predict`."""

import io
import json
import re
from pathlib import Path

import pytest
import torch

from minibert import BertConfig, BertForMaskedLM
from minibert.commands import main
from minibert.study.subject import random_network, tokenizer_of
from minibert.text.tokenizer import save_tokenizer

TEXT = "the cat sat on the [MASK] ."
CODE = """
import torch

def attention(query, key, value, keep=None, dropout=0.0):
    print("called \\x1b[31m")
    return torch.softmax(query @ key.mT, -1) @ value

def right(query, key, value, keep=None, dropout=0.0):
    return torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, -1) @ value

def broken(query, key, value, keep=None, dropout=0.0):
    scores = query @ key
    return scores @ value

def endless(query, key, value, keep=None, dropout=0.0):
    while True:
        pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints that differ from the key of layer 1 on, a deeper one, one with other tokens, and a learner's file."""
    path = tmp_path_factory.mktemp("study")
    (path / "my.py").write_text(CODE)
    words = tokenizer_of([TEXT])
    sizes = {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 16, "max_position_embeddings": 16}
    for name, layers, tokenizer in (("a", 2, words), ("b", 2, words), ("deep", 3, words), ("other", 2, tokenizer_of(["the"]))):
        model = random_network(BertForMaskedLM, BertConfig(**sizes, num_hidden_layers=layers), tokenizer)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter *= 10
            if name == "b":
                model.bert.layers[1].attention.key.weight *= 2
        model.save_pretrained(path / name)
        save_tokenizer(tokenizer, path / name)
    return path


def study(*words: object) -> int:
    return main(["study", TEXT, *map(str, words)])


class TestAgainst:
    """`--against`."""

    def test_first_step_that_differs(self, folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Both expressions, the largest difference, and the mistake. Printed text is escaped. The page has both tensors."""
        page = tmp_path / "page.html"
        assert study("--checkpoint", folder / "a", "--against", f"{folder}/my.py:attention", "--out", page) == 1
        shown = capsys.readouterr()
        assert "called \\u001b[31m" in shown.err
        lines = shown.out.splitlines()
        assert "first step that differs: layers.0.attention.scores" in lines
        assert "formula: S = P/√d_k" in lines
        assert any(re.fullmatch(r"reference: dot_products / 2\.8\d+", line) for line in lines)
        assert "yours: query @ transpose(key, -2, -1)" in lines
        assert any(
            re.match(r"largest difference: S\[\d,\d,\d\] \(heads \d, queries \S+, keys \S+\) is \S+, and \S+ in yours", line)
            for line in lines
        )
        assert "likely mistake: You left out √d_k." in lines
        assert "yours: query @ transpose(key, -2, -1)" in page.read_text(encoding="utf-8")
        assert '"start":"#step=layers.0.attention.scores' in page.read_text(encoding="utf-8")

    def test_function_that_agrees(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert study("--checkpoint", folder / "a", "--against", f"{folder}/my.py:right") == 0
        assert "agrees: in all 2 calls of this forward pass" in capsys.readouterr().out

    def test_function_that_fails(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert study("--checkpoint", folder / "a", "--against", f"{folder}/my.py:broken") == 1
        shown = capsys.readouterr().out
        assert "scores = query @ key" in shown
        assert "matmul: query (1, 3, 9, 8), key (1, 3, 9, 8)" in shown
        assert "RuntimeError" in shown

    @pytest.mark.parametrize(
        ("location", "message"),
        [
            ("none.py", "not found: give FILE.py or FILE.py:FUNCTION"),
            ("my.py:absent", "my.py has no function named absent; it has attention, right"),
            ("my.py", "has attention, right, broken, endless"),
        ],
    )
    def test_wrong_location(self, folder: Path, capsys: pytest.CaptureFixture[str], location: str, message: str) -> None:
        arguments = ("--checkpoint", folder / "a", "--against", folder / location)
        if location == "my.py":  # one function has the word attention in its name
            assert study(*arguments) == 1
            return
        assert study(*arguments) == 2
        assert message in capsys.readouterr().err

    def test_endless_function_is_stopped(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert study("--checkpoint", folder / "a", "--against", f"{folder}/my.py:endless", "--time-limit", "0.5") == 2
        assert "--time-limit SECONDS changes this limit" in capsys.readouterr().err


class TestDiff:
    """`--diff`."""

    def test_steps_of_two_checkpoints(self, folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """One line for each step, the first one that differs, and a page with both tensors."""
        page = tmp_path / "page.html"
        assert study("--diff", folder / "a", folder / "b", "--out", page) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "layers.1.attention.query: relative difference 0, cosine similarity 1" in lines
        assert "first step that differs: layers.1.attention.key" in lines
        assert '"start":"#step=layers.1.attention.key' in page.read_text(encoding="utf-8")
        assert any(line.startswith("mlm.probabilities: relative difference 0.") for line in lines)
        text = page.read_text(encoding="utf-8")
        assert json.dumps(str(folder / "b"))[1:-1] in text

    def test_bars_on_a_terminal(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        assert study("--diff", folder / "a", folder / "b") == 0
        bars = {
            line.split()[0]: line.count("█")
            for line in capsys.readouterr().out.splitlines()
            if "attention." in line and "first" not in line
        }
        assert bars["layers.1.attention.query"] == 0
        assert bars["layers.1.attention.key"] > 0

    def test_minibert_and_transformers(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip("transformers")
        assert study("--diff", folder / "a", "transformers") == 0
        shown = capsys.readouterr().out
        assert "layers.0.attention.masked_scores: relative difference" in shown
        assert "No step differs by more than rounding" in shown
        assert "not compared: text" not in shown

    def test_other_depth(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert study("--diff", folder / "a", folder / "deep") == 0
        shown = capsys.readouterr().out
        assert re.search(r"not compared: layers\.2\.attention\.query and \d+ more: only the second one", shown)

    def test_other_tokens(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert study("--diff", folder / "a", folder / "other") == 2
        assert "different tokens" in capsys.readouterr().err

    @pytest.mark.parametrize("option", [("--preset", "tiny"), ("--step", "scores"), ("--backward",)])
    def test_options_that_exclude_it(self, folder: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, ...]) -> None:
        assert study("--diff", folder / "a", folder / "b", *option) == 2
        assert f"leave out {option[0]}" in capsys.readouterr().err


class TestPredict:
    """`--predict`."""

    def ask(self, folder: Path, monkeypatch: pytest.MonkeyPatch, typed: str) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        chosen = ("--step", "scores", "--layer", "0", "--head", "1", "--cell", "2,5", "--plain", "--predict")
        return study("--checkpoint", folder / "a", *chosen)

    def test_known_mistake_is_named(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The number comes after the answer. A text that is no number is asked for again."""
        assert self.ask(folder, monkeypatch, "a lot\n12345\n") == 0
        first = capsys.readouterr().out
        assert first.count("Predict S[1,2,5], and type the number:") == 2
        assert "Not right, and not the number of a known mistake." in first
        found = re.search(r"result: S\[1,2,5\] = (\S+)", first)
        assert found is not None
        assert first.index("Not right") < found.start()
        value = float(found[1])
        assert self.ask(folder, monkeypatch, f"{value:.4f}\n") == 0
        assert "Right." in capsys.readouterr().out
        assert self.ask(folder, monkeypatch, f"{value * 8**0.5:.5g}\n") == 0
        assert "You left out √d_k." in capsys.readouterr().out

    def test_no_number(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.ask(folder, monkeypatch, "") == 2
        shown = capsys.readouterr()
        assert "result" not in shown.out
        assert "leave out --predict" in shown.err

    def test_step_is_needed(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert study("--checkpoint", folder / "a", "--predict") == 2
        assert "give --step" in capsys.readouterr().err
