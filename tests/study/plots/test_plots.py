"""Figures of a forward pass: what is drawn equals the recorded tensors, and the values of the equations."""

import math

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from minibert import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    Transformer,
    TransformerConfig,
    equations,
    record,
)
from minibert.model.pretrained import PretrainedModel
from minibert.observe import Recording
from minibert.study import plots
from minibert.study.plots import positions
from minibert.study.plots.tokens import MAX_LABELS, label_tokens
from minibert.study.subject import ModelInput, model_input, random_network, tokenizer_of

SIZES = {"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 8, "max_position_embeddings": 64}
BERT = BertConfig(num_hidden_layers=3, **SIZES)
TRANSFORMER = TransformerConfig(encoder_layers=2, decoder_layers=3, **SIZES)
NETWORKS = {
    "bert": (BertForPreTraining, BERT),
    "masked lm": (BertForMaskedLM, BERT),
    "gpt2": (GPT2LMHeadModel, GPT2Config(num_hidden_layers=2, **SIZES)),
    "transformer": (Transformer, TRANSFORMER),
    "pre-norm": (
        Transformer,
        TransformerConfig(encoder_layers=1, decoder_layers=2, pre_norm=True, positions="rotary", **SIZES),
    ),
}
TEXT = "$a the [MASK] {b} 猫"
TOKENIZER = tokenizer_of([TEXT, "x y"])


def made(name: str) -> tuple[PretrainedModel, ModelInput, Recording]:
    network, config = NETWORKS[name]
    model = random_network(network, config, TOKENIZER)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10)
    inputs = model_input(model, TOKENIZER, TEXT, "x y")
    with record(model) as recording, torch.no_grad():
        model(**inputs.arguments)
    return model, inputs, recording


def axes_of() -> mpl.axes.Axes:
    return Figure().add_subplot()


def labels(axis: mpl.axis.Axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


class TestAttention:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_every_image_is_a_recorded_tensor(self, name: str) -> None:
        """Of every attention of every network: all heads, one layer, one head."""
        _, inputs, recording = made(name)
        attentions = plots.attention_weights(recording)
        assert sum(map(len, attentions.values())) == sum(path.endswith("attention.weights") for path in recording)
        paths = {
            "encoder": "encoder.layers.{}.attention" if inputs.targets else "layers.{}.attention",
            "decoder": "decoder.layers.{}.attention",
            "cross": "decoder.layers.{}.cross_attention",
        }
        for part, layers in attentions.items():
            queries = inputs.tokens if part == "encoder" else inputs.targets or inputs.tokens
            keys = queries if part == "decoder" else inputs.tokens
            recorded = [recording[f"{paths[part].format(layer)}.weights"][0] for layer in range(len(layers))]
            axes = axes_of()
            assert plots.attention_heads(axes, layers) is axes
            expected = torch.stack(recorded).flatten(0, 1)
            assert np.array_equal([image.get_array() for image in axes.images], expected.numpy())
            axes = axes_of()
            assert plots.attention_layer(axes, layers[1 % len(layers)], queries, keys) is axes
            assert np.array_equal([image.get_array() for image in axes.images], recorded[1 % len(layers)].numpy())
            axes = axes_of()
            assert plots.attention_head(axes, layers[-1][2], queries, keys) is axes
            assert np.array_equal(axes.images[0].get_array(), recorded[-1][2].numpy())
            assert (len(labels(axes.yaxis)), len(labels(axes.xaxis))) == (len(queries), len(keys))

    def test_one_scale_of_colors_for_all_heads(self) -> None:
        weights = torch.rand(2, 3, 4, 4)
        axes = axes_of()
        plots.attention_heads(axes, [*weights])
        assert {image.get_clim() for image in axes.images} == {(0.0, float(weights.max()))}

    def test_tokens_label_the_rows_and_columns(self) -> None:
        axes = axes_of()
        plots.attention_head(axes, torch.eye(3), ["$a$", "_b", "c^2"], title="$t$")
        assert labels(axes.xaxis) == labels(axes.yaxis) == ["$a$", "_b", "c^2"]
        texts = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.title]
        assert not any(text.get_parse_math() for text in texts)

    @pytest.mark.parametrize(("layers", "heads", "tokens"), [(1, 1, 1), (12, 12, 3), (1, 2, 512), (2, 5, 30)])
    def test_any_number_of_layers_heads_and_tokens(self, layers: int, heads: int, tokens: int) -> None:
        weights = torch.rand(layers, heads, tokens, tokens)
        names = [f"t{number}" for number in range(tokens)]
        fig = Figure(layout="constrained")
        one, two, three = (fig.add_subplot(1, 3, number) for number in (1, 2, 3))
        plots.attention_heads(one, [*weights], colorbar=False)
        plots.attention_layer(two, weights[0], names, colorbar=False)
        plots.attention_head(three, weights[0, 0], names, colorbar=False)
        fig.draw_without_rendering()
        assert (len(one.images), len(two.images), len(three.images)) == (layers * heads, heads, 1)
        assert len(labels(three.yaxis)) <= MAX_LABELS

    def test_recordings_of_fused_attention_have_no_weights(self) -> None:
        model, inputs, _ = made("bert")
        with record(model.set_attention("fused")) as recording:
            model(**inputs.arguments)
        with pytest.raises(ValueError, match="use attention='auto' or 'explicit'"):
            plots.attention_weights(recording)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
    def test_weights_of_any_type_that_may_need_gradients(self, dtype: torch.dtype) -> None:
        weights = torch.eye(2, dtype=dtype, requires_grad=True)
        axes = axes_of()
        plots.attention_head(axes, weights, ["a", "b"])
        assert axes.images[0].get_array().tolist() == [[1, 0], [0, 1]]


