"""The experiments that train networks: what they learn, and what counts as a difference."""

import torch

from benchmarks.ideas import distillation
from benchmarks.ideas.common import Row, change
from minibert.model import BertConfig, BertForSequenceClassification
from minibert.text.labeled.examples import LabeledBatch
from minibert.text.tokenizer import vocabulary_size
from tests.training.test_pretraining import TOKENIZER

CONFIG = BertConfig(
    vocab_size=vocabulary_size(TOKENIZER),
    hidden_size=8,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
    initializer_range=0.5,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


def test_a_star_is_for_differences_that_are_not_chance() -> None:
    """The seeds are compared in pairs: what differs between them does not count."""
    base = Row({}, {"loss": [1.0, 2.0, 3.0]})
    assert change(Row({}, {"loss": [1.1, 2.11, 3.1]}), base, "loss") == "+0.103*"
    assert change(Row({}, {"loss": [1.5, 1.9, 3.0]}), base, "loss") == "+0.133"
    assert change(base, base, "loss", "+.1f", 100) == "+0.0"


def test_a_student_that_agrees_learns_nothing() -> None:
    torch.manual_seed(0)
    teacher = BertForSequenceClassification(CONFIG).double()
    ids = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 0]])
    inputs = LabeledBatch(ids, ids != 0, torch.zeros_like(ids), {})
    objective = distillation.SoftClasses(teacher)
    objective.loss_sums(teacher, inputs)["soft"].loss.backward()
    assert all(each.grad is None or each.grad.abs().max() < 1e-12 for each in teacher.parameters())
    assert objective.target_counts(inputs) == {"soft": 2}
    other = BertForSequenceClassification(CONFIG).double()
    objective.loss_sums(other, inputs)["soft"].loss.backward()
    assert other.classifier.weight.grad.abs().max() > 1e-3
