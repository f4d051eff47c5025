"""Calls of the Linux kernel that Python 3.11 has no functions for. On other systems they do nothing."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PROCESSES, NEW_NETWORK = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
"""CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET of <sched.h>."""
_PRIVATE = 0x4000 | 0x40000
"""MS_REC | MS_PRIVATE of <sys/mount.h>."""
_SET_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def unshare(namespaces: int) -> bool:
    """Move this process, or its future children, to new namespaces. Returns False if that is not allowed."""
    return _LIBC is not None and _LIBC.unshare(namespaces) == 0


def isolate(hidden: Path | None = None) -> bool:
    """Leave the network, and make the files in a folder empty if one is given, for this process and for those that it starts.

    Returns: False if the system does not allow it. Then nothing has changed.
    """
    user, group = os.getuid(), os.getgid()
    if _LIBC is None or not unshare(NEW_USER | NEW_NETWORK | NEW_IPC | NEW_MOUNTS):
        return False
    for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with suppress(OSError):
            Path(f"/proc/self/{file}").write_text(text)
    if hidden is None:
        return True
    paths = [(path, path.is_dir()) for path in sorted(hidden.rglob("*"))]
    if _LIBC.mount(b"none", b"/", None, _PRIVATE, None) or _LIBC.mount(b"none", os.fsencode(hidden), b"tmpfs", 0, b"size=8m"):
        return False
    for path, is_folder in paths:
        path.mkdir() if is_folder else path.touch()
    return True


def adopt_orphans() -> None:
    """Become the parent of all descendants whose parents end, so that none can get away."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """End this process when its parent ends."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Return the processes that `root` and its descendants have started and that still run, parents first."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            state, parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(folder.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found[1:]


def private_bytes(process: int) -> int:
    """Return the memory of a process that is not shared with files, 0 if the process has ended."""
    with suppress(OSError, IndexError):
        _, resident, shared = Path(f"/proc/{process}/statm").read_text().split()[:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")
    return 0
