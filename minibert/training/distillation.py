"""Distillation: a network with fewer layers learns from a trained one, on raw text (Sanh et al. 2019).

It is pretraining with masked language modeling, in the same run. The student begins with some layers of its teacher, and its
objective has two more terms.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from minibert.equations import cosine_loss, masked_lm_loss, soft_target_loss
from minibert.model.bert import PretrainedBert
from minibert.model.checkpoints.loading import read_checkpoint
from minibert.model.heads import BertForMaskedLM
from minibert.model.layer_selection import select_layers, spread_layers
from minibert.model.modes import evaluation_mode
from minibert.model.pretrained import PretrainedModel
from minibert.text.examples import PretrainingBatch
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.training.distillation_options import DistillationConfig
from minibert.training.distributed import Processes
from minibert.training.loop import evaluate
from minibert.training.objective import LossSum, count_correct, scale_gradient
from minibert.training.options import DeviceOptions
from minibert.training.pretraining import PretrainingTask, prepare_pretraining
from minibert.training.pretraining_families import METHODS, complete
from minibert.training.pretraining_objectives import MaskedLMObjective
from minibert.training.run import STATE_FILE, TrainingRun

TEACHER = "teacher"
NO_TEACHERS = {
    "electra": "the masked-LM head of an ELECTRA belongs to its generator, which is trained together with a discriminator",
    "gpt2": "a GPT-2 predicts the next token, and has no masked-LM head",
    "t5": "a T5 predicts the spans that were removed from a text, and has no masked-LM head",
    "vit": "the input of a ViT is an image",
}
"""The reason why a family has no teachers."""


@dataclass(frozen=True)
class DistillationObjective:
    """The losses of a student: the teacher's probabilities and the label at each masked token, and the vector of each token.

    The losses in the log are means in nats, and for "cosine" the mean distance of the cosine from 1. In the gradient, each has
    its weight. For two networks with a masked-LM head and the same width.
    """

    teacher: nn.Module
    temperature: float = 2.0
    soft_weight: float = 5.0
    mlm_weight: float = 2.0
    cosine_weight: float = 1.0

    def target_counts(self, batch: PretrainingBatch) -> dict[str, float | Tensor]:
        """Count the targets of each term: masked tokens, and all tokens."""
        masked = len(batch.predict_at)
        return {"soft": masked, "mlm": masked, "cosine": batch.attention_mask.sum()}

    def loss_sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Compute each term: the sum of its losses, and for "mlm" the number of correct predictions."""
        student = model(*batch.inputs, predict_at=batch.predict_at, with_vectors=True)
        with torch.no_grad(), evaluation_mode(self.teacher):
            taught = self.teacher(*batch.inputs, predict_at=batch.predict_at, with_vectors=True)
        labels = batch.labels.flatten()[batch.predict_at]
        soft = soft_target_loss(student.logits, taught.logits, self.temperature).sum()
        mlm = masked_lm_loss(student.logits, labels, "sum")
        cosine = (cosine_loss(student.last_hidden_state, taught.last_hidden_state) * batch.attention_mask).sum()
        return {
            "soft": LossSum(scale_gradient(soft, self.soft_weight)),
            "mlm": LossSum(scale_gradient(mlm, self.mlm_weight), count_correct(student.logits, labels)),
            "cosine": LossSum(scale_gradient(cosine, self.cosine_weight)),
        }


@dataclass(frozen=True, kw_only=True)
class DistillationTask(PretrainingTask):
    """Distillation, with its prepared data. `start` is the student."""

    config: DistillationConfig
    teacher: PretrainedModel

    def cost(self, run: TrainingRun[Any, PretrainingBatch]) -> tuple[int, int]:
        """As in `PretrainingTask`. The teacher has a forward pass, a third of the operations of a training step."""
        tokens, operations = super().cost(run)
        _, of_teacher = self.method.cost(self.teacher, run.last_batches)
        return tokens, operations + of_teacher // 3

    def make_run(self, device_options: DeviceOptions, processes: Processes) -> TrainingRun[PretrainedModel, PretrainingBatch]:
        run = super().make_run(device_options, processes)
        teacher = self.teacher.requires_grad_(requires_grad=False).to(processes.device)
        config = self.config
        run.objective = DistillationObjective(
            teacher, config.temperature, config.soft_weight, config.mlm_weight, config.cosine_weight
        )
        return run


