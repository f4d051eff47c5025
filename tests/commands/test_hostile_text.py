"""Every command with hostile names and contents: nothing that it prints or writes for people has an unsafe character."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minibert import BertConfig, BertForPreTraining, BertForSequenceClassification, Transformer, TransformerConfig
from minibert.commands import COMMANDS, main
from minibert.printable import UNSAFE
from minibert.study.report import table, text_section
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.training.classification import Classification
from tests.trained_models import trained_model

HOSTILE = "[red]\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202e\u2028\nminibert: done[/red]"
"""Markup, a change of the window's title, a cleared screen, C1 and DEL, a direction override, and a line of its own."""
NAME = "[b]\x1b[2J\x9b31m\x7f\u202e\r\nminibert: done [$"
"""The same as a file name."""
PIECES = [*SPECIAL_TOKENS, HOSTILE, "[bold]", "##\x1b[31m", "a", "b", "\ue000\x85"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / NAME).mkdir()
    return tmp_path / NAME


@pytest.fixture
def bert(folder: Path) -> Path:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=32,
    )
    BertForPreTraining(config).save_pretrained(folder / "bert")
    return with_tokenizer(folder / "bert")


@pytest.fixture
def translator(folder: Path) -> Path:
    torch.manual_seed(0)
    config = TransformerConfig(
        vocab_size=len(PIECES),
        hidden_size=8,
        encoder_layers=1,
        decoder_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=32,
    )
    Transformer(config).save_pretrained(folder / "translator")
    return with_tokenizer(folder / "translator")


def with_tokenizer(folder: Path) -> Path:
    tokenizer = build_tokenizer(PIECES)
    tokenizer.add_special_tokens([HOSTILE])  # matched in the text as it is
    save_tokenizer(tokenizer, folder)
    return folder


def change_config(folder: Path, **fields: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | fields), encoding="utf-8")
    return folder


def with_tensors(folder: Path, change: Callable[[str], str | None]) -> Path:
    """Rename the tensors of a checkpoint. One of them is kept under its name, too."""
    file = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    safetensors.torch.save_file({change(name) or name: tensor.clone() for name, tensor in tensors.items()}, file)
    return folder


