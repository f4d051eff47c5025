"""Tied tensors: files with one of their names, with both, and with different values, compared with transformers in float64."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from minibert import TransformerConfig
from minibert.model import load
from minibert.model.pretrained import PretrainedModel

transformers = pytest.importorskip("transformers")
IDS = torch.tensor([[4, 5, 6, 7]])


def bert(tied: bool) -> Any:
    return transformers.BertForMaskedLM(
        transformers.BertConfig(
            vocab_size=40,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=12,
            max_position_embeddings=9,
            tie_word_embeddings=tied,
        )
    )


def gpt2(tied: bool) -> Any:
    config = transformers.GPT2Config(vocab_size=40, n_embd=8, n_layer=1, n_head=2, n_positions=9, tie_word_embeddings=tied)
    return transformers.GPT2LMHeadModel(config)


def marian(tied: bool) -> Any:
    heads = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2)
    widths = dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 12)
    layers = dict.fromkeys(("encoder_layers", "decoder_layers"), 1)
    return transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=40,
            d_model=8,
            **heads,
            **widths,
            **layers,
            max_position_embeddings=9,
            pad_token_id=0,
            eos_token_id=3,
            decoder_start_token_id=2,
            forced_eos_token_id=None,
            scale_embedding=True,
            tie_word_embeddings=tied,
        )
    )


MAKERS: dict[str, Callable[[bool], Any]] = {"bert": bert, "gpt2": gpt2, "marian": marian}
NAMES = {
    "bert": {
        "bert.embeddings.word_embeddings.weight": ["cls.predictions.decoder.weight"],
        "cls.predictions.bias": ["cls.predictions.decoder.bias"],
    },
    "gpt2": {"transformer.wte.weight": ["lm_head.weight"]},
    "marian": {
        "model.shared.weight": ["lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"]
    },
}
"""The name that transformers writes, and the other names of the same tensor."""


def make(architecture: str, tied: bool = True) -> Any:
    """Create a network of transformers with random biases too."""
    torch.manual_seed(0)
    model = MAKERS[architecture](tied)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def change_tensors(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    change(tensors)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def check_agreement(folder: Path, network: Any) -> PretrainedModel:
    """Load a folder with both libraries, minibert's without a warning, and compare the logits in float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = load(folder).double()
    theirs = type(network).from_pretrained(folder).double().eval()
    more = {"decoder_input_ids": IDS} if theirs.config.is_encoder_decoder else {}
    assert ours.initialized == ()
    assert (ours(IDS, **more).logits - theirs(input_ids=IDS, **more).logits).abs().max() < 1e-12
    return ours


@pytest.mark.parametrize("architecture", MAKERS)
def test_files_written_by_transformers(tmp_path: Path, architecture: str) -> None:
    network = make(architecture)
    network.save_pretrained(tmp_path)
    assert check_agreement(tmp_path, network).config.tie_word_embeddings


@pytest.mark.parametrize("architecture", MAKERS)
def test_files_written_by_save_model(tmp_path: Path, architecture: str) -> None:
    """`safetensors.torch.save_model` keeps one name of each shared tensor, and not always that of the word embeddings."""
    network = make(architecture)
    network.save_pretrained(tmp_path)
    safetensors.torch.save_model(network, str(tmp_path / "model.safetensors"), metadata={"format": "pt"})
    assert check_agreement(tmp_path, network).config.tie_word_embeddings


@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_untied_head(tmp_path: Path, architecture: str) -> None:
    """`tie_word_embeddings` is false in config.json."""
    network = make(architecture, tied=False)
    network.save_pretrained(tmp_path)
    assert not check_agreement(tmp_path, network).config.tie_word_embeddings


@pytest.mark.parametrize("architecture", MAKERS)
def test_all_names_with_equal_values(tmp_path: Path, architecture: str) -> None:
    def copy(tensors: dict[str, Tensor]) -> None:
        for name, others in NAMES[architecture].items():
            tensors |= {other: tensors[name].clone() for other in others}

    network = make(architecture)
    network.save_pretrained(tmp_path)
    change_tensors(tmp_path, copy)
    assert check_agreement(tmp_path, network).config.tie_word_embeddings


