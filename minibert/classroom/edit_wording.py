"""Generated edits in words: a title, and one or two sentences to the learner who made this mistake.

The learner may have written other code than the reference, so the sentences say what is computed and quote the formula.
"""

import ast
import textwrap
from dataclasses import dataclass

LONGEST_QUOTE = 80
NEW_AND_OLD = "Your numbers are those of `{new}`. The formula has `{old}`."
DONE = {
    "+": ("added", "adds"),
    "-": ("subtracted", "subtracts"),
    "*": ("multiplied", "multiplies"),
    "/": ("divided", "divides"),
    "@": ("took the matrix product", "takes the matrix product"),
    "**": ("took a power", "takes a power"),
    "//": ("divided and rounded down", "divides and rounds down"),
    "%": ("took the remainder of a division", "takes the remainder of a division"),
    "&": ("combined with a logical and", "combines with a logical and"),
    "|": ("combined with a logical or", "combines with a logical or"),
    "^": ("combined with an exclusive or", "combines with an exclusive or"),
}
"""An operator in words, in the past and in the present."""
SIGNS = {"-": "the minus sign", "~": "the logical not (`~`)", "not": "the logical `not`", "+": "the plus sign"}
WITHOUT = {
    "dim": ", so the operation runs over all axes",
    "keepdim": ", so the result has one axis less, and its numbers meet others than they should",
    "dtype": ", so the result has another data type",
}
"""The effect of a keyword that is left out."""


@dataclass(frozen=True)
class Wording:
    """A change in words. In a template, `{new}` and `{old}` stand for the changed and the correct code."""

    title: str
    message: str

    @property
    def is_template(self) -> bool:
        """True if the words need the code."""
        return any(place in text for text in (self.title, self.message) for place in ("`{old}`", "`{new}`"))

    def filled(self, old: str, new: str) -> "Wording":
        """Return a template with the code in it."""
        quotes = {"old": shortened(old), "new": shortened(new)}
        return Wording(self.title.format(**quotes), self.message.format(**quotes)) if self.is_template else self

    def at(self, old: str) -> "Wording":
        """Return the words for one of several places that could be changed."""
        if not old:
            return Wording(f"{self.title}, in one place", f"{self.message} It is so in one place.")
        return Wording(f"{self.title} in `{shortened(old)}`", f"{self.message} The place is `{shortened(old)}`.")

    def inside(self, function: str) -> "Wording":
        """Return the words for a change in a function that the formula calls."""
        return Wording(
            f"{self.title}, in `{function}`", f"{self.message} This belongs to the part `{function}` of the formula."
        )


def shortened(code: str) -> str:
    """Return code on one line, cut off if it is long."""
    return textwrap.shorten(code, LONGEST_QUOTE, placeholder=" …")


def left_out(code: str) -> Wording:
    return Wording(f"left out: `{shortened(code)}`", f"You left out `{shortened(code)}`.")


def sign_left_out(sign: str, operand: str) -> Wording:
    code = shortened(operand)
    words = SIGNS.get(sign, f"the sign `{sign}`")
    return Wording(f"left out: `{sign}` before `{code}`", f"You left out {words} before `{code}`.")


def keyword_left_out(keyword: ast.keyword) -> Wording:
    code = shortened(ast.unparse(keyword))
    return Wording(f"left out: `{code}`", f"You left out `{code}`{WITHOUT.get(keyword.arg or '', '')}.")


def condition_left_out(test: str) -> Wording:
    code = shortened(test)
    return Wording(
        f"left out: the condition `{code}`", f"You left out the condition `{code}`: you always do what depends on it."
    )


def branch_left_out(test: str) -> Wording:
    code = shortened(test)
    return Wording(f"left out: the code for `if {code}`", f"You left out the case `{code}`: the code for it is missing.")


def gain_and_bias_left_out(module: str) -> Wording:
    return Wording(f"left out: gain and bias of `{module}`", f"You normalized without the gain and the bias of `{module}`.")


PART_LEFT_OUT = Wording(
    "left out: a part of `{old}`", "You left out a part: your numbers are those of `{new}`. The formula has `{old}`."
)
SIDES_EXCHANGED = Wording("exchanged: `{new}` instead of `{old}`", f"You exchanged the two sides. {NEW_AND_OLD}")
ARGUMENTS_EXCHANGED = Wording("exchanged: `{new}` instead of `{old}`", f"You exchanged two arguments. {NEW_AND_OLD}")
PARENTHESES_LEFT_OUT = Wording("parentheses left out: `{new}` instead of `{old}`", f"You left out parentheses. {NEW_AND_OLD}")
OTHER_ORDER = Wording("another order: `{new}` instead of `{old}`", f"You did two operations in the other order. {NEW_AND_OLD}")
FACTOR_MOVED = Wording(
    "factor of the other term: `{new}` instead of `{old}`", f"You multiplied the other term by the factor. {NEW_AND_OLD}"
)
TRANSPOSED = Wording("transposed: `{new}` instead of `{old}`", f"You transposed a matrix. {NEW_AND_OLD}")


def weight_not_transposed(module: str) -> Wording:
    message = f"You did not transpose the weight of `{module}`. `nn.Linear` computes `x @ weight.mT + bias`."
    return Wording(f"not transposed: the weight of `{module}`", message)


NUMBER = "another number: `{new}` instead of `{old}`"


