"""Mistakes in functions of learners have a name, and nothing else has."""

import json
import math
import subprocess
import sys
import warnings
from dataclasses import replace

import pytest
import torch

from minibert.classroom.candidates import (
    Variant,
    edits_of_called_functions,
    edits_of_reference,
    most_variants,
    pairs_of_mistakes,
    reference,
    single_mistakes,
)
from minibert.classroom.checking import check
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.naming import closest, explain
from minibert.classroom.probes import call_all, expected, probes
from minibert.classroom.report import Verdict
from minibert.classroom.running import LocalRunner, Outcome

ATTENTION = EXERCISES["scaled_dot_product_attention"]


def attention(scale=math.sqrt, mask=lambda scores, keep: scores.masked_fill(~keep, -math.inf), empty=0.0):
    """Return an attention function in a learner's style."""

    def scaled_dot_product_attention(query, key, value, keep=None):
        scores = torch.einsum("...qd,...kd->...qk", query, key) / scale(query.shape[-1])
        if keep is not None:
            scores = mask(scores, keep)
        weights = torch.softmax(scores, -1)
        return (weights if empty is None else weights.nan_to_num(empty)) @ value

    return scaled_dot_product_attention


def outcomes_of(function) -> tuple[Outcome, ...]:
    return call_all(probes(ATTENTION), LocalRunner(ATTENTION, function))


def names(function) -> list[str]:
    return [mistake.name for mistake in explain(ATTENTION, outcomes_of(function)).mistakes]


def test_a_name_does_not_depend_on_what_was_judged_before() -> None:
    wrong = attention(scale=lambda width: 1.0, mask=lambda scores, keep: scores.masked_fill(~keep, -1e9))
    before = names(wrong)
    for other in (attention(scale=lambda width: width), lambda query, key, value, keep=None: query @ key.mT @ value):
        names(other)
    assert names(wrong) == before == ["no scale"]


def test_the_number_of_variants_is_the_same_each_time() -> None:
    for name in ("scaled_dot_product_attention", "training_steps"):
        assert most_variants.__wrapped__(EXERCISES[name]) == most_variants.__wrapped__(EXERCISES[name])


def test_an_entry_that_does_not_fit_its_source_is_no_silent_loss() -> None:
    """It would have another name, of a generated edit: a file that changes during a long run has another source."""
    stale = replace(single_mistakes(ATTENTION).variants[0].mistakes[0], edits=(("not in the source", ""),))
    with pytest.raises(RuntimeError, match="start minibert again"):
        Variant(ATTENTION, (stale,)).values(0)


def test_a_mistake_that_raises_an_error_on_some_sizes_is_named() -> None:
    assert names(attention(mask=lambda scores, keep: scores.masked_fill(~keep.mT, -math.inf))) == ["mask transposed"]


def test_an_error_alone_is_no_evidence() -> None:
    assert names(attention(mask=lambda scores, keep: scores @ keep)) == []


def test_a_mistake_is_named_although_the_limits_are_unsafe() -> None:
    explanation = explain(ATTENTION, outcomes_of(attention(scale=lambda width: width, empty=None)))
    assert [mistake.name for mistake in explanation.mistakes] == ["scores divided by the width"]
    assert [warning.partition(": ")[2] for warning in explanation.warnings] == [
        "You did not handle a query that may attend to no key."
    ]


def test_a_mistake_is_named_without_gradients_and_in_another_precision() -> None:
    def no_scale(query, key, value, keep=None):
        query, key, value = (x.detach().numpy().astype("float64") for x in (query, key, value))
        scores = query @ key.swapaxes(-1, -2)
        if keep is not None:
            scores[~keep.numpy()] = -1e30
        weights = torch.softmax(torch.from_numpy(scores), -1).numpy()
        return weights @ value

    assert names(no_scale) == ["no scale"]


def test_unsafe_numerics_pass_with_a_warning_that_names_them() -> None:
    report = check(attention(empty=None), ATTENTION)
    assert report.verdict is Verdict.WARNING
    assert [mistake.name for mistake in report.mistakes] == ["NaN for empty rows"]


