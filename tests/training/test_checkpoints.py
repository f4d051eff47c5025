"""Checkpoint folders are complete or absent, also after errors."""

import errno
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from minibert.training import checkpoints as module
from minibert.training.checkpoints import CHECKSUMS_FILE, Checkpoints, random_states, set_random_state, set_seed
from minibert.training.distributed import SINGLE_PROCESS


def writer(text: str) -> object:
    """Return a function that writes two files."""

    def write(folder: Path) -> None:
        (folder / "model").write_text(text)
        (folder / "state").write_text(text * 100)

    return write


def names(checkpoints: Checkpoints) -> list[str]:
    return sorted(path.name for path in checkpoints.directory.iterdir())


def test_latest_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "new" / "folder", keep=2)
    assert checkpoints.newest() is None
    for step in (5, 10, 100_000_000):
        assert checkpoints.save(step, writer(str(step))) == checkpoints.newest()
    assert names(checkpoints) == ["step-000010", "step-100000000"]
    assert (checkpoints.newest() / "model").read_text() == "100000000"


@pytest.mark.parametrize(
    "damage",
    [
        "cut",
        "flipped",
        "missing",
        "no sums",
        "sums cut",
        "{}",
        "[]",
        "null",
        "3",
        '"x"',
        "",
        '{"": ""}',
        '{"state": null}',
        "[" * 99_999,
    ],
)
def test_damaged_checkpoint_is_skipped(tmp_path: Path, damage: str) -> None:
    """If the last checkpoint is damaged, the one before it is the newest; and the damaged one can be written again."""
    checkpoints = Checkpoints(tmp_path)
    good, bad = checkpoints.save(1, writer("a")), checkpoints.save(2, writer("b"))
    if damage == "cut":
        os.truncate(bad / "state", 50)
    elif damage == "flipped":
        (bad / "state").write_text("b" * 99 + "c")
    elif damage == "missing":
        (bad / "model").unlink()
    elif damage == "no sums":
        (bad / CHECKSUMS_FILE).unlink()
    elif damage == "sums cut":
        os.truncate(bad / CHECKSUMS_FILE, 10)
    else:
        (bad / CHECKSUMS_FILE).write_text(damage)
    assert checkpoints.newest() == good
    assert checkpoints.save(2, writer("again")) == checkpoints.newest()
    assert (bad / "model").read_text() == "again"


@pytest.mark.parametrize("keep", [0, -1])
def test_at_least_one_checkpoint_is_kept(tmp_path: Path, keep: int) -> None:
    """With none, every checkpoint would be deleted as soon as it is written."""
    with pytest.raises(ValueError, match=f"keep {keep}: must be at least 1"):
        Checkpoints(tmp_path, keep=keep)


def test_damaged_checkpoints_do_not_replace_good_ones(tmp_path: Path) -> None:
    """A new checkpoint is kept, and damaged checkpoints of later steps are deleted."""
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in (8, 12):
        (tmp_path / f"step-{step:06d}").mkdir()
    assert checkpoints.save(4, writer("a")) == checkpoints.newest()
    assert names(checkpoints) == ["step-000004"]


def test_full_disk_leaves_the_last_checkpoint_intact(tmp_path: Path) -> None:
    """The error is raised, no partial folder is left, and saving works again later."""
    checkpoints = Checkpoints(tmp_path)
    good = checkpoints.save(1, writer("a"))

    def full(folder: Path) -> None:
        (folder / "model").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(2, full)
    assert checkpoints.newest() == good
    assert names(checkpoints) == ["step-000001"]
    assert checkpoints.save(2, writer("b")) == checkpoints.newest()


def test_partial_checkpoint_of_a_killed_process(tmp_path: Path) -> None:
    """A partial folder is not used as a checkpoint, and the next checkpoint deletes it."""
    checkpoints = Checkpoints(tmp_path)
    good = checkpoints.save(1, writer("a"))
    shutil.copytree(good, tmp_path / ".step-000002.partial")
    assert checkpoints.newest() == good
    checkpoints.save(3, writer("c"))
    assert names(checkpoints) == ["step-000001", "step-000003"]


def test_random_states_are_restored(tmp_path: Path) -> None:
    """torch, numpy and Python draw the same numbers again, after a round trip through a weights-only file."""
    for draw in (torch.rand, lambda n: torch.tensor(np.random.rand(n)), lambda n: torch.tensor([random.random()] * n)):  # noqa: NPY002
        draw(3)
        random.gauss()
        states = random_states(SINGLE_PROCESS)
        torch.save(states, path := tmp_path / "states.pt")
        expected = draw(3)
        draw(7)
        set_random_state(torch.load(path, weights_only=True), SINGLE_PROCESS)
        assert torch.equal(draw(3), expected)
    set_random_state([], SINGLE_PROCESS)  # a process without a stored state keeps its own


