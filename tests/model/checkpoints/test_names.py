"""Tests of saving: every parameter has one name of its own in the file, or the network is not saved."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from minibert import BertConfig, BertForPreTraining, GPT2Config, GPT2LMHeadModel
from minibert.model import load
from minibert.model.checkpoints.names import NameTable, _prefixes, insert_number, split_number

CONFIG = BertConfig(
    vocab_size=40, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=9
)
TABLE = NameTable({"words": "wte", "layers.N.query + layers.N.key": "h.N.c_attn", "norm": "ln"}, "base.", "theirs.")


def test_every_parameter_has_a_name_of_its_own(tmp_path: Path) -> None:
    model = BertForPreTraining(CONFIG)
    model.save_pretrained(tmp_path)
    assert len(safetensors.torch.load_file(tmp_path / "model.safetensors")) == len(list(model.parameters()))


@pytest.mark.parametrize("kind", ["parameter", "buffer", "submodule", "frozen parameter"])
def test_parameter_without_a_name_in_the_file_is_rejected(tmp_path: Path, kind: str) -> None:
    model = BertForPreTraining(CONFIG)
    if kind == "buffer":
        model.bert.layers[1].register_buffer("extra", torch.zeros(3))
    elif kind == "submodule":
        model.bert.layers[1].extra = nn.Linear(2, 3)
    else:
        model.bert.layers[1].extra = nn.Parameter(torch.zeros(3), requires_grad=kind == "parameter")
    with pytest.raises(ValueError, match=r"no name for bert\.layers\.1\.extra"):
        model.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


def test_buffer_that_is_not_part_of_the_state_is_not_saved(tmp_path: Path) -> None:
    model = BertForPreTraining(CONFIG)
    model.register_buffer("extra", torch.zeros(3), persistent=False)
    model.save_pretrained(tmp_path)
    assert load(tmp_path).initialized == ()


def test_older_name_of_a_parameter_is_not_a_name_of_its_own(tmp_path: Path) -> None:
    """`gamma` is `weight` in older files, so a second parameter with this name would replace the first."""
    model = BertForPreTraining(CONFIG)
    model.bert.embeddings.norm.gamma = nn.Parameter(torch.zeros(8))
    with pytest.raises(ValueError, match=r"no name for bert\.embeddings\.norm\.gamma"):
        model.save_pretrained(tmp_path)


def test_network_with_adapters_is_rejected_until_they_are_merged(tmp_path: Path) -> None:
    """The adapters of peft are parameters of their own. Merged, the file computes the same."""
    peft = pytest.importorskip("peft")
    model = BertForPreTraining(CONFIG).eval()
    wrapped = peft.get_peft_model(model, peft.LoraConfig(target_modules=["query", "value"], r=2, init_lora_weights=False))
    with pytest.raises(ValueError, match=r"no name for .*query\.base_layer\.weight.*merge them into the weights"):
        model.save_pretrained(tmp_path)
    ids = torch.tensor([[1, 2, 3]])
    expected = wrapped.eval()(ids).prediction_logits
    wrapped.merge_and_unload().save_pretrained(tmp_path)
    torch.testing.assert_close(load(tmp_path)(ids).prediction_logits, expected)


def test_weights_to_write_are_complete(tmp_path: Path) -> None:
    """One that is missing, and names of a wrapper."""
    model = GPT2LMHeadModel(GPT2Config(vocab_size=9, hidden_size=8, num_attention_heads=2, num_hidden_layers=1))
    weights = model.state_dict()
    with pytest.raises(ValueError, match=r"two parameters have one name in checkpoint files: words\.weight"):
        model.save_pretrained(tmp_path, weights | {"module.words.weight": torch.zeros(9, 8)})
    with pytest.raises(ValueError, match=r"no name for network\.words\.weight"):
        model.save_pretrained(tmp_path, weights | {"network.words.weight": torch.zeros(9, 8)})
    del weights["decoder.layers.0.attention.key.weight"]
    with pytest.raises(ValueError, match=r"state_dict has no decoder\.layers\.0\.attention\.key\.weight"):
        model.save_pretrained(tmp_path, weights)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["bert", "layer", "layers"])
def test_network_with_compiled_parts_is_saved(tmp_path: Path, part: str) -> None:
    model = BertForPreTraining(CONFIG)
    model.save_pretrained(tmp_path / "before")
    if part == "bert":
        model.bert = torch.compile(model.bert)
    elif part == "layer":
        model.bert.layers[1] = torch.compile(model.bert.layers[1])
    else:
        model.bert.layers = torch.compile(model.bert.layers)
    assert any("_orig_mod" in name for name in model.state_dict())
    model.save_pretrained(tmp_path / "after")
    before, after = (safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("before", "after"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_shared_parameters_are_written_twice(tmp_path: Path) -> None:
    model = BertForPreTraining(CONFIG)
    model.bert.layers[1] = model.bert.layers[0]
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_parts_of_a_concatenated_tensor_are_written_together() -> None:
    with pytest.raises(ValueError, match=r"h\.3\.c_attn\.weight .* without layers\.3\.key\.weight"):
        TABLE.write({"layers.3.query.weight": torch.zeros(2)})


def test_two_parameters_with_one_name_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"two parameters have one name in checkpoint files: base\.words\.weight"):
        TABLE.write({"base.words.weight": torch.zeros(2), "words.weight": torch.ones(2)})


def test_tensor_that_cannot_be_divided_is_rejected() -> None:
    for shape in [(), (3, 4)]:
        with pytest.raises(ValueError, match=r"tensor h\.0\.c_attn\.weight has shape .* not 2 equal parts"):
            TABLE.read({"h.0.c_attn.weight": torch.zeros(shape)})


def test_different_tensors_of_one_parameter_are_rejected() -> None:
    one, other = torch.zeros(2), torch.ones(2)
    assert torch.equal(TABLE.read({"wte.weight": one, "theirs.wte.weight": one.clone()})["words.weight"], one)
    for names in (("wte.weight", "theirs.wte.weight"), ("ln.weight", "ln.gamma")):
        with pytest.raises(ValueError, match=r"tensors .* and .* differ, but are the same parameter"):
            TABLE.read(dict(zip(names, (one, other), strict=True)))


@pytest.mark.parametrize("name", ["layers.3.attention.query", "words", "layers.12", "0.auto"])
def test_number_of_a_layer(name: str) -> None:
    pattern, number = split_number(name)
    assert not any(part.isdigit() for part in pattern.split("."))
    assert insert_number(pattern, number) == name


@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("model.", ""), ("0.auto_model.", ""), ("theirs.", "theirs."), ("model.theirs.", "theirs.")]
)
def test_names_of_outer_modules_are_removed(before: str, after: str) -> None:
    """Also of tensors that the table does not have."""
    names = ("wte.weight", "h.0.c_attn.weight", "other.weight")
    unwrapped = TABLE.unwrap({before + name: torch.ones(1) for name in names})
    assert [*unwrapped] == [after + name for name in names]


def test_only_a_base_model_alone_is_written_without_its_prefix() -> None:
    assert TABLE.write({"words.weight": torch.ones(1)}).keys() == {"wte.weight"}
    assert TABLE.write({"base.words.weight": torch.ones(1)}).keys() == {"theirs.wte.weight"}


def test_prefixes_are_at_most_four_modules_long() -> None:
    assert [*_prefixes("a.b.weight")] == ["", "a.", "a.b."]
    assert [*_prefixes("a.b.c.d.e.weight")] == ["", "a.", "a.b.", "a.b.c.", "a.b.c.d."]
