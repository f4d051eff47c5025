"""An exercise that is checked in milliseconds."""

from jaxtyping import Float
from torch import Tensor

from minibert.classroom.exercise import Case, Exercise, Role
from minibert.classroom.mistakes import Kind, Mistake


def scaled(x: Float[Tensor, "rows columns"], factor: float | None = None, shift: float = 0.0) -> Float[Tensor, "rows columns"]:
    """Multiply by a factor, and add a number."""
    product = x * (2.0 if factor is None else factor)
    return product + shift


def case(role: Role = Role.TYPICAL, name: str = "usual numbers", **more) -> Case:
    return Case(name, lambda draw: {"x": draw.numbers(draw.size(2), draw.size(3)), **more}, role)


def exercise(*cases: Case, mistakes: tuple[Mistake, ...] = ()) -> Exercise:
    made = Exercise("scaled", scaled, cases or (case(),))
    made.__dict__["mistakes"] = mistakes  # there are none in the catalogue
    return made


def mistake(right: str, wrong: str, kind: Kind = Kind.BUG, seen_in: str = "", function=scaled) -> Mistake:
    return Mistake(f"{right} → {wrong}", function, ((right, wrong),), "", "", seen_in, kind)
