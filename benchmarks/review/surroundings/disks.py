"""Disks that are full at every operation in turn, and file systems without flushing, locks or renaming over a file."""

import errno
from collections.abc import Iterator
from pathlib import Path

from benchmarks.review.interruptions import Area, Trial
from benchmarks.review.surroundings.cases import Case, resumed, run_trial, shortened

WRITES = ("open", "write", "fsync", "rename", "replace", "mkdir")
FULL = "from benchmarks.review.disk import Disk, fail_at; Disk({root!r}, None, fail_at({number}, {error}, {names}))"
LOG = "from benchmarks.review.disk import Disk, log_to; Disk({root!r}, None, log_to({file!r}))"
LACKING = """
import errno, fcntl, os
def lacking(*arguments, **options):
    raise OSError({error}, os.strerror({error}))
def unlike(original):
    return lambda one, two, **options: lacking() if os.path.exists(two) else original(one, two, **options)
"""
FILE_SYSTEMS = {
    "no flushing": "os.fsync = lacking",
    "no locks": "fcntl.lockf = lacking",
    "no renaming over a file": "os.replace = unlike(os.replace)",
    "no renaming of folders": "os.rename = lacking",
}


def disk_cases(areas: list[Area], folder: Path, every: int) -> Iterator[Case]:
    """Run each command on a disk that fails once, for every operation (or every n-th one), and on odd file systems."""
    for area in map(shortened, areas):
        whole = Trial(area, folder / f"{area.name} whole")
        run_trial(whole, setup=LOG.format(root=str(whole.root), file=str(whole.log)))
        operations = [name for name in whole.log.read_text().split() if name in WRITES]
        for number in range(1, len(operations) + 1, every):
            yield _full(area, whole, folder / f"{area.name} {number}", number)
        for kind, change in FILE_SYSTEMS.items():
            for error in (errno.EINVAL, errno.ENOTSUP, errno.EPERM):
                trial = Trial(area, folder / f"{area.name} {kind} {error}")
                ended = run_trial(trial, setup=LACKING.format(error=error) + change)
                yield resumed(trial, ended, whole, "file system", kind, f"{area.name}, {errno.errorcode[error]}")


def _full(area: Area, whole: Trial, folder: Path, number: int) -> Case:
    """Run a command on a disk that is full at one operation."""
    trial = Trial(area, folder)
    setup = FULL.format(root=str(trial.root), number=number, error=errno.ENOSPC, names=WRITES)
    return resumed(trial, run_trial(trial, setup=setup), whole, "full disk", area.name, f"operation {number}")
