"""The check of a learner's function in a sandbox, without the reference solution (reference.py)."""

from minibert.classroom.sandbox.runner import SandboxRunner

__all__ = ["SandboxRunner"]
