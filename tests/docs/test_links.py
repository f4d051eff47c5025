"""Links to files of the repository: pages, source pages and copies."""

import pytest

pytest.importorskip("sphinx", reason="Sphinx is not installed (pip install minibert[docs])")
from sphinx.highlighting import PygmentsBridge

from minibert.docs.layout import document_of, file_of
from minibert.docs.links import module_of, place_of, source_html, with_back_links


@pytest.mark.parametrize(
    ("file", "document"),
    [
        ("docs/study.md", "study"),
        ("docs/runs/mini.md", "runs/mini"),
        ("lessons/02_attention.py", "lessons/02_attention"),
        ("benchmarks/mutation.md", "benchmarks/mutation"),
        ("CONTRIBUTING.md", "CONTRIBUTING"),
    ],
)
def test_a_page_is_written_in_one_file(file: str, document: str) -> None:
    assert document_of(file) == document
    assert file.startswith(file_of(document) + ".")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("docs/study.md", "study.html"),
        ("lessons/02_attention.py", "lessons/02_attention.html"),
        ("lessons/03_heads.py", "source/lessons/03_heads.py.html"),
        ("minibert/equations/attention.py", "_modules/minibert/equations/attention.html"),
        ("minibert/observe.py", "source/minibert/observe.py.html"),
        ("benchmarks/study.json", "source/benchmarks/study.json"),
        ("docs/study.png", "source/docs/study.png"),
    ],
)
def test_a_file_is_a_page_or_a_source_page_or_copied(path: str, place: str) -> None:
    assert place_of(path, {"study", "lessons/02_attention"}, {"minibert.equations.attention"}) == place


def test_a_source_page_has_anchors() -> None:
    html = source_html(
        PygmentsBridge("html"), "\nimport a\n\n\nclass TestA:\n    def test_b(self):\n        pass\n\n\ndef c(): ...\n"
    )
    assert '<span id="TestA"></span>' in html
    assert '<span id="c"></span>' in html
    assert 'id="test_b"' not in html
    assert html.index('id="TestA"') < html.index("TestA</span>") < html.index('id="c"')


def test_the_module_of_a_file() -> None:
    assert module_of("minibert/observe.py") == "minibert.observe"
    assert module_of("minibert/model/__init__.py") == "minibert.model"


def test_a_source_page_links_back_to_the_names_of_the_reference() -> None:
    """Two modules of the reference have functions of one file."""
    block = '<div class="viewcode-block" id="{0}">\n<a class="viewcode-back" href="../api/{1}.html#{2}">[docs]</a>'
    names = [("load", "minibert"), ("Checkpoint.load", "minibert.model"), ("gelu", "minibert.kernels")]
    written = "\n".join(block.format(name, module, f"minibert.{name}") for name, module in names)
    assert with_back_links(written) == "\n".join(block.format(name, module, f"{module}.{name}") for name, module in names)
