"""The command line: fast start and readable errors."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from minibert import Bert, BertConfig, BertForPreTraining
from minibert.commands import COMMANDS, main
from minibert.commands.errors import UsageError, check_text
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer

CONFIG = BertConfig(
    vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=8
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, "a", "new", "shape"]), tmp_path)
    return tmp_path


def test_fill_mask_prints_a_table(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill-mask", str(checkpoint), "a [MASK] shape", "--top", "8"]) == 0
    shown = capsys.readouterr().out
    assert all(piece in shown for piece in [*SPECIAL_TOKENS, "a", "new", "shape"])
    assert shown.count("%") == 8


def test_fill_mask_prints_json(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill-mask", str(checkpoint), "a [MASK] [MASK]", "--json", "-k", "2"]) == 0
    places = json.loads(capsys.readouterr().out)
    assert [len(guesses) for guesses in places] == [2, 2]
    assert places[0][0]["probability"] >= places[0][1]["probability"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fill-mask", "CHECKPOINT", "no mask here"], "the text has no [MASK]"),
        (["fill-mask", "CHECKPOINT", "[MASK] " * 9], "max_position_embeddings is 8"),
        (["fill-mask", "CHECKPOINT", "[MASK]", "--top", "0"], "--top must be at least 1, not 0"),
        (["fill-mask", "nowhere", "[MASK]"], "nowhere: not a local folder"),
        (["quickstart", "--seconds", "0"], "--seconds 0: must be at least 45"),
        (["quickstart", "--seed", "-1"], "--seed -1: must be at least 0"),
        (["equations", "xyz"], "unknown equation 'xyz'; `minibert equations` lists all equations"),
        (["equations", "--json", "--markdown"], "--json and --markdown exclude each other: give only one"),
        (["quickstart", "--out", "CHECKPOINT/config.json"], "cannot create this folder"),
        (["fill-mask", "", "[MASK]"], "the name of a checkpoint is empty"),
        (["study", "--checkpoint", "CHECKPOINT", "--tokenizer", "", "a"], "the name of a checkpoint is empty"),
        (["plot", "positions", "--checkpoint", "", "--out", "a.svg"], "the name of a checkpoint is empty"),
        (["runs", ""], "has an empty name"),
        (["pretrain", "--text", "CHECKPOINT", ""], "has an empty name"),
        (["embed", "CHECKPOINT", "--out="], "has an empty name"),
        (["runs", "x" * 300], "x…: this name is too long; names of files have at most 255 bytes"),
        (["predict", "x" * 300], "no such folder or file"),
        (["study", "--checkpoint", "CHECKPOINT", "[MASK]", "--out", "CHECKPOINT"], "is a folder, where a file is needed"),
        (
            ["finetune", "classify", "--train", "a", "--validation", "b", "--validation-fraction", "0"],
            "--validation-fraction: there are validation data",
        ),
        (["finetune", "classify", "--seeds", "9" * 30], "must be at least 1 and at most 1,000"),
        (["equations", "sofmax"], "unknown equation 'sofmax'; did you mean softmax"),
    ],
)
def test_invalid_usage_is_one_line_and_exit_code_2(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([word.replace("CHECKPOINT", str(checkpoint)) for word in arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.startswith("minibert: ")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("missing", ["head", "tokenizer"])
def test_missing_parts_of_a_checkpoint_are_named(checkpoint: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    if missing == "head":
        Bert(CONFIG).save_pretrained(checkpoint)
    else:
        for name in ("tokenizer.json", "vocab.txt"):
            (checkpoint / name).unlink()
    assert main(["fill-mask", str(checkpoint), "[MASK]"]) == 2
    assert ("head; heads found: encoder" if missing == "head" else "has no tokenizer") in capsys.readouterr().err


def test_an_unknown_command_is_exit_code_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fill-task"])
    assert caught.value.code == 2


def imported_by(*arguments: str) -> tuple[str, set[str]]:
    """Run the command in a new process, and return its output and the modules it has loaded."""
    code = f"import sys, atexit; sys.argv = ['minibert', *{list(arguments)}]\n"
    code += (
        "atexit.register(lambda: print('MODULES', *sys.modules))\nimport minibert.commands; sys.exit(minibert.commands.main())"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    text, _, modules = shown.partition("MODULES")
    return text, set(modules.split())


def test_help_is_fast() -> None:
    """The help lists the commands and loads neither torch nor other large libraries."""
    text, modules = imported_by("--help")
    assert "quickstart" in text
    assert "fill-mask" in text
    assert modules.isdisjoint({"torch", "numpy", "matplotlib", "tokenizers", "transformers", "datasets"})


def test_python_m_minibert() -> None:
    shown = subprocess.run([sys.executable, "-m", "minibert", "--help"], capture_output=True, text=True, check=True).stdout
    assert "quickstart" in shown


def test_closed_pipe_is_no_error() -> None:
    """`minibert equations | head` ends without an error."""
    command = f"{sys.executable} -m minibert equations --json | head -c 100"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
    assert len(done.stdout) == 100


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_value(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Positional arguments and options show what to give, not types of Python."""
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    shown = capsys.readouterr().out
    assert not re.search(r"\b(STR|INT|FLOAT|PATH)\b|\{None\}", shown)
    positionals = {
        "tokenize": "TOKENIZER TEXT",
        "embed": "CHECKPOINT FILE|-",
        "fill-mask": "CHECKPOINT TEXT",
        "generate": "CHECKPOINT [TEXT]",
        "translate": "CHECKPOINT",
        "equations": "[NAME]",
        "verify": "CHECKPOINT",
        "runs": "FOLDER [FOLDER ...]",
    }
    assert positionals.get(command, "") in shown.splitlines()[0]


