"""The pretraining of each family: network, objective, tokenizer and masks, for each task for sentence pairs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from minibert.model import BertConfig, BertForMaskedLM, BertForPreTraining
from minibert.model.electra import GENERATOR_FOLDER, ElectraWithGenerator
from minibert.model.families import NETWORKS
from minibert.model.pretrained import PretrainedModel
from minibert.printable import with_article
from minibert.text.examples import PretrainingBatch
from minibert.text.from_options import NewTokenizer
from minibert.text.options import ExampleConfig, PairTask
from minibert.training.costs import electra_cost, pretraining_cost
from minibert.training.objective import Objective
from minibert.training.options import FamilyName, PretrainingConfig
from minibert.training.pretraining_objectives import ElectraObjective, MaskedLMObjective, PretrainingObjective


def _encoder_cost(model: PretrainedModel, batches: Sequence[PretrainingBatch]) -> tuple[int, int]:
    return pretraining_cost(cast("BertConfig", model.config), batches)


@dataclass(frozen=True)
class PretrainingMethod:
    """The part of pretraining in which the families differ."""

    network: type[PretrainedModel]
    """The network, with the heads that it is pretrained with."""
    objective: Objective[Any]
    evaluation: Objective[Any] | None = None
    """Objective of the evaluation, if it counts more."""
    loss_weights: Mapping[str, float] | None = None
    """Weights of the terms in the total loss, if evaluations are compared by that. None: they are compared by the MLM loss."""
    tokenizer: NewTokenizer = "bert"
    """Kind of the tokenizer, if a new one is trained."""
    mask_share: float | None = None
    """See `PretrainingExamples`."""
    cost: Callable[[Any, Sequence[Any]], tuple[int, int]] = _encoder_cost
    """Function of the network and the micro-batches of a step: the numbers of tokens and of floating-point operations."""
    masked_lm_folder: str = ""
    """Folder of the network with a masked-LM head, in that of the run."""


def _with_pairs(network: type[PretrainedModel], *tasks: PairTask) -> dict[PairTask, PretrainingMethod]:
    return {task: PretrainingMethod(network, PretrainingObjective(task)) for task in tasks if task != "none"}


def _alone(network: type[PretrainedModel], tokenizer: NewTokenizer = "bert") -> dict[PairTask, PretrainingMethod]:
    return {"none": PretrainingMethod(network, MaskedLMObjective(), tokenizer=tokenizer)}


ELECTRA = PretrainingMethod(
    ElectraWithGenerator,
    ElectraObjective(),
    evaluation=ElectraObjective(with_baseline=True),
    loss_weights={"mlm": 1.0, "replaced": ElectraObjective().discriminator_weight},
    mask_share=0.85,
    cost=electra_cost,
    masked_lm_folder=GENERATOR_FOLDER,
)


METHODS: Mapping[FamilyName, Mapping[PairTask, PretrainingMethod]] = {
    "bert": _with_pairs(BertForPreTraining, "nsp", "sop") | _alone(BertForMaskedLM),
    "roberta": _alone(NETWORKS["RobertaForMaskedLM"], tokenizer="roberta"),
    "albert": _with_pairs(NETWORKS["AlbertForPreTraining"], "sop", "nsp") | _alone(NETWORKS["AlbertForMaskedLM"]),
    "electra": {"none": ELECTRA},
    "distilbert": _alone(NETWORKS["DistilBertForMaskedLM"]),
}
"""The methods of each family, by the task for sentence pairs. The first one is that of the paper, and the default."""


def method_for(config: PretrainingConfig) -> PretrainingMethod:
    """Return the method of a run. Raises: ValueError for a task for sentence pairs that the family does not have."""
    config = complete(config)
    assert config.family is not None
    return METHODS[config.family][config.examples.pair_task]


def complete(config: PretrainingConfig, model_type: str | None = None, source: str = "the model") -> PretrainingConfig:
    """Fill in the family and the task for sentence pairs of a run, where the options leave them open.

    Args:
        model_type: the `model_type` of the checkpoint that the run begins with; None for a new model.
        source: the name of that checkpoint, for messages.

    Raises: ValueError for a checkpoint of another family, or one without pretraining, and for a task for sentence pairs that
    the family does not have.
    """
    family = config.family or "bert"
    if model_type is not None:
        known = next((name for name in METHODS if name == model_type), None)
        if known is None:
            raise ValueError(f"{source}: is {with_article(model_type)}; pretraining is for {', '.join(METHODS)}")
        if config.family not in (None, known):
            raise ValueError(f"{source}: its family is {known}, not {config.family}; leave out --family")
        family = known
    default, *_ = tasks = [*METHODS[family]]
    pairs = config.examples.pairs or default
    if pairs not in tasks:
        raise ValueError(f"--pairs {pairs}: the family {family} is pretrained without it; use --pairs {' or '.join(tasks)}")
    check_fields(config, family)
    return replace(config, family=family, examples=replace(config.examples, pairs=pairs))


def check_fields(config: PretrainingConfig, family: str) -> None:
    """Raise ValueError for an option that is no field of the model's config in this family."""
    for name in config.family_fields:
        having = [each for each, methods in METHODS.items() if name in _fields_of(next(iter(methods.values())))]
        if family not in having:
            raise ValueError(f"--{name.replace('_', '-')}: is for --family {' and '.join(having)}, not for {family}")


def for_whole_texts(config: PretrainingConfig, family: FamilyName, *used: str) -> PretrainingConfig:
    """Return the options of a run of a family that is trained on whole texts: GPT-2 or T5.

    Args:
        used: settings of examples that the family has, besides `max_length`.

    Raises: ValueError for a setting of masks or sentence pairs, and for an option of other families.
    """
    examples, defaults = config.examples, ExampleConfig()
    for name in (each.name for each in fields(examples) if each.name not in ("max_length", *used)):
        if getattr(examples, name) != getattr(defaults, name):
            option = name.replace("_", "-")
            raise ValueError(
                f"--{option}: {with_article(family)} is trained on whole texts, without masks and sentence pairs; leave it out"
            )
    check_fields(config, family)
    return replace(config, family=family)


def _fields_of(method: PretrainingMethod) -> set[str]:
    return {each.name for each in fields(method.network.config_class)}
