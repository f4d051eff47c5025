"""Pages of the lessons. Their answers and solutions are folded, and run when the site is built."""

from minibert.classroom.lesson_files import Lesson, lessons, notebook

FOLDS = {
    "solution": ("hide-cell", "Show the solution"),
    "prediction": ("hide-cell", "Show the answer"),
    "hide-input": ("hide-input", "Show the code"),
}
"""Tags of the cells of a lesson, with the tag of myst-nb that folds them, and the text to click."""


def page_of_lesson(lesson: Lesson) -> str:
    """Return the page of a lesson as a notebook, in JSON."""
    import nbformat

    page = notebook(lesson, solutions=True)
    for cell in page.cells:
        tags = cell.metadata.get("tags", [])
        if fold := next((FOLDS[tag] for tag in FOLDS if tag in tags), None):
            cell.metadata["tags"] = sorted({*tags, fold[0]})
            cell.metadata["mystnb"] = {"code_prompt_show": fold[1], "code_prompt_hide": "Hide it"}
    return str(nbformat.writes(page))  # type: ignore[no-untyped-call]


def index_of_lessons() -> str:
    """Return the page that lists the lessons, in Markdown."""
    items = [f"- [{lesson.number} · {lesson.title}]({lesson.path.name})  \n  {lesson.question}" for lesson in lessons()]
    names = [lesson.name for lesson in lessons()]
    return "\n".join(["# Lessons", "", INTRODUCTION, "", *items, "", "```{toctree}", ":hidden:", "", *names, "```", ""])


INTRODUCTION = """Each lesson is one argument: something goes wrong, and you find out why, with numbers that you can change. It
takes 20 to 40 minutes and ends with exercises. `minibert lessons` lists them, `minibert lessons 2` runs one, and
`minibert lessons --notebooks FOLDER` writes them as notebooks."""
