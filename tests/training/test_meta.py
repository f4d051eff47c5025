"""Training and evaluation on the meta device; see `tests.meta`. A step reads numbers once."""

import sys
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from minibert import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LoRA,
    Transformer,
    TransformerConfig,
    ViTConfig,
    ViTForImageClassification,
    evaluate,
    train,
)
from minibert.model.config import PRESETS
from minibert.model.electra import ElectraWithGenerator
from minibert.model.families import ElectraConfig
from minibert.model.multitask import MultiTaskBert
from minibert.text.corpus import Document
from minibert.text.examples import PretrainingBatch
from minibert.text.labeled.examples import LabeledBatch
from minibert.text.options import ExampleConfig
from minibert.text.packing import NextTokenBatch
from minibert.text.parallel import ParallelBatch
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training.answering import AnsweringObjective
from minibert.training.classification import ClassificationObjective
from minibert.training.costs import pretraining_cost
from minibert.training.distillation import DistillationObjective
from minibert.training.distributed import Processes
from minibert.training.features import CachedBert
from minibert.training.images import ImageBatch, ImageClassificationObjective
from minibert.training.logits import CollectLogits
from minibert.training.multitask import MultiTaskBatch, MultiTaskObjective
from minibert.training.next_token import NextTokenObjective
from minibert.training.objective import Objective
from minibert.training.optimizer import adamw, noam, warmup_constant, warmup_linear
from minibert.training.options import DeviceOptions, PretrainingConfig
from minibert.training.pretraining import pretraining_run
from minibert.training.pretraining_objectives import ElectraObjective, MaskedLMObjective, PretrainingObjective
from minibert.training.tagging import TaggingObjective
from minibert.training.task_type import HeadObjective, task_types
from minibert.training.translation import TranslationObjective
from tests.meta import META, OnMeta, classes, read_as_ones

SIZES = {"vocab_size": 30, "hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 20, "max_position_embeddings": 16}
CONFIG = BertConfig(**SIZES, num_hidden_layers=1, id2label={0: "a", 1: "b"})
IDS = torch.arange(5, 19).view(2, 7)
MASK = IDS > 6
PER_TEXT = torch.tensor([0, 1])
INPUTS = (IDS, MASK, torch.zeros_like(IDS))


def labeled(**targets: Tensor) -> LabeledBatch:
    return LabeledBatch(*INPUTS, targets)


PRETRAINING = PretrainingBatch(*INPUTS, IDS, PER_TEXT, torch.tensor([1, 4, 9]), torch.tensor([[0, 1, 4], [7, 7, 9]]))
TEXTS, TAGS, WEIGHTS = labeled(labels=PER_TEXT), labeled(labels=IDS % 2), (0.5, 2.0)
ELECTRA = ElectraConfig(**SIZES, num_hidden_layers=1, embedding_size=8)
TRANSFORMER = TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1)
CLASSIFICATION = partial(BertForSequenceClassification, CONFIG)
with META:
    TEACHER = BertForMaskedLM(CONFIG)
IMAGES = ViTConfig(hidden_size=12, num_attention_heads=3, num_hidden_layers=1, intermediate_size=20, image_size=4, patch_size=2)
STEPS: list[tuple[Objective[Any], Any, Any]] = [
    (MaskedLMObjective(), partial(BertForMaskedLM, CONFIG), PRETRAINING),
    (PretrainingObjective("nsp"), partial(BertForPreTraining, CONFIG), PRETRAINING),
    (PretrainingObjective("sop"), partial(BertForPreTraining, CONFIG), PRETRAINING),
    (ElectraObjective(), partial(ElectraWithGenerator, ELECTRA), replace(PRETRAINING, uniform_at=torch.rand(3))),
    (DistillationObjective(TEACHER), partial(BertForMaskedLM, CONFIG), PRETRAINING),
    (NextTokenObjective(), partial(GPT2LMHeadModel, GPT2Config(**SIZES, num_hidden_layers=1)), NextTokenBatch(IDS, IDS)),
    (TranslationObjective(0.1), partial(Transformer, TRANSFORMER), ParallelBatch(IDS, MASK, IDS, IDS)),
    (
        ImageClassificationObjective(),
        partial(ViTForImageClassification, IMAGES),
        ImageBatch(torch.rand(2, 3, 4, 4), PER_TEXT),
    ),
    (ClassificationObjective(), CLASSIFICATION, TEXTS),
    (ClassificationObjective(class_weights=WEIGHTS), CLASSIFICATION, TEXTS),
    (ClassificationObjective("multi_label_classification"), CLASSIFICATION, labeled(labels=torch.rand(2, 2))),
    (ClassificationObjective("regression"), CLASSIFICATION, labeled(labels=torch.rand(2, 2))),
    (TaggingObjective(), partial(BertForTokenClassification, CONFIG), TAGS),
    (TaggingObjective(WEIGHTS), partial(BertForTokenClassification, CONFIG), TAGS),
    (
        AnsweringObjective(),
        partial(BertForQuestionAnswering, CONFIG),
        labeled(start_positions=PER_TEXT, end_positions=PER_TEXT),
    ),
    (
        MultiTaskObjective({"texts": ClassificationObjective(), "words": TaggingObjective()}),
        lambda: MultiTaskBert({"texts": CLASSIFICATION(), "words": BertForTokenClassification(CONFIG)}),
        MultiTaskBatch("words", TAGS),
    ),
]
"""For each objective, a function that creates a network, and a batch."""
every_objective = pytest.mark.parametrize(("objective", "make", "batch"), STEPS)
SCHEDULES = {
    "linear": partial(warmup_linear, steps=10),
    "constant": partial(warmup_constant, steps=10),
    "noam": partial(noam, width=12, warmup_steps=4),
    "noam, linear": partial(noam, width=12, warmup_steps=4, linear_decay_steps=10),
}


