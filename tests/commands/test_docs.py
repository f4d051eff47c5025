"""`minibert docs build` and `minibert docs open`."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from minibert.commands import main


def test_the_site_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    opened: list[str] = []
    monkeypatch.setattr("minibert.commands.docs.webbrowser.open", opened.append)
    assert main(["docs", "open", str(tmp_path)]) == 2
    assert f"{tmp_path}/index.html: there is no such file; `minibert docs build` builds" in capsys.readouterr().err
    (tmp_path / "index.html").touch()
    assert main(["docs", "open", str(tmp_path)]) == 0
    assert opened == [(tmp_path / "index.html").as_uri()]


def test_the_default_site_is_that_of_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("minibert.commands.docs.webbrowser.open", opened.append)
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "docs" / "_build" / "site" / "index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    assert main(["docs", "open"]) == 0
    assert opened == [page.as_uri()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: there is no such page"),
        (["--out", "."], "has other files than a site: give a new folder with --out"),
    ],
)
def test_an_impossible_build_says_what_to_do(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sphinx", reason="Sphinx is not installed (pip install minibert[docs])")
    (tmp_path / "thesis.md").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["docs", "build", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.md"]


@pytest.mark.slow
def test_a_fault_of_a_page_fails_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sphinx runs, on one page with a link to nothing. The older site stays."""
    pytest.importorskip("furo", reason="furo is not installed (pip install minibert[docs])")
    site = import_module("minibert.docs.site")
    monkeypatch.setattr(site, "copied", lambda: iter([("index.md", lambda: b"# A\n\n[b](nowhere.md)\n")]))
    monkeypatch.setattr(site, "generated", lambda: iter([]))
    monkeypatch.setattr(site, "LISTS", ("index",))
    out = tmp_path / "site"
    out.mkdir()
    (out / "searchindex.js").write_text("old")
    assert main(["docs", "build", "index", "--out", str(out)]) == 1
    shown = capsys.readouterr()
    assert "docs/index.md:3: WARNING: 'myst' cross-reference target not found: 'nowhere.md'" in shown.out
    assert "the site was not built" in shown.err
    assert (out / "searchindex.js").read_text() == "old"


def test_without_sphinx_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("minibert.docs")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sphinx.pycode", None)
    assert main(["docs", "build"]) == 2
    assert "pip install 'minibert[docs]'" in capsys.readouterr().err
