"""`minibert verify` for BERT: all stages agree with transformers, and a difference is found with its cause."""

import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings

from minibert import Bert, BertConfig, BertForPreTraining, BertForTokenClassification
from minibert.commands import main
from minibert.model import load, read_checkpoint
from minibert.model.checkpoints import loading, weights
from minibert.model.families import NETWORKS, RobertaConfig
from minibert.study import figures
from minibert.study.drawing import figure
from minibert.study.verify.comparison import Comparison, compare
from minibert.study.verify.inputs import DEFAULT_TEXT, RANDOM_TOKENS, make_inputs
from minibert.study.verify.stages import ReferenceStages, Stages, minibert_stages, transformers_stages
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer
from tests.model.random_checkpoints import CLASSES, configs, inputs_for
from tests.strategies import seeds

transformers = pytest.importorskip("transformers")
SIZES: dict[str, Any] = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
CONFIG = BertConfig(
    vocab_size=40,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=32,
    initializer_range=0.5,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A BERT with both pretraining heads and a tokenizer."""
    torch.manual_seed(0)
    model = BertForPreTraining(CONFIG)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    model.save_pretrained(tmp_path / "bert")
    words = [f"w{number}" for number in range(35)]
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *words]), tmp_path / "bert")
    return tmp_path / "bert"


DETAILS = (
    *(f"attention.{name}" for name in ("dot_products", "masked_scores", "merged")),
    *("norm.mean", "norm.variance", "feed_forward_residual", "feed_forward_norm"),
    *("pooler.linear", "mlm.linear", "mlm.activation"),
)
"""Steps of minibert that transformers computes inside of a module, so that no module returns them."""


@pytest.mark.parametrize("network", CLASSES)
@settings(max_examples=3)
@given(config=configs(), seed=seeds)
def test_every_stage_of_every_class_agrees(tmp_path_factory: pytest.TempPathFactory, network, config, seed: int) -> None:
    """In float64, to 1e-10. Every stage of transformers is recorded in minibert, under the documented paths."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(seed)
    network(config).save_pretrained(folder)
    inputs = inputs_for(config, seed)
    model = load(folder, dtype=torch.float64)
    reference = transformers_stages(read_checkpoint(folder), model, inputs)
    ours = minibert_stages(model, inputs)
    comparison = compare(reference, ours, inputs, model)
    assert type(model) is network
    assert comparison.first_difference is None
    assert comparison.not_compared == []
    assert len(comparison.stages) == len(reference) >= 5 + 13 * config.num_hidden_layers
    details = {name for name in ours if name.endswith(DETAILS)}
    assert set(ours) - set(reference) - details <= {"pooler"}


def comparison_with(checkpoint: Path, change) -> Comparison:
    """Compare a checkpoint with transformers' network after `change` has been applied to that network."""
    model = load(checkpoint, dtype=torch.float64)
    inputs = make_inputs(model, checkpoint)
    changed = transformers.BertForPreTraining.from_pretrained(checkpoint)
    change(changed)
    changed.save_pretrained(checkpoint.parent / "changed")
    reference = transformers_stages(read_checkpoint(checkpoint.parent / "changed"), model, inputs)
    return compare(reference, minibert_stages(model, inputs), inputs, model)


def example(checkpoint: Path) -> tuple[BertForPreTraining, dict[str, torch.Tensor], Stages]:
    """The network in float64, inputs, and its own stages, which serve as the reference."""
    model = BertForPreTraining.from_pretrained(checkpoint, dtype=torch.float64)
    inputs = make_inputs(model, checkpoint)
    stages = minibert_stages(model, inputs)
    return model, inputs, {name: x for name, x in stages.items() if "masked_scores" not in name}


def transpose(linear: torch.nn.Linear) -> None:
    """Transpose the weight in place."""
    linear.weight.data = linear.weight.data.T.contiguous()


CHANGES = {
    "activation": (
        lambda model: setattr(model.config, "hidden_act", "gelu_new"),
        ("layers.0.activation", "the activation function: gelu_new in transformers, gelu in minibert"),
    ),
    "eps": (
        lambda model: setattr(model.config, "layer_norm_eps", 1e-3),
        ("embeddings.output", "the eps of layer normalization: 0.001 in transformers, 1e-12 in minibert"),
    ),
    "transposed query": (
        lambda model: transpose(model.bert.encoder.layer[1].attention.self.query),
        ("layers.1.attention.query", "the weight is transposed"),
    ),
    "transposed feed-forward": (
        lambda model: transpose(model.bert.encoder.layer[0].intermediate.dense),
        ("layers.0.intermediate", "the weight is transposed"),
    ),
    "transposed output": (
        lambda model: transpose(model.bert.encoder.layer[0].attention.output.dense),
        ("layers.0.attention.output", "the weight is transposed"),
    ),
    "slightly other weight": (
        lambda model: model.bert.encoder.layer[0].output.dense.weight.data.mul_(1 + 1e-6),
        ("layers.0.feed_forward", "the weight or the bias differs slightly"),
    ),
    "missing bias": (
        lambda model: model.bert.encoder.layer[0].attention.self.key.bias.data.zero_(),
        ("layers.0.attention.key", "the bias is missing in transformers"),
    ),
    "segments": (
        lambda model: model.bert.embeddings.token_type_embeddings.weight.data.mul_(2),
        ("embeddings.segments", "the segment embeddings, or the segment ids (token_type_ids)"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_first_difference_and_its_cause_are_named(checkpoint: Path, change: str) -> None:
    """The result names the change that was made to transformers' network."""
    change_network, expected = CHANGES[change]
    comparison = comparison_with(checkpoint, change_network)
    assert comparison.first_difference is not None
    assert (comparison.first_difference.name, comparison.cause) == expected


def test_a_wrong_scale_and_a_wrong_mask_have_different_causes(checkpoint: Path) -> None:
    """The values of the stages are enough to find them."""
    model, inputs, ours = example(checkpoint)
    doubled = {**ours, "layers.0.attention.scores": 2 * ours["layers.0.attention.scores"]}
    assert compare(doubled, ours, inputs, model).cause == "the scale: the scores of transformers are 2 times as large"
    weights = ours["layers.1.attention.weights"].flip(-1)
    comparison = compare({**ours, "layers.1.attention.weights": weights}, ours, inputs, model)
    assert comparison.first_difference is not None
    assert comparison.first_difference.name == "layers.1.attention.weights"
    assert "mask" in str(comparison.cause)


def test_a_missing_mask_is_found(checkpoint: Path) -> None:
    """The scores differ where transformers masks keys and minibert does not."""
    model, inputs, reference = example(checkpoint)
    reference["layers.0.attention.scores"] = minibert_stages(model, inputs)["layers.0.attention.masked_scores"].clamp(min=-1e9)
    unmasked = {**inputs, "attention_mask": torch.ones_like(inputs["attention_mask"])}
    comparison = compare(reference, minibert_stages(model, unmasked), inputs, model)
    assert comparison.first_difference is not None
    assert comparison.first_difference.name == "layers.0.attention.scores"
    assert comparison.cause == "the mask: transformers masks keys that minibert does not"


def test_fused_attention_agrees_although_its_steps_are_not_recorded(checkpoint: Path) -> None:
    explicit, fused = (load(checkpoint, attention=attention, dtype=torch.float64) for attention in ("explicit", "fused"))
    inputs = make_inputs(explicit, checkpoint)
    comparison = compare(minibert_stages(explicit, inputs), minibert_stages(fused, inputs), inputs, fused)
    assert "layers.0.attention.masked_scores" in comparison.not_compared
    assert comparison.agrees


def test_nan_and_other_shapes_do_not_agree(checkpoint: Path) -> None:
    model, inputs, ours = example(checkpoint)
    for wrong in (ours["pooler"] * float("nan"), ours["pooler"][:1]):
        comparison = compare({**ours, "pooler": wrong}, ours, inputs, model)
        assert comparison.first_difference is not None
        assert comparison.first_difference.name == "pooler"


def test_only_padding_is_left_out(checkpoint: Path) -> None:
    """A change of the padded tokens does not count; a change of the last token before them does."""
    model, inputs, ours = example(checkpoint)
    length = int(inputs["attention_mask"][1].sum())
    for name in ("embeddings.sum", "layers.1.attention.query"):
        for token, agrees in ((length, True), (length - 1, False)):
            changed = ours[name].clone()
            changed[1, ..., token, :] += 1
            assert compare({**ours, name: changed}, ours, inputs, model).agrees is agrees


def test_the_input_has_padding_and_two_segments(checkpoint: Path) -> None:
    """The mask and the segment embeddings take part in the comparison."""
    model = BertForPreTraining(CONFIG)
    inputs = make_inputs(model, checkpoint, ids=[5, 6, 7])
    assert inputs["input_ids"].tolist() == [[5, 6, 7], [5, 6, 0]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert inputs["token_type_ids"].tolist() == [[0, 0, 1], [0, 0, 0]]
    assert make_inputs(model, checkpoint, text="w1 w2")["input_ids"][0].tolist() == [2, 6, 7, 3]
    ids = load_tokenizer(checkpoint).encode(DEFAULT_TEXT).ids
    assert make_inputs(model, checkpoint)["input_ids"][0].tolist() == ids[: CONFIG.max_position_embeddings]
    without_tokenizer = [make_inputs(model, checkpoint.parent)["input_ids"] for _ in range(2)]
    assert torch.equal(*without_tokenizer)
    assert without_tokenizer[0].shape == (2, min(RANDOM_TOKENS, CONFIG.max_position_embeddings))
    short = BertForPreTraining(replace(CONFIG, max_position_embeddings=3))
    assert make_inputs(short, checkpoint.parent)["input_ids"].shape == (2, 3)
    one_segment = make_inputs(BertForPreTraining(replace(CONFIG, type_vocab_size=1)), checkpoint, ids=[5, 6])
    assert not one_segment["token_type_ids"].any()


def test_each_file_is_read_once(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """minibert reads the weights and the config once. transformers reads them on its own."""
    with (
        mock.patch.object(weights, "_read_safetensors", wraps=weights._read_safetensors) as read_tensors,
        mock.patch.object(loading, "read_json", wraps=loading.read_json) as read_json,
    ):
        assert main(["verify", str(checkpoint)]) == 0
    assert read_tensors.call_count == read_json.call_count == 1


def test_the_command_reports_agreement(checkpoint: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The table has a line for every stage, the exit code is 0, and the chart is saved."""
    figure = tmp_path / "depth.png"
    assert main(["verify", str(checkpoint), "--text", "w1 w2 w3", "--figure", str(figure)]) == 0
    shown = capsys.readouterr().out
    for name in ("embeddings.words", "layers.1.attention.scores", "layers.0.activation", "mlm.logits", "nsp.logits"):
        assert name in shown
    assert "stages agree with transformers" in shown
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_reference_is_enough_without_transformers(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved stages are compared without transformers. A checkpoint that changed since does not agree: exit code 1."""
    kept = tmp_path / "kept.safetensors"
    assert main(["verify", str(checkpoint), "--ids", "5", "6", "7", "--dtype", "float64", "--save-reference", str(kept)]) == 0
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(["verify", str(checkpoint), "--reference", str(kept), "--dtype", "float64", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert result["agrees"]
    assert max(stage["relative"] for stage in result["stages"]) < 1e-10
    assert main(["verify", str(checkpoint)]) == 2
    assert "pip install 'minibert[verify]'" in capsys.readouterr().err
    assert main(["verify", str(checkpoint), "--reference", str(kept)]) == 2
    assert "the reference is in float64; add --dtype float64" in capsys.readouterr().err
    model = BertForPreTraining.from_pretrained(checkpoint)
    with torch.no_grad():
        model.bert.layers[1].attention.value.weight.mul_(1.001)
    model.save_pretrained(checkpoint)
    assert main(["verify", str(checkpoint), "--reference", str(kept), "--dtype", "float64"]) == 1
    assert "first stage that differs from transformers" in (shown := capsys.readouterr().out)
    assert "is layers.1.attention.value." in shown


def test_a_reference_of_another_network_does_not_agree(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stages of a smaller network, or none in common: too little is compared, so the exit code is 1."""
    _, inputs, ours = example(checkpoint)
    for stages in ({"embeddings.words": ours["embeddings.words"]}, {"nothing": ours["pooler"]}):
        ReferenceStages(inputs, stages, "elsewhere", "by hand").save(tmp_path / "other.safetensors")
        arguments = ["--reference", str(tmp_path / "other.safetensors"), "--dtype", "float64"]
        assert main(["verify", str(checkpoint), *arguments]) == 1
        assert "Is this the reference of another checkpoint?" in capsys.readouterr().out
        assert main(["verify", str(checkpoint), *arguments, "--json"]) == 1
        assert not json.loads(capsys.readouterr().out)["agrees"]


def test_an_input_for_another_network_is_refused(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, inputs, ours = example(checkpoint)
    ReferenceStages({**inputs, "labels_of_gpt": inputs["input_ids"]}, ours, "elsewhere", "by hand").save(tmp_path / "other")
    assert main(["verify", str(checkpoint), "--reference", str(tmp_path / "other"), "--dtype", "float64"]) == 2
    assert "BertForPreTraining has no input labels_of_gpt" in capsys.readouterr().err


@pytest.mark.parametrize("values", [[math.nan], [1.0, math.nan], [math.inf, math.nan, 0.0]])
@pytest.mark.parametrize("sides", [(True, False), (False, True), (True, True)])
def test_a_nan_is_a_nan_in_every_number(checkpoint: Path, values: list[float], sides: tuple[bool, bool]) -> None:
    """One NaN on either side, or the same on both, is a difference, and the cause names the side that has it."""
    model, inputs, stages = example(checkpoint)
    bad = stages["pooler"].clone()
    bad[0, : len(values)] = torch.tensor(values)
    reference, ours = ({**stages, "pooler": bad} if has else stages for has in sides)
    comparison = compare(reference, ours, inputs, model)
    first = comparison.first_difference
    assert first is not None
    assert first.name == "pooler"
    assert math.isnan(first.absolute)
    assert math.isnan(first.relative)
    assert math.isnan(first.cosine)
    assert not comparison.agrees
    for side, has in zip(("transformers", "minibert"), sides, strict=True):
        assert (f"1 of {bad.numel()} values are NaN" in str(comparison.cause)) is True
        assert (f"in {side}" in str(comparison.cause)) is has


def test_a_nan_is_shown_in_the_table_the_json_and_the_verdict(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON has no NaN: there it is a string."""
    _, inputs, stages = example(checkpoint)
    stages["pooler"] = stages["pooler"] * math.nan
    ReferenceStages(inputs, stages, "elsewhere", "by hand").save(tmp_path / "nan")
    arguments = ["verify", str(checkpoint), "--reference", str(tmp_path / "nan"), "--dtype", "float64"]
    assert main(arguments) == 1
    shown = capsys.readouterr().out
    row = next(line for line in shown.splitlines() if line.startswith("pooler "))
    assert row.split()[1:] == ["nan", "nan", "nan", "differs"]
    assert "Largest difference: nan, relative nan." in shown
    assert "Likely cause: 16 of 16 values are NaN in by hand." in shown
    assert main([*arguments, "--json"]) == 1
    result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    stage = next(stage for stage in result["stages"] if stage["name"] == "pooler")
    assert (stage["absolute"], stage["relative"], stage["cosine"], stage["agrees"]) == ("nan", "nan", "nan", False)
    assert not result["agrees"]


def test_a_stage_of_zeros_is_not_similar_to_another(checkpoint: Path) -> None:
    """The cosine of zeros with anything else is 0, and with zeros 1."""
    model, inputs, stages = example(checkpoint)
    zeros = {**stages, "pooler": torch.zeros_like(stages["pooler"])}
    cosines = [compare(zeros, ours, inputs, model).stages for ours in (stages, zeros)]
    assert [next(stage.cosine for stage in each if stage.name == "pooler") for each in cosines] == [0.0, 1.0]


def test_a_file_with_weights_is_verified(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both libraries use the given file, not the other weights in the same folder."""
    weights = checkpoint / "step9.safetensors"
    (checkpoint / "model.safetensors").rename(weights)
    BertForPreTraining(CONFIG).save_pretrained(checkpoint)
    assert main(["verify", str(weights), "--ids", "5", "6", "7"]) == 0
    assert "stages agree" in capsys.readouterr().out


def test_a_wrapped_network_is_verified(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """transformers does not remove the names of wrappers."""
    tensors = safetensors.torch.load_file(checkpoint / "model.safetensors")
    renamed = {f"module.{name}": tensor for name, tensor in tensors.items()}
    safetensors.torch.save_file(renamed, checkpoint / "model.safetensors")
    assert main(["verify", str(checkpoint)]) == 0
    assert "stages agree" in capsys.readouterr().out


def test_newly_initialized_weights_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint without a pooler: both libraries initialize one at random."""
    BertForTokenClassification(CONFIG).save_pretrained(tmp_path)
    changed = json.loads((tmp_path / "config.json").read_text()) | {"architectures": ["BertCrfForNer"]}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    assert main(["verify", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "not in the file" in shown.err
    assert "LOAD REPORT" not in shown.err
    assert "pooler" not in shown.out
    with pytest.warns(UserWarning, match="not in the file"):
        model = load(tmp_path, "sequence-classification")
    assert model.initialized
    stages = minibert_stages(model, make_inputs(model, tmp_path))
    assert "layers.1.output" in stages
    assert not {"pooler", "classifier.logits"} & set(stages)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "w1", "--ids", "5"], "give only one"),
        (["--ids", "99"], "id 99 is outside the vocabulary of 40 pieces"),
        (["--ids", *["5"] * 40], "40 tokens, but at most 32 are allowed (max_position_embeddings is 32): give"),
        (["--reference", "nowhere"], "nowhere: reference file not found"),
        (["--save-reference", "x", "--json"], "--save-reference does not compare: leave out --json"),
        (["--attention-from", "my.py:f", "--attention", "fused"], "give only one"),
        (["--attention-from", "my.py:f", "--time-limit", "0"], "--time-limit must be above 0"),
    ],
)
def test_a_usage_error_names_the_option(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["verify", str(checkpoint), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_positions_for_padding_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """RoBERTa counts positions from its padding piece."""
    config = RobertaConfig(**SIZES, max_position_embeddings=29, pad_token_id=5)
    NETWORKS["RobertaModel"](config).save_pretrained(tmp_path)
    assert main(["verify", str(tmp_path), "--ids", *["7"] * 24]) == 2
    expected = "24 tokens, but at most 23 are allowed (max_position_embeddings is 29, 6 of them for padding): give a shorter"
    assert expected in capsys.readouterr().err
    assert main(["verify", str(tmp_path), "--ids", *["7"] * 23]) == 0


@pytest.mark.parametrize("network", ["BertModel", "AlbertModel", "DistilBertModel"])
def test_a_feed_forward_network_in_chunks_computes_the_same(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """transformers may compute a few tokens at a time to save memory. The stages are compared as a whole."""
    made = Bert(BertConfig(**SIZES)) if network == "BertModel" else NETWORKS[network](NETWORKS[network].config_class(**SIZES))
    made.save_pretrained(tmp_path)
    changed = json.loads((tmp_path / "config.json").read_text()) | {"chunk_size_feed_forward": 4}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    assert main(["verify", str(tmp_path), "--ids", *["5"] * 8]) == 0


@pytest.mark.skipif("MINIBERT_DATA" not in os.environ, reason="set MINIBERT_DATA to the folder with models/")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-10)])
def test_a_real_checkpoint_with_both_heads(dtype: torch.dtype, tolerance: float) -> None:
    """Twelve trained layers: absolute differences of hidden states and logits on the checkpoint's own examples."""
    folder = Path(os.environ["MINIBERT_DATA"]) / "models" / "rxnfp_bert_pretrained"
    if not folder.is_dir():
        pytest.skip(f"{folder} not found")
    checkpoint = read_checkpoint(folder)
    model = checkpoint.load(dtype=dtype)
    for text in json.loads((folder / "examples.json").read_text())[:3]:
        ids = torch.tensor([text["ids"]])
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        comparison = compare(transformers_stages(checkpoint, model, inputs), minibert_stages(model, inputs), inputs, model)
        assert comparison.first_difference is None
        ends = [s for s in comparison.stages if s.name.endswith("logits") or figures.LAYER_OUTPUT.fullmatch(s.name)]
        assert len(ends) == 15
        assert max(stage.absolute for stage in ends) <= tolerance


def test_the_chart_shows_every_stage(checkpoint: Path) -> None:
    """One point per stage. Equal stages are at the bottom."""
    model, inputs, ours = example(checkpoint)
    comparison = compare(ours, ours, inputs, model)
    axes = figure(figures.difference_chart(comparison)).axes[0]
    assert len(axes.collections[0].get_offsets()) == len(comparison.stages)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["embeddings", "layers.0", "layers.1"]


def test_another_file_is_not_a_reference(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a file made by"):
        ReferenceStages.load(tmp_path / "x.safetensors")
