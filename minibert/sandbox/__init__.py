"""Learners' code in a subprocess with limits. It protects against accidents and shortcuts, not against an attacker.

Session (session.py)           in the process that wants results: sends arguments, receives numbers
    └─ server (server.py)      has imported torch; makes one copy of itself for each session, and supervises it (supervisor.py)
          └─ copy (process.py) loads the learner's code and calls its function
"""

from minibert.sandbox.limits import Limits, Stopped
from minibert.sandbox.session import Session

__all__ = ["Limits", "Session", "Stopped"]
