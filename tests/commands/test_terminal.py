"""Output of the commands: unsafe characters, markup, encodings, closed and full streams."""

import ast
import errno
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

import minibert
from minibert.commands.terminal import console, open_streams, report, say, say_json, say_table, shell_command, styled

PACKAGE = Path(minibert.__file__).parent
PRINTERS = {"commands/terminal.py", "text/builtin.py", "classroom/lesson.py"}
"""The module that prints, one whose subprocess sends JSON to its parent, and the parts of a lesson, which is a script."""
HOSTILE = "a\x1b]0;title\x07\x9b31m\x7f\r\u202e[red]b[/red] :dog:"
SHOWN = "a\\u001b]0;title\\u0007\\u009b31m\\u007f\\u000d\\u202e[red]b[/red] :dog:"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_one_module_prints(path: Path) -> None:
    """No other module calls `print`, writes to a standard stream, or makes a console or a text of rich."""
    if path.relative_to(PACKAGE).as_posix() in PRINTERS:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "input", "sys.stdout.write", "sys.stderr.write"}, f"{path}:{node.lineno}"
        if isinstance(node, ast.ImportFrom):
            assert node.module not in {"rich", "rich.console", "rich.text", "rich.markup"}, f"{path}:{node.lineno}"


def test_a_line_shows_unsafe_characters_and_markup(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE, "second")
    say(styled(HOSTILE, "bold"))
    assert capsys.readouterr().out == f"{SHOWN}\nsecond\n{SHOWN}\n"


def test_a_table_shows_unsafe_characters_and_markup(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    say_table(table, whole=True)
    assert capsys.readouterr().out.count(SHOWN) == 3


def test_a_progress_note_has_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    with console.capture() as captured:
        console.print(HOSTILE, markup=True, emoji=True, soft_wrap=True)
    assert captured.get() == f"{SHOWN}\n"


def test_json_has_no_unsafe_character_and_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"text": HOSTILE + "\udcffé", "numbers": [math.inf, (math.nan, 1.5)]}
    say_json(value)
    shown = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert "é" in shown
    assert json.loads(shown, parse_constant=pytest.fail) == {"text": value["text"], "numbers": ["inf", ["nan", 1.5]]}


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    report("a\nminibert: b")
    assert capsys.readouterr().err == "minibert: a\\u000aminibert: b\n"
    report("two errors:\n  one\n  two\x1b")
    assert capsys.readouterr().err == "minibert: two errors:\n  one\n  two\\u001b\n"


def test_a_command_can_be_copied_into_a_shell() -> None:
    """Also with words that are not UTF-8 or have control characters."""
    words = ["a b", "it's", "é", HOSTILE, "\udcff\\n'"]
    command = shell_command("printf", "%s\\0", *words)
    assert command.isprintable()
    printed = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout
    assert printed == b"".join(os.fsencode(word) + b"\0" for word in words)


def run(command: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command of a shell, with `minibert` as the command line of this Python."""
    start = f'minibert() {{ "{sys.executable}" -m minibert "$@"; }}; '
    variables = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PACKAGE.parent), **environment}
    return subprocess.run(["bash", "-c", start + command], capture_output=True, env=variables, check=False)


@pytest.mark.parametrize("environment", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}])
def test_other_encodings(environment: dict[str, str]) -> None:
    """Characters that the encoding does not have are escaped, in text and in JSON."""
    code = "from minibert.commands import main; print(main(['equations', 'softmax']), main(['equations', '--json']))"
    done = run(f'"{sys.executable}" -c "{code}"', PYTHONCOERCECLOCALE="0", **environment)
    assert done.stdout.endswith(b"0 0\n"), done.stderr
    assert done.stdout.isascii()
    text, _, entries = done.stdout.decode().removesuffix("0 0\n").partition("\n[\n")
    assert "\\u2211" in text
    assert "Tokenizer" not in text
    assert len(json.loads("[" + entries)) > 20


@pytest.mark.parametrize("stream", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams(stream: str) -> None:
    done = run(f"{{ minibert --help && minibert tokenize ./nowhere a; }} {stream}; echo code $? >&2")
    assert b"Traceback" not in done.stdout + done.stderr
    assert b"code 2" in done.stderr


def test_a_full_output_is_named() -> None:
    done = run("minibert --help > /dev/full")
    assert (done.returncode, done.stderr) == (
        1,
        b"minibert: standard output: no space left on this disk: delete files, or choose another path\n",
    )


def test_a_closed_pipe_has_the_number_of_its_error() -> None:
    """Else the error that names the standard output would not be that of a closed pipe."""
    with pytest.raises(BrokenPipeError) as caught:
        console.on_broken_pipe()
    assert caught.value.errno == errno.EPIPE


@pytest.mark.parametrize("command", ["equations softmax", "--help", "--version"])
def test_a_closed_pipe_is_silent(command: str) -> None:
    done = run(f"minibert {command} | true; echo ${{PIPESTATUS[0]}}")
    assert (done.stderr, done.stdout) == (b"", b"0\n")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "+ x o ...\\u5929\\xe9"), ("latin-1", "+ x o ...\\u5929é"), ("utf-8", "✓ ✗ ○ …天é")]
)
def test_signs_have_replacements_in_other_encodings(monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str) -> None:
    """One character stands for one sign of a table."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    open_streams()
    print("✓ ✗ ○ …天é", end="", flush=True)
    assert stream.buffer.getvalue().decode(encoding) == shown
