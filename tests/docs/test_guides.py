"""The code and the commands of the short guides run as they are printed, with a small model in place of the quickstart's."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from minibert.commands import main
from minibert.docs.layout import REPOSITORY
from tests.trained_models import write_checkpoint

WORDS = ("a", "new", "returns", "with", "the", "same", "shape", "tensor", "list", "of", "files", "name", "cat", "garden")
NEEDS_MORE = "google-bert/|--dtype float64"
"""Commands that need a network, or transformers, with which the tests of `minibert verify` compare."""


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a guide."""
    return re.findall(rf"```{language}\n(.*?)```", (REPOSITORY / "docs" / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a reader works."""
    monkeypatch.chdir(tmp_path)
    for name in ("quickstart", "other"):
        write_checkpoint(f"runs/{name}", WORDS)
    Path("texts.txt").write_text("a tensor\na list of files\nthe same cat\n", encoding="utf-8")
    Path("texts.tsv").write_text("text\nthe cat\na garden\n", encoding="utf-8")
    (stub,) = blocks("verify", "python")
    body = "    from minibert.equations import scaled_dot_product_attention\n\n"
    body += "    return scaled_dot_product_attention(query, key, value, keep, dropout)\n"
    Path("my.py").write_text(stub + body, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("pages", [("start", "recording"), ("embeddings",), ("testing",)], ids=" ".join)
def test_the_python_code_runs(folder: Path, pages: tuple[str, ...]) -> None:
    """The second page continues the code of the first one."""
    scope: dict[str, object] = {"torch": torch}
    for code in [code for page in pages for code in blocks(page, "python")]:
        exec(code, scope)


@pytest.mark.parametrize("page", ["start", "embeddings", "verify"])
def test_the_commands_run(folder: Path, page: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines() if line.startswith("minibert ")]
    lines = [line.replace("CHECKPOINT", "runs/quickstart") for line in lines if not re.search(NEEDS_MORE, line)]
    assert lines
    for words in (shlex.split(line, comments=True)[1:] for line in lines):
        assert main(words) == 0, capsys.readouterr().err
