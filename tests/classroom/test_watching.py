"""Saved files are found after the editor has finished, in every way that editors save."""

import os

from minibert.classroom.watching import SETTLED, SETTLED_EMPTY, Watcher


def looks(watcher: Watcher, number: int = SETTLED + 1) -> list[str]:
    return [name for _ in range(number) for name in watcher.saved()]


def watched(tmp_path) -> Watcher:
    (tmp_path / "a.py").write_text("old")
    return Watcher(lambda: {path.stem: path for path in tmp_path.glob("*.py")})


def test_a_saved_file_is_reported_once(tmp_path) -> None:
    watcher = watched(tmp_path)
    assert looks(watcher) == []
    (tmp_path / "a.py").write_text("new text")
    assert looks(watcher) == ["a"]
    assert looks(watcher, 20) == []


def test_a_file_that_is_being_written_is_reported_at_its_end(tmp_path) -> None:
    watcher = watched(tmp_path)
    for size in range(1, 6):
        (tmp_path / "a.py").write_text("x" * 10 * size)
        assert looks(watcher, SETTLED) == []
    assert looks(watcher) == ["a"]


def test_an_empty_file_may_be_one_that_is_being_written(tmp_path) -> None:
    watcher = watched(tmp_path)
    (tmp_path / "a.py").write_text("")
    assert looks(watcher, SETTLED_EMPTY) == []
    assert looks(watcher, 1) == ["a"]


def test_a_renamed_file_is_a_saved_one(tmp_path) -> None:
    """Also if it has the size and the time of the old file."""
    watcher = watched(tmp_path)
    status = (tmp_path / "a.py").stat()
    (tmp_path / "new").write_text("new")
    os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "a.py").unlink()
    assert looks(watcher) == []
    (tmp_path / "new").rename(tmp_path / "a.py")
    assert looks(watcher) == ["a"]


def test_new_files_are_reported(tmp_path) -> None:
    watcher = watched(tmp_path)
    (tmp_path / "b.py").write_text("new")
    assert looks(watcher) == ["b"]


def test_a_change_that_was_undone_does_not_count(tmp_path) -> None:
    """The same change must stay for as many looks as any other one."""
    watcher = watched(tmp_path)
    path = tmp_path / "a.py"
    for time in (5, 5, 0):
        before = path.stat().st_mtime_ns
        os.utime(path, ns=(before, before + time))
        if not time:
            os.utime(path, ns=(before, before - 10))
        assert looks(watcher, SETTLED - 1) == []
    os.utime(path, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns + 10))
    assert looks(watcher, SETTLED) == []
    assert looks(watcher, 1) == ["a"]
