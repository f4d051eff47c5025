"""Hostile submissions of students: files that are no solutions, and code that tries to escape its check."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.review.hostile.case import ESCAPES, MARKUP, STOCK, Case, take, write, written
from benchmarks.review.hostile.judge import CANARY

GRADE = f"class grade submissions --course {STOCK}/course/course.toml --jobs 1 --time-limit 2 --out results"
CHECK = "check softmax.py --time-limit 2 --no-example"
SWAP = f"swap softmax.py --exercise softmax --checkpoint {STOCK}/bert --time-limit 5"
VERIFY = f"verify {STOCK}/bert --ids 1 2 --attention-from softmax.py:softmax --time-limit 5"
RIGHT = "    return torch.softmax(scores, dim=-1)\n"
STUDENT = "import os, sys, torch\nfrom pathlib import Path\n\ndef softmax(scores):\n"


def cases(seed: int) -> Iterator[Case]:
    """Yield each file as a submission that is checked and graded."""
    for name, code in CODE.items():
        for command, reason in ((CHECK, "softmax"), (GRADE, None)):
            which = f"code: {name} ({command.split()[0]})"
            files = _file if command == CHECK else _submission
            yield Case("submissions", which, command, files(code), reason, code=None, may_pass=True, seconds=120)
    for name in ("writes a file", "prints escapes", "ends the process", "a hostile error"):
        for command in (SWAP, VERIFY):
            which = f"other commands: {name} ({command.split()[0]})"
            yield Case("submissions", which, command, _file(CODE[name]), "softmax", code=None, may_pass=True, seconds=120)
    for name, (damage, reason) in FILES.items():
        yield Case("submissions", f"files: {name} (class)", GRADE, damage, reason, code=None, seconds=120)
    for name, (content, reason) in NO_CODE.items():
        yield Case("submissions", f"files: {name} (check)", CHECK, _file(content), reason, code=None, seconds=120)
    for name, (content, reason) in COURSES.items():
        yield Case("submissions", f"course: {name} (class)", GRADE.replace(f"{STOCK}/course/", ""), _course(content), reason)
    for name, (files, command, reason) in FOLDERS.items():
        yield Case(
            "submissions", f"folder: {name}", command, files, reason, code=None, may_pass=reason is not None, seconds=120
        )


def _function(body: str, before: str = "") -> str:
    lines = body.splitlines()
    return STUDENT.replace("\n\ndef", f"\n{before}\ndef") + "".join(f"    {line}\n" for line in lines) + RIGHT


def _file(content: str | bytes) -> Callable[[Path], object]:
    return written("softmax.py", content)


def _submission(content: str | bytes) -> Callable[[Path], object]:
    def submit(here: Path) -> None:
        (here / "submissions/ada").mkdir(parents=True)
        write(here / "submissions/ada/softmax.py", content)

    return submit


def _course(content: str | bytes) -> Callable[[Path], object]:
    def submit(here: Path) -> None:
        _submission(STUDENT + RIGHT)(here)
        write(here / "course.toml", content)

    return submit


def _submitted(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Add something to a folder with one good submission."""

    def submit(here: Path) -> None:
        _submission(STUDENT + RIGHT)(here)
        make(here / "submissions")

    return submit


def _notebook(*cells: object, **fields: object) -> str:
    return json.dumps({"cells": [*cells], "nbformat": 4, "nbformat_minor": 5, "metadata": {}} | fields)


def _cell(source: object, kind: str = "code") -> dict[str, object]:
    return {"cell_type": kind, "source": source, "metadata": {}, "outputs": [], "execution_count": None}


def _write(name: str, content: str | bytes) -> Callable[[Path], object]:
    return _submitted(written(name, content))


def _damaged_progress(content: str) -> Callable[[Path], object]:
    def damage(here: Path) -> None:
        folder = take(here, "exercises")
        for file in [*folder.glob("*.json"), folder / "progress.json", folder / ".progress.json"]:
            file.write_text(content, encoding="utf-8")

    return damage


