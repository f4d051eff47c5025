"""Build the site: collect its pages in a folder, and run Sphinx there."""

import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from minibert.classroom.lesson_files import lessons
from minibert.docs.api import API_PAGES, api_page
from minibert.docs.layout import REPOSITORY, SOURCES, document_of, file_of
from minibert.docs.lesson_pages import index_of_lessons, page_of_lesson

CONFIGURATION = Path(__file__).parent
FILES = ("docs/*.md", "docs/*.png", "docs/runs/*", "benchmarks/*.md", "CONTRIBUTING.md")
"""Pages and images in the repository."""
LISTS = ("index", "lessons/index", "api/index")
"""Pages that list other ones. They are always built."""
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "NO_COLOR": "1",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": str(REPOSITORY),
}
"""With these variables, the site is the same every time."""
STARTUP = "import sys\n\nsys.stdout.flush_interval = sys.stderr.flush_interval = 3600\n"
"""Code that a kernel runs at its start. It sends what a cell prints at the end of the cell, and not every 0.2 seconds: a line
that is sent in two parts would become two lines.
"""


class BuildFailed(Exception):
    """The site has a fault, which the output of Sphinx names."""


def build(out: Path, pages: Sequence[str] = ()) -> Iterator[str]:
    """Build the site, and yield the lines that Sphinx prints. Warnings are errors.

    Args:
        out: folder for the site, which is replaced.
        pages: names or files of pages, such as "study" and "lessons/02_attention.py"; lists of pages are always
            built. Default: all pages.

    Raises: ValueError if there is no clone of the repository, no page with a name, or `out` is not a site; BuildFailed for
        faults in the pages.
    """
    if not (REPOSITORY / "docs" / "index.md").is_file():
        raise ValueError("the pages of the site are not part of an installed package: run this in a clone of the repository")
    if out.exists() and any(out.iterdir()) and not (out / "searchindex.js").is_file():
        raise ValueError(f"{out}: has other files than a site: give a new folder with --out")
    with tempfile.TemporaryDirectory(prefix="minibert-docs-") as temporary:
        source, site = Path(temporary) / "source", Path(temporary) / "site"
        collect(source, pages)
        command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", str(CONFIGURATION), "-d", f"{temporary}/doctrees"]
        command += ["-j", "2", "-W", "-T", str(source), str(site)]  # 2 processes; warnings are errors; tracebacks
        part = {"MINIBERT_DOCS_PART": "1"} if pages else {}
        environment = os.environ | ENVIRONMENT | part | {"IPYTHONDIR": str(kernel_settings(Path(temporary)))}
        with subprocess.Popen(
            command, env=environment, text=True, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as sphinx:
            assert sphinx.stdout is not None
            for line in sphinx.stdout:
                yield located(line.rstrip("\n"), source)
        if sphinx.returncode:
            raise BuildFailed("the site was not built: see the warnings and errors above")
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(site, out)


def kernel_settings(folder: Path) -> Path:
    """Write the settings of the kernels that run the lessons, and return their folder. Those of the user are not used."""
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "output.py").write_text(STARTUP, encoding="utf-8")
    return folder / "ipython"


def collect(source: Path, pages: Sequence[str] = ()) -> None:
    """Write the pages to a folder with the layout of the site.

    Raises: ValueError for a name that no page has.
    """
    chosen = {*LISTS, *map(document_of, pages)}
    contents: dict[str, Callable[[], bytes | str]] = dict([*copied(), *generated()])
    documents = {document_of(path) for path in contents}
    if unknown := chosen - documents:
        near = difflib.get_close_matches(min(unknown), documents, n=3, cutoff=0.3)
        raise ValueError(f"{min(unknown)}: there is no such page; similar names: {', '.join(near) or 'none'}")
    for path, content in contents.items():
        if not pages or document_of(path) in chosen or Path(path).suffix not in SOURCES:
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            text = content()
            (source / path).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))


def copied() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the guides and their images: the place in the site, and a function that returns the content."""
    for pattern in FILES:
        for file in sorted(REPOSITORY.glob(pattern)):
            yield file.relative_to(REPOSITORY).as_posix().removeprefix("docs/"), file.read_bytes


def generated() -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the pages that are written for the site in the same way: lessons as notebooks, and the API."""
    yield "lessons/index.md", index_of_lessons
    for lesson in lessons():
        yield f"lessons/{lesson.name}.ipynb", partial(page_of_lesson, lesson)
        for language in lesson.languages:
            yield f"lessons/{language}/{lesson.name}.ipynb", partial(page_of_lesson, lesson, language)
    for name in API_PAGES:
        yield f"{name}.md", partial(api_page, name)


def located(line: str, source: Path) -> str:
    """Replace the copy of a page by its original in a line of Sphinx."""
    if not line.startswith(f"{source}/"):
        return line
    path = line.removeprefix(f"{source}/")
    extension = ".py" if path.count("/") == 1 else ".md"  # the text of lessons/zh/01_softmax is written in Markdown
    return file_of(path).replace(".ipynb", extension, 1)
