"""The steps of one AdamW update equal PyTorch's AdamW, and their formulas explain them."""

import numpy as np
import pytest
import torch

from minibert import BertForMaskedLM
from minibert.study import backward_walk
from minibert.study.stepthrough.arithmetic import cell, evaluate
from minibert.study.stepthrough.step import Axis, Step
from minibert.study.stepthrough.update import AdamW, update_steps
from minibert.trace import Leaf
from tests.study.stepthrough.test_backward import BERT, TEXT, TOKENIZER, network

SETTINGS = {"learning_rate": 0.01, "betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 0.1}


def steps_of(parameter: torch.Tensor, gradient: torch.Tensor, settings: AdamW) -> dict[str, Step]:
    step = Step("gradient.w", gradient, tuple(Axis(f"axis {axis}", size) for axis, size in enumerate(gradient.shape)))
    return {each.path: each for each in update_steps(Leaf("parameter", "w", parameter), step, settings)}


@pytest.mark.parametrize("updates", [0, 3])
@pytest.mark.parametrize("shape", [(2, 3), (4,)])
def test_the_corrected_update_is_that_of_pytorch(updates: int, shape: tuple[int, ...]) -> None:
    """Also after some updates, when the optimizer has a state; vectors have no weight decay in training."""
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.randn(shape, dtype=torch.float64))
    decay = SETTINGS["weight_decay"] if len(shape) > 1 else 0.0
    optimizer = torch.optim.AdamW([parameter], lr=0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=decay)
    for _ in range(updates):
        parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    state = optimizer.state.get(parameter, {})
    before, gradient = parameter.detach().clone(), torch.randn_like(parameter)
    moments = {
        name: state[key].clone() for name, key in (("first_moment", "exp_avg"), ("second_moment", "exp_avg_sq")) if state
    }
    steps = steps_of(before, gradient, AdamW(step=updates + 1, **moments, **SETTINGS))
    parameter.grad = gradient
    optimizer.step()
    torch.testing.assert_close(steps["adamw.w.updated_parameter"].output, parameter.detach(), rtol=1e-12, atol=1e-12)


def test_without_bias_correction_the_first_step_is_larger() -> None:
    steps = steps_of(torch.zeros(3), torch.tensor([250.0, -0.5, 1.0]), AdamW())
    torch.testing.assert_close(steps["adamw.w.direction"].output, torch.tensor([1.0, -1.0, 1.0]))
    uncorrected = steps["adamw_without_bias_correction.w.uncorrected_direction"].output
    torch.testing.assert_close(uncorrected, torch.tensor([1.0, -1.0, 1.0]) * 0.1 / 0.001**0.5)


@pytest.mark.parametrize("name", [None, "embeddings.words.weight", "mlm.bias"])
def test_every_step_of_the_update_is_explained_from_the_recorded_gradient(name: str | None) -> None:
    walk = backward_walk(network(BertForMaskedLM, BERT), TOKENIZER, TEXT, update=name)
    steps = [step for step in walk.steps if step.path.startswith("adamw")]
    changed = name or "layers.0.attention.query.weight"
    assert {step.path.rpartition(f".{changed}.")[0] for step in steps} == {"adamw", "adamw_without_bias_correction"}
    for step in steps:
        assert step.expression is not None
        np.testing.assert_allclose(evaluate(step.expression), step.output.numpy(), rtol=1e-12, atol=1e-15)
        index = (0,) * step.output.ndim
        assert cell(step.expression, index).value == pytest.approx(float(step.output[index]), rel=1e-12)
        assert all(leaf.name in walk for leaf in step.inputs if leaf.kind == "step")
        assert step.formula
        assert step.axes == walk[f"gradient.{changed}"].axes
    assert {leaf.name for leaf in steps[0].inputs} >= {f"gradient.{changed}"}
    assert changed in {leaf.name for leaf in steps[-1].inputs}


def test_unknown_parameters_and_moments_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Similar names: .*query\.weight"):
        backward_walk(network(BertForMaskedLM, BERT), TOKENIZER, TEXT, update="layers.0.attention.querry.weight")
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        steps_of(torch.zeros(3), torch.zeros(3), AdamW(first_moment=torch.zeros(2)))
