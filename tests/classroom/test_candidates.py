"""The wrong functions that a learner's function is compared with, for a small exercise."""

import functools
import itertools
import sys
import warnings
from dataclasses import replace

import pytest
import torch

from minibert.classroom import candidates
from minibert.classroom.candidates import Family, Variant, compared, leaves_out, most_variants, reference
from minibert.classroom.exercise import Role
from minibert.classroom.mistakes import Kind
from minibert.classroom.probes import expected, probes
from minibert.classroom.running import Outcome
from tests.classroom.small_exercise import case, exercise, mistake, scaled

THREE = mistake("2.0 if", "3.0 if")
FOUR = mistake("2.0 if", "4.0 if")
NO_SHIFT = mistake(" + shift", "")
SUBTRACTED = mistake("product + shift", "product - shift")
INVERSE = mistake("x * (", "1 / x * (", Kind.CONVENTION)
NAN = mistake("return product", "return product * (x / 0 * 0)", Kind.UNSAFE)
SAME = mistake("return product", "return 1 * product", Kind.EQUIVALENT)
USUAL = exercise()
X = torch.tensor([[1.0, -2.0, 3.0]])


def result(*mistakes, zeros=False, x=X) -> Outcome:
    return Variant(USUAL, mistakes, zeros).called_with({"x": x})


def test_a_variant_has_all_its_mistakes() -> None:
    assert Variant(USUAL, ()).function is scaled
    assert torch.equal(result().outputs["output"], 2 * X)
    assert torch.equal(result(THREE).outputs["output"], 3 * X)
    assert torch.equal(result(THREE, INVERSE).outputs["output"], 3 / X)


def test_mistakes_in_the_same_line_cannot_be_combined() -> None:
    variant = Variant(USUAL, (THREE, FOUR))
    assert variant.function is None
    for outcome in (variant.values(0), variant.gradients(0), variant.called_with({"x": X})):
        assert (outcome.error, outcome.outputs) == ("ValueError: the mistakes cannot be combined", {})


def test_an_entry_of_the_catalogue_that_does_not_fit_is_an_error_and_an_edit_is_not() -> None:
    assert Variant(USUAL, (mistake("no such code", ""),)).function is None
    gone = mistake("no such code", "", seen_in="other code")
    assert Variant(USUAL, (gone, gone)).function is None
    with pytest.raises(RuntimeError, match=r"the mistake 'no such code → ' does not fit .*small_exercise\.py: if the file has"):
        _ = Variant(USUAL, (gone,)).function


def test_a_call_changes_nothing_outside() -> None:
    """Arguments stay as they are, random numbers are the same every time, warnings are not shown, and results have no graph."""
    in_place = mistake("return product", "return x.add_(product)")
    before = X.clone()
    outcome = result(in_place, x=before)
    assert torch.equal(before, X)
    assert torch.equal(outcome.after["x"], 3 * X)
    outcome = result(x=X.clone().requires_grad_())
    assert not outcome.outputs["output"].requires_grad
    assert not outcome.after["x"].requires_grad
    random = mistake("return product", "return __import__('torch').rand(2)")
    assert torch.equal(result(random).outputs["output"], result(random).outputs["output"])
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert not result(mistake("return product", "return x is 1 or product")).error
        assert not result(mistake("return product", "return __import__('warnings').warn('a') or product")).error
    assert shown == []


def test_of_an_error_the_type_is_kept() -> None:
    assert result(mistake("return product", "return [][1]")).error == "IndexError"


def test_zeros_may_stand_in_the_place_of_nan() -> None:
    assert result(NAN).outputs["output"].isnan().all()
    assert torch.equal(result(NAN, zeros=True).outputs["output"], torch.zeros(1, 3))
    assert result(mistake("return product", "return 'text',"), zeros=True).error == "Unusable"


def test_values_and_gradients_of_a_probe_are_computed_once() -> None:
    variant, x = Variant(USUAL, (THREE,)), probes(USUAL)[1].arguments["x"]
    assert torch.equal(variant.values(1).outputs["output"], 3 * x)
    assert variant.values(1) is variant.values(1)
    assert not variant.values(1).gradients
    assert variant.gradients(1) is variant.gradients(1)
    assert torch.allclose(variant.gradients(1).gradients["x"], 1.5 * reference(USUAL).gradients(1).gradients["x"])
    assert reference(USUAL).values(1) is expected(USUAL)[1]


