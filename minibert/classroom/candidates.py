"""The wrong functions that a learner's function is compared with: the reference with mistakes or with edits."""

import copy
import inspect
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import combinations, islice, product
from pathlib import Path
from types import FrameType
from typing import Any, get_origin

import torch
from torch import Tensor

import minibert
from minibert.classroom.distance import changed_arguments, summarized
from minibert.classroom.edits import edits_of
from minibert.classroom.exercise import Arguments, Exercise, Role
from minibert.classroom.mistakes import Kind, Mistake
from minibert.classroom.mistakes.variants import called_functions
from minibert.classroom.probes import expected, probes
from minibert.classroom.results import outputs_of, tensors_in
from minibert.classroom.running import LocalRunner, Outcome, settings_kept

MOST_CALLS = 1_000_000
"""Largest number of calls of functions and by functions of minibert and PyTorch, for a family: half a second."""
COUNTED = (str(Path(minibert.__file__).parent), str(Path(torch.__file__).parent), copy.__file__)
"""Files and folders whose functions count. The checks of annotations, which tests have, lie elsewhere."""
CALLS_OF_COMPILER = 1500
"""Number of calls that take as long as to compile a variant."""
FIRST_OF_CALLED = 15
"""The first mistake in a called function is as likely as the mistake with this number in the function itself."""
OUTSIDE_FORMULAS = ("minibert.checks", "minibert.observe", "minibert.precision")
"""Modules whose functions no learner writes."""


@dataclass(frozen=True, eq=False)
class Variant:
    """The reference with one or several mistakes. Its outcomes are computed when they are needed, and kept.

    One or two probes tell most functions apart, and gradients are rarely needed.
    """

    exercise: Exercise
    mistakes: tuple[Mistake, ...]
    zeros_for_nan: bool = False
    """If True, NaN in the result is replaced by zero, as learners do who expect rows that attend to nothing."""
    _kept: dict[tuple[int, bool], Outcome] = field(default_factory=dict, repr=False)

    @cached_property
    def function(self) -> Callable[..., Any] | None:
        """The function, or None if the mistakes cannot be combined because both edit the same line.

        Raises: RuntimeError if an entry of the catalogue does not fit the source of its function.
        """
        if not self.mistakes:
            return self.exercise.reference
        try:
            with warnings.catch_warnings(action="ignore"):
                function = self.exercise.with_mistakes(*self.mistakes)
        except Exception as error:  # an edit need not compile
            if len(self.mistakes) == 1 and self.mistakes[0].seen_in:  # every entry fits alone: without it, another has its name
                name, file = self.mistakes[0].name, inspect.getsourcefile(self.mistakes[0].function)
                raise RuntimeError(
                    f"the mistake {name!r} does not fit {file}: if the file has changed, start minibert again"
                ) from error
            return None
        return with_zeros_for_nan(function) if self.zeros_for_nan else function

    def values(self, number: int) -> Outcome:
        """Return the outputs for a probe."""
        if not self.mistakes:
            return expected(self.exercise)[number]
        if (number, False) not in self._kept:
            self._kept[number, False] = self.called_with(probes(self.exercise)[number].arguments)
        return self._kept[number, False]

    def gradients(self, number: int) -> Outcome:
        """Return the outputs and the gradients for a probe."""
        if self.function is None:
            return self.values(number)
        if (number, True) not in self._kept:
            probe = probes(self.exercise)[number]
            runner = LocalRunner(self.exercise, self.function)
            self._kept[number, True] = runner(probe.arguments, probe.case.gradients)
        return self._kept[number, True]

    def called_with(self, arguments: Arguments) -> Outcome:
        """Return the outputs for other arguments."""
        if self.function is None:
            return Outcome(error="ValueError: the mistakes cannot be combined")
        arguments = copy.deepcopy(arguments)
        torch.default_generator.manual_seed(0)  # torch.manual_seed takes 3 ms, for other devices
        try:
            with warnings.catch_warnings(action="ignore"):
                result = self.function(**arguments)
            outputs = outputs_of(self.exercise.read(result) if self.exercise.read else result)
        except Exception as error:  # an edit may raise any
            return Outcome(error=type(error).__name__)
        outputs = {name: output.detach() for name, output in outputs.items()}
        return Outcome(outputs, after={name: tensor.detach() for name, tensor in tensors_in(arguments)})


