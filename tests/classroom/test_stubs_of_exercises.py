"""The file that a learner gets: it runs with torch only, fits every test input, and becomes a solution with the reference."""

import ast
import inspect
import subprocess
import sys

import pytest
import torch
from torch import nn

from minibert.classroom.checking import check
from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercise import Case, Exercise, Role
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Verdict
from minibert.classroom.solution import solution
from minibert.classroom.stubs import stub
from minibert.commands.exercises import SHOWN
from minibert.commands.learn import key_line
from minibert.equations import feed_forward, masked_lm_loss
from tests.processes import ROOT
from tests.sampling import sampled

every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)


def function_in(source: str, name: str):
    scope: dict[str, object] = {}
    exec(compile(source, "learner.py", "exec"), scope)
    return scope[name]


@every_exercise
def test_the_empty_stub_is_rejected(exercise) -> None:
    assert check(function_in(stub(exercise), exercise.name), exercise).verdict is Verdict.EMPTY


@pytest.mark.parametrize("exercise", sampled(EXERCISES.values(), 4), ids=lambda exercise: exercise.name)
def test_the_reference_in_place_of_the_stub_passes(exercise) -> None:
    """The solution can replace the file, and can be added at its end."""
    for source in (solution(exercise), stub(exercise) + "\n\n" + solution(exercise)):
        assert check(function_in(source, exercise.name), exercise).verdict is Verdict.PASSED


@every_exercise
def test_a_stub_takes_the_arguments_of_every_case(exercise) -> None:
    signature = inspect.signature(function_in(stub(exercise), exercise.name))
    assert list(signature.parameters) == list(exercise.parameters)
    for case in exercise.cases:
        signature.bind(**case.recipe(RandomDraw(0)))


@every_exercise
def test_a_stub_documents_the_function(exercise) -> None:
    text = function_in(stub(exercise), exercise.name).__doc__
    assert any(part in text for part in ("Formula:", "Steps:", "Source:", "Example:"))
    assert all(f"    {name}" in text for name in exercise.parameters)
    assert "Returns:" in text or exercise.name == "lora_initialization", "a function that returns nothing"


@every_exercise
def test_a_stub_names_every_input_that_gives_only_a_warning(exercise) -> None:
    limits = [case.name for case in exercise.cases if case.role is Role.LIMIT]
    text = " ".join(stub(exercise).split())
    assert all(name in text for name in limits)
    assert ("Limits of the formula:" in text) is bool(limits)


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "training_steps": "Put the model into training mode, and run one training step",
        "masked_lm_loss": "without a masked position the mean is 0",
        "next_sentence_loss": "Without a pair the loss is 0.",
        "label_smoothing_loss": "if all are such, the loss is 0",
        "multi_head_attention": "For a query that may attend to no key, every head returns zeros",
        "multi_head_attention_layer": "The context vectors of a query that may attend to no key are zeros.",
        "top_k_filter": "If k is larger than the vocabulary, all tokens are kept.",
        "top_p_filter": "p = 1 keeps all tokens.",
        "noam_schedule": "at step 0, where the formula divides by zero, the learning rate is 0",
    }.items(),
)
def test_a_stub_says_what_the_formula_does_not(name: str, words: str) -> None:
    assert words in " ".join(stub(EXERCISES[name]).split())


def test_a_training_step_without_a_target_is_described() -> None:
    text = " ".join(stub(EXERCISES["training_steps"]).split())
    assert "call `model.train()` first" in text
    assert "the loss of a batch without a target, in which every label is `IGNORE_INDEX`, is 0" in text


@every_exercise
def test_the_example_of_a_stub_is_that_of_the_solution(exercise) -> None:
    """The doctest of the stub passes with the code of the solution."""
    import doctest

    text = function_in(stub(exercise), exercise.name).__doc__
    if ">>>" not in text:
        pytest.skip("the docstring of the reference has no example with this function alone")
    scope: dict[str, object] = {}
    exec(stub(exercise), scope)
    exec(solution(exercise), scope)
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(text), scope, exercise.name, None, None)
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


