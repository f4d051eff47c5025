"""Multi-task learning: one encoder, a head for each task, one loop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minibert.files import read_json
from minibert.model import BertConfig, BertForSequenceClassification, load
from minibert.model.multitask import MultiTaskBert
from minibert.text.labeled.options import LabeledDataOptions
from minibert.text.labeled.text_rows import TextRow
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.training.adapter_options import AdapterConfig
from minibert.training.checkpoints import Checkpoints
from minibert.training.classification import Classification
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.events import Finished, StepDone
from minibert.training.finetuning import FineTuning
from minibert.training.finetuning_options import ClassifyOptions
from minibert.training.job import Job
from minibert.training.logits import predict
from minibert.training.multitask import MultiTask, prepare_multitask
from minibert.training.options import DeviceOptions, FineTuningConfig, OutputOptions
from minibert.training.transfer_options import TransferConfig

WORDS = "abcdefgh"
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS])
CONFIG = BertConfig(
    vocab_size=13,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=16,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.2,
)
CPU = DeviceOptions(device="cpu")


def make_rows(count: int, numbers: bool, seed: int) -> list[TextRow]:
    """Draw texts that begin with a random letter. The label is the letter, or its number in the alphabet."""
    generator, rows = np.random.default_rng(seed), []
    for _ in range(count):
        letters = [WORDS[index] for index in generator.integers(0, 4, generator.integers(1, 6))]
        label = str(WORDS.index(letters[0])) if numbers else letters[0]
        rows.append(TextRow(" ".join(letters), label=label))
    return rows


def make_task(
    epochs: float = 1, batch_size: int = 8, sizes: tuple[int, int] = (96, 32), validation: int = 20, **settings: Any
) -> MultiTask:
    config = FineTuningConfig(epochs=epochs, batch_size=batch_size, learning_rate=1e-2, **settings)
    types = {"first": Classification(("a", "b", "c", "d")), "number": Classification(("number",), "regression")}

    def new_model(task_type: Classification):
        return lambda: BertForSequenceClassification(task_type.model_config(CONFIG))

    tasks = {
        name: FineTuning(
            task_type,
            config,
            new_model(task_type),
            TOKENIZER,
            make_rows(size, name == "number", 0),
            make_rows(validation, name == "number", 1),
        )
        for (name, task_type), size in zip(types.items(), sizes, strict=True)
    }
    return MultiTask(tasks, config, {"task": "multi-task", "training": {}})


def test_batches_are_drawn_in_proportion_to_the_sizes() -> None:
    """Every batch is of one task, every example is seen once per epoch, and the order is random."""
    run = make_task(sizes=(96, 32)).make_run(CPU, SINGLE_PROCESS)
    epoch = run.examples.epoch(0)
    batches = [epoch.batch(indices) for indices in epoch.batch_indices(run.batch_sampler)]
    drawn = [batch.task for batch in batches]
    assert (drawn.count("first"), drawn.count("number")) == (12, 4)
    assert drawn != sorted(drawn)
    assert sum(len(batch.batch.input_ids) for batch in batches) == 128
    assert all(batch.batch.targets["labels"].is_floating_point() == (batch.task == "number") for batch in batches)
    lengths = [len(epoch.batch(np.array([index])).batch.input_ids[0]) for index in range(128)]
    assert lengths == epoch.lengths.tolist()


def test_a_batch_without_indices_has_no_targets() -> None:
    """It is for a process that has no examples in a step."""
    task = make_task()
    batch = task.make_run(CPU, SINGLE_PROCESS).examples.epoch(0).batch(np.array([], dtype=np.int64))
    assert (batch.task, len(batch.batch.input_ids)) == ("first", 1)
    assert task.tasks["first"].type.objective.target_counts(batch.batch) == {"classification": 0}


def test_a_step_trains_the_encoder_and_one_head() -> None:
    run = make_task().make_run(CPU, SINGLE_PROCESS)
    before = {name: parameter.clone() for name, parameter in run.model.named_parameters()}
    next(run.run())
    task = run.last_batches[0].task
    moved = {name for name, parameter in run.model.named_parameters() if not torch.equal(parameter, before[name])}
    other = next(name for name in ("first", "number") if name != task)
    assert any(name.startswith("bert.layers.0") for name in moved)
    assert f"heads.{task}.classifier.weight" in moved
    assert not any(name.startswith(f"heads.{other}") for name in moved)


def test_both_tasks_are_learned_and_saved_as_networks_of_their_own(tmp_path: Path) -> None:
    """The folder of each task holds a complete checkpoint that predicts as the shared model does."""
    task = make_task(epochs=8)
    job = Job(lambda directory, create: task, OutputOptions(tmp_path, evaluate_every=1000), CPU)
    events = list(job.events())
    [finished] = [event for event in events if isinstance(event, Finished)]
    evaluation = next(event.evaluation for event in reversed(events) if isinstance(event, StepDone) and event.evaluation)
    assert evaluation.entry["validation_first_accuracy"] > 0.9
    assert evaluation.entry["validation_number_pearson"] > 0.9
    scores = [evaluation.entry[f"validation_{name}"] for name in ("first_accuracy", "number_pearson")]
    assert evaluation.entry["validation_mean_score"] == pytest.approx(sum(scores) / 2)
    for name in ("first", "number"):
        folder = finished.folder / name
        settings = read_json(folder / "task.json")["settings"]
        model = load(folder, BertForSequenceClassification, new_head=False)
        rows = task.tasks[name].validation_rows
        predictions = predict(model, Classification.from_settings(settings), rows, load_tokenizer(folder))
        score = task.tasks[name].type.score(rows, predictions)
        metric = "accuracy" if name == "first" else "pearson"
        assert score[metric] == pytest.approx(evaluation.entry[f"validation_{name}_{metric}"], abs=1e-6)


def test_a_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    whole = make_task().make_run(CPU, SINGLE_PROCESS)
    losses = [step.losses["multitask"] for step in whole.run()]
    output = OutputOptions(tmp_path, checkpoint_every=5, evaluate_every=1000)
    job = Job(lambda directory, create: make_task(), output, CPU)
    for event in job.events():
        if isinstance(event, StepDone) and event.entry["step"] == 7:
            job.stop()
    resumed = make_task().make_run(CPU, SINGLE_PROCESS)
    resumed.resume(job.checkpoints.newest())
    assert resumed.steps_done == 7
    assert [step.losses["multitask"] for step in resumed.run()] == losses[7:]
    for name, parameter in resumed.model.state_dict().items():
        assert torch.equal(parameter, whole.model.state_dict()[name]), name


def test_saving_and_evaluating_draw_no_random_number(tmp_path: Path) -> None:
    """So that a resumed run has the dropout of a run without interruption."""
    task = make_task()
    run = task.make_run(CPU, SINGLE_PROCESS)
    before = torch.get_rng_state()
    run.save(Checkpoints(tmp_path), task.tokenizer)
    task.evaluate(run)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_has_the_gradient_of_the_task_alone() -> None:
    """The encoder's gradient of a batch equals that of a network with this task only."""
    task = make_task()
    run = task.make_run(CPU, SINGLE_PROCESS)
    alone = task.tasks["first"].new_model()
    alone.bert.load_state_dict(run.model.bert.state_dict())
    alone.classifier.load_state_dict(run.model.heads["first"].classifier.state_dict())
    epoch = run.examples.epoch(0)
    batch = next(batch for batch in map(epoch.batch, epoch.batch_indices(run.batch_sampler)) if batch.task == "first")
    run.objective.loss_sums(run.model, batch)["multitask"].loss.backward()
    task.tasks["first"].type.objective.loss_sums(alone, batch.batch)["classification"].loss.backward()
    for name, parameter in alone.bert.named_parameters():
        torch.testing.assert_close(run.model.bert.get_parameter(name).grad, parameter.grad)


