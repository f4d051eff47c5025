"""The translation objective, and the preparation of parallel text."""

import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from minibert.equations import IGNORE_INDEX
from minibert.kernels import linear_label_smoothing_loss
from minibert.model.encoder_decoder import Seq2SeqLMSums
from minibert.text.file_formats import CorpusError
from minibert.text.options import ParallelTextOptions, VocabularyOptions
from minibert.text.parallel import ParallelBatch
from minibert.text.spacing import SPACING_FILE, Spacing
from minibert.text.tokenizer import vocabulary_size
from minibert.training import translation
from minibert.training.costs import translation_cost
from minibert.training.decoding import bleu
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.options import DeviceOptions, TranslationConfig
from minibert.training.translation import TranslationObjective, TranslationTask, prepare_translation
from tests import reference
from tests.strategies import normal, seeds

LABELS = torch.tensor([[4, 1, 3], [2, 3, IGNORE_INDEX], [0, IGNORE_INDEX, IGNORE_INDEX]])


class Fixed(nn.Module):
    """A model that returns fixed logits."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        decoder_input_ids: Tensor,
        labels: Tensor,
        label_smoothing: float,
    ) -> Seq2SeqLMSums:
        inputs = self.logits.flatten(0, 1), torch.eye(5).to(self.logits), torch.zeros(5).to(self.logits), labels.flatten()
        return Seq2SeqLMSums(*linear_label_smoothing_loss(*inputs, label_smoothing))


def batch_of(labels: Tensor) -> ParallelBatch:
    return ParallelBatch(torch.ones(3, 1, dtype=torch.long), torch.ones(3, 1, dtype=torch.bool), labels.clamp(min=0), labels)


class TestTranslationObjective:
    @settings(max_examples=20)
    @given(seeds)
    def test_value(self, seed: int) -> None:
        """The sum of the smoothed losses of all target tokens, computed in loops, and the number of correct predictions."""
        logits = normal(seed, 3, 3, 5)
        loss, correct = TranslationObjective(0.1).loss_sums(Fixed(logits), batch_of(LABELS))["target"]
        targets_at = [(row, column) for row in range(3) for column in range(3) if LABELS[row, column] != IGNORE_INDEX]
        expected = sum(reference.smoothed_cross_entropy(logits[place].numpy(), int(LABELS[place]), 0.1) for place in targets_at)
        np.testing.assert_allclose(loss.item(), expected)
        assert correct is not None
        assert int(correct) == sum(int(logits[place].argmax()) == int(LABELS[place]) for place in targets_at)
        assert TranslationObjective().target_counts(batch_of(LABELS)) == {"target": 6}

    @settings(max_examples=20)
    @given(seeds)
    def test_padding_has_no_influence(self, seed: int) -> None:
        """Logits at padding change neither the loss, nor its gradient, nor the number of correct predictions."""
        logits = normal(seed, 3, 3, 5)
        noise = torch.where((LABELS == IGNORE_INDEX)[..., None], 50 * normal(seed + 1, 3, 3, 5), logits)
        results = []
        for some in (logits, noise):
            leaf = some.clone().requires_grad_()
            loss, correct = TranslationObjective(0.1).loss_sums(Fixed(leaf), batch_of(LABELS))["target"]
            loss.backward()
            assert not leaf.grad[LABELS == IGNORE_INDEX].any()
            results.append((loss.item(), int(correct)))
        assert results[0] == results[1]

    @settings(max_examples=20)
    @given(seeds)
    def test_sums_of_rows_add_up(self, seed: int) -> None:
        """The sums of a batch equal the sums of its rows."""
        logits = normal(seed, 3, 3, 5)
        whole = TranslationObjective(0.1).loss_sums(Fixed(logits), batch_of(LABELS))["target"]
        objective, rows = TranslationObjective(0.1), torch.arange(3)[:, None]
        single_rows = [batch_of(torch.where(rows == row, LABELS, IGNORE_INDEX)) for row in range(3)]
        parts = [objective.loss_sums(Fixed(logits), batch)["target"] for batch in single_rows]
        np.testing.assert_allclose(whole.loss.item(), sum(part.loss.item() for part in parts))
        assert int(whole.correct) == sum(int(part.correct) for part in parts)


PAIRS = [f"ein Hund sieht {number} Katzen.\ta dog (well-fed) sees {number} cats." for number in range(10, 60)]
CONFIG = TranslationConfig(steps=1, batch_tokens=256)


def prepared(
    folder: Path, train: list[str], validation: list[str] | None = None, config: TranslationConfig = CONFIG, **more: object
) -> TranslationTask:
    """Prepare training on pairs, written with a tab between source and target."""
    files = {"text": train} | ({} if validation is None else {"validation": validation})
    for name, lines in files.items():
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = ParallelTextOptions(**{name: (folder / f"{name}.tsv",) for name in files}, **more)
    return prepare_translation(text, VocabularyOptions(vocab_size=120, cased=True), config, folder)


class TestPrepareTranslation:
    def test_pairs_that_cannot_be_used_are_skipped_and_counted(self, tmp_path: Path) -> None:
        """An invisible side, a blank side, a long side, and too many tokens together."""
        odd = [
            "\u200b\ta dog",
            "ein Hund\t\u00ad\ufeff",
            "ein Hund\t",
            "Hund " * 30 + "\tdogs",
            "Hund " * 15 + "\t" + "dog " * 15,
        ]
        task = prepared(tmp_path, PAIRS + odd, PAIRS[:3], TranslationConfig(batch_tokens=32), max_length=25)
        assert len(task.train.sources) == len(PAIRS)
        assert (
            "Skipped in training: 3 pairs with an empty side, 1 pairs with more than 25 tokens on a side (see --max-length), "
            "1 pairs with more than 32 tokens on both sides together (see --batch-tokens)."
        ) in task.summary
        run = task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)
        for _, (_, batches) in zip(range(60), run.batches(), strict=False):
            assert sum(batch.input_ids.numel() + batch.decoder_input_ids.numel() for batch in batches) <= 32

    @pytest.mark.parametrize(
        ("pair", "reason"),
        [("Hund " * 40 + "\tdog", "1 pairs with more than 25 tokens on a side"), ("\u200b\tdog", "1 pairs with an empty side")],
    )
    def test_text_without_usable_pairs_is_refused_before_training(self, pair: str, reason: str, tmp_path: Path) -> None:
        """The message names the file and the reason. Who gives a validation file does not want a run without evaluation."""
        with pytest.raises(CorpusError, match=rf"text\.tsv: no pair can be used; there are {reason}"):
            prepared(tmp_path, [pair], max_length=25, validation_fraction=0)
        with pytest.raises(CorpusError, match=rf"validation\.tsv: no pair can be used; there are {reason}"):
            prepared(tmp_path, PAIRS, [pair], max_length=25)

    def test_missing_evaluation_is_announced(self, tmp_path: Path) -> None:
        """If the pairs that are held out of the text are all too long."""
        long = [pair.replace("Hund", "Hund " * 40) for pair in PAIRS]
        task = prepared(tmp_path, [*long, "Hund\tdog"], validation_fraction=0.1, max_length=25)
        assert task.validation == []
        assert "Skipped in validation: " in task.summary
        assert "There will be no evaluation: use --validation, or raise --validation-fraction." in task.summary

    @pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
    def test_long_validation_pairs_are_left_out(self, positions: str, tmp_path: Path) -> None:
        """Of the loss and of BLEU, as in training. With learned positions, the evaluation could not compute them."""
        config = TranslationConfig(steps=1, batch_tokens=256, positions=positions)
        task = prepared(tmp_path, PAIRS, [*PAIRS[:2], "Hund " * 40 + "\tdog", "Hund\t" + "dog " * 40], config, max_length=25)
        assert len(task.validation_text) == sum(len(batch.labels) for batch in task.validation) == 2
        assert "Skipped in validation: 2 pairs with more than 25 tokens on a side" in task.summary
        assert "BLEU" in task.evaluate(task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)).line

    def test_unknown_text_is_counted_and_shown(self, tmp_path: Path) -> None:
        """By characters on each side, and the number of targets that have some."""
        task = prepared(tmp_path, PAIRS, PAIRS[:3])
        assert "Training sources: 0.00% of the characters become [UNK]." in task.summary
        assert "training targets contain" not in task.summary
        save = tmp_path / "tokenizer"
        save.mkdir()
        for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            (tmp_path / file).rename(save / file)
        (tmp_path / "text.tsv").write_text(
            "\n".join([*PAIRS, "ein Hund\tsome 学 dogs 学", "Hund\t学 a"]) + "\n", encoding="utf-8"
        )
        text = ParallelTextOptions(text=(tmp_path / "text.tsv",), validation=(tmp_path / "validation.tsv",))
        task = prepare_translation(text, VocabularyOptions(tokenizer=str(save)), CONFIG, tmp_path)
        shares = [line for line in task.summary.splitlines() if "Training targets" in line]
        assert len(shares) == 1
        assert "0.00%" not in shares[0]
        assert "2 training targets contain [UNK], which is not learned." in task.summary

    def test_equal_sides_are_reported(self, tmp_path: Path) -> None:
        """As when one file is given twice."""
        equal = [pair.split("\t")[0] + "\t" + pair.split("\t")[0] for pair in PAIRS]
        assert "Warning: in 50 pairs source and target are equal." in prepared(tmp_path, equal, PAIRS[:3]).summary
        assert "are equal" not in prepared(tmp_path, PAIRS, PAIRS[:3]).summary

    def test_validation_pairs_in_the_training_text_are_reported(self, tmp_path: Path) -> None:
        """They would be scored better than new text."""
        assert "Warning: 3 validation pairs are also in the training text." in prepared(tmp_path, PAIRS, PAIRS[:3]).summary
        new = PAIRS[0].replace("cats", "dogs")
        assert "also in the training text" not in prepared(tmp_path, PAIRS, [new]).summary

    def test_bleu_is_shown_with_its_ceiling(self, tmp_path: Path) -> None:
        """The ceiling is the BLEU of the validation targets, tokenized and decoded: below 100 if they have unusual spaces."""
        validation = ["ein Hund sieht 10 Katzen.\ta dog ( well - fed ) sees 10 cats .", *PAIRS[:2]]
        task = prepared(tmp_path, PAIRS, validation)
        decoded = ["a dog (well-fed) sees 10 cats.", *(pair.split("\t")[1] for pair in PAIRS[:2])]
        assert task.bleu_ceiling == bleu(decoded, task.validation_text.targets) < 100
        assert f"Ceiling of BLEU: {task.bleu_ceiling:.1f}" in task.summary
        evaluation = task.evaluate(task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS))
        assert f"of at most {task.bleu_ceiling:.1f} (greedy)" in evaluation.line
        assert evaluation.entry["validation_bleu_ceiling"] == task.bleu_ceiling

    def test_what_is_compared(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Outputs with targets. Gathered weights are freed afterwards. Without sacrebleu, there is no score."""
        compared, freed = [], []
        monkeypatch.setattr(translation, "reshard", freed.append)
        task = prepared(tmp_path, PAIRS, PAIRS[:3])
        run = task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)
        entry, line = replace(task, score_outputs=lambda *texts: compared.append(texts)).evaluate(run)
        [(outputs, targets)] = compared
        assert targets == task.validation_text.targets != outputs
        assert freed == [run.model]
        assert line.endswith(" (no BLEU: pip install 'minibert[translation]')")
        assert {*entry} == {"validation_target_loss", "validation_target_accuracy"}

    def test_what_a_task_says_about_its_data(self, tmp_path: Path) -> None:
        task = prepared(tmp_path, PAIRS, PAIRS[:3])
        assert task.baselines == {"ln V": math.log(vocabulary_size(task.tokenizer))}
        assert re.search(r"\n  Training: 50 pairs, [1-9][\d,]+ tokens; vocabulary: 120\n", task.summary)
        assert task.main_metric.name == "target_loss"
        assert prepared(tmp_path, PAIRS, validation_fraction=0).main_metric is None
        [text] = task.describe(
            [
                ParallelBatch(
                    torch.tensor([[2, 3, 0]]),
                    torch.tensor([[True, True, False]]),
                    torch.tensor([[2, 3, 0]]),
                    torch.tensor([[3, 2, IGNORE_INDEX]]),
                )
            ]
        )
        assert text == "source: [CLS] [SEP]\ntarget: [SEP] [CLS]"

    def test_a_described_batch_has_the_tokens_of_both_sides(self) -> None:
        """Without padding, in lines of their own."""
        tokenizer = SimpleNamespace(id_to_token=dict(enumerate("abc")).get)
        ids, labels = torch.tensor([[1, 2, 0], [0, 0, 0]]), torch.tensor([[2, 1], [2, IGNORE_INDEX]])
        batch = ParallelBatch(ids, torch.tensor([[True, True, False], [True, False, False]]), labels, labels)
        described = TranslationTask.describe(SimpleNamespace(tokenizer=tokenizer), [batch])
        assert described == ["source: b c\ntarget: c b", "source: a\ntarget: c"]

    def test_the_cost_of_a_step_is_that_of_its_batches(self, tmp_path: Path) -> None:
        task = prepared(tmp_path, PAIRS, PAIRS[:3])
        run = task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)
        run.last_batches = task.validation
        assert task.cost(run) == translation_cost(run.model.config, task.validation)

    def test_a_new_run_has_a_new_tokenizer(self, tmp_path: Path) -> None:
        """A resumed one has that of its folder."""
        (tmp_path / "text.tsv").write_text("\n".join(PAIRS) + "\n")
        text, sizes = ParallelTextOptions(text=(tmp_path / "text.tsv",)), []
        for vocab_size, create in ((80, {}), (75, {}), (70, {"create_tokenizer": False})):
            task = prepare_translation(text, VocabularyOptions(vocab_size=vocab_size), CONFIG, tmp_path, **create)
            sizes.append(vocabulary_size(task.tokenizer))
        assert sizes == [80, 75, 75]

    def test_pairs_that_are_held_out_leave_some_for_training(self, tmp_path: Path) -> None:
        """Those that were skipped before are counted."""
        task = prepared(tmp_path, [*PAIRS, "ein Hund\t"], validation_fraction=0.1)
        assert "Skipped in training: 1 pairs with an empty side." in task.summary
        with pytest.raises(CorpusError, match=r"text\.tsv: no pair is left for training, all are used for validation"):
            prepared(tmp_path, PAIRS[:1], validation_fraction=0.999999)

    def test_two_files_have_two_names(self, tmp_path: Path) -> None:
        """Also in an error, which names that of its side."""
        for name, side in (("a.de", 0), ("a.en", 1)):
            (tmp_path / name).write_text("\n".join(pair.split("\t")[side] for pair in PAIRS) + "\n")
        text = ParallelTextOptions(text=(tmp_path / "a.de", tmp_path / "a.en"))
        task = prepare_translation(text, VocabularyOptions(vocab_size=80), CONFIG, tmp_path / "run")
        assert task.summary.startswith("Text: a.de and a.en\n")
        assert (task.settings["corpus"]["name"], len(task.settings["corpus"]["digest"])) == ("a.de and a.en", 16)
        for name in ("a.de", "a.en"):
            before = (tmp_path / name).read_text()
            (tmp_path / name).write_text("学 校\n" * len(PAIRS))
            with pytest.raises(CorpusError, match=rf"{name}: "):
                prepare_translation(text, VocabularyOptions(tokenizer=str(tmp_path / "run")), CONFIG, tmp_path / "other")
            (tmp_path / name).write_text(before)

    @pytest.mark.parametrize(("rank", "expected"), [(0, 5), (1, 6)])
    def test_each_process_has_dropout_of_its_own(self, tmp_path: Path, rank: int, expected: int) -> None:
        task = prepared(tmp_path, PAIRS, PAIRS[:3], replace(CONFIG, seed=5))
        task.make_run(DeviceOptions(device="cpu"), Processes(rank=rank))
        assert torch.initial_seed() == expected

    def test_options_of_the_device(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both sides are compiled, for sequences of any length."""
        compiled = []
        monkeypatch.setattr(nn.Module, "compile", lambda module, **options: compiled.append((module, options)))
        task = prepared(tmp_path, PAIRS, PAIRS[:3])
        plain = task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS).model
        assert not compiled
        assert not any(getattr(module, "recompute", False) for module in plain.modules())
        model = task.make_run(DeviceOptions(device="cpu", compile=True, recompute=True), SINGLE_PROCESS).model
        assert compiled == [(model.encoder, {"dynamic": True}), (model.decoder, {"dynamic": True})]
        assert sum(getattr(module, "recompute", False) for module in model.modules()) == 2

    def test_a_model_of_nan_is_not_translated_with(self, tmp_path: Path) -> None:
        """The evaluation says that the loss is not finite, as for other tasks."""
        task = prepared(tmp_path, PAIRS, PAIRS[:3])
        run = task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)
        with torch.no_grad():
            run.model.words.weight.fill_(torch.nan)
        assert task.evaluate(run).line == "the loss is not finite"

    def test_learned_spaces_are_written_with_the_model(self, tmp_path: Path) -> None:
        task = prepared(tmp_path, PAIRS, PAIRS[:3])
        task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS).export(tmp_path / "model", task.tokenizer)
        assert (tmp_path / "model" / SPACING_FILE).is_file()
        words = ["one", "(", "well", "-", "fed", ")", "."]
        assert Spacing.load(tmp_path / "model").join(words) == task.spacing.join(words) == "one (well-fed)."
