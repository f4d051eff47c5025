"""Odd configurations and inputs of BERT and its family, GPT-2, MarianMT, T5 and ViT, drawn at random.

Small numbers are more likely than large ones: one head, width 1, one piece, one token. Some fields have values that a library
must refuse. Masks have padding on either side, holes, and rows of padding alone.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import transformers
from torch import Tensor

from minibert import (
    Bert,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2LMHeadModel,
    Transformer,
    ViTForImageClassification,
    ViTModel,
)
from minibert.equations import IGNORE_INDEX
from minibert.model.config import ACTIVATION_ALIASES, ACTIVATIONS
from minibert.model.families import FAMILIES
from minibert.model.families import NETWORKS as FAMILY_NETWORKS
from minibert.model.pretrained import PretrainedModel
from minibert.model.t5 import MT5ForConditionalGeneration, T5ForConditionalGeneration

NETWORKS: dict[str, list[type[PretrainedModel]]] = {
    "BERT": [
        Bert,
        BertForPreTraining,
        BertForMaskedLM,
        BertForNextSentencePrediction,
        BertForSequenceClassification,
        BertForTokenClassification,
        BertForQuestionAnswering,
    ],
    "GPT-2": [GPT2LMHeadModel],
    "MarianMT": [Transformer],
    "T5 1.0": [T5ForConditionalGeneration],
    "T5 1.1": [T5ForConditionalGeneration],
    "mT5": [MT5ForConditionalGeneration],
    "ViT": [ViTModel, ViTForImageClassification],
    **{name: [FAMILY_NETWORKS[each] for each in family.networks.values()] for name, family in FAMILIES.items()},
}
"""The networks that are compared with the network of transformers that has their `architecture`, by its family."""
NAMES = ("negative", "ポジティブ", 'a "quoted" name\n', "n" * 3000, "", "../up", "\u202eright to left", "LABEL_7")
MASKS = ("all", "right", "left", "holes", "empty row")


@dataclass
class Case:
    """A configuration, with inputs. Names of fields and arguments are those of transformers."""

    network: type[PretrainedModel]
    fields: dict[str, Any]
    inputs: dict[str, Tensor]
    """Arguments of both networks."""
    labels: dict[str, Tensor]
    their_inputs: dict[str, Tensor] = field(default_factory=dict)
    """Arguments of the network of transformers alone."""
    std: float = 0.4
    """Standard deviation of the weights."""
    seed: int = 0
    attention: str = "eager"
    """Attention of transformers."""
    their_labels: dict[str, str] = field(default_factory=dict)
    """Names of labels in transformers, where they differ."""
    is_untied: bool = False
    """True for an output matrix of its own, as published files of T5 1.1 have it. The config of transformers cannot say so."""

    def __str__(self) -> str:
        shapes = {name: tensor.tolist() for name, tensor in self.inputs.items()}
        return f"{self.network.__name__} {self.fields} std={self.std} seed={self.seed} {shapes}"


class Draw:
    """Random choices."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tensors = torch.Generator().manual_seed(seed)

    def of(self, *values: Any) -> Any:
        return self.random.choice(values)

    def rarely(self, odd: Any, usual: Any) -> Any:
        """Return `odd` in one of 40 cases."""
        return odd if self.random.random() < 0.025 else usual

    def integers(self, high: int, *shape: int) -> Tensor:
        return torch.randint(max(high, 1), shape, generator=self.tensors)

    def some(self, *shape: int) -> Tensor:
        """Draw Boolean values."""
        return torch.rand(shape, generator=self.tensors) < 0.5

    def activation(self) -> str:
        known = self.of(*ACTIVATIONS, *ACTIVATION_ALIASES)
        return str(self.rarely(self.of("nonsense", *transformers.activations.ACT2FN), known))

    def heads_and_width(self) -> tuple[int, int]:
        heads = self.of(1, 1, 2, 3, 5)
        return heads, heads * self.of(1, 1, 2, 3, 4, 7) + self.rarely(1, 0)

    def mask(self, batch: int, tokens: int, kinds: Sequence[str] = MASKS) -> Tensor:
        """Draw a mask; True for tokens."""
        kind, mask = self.of(*kinds), torch.ones(batch, tokens, dtype=torch.bool)
        if kind == "empty row" and batch == 1:  # then there is nothing to compare, so it is rare
            kind = self.rarely(kind, "holes")
        lengths = 1 + self.integers(tokens, batch, 1)
        if kind in ("right", "left"):
            mask = torch.arange(tokens) < lengths
            return mask if kind == "right" else mask.flip(1)
        if kind == "holes":
            mask = self.some(batch, tokens)
            mask[torch.arange(batch), self.integers(tokens, batch)] = True
        if kind == "empty row":
            mask[self.random.randrange(batch)] = False
        return mask

    def labels(self, classes: int, *shape: int) -> Tensor:
        """Draw classes, and no label for some; there is at least one."""
        labels = self.integers(classes, *shape).masked_fill(self.some(*shape), IGNORE_INDEX)
        labels.view(-1)[0] = 0
        return labels

    def class_labels(self, classes: int, batch: int) -> Tensor:
        """Draw one class for each text, or a number if there is one class, which means a regression."""
        return torch.rand(batch, generator=self.tensors).double() if classes == 1 else self.labels(classes, batch)

    def mask_argument(self, mask: Tensor, name: str = "attention_mask") -> dict[str, Tensor]:
        """Return a mask as an argument. A mask that keeps everything may be left out."""
        return self.of({}, {name: mask.long()}) if mask.all() else {name: mask.to(self.of(torch.bool, torch.int64))}


