"""The trap in place of the reference, and the modules that learners' code may use."""

import functools
import importlib
import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

import minibert
import minibert.classroom
from minibert import equations, kernels
from minibert.classroom.report import Report, Verdict
from minibert.classroom.sandbox import reference
from minibert.model import generation

SENTENCE = "The code calls the function of minibert that it should replace."

KERNELS = (kernels.fused_attention, kernels.unfused_attention, kernels.flash_attention)


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any, **more: Any) -> Any:
        return function(*arguments, **more)

    return call


def inside(function: Any) -> list[Any]:
    """Return a function and those inside its decorators."""
    return [function, *inside(function.__wrapped__)] if hasattr(function, "__wrapped__") else [function]


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("relu", []),
        ("gelu", [equations.gelu, kernels.gelu]),
        ("greedy_decoding", [generation.greedy_search]),
        (
            "scaled_dot_product_attention",
            [equations.online_softmax_attention, *KERNELS],
        ),
        (
            "online_softmax_attention",
            [equations.scaled_dot_product_attention, *KERNELS],
        ),
    ],
)
def test_functions_that_compute_the_same(name: str, same: list[Any]) -> None:
    """First the reference, then those of the same name or of a known other one, each with those inside its decorators."""

    def function() -> None: ...

    function.__name__ = name
    own = decorated(decorated(function))
    if name == "relu":
        same = [equations.relu]
    assert [*reference._implementations(own)] == [each for one in (own, *same) for each in inside(one)]


def test_only_functions_have_a_code_that_can_be_replaced() -> None:
    """A cache is none, but there is one inside."""

    def function() -> None: ...

    assert [*reference._implementations(functools.cache(function))] == [function]


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a trap changes is restored at the end. Returns the arguments of the guard of files."""
    watched: list[Any] = []
    monkeypatch.setattr(reference, "MISTAKES", {"name": "mistake"})
    monkeypatch.setitem(vars(minibert.classroom), "check", lambda: None)
    monkeypatch.setattr(reference.guard, "watch", lambda *arguments: watched.append(arguments))
    monkeypatch.setattr(reference.guard, "violations", [])
    monkeypatch.setattr(reference, "_trap", inspect.unwrap(reference._trap))  # without the type checker of the tests
    return watched


def test_trap(undone: list[Any], tmp_path: Path) -> None:
    """Each call raises an error and is noticed, with any arguments. The catalogue and a check tell nothing."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    scope: dict[str, Any] = {}
    exec(compile("def toy(x=1, *, y=2):\n    return x", str(link / "toy.py"), "exec"), scope)
    own = decorated(scope["toy"])
    reference.protect(own, tmp_path / "learner")
    for call in (own, lambda: own(1, z=3), own.__wrapped__):
        with pytest.raises(PermissionError, match=SENTENCE):
            call()
    assert reference.guard.violations == [SENTENCE] * 3
    assert own.__code__.co_name == "toy"
    assert own.__wrapped__.__defaults__ is own.__wrapped__.__kwdefaults__ is None
    assert reference.MISTAKES == {}
    assert minibert.classroom.check("anything", at=1) == Report("", Verdict.PASSED)
    package = Path(minibert.__file__).resolve().parent
    assert undone == [([str(tmp_path / "learner")], {str(package), str(real / "toy.py"), str(Path(__file__).resolve())})]


def test_all_modules_of_the_preloaded_parts_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """So are the public names, which are loaded at their first use."""
    imported: list[str] = []
    used: list[str] = []

    def recorded(name: str) -> Any:
        imported.append(name)
        return importlib.import_module(name)

    class Package:
        __all__ = ("one", "two")

        def __getattr__(self, name: str) -> object:
            used.append(name)
            return None

    monkeypatch.setattr(reference, "importlib", type("", (), {"import_module": staticmethod(recorded)}))
    monkeypatch.setattr(reference, "minibert", Package())
    reference.preload()
    root = Path(minibert.__file__).parent
    for part in reference.PRELOADED:
        path = root / part.replace(".", "/")
        files = [path.with_suffix(".py")] if path.with_suffix(".py").exists() else [*path.rglob("*.py")]
        names = {".".join(("minibert", *file.relative_to(root).with_suffix("").parts)) for file in files}
        assert {name.removesuffix(".__init__") for name in names} - {*reference.OPTIONAL} <= {*imported}
    assert set(imported).isdisjoint(reference.OPTIONAL)
    assert used == ["one", "two"]
