"""Words and numbers for the sentences about a result: its parts, axes, places and differences."""

import inspect
import re
from functools import cache
from typing import Any, Literal, get_args

from torch import Tensor

from minibert.classroom.distance import differences
from minibert.classroom.exercise import Exercise
from minibert.study.equations.registry import docstring_fields

PLURALS = {"has": "have", "is": "are"}


def axes_of(exercise: Exercise, name: str, axes: int) -> str:
    """Return the names of the axes of a result, such as "(batch, heads, queries, value_width)"; empty if they are not known."""
    annotation = inspect.signature(exercise.reference).return_annotation
    part = name.rpartition(".")[2]
    if part.isdecimal() and int(part) < len(get_args(annotation)):
        annotation = get_args(annotation)[int(part)]
    names = [axis.lstrip("#") for axis in str(getattr(annotation, "dim_str", "")).split()]
    if not names or not all(axis.lstrip("*").isidentifier() for axis in names):
        return ""
    leading = [number for number, axis in enumerate(names) if axis.startswith("*")]
    for number in leading:
        more = axes - len(names) + 1
        if more <= 2:
            second = "heads" if {"queries", "keys"} & set(names) else "tokens"
            names[number : number + 1] = [names[number].lstrip("*"), second][:more]
    return f"({', '.join(names)})" if len(names) == axes or leading else ""


def difference_of(words: str, own: Tensor, other: Tensor, tolerance: float) -> str:
    """Describe where a tensor differs, such as "the result: 3 of 8 numbers differ, most at [0, 1]: 0.5, expected 0.25."."""
    if own.shape != other.shape:
        return f"{with_verb(words, 'has')} the shape {tuple(own.shape)}, expected {tuple(other.shape)}."
    far = differences(own, other).abs()
    finite = other.double().abs()[other.isfinite()]
    scale = (finite.max().item() if finite.numel() else 0.0) or 1.0
    if own.numel() == 1:
        return f"{with_verb(words, 'is')} {shown(own.item())}, expected {shown(other.item())}."
    place = first_place(far == far.max())
    count = f"{int((far > tolerance * scale).sum()) or 1} of {own.numel()} numbers differ"
    return f"{words}: {count}, most{at(place)}: {shown(own[place].item())}, expected {shown(other[place].item())}."


def words_for(exercise: Exercise, name: str) -> str:
    """Return words for a part of the result, to begin a sentence with: "The result" for "output"."""
    part = part_name(exercise, name)
    return f"The {part}" if part in _names_of_parts(exercise) else f"`{part}`" if part else "The result"


def with_verb(words: str, verb: Literal["has", "is"]) -> str:
    """Begin a sentence about a part of the result, such as "The labels have". A name in the plural ends with an s."""
    return f"{words} {PLURALS[verb] if words.endswith('s') else verb}"


def part_name(exercise: Exercise, name: str) -> str:
    """Return the name of a part of the result: "labels" for "output.1" if the docstring names it, else "result[1]".

    The result itself has the empty name.
    """
    number = name.split(".")[1] if "." in name else ""
    names = _names_of_parts(exercise)
    if number.isdecimal() and int(number) < len(names):
        return names[int(number)] + index_name(name).removeprefix(f"result[{number}]")
    return index_name(name)


def index_name(name: str) -> str:
    """Return the name of a part of the result by its place: "result[1]" for "output.1", "" for the result itself."""
    part = as_code(name.removeprefix("output"))
    return f"result{part}" if part.startswith("[") else part.removeprefix(".")


@cache
def _names_of_parts(exercise: Exercise) -> tuple[str, ...]:
    """Return the names of the parts of a tuple, from `Returns:` in the docstring; none if it does not name them all."""
    reference = inspect.unwrap(exercise.reference)
    parts = get_args(inspect.signature(reference).return_annotation)
    text = docstring_fields(inspect.getdoc(reference) or "").get("Returns", "")
    names = re.split(r",? and |, ", re.split(r"[.:]", text)[0])
    return tuple(name.removeprefix("the ") for name in names) if len(names) == len(parts) > 1 else ()


def as_code(name: str) -> str:
    """Return the code for a part of an argument: `gradients[0]` for "gradients.0"."""
    return re.sub(r"\.(\d+)", r"[\1]", name)


def value_as_code(value: object) -> str:
    """Return a default value as code: the name of a function, or the number."""
    return str(getattr(value, "__name__", repr(value)))


def first_place(mask: Tensor) -> tuple[int, ...]:
    """Return the index of the first True."""
    return tuple(int(index) for index in mask.nonzero()[0])


def at(place: tuple[int, ...]) -> str:
    """Return " at [0, 2]", empty for a single number."""
    return f" at {list(place)}" if place else ""


def shown(number: Any) -> str:
    """Return a number with up to six digits."""
    return str(number) if isinstance(number, bool | int | complex) else f"{number:.6g}"
