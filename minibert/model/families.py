"""The relatives of BERT: what each of them changes, and how its checkpoints are named.

A family is a config, a table of names and a list of networks. Its config says which parts differ (`structure.Structure`); the
networks are those of BERT. `load` finds them by the `model_type` of a checkpoint.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from minibert.model.bert import Bert, PretrainedBert
from minibert.model.checkpoints.names import NameTable
from minibert.model.config import BertConfig
from minibert.model.family_heads import ReplacedTokenDetection, SequenceClassificationWithoutPooler
from minibert.model.heads import (
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)


@dataclass(frozen=True, kw_only=True)
class RobertaConfig(BertConfig):
    """RoBERTa (Liu et al. 2019): positions that do not count padding, and no next-sentence task.

    The defaults are those of transformers. Published models have 514 positions, one segment and an epsilon of 1e-5.
    """

    model_types = ("roberta",)
    counts_padding: ClassVar[bool] = False

    vocab_size: int = 50265
    """Number of pieces."""
    pad_token_id: int | None = 1
    """Id of the padding piece, which is also the position of padding."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pad_token_id is None:
            raise ValueError("pad_token_id must be a number: positions are counted from it")
        if self.max_tokens < 1:
            raise ValueError(
                f"max_position_embeddings must be at least pad_token_id + 2, {self.pad_token_id + 2}, "
                f"not {self.max_position_embeddings}: the first ones belong to padding"
            )

    @classmethod
    def of_size(cls, size: BertConfig, **others: Any) -> "RobertaConfig":
        return super().of_size(size, **{"type_vocab_size": 1, "layer_norm_eps": 1e-5} | others)

    @property
    def max_tokens(self) -> int:
        assert self.pad_token_id is not None
        return self.max_position_embeddings - self.pad_token_id - 1

    @property
    def mlm_act(self) -> str:
        return "gelu"


