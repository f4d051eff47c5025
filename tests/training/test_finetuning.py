"""Fine-tuning starts from a checkpoint with the head of another task, or of the same one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minibert import BertConfig, BertForSequenceClassification
from minibert.model.checkpoints.loading import read_checkpoint
from minibert.training.classification import Classification
from minibert.training.finetuning import start_model
from minibert.training.options import FineTuningConfig
from minibert.training.tagging import Tagging

CONFIG = BertConfig(
    vocab_size=13, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=16
)
REGRESSION = Classification(("score",), "regression")


@pytest.mark.parametrize(
    ("stored", "problem_type", "task", "is_kept"),
    [
        (["a", "b"], None, Classification(("a", "b")), True),
        (["b", "a"], None, Classification(("a", "b")), False),
        (["LABEL_0", "LABEL_1"], None, Classification(("0", "1")), True),
        (["LABEL_0", "LABEL_1"], None, Classification(("1", "2")), False),
        (["LABEL_0", "LABEL_1"], None, Classification(("a", "b")), False),
        (["LABEL_0"], None, REGRESSION, True),
        (["similarity"], "regression", REGRESSION, True),
        (["toxic"], "multi_label_classification", REGRESSION, False),
        (["a", "b"], None, REGRESSION, False),
    ],
)
def test_a_head_is_kept_if_its_outputs_have_the_same_meaning(
    tmp_path: Path, stored: list[str], problem_type: str | None, task: Classification, is_kept: bool
) -> None:
    """Hugging Face calls classes without names LABEL_0, and the output of a regression, too."""
    model = BertForSequenceClassification(replace(CONFIG.with_labels(stored), problem_type=problem_type))
    model.save_pretrained(tmp_path)
    started = start_model(read_checkpoint(tmp_path), task, FineTuningConfig())
    kept = started.state_dict()["classifier.weight"]
    stored_weight = model.state_dict()["classifier.weight"]
    assert (kept.shape == stored_weight.shape and torch.equal(kept, stored_weight)) == is_kept
    assert ("classifier.weight" in started.initialized) != is_kept


def test_a_tagger_has_no_problem_type() -> None:
    assert Tagging(("O", "B-X")).model_config(replace(CONFIG, problem_type="regression")).problem_type is None