@pytest.mark.parametrize(
    ("architecture", "name", "other"),
    [(key, name, other) for key, names in NAMES.items() for name, others in names.items() for other in others],
)
def test_only_the_other_name(tmp_path: Path, architecture: str, name: str, other: str) -> None:
    def rename(tensors: dict[str, Tensor]) -> None:
        tensors[other] = tensors.pop(name)

    network = make(architecture)
    network.save_pretrained(tmp_path)
    change_tensors(tmp_path, rename)
    assert check_agreement(tmp_path, network).config.tie_word_embeddings


@pytest.mark.parametrize("biases", [["bias"], ["decoder.bias"], ["bias", "decoder.bias"]])
def test_different_decoder_of_bert_is_kept(tmp_path: Path, biases: list[str]) -> None:
    """config.json ties it, but the values differ. Its bias may have one of two names, or both with different values."""

    def untie(tensors: dict[str, Tensor]) -> None:
        tensors["cls.predictions.decoder.weight"] = torch.randn(40, 8)
        del tensors["cls.predictions.bias"]
        tensors |= {f"cls.predictions.{name}": torch.randn(40) for name in biases}

    network = make("bert")
    network.save_pretrained(tmp_path)
    change_tensors(tmp_path, untie)
    ours = check_agreement(tmp_path, network)
    assert not ours.config.tie_word_embeddings
    ours.save_pretrained(tmp_path / "again")
    check_agreement(tmp_path / "again", network)


def test_bias_of_an_untied_decoder_may_have_only_its_older_name(tmp_path: Path) -> None:
    """transformers 4 wrote such files. transformers 5 does not load this bias."""
    network = make("bert", tied=False)
    network.save_pretrained(tmp_path)
    bias = torch.randn(40)
    change_tensors(tmp_path, lambda tensors: tensors.update({"cls.predictions.bias": bias}))
    change_tensors(tmp_path, lambda tensors: tensors.__delitem__("cls.predictions.decoder.bias"))
    ours = load(tmp_path)
    assert ours.initialized == ()
    assert torch.equal(ours.state_dict()["mlm.bias"], bias)


def test_different_head_of_gpt2_is_kept(tmp_path: Path) -> None:
    network = make("gpt2")
    network.save_pretrained(tmp_path)
    change_tensors(tmp_path, lambda tensors: tensors.update({"lm_head.weight": torch.randn(40, 8)}))
    ours = check_agreement(tmp_path, network)
    assert not ours.config.tie_word_embeddings
    ours.save_pretrained(tmp_path / "again")
    check_agreement(tmp_path / "again", network)


@pytest.mark.parametrize("other", NAMES["marian"]["model.shared.weight"])
def test_different_matrix_of_marian_is_rejected_by_name(tmp_path: Path, other: str) -> None:
    make("marian").save_pretrained(tmp_path)
    change_tensors(tmp_path, lambda tensors: tensors.update({other: torch.randn(40, 8)}))
    name = other.removeprefix("model.")
    with pytest.raises(ValueError, match=rf"tensors {name} and shared\.weight differ, but .* share one matrix"):
        load(tmp_path)


def test_transformer_has_one_matrix() -> None:
    with pytest.raises(ValueError, match="tie_word_embeddings False is not supported"):
        TransformerConfig(tie_word_embeddings=False)


@pytest.mark.parametrize(("architecture", "name"), [("bert", "embeddings.word_embeddings"), ("gpt2", "wte")])
def test_word_embeddings_of_an_untied_network_must_be_in_the_file(tmp_path: Path, architecture: str, name: str) -> None:
    """The output matrix is then another tensor, which cannot replace them."""
    make(architecture, tied=False).save_pretrained(tmp_path)
    change_tensors(tmp_path, lambda tensors: tensors.__delitem__(next(iter(NAMES[architecture]))))
    with pytest.raises(
        ValueError, match=rf"has no {name}\.weight, only .* if tie_word_embeddings is false, as .*config\.json says"
    ):
        load(tmp_path)


def test_encoder_finds_its_word_embeddings_under_the_name_of_the_decoder(tmp_path: Path) -> None:
    network = make("bert")
    network.save_pretrained(tmp_path)
    name = "bert.embeddings.word_embeddings.weight"
    change_tensors(tmp_path, lambda tensors: tensors.update({"cls.predictions.decoder.weight": tensors.pop(name)}))
    words = load(tmp_path, "encoder").state_dict()["embeddings.words.weight"]
    assert torch.equal(words, network.get_input_embeddings().weight)
