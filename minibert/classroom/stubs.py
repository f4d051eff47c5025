"""The file that a learner gets, and the solution: both are made from the signature, docstring and source of the reference."""

import ast
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import torch
from jaxtyping import AbstractArray
from torch import nn

import minibert
from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercise import Exercise
from minibert.study.equations.formulas import plain
from minibert.study.equations.registry import FIELDS, docstring_fields, without_docstring
from minibert.study.stepthrough.documentation import documented_steps

WIDTH = 100
"""Longest line of a stub."""
ALWAYS = ("math", "torch")
"""Modules that every stub imports."""
LIBRARIES = frozenset({*sys.stdlib_module_names, "torch", "numpy"})
"""Packages that a stub may import: it runs without minibert."""
EMPTY = inspect.Parameter.empty


def stub(exercise: Exercise) -> str:
    """Return the file of an exercise: imports, and the function with its documentation and without its body.

    >>> from minibert.classroom.exercises import EXERCISES
    >>> print(stub(EXERCISES["softmax"]).splitlines()[9])
    def softmax(scores: Tensor) -> Tensor:
    """
    documentation = textwrap.indent(_documentation(exercise), "    ").strip()
    code = f'{_signature(exercise)}\n    r"""{documentation}\n    """\n    raise NotImplementedError\n'
    names = {*ALWAYS, *_names(code), *_names(_source(exercise)), *_names(_example_code(exercise))}
    constants = "".join(f"{name} = {value!r}\n" for name, value in _constants(exercise, names))
    parts = [
        f'"""Exercise: {exercise.name}.\n',
        f'Replace the last line by your code. Save, or run: minibert check {exercise.name}\n"""\n',
        *_imports(exercise, names, LIBRARIES),
    ]
    return "\n".join([*parts, *(["", constants] if constants else ["", ""]), code])


def solution(exercise: Exercise) -> str:
    """Return the reference with the imports that it needs, without its docstring. It can replace the text of the stub."""
    code = without_docstring(_source(exercise))
    code = re.sub(r"^def \w+\(", f"def {exercise.name}(", code, count=1, flags=re.MULTILINE)
    return "\n".join(_imports(exercise, _names(code))) + f"\n\n\n{code}"


def purpose(exercise: Exercise) -> str:
    """Return what the function does, in one sentence or more."""
    for documented in _documented(exercise):
        text = re.split(rf"^(?:{'|'.join(FIELDS)}):|^>>>", inspect.getdoc(documented) or "", maxsplit=1, flags=re.MULTILINE)[0]
        if text.strip():
            return " ".join(text.split("\n\n")[0].split())
    return ""


def formulas(exercise: Exercise) -> list[str]:
    """Return the LaTeX of the formula and of its terms, or the formula of each step."""
    if equation := _field(exercise, "Eq"):
        parts = re.split(r",?\s*\\qq?uad\s*", equation.strip("$"))
        return parts if all(part.count("{") == part.count("}") for part in parts) else [equation.strip("$")]
    steps = [step.formula for documented in _documented(exercise) for step in documented_steps(documented).values()]
    return [formula for formula in steps if "=" in formula]


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
    return textwrap.dedent(inspect.getsource(inspect.unwrap(exercise.reference)))


# --- imports ---


