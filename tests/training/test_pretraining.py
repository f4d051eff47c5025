"""Pretraining: its data, what is printed about them, and the result of an evaluation."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minibert.model import PRESETS, BertConfig, BertForPreTraining
from minibert.text.corpus import Document
from minibert.text.examples import PretrainingBatch, format_examples
from minibert.text.options import ExampleConfig, TextOptions, VocabularyOptions
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer, vocabulary_size
from minibert.training import pretraining, pretraining_objectives
from minibert.training.costs import pretraining_cost
from minibert.training.distributed import Processes
from minibert.training.loop import Score
from minibert.training.options import DeviceOptions, PretrainingConfig
from minibert.training.pretraining import (
    MAX_EXPONENT,
    PretrainingTask,
    prepare_pretraining,
    pretraining_run,
    pretraining_settings,
    validation_batches,
    validation_config,
)
from minibert.training.pretraining_objectives import ORIGINAL, PretrainingObjective
from minibert.training.pretraining_start import load_start
from minibert.training.pretraining_text import describe_baselines, describe_missing_evaluation, describe_size, mlm_baselines
from minibert.training.reference_runs import FILE
from minibert.training.run import STATE_FILE, TrainingRun

CONFIG = PretrainingConfig(steps=8, batch_size=4, examples=ExampleConfig(max_length=16))
WORDS = [f"{a}{b}" for a in "abcdef" for b in "uvwxyz"]
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS])
SCORES = {"mlm": Score(2.0, 0.25, 8), "nsp": Score(0.7, 0.5, 4)}


def documents(count: int, sentences: int = 4) -> list[Document]:
    generator = np.random.default_rng(0)
    return [Document(f"{d}", tuple(" ".join(generator.choice(WORDS, 6)) for _ in range(sentences))) for d in range(count)]


def corpus(count: int = 12) -> TokenizedCorpus:
    return TokenizedCorpus.from_documents(documents(count), TOKENIZER)


@pytest.fixture
def text(tmp_path: Path) -> TextOptions:
    file = tmp_path / "corpus.txt"
    file.write_text("\n\n".join("\n".join(each.sentences) for each in documents(40)))
    return TextOptions((file,), layout="lines", validation_fraction=0.2)


class Scored(TrainingRun[Any, Any]):
    """A run with these scores."""

    def __init__(self, scores: dict[str, Score]) -> None:
        self.scores, self.steps_done = scores, 100

    def evaluate(self, batches: list[PretrainingBatch], objective: object) -> dict[str, Score]:
        assert batches
        return dict(self.scores)


def make_task(settings: dict[str, Any] | None = None, **fields: Any) -> PretrainingTask:
    batches = validation_batches(CONFIG, corpus(), TOKENIZER, limit=2)
    values = {"validation": batches, "baselines": {}, "settings": settings or {}, "summary": ""} | fields
    return PretrainingTask(CONFIG, TOKENIZER, corpus(), **values)


class TestEvaluation:
    def test_the_line_has_the_accuracies_in_order(self) -> None:
        entry, line = make_task().evaluate(Scored(SCORES))
        assert line == "MLM loss 2.000 nats (perplexity 7), MLM accuracy 25.0%, NSP accuracy 50.0%"
        assert entry["validation_perplexity"] == math.exp(2)
        assert "validation_nsp_length_accuracy" not in entry

    def test_the_baseline_of_the_pairs_follows_their_accuracy(self) -> None:
        entry, line = make_task(length_accuracy=0.625).evaluate(Scored(SCORES))
        assert line.endswith("NSP accuracy 50.0% (from segment lengths alone: 62.5%)")
        assert entry["validation_nsp_length_accuracy"] == 0.625

    def test_a_large_loss_has_a_finite_perplexity(self) -> None:
        entry, _ = make_task().evaluate(Scored({"mlm": Score(800.0, 0.0, 8)}))
        assert entry["validation_perplexity"] == math.exp(MAX_EXPONENT)

    def test_a_loss_that_is_not_finite(self) -> None:
        assert make_task().evaluate(Scored({"mlm": Score(math.nan, 0.0, 8)})) == ({}, "the loss is not finite")

    def test_without_validation_data_there_is_none(self) -> None:
        task = make_task(validation=[])
        assert task.evaluate(Scored(SCORES)) is None
        assert task.main_metric is None

    def test_runs_with_the_settings_of_a_reference_are_compared_with_it(self) -> None:
        stored = json.loads(FILE.read_text())["tiny"]
        middle = {name: sum(band) / 2 for name, band in stored["bands"]["100"].items()}
        loss, accuracy, pairs = (middle[f"validation_{name}"] for name in ("mlm_loss", "mlm_accuracy", "nsp_accuracy"))
        scores = {"mlm": Score(loss, accuracy, 8), "nsp": Score(0.7, pairs, 4)}
        task = make_task(stored["settings"])
        assert task.evaluate(Scored(scores)).line.endswith("; on track")
        off = scores | {"mlm": Score(1.0, accuracy, 8)}
        assert "; off track: MLM loss 1.00 is below " in task.evaluate(Scored(off)).line


class TestTask:
    def test_its_run_has_its_hyperparameters_and_begins_with_its_model(self, tmp_path: Path) -> None:
        start = write_model(tmp_path, 0)
        run = make_task(start=start).make_run(DeviceOptions(device="cpu"), Processes())
        assert run.steps == CONFIG.steps
        assert torch.equal(run.model.nsp.weight, start.nsp.weight)

    def test_the_cost_of_a_step_is_that_of_its_batches(self) -> None:
        task = make_task()
        run = task.make_run(DeviceOptions(device="cpu"), Processes())
        run.last_batches = task.validation
        assert task.cost(run) == pretraining_cost(run.model.config, task.validation)

    def test_its_main_metric_is_the_mlm_loss(self) -> None:
        assert make_task().main_metric.name == "mlm_loss"

    def test_evaluations_of_electra_are_compared_by_the_losses_of_both_networks(self) -> None:
        """A better generator makes the task of the discriminator harder, and it is the discriminator that is exported."""
        task = make_task()
        task = replace(task, config=replace(CONFIG, family="electra", examples=replace(CONFIG.examples, pairs="none")))
        entries = []
        for mlm, replaced in ((5.0, 0.5), (4.0, 0.75)):
            scores = {"mlm": Score(mlm, 0.1, 8), "replaced": Score(replaced, 0.8, 20), ORIGINAL: Score(0.0, 0.9, 20)}
            entry, line = task.evaluate(Scored(scores))
            entries.append(entry)
        assert line.endswith('replaced-token accuracy 80.0% (always "original": 90.0%), total loss 41.500')
        assert [entry[task.main_metric.metric] for entry in entries] == [30.0, 41.5]
        assert task.main_metric.is_better(30.0, than=41.5)

    def test_batches_are_described_as_examples(self) -> None:
        task = make_task()
        assert task.describe(task.validation) == format_examples(task.validation, TOKENIZER, "nsp")

    def test_the_loss_of_stored_scores_is_that_of_the_equation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is the loss that is computed without storing them. A learner's equation takes the place of that of minibert."""
        [batch, *_], model = make_task().validation, network_of(CONFIG)
        usual, stored = (PretrainingObjective(stores_scores=stores).loss_sums(model, batch)["mlm"] for stores in (False, True))
        assert stored.loss.item() == pytest.approx(usual.loss.item(), rel=1e-5)
        assert stored.correct == usual.correct
        monkeypatch.setattr(pretraining_objectives, "masked_lm_loss", lambda scores, *_, **__: 0 * scores.sum() + 7)
        assert PretrainingObjective(stores_scores=True).loss_sums(model, batch)["mlm"].loss == 7
        assert PretrainingObjective().loss_sums(model, batch)["mlm"].loss == usual.loss

    @pytest.mark.parametrize("recompute", [False, True])
    def test_activations_are_recomputed_if_the_options_say_so(self, recompute: bool) -> None:
        run = make_task().make_run(DeviceOptions(device="cpu", recompute=recompute), Processes())
        assert any(getattr(module, "recompute", False) for module in run.model.modules()) is recompute


