"""Stage by stage against transformers: they agree; where they are made to differ, the first stage and its cause are told."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from minibert import BertConfig, BertForPreTraining, BertForTokenClassification
from minibert.commands import main
from minibert.study import figures as plots
from minibert.study.verify.comparison import ENDS_A_LAYER, compare, draw_depth, inputs_for
from minibert.study.verify import sandbox
from minibert.study.verify.stages import Inputs, Reference, class_of, our_stages, their_stages
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from tests.model import random_checkpoints as checkpoints
from tests.strategies import seeds

transformers = pytest.importorskip("transformers")
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
    """With both heads and a tokenizer."""
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


@pytest.mark.parametrize("kind", checkpoints.CLASSES)
@settings(max_examples=3)
@given(config=checkpoints.configs(), seed=seeds)
def test_every_stage_of_every_class_agrees(tmp_path_factory: pytest.TempPathFactory, kind, config, seed: int) -> None:
    """In float64, to 1e-10: all that transformers computes is observed here, under the names of the design."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(seed)
    kind(config).save_pretrained(folder)
    inputs = Inputs(**checkpoints.inputs_for(config, seed))
    theirs, ours = their_stages(folder, inputs, torch.float64), our_stages(folder, inputs, torch.float64)
    found = compare(theirs, ours, inputs, kind.from_pretrained(folder), torch.float64)
    assert class_of(folder) is kind
    assert found.first_difference is None
    assert found.not_compared == []
    assert len(found.stages) == len(theirs) >= 5 + 13 * config.num_hidden_layers
    masked = {name for name in ours if name.endswith("masked_scores")}
    assert set(ours) - set(theirs) - masked <= {"pooler"}


def differing(checkpoint: Path, change) -> tuple[str, str | None]:
    """The first stage that differs, and its cause, where `change` has been made to what transformers runs."""
    inputs = inputs_for(checkpoint, CONFIG)
    model = transformers.BertForPreTraining.from_pretrained(checkpoint)
    change(model)
    other = checkpoint.parent / "changed"
    model.save_pretrained(other)
    found = compare(
        their_stages(other, inputs, torch.float64),
        our_stages(checkpoint, inputs, torch.float64),
        inputs,
        BertForPreTraining.from_pretrained(checkpoint),
        torch.float64,
    )
    assert found.first_difference is not None
    return found.first_difference.name, found.cause


def as_theirs(checkpoint: Path, inputs: Inputs) -> dict[str, torch.Tensor]:
    """Our stages, those that transformers has as well."""
    return {name: x for name, x in our_stages(checkpoint, inputs, torch.float64).items() if "masked_scores" not in name}


def transpose(linear: torch.nn.Linear) -> None:
    """In place."""
    linear.weight.data = linear.weight.data.T.contiguous()