def test_parameters_that_the_checkpoint_did_not_have_are_known() -> None:
    """So a new pooler is trained even if the pooler is to be frozen."""
    network = make_task().tasks["first"].new_model()
    network.initialized = ("pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias")
    assert "pooler.dense.weight" in MultiTaskBert({"first": network}).initialized


def test_several_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="runs in one process"):
        make_task().make_run(CPU, Processes(world_size=2))


@pytest.mark.parametrize(
    "settings", [{"transfer": TransferConfig(feature_extraction=True)}, {"adapter": AdapterConfig("lora")}]
)
def test_ways_to_train_a_single_task_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="--feature-extraction and --adapter are for one task"):
        make_task(**settings).make_run(CPU, SINGLE_PROCESS)


def test_the_config_determines_the_run() -> None:
    """The type of the weights, their initial values, and the random numbers of dropout."""
    run = make_task(seed=3, precision="float64").make_run(CPU, SINGLE_PROCESS)
    assert {parameter.dtype for parameter in run.model.parameters()} == {torch.float64}
    assert torch.initial_seed() == 3
    for seed in (3, 4):
        torch.manual_seed(99)
        weight = make_task(seed=seed, precision="float64").make_run(CPU, SINGLE_PROCESS).model.bert.embeddings.words.weight
        assert torch.equal(weight, run.model.bert.embeddings.words.weight) == (seed == 3)


