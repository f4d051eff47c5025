"""The steps in a stub: in the order of the code, and each formula names its inputs."""

import re

import pytest

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.steps import steps
from minibert.study.equations.formulas import plain

LAYERS = [exercise for exercise in EXERCISES.values() if steps(exercise)]
every_layer = pytest.mark.parametrize("exercise", LAYERS, ids=lambda exercise: exercise.name)


@every_layer
def test_a_symbol_has_one_meaning(exercise) -> None:
    """Every symbol is defined once, and no step has the letter x for its input."""
    symbols = [step.symbol for step in steps(exercise).values() if "=" in step.formula]
    assert len(set(symbols)) == len(symbols)
    for step in steps(exercise).values():
        assert not re.search(r"\bx\b", step.formula.partition("=")[2])


@pytest.mark.parametrize(
    ("name", "formulas"),
    [
        ("encoder_layer", ["r = hidden + O", "n = LayerNorm(r)", "r′ = n + F", "y = LayerNorm(r′)", "y"]),
        (
            "decoder_layer",
            ["r = hidden + O", "n = LayerNorm(r)", "c = n + O", "n′ = LayerNorm(c)", "r′ = n′ + F", "y = LayerNorm(r′)", "y"],
        ),
        (
            "multi_head_attention_layer",
            [
                "Q = queries_from W_Qᵀ + b_Q",
                "K = keys_from W_Kᵀ + b_K",
                "V = keys_from W_Vᵀ + b_V",
                "H = Concat(C_0, C_1, …)",
                "O = HW_Oᵀ + b_O",
            ],
        ),
        (
            "scaled_dot_product_attention",
            ["P = QKᵀ", "S = P/√d_k", "M_{ij} = S_{ij} if keep_{ij}, else −∞", "A = softmax(M)", "C = AV"],
        ),
        ("masked_lm_head", ["h = hidden Wᵀ + b_h", "a = f(h)", "n = LayerNorm(a)", "z = nEᵀ + b_z"]),
    ],
)
def test_the_steps_are_those_of_the_code(name: str, formulas: list[str]) -> None:
    assert [plain(step.formula) for step in steps(EXERCISES[name]).values()] == formulas
