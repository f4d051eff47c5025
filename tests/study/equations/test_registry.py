"""The registry of equations matches the docstrings, and worked examples match the equations."""

import importlib.util
import inspect
import json
import math
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from minibert import equations, record
from minibert.commands import main
from minibert.study.equations.formulas import mathml, plain
from minibert.study.equations.registry import markdown, read_equation, registry, without_docstring
from minibert.study.equations.worked_example import called_functions, run_example, run_with, trace
from tests.processes import ForkedCommand

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
        (r"-\frac{\log x}{2} \cdot \max_j \left(z_j\right)", "−(log x)/2 · max_j(z_j)"),
        (r"\mathcal{L} = x_1, \ldots", "ℒ = x_1, …"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "a = b; c = d"),
        (
            r"f = \begin{cases} r & r < m \\ \min(a, b) & r \ge m \end{cases}, \quad m = 1",
            "f = {r if r < m; min(a, b) if r ≥ m}, m = 1",
        ),
        (r"\begin{cases} a, & \text{if } b \\ c & \text{otherwise} \end{cases}", "{a if b; c otherwise}"),
        (r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}", "(a b; c d)"),
        (r"\text{<b> \& c}", "<b> &c"),
    ],
)
def test_plain_formulas(latex: str, expected: str) -> None:
    assert plain(latex) == expected


@pytest.mark.parametrize(
    "latex",
    [
        r"\nosuchcommand{x}",
        "a & b",
        r"\class{x}{y}",
        r"\newcommand{\x}{\x\x}\x",
        r"\href{javascript:alert(1)}{x}",
        r"\left(x",
        r"\frac",
        "a^",
        "",
        " ",
        "\ud800",
    ],
)
def test_a_formula_that_cannot_be_converted_is_refused(latex: str) -> None:
    """An unknown command or a column outside of a table has no meaning that a page could show."""
    with pytest.raises(ValueError, match="cannot convert the formula"):
        mathml(latex)


@pytest.mark.parametrize("latex", [r"\text{<script>alert(1)</script>}", r"\mathrm{a<b>}", r"\log x", r"\text{\& \# \%}"])
def test_a_formula_is_xml_with_elements_of_mathml_only(latex: str) -> None:
    """Text is escaped, and an entity that only HTML has is replaced by its character."""
    assert all(re.fullmatch("m[a-z]+", element.tag) for element in ElementTree.fromstring(mathml(latex)).iter())


def test_a_formula_inside_a_sentence_is_small() -> None:
    assert 'display="block"' in mathml("x")
    assert 'display="block"' not in mathml("x", is_block=False)


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
    traced = trace(_sum_of_squares, lambda computed: values.append((computed.code, computed.value)))
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
    assert ".square().mean(dim=-1, keepdim=True)  # (1,)\n    [1.]" in shown
    assert "hidden.mean(dim=-1, keepdim=True)  # (1,)\n    [2.]" in shown


def test_the_javascript_is_shown_below_the_python(capsys: pytest.CaptureFixture[str]) -> None:
    """Of an equation that a live page computes, its function there; of others, nothing."""
    assert main(["equations", "split_heads"]) == 0
    python, found, rest = capsys.readouterr().out.partition("The same in JavaScript: minibert/study/page/equations.js\n\n")
    assert found
    assert "def split_heads(" in python
    assert rest.startswith("function split_heads(hidden, heads) {\n  const width = hidden.width / heads;\n")
    assert "}\n\nWorked example\n" in rest
    assert ENTRIES["split_heads"].javascript == rest[: rest.index("\nWorked example")]
    assert main(["equations", "perplexity"]) == 0
    assert "JavaScript" not in capsys.readouterr().out


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


@every_equation
def test_the_code_of_every_value_is_in_a_function(name: str) -> None:
    """No code is printed that is not written in the equation or in a function that it calls, also for tuples."""
    function = getattr(equations, name)
    sources = {"": inspect.getsource(inspect.unwrap(function))}
    sources |= {inner: inspect.getsource(called) for inner, called in called_functions(function).items()}
    squeezed = {inner: "".join(source.split()) for inner, source in sources.items()}
    for call in run_example(ENTRIES[name]).calls:
        for computed in call.steps:
            assert "".join(computed.code.split()) in squeezed[computed.function]
            assert computed.part == "" or computed.part in computed.code or computed.part.startswith("[")


