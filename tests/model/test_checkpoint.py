"""Checkpoints: what is written is read again, and transformers agrees in both directions."""

import json
import tempfile
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minibert import Bert, BertConfig, BertForPreTraining, BertForSequenceClassification
from minibert.equations import IGNORED
from minibert.model.checkpoint import heads_in, load_weights
from minibert.model.pretrained import PretrainedModel
from tests.strategies import seeds

transformers = pytest.importorskip("transformers")
CLASSES = [
    (Bert, "BertModel"),
    (BertForPreTraining, "BertForPreTraining"),
    (BertForSequenceClassification, "BertForSequenceClassification"),
]
CONFIG = BertConfig(
    vocab_size=40, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=9
)


@st.composite
def configs(draw: st.DrawFn) -> BertConfig:
    """Small ones of every shape, with weights large enough that every part matters."""
    heads = draw(st.integers(1, 3))
    return BertConfig(
        vocab_size=draw(st.integers(6, 40)),
        hidden_size=heads * draw(st.integers(1, 4)),
        num_hidden_layers=draw(st.integers(1, 3)),
        num_attention_heads=heads,
        intermediate_size=draw(st.integers(1, 9)),
        hidden_act=draw(st.sampled_from(["gelu", "relu"])),
        max_position_embeddings=8,
        type_vocab_size=draw(st.integers(1, 3)),
        initializer_range=0.5,
        layer_norm_eps=draw(st.sampled_from([1e-12, 1e-5])),
    )


def inputs_for(config: BertConfig, seed: int) -> dict[str, torch.Tensor]:
    """Random ids, segments, labels; sequences of different length, at least one token kept."""
    generator = torch.Generator().manual_seed(seed)
    shape = (3, int(torch.randint(1, 9, (1,), generator=generator)))
    ids = torch.randint(config.vocab_size, shape, generator=generator)
    lengths = torch.randint(1, shape[1] + 1, (3, 1), generator=generator)
    return {
        "input_ids": ids,
        "attention_mask": (torch.arange(shape[1]) < lengths).long(),
        "token_type_ids": torch.randint(config.type_vocab_size, shape, generator=generator),
    }


def labels_for(ours: type[PretrainedModel], ids: torch.Tensor) -> dict[str, torch.Tensor]:
    if ours is BertForPreTraining:
        labels = ids.masked_fill(torch.arange(ids.shape[1]) % 2 == 1, IGNORED)
        return {"labels": labels, "next_sentence_label": torch.tensor([0, 1, 1])}
    return {"labels": torch.tensor([0, 1, 0])} if ours is BertForSequenceClassification else {}


def largest_difference(mine: object, theirs: object) -> float:
    """Over all outputs that ours has, by the names they have in transformers."""
    return max((value - getattr(theirs, name)).abs().max().item() for name, value in vars(mine).items() if value is not None)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize(("ours", "theirs"), CLASSES)
@given(config=configs(), seed=seeds)
def test_transformers_loads_what_we_save_and_agrees(tmp_path: Path, ours, theirs: str, config, seed: int) -> None:
    """Nothing missing, nothing unexpected; the same loss and outputs in float64, to 1e-10."""
    torch.manual_seed(seed)
    mine = ours(config).eval()
    mine.save_pretrained(tmp_path)
    other, report = getattr(transformers, theirs).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    inputs = inputs_for(config, seed)
    arguments = inputs | labels_for(ours, inputs["input_ids"])
    assert largest_difference(mine.double()(**arguments), other.double().eval()(**arguments)) < 1e-10


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize(("ours", "theirs"), CLASSES)
@given(config=configs(), seed=seeds)
def test_we_load_what_transformers_saves_and_agree(tmp_path: Path, ours, theirs: str, config, seed: int) -> None:
    """Every tensor finds its place, without a warning; the same loss and outputs in float64, to 1e-10."""
    torch.manual_seed(seed)
    fields = {name: getattr(config, name) for name in config.__dataclass_fields__}
    other = getattr(transformers, theirs)(transformers.BertConfig(**fields, attn_implementation="eager")).eval()
    other.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mine = ours.from_pretrained(tmp_path)
    inputs = inputs_for(config, seed)
    arguments = inputs | labels_for(ours, inputs["input_ids"])
    assert largest_difference(mine.double()(**arguments), other.double()(**arguments)) < 1e-10