@dataclass(frozen=True, kw_only=True)
class AlbertConfig(BertConfig):
    """ALBERT (Lan et al. 2020): narrow embeddings, and layers that share their parameters.

    The defaults are those of transformers: ALBERT-xxlarge.
    """

    model_types = ("albert",)
    hub_names: ClassVar[Mapping[str, str]] = {"classifier_dropout": "classifier_dropout_prob"}
    supported: ClassVar[Mapping[str, object]] = {**BertConfig.supported, "inner_group_num": 1}
    pair_task = "sop"

    vocab_size: int = 30000
    """Number of pieces."""
    embedding_size: int = 128
    """Width of the embeddings, "E" in the paper."""
    hidden_size: int = 4096
    """Size of the token vectors, "H" in the paper."""
    num_attention_heads: int = 64
    """Number of attention heads per layer."""
    intermediate_size: int = 16384
    """Inner size of the feed-forward network."""
    num_hidden_groups: int = 1
    """Number of layers with parameters of their own. Each of them runs several times in a row."""
    hidden_act: str = "gelu_new"
    """Activation function of the feed-forward network and of the masked-LM head."""
    hidden_dropout_prob: float = 0.0
    """Dropout probability of embeddings and sublayer outputs."""
    attention_probs_dropout_prob: float = 0.0
    """Dropout probability of attention weights."""
    classifier_dropout: float | None = 0.1
    """Dropout probability before every head but the masked-LM head."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_hidden_groups > self.num_hidden_layers:
            raise ValueError(
                f"num_hidden_groups must be at most num_hidden_layers, {self.num_hidden_layers}, not {self.num_hidden_groups}"
            )

    @classmethod
    def of_size(cls, size: BertConfig, **others: Any) -> "AlbertConfig":
        return super().of_size(size, **{"embedding_size": min(128, size.hidden_size)} | others)

    @property
    def embedding_width(self) -> int:
        return self.embedding_size

    @property
    def projects_embeddings(self) -> bool:
        return True

    @property
    def layer_groups(self) -> int:
        return self.num_hidden_groups

    @property
    def pair_head_dropout_prob(self) -> float:
        return self.head_dropout_prob


@dataclass(frozen=True, kw_only=True)
class ElectraConfig(BertConfig):
    """ELECTRA (Clark et al. 2020): trained to find replaced tokens. Embeddings may be narrow, and there is no pooler.

    The defaults are those of transformers: the discriminator of ELECTRA-small.
    """

    model_types = ("electra",)
    has_pooler: ClassVar[bool] = False
    classifier_act: ClassVar[str] = "gelu"
    supported: ClassVar[Mapping[str, object]] = {
        **BertConfig.supported,
        "summary_type": "first",
        "summary_use_proj": True,
        "summary_activation": "gelu",
        "summary_last_dropout": 0.1,
    }

    embedding_size: int = 128
    """Width of the embeddings."""
    hidden_size: int = 256
    """Size of the token vectors."""
    num_attention_heads: int = 4
    """Number of attention heads per layer."""
    intermediate_size: int = 1024
    """Inner size of the feed-forward network."""

    @classmethod
    def of_size(cls, size: BertConfig, **others: Any) -> "ElectraConfig":
        """As in `ModelConfig`. The embeddings are narrow in a small model only, as in the paper."""
        width = min(128, size.hidden_size) if size.hidden_size <= 256 else size.hidden_size
        return super().of_size(size, **{"embedding_size": width} | others)

    @property
    def embedding_width(self) -> int:
        return self.embedding_size

    @property
    def projects_embeddings(self) -> bool:
        return self.embedding_size != self.hidden_size

    @property
    def mlm_act(self) -> str:
        return "gelu"


@dataclass(frozen=True, kw_only=True)
class DistilBertConfig(BertConfig):
    """DistilBERT (Sanh et al. 2019): half of BERT's layers, no segments and no pooler.

    The defaults are those of transformers.
    """

    model_types = ("distilbert",)
    has_segments: ClassVar[bool] = False
    has_pooler: ClassVar[bool] = False
    classifier_act: ClassVar[str] = "relu"
    hub_names: ClassVar[Mapping[str, str]] = {
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
        "classifier_dropout": "seq_classif_dropout",
        "span_dropout_prob": "qa_dropout",
    }
    supported: ClassVar[Mapping[str, object]] = {**BertConfig.supported, "sinusoidal_pos_embds": False}
    not_in_files: ClassVar[tuple[str, ...]] = ("layer_norm_eps", "type_vocab_size")
    """Fields of BERT that its config.json does not have."""

    num_hidden_layers: int = 6
    """Number of encoder layers."""
    classifier_dropout: float | None = 0.2
    """Dropout probability before a classifier for sequences."""
    span_dropout_prob: float = 0.1
    """Dropout probability before the head for answers in a text."""

    @classmethod
    def of_size(cls, size: BertConfig, **others: Any) -> "DistilBertConfig":
        """As in `ModelConfig`, with half of the layers."""
        return super().of_size(size, **{"num_hidden_layers": max(1, size.num_hidden_layers // 2)} | others)

    @property
    def hidden_head_dropout_prob(self) -> float:
        return 0.0

    @property
    def token_head_dropout_prob(self) -> float:
        return self.hidden_dropout_prob

    @property
    def span_head_dropout_prob(self) -> float:
        return self.span_dropout_prob

    @classmethod
    def read_fields(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        return _without(super().read_fields(stored), cls.not_in_files)

    def hub_fields(self) -> dict[str, Any]:
        return _without(super().hub_fields(), self.not_in_files)


def _without(stored: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in stored.items() if name not in names}


@dataclass(frozen=True)
class Family:
    """An architecture that consists of the parts of BERT."""

    title: str
    """Name of the family in texts."""
    config_class: type[BertConfig]
    networks: Mapping[type[PretrainedBert], str]
    """Our networks, and the classes of transformers that compute the same."""
    prefix: str
    """Start of all names of the encoder in a network with a head."""
    names: Mapping[str, str]
    """From our names to those of transformers, where they differ from BERT's."""
    own_names: Mapping[type[PretrainedBert], Mapping[str, str]] = field(default_factory=dict)
    """Names of single networks, where they differ from those of the others."""
    stages: Mapping[str, str] = field(default_factory=dict)
    """The modules of transformers that compute recorded tensors, where they differ from BERT's. "": no module does."""
    attention: str = "encoder.layer.N.attention.self"
    """Name of the attention modules of transformers."""
    depth_field: str = "num_hidden_layers"
    """Config field with the number of layers that have parameters."""

    def make_networks(self) -> dict[str, type[PretrainedBert]]:
        """Make a class for each network, under the name of the class of transformers. `load` then finds it."""
        common = self.name_table({})
        attributes: dict[str, Any] = {
            "config_class": self.config_class,
            "reference_stages": _without_empty({**PretrainedBert.reference_stages, **self.stages}),
            "attention_modules": {"layers.N.attention": self.attention},
            "depth_fields": {"layers": self.depth_field},
            "optional_modules": (*PretrainedBert.optional_modules, "pre_classifier", "replaced"),
            "__module__": __name__,
        }
        made: dict[str, type[PretrainedBert]] = {}
        for network, architecture in self.networks.items():
            own = self.own_names.get(network)
            made[architecture] = type(
                architecture,
                (network,),
                attributes
                | {
                    "architecture": architecture,
                    "names": common if own is None else self.name_table(own),
                    "__doc__": network.__doc__,
                },
            )
            if network is Bert:
                attributes["encoder"] = made[architecture]
        return made

    def name_table(self, own: Mapping[str, str]) -> NameTable:
        """Return the names of one network; `own` as in `own_names`. Without them, all names can be read."""
        table = _without_empty({**PretrainedBert.names.table, **self.names, **own})
        others = {} if own else {theirs: ours for names in self.own_names.values() for ours, theirs in names.items()}
        return replace(
            PretrainedBert.names,
            table=table,
            their_prefix=self.prefix,
            outside_base_model=(*PretrainedBert.names.outside_base_model, "pre_classifier", "replaced"),
            also=others,
        )


