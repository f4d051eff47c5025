"""Explanations for files that are not UTF-8 text: what they are instead, and how to convert them."""

from codecs import getincrementaldecoder
from pathlib import Path
from shlex import quote
from unicodedata import category

import regex

from minibert.files import SIGNATURES

NOT_TEXT = SIGNATURES | {
    b"%PDF": "a PDF document; extract its text first, for example with pdftotext",
    b"PK\x03\x04": "a zip archive or an office document; extract its text first",
    b"\x1f\x8b": "compressed with gzip; its name must end in .gz",
    b"BZh": "compressed with bzip2; decompress it first: bunzip2 -k {name}",
    b"\xfd7zXZ\x00": "compressed with xz; decompress it first: unxz -k {name}",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; decompress it first: unzstd {name}",
    b"7z\xbc\xaf": "a 7z archive; extract its text first",
    b"PAR1": "a Parquet file; its name must end in .parquet",
    b"ARROW1": "an Arrow file; save it as Parquet or JSONL",
}
"""First bytes of common files that are not plain text, with their descriptions, and advice where there is a way to use them."""
MARKED = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte-order marks and their encodings. Those of UTF-32 come first, because one begins with a mark of UTF-16."""
WIDE = ("utf-32le", "utf-32be", "utf-16le", "utf-16be")
LEGACY = {
    "cp1252": r"\p{Latin}",
    "cp1250": r"\p{Latin}",
    "iso8859-2": r"\p{Latin}",
    "cp1254": r"\p{Latin}",
    "macintosh": r"\p{Latin}",
    "cp1251": r"\p{Cyrillic}",
    "koi8-r": r"\p{Cyrillic}",
    "cp866": r"\p{Cyrillic}",
    "cp1253": r"\p{Greek}",
    "cp1255": r"\p{Hebrew}",
    "cp1256": r"\p{Arabic}",
    "cp874": r"\p{Thai}",
    "cp932": r"\p{Hiragana}\p{Katakana}ー\p{Han}々",
    "euc-jp": r"\p{Hiragana}\p{Katakana}ー\p{Han}々",
    "gb18030": r"\p{Han}",
    "big5": r"\p{Han}",
    "cp949": r"\p{Hangul}\p{Han}",
}
"""Encodings that are tried for text that is neither UTF-8 nor UTF-16, with the scripts that are written in them."""
JAPANESE = ("cp932", "euc-jp")
COMMON = frozenset("的一是不了在人有我他这這个個们們中来來上大为為和国國のはをにがでとたこれす이다는을가의에은한")
"""Frequent characters of Chinese, Japanese and Korean. A wrong encoding gives rare ones."""
IMPLAUSIBLE = regex.compile(
    r"""(?V1x) [[\p{Cn}\p{Co}\p{Cs}\p{Cc}]--\s] | [\u2500-\u259F\uFF61-\uFF9F]            # control characters, boxes
      | \p{Ll}\p{Lu}{2} | \p{Ll}[\p{Lu}--\p{ASCII}] | \b\p{Ll}\p{Lu}\b                    # capitals in the middle of a word
      | \p{L}[[\p{S}\p{No}§¶¿¡‹›«»„‚†‡•]--\p{ASCII}]\p{L}                                  # symbols in the middle of a word,
      | [\u00A1-\u00BF--«»]{2} | [ƒ\u02C6-\u02DD\uFB00-\uFB06]                             #   several of them, and ligatures
      | [\p{L}--\p{ASCII}]\d[\p{L}--\p{ASCII}]                                            # digits in the middle of a word
      | \p{Latin}[\p{L}--\p{Latin}--\p{Han}--\p{Hangul}--\p{Hiragana}--\p{Katakana}--ー]  # two alphabets in a word
      | [\p{Cyrillic}\p{Greek}\p{Hebrew}\p{Arabic}\p{Thai}]\p{Latin}
      | [\p{Latin}--\p{ASCII}]{5} | \b[\p{Latin}--\p{ASCII}]{3,}\b                        # words of accented letters only
    """
)
"""Signs of a wrong encoding."""
MAX_CONTROL_CHARACTERS, MAX_CONTROL_FRACTION = 3, 0.05
"""Number and share of control characters above which a file is binary."""


def describe_binary(head: bytes, name: str) -> str | None:
    """Explain what a file is that begins with `head`, if it cannot be UTF-8 text; None if it can."""
    for signature, description in NOT_TEXT.items():
        if head.startswith(signature):
            return f"is not plain text but {description.format(name=quote(name))}"
    wide = next((encoding for mark, encoding in MARKED.items() if head.startswith(mark)), None) or _wide_encoding(head)
    if wide:
        return f"is not UTF-8 but {wide.upper()}; convert it: {conversion(wide, name)}"
    control = sum(byte < 32 and byte not in b"\t\n\v\f\r\x1b" for byte in head)
    is_binary = control > max(MAX_CONTROL_CHARACTERS, MAX_CONTROL_FRACTION * len(head))
    return "is not plain text but a binary file" if is_binary else None


def _wide_encoding(head: bytes) -> str | None:
    """Return the UTF-16 or UTF-32 in which text without a byte-order mark is written; None if it is neither.

    Text in these encodings contains bytes of value 0: those of spaces, line ends and Latin letters. Text in an encoding of one
    byte may contain a few too, but most of its bytes are ASCII. UTF-8 may contain a few, but no other control characters.
    """
    if 0 not in head or sum(32 <= byte < 127 for byte in head) > 0.75 * len(head):
        return None
    narrow = _decode(head, "utf-8")
    if narrow and 4 * narrow.count("\0") <= len(narrow) and not _has_control_characters(narrow.replace("\0", "")):
        return None
    texts = {encoding: _decode(head, encoding) for encoding in WIDE}
    plausible = {encoding: text for encoding, text in texts.items() if text and not _has_control_characters(text)}
    return max(plausible, key=lambda encoding: sum(map(str.isascii, plausible[encoding])), default=None)


def _has_control_characters(text: str) -> bool:
    return any(category(character) in ("Cc", "Cn", "Co", "Cs") and not character.isspace() for character in text)


def describe_encoding(sample: bytes, name: str) -> str:
    """Explain how to convert a file that contains `sample`, which begins with a line that is not UTF-8."""
    repaired = sample.decode("utf-8", errors="replace")
    if sum(character > "\x7f" for character in repaired) > 4 * repaired.count("\ufffd"):
        return f"It is UTF-8 with damaged bytes; to remove them: {conversion('utf-8', name, '-c ')}"
    readings: dict[str, str] = {}
    for encoding in LEGACY:
        text = _decode(sample, encoding)
        if text and _is_plausible(text, encoding) and text not in readings.values():
            readings[encoding] = text
    scores = {encoding: sum(character in COMMON for character in text) for encoding, text in readings.items()}
    likely = [encoding for encoding in readings if 2 * scores[encoding] > max(scores.values()) or not any(scores.values())]
    if not likely:
        return f"Its encoding is not known; convert it: {conversion('ENCODING', name)}"
    words = [*zip(*(readings[encoding].split() or [readings[encoding]] for encoding in likely), strict=False)]
    foreign = [row for row in words if not all(map(str.isascii, row))] or words
    different = next((row for row in foreign if len({*row}) > 1), foreign[0])
    described = ", or ".join(f"{word[:20]!r} as {encoding}" for word, encoding in zip(different, likely, strict=True))
    if len(likely) == 1:
        return f"It reads {described}; if that is right, convert it: {conversion(likely[0], name)}"
    example = "cp1252" if "cp1252" in likely else "ENCODING"
    return f"It reads {described}; convert it, for example: {conversion(example, name)}"


def _is_plausible(text: str, encoding: str) -> bool:
    """Return True if a text contains the letters of the scripts of an encoding, and nothing that looks wrong."""
    letters = [character for character in text if character.isalpha() and not character.isascii()]
    own = regex.compile(f"[{LEGACY[encoding]}]")
    return (
        not IMPLAUSIBLE.search(text)
        and all(map(own.match, letters))
        and (encoding not in JAPANESE or regex.search(r"[\p{Hiragana}\p{Katakana}]", text) is not None)
        and (LEGACY[encoding] == r"\p{Latin}" or 3 * len(letters) >= sum(map(str.isalpha, text)))
    )


def _decode(sample: bytes, encoding: str) -> str | None:
    """Decode a sample, which may end inside a character; None if it is not in this encoding."""
    try:
        return getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return None


def conversion(encoding: str, name: str, options: str = "") -> str:
    """Return the shell command that converts a file to UTF-8."""
    packed = name.endswith(".gz")
    path = Path(name.removesuffix(".gz"))
    target = quote(f"{path.stem}.utf8{path.suffix}")
    command = f"iconv {options}-f {encoding} -t utf-8"
    return f"gunzip -c {quote(name)} | {command} > {target}" if packed else f"{command} {quote(name)} > {target}"
