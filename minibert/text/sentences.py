"""Sentence splitting and layout detection for plain text in any script."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice, pairwise
from unicodedata import east_asian_width

import regex

from minibert.text.options import Layout

SPACED_STOPS = r".．!?…‼⁇⁈⁉\u037E"
"""Stops that also occur inside words, numbers and addresses. They end a sentence only before white space."""
STOP = rf"[\p{{Sentence_Terminal}}{SPACED_STOPS}--\u104A]"
"""Stops of all scripts: Unicode's property Sentence_Terminal, without the comma of Burmese."""
CLOSING = r"""["'\p{Close_Punctuation}\p{Final_Punctuation}]"""
SENTENCE_END = regex.compile(
    rf"""(?V1x)
    (?: (?<![{SPACED_STOPS}]) (?P<stop> [{SPACED_STOPS}]++ | (?<=\p{{Greek}});)         # a stop, which in Greek may be ";",
        [\p{{Sentence_Break=Close}}]*+ (?:\s»(?=\s))?+                                   # closing quotation marks,
        (?=\s++ (?:(?!{STOP})[\W_])*+ (?P<next>[^\W_]))                                 # white space, and a letter or digit
      | (?![{SPACED_STOPS}]) {STOP} {STOP}*+                                          # a stop that needs no white space
        {CLOSING}*+ (?!\p{{Sentence_Break=SContinue}})
      | (?:(?<![\d.])[.．] | [!?]) {CLOSING}*+ (?=\s*+ [\p{{Han}}\p{{Hiragana}}\p{{Katakana}}])
    ) \s*+"""
)
"""Possible ends of sentences."""
ABBREVIATION = regex.compile(
    r"""(?V1x) (?<![^\s(\[{"'“‘«„]) (?: \p{Lu} | [\p{Ll}--a-z] | [dhpuz]    # initials, of other scripts in lower case too
        | Mrs?|Ms|Dr|St|Prof|Sr|Jr|Messrs|vs|cf|e\.g|i\.e               # English
        | Hrn?|bzw|ca|z\.B|d\.h | Mme|Mlle|MM | Sra|Srta | им|ул|т\.е | डॉ
        ) \.$"""
)
"""Initials, titles and abbreviations, whose period does not end a sentence."""
ABBREVIATION_BEFORE_NUMBER = regex.compile(r"\b(?:[Nn]o|Fig|Eq|[Vv]ol|pp|Nr|Abb|Bd|стр|рис|\d{1,2})\.$")
"""Abbreviations and parts of dates, whose period does not end a sentence if a number follows."""
ABBREVIATION_BEFORE_LOWERCASE = regex.compile(r"(?:\b(?:etc|usw|approx|no|fig|\p{L})|\.\.)\.$|…$")
"""Abbreviations and ellipses, which do not end a sentence if a lowercase letter follows."""
LIST_NUMBER = regex.compile(r"\W{0,3}\d{1,3}\.")
"""Number of an item of a list, whose period does not end a sentence."""
FIRST_CASED_LETTER = regex.compile(r"[\p{Sentence_Break=Upper}\p{Sentence_Break=Lower}]")
LOWERCASE = regex.compile(r"\p{Sentence_Break=Lower}")
LINE_END = regex.compile(rf"(?V1)(?:{STOP}|[:;])[\p{{Sentence_Break=Close}}\s]*$")
"""End of a line that ends with a complete sentence, for layout detection."""
MIN_WRAP_WIDTH, MAX_WRAP_WIDTH = 40, 160
"""Limits of the width of wrapped text."""
MAX_SENTENCE_CHARACTERS = 2000
"""Maximum length of a sentence. Longer ones (tables, files without line breaks) are split at spaces."""
LAYOUT_SAMPLE_LINES = 1000
"""Number of lines used for layout detection."""


def split_sentences(paragraph: str) -> list[str]:
    """Split a paragraph into sentences, by the punctuation of all scripts and by capital letters.

    A stop before a lowercase letter ends a sentence only in a paragraph whose sentences all begin with lowercase letters.

    Source: Unicode Standard Annex 29, section 5, rules SB6 to SB11.
    Differs: a Western stop needs white space, so that addresses such as example.org?q=1 stay whole. "!" and "?" before a
        lowercase letter do not end a sentence. A digit can begin one. Opening quotation marks belong to the next sentence.
        Titles, initials and abbreviations are kept with the name or number that follows.

    >>> split_sentences('Mr. Darcy came. "Why?" she asked. He had £10.5 left.')
    ['Mr. Darcy came.', '"Why?" she asked.', 'He had £10.5 left.']
    >>> split_sentences("机器学习。深度学习！")
    ['机器学习。', '深度学习！']
    """
    ends = [*SENTENCE_END.finditer(paragraph)]
    can_begin_lowercase = _begins_sentences_in_lowercase(paragraph, ends)
    sentences, start = [], 0
    for end in ends:
        following = end["next"] or ""
        if LOWERCASE.match(following) and not can_begin_lowercase:
            continue
        if end["stop"] and _is_abbreviation(paragraph[max(start, end.end("stop") - 12) : end.end("stop")], following):
            continue
        sentences.append(paragraph[start : end.end()].strip())
        start = end.end()
    if rest := paragraph[start:].strip():
        sentences.append(rest)
    return sentences


def _begins_sentences_in_lowercase(paragraph: str, ends: "Iterable[regex.Match[str]]") -> bool:
    """Return True for text that is written without capital letters, except in names."""
    first = FIRST_CASED_LETTER.search(paragraph)
    letters = [first[0] if first else "", *(end["next"] for end in ends if end["next"])]
    return all(LOWERCASE.match(letter) or not FIRST_CASED_LETTER.match(letter) for letter in letters)


