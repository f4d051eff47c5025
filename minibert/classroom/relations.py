"""Relations of a learner's numbers to the expected ones, such as a constant factor, for mistakes that have no name.

A relation is reported only if it holds for every input that is no limit of the formula.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations

import torch
from torch import Tensor

from minibert.classroom.candidates import compared, reference
from minibert.classroom.distance import NO_MATCH, relative_difference, value_distance
from minibert.classroom.exercise import Arguments, Exercise, Role
from minibert.classroom.places import wrong_places
from minibert.classroom.probes import Probe, probes
from minibert.classroom.running import Outcome
from minibert.classroom.sizes import name_of_axis, sizes_of
from minibert.classroom.wording import value_as_code

EXACT = 1e-5
"""Largest relative difference between a learner's numbers and those of a relation."""
HALF_PRECISION = 2e-3
"""Largest relative difference that is rounding in half precision."""
FEWEST_VALUES = 3
"""Fewest different numbers that can show a relation."""
SMALLEST_OFFSET = 1e-4
"""Smallest number added to a probability that is no rounding."""
MOST_AXES = 4
NUMBERS = {
    **{str(number): float(number) for number in range(2, 11)},
    "√2": math.sqrt(2),
    "√3": math.sqrt(3),
    "π": math.pi,
    "2π": 2 * math.pi,
    "√(2π)": math.sqrt(2 * math.pi),
    "√(2/π)": math.sqrt(2 / math.pi),
    "√(π/2)": math.sqrt(math.pi / 2),
    "e": math.e,
    "ln 2": math.log(2),
    "ln 10": math.log(10),
}
"""Factors that have a name."""
FACTORS_OF_SIZES: dict[str, Callable[[float], float]] = {
    "{}": lambda n: n,
    "1/{}": lambda n: 1 / n,
    "√{}": math.sqrt,
    "1/√{}": lambda n: 1 / math.sqrt(n),
    "{}²": lambda n: n * n,
    "1/{}²": lambda n: 1 / (n * n),
    "{0}/({0} - 1)": lambda n: n / (n - 1),
    "({0} - 1)/{0}": lambda n: (n - 1) / n,
    "√(({0} - 1)/{0})": lambda n: math.sqrt((n - 1) / n),
    "√({0}/({0} - 1))": lambda n: math.sqrt(n / (n - 1)),
}
"""Factors that depend on the size of an axis."""
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Your numbers are 1 minus the expected ones.": lambda x: 1 - x,
    "Your numbers are 1 divided by the expected ones.": lambda x: 1 / x,
    "Your numbers are the logarithms of the expected ones.": torch.log,
    "Your numbers are the negative logarithms of the expected ones.": lambda x: -torch.log(x),
    "Your numbers are the logarithms to base 2 of the expected ones.": torch.log2,
    "Your numbers are the exponentials of the expected ones.": torch.exp,
    "Your numbers are the squares of the expected ones.": torch.square,
    "Your numbers are the square roots of the expected ones.": torch.sqrt,
    "Your numbers are the expected ones without their signs.": torch.abs,
    "Your numbers are the expected ones with 0 instead of every negative number.": torch.relu,
    "Your numbers are the sum of all expected ones.": torch.sum,
    "Your numbers are the mean of all expected ones.": torch.mean,
}
"""Functions of all expected numbers."""
ALONG_AN_AXIS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "The order along {} is reversed.": lambda x, axis: x.flip(axis),
    "Your numbers are the softmax of the expected ones along {}.": lambda x, axis: x.softmax(axis),
    "Your numbers are the expected ones divided by their sum along {}.": lambda x, axis: x / x.sum(axis, keepdim=True),
    "Your numbers are the cumulative sums of the expected ones along {}.": lambda x, axis: x.cumsum(axis),
    "Your numbers are the expected ones, sorted along {}.": lambda x, axis: x.sort(axis)[0],
    "Your numbers are the expected ones, sorted along {} from the largest.": lambda x, axis: x.sort(axis, descending=True)[0],
    "Your result has the expected numbers of the first place everywhere along {}.": lambda x, axis: _repeated(x, axis, 0),
    "Your result has the expected numbers of the last place everywhere along {}.": lambda x, axis: _repeated(x, axis, -1),
    "Your result is the sum of the expected one along {}.": lambda x, axis: x.sum(axis),
    "Your result is the mean of the expected one along {}.": lambda x, axis: x.mean(axis),
    "Your result is the mean of the expected one along {}, at every place.": lambda x, axis: x.mean(axis, True).expand_as(x),
}
"""Functions of the expected numbers along one axis, and the relation in words."""
REMAINING: dict[str, Callable[[Tensor, int], Tensor]] = {
    "The sum of your result along {} is the expected one: the sum is missing.": lambda x, axis: x.sum(axis),
    "The mean of your result along {} is the expected one: the mean is missing.": lambda x, axis: x.mean(axis),
    "Your numbers, divided by their sum along {}, are the expected ones.": lambda x, axis: x / x.sum(axis, keepdim=True),
    "The softmax of your numbers along {} gives the expected ones.": lambda x, axis: x.softmax(axis),
}
"""Functions of the learner's numbers that give the expected ones."""


