# ruff: noqa
"""Answers of students to the exercise split_word."""

MAX_WORD_CHARACTERS = 100
UNK = "[UNK]"


def answer_01(word, vocabulary):
    if len(word) > MAX_WORD_CHARACTERS:
        return (UNK,)
    pieces = []
    start = 0
    while start < len(word):
        end = len(word)
        while end > start and word[start:end] not in vocabulary:
            end -= 1
        if end == start:
            return (UNK,)
        pieces.append(word[start:end])
        start = end
    return tuple(pieces)


def answer_02(word, vocabulary):
    if len(word) > MAX_WORD_CHARACTERS:
        return (UNK,)
    tokens, rest = [], word
    while rest:
        prefix = "##" if tokens else ""
        for n in range(len(rest), 0, -1):
            if prefix + rest[:n] in vocabulary:
                tokens.append(prefix + rest[:n])
                rest = rest[n:]
                break
        else:
            tokens.append(UNK)
            break
    return tuple(tokens)


def answer_03(word, vocabulary):
    out = []
    i = 0
    while i < len(word):
        for j in range(len(word), i, -1):
            sub = word[i:j] if i == 0 else "##" + word[i:j]
            if sub in vocabulary:
                out.append(sub)
                i = j
                break
        else:
            return (UNK,)
    return tuple(out)


def answer_04(word, vocabulary):
    if len(word) > MAX_WORD_CHARACTERS:
        return (UNK,)
    out = []
    start = 0
    while start < len(word):
        found = None
        for end in range(start + 1, len(word) + 1):
            piece = word[start:end]
            if start > 0:
                piece = "##" + piece
            if piece in vocabulary:
                found = piece
                break
        if found is None:
            return (UNK,)
        out.append(found)
        start = end
    return tuple(out)


def answer_05(word, vocabulary):
    def go(rest, prefix):
        if not rest:
            return ()
        for n in range(len(rest), 0, -1):
            if prefix + rest[:n] in vocabulary:
                tail = go(rest[n:], "##")
                return None if tail is None else (prefix + rest[:n],) + tail
        return None

    if len(word) > MAX_WORD_CHARACTERS:
        return (UNK,)
    pieces = go(word, "")
    return (UNK,) if pieces is None else pieces
