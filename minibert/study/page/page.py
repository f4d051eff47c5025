"""The page of a step-through: one HTML file without outside links, which works from a folder and makes no requests."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlencode

import numpy as np
from torch import Tensor

from minibert.display import escape
from minibert.printable import printable
from minibert.study.page.data import Mistake, PageData
from minibert.study.stepthrough.selection import Selection
from minibert.study.stepthrough.step import Walk

FOLDER = Path(__file__).parent
SCRIPTS = (
    "elements", "numbers", "data", "arithmetic", "explanation", "heat", "state", "prediction",
    "grid", "step_list", "heads", "terms", "input_map", "details", "header", "page", "main",
)  # fmt: skip
"""The scripts, in an order in which each one uses classes of earlier ones only."""
RECORDED = "Recorded: the numbers are those that the model computed for this text."
COMMENT = re.compile(r"^ *(?://[^\n]*|/\*\*(?:(?!\*/).)*\*/)\n", re.MULTILINE | re.DOTALL)
"""A comment on lines of its own. The scripts of the page have none, so that a small page has more room for numbers."""
POLICY = {
    "default-src": "'none'",
    "img-src": "data:",  # the empty icon, without which a browser asks the server for one
    "connect-src": "'none'",
    "form-action": "'none'",
    "base-uri": "'none'",
    "require-trusted-types-for": "'script'",
}
"""Content-Security-Policy: no request is possible, and no text is parsed as HTML or as a script."""


def step_through_page(
    walk: Walk,
    facts: Mapping[str, str] | None = None,
    *,
    layers: Sequence[int] | None = None,
    mistakes: Mapping[str, Sequence[Mistake]] | None = None,
    others: Mapping[str, tuple[str, Tensor]] | None = None,
    start: Selection | None = None,
) -> str:
    """Return the page of a step-through as HTML.

    Args:
        walk: the steps.
        facts: what was run, such as {"Model": "bert-base-uncased"}. The page shows it under the title.
        layers: numbers of the layers that the page shows in full; of the others it has the attention weights. Default: all
            layers of a small model, the layer of `start` or else the first one of a large model.
        mistakes: by the path of a step, the tensors that known mistakes give.
        others: by the path of a step, a name and a tensor that is shown next to the step with the difference, such as the
            output of a learner's function.
        start: the step and the cell that the page opens at. Default: the first step.
    """
    data = PageData(walk, layers, mistakes, others)
    layer = None if start is None else start.step.layer
    if layers is None and layer is not None and layer not in data.layers:
        data = PageData(walk, [layer], mistakes, others)
    content = {**heading(facts, start), "text": printable(walk.title), **data.to_json()}
    return page_html(walk.title, content, SCRIPTS, "page.css", source=RECORDED)


def heading(facts: Mapping[str, str] | None, start: Selection | None) -> dict[str, Any]:
    """Return the title of a page, what was run, and the address of the step that it opens at."""
    return {
        "title": "Step through a forward pass",
        "facts": [[name, printable(value)] for name, value in (facts or {}).items()],
        "start": "" if start is None else _address(start),
    }


def page_html(title: str, content: object, scripts: Sequence[str], *styles: str, source: str, controls: str = "") -> str:
    """Return a page as HTML.

    Args:
        content: the data of the scripts.
        scripts: their names, in an order in which each one uses classes of earlier ones only.
        styles: the files of the style sheets.
        source: a sentence about the origin of the numbers.
        controls: HTML that stands under the header.
    """
    style = "".join(map(read, styles))
    script = '(() => {\n"use strict";\n' + "\n".join(COMMENT.sub("", read(f"{name}.js")) for name in scripts) + "})();\n"
    policy = {**POLICY, "script-src": content_hash(script), "style-src": content_hash(style)}
    return Template(read("page.html")).substitute(
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        title=escape(f"Step through: {title}"),
        source=source,
        controls=controls,
        style=style,
        script=script,
        data=script_json(content),
    )


def _address(selection: Selection) -> str:
    """Return the hash of the address of a step and a cell; see `state.js`."""
    shape, index = selection.step.output.shape, selection.index
    row, column = (0, 0, *index)[-2:]
    place = int(np.ravel_multi_index(index[:-2], shape[:-2])) if len(shape) > 2 else 0
    return "#" + urlencode({"step": selection.step.path, "slice": place, "cell": f"{row},{column}"}, safe=",")


def script_json(content: object) -> str:
    r"""Return JSON that is safe inside a script element: no character of it can end the element.

    >>> script_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def read(name: str) -> str:
    """Return a file of the page."""
    return (FOLDER / name).read_text(encoding="utf-8")


def content_hash(text: str) -> str:
    """Return the hash of a script or a style sheet, for the Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
