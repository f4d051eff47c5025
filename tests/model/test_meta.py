"""Networks, their losses, and generation on the meta device; see `tests.meta`."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minibert import (
    Bert,
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
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
    ViTModel,
    record,
)
from minibert.kernels.attention import ATTENTIONS
from minibert.model.adapters import merge
from minibert.model.adapters.adapter import Adapter
from minibert.model.config import POSITIONS
from minibert.model.encoder_decoder import EncoderDecoder
from minibert.model.families import NETWORKS
from minibert.model.heads import BertWithHead
from minibert.model.layers import ACTIVATION_FUNCTIONS
from minibert.model.pooling import POOLING
from minibert.model.pretrained import PretrainedModel
from minibert.model.t5 import MT5ForConditionalGeneration, T5ForConditionalGeneration
from minibert.model.t5_config import MT5Config, T5Config
from tests.meta import META, OnMeta, classes, meta, read_as_ones

SIZES = {"vocab_size": 30, "hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 20, "max_position_embeddings": 60}
BERT = BertConfig(**SIZES, num_hidden_layers=1, id2label={0: "a", 1: "b", 2: "c"})
IMAGES = ViTConfig(
    hidden_size=12,
    num_attention_heads=3,
    intermediate_size=20,
    num_hidden_layers=1,
    image_size=(4, 6),
    patch_size=2,
    id2label=BERT.id2label,
)
CONFIGS = {
    ViTModel: IMAGES,
    ViTForImageClassification: IMAGES,
    GPT2LMHeadModel: GPT2Config(**SIZES, num_hidden_layers=1),
    Transformer: TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1, eos_token_id=2),
    T5ForConditionalGeneration: T5Config(**SIZES, encoder_layers=1, decoder_layers=1),
    MT5ForConditionalGeneration: MT5Config(**SIZES, encoder_layers=1, decoder_layers=1, tie_word_embeddings=False),
}
IDS = torch.arange(5, 19).view(2, 7)
MASK = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 1, 1]])
PER_TEXT, POSITIONS_TO_PREDICT = torch.tensor([0, 1]), torch.tensor([1, 4, 9])
ENCODED = {"attention_mask": MASK, "token_type_ids": MASK, "position_ids": torch.arange(7)}
LABELS: dict[type[nn.Module], list[dict[str, Tensor]]] = {
    Bert: [],
    BertForPreTraining: [
        {"labels": IDS, "next_sentence_label": PER_TEXT},
        {"labels": IDS, "predict_at": POSITIONS_TO_PREDICT},
    ],
    BertForMaskedLM: [{"labels": IDS}, {"labels": IDS, "predict_at": POSITIONS_TO_PREDICT}],
    BertForNextSentencePrediction: [{"labels": PER_TEXT}],
    BertForSequenceClassification: [{"labels": PER_TEXT}, {"labels": torch.rand(2, 3)}],
    BertForTokenClassification: [{"labels": IDS % 3}],
    BertForQuestionAnswering: [{"start_positions": PER_TEXT, "end_positions": PER_TEXT}],
    ViTModel: [],
    ViTForImageClassification: [{"labels": PER_TEXT}, {"labels": torch.rand(2, 3)}],
    GPT2LMHeadModel: [{"attention_mask": MASK, "labels": IDS}],
    Transformer: [
        {"attention_mask": MASK, "labels": IDS},
        {"attention_mask": MASK, "decoder_input_ids": IDS, "decoder_attention_mask": MASK, "labels": IDS},
    ],
}
"""For each network, arguments with which it computes a loss."""
BY_HEAD = {kind.head: labels for kind, labels in LABELS.items() if issubclass(kind, BertWithHead | Bert)}
BY_HEAD["replaced-tokens"] = [{"labels": IDS % 2}]
LABELS |= dict.fromkeys((T5ForConditionalGeneration, MT5ForConditionalGeneration), LABELS[Transformer])
LABELS |= {kind: BY_HEAD[kind.head] for kind in NETWORKS.values()}
CONFIGS |= {kind: kind.config_class(**SIZES, num_hidden_layers=1, id2label=BERT.id2label) for kind in NETWORKS.values()}


def network(kind: type[nn.Module], **settings: Any) -> Any:
    """Create a network on the meta device."""
    with META:
        return kind(replace(CONFIGS.get(kind, BERT), **settings))


def run_network(model: PretrainedModel, **arguments: Tensor) -> None:
    """Compute all outputs, and all gradients of the loss."""
    arguments = meta({**(model.random_inputs() or {"input_ids": IDS}), **arguments})
    with OnMeta():
        outputs = vars(model(**arguments))
        total = outputs.get("loss")
        if total is None:
            total = sum(tensor.sum() for tensor in outputs.values() if tensor is not None)
        total.backward()


def test_every_network_has_arguments() -> None:
    concrete = {kind for kind in classes("minibert.model", PretrainedModel) if "architecture" in vars(kind)}
    assert concrete == {*LABELS}


@pytest.mark.parametrize("kind", LABELS)
def test_networks_and_their_losses(kind: type[nn.Module]) -> None:
    """Outputs, losses and gradients, with dropout; also with the ids alone, with recomputation, and during a recording."""
    model = network(kind, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    for labels in LABELS[kind]:
        run_network(model, **labels)
    if not issubclass(kind, EncoderDecoder):
        run_network(model)
    arguments = {**({} if kind in CONFIGS else ENCODED), **(LABELS[kind] or [{}])[-1]}
    model.set_recompute(True)
    run_network(model, **arguments)
    with record(model):
        run_network(model, **arguments)


@pytest.mark.parametrize("attention", sorted({*ATTENTIONS} - {"triton"}))
@pytest.mark.parametrize("kind", [BertForPreTraining, GPT2LMHeadModel, Transformer])
def test_attention_paths(kind: type[nn.Module], attention: str) -> None:
    run_network(network(kind).set_attention(attention), **{**LABELS[kind][0], "attention_mask": MASK})


@pytest.mark.parametrize(("problem_type", "classes"), [("regression", 1), ("multi_label_classification", 3), (None, 1)])
def test_losses_of_a_sequence_classifier(problem_type: str | None, classes: int) -> None:
    names = {number: str(number) for number in range(classes)}
    model = network(BertForSequenceClassification, problem_type=problem_type, id2label=names)
    run_network(model, labels=torch.rand(2, classes))


@pytest.mark.parametrize("activation", ACTIVATION_FUNCTIONS)
@pytest.mark.parametrize("kind", [Bert, GPT2LMHeadModel, Transformer])
def test_activation_functions(kind: type[nn.Module], activation: str) -> None:
    run_network(network(kind, hidden_act=activation), **(LABELS[kind] or [{}])[-1])


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("positions", POSITIONS)
def test_position_encodings(positions: str, pre_norm: bool) -> None:
    run_network(network(Transformer, positions=positions, pre_norm=pre_norm), **LABELS[Transformer][-1])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", [BertForPreTraining, BertForMaskedLM, GPT2LMHeadModel])
def test_tied_and_untied_output_layers(kind: type[nn.Module], tied: bool) -> None:
    run_network(network(kind, tie_word_embeddings=tied), **LABELS[kind][-1])


@pytest.mark.parametrize("adapter", sorted(classes("minibert.model", Adapter), key=lambda kind: kind.kind))
@pytest.mark.parametrize("kind", [BertForSequenceClassification, GPT2LMHeadModel, Transformer])
def test_adapters(kind: type[nn.Module], adapter: type[Adapter]) -> None:
    model = network(kind)
    (adapter(train=()) if kind in CONFIGS else adapter()).apply(model)
    run_network(model, **LABELS[kind][-1])


def test_merged_lora() -> None:
    model = network(BertForSequenceClassification)
    LoRA().apply(model)
    with OnMeta():
        merge(model.eval())
    run_network(model, **LABELS[BertForSequenceClassification][0])


@pytest.mark.parametrize("name", POOLING)
def test_pooling(name: str) -> None:
    hidden = torch.rand(2, 7, 12, device=META, requires_grad=True)
    keep = MASK.bool().to(META)
    with OnMeta():
        POOLING[name](hidden, keep).sum().backward()


GENERATIONS = {
    "greedy": partial(Transformer.generate, beams=1),
    "beams": partial(Transformer.generate, beams=3),
    "greedy, GPT-2": GPT2LMHeadModel.generate,
    "sampled": partial(GPT2LMHeadModel.generate, temperature=0.7, top_k=5, top_p=0.9, seed=0),
}


@pytest.mark.parametrize("name", GENERATIONS)
def test_generation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of a search run on the device, with a cache. Between them, the host reads the chosen tokens."""
    generator = torch.Generator()
    monkeypatch.setattr(torch, "Generator", lambda device: generator)  # the meta device has none
    generate = GENERATIONS[name]
    model = network(GPT2LMHeadModel if "sampled" in name or "GPT-2" in name else Transformer)
    ids, mask = meta((IDS, MASK))
    with OnMeta(), read_as_ones():
        outputs = generate(model, ids, mask, max_new_tokens=3)
    assert [len(output.tokens) for output in outputs] == [3, 3]
