"""Mistakes in WordPiece encoding."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.text.wordpiece_encoding import match_steps, split_word

CAN_BE_SPLIT = """    def can_be_split(rest):
        ends = [end for end in range(1, len(rest) + 1) if CONTINUATION_PREFIX + rest[:end] in vocabulary]
        return not rest or any(can_be_split(rest[end:]) for end in ends)

    rest, prefix = word, ""
"""

FROM_THE_END = """    def from_the_end(rest):
        starts = (start for start in range(len(rest)) if ("##" if start else "") + rest[start:] in vocabulary)
        start = next(starts, None)
        if not rest or start is None:
            return [None] if rest else []
        return [*from_the_end(rest[:start]), ("##" if start else "") + rest[start:]]

    if len(word) > MAX_WORD_CHARACTERS:
"""
UNKNOWN_LETTERS = """    def with_unknown_letters(word):
        pieces, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in vocabulary), None)
            pieces.append(None if end is None else prefix + word[start:end])
            start = start + 1 if end is None else end
        return pieces

    if len(word) > MAX_WORD_CHARACTERS:
"""

WORDPIECE_MISTAKES = [
    Mistake(
        "shortest match first",
        match_steps,
        (("range(len(rest), 0, -1)", "range(1, len(rest) + 1)"),),
        "The shortest prefix is tried first.",
        "Words become single letters.",
        "learners",
        message="You tried the shortest prefix first. The longest match comes first.",
    ),
    Mistake(
        "pieces of one character not tried",
        match_steps,
        (("range(len(rest), 0, -1)", "range(len(rest), 1, -1)"),),
        "Prefixes of one character are not looked up.",
        "Rare words, which end in single letters, become [UNK].",
        "learners: off by one",
        message="You did not look up pieces of one character.",
    ),
    Mistake(
        "backtracking",
        match_steps,
        (
            ('    rest, prefix = word, ""\n', CAN_BE_SPLIT),
            (
                "if candidate in vocabulary",
                "if candidate in vocabulary and can_be_split(rest[len(candidate) - len(prefix) :])",
            ),
        ),
        "A shorter piece is used if the rest after a longer one has no match.",
        "A few words have other pieces than in the tokenizer of the checkpoint.",
        "learners who write a recursive function",
        message="You went back to a shorter piece. There is no way back: the longest match stays, and the word is [UNK].",
    ),
    Mistake(
        "pieces looked up without their prefix",
        match_steps,
        (("if candidate in vocabulary", "if candidate[len(prefix) :] in vocabulary"),),
        "A piece inside a word is looked up without ##.",
        "Pieces are returned that the vocabulary may not have.",
        "learners",
        message="You looked up the pieces inside a word without ##, and added it afterwards.",
    ),
    Mistake(
        "longest match at the end first",
        split_word,
        (
            ("pieces = [step.piece for step in match_steps(word, vocabulary)]", "pieces = from_the_end(word)"),
            ("    if len(word) > MAX_WORD_CHARACTERS:\n", FROM_THE_END),
        ),
        "The pieces are searched from the end of the word.",
        "Many words have other pieces than in the tokenizer of the checkpoint.",
        "learners",
        message="You searched from the end of the word. The first piece is the longest possible beginning.",
    ),
    Mistake(
        "no prefix inside words",
        match_steps,
        (
            (
                "rest, prefix = rest[len(piece) - len(prefix) :], CONTINUATION_PREFIX",
                'rest, prefix = rest[len(piece) - len(prefix) :], ""',
            ),
        ),
        "Pieces inside a word have no ##.",
        "The pieces of a word cannot be told from words.",
        "learners",
        message="You left out ## before the pieces inside a word.",
    ),
    Mistake(
        "prefix at the beginning of a word",
        match_steps,
        (('rest, prefix = word, ""', "rest, prefix = word, CONTINUATION_PREFIX"),),
        "The first piece has a ## too.",
        "Beginnings of words are taken for their inside.",
        "learners",
        message="You put ## before the first piece too.",
    ),
    Mistake(
        "whole word not tried",
        match_steps,
        (("range(len(rest), 0, -1)", "range(len(rest) - (prefix == ''), 0, -1)"),),
        "The whole word is not looked up.",
        "Frequent words are split.",
        "learners: off by one",
        message="You did not look up the whole word.",
    ),
    Mistake(
        "unknown piece only",
        split_word,
        (
            (
                "tuple(piece or unk_token for piece in pieces) if None not in pieces else (unk_token,)",
                "tuple(piece or unk_token for piece in pieces)",
            ),
        ),
        "Only the rest that has no match becomes [UNK].",
        "The same word has other pieces than in the tokenizer of the checkpoint.",
        "learners",
        message="You kept the pieces before the unknown one. The whole word becomes [UNK].",
    ),
    Mistake(
        "unknown rest dropped",
        split_word,
        (
            (
                "tuple(piece or unk_token for piece in pieces) if None not in pieces else (unk_token,)",
                "tuple(piece for piece in pieces if piece)",
            ),
        ),
        "The rest that has no match is left out.",
        "Letters disappear without a trace.",
        "learners",
        message="You left out the rest that has no match. The whole word becomes [UNK].",
    ),
    Mistake(
        "nothing for an unknown word",
        split_word,
        (("else (unk_token,)\n", "else ()\n"),),
        "An unknown word has no pieces.",
        "Words disappear without a trace.",
        "learners",
        message="You returned nothing for an unknown word. It becomes [UNK].",
    ),
    Mistake(
        "unknown word as it is",
        split_word,
        (("else (unk_token,)\n", "else (word,)\n"),),
        "An unknown word is one piece.",
        "It has no id.",
        "learners",
        message="You returned an unknown word as it is. It becomes [UNK].",
    ),
    Mistake(
        "unknown letters as pieces",
        split_word,
        (
            ("[step.piece for step in match_steps(word, vocabulary)]", "with_unknown_letters(word)"),
            ("    if len(word) > MAX_WORD_CHARACTERS:\n", UNKNOWN_LETTERS),
            ("if None not in pieces else (unk_token,)", "if True else ()"),
        ),
        "A letter in no piece becomes [UNK], and the search goes on behind it.",
        "The same word has other pieces than in the tokenizer of the checkpoint.",
        "learners",
        message="You replaced only the unknown letter by [UNK]. The whole word becomes one [UNK].",
    ),
    Mistake(
        "words not split",
        split_word,
        (
            (
                "pieces = [step.piece for step in match_steps(word, vocabulary)]",
                "pieces = [word if word in vocabulary else None]",
            ),
        ),
        "A word that is not in the vocabulary is unknown.",
        "Most rare words are [UNK].",
        "word-level tokenizers",
        message="You found no pieces inside a word, only whole words of the vocabulary. Pieces inside a word begin with ##.",
    ),
    Mistake(
        "prefix removed from the pieces",
        split_word,
        (
            (
                "[step.piece for step in match_steps(word, vocabulary)]",
                '[step.piece and step.piece.removeprefix("##") for step in match_steps(word, vocabulary)]',
            ),
        ),
        "The pieces are returned without ##.",
        "Their ids are those of other pieces, or missing.",
        "learners",
        message="You removed ## from the pieces.",
    ),
    Mistake(
        "string instead of a tuple",
        split_word,
        (
            ("        return (unk_token,)\n", "        return unk_token\n"),
            ("else (unk_token,)\n", "else unk_token\n"),
        ),
        "An unknown word gives the text [UNK] instead of a tuple with this text.",
        "Its characters are taken for tokens.",
        "learners: (UNK) without a comma",
        message="You returned the text [UNK] for an unknown word instead of a tuple. A tuple of one needs a comma: (UNK,).",
    ),
    Mistake(
        "longest words unknown",
        split_word,
        (("len(word) > MAX_WORD_CHARACTERS", "len(word) >= MAX_WORD_CHARACTERS"),),
        "A word of exactly the greatest length is unknown.",
        "It has other pieces than in the tokenizer of the checkpoint.",
        "learners: off by one",
        message="You treated a word of exactly MAX_WORD_CHARACTERS characters as too long.",
    ),
    Mistake(
        "long word as it is",
        split_word,
        (("        return (unk_token,)\n", "        return (word,)\n"),),
        "A word that is too long is returned as one piece.",
        "It has no id.",
        "learners",
        Kind.UNSAFE,
        message="You returned a word that is too long as it is. It becomes [UNK].",
    ),
    Mistake(
        "no longest word",
        split_word,
        (("if len(word) > MAX_WORD_CHARACTERS:", "if False:"),),
        "Words of any length are split.",
        "A line without spaces takes very long.",
        "learners",
        Kind.UNSAFE,
        message="You did not limit the length of a word.",
    ),
]
