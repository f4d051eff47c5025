"""Building blocks of an HTML report: one self-contained page that loads nothing from outside."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from minibert.display import escape
from minibert.study.drawing import svg
from minibert.study.fill_mask import Prediction

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
    """Return a complete HTML page. `sections` are HTML fragments, as the functions below return them."""
    return PAGE.format(title=escape(title), body="\n".join(sections))


def text_section(heading: str, *paragraphs: str) -> str:
    """Return a heading and paragraphs of plain text."""
    return f"<h2>{escape(heading)}</h2>\n" + "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)


def link_section(heading: str, paragraph: str, file: str) -> str:
    """Return a heading, a paragraph of plain text, and a link to a file in the folder of the page."""
    return f'{text_section(heading, paragraph)}\n<p><a href="{escape(file)}">{escape(file)}</a></p>'


def figure_section(heading: str, fig: Figure, caption: str) -> str:
    """Return a heading, a figure as inline SVG, and its caption."""
    return f"<h2>{escape(heading)}</h2>\n{svg(fig)}\n<p>{escape(caption)}</p>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of plain text."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f'<td class="number">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"


def predictions_table(examples: Sequence[tuple[str, str, Sequence[Prediction]]]) -> str:
    """Return a table of masked sentences, the masked word of each, and the model's predictions with their probability.

    Args:
        examples: text with [MASK], masked word, predictions.
    """
    rows = "\n".join(
        f"<tr><td>{escape(text)}</td><td>{escape(truth)}</td><td>{_highlighted(truth, predictions)}</td></tr>"
        for text, truth, predictions in examples
    )
    return f"<table>\n<tr><th>Validation sentence</th><th>Masked word</th><th>Predictions</th></tr>\n{rows}\n</table>"


def _highlighted(truth: str, predictions: Sequence[Prediction]) -> str:
    """Return the predictions as one line of HTML, with the correct one highlighted."""
    items = (f"{escape(prediction.piece)} {prediction.probability:.0%}" for prediction in predictions)
    return ", ".join(
        f"<mark>{item}</mark>" if prediction.piece == truth else item
        for item, prediction in zip(items, predictions, strict=True)
    )
