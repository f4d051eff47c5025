"""Initial weights of every network: the distribution, and its scale, of each parameter."""

import math

import pytest
import torch
from torch import Tensor, nn

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
)
from minibert.model.config import POSITIONS

SIZES = {
    "vocab_size": 101,
    "hidden_size": 48,
    "num_attention_heads": 3,
    "intermediate_size": 96,
    "max_position_embeddings": 40,
}
TRUNCATED = 0.87962566
"""Standard deviation of a standard normal distribution that is cut off at two standard deviations."""
BERTS = [
    Bert,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
]


def bert_config(**changed: object) -> BertConfig:
    return BertConfig(**{**SIZES, "num_hidden_layers": 2, **changed}).with_labels(["a", "b", "c"])


def parameters(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """The tables and matrices of a model, its biases, and the gains of its normalizations, by name."""
    named = {name: parameter.detach() for name, parameter in model.named_parameters()}
    return (
        {name: value for name, value in named.items() if value.dim() == 2},
        {name: value for name, value in named.items() if value.dim() == 1 and name.endswith("bias")},
        {name: value for name, value in named.items() if value.dim() == 1 and not name.endswith("bias")},
    )


def is_residual_projection(name: str) -> bool:
    """Select the matrices of GPT-2 that have their result added to the residual stream."""
    return name.endswith(("attention.output.weight", "feed_forward.output.weight"))


def is_table(name: str) -> bool:
    """Select the tables of embeddings among the matrices of the Transformer."""
    return name == "words.weight" or "positions" in name


def assert_normal(name: str, value: Tensor, std: float) -> None:
    """Mean and standard deviation within five standard errors, and some elements beyond two standard deviations."""
    count = value.numel()
    assert abs(value.std().item() / std - 1) < 5 / math.sqrt(2 * count), name
    assert abs(value.mean().item()) < 5 * std / math.sqrt(count), name
    if count > 1000:
        assert value.abs().max() > 2.2 * std, name


def assert_truncated_normal(name: str, value: Tensor, std: float) -> None:
    """None beyond two standard deviations; mean and standard deviation of what then is left, within five standard errors."""
    count = value.numel()
    assert value.abs().max() <= 2 * std * (1 + 1e-6), name
    assert abs(value.std().item() / (TRUNCATED * std) - 1) < 5 / math.sqrt(2 * count), name
    assert abs(value.mean().item()) < 5 * std / math.sqrt(count), name
    if count > 1000:
        assert value.abs().max() > 1.8 * std, name


def assert_plain(biases: dict[str, Tensor], gains: dict[str, Tensor]) -> None:
    assert biases
    assert gains
    assert not [name for name, value in biases.items() if value.any()]
    assert not [name for name, value in gains.items() if not (value == 1).all()]


class TestBert:
    @pytest.mark.parametrize("tied", [True, False])
    @pytest.mark.parametrize("std", [0.02, 0.3])
    @pytest.mark.parametrize("kind", BERTS)
    def test_matrices_are_truncated_normal_biases_zero_and_gains_one(
        self, kind: type[nn.Module], std: float, tied: bool
    ) -> None:
        """Every table and every matrix, those of the heads included, at the scale of `initializer_range`."""
        torch.manual_seed(0)
        matrices, biases, gains = parameters(kind(bert_config(initializer_range=std, tie_word_embeddings=tied)))
        for name, value in matrices.items():
            assert_truncated_normal(name, value, std)
        assert_plain(biases, gains)

    @pytest.mark.parametrize("kind", BERTS)
    def test_a_range_of_zero_gives_zeros(self, kind: type[nn.Module]) -> None:
        """Every matrix is zero, and none is NaN."""
        matrices, biases, gains = parameters(kind(bert_config(initializer_range=0.0)))
        assert not [name for name, value in matrices.items() if value.count_nonzero()]
        assert_plain(biases, gains)

    def test_the_vector_of_the_padding_piece_is_like_any_other(self) -> None:
        """As in Google's code, it does not start at zero."""
        torch.manual_seed(0)
        words = parameters(Bert(bert_config(pad_token_id=3)))[0]["embeddings.words.weight"]
        assert (words.abs().amax(dim=1) > 0.01).all()

    def test_no_two_matrices_are_the_same(self) -> None:
        """Every matrix is drawn independently, in every layer."""
        torch.manual_seed(0)
        matrices = parameters(BertForPreTraining(bert_config()))[0]
        firsts = [tuple(value.flatten()[:5].tolist()) for value in matrices.values()]
        assert len(set(firsts)) == len(firsts)


class TestGPT2:
    @pytest.mark.parametrize("tied", [True, False])
    @pytest.mark.parametrize(("layers", "std"), [(1, 0.02), (3, 0.02), (3, 0.2)])
    def test_residual_projections_are_scaled_down_by_the_depth(self, layers: int, std: float, tied: bool) -> None:
        """By the root of twice the number of layers, two in each; all else is truncated normal, biases zero and gains one."""
        torch.manual_seed(0)
        config = GPT2Config(**SIZES, num_hidden_layers=layers, initializer_range=std, tie_word_embeddings=tied)
        matrices, biases, gains = parameters(GPT2LMHeadModel(config))
        assert sum(map(is_residual_projection, matrices)) == 2 * layers
        for name, value in matrices.items():
            if is_residual_projection(name):
                assert_normal(name, value, std / math.sqrt(2 * layers))
            else:
                assert_truncated_normal(name, value, std)
        assert_plain(biases, gains)

    def test_a_range_of_zero_gives_zeros(self) -> None:
        """Every matrix is zero, and none is NaN."""
        config = GPT2Config(**SIZES, num_hidden_layers=2, initializer_range=0.0, tie_word_embeddings=False)
        matrices, biases, gains = parameters(GPT2LMHeadModel(config))
        assert not [name for name, value in matrices.items() if value.count_nonzero()]
        assert_plain(biases, gains)


class TestTransformer:
    @pytest.mark.parametrize("std", [0.02, 0.0])
    @pytest.mark.parametrize("kind", [{"positions": kind} for kind in POSITIONS] + [{"pre_norm": True}], ids=str)
    def test_matrices_are_uniform_after_glorot_and_tables_normal(self, kind: dict[str, object], std: float) -> None:
        """Up to the root of 6 / (in + out); a standard deviation of d_model^-0.5. `initializer_range` has no part in it."""
        torch.manual_seed(0)
        config = TransformerConfig(**SIZES, encoder_layers=2, decoder_layers=2, initializer_range=std, **kind)
        matrices, biases, gains = parameters(Transformer(config))
        for name, value in matrices.items():
            if is_table(name):
                assert_normal(name, value, SIZES["hidden_size"] ** -0.5)
            else:
                bound = math.sqrt(6 / sum(value.shape))
                assert 0.99 * bound < value.abs().max() <= bound, name
                assert value.std().item() == pytest.approx(bound / math.sqrt(3), rel=5 / math.sqrt(2 * value.numel())), name
        assert_plain(biases, gains)
        assert sum(map(is_table, matrices)) == (3 if kind.get("positions") == "learned" else 1)
