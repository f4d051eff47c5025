"""The file that a learner gets: it is made from the signature, docstring and source of the reference."""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, get_args, get_origin

from torch import nn

import minibert
from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.imports import ALWAYS, imports, names_in
from minibert.classroom.reduced_reference import hidden_settings, settings
from minibert.classroom.signatures import WIDTH, annotation_text, definition
from minibert.classroom.steps import steps
from minibert.study.equations.formulas import plain
from minibert.study.equations.registry import FIELDS, docstring_fields

LIBRARIES = frozenset({*sys.stdlib_module_names, "torch", "numpy"})
"""Packages that a stub may import: it runs without minibert."""


def stub(exercise: Exercise, in_notebook: bool = False) -> str:
    """Return the file of an exercise, or its cell: imports, and the function with its documentation and without its body.

    >>> from minibert.classroom.exercises import EXERCISES
    >>> print(next(line for line in stub(EXERCISES["softmax"]).splitlines() if line.startswith("def")))
    def softmax(scores: Tensor) -> Tensor:
    """
    documentation = textwrap.indent(_documentation(exercise), "    ").strip()
    header = definition(exercise.name, exercise.parameters, _returned(exercise))
    code = f'{header}\n    r"""{documentation}\n    """\n    raise NotImplementedError\n'
    names = {*ALWAYS, *names_in(code), *names_in(_source(exercise)), *names_in(_example_code(exercise))}
    constants = "\n".join(f"{name} = {value!r}" for name, value in _constants(exercise, names))
    then = "Then run this cell and the next one." if in_notebook else f"Save, or run: minibert check {exercise.name}"
    parts = [
        f'"""Exercise: {exercise.name}.\n',
        f'Replace the last line by your code. {then}\n"""\n',
        *imports(exercise.reference, names, LIBRARIES),
    ]
    return "\n".join([*parts, *(["", constants] if constants else []), "", "", code])


@cache
def known_names(exercise: Exercise) -> frozenset[str]:
    """Return all words of the stub: the names that a learner knows."""
    return frozenset(re.findall(r"\w+", stub(exercise)))


def purpose(exercise: Exercise) -> str:
    """Return what the function does, in one sentence or more. A layer is described by its class and by its method."""
    texts = [_purpose(inspect.getdoc(documented) or "") for documented in _documented(exercise)]
    return " ".join(filter(None, reversed(texts)))


def _purpose(text: str) -> str:
    """Return the beginning of a docstring, before its first blank line or field."""
    fields = "|".join(FIELDS)
    return " ".join(re.split(rf"(?:^|(?<=\. ))(?:{fields}):|^>>>|\n\n", text, maxsplit=1, flags=re.MULTILINE)[0].split())


def formulas(exercise: Exercise) -> list[str]:
    """Return the LaTeX of the formula and of its terms, or the formula of each step."""
    if equation := _field(exercise, "Eq"):
        parts = re.split(r",?\s*\\qq?uad\s*", equation.strip("$"))
        return parts if all(part.count("{") == part.count("}") for part in parts) else [equation.strip("$")]
    return [step.formula for step in steps(exercise).values() if "=" in step.formula]


def _documented(exercise: Exercise) -> Iterator[Any]:
    """Yield the reference, and its class if it is a method."""
    reference = inspect.unwrap(exercise.reference)
    yield reference
    owner, _, _ = reference.__qualname__.rpartition(".")
    if owner and "<locals>" not in owner:
        yield getattr(sys.modules[reference.__module__], owner)


def _field(exercise: Exercise, name: str) -> str:
    """Return a field of the docstring, such as "Source"; empty if there is none."""
    fields = (docstring_fields(inspect.getdoc(documented) or "").get(name) for documented in _documented(exercise))
    return next(filter(None, fields), "")


def _source(exercise: Exercise) -> str:
    return textwrap.dedent(inspect.getsource(exercise.reference))


def _documentation(exercise: Exercise) -> str:
    """Return the docstring of the stub."""
    latex = formulas(exercise)
    step_lines = (f"{name}: {plain(step.formula)}. {step.explanation}" for name, step in steps(exercise).items())
    notes = {"Source": _field(exercise, "Source"), "Differs": _differs(exercise)}
    parts = [
        _wrapped(purpose(exercise), "", "    "),
        _section("Formula:", map(plain, latex)) if _field(exercise, "Eq") else _section("Steps:", step_lines),
        _section("Args:", _argument_lines(exercise)),
        _section("Returns:", _returned_lines(exercise)),
        _section("Axes:", _axis_lines(exercise)),
        *(_wrapped(f"{title}: {text}") for title, text in notes.items() if text),
        _wrapped(_limits(exercise)),
        "\n    ".join(["In LaTeX:", *latex]) if latex else "",
        _example(exercise),
    ]
    return "\n\n".join(part for part in parts if part)


def _limits(exercise: Exercise) -> str:
    """Return a sentence about the inputs at which other results are a warning; empty if there are none."""
    limits = "; ".join(dict.fromkeys(case.name for case in exercise.cases if case.role is Role.LIMIT))
    return f"Limits of the formula: {limits}. The check tries them too; another result is only a warning." if limits else ""


