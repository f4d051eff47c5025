"""Windows of sentences: every small case, and the encoding of words with none, one or many tokens."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.text.labeled.word_windows import best_windows, encode_words, split_windows
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, token_id

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, "a", "b", "c", "d", "##a", "##b", "##c", "##d", "北", "京", "[", "]", "mask"])


def small_cases():
    """All sentences of up to 4 words of up to 3 tokens, in all windows of up to 4 tokens."""
    for length in range(1, 5):
        for sizes in product(range(4), repeat=length):
            for room in range(1, 5):
                for overlap in range(room):
                    yield sizes, room, overlap


def test_windows_of_every_small_sentence() -> None:
    """They cover the sentence in order, move on, fit, and share at most `overlap` tokens. A word that fits is never cut."""
    for sizes, room, overlap in small_cases():
        windows = split_windows(sizes, room, overlap)
        case = sizes, room, overlap, windows
        assert (windows[0].start, windows[-1].end) == (0, len(sizes)), case
        for one, two in pairwise(windows):
            assert one.start < two.start <= one.end < two.end, case
            assert sum(sizes[two.start : one.end]) <= overlap, case
        for start, end in windows:
            words = [size for size in sizes[start:end] if size]
            assert sum(words) <= room or len(words) == 1, case


def test_windows_are_as_long_as_possible() -> None:
    for sizes, room, overlap in small_cases():
        for start, end in split_windows(sizes, room, overlap):
            assert end == len(sizes) or sum(sizes[start : end + 1]) > room


def test_the_overlap_is_used_where_words_allow() -> None:
    assert split_windows([1] * 7, room=4, overlap=2) == [(0, 4), (2, 6), (4, 7)]
    assert split_windows([1] * 7, room=4, overlap=0) == [(0, 4), (4, 7)]
    assert split_windows([2] * 4, room=4, overlap=3) == [(0, 2), (1, 3), (2, 4)]


def test_each_word_is_predicted_once_where_it_has_the_most_context() -> None:
    for sizes, room, overlap in small_cases():
        windows = split_windows(sizes, room, overlap)
        for word, best in enumerate(best_windows(sizes, windows)):
            contexts = {
                number: min(sum(sizes[start:word]), sum(sizes[word + 1 : end]))
                for number, (start, end) in enumerate(windows)
                if start <= word < end
            }
            assert best in contexts
            assert contexts[best] == max(contexts.values())


@pytest.mark.parametrize(("room", "overlap"), [(room, overlap) for room in range(1, 5) for overlap in range(room)])
def test_encoded_words_of_every_small_sentence_are_predicted_once(room, overlap) -> None:
    all_sizes = [sizes for length in range(1, 5) for sizes in product(range(4), repeat=length)]
    sentences = [["abcd"[:size] or "\u200b" for size in sizes] for sizes in all_sizes]
    windows_of: list[list] = [[] for _ in sentences]
    for window in encode_words(sentences, [range(len(sizes)) for sizes in all_sizes], TOKENIZER, room + 2, overlap):
        windows_of[window.row].append(window)
    for sizes, windows in zip(all_sizes, windows_of, strict=True):
        predicted = sorted(word for window in windows for word in window.words)
        assert predicted == [word for word, size in enumerate(sizes) if size]
        for window in windows:
            targets = window.targets["labels"]
            assert len(window.input_ids) == len(targets) <= room + 2
            assert [targets[position] for position in window.positions] == [*window.words]
            assert sum(target != IGNORE_INDEX for target in targets) == len(window.words)
            assert window.is_cut == any(sizes[word] > room for word in window.words)


@pytest.mark.parametrize("word", ["\u200b", "\u00ad", "\u0301", "\x00", "\ufeff", " ", "\u3000", "\u00a0", ""])
def test_words_without_tokens_do_not_shift_the_labels(word) -> None:
    [window] = encode_words([[word, "a", word, "bc", word]], [[5, 1, 6, 2, 7]], TOKENIZER, 8, 0)
    assert (window.words, window.positions) == ((1, 3), (1, 2))
    assert window.targets["labels"] == [IGNORE_INDEX, 1, 2, IGNORE_INDEX, IGNORE_INDEX]


@pytest.mark.parametrize("sentence", [[], ["\u200b"], ["\u200b", "\x00"]])
def test_sentences_without_tokens_have_no_window(sentence) -> None:
    encoded = encode_words([sentence, ["a"]], [[0] * len(sentence), [0]], TOKENIZER, 8, 0)
    assert [window.row for window in encoded] == [1]


def test_only_the_first_token_of_a_word_has_a_label() -> None:
    [window] = encode_words([["ab", "北", "京"]], [[3, 4, 5]], TOKENIZER, 16, 0)
    assert [TOKENIZER.id_to_token(token) for token in window.input_ids] == ["[CLS]", "a", "##b", "北", "京", "[SEP]"]
    assert window.targets["labels"] == [IGNORE_INDEX, 3, IGNORE_INDEX, 4, 5, IGNORE_INDEX]


def test_a_literal_mask_is_text() -> None:
    [window] = encode_words([["[MASK]"]], [[0]], TOKENIZER, 16, 0)
    assert [TOKENIZER.id_to_token(token) for token in window.input_ids[1:-1]] == ["[", "mask", "]"]


@given(st.lists(st.lists(st.text("ab\u0301\u200b北 \u3000é", max_size=4), max_size=5), max_size=3))
def test_tokens_and_words_equal_those_of_split_input_in_transformers(sentences) -> None:
    """As `is_split_into_words=True`: the same ids, and the label of each word at its first token."""
    for sentence in sentences:
        encoding = TOKENIZER.encode(sentence, is_pretokenized=True)
        first = {word: position for position, word in reversed([*enumerate(encoding.word_ids)]) if word is not None}
        windows = encode_words([sentence], [[0] * len(sentence)], TOKENIZER, 100, 0)
        if first:
            [window] = windows
            assert window.input_ids == encoding.ids
            assert dict(zip(window.words, window.positions, strict=True)) == dict(sorted(first.items()))
        else:
            assert not windows


@pytest.mark.parametrize(("max_length", "overlap"), [(2, 0), (0, 0), (8, 6), (8, 7), (8, -1), (8, 128)])
def test_windows_that_hold_no_word_or_do_not_move_on_are_refused(max_length, overlap) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        encode_words([["a"]], [[0]], TOKENIZER, max_length, overlap)


def test_the_window_begins_with_cls_and_ends_with_sep() -> None:
    for window in encode_words([["a"] * 20], [[0] * 20], TOKENIZER, 7, 2):
        assert window.input_ids[0] == token_id(TOKENIZER, "[CLS]")
        assert window.input_ids[-1] == token_id(TOKENIZER, "[SEP]")
        assert window.token_type_ids == [0] * len(window.input_ids)
