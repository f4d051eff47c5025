"""Tests of the encoder-decoder Transformer: equality with torch.nn.Transformer and with the MarianMT of transformers."""

import json
import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minibert import TRANSFORMERS, Transformer, TransformerConfig, adamw, record
from minibert.equations import IGNORE_INDEX, label_smoothing_loss
from minibert.kernels import Sequences
from minibert.model.cache import KeyValueCache
from minibert.model.config import POSITIONS
from minibert.model.encoder_decoder import shift_right
from minibert.model.inputs import keep_mask
from minibert.model.layers import DecoderLayer, EncoderLayer
from minibert.model.position_tables import marian_sinusoids, sinusoids
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


def masks(batch: int, tokens: int) -> st.SearchStrategy[Tensor]:
    """Draw Boolean masks with padding anywhere, and at least one token in each row."""
    row = st.lists(st.booleans(), min_size=tokens, max_size=tokens).filter(any)
    return st.lists(row, min_size=batch, max_size=batch).map(torch.tensor)


def random_model(seed: int = 0, **changed: object) -> Transformer:
    """Create a tiny model with all parameters random, in float64 and in evaluation mode."""
    torch.manual_seed(seed)
    model = Transformer(TransformerConfig(**{**SIZES, **changed})).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def copy_attention(ours: nn.Module, theirs: nn.MultiheadAttention) -> None:
    """Copy the weights of PyTorch's attention, which stores three projections in one matrix."""
    for part, weight, bias in zip(
        ("query", "key", "value"), theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True
    ):
        ours.get_submodule(part).load_state_dict({"weight": weight, "bias": bias})
    ours.get_submodule("output").load_state_dict(theirs.out_proj.state_dict())


def copy_layer(ours: EncoderLayer, theirs: nn.Module) -> None:
    """Copy the weights of an encoder or decoder layer of PyTorch."""
    copy_attention(ours.attention, theirs.self_attn)
    ours.attention_norm.load_state_dict(theirs.norm1.state_dict())
    last_norm = "norm2"
    if isinstance(ours, DecoderLayer):
        copy_attention(ours.cross_attention, theirs.multihead_attn)
        ours.cross_attention_norm.load_state_dict(theirs.norm2.state_dict())
        last_norm = "norm3"
    ours.feed_forward_norm.load_state_dict(theirs.get_submodule(last_norm).state_dict())
    ours.feed_forward.intermediate.load_state_dict(theirs.linear1.state_dict())
    ours.feed_forward.output.load_state_dict(theirs.linear2.state_dict())


