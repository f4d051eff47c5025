# ruff: noqa
"""Answers of students to the exercise split_word."""

MAX_WORD_CHARACTERS = 100
UNK = "[UNK]"


def answer_01(word, vocabulary):
    if len(word) > MAX_WORD_CHARACTERS:
        return (UNK,)
    tokens, start = [], 0
    while start < len(word):
        for end in range(start + 1, len(word) + 1):
            piece = word[start:end] if start == 0 else "##" + word[start:end]
            if piece in vocabulary:
                tokens.append(piece)
                start = end
                break
        else:
            return (UNK,)
    return tuple(tokens)


def answer_02(word, vocabulary):
    if len(word) >= MAX_WORD_CHARACTERS:
        return (UNK,)
    pieces = []
    rest, prefix = word, ""
    while rest:
        n = len(rest)
        while n > 0 and prefix + rest[:n] not in vocabulary:
            n -= 1
        if n == 0:
            return (UNK,)
        pieces.append(prefix + rest[:n])
        rest, prefix = rest[n:], "##"
    return tuple(pieces)


def answer_03(word, vocabulary):
    if len(word) > MAX_WORD_CHARACTERS:
        return (UNK,)
    output_tokens = []
    start = 0
    while start < len(word):
        end = len(word)
        cur_substr = None
        while start + 1 < end:
            substr = word[start:end]
            if start > 0:
                substr = "##" + substr
            if substr in vocabulary:
                cur_substr = substr
                break
            end -= 1
        if cur_substr is None:
            return (UNK,)
        output_tokens.append(cur_substr)
        start = end
    return tuple(output_tokens)


def answer_04(word, vocabulary):
    if len(word) > MAX_WORD_CHARACTERS:
        return (UNK,)
    tokens = []
    i = 0
    while i < len(word):
        for j in range(len(word), i, -1):
            sub = ("##" if i else "") + word[i:j]
            if sub in vocabulary:
                tokens.append(sub)
                i = j
                break
        else:
            tokens.append(UNK)
            break
    return tuple(tokens)


def _search(rest, prefix, vocabulary):
    if not rest:
        return []
    for n in range(len(rest), 0, -1):
        if prefix + rest[:n] in vocabulary:
            tail = _search(rest[n:], "##", vocabulary)
            if tail is not None:
                return [prefix + rest[:n]] + tail
    return None


def answer_05(word, vocabulary):
    if len(word) > MAX_WORD_CHARACTERS:
        return (UNK,)
    found = _search(word, "", vocabulary)
    return tuple(found) if found is not None else (UNK,)


def answer_06(word, vocabulary):
    if len(word) > MAX_WORD_CHARACTERS:
        return UNK
    result = ()
    position = 0
    while position < len(word):
        marker = "" if position == 0 else "##"
        ends = [e for e in range(len(word), position, -1) if marker + word[position:e] in vocabulary]
        if not ends:
            return UNK
        result += (marker + word[position : ends[0]],)
        position = ends[0]
    return result


def answer_07(word, vocabulary):
    if len(word) > MAX_WORD_CHARACTERS:
        return (UNK,)
    out = []
    rest = word
    while rest:
        match = next((rest[:k] for k in range(len(rest), 0, -1) if rest[:k] in vocabulary), None)
        if match is None:
            return (UNK,)
        out.append(match if not out else "##" + match)
        rest = rest[len(match) :]
    return tuple(out)


def answer_08(word, vocabulary):
    if len(word) > 100:
        return ("[UNK]",)
    tokens = []
    left = word
    while left:
        head = "##" if tokens else ""
        prefixes = [left[:n] for n in range(1, len(left) + 1)]
        known = [p for p in prefixes if head + p in vocabulary]
        if not known:
            return ("[UNK]",)
        best = max(known, key=len)
        tokens.append(head + best)
        left = left.removeprefix(best)
    return tuple(tokens)
