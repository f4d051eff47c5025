"""The 2017 Transformer: equal to torch.nn.Transformer and to transformers' MarianMT, in values, gradients and outputs."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minibert import TRANSFORMERS, Transformer, TransformerConfig, record
from minibert.equations import IGNORE_INDEX
from minibert.model.config import POSITIONS
from minibert.model.inputs import keep_mask
from minibert.model.layers import DecoderLayer, EncoderLayer
from minibert.model.transformer import shift_right
from tests.strategies import normal, seeds

SIZES = {
    "vocab_size": 23,
    "hidden_size": 12,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "max_position_embeddings": 64,
}
SOURCE = torch.tensor([[5, 6, 7, 8, 9], [5, 9, 4, 0, 0]])
KEEP = SOURCE != 0
TARGET = torch.tensor([[2, 10, 11, 12], [2, 13, 0, 0]])

every_kind = pytest.mark.parametrize("kind", [{"positions": kind} for kind in POSITIONS] + [{"pre_norm": True}], ids=str)


def random_model(seed: int = 0, **changed: object) -> Transformer:
    """Random parameters everywhere, in float64, in evaluation."""
    torch.manual_seed(seed)
    model = Transformer(TransformerConfig(**{**SIZES, **changed})).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def copy_attention(ours: nn.Module, theirs: nn.MultiheadAttention) -> None:
    """Fills ours with their weights, whose projections stand in one matrix."""
    for part, weight, bias in zip(
        ("query", "key", "value"), theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True
    ):
        ours.get_submodule(part).load_state_dict({"weight": weight, "bias": bias})
    ours.get_submodule("output").load_state_dict(theirs.out_proj.state_dict())


def copy_layer(ours: EncoderLayer, theirs: nn.Module) -> None:
    """Fills ours with the weights of an encoder or decoder layer of torch."""
    copy_attention(ours.attention, theirs.self_attn)
    ours.attention_norm.load_state_dict(theirs.norm1.state_dict())
    last = "norm2"
    if isinstance(ours, DecoderLayer):
        copy_attention(ours.cross_attention, theirs.multihead_attn)
        ours.cross_attention_norm.load_state_dict(theirs.norm2.state_dict())
        last = "norm3"
    ours.norm.load_state_dict(theirs.get_submodule(last).state_dict())
    ours.intermediate.load_state_dict(theirs.linear1.state_dict())
    ours.feed_forward.load_state_dict(theirs.linear2.state_dict())


def gradients_of(model: Callable[..., Tensor], *leaves: Tensor) -> list[Tensor]:
    """Of the sum of squares of what comes out, with respect to what goes in."""
    fresh = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    out = model(*fresh)
    return [out, *torch.autograd.grad(out.square().sum(), fresh)]


class TestTransformer:
    @settings(max_examples=6, deadline=None)
    @given(seeds, st.booleans(), st.sampled_from(["relu", "gelu"]))
    def test_value_and_gradient_equal_torch(self, seed: int, pre_norm: bool, activation: str) -> None:
        """Layer by layer and whole, with a causal and a padding mask, to 1e-10: nn.Transformer with the same weights.

        The final normalizations that nn.Transformer has in post-norm too are taken out.
        """
        torch.manual_seed(seed)
        theirs = nn.Transformer(
            12, 3, 2, 2, 20, activation=activation, batch_first=True, norm_first=pre_norm, dtype=torch.float64
        ).eval()
        for parameter in theirs.parameters():
            nn.init.normal_(parameter, std=0.4)
        if not pre_norm:
            theirs.encoder.norm = theirs.decoder.norm = None
        ours = Transformer(TransformerConfig(**SIZES, pre_norm=pre_norm, hidden_act=activation)).double().eval()
        for mine, other in ((ours.encoder, theirs.encoder), (ours.decoder, theirs.decoder)):
            for layer, their_layer in zip(mine.layers, other.layers, strict=True):
                copy_layer(layer, their_layer)
            if pre_norm:
                mine.norm.load_state_dict(other.norm.state_dict())
            mine.positions.add = lambda words, places: words  # torch's begins behind the embeddings
        keep, target_keep = KEEP, TARGET != 0
        causal = ~torch.ones(4, 4, dtype=torch.bool).tril()
        source, target = normal(seed, 2, 5, 12), normal(seed + 1, 2, 4, 12)

        def mine_whole(source: Tensor, target: Tensor) -> Tensor:
            return ours.decoder(target, target_keep, ours.encoder(source, keep), keep)[target_keep]

        def theirs_whole(source: Tensor, target: Tensor) -> Tensor:
            padding = {"src_key_padding_mask": ~keep, "memory_key_padding_mask": ~keep}
            return theirs(source, target, tgt_mask=causal, tgt_key_padding_mask=~target_keep, **padding)[target_keep]

        for one, other in zip(
            gradients_of(mine_whole, source, target), gradients_of(theirs_whole, source, target), strict=True
        ):
            assert (one - other).abs().max() < 1e-10 * max(1, other.abs().max())
        for layer, their_layer in zip(ours.encoder.layers, theirs.encoder.layers, strict=True):
            one = gradients_of(lambda x, layer=layer: layer(x, keep[:, None, None]), source)
            other = gradients_of(lambda x, layer=their_layer: layer(x, src_key_padding_mask=~keep), source)
            assert all((a - b)[keep].abs().max() < 1e-10 * max(1, b.abs().max()) for a, b in zip(one, other, strict=True))
        for layer, their_layer in zip(ours.decoder.layers, theirs.decoder.layers, strict=True):
            one = gradients_of(
                lambda x, m, layer=layer: layer(x, ~causal[None, None], memory=m, memory_keep=keep[:, None, None]),
                target,
                source,
            )
            other = gradients_of(
                lambda x, m, layer=their_layer: layer(x, m, tgt_mask=causal, memory_key_padding_mask=~keep), target, source
            )
            assert all((a - b).abs().max() < 1e-10 * max(1, b.abs().max()) for a, b in zip(one, other, strict=True))

    def test_value_of_what_goes_in(self) -> None:
        """Words times the root of d_model, plus sines, on both sides; and scores are products with the same words."""
        model = random_model()
        with record(model) as recording:
            logits = model(SOURCE, KEEP, TARGET).logits
        words = model.words.weight * 12**0.5
        torch.testing.assert_close(recording["encoder.embeddings.words"], words[SOURCE])
        torch.testing.assert_close(recording["decoder.embeddings.words"], words[TARGET])
        added = recording["decoder.embeddings.sum"] - recording["decoder.embeddings.words"]
        torch.testing.assert_close(added[0, 0], torch.tensor([0.0, 1.0] * 6, dtype=torch.float64))
        torch.testing.assert_close(logits, recording["decoder.layers.1.output"] @ model.words.weight.T)

    @pytest.mark.parametrize(("preset", "millions"), [("base", 65), ("big", 213)])
    def test_the_presets_have_as_many_parameters_as_the_paper_says(self, preset: str, millions: int) -> None:
        """Table 3, at its vocabulary of 37,000: within 3%. (The paper's own table of pieces was a little larger.)"""
        config = TRANSFORMERS[preset]
        with torch.device("meta"):
            found = sum(parameter.numel() for parameter in Transformer(config).parameters())
        d, ff = config.hidden_size, config.intermediate_size
        attention, network, norm = 4 * (d * d + d), 2 * d * ff + ff + d, 2 * d
        layers = 6 * (attention + network + 2 * norm) + 6 * (2 * attention + network + 3 * norm)
        assert found == 37000 * d + layers
        assert found / 1e6 == pytest.approx(millions, rel=0.03)

    def test_paths(self) -> None:
        """Every step of both stacks has a name."""
        model = random_model()
        with record(model) as recording:
            model(SOURCE, KEEP, TARGET)
        steps = ("query", "key", "value", "scores", "masked_scores", "weights", "context", "output")
        for layer in ("encoder.layers.1.attention", "decoder.layers.1.attention", "decoder.layers.0.cross_attention"):
            assert {f"{layer}.{step}" for step in steps} <= {*recording.paths}
        rest = ("attention_residual", "attention_norm", "cross_attention_residual", "cross_attention_norm", "intermediate")
        assert {f"decoder.layers.1.{step}" for step in (*rest, "activation", "feed_forward", "output")} <= {*recording.paths}
        assert recording["decoder.layers.0.cross_attention.weights"].shape == (2, 3, 4, 5)

    @every_kind
    @settings(max_examples=6, deadline=None)
    @given(seed=seeds, t=st.integers(0, 2))
    def test_the_decoder_does_not_see_what_follows(self, kind: dict[str, object], seed: int, t: int) -> None:
        """What stands after t changes no score up to t, and gets no gradient from there; what stands at t does."""
        model = random_model(seed, **kind)
        changed = TARGET[:1].clone()
        changed[0, t + 1 :] = 20
        one, other = (model(SOURCE[:1], None, target).logits for target in (TARGET[:1], changed))
        torch.testing.assert_close(one[:, : t + 1], other[:, : t + 1], rtol=0, atol=1e-12)
        assert not torch.allclose(one[:, t + 1], other[:, t + 1])
        words = normal(seed, 1, 4, 12).requires_grad_()
        memory = model.encode(SOURCE[:1]).detach()
        model.decoder(words, torch.ones(1, 4, dtype=torch.bool), memory, KEEP[:1])[:, t].sum().backward()
        assert not words.grad[:, t + 1 :].any()
        assert words.grad[:, : t + 1].abs().amax(-1).all()

    @every_kind
    @settings(max_examples=6, deadline=None)
    @given(seed=seeds, before=st.integers(0, 2), behind=st.integers(0, 2))
    def test_padding_anywhere_changes_nothing(self, kind: dict[str, object], seed: int, before: int, behind: int) -> None:
        """Of the source, and of the target, on both sides: neither values nor gradients of the words that are there."""
        model = random_model(seed, **kind)

        def padded(ids: Tensor) -> tuple[Tensor, Tensor]:
            filled = nn.functional.pad(ids, (before, behind), value=17)
            return filled, nn.functional.pad(torch.ones_like(ids), (before, behind))

        results = []
        source, target = SOURCE[:1], TARGET[:1]
        for arguments in ((source, None, target, None), (*padded(source), *padded(target))):
            model.zero_grad()
            logits = model(*arguments).logits
            keep_mask = logits if arguments[1] is None else logits[:, before : before + 4]
            keep_mask.square().sum().backward()
            results.append((keep_mask, *(parameter.grad.clone() for parameter in model.parameters())))
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)

    @every_kind
    @settings(max_examples=5, deadline=None)
    @given(seed=seeds)
    def test_a_batch_is_one_at_a_time(self, kind: dict[str, object], seed: int) -> None:
        """Rows do not see each other."""
        model = random_model(seed, **kind)
        together = model(SOURCE, KEEP, TARGET, TARGET != 0).logits
        torch.testing.assert_close(together[1, :2], model(SOURCE[1:, :3], None, TARGET[1:, :2]).logits[0])
        torch.testing.assert_close(together[0], model(SOURCE[:1], None, TARGET[:1]).logits[0])

    def test_the_fused_path_gives_the_same(self) -> None:
        """With a bias on the scores as well."""

        def encoded(model: Transformer, words: Tensor) -> Tensor:
            return model.encoder(words, KEEP)[KEEP]

        for kind in POSITIONS:
            model = random_model(positions=kind)
            one, other = (
                gradients_of(partial(encoded, model.set_attention(path)), normal(0, 2, 5, 12)) for path in ("explicit", "fused")
            )
            assert all((a - b).abs().max() < 1e-10 for a, b in zip(one, other, strict=True))

    def test_a_target_of_one_token(self) -> None:
        """Is a target."""
        assert random_model()(SOURCE, KEEP, TARGET[:, :1]).logits.shape == (2, 1, 23)

    def test_clear_errors(self) -> None:
        """An empty source, an id that is none, nothing for the decoder, masks of another shape."""
        model = random_model()
        with pytest.raises(ValueError, match="source 1 of the batch is empty"):
            model(SOURCE, torch.tensor([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]), TARGET)
        with pytest.raises(ValueError, match="source 0 of the batch is empty"):
            model(SOURCE[:, :0], None, TARGET)
        with pytest.raises(ValueError, match="decoder_input_ids has the id 23, but vocab_size is 23"):
            model(SOURCE, KEEP, TARGET + 10)
        with pytest.raises(ValueError, match="give decoder_input_ids, or labels"):
            model(SOURCE)
        with pytest.raises(ValueError, match="beams is 0"):
            model.generate(SOURCE, KEEP, beams=0)
        with pytest.raises(ValueError, match="attention_mask is"):
            keep_mask(KEEP[:, :3], SOURCE)
        with pytest.raises(ValueError, match="positions 'wavy' is unknown"):
            TransformerConfig(positions="wavy")
        with pytest.raises(ValueError, match="'rotary' need an even width, not 3"):
            TransformerConfig(positions="rotary", hidden_size=24, num_attention_heads=8)

    @pytest.mark.usefixtures("without_shape_checks")
    def test_clear_errors_about_shapes(self) -> None:
        """One text without a batch, a batch without a text, other targets than sources."""
        model = random_model()
        with pytest.raises(ValueError, match=r"shape \(5,\), not \(batch, tokens\): for one text, input_ids\[None\]"):
            model(SOURCE[0], None, TARGET)
        with pytest.raises(ValueError, match=r"input_ids is of shape \(0, 5\), not \(batch, tokens\)$"):
            model.generate(SOURCE[:0])
        with pytest.raises(ValueError, match="there are 2 sources, and 1 targets"):
            model(SOURCE, KEEP, labels=TARGET[:1])

    def test_learned_positions_have_an_end(self) -> None:
        """What is longer is refused, and nothing longer is written unless it is asked for."""
        model = random_model(positions="learned", max_position_embeddings=5)
        assert all(len(some.tokens) <= 5 for beams in (1, 2) for some in model.generate(SOURCE, KEEP, beams))
        with pytest.raises(ValueError, match="decoder_input_ids has 6 tokens, max_position_embeddings is 5"):
            model.generate(SOURCE, KEEP, 1, max_new_tokens=9)
        with pytest.raises(ValueError, match="input_ids has 10 tokens, max_position_embeddings is 5"):
            model(torch.cat([SOURCE, SOURCE], dim=1), None, TARGET)

    def test_a_loss_is_of_what_comes_next(self) -> None:
        """With labels alone the decoder reads them shifted; where they are -100 nothing is foretold."""
        model = random_model()
        labels = torch.tensor([[10, 11, 12, 3], [13, 3, IGNORE_INDEX, IGNORE_INDEX]])
        output = model(SOURCE, KEEP, labels=labels)
        expected = nn.functional.cross_entropy(output.logits.flatten(0, 1), labels.flatten())
        torch.testing.assert_close(output.loss, expected)
        torch.testing.assert_close(output.logits, model(SOURCE, KEEP, torch.tensor([[2, 10, 11, 12], [2, 13, 3, 0]])).logits)

    @every_kind
    def test_it_is_saved_and_loaded(self, kind: dict[str, object], tmp_path: Path) -> None:
        """The same configuration, and the same numbers."""
        model = random_model(**kind).float()
        model.save_pretrained(tmp_path)
        loaded = Transformer.from_pretrained(tmp_path)
        assert loaded.config == model.config
        named = json.loads((tmp_path / "config.json").read_text())["architectures"]
        assert named == ["MarianMTModel" if model.config.is_marian else "Transformer"]
        torch.testing.assert_close(loaded(SOURCE, KEEP, TARGET).logits, model(SOURCE, KEEP, TARGET).logits)


