"""A learner's function next to the correct one: the first step that differs."""

from functools import cache
from pathlib import Path

import pytest
import torch

from minibert.commands.study_comparison import against_lines
from minibert.study import walk
from minibert.study.checked_attention import UserCodeError
from minibert.study.stepthrough.against import Against, against, choose_function
from minibert.study.stepthrough.learner import MAX_TEXT
from minibert.study.stepthrough.step import Walk
from minibert.study.subject import load_subject

TEXT = "the cat sat on the [MASK] ."
CODE = """
import math
import numpy as np
import torch
from torch.nn import functional as F
from minibert.observe import observe

def right(query, key, value, keep=None, dropout=0.0):
    return torch.softmax(query @ key.transpose(-2, -1) / query.size(-1) ** 0.5, -1) @ value

def scaled_first(query, key, value, keep=None, dropout=0.0):
    print("shape", *query.shape)
    return torch.softmax(query / 8 @ key.mT, -1) @ value

def no_scale(query, key, value, keep=None, dropout=0.0):
    return torch.softmax(query @ key.mT, -1) @ value

def multiplied(query, key, value, keep=None, dropout=0.0):
    return torch.softmax(query @ key.mT * 8, -1) @ value

def wrong_axis(query, key, value, keep=None, dropout=0.0):
    return torch.softmax(query @ key.mT / 8, -2) @ value

def wrong_value(query, key, value, keep=None, dropout=0.0):
    return torch.softmax(query @ key.mT / 8, -1) @ key

def observed(query, key, value, keep=None, dropout=0.0):
    scores = observe("scores", query @ key.mT / 8)
    weights = observe("weights", torch.softmax(2 * scores, -1))
    return weights @ value

def broken(query, key, value, keep=None, dropout=0.0):
    scores = query @ key.mT / 8
    return scores @ value.mT

def broken_at_once(query, key, value, keep=None, dropout=0.0):
    return query @ key

def turned(query, key, value, keep=None, dropout=0.0):
    return (torch.softmax(query @ key.mT / 8, -1) @ value).mT

def layer_norm(hidden, gain, bias, eps=1e-12):
    mean, variance = hidden.mean(-1, keepdim=True), hidden.var(-1, keepdim=True)
    return (hidden - mean) / torch.sqrt(variance + eps) * gain + bias

def right_norm(hidden, gain, bias):
    return torch.nn.functional.layer_norm(hidden, hidden.shape[-1:], gain, bias, 1e-12)

def flat_norm(hidden, gain, bias):
    return right_norm(hidden, gain, bias)[0]

def softmax(scores):
    return torch.exp(scores) / torch.exp(scores).sum()

def my_gelu(x):
    return 0.5 * x * (1 + torch.erf(x))

def numbers(x):
    return x.tolist()

def with_einsum(query, key, value, keep=None, dropout=0.0):
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / math.sqrt(query.shape[-1])
    return torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), value)

def with_loops(query, key, value, keep=None, dropout=0.0):
    scores = torch.zeros(*query.shape[:-1], key.shape[-2])
    for i in range(query.shape[-2]):
        for j in range(key.shape[-2]):
            scores[:, :, i, j] = (query[:, :, i] * key[:, :, j]).sum(-1) / 8
    return torch.softmax(scores, -1) @ value

def with_numpy(query, key, value, keep=None, dropout=0.0):
    exponentials = np.exp(query.numpy() @ key.numpy().swapaxes(-1, -2) / 8)
    return torch.from_numpy(exponentials / exponentials.sum(-1, keepdims=True) @ value.numpy())

def in_place(query, key, value, keep=None, dropout=0.0):
    scores = observe("scores", query @ key.permute(0, 1, 3, 2) / 8)
    scores -= scores.max(-1, keepdim=True).values
    scores.exp_()
    scores /= scores.sum(-1, keepdim=True)
    return scores @ value

def head_by_head(query, key, value, keep=None, dropout=0.0):
    heads = zip(query.chunk(2, 1), key.split(1, 1), value.split(1, 1))
    return torch.cat([torch.softmax(q @ k.mT / 8, -1) @ v for q, k, v in heads], 1)

def additive_mask(query, key, value, keep=None, dropout=0.0):
    return F.softmax((query @ key.mT) * 64 ** -0.5 + (1 - keep.float()) * -1e9, dim=-1) @ value

def library(query, key, value, keep=None, dropout=0.0):
    return F.scaled_dot_product_attention(query=query, key=key, value=value, attn_mask=keep)

def three_arguments(query, key, value):
    return right(query, key, value)

def loops_without_scale(query, key, value, keep=None, dropout=0.0):
    scores = torch.zeros(*query.shape[:-1], key.shape[-2])
    for i in range(query.shape[-2]):
        for j in range(key.shape[-2]):
            scores[:, :, i, j] = (query[:, :, i] * key[:, :, j]).sum(-1)
    return torch.softmax(scores, -1) @ value

def in_place_without_scale(query, key, value, keep=None, dropout=0.0):
    scores = query @ key.mT
    scores -= scores.max(-1, keepdim=True).values
    scores.exp_()
    scores /= scores.sum(-1, keepdim=True)
    return scores @ value

def numpy_without_scale(query, key, value, keep=None, dropout=0.0):
    exponentials = np.exp(query.numpy() @ key.numpy().swapaxes(-1, -2))
    return torch.from_numpy(exponentials / exponentials.sum(-1, keepdims=True) @ value.numpy())

def library_without_scale(query, key, value, keep=None, dropout=0.0):
    return F.scaled_dot_product_attention(query, key, value, scale=1.0)

def no_softmax(query, key, value, keep=None, dropout=0.0):
    return query @ key.mT / 8 @ value

def sigmoid(query, key, value, keep=None, dropout=0.0):
    return torch.sigmoid(query @ key.mT / 8) @ value

def averages(query, key, value, keep=None, dropout=0.0):
    return value.mean(-2, keepdim=True).expand(query.shape)

def newton(query, key, value, keep=None, dropout=0.0):
    root = query.sum() * 0 + 64
    for _ in range(40):
        root = root / 2 + 64 / (2 * root)
    return torch.softmax(query @ key.mT / root / root, -1) @ value

def thousands(query, key, value, keep=None, dropout=0.0):
    scores = query @ key.mT
    for _ in range(400):
        scores = scores + 1
    return torch.softmax(scores, -1) @ value

def in_double(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value).double()

def in_half(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value).half()

def integers(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value).long()

def double_numpy(query, key, value, keep=None, dropout=0.0):
    return torch.from_numpy(with_numpy(query, key, value).numpy().astype(np.float64))

def forgets_return(query, key, value, keep=None, dropout=0.0):
    right(query, key, value)

def with_weights(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value), query

def not_a_number(query, key, value, keep=None, dropout=0.0):
    return right(query * math.nan, key, value)
"""