def test_the_parts_of_a_tuple_are_named() -> None:
    """By the variables they are assigned to, or by their index."""
    steps = run_example(ENTRIES["rotary_positions"]).calls[0].steps
    assert [step.part for step in steps if step.code.startswith("cosine, sine = ")] == ["cosine", "sine"]
    steps = run_example(ENTRIES["clip_by_global_norm"]).calls[0].steps
    assert [step.part for step in steps if step.code.startswith("return ")] == ["[0][0]", "[0][1]", "[1]"]


def test_inner_functions_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """With their code, and with the values that they compute. Functions that only check are left out."""
    assert main(["equations", "masked_lm_loss"]) == 0
    shown = capsys.readouterr().out
    assert "def reduce_losses(" in shown
    assert "in reduce_losses:\n    total = losses.sum()  # ()\n        4.1589\n" in shown
    assert "def check_labels(" not in shown


def _in_place(count: int) -> tuple[float, int]:
    total: float = 1.0
    total += 2 * count
    return total, count


def test_assignments_in_place_and_with_a_type_are_recorded() -> None:
    values: list[tuple[str, str, object]] = []
    trace(_in_place, lambda computed: values.append((computed.code, computed.part, computed.value)))(2)
    assert values == [
        ("total: float = 1.0", "", 1.0),
        ("total += 2 * count", "", 5.0),
        *[("return total, count", "[0]", 5.0), ("return total, count", "[1]", 2)],
    ]


def edited(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, old: str, new: str) -> None:
    """Replace an equation with a copy in which a student has changed the code."""
    function = inspect.unwrap(getattr(equations, name))
    source = Path(inspect.getfile(function)).read_text(encoding="utf-8")
    assert old in source
    (folder / "edited.py").write_text(source.replace(old, new), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("edited", folder / "edited.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "edited", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(equations, name, getattr(module, name))
    monkeypatch.setattr("minibert.study.equations.registry.registry", lambda: ENTRIES)


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("return torch.relu(x)", "return torch.relu(x) + 1", "expected tensor([0., 3.]), got tensor([1., 4.])"),
        ("return torch.relu(x)", "return x.relud()", "AttributeError: 'Tensor' object has no attribute 'relud'"),
    ],
)
def test_a_changed_result_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, difference: str
) -> None:
    """The result is compared with that of the docstring. The exit code is 1."""
    edited(monkeypatch, tmp_path, "relu", old, new)
    assert main(["equations", "relu"]) == 1
    shown = capsys.readouterr().out
    assert "The results differ from the docstring" in shown
    assert difference in shown
    assert main(["equations", "relu", "--json"]) == 1
    assert difference in json.loads(capsys.readouterr().out)["differences"][0]


@every_equation
def test_an_unchanged_result_is_not_reported(name: str) -> None:
    assert run_example(ENTRIES[name]).differences == []


def as_text(value: object) -> str | None:
    """Write an argument of an example as a reader would."""
    if isinstance(value, torch.Tensor):
        return str(value.tolist())
    if isinstance(value, list):
        return str([item.tolist() for item in value])
    return getattr(value, "__name__", str(value))


@every_equation
def test_every_argument_can_be_given(name: str) -> None:
    """With the example's own numbers as text, the result is that of the example. A function is one of the equations."""
    function = inspect.unwrap(getattr(equations, name))
    found: dict[str, object] = {}

    def call(*args: object, **kwargs: object) -> object:
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        found.update(bound.arguments)
        return function(*args, **kwargs)

    exec(ENTRIES[name].example, {**vars(sys.modules[function.__module__]), name: call, "torch": torch, "math": math})
    if "sublayer" in found:
        found["sublayer"] = equations.relu
    (ours,) = run_with(ENTRIES[name], {argument: as_text(value) for argument, value in found.items()}).calls
    expected = function(**found)
    while isinstance(expected, tuple | list):
        expected = expected[-1]
    torch.testing.assert_close(torch.as_tensor(ours.steps[-1].value), torch.as_tensor(expected))


