"""What docs/classroom.md and docs/teaching.md print is what a learner sees."""

import re
from pathlib import Path

import pytest

from minibert.commands import main
from tests.commands.test_learn import Terminal, terminal  # noqa: F401 - a fixture
from tests.docs.guides import blocks


def plain(text: str) -> str:
    """Return a text without colors and without spaces at the ends of lines."""
    return re.sub(r"[ \r]*\n", "\n", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text))


@pytest.mark.slow
def test_a_session_in_a_terminal(terminal: Terminal, tmp_path: Path) -> None:  # noqa: F811
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


@pytest.mark.slow
def test_the_feedback_of_a_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake is that of the session. Inputs and results are others in each course."""
    monkeypatch.chdir(tmp_path)
    _, body = blocks("classroom", "python", "The first exercise")
    file = tmp_path / "submissions" / "Ada" / "softmax.py"
    file.parent.mkdir(parents=True)
    file.write_text(f"import torch\n\ndef softmax(scores):\n{body}", encoding="utf-8")
    assert main(["class", "release", "course", "--exercises", "softmax"]) == 0
    assert main(["class", "grade", "submissions", "--course", "course/course.toml"]) == 0
    (section,) = blocks("teaching", "markdown", "Grade")
    numbers = r"```text\n[^\n]*(scores|mine).*?```"
    feedback = (tmp_path / "results" / "feedback" / "Ada.md").read_text(encoding="utf-8")
    assert re.sub(numbers, "", section, flags=re.DOTALL) in re.sub(numbers, "", feedback, flags=re.DOTALL)