def test_help_has_descriptions_without_line_breaks_and_without_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is described as the default of the options whose default it is."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = {}
    for command in ("finetune classify", "pretrain"):
        with pytest.raises(SystemExit):
            main([*command.split(), "--help"])
        text = capsys.readouterr().out
        assert not re.search(r"│ {24}\w+ +│\n│ {24}\w", text)  # a line of one word, and text after it
        shown[command] = " ".join(text.replace("│", " ").split())
    assert not re.search(r"\bNone\b|default: \)", shown["finetune classify"])
    assert "Default: at the end of every epoch. --patience" in shown["finetune classify"]
    assert "None: at the end of every epoch. (default: 100)" in shown["pretrain"]


def test_a_mistyped_option_is_compared_with_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pretrain", "--stepz", "3"])
    shown = capsys.readouterr().err
    assert "--steps N" in shown
    assert "train-letters" not in shown
    with pytest.raises(SystemExit):
        main(["tokenize", "a", "b", "--stepz", "3"])
    assert "--steps" not in capsys.readouterr().err.replace("--stepz", "")


def test_no_documented_installation_replaces_an_editable_one() -> None:
    """`pip install '.[verify]'` after `pip install -e .` would replace it by a copy, in which edits have no effect."""
    root = Path(__file__).parents[2]
    for page in (root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").glob("*.md")):
        for line in page.read_text(encoding="utf-8").splitlines():
            for words in re.findall(r"pip install ([^&`#]*)", line):
                assert "-e" in words.split() or not re.search(r"(^|\s)['\"]?\.(\[|\s|['\"]|$)", words), f"{page}: {line}"


UNDECODABLE = "caf\udce9 [MASK]"
"""An argument of bytes that are not UTF-8, as Python presents it."""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fill-mask", "CHECKPOINT", UNDECODABLE], "the text is not UTF-8 (at character 4: 'caf\\udce9 [MASK]')"),
        (["tokenize", "CHECKPOINT", UNDECODABLE], "the text is not UTF-8"),
        (["verify", "CHECKPOINT", "--text", UNDECODABLE], "the text is not UTF-8"),
        (["fill-mask", UNDECODABLE, "[MASK]"], "caf\\udce9 [MASK]: no such folder or file"),
        (["equations", UNDECODABLE], "unknown equation 'caf\\udce9 [MASK]'"),
        (["tokenize", "a\0b", "a"], "a\\u0000b: has a null character"),
        (["runs", "CHECKPOINT/config.json"], "CHECKPOINT/config.json/run.json: a part of this path is a file"),
        (["pretrain", "--out", "CHECKPOINT/config.json/x"], "cannot create this folder (a part of this path is a file"),
        (["train-letters", "--out", "CHECKPOINT/config.json"], "(there is a file with this name, where a folder is needed)"),
        (["train-letters", "--seed", "99999999999999999999"], "seed 99999999999999999999: must be at least 0 and below 2^63"),
        (["quickstart", "--seed", "99999999999999999999"], "must be at least 0 and below 2^63"),
        (["quickstart", "--seconds", "1e30"], "--seconds 1e+30: must be at least 45 and at most 604,800"),
        (["train-letters", "--seed", "9" * 400], "9: must be at least 0 and below 2^63"),
        (["train-letters", "--steps", "9" * 400], "9: must be at least 1 and below 2^63"),
        (["pretrain", "--max-length", "99999999999999999999"], "must be at most 65536"),
        (["pretrain", "--weight-decay", "nan"], "weight_decay nan: must be at least 0"),
        (["pretrain", "--learning-rate", "inf"], "learning_rate inf: must be a number above 0"),
    ],
)
def test_odd_arguments_are_one_line_and_exit_code_2(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([word.replace("CHECKPOINT", str(checkpoint)) for word in arguments]) == 2
    shown = capsys.readouterr().err
    assert message.replace("CHECKPOINT", str(checkpoint)) in shown
    assert shown.count("\n") == 1


def test_a_text_in_utf8_that_python_reads_as_ascii_is_no_other_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with LC_ALL=C and PYTHONUTF8=0."""
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("ascii", "surrogateescape"))
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    with pytest.raises(UsageError, match=r"the text is UTF-8, but Python reads it as ascii: set LC_ALL=C\.UTF-8"):
        check_text("café".encode().decode("ascii", "surrogateescape"))
    with pytest.raises(UsageError, match="the text is not UTF-8"):
        check_text(UNDECODABLE)


def test_a_folder_whose_name_is_not_utf8(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint in it can be used, and its name is printed escaped."""
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    for file in [file for file in checkpoint.iterdir() if file.is_file()]:
        file.rename(folder / file.name)
    assert main(["fill-mask", str(folder), "a [MASK]", "--json"]) == 0
    pytest.importorskip("transformers")
    assert main(["verify", str(folder), "--ids", "1"]) == 0
    reference = str(tmp_path / "reference.safetensors")
    assert main(["verify", str(folder), "--ids", "1", "--save-reference", reference]) == 0
    assert main(["verify", str(folder), "--reference", reference]) == 0
    (folder / "figure.svg").mkdir()
    assert main(["verify", str(folder), "--ids", "1", "--figure", str(folder / "figure.svg")]) == 1
    assert f"{tmp_path}/caf\\udce9/figure.svg: is a folder, where a file is needed" in capsys.readouterr().err
