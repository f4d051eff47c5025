"""Tests of checkpoints written by other programs: activation functions, wrappers, masks, pickles and unusual contents."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from minibert import Bert, BertConfig, BertForMaskedLM, BertForPreTraining, GPT2Config, GPT2LMHeadModel, Transformer
from minibert import TransformerConfig as Seq2SeqConfig
from minibert.model import load, read_checkpoint
from minibert.model.config import ACTIVATION_ALIASES, ACTIVATIONS
from minibert.model.pretrained import PretrainedModel

SIZES: dict[str, Any] = {"vocab_size": 40, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
CONFIG = BertConfig(**SIZES, num_hidden_layers=2, max_position_embeddings=9)
GPT2_CONFIG = GPT2Config(**SIZES, num_hidden_layers=2, max_position_embeddings=9)
TRANSFORMER_CONFIG = Seq2SeqConfig(**SIZES, encoder_layers=1, decoder_layers=2, positions="learned", max_position_embeddings=9)
NETWORKS: list[PretrainedModel] = [
    Bert(CONFIG),
    BertForPreTraining(CONFIG),
    GPT2LMHeadModel(GPT2_CONFIG),
    Transformer(TRANSFORMER_CONFIG),
]


def save(model: PretrainedModel, folder: Path, rename: Callable[[str], str] = str) -> dict[str, Tensor]:
    """Save a network with other tensor names, and return the tensors."""
    model.save_pretrained(folder)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    renamed = {rename(name): tensor for name, tensor in tensors.items()}
    safetensors.torch.save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return renamed


def change_config(folder: Path, **changes: object) -> None:
    stored = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(stored))


def check_equal(folder: Path, model: PretrainedModel) -> None:
    """Check that the network loads without a warning, with all its weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load(folder)
    assert type(loaded) is type(model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "model._orig_mod.", "0.auto_model."]
)
def test_names_of_wrappers_are_removed(tmp_path: Path, model: PretrainedModel, prefix: str) -> None:
    """DistributedDataParallel, `torch.compile`, Lightning, sentence-transformers."""
    save(model, tmp_path, lambda name: prefix + name)
    check_equal(tmp_path, model)
    assert read_checkpoint(tmp_path).heads[-1] == {"Bert": "encoder", "BertForPreTraining": "nsp"}.get(
        type(model).__name__, model.head
    )


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: type(model).__name__)
def test_network_in_a_module_with_the_name_of_the_base_model(tmp_path: Path, model: PretrainedModel) -> None:
    """Such as `self.bert = BertForPreTraining(…)` in a user's module: "bert.bert.embeddings", "bert.cls.predictions"."""
    save(model, tmp_path, lambda name: model.names.their_prefix + name)
    check_equal(tmp_path, model)


@pytest.mark.parametrize("inside", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "module"])
def test_names_of_wrapped_layers_are_removed(tmp_path: Path, inside: str) -> None:
    model = BertForPreTraining(CONFIG)
    save(model, tmp_path, lambda name: name.replace("encoder.layer.1.", f"encoder.layer.1.{inside}."))
    check_equal(tmp_path, model)


def test_other_tensors_of_a_wrapper_are_reported_as_not_used(tmp_path: Path) -> None:
    tensors = save(BertForPreTraining(CONFIG), tmp_path, "model.{}".format)
    more = {"loss.weight": torch.ones(2), "ema.n": torch.ones(1, dtype=torch.int64)}
    safetensors.torch.save_file(tensors | more, tmp_path / "model.safetensors")
    with pytest.warns(UserWarning, match=r"not used by BertForPreTraining: ema\.n, loss\.weight"):
        load(tmp_path)


def test_two_tensors_of_one_name_are_rejected(tmp_path: Path) -> None:
    tensors = save(Bert(CONFIG), tmp_path)
    name = "pooler.dense.bias"
    safetensors.torch.save_file(tensors | {f"module.{name}": torch.ones(8)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=rf"model\.safetensors: tensors module\.{name} and {name} are the same parameter"):
        load(tmp_path)


@pytest.mark.parametrize("head", [None, "mlm"])
def test_prefix_of_another_architecture_is_named(tmp_path: Path, head: str | None) -> None:
    save(BertForPreTraining(CONFIG), tmp_path, lambda name: name.replace("bert.", "roberta."))
    with pytest.raises(ValueError, match=r"Its tensors begin with 'roberta\.': is it another architecture\?"):
        load(tmp_path, head)


def test_own_parameter_names_are_named(tmp_path: Path) -> None:
    model = BertForPreTraining(CONFIG)
    model.save_pretrained(tmp_path)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"names of minibert's parameters: write it with `save_pretrained`"):
        load(tmp_path)


