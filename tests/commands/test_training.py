"""The lines that every training command prints at the end of a run."""

from pathlib import Path

import pytest

from minibert.commands.training import _say_which_model
from minibert.training.best import BestEvaluation
from minibert.training.events import Finished
from minibert.training.records import Column

PEARSON = Column("Pearson", "validation_pearson", ".3f")


@pytest.mark.parametrize("steps", [5, 20])
def test_no_evaluation_has_a_value_of_the_main_metric(tmp_path: Path, steps: int, capsys: pytest.CaptureFixture[str]) -> None:
    """As the correlation with a constant: there is no best evaluation that others could be compared with."""
    _say_which_model(Finished(tmp_path, 5, BestEvaluation(0, None, 1), 5, []), steps, PEARSON)
    printed = " ".join(capsys.readouterr().out.split())
    assert "No evaluation has a value of the main metric (Pearson), so the model is that of the last step." in printed
    assert ("Stopped early, after step 5 of 20." in printed) == (steps == 20)
    assert "the best one" not in printed
