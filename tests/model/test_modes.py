"""Tests of training mode and evaluation mode."""

import pytest
from torch import nn

from minibert.model.adapters import LoRA
from minibert.model.modes import evaluation_mode, training_mode


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_every_module_is_in_its_own_previous_mode_afterwards(error: type[Exception] | None) -> None:
    """A part that the user has frozen in evaluation mode stays so, also after an error."""
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Dropout()))
    model[1][0].eval()
    before = [module.training for module in model.modules()]
    try:
        with evaluation_mode(model):
            assert not any(module.training for module in model.modules())
            if error:
                raise error
    except ZeroDivisionError:
        pass
    assert [module.training for module in model.modules()] == before
    assert sorted(set(before)) == [False, True]


class TestTrainingMode:
    def test_frozen_modules_rest_with_everything_in_them(self) -> None:
        """A dropout belongs to the module around it. One trained parameter is enough for training mode."""
        model = nn.ModuleDict(
            {
                "frozen": nn.Sequential(nn.Linear(1, 1), nn.Dropout(), nn.Sequential(nn.Dropout())),
                "biases": nn.Sequential(nn.Linear(1, 1), nn.Dropout()),
                "own": nn.Dropout(),
            }
        )
        model["frozen"].requires_grad_(False)
        model["biases"][0].weight.requires_grad_(False)
        training_mode(model)
        modes = {name: module.training for name, module in model.named_modules()}
        assert {name for name, training in modes.items() if not training} == {
            "frozen", "frozen.0", "frozen.1", "frozen.2", "frozen.2.0",
        }  # fmt: skip

    def test_the_last_module_can_be_the_frozen_one(self) -> None:
        model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
        model[1].requires_grad_(False)
        training_mode(model)
        assert [module.training for module in model] == [True, False]

    def test_with_an_adapter_frozen_modules_are_in_training_mode_too(self) -> None:
        model = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
        model.requires_grad_(False)
        model[0].adapter = LoRA()
        training_mode(model)
        assert all(module.training for module in model.modules())

    def test_modules_that_are_trained_again_leave_it(self) -> None:
        model = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
        model.requires_grad_(False)
        training_mode(model)
        assert not any(module.training for module in model.modules())
        model.requires_grad_(True)
        training_mode(model)
        assert all(module.training for module in model.modules())
