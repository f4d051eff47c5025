"""Exact match and F1, compared with the functions of the scripts of SQuAD, which are repeated here."""

import collections
import re
import string
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.text.labeled.squad_checks import Question
from minibert.training.metrics.answer_results import gold_texts
from minibert.training.metrics.answers import (
    answer_f1,
    best_threshold,
    measure_answers,
    normalize_answer,
    score_answers,
    squad_v1,
    squad_v2,
)
from minibert.training.metrics.measurement import bootstrap
from minibert.training.metrics.results import Results

# evaluate-v2.0.py


def official_normalize(s):
    def remove_articles(text):
        return re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text)

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return " ".join(remove_articles(remove_punc(s.lower())).split())


def official_tokens(s):
    return official_normalize(s).split() if s else []


def official_f1_v2(a_gold, a_pred):
    gold_toks, pred_toks = official_tokens(a_gold), official_tokens(a_pred)
    num_same = sum((collections.Counter(gold_toks) & collections.Counter(pred_toks)).values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision, recall = 1.0 * num_same / len(pred_toks), 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def official_raw_scores(gold, preds):
    exact, f1 = {}, {}
    for qid, answers in gold.items():
        gold_answers = [a for a in answers if official_normalize(a)] or [""]
        exact[qid] = max(int(official_normalize(a) == official_normalize(preds[qid])) for a in gold_answers)
        f1[qid] = max(official_f1_v2(a, preds[qid]) for a in gold_answers)
    return exact, f1


def official_find_best_thresh(preds, scores, na_probs, qid_to_has_ans):
    cur_score = sum(1 for k in qid_to_has_ans if not qid_to_has_ans[k])
    best_score, best_thresh = cur_score, 0.0
    for qid in sorted(na_probs, key=lambda k: na_probs[k]):
        if qid not in scores:
            continue
        diff = scores[qid] if qid_to_has_ans[qid] else (-1 if preds[qid] else 0)
        cur_score += diff
        if cur_score > best_score:
            best_score, best_thresh = cur_score, na_probs[qid]
    return 100.0 * best_score / len(scores), best_thresh


def official_v2(gold, preds, na_probs, na_prob_thresh):
    has_ans = {qid: bool(answers) for qid, answers in gold.items()}
    exact_raw, f1_raw = official_raw_scores(gold, preds)
    out = {}
    applied = [
        {qid: float(not has_ans[qid]) if na_probs[qid] > na_prob_thresh else s for qid, s in scores.items()}
        for scores in (exact_raw, f1_raw)
    ]
    for prefix, qids in (
        ("", list(gold)),
        ("HasAns_", [k for k, v in has_ans.items() if v]),
        ("NoAns_", [k for k, v in has_ans.items() if not v]),
    ):
        if qids:
            exact, f1 = (100.0 * sum(scores[k] for k in qids) / len(qids) for scores in applied)
            out |= {f"{prefix}exact": exact, f"{prefix}f1": f1, f"{prefix}total": len(qids)}
    for name, raw in (("exact", exact_raw), ("f1", f1_raw)):
        out[f"best_{name}"], out[f"best_{name}_thresh"] = official_find_best_thresh(preds, raw, na_probs, has_ans)
    return out


# evaluate-v1.1.py


def official_f1_v1(prediction, ground_truth):
    prediction_tokens, ground_truth_tokens = official_normalize(prediction).split(), official_normalize(ground_truth).split()
    num_same = sum((collections.Counter(prediction_tokens) & collections.Counter(ground_truth_tokens)).values())
    if num_same == 0:
        return 0
    precision, recall = 1.0 * num_same / len(prediction_tokens), 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


WORDS = [
    "the",
    "a",
    "An",
    "Panthers",
    "panthers",
    "308",
    "½",
    "é",
    "e\u0301",
    "İ",
    "i",
    "北京",
    "U.S.",
    "«x»",
    "'",
    "—",
    "",
    "thé",
]
texts = st.lists(st.sampled_from(WORDS), max_size=5).flatmap(
    lambda words: st.sampled_from([" ", "  ", "-", "\u00a0", ""]).map(lambda blank: blank.join(words))
)


@given(texts | st.text())
def test_normalization_equals_the_script(text: str) -> None:
    assert normalize_answer(text) == official_normalize(text)


@pytest.mark.parametrize(
    ("prediction", "answer", "expected"),
    [
        ("Denver Broncos", "Denver Broncos", 1.0),
        ("The Denver Broncos.", "denver broncos", 1.0),
        ("Broncos", "Denver Broncos", 2 / 3),
        ("Denver Denver", "Denver Broncos", 1 / 2),
        ("the", "Denver", 0.0),
        ("", "", 1.0),
        ("the", "A", 1.0),
        ("a b c d", "b", 1 / 2),
        ("caf\u00e9", "cafe\u0301", 0.0),
        ("1,000", "1000", 1.0),
        ("well-known", "well known", 0.0),
    ],
)
def test_value_of_f1(prediction: str, answer: str, expected: float) -> None:
    assert answer_f1(prediction, answer) == pytest.approx(expected)
    assert answer_f1(answer, prediction) == pytest.approx(expected)


@given(st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=8))
def test_version_1_equals_the_script(pairs) -> None:
    predictions, gold = zip(*pairs, strict=True)
    exact = [max(official_normalize(p) == official_normalize(a) for a in answers) for p, answers in pairs]
    f1 = [max(official_f1_v1(p, a) for a in answers) for p, answers in pairs]
    assert squad_v1(predictions, gold) == pytest.approx({"exact_match": 100 * np.mean(exact), "f1": 100 * np.mean(f1)})


