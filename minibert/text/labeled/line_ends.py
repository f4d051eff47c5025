"""Findings about the line ends and byte-order marks of a text file."""

from pathlib import Path

from minibert.text.file_formats import numbered_lines
from minibert.text.labeled.finding_log import FindingLog
from minibert.text.table import without_mark

LINE_ENDS = {
    "\r\n": "this line, and possibly others, ends with \\r\\n as on Windows; it is read as \\n",
    "\n": "",
    "\r": "this line, and possibly others, ends with \\r alone, as on old Macs; it is read as \\n",
}
"""Line ends and their findings."""
WITHOUT_LINE_END = "the last line has no line end; it was read, but if the file was cut off, it is not complete"


def check_line_ends(path: Path, log: FindingLog) -> None:
    """Add findings about the line ends and byte-order marks of a text file. Its rows are read without them."""
    first_lines: dict[str, int] = {}
    for number, line in numbered_lines(path, raw=True):
        if without_mark(line) != line:
            log.repair(number, "begins with a byte-order mark; it was removed")
        first_lines.setdefault(next((end for end in LINE_ENDS if line.endswith(end)), ""), number)
    for end, number in first_lines.items():
        if end != "\n":
            log.repair(number, LINE_ENDS.get(end, WITHOUT_LINE_END))
