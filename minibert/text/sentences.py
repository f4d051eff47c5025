"""Where a sentence ends, and how a file of text is laid out: Chinese and Japanese included."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

from minibert.text.options import Layout

SENTENCE_END = re.compile(
    r"""(?: (?<=[.!?…]) ["'”’)\]]* (?=\s++ ["'“‘(\[]*+ [^\W_a-z])   # a stop, then a space and no small letter
          | (?<=[。！？]) [”’」』）]*                               # no space follows in Chinese
          ) \s*""",
    re.VERBOSE,
)
ABBREVIATION = re.compile(r"(?:^|[\s(\"'“‘])(?:[A-Z]|Mrs?|Ms|Dr|St|Prof|Sr|Jr|vs|cf|e\.g|i\.e)\.$")
"""Ends with a stop that is no end: an initial, a title."""
NUMBERED = re.compile(r"\b(?:No|Fig|Eq)\.$")
"""Ends with one that is none before a number."""
ENDS = (*".!?…:;\"'”’)]。！？」』",)
LONGEST_SENTENCE = 2000
"""In characters. What is longer is a table or a file without line ends; it is cut at a space, and nothing of it is lost."""
LOOKED_AT = 1000


def split_sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph, by punctuation and capital letters.

    >>> split_sentences('Mr. Darcy came. "Why?" she asked. He had £10.5 left.')
    ['Mr. Darcy came.', '"Why?" she asked.', 'He had £10.5 left.']
    >>> split_sentences("机器学习。深度学习！")
    ['机器学习。', '深度学习！']
    """
    sentences, start = [], 0
    for end in SENTENCE_END.finditer(paragraph):
        before, after = paragraph[max(start, end.start() - 8) : end.start()], paragraph[end.end() : end.end() + 1]
        if not ABBREVIATION.search(before) and not (after.isdigit() and NUMBERED.search(before)):
            sentences.append(paragraph[start : end.end()].strip())
            start = end.end()
    if rest := paragraph[start:].strip():
        sentences.append(rest)
    return sentences


def guess_layout(lines: Iterable[str]) -> Layout:
    """What the first thousand lines look like."""
    some = [line.strip() for line in islice(lines, LOOKED_AT)]
    full = [line for line in some if line]
    ending = sum(line.endswith(ENDS) for line in full)
    blocks = sum(bool(line) and not before for before, line in pairwise(["", *some]))
    if 1 < 3 * blocks <= 2 * len(full) and 2 * ending < len(full) and 40 <= max(map(len, full)) <= 120:
        return "wrapped"
    sentences = sum(len(split_sentences(line)) for line in full)
    return "paragraphs" if 2 * sentences > 3 * len(full) else "lines"


def documents_in(lines: Iterable[str], layout: Layout) -> Iterator[list[str]]:
    """The sentences of each document in a text; documents without any are left out."""
    paragraph: list[str] = []
    sentences: list[str] = []
    blank = 0
    for line in lines:
        line = line.strip()
        if line and blank >= (2 if layout == "wrapped" else 1):
            if sentences:
                yield sentences
            sentences = []
        blank = 0 if line else blank + 1
        if layout == "lines" and line:
            sentences += _cut(line)
        elif layout == "paragraphs" and line:
            sentences += _sentences(line)
        elif layout == "wrapped" and line:
            paragraph.append(line)
        elif paragraph:
            sentences += _sentences(" ".join(paragraph))
            paragraph = []
    sentences += _sentences(" ".join(paragraph))
    if sentences:
        yield sentences


def _sentences(paragraph: str) -> list[str]:
    return [part for sentence in split_sentences(paragraph) for part in _cut(sentence)]


def _cut(sentence: str) -> list[str]:
    """A sentence in parts of at most `LONGEST_SENTENCE` characters, at spaces where there are any."""
    parts, start = [], 0
    while len(sentence) - start > LONGEST_SENTENCE:
        end = sentence.rfind(" ", start + 1, start + LONGEST_SENTENCE)
        end = start + LONGEST_SENTENCE if end < 0 else end
        parts.append(sentence[start:end])
        start = end + (sentence[end] == " ")
    return [*parts, sentence[start:]]
