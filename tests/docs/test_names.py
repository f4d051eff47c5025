"""Every public name is in the API reference, once, with its documentation."""

import inspect

import pytest

pytest.importorskip("sphinx", reason="Sphinx is not installed (pip install minibert[docs])")
from minibert.docs.api import API_PAGES, api_page, data_documentation
from minibert.docs.layout import REPOSITORY
from minibert.docs.names import MODULES, by_ending, public_names

PAGES = "\n".join(map(api_page, API_PAGES))


def test_all_modules_with_public_names_are_in_the_reference() -> None:
    """A module has public names if its `__init__.py` has `__all__`."""
    packages = {
        ".".join(file.parent.relative_to(REPOSITORY).parts)
        for file in (REPOSITORY / "minibert").rglob("__init__.py")
        if "\n__all__ = " in file.read_text(encoding="utf-8")
    }
    assert {*MODULES} == packages


@pytest.mark.parametrize("full_name", public_names())
def test_every_public_name_is_documented(full_name: str) -> None:
    thing = public_names()[full_name]
    if not inspect.isclass(thing) and not inspect.isroutine(thing):
        assert data_documentation(full_name)
        return
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        members = [name for name in vars(thing) if not name.startswith("_") and inspect.isroutine(getattr(thing, name))]
        assert [name for name in members if not inspect.getdoc(getattr(thing, name))] == []


@pytest.mark.parametrize("full_name", public_names())
def test_every_public_name_is_in_the_reference_once(full_name: str) -> None:
    module, _, name = full_name.rpartition(".")
    assert sum(PAGES.count(f":: {title}\n") for title in (full_name, name)) == 1
    assert api_page(f"api/{module}").count(f":: {full_name}\n") + api_page(f"api/{module}").count(f":: {name}\n") == 1


def test_a_name_is_found_by_its_endings() -> None:
    assert by_ending()["softmax"] == by_ending()["equations.softmax"] == "minibert.equations.softmax"
    assert by_ending()["Bert"] == "minibert.Bert"


def test_data_without_a_docstring_are_a_fault() -> None:
    with pytest.raises(KeyError, match="MODULES_"):
        data_documentation("minibert.docs.names.MODULES_")