@pytest.mark.slow
def test_stubs_import_torch_and_the_standard_library_only(tmp_path) -> None:
    """All stubs are imported without minibert."""
    allowed = {*sys.stdlib_module_names, "torch", "numpy"}
    for exercise in EXERCISES.values():
        for node in ast.walk(ast.parse(stub(exercise))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, exercise.name
        (tmp_path / f"{exercise.name}.py").write_text(stub(exercise), encoding="utf-8")
    code = "import sys; sys.modules['minibert'] = None\n" + "\n".join(f"import {name}" for name in EXERCISES)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})


def exercise_of(reference, *names: str) -> Exercise:
    values = dict.fromkeys(names)
    return Exercise(reference.__name__, reference, (Case("all", lambda draw: values),))


def test_parameters_that_occur_in_no_case_are_left_out() -> None:
    text = stub(EXERCISES["scaled_dot_product_attention"])
    assert "dropout:" not in text
    assert "keep: Tensor | None = None" in text


def test_a_stub_does_not_speak_of_parameters_that_it_lacks_or_of_half_precision() -> None:
    """No check asks for half precision, so nothing in a stub may promise it."""
    assert "dropout" not in stub(EXERCISES["scaled_dot_product_attention"])
    for exercise in EXERCISES.values():
        assert "half precision" not in stub(exercise).lower().replace("-", " ")


def test_positions_of_a_text_need_no_prediction() -> None:
    assert "positions: positions in a text" in stub(EXERCISES["sinusoidal_positions"])


def test_a_default_of_minibert_is_that_of_pytorch() -> None:
    text = stub(exercise_of(feed_forward, *inspect.signature(feed_forward).parameters))
    assert function_in(text, "feed_forward").__defaults__ == (nn.functional.relu,)


def test_constants_in_an_example_are_in_the_stub() -> None:
    text = stub(exercise_of(masked_lm_loss, "logits", "labels"))
    assert "\nIGNORE_INDEX = -100\n" in text


class Scaled(nn.Module):
    """Scale a vector.

    Source: nobody 2020.
    """

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(3))
        self.inner = nn.Linear(3, 2)
        self.power = 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scaled vector."""
        return self.inner(x * self.factor**self.power)


def test_a_layer_lists_the_attributes_of_its_module() -> None:
    exercise = Exercise("scaled", Scaled.forward, (Case("a", lambda draw: {"self": Scaled(), "x": draw.numbers(3)}),))
    text = stub(exercise)
    assert "def scaled(self, x: Tensor)" in text
    for line in ("self.factor: parameter of shape (3,)", "self.inner: Linear(in_features=3", "self.power: int, such as 2"):
        assert line in text
    assert "Source: nobody 2020." in text
    assert "def scaled(" in solution(exercise)


def test_the_docs_show_softmax_from_the_stub_to_the_solution() -> None:
    """Also the number of exercises and the keys are the current ones."""
    page = (ROOT / "docs/classroom.md").read_text(encoding="utf-8")
    assert stub(EXERCISES["softmax"]).strip() in page
    assert f"{SHOWN}\n\n{solution(EXERCISES['softmax']).strip()}\n```" in page
    assert page.count(key_line()) == 3
    assert f"{len(EXERCISES)} of them, from softmax to LoRA" in page
    assert f"exercises: {len(EXERCISES)} exercises, {len(EXERCISES)} of them new" in page


def test_a_stub_in_a_notebook_says_how_it_is_checked_there() -> None:
    exercise = EXERCISES["softmax"]
    assert "run this cell and the next one" in stub(exercise, in_notebook=True)
    assert "minibert check" not in stub(exercise, in_notebook=True)
    assert "minibert check softmax" in stub(exercise)