@dataclass(frozen=True)
class Pair:
    """The same part of the result: of the learner, and of the reference."""

    mine: Tensor
    expected: Tensor
    arguments: Arguments
    dtype: torch.dtype
    """Data type of the learner's numbers."""


def find_relation(exercise: Exercise, outcomes: Sequence[Outcome]) -> str:
    """Return the relation that holds for all inputs, in one sentence; the empty string if there is none."""
    if sentence := _default(exercise, outcomes):
        return sentence
    pairs = list(_pairs(exercise, outcomes))
    if not pairs or not any(relative_difference(pair.mine, pair.expected) > EXACT for pair in pairs):
        return ""
    rules = (_factor, _offset, _offset_of_probabilities, _power, _function, _shape, _order, _along_an_axis, _places, _precision)
    return next((sentence for rule in rules if (sentence := rule(exercise, pairs))), "") or _ignored(exercise, outcomes)


def _pairs(exercise: Exercise, outcomes: Sequence[Outcome]) -> Iterator[Pair]:
    for number, outcome in compared(exercise, outcomes):
        right = reference(exercise).values(number)
        if outcome.error or outcome.outputs.keys() != right.outputs.keys() or probes(exercise)[number].case.summary:
            continue
        for name, output in right.outputs.items():
            mine = outcome.outputs[name]
            yield Pair(mine.double(), output.double(), probes(exercise)[number].arguments, mine.dtype)


def _holds(pairs: Sequence[Pair], compute: Callable[[Tensor], Tensor]) -> bool:
    """Return True if `compute(expected)` gives the learner's numbers, and not always the same number."""
    values: set[float] = set()
    for pair in pairs:
        try:
            computed = compute(pair.expected)
        except (RuntimeError, IndexError):
            return False
        if not relative_difference(pair.mine, computed) <= EXACT:
            return False
        values |= {*computed[computed.isfinite()].round(decimals=6).tolist()}
    enough = FEWEST_VALUES if pairs[0].dtype != torch.bool else 2
    return len(values) >= enough


def _factor(exercise: Exercise, pairs: Sequence[Pair]) -> str:
    factors = [_constant_factor(pair) for pair in pairs]
    known = [(factor, pair) for factor, pair in zip(factors, pairs, strict=True) if factor is not None]
    numbers = {value for pair in pairs for value in pair.expected[pair.expected != 0].tolist()}
    if any(math.isnan(factor) for factor, _ in known) or len(numbers) < FEWEST_VALUES:
        return ""
    ratios, sizes = [factor for factor, _ in known], [sizes_of(exercise.reference, pair.arguments) for _, pair in known]
    if all(math.isclose(ratio, -1, rel_tol=EXACT) for ratio in ratios):
        return "Your numbers have the opposite sign."
    words = _as_sizes(ratios, sizes) or _as_number(ratios)
    return f"Your numbers are {words} times the expected ones." if words else ""