def gradients_of(model: Callable[..., Tensor], *leaves: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of its sum of squares with respect to the inputs."""
    fresh = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    out = model(*fresh)
    return [out, *torch.autograd.grad(out.square().sum(), fresh)]


def shapes_in_encoder(model: Transformer) -> list[torch.Size]:
    """Return a list to which each layer of the encoder will add the shape of its output."""
    seen: list[torch.Size] = []
    for layer in model.encoder.layers:
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    return seen


class TestRaggedSources:
    """The encoder leaves the padding of sources out, with the same values and gradients."""

    @every_kind
    @given(seed=seeds, keep=masks(3, 7))
    def test_loss_and_gradients_are_those_of_the_rectangle(self, kind: dict[str, object], keep: Tensor, seed: int) -> None:
        model = random_model(seed, **kind)
        generator = torch.Generator().manual_seed(seed)
        sources, labels = (torch.randint(3, 23, (3, tokens), generator=generator) for tokens in (7, 4))
        seen = shapes_in_encoder(model)
        results = []
        for mask in (keep, Sequences.of(keep)):
            model.zero_grad()
            output = model(sources, mask, labels=labels, label_smoothing=0.1)
            output.loss_sum.backward()
            gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
            results.append((output.loss_sum.detach(), gradients))
        torch.testing.assert_close(results[1], results[0], rtol=1e-9, atol=1e-10)
        assert seen[:2] == [(3, 7, 12)] * 2
        in_one_row = kind.get("positions") != "alibi" and not keep.all()
        assert seen[2:] == [(1, int(keep.sum()), 12) if in_one_row else (3, 7, 12)] * 2

    def test_generation_leaves_padding_out(self) -> None:
        model = random_model(3)
        seen = shapes_in_encoder(model)
        found = model.generate(SOURCE, KEEP, beams=1, max_new_tokens=9)
        assert seen == [(1, 8, 12)] * 2
        alone = [model.generate(row[keep][None], beams=1, max_new_tokens=9)[0] for row, keep in zip(SOURCE, KEEP, strict=True)]
        assert [each.tokens for each in found] == [each.tokens for each in alone]

    def test_a_recording_has_all_tokens(self) -> None:
        model = random_model(3)
        with record(model) as recorded:
            logits = model(SOURCE, Sequences.of(KEEP), TARGET).logits
        assert recorded["encoder.layers.0.output"].shape == (2, 5, 12)
        assert recorded["decoder.layers.0.cross_attention.weights"].shape == (2, 3, 4, 5)
        torch.testing.assert_close(model(SOURCE, Sequences.of(KEEP), TARGET).logits, logits)

    def test_without_padding_cross_attention_has_no_mask(self) -> None:
        model = random_model(3)
        masks: list[object] = []
        for layer in model.decoder.layers:
            layer.cross_attention.register_forward_pre_hook(lambda module, inputs: masks.append(inputs[2]))
        full, whole = Sequences.of(torch.ones_like(KEEP)), model(SOURCE, None, TARGET).logits
        torch.testing.assert_close(model(SOURCE, full, TARGET).logits, whole)
        assert masks == [None] * 4

    def test_an_empty_source_and_another_shape_are_refused(self, without_shape_checks: None) -> None:
        model = random_model(3)
        with pytest.raises(ValueError, match="source 1 of the batch is empty"):
            model(SOURCE, Sequences.of(KEEP & torch.tensor([[True], [False]])), TARGET)
        with pytest.raises(ValueError, match=r"attention_mask has sequences of shape \(2, 3\), expected \(2, 5\)"):
            model(SOURCE, Sequences.of(torch.ones(2, 3, dtype=torch.bool)), TARGET)


class TestTransformer:
    @settings(max_examples=6, deadline=None)
    @given(seeds, st.booleans(), st.sampled_from(["relu", "gelu"]))
    def test_value_and_gradient_equal_torch(self, seed: int, pre_norm: bool, activation: str) -> None:
        """The model and each layer agree with nn.Transformer within 1e-10, with causal and padding masks.

        nn.Transformer has a final normalization for post-norm too. It is removed here.
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
            mine.positions.add = lambda words, positions: words  # nn.Transformer adds no positions
        keep, target_keep = KEEP, TARGET != 0
        causal = ~torch.ones(4, 4, dtype=torch.bool).tril()
        source, target = normal(seed, 2, 5, 12), normal(seed + 1, 2, 4, 12)

        def our_model(source: Tensor, target: Tensor) -> Tensor:
            return ours.decoder(target, target_keep, ours.encoder(source, keep), keep)[target_keep]

        def their_model(source: Tensor, target: Tensor) -> Tensor:
            padding = {"src_key_padding_mask": ~keep, "memory_key_padding_mask": ~keep}
            return theirs(source, target, tgt_mask=causal, tgt_key_padding_mask=~target_keep, **padding)[target_keep]

        for one, other in zip(gradients_of(our_model, source, target), gradients_of(their_model, source, target), strict=True):
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

    def test_value_of_embeddings_and_output_layer(self) -> None:
        """The inputs are embeddings times √d_model plus sinusoids; the output layer uses the same embeddings."""
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
    def test_presets_have_the_published_number_of_parameters(self, preset: str, millions: int) -> None:
        """Table 3 for a vocabulary of 37,000, within 3%. (The vocabulary of the paper was slightly larger.)"""
        config = TRANSFORMERS[preset]
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in Transformer(config).parameters())
        d, ff = config.hidden_size, config.intermediate_size
        attention, network, norm = 4 * (d * d + d), 2 * d * ff + ff + d, 2 * d
        layers = 6 * (attention + network + 2 * norm) + 6 * (2 * attention + network + 3 * norm)
        assert count == 37000 * d + layers
        assert count / 1e6 == pytest.approx(millions, rel=0.03)

    def test_every_step_is_recorded(self) -> None:
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
    def test_later_target_tokens_have_no_influence(self, kind: dict[str, object], seed: int, t: int) -> None:
        """Changing the tokens after t does not change the scores up to t, but it changes the next ones.

        The output at t has a gradient with respect to exactly the tokens up to t.
        """
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
    @given(seed=seeds, before=st.integers(0, 2), after=st.integers(0, 2))
    def test_padding_has_no_influence(self, kind: dict[str, object], seed: int, before: int, after: int) -> None:
        """Padding of source and target changes neither the scores of the tokens nor any gradient.

        Padding on the left counts in the positions, so it has no influence only where distances alone matter.
        """
        if kind.get("positions") not in ("rotary", "alibi"):
            before = 0
        model = random_model(seed, **kind)

        def padded(ids: Tensor) -> tuple[Tensor, Tensor]:
            filled = nn.functional.pad(ids, (before, after), value=17)
            return filled, nn.functional.pad(torch.ones_like(ids), (before, after))

        results = []
        source, target = SOURCE[:1], TARGET[:1]
        for arguments in ((source, None, target, None), (*padded(source), *padded(target))):
            model.zero_grad()
            logits = model(*arguments).logits
            kept = logits if arguments[1] is None else logits[:, before : before + 4]
            kept.square().sum().backward()
            results.append((kept, *(parameter.grad.clone() for parameter in model.parameters())))
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)

    @every_kind
    @settings(max_examples=5, deadline=None)
    @given(seed=seeds)
    def test_batch_and_single_rows_give_the_same_scores(self, kind: dict[str, object], seed: int) -> None:
        """Rows of a batch are independent."""
        model = random_model(seed, **kind)
        together = model(SOURCE, KEEP, TARGET, TARGET != 0).logits
        torch.testing.assert_close(together[1, :2], model(SOURCE[1:, :3], None, TARGET[1:, :2]).logits[0])
        torch.testing.assert_close(together[0], model(SOURCE[:1], None, TARGET[:1]).logits[0])

    def test_fused_and_explicit_attention_agree(self) -> None:
        """Positions with a bias on the scores (ALiBi) are included."""

        def encoded(model: Transformer, words: Tensor) -> Tensor:
            return model.encoder(words, KEEP)[KEEP]

        for kind in POSITIONS:
            model = random_model(positions=kind)
            one, other = (
                gradients_of(partial(encoded, model.set_attention(path)), normal(0, 2, 5, 12)) for path in ("explicit", "fused")
            )
            assert all((a - b).abs().max() < 1e-10 for a, b in zip(one, other, strict=True))

    def test_target_may_have_one_token(self) -> None:
        assert random_model()(SOURCE, KEEP, TARGET[:, :1]).logits.shape == (2, 1, 23)

    def test_invalid_arguments_are_rejected(self) -> None:
        """An empty source or target, an unknown id, no decoder input, no beams, another mask's shape, invalid positions."""
        model = random_model()
        with pytest.raises(ValueError, match="source 1 of the batch is empty"):
            model(SOURCE, torch.tensor([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]), TARGET)
        nothing = SOURCE[:, :0]
        for name, arguments in (
            ("input_ids", {"input_ids": nothing, "decoder_input_ids": TARGET}),
            ("decoder_input_ids", {"input_ids": SOURCE, "decoder_input_ids": nothing}),
            ("labels", {"input_ids": SOURCE, "labels": nothing}),
        ):
            with pytest.raises(ValueError, match=rf"^{name} has shape \(2, 0\), expected \(batch, tokens\), both at least 1"):
                model(**arguments)
        with pytest.raises(ValueError, match="both at least 1"):
            model.generate(nothing)
        for alpha in (math.nan, math.inf, 11.0):
            with pytest.raises(ValueError, match=f"alpha is {alpha:g}, but must be from -10 to 10"):
                model.generate(SOURCE, KEEP, alpha=alpha)
        for beams in (1, 2):
            with pytest.raises(ValueError, match="max_new_tokens is 0, but must be at least 1"):
                model.generate(SOURCE, KEEP, beams, max_new_tokens=0)
        with pytest.raises(ValueError, match="decoder_input_ids has the id 23, but vocab_size is 23"):
            model(SOURCE, KEEP, TARGET + 10)
        with pytest.raises(ValueError, match="pass decoder_input_ids or labels"):
            model(SOURCE)
        for beams in (0, -1, 10**9):
            with pytest.raises(ValueError, match=f"beams is {beams}, but must be from 1 to 1000"):
                model.generate(SOURCE, KEEP, beams=beams)
        with pytest.raises(ValueError, match=r"^attention_mask has shape"):
            keep_mask(KEEP[:, :3], SOURCE)
        with pytest.raises(ValueError, match="positions 'wavy' is unknown"):
            TransformerConfig(positions="wavy")
        with pytest.raises(ValueError, match="'rotary' need an even width, not 3"):
            TransformerConfig(positions="rotary", hidden_size=24, num_attention_heads=8)

    @pytest.mark.usefixtures("without_shape_checks")
    def test_a_string_is_not_a_number(self) -> None:
        with pytest.raises(TypeError, match="alpha is '1': pass a number"):
            random_model().generate(SOURCE, alpha="1")

    @pytest.mark.usefixtures("without_shape_checks")
    def test_wrong_shapes_are_rejected(self) -> None:
        """A text without a batch dimension, an empty batch, and different numbers of sources and targets."""
        model = random_model()
        with pytest.raises(ValueError, match=r"shape \(5,\), expected \(batch, tokens\): for one text, pass input_ids\[None\]"):
            model(SOURCE[0], None, TARGET)
        with pytest.raises(ValueError, match=r"input_ids has shape \(0, 5\), expected \(batch, tokens\), both at least 1$"):
            model.generate(SOURCE[:0])
        with pytest.raises(ValueError, match="there are 2 sources but 1 targets"):
            model(SOURCE, KEEP, labels=TARGET[:1])
        with pytest.raises(ValueError, match=r"^decoder_attention_mask has shape"):
            model(SOURCE, KEEP, TARGET, torch.ones_like(TARGET[:, 1:]))

    def test_texts_may_be_as_long_as_the_table_of_learned_positions(self) -> None:
        """Source and target, the latter also with a cache; a text with one more token is rejected. Sinusoids have no end."""
        model, longest = random_model(positions="learned", max_position_embeddings=5), SOURCE[:1, :1].expand(1, 5)
        assert model(longest, None, longest).logits.shape[1] == 5
        longer = SOURCE[:1, :1].expand(1, 6)
        for source, target, name in ((longer, longest, "input_ids"), (longest, longer, "decoder_input_ids")):
            with pytest.raises(ValueError, match=f"^{name} has 6 tokens, max_position_embeddings is 5: truncate the text"):
                model(source, None, target)
        memory, cache = model.encode(longest), KeyValueCache()
        for _ in range(5):
            model.decode(longest[:, :1], memory, cache=cache)
        with pytest.raises(ValueError, match=r"^decoder_input_ids has 6 tokens"):
            model.decode(longest[:, :1], memory, cache=cache)
        without_table = random_model(positions="sinusoidal", max_position_embeddings=5)
        assert without_table(longer, None, longer).logits.shape[1] == 6

    def test_learned_positions_limit_the_length(self) -> None:
        """Longer inputs and requests for more tokens are rejected. Generation stops at the last position."""
        model = random_model(positions="learned", max_position_embeddings=5)
        assert all(len(sequence.tokens) <= 5 for beams in (1, 2) for sequence in model.generate(SOURCE, KEEP, beams))
        assert all(len(sequence.tokens) <= 5 for sequence in model.generate(SOURCE, KEEP, max_new_tokens=5))
        with pytest.raises(ValueError, match="max_new_tokens is 6, but this model has positions for 5 new tokens only"):
            model.generate(SOURCE, KEEP, 1, max_new_tokens=6)
        memory, cache = model.encode(SOURCE, KEEP), KeyValueCache()
        model.decode(SOURCE[:, :3], memory, KEEP, cache=cache)
        with pytest.raises(ValueError, match="decoder_input_ids has 6 tokens, max_position_embeddings is 5"):
            model.decode(SOURCE[:, :3], memory, KEEP, cache=cache)
        with pytest.raises(ValueError, match="decoder_input_ids has 6 tokens, max_position_embeddings is 5"):
            model(SOURCE, KEEP, SOURCE[:1].expand(2, 5).repeat(1, 2)[:, :6])
        with pytest.raises(ValueError, match="input_ids has 10 tokens, max_position_embeddings is 5"):
            model(torch.cat([SOURCE, SOURCE], dim=1), None, TARGET)

    @settings(max_examples=5, deadline=None)
    @given(seeds, st.floats(0, 1))
    def test_sums_with_label_smoothing_are_those_of_the_logits(self, seed: int, label_smoothing: float) -> None:
        """The sum of the losses, its gradients and the number of correct predictions, also inside of a recording."""
        model = random_model(seed)
        labels = TARGET.masked_fill(TARGET == 0, IGNORE_INDEX)
        logits = model(SOURCE, KEEP, labels=labels).logits
        expected = label_smoothing_loss(logits, labels, label_smoothing, "sum")
        gradients = torch.autograd.grad(expected, [*model.parameters()])
        sums = model(SOURCE, KEEP, labels=labels, label_smoothing=label_smoothing)
        torch.testing.assert_close(sums.loss_sum, expected)
        torch.testing.assert_close(torch.autograd.grad(sums.loss_sum, [*model.parameters()]), gradients)
        assert sums.correct == (logits.argmax(dim=-1) == labels).sum()
        with record(model) as recording:
            recorded = model(SOURCE, KEEP, labels=labels, label_smoothing=label_smoothing)
        torch.testing.assert_close(recorded.loss_sum, expected)
        torch.testing.assert_close(recording["logits"], logits.flatten(0, 1))
        with pytest.raises(ValueError, match="label_smoothing is for the loss: pass labels"):
            model(SOURCE, KEEP, decoder_input_ids=TARGET, label_smoothing=0.1)

    @pytest.mark.usefixtures("without_shape_checks")
    def test_labels_with_label_smoothing_belong_to_the_tokens_of_the_decoder(self) -> None:
        model = random_model()
        given = partial(model, SOURCE, KEEP, decoder_input_ids=TARGET, label_smoothing=0.1)
        with pytest.raises(ValueError, match=r"^labels has shape \(2, 3\), expected \(2, 4\)$"):
            given(labels=TARGET[:, :3])
        with pytest.raises(TypeError, match=r"^labels has the type int32, expected int64"):
            given(labels=TARGET.int())

    def test_loss_is_the_cross_entropy_of_the_next_token(self) -> None:
        """Without decoder input, the decoder input is the labels, shifted right. Labels of -100 are ignored."""
        model = random_model()
        labels = torch.tensor([[10, 11, 12, 3], [13, 3, IGNORE_INDEX, IGNORE_INDEX]])
        output = model(SOURCE, KEEP, labels=labels)
        expected = nn.functional.cross_entropy(output.logits.flatten(0, 1), labels.flatten())
        torch.testing.assert_close(output.loss, expected)
        torch.testing.assert_close(output.logits, model(SOURCE, KEEP, torch.tensor([[2, 10, 11, 12], [2, 13, 3, 0]])).logits)

    @pytest.mark.parametrize(
        "kind",
        [{"positions": kind} for kind in POSITIONS]
        + [{"pre_norm": True}, {"positions": "learned", "hidden_size": 9}, {"positions": "alibi", "hidden_size": 3}],
        ids=str,
    )
    def test_saved_model_is_loaded_unchanged(self, kind: dict[str, object], tmp_path: Path) -> None:
        """The configuration and the scores are unchanged."""
        model = random_model(**kind).float()
        model.save_pretrained(tmp_path)
        loaded = Transformer.from_pretrained(tmp_path)
        assert loaded.config == model.config
        architectures = json.loads((tmp_path / "config.json").read_text())["architectures"]
        assert architectures == ["MarianMTModel" if model.config.is_marian else "Transformer"]
        torch.testing.assert_close(loaded(SOURCE, KEEP, TARGET).logits, model(SOURCE, KEEP, TARGET).logits)


