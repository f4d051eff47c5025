"""`minibert verify --attention-from`: a learner's own attention function, in a subprocess with limits."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from minibert import BertConfig, BertForPreTraining
from minibert.classroom.diagnosis import Diagnosis, diagnose_attention
from minibert.classroom.mistakes import MISTAKES, Kind, variant
from minibert.commands import main
from minibert.equations import scaled_dot_product_attention
from minibert.sandbox import Limits
from minibert.study.checked_attention import CheckedAttention, UserCodeError
from minibert.study.user_code import UserCode, describe_error
from minibert.study.verify.inputs import make_inputs
from minibert.study.verify.stages import ReferenceStages, minibert_stages
from minibert.study.verify.user_attention import call_attention, probes, run_user_attention
from tests.sampling import slow

CONFIG = BertConfig(
    vocab_size=40,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=32,
    initializer_range=0.5,
)
USER_CODE = """import math, os, torch
from neighbor import right, scores

def no_scale(query, key, value, keep=None, dropout=0.0):
    print("shapes", tuple(query.shape), "\\x1b[31m")
    return scores(query, key, keep, 1).softmax(-1) @ value
def inverted(query, key, value, keep=None, dropout=0.0):
    return scores(query, key, ~keep).softmax(-1) @ value
def ignored(query, key, value, keep=None, dropout=0.0):
    return scores(query, key, torch.ones_like(keep)).softmax(-1) @ value
def wrong_axis(query, key, value, keep=None, dropout=0.0):
    return scores(query, key, keep, fill=-1e9).softmax(-2) @ value
def mask_after(query, key, value, keep=None, dropout=0.0):
    return (scores(query, key, torch.ones_like(keep)).softmax(-1) * keep) @ value
def mask_transposed(query, key, value, keep=None, dropout=0.0):
    return scores(query, key, keep.mT, fill=-1e9).softmax(-1) @ value
def two_mistakes(query, key, value, keep=None, dropout=0.0):
    return (scores(query, key, torch.ones_like(keep), 1).softmax(-1) * keep) @ value
def another_formula(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value, keep) * 1.01
def one_nan(query, key, value, keep=None, dropout=0.0):
    context = right(query, key, value, keep)
    context[0, 0, 0, 0] = math.nan
    return context
def fixed_shape(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value, keep).reshape(2, 2, 3, 4)

def crash(query, key, value, keep=None, dropout=0.0):
    print("before the error")
    raise RuntimeError("my own\\nmessage")
def product_of_wrong_shapes(query, key, value, keep=None, dropout=0.0):
    return torch.nn.functional.linear(query, key)
def leaves(*arguments):
    raise SystemExit(0)
def kills_itself(*arguments):
    os.kill(os.getpid(), 9)

def returns_nothing(query, key, value, keep=None, dropout=0.0):
    right(query, key, value, keep)
def returns_a_tuple(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value, keep), None
def returns_an_array(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value, keep).numpy()
def returns_another_shape(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value, keep).transpose(1, 2)
def returns_another_type(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value, keep).double()
def changes_the_query(query, key, value, keep=None, dropout=0.0):
    query /= math.sqrt(query.shape[-1])
    return right(query, key, value, keep)
def changes_the_mask(query, key, value, keep=None, dropout=0.0):
    keep.logical_not_()
    return right(query, key, value, keep)
def three_arguments(query, key, value):
    return right(query, key, value)

def endless(*arguments):
    print("in the loop")
    while True:
        pass
class Module(torch.nn.Module):
    def forward(self, query, key, value, keep, dropout):
        return right(query, key, value, keep)
module = Module()
from torch.nn.functional import scaled_dot_product_attention as fused
"""
NEIGHBOR = """import math, torch
def scores(query, key, keep=None, scale=None, fill=-math.inf):
    product = query @ key.mT / (scale or math.sqrt(query.shape[-1]))
    return product if keep is None else product.masked_fill(~keep, fill)
def right(query, key, value, keep=None, dropout=0.0):
    return scores(query, key, keep, fill=-1e30).softmax(-1) @ value
"""
LINES = {
    line.split("(")[0].removeprefix("def "): n for n, line in enumerate(USER_CODE.splitlines(), 1) if line.startswith("def ")
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a BERT, its stages as a reference, and a learner's files."""
    monkeypatch.chdir(tmp_path)
    save_network(CONFIG)
    Path("my.py").write_text(USER_CODE)
    Path("neighbor.py").write_text(NEIGHBOR)
    return tmp_path


def save_network(config: BertConfig) -> None:
    torch.manual_seed(0)
    model = BertForPreTraining(config).eval()
    model.save_pretrained("bert")
    inputs = make_inputs(model, "bert", ids=[5, 6, 7])
    stages = {name: x for name, x in minibert_stages(model, inputs).items() if "masked_scores" not in name}
    ReferenceStages(inputs, stages, "bert", "the reference").save(Path("reference"))


