"""Tests of T5: equality with transformers, generation, padding, its config and its tokenizer."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from torch import Tensor, nn

from minibert import adamw, load, load_tokenizer, record
from minibert.commands import main
from minibert.model import read_checkpoint
from minibert.model.cache import KeyValueCache
from minibert.model.t5 import MT5ForConditionalGeneration, T5ForConditionalGeneration
from minibert.model.t5_config import MT5Config, T5Config
from minibert.study.verify.comparison import compare
from minibert.study.verify.inputs import make_inputs
from minibert.study.verify.stages import FullPrecision, minibert_stages, transformers_stages
from tests.strategies import seeds

SIZES = {
    "vocab_size": 31,
    "hidden_size": 10,
    "num_attention_heads": 3,
    "head_width": 4,
    "intermediate_size": 14,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 11,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
SOURCE = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 1], [5, 9, 4, 1, 0, 0, 0, 0]])
KEEP = SOURCE != 0
LABELS = torch.tensor([[10, 11, 12, 13, 14, 1], [13, 12, 1, -100, -100, -100]])

KINDS = {
    "first": {},
    "1.1": {"is_gated": True, "hidden_act": "gelu_new", "tie_word_embeddings": False, "scale_decoder_outputs": False},
    "exact gelu": {"is_gated": True, "hidden_act": "gelu"},
    "scaled, not tied": {"hidden_act": "silu", "tie_word_embeddings": False},
    "tied, not scaled": {"scale_decoder_outputs": False},
}


def random_model(seed: int = 0, network: type[T5ForConditionalGeneration] = T5ForConditionalGeneration, **changed: object):
    """Create a tiny model with all parameters random, in float64 and in evaluation mode."""
    torch.manual_seed(seed)
    model = network(network.config_class(**{**SIZES, **changed})).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def test_triton_is_refused() -> None:
    """It has no gradient for the learned numbers. The error comes before the first step."""
    with pytest.raises(ValueError, match='"triton" computes no gradient of the numbers for distances that T5 learns'):
        T5ForConditionalGeneration(T5Config(**SIZES), attention="triton")
    model = random_model()
    with pytest.raises(ValueError, match='choose "auto" or "fused"'):
        model.set_attention("triton")
    assert model.attention_in_use().startswith("fused")


def load_theirs(folder: Path) -> nn.Module:
    """Load a checkpoint with the class of transformers that its config.json names."""
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    return getattr(transformers, architecture).from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()


def differences(ours: T5ForConditionalGeneration, theirs: nn.Module) -> dict[str, float]:
    """Return how far logits, loss and the gradient of each parameter are apart, relative to the largest number or to 1."""
    for model in (ours, theirs):
        model.zero_grad()
    one = ours(SOURCE, KEEP, labels=LABELS)
    one.loss.backward()
    with FullPrecision():
        other = theirs(input_ids=SOURCE, attention_mask=KEEP.long(), labels=LABELS)
    other.loss.backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    expected = ours.names.read(gradients)
    pairs = {"logits": (one.logits, other.logits), "loss": (one.loss, other.loss)}
    pairs |= {name: (parameter.grad, expected[name]) for name, parameter in ours.named_parameters()}
    return {name: ((a - b).abs().max() / b.abs().max().clamp(min=1)).item() for name, (a, b) in pairs.items()}


class TestTransformers:
    @settings(max_examples=5, deadline=None)
    @given(
        seed=seeds,
        kind=st.sampled_from(sorted(KINDS)),
        heads=st.integers(1, 3),
        head_width=st.integers(1, 5),
        buckets=st.integers(4, 12),
        far=st.integers(7, 20),
        layers=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    )
    def test_outputs_gradients_and_stages_agree(
        self,
        seed: int,
        kind: str,
        heads: int,
        head_width: int,
        buckets: int,
        far: int,
        layers: tuple[int, int],
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        """Both directions: what we write, they load, and what they write again, we load. Within 1e-10, in float64."""
        folder, their_folder = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("theirs")
        sizes = {"num_attention_heads": heads, "head_width": head_width, "encoder_layers": layers[0]}
        sizes |= {"decoder_layers": layers[1], "relative_attention_num_buckets": buckets}
        ours = random_model(seed, **KINDS[kind], **sizes, relative_attention_max_distance=far)
        ours.save_pretrained(folder)
        theirs = load_theirs(folder)
        assert max(differences(ours, theirs).values()) < 1e-10
        theirs.save_pretrained(their_folder)
        again = load(their_folder)
        assert again.config == ours.config
        assert max(differences(again, theirs).values()) < 1e-10
        inputs = make_inputs(again, folder)
        expected = transformers_stages(read_checkpoint(their_folder), again, inputs)
        comparison = compare(expected, minibert_stages(again, inputs), inputs, again)
        assert not comparison.not_compared
        assert max(stage.relative for stage in comparison.stages) < 1e-10

    def test_every_kind_of_step_is_compared(self, tmp_path: Path) -> None:
        """Each sublayer of both sides, inside attention too, with the learned bias in self-attention only."""
        random_model(is_gated=True).save_pretrained(tmp_path)
        model = load(tmp_path)
        inputs = make_inputs(model, tmp_path)
        stages = {*transformers_stages(read_checkpoint(tmp_path), model, inputs)}
        attention = {"query", "key", "value", "scores", "weights", "context", "output"}
        own = {f"attention.{step}" for step in (*attention, "biased_scores")}
        own |= {
            "attention_norm",
            "attention_residual",
            "feed_forward_norm",
            "gate",
            "up",
            "activation",
            "feed_forward",
            "output",
        }
        cross = {f"cross_attention.{step}" for step in attention} | {"cross_attention_norm", "cross_attention_residual"}
        assert {f"encoder.layers.1.{step}" for step in own} <= stages
        assert {f"decoder.layers.2.{step}" for step in own | cross} <= stages
        outside = {
            f"{side}.{step}" for side in ("encoder", "decoder") for step in ("embeddings.words", "embeddings.sum", "norm")
        }
        assert outside | {"logits"} == {path for path in stages if "layers" not in path}

    def test_mt5_agrees(self, tmp_path: Path) -> None:
        """It has no scale, whatever its config.json says about tied embeddings."""
        ours = random_model(0, MT5ForConditionalGeneration, tie_word_embeddings=False)
        ours.save_pretrained(tmp_path)
        assert max(differences(ours, load_theirs(tmp_path)).values()) < 1e-10
        config = json.loads((tmp_path / "config.json").read_text())
        assert (config["model_type"], config["feed_forward_proj"]) == ("mt5", "gated-gelu")
        (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
        assert max(differences(load(tmp_path), load_theirs(tmp_path)).values()) < 1e-10

    @pytest.mark.parametrize("kind", ["first", "1.1"])
    def test_thirty_training_steps_agree(self, kind: str, tmp_path: Path) -> None:
        """With AdamW and without dropout, in float64: all parameters stay within 1e-8."""
        random_model(1, **KINDS[kind]).save_pretrained(tmp_path)
        ours, theirs = load(tmp_path), load_theirs(tmp_path)
        optimizers = [adamw(model, learning_rate=1e-2, weight_decay=0.01) for model in (ours, theirs)]
        for step in range(30):
            labels = LABELS.roll(step, dims=1)
            losses = [ours(SOURCE, KEEP, labels=labels).loss]
            with FullPrecision():
                losses.append(theirs(input_ids=SOURCE, attention_mask=KEEP.long(), labels=labels).loss)
            for loss, optimizer in zip(losses, optimizers, strict=True):
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        expected = ours.names.read(dict(theirs.named_parameters()))
        assert max((each - expected[name]).abs().max().item() for name, each in ours.named_parameters()) < 1e-8

    @pytest.mark.parametrize("beams", [1, 3])
    def test_generated_tokens_agree(self, beams: int, tmp_path: Path) -> None:
        """Greedy search and beam search, with padding, until the end token. (Their cache has as many layers as the encoder.)"""
        for seed in range(4):
            random_model(seed, decoder_layers=2).save_pretrained(tmp_path / str(seed))
            ours, theirs = load(tmp_path / str(seed)), load_theirs(tmp_path / str(seed))
            with FullPrecision():
                expected = theirs.generate(
                    SOURCE,
                    attention_mask=KEEP.long(),
                    max_new_tokens=9,
                    num_beams=beams,
                    do_sample=False,
                    early_stopping=beams > 1,
                )
            found = ours.generate(SOURCE, KEEP, beams, 1.0, 9, penalty=lambda length, alpha: length**alpha)
            for row, sequence in zip(expected[:, 1:].tolist(), found, strict=True):
                assert sequence.tokens == (row[: row.index(1) + 1] if 1 in row else row)

    def test_old_files_have_an_unused_table_and_copies_of_the_embeddings(self, tmp_path: Path) -> None:
        """T5-small of 2019 has them; nothing is computed with that table."""
        import safetensors.torch

        model = random_model()
        model.save_pretrained(tmp_path)
        file = tmp_path / "model.safetensors"
        tensors = safetensors.torch.load_file(file)
        copies = {f"{side}.embed_tokens.weight": tensors["shared.weight"].clone() for side in ("encoder", "decoder")}
        unused = {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": torch.ones(8, 3)}
        safetensors.torch.save_file(tensors | copies | unused | {"lm_head.weight": tensors["shared.weight"].clone()}, file)
        loaded = load(tmp_path)
        torch.testing.assert_close(loaded(SOURCE, KEEP, labels=LABELS).logits, model(SOURCE, KEEP, labels=LABELS).logits)
        copies["encoder.embed_tokens.weight"] += 1
        safetensors.torch.save_file(tensors | copies, file)
        with pytest.raises(
            ValueError, match=r"encoder\.embed_tokens\.weight differs from shared\.weight, which is not supported"
        ):
            load(tmp_path)


class TestT5:
    @settings(max_examples=5, deadline=None)
    @given(seed=seeds, before=st.integers(0, 2), after=st.integers(0, 2))
    def test_padding_has_no_influence(self, seed: int, before: int, after: int) -> None:
        """On either side of the source, because only distances matter."""
        model = random_model(seed)
        source, labels = SOURCE[:1], LABELS[:1]
        padded = nn.functional.pad(source, (before, after), value=17)
        mask = nn.functional.pad(torch.ones_like(source), (before, after))
        torch.testing.assert_close(model(padded, mask, labels=labels).logits, model(source, labels=labels).logits)

    @settings(max_examples=5, deadline=None)
    @given(seed=seeds, t=st.integers(0, 3))
    def test_later_target_tokens_have_no_influence(self, seed: int, t: int) -> None:
        model, target = random_model(seed), LABELS[:1]
        changed = target.clone()
        changed[:, t + 1 :] = 20
        one, other = (model(SOURCE[:1], decoder_input_ids=each).logits for each in (target, changed))
        torch.testing.assert_close(one[:, : t + 1], other[:, : t + 1], rtol=0, atol=1e-12)
        assert not torch.allclose(one[:, t + 1], other[:, t + 1])

    def test_a_cache_changes_nothing(self) -> None:
        """Also not the buckets of the distances to earlier tokens."""
        model, cache = random_model(), KeyValueCache()
        memory = model.encode(SOURCE[:1])
        whole = model.decode(LABELS[:1], memory)
        steps = [model.decode(LABELS[:1, at : at + 1], memory, cache=cache) for at in range(6)]
        torch.testing.assert_close(torch.cat(steps, dim=1), whole)

    def test_attention_paths_agree(self) -> None:
        def results(path: str) -> list[Tensor]:
            model = random_model().set_attention(path)
            loss = model(SOURCE, KEEP, labels=LABELS).loss
            return [loss, *torch.autograd.grad(loss, [*model.parameters()])]

        torch.testing.assert_close(results("fused"), results("explicit"))

    def test_dropout_is_where_the_config_says(self) -> None:
        """In training, two passes differ; in evaluation they are equal."""
        model = random_model(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
        run = partial(model, SOURCE, KEEP, labels=LABELS)
        assert torch.equal(run().logits, run().logits)
        model.train()
        assert not torch.equal(run().logits, run().logits)
        probabilities = {module.p for module in model.modules() if isinstance(module, nn.Dropout)}
        probabilities |= {module.dropout_probability for module in model.modules() if hasattr(module, "dropout_probability")}
        assert probabilities == {0.5}

    def test_one_table_of_distances_serves_all_layers(self) -> None:
        model = random_model()
        tables = [name for name, parameter in model.named_parameters() if "positions" in name]
        assert tables == ["encoder.positions.table.weight", "decoder.positions.table.weight"]
        with record(model) as recording:
            model(SOURCE, KEEP, labels=LABELS)
        for layer in range(3):
            path = f"decoder.layers.{layer}.attention"
            added = recording[f"{path}.biased_scores"] - recording[f"{path}.scores"]
            torch.testing.assert_close(added, recording["decoder.position_bias"].expand_as(added))
        assert "decoder.layers.0.cross_attention.biased_scores" not in recording

    def test_there_is_no_bias_and_no_scale(self) -> None:
        model = random_model()
        names = [name for name, _ in model.named_parameters()]
        assert not any(name.endswith("bias") for name in names)
        with record(model) as recording:
            model(SOURCE, KEEP, labels=LABELS)
        query, key, scores = (recording[f"encoder.layers.0.attention.{step}"] for step in ("query", "key", "scores"))
        torch.testing.assert_close(scores, query @ key.mT)

    def test_initial_weights_keep_the_size_of_the_vectors(self) -> None:
        """The standard deviations of the authors' code; the variance of the first scores is 1."""
        torch.manual_seed(0)
        sizes = {"hidden_size": 96, "num_attention_heads": 4, "head_width": 16, "intermediate_size": 200, "vocab_size": 500}
        model = T5ForConditionalGeneration(T5Config(**sizes, tie_word_embeddings=False)).eval()
        layer = model.decoder.layers[1]
        expected = {
            layer.attention.query: (96 * 16) ** -0.5,
            layer.cross_attention.key: 96**-0.5,
            layer.attention.value: 96**-0.5,
            layer.attention.output: 64**-0.5,
            layer.feed_forward.intermediate: 96**-0.5,
            layer.feed_forward.output: 200**-0.5,
            model.encoder.positions.table: 96**-0.5,
            model.words: 1.0,
            model.output: 96**-0.5,
        }
        for module, deviation in expected.items():
            assert module.weight.std().item() == pytest.approx(deviation, rel=0.15)
        with record(model) as recording:
            model(torch.arange(400)[None], decoder_input_ids=torch.arange(4)[None])
        assert recording["encoder.layers.0.attention.scores"].std().item() == pytest.approx(1, rel=0.15)


