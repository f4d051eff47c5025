"""Pretraining runs: data order, saving and resuming, hyperparameters, cost."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from minibert import BertForMaskedLM, BertForPreTraining, load_tokenizer
from minibert.model import PRESETS
from minibert.text.corpus import Document
from minibert.text.options import ExampleConfig, InvalidOption
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training import run as run_module
from minibert.training.checkpoints import Checkpoints, set_seed
from minibert.training.costs import pretraining_cost
from minibert.training.distributed import Processes, start_processes
from minibert.training.loop import Step
from minibert.training.options import DeviceOptions, PretrainingConfig
from minibert.training.pretraining import pretraining_run, validation_batches
from minibert.training.run import STATE_FILE, DataPosition, TrainingRun

WORDS = [f"w{number}" for number in range(40)]
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS])
SMALL = PretrainingConfig(steps=8, batch_size=13, learning_rate=1e-2, examples=ExampleConfig(max_length=16))
"""Hyperparameters for the tests. An epoch has about four steps."""


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(PRESETS["tiny"], hidden_size=16, num_attention_heads=2, intermediate_size=32)
    monkeypatch.setitem(PRESETS, "tiny", small)


def corpus() -> TokenizedCorpus:
    generator = np.random.default_rng(0)
    texts = [tuple(" ".join(generator.choice(WORDS, 5)) for _ in range(1 + d % 4)) for d in range(30)]
    return TokenizedCorpus.from_documents([Document(f"{d}", text) for d, text in enumerate(texts)], TOKENIZER)


def make(config: PretrainingConfig = SMALL, device_options: DeviceOptions = DeviceOptions(device="cpu")) -> TrainingRun:  # noqa: B008
    return pretraining_run(config, device_options, corpus(), TOKENIZER)


def weights(run: TrainingRun) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in run.model.parameters()]


def test_the_weights_of_the_model_to_begin_with_are_in_memory_once() -> None:
    """The task keeps that model during the whole run."""
    start = make().model
    run = pretraining_run(SMALL, DeviceOptions(device="cpu"), corpus(), TOKENIZER, start=start)
    for one, other in zip(start.parameters(), run.model.parameters(), strict=True):
        assert one.data_ptr() == other.data_ptr()
        assert other.requires_grad


def test_a_run_is_shown_with_its_network_and_its_steps() -> None:
    run = make()
    assert repr(run) == f"TrainingRun(BertForPreTraining, {run.objective}, step 0 of 8)"


def test_model_and_batches_are_on_the_device_of_the_process() -> None:
    run = pretraining_run(SMALL, DeviceOptions(device="cpu"), corpus(), TOKENIZER, Processes(device=torch.device("meta")))
    assert {parameter.device.type for parameter in run.model.parameters()} == {"meta"}
    _, batches, on_device = next(run._copied_batches())
    assert (batches[0].input_ids.device.type, on_device[0].input_ids.device.type) == ("cpu", "meta")


def test_the_states_that_are_saved_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process has those of all, in the memory of the CPU."""
    asked = []
    monkeypatch.setattr(run_module, "get_optimizer_state_dict", lambda *_, options: asked.append(options) or {"state": {}})
    monkeypatch.setattr(run_module, "get_model_state_dict", lambda *_, options: asked.append(options) or {})
    run = make()
    run._optimizer_state()
    run.weights()
    assert [(options.full_state_dict, options.cpu_offload) for options in asked] == [(True, True)] * 2


def test_a_sharded_model_cannot_train_other_parameters_in_each_epoch() -> None:
    run = make()
    settings = {"batch_sampler": run.batch_sampler, "optimizer": lambda _: None, "schedule": lambda _: None, "steps": 1}
    with pytest.raises(ValueError, match="cannot change between epochs: use ddp"):
        TrainingRun(
            *(run.model, run.examples, run.objective),
            **settings,
            start_epoch=lambda _: None,
            sharding="fsdp",
            processes=Processes(world_size=2),
        )
    alone = TrainingRun(run.model, run.examples, run.objective, **settings, start_epoch=lambda _: None, sharding="fsdp")
    assert (alone.max_grad_norm, alone.skipped_in_a_row) == (1.0, 0)