@pytest.fixture(autouse=True)
def fused_optimizer_on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fused AdamW run on the meta device. Its operation can, but PyTorch's check of devices does not list it."""
    monkeypatch.setattr(sys.modules[Optimizer.__module__], "_get_fused_kernels_supported_devices", lambda: ["meta"])


def model_on_meta(make: Any) -> Any:
    with META:
        return make()


def check_steps(model: nn.Module, objective: Objective[Any], batch: Any, schedule: Any = SCHEDULES["linear"]) -> None:
    """Run two steps with two micro-batches each, and check the number of readings."""
    optimizer = adamw(model, 1e-3)
    on_device = batch.to(META)
    with OnMeta(), read_as_ones() as read:
        steps = [*train(model, [[on_device, on_device]] * 2, objective, optimizer, schedule(optimizer))]
    assert [step.skipped for step in steps] == [False, False]
    assert len(read) == 2
    assert optimizer.state


def test_networks_of_training() -> None:
    """`CachedBert` alone is not for the meta device: it finds the features of a text by its tokens, on the host."""
    assert classes("minibert.training", nn.Module) == {CachedBert}


def test_every_objective_and_every_task_has_a_step() -> None:
    """`CollectLogits` is not for training: it copies the logits of an evaluation to the host."""
    found = {kind for kind in classes("minibert.training") if callable(getattr(kind, "loss_sums", None))}
    assert found - {Objective, HeadObjective, CollectLogits} == {type(objective) for objective, _, _ in STEPS}
    made = {type(model_on_meta(make)) for _, make, _ in STEPS}
    assert {task.network for task in task_types()} <= made


@every_objective
def test_training_steps(objective: Objective[Any], make: Any, batch: Any) -> None:
    check_steps(model_on_meta(make), objective, batch)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str) -> None:
    check_steps(model_on_meta(CLASSIFICATION), ClassificationObjective(), TEXTS, SCHEDULES[name])


def test_training_of_an_adapter() -> None:
    model = model_on_meta(CLASSIFICATION)
    LoRA().apply(model)
    check_steps(model, ClassificationObjective(), TEXTS)


def test_training_with_recomputation() -> None:
    model = model_on_meta(CLASSIFICATION)
    model.set_recompute(True)
    check_steps(model, ClassificationObjective(), TEXTS)


def test_a_run_reads_numbers_once_per_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its batches are made on the CPU, where their number of tokens is known, and copied to the device."""
    monkeypatch.setitem(PRESETS, "tiny", CONFIG)
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, "a", "b", "c"])
    documents = [Document(str(n), (f"a b{n * ' c'}", "c a", f"b{n * ' a'}")) for n in range(5)]
    corpus = TokenizedCorpus.from_documents(documents, tokenizer)
    config = PretrainingConfig(preset="tiny", steps=3, batch_size=4, examples=ExampleConfig(max_length=12))
    run = pretraining_run(config, DeviceOptions(micro_batch_size=2), corpus, tokenizer, Processes(device=META))
    steps = run.run()
    for _ in range(config.steps):
        with OnMeta(), read_as_ones() as read:
            assert not next(steps).skipped
        assert len(read) == 1
        tokens, operations = pretraining_cost(run.model.config, run.last_batches)
        assert 0 < tokens < operations


@every_objective
def test_evaluation_reads_numbers_once(objective: Objective[Any], make: Any, batch: Any) -> None:
    """It is after the last batch."""
    model, on_device = model_on_meta(make), batch.to(META)
    with OnMeta(), read_as_ones() as read:
        evaluate(model, [on_device] * 3, objective)
    assert len(read) == 1