def test_adapters_are_named(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = BertForPreTraining(CONFIG)
    model.save_pretrained(tmp_path)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(target_modules=["query"], r=2))
    safetensors.torch.save_file(
        {name.replace("layers.", "encoder.layer."): tensor for name, tensor in wrapped.state_dict().items()},
        tmp_path / "model.safetensors",
    )
    with pytest.raises(ValueError, match=r"adapter of peft: merge it"):
        load(tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"does not name its base model: load that, and use `load_adapter"):
        load(tmp_path)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float32])
def test_causal_masks_of_gpt2_are_ignored(tmp_path: Path, dtype: torch.dtype) -> None:
    """Older files have them as buffers, of several types."""
    model = GPT2LMHeadModel(GPT2_CONFIG)
    tensors = save(model, tmp_path)
    for number in range(2):
        tensors[f"transformer.h.{number}.attn.bias"] = torch.ones(1, 1, 9, 9).tril().to(dtype)
        tensors[f"transformer.h.{number}.attn.masked_bias"] = torch.tensor(-1e4).to(dtype)
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    check_equal(tmp_path, model)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.bool, torch.float8_e4m3fn])
def test_quantized_parameters_are_rejected(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = save(GPT2LMHeadModel(GPT2_CONFIG), tmp_path)
    tensors["transformer.h.1.attn.c_proj.weight"] = torch.ones(8, 8).to(dtype)
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"tensor transformer\.h\.1\.attn\.c_proj\.weight has the type .*quantized"):
        load(tmp_path)


@pytest.mark.usefixtures("without_shape_checks")
def test_activation_functions_of_transformers(tmp_path: Path) -> None:
    """Each name that transformers has is computed as there, in float64, or rejected by name."""
    transformers = pytest.importorskip("transformers")
    model = BertForMaskedLM(replace(CONFIG, initializer_range=0.5))
    model.save_pretrained(tmp_path)
    ids = torch.arange(1, 9)[None]
    for name in transformers.activations.ACT2FN:
        change_config(tmp_path, hidden_act=name)
        if name not in (*ACTIVATIONS, *ACTIVATION_ALIASES):
            with pytest.raises(ValueError, match=f"hidden_act {name!r} is unknown; choose one of"):
                load(tmp_path)
            continue
        ours, theirs = load(tmp_path).double(), transformers.BertForMaskedLM.from_pretrained(tmp_path).double().eval()
        assert (ours(ids).logits - theirs(ids).logits).abs().max() < 1e-10, name
    assert {*ACTIVATIONS, *ACTIVATION_ALIASES} <= {*transformers.activations.ACT2FN}


@pytest.mark.parametrize("legacy", [False, True])
def test_pickle_of_a_whole_module_is_named(tmp_path: Path, legacy: bool) -> None:
    model = BertForPreTraining(CONFIG)
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        ValueError, match=r"pytorch_model\.bin: contains the Python object \w[\w.]*, not only tensors; save the"
    ) as error:
        load(tmp_path)
    assert str(error.value).isprintable()