null_scores = st.floats(-5, 5) | st.sampled_from([0.0, 1.0, -1.0, 0.5])


@given(st.lists(st.tuples(texts, st.lists(texts, max_size=3), null_scores), min_size=1, max_size=12), null_scores)
def test_version_2_equals_the_script(rows, threshold: float) -> None:
    """All results are equal: also the best thresholds, with ties, unanswerable questions and negative null scores."""
    predictions, gold, scores = zip(*rows, strict=True)
    by_id = [dict(enumerate(column)) for column in (gold, predictions, scores)]
    assert squad_v2(predictions, gold, scores, threshold) == pytest.approx(official_v2(*by_id, threshold))


def test_best_threshold_is_exactly_that_of_the_script() -> None:
    """No rounding: the threshold is one of the null scores, also where sums of scores are almost equal."""
    random = np.random.default_rng(0)
    for _ in range(300):
        size = int(random.integers(1, 30))
        scores, has = random.choice([0.0, 0.1, 0.3, 2 / 3, 1.0], size), random.random(size) < 0.6
        answered, null = random.random(size) < 0.9, np.round(random.normal(size=size), int(random.integers(0, 4)))
        names = [str(number) for number in range(size)]
        preds = {name: "x" if yes else "" for name, yes in zip(names, answered, strict=True)}
        expected = official_find_best_thresh(
            preds,
            dict(zip(names, scores.tolist(), strict=True)),
            dict(zip(names, null.tolist(), strict=True)),
            dict(zip(names, has.tolist(), strict=True)),
        )
        assert best_threshold(scores.tolist(), has.tolist(), answered.tolist(), null.tolist()) == expected


def test_threshold_if_no_question_should_be_answered() -> None:
    assert best_threshold([0.0, 0.0], [True, False], [True, True], [-3.0, -2.0]) == (50.0, 0.0)
    assert best_threshold([0.0, 0.0], [True, False], [True, True], [-3.0, -2.0], no_answers=-4.0) == (50.0, -4.0)


def test_without_questions_there_is_no_best_threshold() -> None:
    assert best_threshold([], [], [], []) == (0.0, 0.0)


def test_the_threshold_of_the_script_is_one() -> None:
    rows = (["a", "b"], [["a"], ["b"]], [0.5, 1.5])
    assert squad_v2(*rows) == squad_v2(*rows, threshold=1.0) != squad_v2(*rows, threshold=0.4)


def test_a_question_without_gold_answers_has_no_correct_text() -> None:
    """Whether it is unanswerable, or its answers are not known."""
    question = Question("1", "who?", "a text")
    assert gold_texts(question) == gold_texts(replace(question, answers=())) == []


def test_results_without_null_scores() -> None:
    results = squad_v2(["Denver", "", "x"], [["Denver Broncos", "Broncos"], [], []])
    assert results == pytest.approx(
        {"exact": 100 / 3, "f1": 500 / 9, "total": 3, "HasAns_exact": 0, "HasAns_f1": 200 / 3, "HasAns_total": 1}
        | {"NoAns_exact": 50, "NoAns_f1": 50, "NoAns_total": 2}
    )


@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_scores_are_between_0_and_1_and_a_gold_answer_is_right(prediction: str, answers: list[str]) -> None:
    scores = score_answers([prediction, answers[0]], [answers, answers])
    assert 0 <= scores.exact_match[0] <= scores.f1[0] <= 1
    assert scores.f1[1] == (1 if normalize_answer(answers[0]) or not any(map(normalize_answer, answers)) else 0)


class TestMeasurements:
    def test_values(self) -> None:
        measured = measure_answers(["Denver", "", "x", "y"], [["Denver Broncos"], [], [], ["y"]])
        assert Results(measured, []).values == pytest.approx(
            {"f1": (2 / 3 + 2) / 4, "no_answer_f1": 0.5, "exact_match": 0.5}
            | {"answerable_f1": (2 / 3 + 1) / 2, "unanswerable_f1": 0.5}
        )
        assert next(iter(Results(measured, []).values)) == "f1"

    def test_the_baseline_gives_no_answer_to_any_question(self) -> None:
        """Its score is the share of unanswerable questions, and that of any predictions without answers."""
        gold = [["x"], [], [], ["y"], []]
        baseline = Results(measure_answers(["x", "", "y", "", ""], gold), []).values["no_answer_f1"]
        assert baseline == Results(measure_answers([""] * 5, gold), []).values["f1"] == 0.6

    def test_parts_are_only_measured_if_there_are_both(self) -> None:
        assert [*Results(measure_answers(["x"], [["x"]]), []).values] == ["f1", "exact_match"]
        assert [*Results(measure_answers([""], [[]]), []).values] == ["f1", "exact_match"]

    def test_bootstrap_of_a_part_leaves_out_resamples_without_it(self) -> None:
        measured = measure_answers(["x", "", "z"], [["x"], [], ["y"]])
        intervals = bootstrap(measured, rows=3, resamples=500)
        assert all(interval is not None and 0 <= interval.low <= interval.high <= 1 for interval in intervals)
        assert intervals[0].resamples == 500
        assert 250 < intervals[4].resamples < 450
