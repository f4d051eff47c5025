"""Cases of the review of surroundings, and commands that run in them."""

import os
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

OUTCOMES = ("equal", "refused", "differing", "crashed")


@dataclass(frozen=True)
class Case:
    """One thing that was tried."""

    area: str
    kind: str
    outcome: str
    """equal: it works, with the results of normal surroundings; refused: it ends with a clear message, and nothing is damaged;
    differing: another result, or a message that does not say what is wrong; crashed: a traceback, or no end."""
    note: str = ""
    """What was done and printed."""
