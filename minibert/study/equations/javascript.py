"""The equations in JavaScript: the same functions, with the same names, for a page that computes."""

import re
from functools import cache
from pathlib import Path

from minibert.study import page

SCRIPT = Path(page.__file__).parent / "equations.js"
FUNCTION = re.compile(r"^(function (\w+)\(.*?^\}\n)", re.MULTILINE | re.DOTALL)


@cache
def javascript_functions() -> dict[str, str]:
    """Return the code of each function of the script by its name, without its comment."""
    return {name: code for code, name in FUNCTION.findall(SCRIPT.read_text(encoding="utf-8"))}
