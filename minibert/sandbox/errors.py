"""An exception of a learner's code in one line, with its place in the learner's file."""

import traceback
from traceback import FrameSummary

MAX_ERROR = 500
"""Number of characters that are kept of the text of an exception."""


def describe(error: BaseException) -> str:
    """Return type and text of an exception in one line."""
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    return text if len(text) <= MAX_ERROR else f"{text[:MAX_ERROR]}…"


def frame_of(error: BaseException, file: str) -> FrameSummary | None:
    """Return the last frame of a file that an exception passed through."""
    return next((frame for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.filename == file), None)


def line_of(error: BaseException, file: str) -> int | None:
    """Return the last line of a file that an exception passed through, or the line of a syntax error in it."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    frame = frame_of(error, file)
    return frame.lineno if frame else None
