"""An extension of Sphinx: formulas as MathML, and a font for them inside a style sheet.

A browser needs a font with a MATH table to stretch brackets and roots, and few systems have one. `static/STIXTwoMath.woff2` is
a subset of STIX Two Math 2.12 (npm: @fontsource/stix-two-math; license: `static/STIXTwoMath-OFL.txt`), made by pyftsubset of
fonttools: Latin and Greek letters, the mathematical alphabets with U+210E (the italic h), operators, arrows and brackets.
"""

import base64
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from minibert.study.equations.formulas import mathml

FONT = Path(__file__).parent / "STIXTwoMath.woff2"
STYLE = """/* STIX Two Math: copyright 2001-2021 The STIX Fonts Project Authors, SIL Open Font License (STIXTwoMath-OFL.txt) */
@font-face {{
  font-family: "STIX Two Math";
  src: url("data:font/woff2;base64,{font}") format("woff2");
}}
math {{
  font-family: "STIX Two Math", math;
}}
"""
logger = logging.getLogger(__name__)


def style_sheet() -> str:
    """Return the style sheet with the font. A font in a file of its own is a request, which browsers refuse on `file://`."""
    return STYLE.format(font=base64.b64encode(FONT.read_bytes()).decode("ascii"))


def write_style_sheet(app: Sphinx) -> None:
    """Write the style sheet into the folder of the site."""
    folder = Path(app.outdir) / "_static"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "formulas.css").write_text(style_sheet(), encoding="utf-8")


def visit_math(translator: Any, node: nodes.math) -> None:
    """Write a formula that is part of a sentence."""
    translator.body.append(converted(node, is_block=False))
    raise nodes.SkipNode


def visit_math_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula on a line of its own. A wide one is scrolled."""
    translator.body.append(f'<div class="formula">{converted(node, is_block=True)}</div>\n')
    raise nodes.SkipNode


def converted(node: nodes.Element, is_block: bool) -> str:
    """Return a formula as MathML. One that cannot be converted is a warning, which fails the build."""
    try:
        return mathml(node.astext(), is_block)
    except ValueError as error:
        logger.warning(str(error), location=node)
        return ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("builder-inited", write_style_sheet)
    app.add_css_file("formulas.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
