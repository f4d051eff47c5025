"""Pages of the lessons. Their answers and solutions are folded, and run when the site is built."""

import re
from typing import Any

from sphinx.application import Sphinx

from minibert.classroom.lesson_files import Lesson, lessons, notebook

FOLDS = {"solution": "hide-cell", "prediction": "hide-cell", "hide-input": "hide-input"}
"""Tags of the cells of a lesson, with the tag of myst-nb that folds them."""
CLICKS = {
    "": {"solution": "Show the solution", "prediction": "Show the answer", "hide-input": "Show the code", "hide": "Hide it"},
    "zh": {"solution": "显示解答", "prediction": "显示答案", "hide-input": "显示代码", "hide": "隐藏"},
}
"""Texts to click, for each language that lessons are written in."""
LANGUAGES = {"zh": "中文"}
"""Names of languages."""
INTRODUCTION = """Each lesson is one argument: something goes wrong, and you find out why, with numbers that you can change. It
takes about 75 minutes with its exercises. `minibert lessons` lists them, `minibert lessons 2` runs one, and
`minibert lessons --notebooks FOLDER` writes them as notebooks."""


def page_of_lesson(lesson: Lesson, language: str = "") -> str:
    """Return the page of a lesson as a notebook, in JSON."""
    import nbformat

    page = notebook(lesson, solutions=True, language=language)
    clicks = CLICKS.get(language, CLICKS[""])
    for cell in page.cells:
        tags = cell.metadata.get("tags", [])
        if folded := next((tag for tag in FOLDS if tag in tags), None):
            cell.metadata["tags"] = sorted({*tags, FOLDS[folded]})
            cell.metadata["mystnb"] = {"code_prompt_show": clicks[folded], "code_prompt_hide": clicks["hide"]}
    return str(nbformat.writes(page))  # type: ignore[no-untyped-call]


def index_of_lessons() -> str:
    """Return the page that lists the lessons and their translations, in Markdown."""
    items = [f"- [{lesson.number} · {lesson.title}]({lesson.path.name})  \n  {lesson.question}" for lesson in lessons()]
    pages = [lesson.name for lesson in lessons()]
    for language in sorted({language for lesson in lessons() for language in lesson.languages}):
        translated = [lesson for lesson in lessons() if language in lesson.languages]
        items += ["", f"## {LANGUAGES.get(language, language)}", ""]
        items += [translated_item(lesson, language) for lesson in translated]
        pages += [f"{language}/{lesson.name}" for lesson in translated]
    return "\n".join(["# Lessons", "", INTRODUCTION, "", *items, "", "```{toctree}", ":hidden:", "", *pages, "```", ""])


def translated_item(lesson: Lesson, language: str) -> str:
    """Return the item of a translation in the list of lessons: its title and its question."""
    title, question = lesson.translated_cells(language)[0].split("\n\n")[:2]
    return f"- [{title.removeprefix('# ')}]({language}/{lesson.name}.md)  \n  {question.strip()}"


def declare_language(app: Sphinx, page: str, template: str, context: dict[str, Any], document: object) -> None:
    """Declare the language of the page of a translation: screen readers and the choice of a font depend on it."""
    if translated := re.match(r"lessons/(\w+)/", page):
        context["language"] = translated[1]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("html-page-context", declare_language)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
