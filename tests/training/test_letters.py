"""Preparation of the toy task with letters."""

from pathlib import Path

import pytest

from minibert.training.letters import prepare_letters
from minibert.training.options import TranslationConfig


def test_sequences_that_do_not_fit_into_a_step_are_refused(tmp_path: Path) -> None:
    """10 letters are 12 source tokens and 11 target tokens."""
    message = "a pair of sequences of 10 letters has 23 tokens, but a step has 22: raise --batch-tokens, or lower --letters"
    with pytest.raises(ValueError, match=message):
        prepare_letters("sort", 10, TranslationConfig(batch_tokens=22), tmp_path)
    task = prepare_letters("sort", 10, TranslationConfig(batch_tokens=23), tmp_path)
    epoch = task.train.epoch(0)
    assert (epoch.lengths_by_side.max(axis=0) == [12, 11]).all()
