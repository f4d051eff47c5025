"""The rules for changes of a syntax tree: all changes that a rule makes of a line, in their order, with the words for them."""

import ast

import pytest

from minibert.classroom import changes
from minibert.classroom.changes import changes_in, related
from minibert.classroom.syntax import Function

# Below a line of code: the old code (if it is not the whole line), the new code, and the first sentence to the learner.
LEFT_OUT = """
x + y * z
    → x | You left out `+ (y * z)`
    → (y * z) | You left out `x +`
    y * z → y | You left out `* z`
    y * z → z | You left out `y *`
x ** y
    → x | You left out `** y`
-x
    → x | You left out the minus sign before `x`
~x
    → x | You left out the logical not (`~`) before `x`
-1
x.sum(dim=-1)
    → x | You left out `.sum(dim=-1)`
    → x.sum() | You left out `dim=-1`, so the operation runs over all axes
torch.exp(x)
    → x | You left out `torch.exp`
(x + y).tril()
    → (x + y) | You left out `.tril()`
    x + y → x | You left out `+ y`
    x + y → y | You left out `x +`
torch.full(*x)
x[y]
    → x | You left out a part: your numbers are those of `x`
x[y] = z
x.mT + y.T @ z.mH
    → x.mT | You left out `+ (y.T @ z.mH)`
    → (y.T @ z.mH) | You left out `x.mT +`
    x.mT → x | You left out `.mT`
    y.T @ z.mH → y.T | You left out `@ z.mH`
    y.T @ z.mH → z.mH | You left out `y.T @`
    y.T → y | You left out `.T`
    z.mH → z | You left out `.mH`
x.real
x if y else z
    → x | You left out a part: your numbers are those of `x`
    → z | You left out a part: your numbers are those of `z`
x and y and z
    → x | You left out a part: your numbers are those of `x`
    → y | You left out a part: your numbers are those of `y`
    → z | You left out a part: your numbers are those of `z`
f(x, dim=-1, p=2)
    → x | You left out `f`
    → f(x, p=2) | You left out `dim=-1`, so the operation runs over all axes
    → f(x, dim=-1) | You left out `p=2`
"""
OTHER_OPERATOR = """
(x + y) * -z
    → ((x + y) / (-z)) | You divided where the formula multiplies
    → ((x + y) @ (-z)) | You took the matrix product where the formula multiplies
    → ((x + y) + (-z)) | You added where the formula multiplies
    x + y → (x - y) | You subtracted where the formula adds
    x + y → (x * y) | You multiplied where the formula adds
x @ y
    → (x * y) | You multiplied where the formula takes the matrix product
    → (x + y) | You added where the formula takes the matrix product
    y → y.mT | You transposed a matrix
    → (y @ x) | You exchanged the two sides
x @ y.mT
    → (x * y.mT) | You multiplied where the formula takes the matrix product
    → (x + y.mT) | You added where the formula takes the matrix product
    → (y.mT @ x) | You exchanged the two sides
(x - y) ** -z
    (x - y) ** (-z) → ((x - y) * (-z)) | You multiplied where the formula takes a power
    (x - y) ** (-z) → ((x - y) / (-z)) | You divided where the formula takes a power
    (x - y) ** (-z) → ((-z) ** (x - y)) | You exchanged the two sides
    x - y → (x + y) | You added where the formula subtracts
    x - y → (x * y) | You multiplied where the formula subtracts
    x - y → (y - x) | You exchanged the two sides
x < y < z
x << y
-x < -y
    → ((-x) <= (-y)) | You compared with `<=`
    → ((-x) > (-y)) | You compared with `>`
    → ((-x) >= (-y)) | You compared with `>=`
"""
OTHER_FUNCTION = """
x.sum(y)
    x.sum → x.mean | You used `mean` where the formula uses `sum`
(x + y).sin()
    (x + y).sin → (x + y).cos | You used `cos` where the formula uses `sin`
min(x, y)
    min → max | You used `max` where the formula uses `min`
    → min(y, x) | You exchanged two arguments
softmax(x + y)
    softmax → log_softmax | You used `log_softmax` where the formula uses `softmax`
    softmax → sigmoid | You used `sigmoid` where the formula uses `softmax`
    → softmax((x + y).mT).mT | You took the softmax over the second axis from the end (dim=-2)
log_softmax(x)
    log_softmax → softmax | You used `softmax` where the formula uses `log_softmax`
    log_softmax → logsigmoid | You used `logsigmoid` where the formula uses `log_softmax`
    → log_softmax(x.mT).mT | You took the log_softmax over the second axis from the end (dim=-2)
f(x)
f(x, y, z, dim=0)
    → f(y, x, z, dim=0) | You exchanged two arguments
    → f(x, z, y, dim=0) | You exchanged two arguments
self.k(x)
    → nn.functional.layer_norm(x, x.shape[-1:], eps=self.k.eps) | You normalized without the gain and the bias of `self.k`
    → (x @ self.k.weight + self.k.bias) | You did not transpose the weight of `self.k`
"""
PARENTHESES_LEFT_OUT = """
x * (y + z)
    → x * y + z | You left out parentheses
(x + y) * (y + z)
    → x + y * (y + z) | You left out parentheses
    → (x + y) * y + z | You left out parentheses
x + y * z
(x + y) < (x or y)
    x + y < (x or y) → x + y < x or y | You left out parentheses
-(x + y)
    → -x + y | You left out parentheses
(x + y).mT
    → x + y.mT | You left out parentheses
(x + y)[z]
    → x + y[z] | You left out parentheses
x.y
f(x + y)
"""
OTHER_ORDER = """
(-x).exp().sum(dim=0)
    → (-x).sum(dim=0).exp() | You did two operations in the other order
torch.exp(-x).sum(dim=0)
    → torch.exp((-x).sum(dim=0)) | You did two operations in the other order
torch.exp(torch.sum(-x, dim=0))
    → torch.sum(torch.exp((-x)), dim=0) | You did two operations in the other order
torch.exp(x.sum(dim=0))
    → torch.exp(x).sum(dim=0) | You did two operations in the other order
exp(f())
-x + -y * -z
    → (((-x) + (-y)) * (-z)) | You did two operations in the other order
    → ((-y) * (-x) + (-z)) | You multiplied the other term by the factor
-x * -y - -z
    → ((-x) * ((-y) - (-z))) | You did two operations in the other order
    → ((-y) - (-x) * (-z)) | You multiplied the other term by the factor
-x / -y / -z
    → ((-x) / ((-y) / (-z))) | You did two operations in the other order
x ** (-y - z)
    → ((x ** (-y)) - z) | You did two operations in the other order
x @ y * z
    → (x @ (y * z)) | You did two operations in the other order
torch.exp(-x + -y)
    → (torch.exp((-x)) + (-y)) | You did two operations in the other order
    → ((-x) + torch.exp((-y))) | You did two operations in the other order
(x - y).sum(dim=0)
    → (x.sum(dim=0) - y) | You did two operations in the other order
    → (x - y.sum(dim=0)) | You did two operations in the other order
torch.exp(-x) + -y
    → torch.exp(((-x) + (-y))) | You did two operations in the other order
-x - torch.exp(-y)
    → torch.exp(((-x) - (-y))) | You did two operations in the other order
torch.exp(-x) * -y + -z
    → (torch.exp(-x) * ((-y) + (-z))) | You did two operations in the other order
    → ((-y) + torch.exp(-x) * (-z)) | You multiplied the other term by the factor
    → torch.exp((((-x) * (-y)) + (-z))) | You did two operations in the other order
    torch.exp(-x) * -y → torch.exp(((-x) * (-y))) | You did two operations in the other order
f() + y
x + f()
f() * y + z
    → (f() * (y + z)) | You did two operations in the other order
    → (y + f() * z) | You multiplied the other term by the factor
"""
OTHER_NAME = """
u = x; v = u
    x → self | You used `self` where the formula has `x`
    x → y | You used `y` where the formula has `x`
    x → z | You used `z` where the formula has `x`
    u → self | You used `self` where the formula has `u`
    u → x | You used `x` where the formula has `u`
    u → y | You used `y` where the formula has `u`
    u → z | You used `z` where the formula has `u`
x = x
    x → self | You used `self` where the formula has `x`
    x → y | You used `y` where the formula has `x`
    x → z | You used `z` where the formula has `x`
torch
x.y = z
    z → self | You used `self` where the formula has `z`
    z → x | You used `x` where the formula has `z`
    z → y | You used `y` where the formula has `z`
    x → self | You used `self` where the formula has `x`
    x → y | You used `y` where the formula has `x`
    x → z | You used `z` where the formula has `x`
u = self.a(2); self.b(2); self.b(2); self.c(2, 3)
    self.a → self.b | You used `self.b` where the formula has `self.a`
    self → x | You used `x` where the formula has `self`
    self → y | You used `y` where the formula has `self`
    self → z | You used `z` where the formula has `self`
    self.b → self.a | You used `self.a` where the formula has `self.b`
    self → x | You used `x` where the formula has `self`
    self → y | You used `y` where the formula has `self`
    self → z | You used `z` where the formula has `self`
    self → u | You used `u` where the formula has `self`
    self.b → self.a | You used `self.a` where the formula has `self.b`
    self → x | You used `x` where the formula has `self`
    self → y | You used `y` where the formula has `self`
    self → z | You used `z` where the formula has `self`
    self → u | You used `u` where the formula has `self`
    self.c → self.a | You used `self.a` where the formula has `self.c`
    self.c → self.b | You used `self.b` where the formula has `self.c`
    self → x | You used `x` where the formula has `self`
    self → y | You used `y` where the formula has `self`
    self → z | You used `z` where the formula has `self`
    self → u | You used `u` where the formula has `self`
"""


