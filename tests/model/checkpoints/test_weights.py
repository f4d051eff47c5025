"""Files of weights: which one is used, what they may contain, and what is written."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from minibert import BertForMaskedLM
from minibert.model.checkpoints.loading import read_checkpoint
from minibert.model.checkpoints.names import same_values
from minibert.model.checkpoints.weights import FORMS, find_weights, read_tensors, read_weights, write_weights
from tests.model.adapters.networks import CONFIG, base_checkpoint


def test_the_first_form_of_weights_is_used(tmp_path: Path) -> None:
    """A folder with all of them has the safest first; without it, the next one."""
    for name in FORMS:
        (tmp_path / name).touch()
    for name in FORMS:
        assert find_weights(tmp_path) == find_weights(str(tmp_path)) == tmp_path / name
        (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"it has none of model.safetensors, .*, pytorch_model.bin.index.json$"):
        find_weights(tmp_path)


def test_a_file_of_weights_can_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "best").touch()
    assert find_weights(str(tmp_path / "best")) == tmp_path / "best"


@pytest.mark.parametrize("read", [read_tensors, lambda path: read_weights(path)[0]], ids=["one file", "a checkpoint"])
@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(1).expand(1_000_000), "tensor w has a shape larger than its stored data"),
        (torch.ones(8, dtype=torch.float64)[:4].view(torch.float32).expand(3, 8), "tensor w has a shape larger than"),
        (torch.eye(2).to_sparse(), "tensor w is not stored as a dense tensor on the CPU"),
    ],
)
def test_a_few_bytes_are_no_large_tensor(read, tensor: Tensor, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"w": tensor}, path)
    with pytest.raises(ValueError, match=message):
        read(path)


def test_a_part_of_a_stored_tensor_is_a_tensor(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"w": torch.arange(6.0)[:3], "half": torch.ones(4, dtype=torch.float16)}, path)
    assert read_tensors(path)["w"].tolist() == [0, 1, 2]


def test_the_format_is_that_of_the_content_not_of_the_name(tmp_path: Path) -> None:
    """In each of both names, each of both formats."""
    for name in ("a.safetensors", "a.bin"):
        safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / name)
        assert read_tensors(tmp_path / name)["w"].tolist() == [1, 1]
        torch.save({"w": torch.ones(2)}, tmp_path / name)
        assert read_tensors(tmp_path / name)["w"].tolist() == [1, 1]


def test_a_file_of_no_format_is_judged_by_its_name(tmp_path: Path) -> None:
    for name, message in (("a.safetensors", "not a complete safetensors file"), ("a.bin", "not a complete file of PyTorch")):
        (tmp_path / name).write_bytes(bytes(range(160, 190)))
        with pytest.raises(ValueError, match=message):
            read_tensors(tmp_path / name)


def test_only_tensors_that_share_memory_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written has both; what shares nothing is not copied, which would need its memory twice."""
    whole, alone = torch.arange(4.0), torch.ones(2)
    copied: list[int] = []
    clone = Tensor.clone
    monkeypatch.setattr(Tensor, "clone", lambda tensor: copied.append(tensor.numel()) or clone(tensor))
    write_weights({"a": whole[:3], "b": whole[2:], "c": alone}, tmp_path / "w.safetensors")
    assert sorted(copied) == [2, 3]
    assert {name: tensor.tolist() for name, tensor in read_tensors(tmp_path / "w.safetensors").items()} == {
        "a": [0, 1, 2],
        "b": [2, 3],
        "c": [1, 1],
    }


def test_same_values_have_the_same_shape() -> None:
    """Numbers that are equal when they are broadcast are not the same tensor."""
    assert same_values(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.float16))
    assert not same_values(torch.ones(2, 2), torch.ones(2, 1))
    assert not same_values(torch.ones(2, 2), torch.eye(2))


def test_a_new_head_needs_no_permission_and_part_of_one_is_no_head(tmp_path: Path) -> None:
    base = read_checkpoint(base_checkpoint(tmp_path))
    with pytest.warns(UserWarning, match="newly initialized"):
        base.load("sequence-classification")
    BertForMaskedLM(CONFIG).save_pretrained(tmp_path / "mlm")
    file = tmp_path / "mlm/model.safetensors"
    weights = safetensors.torch.load_file(file)
    lost = "cls.predictions.transform.dense.weight"
    safetensors.torch.save_file({name: tensor for name, tensor in weights.items() if name != lost}, file)
    with pytest.raises(ValueError, match=r"its mlm head has no cls.predictions.transform.dense.weight"):
        read_checkpoint(tmp_path / "mlm").load("mlm", new_head=False)
