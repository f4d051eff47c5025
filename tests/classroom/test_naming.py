"""A mistake is named only if it explains the numbers and nothing else does, for a small exercise."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from minibert.classroom import naming
from minibert.classroom.candidates import Family, Variant, reference
from minibert.classroom.exercise import Case, Exercise, Role
from minibert.classroom.mistakes import Kind, Mistake
from minibert.classroom.naming import FAR, MATCH, NO_MATCH, Explanation, closest, explain, limit_warnings, name_mistakes, near
from minibert.classroom.probes import probes
from minibert.classroom.running import Outcome
from tests.classroom.small_exercise import exercise, mistake

SHIFT = "product + shift"
THREE = mistake("2.0 if", "3.0 if", seen_in="code")
SUM = mistake(SHIFT, "x + x + x", seen_in="code")
"""The same numbers as three times x."""
DOUBLE_GRADIENT = mistake(SHIFT, "product + product - product.detach()", seen_in="code")
SAME = mistake(SHIFT, "1.0 * product", seen_in="code")
LARGE = mistake(SHIFT, "product.where(x < 50, 7.0)", Kind.UNSAFE, "code")
"""Only numbers from 50 on are wrong, which are in limits of the formula."""
HUGE = mistake(SHIFT, "product.where(x < 500, 7.0)", Kind.UNSAFE, "code")
ONE, TINY = [[1.0, 0.5, 0.0]], [[1e-6, 0.0, 0.0]]


def fixed(x: list, role: Role = Role.TYPICAL, name: str = "usual numbers", **options) -> Case:
    return Case(name, lambda draw: {"x": torch.tensor(x)}, role, **options)


def limit(number: float) -> Case:
    return fixed([[float(number), float(number)]], Role.LIMIT, f"{number:g}")


def shown(exercise: Exercise, *mistakes: Mistake) -> tuple[Outcome, ...]:
    """Return what a function with these mistakes shows."""
    return tuple(Variant(exercise, mistakes).gradients(number) for number in range(len(probes(exercise))))


def changed(outcomes: tuple[Outcome, ...], change: Callable[[Tensor], Tensor]) -> tuple[Outcome, ...]:
    """Return outcomes with other results, and without gradients."""
    return tuple(Outcome({"output": change(each.outputs["output"].double())}) for each in outcomes)


def named(mistakes: tuple[Mistake, ...]) -> list[str]:
    return [each.name for each in mistakes]


def test_unsafe_numerics_are_not_mentioned_next_to_a_serious_mistake() -> None:
    assert naming.serious_mistakes((LARGE, THREE, HUGE, SUM)) == (THREE, SUM)
    assert naming.serious_mistakes((LARGE, HUGE)) == (LARGE, HUGE)
    assert naming.serious_mistakes(()) == ()


def test_a_mistake_has_a_message_or_at_least_a_description() -> None:
    assert naming.sentence(replace(THREE, message="You did.", description="It is.")) == "You did."
    assert naming.sentence(replace(THREE, message="", description="It is.")) == "It is."


@pytest.mark.parametrize(("difference", "is_right"), [(0.0, True), (1e-5, True), (1.0000001e-5, False), (1.0, False)])
def test_a_right_edge_case_is_no_evidence(difference: float, is_right: bool) -> None:
    """A wrong function may have a line of its own for it. A difference of `MATCH` is right."""
    edge = exercise(fixed(ONE), fixed([[0.5, 0.0, 0.0]], Role.EDGE, "edge"))
    outcomes = changed(shown(edge), lambda output: output + torch.tensor([0.0, 0.0, difference]))
    found = naming.without_correct_edges(edge, outcomes)
    for probe, before, after in zip(probes(edge), outcomes, found, strict=True):
        if probe.case.role is Role.EDGE and is_right:
            assert after == Outcome(error="left out")
        else:
            assert after is before


def test_near_variants_are_those_nearer_than_the_farthest_that_counts() -> None:
    own = exercise(fixed(ONE))
    variants = [Variant(own, (mistake("x * (", f"(x + {far}) * ("),)) for far in (0.0, 1e-5, 0.99e-3, 1.01e-3, 0.1)]
    for outcomes in (shown(own), changed(shown(own), lambda output: output)):
        assert near(own, outcomes, Family(variants)) == variants[:3]
    assert near(own, [Outcome(error="ValueError")] * len(probes(own)), Family(variants)) == []


def test_a_single_probe_excludes_most_variants() -> None:
    """The first probe in which the numbers are wrong, in which other mistakes give other numbers."""
    own = exercise(fixed([[0.0, 0.0, 0.0]]), fixed(ONE))
    first_wrong = next(number for number, probe in enumerate(probes(own)) if probe.arguments["x"].any())
    slightly, far = (Variant(own, (mistake("2.0 if", f"{factor} if"),)) for factor in (3.002, 4.0))
    assert near(own, shown(own, THREE), Family([slightly, far])) == [slightly]
    assert [number for number, _ in far._kept] == [first_wrong]
    assert len(slightly._kept) > 1


@pytest.mark.parametrize(
    ("change", "differ"),
    [
        (lambda output: output, False),
        (lambda output: output * (1 + 0.9e-5), False),
        (lambda output: output * (1 + 1.1e-5), True),
        (lambda output: output * 0, False),
        (lambda output: output * math.nan, False),
        (lambda output: torch.full_like(output, math.inf), False),
        (lambda output: output * torch.tensor([1.0, 0.0, math.nan]), True),
    ],
)
def test_zeros_and_nan_are_no_numbers_that_differ(change: Callable, differ: bool) -> None:
    """Many mistakes give them."""
    own = exercise(fixed(ONE))
    assert naming.has_numbers_that_differ(own, changed(shown(own), change)) is differ


def test_gradients_may_be_the_numbers_that_differ() -> None:
    own = exercise(fixed(ONE))
    assert naming.has_numbers_that_differ(own, shown(own, DOUBLE_GRADIENT))
    assert not naming.has_numbers_that_differ(own, shown(own, SAME))
    with_error = [replace(each, error="ValueError", gradients={}) for each in shown(own, THREE)]
    assert not naming.has_numbers_that_differ(own, with_error)
    without_one = [replace(each, gradients={"y": torch.ones(3)}) for each in shown(own)]
    assert not naming.has_numbers_that_differ(own, without_one)


def found(exercise: Exercise, learner: tuple[Mistake, ...], *candidates: tuple[Mistake, ...]) -> str | None:
    """Return the message for a function with some mistakes, if the reference and candidates are compared with it."""
    variants = [reference(exercise), *(Variant(exercise, each) for each in candidates)]
    variant = closest(exercise, shown(exercise, *learner), variants)
    return variant and " + ".join(each.message or each.name for each in variant.mistakes)


def test_the_closest_variant_is_one_that_nothing_else_comes_near() -> None:
    own = exercise(fixed(ONE), limit(99))
    assert found(own, (THREE,), (THREE,), (LARGE,)) == THREE.name
    assert found(own, (), (THREE,)) is None
    assert found(own, (), (THREE,), (SAME,)) is None  # the reference is another explanation
    assert found(own, (mistake("2.0 if", "5.0 if"),), (THREE,)) is None
    assert closest(own, shown(own), []) is None


def test_a_runner_up_must_be_a_hundred_times_farther_away() -> None:
    own = exercise(fixed(ONE))
    edits = {far: mistake("2.0 if", f"{3 * (1 + far)} if") for far in (5e-6, 4e-4, 6e-4)}
    assert found(own, (edits[5e-6],), (THREE,), (edits[4e-4],)) is None
    assert found(own, (edits[5e-6],), (THREE,), (edits[6e-4],)) == THREE.name


def test_variants_with_the_same_values_differ_in_gradients_errors_or_limits() -> None:
    own = exercise(fixed(ONE), fixed(TINY), limit(99), limit(999))
    assert found(own, (DOUBLE_GRADIENT,), (DOUBLE_GRADIENT,), (SAME,)) == DOUBLE_GRADIENT.name
    fails = mistake(SHIFT, "x + x + x if x.max() > 1e-3 else [][1]", seen_in="code")
    assert found(own, (fails,), (SUM,), (fails,)) == fails.name
    assert found(own, (SUM,), (SUM,), (fails,)) == SUM.name
    assert found(own, (LARGE,), (LARGE,), (HUGE,)) == LARGE.name
    assert found(own, (HUGE,), (LARGE,), (HUGE,)) == HUGE.name


def test_of_variants_that_compute_the_same_all_entries_of_the_catalogue_are_mentioned() -> None:
    own = exercise(fixed(ONE))
    three, total = (replace(each, message=f"You wrote {each.edits[0][1]}.") for each in (THREE, SUM))
    assert found(own, (THREE,), (three,), (total,)) == (
        "You wrote 3.0 if. Or: You wrote x + x + x. These compute the same numbers here."
    )
    first, second = (replace(each, seen_in="") for each in (three, total))
    assert found(own, (THREE,), (first,), (second,)) == "You wrote 3.0 if."  # an edit only says what the numbers are
    assert found(own, (THREE,), (three, SAME), (total,)) is None  # neither is certain
    assert found(own, (THREE,), (three,), (three, LARGE)) == "You wrote 3.0 if."  # only unsafe numerics differ


@pytest.mark.parametrize(
    ("far", "distance"), [(0.0, 0.0), (0.5, 0.0), (0.625, 2 * MATCH), (1.5, 2 * MATCH), (1.75, NO_MATCH), (9.0, NO_MATCH)]
)
def test_a_statistic_agrees_or_disagrees_or_leaves_it_open(far: float, distance: float) -> None:
    """Up to the tolerance, here 0.5, and up to three times as far."""
    own = exercise(fixed(ONE, summary=lambda output: output.sum() / 3, tolerance=0.5))
    outcome = Outcome({"output": torch.tensor([1.0 + far, 1.0 + far, 1.0 + far])})
    assert naming.distance_in(own, 0, outcome, reference(own)) == distance


def test_rounding_has_the_same_distance_for_each_tolerance() -> None:
    own = exercise(fixed(ONE, tolerance=0.25))
    right = shown(own)[0]
    outcome = replace(right, outputs={"output": 1.25 * right.outputs["output"]}, gradients={"x": 1.5 * right.gradients["x"]})
    assert naming.distance_in(own, 0, outcome, reference(own)) == MATCH
    assert naming.gradient_distance_in(own, 0, outcome, reference(own)) == 2 * MATCH
    assert naming.gradient_distance_in(own, 0, replace(outcome, gradients={}), reference(own)) == 0


def test_the_distance_of_values_is_the_largest_until_it_is_far() -> None:
    own = exercise(fixed(ONE), fixed([[4.0, 0.0, 0.0]]), limit(99))
    outcomes = [replace(each, gradients={}) for each in shown(own)]
    assert naming.distance_of_values(own, outcomes, reference(own)) == 0
    far = [outcome if probes(own)[n].arguments["x"].max() == 1 else Outcome(error="") for n, outcome in enumerate(outcomes)]
    far[0] = replace(far[0], error="ValueError")  # no evidence
    assert naming.distance_of_values(own, far, reference(own)) == NO_MATCH
    variant = Variant(own, (mistake("2.0 if", "2.01 if"),))
    assert naming.distance_of_values(own, outcomes, variant) == pytest.approx(0.01 / 2.01)
    assert [number for number, _ in variant._kept] == [0]
    assert FAR < 0.01 / 2.01


def test_an_error_on_the_same_inputs_is_a_match() -> None:
    own = exercise(fixed(ONE), fixed(TINY))
    fails = Variant(own, (mistake(SHIFT, "x + x + x if x.max() > 1e-3 else [][1]"),))
    runs = Variant(own, (SUM,))
    assert naming.distance_of_errors(own, shown(own, *fails.mistakes), fails) == 0
    assert naming.distance_of_errors(own, shown(own, SUM), runs) == 0
    assert naming.distance_of_errors(own, shown(own, *fails.mistakes), runs) == NO_MATCH
    assert naming.distance_of_errors(own, shown(own, SUM), fails) == NO_MATCH
    assert naming.distance_of_errors(own, shown(own, *fails.mistakes), reference(own)) == 0


def test_the_distance_at_limits_counts_values_and_gradients() -> None:
    own = exercise(fixed(ONE), limit(99), limit(999))
    assert naming.distance_at_limits(own, shown(own), reference(own)) == 0
    without_gradients = changed(shown(own, HUGE), lambda output: output)
    assert naming.distance_at_limits(own, without_gradients, reference(own)) == pytest.approx(1 - 7 / 1998)
    assert naming.distance_at_limits(own, shown(own, DOUBLE_GRADIENT), reference(own)) == pytest.approx(1)
    usual = exercise(fixed(ONE))
    assert naming.distance_at_limits(usual, shown(usual, THREE), reference(usual)) == 0


def test_a_limit_at_which_the_numbers_differ_has_a_warning_with_the_likely_causes() -> None:
    """Those first that explain most limits."""
    unsafe = (replace(LARGE, message="from 50"), replace(HUGE, message="from 500"), replace(HUGE, name="b", message="far"))
    own = exercise(fixed(ONE), limit(99), limit(999), mistakes=(THREE, *unsafe))
    assert limit_warnings(own, shown(own), ()) == ()
    assert limit_warnings(own, shown(own, LARGE), ()) == ("99: from 50", "999: from 50")
    assert limit_warnings(own, shown(own, HUGE), unsafe[1:2]) == ("999: from 500 Or: far",)
    assert limit_warnings(own, shown(own, THREE), (THREE,)) == ()
    assert limit_warnings(own, shown(own, THREE, HUGE), (THREE,)) == ("999: from 500 Or: far",)
    assert limit_warnings(own, shown(own, SUM), ()) == ()  # no unsafe variant computes the same there


def test_at_a_limit_too_a_difference_of_rounding_is_none() -> None:
    """Neither from the reference nor from the cause that is named."""
    cause = replace(mistake(SHIFT, "product.where(x > 0, 1.5e-5)", Kind.UNSAFE), message="You did.")
    own = exercise(fixed([[1.0, 2.0]]), fixed([[0.5, 0.0]], Role.LIMIT, "limit"), mistakes=(cause,))
    named, last = ("limit: You did.",), torch.tensor(1.5e-5).item()
    for number, warnings in ((1e-5, ()), (1.0001e-5, named), (last + 1e-5, named), (last + 1.0001e-5, ())):
        outcomes = changed(shown(own), lambda output, number=number: output.where(output > 0, number))
        assert limit_warnings(own, outcomes, ()) == warnings


def test_unsafe_variants_change_only_the_limits() -> None:
    """By more than rounding. Usual numbers and their gradients stay the same."""
    slightly = mistake(SHIFT, "product.where(x < 50, 7.0) * 1.0001", Kind.UNSAFE)
    gradient = mistake(SHIFT, "(product + product - product.detach()).where(x < 50, 7.0)", Kind.UNSAFE)
    own = exercise(fixed(ONE), limit(99), mistakes=(SAME, slightly, gradient, HUGE, THREE, LARGE))
    assert [each.mistakes for each in naming._unsafe_variants(own, (THREE,))] == [(THREE, LARGE)]
    assert naming._unsafe_variants(own, (LARGE,)) == ()
    without_limits = exercise(fixed([[99.0]]), mistakes=(LARGE,))
    assert naming._unsafe_variants(without_limits, ()) == ()


def shares(x: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """Return the shares of numbers in the sum of their row; 0 for an empty row."""
    weights = x / x.sum(-1, keepdim=True)
    return weights.masked_fill(weights.isnan(), 0.0)


def test_edits_without_guards_are_edits_of_a_function_without_what_matters_only_at_limits() -> None:
    own = Exercise("shares", shares, (fixed([[1.0, 2.0, 0.0], [3.0, 1.0, 2.0]]), fixed([[0.0, 0.0]], Role.LIMIT, "empty")))
    found = naming.edits_without_guards(own).variants
    assert all("masked_fill" not in each.mistakes[0].edits[0][1] for each in found)
    edit = next(each.mistakes for each in found if "weights = x / x\n" in each.mistakes[0].edits[0][1])
    assert name_mistakes(own, shown(own, *edit)) == edit  # NaN, where the edit with the guard has zeros
    assert naming.edits_without_guards(exercise(fixed(ONE))).variants == []


def test_a_function_is_explained_by_its_mistake_or_by_a_relation() -> None:
    three, large = replace(THREE, message="You tripled."), replace(LARGE, message="Large numbers are lost.")
    own = exercise(fixed(ONE), limit(99), mistakes=(three, large))
    lost = "99: Large numbers are lost."
    assert explain(own, shown(own)) == Explanation()
    assert explain(own, shown(own, three)) == Explanation((three,))
    assert explain(own, shown(own, large)) == Explanation((large,), (), "", (lost,))
    assert explain(own, shown(own, three, large)) == Explanation((three,), (), "", (lost,))
    own = exercise(fixed([[1.0, -0.5, 2.0]]))
    larger = explain(own, shown(own, mistake("2.0 if", "2.7 if")))
    assert larger.relation == "Your numbers are 1.35 times the expected ones."


def test_unsafe_numerics_that_show_with_a_mistake_have_one_warning() -> None:
    """Tripled, the usual numbers are too large, too."""
    three = replace(THREE, message="You tripled.")
    lost = replace(mistake(SHIFT, "product.where(product < 50, 7.0)", Kind.UNSAFE, "code"), message="They are lost.")
    for limits, warning in (((), "They are lost."), ((limit(99),), "99: They are lost.")):
        own = exercise(fixed([[1.0, 20.0]]), *limits, mistakes=(three, lost))
        assert explain(own, shown(own, three, lost)) == Explanation((three,), (lost,), "", (warning,))


def test_a_mistake_that_edge_cases_do_not_show_is_named() -> None:
    """Unless a mistake explains the edge cases, too."""
    own = exercise(fixed(ONE), fixed([[0.0, 9.0]], Role.EDGE, "edge"), mistakes=(THREE,))
    with_line = mistake("2.0 if", "(2.0 if x.max() > 8 else 3.0) if")
    assert name_mistakes(own, shown(own, with_line)) == (THREE,)
