"""Tests of `BertConfig`: presets, validation, and config.json."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minibert import PRESETS, Bert, BertConfig

MILLIONS = {"tiny": 4.4, "mini": 11.2, "small": 28.8, "medium": 41.4, "base": 109.5, "large": 335.1}


@pytest.mark.parametrize("name", MILLIONS)
def test_presets_have_the_published_number_of_parameters(name: str) -> None:
    """The numbers of parameters are those in Devlin et al. 2019 and Turc et al. 2019."""
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in Bert(PRESETS[name]).parameters())
    assert round(parameters / 1e6, 1) == MILLIONS[name]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hidden_size": 130}, "hidden_size 130 is not divisible by num_attention_heads 12"),
        ({"vocab_size": 0}, "vocab_size must be at least 1, not 0"),
        ({"hidden_act": "swish"}, "hidden_act 'swish' is unknown; choose one of gelu, gelu_new"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob must be at least 0 and below 1"),
        ({"pad_token_id": 30522}, "outside the vocabulary"),
    ],
)
def test_invalid_values_are_rejected(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BertConfig(**changed)


@pytest.mark.usefixtures("without_shape_checks")
def test_wrong_type_is_rejected() -> None:
    with pytest.raises(TypeError, match="num_hidden_layers must be a whole number, not '12'"):
        BertConfig(num_hidden_layers="12")


def test_saved_config_is_loaded_unchanged(tmp_path: Path) -> None:
    """The class names are included."""
    config = replace(PRESETS["tiny"], hidden_act="relu", layer_norm_eps=1e-5).with_labels(["no", "yes", "maybe"])
    config.save_json(tmp_path / "config.json", "BertModel")
    assert BertConfig.load_json(tmp_path / "config.json") == config
    assert config.num_labels == 3


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "one JSON object"),
        ('{"model_type": "roberta"}', "model_type 'roberta' is not supported"),
        ('{"position_embedding_type": "relative_key"}', "relative_key"),
        ('{"is_decoder": true}', "is_decoder True is not supported"),
        ('{"hidden_size": "768"}', "hidden_size must be a whole number"),
        ('{"id2label": ["a"]}', "config.json"),
        ('{"hidden_dropout_prob": null}', "config.json"),
    ],
)
def test_unsupported_config_is_rejected_with_the_path(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        BertConfig.load_json(tmp_path / "config.json")
    assert str(tmp_path) in str(error.value)


def test_fields_without_effect_on_the_model_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 24, "use_cache": True}))
    assert BertConfig.load_json(tmp_path / "config.json") == BertConfig(hidden_size=24)
