"""`minibert docs build` and `minibert docs open`: the documentation site."""

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError, WorkFailed
from minibert.commands.terminal import say
from minibert.printable import printable

DEFAULT_SITE = Path("docs/_build/site")


@dataclass(frozen=True)
class DocsBuild:
    """Build the documentation site: guides, lessons, equations, mistakes and the API reference. It works offline.

    The lessons run, and their exercises are checked. Any warning is an error. Needs a clone of the repository.
    """

    pages: Annotated[Positional[tuple[str, ...]], arg(metavar="[PAGE ...]")] = ()
    """Pages such as study, lessons/02_scaled_dot_product_attention or api/minibert.equations. Default: all."""
    out: Path = DEFAULT_SITE
    """Folder for the site. An older site in it is replaced."""


@dataclass(frozen=True)
class DocsOpen:
    """Open the documentation site in the browser."""

    site: Annotated[Positional[Path], arg(metavar="[SITE]")] = DEFAULT_SITE
    """Folder of the site."""


def run_build(options: DocsBuild) -> int:
    """Build the site."""
    try:
        from minibert.docs.site import BuildFailed, build
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed: pip install 'minibert[docs]'") from error
    try:
        for line in build(options.out, options.pages):
            say(printable(line))
    except (ValueError, NotADirectoryError) as error:
        raise UsageError(error) from error
    except BuildFailed as error:
        raise WorkFailed(str(error)) from error
    say(printable(f"{options.out / 'index.html'}: to open it, minibert docs open"))
    return 0


def run_open(options: DocsOpen) -> int:
    """Open the site."""
    page = options.site / "index.html"
    if not page.is_file():
        raise UsageError(f"{page}: there is no such file; `minibert docs build` builds the site in {DEFAULT_SITE}")
    webbrowser.open(page.resolve().as_uri())
    return 0
