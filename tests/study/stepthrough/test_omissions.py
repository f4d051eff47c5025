"""Parts that a reader can leave out of the formula of a step, and the number that this gives."""

import math
from functools import cache

import pytest
from scipy.special import erf

from minibert.study import walk
from minibert.study.stepthrough.arithmetic import cell
from minibert.study.stepthrough.omissions import magnitude, omissions, omitted_numbers, symbols_of
from minibert.study.stepthrough.step import Step, Walk
from minibert.study.subject import load_subject

TEXT = "the cat sat on the [MASK] ."
LAYER = "layers.0."


@cache
def walked() -> Walk:
    return walk(*load_subject(preset="tiny", texts=[TEXT]), TEXT)


def numbers(path: str, index: tuple[int, ...]) -> dict[str, float]:
    return dict(omitted_numbers(walked()[path], symbols_of(walked().steps), index))


def parameter(path: str, kind: str) -> float:
    """Return the second number of the gain or of the bias of a step."""
    return next(leaf.value[1].item() for leaf in walked()[path].inputs if leaf.name.endswith(kind))


@pytest.mark.parametrize(
    ("path", "symbol"),
    [
        ("attention.query", "b_Q"), ("attention.output", "b_O"), ("intermediate", "b_1"), ("feed_forward", "b_2"),
    ],
)  # fmt: skip
def test_a_bias_can_be_left_out_of_each_linear_map(path: str, symbol: str) -> None:
    step = walked()[LAYER + path]
    index = (0,) * (step.output.ndim - 1) + (1,)
    assert numbers(step.path, index)[f"You left out + {symbol}."] == pytest.approx(
        float(step.output[index]) - parameter(step.path, "bias"), abs=1e-6
    )


def test_gelu_can_be_left_out_or_a_part_of_it() -> None:
    index = (0, 2, 1)
    u = float(walked()[f"{LAYER}intermediate"].output[index])
    found = numbers(f"{LAYER}activation", index)
    assert found["You left out GELU: this is the number of u."] == pytest.approx(u)
    assert found["You left out + 1."] == pytest.approx(u / 2 * erf(u / math.sqrt(2)), rel=1e-5)
    assert found["You left out the factor 0.5."] == pytest.approx(u * (1 + erf(u / math.sqrt(2))), rel=1e-5)


def test_a_normalization_can_be_without_root_mean_gain_and_bias() -> None:
    index = (0, 2, 1)
    r = float(walked()[f"{LAYER}attention_residual"].output[index])
    mean, variance = (float(walked()[f"{LAYER}attention_norm.{name}"].output[0, 2, 0]) for name in ("mean", "variance"))
    gain, bias = (parameter(f"{LAYER}attention_norm", kind) for kind in ("weight", "bias"))
    found = numbers(f"{LAYER}attention_norm", index)
    centered = (r - mean) / math.sqrt(variance)
    assert found["You left out + b."] == pytest.approx(centered * gain, rel=1e-5)
    assert found["You left out the factor g."] == pytest.approx(centered + bias, rel=1e-5)
    assert found["You left out − μ."] == pytest.approx(r / math.sqrt(variance) * gain + bias, rel=1e-5)
    assert found["You left out the square root."] == pytest.approx((r - mean) / variance * gain + bias, rel=1e-5)
    assert found["You left out LayerNorm: this is the number of r."] == pytest.approx(r)
    assert found["This is only r − μ, a part of the formula."] == pytest.approx(r - mean, rel=1e-5)


def test_a_softmax_can_be_without_its_sum() -> None:
    scores = walked()[f"{LAYER}attention.masked_scores"].output[0, 1, 3]
    found = numbers(f"{LAYER}attention.weights", (0, 1, 3, 5))
    assert found["You did not divide by ∑_j (e^{M−max(M)})_j."] == pytest.approx(math.exp(scores[5] - scores.max()), rel=1e-5)
    assert found["You left out softmax: this is the number of M."] == pytest.approx(float(scores[5]))


def test_a_residual_has_two_terms() -> None:
    index = (0, 2, 1)
    residual, norm = f"{LAYER}feed_forward_residual", walked()[f"{LAYER}attention_norm"].output[index]
    assert numbers(residual, index)["You left out + F."] == pytest.approx(float(norm))
    assert "You left out + n." in numbers(residual, index)


def test_each_calculated_step_has_omissions_with_different_messages() -> None:
    copies = {"merged", "predicted_logits", "query", "words", "positions", "segments", "context", "dot_products"}
    symbols = symbols_of(walked().steps)
    for step in walked().steps:
        messages = [omission.message for omission in omissions(step, symbols)]
        assert len(messages) == len({*messages})
        assert all(message.endswith(".") and "\\" not in message for message in messages)
        assert messages or step.expression is None or step.name in copies, step.path


def test_magnitude_is_the_norm_of_the_terms() -> None:
    step: Step = walked()[f"{LAYER}attention.dot_products"]
    index = (0, 1, 3, 5)
    query, key = (walked()[f"{LAYER}attention.{name}"].output[0, 1] for name in ("query", "key"))
    assert magnitude(cell(step.expression, index)) == pytest.approx(float((query[3] * key[5]).norm()), rel=1e-5)
