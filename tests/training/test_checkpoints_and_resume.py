"""Checkpoints: which one is the newest, how many stay, which are damaged; and what a resumed run continues with."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from minibert.model import PRESETS
from minibert.text.corpus import Document
from minibert.text.options import ExampleConfig
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training import pretraining
from minibert.training.checkpoints import Checkpoints, random_states, set_random_state
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.options import DeviceOptions, PretrainingConfig
from minibert.training.run import TrainingRun

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *"abcdefgh"])
STEPS = 6


def make_run(seed: int = 0, **settings: object) -> TrainingRun:
    """A pretraining run of six steps with dropout, over two epochs and a half."""
    words = np.random.default_rng(0).choice([*"abcdefgh"], (8, 2, 4))
    documents = [Document(f"d{number}", tuple(" ".join(some) for some in text)) for number, text in enumerate(words)]
    corpus = TokenizedCorpus.from_documents(documents, TOKENIZER)
    examples = ExampleConfig(max_length=12, mlm_probability=0.4)
    config = PretrainingConfig(steps=STEPS, batch_size=5, learning_rate=1e-2, seed=seed, examples=examples, **settings)
    return pretraining.pretraining_run(config, DeviceOptions(device="cpu"), corpus, TOKENIZER)


def make_checkpoints(folder: Path, **options: int) -> Checkpoints:
    return Checkpoints(folder, **options)


def write(folder: Path) -> None:
    """Put two files into the folder of a checkpoint."""
    (folder / "weights").write_text(folder.name)
    (folder / "state").write_text("x" * 50)


def steps_in(folder: Path) -> list[int]:
    """The steps of all checkpoints that are there."""
    return sorted(int(path.name.removeprefix("step-")) for path in folder.glob("step-*"))


def newest_step(checkpoints: Checkpoints) -> int | None:
    folder = checkpoints.newest()
    return folder and int(folder.name.removeprefix("step-"))


def advance(run: TrainingRun, steps: int) -> None:
    for step in run.run():
        if step.number == steps:
            break


def numpy_normal() -> float:
    return float(np.random.randn())  # noqa: NPY002 - the generator that other libraries use


DRAWS: dict[str, Callable[[], float]] = {
    "torch": lambda: torch.rand(()).item(),
    "torch normal": lambda: torch.randn(()).item(),
    "numpy": lambda: float(np.random.rand()),  # noqa: NPY002
    "numpy normal": numpy_normal,
    "python": random.random,
    "python normal": lambda: random.gauss(0, 1),
}
"""One number from each generator. Normal numbers come in pairs, of which the second one is part of the state."""


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(PRESETS["tiny"], hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    monkeypatch.setitem(PRESETS, "tiny", small)


class TestCheckpoints:
    @pytest.mark.parametrize("keep", [1, 2, 3])
    def test_as_many_as_asked_for_stay_and_they_are_the_last_ones(self, tmp_path: Path, keep: int) -> None:
        checkpoints = make_checkpoints(tmp_path, keep=keep)
        saved = [3, 20, 100, 999_999, 1_000_000, 10_000_000]
        for count, step in enumerate(saved, start=1):
            checkpoints.save(step, write)
            assert steps_in(tmp_path) == saved[max(0, count - keep) : count]
            assert newest_step(checkpoints) == step

    def test_two_stay_by_default(self, tmp_path: Path) -> None:
        for step in (1, 2, 3, 4):
            make_checkpoints(tmp_path).save(step, write)
        assert steps_in(tmp_path) == [3, 4]

    def test_the_newest_is_that_of_the_highest_step_not_of_the_last_name_or_time(self, tmp_path: Path) -> None:
        """Step 1,000,000 has a name that sorts before step 999,999; and the older folder is touched last."""
        checkpoints = make_checkpoints(tmp_path)
        for step in (999_999, 1_000_000):
            checkpoints.save(step, write)
        (tmp_path / "step-999999" / "state").touch()
        assert newest_step(checkpoints) == 1_000_000

    @pytest.mark.parametrize("damaged", [[], [9], [9, 7], [7], [9, 7, 5], [9, 7, 5, 3]])
    def test_the_newest_is_the_last_one_that_is_not_damaged(self, tmp_path: Path, damaged: list[int]) -> None:
        """None if all are damaged."""
        checkpoints = make_checkpoints(tmp_path, keep=4)
        folders = {step: checkpoints.save(step, write) for step in (3, 5, 7, 9)}
        for step in damaged:
            (folders[step] / "state").write_text("x" * 49 + "y")
        assert newest_step(checkpoints) == max({3, 5, 7, 9} - {*damaged}, default=None)

    def test_damage_to_any_file_is_noticed(self, tmp_path: Path) -> None:
        """One byte more, one less, another one, or no file at all."""
        checkpoints = make_checkpoints(tmp_path, keep=9)
        checkpoints.save(1, write)
        for step, (name, change) in enumerate(
            [(name, change) for name in ("weights", "state") for change in ("longer", "shorter", "other", "missing")], start=2
        ):
            file = checkpoints.save(step, write) / name
            content = file.read_text()
            assert newest_step(checkpoints) == step
            if change == "missing":
                file.unlink()
            else:
                file.write_text({"longer": content + "x", "shorter": content[:-1], "other": content[:-1] + "z"}[change])
            assert newest_step(checkpoints) == 1

    def test_other_files_and_folders_are_no_checkpoints_and_stay(self, tmp_path: Path) -> None:
        checkpoints = make_checkpoints(tmp_path, keep=1)
        for name in ("step-", "step-old", "step-12.bak", "my-step-5"):
            (tmp_path / name).mkdir()
        assert checkpoints.newest() is None
        checkpoints.save(1, write)
        checkpoints.save(2, write)
        assert newest_step(checkpoints) == 2
        assert {path.name for path in tmp_path.iterdir()} == {"step-", "step-old", "step-12.bak", "my-step-5", "step-000002"}

    def test_a_failed_save_deletes_no_older_checkpoint(self, tmp_path: Path) -> None:
        """Not even where the new one would have replaced it."""
        checkpoints = make_checkpoints(tmp_path, keep=1)
        checkpoints.save(1, write)

        def fail(folder: Path) -> None:
            write(folder)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(2, fail)
        assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
        assert newest_step(checkpoints) == 1


class TestRandomStates:
    @pytest.mark.parametrize("first", DRAWS)
    def test_every_generator_continues_where_it_was(self, first: str) -> None:
        """From the middle of a pair of normal numbers, too."""
        for draw in DRAWS.values():
            draw()
        DRAWS[first]()
        states = random_states(SINGLE_PROCESS)
        expected = {name: [draw() for _ in range(3)] for name, draw in DRAWS.items()}
        for _ in range(5):
            DRAWS[first]()
        set_random_state(states, SINGLE_PROCESS)
        assert {name: [draw() for _ in range(3)] for name, draw in DRAWS.items()} == expected


class TestResume:
    @pytest.mark.parametrize("stop", [1, 2, 4])
    def test_the_random_numbers_after_it_are_those_after_saving(
        self, tmp_path: Path, stop: int, without_shape_checks: None
    ) -> None:
        """Of torch, NumPy and Python, in a run with other objects and another random state.

        Shape checks are off because they draw from Python's generator.
        """
        run, checkpoints = make_run(), make_checkpoints(tmp_path)
        advance(run, stop)
        for draw in DRAWS.values():
            draw()
        run.save(checkpoints)
        expected = {name: draw() for name, draw in DRAWS.items()}
        other = make_run(seed=5)
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)
        folder = checkpoints.newest()
        assert folder is not None
        other.resume(folder)
        assert {name: draw() for name, draw in DRAWS.items()} == expected

    def test_saving_itself_draws_no_random_number(self, tmp_path: Path) -> None:
        """So that a run that is saved often ends like one that never is."""
        plain, saved = make_run(), make_run()
        torch.manual_seed(3)
        expected = list(plain.run())
        torch.manual_seed(3)
        found = []
        for step in saved.run():
            found.append(step)
            saved.save(make_checkpoints(tmp_path))
        assert found == expected
        assert steps_in(tmp_path) == [STEPS - 1, STEPS]

    def test_steps_learning_rates_losses_and_weights_are_those_of_an_uninterrupted_run(self, tmp_path: Path) -> None:
        """After resuming from the last checkpoint that is whole: the damaged one after it has no influence."""
        whole, run, checkpoints = make_run(), make_run(), make_checkpoints(tmp_path)
        torch.manual_seed(0)
        expected = list(whole.run())
        torch.manual_seed(0)
        for step in run.run():
            if step.number in (3, 4):
                run.save(checkpoints)
            if step.number == 4:
                break
        damaged = tmp_path / "step-000004" / "model.safetensors"
        damaged.write_bytes(damaged.read_bytes()[:-1])
        resumed, folder = make_run(seed=9), checkpoints.newest()
        assert folder is not None
        assert folder.name == "step-000003"
        resumed.examples = run.examples
        resumed.resume(folder)
        found = list(resumed.run())
        assert [step.number for step in found] == [4, 5, 6]
        assert found == expected[3:]
        assert all(map(torch.equal, whole.model.state_dict().values(), resumed.model.state_dict().values()))

    def test_the_moments_of_the_optimizer_are_restored(self, tmp_path: Path) -> None:
        """And the number of updates that they have seen."""
        run, checkpoints = make_run(), make_checkpoints(tmp_path)
        advance(run, 3)
        run.save(checkpoints)
        other, folder = make_run(seed=1), checkpoints.newest()
        assert folder is not None
        other.resume(folder)
        pairs = zip(run.model.parameters(), other.model.parameters(), strict=True)
        for one, same in pairs:
            assert torch.equal(one, same)
            state, restored = run.optimizer.state[one], other.optimizer.state[same]
            assert float(restored["step"]) == 3
            assert torch.equal(state["exp_avg"], restored["exp_avg"])
            assert torch.equal(state["exp_avg_sq"], restored["exp_avg_sq"])
        assert [group["lr"] for group in other.optimizer.param_groups] == [group["lr"] for group in run.optimizer.param_groups]