def _constant_factor(pair: Pair) -> float | None:
    """Return the factor between two tensors, NaN if there is none; None if the expected numbers are all zero, as any fits."""
    if pair.mine.shape != pair.expected.shape or not pair.expected.isfinite().all():
        return math.nan
    square = pair.expected.square().sum().item()
    if square == 0:
        return None if not pair.mine.any() else math.nan
    factor = (pair.mine * pair.expected).sum().item() / square
    exact = factor and relative_difference(pair.mine, factor * pair.expected) <= EXACT
    return factor if exact else math.nan


def _as_number(ratios: Sequence[float]) -> str:
    first = ratios[0]
    if not all(math.isclose(ratio, first, rel_tol=EXACT) for ratio in ratios):
        return ""
    sign = "-" if first < 0 else ""
    for name, number in NUMBERS.items():
        if math.isclose(abs(first), number, rel_tol=EXACT):
            return sign + name
        if math.isclose(abs(first), 1 / number, rel_tol=EXACT):
            return f"{sign}1/{name}"
    return f"{first:.6g}"


def _as_sizes(ratios: Sequence[float], sizes: Sequence[dict[str, int]]) -> str:
    """Return the factors as a function of a size that is not the same for all inputs."""
    names = [name for name in sizes[0] if all(name in each for each in sizes)]
    numbers = {name: [each[name] for each in sizes] for name in names}
    numbers |= {f"({a} · {b})": [each[a] * each[b] for each in sizes] for a, b in combinations(names, 2)}
    for name, values in numbers.items():
        if len(set(values)) > 1 and min(values) > 1:
            for form, compute in FACTORS_OF_SIZES.items():
                if all(math.isclose(ratio, compute(value), rel_tol=EXACT) for ratio, value in zip(ratios, values, strict=True)):
                    return form.format(name)
    return ""


def _offset(exercise: Exercise, pairs: Sequence[Pair]) -> str:
    if any(pair.mine.shape != pair.expected.shape or not pair.mine.numel() or pair.dtype == torch.bool for pair in pairs):
        return ""
    differences = pairs[0].mine - pairs[0].expected
    offset = next(iter(differences[differences.isfinite()].tolist()), math.nan)
    if not _holds(pairs, lambda x: x + offset):
        return ""
    return f"Your numbers are the expected ones {'plus' if offset > 0 else 'minus'} {abs(offset):.6g}."


def _offset_of_probabilities(exercise: Exercise, pairs: Sequence[Pair]) -> str:
    """Return the constant that was added to p in −log p. Losses that are zero belong to ignored labels."""
    if any(pair.mine.shape != pair.expected.shape or pair.dtype == torch.bool for pair in pairs):
        return ""
    mine, expected = torch.cat([torch.stack([pair.mine, pair.expected])[:, pair.expected != 0] for pair in pairs], dim=1)
    mine, expected = torch.exp(-mine), torch.exp(-expected)
    if len(mine) < FEWEST_VALUES or any(pair.mine[pair.expected == 0].any() for pair in pairs):
        return ""
    offset = (mine - expected).mean().item()
    if abs(offset) < SMALLEST_OFFSET or relative_difference(mine - offset, expected) > EXACT:
        return ""
    return f"Your numbers are -log(p + {offset:.3g}) of the right probabilities p. Add nothing inside the logarithm."


def _power(exercise: Exercise, pairs: Sequence[Pair]) -> str:
    first = pairs[0]
    if first.mine.shape != first.expected.shape or not all(
        pair.expected.numel() and (pair.expected > 0).all() for pair in pairs
    ):
        return ""
    place = first.expected.log().abs().argmax()
    exponent = (first.mine.flatten()[place].log() / first.expected.flatten()[place].log()).item()
    named = any(math.isclose(abs(exponent), number, rel_tol=EXACT) for number in (0.5, 1, 2))
    if named or not math.isfinite(exponent) or not _holds(pairs, lambda x: x**exponent):
        return ""
    return f"Your numbers are the expected ones to the power {exponent:.6g}."


