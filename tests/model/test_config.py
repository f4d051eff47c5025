"""Tests of `BertConfig`: presets, validation, and config.json."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from minibert import PRESETS, Bert, BertConfig, GPT2Config, TransformerConfig
from minibert.model.config import ACTIVATION_ALIASES, ModelConfig, _preset
from minibert.model.transformer_config import REQUIRED

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
        ({"hidden_act": "mish"}, "hidden_act 'mish' is unknown; choose one of gelu, gelu_new"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob must be at least 0 and below 1"),
        ({"pad_token_id": 30522}, "outside the vocabulary"),
    ],
)
def test_invalid_values_are_rejected(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BertConfig(**changed)


def test_a_single_label_problem_has_at_least_two_classes() -> None:
    """Of one class there is nothing to learn. The loss of other problems has a meaning for one class."""
    for names, problem_type in ((["a", "b"], "single_label_classification"), (["a"], "regression"), (["a"], None)):
        config = BertConfig(problem_type=problem_type).with_labels(names)
        assert (config.problem_type, config.num_labels) == (problem_type, len(names))
    with pytest.raises(ValueError, match="'single_label_classification' needs at least two classes, id2label has one"):
        BertConfig(problem_type="single_label_classification", id2label={0: "a"})


def test_every_architecture_checks_what_all_have() -> None:
    with pytest.raises(ValueError, match="hidden_size must be at least 1"):
        TransformerConfig(hidden_size=0)
    with pytest.raises(ValueError, match="num_attention_heads"):
        TransformerConfig(hidden_size=8, num_attention_heads=3)


def test_only_probabilities_are_below_one() -> None:
    assert BertConfig(initializer_range=2.0).initializer_range == 2.0


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
        ('{"id2label": ["a"]}', "config.json: id2label must be an object"),
        ('{"id2label": {"a": "b"}}', "config.json: id2label must be an object"),
        ('{"id2label": {"0": "a", "2": "b"}}', "config.json: id2label must name the classes 0, 1, 2"),
        ('{"id2label": {"0": "a", "00": "b"}}', "config.json: id2label must be an object"),
        ('{"num_labels": NaN}', "config.json: num_labels must be from 1"),
        ('{"num_labels": true}', "config.json: num_labels must be from 1"),
        ('{"num_labels": -1, "id2label": {"0": "a"}}', "config.json: num_labels must be from 1"),
        ("", r"config.json: is not JSON \(it is empty\)"),
        ("version https://git-lfs.github.com/spec/v1", r"config.json: is not JSON .it is a pointer of Git LFS"),
        ("[" * 100_000, "config.json: is not JSON"),
        ('{"hidden_size": %s}' % ("9" * 5000), "config.json: is not JSON"),
        ('{"hidden_size": %s}' % ("[" * 500 + "]" * 500), "hidden_size must be a whole number, not \\[\\["),
        ('{"hidden_size": 1e400}', "hidden_size must be a whole number, not inf"),
        ('{"layer_norm_eps": NaN}', "layer_norm_eps must be a number from 0"),
        ('{"layer_norm_eps": -Infinity}', "layer_norm_eps must be a number from 0"),
        ('{"hidden_act": ["gelu"]}', "hidden_act .* is unknown"),
        ('{"hidden_act": {"name": "gelu"}}', "hidden_act .* is unknown"),
        ('{"tie_word_embeddings": "false"}', "tie_word_embeddings must be true or false"),
        ('{"pad_token_id": -1}', "pad_token_id must be at least 0"),
        ('{"model_type": ["bert"]}', "model_type .* is not supported"),
        ('{"model_type": {"a": 1}}', "model_type .* is not supported"),
        ('{"hidden_dropout_prob": null}', "config.json"),
    ],
)
def test_unsupported_config_is_rejected_with_the_path(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        BertConfig.load_json(tmp_path / "config.json")
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(("alias", "name"), ACTIVATION_ALIASES.items())
def test_alias_of_an_activation_function_is_replaced(alias: str, name: str) -> None:
    assert BertConfig(hidden_act=alias) == BertConfig(hidden_act=name)


@pytest.mark.parametrize(
    ("stored", "names"),
    [
        ({"num_labels": 3}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ({"num_labels": 3, "id2label": {"0": "no", "1": "yes"}}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ({"num_labels": 2, "id2label": {"0": "no", "1": "yes"}}, ["no", "yes"]),
        ({"num_labels": 1, "id2label": {"0": "no", "1": "yes"}}, ["LABEL_0"]),
        ({"id2label": {"1": "yes", "0": "no"}}, ["no", "yes"]),
        ({"num_labels": 3, "id2label": None}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ({"num_labels": 3, "id2label": {}}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ({}, ["LABEL_0", "LABEL_1"]),
    ],
)
def test_number_of_labels_is_that_of_transformers(tmp_path: Path, stored: dict[str, Any], names: list[str]) -> None:
    """If `num_labels` and the names in `id2label` disagree, `num_labels` decides."""
    transformers = pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"} | stored))
    config = BertConfig.load_json(tmp_path / "config.json")
    assert [config.id2label[number] for number in range(config.num_labels)] == names
    assert transformers.BertConfig.from_pretrained(tmp_path).num_labels == config.num_labels


def test_fields_without_effect_on_the_model_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 24, "use_cache": True}))
    assert BertConfig.load_json(tmp_path / "config.json") == BertConfig(hidden_size=24)


def test_common_names_are_read_where_an_architecture_has_its_own(tmp_path: Path) -> None:
    """As in transformers."""
    transformers = pytest.importorskip("transformers")
    common = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3, "max_position_embeddings": 9}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"} | common))
    config, theirs = GPT2Config.load_json(tmp_path / "config.json"), transformers.GPT2Config.from_pretrained(tmp_path)
    for name, value in common.items():
        assert getattr(config, name) == getattr(theirs, name) == value


@pytest.mark.parametrize("name", REQUIRED)
def test_field_of_a_marian_with_another_default_must_be_there(tmp_path: Path, name: str) -> None:
    TransformerConfig().save_json(tmp_path / "config.json", "MarianMTModel")
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored[name]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=rf"config\.json: has no {name}$"):
        TransformerConfig.load_json(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("ours", "theirs", "stored"),
    [
        (BertConfig, "BertConfig", {}),
        (GPT2Config, "GPT2Config", {}),
        (
            TransformerConfig,
            "MarianConfig",
            dict.fromkeys(REQUIRED, 4) | {"activation_function": "silu", "scale_embedding": True},
        ),
    ],
)
def test_defaults_of_missing_fields_are_those_of_transformers(
    tmp_path: Path, ours: type[ModelConfig], theirs: str, stored: dict[str, Any]
) -> None:
    transformers = pytest.importorskip("transformers")
    sides = {f"{side}_{name}": 8 for side in ("encoder", "decoder") for name in ("attention_heads", "ffn_dim")}
    stored = {"model_type": ours.model_types[0], **sides, **stored, "d_model": 8, "vocab_size": 50257}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    config = ours.load_json(tmp_path / "config.json")
    reference = getattr(transformers, theirs).from_pretrained(tmp_path)
    compared = 0
    for name in (field.name for field in fields(config)):
        if hasattr(reference, hub_name := ours.hub_names.get(name, name)) and getattr(reference, hub_name) is not None:
            assert getattr(config, name) == getattr(reference, hub_name), name
            compared += 1
    assert compared > 10
    for name, value in ours.supported.items():
        assert getattr(reference, name, value) == value, name


@pytest.mark.parametrize("number", [-1, 10**6, None, "none"])
def test_padding_piece_of_gpt2_is_ignored(tmp_path: Path, number: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "pad_token_id": number}))
    assert GPT2Config.load_json(tmp_path / "config.json") == GPT2Config(eos_token_id=50256)


def test_a_config_is_written_as_transformers_writes_it(tmp_path: Path) -> None:
    """With two spaces before each field."""
    BertConfig().save_json(tmp_path / "config.json", "BertModel")
    assert (
        (tmp_path / "config.json").read_text().startswith('{\n  "model_type": "bert",\n  "architectures": [\n    "BertModel"')
    )


def test_sizes_of_a_preset() -> None:
    """Heads of size 64; the feed-forward network is four times as wide."""
    config = _preset(layers=3, width=192)
    assert (config.num_hidden_layers, config.hidden_size) == (3, 192)
    assert (config.num_attention_heads, config.intermediate_size) == (3, 768)


def test_the_width_that_is_not_even_is_named() -> None:
    """With rotary positions, it is the width of a head."""
    for positions, width in (("sinusoidal", 9), ("rotary", 3)):
        with pytest.raises(ValueError, match=f"positions '{positions}' need an even width, not {width}$"):
            TransformerConfig(positions=positions, hidden_size=9, num_attention_heads=3)