def _without_empty(table: Mapping[str, str]) -> dict[str, str]:
    return {ours: theirs for ours, theirs in table.items() if theirs}


NAMES_FOR_SEQUENCES: Mapping[type[PretrainedBert], Mapping[str, str]] = {
    SequenceClassificationWithoutPooler: {"classifier": "classifier.out_proj"}
}
"""RoBERTa and ELECTRA call the last layer of a classifier "classifier" for tokens, and "classifier.out_proj" for sequences."""


def _networks(name: str, *others: tuple[type[PretrainedBert], str], has_pooler: bool) -> dict[type[PretrainedBert], str]:
    """Return the networks that every family has, and others."""
    classifier = BertForSequenceClassification if has_pooler else SequenceClassificationWithoutPooler
    return {
        Bert: f"{name}Model",
        BertForMaskedLM: f"{name}ForMaskedLM",
        classifier: f"{name}ForSequenceClassification",
        BertForTokenClassification: f"{name}ForTokenClassification",
        BertForQuestionAnswering: f"{name}ForQuestionAnswering",
        **dict(others),
    }


_ALBERT_LAYER = "encoder.albert_layer_groups.N.albert_layers.0"
_DISTILBERT_LAYER = "transformer.layer.N"
_NO_POOLER = {"nsp": "", "pooler.dense": ""}