class TestLabels:
    @pytest.mark.parametrize("count", [1, MAX_LABELS, MAX_LABELS + 1, 512])
    def test_long_lists_have_fewer_labels_each_at_its_token(self, count: int) -> None:
        axes = axes_of()
        tokens = [f"t{number}" for number in range(count)]
        label_tokens(axes.xaxis, tokens)
        assert len(labels(axes.xaxis)) <= MAX_LABELS
        assert [tokens[int(tick)] for tick in axes.get_xticks()] == labels(axes.xaxis)


class TestEmbeddings:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_lines_are_the_norms_of_recorded_embeddings(self, name: str) -> None:
        _, inputs, recording = made(name)
        for stack, steps in plots.embedding_steps(recording).items():
            axes = axes_of()
            tokens = inputs.targets if stack == "decoder" and inputs.targets else inputs.tokens
            assert plots.embedding_norms(axes, steps, tokens) is axes
            assert {"words", "sum"} <= {line.get_label() for line in axes.lines}
            for line in axes.lines:
                prefix = f"{stack}." if f"{stack}.embeddings.words" in recording else ""
                recorded = recording[f"{prefix}embeddings.{line.get_label()}"][0].double()
                np.testing.assert_allclose(line.get_ydata(), recorded.square().sum(-1).sqrt().numpy(), rtol=1e-12)


class TestPositions:
    def test_the_image_has_the_values_of_the_equation(self) -> None:
        axes = axes_of()
        assert plots.position_vectors(axes, positions.sinusoidal(20, 8)) is axes
        expected = equations.sinusoidal_positions(torch.arange(20, dtype=torch.float64), 8)
        assert np.array_equal(axes.images[0].get_array(), expected.numpy())
        low, high = axes.images[0].get_clim()
        assert low == -high

    @pytest.mark.parametrize("name", ["bert", "gpt2"])
    def test_learned_positions_are_the_rows_of_the_model(self, name: str) -> None:
        model, _, _ = made(name)
        ((path, vectors),) = positions.learned(model).items()
        assert torch.equal(vectors, model.get_parameter(path))
        assert vectors.shape == (64, 16)
        assert len(positions.learned(model, 5)[path]) == 5

    def test_a_model_without_a_table_has_no_learned_positions(self) -> None:
        assert positions.learned(made("transformer")[0]) == {}

    def test_rotary_positions_are_cosines_and_sines(self) -> None:
        angles = torch.arange(5, dtype=torch.float64)[:, None] * torch.tensor([1.0, 0.01], dtype=torch.float64)
        expected = torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(-2)
        torch.testing.assert_close(positions.rotary(5, 4), expected)

    def test_lines_of_alibi_have_the_slopes_of_the_heads(self) -> None:
        axes = axes_of()
        assert plots.alibi_slopes(axes, 4, 10) is axes
        assert [line.get_ydata()[-1] for line in axes.lines] == [-10 * 2.0 ** (-2 * head) for head in (1, 2, 3, 4)]


class TestRotation:
    def test_arrows_are_rotated_by_the_angle_of_their_pair(self) -> None:
        axes = axes_of()
        assert plots.rotation(axes, 8, pair=1, positions=5) is axes
        (arrows,) = [each for each in axes.collections if hasattr(each, "U")]
        np.testing.assert_allclose(arrows.U, [math.cos(0.1 * position) for position in range(5)])
        np.testing.assert_allclose(arrows.V, [math.sin(0.1 * position) for position in range(5)])
        assert axes.get_title(loc="center") + axes.get_title(loc="left") == "0.1 radians per position"

    def test_a_pair_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(ValueError, match="there is no pair 4: a width of 8 has pairs 0 to 3"):
            plots.rotation(axes_of(), 8, 4, 5)

    def test_scores_depend_on_the_distance_only(self) -> None:
        axes = axes_of()
        assert plots.rotary_scores(axes, 8, 20) is axes
        first, *others = (line.get_ydata() for line in axes.lines)
        assert first[0] == pytest.approx(8 / math.sqrt(8))
        for other in others:
            np.testing.assert_allclose(other, first, atol=1e-9)


