"""Windows of contexts, and the tokens of answers in texts that the tokenizer changes."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.text.labeled.options import check_windows
from minibert.text.labeled.question_windows import encode_questions, max_question_length
from minibert.text.labeled.squad import read_squad
from minibert.text.labeled.squad_checks import Answer, Question
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEİéß½ﬁñå北京大가각नस1.,'’-[]"
VOCABULARY = [*SPECIAL_TOKENS, *LETTERS, *(f"##{letter}" for letter in LETTERS), "mask", "cafe", "##fe"]
TOKENIZERS = [build_tokenizer(VOCABULARY, lowercase) for lowercase in (True, False)]
HOSTILE_WORDS = [
    "abc",
    "cafe\u0301",
    "caf\u00e9",
    "\u0130",
    "\u0130zmir",
    "I\u0307",
    "A\u030a",
    "e\u0301\u0323e\u0301",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\u2764\ufe0f",
    "\U0001f44d\U0001f3fd",
    "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    "x\u0000y",
    "so\u00adft",
    "zero\u200bwidth",
    "北京",
    "각",
    "\u1100\u1161\u11a8",
    "नस\u094dत\u0947",
    "ﬁne",
    "½",
    "STRASSE",
    "a" * 101,
    "[MASK]",
    "[SEP]",
    "d'e’f",
    "q\u0304",
    "1,5.",
]
BLANKS = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u2028", " \u200b ", "\u0000 ", " \u0301 "]


def row(context: str, answer: str | None = None, start: int = 0, question: str = "a") -> Question:
    return Question("id", question, context, None if answer is None else (Answer(answer, start),))


def slices(window, context: str) -> str:
    """Return the part of the context between the targets of a window."""
    first, last = (window.targets[name] - window.first for name in ("start_positions", "end_positions"))
    return context[window.spans[first][0] : window.spans[last][1]]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["uncased", "cased"])
@given(data=st.data())
def test_words_are_found_again_in_every_text(tokenizer, data) -> None:
    """The tokens of an answer that consists of whole words give exactly its characters, whatever the normalization removes."""
    words = data.draw(st.lists(st.sampled_from(HOSTILE_WORDS), min_size=1, max_size=12))
    blanks = data.draw(st.lists(st.sampled_from(BLANKS), min_size=len(words) + 1, max_size=len(words) + 1))
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    parts = [part for pair in zip(blanks, words, strict=False) for part in pair] + [blanks[-1]]
    start = len("".join(parts[: 2 * first + 1]))
    answer = "".join(parts[2 * first + 1 : 2 * last + 2])
    context = "".join(parts)
    [window] = encode_questions([row(context, answer, start)], tokenizer, max_length=2000, overlap=0)
    assert slices(window, context) == answer


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["uncased", "cased"])
@given(data=st.data())
def test_an_answer_is_extended_to_whole_pieces(tokenizer, data) -> None:
    """The tokens of an answer are those that overlap with it. Every letter of a context has a token."""
    context = "".join(data.draw(st.lists(st.sampled_from([*HOSTILE_WORDS, *BLANKS]), min_size=1, max_size=8)))
    start = data.draw(st.integers(0, len(context) - 1))
    answer = context[start : data.draw(st.integers(start + 1, len(context)))]
    [window] = encode_questions([row(context, answer, start)], tokenizer, max_length=2000, overlap=0)
    inside = [span for span in window.spans if span[0] < start + len(answer) and start < span[1]]
    if inside:
        assert slices(window, context) == context[inside[0][0] : inside[-1][1]]
    else:
        assert window.targets == {"start_positions": IGNORE_INDEX, "end_positions": IGNORE_INDEX}
    visible = [index for index, character in enumerate(context) if character.isalnum()]
    assert all(any(low <= index < high for low, high in window.spans) for index in visible)


def test_the_parts_of_tokens_do_not_overlap_if_an_accent_is_a_token() -> None:
    """A token includes the accents after it, up to the next token."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, "a", "e", "##\u0301", "##b"], lowercase=False)
    [window] = encode_questions([row("e\u0301b")], tokenizer, 16, 0)
    assert window.spans == [(0, 1), (1, 2), (2, 3)]


