"""A synthetic class of 60 students: right, wrong in one way, wrong in two, other forms, hostile, empty, damaged, notebooks."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.imports import imports, names_in
from minibert.classroom.mistakes import source_with
from minibert.classroom.report import Verdict
from minibert.classroom.solution import solution
from minibert.classroom.stubs import stub
from minibert.classroom.teaching.grading import State

SOFTMAX, NORM, ATTENTION, GELU = "softmax", "layer_norm", "scaled_dot_product_attention", "gelu"
NAMES = (SOFTMAX, NORM, ATTENTION, GELU)
RIGHT = "def softmax(scores):\n    return torch.nn.functional.softmax(scores, dim=-1)\n"
IMPORTS = "import math\nimport numpy as np\nimport torch\nfrom torch.nn import functional as F\n\n"


@dataclass(frozen=True)
class Expected:
    """The expected result of one exercise."""

    result: Verdict | State
    mistakes: tuple[str, ...] = ()
    """Names of the mistakes that are named. Empty if they need not be."""
    points: float | None = None


@dataclass(frozen=True)
class Student:
    """A submission, and what is expected. Exercises that are not listed were not submitted."""

    name: str
    files: dict[str, str | bytes]
    expected: dict[str, Expected] = field(default_factory=dict)


PASSED = Expected(Verdict.PASSED, points=10.0)
STOPPED = Expected(Verdict.STOPPED, points=0.0)
ERROR = Expected(Verdict.ERROR, points=0.0)
EMPTY = Expected(Verdict.EMPTY, points=0.0)


def wrong(*mistakes: str, verdict: Verdict = Verdict.WRONG) -> Expected:
    return Expected(verdict, mistakes)


def code_with(exercise: str, *mistakes: str) -> str:
    """Return the reference with mistakes in it, as a file."""
    source = source_with(*mistakes)
    return "\n".join([*imports(EXERCISES[exercise].reference, names_in(source)), "", "", source])


def notebook(*cells: str, **fields: object) -> str:
    """Return a notebook of code cells."""
    code = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"cells": code, "metadata": {}, "nbformat": 4, "nbformat_minor": 4, **fields})


def students() -> Iterator[Student]:
    """Yield all 60 submissions."""
    yield from _right()
    yield from _wrong_in_one_way()
    yield from _wrong_in_two_ways()
    yield from _other_forms()
    yield from _hostile()
    yield from _empty()
    yield from _damaged()
    yield from _notebooks()


def _right() -> Iterator[Student]:
    for name in NAMES:
        yield Student(f"right {name}", {f"{name}.py": solution(EXERCISES[name])}, {name: PASSED})
    in_one_file = "\n\n".join(solution(EXERCISES[name]) for name in (NORM, GELU))
    yield Student("right two in one file", {"homework.py": in_one_file}, {NORM: PASSED, GELU: PASSED})


ONE_WAY = {
    SOFTMAX: (
        "softmax over the first axis",
        "exponentials not normalized",
        "logarithm of the softmax",
        "powers of two instead of e",
        "mean instead of the sum of exponentials",
    ),
    NORM: ("variance divided by d - 1", "eps outside the root", "variance around zero"),
    ATTENTION: ("no scale", "mask ignored", "keys instead of values"),
    GELU: ("GELU without the half", "distribution function alone", "GELU without the root of two", "GELU of the other side"),
}


def _wrong_in_one_way() -> Iterator[Student]:
    for exercise, mistakes in ONE_WAY.items():
        for mistake in mistakes:
            yield Student(f"wrong {mistake}", {f"{exercise}.py": code_with(exercise, mistake)}, {exercise: wrong(mistake)})
    for mistake in ("GELU with tanh", "SiLU instead of GELU"):
        expected = wrong(mistake, verdict=Verdict.CONVENTION)
        yield Student(f"convention {mistake}", {"gelu.py": code_with(GELU, mistake)}, {GELU: expected})
    unsafe = code_with(SOFTMAX, "softmax without subtracting the maximum")
    yield Student("unsafe", {"softmax.py": unsafe}, {SOFTMAX: Expected(Verdict.WARNING, points=10.0)})


TWO_WAYS = {
    ATTENTION: (("no scale", "keys instead of values"),),
    NORM: (("variance divided by d - 1", "no bias after the norm"), ("no gain after the norm", "eps outside the root")),
}


def _wrong_in_two_ways() -> Iterator[Student]:
    for exercise, pairs in TWO_WAYS.items():
        for pair in pairs:
            name = f"wrong {' and '.join(pair)}"
            yield Student(name, {f"{exercise}.py": code_with(exercise, *pair)}, {exercise: wrong(*pair)})


OTHER_FORMS = {
    SOFTMAX: (
        "def softmax(x):\n    x = np.asarray(x)\n    e = np.exp(x - x.max(-1, keepdims=True))\n"
        "    return e / e.sum(-1, keepdims=True)\n",
        "softmax = lambda scores: torch.exp(scores - scores.logsumexp(-1, keepdim=True))\n",
        "def shifted(x):\n    return x - x.amax(-1, keepdim=True)\n\n\ndef softmax(scores):\n    e = shifted(scores).exp()\n"
        "    return torch.einsum('...i,...->...i', e, 1 / e.sum(-1))\n",
        "EPS = 0.0\nif True:\n    def softmax(scores):\n        return scores.double().softmax(-1) + EPS\n",
    ),
    NORM: (
        "def layer_norm(x, gain, bias, eps=1e-12):\n    double = [each.double() for each in (gain, bias)]\n"
        "    return F.layer_norm(x.double(), x.shape[-1:], *double, eps)\n",
    ),
    GELU: ("def gelu(x):\n    return x * torch.distributions.Normal(0.0, 1.0).cdf(x)\n",),
}


def _other_forms() -> Iterator[Student]:
    for exercise, codes in OTHER_FORMS.items():
        for number, code in enumerate(codes):
            yield Student(f"other {exercise} {number}", {"a.py": IMPORTS + code}, {exercise: PASSED})


HOSTILE = {
    "endless": ("    while True: pass", STOPPED),
    "exit": ("    import os\n    os._exit(0)", STOPPED),
    "memory": ("    return torch.ones(10 ** 10).softmax(-1)", STOPPED),
    "recursion": ("    return softmax(scores)", ERROR),
    "text": ("    return '<script>alert(1)</script>'", ERROR),
    "allclose": ("    torch.allclose = lambda *a, **k: True\n    return scores", Expected(Verdict.WRONG)),
    "reads reference": (
        "    from minibert.equations.attention import softmax as right\n    return right(scores)",
        STOPPED,
    ),
    "random": ("    return torch.rand_like(scores) * np.random.rand()", Expected(Verdict.WRONG)),
}


def _hostile() -> Iterator[Student]:
    for name, (body, expected) in HOSTILE.items():
        yield Student(f"hostile {name}", {"softmax.py": f"{IMPORTS}def softmax(scores):\n{body}\n"}, {SOFTMAX: expected})
    raising = "class A(BaseException): pass\ndef softmax(scores):\n    raise A('*bold* <b> ![x](y)')\n"
    yield Student("=HYPERLINK(1) <b>*", {"=1.py": raising}, {SOFTMAX: STOPPED})


def _empty() -> Iterator[Student]:
    yield Student("empty stubs", {f"{name}.py": stub(EXERCISES[name]) for name in NAMES}, dict.fromkeys(NAMES, EMPTY))
    yield Student("empty folder", {})
    yield Student("empty file", {"softmax.py": ""})
    yield Student("empty of code", {"report.pdf": b"%PDF-1.7", "notes.txt": "def softmax(scores): pass"})
    yield Student("empty import", {"softmax.py": "from torch import softmax\n"})


def _damaged() -> Iterator[Student]:
    yield Student("damaged syntax", {"01_softmax.py": "def softmax(scores)\n    return scores\n"}, {SOFTMAX: ERROR})
    yield Student("damaged indentation", {"a.py": "def softmax(s):\n    a = 1\n   return s\n"}, {SOFTMAX: ERROR})
    yield Student("damaged bytes", {"softmax.py": b"\x00\xff\xfe"}, {SOFTMAX: ERROR})
    yield Student("damaged notebook", {"softmax.ipynb": notebook(RIGHT)[:60]}, {SOFTMAX: ERROR})
    yield Student("damaged other", {"a.py": "def f(:", "b.py": IMPORTS + RIGHT}, {SOFTMAX: PASSED})
    yield Student("damaged cell", {"a.ipynb": notebook(IMPORTS, "def softmax(scores):\n    return (")}, {SOFTMAX: ERROR})
    yield Student("damaged name", {"softmax.py": IMPORTS + RIGHT.replace("softmax(s", "soft_max(s")})


def _notebooks() -> Iterator[Student]:
    yield Student("notebook", {"a.ipynb": notebook(IMPORTS, RIGHT)}, {SOFTMAX: PASSED})
    last = "%matplotlib inline\n!pip install torch\nimport torch"
    moved = notebook("print(softmax(x))", RIGHT, "x = torch.load('my weights')", last)
    yield Student("notebook reordered", {"Untitled 3.ipynb": moved}, {SOFTMAX: PASSED})
    renamed = notebook(
        "%%time\nimport torch as T",
        "def helper(x):\n    return T.exp(x - x.amax(-1, True))",
        "softmax = None",
        "def softmax(scores):\n    return helper(scores) / helper(scores).sum(-1, True)",
        "1 / 0",
    )
    yield Student("notebook renamed", {"a/b.ipynb": renamed}, {SOFTMAX: PASSED})
    yield Student("notebook twice", {"a.ipynb": notebook(RIGHT, IMPORTS), "b.ipynb": notebook("def f(:")}, {SOFTMAX: PASSED})
    yield Student("notebook deleted", {"a.ipynb": notebook(IMPORTS, "x = 1")})
    mistake = notebook("# a\n", code_with(NORM, "eps outside the root"), "layer_norm.calls = 0")
    yield Student("notebook wrong", {"a.ipynb": mistake}, {NORM: wrong("eps outside the root")})
    cell = {"cell_type": "code", "input": [IMPORTS, RIGHT], "outputs": []}
    old = json.dumps({"worksheets": [{"cells": [cell]}], "nbformat": 3, "nbformat_minor": 0})
    yield Student("notebook of version 3", {"a.ipynb": old}, {SOFTMAX: PASSED})