TOUCH = f"(Path(os.environ.get('HOME', '/tmp')) / '{CANARY}').touch()"
CODE = {
    "writes a file": _function(f"Path('{CANARY}').touch()\nPath('../{CANARY}').touch()"),
    "writes at import": _function("", before=f"Path('../../{CANARY}').touch()\n"),
    "writes in a thread": _function(f"import threading\nthreading.Thread(target=Path('../{CANARY}').touch).start()"),
    "writes at the end": _function("", before=f"import atexit\natexit.register(Path('../{CANARY}').touch)\n"),
    "changes the results": _function("", before="import builtins\nbuiltins.open('results/grades.csv', 'w').write('ada,100')\n"),
    "prints escapes": _function(f"print({ESCAPES!r})\nprint({ESCAPES!r}, file=sys.stderr)"),
    "prints markup": _function(f"print({MARKUP!r})"),
    "returns the wrong result and prints markup": f"{STUDENT}    print({MARKUP!r})\n    return scores\n",
    "a hostile error": f"{STUDENT}    raise ValueError({ESCAPES + MARKUP!r})\n",
    "a hostile error at import": f"raise ValueError({ESCAPES + MARKUP!r})\n",
    "a hostile class of error": f"{STUDENT}    raise type({MARKUP!r}, (Exception,), {{}})('x')\n",
    "a hostile name of a variable": f"{STUDENT}    {'ａ' * 3}, _ = scores\n",
    "a hostile comment": f"{STUDENT}    # {MARKUP}\n    return scores + 1  # {ESCAPES.replace(chr(0x2028), '')}\n",
    "a hostile docstring": f'{STUDENT}    """{MARKUP}"""\n    return scores * 2\n',
    "a hostile attribute": f"{STUDENT}    result = scores * 2\n    result.__dict__[{MARKUP!r}] = 1\n    return result\n",
    "a hostile representation": f"class A:\n    def __repr__(self): return {ESCAPES + MARKUP!r}\n{STUDENT}    return A()\n",
    "a dictionary": f"{STUDENT}    return {{{MARKUP!r}: scores}}\n",
    "an endless loop": f"{STUDENT}    while True: pass\n",
    "an endless generator": f"{STUDENT}    return (x for x in iter(int, 1))\n",
    "ends the process": f"{STUDENT}    os._exit(0)\n",
    "exits at import": "import sys\nsys.exit(0)\n",
    "forks": _function("os.fork()"),
    "a regular expression that takes hours": f"{STUDENT}    __import__('re').match('(a+)+$', 'a' * 60 + 'b')\n",
    "much memory": f"{STUDENT}    return torch.ones(2**38)\n",
    "much output": _function("for _ in range(10**6): print('x' * 100)"),
    "reads the secret": _function("", before=f"print(Path('../{STOCK}/course/course.toml').read_text())\n"),
    "reads the reference": _function("import minibert.equations.attention as a\nprint(Path(a.__file__).read_text())"),
    "calls the reference": f"{STUDENT}    import minibert\n    return minibert.equations.softmax(scores)\n",
    "a fake module": f"import sys, types\nsys.modules['torch'] = types.ModuleType('torch')\n{STUDENT}{RIGHT}",
    "replaces torch": f"import torch\ntorch.equal = torch.allclose = lambda *a, **k: True\n{STUDENT}    return scores\n",
    "a function that is a class": "class softmax:\n    def __call__(self, scores): return scores\n",
    "a function that is a number": "softmax = 5\n",
    "a wrong signature": "def softmax(): return 1\n",
    "keyword arguments only": "def softmax(*, scores): return scores\n",
    "a coroutine": "async def softmax(scores): return scores\n",
    "a generator": "def softmax(scores): yield scores\n",
    "recursion": "def softmax(scores): return softmax(scores)\n",
    "10,000 functions": "import torch\n" + "".join(f"def f{n}(): pass\n" for n in range(10_000)) + STUDENT + RIGHT,
    "200 nested blocks": f"{STUDENT}"
    + "".join("    " * n + "if True:\n" for n in range(1, 19))
    + "    " * 19
    + "return scores\n",
    "removes its file": _function("", before="os.remove(__file__)\n"),
}
"""Code of students. The check has to end with a report, and nothing of it may reach the terminal, the pages or the folder."""
NO_CODE: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "softmax"),
    "a syntax error": ("def softmax(scores)\n    return 1\n", "expected ':'"),
    "a hostile syntax error": (f"def softmax(scores):\n    {MARKUP} {ESCAPES.replace(chr(0x2028), '')}\n", "line"),
    "tabs and spaces": ("def softmax(scores):\n\tif 1:\n        return 1\n", "tabs and spaces"),
    "a null character": ("def softmax(scores):\n    return 1\0\n", "softmax"),
    "binary": (bytes(range(256)), "softmax"),
    "UTF-16": ("def softmax(scores): return 1\n".encode("utf-16"), "softmax"),
    "an unknown encoding": (b"# -*- coding: nonsense -*-\ndef softmax(scores): return 1\n", "softmax"),
    "an encoding that runs code": (b"# -*- coding: rot13 -*-\nqrs fbsgznk(f): erghea 1\n", "softmax"),
    "latin-1": (b"# caf\xe9\ndef softmax(scores): return 1\n", "softmax"),
    "a deep nest": ("x = " + "(" * 5000 + ")" * 5000 + "\n", "softmax|line"),
    "a long line": ("x = '" + "x" * 10**7 + "'\n", "softmax"),
    "a notebook": (_notebook(_cell(STUDENT + RIGHT)), "softmax"),
}
FILES: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "no submissions": (lambda here: (here / "submissions").mkdir(), "submissions"),
    "no folder": (lambda here: None, "submissions"),
    "a file for the folder": (lambda here: (here / "submissions").write_text("x"), "submissions"),
    "a pipe": (_submitted(lambda folder: os.mkfifo(folder / "bob.py")), None),
    "a link to itself": (_submitted(lambda folder: (folder / "bob.py").symlink_to("bob.py")), None),
    "a link to a secret": (_submitted(lambda folder: (folder / "bob.py").symlink_to("/etc/passwd")), None),
    "a link to the folder above": (_submitted(lambda folder: (folder / "bob").symlink_to("..")), None),
    "an empty folder": (_submitted(lambda folder: (folder / "bob").mkdir()), None),
    "a hostile name": (_submitted(lambda folder: (folder / f"{ESCAPES}.py").write_text(STUDENT + RIGHT)), None),
    "a name with markup": (_submitted(lambda folder: (folder / f"{MARKUP.replace('/', '')}.py").write_text(STUDENT)), None),
    "a name of a formula": (_submitted(lambda folder: (folder / "=cmd|' c'!A1.py").write_text(STUDENT + RIGHT)), None),
    "a name that is not UTF-8": (_submitted(lambda folder: (folder / "caf\udce9.py").write_text(STUDENT + RIGHT)), None),
    "a name that is an option": (_submitted(lambda folder: (folder / "--out.py").write_text(STUDENT + RIGHT)), None),
    "two names for one student": (_submitted(lambda folder: (folder / "ada.py").write_text(STUDENT + RIGHT)), None),
    "a name of 250 characters": (_submitted(lambda folder: (folder / f"{'x' * 250}.py").write_text(STUDENT + RIGHT)), None),
    "a notebook that is no JSON": (_write("bob.ipynb", "{"), None),
    "a notebook that is a list": (_write("bob.ipynb", "[]"), None),
    "a notebook without cells": (_write("bob.ipynb", "{}"), None),
    "a notebook with numbers for cells": (_write("bob.ipynb", _notebook(1, None)), None),
    "a notebook with an object as source": (_write("bob.ipynb", _notebook(_cell({"a": 1}))), None),
    "a notebook with a shell command": (
        _write("bob.ipynb", _notebook(_cell(f"!touch {CANARY}\n%run x\n{STUDENT}{RIGHT}"))),
        None,
    ),
    "a notebook with markup": (
        _write("bob.ipynb", _notebook(_cell(MARKUP, "markdown"), _cell(f"{STUDENT}    return '{MARKUP[:20]}'"))),
        None,
    ),
    "a deep nest": (_write("bob.ipynb", "[" * 90_000), None),
    "a zip": (_write("bob.zip", b"PK\x03\x04"), None),
}
TITLE = "title = 'x'\nsecret = '0123456789'\n"
COURSES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", r"course\.toml"),
    "no TOML": ("{", r"course\.toml"),
    "binary": (bytes(range(256)), r"course\.toml"),
    "a list of exercises": (f"exercises = [1]\n{TITLE}", r"course\.toml"),
    "an unknown exercise": (f"{TITLE}[exercises.evil]\npoints = 1\n", r"course\.toml.*evil"),
    "NaN points": (f"{TITLE}[exercises.softmax]\npoints = nan\n", r"course\.toml.*points"),
    "negative points": (f"{TITLE}[exercises.softmax]\npoints = -1\n", r"course\.toml.*points"),
    "text for points": (f"{TITLE}[exercises.softmax]\npoints = 'ten'\n", r"course\.toml.*points"),
    "no secret": ("title = 'x'\n[exercises.softmax]\npoints = 1\n", r"course\.toml.*secret"),
    "a billion seeds": (
        f"{TITLE}hidden_seeds = 1000000000\n[exercises.softmax]\npoints = 1\n",
        r"course\.toml.*hidden_seeds",
    ),
    "credit over 1": (
        f"{TITLE}[credit]\nforward = 2.0\n[exercises.softmax]\npoints = 1\n",
        r"course\.toml.*credit",
    ),
    "a wrong deadline": (f"{TITLE}[exercises.softmax]\npoints = 1\ndue = 'soon'\n", r"course\.toml.*due"),
    "a file that is gone": (f"{TITLE}files = ['gone.py']\n[exercises.softmax]\npoints = 1\n", r"gone\.py"),
    "the same key twice": ("title = 'x'\ntitle = 'y'\n", r"course\.toml"),
    "a hostile key": (f"{TITLE}[exercises.{json.dumps(MARKUP)}]\npoints = 1\n", r"course\.toml"),
}
HOSTILE_TITLE = f"title = {json.dumps(MARKUP + ESCAPES)}\nsecret = '0123456789'\n[exercises.softmax]\npoints = 1\n"
PROGRESS = [
    "[]",
    "{",
    '{"exercises": 5}',
    '{"exercises": {"softmax": []}}',
    json.dumps({"exercises": {MARKUP: {"passed": ESCAPES}}}),
]
FOLDERS: dict[str, tuple[Callable[[Path], object], str, str | None]] = {
    "a hostile title": (_course(HOSTILE_TITLE), GRADE.replace(f"{STOCK}/course/", ""), None),
    **{
        f"damaged progress, {n} ({command.split()[0]})": (_damaged_progress(content), command, "progress")
        for n, content in enumerate(PROGRESS)
        for command in ("progress --folder exercises", "check softmax --folder exercises --no-example")
    },
    "a folder for an exercise": (
        lambda here: ((folder := take(here, "exercises")), (file := next(folder.glob("*softmax.py"))).unlink(), file.mkdir()),
        "check softmax --folder exercises",
        "softmax",
    ),
    "a pipe for an exercise": (
        lambda here: (
            (folder := take(here, "exercises")),
            (file := next(folder.glob("*softmax.py"))).unlink(),
            os.mkfifo(file),
        ),
        "check softmax --folder exercises",
        "softmax",
    ),
}
"""Folders of learners: the damage, the command and the pattern of its message."""