CHANGES = {
    "activation": (
        lambda model: setattr(model.config, "hidden_act", "gelu_new"),
        ("layers.0.activation", "the activation function: gelu_new there, gelu here"),
    ),
    "eps": (
        lambda model: setattr(model.config, "layer_norm_eps", 1e-3),
        ("embeddings.output", "the eps of layer normalization: 0.001 there, 1e-12 here"),
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
    "a little": (
        lambda model: model.bert.encoder.layer[0].output.dense.weight.data.mul_(1 + 1e-6),
        ("layers.0.feed_forward", "the weight or the bias differs a little"),
    ),
    "lost bias": (
        lambda model: model.bert.encoder.layer[0].attention.self.key.bias.data.zero_(),
        ("layers.0.attention.key", "the bias is left out there"),
    ),
    "segments": (
        lambda model: model.bert.embeddings.token_type_embeddings.weight.data.mul_(2),
        ("embeddings.segments", "the segment embeddings, or the segment ids (token_type_ids)"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_first_difference_and_its_cause_are_named(checkpoint: Path, change: str) -> None:
    """What was changed in the model is what is told of it."""
    make, expected = CHANGES[change]
    assert differing(checkpoint, make) == expected


def test_a_wrong_scale_and_a_wrong_mask_are_told_apart(checkpoint: Path) -> None:
    """From the numbers alone."""
    inputs = inputs_for(checkpoint, CONFIG)
    ours = as_theirs(checkpoint, inputs)
    model = BertForPreTraining.from_pretrained(checkpoint)
    doubled = {**ours, "layers.0.attention.scores": 2 * ours["layers.0.attention.scores"]}
    assert compare(doubled, ours, inputs, model, torch.float64).cause == "the scale: scores are 2 times as large there"
    weights = ours["layers.1.attention.weights"].flip(-1)
    found = compare({**ours, "layers.1.attention.weights": weights}, ours, inputs, model, torch.float64)
    assert found.first_difference is not None
    assert found.first_difference.name == "layers.1.attention.weights"
    assert "mask" in str(found.cause)


def test_numbers_that_are_no_numbers_do_not_agree(checkpoint: Path) -> None:
    """NaN is not equal to anything, and another shape is told."""
    inputs = inputs_for(checkpoint, CONFIG)
    ours = as_theirs(checkpoint, inputs)
    model = BertForPreTraining.from_pretrained(checkpoint)
    for wrong in (ours["pooler"] * float("nan"), ours["pooler"][:1]):
        found = compare({**ours, "pooler": wrong}, ours, inputs, model, torch.float64)
        assert found.first_difference is not None
        assert found.first_difference.name == "pooler"


def test_the_input_has_padding_and_two_segments(checkpoint: Path) -> None:
    """So that the mask and the segment embeddings are looked at."""
    inputs = inputs_for(checkpoint, CONFIG, ids=[5, 6, 7])
    assert inputs.input_ids.tolist() == [[5, 6, 7], [5, 6, 0]]
    assert inputs.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert inputs.token_type_ids.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert inputs_for(checkpoint, CONFIG, text="w1 w2").input_ids[0].tolist() == [2, 6, 7, 3]
    one_segment = inputs_for(checkpoint, replace(CONFIG, type_vocab_size=1), ids=[5, 6])
    assert not one_segment.token_type_ids.any()


def test_the_command_says_that_they_agree(checkpoint: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A line for every stage, exit code 0, and a figure."""
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
    """What was kept of a run is compared with elsewhere; a checkpoint that was changed since is found out, exit code 1."""
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
    assert "was made in float64; give --dtype float64" in capsys.readouterr().err
    model = BertForPreTraining.from_pretrained(checkpoint)
    with torch.no_grad():
        model.bert.layers[1].attention.value.weight.mul_(1.001)
    model.save_pretrained(checkpoint)
    assert main(["verify", str(checkpoint), "--reference", str(kept), "--dtype", "float64"]) == 1
    assert "first stage that differs from transformers" in (shown := capsys.readouterr().out)
    assert "is layers.1.attention.value." in shown


def test_a_reference_of_something_else_is_no_agreement(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a smaller model, or with nothing in common: what little can be compared is not enough, exit code 1."""
    inputs = inputs_for(checkpoint, CONFIG)
    ours = as_theirs(checkpoint, inputs)
    for stages in ({"embeddings.words": ours["embeddings.words"]}, {"nothing": ours["pooler"]}):
        Reference(inputs, stages, "elsewhere", "by hand").save(tmp_path / "other.safetensors")
        arguments = ["--reference", str(tmp_path / "other.safetensors"), "--dtype", "float64"]
        assert main(["verify", str(checkpoint), *arguments]) == 1
        assert "is this the reference of another checkpoint?" in capsys.readouterr().out
        assert main(["verify", str(checkpoint), *arguments, "--json"]) == 1
        assert not json.loads(capsys.readouterr().out)["agrees"]


def test_what_is_no_number_is_a_string_in_json(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has no NaN."""
    inputs = inputs_for(checkpoint, CONFIG)
    stages = as_theirs(checkpoint, inputs)
    Reference(inputs, {**stages, "pooler": stages["pooler"] * float("nan")}, "elsewhere", "by hand").save(tmp_path / "nan")
    assert main(["verify", str(checkpoint), "--reference", str(tmp_path / "nan"), "--dtype", "float64", "--json"]) == 1
    result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert next(stage for stage in result["stages"] if stage["name"] == "pooler")["absolute"] == "nan"


def test_a_file_of_weights_is_what_is_verified(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not the other weights beside it."""
    weights = checkpoint / "step9.safetensors"
    (checkpoint / "model.safetensors").rename(weights)
    BertForPreTraining(CONFIG).save_pretrained(checkpoint)
    assert main(["verify", str(weights), "--ids", "5", "6", "7"]) == 0
    assert "stages agree" in capsys.readouterr().out


def test_a_checkpoint_without_a_pooler_is_verified_without_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both sides would start one at random."""
    BertForTokenClassification(CONFIG).save_pretrained(tmp_path)
    changed = json.loads((tmp_path / "config.json").read_text()) | {"architectures": ["BertCrfForNer"]}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.warns(UserWarning, match="not in the file"):
        assert main(["verify", str(tmp_path)]) == 0
    assert "pooler" not in capsys.readouterr().out


OWN = """
import math, torch
def right(query, key, value, keep=None, dropout=0.0):
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep, -1e30)
    return scores.softmax(-1) @ value
def no_mask(query, key, value, keep=None, dropout=0.0):
    return right(query, key, value)
def crash(query, key, value, keep=None, dropout=0.0):
    raise RuntimeError("my own words")
def endless(*arguments):
    while True:
        pass
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "my.py").write_text(OWN)
    return tmp_path / "my.py"


def test_an_attention_of_ones_own(checkpoint: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A right one agrees at every stage that is observed; a wrong one does not, from its first layer on."""
    assert main(["verify", str(checkpoint), "--attention-from", f"{own}:right"]) == 0
    assert "On one side only" in capsys.readouterr().out
    assert main(["verify", str(checkpoint), "--attention-from", f"{own}:no_mask"]) == 1
    assert "is layers.0.attention.context" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"), [("crash", "RuntimeError: my own words"), ("missing", "has no function 'missing'")]
)
def test_own_code_that_fails_is_told_in_its_words(
    checkpoint: Path, own: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    assert main(["verify", str(checkpoint), "--attention-from", f"{own}:{name}"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_own_code_that_does_not_end_is_stopped(
    checkpoint: Path, own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 2)
    assert main(["verify", str(checkpoint), "--attention-from", f"{own}:endless"]) == 2
    assert "was not ready after 4 seconds" in capsys.readouterr().err


def test_a_function_is_an_attention(checkpoint: Path) -> None:
    """In the constructor's keyword, in `from_pretrained` and in `set_attention`; the model says which it has."""
    scope: dict[str, object] = {}
    exec(OWN, scope)
    model = BertForPreTraining.from_pretrained(checkpoint, attention=scope["right"])
    assert model.attention_in_use() == "right: as given"
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(
        model(ids).prediction_logits, model.set_attention("explicit")(ids).prediction_logits, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "w1", "--ids", "5"], "give one of them"),
        (["--ids", "99"], "id 99 is outside the vocabulary of 40 pieces"),
        (["--ids", *["5"] * 40], "40 tokens are more than max_position_embeddings 32"),
        (["--reference", "nowhere"], "nowhere: there is no such reference"),
        (["--save-reference", "x", "--json"], "--save-reference compares nothing: leave out --json"),
        (["--attention-from", "my.py:f", "--attention", "fused"], "give one of them"),
    ],
)
def test_bad_use_is_named(checkpoint: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["verify", str(checkpoint), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif("MINIBERT_DATA" not in os.environ, reason="set MINIBERT_DATA to the folder with models/")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-10)])
def test_a_real_checkpoint_with_both_heads(dtype: torch.dtype, tolerance: float) -> None:
    """Twelve layers, trained: hidden states and logits of its own examples, as absolute differences."""
    folder = Path(os.environ["MINIBERT_DATA"]) / "models" / "rxnfp_bert_pretrained"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    model = BertForPreTraining.from_pretrained(folder)
    for example in json.loads((folder / "examples.json").read_text())[:3]:
        ids = torch.tensor([example["ids"]])
        inputs = Inputs(ids, torch.ones_like(ids), torch.zeros_like(ids))
        found = compare(their_stages(folder, inputs, dtype), our_stages(folder, inputs, dtype), inputs, model, dtype)
        assert found.first_difference is None
        ends = [s for s in found.stages if s.name.endswith("logits") or ENDS_A_LAYER.fullmatch(s.name)]
        assert len(ends) == 15
        assert max(stage.absolute for stage in ends) <= tolerance


def test_the_figure_shows_every_stage(checkpoint: Path) -> None:
    """A point each, and what is exactly equal at the bottom."""
    inputs = inputs_for(checkpoint, CONFIG)
    ours = as_theirs(checkpoint, inputs)
    found = compare(ours, ours, inputs, BertForPreTraining.from_pretrained(checkpoint), torch.float64)
    axes = plots.figure(draw_depth(found)).axes[0]
    assert len(axes.collections[0].get_offsets()) == len(found.stages)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["embeddings", "layers.0", "layers.1"]


def test_a_file_that_is_no_reference_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is no reference made by"):
        Reference.load(tmp_path / "x.safetensors")