def verify(function: str, *options: str) -> int:
    return main(["verify", "bert", "--reference", "reference", "--attention-from", f"my.py:{function}", *options])


@pytest.fixture
def functions(folder: Path) -> dict[str, Any]:
    """The learner's functions, in this process."""
    scope: dict[str, Any] = {}
    exec(NEIGHBOR, scope)
    exec(compile(USER_CODE.replace("from neighbor import right, scores", ""), folder / "my.py", "exec"), scope)
    return scope


def diagnosis_of(function: Callable[..., Any], dtype: torch.dtype = torch.float32) -> Diagnosis:
    diagnosis = diagnose_attention({name: function(*inputs) for name, inputs in probes(dtype).items()})
    assert diagnosis is not None
    return diagnosis


def test_a_correct_function_agrees(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also a module, and modules in the folder of the file can be imported."""
    assert verify("module") == 0
    shown = capsys.readouterr().out
    assert "Not compared, because only one side has them" in shown
    assert "stages agree with the reference" in shown


@pytest.mark.parametrize("name", ["right", "module", "fused"])
def test_a_function_a_module_and_a_function_in_c_are_accepted(functions: dict[str, Any], name: str) -> None:
    function = CheckedAttention(functions[name], f"my.py:{name}")
    assert diagnosis_of(lambda *inputs: function(*inputs, 0.0)).agrees


def test_a_mistake_is_named_and_printed_text_is_passed_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the table and in JSON. The text is printed once for every call in the network, and escaped."""
    assert verify("no_scale") == 1
    shown = capsys.readouterr().out
    assert "is layers.0.attention.context." in shown
    assert f'the function computes the same as with "no scale" (docs/mistakes.md). {MISTAKES["no scale"].description}' in shown
    assert shown.count("shapes (2, 2, 3, 4) \\u001b[31m") == CONFIG.num_hidden_layers
    assert verify("no_scale", "--json") == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["function"] == {"agrees": False, "mistakes": ["no scale"]}
    assert "shapes (2, 2, 3, 4)" in output.err


@pytest.mark.parametrize(
    ("function", "mistakes"),
    [
        ("no_scale", ["no scale"]),
        ("inverted", ["mask inverted"]),
        ("ignored", ["mask ignored"]),
        ("wrong_axis", ["softmax over the queries", "mask of minus a billion"]),
        ("mask_after", ["mask after the softmax"]),
        ("mask_transposed", ["mask transposed"]),
        ("two_mistakes", ["no scale", "mask after the softmax"]),
        slow("another_formula", []),
        slow("one_nan", []),
    ],
)
def test_the_mistake_in_learners_code_is_recognized(functions: dict[str, Any], function: str, mistakes: list[str]) -> None:
    """The code differs from that of the catalogue, and the results are the same."""
    diagnosis = diagnosis_of(functions[function])
    assert not diagnosis.agrees
    assert [mistake.name for mistake in diagnosis.mistakes] == mistakes
    assert " and ".join(f'"{name}"' for name in mistakes) in diagnosis.description


NOT_SHOWN = {
    "all axes of the keys reversed": "the shapes do not fit",
    "dropout without rescaling": "there is no dropout",
    "dropout always on": "the results are random",
    "scores divided by the root of the values' width": "queries and values have the same width",
    "keys not transposed": "the shapes do not fit",
    "softmax over the heads": "the results are NaN, as those of other mistakes",
    "mask of plus infinity": "the results are NaN, as those of the minimum subtracted",
    "mask times minus infinity": "the results are NaN, as those of a mask of plus infinity",
    "kept scores larger by a billion": "no digits are lost in double precision",
}
"""Mistakes that the inputs do not show, and the reason."""


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, mistake in MISTAKES.items()
        if mistake.function is scaled_dot_product_attention and mistake.kind is Kind.BUG and name not in NOT_SHOWN
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_mistake_of_attention_is_recognized(name: str, dtype: torch.dtype) -> None:
    diagnosis = diagnosis_of(variant(MISTAKES[name]), dtype)
    assert not diagnosis.agrees
    assert [mistake.name for mistake in diagnosis.mistakes] == [name]


def test_equivalent_forms_agree_with_the_equation() -> None:
    for mistake in MISTAKES.values():
        if mistake.function is scaled_dot_product_attention and mistake.kind is Kind.EQUIVALENT:
            assert diagnosis_of(variant(mistake)).agrees


def test_small_weights_do_not_hide_a_mistake(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With BERT's initial weights, missing scale changes the outputs by less than the tolerance."""
    save_network(BertConfig(**{**vars(CONFIG), "initializer_range": 0.001}))
    assert verify("no_scale") == 1
    shown = capsys.readouterr().out
    assert "stages agree with the reference" in shown
    assert "But on random inputs the function differs from the equation" in shown
    assert '"no scale"' in shown


def test_a_function_for_one_shape_has_no_diagnosis(folder: Path) -> None:
    """The network alone decides."""
    model = BertForPreTraining.from_pretrained("bert")
    run = run_user_attention("my.py:fixed_shape", "bert", make_inputs(model, "bert", ids=[5, 6, 7]), torch.float32, print)
    assert run.probes == {}
    assert diagnose_attention({}) is None


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("returns_nothing", "returned None: is a return statement missing?"),
        ("returns_a_tuple", "returned a tuple of 2: return one tensor"),
        ("returns_an_array", "returned an object of type ndarray"),
        ("returns_another_shape", "returned a tensor of shape (2, 6, 3, 4): it must be (2, 3, 6, 4)"),
        ("returns_another_type", "returned a tensor of torch.float64: it must be torch.float32"),
        ("changes_the_query", "changed its argument query in place"),
        ("changes_the_mask", "changed its argument keep in place"),
        ("three_arguments", "Define it as def three_arguments(query, key, value, keep=None, dropout=0.0)"),
    ],
)
def test_an_invalid_result_is_explained(functions: dict[str, Any], function: str, message: str) -> None:
    """With the line of the function."""
    with pytest.raises(UserCodeError) as caught:
        CheckedAttention(functions[function], f"my.py:{function}")(*probes(torch.float32)["rows"], 0.0)
    assert str(caught.value).startswith(f"my.py, line {LINES[function]}, {function}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("function", "line", "message"),
    [
        ("crash", 2, "RuntimeError: my own message"),
        ("product_of_wrong_shapes", 1, "RuntimeError: "),
    ],
)
def test_an_error_has_the_line_of_the_learners_file(functions: dict[str, Any], function: str, line: int, message: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        functions[function](*probes(torch.float32)["rows"], 0.0)
    described = describe_error(caught.value, str(Path("my.py").resolve()), "my.py")
    assert described.startswith(f"my.py, line {LINES[function] + line}, in {function}: {message}")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("crash", f"my.py, line {LINES['crash'] + 2}, in crash: RuntimeError: my own message"),
        ("leaves", "my.py: The code ends Python with SystemExit: 0"),
        ("kills_itself", "my.py: The code sends a signal to a process."),
    ],
)
def test_an_error_ends_the_command(folder: Path, capsys: pytest.CaptureFixture[str], function: str, message: str) -> None:
    """With one line, after the text that the code has printed."""
    assert verify(function) == 2
    shown = capsys.readouterr()
    assert shown.out == ("before the error\n" if function == "crash" else "")
    assert message in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(:\n", "my.py, line 1: SyntaxError: invalid syntax"),
        ("x = 1\nimport nowhere\n", "my.py, line 2, in <module>: ModuleNotFoundError: No module named 'nowhere'"),
        ("f = 3\n", "my.py has no function named f; it has none"),
        ("def g(): pass\ndef h(): pass\n", "my.py has no function named f; it has g, h"),
        (None, "Python file my.py not found: give FILE.py:FUNCTION"),
    ],
)
def test_an_error_of_the_file_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str | None, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    if code is not None:
        Path("my.py").write_text(code)
    with pytest.raises(UserCodeError, match=re.escape(message)), UserCode("my.py:f", call_attention, print, Limits()) as user:
        user("my.py:f", (), {})