def _is_abbreviation(word: str, following: str) -> bool:
    """Return True if the stop at the end of `word` does not end a sentence before a word that begins with `following`."""
    return bool(
        ABBREVIATION.search(word)
        or LIST_NUMBER.fullmatch(word)
        or (following.isdigit() and ABBREVIATION_BEFORE_NUMBER.search(word))
        or (LOWERCASE.match(following) and ABBREVIATION_BEFORE_LOWERCASE.search(word))
    )


def detect_layout(lines: Iterable[str]) -> tuple[Layout, str]:
    """Detect the layout of a text from its first lines. Return it with the reason, in words.

    wrapped: lines break where the next word would not fit, in the middle of sentences. Or each paragraph is one line, one
        blank line separates paragraphs, and several separate documents.
    paragraphs: lines have more than 1.5 sentences on average.
    """
    sample = [line.strip() for line in islice(lines, LAYOUT_SAMPLE_LINES)]
    text_lines = [line for line in sample if line]
    if not text_lines:
        return "lines", "there is no text"
    if width := _wrap_width(sample):
        return "wrapped", f"lines break near column {width}, inside sentences"
    if _has_blank_lines_between_paragraphs(sample):
        return "wrapped", "one blank line between paragraphs, more between documents"
    sentences = sum(len(split_sentences(line)) for line in text_lines) / len(text_lines)
    return "paragraphs" if sentences > 1.5 else "lines", f"{sentences:.1f} sentences per line"


def _wrap_width(sample: Sequence[str]) -> int | None:
    """Return the width at which the lines of a text are wrapped; None if they are not.

    Lines are wrapped if most could not hold the first word of the next line, and if sentences begin and end inside the lines.
    """
    text_lines = [line for line in sample if line]
    breaks = [(line, following) for line, following in pairwise(sample) if line and following]
    if 3 * len(breaks) < len(text_lines):
        return None
    widths = [_columns(line) for line, _ in breaks]
    width = sorted(widths)[len(widths) * 4 // 5]
    filled = sum(before + 1 + _columns(_first_word(line)) > width for before, (_, line) in zip(widths, breaks, strict=True))
    cut = sum(not LINE_END.search(line) for line, _ in breaks)
    capitals = sum(_begins_with_capital(line) for _, line in breaks)
    with_inner_end = sum(len(split_sentences(line)) > 1 for line in text_lines)
    is_wrapped = (
        MIN_WRAP_WIDTH <= width <= MAX_WRAP_WIDTH
        and filled > 0.6 * len(breaks)  # 0.76 to 1.0 in wrapped text, at most 0.4 in utterances
        and cut > 0.5 * len(breaks)
        and capitals < 0.6 * len(breaks)
        and with_inner_end > 0.04 * len(text_lines)
    )
    return width if is_wrapped else None


def _columns(text: str) -> int:
    """Return the width of a text in columns. Characters of Chinese, Japanese and Korean take two."""
    return len(text) + sum(east_asian_width(character) in "WF" for character in text)


def _first_word(line: str) -> str:
    """Return the first word, or the first character if it is of a script that needs no spaces between words."""
    return line[0] if east_asian_width(line[0]) in "WF" else line.split(maxsplit=1)[0]


def _begins_with_capital(line: str) -> bool:
    first = FIRST_CASED_LETTER.search(line)
    return first is not None and not LOWERCASE.match(first[0])


def _has_blank_lines_between_paragraphs(sample: Sequence[str]) -> bool:
    """Return True if all paragraphs are single lines, and most are separated by one blank line, some by more."""
    runs = [(bool(is_text), len([*run])) for is_text, run in groupby(sample, key=bool)]
    gaps = [length for is_text, length in runs[1:-1] if not is_text]
    wide = sum(length > 1 for length in gaps)
    return 0 < wide < len(gaps) / 2 and all(length == 1 for is_text, length in runs if is_text)


def parse_documents(lines: Iterable[str], layout: Layout) -> Iterator[list[str]]:
    """Yield the sentences of each document in a text. Empty documents are skipped."""
    paragraph: list[str] = []
    sentences: list[str] = []
    blank_lines = 0
    for line in lines:
        line = line.strip()
        if line and blank_lines >= (2 if layout == "wrapped" else 1):
            if sentences:
                yield sentences
            sentences = []
        blank_lines = 0 if line else blank_lines + 1
        if layout == "documents" and line:
            yield _paragraph_sentences(line)
        elif layout == "lines" and line:
            sentences += _split_long(line)
        elif layout == "paragraphs" and line:
            sentences += _paragraph_sentences(line)
        elif layout == "wrapped" and line:
            paragraph.append(line)
        else:
            sentences += _paragraph_sentences(" ".join(paragraph))
            paragraph = []
    sentences += _paragraph_sentences(" ".join(paragraph))
    if sentences:
        yield sentences


def _paragraph_sentences(paragraph: str) -> list[str]:
    return [part for sentence in split_sentences(paragraph) for part in _split_long(sentence)]


def _split_long(sentence: str) -> list[str]:
    """Split a sentence into parts of at most `MAX_SENTENCE_CHARACTERS`, at spaces if possible."""
    parts, start = [], 0
    while len(sentence) - start > MAX_SENTENCE_CHARACTERS:
        end = sentence.rfind(" ", start + 1, start + MAX_SENTENCE_CHARACTERS)
        end = start + MAX_SENTENCE_CHARACTERS if end < 0 else end
        parts.append(sentence[start:end])
        start = end + (sentence[end] == " ")
    return [*parts, sentence[start:]]
