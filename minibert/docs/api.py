"""The pages of the API reference: every public name of the package, on the page of its module."""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent

from sphinx.pycode import ModuleAnalyzer

from minibert.docs.docstrings import restructured
from minibert.docs.names import MODULES, by_ending, public_names

INDEX = "# API\n\nEvery public name. Other modules may change without notice.\n\n```{toctree}\n:maxdepth: 1\n\n"
API_PAGES = ("api/index", *(f"api/{module}" for module in MODULES))
"""Names of the pages."""


def api_page(name: str) -> str:
    """Return a page in Markdown."""
    module = name.removeprefix("api/")
    return INDEX + "\n".join(MODULES) + "\n```\n" if module == "index" else "\n".join(_page(module)) + "\n"


def _page(module: str) -> Iterator[str]:
    yield from (f"# `{module}`", "", "```{eval-rst}", f".. automodule:: {module}", "")
    for full, thing in public_names().items():
        if full.rpartition(".")[0] != module:
            continue
        if inspect.isclass(thing):
            yield from (f".. autoclass:: {full}", "   :members:", "   :show-inheritance:", "")
        elif inspect.isroutine(thing):
            yield from (f".. autofunction:: {full}", "")
        else:
            yield from (
                f".. py:data:: {full.rpartition('.')[2]}",
                "",
                indent(restructured(data_documentation(full)), "   "),
                "",
            )
    others = [by_ending()[name] for name in import_module(module).__all__ if name in by_ending()]
    if others := [full for full in others if full.rpartition(".")[0] != module]:
        yield from ("", "Also here: " + ", ".join(f":py:obj:`{full}`" for full in others) + ".")
    yield "```"


def data_documentation(full_name: str) -> str:
    """Return the string below an assignment, in the module that defines a name.

    Raises: KeyError if it has none.
    """
    module, _, name = full_name.rpartition(".")
    return "\n".join(ModuleAnalyzer.for_module(defining_module(module, name)).find_attr_docs()["", name])


def defining_module(module: str, name: str) -> str:
    """Return the module that a name comes from, along the imports of it."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and any((each.asname or each.name) == name for each in node.names):
            return defining_module(node.module, name)
    return module