def _names(code: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def _imports(exercise: Exercise, names: Iterable[str], packages: frozenset[str] | None = None) -> list[str]:
    """Return import statements for those names that the module of the reference has.

    Args:
        packages: if given, only these are imported.
    """
    module = inspect.unwrap(exercise.reference).__module__
    known = {name: (name, "") for name in ALWAYS} | _imported(module)
    own = {name: (module, name) for name in vars(sys.modules[module]) if name not in known}
    found = {(known | own)[name] for name in names if name in known | own and not name.startswith("__")}
    wanted = [(source, what) for source, what in found if packages is None or source.partition(".")[0] in packages]
    lines = [f"import {source}" for source, what in wanted if not what]
    parts: dict[str, list[str]] = {}
    for source, what in sorted(wanted):
        parts.setdefault(source, []).extend([what] if what else [])
    lines += [f"from {source} import {', '.join(names)}" for source, names in parts.items() if names]
    return sorted(lines, key=lambda line: (line.split()[1] not in sys.stdlib_module_names, line.startswith("from"), line))


@cache
def _imported(module: str) -> dict[str, tuple[str, str]]:
    """Return the module of each name that a module imports, and the part of it that is imported; empty for all of it."""
    found = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            name = alias.asname or alias.name
            renamed = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
            found[name] = (str(node.module), renamed) if isinstance(node, ast.ImportFrom) else (renamed, "")
    return found


# --- signature ---


def _signature(exercise: Exercise) -> str:
    """Return the line `def …:` with the parameters that occur in a case."""
    parameters: list[str] = []
    for name, parameter in exercise.parameters.items():
        annotation, default = _annotation(parameter.annotation), _default(parameter.default)
        if not default and "=" in "".join(parameters) and "*" not in parameters:
            parameters.append("*")  # a parameter without a default cannot follow one that has it
        parameters.append(f"{name}{f': {annotation}' if annotation else ''}{f' = {default}' if default else ''}")
    returned = _annotation(inspect.signature(inspect.unwrap(exercise.reference)).return_annotation)
    end = f") -> {returned}:" if returned else "):"
    line = f"def {exercise.name}({', '.join(parameters)}{end}"
    if len(line) <= WIDTH:
        return line
    return "\n    ".join([f"def {exercise.name}(", *(f"{parameter}," for parameter in parameters)]) + f"\n{end}"


def _default(value: Any) -> str:
    """Return a default as code. A function of minibert is replaced by PyTorch's of the same name, if there is one."""
    if value is None or isinstance(value, bool | int | float | str | tuple):
        return repr(value)
    name = getattr(value, "__name__", "")
    return f"torch.nn.functional.{name}" if value is not EMPTY and hasattr(nn.functional, name) else ""


def _annotation(kind: Any) -> str:
    """Return an annotation without shapes as code; empty if it needs a class that is not of Python or PyTorch."""
    if kind is None or kind is type(None):
        return "None"
    if get_origin(kind) is Literal:
        return f"Literal[{', '.join(map(repr, get_args(kind)))}]"
    if get_origin(kind) is not None:
        return _generic(kind)
    if not isinstance(kind, type) or kind is EMPTY:
        return ""
    if issubclass(kind, AbstractArray):
        return "Tensor"
    name = str(getattr(kind, "__name__", ""))
    if kind.__module__ == "builtins":
        return name
    if kind is torch.Tensor:
        return name
    known = ((torch, "torch."), (nn, "nn."), (torch.optim, "torch.optim."))
    return next((f"{prefix}{name}" for module, prefix in known if getattr(module, name, None) is kind), "")


def _generic(kind: Any) -> str:
    """Return an annotation with parts, such as `Tensor | None` and `tuple[Tensor, int]`."""
    origin = get_origin(kind)
    if origin is Callable or str(origin) == "<class 'collections.abc.Callable'>":
        taken, returned = get_args(kind)
        parts = [_annotation(part) for part in taken] if isinstance(taken, list) else [""]
        whole = [*parts, result := _annotation(returned)]
        return f"Callable[[{', '.join(parts)}], {result}]" if all(whole) else "Callable"
    parts = ["..." if part is ... else _annotation(part) for part in get_args(kind)]
    if not all(parts):
        return ""
    return " | ".join(parts) if origin in (Union, types.UnionType) else f"{getattr(origin, '__name__', '')}[{', '.join(parts)}]"


# --- documentation ---


def _documentation(exercise: Exercise) -> str:
    """Return the docstring of the stub."""
    latex = formulas(exercise)
    parts = [_wrapped(purpose(exercise), "", "    "), _section("Formula:", map(plain, latex))]
    parts.append(_section("Args:", _argument_lines(exercise)))
    parts.append(_section("Returns:", _returned_lines(exercise)))
    parts.append(_section("Axes:", _axis_lines(exercise)))
    parts += [_wrapped(f"{title}: {text}") for title in ("Source", "Differs") if (text := _field(exercise, title))]
    parts.append("\n    ".join(["In LaTeX:", *latex]) if latex else "")
    parts.append(_example(exercise))
    return "\n\n".join(part for part in parts if part)


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
        kind = "the module" if name == "self" else _kind(parameter.annotation)
        text = "; ".join(part for part in (kind, described.get(name, "")) if part)
        yield f"{name}: {text}" if text else name
        if name == "self":
            yield from (f"self.{line}" for line in _attributes(exercise))


def _described_arguments(exercise: Exercise) -> dict[str, str]:
    """Return the texts in the field `Args:` of the reference by name of the argument."""
    field = re.search(r"^Args:\n((?: +.*\n?)+)", inspect.getdoc(inspect.unwrap(exercise.reference)) or "", re.MULTILINE)
    lines = textwrap.dedent(field[1]) if field else ""
    return {name: " ".join(text.split()) for name, text in re.findall(r"^(\w+): *(.*(?:\n +.*)*)", lines, re.MULTILINE)}


def _returned_lines(exercise: Exercise) -> Iterator[str]:
    returned = inspect.signature(inspect.unwrap(exercise.reference)).return_annotation
    parts = get_args(returned) if get_origin(returned) is tuple else (returned,)
    yield from (text for text in map(_kind, parts) if text)
    yield _field(exercise, "Returns")


def _kind(kind: Any) -> str:
    """Return type and axes of an annotation as text, such as "float tensor (*batch, width), or None"."""
    if get_origin(kind) in (Union, types.UnionType):
        return ", or ".join(filter(None, map(_kind, get_args(kind))))
    if get_origin(kind) is not None:
        inner = [_kind(part) for part in get_args(kind) if isinstance(part, type) and issubclass(part, AbstractArray)]
        return f"{getattr(get_origin(kind), '__name__', '').lower()} of {inner[0]}" if inner else _annotation(kind)
    if not isinstance(kind, type) or kind is EMPTY:
        return ""
    if issubclass(kind, AbstractArray):
        axes = ", ".join(kind.dim_str.split())
        return f"{kind.__name__.partition('[')[0].lower()} tensor {f'({axes})' if axes else 'without axes, one number'}"
    return "None" if kind is type(None) else kind.__name__


def _attributes(exercise: Exercise) -> Iterator[str]:
    """Yield the parts, parameters and settings of the module that a method belongs to."""
    module = exercise.cases[0].recipe(RandomDraw(0))["self"]
    for name, child in module.named_children():
        yield f"{name}: {' '.join(repr(child).partition(chr(10))[0].rstrip('(').split())}"
    for name, parameter in module.named_parameters(recurse=False):
        yield f"{name}: parameter of shape {tuple(parameter.shape)}"
    for name, value in vars(module).items():
        if isinstance(value, bool | int | float | str) and not name.startswith("_") and name != "training":
            yield f"{name}: {type(value).__name__}, such as {value!r}"


def _axis_lines(exercise: Exercise) -> Iterator[str]:
    """Yield the meaning of the axis names that occur, from the legend of the package."""
    signature = inspect.signature(inspect.unwrap(exercise.reference))
    kinds = [*(parameter.annotation for parameter in exercise.parameters.values()), signature.return_annotation]
    used = " ".join(map(_kind, kinds))
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
    needed = _names(_example_code(exercise))
    others = needed - {exercise.name, *(name for name, _ in _constants(exercise, needed))}
    if exercise.name not in needed or any(line.startswith("from minibert") for line in _imports(exercise, others)):
        return ""
    text = inspect.getdoc(inspect.unwrap(exercise.reference)) or ""
    return "Example:\n\n" + text[text.index("\n>>> ") :].strip()


def _example_code(exercise: Exercise) -> str:
    text = inspect.getdoc(inspect.unwrap(exercise.reference)) or ""
    return "\n".join(re.findall(r"^(?:>>>|\.\.\.) ?(.*)$", text, re.MULTILINE))


def _constants(exercise: Exercise, names: Iterable[str]) -> list[tuple[str, Any]]:
    """Return the names that are numbers or texts in the module of the reference, such as IGNORE_INDEX."""
    scope = vars(sys.modules[inspect.unwrap(exercise.reference).__module__])
    return [(name, scope[name]) for name in sorted(names) if isinstance(scope.get(name), int | float | str) and name.isupper()]