FAMILIES: Mapping[str, Family] = {
    "roberta": Family(
        "RoBERTa",
        RobertaConfig,
        _networks("Roberta", has_pooler=False),
        prefix="roberta.",
        names={
            "nsp": "",
            "mlm.transform": "lm_head.dense",
            "mlm.norm": "lm_head.layer_norm",
            "mlm": "lm_head",
            "mlm.decoder": "lm_head.decoder",
            "pre_classifier": "classifier.dense",
        },
        own_names=NAMES_FOR_SEQUENCES,
        stages={
            "mlm.transform": "lm_head.layer_norm",
            "mlm.logits": "lm_head.decoder",
            "pre_classifier.linear": "classifier.dense",
        },
    ),
    "albert": Family(
        "ALBERT",
        AlbertConfig,
        _networks("Albert", (BertForPreTraining, "AlbertForPreTraining"), has_pooler=True),
        prefix="albert.",
        names={
            "projection": "encoder.embedding_hidden_mapping_in",
            "layers.N.attention.query": f"{_ALBERT_LAYER}.attention.query",
            "layers.N.attention.key": f"{_ALBERT_LAYER}.attention.key",
            "layers.N.attention.value": f"{_ALBERT_LAYER}.attention.value",
            "layers.N.attention.output": f"{_ALBERT_LAYER}.attention.dense",
            "layers.N.attention_norm": f"{_ALBERT_LAYER}.attention.LayerNorm",
            "layers.N.feed_forward.intermediate": f"{_ALBERT_LAYER}.ffn",
            "layers.N.feed_forward.output": f"{_ALBERT_LAYER}.ffn_output",
            "layers.N.feed_forward_norm": f"{_ALBERT_LAYER}.full_layer_layer_norm",
            "pooler.dense": "pooler",
            "mlm.transform": "predictions.dense",
            "mlm.norm": "predictions.LayerNorm",
            "mlm": "predictions",
            "mlm.decoder": "predictions.decoder",
            "nsp": "sop_classifier.classifier",
        },
        stages={
            "projection": "encoder.embedding_hidden_mapping_in",
            "layers.N.attention.output": f"{_ALBERT_LAYER}.attention.dense",
            "layers.N.attention_residual": f"<{_ALBERT_LAYER}.attention.LayerNorm",
            "layers.N.attention_norm": f"{_ALBERT_LAYER}.attention.LayerNorm",
            "layers.N.intermediate": f"{_ALBERT_LAYER}.ffn",
            "layers.N.activation": f"<{_ALBERT_LAYER}.ffn_output",
            "layers.N.feed_forward": f"{_ALBERT_LAYER}.ffn_output",
            "layers.N.output": f"{_ALBERT_LAYER}.full_layer_layer_norm",
            "pooler": "pooler_activation",
            "mlm.transform": "predictions.LayerNorm",
            "mlm.logits": "predictions.decoder",
            "nsp.logits": "sop_classifier.classifier",
        },
        attention=f"{_ALBERT_LAYER}.attention",
        depth_field="num_hidden_groups",
    ),
    "electra": Family(
        "ELECTRA",
        ElectraConfig,
        _networks("Electra", (ReplacedTokenDetection, "ElectraForPreTraining"), has_pooler=False),
        prefix="electra.",
        names={
            **_NO_POOLER,
            "projection": "embeddings_project",
            "mlm.transform": "generator_predictions.dense",
            "mlm.norm": "generator_predictions.LayerNorm",
            "mlm": "",
            "mlm.decoder": "",
            "mlm.bias": "generator_lm_head.bias",
            "mlm.decoder.weight": "generator_lm_head.weight",
            "pre_classifier": "classifier.dense",
            "replaced.dense": "discriminator_predictions.dense",
            "replaced.output": "discriminator_predictions.dense_prediction",
        },
        own_names=NAMES_FOR_SEQUENCES,
        stages={
            "projection": "embeddings_project",
            "mlm.transform": "generator_predictions.LayerNorm",
            "mlm.logits": "generator_lm_head",
            "pre_classifier.linear": "classifier.dense",
            "replaced.linear": "discriminator_predictions.dense",
            "replaced.logits": "discriminator_predictions",
        },
    ),
    "distilbert": Family(
        "DistilBERT",
        DistilBertConfig,
        _networks("DistilBert", has_pooler=False),
        prefix="distilbert.",
        names={
            **_NO_POOLER,
            "embeddings.segments": "",
            "layers.N.attention.query": f"{_DISTILBERT_LAYER}.attention.q_lin",
            "layers.N.attention.key": f"{_DISTILBERT_LAYER}.attention.k_lin",
            "layers.N.attention.value": f"{_DISTILBERT_LAYER}.attention.v_lin",
            "layers.N.attention.output": f"{_DISTILBERT_LAYER}.attention.out_lin",
            "layers.N.attention_norm": f"{_DISTILBERT_LAYER}.sa_layer_norm",
            "layers.N.feed_forward.intermediate": f"{_DISTILBERT_LAYER}.ffn.lin1",
            "layers.N.feed_forward.output": f"{_DISTILBERT_LAYER}.ffn.lin2",
            "layers.N.feed_forward_norm": f"{_DISTILBERT_LAYER}.output_layer_norm",
            "mlm.transform": "vocab_transform",
            "mlm.norm": "vocab_layer_norm",
            "mlm": "",
            "mlm.decoder": "",
            "mlm.bias": "vocab_projector.bias",
            "mlm.decoder.weight": "vocab_projector.weight",
            "pre_classifier": "pre_classifier",
        },
        stages={
            "embeddings.segments": "",
            "layers.N.attention.output": f"{_DISTILBERT_LAYER}.attention.out_lin",
            "layers.N.attention_residual": f"<{_DISTILBERT_LAYER}.sa_layer_norm",
            "layers.N.attention_norm": f"{_DISTILBERT_LAYER}.sa_layer_norm",
            "layers.N.intermediate": f"{_DISTILBERT_LAYER}.ffn.lin1",
            "layers.N.activation": f"<{_DISTILBERT_LAYER}.ffn.lin2",
            "layers.N.feed_forward": f"{_DISTILBERT_LAYER}.ffn.lin2",
            "layers.N.output": f"{_DISTILBERT_LAYER}.output_layer_norm",
            "mlm.transform": "vocab_layer_norm",
            "mlm.logits": "vocab_projector",
            "pre_classifier.linear": "pre_classifier",
        },
        attention=f"{_DISTILBERT_LAYER}.attention",
    ),
}
"""The relatives of BERT, by the `model_type` of their checkpoints."""

NETWORKS: Mapping[str, type[PretrainedBert]] = {
    name: network for family in FAMILIES.values() for name, network in family.make_networks().items()
}
"""The networks of all families, by the names of the classes of transformers."""
globals().update(NETWORKS)  # so that a network can be pickled
