"""Tests of `MultiHeadAttention`: equality with the equation, gradients, and independence of the queries."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from minibert.equations import multi_head_attention, scaled_dot_product_attention
from minibert.model.attention import MultiHeadAttention
from minibert.model.positions import AlibiPositions
from minibert.observe import record
from tests import reference
from tests.strategies import masks, normal, seeds

attention_paths = pytest.mark.parametrize("attention", ["explicit", "fused"])


def random_attention(seed: int, heads: int, head_width: int, attention: str, dropout: float = 0.0) -> MultiHeadAttention:
    """Create attention with random weights and biases, in float64 and in evaluation mode."""
    torch.manual_seed(seed)
    module = MultiHeadAttention(heads * head_width, heads, dropout, attention).double().eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def weight_and_bias(layer: torch.nn.Linear) -> np.ndarray:
    """Return the weight matrix as the paper uses it (x @ W), with the bias as the last row."""
    return torch.cat([layer.weight.T, layer.bias[None]]).detach().numpy()


def append_one(x: Tensor) -> np.ndarray:
    """Append a 1 to each token, so that the last row of a weight matrix acts as a bias."""
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=-1).numpy()


class TestMultiHeadAttention:
    @attention_paths
    @settings(max_examples=40)
    @given(heads=st.integers(1, 3), head_width=st.integers(1, 3), queries=st.integers(1, 4), seed=seeds, data=st.data())
    def test_value(self, attention: str, heads: int, head_width: int, queries: int, seed: int, data: st.DataObject) -> None:
        """The output equals the formula in loops, with biases. Dropout has no effect in evaluation mode."""
        module = random_attention(seed, heads, head_width, attention, dropout=0.5)
        x, y = normal(seed, queries, heads * head_width), normal(seed + 1, 3, heads * head_width)
        keep = data.draw(masks((), queries, 3))
        out = module(x[None], y[None], keep[None, None])[0].detach().numpy()
        identity = np.eye(heads * head_width)  # no output projection here: W_O and its bias are applied below
        context = reference.multi_head_attention(
            append_one(x),
            append_one(y),
            *map(weight_and_bias, (module.query, module.key, module.value)),
            identity,
            heads,
            keep.numpy(),
        )
        expected = context @ module.output.weight.detach().numpy().T + module.output.bias.detach().numpy()
        np.testing.assert_allclose(out, expected, atol=1e-9)

    @attention_paths
    @given(seed=seeds)
    def test_value_of_given_keys_and_values(self, attention: str, seed: int) -> None:
        """Projected keys and values may be given as a tuple, the keys first."""
        module = random_attention(seed, 1, 3, attention)
        x, key, value = normal(seed, 1, 2, 3), normal(seed + 1, 1, 1, 4, 3), normal(seed + 2, 1, 1, 4, 3)
        context = scaled_dot_product_attention(module.query(x)[:, None], key, value)
        torch.testing.assert_close(module(x, (key, value)), module.output(context[:, 0]))

    @attention_paths
    @given(seed=seeds)
    def test_given_keys_and_values_are_those_of_the_tokens(self, attention: str, seed: int) -> None:
        """The tokens and their projected keys and values give the same output."""
        module = random_attention(seed, 2, 3, attention)
        x, y = normal(seed, 1, 3, 6), normal(seed + 1, 1, 4, 6)
        torch.testing.assert_close(module(x, module.keys_and_values(y)), module(x, y))

    @attention_paths
    def test_gradient(self, attention: str) -> None:
        """Gradients with respect to the query tokens and the key tokens."""
        module = random_attention(0, 2, 2, attention)
        assert gradcheck(module, [normal(seed, 1, 2 + seed, 4).requires_grad_() for seed in range(2)])

    @attention_paths
    @settings(max_examples=5)
    @given(seed=seeds)
    def test_layer_is_the_equation_with_a_mask(self, attention: str, seed: int) -> None:
        """Without biases, the layer is multi-head attention with the transposes of its weights."""
        module = random_attention(seed, 2, 3, attention)
        projections = module.query, module.key, module.value, module.output
        with torch.no_grad():
            for projection in projections:
                projection.bias.zero_()
        x, y = normal(seed, 2, 3, 6), normal(seed + 1, 2, 3, 6)
        keep = torch.tensor([[True, True, False], [True, False, True]])[:, None, :]
        expected = multi_head_attention(x, y, *(projection.weight.T for projection in projections), heads=2, keep=keep)
        torch.testing.assert_close(module(x, y, keep[:, None]), expected)

    @attention_paths
    @given(seed=seeds)
    def test_queries_are_independent(self, attention: str, seed: int) -> None:
        """The output for a token depends on this token and on the keys, but not on the other query tokens."""
        module = random_attention(seed, 2, 3, attention)
        x, y = normal(seed, 1, 3, 6), normal(seed + 1, 1, 4, 6)
        changed = x.clone()
        changed[:, 0] += 1
        torch.testing.assert_close(module(changed, y)[:, 1:], module(x, y)[:, 1:])
        assert (module(x, y + 1) != module(x, y)).any()

    @attention_paths
    @given(seed=seeds)
    def test_evaluation_is_deterministic(self, attention: str, seed: int) -> None:
        """Two calls agree bit for bit in evaluation mode. In training mode, dropout makes them differ."""
        module = random_attention(seed, 2, 3, attention, dropout=0.5)
        x = normal(seed, 1, 5, 6)
        torch.testing.assert_close(module(x, x), module(x, x), rtol=0, atol=0)
        module.train()
        assert (module(x, x) != module(x, x)).any()


def test_a_new_layer_has_no_dropout_and_chooses_its_implementation() -> None:
    layer = MultiHeadAttention(4, 2)
    assert (layer.dropout_probability, layer.implementation) == (0, "auto")


def test_an_unknown_implementation_is_refused() -> None:
    """When it is chosen, not when it is used."""
    layer = MultiHeadAttention(4, 2)
    with pytest.raises(ValueError, match="flash"):
        layer.set_attention("flash")
    assert layer.implementation == "auto"


@pytest.mark.parametrize("step", ["query", "key", "value", "merged", "output"])
def test_what_an_edit_replaces_is_used_in_the_next_steps(step: str) -> None:
    module, x = random_attention(0, 2, 3, "explicit"), normal(1, 2, 4, 6)
    before = module(x, x)
    with record(module, edit={step: lambda tensor: tensor * torch.linspace(0, 1, tensor.shape[-1]).double()}):
        after = module(x, x)
    assert not torch.isclose(after, before).all()


def test_only_with_alibi_a_function_of_the_user_has_a_bias() -> None:
    """Without it, the function needs no such argument. With it, the bias is that of the positions."""
    x, positions = normal(1, 2, 4, 6), torch.arange(4)[None]
    module = random_attention(0, 2, 3, "explicit")
    expected = module(x, x)
    module.set_attention(lambda query, key, value, keep, dropout: scaled_dot_product_attention(query, key, value, keep))
    torch.testing.assert_close(module(x, x), expected)
    biases = []

    def attend(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None, dropout: float, bias: Tensor) -> Tensor:
        biases.append(bias)
        return scaled_dot_product_attention(query, key, value, keep, bias=bias)

    module.set_attention(attend)
    relative = AlibiPositions(2).relative(positions, positions, torch.float64)
    assert not torch.isclose(module(x, x, relative_positions=relative), expected).all()
    assert biases[0] is relative.score_bias


def test_the_text_has_the_name_of_the_implementation() -> None:
    """That of a function, if it has a name."""
    module = MultiHeadAttention(4, 2, 0.25, "fused")
    assert module.extra_repr() == "heads=2, dropout=0.25, attention=fused"
    module.set_attention(torch.add)
    assert module.extra_repr() == "heads=2, dropout=0.25, attention=add"
