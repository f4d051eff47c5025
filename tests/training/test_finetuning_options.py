"""Options of fine-tuning: each is obeyed by a run, stored in run.json, and survives stopping and resuming bit for bit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from minibert.model import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    load,
)
from minibert.model.adapters import BitFit
from minibert.model.outputs import TokenClassifierOutput
from minibert.text.labeled.examples import Example, make_batch
from minibert.text.labeled.question_windows import QuestionWindow
from minibert.text.labeled.text_rows import TextRow
from minibert.text.options import MAX_LENGTH, MIN_LENGTH, InvalidOption
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training.classification import Classification, ClassificationObjective
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.events import Finished, Saved
from minibert.training.features import CachedBert, cache_features
from minibert.training.finetuning import FineTuning, with_dropout
from minibert.training.finetuning_options import AnswerOptions, ClassifyOptions, TagOptions
from minibert.training.job import Job, JobError
from minibert.training.objective import balanced_class_weights
from minibert.training.options import DeviceOptions, FineTuningConfig, OutputOptions
from minibert.training.tagging import Tagging
from minibert.training.transfer import part_of
from minibert.training.transfer_options import TransferConfig

WORDS = "abcdefgh"
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS])
CONFIG = BertConfig(
    vocab_size=13, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=16
)
CPU = DeviceOptions(device="cpu", micro_batch_size=3)
TRAINING = FineTuningConfig(epochs=3, batch_size=6, learning_rate=0.01, precision="float64")
NEW_HEAD = ("classifier.weight", "classifier.bias")
NEW_POOLER = ("pooler.dense.weight", "pooler.dense.bias", *NEW_HEAD)


def make_rows(count: int, seed: int) -> list[TextRow]:
    """Draw texts whose label is their first letter. Three of four begin with "a"."""
    generator = np.random.default_rng(seed)
    texts = [generator.choice([*WORDS], generator.integers(1, 6)) for _ in range(count)]
    return [
        TextRow(" ".join(["a" if each % 4 else "b", *text]), label="a" if each % 4 else "b") for each, text in enumerate(texts)
    ]


def make_task(transfer: TransferConfig | None = None, new: tuple[str, ...] = NEW_HEAD, **options: Any) -> FineTuning:
    config = replace(TRAINING, transfer=transfer or TransferConfig(), **options)
    task_type = Classification(("a", "b"))

    def new_model() -> BertForSequenceClassification:
        torch.manual_seed(3)
        model_config = with_dropout(task_type.model_config(CONFIG), config.dropout, config.classifier_dropout)
        model = BertForSequenceClassification(model_config)
        model.initialized = new
        return model

    task = FineTuning(task_type, config, new_model, TOKENIZER, make_rows(16, 0), make_rows(8, 1))
    settings = {"task": "classification", "training": {**asdict(config), "steps": task.steps}}
    return replace(task, settings=settings)


def run_job(task: FineTuning, out: Path, stop_after: int | None = None, **options: Any) -> list[Any]:
    """Run a job to its end, or leave it after the checkpoint of a step, as if it was killed."""
    out.mkdir(exist_ok=True)
    every = 100 if stop_after is None else stop_after
    output = OutputOptions(out, **{"resume": True, "checkpoint_every": every, "keep": 1, "evaluate_every": None} | options)
    events = Job(lambda folder, create: task, output, CPU, SINGLE_PROCESS).events()
    if stop_after is None:
        return list(events)
    next(event for event in events if isinstance(event, Saved) and event.step == stop_after)
    events.close()
    return []


def weights(out: Path) -> Mapping[str, Tensor]:
    return load(out).state_dict()


def moved_parts(task: FineTuning, out: Path) -> set:
    before = task.new_model()
    after = weights(out)
    return {part_of(before, name) for name, each in before.double().state_dict().items() if not torch.equal(each, after[name])}


ALL = {"embeddings", 0, 1, "pooler", "head"}


class TestOptionsAreObeyed:
    @pytest.mark.parametrize(
        ("transfer", "moved"),
        [
            (TransferConfig(), ALL),
            (TransferConfig(freeze="embeddings,0"), {1, "pooler", "head"}),
            (TransferConfig(freeze="encoder"), {"head"}),
            (TransferConfig(feature_extraction=True), {"head"}),
            (TransferConfig(unfreeze_per_epoch=1), ALL - {"embeddings"}),
            (TransferConfig(unfreeze_per_epoch=1, freeze="1"), ALL - {1}),
            (TransferConfig(layer_decay=0.5), ALL),
            (TransferConfig(reinitialize=1), ALL),
        ],
    )
    def test_the_parts_that_move(self, tmp_path: Path, transfer: TransferConfig, moved: set) -> None:
        """The last event and the written model agree, and run.json has the option."""
        task = make_task(transfer)
        *_, finished = run_job(task, tmp_path)
        assert moved_parts(task, tmp_path) == moved
        assert isinstance(finished, Finished)
        assert not [note for note in finished.notes if "not moved" in note or "Frozen, but" in note]
        assert json.loads((tmp_path / "run.json").read_text())["training"]["transfer"] == asdict(transfer)

    def test_a_new_pooler_is_trained_in_feature_extraction(self, tmp_path: Path) -> None:
        task = make_task(TransferConfig(feature_extraction=True), NEW_POOLER)
        run_job(task, tmp_path)
        assert moved_parts(task, tmp_path) == {"pooler", "head"}

    def test_layers_have_their_learning_rates(self, tmp_path: Path) -> None:
        """In metrics.jsonl: the rates of the groups in each step."""
        run_job(make_task(TransferConfig(layer_decay=0.5), schedule="constant", warmup_fraction=0), tmp_path)
        entry = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
        assert {*entry["learning_rate"]} == {0.01, 0.005, 0.0025}

    def test_new_layers_differ_from_those_of_the_checkpoint(self) -> None:
        task = make_task(TransferConfig(reinitialize=1))
        run = task.make_run(CPU, SINGLE_PROCESS)
        start = task.new_model().double().state_dict()
        changed = {part_of(run.model, n) for n, each in run.model.state_dict().items() if not torch.equal(each, start[n])}
        assert changed == {1, "pooler"}

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"schedule": "linear", "warmup_fraction": 0.0}, [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
            ({"schedule": "constant", "warmup_fraction": 0.0}, [1] * 6),
            ({"schedule": "constant", "warmup_fraction": 0.5}, [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ],
    )
    def test_schedules(self, options: Mapping[str, Any], expected: list[float]) -> None:
        """Without warm-up, the first step has the full rate, and linear decay is that of transformers."""
        run = make_task(steps=6, **options).make_run(CPU, SINGLE_PROCESS)
        assert [step.learning_rate for step in run.run()] == pytest.approx([0.01 * factor for factor in expected])

    def test_steps_replace_epochs(self) -> None:
        assert (make_task().steps, make_task(steps=5).steps) == (9, 5)

    def test_dropout_of_the_classifier(self) -> None:
        for options, expected in (({}, 0.1), ({"dropout": 0.3}, 0.3), ({"dropout": 0.3, "classifier_dropout": 0.0}, 0.0)):
            model = make_task(**options).make_run(CPU, SINGLE_PROCESS).model
            assert model.dropout.p == expected
            assert model.bert.layers[0].dropout.p == options.get("dropout", 0.1)


class TestOptionsOfTasks:
    @pytest.mark.parametrize("options", [ClassifyOptions, AnswerOptions, TagOptions])
    @pytest.mark.parametrize("length", [MIN_LENGTH - 1, MAX_LENGTH + 1])
    def test_lengths_out_of_range(self, options: type[Any], length: int) -> None:
        """The longest and, without windows, the shortest one are allowed."""
        with pytest.raises(InvalidOption, match=f"max_length {length}: must be from {MIN_LENGTH} to {MAX_LENGTH}"):
            options(max_length=length)
        assert options(max_length=MAX_LENGTH).max_length == MAX_LENGTH
        assert ClassifyOptions(max_length=MIN_LENGTH).max_length == MIN_LENGTH

    def test_a_label_is_a_number_or_several_classes(self) -> None:
        with pytest.raises(InvalidOption, match="--multi-label and --regression: give only one"):
            ClassifyOptions(multi_label=True, regression=True)


class TestCombinations:
    @pytest.mark.parametrize(
        ("transfer", "message"),
        [
            (TransferConfig(freeze="2"), r"--freeze 2: the network has no part '2'; parts: embeddings, pooler, the layers 0-1"),
            (TransferConfig(freeze="encoder", layer_decay=0.5), "--layer-decay has no effect: all layers are frozen"),
            (TransferConfig(freeze="encoder", unfreeze_per_epoch=1), "--unfreeze-per-epoch has no effect"),
            (TransferConfig(reinitialize=3), "top 3 layers again: the network has 2"),
        ],
    )
    def test_what_has_no_effect_is_refused(self, tmp_path: Path, transfer: TransferConfig, message: str) -> None:
        with pytest.raises(JobError, match=message):
            run_job(make_task(transfer), tmp_path)

    @pytest.mark.parametrize("options", [{"freeze": "0"}, {"unfreeze_per_epoch": 1}, {"layer_decay": 0.9}, {"reinitialize": 1}])
    def test_feature_extraction_trains_no_layer(self, options: Mapping[str, Any]) -> None:
        with pytest.raises(InvalidOption, match="--feature-extraction trains no layer of the encoder: leave out --"):
            TransferConfig(feature_extraction=True, **options)

    @pytest.mark.parametrize(
        "options", [{"unfreeze_per_epoch": 0}, {"layer_decay": 0.0}, {"layer_decay": 1.1}, {"reinitialize": -1}]
    )
    def test_values_out_of_range(self, options: Mapping[str, Any]) -> None:
        with pytest.raises(InvalidOption, match="must be"):
            TransferConfig(**options)

    @pytest.mark.parametrize(
        "options", [{"feature_extraction": True}, {"reinitialize": 0}, {"freeze": "0"}, {"unfreeze_per_epoch": 1}]
    )
    def test_an_adapter_chooses_what_is_trained(self, options: Mapping[str, Any]) -> None:
        task = make_task(TransferConfig(**options))
        model = task.new_model()
        BitFit().apply(model)
        with pytest.raises(ValueError, match="an adapter chooses the parameters that are trained: leave out --freeze"):
            replace(task, new_model=lambda: model).make_run(CPU, SINGLE_PROCESS)


@pytest.mark.parametrize(
    ("transfer", "stops"),
    [
        (TransferConfig(freeze="embeddings", unfreeze_per_epoch=1, layer_decay=0.8), (2, 3, 7)),
        (TransferConfig(feature_extraction=True), (4,)),
        (TransferConfig(reinitialize=1), (4,)),
    ],
)
def test_resuming(tmp_path: Path, transfer: TransferConfig, stops: tuple[int, ...]) -> None:
    """With dropout, early stopping and micro-batches: from the middle and the end of an epoch, bit for bit."""
    run_job(make_task(transfer), tmp_path / "whole", patience=2)
    for step in stops:
        out = tmp_path / f"{step}"
        run_job(make_task(transfer), out, stop_after=step, patience=2)
        run_job(make_task(transfer), out, patience=2)
        one, other = weights(tmp_path / "whole"), weights(out)
        assert all(torch.equal(one[name], other[name]) for name in one)
        entries = [[json.loads(line) for line in (folder / "metrics.jsonl").open()] for folder in (tmp_path / "whole", out)]
        assert [{**each, "seconds": 0} for each in entries[0]] == [{**each, "seconds": 0} for each in entries[1]]


def test_a_run_is_extended_by_epochs(tmp_path: Path) -> None:
    run_job(make_task(), tmp_path)
    run_job(make_task(epochs=4), tmp_path)
    settings = json.loads((tmp_path / "run.json").read_text())
    assert (settings["training"]["epochs"], settings["training"]["steps"], settings["extended_from"]) == (4, 12, [9])


class TestFeatureExtraction:
    @pytest.mark.parametrize("new", [NEW_HEAD, NEW_POOLER])
    def test_it_equals_training_with_a_frozen_encoder(self, new: tuple[str, ...]) -> None:
        """The same losses and the same head, with dropout before the classifier."""
        runs, losses = [], []
        for options in ({"freeze": "encoder"}, {"feature_extraction": True}):
            runs.append(make_task(TransferConfig(**options), new).make_run(CPU, SINGLE_PROCESS))
            losses.append([step.losses["classification"] for step in runs[-1].run()])
        assert losses[0] == pytest.approx(losses[1], abs=1e-12)
        one, other = (run.model.state_dict() for run in runs)
        assert one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-12)

    def test_every_text_is_computed_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In all epochs and evaluations: the training and validation texts, each different one once."""
        computed: list[int] = []
        layers_forward = nn.ModuleList.__call__
        monkeypatch.setattr(
            "minibert.model.stacks.LayerStack.__call__",
            lambda self, hidden, keep, **more: computed.append(len(keep.lengths)) or layers_forward(self, hidden, keep, **more),
        )
        task = make_task(TransferConfig(feature_extraction=True))
        run = task.make_run(CPU, SINGLE_PROCESS)
        for _ in run.run():
            task.evaluate(run)
        assert sum(computed) == len({(row.text, row.pair) for row in [*task.train_rows, *task.validation_rows]})

    def test_the_features_are_those_of_the_encoder(self) -> None:
        """For texts of other lengths and segments in one batch; for all tokens, and for the first token alone."""
        examples = [Example([2, 5, 3], [0, 0, 1], {}), Example([2, 5, 3], [0, 0, 0], {}), Example([2, 6, 7, 8, 3], [0] * 5, {})]
        for network in (BertForTokenClassification, BertForSequenceClassification):
            model = network(CONFIG).double().eval()
            batch = make_batch(examples, 0)
            expected = model(*batch.inputs).logits
            cache_features(model, examples, 0, SINGLE_PROCESS)
            assert isinstance(model.bert, CachedBert)
            assert len(model.bert.features) == 3
            mask = batch.attention_mask if network is BertForTokenClassification else slice(None)
            torch.testing.assert_close(model(*batch.inputs).logits[mask], expected[mask], rtol=0, atol=1e-12)

    def test_the_features_of_padding_are_those_of_the_encoder(self) -> None:
        """The start of an answer is compared with that at padding, so the loss depends on it. Any batch may be padded more."""
        examples = [QuestionWindow(ids, [0] * len(ids), {}) for ids in ([2, 5, 3], [2, 6, 7, 8, 9, 3], [2, 6, 7, 3])]
        model = BertForQuestionAnswering(CONFIG).double().eval()
        batches = [make_batch(part, 0, length) for part, length in ((examples, 0), (examples[:1], 4), (examples[1:], 9))]
        expected = [model(*batch.inputs).start_logits for batch in batches]
        cache_features(model, examples, 0, SINGLE_PROCESS)
        assert len(model.bert.features) == 3
        for batch, logits in zip(batches, expected, strict=True):
            torch.testing.assert_close(model(*batch.inputs).start_logits, logits, rtol=0, atol=1e-12)

    def test_features_that_are_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("minibert.training.features.MEMORY_SHARE", 1e-12)
        with pytest.raises(ValueError, match="use --freeze encoder, which computes them in every epoch"):
            make_task(TransferConfig(feature_extraction=True)).make_run(CPU, SINGLE_PROCESS)

    def test_the_model_loads_in_transformers(self, tmp_path: Path) -> None:
        transformers = pytest.importorskip("transformers")
        run_job(make_task(TransferConfig(feature_extraction=True)), tmp_path)
        _, report = transformers.BertForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
        assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))