class TestShiftRight:
    def test_value(self) -> None:
        """The labels move one position to the right, after the start token. Ignored labels become padding."""
        labels = torch.tensor([[7, 8, 4, 3], [9, 3, IGNORE_INDEX, IGNORE_INDEX]])
        assert shift_right(labels, start=2, padding=0).tolist() == [[2, 7, 8, 4], [2, 9, 3, 0]]

    @given(st.lists(st.integers(4, 9), min_size=1, max_size=5))
    def test_input_is_the_previous_label(self, target: list[int]) -> None:
        """The decoder input at t + 1 is the label at t."""
        labels = torch.tensor([target])
        inputs = shift_right(labels, start=2, padding=0)
        assert inputs[0, 0] == 2
        assert inputs[0, 1:].tolist() == target[:-1]

    @given(st.lists(st.integers(4, 9), min_size=1, max_size=5), st.integers(1, 3))
    def test_padding_of_the_labels_is_padding_of_the_input(self, target: list[int], missing: int) -> None:
        """A shorter target has the input of the same target alone, then padding, and never a negative id."""
        labels = torch.tensor([target + missing * [IGNORE_INDEX]])
        inputs = shift_right(labels, start=2, padding=0)
        assert inputs.tolist() == [[2, *target, *(missing - 1) * [0]]]