class TestT5Config:
    def test_published_sizes(self) -> None:
        """T5-small has 60 million parameters, and T5 1.1 small 77 million."""
        small = T5Config()
        new = T5Config(
            num_attention_heads=6,
            intermediate_size=1024,
            encoder_layers=8,
            decoder_layers=8,
            is_gated=True,
            hidden_act="gelu_new",
            tie_word_embeddings=False,
            scale_decoder_outputs=False,
        )
        with torch.device("meta"):
            counts = [sum(each.numel() for each in T5ForConditionalGeneration(config).parameters()) for config in (small, new)]
        assert counts == [60_506_624, 76_961_152]

    def test_fields_of_config_json(self, tmp_path: Path) -> None:
        T5Config(**SIZES | {"encoder_layers": 5}).save_json(tmp_path / "config.json", "T5ForConditionalGeneration")
        stored = json.loads((tmp_path / "config.json").read_text())
        expected = {"d_model": 10, "d_kv": 4, "d_ff": 14, "num_heads": 3, "num_layers": 5, "num_decoder_layers": 3}
        expected |= {"feed_forward_proj": "relu", "dropout_rate": 0.0, "layer_norm_epsilon": 1e-6, "tie_word_embeddings": True}
        assert expected.items() <= stored.items()
        assert not {"hidden_act", "is_gated", "attention_probs_dropout_prob", "head_width"} & stored.keys()
        del stored["num_decoder_layers"]
        assert T5Config.from_fields(stored, tmp_path).decoder_layers == 5

    def test_a_target_begins_with_padding_unless_the_file_says_otherwise(self, tmp_path: Path) -> None:
        """transformers 5 writes no decoder_start_token_id, and has no default for it. `verify` compares such a file."""
        random_model(pad_token_id=3, decoder_start_token_id=8).save_pretrained(tmp_path)
        stored = json.loads((tmp_path / "config.json").read_text())
        assert T5Config.from_fields(stored, tmp_path).decoder_start_token_id == 8
        del stored["decoder_start_token_id"]
        (tmp_path / "config.json").write_text(json.dumps(stored))
        assert T5Config.from_fields(stored, tmp_path).decoder_start_token_id == 3
        assert main(["verify", str(tmp_path), "--ids", "5", "6", "7", "8", "1"]) == 0

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"feed_forward_proj": "swiglu"}, "hidden_act 'swiglu' is unknown"),
            ({"feed_forward_proj": "doubled-gelu"}, "feed_forward_proj 'doubled-gelu' is not supported"),
            ({"is_decoder": True}, "is_decoder True is not supported, only False"),
            ({"quantization_config": {"bits": 8}}, "quantization_config .* is not supported"),
            ({"eos_token_id": [1, 2]}, "eos_token_id must be a whole number"),
            ({"relative_attention_num_buckets": 3}, "relative_attention_num_buckets must be at least 4"),
            ({"relative_attention_max_distance": 4}, "relative_attention_max_distance larger than half of it"),
            ({"d_kv": 0}, "head_width must be at least 1"),
            ({"model_type": "longt5"}, "model_type 'longt5' is not supported"),
        ],
        ids=str,
    )
    @pytest.mark.usefixtures("without_shape_checks")
    def test_what_is_not_supported_is_refused_by_name(self, changed: dict[str, object], message: str, tmp_path: Path) -> None:
        random_model().save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | changed))
        with pytest.raises(ValueError, match=message):
            load(tmp_path)

    def test_one_dropout_and_no_scale_in_mt5(self) -> None:
        with pytest.raises(ValueError, match="a T5 has one probability for both"):
            T5Config(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2)
        with pytest.raises(ValueError, match="scale_decoder_outputs must be false"):
            MT5Config(scale_decoder_outputs=True)


