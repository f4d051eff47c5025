"""Text for messages.

Text from files and users is made safe to print: tokens, file names, tensor names, column names, and the values of configs.
"""

import re

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal or a pager obeys, or cannot print.

They are the control characters (C0, DEL, C1), line separators, the overrides and isolates of text direction, and lone
surrogates, which stand for the bytes of a file name that are not UTF-8.
"""


def printable(text: object, lines: bool = False) -> str:
    r"""Replace characters that could change the display of a terminal with their escape sequence, as JSON and Python write it.

    Args:
        text: the text, or an object to convert to text, such as a path or an exception.
        lines: keep line ends, for text of several lines.

    >>> print(printable("a\x1b[31m [b]"))
    a\u001b[31m [b]
    """
    return UNSAFE.sub(lambda found: found[0] if lines and found[0] == "\n" else f"\\u{ord(found[0]):04x}", str(text))


def with_article(name: str) -> str:
    """Return the name of a network with its article.

    >>> with_article("AlbertModel"), with_article("MT5ForConditionalGeneration"), with_article("GPT2LMHeadModel")
    ('an AlbertModel', 'an MT5ForConditionalGeneration', 'a GPT2LMHeadModel')
    """
    starts_with_vowel = name.lower().startswith(("a", "e", "i", "o", "mt5"))  # the letter M is spoken "em"
    return f"{'an' if starts_with_vowel else 'a'} {name}"