class TestMarian:
    def theirs(self, seed: int) -> transformers.MarianMTModel:
        """Create a tiny MarianMT of transformers with random weights."""
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
    def test_outputs_and_gradients_agree(self, seed: int, tmp_path: Path) -> None:
        """Logits, loss, and the gradients of all parameters agree within 1e-10, in float64."""
        theirs = self.theirs(seed)
        theirs.save_pretrained(tmp_path)
        ours, theirs = Transformer.from_pretrained(tmp_path).double(), theirs.double()
        labels = torch.tensor([[10, 11, 12, 3], [13, 3, IGNORE_INDEX, IGNORE_INDEX]])
        one, other = ours(SOURCE, KEEP, labels=labels), theirs(SOURCE, attention_mask=KEEP.long(), labels=labels)
        assert (one.logits - other.logits).abs().max() < 1e-10
        loss = nn.functional.cross_entropy(other.logits.flatten(0, 1), labels.flatten())  # their loss is in float32
        one.loss.backward()
        loss.backward()
        gradients = {name.removeprefix("model."): parameter.grad for name, parameter in theirs.named_parameters()}
        for name, parameter in ours.named_parameters():
            expected = gradients[Transformer.names.theirs(name)]
            if "positions" in name:
                assert parameter.grad is expected is None
                continue
            assert (parameter.grad - expected).abs().max() < 1e-10 * max(1, expected.abs().max()), name

    @settings(max_examples=10, deadline=None)
    @given(seed=seeds, source_keep=masks(2, 5), target_keep=masks(2, 4), given_targets=st.booleans())
    def test_outputs_agree_with_padding_anywhere(
        self, seed: int, source_keep: Tensor, target_keep: Tensor, given_targets: bool
    ) -> None:
        """Padding on the left or in the middle of source and target counts in the positions, as in transformers.

        The logits and the encoder output of all tokens that are not padding agree within 1e-10, in float64.
        """
        theirs = self.theirs(seed)
        with tempfile.TemporaryDirectory() as folder:
            theirs.save_pretrained(folder)
            ours, theirs = Transformer.from_pretrained(folder).double(), theirs.double()
        target_keep = target_keep if given_targets else None
        other = theirs(SOURCE, source_keep.long(), TARGET, None if target_keep is None else target_keep.long())
        for attention in ("explicit", "fused"):
            one = ours.set_attention(attention)(SOURCE, source_keep, TARGET, target_keep)
            difference = (one.encoder_last_hidden_state - other.encoder_last_hidden_state)[source_keep]
            assert difference.abs().max() < 1e-10
            difference = one.logits - other.logits
            assert (difference if target_keep is None else difference[target_keep]).abs().max() < 1e-10

    @settings(max_examples=6, deadline=None)
    @given(seed=seeds, keep=masks(2, 5))
    def test_generated_tokens_agree_with_padding_anywhere(self, seed: int, keep: Tensor) -> None:
        """Greedy search in float64, with padding on the left or in the middle of the source."""
        theirs = self.theirs(seed)
        with tempfile.TemporaryDirectory() as folder:
            theirs.save_pretrained(folder)
            ours, theirs = Transformer.from_pretrained(folder).double(), theirs.double()
        expected = theirs.generate(SOURCE, attention_mask=keep.long(), num_beams=1, do_sample=False, max_new_tokens=6)
        for row, output in zip(expected[:, 1:].tolist(), ours.generate(SOURCE, keep, beams=1, max_new_tokens=6), strict=True):
            assert output.tokens == (row[: row.index(3) + 1] if 3 in row else row)

    @pytest.mark.parametrize("beams", [1, 3])
    def test_generated_tokens_agree(self, beams: int, tmp_path: Path) -> None:
        """Greedy and beam search agree with transformers, under its length penalty, or ours returns the greedy output.

        Our beam search has the greedy output as a candidate, which may have a higher score.
        """
        agreements = 0
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
                outputs = ours.generate(
                    SOURCE, KEEP, beams, penalty, max_new_tokens=9, penalty=lambda length, alpha: length**alpha
                )
                for row, output in zip(expected, outputs, strict=True):
                    tokens = row[: row.index(3) + 1] if 3 in row else row
                    if output.tokens == tokens:
                        agreements += 1
                        continue
                    greedy = ours.generate(SOURCE, KEEP, 1, max_new_tokens=9)[expected.index(row)]
                    assert output.tokens == greedy.tokens
        assert agreements >= 19  # of 20

    def test_transformers_loads_our_checkpoints(self, tmp_path: Path) -> None:
        """This includes the sinusoids, whose columns have another order in transformers."""
        model = random_model().float()
        model.save_pretrained(tmp_path)
        theirs = transformers.MarianMTModel.from_pretrained(tmp_path)
        logits = theirs(SOURCE, attention_mask=KEEP.long(), decoder_input_ids=TARGET).logits
        torch.testing.assert_close(logits, model(SOURCE, KEEP, TARGET).logits, rtol=1e-5, atol=1e-5)

    def test_five_steps_of_training_agree(self, tmp_path: Path) -> None:
        """With padding as the first token of the decoder input, as in published models: neither its embedding nor the sinusoids
        are trained, except as parts of the output layer."""
        theirs = self.theirs(0)
        theirs.config.decoder_start_token_id = 0
        theirs.save_pretrained(tmp_path)
        ours, theirs = Transformer.from_pretrained(tmp_path).double(), theirs.double()
        labels, losses = torch.tensor([[10, 11, 12, 3], [13, 3, IGNORE_INDEX, IGNORE_INDEX]]), []
        for model, mask in ((ours, KEEP), (theirs, KEEP.long())):
            before = [p.clone() for name, p in model.named_parameters() if "positions" in name]
            optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.05)
            losses.append([])
            for _ in range(5):
                logits = model(SOURCE, mask, labels=labels).logits
                loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
                losses[-1].append(loss.item())
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            after = [p for name, p in model.named_parameters() if "positions" in name]
            assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
        assert losses[0] == pytest.approx(losses[1], rel=1e-10)
        assert losses[0][-1] < losses[0][0]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_a_table_of_sinusoids_is_frozen_and_a_learned_one_is_not(self, dtype: torch.dtype, tmp_path: Path) -> None:
        """A file may store the table, also in half precision. A learned table is trained again after loading."""
        for name, frozen in (("computed", True), ("stored", True), ("interleaved", True), ("learned", False)):
            model = self.theirs(0).to(dtype) if name == "computed" else random_model(positions="learned").to(dtype)
            model.save_pretrained(tmp_path / name)
            loaded = Transformer.from_pretrained(tmp_path / name)
            if name in ("stored", "interleaved"):
                table = marian_sinusoids(loaded.config) if name == "stored" else sinusoids(loaded.config)
                for stack in (model.encoder, model.decoder):
                    stack.positions.table.weight.data = table.to(dtype)
                model.save_pretrained(tmp_path / name)
                loaded = Transformer.from_pretrained(tmp_path / name)
            for stack in (loaded.encoder, loaded.decoder):
                assert stack.positions.table.weight.requires_grad is not frozen, name
            optimized = {id(p) for group in adamw(loaded, 0.1).param_groups for p in group["params"]}
            assert (id(loaded.encoder.positions.table.weight) in optimized) is not frozen

    def test_odd_width_without_a_table_is_rejected(self, tmp_path: Path) -> None:
        """MarianMT has sines and cosines of different frequencies then, and does not store them."""
        theirs = transformers.MarianMTModel(transformers.MarianConfig(**{**self.theirs(0).config.to_dict(), "d_model": 9}))
        theirs.save_pretrained(tmp_path)
        with pytest.raises(
            ValueError, match=r"model\.safetensors: has no position tables, and an odd d_model, 9, has no sinus"
        ):
            Transformer.from_pretrained(tmp_path)

    def test_a_bias_of_the_output_is_rejected(self, tmp_path: Path) -> None:
        theirs = self.theirs(0)
        theirs.final_logits_bias[0, 3] = 0.5
        theirs.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="final_logits_bias is not zero, which is not supported"):
            Transformer.from_pretrained(tmp_path)

    def test_unsupported_config_is_rejected(self, tmp_path: Path) -> None:
        """A config.json with another number of layers or another width, and with unsupported values."""
        random_model().float().save_pretrained(tmp_path)
        config = tmp_path / "config.json"
        text = config.read_text()
        for field, changed, message in (
            ('"encoder_layers": 2', '"encoder_layers": 900000000', "has 2 layers"),
            ('"scale_embedding": true', '"scale_embedding": false', "scale_embedding False is not supported"),
            ('"decoder_ffn_dim": 20', '"decoder_ffn_dim": 21', "only equal values"),
            ('"model_type": "marian"', '"model_type": "t5"', "'t5' is not supported"),
            ('"d_model": 12', '"d_model": 24', "has shape"),
        ):
            assert field in text
            config.write_text(text.replace(field, changed))
            with pytest.raises(ValueError, match=message):
                Transformer.from_pretrained(tmp_path)


@pytest.mark.parametrize(("positions", "kept"), [("sinusoidal", False), ("learned", True)])
def test_one_position_table_of_a_file_is_kept_if_it_is_learned(positions: str, kept: bool) -> None:
    """The other one is then missing, which is an error later. Sinusoids are computed."""
    config = TransformerConfig(vocab_size=9, hidden_size=4, num_attention_heads=1, intermediate_size=4, positions=positions)
    tensors = {"model.encoder.embed_positions.weight": torch.ones(2, 4)}
    found, _ = Transformer.convert_weights(tensors, config, Path("file"))
    assert found.keys() == ({"encoder.positions.table.weight"} if kept else set())