def prepare_distillation(
    text: TextOptions, config: DistillationConfig, directory: Path, create_tokenizer: bool, source: str
) -> DistillationTask:
    """Read the text, load the teacher with its tokenizer, and make the student.

    Args:
        directory, create_tokenizer: as in `prepare_pretraining`.
        source: the teacher; see `load_teacher`.

    Raises: ValueError for text and checkpoints that cannot be used, FileNotFoundError if they do not exist.
    """
    teacher = load_teacher(source)
    config = replace(config, examples=replace(config.examples, pairs="none"), learning_rate=config.peak_learning_rate)
    config = cast("DistillationConfig", complete(config, teacher.config.model_types[0], source))
    prepared = prepare_pretraining(text, VocabularyOptions(), config, directory, create_tokenizer, source)
    depth = teacher.config.num_hidden_layers
    wanted = config.layers or max(1, depth // 2)
    if wanted > depth:
        raise ValueError(f"--layers {wanted}: {source} has {depth} layers, so choose {depth} or fewer")
    numbers = spread_layers(depth, wanted)
    resumed = prepared.start if (directory / STATE_FILE).is_file() else None
    try:
        student = resumed or select_layers(teacher, numbers)
    except ValueError as error:
        raise ValueError(f"{source}: {error}; choose another teacher") from None
    fields = {name: value for name, value in vars(prepared).items() if name in PretrainingTask.__dataclass_fields__}
    sizes = [f"{sum(each.numel() for each in model.parameters()):,} parameters" for model in (teacher, student)]
    lines = [
        prepared.summary,
        f"Teacher: {_counted(depth)}, {sizes[0]}",
        f"Student: {_counted(wanted)}, {sizes[1]}; its first weights are those of the teacher's {_named(numbers)}",
    ]
    if prepared.validation:
        loss = evaluate(teacher, prepared.validation, MaskedLMObjective())["mlm"].loss
        if loss is not None:
            fields["baselines"] = {**prepared.baselines, TEACHER: loss}
            lines.append(f"The teacher's MLM loss on the validation text is {loss:.3f} nats")
    fields |= {"config": config, "start": student, "summary": "\n  ".join(lines)}
    fields["settings"] = {**prepared.settings, "training": _settings(prepared.settings, config, wanted)}
    return DistillationTask(**fields, teacher=teacher)


def load_teacher(source: str) -> PretrainedBert:
    """Load a teacher: a checkpoint with a masked-LM head, of a family that is pretrained with that head alone.

    Raises: ValueError for a checkpoint of another family, and for one without all weights of that head; FileNotFoundError if
    there is none.
    """
    checkpoint = read_checkpoint(source)
    family, head = checkpoint.model_type, BertForMaskedLM.head
    networks = {
        name: method.network
        for name, methods in METHODS.items()
        for method in methods.values()
        if isinstance(method.objective, MaskedLMObjective)
    }
    if family not in networks:
        reason = f": {NO_TEACHERS[family]}" if family in NO_TEACHERS else ""
        raise ValueError(f"{source}: its family is {family}, and a teacher is one of {', '.join(networks)}{reason}")
    if head not in checkpoint.heads:
        raise ValueError(
            f"{source}: has no masked-LM head, whose probabilities a student learns (heads found: "
            f"{', '.join(checkpoint.heads)}); choose a pretrained checkpoint that was not fine-tuned for another task"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*not used by")  # the warning comes when the student is prepared
        return cast("PretrainedBert", checkpoint.load(networks[family], new_head=False))


def _settings(settings: Mapping[str, Any], config: DistillationConfig, layers: int) -> dict[str, Any]:
    of_distillation = ("temperature", "soft_weight", "mlm_weight", "cosine_weight")
    return {**settings["training"], "layers": layers, **{name: asdict(config)[name] for name in of_distillation}}


def _counted(layers: int) -> str:
    return "1 layer" if layers == 1 else f"{layers} layers"


def _named(numbers: Sequence[int]) -> str:
    """Say which layers these are."""
    return f"layer{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