def bert_case(seed: int, family: str = "BERT") -> Case:
    draw = Draw(seed)
    heads, width = draw.heads_and_width()
    batch, tokens = draw.of(1, 2, 3), draw.of(1, 1, 2, 5, 6)
    vocabulary, segments = draw.of(1, 2, 9, 33), draw.rarely(0, draw.of(1, 1, 2, 3))
    network = draw.of(*NETWORKS[family])
    classes = 2 if network.head in ("question-answering", "pretraining") else draw.of(1, 2, 3, 5)
    fields = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": draw.rarely(0, draw.of(1, 2, 3)),
        "num_attention_heads": draw.rarely(0, heads),
        "intermediate_size": draw.rarely(0, draw.of(1, 3, 8, 17)),
        "hidden_act": draw.activation(),
        "max_position_embeddings": tokens + draw.of(0, 0, 1, 9),
        "type_vocab_size": segments,
        "layer_norm_eps": draw.of(0.0, 1e-30, 1e-12, 1e-5, 1.0, 1e5),
        "pad_token_id": draw.rarely(vocabulary, draw.of(0, None, vocabulary - 1)),
        "tie_word_embeddings": draw.of(True, True, False),
        "id2label": {number: draw.of(*NAMES) + str(number) for number in range(classes)},
        "position_embedding_type": draw.rarely("relative_key", "absolute"),
    }
    if family != "BERT":
        fields |= family_fields(draw, family, fields)
        fields = {FAMILIES[family].config_class.hub_names.get(name, name): value for name, value in fields.items()}
    mask = draw.mask(batch, tokens)
    inputs = {"input_ids": draw.integers(vocabulary, batch, tokens), **draw.mask_argument(mask)}
    if network.config_class.has_segments:
        inputs |= draw.of({}, {"token_type_ids": draw.integers(segments, batch, tokens)})
    inputs |= draw.of({}, {"position_ids": draw.integers(fields["max_position_embeddings"], batch, tokens)})
    per_token = draw.labels(vocabulary, batch, tokens)
    labels: dict[str, dict[str, Tensor]] = {
        "pretraining": {"labels": per_token, "next_sentence_label": draw.labels(2, batch)},
        "mlm": {"labels": per_token},
        "nsp": {"labels": draw.labels(2, batch)},
        "sequence-classification": {"labels": draw.class_labels(classes, batch)},
        "token-classification": {"labels": draw.labels(classes, batch, tokens)},
        "question-answering": {name: draw.integers(tokens, batch) for name in ("start_positions", "end_positions")},
        "replaced-tokens": {"labels": draw.integers(2, batch, tokens).masked_fill(~mask, IGNORE_INDEX)},
    }
    case = Case(network, fields, inputs, labels.get(network.head, {}), std=draw.of(1e-3, 0.4, 0.4, 2.0), seed=seed)
    if network.config_class.pair_task == "sop":
        case.their_labels["next_sentence_label"] = "sentence_order_label"
    return case


