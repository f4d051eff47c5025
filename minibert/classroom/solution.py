"""The solution that a learner sees: the reference, without what the stub does not have."""

import inspect
import sys
from collections.abc import Iterator

from minibert.classroom.exercise import Exercise
from minibert.classroom.imports import imports, names_in
from minibert.classroom.reduced_reference import reduced
from minibert.classroom.reduction import PACKAGE


def solution(exercise: Exercise) -> str:
    """Return the code of the reference as a learner could have written it. It can replace the text of the stub.

    Left out are the names of steps (`observe`), checks of arguments, conversions of half precision, parameters that no test
    input has, and settings of a module that are off. Comments say what the imported functions of minibert are.
    """
    reduction = reduced(exercise)
    code = "\n\n\n".join(reduction.functions.values())
    names = names_in(code) - reduction.functions.keys()
    others = (f"from {each.__module__} import {each.__name__}" for each in reduction.imported if each.__name__ in names)
    lines = list(dict.fromkeys([*imports(exercise.reference, names), *others]))
    head = "\n\n".join(filter(None, ("\n".join(lines), "\n".join(_notes(lines)))))
    return f"{head}\n\n\n{code}\n".lstrip()


def solution_function(exercise: Exercise) -> str:
    """Return the function of the exercise in the solution, without imports and without the functions that it calls."""
    return reduced(exercise).functions[exercise.name]


def _notes(lines: list[str]) -> Iterator[str]:
    """Yield a comment about each function and class that is imported from minibert."""
    from minibert.classroom.exercises import EXERCISES

    numbers = {name: number for number, name in enumerate(EXERCISES, start=1)}
    for line in lines:
        _, module, _, names = line.split(maxsplit=3) if line.startswith(f"from {PACKAGE}") else ("", "", "", "")
        for imported in filter(None, names.split(", ")):
            original, _, renamed = imported.partition(" as ")
            name, value = renamed or original, getattr(sys.modules[module], original)
            if original in numbers:
                yield f"# {name}: exercise {numbers[original]}"
            elif callable(value) and (text := inspect.getdoc(value)):
                yield f"# {name}: {text.splitlines()[0]}"