def test_gathered_weights_are_freed_after_an_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    run, freed = make(), []
    monkeypatch.setattr(run_module, "reshard", freed.append)
    run.evaluate(validation_batches(SMALL, corpus(), TOKENIZER, limit=2))
    assert freed == [run.model]


@dataclass(frozen=True)
class Waiting(Processes):
    """A process that notes which files of a folder exist when it waits for the others."""

    folder: Path = Path()
    seen: list[list[str]] = field(default_factory=list)

    def barrier(self) -> None:
        self.seen.append(sorted(path.name for path in self.folder.glob("step-*/*")))


def test_processes_go_on_when_the_checkpoint_is_complete(tmp_path: Path) -> None:
    """So that none of them ends before, which would end the others."""
    processes = Waiting(folder=tmp_path)
    pretraining_run(SMALL, DeviceOptions(device="cpu"), corpus(), TOKENIZER, processes).save(Checkpoints(tmp_path))
    assert processes.seen == [["checksums.json", "config.json", "model.safetensors", STATE_FILE]]


def test_extra_files_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    """One that the checkpoint does not have stays as it is."""
    run, other = make(), make()
    run.extra_files |= {"a.json": "1", "b.json": "2"}
    run.save(Checkpoints(tmp_path))
    for read in (other.resume, other.restore_weights):
        other.extra_files = {"a.json": "0", "b.json": "0", "c.json": "0"}
        read(Checkpoints(tmp_path).newest())
        assert other.extra_files == {"a.json": "1", "b.json": "2", "c.json": "0"}


def test_skipped_steps_are_counted_until_a_step_is_not() -> None:
    run = make()
    counts = []
    for step in run.run():
        with torch.no_grad():
            bias = run.model.mlm.bias
            bias[0] = torch.nan if step.number <= 2 else 0.0
        counts.append(run.skipped_in_a_row)
    assert counts == [0, 1, 2, 0, 0, 0, 0, 0]


def test_a_step_that_is_not_skipped_sets_the_count_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    skipped = [True, True, False, True, False]
    steps = [Step(number, {}, {}, 1.0, 0.1, each) for number, each in enumerate(skipped, start=1)]
    monkeypatch.setattr(run_module, "train", lambda *_, **__: iter(steps))
    run = make()
    assert [run.skipped_in_a_row for _ in run.run()] == [1, 2, 0, 1, 0]
    assert run.steps_done == 5


@pytest.mark.parametrize("stops", [[1], [3, 4], [4], [7]])
def test_resumed_run_ends_bit_for_bit_the_same(tmp_path: Path, stops: list[int]) -> None:
    """Saved in the middle and at the end of an epoch, with dropout; resumed in new objects with another random state."""
    whole = make()
    expected = list(whole.run())
    checkpoints, found, run = Checkpoints(tmp_path), [], make()
    for stop in stops:
        for step in run.run():
            found.append(step)
            if step.number == stop:
                break
        run.save(checkpoints)
        torch.manual_seed(99)
        run = make()
        torch.manual_seed(stop)
        run.resume(checkpoints.newest())
        assert run.steps_done == stop
    found += run.run()
    assert found == expected
    for one, other in zip(weights(whole), weights(run), strict=True):
        assert torch.equal(one, other)


def test_a_run_is_resumed_before_its_first_step(tmp_path: Path) -> None:
    """No parameter has a state of the optimizer then, also after a step of the resumed run, and all are trained."""
    expected = [*make().run()]
    run, resumed = make(), make()
    run.save(Checkpoints(tmp_path))
    assert not run.optimizer.state
    next(resumed.run())
    resumed.resume(Checkpoints(tmp_path).newest())
    assert not resumed.optimizer.state
    assert all(parameter.requires_grad for parameter in resumed.model.parameters())
    assert [*resumed.run()] == expected
    set_seed(SMALL.seed)
    assert [*run.run()] == expected


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x02nonsense"])
def test_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    """The message has no advice to read the file without protection."""
    (tmp_path / STATE_FILE).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{STATE_FILE}: is (empty|an HTML page|not a complete file)") as error:
        make().resume(tmp_path)
    assert "weights_only" not in str(error.value)


