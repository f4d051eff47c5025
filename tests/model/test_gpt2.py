"""Tests of GPT-2: equality with transformers, causality, padding, generation, and a published minGPT checkpoint."""

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
from minibert.model.cache import KeyValueCache
from minibert.model.generation import sampler
from tests.strategies import seeds

NAMES = GPT2LMHeadModel.names

DATA = os.environ.get("MINIBERT_DATA")
IDS = torch.tensor([[5, 6, 7, 8, 9], [9, 4, 4, 2, 0]])


def config_of(**changed: object) -> GPT2Config:
    """Create the configuration of a tiny model."""
    sizes = {"vocab_size": 19, "hidden_size": 12, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 20}
    return GPT2Config(**{**sizes, "max_position_embeddings": 16, **changed})


def random_model(seed: int = 0, **changed: object) -> GPT2LMHeadModel:
    """Create a tiny model with all parameters random, in evaluation mode."""
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(config_of(**changed)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def load_theirs(folder: Path) -> transformers.GPT2LMHeadModel:
    """Load a checkpoint with transformers."""
    return transformers.GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager").eval()


def load_processors(config: transformers.GenerationConfig) -> transformers.LogitsProcessorList:
    """Return what transformers does to the logits before it draws."""
    steps = [transformers.TemperatureLogitsWarper(config.temperature)]
    steps += [transformers.TopKLogitsWarper(config.top_k)] if config.top_k else []
    return transformers.LogitsProcessorList(steps + ([transformers.TopPLogitsWarper(config.top_p)] if config.top_p else []))


class TestTransformers:
    @settings(max_examples=8, deadline=None)
    @given(
        seed=seeds,
        heads=st.integers(1, 3),
        layers=st.integers(1, 3),
        activation=st.sampled_from(["gelu_new", "gelu", "relu"]),
        tied=st.booleans(),
    )
    def test_outputs_and_gradients_agree_in_both_directions(
        self, seed: int, heads: int, layers: int, activation: str, tied: bool, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Both directions: logits, loss, and the gradients of all parameters agree within 1e-10, in float64."""
        torch.manual_seed(seed)
        folder, our_folder = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("ours")
        sizes = {"vocab_size": 19, "n_embd": 4 * heads, "n_head": heads, "n_layer": layers, "n_positions": 16}
        config = transformers.GPT2Config(
            **sizes, activation_function=activation, tie_word_embeddings=tied, bos_token_id=None, eos_token_id=None
        )
        original = transformers.GPT2LMHeadModel(config)
        for parameter in original.parameters():
            nn.init.normal_(parameter, std=0.4)
        original.save_pretrained(folder)
        ours = GPT2LMHeadModel.from_pretrained(folder)
        ours.save_pretrained(our_folder)
        ours = ours.double()
        labels = torch.where(IDS == 4, IGNORE_INDEX, IDS)
        for theirs in (load_theirs(folder).double(), load_theirs(our_folder).double()):
            ours.zero_grad()
            one, other = ours(IDS, labels=labels), theirs(IDS)
            assert (one.logits - other.logits).abs().max() < 1e-10
            loss = nn.functional.cross_entropy(other.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
            one.loss.backward()
            loss.backward()
            assert abs(one.loss.item() - loss.item()) < 1e-10
            expected = NAMES.read({name: parameter.grad for name, parameter in theirs.named_parameters()})
            for name, parameter in ours.named_parameters():
                assert (parameter.grad - expected[name]).abs().max() < 1e-10 * max(1, expected[name].abs().max()), name

    def test_generated_tokens_agree(self, tmp_path: Path) -> None:
        """Greedy search, for texts of different lengths with padding on the left."""
        random_model().save_pretrained(tmp_path)
        ours, theirs = GPT2LMHeadModel.from_pretrained(tmp_path), load_theirs(tmp_path)
        ids, mask = torch.tensor([[5, 6, 7, 8], [0, 0, 9, 4]]), torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
        expected = theirs.generate(
            ids, attention_mask=mask, max_new_tokens=7, do_sample=False, pad_token_id=0, eos_token_id=None
        )
        assert [sequence.tokens for sequence in ours.generate(ids, mask, 7)] == expected[:, 4:].tolist()

    @pytest.mark.parametrize("beams", [2, 4])
    def test_beams_agree(self, beams: int, tmp_path: Path) -> None:
        """With padding on the left, for each text of the batch, with and without an end token."""
        for seed, end in itertools.product(range(4), (3, None)):
            random_model(seed).save_pretrained(tmp_path / str(seed))
            ours, theirs = GPT2LMHeadModel.from_pretrained(tmp_path / str(seed)), load_theirs(tmp_path / str(seed))
            ids, mask = torch.tensor([[5, 6, 7, 8], [0, 0, 9, 4]]), torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
            expected = theirs.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=9,
                do_sample=False,
                num_beams=beams,
                early_stopping=True,
                pad_token_id=0,
                eos_token_id=end,
            )[:, 4:].tolist()
            found = [sequence.tokens for sequence in ours.generate(ids, mask, 9, beams=beams, eos_token_id=end)]
            assert found == [row[: row.index(3) + 1] if end == 3 and 3 in row else row for row in expected]

    @pytest.mark.parametrize(
        "options", [{"temperature": 0.7}, {"temperature": 1.0, "top_k": 4}, {"temperature": 1.5, "top_k": 9, "top_p": 0.8}]
    )
    def test_samples_have_the_distribution_of_transformers(self, options: dict[str, float]) -> None:
        """The share of each token in 100,000 draws is its probability after the processors of transformers."""
        torch.manual_seed(0)
        logits, draws = 2 * torch.randn(1, 19), 100_000
        config = transformers.GenerationConfig(do_sample=True, **options)
        processors = load_processors(config)
        expected = processors(torch.zeros(1, 1, dtype=torch.int64), logits)[0].softmax(-1)
        chosen = sampler(seed=1, **options)(logits.expand(draws, -1))
        shares = chosen.bincount(minlength=19) / draws
        assert ((shares > 0) == (expected > 0))[expected.gt(1e-3) | expected.eq(0)].all()
        assert (shares - expected).abs().max() < 5 / draws**0.5

    def test_causal_masks_in_old_files_are_ignored(self, tmp_path: Path) -> None:
        """These buffers are not parameters. Old checkpoints also lack the prefix `transformer.`."""
        import safetensors.torch

        model = random_model()
        model.save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        tensors = safetensors.torch.load_file(file)
        tensors |= {
            "transformer.h.0.attn.bias": torch.ones(1, 1, 16, 16),
            "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
        }
        without_prefix = {
            name.removeprefix("transformer."): tensor for name, tensor in tensors.items()
        }  # as in the first files on the hub
        safetensors.torch.save_file(without_prefix, file)
        loaded = GPT2LMHeadModel.from_pretrained(tmp_path)
        torch.testing.assert_close(loaded(IDS).logits, model(IDS).logits)


class TestGPT2LMHeadModel:
    @settings(max_examples=10, deadline=None)
    @given(seed=seeds, t=st.integers(0, 3))
    def test_later_tokens_have_no_influence(self, seed: int, t: int) -> None:
        """Changing the tokens after t does not change the scores up to t, but it changes the next ones."""
        model, changed = random_model(seed).double(), IDS.clone()
        changed[:, t + 1 :] = 18
        one, other = model(IDS).logits, model(changed).logits
        torch.testing.assert_close(one[:, : t + 1], other[:, : t + 1], rtol=0, atol=1e-12)
        assert not torch.allclose(one[:, t + 1], other[:, t + 1])

    @settings(max_examples=10, deadline=None)
    @given(seed=seeds, padding=st.integers(0, 3))
    def test_padding_has_no_influence(self, seed: int, padding: int) -> None:
        """Padding on the left does not change the scores of the tokens."""
        model = random_model(seed).double()
        padded = nn.functional.pad(IDS, (padding, 0), value=11)
        mask = nn.functional.pad(torch.ones_like(IDS), (padding, 0))
        torch.testing.assert_close(model(padded, mask).logits[:, padding:], model(IDS).logits)

    def test_initialization_is_that_of_gpt2(self) -> None:
        """The standard deviation is 0.02, divided by the root of twice the depth for weights before a residual sum."""
        model = GPT2LMHeadModel(GPT2Config(num_hidden_layers=8, hidden_size=192, num_attention_heads=3, vocab_size=500))
        layer = model.decoder.layers[3]
        assert layer.feed_forward.intermediate.weight.std().item() == pytest.approx(0.02, rel=0.15)
        assert layer.feed_forward.output.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)

    def test_recorded_paths_have_no_cross_attention(self) -> None:
        model = random_model()
        with record(model) as recording:
            model(IDS)
        assert "decoder.layers.1.attention.weights" in recording
        assert not any("cross" in path for path in recording.paths)
        assert recording["decoder.layers.0.attention.weights"].triu(1).count_nonzero() == 0

    def test_seed_determines_the_text(self) -> None:
        """Equal seeds give equal texts, different seeds different ones. The end token ends a text."""
        model = random_model()
        one, same, other = (
            [sequence.tokens for sequence in model.generate(IDS, max_new_tokens=9, temperature=1.5, seed=seed)]
            for seed in (1, 1, 2)
        )
        assert one == same
        assert one != other
        eos_token_id = one[0][3]
        stopped = model.generate(IDS, max_new_tokens=9, temperature=1.5, seed=1, eos_token_id=eos_token_id)[0].tokens
        assert stopped[-1] == eos_token_id
        assert eos_token_id not in stopped[:-1]

    @pytest.mark.usefixtures("without_shape_checks")
    @pytest.mark.parametrize("name", ["temperature", "top_k", "top_p"])
    def test_a_string_is_not_a_number(self, name: str) -> None:
        with pytest.raises(TypeError, match=f"{name} is '1': pass a number"):
            random_model().generate(IDS, max_new_tokens=3, **{"temperature": 1.0, name: "1"})

    @pytest.mark.usefixtures("without_shape_checks")
    def test_wrong_shapes_are_rejected(self) -> None:
        """A text without a batch dimension, and labels of another shape than the tokens."""
        model = random_model()
        with pytest.raises(ValueError, match=r"expected \(batch, tokens\): for one text, pass input_ids\[None\]"):
            model(IDS[0])
        with pytest.raises(ValueError, match=r"expected \(batch, tokens\)"):
            model.generate(IDS[0])
        with pytest.raises(ValueError, match=r"labels has shape \(2, 4\), expected \(2, 5\)"):
            model(IDS, labels=IDS[:, 1:])

    def test_invalid_arguments_are_rejected(self, tmp_path: Path) -> None:
        """Too many tokens, an empty text, padding on the right, and unsupported values in config.json."""
        model = random_model()
        cache = KeyValueCache()
        model(torch.zeros(1, 10, dtype=torch.long), cache=cache)
        with pytest.raises(ValueError, match="there are 17 tokens, max_position_embeddings is 16"):
            model(torch.zeros(1, 7, dtype=torch.long), cache=cache)
        with pytest.raises(ValueError, match="there are 17 tokens, max_position_embeddings is 16"):
            model(torch.ones(1, 17, dtype=torch.long))
        with pytest.raises(ValueError, match="max_new_tokens is 13, but this model has positions for 12 new tokens only"):
            model.generate(IDS, max_new_tokens=13)
        assert [len(output.tokens) for output in model.generate(IDS, max_new_tokens=12)] == [12, 12]
        for number in (0, -1):
            with pytest.raises(ValueError, match=f"max_new_tokens is {number}, but must be at least 1"):
                model.generate(IDS, max_new_tokens=number)
        for token in (19, -1):
            with pytest.raises(ValueError, match="but must be None or an id below 19"):
                model.generate(IDS, max_new_tokens=2, eos_token_id=token)
        with pytest.raises(ValueError, match="pad on the left"):
            model.generate(IDS, torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]))
        for call in (model, model.generate):
            with pytest.raises(ValueError, match="both at least 1"):
                call(IDS[:, :0])
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
def test_published_mingpt_sorts() -> None:
    """The model gpt_nano_sort sorts 200 of 200 random inputs. minGPT does not store its linear layers transposed."""
    stored = json.loads((Path(DATA or "") / "models/gpt_nano_sort/gpt-nano-sort-model.json").read_text())
    sizes = stored.pop("config")
    tensors = {
        name: torch.frombuffer(bytearray(base64.b64decode(entry["data"])), dtype=torch.float32).view(entry["shape"])
        for name, entry in stored.items()
        if not name.endswith(".attn.bias")
    }
    tensors = {
        name: tensor.T if NAMES._is_transposed(name) and tensor.dim() == 2 else tensor for name, tensor in tensors.items()
    }
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=sizes["vocab_size"],
            max_position_embeddings=sizes["block_size"],
            hidden_size=sizes["n_embd"],
            intermediate_size=4 * sizes["n_embd"],
            tie_word_embeddings=False,
            num_hidden_layers=sizes["n_layer"],
            num_attention_heads=sizes["n_head"],
        )
    ).eval()
    model.load_state_dict(NAMES.read(tensors))
    all_inputs = list(itertools.product(range(3), repeat=6))
    indices = torch.randperm(len(all_inputs), generator=torch.Generator().manual_seed(0))[:200]
    inputs = torch.tensor([all_inputs[i] for i in indices.tolist()])
    outputs = [sequence.tokens for sequence in model.generate(inputs, max_new_tokens=6)]
    assert outputs == inputs.sort(dim=1).values.tolist()
