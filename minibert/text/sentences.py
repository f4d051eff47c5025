"""Sentence splitting and layout detection for plain text, including Chinese and Japanese."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

from minibert.text.options import Layout

SENTENCE_END = re.compile(
    r"""(?: (?<=[.!?…]) ["'”’)\]]* (?=\s++ ["'“‘(\[]*+ [^\W_a-z])   # punctuation, then white space, then no lowercase letter
          | (?<=[。！？]) [”’」』）]*                               # no white space in Chinese
          ) \s*""",
    re.VERBOSE,
)
ABBREVIATION = re.compile(r"(?:^|[\s(\"'“‘])(?:[A-Z]|Mrs?|Ms|Dr|St|Prof|Sr|Jr|vs|cf|e\.g|i\.e)\.$")
"""Initials, titles and abbreviations, whose period does not end a sentence."""
ABBREVIATION_BEFORE_NUMBER = re.compile(r"\b(?:No|Fig|Eq)\.$")
"""Abbreviations whose period does not end a sentence if a number follows."""
SENTENCE_FINAL = (*".!?…:;\"'”’)]。！？」』",)
"""Characters that end a complete sentence, for layout detection."""
MAX_SENTENCE_CHARACTERS = 2000
"""Maximum length of a sentence. Longer ones (tables, files without line breaks) are split at spaces."""
LAYOUT_SAMPLE_LINES = 1000
"""Number of lines used for layout detection."""


def split_sentences(paragraph: str) -> list[str]:
    """Split a paragraph into sentences, by punctuation and capital letters.

    >>> split_sentences('Mr. Darcy came. "Why?" she asked. He had £10.5 left.')
    ['Mr. Darcy came.', '"Why?" she asked.', 'He had £10.5 left.']
    >>> split_sentences("机器学习。深度学习！")
    ['机器学习。', '深度学习！']
    """
    sentences, start = [], 0
    for end in SENTENCE_END.finditer(paragraph):
        before, after = paragraph[max(start, end.start() - 8) : end.start()], paragraph[end.end() : end.end() + 1]
        is_abbreviation = ABBREVIATION.search(before) or (after.isdigit() and ABBREVIATION_BEFORE_NUMBER.search(before))
        if not is_abbreviation:
            sentences.append(paragraph[start : end.end()].strip())
            start = end.end()
    if rest := paragraph[start:].strip():
        sentences.append(rest)
    return sentences


def detect_layout(lines: Iterable[str]) -> Layout:
    """Detect the layout of a text from its first lines.

    wrapped: most lines do not end a sentence, blank lines separate groups of lines, and the longest has 40 to 120 characters.
    paragraphs: lines have more than 1.5 sentences on average.
    """
    sample = [line.strip() for line in islice(lines, LAYOUT_SAMPLE_LINES)]
    not_blank = [line for line in sample if line]
    complete = sum(line.endswith(SENTENCE_FINAL) for line in not_blank)
    blocks = sum(bool(line) and not before for before, line in pairwise(["", *sample]))
    if 1 < 3 * blocks <= 2 * len(not_blank) and 2 * complete < len(not_blank) and 40 <= max(map(len, not_blank)) <= 120:
        return "wrapped"
    sentences = sum(len(split_sentences(line)) for line in not_blank)
    return "paragraphs" if 2 * sentences > 3 * len(not_blank) else "lines"


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
        if layout == "lines" and line:
            sentences += _split_long(line)
        elif layout == "paragraphs" and line:
            sentences += _paragraph_sentences(line)
        elif layout == "wrapped" and line:
            paragraph.append(line)
        elif paragraph:
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
