"""Formulas of the site: MathML, and a font inside the style sheet."""

import base64
import io
import re
from types import SimpleNamespace

import pytest

pytest.importorskip("sphinx", reason="Sphinx is not installed (pip install minibert[docs])")
from docutils import nodes

from minibert.docs.formulas import FONT, style_sheet, visit_math, visit_math_block


def test_the_font_is_inside_the_style_sheet_with_its_license() -> None:
    sheet = style_sheet()
    (font,) = re.findall(r"base64,([^\"]+)\"", sheet)
    assert base64.b64decode(font) == FONT.read_bytes()
    assert len(sheet) < 250_000
    assert not re.search(r"url\((?!\"data:)", sheet)
    (license_file,) = re.findall(r"\((\S+-OFL.txt)\)", sheet)
    assert "SIL OPEN FONT LICENSE Version 1.1" in (FONT.parent / "static" / license_file).read_text(encoding="utf-8")


def test_the_font_stretches_brackets_and_has_the_letters_of_formulas() -> None:
    """Without a MATH table, brackets and roots do not grow. U+210E is the italic h, which is not among its neighbors."""
    pytest.importorskip("brotli", reason="brotli is not installed, which reads the font")
    from fontTools.ttLib import TTFont

    font = TTFont(io.BytesIO(FONT.read_bytes()))
    assert "MATH" in font
    assert {0x210E, 0x1D44E, 0x211D, 0x2211, 0x221A, 0x28, 0x22A4, 0x2061} <= {*font.getBestCmap()}


@pytest.mark.parametrize(("visit", "node"), [(visit_math, nodes.math), (visit_math_block, nodes.math_block)])
def test_a_formula_is_written_as_mathml(visit, node) -> None:
    translator = SimpleNamespace(body=[])
    with pytest.raises(nodes.SkipNode):
        visit(translator, node("", r"\frac{Q K^\top}{\sqrt{d_k}}"))
    html = "".join(translator.body)
    assert "<mfrac>" in html
    assert "\\" not in html
    assert ('display="block"' in html) == (node is nodes.math_block)


def test_a_formula_that_cannot_be_converted_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    translator = SimpleNamespace(body=[])
    with caplog.at_level("WARNING", logger="sphinx"), pytest.raises(nodes.SkipNode):
        visit_math(translator, nodes.math("", r"\nosuchcommand"))
    assert translator.body == [""]