def family_fields(draw: Draw, family: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a relative of BERT that BERT does not have, or has with other values."""
    layers, width = fields["num_hidden_layers"], fields["hidden_size"]
    match family:
        case "roberta":
            pad = draw.of(0, fields["vocab_size"] - 1)
            return {"pad_token_id": pad, "max_position_embeddings": fields["max_position_embeddings"] + pad + 1}
        case "albert":
            sizes = {"embedding_size": draw.of(1, 3, width), "num_hidden_groups": draw.rarely(0, draw.of(1, max(1, layers)))}
            return sizes | {"inner_group_num": draw.rarely(2, 1)}
        case "electra":
            return {"embedding_size": draw.of(1, 3, width), "summary_activation": draw.rarely("relu", "gelu")}
        case "distilbert":
            return {"sinusoidal_pos_embds": draw.rarely(True, False)}
    return {}


def gpt2_case(seed: int) -> Case:
    draw = Draw(seed)
    heads, width = draw.heads_and_width()
    batch, tokens, vocabulary = draw.of(1, 2, 3), draw.of(1, 1, 2, 5, 6), draw.of(1, 2, 9, 33)
    fields = {
        "vocab_size": vocabulary,
        "n_embd": width,
        "n_layer": draw.rarely(0, draw.of(1, 2, 3)),
        "n_head": draw.rarely(0, heads),
        "n_inner": draw.rarely(0, draw.of(None, 1, 3, 17)),
        "activation_function": draw.activation(),
        "n_positions": tokens + draw.of(0, 0, 1, 9),
        "layer_norm_epsilon": draw.of(0.0, 1e-30, 1e-12, 1e-5, 1.0, 1e5),
        "tie_word_embeddings": draw.of(True, True, False),
        "scale_attn_by_inverse_layer_idx": draw.rarely(True, False),
        "scale_attn_weights": draw.rarely(False, True),
        "bos_token_id": draw.of(None, 0),
        "eos_token_id": draw.of(None, vocabulary - 1),
        "pad_token_id": draw.of(None, 0, -1),
    }
    mask = draw.mask(batch, tokens)
    inputs = {"input_ids": draw.integers(vocabulary, batch, tokens), **draw.mask_argument(mask)}
    # In `forward`, transformers counts padding in the positions, unless it is given the positions; so does its `generate`.
    positions = {"position_ids": (mask.cumsum(dim=1) - 1).clamp(min=0)}
    labels = {"labels": draw.labels(vocabulary, batch, tokens)}
    return Case(GPT2LMHeadModel, fields, inputs, labels, positions, draw.of(1e-3, 0.4, 0.4, 2.0), seed)


def marian_case(seed: int) -> Case:
    draw = Draw(seed)
    heads, width = draw.heads_and_width()
    batch, sources, targets = draw.of(1, 2, 3), draw.of(1, 1, 2, 5), draw.of(1, 1, 2, 4)
    vocabulary, hidden = draw.of(1, 2, 9, 33), draw.of(1, 3, 17)
    width += draw.rarely(0, width % 2)
    fields = {
        "vocab_size": vocabulary,
        "decoder_vocab_size": draw.rarely(vocabulary + 1, vocabulary),
        "d_model": width,
        "encoder_layers": draw.rarely(0, draw.of(1, 2)),
        "decoder_layers": draw.rarely(0, draw.of(1, 2)),
        "encoder_attention_heads": heads if width % heads == 0 else draw.rarely(heads, 1),
        "decoder_attention_heads": draw.rarely(0, heads if width % heads == 0 else 1),
        "encoder_ffn_dim": hidden,
        "decoder_ffn_dim": draw.rarely(hidden + 1, hidden),
        "activation_function": draw.activation(),
        "max_position_embeddings": max(sources, targets) + draw.of(0, 0, 1, 9),
        "scale_embedding": draw.rarely(False, True),
        "share_encoder_decoder_embeddings": draw.rarely(False, True),
        "tie_word_embeddings": draw.rarely(False, True),
        "pad_token_id": draw.of(0, vocabulary - 1),
        "eos_token_id": draw.of(0, vocabulary - 1),
        "decoder_start_token_id": draw.rarely(vocabulary, draw.of(0, vocabulary - 1)),
        "forced_eos_token_id": draw.of(None, 0),
    }
    inputs = {
        "input_ids": draw.integers(vocabulary, batch, sources),
        **draw.mask_argument(draw.mask(batch, sources, draw.rarely(MASKS, MASKS[:4]))),
        "decoder_input_ids": draw.integers(vocabulary, batch, targets),
        **draw.mask_argument(draw.mask(batch, targets), "decoder_attention_mask"),
    }
    labels = {"labels": draw.labels(vocabulary, batch, targets)}
    return Case(Transformer, fields, inputs, labels, std=draw.of(1e-3, 0.4, 0.4, 2.0), seed=seed)


def t5_case(seed: int, family: str) -> Case:
    """Draw a T5 1.0, without gates and with one matrix for all pieces, or a T5 1.1 or mT5, with gates and two matrices."""
    draw, is_first = Draw(seed), family == "T5 1.0"
    batch, sources, targets = draw.of(1, 2, 3), draw.of(1, 1, 2, 5, 12), draw.of(1, 1, 2, 4, 9)
    vocabulary, buckets = draw.of(1, 2, 9, 33), draw.rarely(3, draw.of(4, 5, 8, 32))
    fields = {
        "vocab_size": vocabulary,
        "d_model": draw.of(1, 1, 2, 3, 8, 15),
        "d_kv": draw.of(1, 1, 2, 3, 7),
        "d_ff": draw.of(1, 3, 8, 17),
        "num_heads": draw.rarely(0, draw.of(1, 1, 2, 3, 5)),
        "num_layers": draw.rarely(0, draw.of(1, 2)),
        "num_decoder_layers": draw.rarely(0, draw.of(None, 1, 2)),
        "relative_attention_num_buckets": buckets,
        "relative_attention_max_distance": draw.rarely(buckets // 2, buckets // 2 + draw.of(1, 3, 100)),
        "feed_forward_proj": draw.activation() if is_first else f"gated-{draw.of('gelu', draw.activation())}",
        "layer_norm_epsilon": draw.of(0.0, 1e-30, 1e-12, 1e-6, 1.0, 1e5),
        "pad_token_id": draw.of(0, vocabulary - 1),
        "eos_token_id": draw.rarely(vocabulary, draw.of(0, vocabulary - 1)),
        "decoder_start_token_id": draw.of(0, vocabulary - 1),
        "is_decoder": draw.rarely(True, False),
    }
    if family == "T5 1.1":
        fields["tie_word_embeddings"] = False  # there, it means that the output of the decoder is not scaled
    inputs = {
        "input_ids": draw.integers(vocabulary, batch, sources),
        **draw.mask_argument(draw.mask(batch, sources, draw.rarely(MASKS, MASKS[:4]))),
        "decoder_input_ids": draw.integers(vocabulary, batch, targets),
        **draw.mask_argument(draw.mask(batch, targets), "decoder_attention_mask"),
    }
    labels = {"labels": draw.labels(vocabulary, batch, targets)}
    case = Case(NETWORKS[family][0], fields, inputs, labels, std=draw.of(1e-3, 0.4, 0.4, 2.0), seed=seed)
    case.is_untied = not is_first
    return case


def vit_case(seed: int) -> Case:
    draw = Draw(seed)
    heads, width = draw.heads_and_width()
    patch = draw.of(1, 2, 3), draw.of(1, 2, 3)
    image = tuple(size * draw.of(1, 1, 2, 4) + draw.rarely(1, 0) for size in patch)
    batch, channels, classes = draw.of(1, 2, 3), draw.of(1, 1, 2, 3), draw.of(1, 2, 3, 5)
    network = draw.of(*NETWORKS["ViT"])
    fields = {
        "hidden_size": width,
        "num_hidden_layers": draw.rarely(0, draw.of(1, 2, 3)),
        "num_attention_heads": draw.rarely(0, heads),
        "intermediate_size": draw.rarely(0, draw.of(1, 3, 8, 17)),
        "hidden_act": draw.activation(),
        "layer_norm_eps": draw.of(0.0, 1e-30, 1e-12, 1e-5, 1.0, 1e5),
        "image_size": image[0] if image[0] == image[1] else draw.of(image, [*image]),
        "patch_size": patch[0] if patch[0] == patch[1] else draw.of(patch, [*patch]),
        "num_channels": channels,
        "qkv_bias": draw.of(True, True, False),
        "encoder_stride": draw.of(16, 3),
        "pooler_output_size": draw.of(None, 1, 7),
        "pooler_act": draw.of("tanh", "tanh", draw.activation()),
        "id2label": {number: draw.of(*NAMES) + str(number) for number in range(classes)},
    }
    pixels = torch.randn(batch, channels, *image, generator=draw.tensors, dtype=torch.float64)
    labels = {"labels": draw.class_labels(classes, batch)} if network.has_classes else {}
    case = Case(network, fields, {"pixel_values": pixels}, labels, std=draw.of(1e-3, 0.4, 0.4, 2.0), seed=seed)
    case.attention = "sdpa"  # the eager one rounds the weights to float32
    return case


CASES: dict[str, Callable[[int], Case]] = {
    "BERT": bert_case,
    "GPT-2": gpt2_case,
    "MarianMT": marian_case,
    **{family: partial(t5_case, family=family) for family in ("T5 1.0", "T5 1.1", "mT5")},
    "ViT": vit_case,
    **{family: partial(bert_case, family=family) for family in FAMILIES},
}
"""For each family, a function from a seed to a case."""
