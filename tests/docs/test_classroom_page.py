"""The session of docs/classroom.md, key by key, in a terminal."""

import re
from pathlib import Path

import pytest

from tests.commands.test_learn import Terminal, terminal  # noqa: F401 - a fixture
from tests.docs.guides import blocks


def plain(text: str) -> str:
    """Return a text without colors and without spaces at the ends of lines."""
    return re.sub(r"[ \r]*\n", "\n", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text))


@pytest.mark.slow
def test_the_session_of_the_page(terminal: Terminal, tmp_path: Path) -> None:  # noqa: F811
    """The file, the report of a mistake, and the solution are those that the page shows."""
    begin, report, passed, solution = blocks("classroom", "text", "The first exercise")
    stub, body = blocks("classroom", "python", "The first exercise")
    assert begin.removeprefix("$ minibert learn\n") in plain(terminal.shown.decode())
    file = tmp_path / "exercises" / "01_softmax.py"
    assert file.read_text(encoding="utf-8") == stub
    terminal.save(file, stub.replace("    raise NotImplementedError\n", body))
    assert report in plain(terminal.wait_for("q quit"))
    terminal.save(file, file.read_text(encoding="utf-8").replace(".sum()", ".sum(dim=-1, keepdim=True)"))
    assert passed in plain(terminal.wait_for("q quit"))
    terminal.press("s")
    assert solution in plain(terminal.wait_for("q quit"))
    terminal.press("q")
    assert terminal.exit_code() == 0