class TestLoadWeights:
    @settings(max_examples=20)
    @given(configs(), seeds)
    def test_value(self, config: BertConfig, seed: int) -> None:
        """Every tensor of the file stands in the model as it is in the file: transposed, none would."""
        torch.manual_seed(seed)
        with tempfile.TemporaryDirectory() as folder:
            BertForPreTraining(config).save_pretrained(folder)
            file = safetensors.torch.load_file(Path(folder) / "model.safetensors")
            model = BertForPreTraining(config)
            load_weights(model, Path(folder) / "model.safetensors")
        parameters = dict(model.bert.named_parameters())
        for number in range(config.num_hidden_layers):
            for ours, theirs in (("query", "self.query"), ("output", "output.dense")):
                there = file[f"bert.encoder.layer.{number}.attention.{theirs}.weight"]
                assert torch.equal(parameters[f"layers.{number}.attention.{ours}.weight"], there)

    @settings(max_examples=20)
    @given(configs(), seeds)
    def test_a_loaded_model_answers_as_the_saved_one(self, config: BertConfig, seed: int) -> None:
        """Every output, bit for bit."""
        torch.manual_seed(seed)
        model, other = BertForPreTraining(config).eval(), BertForPreTraining(config).eval()
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            load_weights(other, Path(folder) / "model.safetensors")
        inputs = inputs_for(config, seed)
        assert largest_difference(model(**inputs), other(**inputs)) == 0


@pytest.mark.parametrize(("ours", "_"), CLASSES)
def test_round_trip(tmp_path: Path, ours, _: str) -> None:
    """Bit for bit, and in evaluation mode."""
    model = ours(CONFIG)
    model.save_pretrained(tmp_path)
    again = ours.from_pretrained(tmp_path, attention="explicit")
    assert again.config == CONFIG
    assert not again.training
    assert again.attention_in_use() == "explicit: as requested"
    for (name, one), other in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_missing_head_is_named_and_starts_afresh(tmp_path: Path) -> None:
    """From pretraining to classification: a warning names the new classifier and the heads that are left behind."""
    pretrained = BertForPreTraining(CONFIG)
    pretrained.save_pretrained(tmp_path)
    assert heads_in(tmp_path) == {"pooler", "mlm", "nsp"}
    with pytest.warns(UserWarning, match=r"initialised afresh.*classifier.weight.*not in this model: cls\.") as caught:
        model = BertForSequenceClassification.from_pretrained(tmp_path)
    assert len(caught) == 1
    torch.testing.assert_close(model.bert.pooler.dense.weight, pretrained.bert.pooler.dense.weight)
    assert model.classifier.weight.std() > 0


def save(tmp_path: Path, **changes: torch.Tensor | None) -> None:
    """A checkpoint with some tensors changed, or, where they are None, left out."""
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors") | changes
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    safetensors.torch.save_file(kept, tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bert.embeddings.LayerNorm.weight": None}, "has no embeddings.norm.weight"),
        ({"bert.pooler.dense.weight": torch.zeros(16, 16)}, r"pooler.dense.weight has shape \(16, 16\).*\(8, 8\)"),
        ({"cls.predictions.decoder.weight": torch.zeros(40, 8)}, "only a tied decoder is supported"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, torch.Tensor | None], message: str) -> None:
    save(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as error:
        BertForPreTraining.from_pretrained(tmp_path)
    assert "model.safetensors" in str(error.value)


def test_a_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    save(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model.safetensors: is not a whole safetensors file"):
        Bert.from_pretrained(tmp_path)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path, missing: str) -> None:
    save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"is no checkpoint, there is no {missing}"):
        Bert.from_pretrained(tmp_path)


def test_the_config_written_is_readable_by_people(tmp_path: Path) -> None:
    CONFIG.with_labels(["no", "yes"]).save_json(tmp_path / "config.json", "BertForSequenceClassification")
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["model_type"] == "bert"
    assert stored["architectures"] == ["BertForSequenceClassification"]
    assert stored["id2label"] == {"0": "no", "1": "yes"}