def test_entries_that_compute_the_same_are_named_together() -> None:
    mistakes = [mistake for mistake in ATTENTION.mistakes if mistake.name == "no scale"]
    mistakes.append(replace(mistakes[0], name="the same", message="You wrote it in another way."))
    variants = [Variant(ATTENTION, (mistake,)) for mistake in mistakes]
    found = closest(ATTENTION, outcomes_of(attention(scale=lambda width: 1)), [reference(ATTENTION), *variants])
    assert "You left out √d_k. Or: You wrote it in another way." in found.mistakes[0].message


def test_two_mistakes_are_named() -> None:
    found = names(attention(scale=lambda width: 1, mask=lambda scores, keep: scores.masked_fill(keep, -math.inf)))
    assert sorted(found) == ["mask inverted", "no scale"]


@pytest.mark.slow
def test_three_parts_left_out_are_named() -> None:
    def embeddings(self, input_ids, token_type_ids, position_ids):
        return self.words(input_ids) + self.positions(position_ids)

    found = check(embeddings, EXERCISES["bert_embeddings"]).mistakes
    assert {mistake.name for mistake in found} == {
        "no segment embeddings",
        "embeddings not normalized",
        "no dropout of the embeddings",
    }


def test_infinite_numbers_are_no_reason_where_the_result_has_some() -> None:
    def top_p_filter(logits, p):
        return logits.masked_fill(logits.softmax(-1) < 0.9, -math.inf)

    report = check(top_p_filter, EXERCISES["top_p_filter"])
    assert report.verdict is Verdict.WRONG
    assert "infinite" not in report.reason
    assert "-inf, expected" in report.reason


def test_a_warning_says_what_differs() -> None:
    def cross_entropy(logits, labels):
        probabilities = logits.softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        return torch.where(labels == -100, 0.0, -torch.log(probabilities))

    report = check(cross_entropy, EXERCISES["cross_entropy"])
    assert report.verdict is Verdict.WARNING
    assert "its logarithm is -∞" in report.warnings[0]


def test_every_family_is_small_enough_to_answer_soon() -> None:
    """A call of the slowest exercise takes ten milliseconds, so fewer of its variants are compared."""
    slow, fast = EXERCISES["training_steps"], EXERCISES["softmax"]
    assert 20 < most_variants(slow) < 100 < most_variants(fast), (most_variants(slow), most_variants(fast))
    assert len(pairs_of_mistakes(slow).variants) <= 3 * most_variants(slow)


def test_variants_print_no_warnings() -> None:
    """An edit may do what PyTorch warns of, such as indexing with a list."""
    with warnings.catch_warnings(action="error"):
        explain(EXERCISES["unigram_entropy"], expected(EXERCISES["unigram_entropy"]))
        for family in (edits_of_reference, edits_of_called_functions, pairs_of_mistakes):
            family(EXERCISES["unigram_entropy"]).near(0, expected(EXERCISES["unigram_entropy"])[0], 1.0)


def test_an_edge_case_with_a_line_of_its_own_does_not_hide_the_mistake() -> None:
    def schedule(step, total_steps, warmup_steps):
        if step > total_steps:
            return 0.0
        decay = (total_steps - step + 1) / (total_steps - warmup_steps)
        return max(step / warmup_steps, decay) if warmup_steps else decay

    report = check(schedule, EXERCISES["warmup_linear_schedule"])
    assert [mistake.name for mistake in report.mistakes] == ["larger of warm-up and decay"]


def test_random_numbers_are_compared_by_their_distribution() -> None:
    def initialization(self):
        torch.nn.init.normal_(self.lora_a, std=0.3)
        torch.nn.init.zeros_(self.lora_b)

    report = check(initialization, EXERCISES["lora_initialization"])
    assert (report.verdict, [mistake.name for mistake in report.mistakes]) == (Verdict.CONVENTION, ["A normally distributed"])


@pytest.mark.slow
def test_as_many_variants_are_compared_with_checks_of_annotations_as_without() -> None:
    """The tests check the annotations of minibert, and learners do not: both must see the same names."""
    names = ["softmax", "adamw_step", "training_steps"]
    script = f"""
from minibert.classroom.candidates import most_variants
from minibert.classroom.exercises import EXERCISES
print([most_variants(EXERCISES[name]) for name in {names}])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == [most_variants(EXERCISES[name]) for name in names]