def tables() -> list[tuple[str, str, list[str]]]:
    """Return the name of a rule, a line of code, and its changes."""
    cases: list[tuple[str, str, list[str]]] = []
    for rule, text in [(name.lower(), text) for name, text in globals().items() if name.isupper()]:
        for line in text.strip().splitlines():
            if line.startswith(" "):
                cases[-1][2].append(line.strip())
            else:
                cases.append((rule, line, []))
    return cases


def test_a_pair_of_functions_is_confused_in_both_directions_and_a_longer_list_in_one() -> None:
    names = ("min", "max", "sum", "mean", "sqrt", "sorted", "reversed", "no_such_function")
    table = related.__wrapped__()  # without the cache
    assert [[*table[name]] for name in names] == [
        ["max"],
        ["min"],
        ["mean"],
        ["sum", "amax"],
        ["square", "rsqrt"],
        ["reversed"],
        ["sorted"],
        [],
    ]


@pytest.mark.parametrize(("rule", "line", "expected"), tables(), ids=str)
def test_a_rule_makes_these_changes_and_no_others(rule, line, expected) -> None:
    body = line.replace("; ", "\n    ")
    function = Function(ast.parse(f"def f(self, x, y, z):\n    {body}"))
    made = [change for node in function.nodes for change in getattr(changes, rule)(node, function)]
    lines = []
    for old, new, words in made:
        code = ast.unparse(old)
        sentence = words.filled(code, new).message.partition(". ")[0].rstrip(".")
        lines.append(f"{code} → {new} | {sentence}".removeprefix(f"{line} "))
    assert lines == expected


