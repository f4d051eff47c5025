"""Tests of equality with transformers: every BERT class, loading in both directions, outputs, gradients, and training."""

import tempfile
import warnings
from dataclasses import fields

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from torch import nn

from minibert import Bert, BertConfig, BertForMaskedLM, BertForPreTraining
from minibert.model.pretrained import PretrainedModel
from tests.model.random_checkpoints import CLASSES, configs, inputs_for, labels_for, largest_difference
from tests.strategies import seeds

transformers = pytest.importorskip("transformers")
every_class = pytest.mark.parametrize("ours", CLASSES)


def their_class(ours: type[PretrainedModel]) -> type[nn.Module]:
    """Return the class of the same model in transformers."""
    return getattr(transformers, ours.architecture)


def make_theirs(ours: type[PretrainedModel], config: BertConfig) -> nn.Module:
    """Create a newly initialized model of transformers."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return their_class(ours)(transformers.BertConfig(**values, attn_implementation="eager")).eval()


def check_they_agree(mine: PretrainedModel, other: nn.Module, config: BertConfig, seed: int) -> None:
    """Check that loss, outputs, and the gradients of all parameters agree within 1e-10, in float64."""
    mine, other = mine.double().eval(), other.double().eval()
    inputs = inputs_for(config, seed)
    arguments = inputs | labels_for(type(mine), inputs["input_ids"])
    one, two = mine(**arguments), other(**arguments)
    assert largest_difference(one, two) < 1e-10
    keep = inputs["attention_mask"][..., None]
    for out in (one, two):
        loss = getattr(out, "loss", None)
        (out.pooler_output.sum() + (out.last_hidden_state * keep).sum() if loss is None else loss).backward()
    gradients = {name.removeprefix("bert."): p.grad for name, p in other.named_parameters()}
    for name, parameter in mine.named_parameters():
        untied = name == "mlm.bias" and not config.tie_word_embeddings  # then transformers uses only one of its two copies
        expected = gradients["cls.predictions.decoder.bias" if untied else Bert.names.theirs(Bert.names.relative(name))]
        if expected is None:
            assert parameter.grad is None or not parameter.grad.any(), name
            continue
        assert parameter.grad is not None, name
        assert (parameter.grad - expected).abs().max() < 1e-10 * max(1, expected.abs().max()), name


@every_class
@settings(max_examples=5)
@given(config=configs(), seed=seeds)
def test_transformers_loads_our_checkpoints_and_agrees(ours, config: BertConfig, seed: int) -> None:
    """transformers reports no missing, unexpected or mismatched keys."""
    torch.manual_seed(seed)
    mine = ours(config)
    with tempfile.TemporaryDirectory() as folder:
        mine.save_pretrained(folder)
        other, report = their_class(ours).from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    check_they_agree(mine, other, config, seed)


@every_class
@settings(max_examples=5)
@given(config=configs(), seed=seeds)
def test_minibert_loads_checkpoints_of_transformers_and_agrees(ours, config: BertConfig, seed: int) -> None:
    """Loading gives no warning."""
    torch.manual_seed(seed)
    other = make_theirs(ours, config)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        other.save_pretrained(folder)
        warnings.simplefilter("error")
        mine = ours.from_pretrained(folder)
    check_they_agree(mine, other, config, seed)


def test_tied_decoder_may_have_its_own_bias() -> None:
    """If a file has two different biases, transformers and minibert use that of the decoder."""
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        BertForMaskedLM(config).save_pretrained(folder)
        file = f"{folder}/model.safetensors"
        two = safetensors.torch.load_file(file) | {"cls.predictions.decoder.bias": torch.randn(9)}
        safetensors.torch.save_file(two, file, metadata={"format": "pt"})
        mine, other = BertForMaskedLM.from_pretrained(folder), transformers.BertForMaskedLM.from_pretrained(folder)
    inputs = inputs_for(config, 0)
    assert largest_difference(mine.double()(**inputs), other.double()(**inputs)) < 1e-10


@pytest.mark.parametrize("ours", [BertForPreTraining, BertForMaskedLM])
def test_decoder_that_differs_from_the_embeddings_is_untied(ours) -> None:
    """If the decoder in a file differs from the embeddings, it is used with its own bias, even if config.json ties them."""
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    torch.manual_seed(0)
    untied = BertConfig(**{**vars(config), "tie_word_embeddings": False})
    other = make_theirs(ours, untied)
    with torch.no_grad():
        other.cls.predictions.decoder.bias.normal_()
        other.cls.predictions.bias.normal_()
    other.config.tie_word_embeddings = True
    with tempfile.TemporaryDirectory() as folder:
        other.save_pretrained(folder)
        mine = ours.from_pretrained(folder)
    assert not mine.config.tie_word_embeddings
    inputs = inputs_for(config, 0)
    assert largest_difference(mine.double()(**inputs), other.double()(**inputs)) < 1e-10


def test_training_losses_agree() -> None:
    """30 steps of AdamW from the same weights on the same batches give the same losses within 1e-8, in float64."""
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    mine, other = BertForPreTraining(config).double(), make_theirs(BertForPreTraining, config).double()
    with torch.no_grad():
        parameters = {name.removeprefix("bert."): p for name, p in other.named_parameters()}
        for name, parameter in mine.named_parameters():
            parameters[Bert.names.theirs(Bert.names.relative(name))].copy_(parameter)
    curves = []
    for model in (mine.train(), other.train()):
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        losses = []
        for step in range(30):
            inputs = inputs_for(config, step)
            loss = model(**inputs, **labels_for(BertForPreTraining, inputs["input_ids"])).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        curves.append(losses)
    assert curves[0][-1] < curves[0][0] - 0.3
    assert max(abs(one - two) for one, two in zip(*curves, strict=True)) < 1e-8