def write_tokenizer(folder: Path) -> None:
    """Write the tokenizer of a small T5 with transformers."""
    pieces = ["▁the", "▁cat", "▁", "s", "at", "a", "t", "c", "h", "e", "▁on", "."]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((piece, -2.0 - 0.1 * at) for at, piece in enumerate(pieces))]
    vocabulary += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(100))]
    transformers.T5Tokenizer(vocab=vocabulary).save_pretrained(folder)


class TestTokenizer:
    TEXTS = ("the cat sat on the cats.", " the  <extra_id_0> sat <extra_id_1>. ", "dogs", "", "cat</s>the", "<pad>é\u3000the")

    @pytest.mark.parametrize("model_type", ["t5", "mt5", None])
    def test_ids_are_those_of_transformers(self, model_type: str | None, tmp_path: Path) -> None:
        """With </s> after each text, for single texts and pairs; sentinels are single tokens."""
        write_tokenizer(tmp_path)
        if model_type is not None:  # without the name of a class, the type of the model decides
            (tmp_path / "tokenizer_config.json").unlink()
            (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
        ours, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
        for text in self.TEXTS:
            assert ours.encode(text).ids == theirs(text).input_ids
            assert ours.encode(text, "the cat").ids == theirs(text, "the cat").input_ids
            assert ours.decode(ours.encode(text).ids) == theirs.decode(theirs(text).input_ids, skip_special_tokens=True)
        assert ours.encode("<extra_id_0>").tokens == ["<extra_id_0>", "</s>"]

    def test_other_vocabularies_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "t5"}')
        (tmp_path / "spiece.model").write_bytes(b"pieces")
        with pytest.raises(ValueError, match=r"spiece\.model alone is not read"):
            load_tokenizer(tmp_path)
        Tokenizer(models.BPE({"a": 0, "<unk>": 1}, [])).save(str(tmp_path / "tokenizer.json"))
        with pytest.raises(ValueError, match="has no vocabulary with probabilities"):
            load_tokenizer(tmp_path)
