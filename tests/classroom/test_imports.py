"""Import statements of a piece of this module."""

import ast
import math  # fmt: skip
import os.path as paths
import types
from collections.abc import Callable, Iterator, Mapping, Sequence, Set, Sized
from typing import Any as Anything

import torch.nn.functional as F
from torch import Tensor  # fmt: skip
from torch import nn as modules

from minibert.classroom.imports import imports, names_in

USED = (ast, math, types, paths, Callable, Iterator, Mapping, Sequence, Set, Sized, Anything, F, Tensor, modules)
NAMES = {*"ast math types paths Callable Iterator Mapping Sequence Set Sized Anything F Tensor modules torch USED".split()}  # noqa: SIM905


def function() -> None:
    """A function of this module."""


def test_names_are_imported_as_the_module_does() -> None:
    """The standard library comes first, then others, each in alphabetical order. A name of the module is imported from it."""
    assert imports(function, NAMES | {"__name__", "unknown"}) == [
        "import ast",
        "import math",
        "import os.path as paths",
        "import types",
        "from collections.abc import Callable, Iterator, Mapping, Sequence, Set, Sized",
        "from typing import Any as Anything",
        "import torch",
        "import torch.nn.functional as F",
        "from tests.classroom.test_imports import USED",
        "from torch import Tensor, nn as modules",
    ]


def test_only_some_packages_can_be_wanted() -> None:
    assert imports(function, NAMES, frozenset({"torch"})) == [
        "import torch",
        "import torch.nn.functional as F",
        "from torch import Tensor, nn as modules",
    ]


def test_the_names_in_code_are_those_of_variables() -> None:
    assert names_in("x.y = f(z, w=1)") == {"x", "f", "z"}