def other_operator(new: str, old: str) -> Wording:
    """Return the words for an operator of arithmetic, or a comparison, instead of another."""
    title = "another operator: `{new}` instead of `{old}`"
    if new in DONE and old in DONE:
        return Wording(title, f"You {DONE[new][0]} where the formula {DONE[old][1]}. {NEW_AND_OLD}")
    return Wording(title, f"You compared with `{new}`. The formula compares with `{old}`: `{{old}}`.")


def other_function(new: str, old: str) -> Wording:
    message = f"You used `{new}` where the formula uses `{old}`. {NEW_AND_OLD}"
    return Wording("another function: `{new}` instead of `{old}`", message)


def softmax_over_another_axis(name: str) -> Wording:
    message = f"You took the {name} over the second axis from the end (dim=-2). The formula takes it over the last (dim=-1)."
    return Wording(f"another axis: `{name}` over `dim=-2`", message)


def other_keyword(name: str, new: str, old: str) -> Wording:
    """Return the words for another value of a keyword. Axes are said in words."""
    title = f"another {'axis' if name == 'dim' else 'value'}: `{name}={new}` instead of `{name}={old}`"
    if name == "dim" and _is_axis(new) and _is_axis(old):
        axes = f"You computed along {_axis(new)} (dim={new}). The formula computes along {_axis(old)} (dim={old})."
        return Wording(title, axes)
    return Wording(title, f"You used `{name}={new}`. The formula has `{name}={old}`.")


def other_size(new: str, old: str) -> Wording:
    """Return the words for the size of another axis, such as `x.shape[0]` instead of `x.shape[-1]`."""
    title = "another axis: `{new}` instead of `{old}`"
    if not (_is_axis(new) and _is_axis(old)):
        return Wording(title, f"You used another size. {NEW_AND_OLD}")
    return Wording(
        title, f"You used the size of {_axis(new)}. The formula uses that of {_axis(old)}: `{{old}}`, not `{{new}}`."
    )


def other_number(new: str, old: str) -> Wording:
    number = new if new in ("True", "False") else f"the number {new}"
    return Wording(NUMBER, f"You used {number} where the formula has {old}. {NEW_AND_OLD}")


def other_default(name: str, new: str, old: str) -> Wording:
    message = f"You used the default value {name} = {new}. The formula has {name} = {old}."
    return Wording(f"another default: `{name}={new}` instead of `{name}={old}`", message)


def other_size_of_number(new: str, old: str) -> Wording:
    return Wording(NUMBER, f"You used {new} where the formula has {old}. {NEW_AND_OLD}")


def added(number: str) -> Wording:
    done, what = DONE[number[0]][0], number[2:]
    return Wording("added a number: `{new}` instead of `{old}`", f"You {done} {what}. {NEW_AND_OLD}")


SQUARED = Wording("squared: `{new}` instead of `{old}`", f"You took a square. {NEW_AND_OLD}")
ROOT = Wording("a root: `{new}` instead of `{old}`", f"You took a square root. {NEW_AND_OLD}")
SCALED = Wording("another argument: `{new}` instead of `{old}`", f"You gave a function another argument. {NEW_AND_OLD}")


def other_name(new: str, old: str) -> Wording:
    return Wording(
        "another variable: `{new}` instead of `{old}`", f"You used `{new}` where the formula has `{old}`. {NEW_AND_OLD}"
    )


OFF_BY_ONE = Wording("off by one: `{new}` instead of `{old}`", f"You are off by one. {NEW_AND_OLD}")
BOUND_LEFT_OUT = Wording("left out: a bound in `{old}`", f"You left out a bound of a slice. {NEW_AND_OLD}")
FIRST_LEFT_OUT = Wording("the first left out: `{new}` instead of `{old}`", f"You left out the first one. {NEW_AND_OLD}")
LAST_LEFT_OUT = Wording("the last left out: `{new}` instead of `{old}`", f"You left out the last one. {NEW_AND_OLD}")


def detached(name: str) -> Wording:
    message = f"You cut `{name}` off from the graph, as `detach()` does, so no gradient flows through it."
    return Wording(f"detached: `{name}`", message)


def returned_early(statement: str) -> Wording:
    code = shortened(statement)
    return Wording(f"returned early: after `{code}`", f"You returned the result of `{code}`. The formula goes on after it.")


def rounds_left_out(which: str, loop: str) -> Wording:
    code = shortened(loop)
    return Wording(f"left out: the {which} round of `{code}`", f"You left out the {which} round of the loop `{code}`.")


def ended_after_the_first_round(loop: str) -> Wording:
    code = shortened(loop)
    return Wording(f"ended early: `{code}`", f"You ended the loop `{code}` after its first round, as `return` in a loop does.")


def statements_exchanged(first: str, second: str) -> Wording:
    one, two = shortened(first), shortened(second)
    return Wording(
        f"another order: `{one}` before `{two}`", f"You did two steps in the other order: `{one}` came before `{two}`."
    )


def names_exchanged(first: str, second: str) -> Wording:
    return Wording(
        f"exchanged: `{first}` and `{second}`",
        f"You used `{first}` in the place of `{second}`, and `{second}` in that of `{first}`.",
    )


def _is_axis(code: str) -> bool:
    return code.strip("()").lstrip("-").isdigit()


def _axis(code: str) -> str:
    """Return an axis in words, such as "the last axis" for -1."""
    axis = int(code.strip("()"))
    counted = ("first", "second", "third", "fourth", "fifth", "sixth")
    place = axis if axis >= 0 else -axis - 1
    if place >= len(counted):
        return f"axis {axis}"
    if axis >= 0:
        return f"the {counted[place]} axis"
    return "the last axis" if axis == -1 else f"the {counted[place]} axis from the end"