def test_program_of_torchscript_is_named(tmp_path: Path) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(2)), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt: contains a TorchScript program, not only tensors"):
        load(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"model": {"a": torch.ones(2)}, "step": 3},
            r"its entry 'model' \(dict\) is not a named tensor; save the weights alone",
        ),
        ({5: torch.ones(2)}, r"its entry 5 \(Tensor\) is not a named tensor"),
        ([torch.ones(2)], "contains a list instead of named tensors; save the weights alone"),
        (torch.ones(2), "contains a Tensor instead of named tensors"),
        (None, "contains a NoneType instead of named tensors"),
        ({}, "has 0 layers"),
    ],
)
def test_pickle_of_something_else_is_named(tmp_path: Path, content: object, message: str) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=rf"state\.pt: {message}"):
        load(tmp_path / "state.pt")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!doctype html><p>report", "an HTML page, not a checkpoint"),
        (b"\xef\xbb\xbf <html>", "an HTML page, not a checkpoint"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image, not a checkpoint"),
        (b'{"a": 1}', "JSON, not a checkpoint"),
        (b"[PAD]\n[UNK]\n", "a text file, not a checkpoint"),
        (b'[{"a": 1}]', "JSON, not a checkpoint"),
        ("Grüße".encode() * 500, "a text file, not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS .*git lfs pull"),
        (b"", "empty, not a checkpoint"),
        (b"\x00\x01\x02", "not a complete"),
        (b"PK\x03\x04\x00\x00", "not a complete file|not a complete safetensors"),
    ],
)
@pytest.mark.parametrize("name", ["report.html", "model.safetensors", "pytorch_model.bin"])
def test_file_that_is_not_a_checkpoint_is_called_what_it_is(tmp_path: Path, content: bytes, kind: str, name: str) -> None:
    """No message gives the advice to read a pickle without protection."""
    Bert(CONFIG).save_pretrained(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: is ({kind})") as error:
        load(tmp_path / name)
    assert "weights_only" not in str(error.value)
    assert str(error.value).isprintable()


def test_file_that_is_not_in_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<html>")
    with pytest.raises(FileNotFoundError, match=r"report\.html: is not a checkpoint, but an HTML page"):
        load(tmp_path / "report.html")
    (tmp_path / "weights.bin").write_bytes(b"\x00\x01")
    with pytest.raises(FileNotFoundError, match=r"weights\.bin: is not a checkpoint, there is no config\.json in its folder"):
        load(tmp_path / "weights.bin")


def test_weights_under_another_file_name_are_mentioned(tmp_path: Path) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "model.fp16.safetensors")
    with pytest.raises(FileNotFoundError, match=r"To load model\.fp16\.safetensors, give the path of that file"):
        load(tmp_path)
    assert type(load(tmp_path / "model.fp16.safetensors")) is Bert


@pytest.mark.parametrize("name", ["tf_model.h5", "flax_model.msgpack", "model.onnx", "bert_model.ckpt.index"])
def test_weights_of_another_library_are_mentioned(tmp_path: Path, name: str) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / name)
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(FileNotFoundError, match=rf"has none of .*\. {name} is of another library"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "albert"}, r"model_type 'albert' is not supported here, only 'bert': this is no BERT"),
        ({"model_type": None, "architectures": ["AlbertForMaskedLM"]}, "has no model_type, and AlbertForMaskedLM is no BERT"),
        ({"model_type": ["bert"]}, "model_type .* is not supported here"),
        ({"model_type": {}}, "model_type .* is not supported here"),
    ],
)
def test_another_architecture_is_called_no_bert(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    BertForMaskedLM(CONFIG).save_pretrained(tmp_path)
    change_config(tmp_path, **changes)
    with pytest.raises(ValueError, match=rf"config\.json: {message}"):
        load(tmp_path, BertForMaskedLM, new_head=False)


@pytest.mark.parametrize(
    "architectures", [None, [], "BertForMaskedLM", 5, {"a": 1}, [5, None], ["BertForMaskedLM"], ["BertCustom"]]
)
def test_odd_architectures(tmp_path: Path, architectures: object) -> None:
    """The field only chooses between networks whose weights are there."""
    BertForMaskedLM(CONFIG).save_pretrained(tmp_path)
    change_config(tmp_path, architectures=architectures)
    assert type(load(tmp_path)) is BertForMaskedLM
    change_config(tmp_path, model_type=None)
    assert type(load(tmp_path)) is BertForMaskedLM


def test_the_format_of_weights_is_that_of_their_content(tmp_path: Path) -> None:
    """Some programs write safetensors under the name of a pickle, and others the reverse."""
    model = Bert(CONFIG)
    model.save_pretrained(tmp_path / "a")
    (tmp_path / "a" / "model.safetensors").rename(tmp_path / "a" / "pytorch_model.bin")
    check_equal(tmp_path / "a", model)
    for zipped in (True, False):
        tensors = save(model, tmp_path / "b")
        torch.save(tensors, tmp_path / "b" / "model.safetensors", _use_new_zipfile_serialization=zipped)
        check_equal(tmp_path / "b", model)
