"""The inputs of a check: which cases are drawn, with which seeds and sizes."""

import torch

from minibert.classroom.exercise import Role
from minibert.classroom.probes import call_all, expected, probes, probes_of
from minibert.classroom.running import LocalRunner
from tests.classroom.small_exercise import case, exercise, scaled

ONE, TWO = case(name="one"), case(name="two")


def test_every_case_is_drawn_with_every_seed() -> None:
    """The seeds may be those of an iterator. Equal seeds give equal numbers."""
    made = probes_of(exercise(ONE, TWO), iter((3, 5)), hidden=True)
    assert [(probe.case, probe.seed, probe.hidden) for probe in made] == [
        (ONE, 3, True),
        (ONE, 5, True),
        (TWO, 3, True),
        (TWO, 5, True),
    ]
    assert torch.equal(made[0].arguments["x"], made[2].arguments["x"])
    assert not probes_of(exercise(ONE), (3,))[0].hidden


def test_after_all_seeds_each_case_has_equal_sizes_unless_it_is_a_limit_or_a_statistic() -> None:
    limit = case(Role.LIMIT, "limit")
    made = probes(exercise(ONE, limit))
    assert [(probe.case.name, probe.seed) for probe in made] == [("one", 0), ("one", 1), ("limit", 0), ("limit", 1), ("one", 2)]
    assert [len(set(probe.arguments["x"].shape)) for probe in made[-1:]] == [1]
    assert len({tuple(probe.arguments["x"].shape) for probe in made}) > 1


def test_the_expected_outcomes_are_those_of_the_reference() -> None:
    of = exercise(ONE)
    for one, other in zip(expected(of), call_all(probes(of), LocalRunner(of, scaled)), strict=True):
        assert torch.equal(one.outputs["output"], other.outputs["output"])
        assert one.gradients.keys() == other.gradients.keys() == {"x"}
