"""Added tokens, such as the special tokens: they are found in a text before it is split into words."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from tokenizers import AddedToken

WHITE_SPACE = "".join(one for one in map(chr, range(0x3001)) if one.isspace() and one not in "\x1c\x1d\x1e\x1f")
"""Unicode's white space. Python counts four separators of ASCII to it, too."""


class Part(NamedTuple):
    """A part of a text, or a word."""

    text: str
    added: str | None = None
    """The added token that it stands for."""


def find_added_tokens(
    text: str, added: Collection[AddedToken], normalize: Callable[[str], str] = lambda text: text
) -> list[Part]:
    """Split a text into added tokens and the normalized text between them.

    Tokens with `normalized` are searched in the normalized text, after the others. Of several that are equal there, the first
    one is found; `tokenizers` finds any of them.
    """
    tokens = sorted(added, key=lambda token: not token.special)  # of equal tokens, the first one is found
    early = {token.content: token for token in tokens if not token.normalized}
    late = {normalize(token.content): token for token in reversed(tokens) if token.normalized}
    return [
        part
        for raw in split_added_tokens(text, early)
        for part in ([raw] if raw.added else split_added_tokens(normalize(raw.text), late))
    ]


def split_added_tokens(text: str, added: Mapping[str, AddedToken]) -> list[Part]:
    """Split a text into added tokens and the text between them. Of several tokens at a place, the longest is found.

    A token with `single_word` is not found inside a word. One with `lstrip` or `rstrip` includes the spaces next to it.

    >>> [part.text for part in split_added_tokens("A [MASK] shape", {"[MASK]": AddedToken("[MASK]")})]
    ['A ', '[MASK]', ' shape']
    """
    longest_first = sorted(filter(None, added), key=len, reverse=True)
    parts, end = [], 0
    for found in re.finditer("|".join(map(re.escape, longest_first)), text) if longest_first else ():
        token, (start, stop) = added[found[0]], found.span()
        if token.single_word and (re.match(r"\w", text[start - 1 : start]) or re.match(r"\w", text[stop:])):
            continue
        if token.lstrip:
            start = max(end, len(text[:start].rstrip(WHITE_SPACE)))
        if token.rstrip:
            stop = len(text) - len(text[stop:].lstrip(WHITE_SPACE))
        parts += [Part(text[end:start])] if start > end else []
        parts.append(Part(text[start:stop], token.content))
        end = stop
    return [*parts, Part(text[end:])] if end < len(text) else parts