@pytest.mark.parametrize(
    ("operator", "others"),
    [
        ("+", "- *"), ("*", "/ @ +"), ("/", "* - //"), ("//", "/ %"), ("%", "// /"), ("&", "| ^"), ("|", "& ^"),
        ("<=", "< > >="), (">", ">= < <="), (">=", "> < <="), ("==", "!="), ("!=", "=="), ("is", "is_not"), ("is not", "is"),
    ],
)  # fmt: skip
def test_each_operator_has_others_that_are_confused_with_it(operator, others) -> None:
    function = Function(ast.parse(f"def f(x, y):\n    x {operator} y"))
    made = [new for node in function.nodes for _, new, _ in changes.other_operator(node, function)]
    assert [each for each in made if each.startswith("(x ")] == [f"(x {each.replace('_', ' ')} y)" for each in others.split()]


def test_parts_left_out_come_first_and_exchanged_statements_and_defaults_last() -> None:
    tree = ast.parse("def f(x, n=2.5):\n    u = x.sum() / x\n    u += 1\n    return 3")
    kinds = [words.filled("", "").title.partition(":")[0] for _, _, words in changes_in(tree)]
    assert [*dict.fromkeys(kinds)] == [
        "left out",
        "detached",
        "another operator",
        "exchanged",
        "another function",
        "another order",
        "another number",
        "another variable",
        "returned early",
        "squared",
        "a root",
        "added a number",
        "another default",
    ]
    assert [new for old, new, _ in changes_in(tree) if ast.unparse(old) == "3" and new in "42"] == ["4", "2"]
    exchanged = [words.title for _, _, words in changes_in(tree) if words.title.startswith("another order: `u += 1`")]
    assert exchanged == ["another order: `u += 1` before `u = x.sum() / x`"]
