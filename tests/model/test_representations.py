"""What a notebook shows for networks and their outputs."""

import re
from dataclasses import replace

import pytest
import torch

from minibert.model.config import BertConfig
from minibert.model.gpt2 import GPT2Config, GPT2LMHeadModel
from minibert.model.heads import BertForMaskedLM, BertForPreTraining
from minibert.model.transformer import Transformer
from minibert.model.transformer_config import TransformerConfig
from tests.fragments import shown

SIZES = {"vocab_size": 30, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 16}
BERT = BertForPreTraining(BertConfig(**SIZES, num_hidden_layers=1))


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (
            BERT,
            [
                "LayerNorm(8, eps=1e-12)",
                "heads=2, dropout=0.1, attention=auto",
                "activation=gelu",
                "pre_norm=False",
                "vocabulary=30, activation=gelu, tied=True",
            ],
        ),
        (
            GPT2LMHeadModel(GPT2Config(**SIZES, num_hidden_layers=1), attention="explicit"),
            ["LayerNorm(8, eps=1e-05)", "attention=explicit", "activation=gelu_tanh", "pre_norm=True"],
        ),
        (
            Transformer(TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1, positions="alibi"), attention=torch.add),
            ["AlibiPositions(heads=2)", "activation=relu", "attention=add"],
        ),
    ],
    ids=["BERT", "GPT-2", "Transformer"],
)
def test_a_network_shows_the_settings_of_its_parts(model: torch.nn.Module, parts: list[str]) -> None:
    shown = repr(model)
    for part in parts:
        assert part in shown
    assert " at 0x" not in shown


def test_a_network_shows_its_config_and_its_modules_with_parameters() -> None:
    """Equal layers have one row with the parameters of all of them."""
    model = BertForMaskedLM(BertConfig(**SIZES, num_hidden_layers=5))
    texts = shown(model).texts
    total = sum(parameter.numel() for parameter in model.parameters())
    assert any(f"{total:,} parameters" in text for text in texts)
    assert any("num_hidden_layers=5" in text for text in texts)
    row = texts.index("bert.layers.0-4")
    size = sum(parameter.numel() for parameter in model.bert.layers.parameters())
    assert [text for text in texts[row:] if text.strip()][:4] == [
        "bert.layers.0-4",
        "EncoderLayer",
        "pre_norm=False",
        f"{size:,}",
    ]
    assert repr(model).startswith("BertForMaskedLM(\n  (bert): Bert(")  # the text is that of every module of PyTorch


def test_layers_that_differ_have_rows_of_their_own() -> None:
    model = BertForMaskedLM(BertConfig(**SIZES, num_hidden_layers=3))
    model.bert.layers[1].pre_norm = True
    model.bert.requires_grad_(False)
    fragment = shown(model)
    assert [text for text in fragment.texts if re.fullmatch(r"bert\.layers\.[\d-]+", text)] == [
        f"bert.layers.{number}" for number in range(3)
    ]
    trained = sum(parameter.numel() for parameter in model.mlm.parameters())
    assert f"{trained:,} of them trained" in fragment.text


def test_text_of_a_checkpoint_is_escaped_in_the_html_of_a_network() -> None:
    config = replace(BERT.config, id2label={number: f"<b>{number}" for number in range(3)})
    model = BertForPreTraining(config)
    model.source = "<img src=x>\x00"
    fragment = shown(model)
    assert "<img src=x>\\u0000" in fragment.text
    assert "id2label=3 classes" in fragment.text


IDS = torch.tensor([[5, 6, 7]])
OUTPUTS = {
    "PretrainingOutput": lambda: BERT(IDS, labels=IDS),
    "BertOutput": lambda: BERT.bert(IDS),
    "CausalLMOutput": lambda: GPT2LMHeadModel(GPT2Config(**SIZES, num_hidden_layers=1))(IDS),
    "Seq2SeqLMOutput": lambda: Transformer(TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1))(
        IDS, decoder_input_ids=IDS
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_shows_shapes_types_and_first_values(name: str) -> None:
    output = OUTPUTS[name]()
    fields = {field: value for field, value in vars(output).items() if value is not None}
    assert fields
    lines = repr(output).splitlines()
    assert lines[0] == name
    assert len(lines) == len(fields) + 1
    fragment = shown(output)
    for line, (field, value) in zip(lines[1:], fields.items(), strict=True):
        size = " × ".join(map(str, value.shape)) or "number"
        first = f"{value.flatten()[0].item():.4g}"
        assert re.fullmatch(rf"  {field} +{size} +float32 +{re.escape(first)}\b.*", line)
        assert {field, size, "float32"} <= {*fragment.texts}
