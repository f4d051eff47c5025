"""Tests of the evaluation mode of a block."""

import pytest
from torch import nn

from minibert.model.modes import evaluation_mode


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
