"""The decoder alone: equal to transformers' GPT-2, in and out; and a published minGPT that sorts letters."""

import base64
import itertools
import json
import os
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minibert import GPT2Config, GPT2LMHeadModel, record
from minibert.equations import IGNORE_INDEX
from minibert.model.checkpoints.names import GPT2
from tests.strategies import seeds

DATA = os.environ.get("MINIBERT_DATA")
IDS = torch.tensor([[5, 6, 7, 8, 9], [9, 4, 4, 2, 0]])


def config_of(**changed: object) -> GPT2Config:
    """A tiny one."""
    sizes = {"vocab_size": 19, "hidden_size": 12, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 20}
    return GPT2Config(**{**sizes, "max_position_embeddings": 16, **changed})


def random_model(seed: int = 0, **changed: object) -> GPT2LMHeadModel:
    """Random parameters everywhere, in evaluation."""
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(config_of(**changed)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def theirs_in(folder: Path) -> transformers.GPT2LMHeadModel:
    return transformers.GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()


class TestTransformers:
    @settings(max_examples=8, deadline=None)
    @given(
        seed=seeds,
        heads=st.integers(1, 3),
        layers=st.integers(1, 3),
        activation=st.sampled_from(["gelu_new", "gelu", "relu"]),
        tied=st.booleans(),
    )
    def test_the_same_numbers_both_ways(
        self, seed: int, heads: int, layers: int, activation: str, tied: bool, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Ours loads theirs and theirs loads ours: logits, loss and the gradient of every parameter, in float64, to 1e-10."""
        torch.manual_seed(seed)
        folder, other_folder = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("ours")
        sizes = {"vocab_size": 19, "n_embd": 4 * heads, "n_head": heads, "n_layer": layers, "n_positions": 16}
        config = transformers.GPT2Config(
            **sizes, activation_function=activation, tie_word_embeddings=tied, bos_token_id=None, eos_token_id=None
        )
        made = transformers.GPT2LMHeadModel(config)
        for parameter in made.parameters():
            nn.init.normal_(parameter, std=0.4)
        made.save_pretrained(folder)
        ours = GPT2LMHeadModel.from_pretrained(folder)
        ours.save_pretrained(other_folder)
        ours = ours.double()
        labels = torch.where(IDS == 4, IGNORE_INDEX, IDS)
        for theirs in (theirs_in(folder).double(), theirs_in(other_folder).double()):
            ours.zero_grad()
            one, other = ours(IDS, labels=labels), theirs(IDS)
            assert (one.logits - other.logits).abs().max() < 1e-10
            loss = nn.functional.cross_entropy(other.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
            one.loss.backward()
            loss.backward()
            assert abs(one.loss.item() - loss.item()) < 1e-10
            expected = GPT2.read({name: parameter.grad for name, parameter in theirs.named_parameters()})
            for name, parameter in ours.named_parameters():
                assert (parameter.grad - expected[name]).abs().max() < 1e-10 * max(1, expected[name].abs().max()), name

    def test_it_writes_the_same(self, tmp_path: Path) -> None:
        """Greedily, for texts of several lengths, padded in front."""
        random_model().save_pretrained(tmp_path)
        ours, theirs = GPT2LMHeadModel.from_pretrained(tmp_path), theirs_in(tmp_path)
        ids, mask = torch.tensor([[5, 6, 7, 8], [0, 0, 9, 4]]), torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
        expected = theirs.generate(
            ids, attention_mask=mask, max_new_tokens=7, do_sample=False, pad_token_id=0, eos_token_id=None
        )
        assert [some.tokens for some in ours.generate(ids, mask, 7)] == expected[:, 4:].tolist()

    def test_old_files_hold_masks(self, tmp_path: Path) -> None:
        """Which are no parameters, and passed over without a word."""
        import safetensors.torch

        model = random_model()
        model.save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        tensors = safetensors.torch.load_file(file)
        tensors |= {
            "transformer.h.0.attn.bias": torch.ones(1, 1, 16, 16),
            "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
        }
        bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}  # as the hub's first files
        safetensors.torch.save_file(bare, file)
        loaded = GPT2LMHeadModel.from_pretrained(tmp_path)
        torch.testing.assert_close(loaded(IDS).logits, model(IDS).logits)


class TestGPT2LMHeadModel:
    @settings(max_examples=10, deadline=None)
    @given(seed=seeds, t=st.integers(0, 3))
    def test_it_does_not_see_what_follows(self, seed: int, t: int) -> None:
        """What stands after t changes no score up to t; what stands at t does."""
        model, changed = random_model(seed).double(), IDS.clone()
        changed[:, t + 1 :] = 18
        one, other = model(IDS).logits, model(changed).logits
        torch.testing.assert_close(one[:, : t + 1], other[:, : t + 1], rtol=0, atol=1e-12)
        assert not torch.allclose(one[:, t + 1], other[:, t + 1])

    @settings(max_examples=10, deadline=None)
    @given(seed=seeds, before=st.integers(0, 3))
    def test_padding_in_front_changes_nothing(self, seed: int, before: int) -> None:
        """Scores of the tokens that are there."""
        model = random_model(seed).double()
        padded = nn.functional.pad(IDS, (before, 0), value=11)
        mask = nn.functional.pad(torch.ones_like(IDS), (before, 0))
        torch.testing.assert_close(model(padded, mask).logits[:, before:], model(IDS).logits)

    def test_it_starts_as_gpt2_does(self) -> None:
        """A standard deviation of 0.02, and by the root of twice the depth less where layers are added up."""
        model = GPT2LMHeadModel(GPT2Config(num_hidden_layers=8, hidden_size=192, num_attention_heads=3, vocab_size=500))
        layer = model.decoder.layers[3]
        assert layer.intermediate.weight.std().item() == pytest.approx(0.02, rel=0.15)
        assert layer.feed_forward.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)

    def test_paths(self) -> None:
        """Those of a decoder without cross-attention."""
        model = random_model()
        with record(model) as recording:
            model(IDS)
        assert "decoder.layers.1.attention.weights" in recording
        assert not any("cross" in path for path in recording.paths)
        assert recording["decoder.layers.0.attention.weights"].triu(1).count_nonzero() == 0

    def test_seeded_texts(self) -> None:
        """The same seed writes the same, another another; and the end ends it."""
        model = random_model()
        one, same, other = (
            [some.tokens for some in model.generate(IDS, max_new_tokens=9, temperature=1.5, seed=seed)] for seed in (1, 1, 2)
        )
        assert one == same
        assert one != other
        end = one[0][3]
        stopped = model.generate(IDS, max_new_tokens=9, temperature=1.5, seed=1, end=end)[0].tokens
        assert stopped[-1] == end
        assert end not in stopped[:-1]

    @pytest.mark.usefixtures("without_shape_checks")
    def test_clear_errors_about_shapes(self) -> None:
        """One text without a batch; other labels than tokens."""
        model = random_model()
        with pytest.raises(ValueError, match=r"not \(batch, tokens\): for one text, input_ids\[None\]"):
            model(IDS[0])
        with pytest.raises(ValueError, match=r"not \(batch, tokens\)"):
            model.generate(IDS[0])
        with pytest.raises(ValueError, match=r"labels is .* but the tokens are"):
            model(IDS, labels=IDS[:, 1:])

    def test_clear_errors(self, tmp_path: Path) -> None:
        """Too many tokens, an empty text, padding behind a text, what a config.json says that is not supported."""
        model = random_model()
        with pytest.raises(ValueError, match="there are 17 tokens, max_position_embeddings is 16"):
            model(torch.ones(1, 17, dtype=torch.long))
        with pytest.raises(ValueError, match="there are 17 tokens"):
            model.generate(IDS, max_new_tokens=13)
        with pytest.raises(ValueError, match="put the padding before it"):
            model.generate(IDS, torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]))
        with pytest.raises(ValueError, match="put the padding before it"):
            model.generate(IDS[:, :0])
        model.save_pretrained(tmp_path)
        config = tmp_path / "config.json"
        text = config.read_text()
        for changed, message in (
            ('"n_layer": 900000000', "has 2 layers"),
            ('"n_layer": 2, "scale_attn_by_inverse_layer_idx": true', "is not supported"),
        ):
            config.write_text(text.replace('"n_layer": 2', changed))
            with pytest.raises(ValueError, match=message):
                GPT2LMHeadModel.from_pretrained(tmp_path)


@pytest.mark.skipif(not DATA, reason="set MINIBERT_DATA to the folder with models/")
def test_a_published_mingpt_sorts() -> None:
    """gpt_nano_sort, in minGPT's format, whose Linears are not transposed: 200 of 200 random inputs come out sorted."""
    stored = json.loads((Path(DATA or "") / "models/gpt_nano_sort/gpt-nano-sort-model.json").read_text())
    about = stored.pop("config")
    tensors = {
        name: torch.frombuffer(bytearray(base64.b64decode(entry["data"])), dtype=torch.float32).view(entry["shape"])
        for name, entry in stored.items()
        if not name.endswith(".attn.bias")
    }
    tensors = {
        name: tensor.T if GPT2._is_transposed(name) and tensor.dim() == 2 else tensor for name, tensor in tensors.items()
    }
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=about["vocab_size"],
            max_position_embeddings=about["block_size"],
            hidden_size=about["n_embd"],
            intermediate_size=4 * about["n_embd"],
            tie_word_embeddings=False,
            num_hidden_layers=about["n_layer"],
            num_attention_heads=about["n_head"],
        )
    ).eval()
    model.load_state_dict(GPT2.read(tensors))
    every = list(itertools.product(range(3), repeat=6))
    chosen = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))[:200]
    inputs = torch.tensor([every[i] for i in chosen.tolist()])
    outputs = [some.tokens for some in model.generate(inputs, max_new_tokens=6)]
    assert outputs == inputs.sort(dim=1).values.tolist()
