"""`minibert lessons`: list the lessons, run one, open its page, or write notebooks."""

import subprocess
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from minibert.commands.docs import DEFAULT_SITE
from minibert.commands.errors import UsageError, check_new_folder
from minibert.commands.terminal import say, say_table
from minibert.files import write_atomically
from minibert.printable import printable

if TYPE_CHECKING:
    from minibert.classroom.lesson_files import Lesson


@dataclass(frozen=True)
class Lessons:
    """List the lessons, or run one: its code runs as a script, and prints its tables and numbers.

    To read a lesson, with its text and figures, open its page or write its notebook.
    """

    lesson: Annotated[Positional[str | None], arg(metavar="[N]")] = None
    """Number of a lesson. Without it, all are listed."""
    notebooks: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Write a notebook of the lesson, or of all lessons, to this folder instead of running it. Notebooks that you have changed
    are kept."""
    language: Annotated[str, arg(metavar="CODE")] = ""
    """Language of the text of the notebooks or the page: zh is Chinese. Of several lessons, the translated ones are written.
    Default: English."""
    open: bool = False
    """Open the page of the lesson in the browser, in a site that `minibert docs build` has built."""


def run(options: Lessons) -> int:
    """Do what the options ask for."""
    from minibert.classroom.lesson_files import lessons

    found = [lesson for lesson in lessons() if options.lesson in (None, str(lesson.number), lesson.name)]
    if not found:
        numbers = ", ".join(str(lesson.number) for lesson in lessons())
        raise UsageError(
            f"{options.lesson or 'lessons'}: there is no such lesson; the lessons are {numbers or 'not installed'}"
        )
    if options.open and options.notebooks is not None:
        raise UsageError("--open and --notebooks exclude each other: give only one")
    if options.language:
        if options.notebooks is None and not options.open:
            raise UsageError("--language needs --notebooks or --open: a lesson that runs as a script shows no text")
        found = translated(found, options.language)
    if options.notebooks is not None:
        return write_notebooks(found, options.notebooks, options.language)
    if options.open:
        return open_page(found, DEFAULT_SITE, options.language)
    return show_list(found) if options.lesson is None else run_script(found[0])


def translated(found: "list[Lesson]", language: str) -> "list[Lesson]":
    """Return those of the lessons that are translated to a language."""
    from minibert.classroom.lesson_files import lessons

    if chosen := [lesson for lesson in found if language in lesson.languages]:
        return chosen
    languages = sorted({code for lesson in lessons() for code in lesson.languages})
    numbers = {code: [str(lesson.number) for lesson in lessons() if code in lesson.languages] for code in languages}
    known = ", ".join(f"{code} (lesson{'s' * (len(numbers[code]) > 1)} {', '.join(numbers[code])})" for code in languages)
    raise UsageError(f"--language {language}: there is no such translation; there are: {known or 'none'}")


def show_list(found: "list[Lesson]") -> int:
    """Print the lessons with the questions that they answer."""
    from rich.table import Table

    table = Table("", "lesson", "question")
    for lesson in found:
        table.add_row(str(lesson.number), lesson.title, lesson.question)
    say_table(table)
    say("to run one: minibert lessons 2    as notebooks: minibert lessons --notebooks FOLDER    as a page: --open")
    return 0


def run_script(lesson: "Lesson") -> int:
    """Run a lesson as a script, and return its exit code. What it prints is shown at once."""
    return subprocess.run([sys.executable, str(lesson.path)], check=False).returncode


def write_notebooks(found: "list[Lesson]", folder: Path, language: str = "") -> int:
    """Write notebooks without outputs. The same lesson gives the same file."""
    ending = f".{language}.ipynb" if language else ".ipynb"
    check_new_folder(folder)
    try:
        import nbformat

        from minibert.classroom.lesson_files import notebook

        documents = {f"{lesson.name}{ending}": notebook(lesson, language=language) for lesson in found}
        texts = {name: nbformat.writes(document) for name, document in documents.items()}  # type: ignore[no-untyped-call]
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed: pip install 'minibert[lessons]'") from error
    for name, text in texts.items():
        path = folder / name
        is_kept = path.exists() and path.read_text(encoding="utf-8") != f"{text}\n"
        if not is_kept:
            write_atomically(path, f"{text}\n")
        say(printable(f"{path}: kept, because it was changed; to begin again, delete it" if is_kept else path))
    return 0


def open_page(found: "list[Lesson]", site: Path, language: str = "") -> int:
    """Open the page of a lesson, or the page that lists all of them."""
    page = site / "lessons" / (Path(language) / f"{found[0].name}.html" if len(found) == 1 else "index.html")
    if not page.is_file():
        raise UsageError(f"{page}: there is no such file; `minibert docs build` builds the site in {DEFAULT_SITE}")
    webbrowser.open(page.resolve().as_uri())
    return 0