def test_code_that_does_not_end_is_stopped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After the documented time, with the line of the loop and with the text printed before."""
    assert verify("endless", "--time-limit", "1") == 2
    shown = capsys.readouterr()
    assert "in the loop" in shown.out
    assert (
        "The code did not finish in 1 seconds. Is there an endless loop? --time-limit SECONDS changes this limit." in shown.err
    )
    assert "my.py, line " in shown.err


def test_a_network_accepts_an_attention_function(folder: Path) -> None:
    """`from_pretrained` accepts a function, and `attention_in_use` returns its name."""

    def right(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, keep: None, dropout: float) -> torch.Tensor:
        return (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1) @ value

    model = BertForPreTraining.from_pretrained("bert", attention=right)
    assert model.attention_in_use() == "right: passed by the user"
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(
        model(ids).prediction_logits, model.set_attention("explicit")(ids).prediction_logits, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("axis", [-1, -2])
def test_every_row_and_every_column_of_a_mask_has_kept_and_masked_entries(axis: int) -> None:
    """So that a mask that is transposed, or not used, shows in each of them."""
    keep = probes(torch.float32)["rows"][-1]
    assert keep.any(dim=axis).all()
    assert not keep.all(dim=axis).any()
    assert not torch.equal(keep, keep.mT)
