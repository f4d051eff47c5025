"""How the outputs of networks are shown."""

import torch

from minibert.model.bert import BertOutput
from minibert.model.outputs import SequenceClassifierOutput


def test_no_line_of_an_output_ends_with_a_space() -> None:
    """Also not the line of a tensor without values."""
    shown = str(BertOutput(torch.zeros(1, 0, 4), torch.ones(1, 4)))
    assert [line.split()[0] for line in shown.splitlines()] == ["BertOutput", "last_hidden_state", "pooler_output"]
    assert not [line for line in shown.splitlines() if line != line.rstrip()]


def test_a_summary_is_one_line() -> None:
    """The name of the class, and name and shape of each tensor that is given."""
    output = SequenceClassifierOutput(torch.zeros(2, 3))
    assert output.summary == "SequenceClassifierOutput(logits: 2 × 3)"
