"""Every network on a CUDA device: values and gradients equal those of the CPU; checks of inputs never wait for the GPU."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minibert import (
    Bert,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    Transformer,
    TransformerConfig,
    ViTConfig,
    ViTForImageClassification,
    record,
)
from minibert.equations import IGNORE_INDEX
from minibert.model.pretrained import PretrainedModel
from minibert.model.t5 import T5ForConditionalGeneration
from minibert.model.t5_config import T5Config
from tests.model.random_checkpoints import CLASSES, inputs_for, labels_for

pytestmark = pytest.mark.cuda

SIZES = {"vocab_size": 23, "hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 20, "initializer_range": 0.3}
BERT = BertConfig(**SIZES, num_hidden_layers=2, max_position_embeddings=8)
GPT2 = GPT2Config(**SIZES, num_hidden_layers=2, max_position_embeddings=16)
TRANSFORMER = TransformerConfig(**SIZES, encoder_layers=2, decoder_layers=2)
T5 = T5Config(**SIZES | {"initializer_range": 1.0}, encoder_layers=2, decoder_layers=2)
VIT = ViTConfig(
    hidden_size=12, num_attention_heads=3, intermediate_size=20, num_hidden_layers=2, image_size=(4, 6), patch_size=2
)
CONFIGS = {GPT2LMHeadModel: GPT2, Transformer: TRANSFORMER, T5ForConditionalGeneration: T5, ViTForImageClassification: VIT}
SOURCE = torch.tensor([[5, 6, 7, 8, 9], [5, 9, 4, 0, 0]])
KEEP = SOURCE != 0


def inputs_of(architecture: type[PretrainedModel]) -> dict[str, Tensor]:
    """Ids with padding, and labels for every loss."""
    if architecture is GPT2LMHeadModel:
        return {"input_ids": SOURCE, "attention_mask": KEEP, "labels": SOURCE.masked_fill(~KEEP, IGNORE_INDEX)}
    if architecture is ViTForImageClassification:
        pixels = torch.randn(2, 3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        return {"pixel_values": pixels, "labels": torch.tensor([0, 1])}
    if architecture in (Transformer, T5ForConditionalGeneration):
        return {"input_ids": SOURCE, "attention_mask": KEEP, "labels": SOURCE.flip(0).masked_fill(~KEEP, IGNORE_INDEX)}
    inputs = inputs_for(BERT, seed=3)
    return inputs | labels_for(architecture, inputs["input_ids"])


def random_model(architecture: type[PretrainedModel]) -> PretrainedModel:
    """A tiny model without dropout, in float64."""
    torch.manual_seed(0)
    return architecture(CONFIGS.get(architecture, BERT)).double().eval()


def to(device: str, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in inputs.items()}


def values_and_gradients(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """All outputs, and the gradients of their sum for all parameters."""
    outputs: dict[str, Any] = {name: value for name, value in vars(model(**inputs)).items() if isinstance(value, Tensor)}
    torch.stack([value.sum() for value in outputs.values()]).sum().backward()
    return outputs | {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("attention", ["explicit", "fused", "auto"])
@pytest.mark.parametrize("architecture", [*CLASSES, *CONFIGS])
def test_values_and_gradients_equal_the_cpu(architecture: type[PretrainedModel], attention: str) -> None:
    """In float64, for every output and parameter, with padding and ignored labels."""
    on_cpu = random_model(architecture).set_attention(attention)
    on_cuda = copy.deepcopy(on_cpu).cuda()
    inputs = inputs_of(architecture)
    expected, found = values_and_gradients(on_cpu, inputs), values_and_gradients(on_cuda, to("cuda", inputs))
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.is_cuda, name
        torch.testing.assert_close(value.detach().cpu(), expected[name].detach(), rtol=0, atol=1e-10, msg=name)


@pytest.mark.parametrize("architecture", [BertForPreTraining, GPT2LMHeadModel, Transformer])
def test_recordings_equal_the_cpu(architecture: type[PretrainedModel]) -> None:
    """Every observed tensor and its gradient, and an edit."""
    recordings = []
    for device in ("cpu", "cuda"):
        model = random_model(architecture).to(device)
        layer = {GPT2LMHeadModel: "decoder.layers.0", Transformer: "encoder.layers.0"}.get(architecture, "layers.0")
        with record(model, gradients=True, edit={f"{layer}.attention.weights": torch.zeros_like}) as recording:
            model(**to(device, inputs_of(architecture))).loss.backward()
        recordings.append(recording)
    assert recordings[0].paths == recordings[1].paths
    for path in recordings[0]:
        for one, other in zip(recordings[0].all(path), recordings[1].all(path), strict=True):
            torch.testing.assert_close(other.cpu(), one, rtol=0, atol=1e-10, msg=path)


@pytest.mark.parametrize("architecture", [GPT2LMHeadModel, Transformer])
def test_generation_equals_the_cpu(architecture: type[PretrainedModel]) -> None:
    """Greedy search with the cache of keys and values; for the Transformer beam search too."""
    for options in ({}, {"beams": 3}) if architecture is Transformer else ({},):
        results = []
        for device in ("cpu", "cuda"):
            ids, keep = (SOURCE, KEEP) if architecture is Transformer else (SOURCE.flip(1), KEEP.flip(1))
            model = random_model(architecture).to(device)
            results.append(model.generate(ids.to(device), keep.to(device), max_new_tokens=6, **options))
        assert [one.tokens for one in results[0]] == [one.tokens for one in results[1]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("architecture", [*CLASSES, GPT2LMHeadModel, Transformer])
def test_half_precision_is_close(architecture: type[PretrainedModel], dtype: torch.dtype) -> None:
    """Models in half precision give the loss of float64 up to rounding, also for padded rows."""
    model, inputs = random_model(architecture), to("cuda", inputs_of(architecture))
    expected, found = ({k: v for k, v in vars(model.to("cuda", kind)(**inputs)).items() if isinstance(v, Tensor)}
                       for kind in (torch.float64, dtype))  # fmt: skip
    for name, value in found.items():
        scale = expected[name].abs().max().item()
        torch.testing.assert_close(value.double(), expected[name], rtol=0, atol=0.06 * max(1, scale), msg=name)


@pytest.fixture
def errors_for_waiting() -> Iterator[None]:
    """Every operation that waits for the GPU raises an error."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    "architecture",
    [
        Bert,
        BertForMaskedLM,
        BertForSequenceClassification,
        BertForTokenClassification,
        BertForQuestionAnswering,
        *CONFIGS,
    ],
)
def test_forward_pass_never_waits_for_the_gpu(architecture: type[PretrainedModel], request: pytest.FixtureRequest) -> None:
    """The inputs are checked without a look at their values. (A masked-LM loss waits for the number of masked tokens.)"""
    model, inputs = random_model(architecture).cuda(), to("cuda", inputs_of(architecture))
    if architecture is BertForMaskedLM:
        del inputs["labels"]
    request.getfixturevalue("errors_for_waiting")
    model(**inputs)
