"""Figures of matplotlib: their style and palette, text in any script, and files in the formats PNG, SVG and PDF."""

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font

from minibert.files import write_atomically
from minibert.printable import printable

BLUE, ORANGE, GREEN, PINK, SKY, YELLOW = PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Colors that color-blind readers can tell apart (Okabe and Ito 2008)."""
GRAY = "#777777"
SEQUENTIAL = "cividis"
"""Colors of numbers from zero up, in an order that color-blind readers see too (Nuñez et al. 2018)."""
SIGNED = LinearSegmentedColormap.from_list("signed", [ORANGE, "white", BLUE])
"""Colors of negative and positive numbers; zero is white."""

Draw = Callable[[Axes], object]
"""A function that draws one chart on the axes that it receives."""

FORMATS = {
    "png": {"Software": None},
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
}
"""Formats of figure files, and their metadata without date and version, so that equal figures are equal files."""

FONT = "DejaVu Sans"
"""The font of all figures, which is a part of matplotlib."""
CJK_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "SimHei")
"""Fonts with Chinese characters, in order of preference. Other installed fonts follow."""
NO_CHARACTER = "\U0010ffff"
"""A code point that is no character. Only fonts of placeholders have it, which draw a box for every code point."""
MAX_NAMED = 8
"""Number of characters without a font that a warning names."""

STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.prop_cycle": cycler(color=PALETTE),
    "svg.hashsalt": "minibert",
    "text.parse_math": False,
}
TEXT_AS_TEXT = {"svg.fonttype": "none", "pdf.fonttype": 42}
"""Text in files can be searched and edited."""


def figure(*charts: Draw, size: tuple[float, float] = (6.4, 3.8)) -> Figure:
    """Create a figure with the charts next to each other.

    Args:
        charts: one `Draw` per chart.
        size: width and height of each chart, in inches.
    """
    with mpl.rc_context(STYLE | {"font.family": _fonts()}):
        fig = Figure(figsize=(size[0] * len(charts), size[1]), layout="constrained")
        for number, draw in enumerate(charts, start=1):
            draw(fig.add_subplot(1, len(charts), number))
    return fig


def figure_format(path: Path) -> str:
    """Return the format of a figure file by its extension. Raises: ValueError for any other extension."""
    extension = path.suffix.lower().removeprefix(".")
    if extension not in FORMATS:
        raise ValueError(f"{path}: the name of a figure must end with .png, .svg or .pdf")
    return extension


def save(fig: Figure, path: Path) -> None:
    """Save a figure in the format of the file's extension. The file is written atomically.

    Raises: ValueError for an unknown extension.
    """
    extension, buffer = figure_format(path), io.BytesIO()
    with mpl.rc_context(STYLE | TEXT_AS_TEXT | {"font.family": _fonts()}):
        fig.savefig(buffer, format=extension, dpi=150, metadata=FORMATS[extension])
    write_atomically(path, buffer.getvalue())


def svg(fig: Figure) -> str:
    """Return a figure as an SVG element for an HTML page. Text is drawn as paths, so the page needs no fonts."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE | {"font.family": _fonts()}):
        fig.savefig(buffer, format="svg", metadata=FORMATS["svg"])
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def readable(text: str) -> str:
    """Replace characters that the fonts of figures do not have with their code point, such as U+673A."""
    return _as_code_points(text, {char for char in text if not any(_has(name, char) for name in map(_file, _fonts()))})


def missing_characters(texts: Iterable[str]) -> str:
    """Return the characters that the fonts of figures do not have, of which `readable` shows the code points."""
    return "".join(char for char in dict.fromkeys("".join(texts)) if readable(char) != char)


def as_text(texts: Sequence[str], max_length: int | None = None) -> tuple[list[str], dict[str, Any]]:
    r"""Prepare texts from a model or a user, such as tokens, for any figure, also one with another style.

    Args:
        max_length: number of characters after which a text is cut off.

    Returns: the texts, and the properties of matplotlib's `Text` with which they are shown as they are: `$`, `_`, `^` and `\`
    have no meaning, and the fonts have all characters. Characters that no installed font has become code points, with a
    warning.
    """
    shown = [printable(text) for text in texts]
    shown = [text if max_length is None or len(text) <= max_length else f"{text[: max_length - 1]}…" for text in shown]
    fonts, missing = _fonts_for("".join(sorted({*"".join(shown)})))
    return [_as_code_points(text, missing) for text in shown], {"fontfamily": list(fonts), "parse_math": False}


def _as_code_points(text: str, missing: Iterable[str]) -> str:
    return "".join(f"U+{ord(char):04X}" if char in missing else char for char in text)


@cache
def _fonts_for(characters: str) -> tuple[tuple[str, ...], str]:
    """Return the fonts that have these characters, and the characters that no font has, of which the first call warns."""
    fonts, missing = [], characters
    for name, file in _candidates():
        if not missing:
            break
        rest = "".join(char for char in missing if not _has(file, char))
        if len(rest) < len(missing):
            fonts.append(name)
        missing = rest
    if missing:
        names = ", ".join(f"{char} (U+{ord(char):04X})" for char in missing[:MAX_NAMED]) + ", …" * (len(missing) > MAX_NAMED)
        warnings.warn(
            f"no installed font has {names}: the figure shows code points. Install a font, such as Noto Sans CJK for Chinese",
            stacklevel=3,
        )
    return (*fonts,) or (FONT,), missing


def _candidates() -> Iterator[tuple[str, str]]:
    """Yield the names and files of the installed fonts, in order of preference, without those of formulas and of boxes."""
    yield FONT, _file(FONT)
    files = {
        entry.name: entry.fname
        for entry in fontManager.ttflist
        if entry.style == "normal" and entry.weight in (400, "normal", "regular")
        if not entry.fname.startswith(mpl.get_data_path()) and not _has(entry.fname, NO_CHARACTER)
    }
    preferred = [name for name in CJK_FONTS if name in files]
    yield from ((name, files[name]) for name in dict.fromkeys([*preferred, *sorted(files)]))


def _has(file: str, char: str) -> bool:
    """Return whether the font has this character as an outline. Fonts of color emoji have pictures, which are not drawn."""
    with suppress(RuntimeError, OSError):
        font = get_font(file)
        return bool(font.scalable and font.get_char_index(ord(char)))
    return False


def _file(name: str) -> str:
    return str(findfont(name, fallback_to_default=False))


def _fonts() -> list[str]:
    """Return the font of all figures, and one with Chinese characters if one is installed."""
    installed = set(fontManager.get_font_names())
    return [FONT, *[name for name in CJK_FONTS if name in installed][:1]]