class TestPreparation:
    def test_without_validation_documents_there_is_no_evaluation(self, text: TextOptions, tmp_path: Path) -> None:
        """The reason is printed."""
        whole = replace(text, validation_fraction=0.0)
        task = prepare_pretraining(whole, VocabularyOptions(vocab_size=90), CONFIG, tmp_path)
        assert (task.validation, task.length_accuracy) == ([], None)
        assert "There will be no evaluation: --validation-fraction is 0." in task.summary.split("\n  ")

    def test_what_is_printed(self, text: TextOptions, tmp_path: Path) -> None:
        task = prepare_pretraining(text, VocabularyOptions(vocab_size=90), CONFIG, tmp_path)
        lines = task.summary.split("\n  ")
        assert "40 documents with 160 sentences" in lines
        assert "69% of the examples have a label for NSP" in lines
        assert lines[-1].startswith("Baseline of the NSP accuracy: ")
        assert task.length_accuracy is not None
        alone = replace(CONFIG, examples=replace(CONFIG.examples, pairs="none"))
        assert "label" not in prepare_pretraining(text, VocabularyOptions(vocab_size=90), alone, tmp_path, False).summary

    def test_too_few_labels_are_refused(self, tmp_path: Path) -> None:
        """With the name of the text."""
        file = tmp_path / "short.txt"
        several = "\n".join(documents(1)[0].sentences)
        file.write_text("\n\n".join([several, several, *(each.sentences[0] for each in documents(300, 1))]))
        with pytest.raises(ValueError, match=r"^short\.txt: only .* of the examples have a label for --pairs nsp"):
            prepare_pretraining(TextOptions((file,), layout="lines"), VocabularyOptions(vocab_size=90), CONFIG, tmp_path)

    def test_a_new_run_has_a_new_tokenizer(self, text: TextOptions, tmp_path: Path) -> None:
        """A resumed one has that of its folder."""
        sizes = []
        for vocab_size, create in ((50, {}), (45, {}), (40, {"create_tokenizer": False})):
            task = prepare_pretraining(text, VocabularyOptions(vocab_size=vocab_size), CONFIG, tmp_path, **create)
            sizes.append(vocabulary_size(task.tokenizer))
        assert sizes == [50, 45, 45]

    def test_training_that_continues_a_checkpoint(self, text: TextOptions, tmp_path: Path) -> None:
        """Its model, its tokenizer, and a lower learning rate. A resumed run has the model of its own folder."""
        models = [write_model(tmp_path / name, seed) for seed, name in enumerate(("start", "run"))]
        for is_resumed in (False, True):
            if is_resumed:
                (tmp_path / "run" / STATE_FILE).touch()
            arguments = (text, VocabularyOptions(), CONFIG, tmp_path / "run", not is_resumed, str(tmp_path / "start"))
            task = prepare_pretraining(*arguments)
            expected = models[is_resumed].bert.embeddings.words.weight
            assert torch.equal(task.start.bert.embeddings.words.weight, expected)
            assert task.tokenizer.get_vocab() == TOKENIZER.get_vocab()
            training = task.settings["training"]
            assert (task.config.learning_rate, training["learning_rate"], training["preset"]) == (2e-5, 2e-5, None)
        given = prepare_pretraining(text, VocabularyOptions(), replace(CONFIG, learning_rate=0.1), *arguments[3:])
        assert given.config.learning_rate == 0.1

    def test_settings_have_the_default_preset_and_its_learning_rate(self) -> None:
        settings = pretraining_settings(TextOptions(), VocabularyOptions(), CONFIG, "name", "digest")
        whole = replace(
            CONFIG, family="bert", preset="tiny", learning_rate=1e-3, examples=replace(CONFIG.examples, pairs="nsp")
        )
        assert settings["training"] == asdict(whole) | {"start_from": None}