class TestClassWeights:
    LABELS = (0, 0, 0, 1, 0, 2, 2, 0)

    def test_balanced_weights_are_those_of_scikit_learn(self) -> None:
        expected = compute_class_weight("balanced", classes=np.arange(3), y=np.array(self.LABELS))
        assert balanced_class_weights(self.LABELS, 3) == pytest.approx(expected)

    def test_a_class_without_labels(self) -> None:
        assert balanced_class_weights([0, 2, 2], 4) == (1.5, 1.0, 0.75, 1.0)

    def test_the_loss_is_that_of_pytorch(self) -> None:
        """Also over unequal micro-batches: sum(w l) / sum(w). A text without a label has no weight."""
        objective = ClassificationObjective(class_weights=(0.3, 2.0, 1.1))
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(9, 3, dtype=torch.float64, generator=generator)
        labels = torch.tensor([*self.LABELS, -100])
        expected = nn.functional.cross_entropy(logits, labels, torch.tensor([0.3, 2.0, 1.1], dtype=torch.float64))
        total = weight = 0.0
        for part in (slice(0, 2), slice(2, 9)):
            batch = replace(make_batch([Example([2], [0], {"labels": 0})], 0), targets={"labels": labels[part]})
            output = type("Output", (), {"logits": logits[part]})
            total += objective.losses(output, batch)["classification"].loss
            weight += objective.target_counts(batch)["classification"]
        torch.testing.assert_close(total / weight, expected, rtol=0, atol=1e-14)

    def test_a_run_with_weights_finds_rare_classes(self) -> None:
        """With equal logits, the weighted accuracy of a constant prediction is 1/2, not 3/4."""
        task = make_task()
        balanced = task.type.with_balanced_classes(task.train.examples)
        assert balanced.class_weights == pytest.approx((16 / 24, 2.0))
        model = task.new_model()
        nn.init.zeros_(model.classifier.weight)
        batch = make_batch(task.train.examples, 0)
        sums = balanced.objective.loss_sums(model, batch)["classification"]
        assert sums.correct / balanced.objective.target_counts(batch)["classification"] == pytest.approx(0.5)

    def test_tags_are_weighted_by_their_words(self) -> None:
        """The tokens without a tag have no weight."""
        tagging = Tagging(("O", "B-X"))
        targets = [[-100, 0, 0, -100], [-100, 0, 1, -100]]
        examples = [Example([2, 5, 6, 3], [0] * 4, {"labels": each}) for each in targets]
        balanced = tagging.with_balanced_classes(examples)
        assert balanced.class_weights == pytest.approx((4 / 6, 2.0))
        batch, logits = make_batch(examples, 0), torch.randn(2, 4, 2, dtype=torch.float64)
        loss = balanced.objective.losses(TokenClassifierOutput(logits), batch)["tagging"].loss
        weights = torch.tensor(balanced.class_weights, dtype=torch.float64)
        expected = nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets["labels"].flatten(), weights)
        torch.testing.assert_close(loss / balanced.objective.target_counts(batch)["tagging"], expected)

    @pytest.mark.parametrize(
        "task_type", [Classification(("a",), "regression"), Classification(("a", "b"), "multi_label_classification")]
    )
    def test_other_tasks_are_refused(self, task_type: Classification) -> None:
        with pytest.raises(ValueError, match="--balanced-classes: this task does not predict one class"):
            task_type.with_balanced_classes([])