class TestLens:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_the_last_layer_has_the_prediction_of_the_model(self, name: str) -> None:
        model, inputs, recording = made(name)
        lens = plots.logit_lens(model, TOKENIZER, inputs)
        path = "mlm.logits" if "mlm.logits" in recording else "logits"
        logits = recording[path][0, lens.position].double()
        assert lens.token == ("[MASK]" if path == "mlm.logits" else (inputs.targets or inputs.tokens)[-1])
        assert TOKENIZER.token_to_id(lens.prediction) == int(logits.argmax())
        assert lens.probabilities[-1] == pytest.approx(float(logits.softmax(-1).max()), rel=1e-5)
        assert (lens.ranks[-1], lens.best[-1]) == (1, lens.prediction)
        layers = getattr(model.config, "decoder_layers", None) or model.config.num_hidden_layers
        assert lens.layers == ("embeddings", *map(str, range(layers)))

    def test_each_layer_goes_through_the_head_of_the_model(self) -> None:
        model, inputs, recording = made("bert")
        lens = plots.logit_lens(model, TOKENIZER, inputs)
        final = TOKENIZER.token_to_id(lens.prediction)
        for number, path in enumerate(["embeddings.output", "layers.0.output", "layers.1.output", "layers.2.output"]):
            with torch.no_grad():
                logits = model.mlm(recording[path], model.bert.embeddings.words.weight)[0, lens.position].double()
            assert lens.probabilities[number] == pytest.approx(float(logits.softmax(-1)[final]), rel=1e-4)
            assert lens.ranks[number] == 1 + int((logits > logits[final]).sum())
            assert TOKENIZER.token_to_id(lens.best[number]) == int(logits.argmax())

    def test_the_final_normalization_of_pre_norm_layers_is_applied(self) -> None:
        model, inputs, recording = made("gpt2")
        lens = plots.logit_lens(model, TOKENIZER, inputs)
        with torch.no_grad():
            hidden = model.decoder.norm(recording["decoder.layers.0.output"])
            logits = (hidden @ model.words.weight.T)[0, -1].double()
        final = TOKENIZER.token_to_id(lens.prediction)
        assert lens.probabilities[1] == pytest.approx(float(logits.softmax(-1)[final]), rel=1e-4)

    def test_the_charts_show_the_numbers(self) -> None:
        model, inputs, _ = made("bert")
        lens = plots.logit_lens(model, TOKENIZER, inputs, position=1)
        left, right = Figure().subplots(1, 2)
        assert plots.lens_probabilities(left, lens) is left
        assert plots.lens_ranks(right, lens) is right
        assert left.lines[0].get_xdata().tolist() == lens.probabilities.tolist()
        assert right.lines[0].get_xdata().tolist() == lens.ranks.tolist()
        assert labels(left.yaxis) == ["embeddings", "0", "1", "2"]
        assert len(labels(right.yaxis)) == 4
        assert "at token 1 ($a" not in left.get_title(loc="left")  # the tokenizer splits at the dollar sign
        bars = np.cumsum([bar.get_width() for bar in left.patches])
        np.testing.assert_allclose(bars, lens.probabilities)

    def test_a_model_without_a_head_for_tokens_is_refused(self) -> None:
        model = random_network(BertForSequenceClassification, BERT, TOKENIZER)
        with pytest.raises(ValueError, match=r"no head that predicts tokens, .*sequence-classification"):
            plots.logit_lens(model, TOKENIZER, model_input(model, TOKENIZER, TEXT))

    def test_a_text_without_a_mask_and_an_unknown_position_are_refused(self) -> None:
        model = random_network(BertForMaskedLM, BERT, TOKENIZER)
        inputs = model_input(model, TOKENIZER, "x y")
        with pytest.raises(ValueError, match=r"the text has no \[MASK\]"):
            plots.logit_lens(model, TOKENIZER, inputs)
        for position in (-1, 4):
            with pytest.raises(ValueError, match="the tokens have the numbers 0 to 3"):
                plots.logit_lens(model, TOKENIZER, inputs, position)

    def test_the_model_keeps_its_mode(self) -> None:
        model, inputs, _ = made("bert")
        plots.logit_lens(model.train(), TOKENIZER, inputs)
        assert model.training
