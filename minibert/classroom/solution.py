"""The solution that a learner sees: the reference, without what the stub does not have."""

import inspect
import sys
from collections.abc import Iterator

from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercise import Exercise
from minibert.classroom.imports import imports, names_in
from minibert.classroom.reduction import PACKAGE, Reduction
from minibert.classroom.stubs import hidden_settings


def solution(exercise: Exercise) -> str:
    """Return the code of the reference as a learner could have written it. It can replace the text of the stub.

    Left out are the names of steps (`observe`), checks of arguments, conversions of half precision, parameters that no test
    input has, and settings of a module that are off. Comments say what the imported functions of minibert are.
    """
    reduction = _reduction(exercise)
    code = "\n\n\n".join(reduction.functions.values())
    names = names_in(code) - reduction.functions.keys()
    others = (f"from {each.__module__} import {each.__name__}" for each in reduction.imported if each.__name__ in names)
    lines = list(dict.fromkeys([*imports(exercise.reference, names), *others]))
    head = "\n\n".join(filter(None, ("\n".join(lines), "\n".join(_notes(lines)))))
    return f"{head}\n\n\n{code}\n".lstrip()


def solution_function(exercise: Exercise) -> str:
    """Return the function of the exercise in the solution, without imports and without the functions that it calls."""
    return _reduction(exercise).functions[exercise.name]


def _reduction(exercise: Exercise) -> Reduction:
    from minibert.classroom.exercises import EXERCISES

    reference = inspect.unwrap(exercise.reference)
    parameters = inspect.signature(reference).parameters
    module = exercise.cases[0].recipe(RandomDraw(0))["self"] if "self" in parameters else None
    kept = frozenset(inspect.unwrap(other.reference) for other in EXERCISES.values()) - {reference}
    reduction = Reduction(kept, module, hidden_settings(module) if module else {})
    known = {name: parameter.default for name, parameter in parameters.items() if name not in exercise.parameters}
    reduction.add(reference, known, exercise.name)
    return reduction


def _notes(lines: list[str]) -> Iterator[str]:
    """Yield a comment about each function and class that is imported from minibert."""
    from minibert.classroom.exercises import EXERCISES

    numbers = {name: number for number, name in enumerate(EXERCISES, start=1)}
    for line in lines:
        _, module, _, names = line.split(maxsplit=3) if line.startswith(f"from {PACKAGE}") else ("", "", "", "")
        for name in filter(None, names.split(", ")):
            value = getattr(sys.modules[module], name)
            if name in numbers:
                yield f"# {name}: exercise {numbers[name]}"
            elif callable(value) and (text := inspect.getdoc(value)):
                yield f"# {name}: {text.partition(chr(10))[0]}"