def near(family: Family, output, distance: float, number: int = 0, **more) -> list[str]:
    return [each.mistakes[0].name for each in family.near(number, Outcome({"output": output}, **more), distance)]


def test_variants_are_near_if_no_number_is_farther_than_the_distance_times_their_largest_number() -> None:
    family = Family(Variant(USUAL, (each,)) for each in (THREE, FOUR, mistake("return product", "return [][1]")))
    x = probes(USUAL)[0].arguments["x"]
    assert near(family, 3 * x, 1e-6) == [THREE.name]
    assert near(family, 3 * x, 0.24) == [THREE.name]
    assert near(family, 3 * x, 0.26) == [THREE.name, FOUR.name]
    assert near(family, 4 * x, 0.26) == [FOUR.name]
    assert near(family, 4 * x, 0.34) == [THREE.name, FOUR.name]
    assert near(family, 3 * x[:1], 100.0) == near(family, x.T, 100.0) == []
    assert near(family, 3 * probes(USUAL)[1].arguments["x"], 1e-6, number=1) == [THREE.name]
    assert near(Family([Variant(USUAL, (FOUR,))]), 4 * x, 1e-6) == [FOUR.name]
    assert near(Family([]), x, 100.0) == []
    assert family.near(0, Outcome(), 100.0) == []


def test_nan_and_both_infinities_are_different_numbers() -> None:
    edits = ["float('nan')", "float('inf')", "-float('inf')", "0.0"]
    family = Family(Variant(USUAL, (mistake("+ shift", f"* 0 + {each}"),)) for each in edits)
    x = probes(USUAL)[0].arguments["x"]
    for number, value in enumerate((torch.nan, torch.inf, -torch.inf, 0.0)):
        assert near(family, torch.full_like(x, value), 1e-5) == [family.variants[number].mistakes[0].name]


def test_zeros_up_to_rounding_are_near_zeros() -> None:
    zeros = mistake("return product", "return 0 * product")
    family, x = Family([Variant(USUAL, (zeros,))]), probes(USUAL)[0].arguments["x"]
    assert near(family, torch.full_like(x, 1e-7), 1e-5) == [zeros.name]
    assert near(family, torch.full_like(x, 1e-4), 1e-5) == []


def test_arguments_count_if_the_function_should_change_them() -> None:
    x = probes(USUAL)[0].arguments["x"]
    in_place = mistake("return product", "return x.mul_(0) + 1")
    changing = replace(exercise(), changes=frozenset({"x"}))
    for of, after, names in ((USUAL, x, [in_place.name]), (changing, x, []), (changing, 0 * x, [in_place.name])):
        family = Family([Variant(of, (in_place,))])
        assert near(family, torch.ones_like(x), 1e-5, after={"x": after}) == names


def test_a_family_leaves_the_settings_of_torch_as_they_are() -> None:
    code = "return (torch := __import__('torch')).set_default_dtype(torch.float64) or product"
    x = probes(USUAL)[0].arguments["x"]
    assert near(Family([Variant(USUAL, (mistake("return product", code),))]), 2 * x, 1e-5)
    assert torch.get_default_dtype() is torch.float32


def names(family: Family) -> list[list[str]]:
    return [[each.name for each in variant.mistakes] for variant in family.variants]


def test_families_of_the_catalogue() -> None:
    of = exercise(case(), case(Role.AXES), mistakes=(SUBTRACTED, THREE, NO_SHIFT, INVERSE, NAN, SAME))
    assert names(candidates.single_mistakes(of)) == [[each.name] for each in (SUBTRACTED, THREE, NO_SHIFT, INVERSE, NAN)]
    zeros = candidates.single_mistakes_with_zeros(of)
    assert names(zeros) == [[NAN.name]]
    assert zeros.variants[0].zeros_for_nan
    unsafe = candidates.mistakes_with_unsafe_numerics(of)
    assert names(unsafe) == [[NO_SHIFT.name, NAN.name], [SUBTRACTED.name, NAN.name], [THREE.name, NAN.name]]
    pairs = [(NO_SHIFT, INVERSE), (SUBTRACTED, THREE), (SUBTRACTED, NO_SHIFT), (SUBTRACTED, INVERSE)]
    found = names(candidates.pairs_of_mistakes(of))
    assert found[:3] == [[each.name for each in pair] for pair in ((SUBTRACTED, NO_SHIFT), (THREE, NO_SHIFT), pairs[0])]
    assert len(found) == 6
    assert names(candidates.parts_left_out(of)) == []


