"""The part of a file that one function needs, and the code of a notebook."""

import ast
import json

import pytest

from minibert.classroom.needed_code import imported_modules, needed_code
from minibert.classroom.notebook_code import code_cells

ALL = None


def needed(code: str, name: str = "f") -> list[str]:
    """Return the lines that are kept."""
    text = needed_code(ast.parse(code), code.split("\n"), name)
    assert text.count("\n") == code.count("\n"), "line numbers stay"
    compile(text, "code", "exec")
    return [line for line in text.split("\n") if line]


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("import a\nimport b\ndef f(x): return a.y(x)", "import a\ndef f(x): return a.y(x)"),
        ("k = make()\nk(3)\ndef f(x): return k(x)", "k = make()\ndef f(x): return k(x)"),
        ("x = load()\ndef f(x): return x", "def f(x): return x"),
        ("y = load()\ndef f(x):\n    y = x\n    return y", "def f(x):\n    y = x\n    return y"),
        ("K = 3\ndef g(x): return K\ndef f(x): return g(x)", ALL),
        ("T = []\nfor i in [1]:\n    T.append(i)\nf = lambda x: T", ALL),
        ("T = {}\nT['a'] = 1\ndef f(x): return T", ALL),
        ("import t\nt.seed(0)\nt.plot()\ndef f(x): return t.x", "import t\ndef f(x): return t.x"),
        ("def f(x): return 1\nf.calls = 0\nprint(f(2))\nassert f(3)", "def f(x): return 1\nf.calls = 0"),
        ("def f(x): return 1\ndef f(x): return 2", ALL),
        ("from a import *\nfrom b import c\ndef f(x): return c(x)", "from b import c\ndef f(x): return c(x)"),
        ("from a import *\ndef f(x): return c(x)", ALL),
        ("import d\n@d.cached\ndef f(x):\n    return x", ALL),
        ("class C: pass\ndef f(x: 'D', y: C = None): return x", ALL),
        ("if True:\n    def f(x): return 1\nelse:\n    f = None", ALL),
        ("try:\n    import a\nexcept E:\n    a = None\ndef f(x): return a", ALL),
        ("import a; x = [\n1]\ndef f(x): return a", ALL),
        ("K: int = 1\nK += 1\ndef f(x): return K", ALL),
        ("a, (b, *c) = 1, (2, 3)\ndef f(x): return c", ALL),
        ("def f(n): return g(n)\ndef g(n): return f(n)\ndef h(): pass", "def f(n): return g(n)\ndef g(n): return f(n)"),
        ("def f(x):\n    def g(): return K\n    return g\nK = 1", ALL),
        ("K = 1\nf = lambda x: [K for _ in x]", ALL),
        ("s = '''\na\n'''\ndef f(x): return s", ALL),
        ("print(1)\n(lambda: 1)()\n[1][0].a()\ndef f(x): return 1", "def f(x): return 1"),
        ("if a:\n    pass\nelse:\n    K = 1\ndef f(x): return K\na = 1", ALL),
    ],
)
def test_only_what_a_function_needs_is_kept(code, kept) -> None:
    assert needed(code) == (kept or code).split("\n")


def test_an_import_of_the_future_on_several_lines_is_moved_to_the_first_line() -> None:
    """It stays where it is below a docstring or a comment that is kept."""
    several = "\n\nimport a\nfrom __future__ import (\n    annotations,\n)\ndef f(x: A): return a"
    assert needed(several) == ["from __future__ import annotations", "import a", "def f(x: A): return a"]
    text = needed_code(ast.parse(several), several.split("\n"), "f")
    assert text.split("\n") == ["from __future__ import annotations", "", "import a", "", "", "", "def f(x: A): return a"]


def test_imports_of_the_future_come_first() -> None:
    assert needed("import a\n\nfrom __future__ import annotations\ndef f(x: A): return 1") == [
        "from __future__ import annotations",
        "def f(x: A): return 1",
    ]


def test_imported_modules() -> None:
    assert imported_modules("import a.b as c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i") == {
        "a.b",
        "d.e",
        "i",
    }


def cells(*sources: object, **fields: object) -> list[str]:
    code = [{"cell_type": "code", "source": source} for source in sources]
    return [cell.text if not cell.error else "" for cell in code_cells(json.dumps({"cells": code, **fields}).encode())]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("x = 1\r\ny = 2", "x = 1\ny = 2"),
        (["x = 1\n", "y = 2"], "x = 1\ny = 2"),
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("%%time\nx = 1", "pass\nx = 1"),
        ("x = !ls\nif x:\n    !rm y\n", "pass\nif x:\n    pass\n"),
        ("torch.nn?\nx = 1", "pass\nx = 1"),
        ("x = (5\n  % 3)", "x = (5\n  % 3)"),
        ("def f(:", ""),
        ("x = 1\0", ""),
        ("(" * 1000, ""),
        ("", ""),
    ],
)
def test_cells_without_magics(source, code) -> None:
    assert cells(source) == [code]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"null", b"{}", b'{"cells": 3}', b'{"cells": [3]}', b'{"cells": [{"cell_type": "code"}]}',
     b'{"cells": [{"cell_type": "code", "source": 5}]}', b'{"cells": [{"cell_type": "code", "source": [5]}]}',
     b"\xff\xfe", b"[" * 100_000],
)  # fmt: skip
def test_damaged_notebooks_are_described(content) -> None:
    with pytest.raises(ValueError, match="damaged"):
        list(code_cells(content))
