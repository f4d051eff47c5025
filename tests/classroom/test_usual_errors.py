"""Usual errors are explained in a sentence."""

import pytest
import torch

from minibert.classroom.usual_errors import explanation
from minibert.sandbox.errors import describe

X = torch.ones(2, 3)
ERRORS = [
    ("X - X.max(dim=-1)", "`max` with an axis returns values and indices: take its `.values`, or use `amax`."),
    ("torch.exp(X.min(-1))", "`min` with an axis returns values and indices: take its `.values`, or use `amin`."),
    ("X < X.topk(2)", "`topk` returns values and indices: take its `.values`."),
    ("X.sort(-1).unsqueeze(-1)", "`sort` returns values and indices: take its `.values`."),
    ("torch.linalg.qr(X).sum()", "returns several tensors in a tuple"),
    ("max(0, X)", "Python's `max` compares whole tensors"),
    ("1 if X else 0", "write `if X is not None`"),
    ("1 if not X else 0", "write `if X is not None`"),
    ("X > 0 and X < 2", "write `&` (and)"),
    ("1 if X.numpy() > 0 else 0", "use `torch.where` or `masked_fill`"),
    ("None.unsqueeze(-3)", "A value in this line is None"),
    ("X + None", "A value in this line is None"),
    ("torch.exp(None)", "A value in this line is None"),
    ("X(2)", "a part of it needs square brackets"),
    ("X.sum / 2", "A method needs parentheses"),
    ("torch.sqrt(64)", "as in `math.sqrt(64)`"),
    ("X + torch.ones(2)", "from the last axis on"),
]


@pytest.mark.parametrize(("line", "sentence"), ERRORS)
def test_usual_errors_are_explained(line: str, sentence: str) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError, RuntimeError)) as raised:
        eval(line)
    assert sentence in explanation(describe(raised.value), line)


def test_an_argument_that_is_tested_with_if_is_named() -> None:
    error = "RuntimeError: Boolean value of Tensor with more than one value is ambiguous"
    assert "write `if keep is not None`" in explanation(error, "if keep:")


@pytest.mark.parametrize("error", ["", "KeyError: 3", "ValueError: too many values to unpack (expected 2)"])
def test_other_errors_are_not(error: str) -> None:
    assert explanation(error, "if keep: a, b = x(max(1, 2))") == ""