def with_zeros_for_nan(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose result has zeros in place of NaN."""

    def without_nan(**arguments: Any) -> Any:
        result = function(**arguments)
        return result.masked_fill(result.isnan(), 0.0) if isinstance(result, Tensor) else result

    return without_nan


class Family:
    """Variants of one kind. For one probe, the numbers of all of them are in one matrix, so that most are excluded at once."""

    def __init__(self, variants: Iterable[Variant]) -> None:
        self.variants = list(variants)
        self._numbers: dict[int, dict[Signature, tuple[list[Variant], Tensor]]] = {}

    def near(self, number: int, outcome: Outcome, distance: float) -> list[Variant]:
        """Return the variants that are not farther away than `distance` in one probe."""
        if not self.variants:
            return []
        exercise = self.variants[0].exercise
        if number not in self._numbers:
            self._numbers[number] = self._computed(exercise, number)
        signature, mine = _vector(exercise, number, outcome)
        if signature not in self._numbers[number]:
            return []
        variants, matrix = self._numbers[number][signature]
        scale = matrix.masked_fill(matrix.abs() >= INFINITE, 0.0).abs().amax(dim=1)
        close = (matrix - mine).abs().amax(dim=1) <= distance * scale
        return [variant for variant, is_close in zip(variants, close.tolist(), strict=True) if is_close]

    def _computed(self, exercise: Exercise, number: int) -> "dict[Signature, tuple[list[Variant], Tensor]]":
        groups: dict[Signature, list[tuple[Variant, Tensor]]] = {}
        with settings_kept():
            for variant in self.variants:
                outcome = variant.values(number)
                if not outcome.error:
                    signature, numbers = _vector(exercise, number, outcome)
                    groups.setdefault(signature, []).append((variant, numbers))
        return {
            signature: ([variant for variant, _ in group], torch.stack([numbers for _, numbers in group]))
            for signature, group in groups.items()
        }


Signature = tuple[tuple[str, tuple[int, ...]], ...]
"""Names and shapes of outputs."""
INFINITE = 1e30
"""Stands for infinity and NaN in the matrix of a family."""


def _vector(exercise: Exercise, number: int, outcome: Outcome) -> tuple[Signature, Tensor]:
    """Return all numbers of an outcome that are compared, with 1 in front for results without numbers."""
    compared_tensors = {**outcome.outputs, **changed_arguments(outcome.after, exercise.changes)}
    tensors = summarized(compared_tensors, probes(exercise)[number].case)
    names = sorted(tensors)
    flat = [tensors[name].detach().to(torch.float64).reshape(-1) for name in names]
    numbers = torch.cat([torch.ones(1, dtype=torch.float64), *flat])
    return tuple((name, tuple(tensors[name].shape)) for name in names), numbers.nan_to_num(
        INFINITE, 2 * INFINITE, -2 * INFINITE
    )


@cache
def reference(exercise: Exercise) -> Variant:
    """Return the reference as a variant without mistakes."""
    return Variant(exercise, ())


@cache
def single_mistakes(exercise: Exercise) -> Family:
    """Return the entries of the catalogue for an exercise."""
    return Family(Variant(exercise, (mistake,)) for mistake in exercise.mistakes if mistake.kind is not Kind.EQUIVALENT)


@cache
def single_mistakes_with_zeros(exercise: Exercise) -> Family:
    """Return the entries of the catalogue that give NaN for usual inputs, with zeros in place of NaN."""
    returned = inspect.signature(exercise.reference).return_annotation
    is_list = (get_origin(returned) or returned) is list
    if is_list or any([*outcome.outputs] != ["output"] for outcome in expected(exercise)):  # the result is no tensor
        return Family([])
    cases = {probes(exercise)[number].case: number for number, _ in compared(exercise, expected(exercise))}
    return Family(
        Variant(exercise, each.mistakes, zeros_for_nan=True)
        for each in single_mistakes(exercise).variants
        if any(output.isnan().any() for number in cases.values() for output in each.values(number).outputs.values())
    )


@cache
def mistakes_with_unsafe_numerics(exercise: Exercise) -> Family:
    """Return the entries of the catalogue together with unsafe numerics, such as a transposed mask of -1e9.

    With the mistake, the numerics show: a row that should have been kept has only masked scores.
    """
    serious, unsafe = _serious_and_unsafe(exercise)
    bugs = [mistake for mistake in serious if mistake.kind is Kind.BUG]  # a convention is one in its usual form only
    return Family(_combined(exercise, product(bugs, unsafe)))


@cache
def edits_of_reference(exercise: Exercise) -> Family:
    """Return the small edits of the reference."""
    edits = islice(edits_of(exercise.reference), 2 * most_variants(exercise))
    return Family(Variant(exercise, (edit,)) for edit in edits)


@cache
def edits_of_called_functions(exercise: Exercise) -> Family:
    """Return the small edits of the functions that the reference, or another form of it, calls."""
    forms = (exercise.reference, *exercise.other_forms)
    all_called = dict.fromkeys(function for form in forms for function in called_functions(form))
    called = [each for each in all_called if each.__module__ not in OUTSIDE_FORMULAS]
    edits = islice((edit for each in called for edit in edits_of(each, exercise.reference)), most_variants(exercise))
    return Family(Variant(exercise, (edit,)) for edit in edits)


@cache
def pairs_of_mistakes(exercise: Exercise) -> Family:
    """Return the other pairs of entries of the catalogue, likely pairs first."""
    serious, unsafe = _serious_and_unsafe(exercise)
    return Family(_combined(exercise, [*combinations(serious, 2), *combinations(unsafe, 2)]))


@cache
def parts_left_out(exercise: Exercise) -> Family:
    """Return the entries of the catalogue that leave something out, three at a time."""
    return Family(_combined(exercise, combinations(filter(leaves_out, _entries(exercise)), 3)))


def _entries(exercise: Exercise) -> list[Mistake]:
    return [variant.mistakes[0] for variant in single_mistakes(exercise).variants]


def _serious_and_unsafe(exercise: Exercise) -> tuple[list[Mistake], list[Mistake]]:
    """Return the entries of the catalogue that change the numbers, and those that change them at limits only."""
    entries = _entries(exercise)
    unsafe = [mistake for mistake in entries if mistake.kind is Kind.UNSAFE]
    return [mistake for mistake in entries if mistake not in unsafe], unsafe


def _combined(exercise: Exercise, several: Iterable[tuple[Mistake, ...]]) -> Iterator[Variant]:
    """Yield variants with several mistakes: those first in which most is left out, then those with the first of a function."""
    places: dict[str, int] = {}
    next_places = defaultdict(lambda: FIRST_OF_CALLED, {inspect.unwrap(exercise.reference): 0})
    for mistake in _entries(exercise):
        function = inspect.unwrap(mistake.function)
        places[mistake.name] = next_places[function]
        next_places[function] += 1
    likely = sorted(several, key=lambda some: (-sum(map(leaves_out, some)), sum(places[mistake.name] for mistake in some)))
    return (Variant(exercise, some) for some in likely[: 3 * most_variants(exercise)])


def leaves_out(mistake: Mistake) -> bool:
    """Return True if a mistake only removes code."""
    return all(wrong in right for right, wrong in mistake.edits)


@cache
def most_variants(exercise: Exercise) -> int:
    """Return how many variants are compared in a family: fewer where a call takes long, and as many on every machine."""
    arguments, calls = probes(exercise)[0].arguments, CALLS_OF_COMPILER
    reference(exercise).called_with(arguments)  # a first call takes longer

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call") and frame.f_code.co_filename.startswith(COUNTED)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        reference(exercise).called_with(arguments)
    finally:
        sys.setprofile(before)
    return MOST_CALLS // calls


def compared(exercise: Exercise, outcomes: Sequence[Outcome], limits: bool = False) -> Iterator[tuple[int, Outcome]]:
    """Yield the numbers of the probes that are no limits of the formula, or of those that are, and the outcomes for them.

    Inputs with other axes say little about a mistake: most functions that are written for a batch raise an error there.
    """
    for number, (probe, outcome) in enumerate(zip(probes(exercise), outcomes, strict=True)):
        if probe.case.role is not Role.AXES and (probe.case.role is Role.LIMIT) == limits:
            yield number, outcome
