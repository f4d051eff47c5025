"""The inputs of the exercises about layers."""

import torch

from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercise import Role
from minibert.classroom.exercises.attention import multi_head_inputs
from minibert.classroom.exercises.layers import Sublayer, cases_of_norms, tokens


class LargeDraw(RandomDraw):
    """Random numbers that are enough for their mean and their spread."""

    def size(self, usual: int, least: int = 1) -> int:
        return 30


def near(number: float, other: float) -> bool:
    return abs(number - other) < 0.05


def test_a_sublayer_is_not_linear() -> None:
    sublayer, x = Sublayer(torch.eye(2)), torch.tensor([[1.0, -3.0]])
    assert sublayer(x).tolist() == [[2.0, 6.0]]
    assert not torch.equal(sublayer(2 * x), 2 * sublayer(x))


def test_tokens_have_a_mean_that_is_not_zero() -> None:
    """Else a norm that does not subtract it is right."""
    hidden = tokens(LargeDraw(0))["hidden"]
    assert near(hidden.mean().item(), 0.5)
    assert near(hidden.std().item(), 1.0)


def test_norms_have_a_case_of_each_role() -> None:
    assert [(case.name, case.role) for case in cases_of_norms(tokens)] == [
        ("tokens", Role.TYPICAL),
        ("another eps", Role.TYPICAL),
        ("small variance", Role.EDGE),
        ("large mean", Role.LIMIT),
    ]
    small = cases_of_norms(tokens)[2].recipe(LargeDraw(0))["hidden"]
    assert near(1e6 * small.std().item(), 2.0)


def test_scores_are_neither_all_equal_nor_one_hot() -> None:
    """Queries and keys have a spread of 1.5 by default, and that of the values is not smaller."""
    for size in (1.0, 0.5):
        given = multi_head_inputs(LargeDraw(0), (30, 2, 30, 30, 20, 20), *([size] if size != 1 else []))
        for inputs, weights in (("queries_from", "w_q"), ("keys_from", "w_k")):
            assert abs((given[inputs] @ given[weights]).std().item() - 1.5 * size) < 0.1
