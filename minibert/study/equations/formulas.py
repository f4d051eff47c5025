"""Formulas for people: LaTeX as MathML for a page, and as one line of plain text for a terminal."""

import re
import unicodedata
from xml.etree import ElementTree

from latex2mathml.converter import convert

SUPERSCRIPTS = str.maketrans("0123456789+-−⊤'", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ᵀ′")
NAMES = frozenset({"log", "exp", "max", "min", "erf", "tanh", "sin", "cos", "∑"})
SPACED = frozenset("=≈↦∈≤≥<>+−,;")
"""Names that are set apart from what they apply to, and signs with space around them, or after them."""


def mathml(latex: str) -> str:
    """The formula as MathML, which browsers draw by themselves.

    Raises: ValueError for a command or a sign that the conversion does not know: it would stand in the page as it is.
    """
    converted: str = convert(latex, display="block")
    try:
        text = "".join(ElementTree.fromstring(converted).itertext())
    except ElementTree.ParseError:
        text = "&"  # the conversion lets it through as it is, which no page can read
    if "\\" in text or "&" in text:
        raise ValueError(f"not a formula that can be drawn: {latex!r}")
    return converted


def plain(latex: str) -> str:
    """The formula in one line of Unicode, with brackets where a fraction bar or a root sign had grouped.

    >>> plain(r"\\frac{QK^\\top}{\\sqrt{d_k}}")
    'QKᵀ/√d_k'
    """
    line = " ".join(_text(ElementTree.fromstring(mathml(latex))).split())
    line = re.sub(rf"({'|'.join(NAMES)}) ([(\[])", r"\1\2", line)
    return re.sub(r" +([)\],])|(?<=[(\[]) +", r"\1", line)


def _text(element: ElementTree.Element) -> str:
    kind = element.tag.rpartition("}")[2]
    parts = [_text(child) for child in element]
    match kind:
        case "mfrac":
            return f"{_bracketed(parts[0])}/{_bracketed(parts[1])} "
        case "msqrt":
            return f"√{_bracketed(''.join(parts))}"
        case "msup":
            return parts[0] + _superscript(parts[1])
        case "msub" | "munder":
            return f"{parts[0].strip()}_{_braced(parts[1])}{_after(parts[0])}"
        case "msubsup" | "munderover":
            return f"{parts[0].strip()}_{_braced(parts[1])}{_superscript(parts[2])}{_after(parts[0])}"
        case "mover":
            return unicodedata.normalize("NFC", parts[0] + {"^": "\u0302", "~": "\u0303"}.get(parts[1], parts[1]))
        case "mspace":
            return " "
        case "mo" if (element.text or "") in SPACED:
            return f"{element.text} " if element.text in {",", ";"} else f" {element.text} "
    text = element.text or ""
    return (f" {text} " if text in NAMES else text) + "".join(parts)


def _after(base: str) -> str:
    return " " if base.strip() in NAMES else ""


def _bracketed(part: str) -> str:
    part = part.strip()
    return f"({part})" if any(sign in part for sign in " /") else part


def _braced(part: str) -> str:
    part = "".join(part.split())
    return part if len(part) == 1 else f"{{{part}}}"


def _superscript(part: str) -> str:
    raised = part.strip().translate(SUPERSCRIPTS)
    return raised if all(sign in "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀ′" for sign in raised) else f"^{_braced(part)}"