def network_of(config: PretrainingConfig) -> BertForPreTraining:
    return pretraining_run(config, DeviceOptions(device="cpu"), corpus(), TOKENIZER).model.eval()


def write_model(folder: Path, seed: int) -> BertForPreTraining:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = BertForPreTraining(BertConfig(vocab_size=vocabulary_size(TOKENIZER), max_position_embeddings=16, **sizes))
    model.save_pretrained(folder)
    save_tokenizer(TOKENIZER, folder, 16)
    return model


def test_new_heads_of_a_checkpoint_depend_on_the_seed(tmp_path: Path) -> None:
    write_model(tmp_path, 0).bert.save_pretrained(tmp_path)
    heads = []
    for seed in (3, 3, 4):
        torch.rand(1)
        with pytest.warns(UserWarning, match="newly initialized"):
            heads.append(load_start(tmp_path, replace(CONFIG, seed=seed)).nsp.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


class TestRun:
    @pytest.mark.parametrize(("rank", "expected"), [(0, 5), (1, 6)])
    def test_each_process_has_dropout_of_its_own(self, rank: int, expected: int) -> None:
        processes = Processes(rank=rank)
        pretraining_run(replace(CONFIG, seed=5), DeviceOptions(device="cpu"), corpus(), TOKENIZER, processes)
        assert torch.initial_seed() == expected

    def test_the_encoder_is_compiled_for_sequences_of_any_length(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compiled = []
        monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **options: compiled.append((module, options)))
        run = pretraining_run(CONFIG, DeviceOptions(device="cpu", compile=True), corpus(), TOKENIZER)
        assert compiled == [(run.model.bert, {"dynamic": True})]

    def test_the_preset_is_the_size_of_the_model(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for number, name in enumerate(("tiny", "mini"), start=1):
            small = replace(PRESETS["tiny"], hidden_size=4 * number, num_attention_heads=1, intermediate_size=4)
            monkeypatch.setitem(PRESETS, name, small)
        for preset, size in ((None, 4), ("tiny", 4), ("mini", 8)):
            run = pretraining_run(replace(CONFIG, preset=preset), DeviceOptions(device="cpu"), corpus(), TOKENIZER)
            assert run.model.config.hidden_size == size

    def test_validation_examples_depend_on_the_length_and_the_pairs_alone(self) -> None:
        examples = ExampleConfig(max_length=24, pairs="sop", mlm_probability=0.5)
        assert validation_config(replace(CONFIG, examples=examples)) == ExampleConfig(max_length=24, pairs="sop")

    def test_validation_batches_have_every_example_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The short ones are together."""
        [whole] = validation_batches(CONFIG, corpus(), TOKENIZER)
        monkeypatch.setattr(pretraining, "VALIDATION_BATCH_SIZE", 3)
        parts = validation_batches(CONFIG, corpus(), TOKENIZER)
        assert len(parts) > 2
        lengths = torch.cat([part.attention_mask.sum(dim=1) for part in parts]).tolist()
        assert lengths == sorted(lengths) == whole.attention_mask.sum(dim=1).tolist()


class TestText:
    def test_copies_of_documents_are_counted(self) -> None:
        """In both parts together."""
        every = documents(4)
        train = TokenizedCorpus.from_documents([*every[:3], every[0]], TOKENIZER)
        validation = TokenizedCorpus.from_documents([every[1]], TOKENIZER)
        first, copies, sizes = describe_size(train, validation, TOKENIZER)
        assert first == "5 documents with 20 sentences"
        assert copies.startswith("2 of them (40%) are exact copies of others; remove them")
        assert sizes.endswith(f"vocabulary: {len(SPECIAL_TOKENS) + 36}. Validation: 1 documents")
        assert len(describe_size(train.__class__.from_documents(every, TOKENIZER), corpus(0), TOKENIZER)) == 2

    def test_why_there_is_no_evaluation(self) -> None:
        """Copies of a document are one."""
        every, error = documents(2), ValueError("no pairs")
        train = TokenizedCorpus.from_documents([*every, every[0]], TOKENIZER)
        for validation, fraction, reason in (
            (corpus(3), 0.1, "in the validation documents, no pairs"),
            (corpus(0), 0.1, "2 documents are too few to use some for validation"),
            (corpus(0), 0.0, "--validation-fraction is 0"),
        ):
            assert describe_missing_evaluation(train, validation, fraction, error) == f"There will be no evaluation: {reason}."

    def test_baselines(self) -> None:
        """Frequencies are those of the training documents, and the entropy is that of the validation documents."""
        parts = [TokenizedCorpus.from_documents([Document("", (each,))], TOKENIZER) for each in ("au au au av", "au av")]
        losses = mlm_baselines(*parts, TOKENIZER)
        assert losses["ln V"] == pytest.approx(math.log(41))
        assert losses["unigram entropy"] == pytest.approx((math.log(45 / 4) + math.log(45 / 2)) / 2)
        assert describe_baselines({"ln V": 2.0, "b": 1.0}, "nsp", 0.625) == [
            "Baselines of the MLM loss: ln V 2.00, b 1.00",
            "Baseline of the NSP accuracy: 62.5%, from segment lengths alone",
        ]
        assert len(describe_baselines(losses, "nsp", None)) == 1
