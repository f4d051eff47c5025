"""The registry of equations matches the docstrings, and worked examples match the equations."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from minibert import equations, record
from minibert.commands import main
from minibert.study.equations.formulas import mathml, plain
from minibert.study.equations.registry import read_equation, registry, without_docstring
from minibert.study.equations.worked_example import run_example, trace

ENTRIES = registry()
every_equation = pytest.mark.parametrize("name", ENTRIES)


def test_every_equation_is_registered() -> None:
    """The registry has all public functions of `equations` and no others."""
    functions = {name for name in equations.__all__ if callable(getattr(equations, name))}
    assert set(ENTRIES) == functions
    assert len(ENTRIES) >= 26


@every_equation
def test_an_entry_points_to_its_code(name: str) -> None:
    """File and line are the start of the function. Its code has no docstring."""
    entry = ENTRIES[name]
    line = (Path(__file__).parents[3] / entry.file).read_text().splitlines()[entry.line - 1]
    assert line.startswith(f"def {name}(")
    assert '"""' not in entry.code
    assert entry.purpose.endswith((".", "to."))


@every_equation
def test_a_formula_converts_to_mathml_and_text(name: str) -> None:
    """No LaTeX is left in MathML or in plain text."""
    formula = ENTRIES[name].formula
    assert mathml(formula).startswith("<math")
    assert not set(plain(formula)) & set("\\&$")


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\frac{a + b}{\sqrt{c}}", "(a + b)/√c"),
        (r"\sum_{i=1}^{N} x_i^2", "∑_{i=1}^N x_i²"),
        (r"\hat m = \beta_1^t", "m̂ = β_1^t"),
        (r"e^{-x} \le 1", "e^{−x} ≤ 1"),
    ],
)
def test_plain_formulas(latex: str, expected: str) -> None:
    assert plain(latex) == expected


@pytest.mark.parametrize("latex", [r"\nosuchcommand{x}", r"\begin{aligned}a &= b\end{aligned}"])
def test_a_formula_that_cannot_be_converted_is_refused(latex: str) -> None:
    """An unknown command or an ampersand would appear unconverted in the page."""
    with pytest.raises(ValueError, match="cannot convert the formula"):
        mathml(latex)


@every_equation
def test_a_worked_example_ends_with_the_result(name: str) -> None:
    """Every step is a number or a tensor. The last one equals the result of the equation for the same arguments."""
    example = run_example(ENTRIES[name])
    function = getattr(equations, name)
    expected: list[object] = []

    def call(*args: object, **kwargs: object) -> object:
        expected.append(function(*args, **kwargs))
        return expected[-1]

    exec(ENTRIES[name].example, {**vars(sys.modules[function.__module__]), name: call, "torch": torch, "math": math})
    assert len(example.calls) == len(expected) > 0
    for computed, last in zip(example.calls, expected, strict=True):
        assert computed.inputs
        while isinstance(last, tuple | list):
            last = last[-1]
        assert computed.steps[-1].code.startswith("return ")
        torch.testing.assert_close(torch.as_tensor(computed.steps[-1].value), torch.as_tensor(last))
        assert all(step.numbers for step in computed.steps)


def test_a_worked_example_contains_the_recorded_tensors() -> None:
    """The steps of attention equal the tensors that `record` returns for the same input."""
    scope = {**vars(sys.modules["minibert.equations.attention"])}
    with record() as recording:
        exec(ENTRIES["scaled_dot_product_attention"].example, scope)
    (call,) = run_example(ENTRIES["scaled_dot_product_attention"]).calls
    computed = {step.code.split(" = ")[0]: step.value for step in call.steps}
    for path in ("scores", "masked_scores", "weights"):
        torch.testing.assert_close(computed[path], recording[path])


def test_tracing_reports_inner_expressions_first_and_keeps_the_result() -> None:
    """Every iteration of a loop is reported."""
    values: list[tuple[str, object]] = []
    traced = trace(_sum_of_squares, lambda code, value: values.append((code, value)))
    assert traced(3) == _sum_of_squares(3) == 5
    assert values == [
        *[("total = 0.0", 0.0)],
        *[("number * number", 0), ("total = total + number * number", 0.0)],
        *[("number * number", 1), ("total = total + number * number", 1.0)],
        *[("number * number", 4), ("total = total + number * number", 5.0), ("return total", 5.0)],
    ]


def _sum_of_squares(count: int) -> float:
    total = 0.0
    for number in range(count):
        total = total + number * number
    return total


def test_a_missing_docstring_field_is_named() -> None:
    """The message names the field and the function."""
    with pytest.raises(ValueError, match="_sum_of_squares: the docstring has no line 'Eq:'"):
        read_equation(_sum_of_squares)


def test_only_the_docstring_is_removed() -> None:
    source = 'def f(x):\n    r"""Summary.\n\n    More.\n    """\n    return "a"\n'
    assert without_docstring(source) == 'def f(x):\n    return "a"\n'


def test_the_command_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    """The list has names, formulas, papers, code locations and tests."""
    assert main(["equations"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ENTRIES)
    assert "softmax(QKᵀ/√d_k)V" in shown
    assert f"minibert/equations/positions.py:{ENTRIES['sinusoidal_positions'].line}" in shown


def test_the_command_shows_one(capsys: pytest.CaptureFixture[str]) -> None:
    """The output has the code and the computed values: mean 2, variance 1."""
    assert main(["equations", "layer_norm"]) == 0
    shown = capsys.readouterr().out
    assert "Differs: the variance divides by d, not d - 1." in " ".join(shown.split())
    assert ".square().mean(dim=-1, keepdim=True)\n    [1.]" in shown
    assert "x.mean(dim=-1, keepdim=True)\n    [2.]" in shown


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The list is JSON, and so is one equation with the values of its steps."""
    assert main(["equations", "--json"]) == 0
    assert {entry["name"] for entry in json.loads(capsys.readouterr().out)} == set(ENTRIES)
    assert main(["equations", "softmax", "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    last = entry["calls"][0]["steps"][-1]
    assert last["code"].startswith("return")
    assert [round(x, 4) for x in last["value"]] == [0.25, 0.75]
    assert main(["equations", "scaled_dot_product_attention", "--json"]) == 0
    json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # JSON has no -inf