@given(st.integers(16, 40), st.integers(0, 30), st.integers(0, 30), st.integers(0, 120))
def test_windows(max_length: int, overlap: int, question_length: int, length: int) -> None:
    """They fit, cover the context in order, and share exactly `overlap` tokens. An answer is in the windows that it fits in."""
    overlap = min(overlap, 3 * (max_length - 3) // 4)
    question, context = " ".join("a" * question_length), " ".join("b" * length)
    answer = (length // 2, min(length, length // 2 + 3))
    text = context[2 * answer[0] : 2 * answer[1] - 1]
    windows = encode_questions([row(context, text or None, 2 * answer[0], question)], TOKENIZERS[0], max_length, overlap)
    assert all(len(window.input_ids) <= max_length for window in windows)
    tokens = TOKENIZERS[0]
    kept = min(question_length, max_question_length(max_length, overlap))
    position = 0
    for number, window in enumerate(windows):
        ids, size = [tokens.id_to_token(index) for index in window.input_ids], len(window.spans)
        assert ids == ["[CLS]", *"a" * kept, "[SEP]", *"b" * size, "[SEP]"]
        assert window.token_type_ids == [0] * (kept + 2) + [1] * (size + 1)
        assert window.is_cut == (question_length > kept and number == 0)
        assert window.spans == [(2 * index, 2 * index + 1) for index in range(position, position + size)]
        if text:
            is_inside = position <= answer[0] and answer[1] <= position + size
            first, last = (window.targets[name] for name in ("start_positions", "end_positions"))
            assert (first, last) == (
                (kept + 2 + answer[0] - position, kept + 1 + answer[1] - position) if is_inside else (0, 0)
            )
        position += size - overlap
    assert position + overlap == length or not length
    assert max_question_length(max_length, overlap) >= 2


@pytest.mark.parametrize("length", [1, 2])
def test_answer_at_the_ends_of_a_window(length: int) -> None:
    """The first and the last tokens of a window can be an answer; one token further, the answer is not in the window."""
    context = " ".join("bcdefghijklmnopqrstu")
    for start in range(20 - length + 1):
        answer = context[2 * start : 2 * (start + length) - 1]
        windows = encode_questions([row(context, answer, 2 * start)], TOKENIZERS[0], max_length=16, overlap=4)
        found = [slices(window, context) for window in windows if window.targets["start_positions"] > 0]
        assert found in ([answer], [answer] * 2)
        starts = [window.spans[0][0] // 2 for window in windows]
        assert len(found) == sum(first <= start and start + length <= first + 12 for first in starts)


def test_no_answer_and_no_label() -> None:
    rows = [Question("a", "a", "b", ()), Question("b", "a", "b", None), row("b \u200b", "\u200b", 2)]
    targets = [tuple(window.targets.values()) for window in encode_questions(rows, TOKENIZERS[0], 16, 0)]
    assert targets == [(0, 0), (IGNORE_INDEX, IGNORE_INDEX), (IGNORE_INDEX, IGNORE_INDEX)]


def test_context_without_tokens() -> None:
    [window] = encode_questions([row("\u200b\u0301")], TOKENIZERS[0], 16, 0)
    assert [TOKENIZERS[0].id_to_token(index) for index in window.input_ids] == ["[CLS]", "a", "[SEP]", "[SEP]"]
    assert window.spans == []


def test_windows_of_several_questions_about_one_context() -> None:
    rows = [row("b c d", "c", 2), row("b c d", "d", 4, question="a a a")]
    one, two = encode_questions(rows, TOKENIZERS[0], 16, 4)
    assert (one.row, two.row) == (0, 1)
    assert [slices(window, "b c d") for window in (one, two)] == ["c", "d"]


@pytest.mark.parametrize(("max_length", "overlap"), [(384, 400), (384, 381), (384, 286), (64, 64), (16, 10), (384, -1)])
def test_overlap_that_is_too_large(max_length: int, overlap: int) -> None:
    with pytest.raises(ValueError, match=rf"overlap {overlap}: must be from 0 to {3 * (max_length - 3) // 4}, three quarters"):
        encode_questions([row("b")], TOKENIZERS[0], max_length, overlap)


def test_sizes_that_are_used_often() -> None:
    for max_length, overlap in ((384, 128), (384, 256), (512, 128), (128, 64), (64, 32), (320, 237), (16, 9)):
        check_windows(max_length, overlap)
    with pytest.raises(ValueError, match="max_length 15: must be at least 16"):
        check_windows(15, 4)


@pytest.mark.slow
def test_real_questions_have_the_windows_of_transformers() -> None:
    """XQuAD with BERT's vocabulary: tokens, segments and targets are those of transformers' run_qa.py.

    Its tokenizers cut and overlap with the library `tokenizers`, which is used here directly.
    """
    if "MINIBERT_DATA" not in os.environ:
        pytest.skip("MINIBERT_DATA is not set")
    data = Path(os.environ["MINIBERT_DATA"]) / "data"
    rows = read_squad([data / "xquad" / "xquad.en.json"]).rows[::6]
    tokenizer = build_tokenizer((data / "bert" / "vocab.txt").read_text(encoding="utf-8").splitlines())
    windows = encode_questions(rows, tokenizer, 128, 42)
    tokenizer.enable_truncation(128, stride=42, strategy="only_second")
    pairs = tokenizer.encode_batch([(row.question, row.context) for row in rows])
    encodings = [encoding for first in pairs for encoding in (first, *first.overflowing)]
    assert [window.input_ids for window in windows] == [encoding.ids for encoding in encodings]
    assert [window.token_type_ids for window in windows] == [encoding.type_ids for encoding in encodings]
    complete = 0
    for window, encoding in zip(windows, encodings, strict=True):
        answer = rows[window.row].answers[0]
        places = encoding.offsets[window.first : -1]
        inside = [n for n, (low, high) in enumerate(places) if low < answer.start + len(answer.text) and answer.start < high]
        is_complete = places[0][0] <= answer.start and places[-1][1] >= answer.start + len(answer.text)
        expected = (window.first + inside[0], window.first + inside[-1]) if is_complete else (0, 0)
        assert (window.targets["start_positions"], window.targets["end_positions"]) == expected
        if is_complete:
            complete += 1
            assert answer.text in slices(window, rows[window.row].context)
    assert complete >= len(rows)
