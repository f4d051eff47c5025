"""Learners' code in a subprocess with limits. It protects against accidents and shortcuts, not against an attacker.

SandboxRunner (runner.py)      in the process of the check: sends arguments, receives numbers
    └─ server (server.py)      has imported torch; makes one copy of itself for each check, and supervises it
          └─ copy (copy.py)    loads the learner's code and calls its function
"""

from minibert.classroom.sandbox.limits import Limits
from minibert.classroom.sandbox.runner import SandboxRunner

__all__ = ["Limits", "SandboxRunner"]
