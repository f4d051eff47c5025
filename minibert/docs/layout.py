"""The pages of the site and the files of the repository that they are written in: `docs/` is the top of the site."""

from pathlib import Path, PurePosixPath

import minibert

REPOSITORY = Path(minibert.__file__).parents[1]
OUTSIDE = ("lessons", "benchmarks", "api", "CONTRIBUTING")
"""Folders and pages of the site that are not in `docs/`. Those of the repository have the same name; `api` is generated."""

SOURCES = (".md", ".py", ".ipynb")
"""Extensions of the files that pages are written in."""


def document_of(path: str) -> str:
    """Return the name of the page that is written in a file of the repository, whether or not the site has it.

    >>> document_of("docs/study.md"), document_of("lessons/02_attention.py")
    ('study', 'lessons/02_attention')
    """
    page = PurePosixPath(path)
    return str(page.with_suffix("")).removeprefix("docs/") if page.suffix in SOURCES else path


def file_of(document: str) -> str:
    """Return the file that a page is written in, without its extension.

    >>> file_of("study"), file_of("lessons/02_attention")
    ('docs/study', 'lessons/02_attention')
    """
    return document if document.partition("/")[0] in OUTSIDE else f"docs/{document}"
