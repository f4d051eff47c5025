"""A learner's function next to the correct one: the first step that differs."""

from functools import cache
from pathlib import Path

import pytest
import torch

from minibert.study import walk
from minibert.study.checked_attention import UserCodeError
from minibert.study.stepthrough.against import Against, against, choose_function
from minibert.study.stepthrough.step import Walk
from minibert.study.subject import load_subject

TEXT = "the cat sat on the [MASK] ."
CODE = """
import math
import torch
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
"""


@cache
def walked() -> Walk:
    return walk(*load_subject(preset="tiny", texts=[TEXT]), TEXT)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("learner") / "my.py"
    path.write_text(CODE)
    return path


@pytest.fixture(autouse=True)
def _fast(forked_processes: None) -> None:
    """Python is not started anew for every function."""


def compared(file: Path, function: str) -> Against:
    return against(walked(), f"{file}:{function}", print)


@pytest.mark.parametrize(("function", "calls"), [("right", 2), ("scaled_first", 2), ("right_norm", 6)])
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
    with pytest.raises(UserCodeError, match="has no function 'absent'; it has right"):
        compared(file, "absent")