def test_pairs_of_the_first_entries_come_first() -> None:
    several = [mistake("2.0 if", f"{number}.0 if") for number in range(3, 8)]
    several[1] = replace(several[1], function=functools.wraps(scaled)(lambda *given: scaled(*given)))
    found = names(candidates.pairs_of_mistakes(exercise(mistakes=tuple(several))))
    order = [tuple(int(name[-6]) - 3 for name in pair) for pair in found]
    assert order == sorted(itertools.combinations(range(5), 2), key=sum)


def test_parts_are_left_out_three_at_a_time() -> None:
    shorter = [mistake(code, "") for code in (" + shift", "2.0 if", "x * ", "return")]
    of = exercise(mistakes=(THREE, *shorter))
    assert [*map(leaves_out, of.mistakes)] == [False, True, True, True, True]
    found = names(candidates.parts_left_out(of))
    assert len(found) == 4
    assert found[0] == [each.name for each in shorter[:3]]


def returns_a_list(x) -> list[float]:
    return x.flatten().tolist()


def returns_a_pair(x):
    return x, x


@pytest.mark.parametrize("function", [returns_a_list, returns_a_pair])
def test_only_a_tensor_has_zeros_in_the_place_of_nan(function) -> None:
    nan = replace(mistake("return x", "return x * (x / 0 * 0)"), function=function)
    of = replace(exercise(), reference=function)
    of.__dict__["mistakes"] = (nan,)
    assert candidates.single_mistakes(of).variants
    assert candidates.single_mistakes_with_zeros(of).variants == []


def calls_another(x):
    return scaled(x)


def test_edits_are_limited_where_a_call_takes_long(monkeypatch) -> None:
    monkeypatch.setattr(candidates, "most_variants", lambda exercise: 2)
    monkeypatch.setattr(candidates, "called_functions", lambda function: [scaled] if function is calls_another else [])
    of = exercise(mistakes=(THREE, FOUR, NO_SHIFT, SUBTRACTED, INVERSE))
    assert len(candidates.edits_of_reference(of).variants) == 4
    assert candidates.edits_of_called_functions(of).variants == []
    form = replace(exercise(), other_forms=(calls_another,))
    assert len(candidates.edits_of_called_functions(form).variants) == 2
    called = replace(exercise(), reference=calls_another)
    assert len(candidates.edits_of_called_functions(called).variants) == 2
    assert len(candidates.pairs_of_mistakes(of).variants) == 6
    monkeypatch.setattr(candidates, "OUTSIDE_FORMULAS", (scaled.__module__,))
    assert candidates.edits_of_called_functions(replace(called, name="another")).variants == []


def test_the_number_of_variants_depends_on_the_calls_of_functions_alone() -> None:
    def longer(x):
        for _ in range(100):
            x = torch.nn.functional.relu(x)
        return x

    def profile(*arguments):
        return None

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        count = most_variants(exercise())
        after = sys.getprofile()
    finally:
        sys.setprofile(before)
    assert after is profile
    assert 600 < count < 1_000_000 / 1500
    assert count == most_variants(replace(exercise(), name="another"))
    assert 1_000_000 / (1500 + 1000) < most_variants(replace(exercise(), reference=longer)) < 1_000_000 / (1500 + 100)


def test_probes_at_limits_are_compared_alone_and_those_with_other_axes_never() -> None:
    of = exercise(case(), case(Role.EDGE), case(Role.LIMIT), case(Role.AXES))
    roles = {number: probe.case.role for number, probe in enumerate(probes(of))}
    found = {number for number, outcome in compared(of, expected(of)) if outcome is expected(of)[number]}
    assert found == {number for number, role in roles.items() if role in (Role.TYPICAL, Role.EDGE)}
    limits = {number for number, _ in compared(of, expected(of), limits=True)}
    assert limits == {number for number, role in roles.items() if role is Role.LIMIT}
