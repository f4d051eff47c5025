"""Dropout in every network: its places, its rates, and its absence in evaluation.

The networks are written again below, as functions of their named parameters, with `torch.nn.functional.dropout` at every place
that has dropout. With the same random state they must return the same numbers.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding, gelu, layer_norm, linear

from minibert import (
    Bert,
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    Transformer,
    TransformerConfig,
    record,
)
from tests.strategies import normal

HEADS, LAYERS, EPS = 2, 2, 1e-5
SIZES = {
    "vocab_size": 23,
    "hidden_size": 12,
    "num_attention_heads": HEADS,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "layer_norm_eps": EPS,
    "hidden_act": "gelu",
}
HIDDEN, WEIGHTS = "hidden_dropout_prob", "attention_probs_dropout_prob"
RATES = [
    pytest.param({HIDDEN: 0.3, WEIGHTS: 0.15}, id="both"),
    pytest.param({HIDDEN: 0.4, WEIGHTS: 0.0}, id="hidden only"),
    pytest.param({HIDDEN: 0.0, WEIGHTS: 0.4}, id="attention weights only"),
]
IDS = torch.tensor([[5, 6, 7, 8, 9], [9, 4, 4, 0, 0]])
KEEP = torch.tensor([[True] * 5, [True, True, True, False, False]])
TARGET = torch.tensor([[2, 10, 11, 12], [2, 13, 14, 3]])


class Reference:
    """The layers of Devlin et al. 2019 and Vaswani et al. 2017, with dropout, from the parameters of a model by name."""

    def __init__(self, model: nn.Module, rates: dict[str, float], pre_norm: bool = False) -> None:
        self.parameters = {name.removeprefix("bert."): value for name, value in model.named_parameters()}
        self.hidden_rate, self.weights_rate = rates[HIDDEN], rates[WEIGHTS]
        self.pre_norm = pre_norm

    def __getitem__(self, name: str) -> Tensor:
        return self.parameters[name]

    def drop(self, hidden: Tensor) -> Tensor:
        return dropout(hidden, self.hidden_rate) if self.hidden_rate else hidden

    def linear(self, name: str, x: Tensor) -> Tensor:
        return linear(x, self[f"{name}.weight"], self[f"{name}.bias"])

    def norm(self, name: str, x: Tensor) -> Tensor:
        return layer_norm(x, x.shape[-1:], self[f"{name}.weight"], self[f"{name}.bias"], EPS)

    def attention(self, name: str, queries_from: Tensor, keys_from: Tensor, keep: Tensor) -> Tensor:
        inputs = {"query": queries_from, "key": keys_from, "value": keys_from}
        query, key, value = (
            self.linear(f"{name}.{part}", x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part, x in inputs.items()
        )
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        weights = scores.masked_fill(~keep, -math.inf).softmax(dim=-1)
        weights = dropout(weights, self.weights_rate) if self.weights_rate else weights
        return self.linear(f"{name}.output", (weights @ value).transpose(1, 2).flatten(-2))

    def feed_forward(self, name: str, x: Tensor) -> Tensor:
        return self.linear(f"{name}.feed_forward.output", gelu(self.linear(f"{name}.feed_forward.intermediate", x)))

    def sublayer(self, norm: str, hidden: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        if self.pre_norm:
            return hidden + self.drop(network(self.norm(norm, hidden)))
        return self.norm(norm, hidden + self.drop(network(hidden)))

    def layer(
        self, name: str, hidden: Tensor, keep: Tensor, memory: Tensor | None = None, memory_keep: Tensor | None = None
    ) -> Tensor:
        hidden = self.sublayer(f"{name}.attention_norm", hidden, lambda x: self.attention(f"{name}.attention", x, x, keep))
        if memory is not None:
            hidden = self.sublayer(
                f"{name}.cross_attention_norm",
                hidden,
                lambda x: self.attention(f"{name}.cross_attention", x, memory, memory_keep),
            )
        return self.sublayer(f"{name}.feed_forward_norm", hidden, lambda x: self.feed_forward(name, x))

    def bert(self) -> Tensor:
        names = ("words", "positions", "segments")
        words, positions, segments = (self[f"embeddings.{name}.weight"] for name in names)
        hidden = self.drop(self.norm("embeddings.norm", words[IDS] + positions[: IDS.shape[1]] + segments[0]))
        for number in range(LAYERS):
            hidden = self.layer(f"layers.{number}", hidden, KEEP[:, None, None, :])
        return hidden

    def pooled(self, hidden: Tensor) -> Tensor:
        return torch.tanh(self.linear("pooler.dense", hidden[:, 0]))

    def masked_lm(self, hidden: Tensor) -> Tensor:
        transformed = self.norm("mlm.norm", gelu(self.linear("mlm.transform", hidden)))
        return linear(transformed, self["embeddings.words.weight"], self["mlm.bias"])

    def gpt2(self) -> Tensor:
        hidden = self.drop(self["words.weight"][IDS] + self["decoder.positions.table.weight"][: IDS.shape[1]])
        for number in range(LAYERS):
            hidden = self.layer(f"decoder.layers.{number}", hidden, causal(IDS.shape[1]))
        return linear(self.norm("decoder.norm", hidden), self["words.weight"])

    def transformer(self) -> Tensor:
        memory = self.drop(self.with_sines(IDS))
        for number in range(LAYERS):
            memory = self.layer(f"encoder.layers.{number}", memory, KEEP[:, None, None, :])
        memory = self.norm("encoder.norm", memory) if self.pre_norm else memory
        hidden = self.drop(self.with_sines(TARGET))
        for number in range(LAYERS):
            name = f"decoder.layers.{number}"
            hidden = self.layer(name, hidden, causal(TARGET.shape[1]), memory, KEEP[:, None, None, :])
        hidden = self.norm("decoder.norm", hidden) if self.pre_norm else hidden
        return linear(hidden, self["words.weight"])

    def with_sines(self, ids: Tensor) -> Tensor:
        width = SIZES["hidden_size"]
        rates = 10000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.arange(ids.shape[1], dtype=torch.float64)[:, None] / rates
        sines = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
        return embedding(ids, self["words.weight"]) * math.sqrt(width) + sines


def causal(tokens: int) -> Tensor:
    return torch.ones(tokens, tokens, dtype=torch.bool).tril()


def randomized(model: nn.Module) -> nn.Module:
    """Random parameters everywhere, in float64, in training mode."""
    for place, parameter in enumerate(model.parameters()):
        parameter.data = 0.4 * normal(place, *parameter.shape)
    return model.double().train()


def bert_config(rates: dict[str, float]) -> BertConfig:
    return BertConfig(**{**SIZES, **rates}, num_hidden_layers=LAYERS).with_labels(["a", "b", "c"])


def gpt2_of(rates: dict[str, float], attention: str = "auto") -> GPT2LMHeadModel:
    return randomized(GPT2LMHeadModel(GPT2Config(**{**SIZES, **rates}, num_hidden_layers=LAYERS), attention))


def transformer_of(rates: dict[str, float], pre_norm: bool = False, attention: str = "auto") -> Transformer:
    config = TransformerConfig(**{**SIZES, **rates}, encoder_layers=LAYERS, decoder_layers=LAYERS, pre_norm=pre_norm)
    return randomized(Transformer(config, attention))


def both(seed: int, one: Callable[[], Tensor], other: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """The results of two functions that begin with the same random state."""
    torch.manual_seed(seed)
    first = one()
    torch.manual_seed(seed)
    return first, other()


paths = pytest.mark.parametrize("attention", ["explicit", "fused", "auto"])
rates_of_both_kinds = pytest.mark.parametrize("rates", RATES)

HEAD_MODELS = {
    BertForPreTraining: ("prediction_logits", lambda r, hidden: r.masked_lm(hidden)),
    BertForMaskedLM: ("logits", lambda r, hidden: r.masked_lm(hidden)),
    BertForNextSentencePrediction: ("logits", lambda r, hidden: r.linear("nsp", r.pooled(hidden))),
    BertForSequenceClassification: ("logits", lambda r, hidden: r.linear("classifier", r.drop(r.pooled(hidden)))),
    BertForTokenClassification: ("logits", lambda r, hidden: r.linear("classifier", r.drop(hidden))),
    BertForQuestionAnswering: ("start_logits", lambda r, hidden: r.linear("span", hidden)[..., 0]),
}
"""The output of each head, and its formula. Only the two classifiers have dropout of their own."""


class TestTraining:
    @paths
    @rates_of_both_kinds
    def test_bert_equals_its_formulas_with_the_same_dropout(self, attention: str, rates: dict[str, float]) -> None:
        """After the embeddings, on the attention weights, and on the output of both sublayers; nowhere else."""
        model = randomized(Bert(bert_config(rates), attention))
        found, expected = both(1, lambda: model(IDS, KEEP).last_hidden_state, Reference(model, rates).bert)
        torch.testing.assert_close(found, expected)

    @paths
    @rates_of_both_kinds
    def test_gpt2_equals_its_formulas_with_the_same_dropout(self, attention: str, rates: dict[str, float]) -> None:
        """After the sum of words and positions, on the attention weights, and on the output of both sublayers."""
        model = gpt2_of(rates, attention)
        found, expected = both(2, lambda: model(IDS).logits, Reference(model, rates, pre_norm=True).gpt2)
        torch.testing.assert_close(found, expected)

    @paths
    @rates_of_both_kinds
    @pytest.mark.parametrize("pre_norm", [False, True])
    def test_the_transformer_equals_its_formulas_with_the_same_dropout(
        self, attention: str, rates: dict[str, float], pre_norm: bool
    ) -> None:
        """In both stacks, cross-attention included, with the normalization before or after."""
        model = transformer_of(rates, pre_norm, attention)
        reference = Reference(model, rates, pre_norm)
        found, expected = both(3, lambda: model(IDS, KEEP, TARGET).logits, reference.transformer)
        torch.testing.assert_close(found, expected)

    @rates_of_both_kinds
    @pytest.mark.parametrize("kind", HEAD_MODELS)
    def test_heads_equal_their_formulas_with_the_same_dropout(self, kind: type[nn.Module], rates: dict[str, float]) -> None:
        """Before the classifiers there is dropout at the rate of the hidden states; the other heads have none.

        A recording computes all tokens of the last layer, as the formulas do.
        """
        model = randomized(kind(bert_config(rates)))
        field, head = HEAD_MODELS[kind]
        reference = Reference(model, rates)

        def recorded() -> Tensor:
            with record(model):
                return getattr(model(IDS, KEEP), field)

        found, expected = both(4, recorded, lambda: head(reference, reference.bert()))
        torch.testing.assert_close(found, expected)

    @rates_of_both_kinds
    def test_gradients_equal_those_of_the_formulas(self, rates: dict[str, float]) -> None:
        """The same elements are dropped in the backward pass."""
        model = transformer_of(rates)
        reference = Reference(model, rates)

        def gradients(function: Callable[[], Tensor]) -> Tensor:
            grads = torch.autograd.grad(function().square().sum(), list(model.parameters()))
            return torch.cat([grad.flatten() for grad in grads])

        found, expected = both(
            5, lambda: gradients(lambda: model(IDS, KEEP, TARGET).logits), lambda: gradients(reference.transformer)
        )
        torch.testing.assert_close(found, expected)


ONLY_HIDDEN = {HIDDEN: 0.3, WEIGHTS: 0.0}
WIDE = torch.randint(1, 23, (16, 16), generator=torch.Generator().manual_seed(0))


def share_dropped(found: Tensor, whole: Tensor, rate: float) -> float:
    """The share of zeros in `found`, each other element of which must be that of `whole`, scaled up."""
    dropped = found.abs() < 1e-9
    torch.testing.assert_close(found[~dropped], (whole / (1 - rate))[~dropped], rtol=1e-6, atol=1e-9)
    return dropped.double().mean().item()


def assert_rate(share: float, rate: float, draws: int) -> None:
    """Within five standard deviations."""
    assert abs(share - rate) < 5 * math.sqrt(rate * (1 - rate) / draws)


class TestPlaces:
    """Without the formulas, from recordings: a sum minus its other term is what dropout returned."""

    def test_the_output_of_attention_is_dropped_before_the_sum(self) -> None:
        """In BERT, where a normalization follows the sum."""
        torch.manual_seed(0)
        model = randomized(Bert(bert_config(ONLY_HIDDEN)))
        with record(model) as recording:
            model(WIDE)
        added = recording["layers.1.attention_residual"] - recording["layers.0.output"]
        assert_rate(share_dropped(added, recording["layers.1.attention.output"], 0.3), 0.3, added.numel())

    def test_the_output_of_cross_attention_is_dropped_before_the_sum(self) -> None:
        """In the decoder of the Transformer."""
        torch.manual_seed(0)
        model = transformer_of(ONLY_HIDDEN)
        with record(model) as recording:
            model(WIDE, decoder_input_ids=WIDE)
        layer = "decoder.layers.1"
        added = recording[f"{layer}.cross_attention_residual"] - recording[f"{layer}.attention_norm"]
        assert_rate(share_dropped(added, recording[f"{layer}.cross_attention.output"], 0.3), 0.3, added.numel())

    def test_the_output_of_the_feed_forward_network_is_dropped_before_the_sum(self) -> None:
        """In GPT-2, where nothing follows the sum."""
        torch.manual_seed(0)
        model = gpt2_of(ONLY_HIDDEN)
        with record(model) as recording:
            model(WIDE)
        layer = "decoder.layers.1"
        added = recording[f"{layer}.output"] - recording[f"{layer}.attention_residual"]
        assert_rate(share_dropped(added, recording[f"{layer}.feed_forward"], 0.3), 0.3, added.numel())

    @pytest.mark.parametrize("network", ["bert", "gpt2", "encoder", "decoder"])
    def test_the_embeddings_are_dropped_before_the_first_layer(self, network: str) -> None:
        """With an attention that returns zeros, the first sum of the first layer is the result of dropout."""
        torch.manual_seed(0)
        model, stack, whole = {
            "bert": lambda: (randomized(Bert(bert_config(ONLY_HIDDEN))), "", "embeddings.output"),
            "gpt2": lambda: (gpt2_of(ONLY_HIDDEN), "decoder.", "decoder.embeddings.sum"),
            "encoder": lambda: (transformer_of(ONLY_HIDDEN), "encoder.", "encoder.embeddings.sum"),
            "decoder": lambda: (transformer_of(ONLY_HIDDEN), "decoder.", "decoder.embeddings.sum"),
        }[network]()
        targets = {"decoder_input_ids": WIDE} if network in ("encoder", "decoder") else {}
        with record(model, edit={f"{stack}layers.0.attention.output": torch.zeros_like}) as recording:
            model(WIDE, **targets)
        found = recording[f"{stack}layers.0.attention_residual"]
        assert_rate(share_dropped(found, recording[whole], 0.3), 0.3, found.numel())

    @pytest.mark.parametrize("attention", ["explicit", "fused"])
    def test_attention_weights_are_dropped_and_not_the_context(self, attention: str) -> None:
        """With values that are one at one key each, the context is the weights: some are zero, the others scaled up."""
        width = SIZES["hidden_size"] // HEADS
        model = randomized(Bert(bert_config({HIDDEN: 0.0, WEIGHTS: 0.25}), attention))
        one_hot = torch.eye(width, dtype=torch.float64).expand(64, HEADS, width, width).clone()
        ids = torch.randint(1, 23, (64, width), generator=torch.Generator().manual_seed(1))
        value, context = "layers.0.attention.value", "layers.0.attention.context"
        torch.manual_seed(0)
        with record(model, edit={value: one_hot}) as training:
            model(ids)
        with record(model.eval(), edit={value: one_hot}) as evaluation:
            model(ids)
        share = share_dropped(training[context], evaluation[context], 0.25)
        assert_rate(share, 0.25, training[context].numel())


class TestEvaluation:
    @paths
    def test_nothing_is_dropped_in_evaluation_mode(self, attention: str) -> None:
        """High rates change nothing there: the results are those of the formulas without dropout."""
        high, none = {HIDDEN: 0.9, WEIGHTS: 0.9}, {HIDDEN: 0.0, WEIGHTS: 0.0}
        bert = randomized(Bert(bert_config(high), attention)).eval()
        torch.testing.assert_close(bert(IDS, KEEP).last_hidden_state, Reference(bert, none).bert())
        gpt2 = gpt2_of(high, attention).eval()
        torch.testing.assert_close(gpt2(IDS).logits, Reference(gpt2, none, pre_norm=True).gpt2())
        for pre_norm in (False, True):
            model = transformer_of(high, pre_norm, attention).eval()
            torch.testing.assert_close(model(IDS, KEEP, TARGET).logits, Reference(model, none, pre_norm).transformer())

    @pytest.mark.parametrize("kind", HEAD_MODELS)
    def test_no_head_drops_anything_in_evaluation_mode(self, kind: type[nn.Module]) -> None:
        """High rates change no head either."""
        model = randomized(kind(bert_config({HIDDEN: 0.9, WEIGHTS: 0.9}))).eval()
        field, head = HEAD_MODELS[kind]
        reference = Reference(model, {HIDDEN: 0.0, WEIGHTS: 0.0})
        torch.testing.assert_close(getattr(model(IDS, KEEP), field), head(reference, reference.bert()))

    def test_evaluation_mode_leaves_the_random_state_alone(self) -> None:
        """A forward pass draws no random numbers."""
        model = transformer_of({HIDDEN: 0.5, WEIGHTS: 0.5}).eval()
        before = torch.get_rng_state()
        model(IDS, KEEP, TARGET)
        assert torch.equal(torch.get_rng_state(), before)


def test_recomputed_layers_drop_the_same_twice() -> None:
    """With recomputation, outputs and gradients in training mode are those without it."""
    model = randomized(Bert(bert_config({HIDDEN: 0.3, WEIGHTS: 0.15})))

    def gradients(recompute: bool) -> Tensor:
        model.set_recompute(recompute)
        out = model(IDS, KEEP).last_hidden_state
        grads = torch.autograd.grad(out.square().sum(), list(model.parameters()), allow_unused=True)
        return torch.cat([out.flatten(), *(grad.flatten() for grad in grads if grad is not None)])

    found, expected = both(6, lambda: gradients(True), lambda: gradients(False))
    torch.testing.assert_close(found, expected)