def test_own_numbers_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The arguments that are not given are those of the example; infinities and negative numbers are numbers."""
    assert main(["equations", "softmax", "--scores", "[[0, -inf], [-1, -1]]"]) == 0
    shown = capsys.readouterr().out
    assert "scores  # (2, 2)\n    [[  0. -inf]\n     [ -1.  -1.]]" in shown
    assert shown.endswith("    [[1.  0. ]\n     [0.5 0.5]]\n")
    assert main(["equations", "label_smoothing_loss", "--label-smoothing=0", "--reduction", "sum", "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert {each["code"]: each["value"] for each in entry["calls"][0]["inputs"]}["label_smoothing"] == 0
    assert main(["equations", "scaled_dot_product_attention", "--keep", "none", "--query", "[[1, 0, 0, 0]]"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("softmax --scores [[1,2", '--scores [[1,2: is not a number or a list of numbers, such as 1.5 or "[[1, 2], [3, 4]]"'),
        ("softmax --scores", "--scores: has no value"),
        ("softmax --scores [[1],[2,3]]", "expected a number, or lists of equal lengths"),
        ("softmax --scores 'a'", "expected a number, or lists of equal lengths"),
        ("softmax --scores __import__('os')", "is not a number"),
        ("softmax --scores " + "[" * 5000, "is not a number"),
        ("softmax --scors 1", "--scors: softmax has no such argument; it has --scores"),
        ("softmax --scores 1 --markdown", "--markdown has no example"),
        ("--scores 1", "--scores: give the name of an equation"),
        ("cross_entropy --labels 0.5", "--labels 0.5: expected whole numbers"),
        ("cross_entropy --labels [nan,1]", "expected whole numbers"),
        ("cross_entropy --labels [7,1]", "labels has the class 7"),
        ("scaled_dot_product_attention --keep [[2,0]]", "expected truth values"),
        ("scaled_dot_product_attention --query [[1]]", "--key has shape"),
        ("layer_norm --hidden [1,2,3]", "--gain has shape (2,), expected 'width'; --hidden has shape (3,)"),
        ("layer_norm --eps none", "--eps none: expected a number, such as 0.5"),
        ("causal_mask --tokens true", "expected a whole number"),
        ("causal_mask --tokens -1", "causal_mask cannot be computed with these arguments"),
        ("causal_mask --tokens 100000", "--tokens 100000: is too large for an example, expected at most 32768"),
        ("unigram_entropy --vocab-size 1000000000", "--vocab_size 1000000000: is too large for an example"),
        ("causal_mask --device 3", "--device 3: expected one of cpu"),
        ("softmax --scores [1e39,0]", "--scores [1e39,0]: has a number that is too large for torch.float32"),
        ("adamw_step --betas 0.9", 'expected 2 values, such as "(0.9, 0.99)"'),
        ("adamw_step --bias-correction 2", "expected true or false"),
        ("clip_by_global_norm --gradients 3", "expected a list of tensors"),
        ("masked_lm_loss --reduction max", "expected one of mean, sum"),
        ("feed_forward --activation sigmoid", "expected one of gelu, gelu_tanh"),
        ("noam_schedule --warmup-steps 0", "noam_schedule cannot be computed with these arguments"),
    ],
)
def test_arguments_that_cannot_be_used(capsys: pytest.CaptureFixture[str], words: str, message: str) -> None:
    assert main(["equations", *words.split(" ")]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.startswith("minibert: ")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("words", ["layer_norm --eps inf", "noam_schedule --step 1000000", "causal_mask --device cpu"])
def test_unusual_numbers_are_computed(capsys: pytest.CaptureFixture[str], words: str) -> None:
    """Infinity is a number, a step is not a size, and the example is computed on the CPU."""
    assert main(["equations", *words.split(" ")]) == 0
    assert words.split(" ")[-1] in capsys.readouterr().out


def test_markdown_of_one_equation(capsys: pytest.CaptureFixture[str]) -> None:
    """It is its section in the page."""
    assert main(["equations", "softmax", "--markdown"]) == 0
    section = capsys.readouterr().out
    assert section.startswith("## softmax\n")
    assert section in markdown(ENTRIES)
    assert "layer_norm" not in section


def test_colors_are_visible_on_every_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code has the terminal's own colors, without white, black and fixed (256 or 24-bit) colors."""
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm-256color"), ("COLORTERM", "truecolor")):
        monkeypatch.setenv(name, value)
    shown, _ = ForkedCommand(["equations", "gelu"]).communicate()
    codes = {code for style in re.findall(r"\x1b\[([\d;]*)m", shown) for code in style.split(";")}
    assert "34" in codes  # keywords are blue
    assert codes.isdisjoint({"30", "37", "38", "40", "47", "48", "90", "97", "100", "107"})