def test_the_summary_has_the_data_of_each_task_and_the_steps_of_all() -> None:
    """The last batch of a task may be smaller than the others."""
    task = make_task(epochs=2, sizes=(97, 32))
    assert (task.steps_per_epoch, task.steps) == (17, 34)
    first, number, together = task.summary.split(":\n")[1:]
    assert first.strip().startswith("training: 97 rows")
    assert number.strip().startswith("training: 32 rows")
    assert together.strip().startswith("run: 34 steps (2 epochs of 17 steps), batch size 8")


def test_without_validation_rows_there_is_no_evaluation() -> None:
    task = make_task(validation=0)
    assert task.main_metric is None
    assert task.evaluate(task.make_run(CPU, SINGLE_PROCESS)) is None
    assert make_task().main_metric.heading == "mean score"


def test_an_evaluation_that_is_not_finite_has_the_name_of_its_task() -> None:
    task = make_task()
    run = task.make_run(CPU, SINGLE_PROCESS)
    with torch.no_grad():
        run.model.heads["number"].classifier.weight.fill_(torch.nan)
    assert task.evaluate(run) == ({}, "number: the loss is not finite")


def test_each_batch_is_described_with_its_task() -> None:
    task = make_task()
    run = task.make_run(CPU, SINGLE_PROCESS)
    batches = [run.examples.epoch(0).batch(np.array([index])) for index in (0, 96)]
    first, number = task.describe(batches)
    assert first.startswith("first: tokens: [CLS] ")
    assert number.startswith("number: tokens: [CLS] ")


class TestPreparation:
    """From files and a checkpoint."""

    def prepare(self, folder: Path, start: str = "start", **settings: Any) -> MultiTask:
        torch.manual_seed(0)
        BertForSequenceClassification(CONFIG).save_pretrained(folder / "start")
        save_tokenizer(TOKENIZER, folder / "start", CONFIG.max_position_embeddings)
        tasks = {}
        for name, labels in (("one", "xy"), ("two", "uvw")):
            rows = [f"{WORDS[each]}\t{labels[each % len(labels)]}\n" for each in range(8)]
            (folder / f"{name}.tsv").write_text("text\tlabel\n" + "".join(rows))
            tasks[name] = "classify", LabeledDataOptions((folder / f"{name}.tsv",), validation_fraction=0.3), ClassifyOptions()
        return prepare_multitask(tasks, FineTuningConfig(batch_size=2, epochs=2, **settings), str(folder / start))

    def test_each_task_has_its_data_and_the_settings_are_those_of_all(self, tmp_path: Path) -> None:
        task = self.prepare(tmp_path)
        labels = {name: each.type.labels for name, each in task.tasks.items()}
        assert labels == {"one": ("x", "y"), "two": ("u", "v", "w")}
        own = {name: each.settings for name, each in task.tasks.items()}
        assert task.settings == {
            "task": "multi-task",
            "training": {**own["one"]["training"], "steps": task.steps},
            "start": own["one"]["start"],
            "task_settings": {name: settings["task_settings"] for name, settings in own.items()},
            "corpus": {name: settings["corpus"] for name, settings in own.items()},
        }
        assert task.config == task.tasks["one"].config
        assert task.steps > own["one"]["training"]["steps"] > 0

    def test_an_error_has_the_name_of_its_task(self, tmp_path: Path) -> None:
        self.prepare(tmp_path)
        (tmp_path / "odd.tsv").write_text("text\tlabel\na\tx\n")
        data = {name: LabeledDataOptions((tmp_path / f"{name}.tsv",), validation_fraction=0.3) for name in ("one", "odd")}
        tasks = {name: ("classify", each, ClassifyOptions()) for name, each in data.items()}
        with pytest.raises(ValueError, match=r"^odd: "):
            prepare_multitask(tasks, FineTuningConfig(), str(tmp_path / "start"))

    def test_they_do_not_begin_with_an_adapter(self, tmp_path: Path) -> None:
        (tmp_path / "adapter").mkdir()
        (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
        with pytest.raises(ValueError, match="several tasks at once cannot have an adapter: give no --adapter, and begin with"):
            self.prepare(tmp_path, "adapter")