class TestShiftedRight:
    def test_value(self) -> None:
        """One place to the right, behind the start; what is not foretold is padding."""
        labels = torch.tensor([[7, 8, 3], [9, 3, IGNORE_INDEX]])
        assert shift_right(labels, start=2, padding=0).tolist() == [[2, 7, 8], [2, 9, 3]]

    @given(st.lists(st.integers(4, 9), min_size=1, max_size=5))
    def test_each_place_foretells_the_next_and_sees_it_never(self, target: list[int]) -> None:
        """What is read at t + 1 is what was to be foretold at t."""
        labels = torch.tensor([target])
        read = shift_right(labels, start=2, padding=0)
        assert read[0, 0] == 2
        assert read[0, 1:].tolist() == target[:-1]


class TestMarian:
    def theirs(self, seed: int) -> transformers.MarianMTModel:
        """A tiny MarianMT with random weights."""
        torch.manual_seed(seed)
        config = transformers.MarianConfig(
            vocab_size=23,
            d_model=12,
            encoder_layers=2,
            decoder_layers=2,
            max_position_embeddings=64,
            **{f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("attention_heads", 3), ("ffn_dim", 20))},
            pad_token_id=0,
            eos_token_id=3,
            forced_eos_token_id=None,
            decoder_start_token_id=2,
            scale_embedding=True,
            activation_function="relu",
        )
        model = transformers.MarianMTModel(config).eval()
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name:
                nn.init.normal_(parameter, std=0.4)
        return model

    @pytest.mark.parametrize("seed", range(3))
    def test_a_checkpoint_gives_the_same_numbers(self, seed: int, tmp_path: Path) -> None:
        """Logits, loss, and gradients of every parameter, in float64, to 1e-10."""
        theirs = self.theirs(seed)
        theirs.save_pretrained(tmp_path)
        ours, theirs = Transformer.from_pretrained(tmp_path).double(), theirs.double()
        labels = torch.tensor([[10, 11, 12, 3], [13, 3, IGNORE_INDEX, IGNORE_INDEX]])
        one, other = ours(SOURCE, KEEP, labels=labels), theirs(SOURCE, attention_mask=KEEP.long(), labels=labels)
        assert (one.logits - other.logits).abs().max() < 1e-10
        loss = nn.functional.cross_entropy(other.logits.flatten(0, 1), labels.flatten())  # theirs is a single-precision one
        one.loss.backward()
        loss.backward()
        gradients = {name.removeprefix("model."): parameter.grad for name, parameter in theirs.named_parameters()}
        for name, parameter in ours.named_parameters():
            if "positions" in name:
                continue
            expected = gradients[Transformer.names.theirs(name)]
            rows = slice(1, None) if name == "words.weight" else slice(None)  # theirs keeps that of the padding at zero
            assert (parameter.grad - expected)[rows].abs().max() < 1e-10 * max(1, expected.abs().max()), name

    @pytest.mark.parametrize("beams", [1, 3])
    def test_it_writes_the_same(self, beams: int, tmp_path: Path) -> None:
        """Greedy and beam search, under transformers' own penalty: the same outputs, or (since greedy's output is among ours)
        one with a higher score."""
        equal = 0
        for seed in range(5):
            theirs = self.theirs(seed)
            theirs.save_pretrained(tmp_path / str(seed))
            ours = Transformer.from_pretrained(tmp_path / str(seed))
            for penalty in (0.0, 1.0):
                expected = theirs.generate(
                    SOURCE,
                    attention_mask=KEEP.long(),
                    num_beams=beams,
                    do_sample=False,
                    max_new_tokens=9,
                    length_penalty=penalty,
                    **({"early_stopping": True} if beams > 1 else {}),
                )[:, 1:].tolist()
                found = ours.generate(
                    SOURCE, KEEP, beams, penalty, max_new_tokens=9, penalty=lambda length, alpha: length**alpha
                )
                for row, output in zip(expected, found, strict=True):
                    wanted = row[: row.index(3) + 1] if 3 in row else row
                    if output.tokens == wanted:
                        equal += 1
                        continue
                    greedy = ours.generate(SOURCE, KEEP, 1, max_new_tokens=9)[expected.index(row)]
                    assert output.tokens == greedy.tokens
        assert equal >= 19  # of 20

    def test_transformers_loads_what_we_save(self, tmp_path: Path) -> None:
        """Sines included, whose columns stand in another order there."""
        model = random_model().float()
        model.save_pretrained(tmp_path)
        theirs = transformers.MarianMTModel.from_pretrained(tmp_path)
        found = theirs(SOURCE, attention_mask=KEEP.long(), decoder_input_ids=TARGET).logits
        torch.testing.assert_close(found, model(SOURCE, KEEP, TARGET).logits, rtol=1e-5, atol=1e-5)

    def test_what_cannot_be_run_is_refused(self, tmp_path: Path) -> None:
        """A file that names another depth, and fields that are not supported."""
        random_model().float().save_pretrained(tmp_path)
        config = tmp_path / "config.json"
        text = config.read_text()
        for field, changed, message in (
            ('"encoder_layers": 2', '"encoder_layers": 900000000', "has 2 layers"),
            ('"scale_embedding": true', '"scale_embedding": false', "scale_embedding False is not supported"),
            ('"decoder_ffn_dim": 20', '"decoder_ffn_dim": 21', "only equal ones"),
            ('"model_type": "marian"', '"model_type": "t5"', "'t5' is not supported"),
            ('"d_model": 12', '"d_model": 24', "has shape"),
        ):
            assert field in text
            config.write_text(text.replace(field, changed))
            with pytest.raises(ValueError, match=message):
                Transformer.from_pretrained(tmp_path)
