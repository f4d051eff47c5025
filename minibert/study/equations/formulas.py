"""Conversion of LaTeX formulas to MathML, for pages, and to one line of plain text, for terminals."""

import re
import unicodedata
from xml.etree import ElementTree

from latex2mathml.converter import convert

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
SUPERSCRIPTS = str.maketrans("0123456789+-−⊤'", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ᵀ′")
NAMES = frozenset({"log", "exp", "max", "min", "erf", "tanh", "sin", "cos", "∑"})
SPACED = frozenset("=≈↦∈≤≥<>+−,;")
"""Function names that are followed by a space, and operators with spaces around them or after them."""


def mathml(latex: str) -> str:
    """Convert a LaTeX formula to MathML, which browsers render without a library.

    Raises: ValueError for a command or a character that the converter does not support. It would appear unconverted.
    """
    try:
        converted: str = convert(latex, display="block")
        tree = ElementTree.fromstring(converted)
    except Exception as error:  # the converter has many exceptions, and it copies an ampersand, which is not valid XML
        raise ValueError(f"cannot convert the formula to MathML: {latex!r}") from error
    text = "".join(tree.itertext())
    if "\\" in text or "&" in text or not all(map(_is_math, tree.iter())):
        raise ValueError(f"cannot convert the formula to MathML: {latex!r}")
    return converted


def _is_math(element: ElementTree.Element) -> bool:
    r"""Check for an element of MathML. The converter also copies other elements from \text, and makes links."""
    return element.tag.startswith(f"{{{NAMESPACE}}}m") and "href" not in element.attrib


def plain(latex: str) -> str:
    """Convert a LaTeX formula to one line of Unicode text. Brackets replace the grouping of fraction bars and root signs.

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
    return f"({part})" if any(char in part for char in " /") else part


def _braced(part: str) -> str:
    part = "".join(part.split())
    return part if len(part) == 1 else f"{{{part}}}"


def _superscript(part: str) -> str:
    raised = part.strip().translate(SUPERSCRIPTS)
    return raised if all(char in "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀ′" for char in raised) else f"^{_braced(part)}"