def _differs(exercise: Exercise) -> str:
    """Return the sentences of the field `Differs` that do not speak of a parameter of the reference that the stub lacks."""
    absent = {*inspect.signature(exercise.reference).parameters} - {*exercise.parameters}
    sentences = re.split(r"(?<=\.) (?=[A-Z`])", _field(exercise, "Differs"))
    return " ".join(text for text in sentences if absent.isdisjoint(re.findall(r"`(\w+)`", text)))


def _section(title: str, lines: Iterable[str]) -> str:
    texts = [_wrapped(line, "        ", "    ") for line in lines if line]
    return "\n".join([title, *texts]) if texts else ""


def _wrapped(text: str, later: str = "", first: str = "") -> str:
    return textwrap.fill(
        text, WIDTH - 4, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def _argument_lines(exercise: Exercise) -> Iterator[str]:
    described = _described_arguments(exercise)
    for name, parameter in exercise.parameters.items():
        kind = "the module. The sizes are those of one test" if name == "self" else annotation_text(parameter.annotation)
        text = "; ".join(part for part in (kind, described.get(name, "")) if part)
        yield f"{name}: {text}" if text else name
        if name == "self":
            yield from (f"self.{line}" for line in _attributes(exercise))


def _described_arguments(exercise: Exercise) -> dict[str, str]:
    """Return the texts in the field `Args:` of the reference by name of the argument."""
    field = re.search(r"^Args:\n((?: +.*\n?)+)", inspect.getdoc(exercise.reference) or "", re.MULTILINE)
    lines = textwrap.dedent(field[1]) if field else ""
    return {name: " ".join(text.split()) for name, text in re.findall(r"^(\w+): *(.*(?:\n +.*)*)", lines, re.MULTILINE)}


def _returned(exercise: Exercise) -> Any:
    return inspect.signature(exercise.reference).return_annotation


def _returned_lines(exercise: Exercise) -> Iterator[str]:
    returned = _returned(exercise)
    parts = get_args(returned) if get_origin(returned) is tuple and ... not in get_args(returned) else (returned,)
    yield from (text for text in map(annotation_text, parts) if text)
    yield _field(exercise, "Returns")


def _attributes(exercise: Exercise) -> Iterator[str]:
    """Yield the parts, parameters and settings of the module that a method belongs to, but not switches that are off."""
    module = exercise.cases[0].recipe(RandomDraw(0))["self"]
    for name, child in module.named_children():
        kind = " ".join(repr(child).partition("\n")[0].rstrip("(").split())
        yield f"{name}: {kind}; call self.{name}({', '.join(_inputs(child))})"
    for name, parameter in module.named_parameters(recurse=False):
        yield f"{name}: parameter of shape {tuple(parameter.shape)}"
    hidden = hidden_settings(module)
    for name, value in settings(module).items():
        if inspect.isfunction(value):
            yield f"{name}: the function {value.__name__}; call self.{name}({', '.join(inspect.signature(value).parameters)})"
        elif name not in hidden:
            yield f"{name}: {type(value).__name__}, such as {value!r}"


def _inputs(module: nn.Module) -> Iterator[str]:
    """Yield the names of a module's inputs, without those that have a default other than None."""
    for name, parameter in inspect.signature(module.forward).parameters.items():
        if parameter.default in (inspect.Parameter.empty, None):
            yield name


def _axis_lines(exercise: Exercise) -> Iterator[str]:
    """Yield the meaning of the axis names that occur, from the legend of the package."""
    kinds = [*(parameter.annotation for parameter in exercise.parameters.values()), _returned(exercise)]
    used = " ".join(map(annotation_text, kinds))
    legend = re.findall(r"^    ([a-z_, ]+?)  +(.*(?:\n {8,}.*)*)", minibert.__doc__ or "", re.MULTILINE)
    for names, meaning in legend:
        if any(re.search(rf"[(\s*#{{]{name}\b", used) for name in names.split(", ")):
            yield f"{names}: {' '.join(meaning.split())}"
    if "*" in used:
        yield "*name: any number of axes"
    if "#" in used:
        yield "#name: the size of this axis, or 1"


def _example(exercise: Exercise) -> str:
    """Return the doctest; empty if it needs other functions of minibert."""
    needed = names_in(_example_code(exercise))
    others = needed - {exercise.name, *(name for name, _ in _constants(exercise, needed))}
    if exercise.name not in needed or any(line.startswith("from minibert") for line in imports(exercise.reference, others)):
        return ""
    text = inspect.getdoc(exercise.reference) or ""
    return "Example:\n\n" + text[text.index("\n>>> ") :].strip()


def _example_code(exercise: Exercise) -> str:
    text = inspect.getdoc(exercise.reference) or ""
    return "\n".join(re.findall(r"^(?:>>>|\.\.\.) ?(.*)$", text, re.MULTILINE))


def _constants(exercise: Exercise, names: Iterable[str]) -> list[tuple[str, Any]]:
    """Return the names that are numbers or texts in the module of the reference, such as IGNORE_INDEX."""
    scope = vars(sys.modules[exercise.reference.__module__])
    return [(name, scope[name]) for name in sorted(names) if isinstance(scope.get(name), int | float | str) and name.isupper()]