@cache
def walked() -> Walk:
    return walk(*load_subject(preset="tiny", texts=[TEXT]), TEXT)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("learner") / "my.py"
    path.write_text(CODE)
    return path


def compared(file: Path, function: str) -> Against:
    return against(walked(), f"{file}:{function}", print)


ATTENTION = [
    "with_einsum",
    "with_loops",
    "with_numpy",
    "in_place",
    "head_by_head",
    "additive_mask",
    "library",
    "three_arguments",
]


@pytest.mark.parametrize(
    ("function", "calls"), [("right", 2), ("scaled_first", 2), ("right_norm", 6), *((name, 2) for name in ATTENTION)]
)
def test_correct_functions_agree(file: Path, function: str, calls: int, capsys: pytest.CaptureFixture[str]) -> None:
    """In all layers. Steps that a function does not have are no difference. What it prints is passed on."""
    found = compared(file, function)
    assert (found.step, found.failure, found.calls) == (None, None, calls)
    assert ("shape 1 2 9 64" in capsys.readouterr().out) == (function == "scaled_first")


@pytest.mark.parametrize(
    ("function", "step", "expression"),
    [
        ("no_scale", "layers.0.attention.scores", "query @ transpose(key, -2, -1)"),
        ("multiplied", "layers.0.attention.scores", "query @ transpose(key, -2, -1) * 8"),
        ("wrong_axis", "layers.0.attention.weights", "softmax(query @ transpose(key, -2, -1) / 8, -2)"),
        ("wrong_value", "layers.0.attention.context", "softmax(query @ transpose(key, -2, -1) / 8, -1) @ key"),
        ("observed", "layers.0.attention.weights", "softmax(scores * 2, -1)"),
        ("layer_norm", "embeddings.norm.variance", "var(hidden, -1, keepdim=True)"),
        ("softmax", "layers.0.attention.weights", "exp(scores) / sum(exp(scores))"),
        ("my_gelu", "layers.0.activation", "(x * 0.5) * (erf(x) + 1)"),
        ("loops_without_scale", "layers.0.attention.scores", "setitem(query, key)"),
        ("in_place_without_scale", "layers.0.attention.scores", "query @ transpose(key, -2, -1)"),
        ("numpy_without_scale", "layers.0.attention.context", "the returned tensor"),
        ("library_without_scale", "layers.0.attention.context", "scaled_dot_product_attention(query, key, value, scale=1.0)"),
        ("no_softmax", "layers.0.attention.weights", "query @ transpose(key, -2, -1) / 8"),
        ("sigmoid", "layers.0.attention.weights", "sigmoid(query @ transpose(key, -2, -1) / 8)"),
        ("averages", "layers.0.attention.context", "expand(mean(value, -2, keepdim=True), (1, 2, 9, 64))"),
        ("thousands", "layers.0.attention.scores", "query @ transpose(key, -2, -1)"),
    ],
)
def test_first_step_that_differs(file: Path, function: str, step: str, expression: str) -> None:
    """Also if all later steps differ, too, and if the learner has named no step."""
    found = compared(file, function)
    assert found.step is not None
    assert found.step.path == step
    assert found.mine is not None
    assert found.mine.expression == expression
    assert found.difference is not None
    assert found.difference.relative > 1e-3
    assert found.failure is None