def test_checkpoint_loads_in_transformers(tmp_path: Path) -> None:
    """The checkpoint has the model in Hugging Face's format, with the tokenizer."""
    run = make()
    next(run.run())
    run.save(Checkpoints(tmp_path), TOKENIZER)
    folder = Checkpoints(tmp_path).newest()
    assert load_tokenizer(folder).get_vocab() == TOKENIZER.get_vocab()
    loaded = BertForPreTraining.from_pretrained(folder)
    for name, parameter in loaded.state_dict().items():
        assert torch.equal(parameter, run.model.state_dict()[name])
    transformers = pytest.importorskip("transformers")
    _, report = transformers.BertForPreTraining.from_pretrained(folder, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    run.export(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "model.safetensors"}


def test_micro_batches_change_no_result() -> None:
    """Micro-batches give the same results to 1e-10 in float64, over whole epochs whose last step is smaller."""
    config = replace(SMALL, precision="float64", dropout=0.0)
    whole, parts = make(config), make(config, DeviceOptions(device="cpu", micro_batch_size=3))
    for one, other in zip(whole.run(), parts.run(), strict=True):
        assert len(parts.last_batches) > 1
        assert all(abs(one.losses[term] - other.losses[term]) < 1e-10 for term in ("mlm", "nsp"))
        assert one.accuracies == other.accuracies
    for one, other in zip(weights(whole), weights(parts), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_every_example_is_used_once_per_epoch() -> None:
    """An epoch uses all examples, then the next one begins; the data position counts the steps."""
    run = make()
    size = len(run.examples.epoch(0).lengths)
    seen = 0
    for position, batches in run.batches():
        seen += sum(len(batch.input_ids) for batch in batches)
        if position.epoch == 1:
            break
        last = position
    assert seen - sum(len(batch.input_ids) for batch in batches) == size
    assert position == DataPosition(1, 1)
    assert last == DataPosition(0, -(-size // SMALL.batch_size))


def test_pair_task_determines_the_heads() -> None:
    """Without pairs there is no NSP head and no NSP loss."""
    alone = make(replace(SMALL, examples=replace(SMALL.examples, pairs="none")))
    assert isinstance(alone.model, BertForMaskedLM)
    assert set(next(alone.run()).losses) == {"mlm"}
    assert set(next(make(replace(SMALL, examples=replace(SMALL.examples, pairs="sop"))).run()).losses) == {"mlm", "sop"}


def test_hyperparameters_reach_the_run() -> None:
    """Model, optimizer and schedule have the configured hyperparameters."""
    config = replace(SMALL, learning_rate=0.5, warmup_fraction=0.25, weight_decay=0.3, dropout=0.2, seed=4)
    run = make(config)
    assert run.model.config.hidden_dropout_prob == run.model.config.attention_probs_dropout_prob == 0.2
    assert run.model.config.max_position_embeddings == 16
    assert run.model.config.vocab_size == TOKENIZER.get_vocab_size()
    assert {group["weight_decay"] for group in run.optimizer.param_groups} == {0.3, 0.0}
    assert [step.learning_rate for step in run.run()][:3] == [0.25, 0.5, pytest.approx(0.5 * 6 / 6)]
    assert not torch.equal(weights(make(config))[0], weights(make())[0])
    assert torch.equal(weights(make(config))[0], weights(make(config))[0])
    assert make(config, DeviceOptions(device="cpu", recompute=True)).model.bert.layers.recompute
    assert PretrainingConfig(preset="base").peak_learning_rate == 1e-4 < PretrainingConfig(preset="tiny").peak_learning_rate


@pytest.mark.slow
def test_compiled_model_trains_the_same(without_shape_checks: None) -> None:
    """Losses are equal up to rounding, and the parameter names are equal."""
    plain, compiled = (
        make(replace(SMALL, dropout=0.0)),
        make(replace(SMALL, dropout=0.0), DeviceOptions(device="cpu", compile=True)),
    )
    for one, other, _ in zip(plain.run(), compiled.run(), range(3), strict=False):
        assert one.losses["mlm"] == pytest.approx(other.losses["mlm"], abs=1e-4)
    assert plain.model.state_dict().keys() == compiled.model.state_dict().keys()


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_on_a_gpu(tmp_path: Path, precision: str) -> None:
    """The first steps equal those of the CPU up to rounding, and resuming is bit for bit exact."""
    config, device_options = replace(SMALL, precision=precision, dropout=0.0), DeviceOptions(device="cuda")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        on_cpu = [step.losses["mlm"] for step in make(config).run()]
        found = list(pretraining_run(config, device_options, corpus(), TOKENIZER, start_processes("cuda")).run())
        assert [step.losses["mlm"] for step in found][:3] == pytest.approx(on_cpu[:3], abs=0.05)
        run = pretraining_run(config, device_options, corpus(), TOKENIZER, start_processes("cuda"))
        checkpoints = Checkpoints(tmp_path)
        for step in run.run():
            if step.number == 3:
                break
        run.save(checkpoints)
        run = pretraining_run(config, device_options, corpus(), TOKENIZER, start_processes("cuda"))
        run.resume(checkpoints.newest())
        assert list(run.run()) == found[3:]
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.cuda
@pytest.mark.parametrize("devices", [("cpu", "cuda"), ("cuda", "cpu")])
def test_run_moves_to_another_device(tmp_path: Path, devices: tuple[str, str]) -> None:
    """A run begun on one device and continued on the other has the losses of a run on one device, up to rounding."""
    config = replace(SMALL, dropout=0.0)
    expected = [step.losses["mlm"] for step in make(config).run()]
    found = []
    for device in devices:
        run = pretraining_run(config, DeviceOptions(device=device), corpus(), TOKENIZER, start_processes(device))
        if found:
            run.resume(Checkpoints(tmp_path).newest())
        for step in run.run():
            found.append(step.losses["mlm"])
            if step.number == 4 and device == devices[0]:
                break
        run.save(Checkpoints(tmp_path))
    assert found == pytest.approx(expected, abs=1e-3)


def test_validation_examples_are_the_same_in_every_run() -> None:
    """Validation examples do not depend on the seed, masking options and batch size of the run."""
    first = validation_batches(SMALL, corpus(), TOKENIZER)
    other = replace(SMALL, seed=5, batch_size=2, examples=replace(SMALL.examples, mlm_probability=0.9, whole_word_masking=True))
    for one, same in zip(first, validation_batches(other, corpus(), TOKENIZER), strict=True):
        assert torch.equal(one.input_ids, same.input_ids)
        assert torch.equal(one.labels, same.labels)
    assert sum(len(batch.input_ids) for batch in validation_batches(SMALL, corpus(), TOKENIZER, limit=10)) == 10


def test_operations_equal_pytorchs_count() -> None:
    """The number of operations equals that of PyTorch's counter, for a forward and backward pass without padding."""
    from torch.utils.flop_counter import FlopCounterMode

    run = make(replace(SMALL, dropout=0.0))
    run.model.set_attention("explicit")
    epoch = run.examples.epoch(0)
    (longest,) = np.flatnonzero(epoch.lengths == 16)[:1]
    batch = epoch.batch(np.array([longest] * 3))
    with FlopCounterMode(display=False) as counter:
        loss_sums = run.objective.loss_sums(run.model, batch)
        (loss_sums["mlm"].loss + loss_sums["nsp"].loss).backward()
    tokens, operations = pretraining_cost(run.model.config, [batch])
    assert tokens == 48
    assert pretraining_cost(run.model.config, [batch, batch]) == (2 * tokens, 2 * operations)
    heads = 3 * 3 * (2 * 16 * 16 + 2 * 16 * 2)  # pooler and NSP head, which are not counted: one token per example
    assert operations + heads == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps 0: must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate 0: must be a number above 0"),
        ({"warmup_fraction": 1.0}, "warmup_fraction 1: must be at least 0 and below 1"),
        ({"dropout": 1.0}, "dropout 1: must be at least 0 and below 1"),
        ({"seed": -1}, "must be at least 0"),
        ({"seed": 2**63}, "must be at least 0 and below 2\\^63"),
        ({"weight_decay": float("nan")}, "weight_decay nan: must be at least 0"),
        ({"learning_rate": float("inf")}, "learning_rate inf: must be a number above 0"),
    ],
)
def test_invalid_options_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        PretrainingConfig(**settings)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("name", ["seed", "learning_rate", "steps", "dropout"])
def test_a_string_is_not_a_number(name: str) -> None:
    with pytest.raises(InvalidOption, match=f"{name} '1': must be a number"):
        PretrainingConfig(**{name: "1"})
