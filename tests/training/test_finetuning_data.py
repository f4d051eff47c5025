"""Preparing a fine-tuning task: which rows are held out, what is refused before training, what is told and recorded."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from minibert.model import BertConfig, BertForSequenceClassification
from minibert.model.adapters import BitFit
from minibert.model.adapters.files import StoredAdapter
from minibert.model.checkpoints.loading import Checkpoint
from minibert.text.labeled.findings import Finding, LabeledData
from minibert.text.labeled.options import LabeledDataOptions
from minibert.text.labeled.text_rows import TextRow
from minibert.text.splits import validation_keys
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.training.answering import Answering
from minibert.training.classification import Classification
from minibert.training.finetuning import FineTuning
from minibert.training.finetuning_data import (
    FINDINGS_SHOWN,
    _check_examples,
    _first_findings,
    check_data,
    hold_out,
    prepare_finetuning,
    read_data,
    weights_digest,
)
from minibert.training.finetuning_options import AnswerOptions, ClassifyOptions
from minibert.training.options import FineTuningConfig
from minibert.training.task_type import TaskData, bert_config

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *"abcdefgh"])
CONFIG = BertConfig(
    vocab_size=13, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12, max_position_embeddings=16
)
ROWS = [TextRow(text, label="yes" if text in "ab" else "no") for text in "abcdef"]


@pytest.fixture
def start(tmp_path: Path) -> Path:
    return write_start(tmp_path / "start")


def write_start(folder: Path, **changed: Any) -> Path:
    """Write a checkpoint with a tokenizer."""
    torch.manual_seed(0)
    BertForSequenceClassification(replace(CONFIG, **changed)).save_pretrained(folder)
    save_tokenizer(TOKENIZER, folder, CONFIG.max_position_embeddings)
    return folder


def write_rows(
    folder: Path, lines: str = "".join(f"{row.text}\t{row.label}\n" for row in ROWS), header: str = "text\tlabel"
) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train.tsv").write_text(f"{header}\n{lines}")
    return folder / "train.tsv"


def prepare(start: Path, file: Path, kind: Any = Classification, options: Any = None, **settings: Any) -> FineTuning[Any]:
    data, config = LabeledDataOptions((file,), validation_fraction=0.3), FineTuningConfig(**settings)
    return prepare_finetuning(kind, data, options or ClassifyOptions(), config, str(start))


class TestHoldingOut:
    @pytest.mark.parametrize("fraction", [0.0, 0.2, 0.5, 0.9])
    def test_every_row_is_in_one_part(self, fraction: float) -> None:
        """Those of the groups that are held out are for validation; both parts keep the order of the file."""
        held_out = validation_keys(map(Classification.group, ROWS), fraction)
        parts = hold_out(Classification, LabeledData(ROWS, name="x.tsv", digest="1"), fraction)
        assert parts.validation.rows == [row for row in ROWS if Classification.group(row) in held_out]
        assert parts.train.rows == [row for row in ROWS if Classification.group(row) not in held_out]
        assert {(part.name, part.digest) for part in (parts.train, parts.validation)} == {("x.tsv", "1")}

    def test_built_in_data_are_not_split(self) -> None:
        """A task has training and validation rows of its own."""

        class WithData(Classification):
            data: ClassVar[tuple[LabeledData[TextRow], ...]] = (LabeledData(ROWS[:5]), LabeledData(ROWS[5:]))

            @classmethod
            def built_in(cls) -> tuple[LabeledData[TextRow], LabeledData[TextRow]]:
                return cls.data

        data = read_data(WithData, LabeledDataOptions(), ClassifyOptions())
        assert (data.train, data.validation) == WithData.data

    @pytest.mark.parametrize("drop", [False, True])
    def test_rows_of_both_files_are_found(self, tmp_path: Path, drop: bool) -> None:
        """They can be left out of the training data. Rows that are held out are in one part only."""
        file, same = (write_rows(tmp_path / name, "a\tyes\nb\tno\nc\tyes\nd\tno\n") for name in ("one", "other"))
        same.write_text("text\tlabel\na\tyes\nz\tno\n")
        found = check_data(
            Classification, LabeledDataOptions((file,), validation=(same,), drop_shared=drop), ClassifyOptions(), CONFIG
        )
        [finding] = (finding.message for finding in found.findings if "also in the" in finding.message)
        assert ("; they were left out" in finding, "--drop-shared leaves them out" in finding) == (drop, not drop)
        assert len(found.data.train.rows) == 4 - drop
        held_out = check_data(Classification, LabeledDataOptions((file,), validation_fraction=0.5), ClassifyOptions(), CONFIG)
        assert not any("also in the" in finding.message for finding in held_out.findings)

    def test_what_is_found_in_one_file_is_told_once(self, tmp_path: Path) -> None:
        """Though its rows are in both parts."""
        file = write_rows(tmp_path, "a\tyes\nb\tno\nc\n d\tno\ne\tyes\nf\tno\n")
        found = check_data(Classification, LabeledDataOptions((file,), validation_fraction=0.3), ClassifyOptions(), CONFIG)
        assert len(found.findings) == len({*found.findings}) > 0
        assert len(found.notes) == len({*found.notes}) > 0


class TestCheckpoint:
    def test_another_architecture_is_refused(self) -> None:
        """The message has the names of the checkpoint and of the architecture."""
        checkpoint = Checkpoint("some/model", {"model_type": "gpt2"}, Path("config.json"), {}, Path("model.safetensors"))
        with pytest.raises(ValueError, match=r"^some/model: is a gpt2; the tasks are for BERT, RoBERTa, "):
            bert_config(checkpoint)

    def test_a_tokenizer_without_a_special_token_is_refused(self, start: Path) -> None:
        file = write_rows(start.parent)
        for token in ("[PAD]", "[CLS]", "[SEP]"):
            (start / "tokenizer.json").write_text(TOKENIZER.to_str().replace(token, token.lower()))
            (start / "tokenizer_config.json").unlink(missing_ok=True)
            with pytest.raises(ValueError, match=rf"has no \{token}"):
                prepare(start, file)

    @pytest.mark.parametrize("texts", [["a b", "a"], ["a", "a b"]])
    def test_pairs_need_two_segments(self, texts: list[str]) -> None:
        """One pair is enough, in the training or the validation rows."""
        check_segments(texts, 2)
        with pytest.raises(ValueError, match=r"^x: has one segment embedding .*, but the texts have two parts"):
            check_segments(texts, 1)

    def test_single_texts_need_one_segment(self) -> None:
        check_segments(["a", "b"], 1)


def check_segments(texts: list[str], segments: int) -> None:
    """Check a training and a validation row for a model with so many segments. A space separates the texts of a pair."""
    train, validation = ([TextRow(*text.split())] for text in texts)
    task = FineTuning(Classification(("a", "b")), FineTuningConfig(), pytest.fail, TOKENIZER, train, validation)
    data = TaskData(LabeledData(train), LabeledData(validation))
    _check_examples(task, data, replace(CONFIG, type_vocab_size=segments), "x")


class TestTask:
    def test_notes_and_settings(self, start: Path) -> None:
        """The data are named, what was inferred and found in them is told, and the learning rate is recorded."""
        file = write_rows(start.parent, "a\tyes\nb\tno\nc\tno\nc\tno\nd\tno\ne\tyes\nf\tno\n")
        task = prepare(start, file)
        assert task.notes[0] == f"Data: {file}; validation: {file}"
        assert any("label" in note for note in task.notes[1:])
        assert [note for note in task.notes if note.startswith("findings in the data: ")]
        assert task.config.learning_rate == FineTuningConfig().peak_learning_rate(CONFIG.hidden_size)
        assert task.settings["training"]["learning_rate"] == task.config.learning_rate

    def test_classes_are_balanced_if_asked_for(self, start: Path) -> None:
        file = write_rows(start.parent)
        assert prepare(start, file).type.class_weights is None
        weights = prepare(start, file, balanced_classes=True).type.class_weights
        assert weights is not None
        assert weights[0] != weights[1]

    def test_dropout_of_a_head_without_dropout_is_refused(self, start: Path) -> None:
        """Before the data are read. Another head has it."""
        file = write_rows(start.parent)
        assert prepare(start, file, classifier_dropout=0.3).new_model().dropout.p == 0.3
        with pytest.raises(ValueError, match=r"^--classifier-dropout: the head of `answer` has no dropout"):
            prepare(start, file, Answering, AnswerOptions(), classifier_dropout=0.3)


class TestDigest:
    TENSORS: Mapping[str, Tensor] = {"bert.a": torch.tensor([1.0, 2.0]), "bert.b": torch.tensor(3)}

    def digest(self, tensors: Mapping[str, Tensor] = TENSORS, inserted: Mapping[str, Tensor] | None = None) -> str:
        stored = None if inserted is None else StoredAdapter(Path("x"), Path("x"), BitFit(), {}, inserted)
        return weights_digest(Checkpoint("x", {"model_type": "bert"}, Path("x"), tensors, Path("x"), stored))

    def test_it_stays_the_same(self) -> None:
        """A run is resumed only if the digest in its run.json is that of the checkpoint."""
        contents = b"bert.a" + np.array([1, 2], dtype=np.float32).tobytes() + b"bert.b" + b"3"
        assert self.digest() == hashlib.sha256(contents).hexdigest()[:16]

    def test_the_order_of_the_file_has_no_influence(self) -> None:
        assert self.digest(dict(reversed(self.TENSORS.items()))) == self.digest()

    @pytest.mark.parametrize(
        "changed",
        [{"bert.a": torch.tensor([1.0, 2.5])}, {"bert.b": torch.tensor(4)}, {"bert.c": torch.tensor([1.0])}],
    )
    def test_every_weight_has_an_influence(self, changed: Mapping[str, Tensor]) -> None:
        """Those that an adapter inserts, too."""
        assert self.digest({**self.TENSORS, **changed}) != self.digest()
        inserted = [None, {}, {"lora": torch.tensor([1.0])}, {"lora": torch.tensor([2.0])}]
        assert len({self.digest(inserted=each) for each in inserted}) == 3


class TestFirstFindings:
    @pytest.mark.parametrize("kinds", [0, 1, FINDINGS_SHOWN, FINDINGS_SHOWN + 1, FINDINGS_SHOWN + 2])
    def test_equal_findings_are_one_line_and_the_first_lines_are_shown(self, kinds: int) -> None:
        """All findings are counted, and the lines that are left out."""
        findings = [Finding("x.tsv", line, f"fault {kind}") for kind in range(kinds) for line in (1, 2)]
        expected = [f"  x.tsv, line 1: fault {kind} (also in line 2)" for kind in range(min(kinds, FINDINGS_SHOWN))]
        more = [f"  and {kinds - FINDINGS_SHOWN} more: add --check to list them"] * (kinds > FINDINGS_SHOWN)
        assert _first_findings(findings) == ([f"findings in the data: {2 * kinds}", *expected, *more] if kinds else [])