def test_the_state_of_a_gpu_is_restored_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run can go on without it."""
    restored = []
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda *arguments: restored.append(arguments))
    [state] = random_states(SINGLE_PROCESS)
    gpu = replace(SINGLE_PROCESS, device=torch.device("cuda", 1))
    set_random_state([state], gpu)
    set_random_state([state | {"cuda": torch.ones(1)}], SINGLE_PROCESS)
    assert restored == []
    set_random_state([state | {"cuda": torch.ones(1)}], gpu)
    assert restored == [(torch.ones(1), gpu.device)]


def test_a_process_that_is_new_keeps_its_state() -> None:
    """A run that goes on with more processes has no state for the others."""
    states = random_states(SINGLE_PROCESS)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    set_random_state(states, replace(SINGLE_PROCESS, rank=1, world_size=2))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("seed", [0, 3, 2**32 + 3])
def test_a_seed_is_that_of_every_generator(seed: int) -> None:
    """numpy has 32 bits for it."""
    drawn = []
    for _ in range(2):
        set_seed(seed)
        drawn.append((torch.rand(1).item(), np.random.rand(), random.random()))  # noqa: NPY002
    torch.manual_seed(seed)
    random.seed(seed)
    expected = torch.rand(1).item(), np.random.RandomState(seed % 2**32).rand(), random.random()
    assert drawn == [expected, expected]


def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each folder of the checkpoint is flushed before it is renamed, and the folder around it after that."""
    flushed: list[tuple[str, bool]] = []

    def flush(folder: Path) -> None:
        flushed.append((folder.relative_to(tmp_path).as_posix(), (tmp_path / "step-000005").exists()))

    def write(folder: Path) -> None:
        (folder / "a/b").mkdir(parents=True)
        (folder / "a/b/model").touch()
        (folder / "c").mkdir()
        (folder / "c/model").touch()

    monkeypatch.setattr(module, "flush_folder", flush)
    Checkpoints(tmp_path).save(5, write)
    partial = ".step-000005.partial"
    assert sorted(flushed[:-1]) == [(partial, False), (f"{partial}/a/b", False), (f"{partial}/c", False)]
    assert flushed[-1] == (".", True)


def test_an_error_after_the_checkpoint_has_its_name_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not another one, of files that are gone."""

    def flush(folder: Path) -> None:
        if folder == tmp_path:
            raise OSError("the disk is gone")

    monkeypatch.setattr(module, "flush_folder", flush)
    with pytest.raises(OSError, match="the disk is gone"):
        Checkpoints(tmp_path).save(5, writer("x"))


def test_damaged_checkpoints_of_later_steps_are_deleted(tmp_path: Path) -> None:
    """The run has gone on before them. They are no checkpoints to keep."""
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 20, 30):
        checkpoints.save(step, writer("x"))
        (tmp_path / f"step-{step:06d}/model").write_text("y" if step > 5 else "x")
    checkpoints.save(10, writer("x"))
    assert names(checkpoints) == ["step-000010"]
    for step in (11, 12):
        checkpoints.save(step, writer("x"))
    assert names(checkpoints) == ["step-000011", "step-000012"]


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    """Also those whose names begin in the same way."""
    for name in ("step-notes", "step-", "best", ".hidden"):
        (tmp_path / name).mkdir()
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in (1, 2):
        checkpoints.save(step, writer("x"))
    assert names(checkpoints) == [".hidden", "best", "step-", "step-000002", "step-notes"]
    assert checkpoints.newest() == tmp_path / "step-000002"


def test_the_checkpoint_of_a_step(tmp_path: Path) -> None:
    """An undamaged one. That of the best evaluation is not deleted."""
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1, writer("x"))
    checkpoints.kept_step = 1
    for step in (2, 3):
        checkpoints.save(step, writer("x"))
    assert names(checkpoints) == ["step-000001", "step-000003"]
    assert checkpoints.of_step(1) == tmp_path / "step-000001"
    assert checkpoints.of_step(2) is None
    (tmp_path / "step-000003/state").write_text("damaged")
    assert checkpoints.of_step(3) is None
    assert checkpoints.newest() == tmp_path / "step-000001"


def test_the_folder_can_be_a_text(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path), keep=3)
    assert checkpoints.save(1, writer("x")) == checkpoints.newest() == tmp_path / "step-000001"
    assert repr(checkpoints) == f"Checkpoints('{tmp_path}', keep=3)"