def test_long_expressions_are_cut(file: Path) -> None:
    """The root of a Newton iteration is used twice in each step, so written out it would have 2^40 terms."""
    found = compared(file, "newton")
    assert found.step is not None
    assert found.step.name == "weights"
    assert all(len(result.expression) <= MAX_TEXT + 1 for result in found.results)


@pytest.mark.parametrize("function", ["in_double", "in_half", "integers", "double_numpy", "forgets_return", "with_weights"])
def test_right_numbers_in_an_invalid_result(file: Path, function: str) -> None:
    """The step is the last one, and the place of the error is the learner's function."""
    found = compared(file, function)
    assert found.failure is not None
    assert found.failure.line.startswith(f"def {function}(")
    assert found.step is not None
    assert found.step.name == "context"
    lines = [*against_lines(walked(), found)]
    assert function == "in_half" or any(line.startswith("yours: ") and line.endswith(", the same numbers") for line in lines)
    assert len({*lines}) == len(lines)


def test_result_without_numbers(file: Path) -> None:
    """The operation that gave the first NaN is named."""
    found = compared(file, "not_a_number")
    assert found.failure is not None
    assert found.failure.operation == "mul"
    assert "NaN or infinite" in found.failure.error


def test_learners_result_at_a_step_is_not_an_earlier_step(file: Path) -> None:
    """With large weights, the scores are more similar to the right weights than a softmax along the wrong axis is."""
    model, tokenizer = load_subject(preset="tiny", texts=[TEXT])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 8
    found = against(walk(model, tokenizer, TEXT), f"{file}:wrong_axis")
    assert found.step is not None
    assert found.mine is not None
    assert found.step.name == "weights"
    assert found.mine.expression.startswith("softmax(")


def test_numbers_of_the_learner_are_kept(file: Path) -> None:
    found = compared(file, "no_scale")
    assert found.mine is not None
    torch.testing.assert_close(found.mine.output, 8 * walked()["layers.0.attention.scores"].output)


def test_function_that_raises_shows_what_it_computed(file: Path) -> None:
    found = compared(file, "broken")
    assert found.failure is not None
    assert (found.failure.path, found.failure.operation) == ("layers.0.attention", "matmul")
    assert found.failure.arguments[0] == "scores (1, 2, 9, 9)"
    assert found.failure.line == "return scores @ value.mT"
    assert found.step is not None
    assert found.step.path == "layers.0.attention.weights"
    assert found.results[-1].expression
    at_once = compared(file, "broken_at_once")
    assert at_once.failure is not None
    assert (at_once.mine, at_once.results) == (None, ())


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("turned", r"returned a tensor of shape (1, 2, 64, 9): it must be (1, 2, 9, 64)"),
        ("flat_norm", r"returned a tensor of shape (9, 128): it must be (1, 9, 128)"),
        ("numbers", "returned an object of type list: return a tensor"),
    ],
)
def test_wrong_shape_or_type(file: Path, function: str, message: str) -> None:
    found = compared(file, function)
    assert found.failure is not None
    assert message in found.failure.error


def test_function_is_chosen_without_running_the_code(tmp_path: Path) -> None:
    """By its name, or else by its arguments, or else it is an attention function."""
    file = tmp_path / "my.py"
    known = {"scaled_dot_product_attention": ["query", "key", "value"], "gelu": ["x"], "layer_norm": ["hidden", "gain", "bias"]}
    file.write_text("raise SystemExit\ndef helper(n): ...\ndef my_attention(q, k, v): ...\n")
    assert choose_function(str(file), known) == (f"{file}:my_attention", "scaled_dot_product_attention")
    file.write_text("def mine(hidden, gain, bias, eps=1e-5): ...\n")
    assert choose_function(str(file), known) == (f"{file}:mine", "layer_norm")
    file.write_text("def one(a): ...\ndef two(b): ...\n")
    with pytest.raises(UserCodeError, match=r"has one, two: choose one with .*my\.py:FUNCTION"):
        choose_function(str(file), known)
    file.write_text("def one(\n")
    with pytest.raises(UserCodeError, match=r"my\.py, line 1"):
        choose_function(str(file), known)
    with pytest.raises(UserCodeError, match=r"none\.py not found: give FILE\.py"):
        choose_function(str(tmp_path / "none.py"), known)
    file.write_text("def gelu(x): ...\n")
    with pytest.raises(ValueError, match="does not use scaled_dot_product_attention"):
        choose_function(f"{file}:gelu", {"relu": ["y"]})


def test_missing_function_is_an_error(file: Path) -> None:
    with pytest.raises(UserCodeError, match=r"my\.py has no function named absent; it has right"):
        compared(file, "absent")
