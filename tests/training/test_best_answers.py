"""The best answers in windows of scores, compared with every possible span and with Google's algorithm."""

import collections
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.text.labeled.question_windows import QuestionWindow, encode_questions
from minibert.text.labeled.squad_checks import Question
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training.best_answers import best_answers, best_spans, with_probabilities

WORDS = [f"w{number}" for number in range(30)]
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS, "ab", "c"])


def make_windows(words: int, overlap: int) -> tuple[str, list[QuestionWindow]]:
    context = " ".join(WORDS[number % 11] for number in range(words))
    return context, encode_questions([Question("q", "ab c", context)], TOKENIZER, max_length=16, overlap=overlap)


def every_span(windows, logits, max_tokens):
    """Yield the score and the place of every valid span."""
    for window, scores in zip(windows, logits, strict=True):
        for first in range(len(window.spans)):
            for last in range(first, min(len(window.spans), first + max_tokens)):
                score = scores[window.first + first, 0] + scores[window.first + last, 1]
                yield score, window.spans[first][0], window.spans[last][1]


@given(st.integers(1, 40), st.integers(0, 6), st.integers(1, 8), st.integers(1, 30), st.integers(0, 10**6))
def test_the_best_of_all_spans(words: int, overlap: int, max_tokens: int, n_best: int, seed: int) -> None:
    """They are the different texts with the highest scores, each at its best place, whatever the scores of other tokens are."""
    context, windows = make_windows(words, overlap)
    random = np.random.default_rng(seed)
    logits = [random.normal(size=(len(window.input_ids), 2)) for window in windows]
    for window, scores in zip(windows, logits, strict=True):
        scores[: window.first] += 50  # the question is never an answer
        scores[-1] += 50
    best_of: dict[str, tuple[float, int, int]] = {}
    for score, start, end in sorted(every_span(windows, logits, max_tokens), key=lambda each: (-each[0], each[1:])):
        best_of.setdefault(context[start:end], (score, start, end))
    expected = [*best_of.items()][:n_best]
    found = best_answers(context, windows, logits, n_best, max_tokens)
    assert [(each.answer, (pytest.approx(each.score), each.start, each.end)) for each in found.candidates] == expected
    assert found.null_score == min(scores[0].sum() for scores in logits)


def google(context, windows, logits, n_best, max_tokens):
    """`compute_predictions` of Google's run_squad.py: the best start and end tokens of each window, then all their pairs."""
    Prelim = collections.namedtuple("Prelim", ["start", "end", "score"])
    prelim, null = [], math.inf
    for window, scores in zip(windows, logits, strict=True):
        null = min(null, scores[0].sum())
        starts, ends = (np.argsort(-scores[:, column])[:n_best] for column in (0, 1))
        for start in starts:
            for end in ends:
                first, last = start - window.first, end - window.first
                if not (0 <= first <= last < len(window.spans)) or last - first + 1 > max_tokens:
                    continue
                place = window.spans[first][0], window.spans[last][1]
                prelim.append(Prelim(*place, scores[start, 0] + scores[end, 1]))
    prelim.sort(key=lambda each: each.score, reverse=True)
    texts: dict[str, float] = {}
    for each in prelim:
        if len(texts) < n_best:
            texts.setdefault(context[each.start : each.end], each.score)
    return texts, null


@given(st.integers(1, 40), st.integers(0, 6), st.integers(0, 10**6))
def test_the_same_answers_as_google(words: int, overlap: int, seed: int) -> None:
    """With as many start and end tokens as there are, the texts, their order, scores and the null score are equal."""
    context, windows = make_windows(words, overlap)
    logits = [np.random.default_rng(seed).normal(size=(len(window.input_ids), 2)) for window in windows]
    texts, null = google(context, windows, logits, n_best=200, max_tokens=5)
    found = best_answers(context, windows, logits, n_best=200, max_tokens=5)
    assert {each.answer: each.score for each in found.candidates} == pytest.approx(texts)
    assert [each.answer for each in found.candidates] == [*texts]
    assert found.null_score == pytest.approx(null)
    probabilities = np.exp([*texts.values()]) / np.exp([*texts.values()]).sum()
    assert [each["probability"] for each in with_probabilities(found.candidates)] == pytest.approx(probabilities.tolist())


def test_a_span_in_two_windows_has_its_higher_score() -> None:
    context, windows = make_windows(14, overlap=6)
    assert [window.spans[0][0] for window in windows] == [0, context.index(WORDS[5])]
    logits = [np.zeros((len(window.input_ids), 2)) for window in windows]
    logits[0][windows[0].first + 7] = 3  # the token 7 in the first window, and in the second one
    logits[1][windows[1].first + 2] = 4
    best = best_answers(context, windows, logits, 20, 1)
    assert [(each.answer, each.score) for each in best.candidates if each.score] == [(WORDS[7], 8.0)]


def test_equal_scores_are_sorted_by_place() -> None:
    context, windows = make_windows(3, 0)
    best = best_answers(context, windows, [np.zeros((len(windows[0].input_ids), 2))], 20, 2)
    assert [each.answer for each in best.candidates] == ["w0", "w0 w1", "w1", "w1 w2", "w2"]


def test_a_context_without_tokens_has_no_answer() -> None:
    windows = encode_questions([Question("q", "ab", "\u200b")], TOKENIZER, 16, 0)
    best = best_answers("\u200b", windows, [np.ones((4, 2))], 20, 30)
    assert (best.candidates, best.null_score, best.null_difference) == ([], 2.0, math.inf)
    assert with_probabilities([]) == []


@given(st.integers(0, 12), st.integers(1, 15) | st.just(10**12), st.integers(1, 30) | st.just(10**12))
def test_spans_of_any_number(size: int, max_tokens: int, count: int) -> None:
    """There are as many spans as asked for, or all of them."""
    spans = best_spans(np.arange(size, dtype=float), np.zeros(size), count, max_tokens)
    lengths = [last - first + 1 for _, first, last in spans]
    assert all(0 < length <= max_tokens for length in lengths)
    assert len({*spans}) == min(count, sum(min(max_tokens, size - first) for first in range(size)))
