"""The report of a first run: one page, in one file, that loads nothing from outside."""

from collections.abc import Sequence
from html import escape

from matplotlib.figure import Figure

from minibert.study.figures import svg
from minibert.study.fill_mask import Guess

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 16px/1.55 system-ui, sans-serif; color: #1d2733; background: #fff; max-width: 52rem; margin: 2.5rem auto;
    padding: 0 1rem; }}
  h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.15rem; margin-top: 2.4rem; }}
  table {{ border-collapse: collapse; }} td, th {{ padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top; }}
  th {{ font-weight: 600; border-bottom: 1px solid #c8d0d8; }} td.number {{ font-variant-numeric: tabular-nums; }}
  svg {{ max-width: 100%; height: auto; }} code, pre {{ background: #f2f5f8; padding: .1rem .3rem; overflow-x: auto; }}
  mark {{ background: #fde7c8; }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


def page(title: str, sections: Sequence[str]) -> str:
    """A whole page; `sections` are pieces of HTML, as the functions below make them."""
    return PAGE.format(title=escape(title), body="\n".join(sections))


def text_section(heading: str, *paragraphs: str) -> str:
    """A heading and plain paragraphs."""
    return f"<h2>{escape(heading)}</h2>\n" + "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)


def figure_section(heading: str, made: Figure, caption: str) -> str:
    """A heading, a figure, and what there is to see in it."""
    return f"<h2>{escape(heading)}</h2>\n{svg(made)}\n<p>{escape(caption)}</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f'<td class="number">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"


def guesses_table(examples: Sequence[tuple[str, str, Sequence[Guess]]]) -> str:
    """For each (text with [MASK], true piece, guesses): the text, the truth, and the guesses with their probability."""
    rows = "\n".join(
        f"<tr><td>{escape(text)}</td><td>{escape(truth)}</td><td>{_marked(truth, guesses)}</td></tr>"
        for text, truth, guesses in examples
    )
    return f"<table>\n<tr><th>validation sentence</th><th>truth</th><th>guesses</th></tr>\n{rows}\n</table>"


def _marked(truth: str, guesses: Sequence[Guess]) -> str:
    """The guesses, the right one marked."""
    words = (f"{escape(guess.piece)} {guess.probability:.0%}" for guess in guesses)
    return ", ".join(
        f"<mark>{word}</mark>" if guess.piece == truth else word for word, guess in zip(words, guesses, strict=True)
    )