def _function(exercise: Exercise, pairs: Sequence[Pair]) -> str:
    if all(pair.dtype == torch.bool for pair in pairs):
        return "True and False are exchanged." if _holds(pairs, lambda x: 1 - x) else ""
    return next((sentence for sentence, function in FUNCTIONS.items() if _holds(pairs, function)), "")


def _shape(exercise: Exercise, pairs: Sequence[Pair]) -> str:
    axes = _axes(pairs)
    for order in permutations(range(axes)) if axes <= MOST_AXES else ():
        if list(order) != sorted(order) and _holds(pairs, lambda x, order=order: x.permute(order)):  # type: ignore[misc]
            moved = [axis for axis, other in enumerate(order) if axis != other]
            if len(moved) == 2:
                names = [name_of_axis(exercise.reference, axis, axes) for axis in moved]
                return f"Your result is transposed: {names[0]} and {names[1]} are exchanged."
            return f"The axes of your result are in another order: it has the axes {order} of the expected one."
    if any(pair.mine.shape != pair.expected.shape for pair in pairs) and all(
        pair.mine.numel() == pair.expected.numel()
        and relative_difference(pair.mine.reshape(pair.expected.shape), pair.expected) <= EXACT
        for pair in pairs
    ):
        return "Your numbers are right and in the right order, but the shape is another one."
    return ""


def _order(exercise: Exercise, pairs: Sequence[Pair]) -> str:
    axes = _axes(pairs)
    for axis in reversed(range(axes)):
        name = name_of_axis(exercise.reference, axis, axes)
        for step, words in ((1, "one place too late"), (-1, "one place too early")):
            if all(_is_shifted(pair, axis, step) for pair in pairs):
                return f"Your numbers are {words} along {name}."
    return ""


def _is_shifted(pair: Pair, axis: int, step: int) -> bool:
    """Return True if the numbers are those of the expected result, moved along an axis; the first or last place may be any."""
    size = pair.expected.shape[axis]
    if pair.mine.shape != pair.expected.shape or size < FEWEST_VALUES:
        return False
    mine = pair.mine.narrow(axis, max(step, 0), size - 1)
    expected = pair.expected.narrow(axis, max(-step, 0), size - 1)
    moves = relative_difference(expected.narrow(axis, 1, size - 2), expected.narrow(axis, 0, size - 2)) > EXACT
    return moves and relative_difference(mine, expected) <= EXACT


def _along_an_axis(exercise: Exercise, pairs: Sequence[Pair]) -> str:
    swapped = [Pair(pair.expected, pair.mine, pair.arguments, pair.dtype) for pair in pairs]
    for relations, compared_pairs in ((ALONG_AN_AXIS, pairs), (REMAINING, swapped)):
        axes = _axes(compared_pairs)
        for axis in reversed(range(axes)):
            for sentence, function in relations.items():
                if _holds(compared_pairs, lambda x, axis=axis, function=function: function(x, axis)):  # type: ignore[misc]
                    return sentence.format(name_of_axis(exercise.reference, axis, axes))
            if _is_permuted(compared_pairs, axis):
                name = name_of_axis(exercise.reference, axis, axes)
                return f"Your result has the right parts in another order along {name}."
    return ""


def _is_permuted(pairs: Sequence[Pair], axis: int) -> bool:
    """Return True if the slices along an axis are those of the expected result in another order."""
    for pair in pairs:
        if pair.mine.shape != pair.expected.shape or pair.mine.dim() < 2 or not pair.mine.numel():
            return False
        mine, expected = (x.movedim(axis, 0).flatten(1) for x in (pair.mine, pair.expected))
        distances = (mine[:, None] - expected).abs().amax(dim=-1)
        same = distances <= EXACT * expected.abs().max()
        if not (same.sum(dim=0) == 1).all() or not (same.sum(dim=1) == 1).all():
            return False
    return True


