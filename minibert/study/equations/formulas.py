"""Conversion of LaTeX formulas to MathML, for pages, and to one line of plain text, for terminals."""

import re
import unicodedata
from html import unescape
from xml.etree import ElementTree

from math_core import LatexError, LatexToMathML

SUPERSCRIPTS = str.maketrans("0123456789+-−⊤'", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ᵀ′")
SPACED = frozenset("=≈↦∈≤≥<>+−,;")
"""Operators with spaces around them or after them."""
APPLY = "\u2061"
"""The invisible sign between the name of a function and its argument."""
UNSEEN_BRACKET = "\u2063"
"""The invisible sign that closes a bracket on the left of several cases."""
SIGNS = {ord("⋅"): "·", ord("\ufe00"): ""}
"""Signs of MathML in plain text. The second one is invisible: it selects one of two styles of a script letter."""


def mathml(latex: str, is_block: bool = True) -> str:
    """Convert a LaTeX formula to MathML, which browsers render without a library. It is well-formed XML, without a namespace.

    Args:
        is_block: for a formula on a line of its own; else it is part of a sentence, with smaller sums and fractions.

    Raises: ValueError for an empty formula, and for a command or a character that the converter does not support.
    """
    try:
        converted = LatexToMathML(fancy_error=False).convert_with_local_state(latex, displaystyle=is_block)
    except (LatexError, UnicodeEncodeError) as error:
        raise ValueError(f"cannot convert the formula to MathML: {latex!r} ({error})") from error
    if not latex.strip():
        raise ValueError("cannot convert the formula to MathML: it is empty")
    return re.sub(r"&(?!lt;|gt;|amp;|quot;)\w+;", lambda entity: unescape(entity[0]), converted)  # XML has only these four


def plain(latex: str) -> str:
    """Convert a LaTeX formula to one line of Unicode text. Brackets replace the grouping of fraction bars and root signs.

    >>> plain(r"\\frac{QK^\\top}{\\sqrt{d_k}}")
    'QKᵀ/√d_k'
    """
    line = " ".join(_text(ElementTree.fromstring(mathml(latex))).split()).replace("...", "…").translate(SIGNS)
    line = re.sub(rf" *{APPLY} *(?=[(\[])", "", line).replace(APPLY, " ")
    return re.sub(r" +([)\],])|(?<=[(\[]) +", r"\1", " ".join(line.split()))


def _text(element: ElementTree.Element) -> str:
    parts = [_text(child) for child in element]
    match element.tag:
        case "mfrac":
            return f"{_bracketed(parts[0])}/{_bracketed(parts[1])} "
        case "msqrt":
            return f"√{_bracketed(''.join(parts))}"
        case "msup":
            return parts[0] + _superscript(parts[1])
        case "msub":
            return f"{parts[0].strip()}_{_braced(parts[1])}"
        case "msubsup":
            return f"{parts[0].strip()}_{_braced(parts[1])}{_superscript(parts[2])}"
        case "munder":
            return f" {parts[0].strip()}_{_braced(parts[1])} "
        case "munderover":
            return f" {parts[0].strip()}_{_braced(parts[1])}{_superscript(parts[2])} "
        case "mover":
            return unicodedata.normalize("NFC", parts[0] + {"ˆ": "\u0302", "˜": "\u0303"}.get(parts[1], parts[1]))
        case "mrow" if (cases := _cases(element)) is not None:
            return f"{{{'; '.join(cases)}}}"
        case "mtable":
            return "; ".join(parts)
        case "mtr":
            return " ".join(part.strip() for part in parts)
        case "mspace":
            return " " if element.get("width") else ""
        case "mo" if (element.text or "") in SPACED and element.get("rspace") != "0":
            return f"{element.text} " if element.text in {",", ";"} else f" {element.text} "
    return (element.text or "") + "".join(parts)


def _cases(element: ElementTree.Element) -> list[str] | None:
    """Return the lines "value if condition" of the environment `cases`; None for other parts of a formula."""
    if len(element) != 3 or element[1].tag != "mtable" or element[2].text != UNSEEN_BRACKET:
        return None
    lines = [[_text(cell).strip() for cell in row] for row in element[1]]
    return [re.sub(r",* if (?=if|otherwise)", " ", " if ".join(line)) for line in lines]


def _bracketed(part: str) -> str:
    part = part.strip()
    return f"({part})" if any(char in part for char in f" /{APPLY}") else part


def _braced(part: str) -> str:
    part = "".join(part.split())
    return part if len(part) == 1 else f"{{{part}}}"


def _superscript(part: str) -> str:
    raised = part.strip().translate(SUPERSCRIPTS)
    return raised if all(char in "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀ′" for char in raised) else f"^{_braced(part)}"