@pytest.fixture
def shown(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command and return what it prints. Nothing of it is unsafe, no line is forged, and no word is lost as markup."""

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a")))

    def run(*arguments: str | Path, code: int | None = 0) -> str:
        try:
            exit_code = main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            exit_code = int(str(stopped.code))
        out, err = capfd.readouterr()
        for text in (out, err):
            assert UNSAFE.search(text.replace("\n", "")) is None, text
            assert "\nminibert: done" not in text, text
            assert "Traceback" not in text, text
        assert code is None or exit_code == code, err
        return out + err

    return run


def test_tokens(bert: Path, translator: Path, shown: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    top = str(len(PIECES))
    assert "[red]\\u001b]0;owned" in shown("fill-mask", bert, "a [MASK]", "--top", top)
    assert [row["piece"] for row in json.loads(shown("fill-mask", bert, "[MASK]", "--top", top, "--json"))[0]]
    assert "[red]\\u001b]0;owned" in shown("tokenize", bert, f"a{HOSTILE}b")
    shown("tokenize", bert, HOSTILE, "--explain", code=None)
    shown("tokenize", bert, "a" + HOSTILE, "--explain", "--json", code=None)
    shown("tokenize", bert / "vocab.txt", "a" + HOSTILE, code=None)


def test_translations(translator: Path, shown: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(f"a\n{HOSTILE}\n[bold] c\n", encoding="utf-8")
    with (tmp_path / "lines").open(encoding="utf-8") as lines:
        monkeypatch.setattr("sys.stdin", lines)
        shown("translate", translator)


def test_evaluations_and_predictions(
    folder: Path, shown: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Texts, labels and the names of files and classes. JSON lines stay JSON."""
    model = trained_model(folder / "model", Classification((HOSTILE, "good"), max_length=64))
    rows = [
        {"text": HOSTILE, "label": "good"},
        {"text": "good", "label": HOSTILE},
        {"text": "[bold]", "label": f"{HOSTILE}new"},
    ]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    output = shown("evaluate", model, "--data", data, "--out", folder / "report")
    assert "[red]\\u001b]0;owned" in output
    shown("evaluate", model, "--data", data, "--positive-class", HOSTILE, code=None)
    shown("evaluate", model, "--data", data, "--label-names", f"good={HOSTILE}", code=None)
    lines = shown("predict", model, data).splitlines()
    assert [HOSTILE in json.loads(line)["scores"] for line in lines] == [True] * 3
    (tmp_path / "lines").write_bytes(HOSTILE.encode() + b"\n\xff\x1b[2J\n[red]\x00\t\t\t\n")
    with (tmp_path / "lines").open(encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        shown("predict", model, code=1)
    shown("predict", model, tmp_path / "lines", "--format", "jsonl", code=1)


@pytest.mark.slow
def test_names_of_files_and_options(folder: Path, shown: Callable[..., str]) -> None:
    """Files that are missing, damaged or of the wrong kind; words that are no option, command or equation."""
    file = folder / "file"
    file.write_text(HOSTILE, encoding="utf-8")
    (folder / "folder").mkdir()
    for name in COMMANDS:
        shown(name, f"--{HOSTILE}", code=2)
        shown(name, HOSTILE, HOSTILE, HOSTILE, "--seed", HOSTILE, code=2)
        shown(name, "--out", file, HOSTILE, code=2)
    shown(HOSTILE, code=2)
    shown("equations", HOSTILE, code=2)
    for path in (file, folder / "folder", folder / "missing"):
        for command in (
            ("fill-mask", path, "[MASK]"),
            ("tokenize", path, "a"),
            ("translate", path),
            ("runs", path),
            ("verify", path),
            ("verify", path, "--reference", path),
            ("verify", path, "--attention-from", f"{path}:{HOSTILE}"),
            ("pretrain", "--text", path, "--out", path, "--steps", "1"),
            ("pretrain", "--tokenizer", path, "--text", path, "--out", folder / "out"),
            ("train-translator", "--text", path, path, "--out", path, "--steps", "1"),
            ("train-letters", "--out", path, "--steps", "0"),
            ("quickstart", "--out", path, "--seconds", "0"),
            ("evaluate", path, "--data", path),
            ("predict", path, path),
        ):
            shown(*command, code=None)


@pytest.mark.parametrize("field", ["model_type", "hidden_act", "hidden_size", "position_embedding_type", "id2label"])
def test_values_of_a_config(bert: Path, shown: Callable[..., str], field: str) -> None:
    change_config(bert, **{field: HOSTILE})
    shown("fill-mask", bert, "[MASK]", code=2)
    shown("verify", bert, code=2)


def test_names_of_tensors(bert: Path, shown: Callable[..., str]) -> None:
    with_tensors(bert, lambda name: f"{name}.{HOSTILE}" if "pooler" in name else None)
    shown("fill-mask", bert, "[MASK]", code=None)
    shown("verify", bert, "--save-reference", bert / "reference", code=None)
    with_tensors(bert, lambda name: f"{name}.{HOSTILE}" if "query" in name else None)
    shown("fill-mask", bert, "[MASK]", code=2)
    shown("verify", bert, code=2)


def test_names_of_columns(folder: Path, shown: Callable[..., str]) -> None:
    (folder / "rows.csv").write_text(f'"{HOSTILE}",b\na,b\n', encoding="utf-8")
    (folder / "rows.tsv").write_text("[red]\x1b[2J\x9b31m\tb\na\tb\n", encoding="utf-8")
    (folder / "rows.jsonl").write_text(json.dumps({HOSTILE: "a"}) + "\n", encoding="utf-8")
    (folder / "text.txt").write_text("a\n", encoding="utf-8")
    out = ("--out", folder / "out", "--steps", "1")
    for name in ("rows.csv", "rows.tsv", "rows.jsonl"):
        shown("pretrain", "--text", folder / name, *out, code=2)
        shown("pretrain", "--text", folder / name, "--column", HOSTILE + "x", *out, code=2)
        shown(
            "train-translator", "--text", folder / name, folder / "text.txt", "--steps", "1", "--out", folder / "out", code=None
        )


def test_a_run_and_its_record(folder: Path, shown: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples, progress and the table of a run whose text, names and settings are hostile."""
    monkeypatch.setenv("COLUMNS", "20")
    text = "\n\n".join("\n".join(f"a b {word} {HOSTILE.replace(chr(10), ' ')}." for word in "cdef") for _ in range(30))
    (folder / "text.txt").write_text(text, encoding="utf-8")
    settings = "--steps 2 --batch-size 2 --max-length 16 --vocab-size 60 --pairs none --layout lines --device cpu --show 3"
    options = settings.split()
    run = folder / "run"
    shown("pretrain", "--text", folder / "text.txt", "--out", run, *options, code=None)
    shown("pretrain", "--text", folder / "text.txt", "--out", run, *options, "--seed", "1", "--resume", code=2)
    recorded = json.loads((run / "run.json").read_text(encoding="utf-8"))
    for name, value in (("first", HOSTILE), ("second [red]\x1b[2J", "[/red]")):
        other = folder / name
        other.mkdir()
        (other / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes())
        stored = recorded | {HOSTILE: value, "training": recorded["training"] | {"preset": value}}
        (other / "run.json").write_text(json.dumps(stored), encoding="utf-8")
    shown("runs", folder, "--figure", folder / "[$\x1b[2J.png")
    json.loads(shown("runs", folder, "--json"))


@pytest.mark.slow
def test_output_of_a_student(bert: Path, folder: Path, shown: Callable[..., str]) -> None:
    """What a student's file prints and raises."""
    pytest.importorskip("transformers")
    file = folder / "student.py"
    for line in (
        f"raise ValueError({HOSTILE!r})",
        f"print({HOSTILE.partition(chr(10))[0]!r})",
        f"import sys; sys.exit({HOSTILE!r})",
    ):
        file.write_text(
            f"import math\n\ndef attention(query, key, value, keep=None, dropout=0.0):\n    {line}\n    return query\n"
        )
        shown("verify", bert, "--attention-from", f"{file}:attention", code=None)
    shown("verify", bert, "--attention-from", f"{file}:{HOSTILE}", code=2)


def test_labels_of_a_classifier(bert: Path, shown: Callable[..., str]) -> None:
    config = BertConfig.load_json(bert / "config.json").with_labels([HOSTILE, "[b]"])
    BertForSequenceClassification(config).save_pretrained(bert)
    shown("fill-mask", bert, "[MASK]", code=2)
    shown("verify", bert, code=None)


def test_a_report() -> None:
    """HTML shows the characters escaped, and no tag of foreign text is one."""
    page = table([HOSTILE], [["<b>" + HOSTILE]]) + text_section(HOSTILE, HOSTILE)
    assert UNSAFE.search(page.replace("\n", "")) is None
    assert "<b>" not in page