def _places(exercise: Exercise, pairs: Sequence[Pair]) -> str:
    return wrong_places([(pair.mine, pair.expected) for pair in pairs], EXACT, partial(name_of_axis, exercise.reference))


def _precision(exercise: Exercise, pairs: Sequence[Pair]) -> str:
    if any(pair.dtype in (torch.bool, torch.int64, torch.int32) for pair in pairs):
        return ""
    far = max((relative_difference(pair.mine, pair.expected) for pair in pairs), default=NO_MATCH)
    for dtype, rounding in ((torch.float16, HALF_PRECISION), (torch.bfloat16, 8 * HALF_PRECISION)):
        if far <= rounding and all(torch.equal(pair.mine.to(dtype).double(), pair.mine) for pair in pairs):
            return f"Your numbers have only the precision of {str(dtype).removeprefix('torch.')}."
    if far <= HALF_PRECISION:
        return f"Your numbers are close to the expected ones: the largest difference is {100 * far:.2g}%."
    return ""


def _ignored(exercise: Exercise, outcomes: Sequence[Outcome]) -> str:
    """Return the argument that the function does not use: its numbers are those of the reference for another value."""
    for name, default in exercise.defaults.items():
        for number in (0.0, 1.0, default):
            if isinstance(number, int | float) and _equals_with(exercise, outcomes, name, number):
                return f"Your numbers are the expected ones for {name} = {number:g}: {name} is not used."
    return ""


def _default(exercise: Exercise, outcomes: Sequence[Outcome]) -> str:
    """Return the arguments whose default value is used wherever the numbers are wrong. An error is no number."""
    right: list[Probe] = []
    wrong: list[Probe] = []
    for number, outcome in compared(exercise, outcomes):
        if outcome.error:
            return ""
        probe = probes(exercise)[number]
        far = value_distance(outcome, reference(exercise).values(number), probe.case, exercise.changes)
        (right if far <= probe.case.tolerance else wrong).append(probe)
    typical = [probe for probe in right if probe.case.role is Role.TYPICAL]
    names = [name for name, value in exercise.defaults.items() if value is not inspect.Parameter.empty]
    missing = [
        name
        for name in names
        if all(name not in probe.arguments for probe in wrong) and all(name in probe.arguments for probe in typical)
    ]
    if not wrong or not typical or not missing:
        return ""
    values = ", ".join(f"{name} = {value_as_code(exercise.defaults[name])}" for name in missing)
    return f"Your numbers are wrong only where the default of the stub is used: {values}."


def _equals_with(exercise: Exercise, outcomes: Sequence[Outcome], name: str, number: float) -> bool:
    """Return True if the outcomes are those of the reference with an argument filled with a number."""
    used = False
    for index, outcome in compared(exercise, outcomes):
        arguments = probes(exercise)[index].arguments
        value = arguments.get(name)
        if outcome.error or not (value.is_floating_point() if isinstance(value, Tensor) else isinstance(value, int | float)):
            continue
        other = torch.full_like(value, number) if isinstance(value, Tensor) else number
        changed = reference(exercise).called_with({**arguments, name: other})
        if changed.error or outcome.outputs.keys() != changed.outputs.keys():
            return False
        parts = changed.outputs.items()
        if any(not output.any() or relative_difference(outcome.outputs[key], output) > EXACT for key, output in parts):
            return False
        used = True
    return used


def _repeated(x: Tensor, axis: int, place: int) -> Tensor:
    return x.narrow(axis, place, 1).expand_as(x)


def _axes(pairs: Sequence[Pair]) -> int:
    """Return the number of axes of the expected results, 0 if they have different numbers."""
    numbers = {pair.expected.dim() for pair in pairs}
    return numbers.pop() if len(numbers) == 1 else 0
