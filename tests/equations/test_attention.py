"""Softmax, masks, attention and heads: values, gradients, and properties that follow from the formulas."""

import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from minibert.equations import (
    causal_mask,
    merge_heads,
    multi_head_attention,
    online_softmax_attention,
    padding_mask,
    scaled_dot_product_attention,
    softmax,
    split_heads,
)
from tests import reference
from tests.strategies import AttentionInputs, attention_inputs, half_precisions, masks, normal, seeds, tensors


class TestSoftmax:
    @given(tensors(axes=2, smallest=0))
    def test_value(self, x: Tensor) -> None:
        """The result equals the formula in loops."""
        np.testing.assert_allclose(softmax(x).numpy(), reference.softmax(x.numpy()), atol=1e-12)

    def test_gradient(self) -> None:
        """The first and second derivatives are those of the formula."""
        x = normal(0, 2, 5).requires_grad_()
        assert gradcheck(softmax, x)
        assert gradgradcheck(softmax, x)

    @given(tensors(axes=3, magnitude=1e4, smallest=0))
    def test_weights_are_a_distribution(self, x: Tensor) -> None:
        """For any scores, the weights are at least zero and sum to one along the last axis."""
        weights = softmax(x)
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))

    @given(tensors(axes=2), st.floats(-1e3, 1e3))
    def test_adding_a_constant_changes_nothing(self, x: Tensor, shift: float) -> None:
        """softmax(x + c) = softmax(x), with a different constant c for each row."""
        shifts = shift * torch.arange(len(x), dtype=x.dtype)[:, None]
        torch.testing.assert_close(softmax(x + shifts), softmax(x))

    @given(st.integers(1, 6), st.floats(-5, 5))
    def test_equal_scores_have_equal_weights(self, choices: int, score: float) -> None:
        """Each of n equal scores has the weight 1/n."""
        weights = softmax(torch.full((2, choices), score, dtype=torch.float64))
        torch.testing.assert_close(weights, torch.full_like(weights, 1 / choices))

    @given(tensors(axes=2))
    def test_log_ratios_are_score_differences(self, x: Tensor) -> None:
        """log(p_i / p_j) = x_i - x_j."""
        logs = softmax(x).log()
        torch.testing.assert_close(logs - logs[:, :1], x - x[:, :1])

    @given(tensors(axes=3))
    def test_rows_are_independent(self, x: Tensor) -> None:
        """A single row has the same softmax as in a batch."""
        torch.testing.assert_close(softmax(x)[0, 0], softmax(x[0, 0]))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_largest_scores_do_not_overflow(self, dtype: torch.dtype) -> None:
        """For a score at the end of the dtype's range, the result and its gradient are finite."""
        largest = torch.finfo(dtype).max
        x = torch.tensor([largest, -largest], dtype=dtype, requires_grad=True)
        torch.testing.assert_close(softmax(x), torch.tensor([1.0, 0.0], dtype=dtype))
        softmax(x)[0].backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()

    def test_empty_row(self) -> None:
        """Without scores there are no weights, and no error."""
        assert softmax(torch.zeros(3, 0)).shape == (3, 0)


class TestCausalMask:
    @given(st.integers(0, 8))
    def test_value(self, tokens: int) -> None:
        """The result equals the definition in loops."""
        np.testing.assert_array_equal(causal_mask(tokens).numpy(), reference.causal_mask(tokens))

    @given(st.integers(1, 8), st.data(), seeds)
    def test_outputs_depend_on_the_present_and_the_past_only(self, tokens: int, data: st.DataObject, seed: int) -> None:
        """Changing the value at position t changes the outputs from t on, and no output before t."""
        index = data.draw(st.integers(0, tokens - 1))
        x = normal(seed, tokens, 3)
        changed = x.clone()
        changed[index] += 1
        before, after = (scaled_dot_product_attention(x, x, value, causal_mask(tokens)) for value in (x, changed))
        different = (before != after).any(-1)
        assert not different[:index].any()
        assert different[index:].all()


class TestPaddingMask:
    @given(st.lists(st.integers(0, 6), max_size=4))
    def test_value(self, lengths: list[int]) -> None:
        """The result equals the definition in loops, with axes for the batch and the queries."""
        keep = padding_mask(torch.tensor(lengths, dtype=torch.int64), tokens=6)
        np.testing.assert_array_equal(keep.numpy(), reference.padding_mask(lengths, 6))

    @given(st.integers(1, 5), st.integers(0, 4), seeds)
    def test_padding_has_no_influence(self, length: int, padding: int, seed: int) -> None:
        """A sequence has the same outputs with and without padding, for any content of the padding."""
        x = normal(seed, length + padding, 3)
        keep = padding_mask(torch.tensor(length), length + padding)
        padded = scaled_dot_product_attention(x, x, x, keep)[:length]
        torch.testing.assert_close(padded, scaled_dot_product_attention(x[:length], x[:length], x[:length]))


class TestScaledDotProductAttention:
    @given(attention_inputs(smallest=0))
    def test_value(self, inputs: AttentionInputs) -> None:
        """The result equals the formula in loops, for any number of batch axes and for rows with every key masked."""
        query, key, value, keep = inputs
        out = scaled_dot_product_attention(query, key, value, keep)
        for index in np.ndindex(query.shape[:-2]):
            expected = reference.attention(*(x[index].numpy() for x in (query, key, value, keep)))
            np.testing.assert_allclose(out[index].numpy(), expected, atol=1e-12)

    @given(attention_inputs(), seeds)
    def test_value_with_a_bias(self, inputs: AttentionInputs, seed: int) -> None:
        """The bias is added to the scores before the softmax, and has no effect on masked keys."""
        query, key, value, keep = inputs
        bias = normal(seed, *keep.shape)
        out = scaled_dot_product_attention(query, key, value, keep, bias=bias)
        for index in np.ndindex(query.shape[:-2]):
            expected = reference.attention(*(x[index].numpy() for x in (query, key, value, keep, bias)))
            np.testing.assert_allclose(out[index].numpy(), expected, atol=1e-12)

    @given(seeds, st.sampled_from([0.1, 0.5, 0.9]))
    def test_value_with_dropout(self, seed: int, dropout: float) -> None:
        """A weight that is not dropped is divided by 1 - p. The values are unit vectors, so the output is the weights."""
        query, key, value = normal(seed, 3, 2), normal(seed + 1, 4, 2), torch.eye(4, dtype=torch.float64)
        torch.manual_seed(seed)
        weights = scaled_dot_product_attention(query, key, value, dropout=dropout).numpy()
        expected = reference.attention(query.numpy(), key.numpy(), value.numpy(), np.ones((3, 4), dtype=bool)) / (1 - dropout)
        np.testing.assert_allclose(weights, np.where(weights == 0, 0.0, expected), atol=1e-12)

    @settings(max_examples=20)
    @given(attention_inputs(largest=3))
    def test_gradient(self, inputs: AttentionInputs) -> None:
        """The derivative is that of the formula. It is zero, not NaN, for a query with every key masked."""
        query, key, value, keep = inputs
        leaves = [x.clone().requires_grad_() for x in (query, key, value)]
        assert gradcheck(lambda q, k, v: scaled_dot_product_attention(q, k, v, keep), leaves)

    def test_gradient_with_a_bias_and_dropout(self) -> None:
        """The same weights are dropped in every call."""
        shapes = ((2, 3, 4), (2, 5, 4), (2, 5, 2), (2, 3, 5))
        leaves = [normal(seed, *shape).requires_grad_() for seed, shape in enumerate(shapes)]

        def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
            torch.manual_seed(0)
            return scaled_dot_product_attention(query, key, value, dropout=0.4, bias=bias)

        assert gradcheck(attend, leaves)

    def test_gradient_of_the_gradient(self) -> None:
        """The second derivative is that of the formula, with a row in which every key is masked."""
        leaves = [normal(seed, 3, 2).requires_grad_() for seed in range(3)]
        keep = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
        assert gradgradcheck(lambda q, k, v: scaled_dot_product_attention(q, k, v, keep), leaves)

    @given(attention_inputs())
    def test_no_mask_equals_a_mask_of_true(self, inputs: AttentionInputs) -> None:
        """`keep=None` and a mask of True give the same result."""
        query, key, value, keep = inputs
        everything = scaled_dot_product_attention(query, key, value, torch.ones_like(keep))
        torch.testing.assert_close(scaled_dot_product_attention(query, key, value), everything)

    @given(attention_inputs(), seeds)
    def test_masked_keys_have_no_influence(self, inputs: AttentionInputs, seed: int) -> None:
        """If key j is masked for every query, changing k_j and v_j changes neither the output nor any other gradient."""
        query, key, value, keep = inputs
        masked = ~keep.any(dim=-2)
        assume(masked.any())
        noise, value_noise = 1e3 * normal(seed, *key.shape), 1e3 * normal(seed + 1, *value.shape)
        results = []
        for key_, value_ in (
            (key, value),
            (torch.where(masked[..., None], noise, key), torch.where(masked[..., None], value_noise, value)),
        ):
            leaves = [x.clone().requires_grad_() for x in (query, key_, value_)]
            out = scaled_dot_product_attention(*leaves, keep)
            out.square().sum().backward()
            gradients = [leaf.grad for leaf in leaves]
            assert not gradients[1][masked].any()
            assert not gradients[2][masked].any()
            results.append([out, *gradients])
        for before, after in zip(*results, strict=True):
            torch.testing.assert_close(before, after)

    @given(attention_inputs(), seeds)
    def test_moving_all_keys_by_one_vector_changes_nothing(self, inputs: AttentionInputs, seed: int) -> None:
        """If the same vector c is added to all keys, each score of a query q grows by the same q·c."""
        query, key, value, keep = inputs
        moved = key + normal(seed, key.shape[-1])
        torch.testing.assert_close(
            scaled_dot_product_attention(query, moved, value, keep), scaled_dot_product_attention(query, key, value, keep)
        )

    @given(attention_inputs())
    def test_output_is_a_convex_combination_of_the_kept_values(self, inputs: AttentionInputs) -> None:
        """The output is between the smallest and the largest kept value. Weights sum to 1, or 0 if every key is masked."""
        query, key, value, keep = inputs
        out = scaled_dot_product_attention(query, key, value, keep)
        kept = keep[..., None] & torch.ones_like(value, dtype=torch.bool)[..., None, :, :]
        values = value[..., None, :, :].expand(kept.shape)
        lowest = values.masked_fill(~kept, math.inf).amin(-2)
        highest = values.masked_fill(~kept, -math.inf).amax(-2)
        some = keep.any(-1, keepdim=True)
        assert ((out >= lowest - 1e-9) & (out <= highest + 1e-9) | ~some).all()
        ones = torch.where(keep.any(dim=-2)[..., None], 1.0, 7e5).to(value.dtype).expand_as(value)
        out = scaled_dot_product_attention(query, key, ones, keep)
        torch.testing.assert_close(out, some.to(out.dtype).expand_as(out))

    @given(attention_inputs(), seeds)
    def test_key_order_has_no_influence_and_query_order_is_preserved(self, inputs: AttentionInputs, seed: int) -> None:
        """Permuting keys and values together changes nothing. Permuting the queries permutes the outputs."""
        query, key, value, keep = inputs
        generator = torch.Generator().manual_seed(seed)
        out = scaled_dot_product_attention(query, key, value, keep)
        order = torch.randperm(key.shape[-2], generator=generator)
        shuffled = scaled_dot_product_attention(query, key[..., order, :], value[..., order, :], keep[..., order])
        torch.testing.assert_close(shuffled, out)
        order = torch.randperm(query.shape[-2], generator=generator)
        shuffled = scaled_dot_product_attention(query[..., order, :], key, value, keep[..., order, :])
        torch.testing.assert_close(shuffled, out[..., order, :])

    @given(attention_inputs())
    def test_heads_and_sequences_are_independent(self, inputs: AttentionInputs) -> None:
        """Every head of every sequence has the same output alone as together with the others."""
        together = scaled_dot_product_attention(*inputs)
        parts = zip(*(x.reshape(-1, *x.shape[-2:]) for x in inputs), strict=True)
        alone = torch.stack([scaled_dot_product_attention(*part) for part in parts])
        torch.testing.assert_close(alone.view_as(together), together)

    @given(st.integers(1, 20), st.integers(2, 5), seeds)
    def test_log_ratios_of_weights_are_scaled_score_differences(self, width: int, keys: int, seed: int) -> None:
        """log(w_i / w_j) = q·(k_i - k_j) / √d_k. The values are unit vectors, so the output is the weights."""
        query, key = normal(seed, 1, width), normal(seed + 1, keys, width)
        logs = scaled_dot_product_attention(query, key, torch.eye(keys, dtype=torch.float64)).log()
        expected = (query @ (key - key[:1]).T) / width**0.5
        torch.testing.assert_close(logs - logs[:, :1], expected)

    @given(attention_inputs())
    def test_scores_are_scaled_by_the_root_of_the_width(self, inputs: AttentionInputs) -> None:
        """Repeating queries and keys along the width multiplies the scores by √2: not by 2, and not by 1."""
        query, key, value, keep = inputs
        twice = scaled_dot_product_attention(torch.cat([query, query], -1), torch.cat([key, key], -1), value, keep)
        torch.testing.assert_close(twice, scaled_dot_product_attention(math.sqrt(2) * query, key, value, keep))

    @given(attention_inputs())
    def test_empty_rows_give_zeros_and_no_gradient(self, inputs: AttentionInputs) -> None:
        """A query that may attend to no key has the output zero and the gradient zero."""
        query, key, value, _ = inputs
        keep = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool)
        keep[0] = False
        query = query.clone().requires_grad_()
        out = scaled_dot_product_attention(query, key, value, keep)
        out.square().sum().backward()
        assert query.grad is not None
        assert query.grad.isfinite().all()
        assert not out[..., 0, :].any()
        assert not query.grad[..., 0, :].any()

    @given(attention_inputs(), half_precisions)
    def test_half_precision_is_close_and_finite(self, inputs: AttentionInputs, dtype: torch.dtype) -> None:
        """The error is a few units in the last place, and gradients are finite, for every mask."""
        query, key, value, keep = inputs
        leaves = [x.to(dtype).requires_grad_() for x in (query, key, value)]
        out = scaled_dot_product_attention(*leaves, keep)
        expected = scaled_dot_product_attention(*(x.detach().double() for x in leaves), keep)
        scores = (query.abs() @ key.abs().mT).amax().item()
        error = (out.double() - expected).abs().max().item()
        assert error <= 16 * torch.finfo(dtype).eps * (1 + scores) * value.abs().max().item() + 1e-6
        out.sum().backward()
        assert all(leaf.grad.isfinite().all() for leaf in leaves)

    @given(half_precisions, st.sampled_from([1e3, 1e4]), seeds)
    def test_large_queries_and_keys_in_half_precision(self, dtype: torch.dtype, size: float, seed: int) -> None:
        """Where the product of a query and a key overflows float16, the output is still a mean of values, with a gradient."""
        query, key, value = (x.to(dtype).requires_grad_() for x in normal(seed, 3, 4, 8) * size)
        out = scaled_dot_product_attention(query, key, value)
        assert (out <= value.amax(dim=0)).all()
        assert (out >= value.amin(dim=0)).all()
        (out / size).sum().backward()
        assert all(x.grad.isfinite().all() for x in (query, key, value))

    @given(half_precisions, st.floats(1e3, 3e4))
    def test_mask_works_for_any_score(self, dtype: torch.dtype, score: float) -> None:
        """A masked key has weight zero even if its score is larger by tens of thousands; a mask of -1e4 would fail."""
        query, key = torch.tensor([[1.0]], dtype=dtype), torch.tensor([[-score], [score]], dtype=dtype)
        value = torch.tensor([[1.0], [5.0]], dtype=dtype)
        assert scaled_dot_product_attention(query, key, value, torch.tensor([[True, False]])).item() == 1.0

    def test_dropout_drops_weights_and_keeps_the_mean(self) -> None:
        """With probability p a weight is zero; otherwise it is multiplied by 1/(1-p)."""
        torch.manual_seed(0)
        query, key = torch.zeros(2000, 4), torch.zeros(10, 4)
        weights = scaled_dot_product_attention(query, key, torch.eye(10), dropout=0.25)
        dropped = (weights == 0).float().mean().item()
        assert abs(dropped - 0.25) < 4 * math.sqrt(0.25 * 0.75 / weights.numel())
        torch.testing.assert_close(weights[weights != 0], torch.full_like(weights[weights != 0], 0.1 / 0.75))


HEADS = {"heads": st.integers(1, 4), "tokens": st.integers(0, 5), "width": st.integers(1, 4), "seed": seeds}


class TestSplitHeads:
    @given(**HEADS)
    def test_value(self, heads: int, tokens: int, width: int, seed: int) -> None:
        """Each head has its own columns of every token, with and without batch axes."""
        x = normal(seed, 2, tokens, heads * width)
        for batch in range(2):
            expected = reference.split_heads(x[batch].numpy(), heads)
            np.testing.assert_array_equal(split_heads(x, heads)[batch].numpy(), expected)
            np.testing.assert_array_equal(split_heads(x[batch], heads).numpy(), expected)

    def test_gradient(self) -> None:
        """Splitting only moves numbers, and so does its gradient."""
        assert gradcheck(lambda x: split_heads(x, 2), normal(0, 3, 4).requires_grad_())

    @given(st.integers(1, 4), st.integers(2, 5), st.integers(1, 4), seeds)
    def test_tokens_are_not_mixed(self, heads: int, tokens: int, width: int, seed: int) -> None:
        """Changing one token changes that token in every head, and no other token."""
        x = normal(seed, tokens, heads * width)
        changed = x.clone()
        changed[1] += 1
        different = split_heads(changed, heads) != split_heads(x, heads)
        assert different.shape == (heads, tokens, width)
        assert different[:, 1].all()
        assert not different[:, torch.arange(tokens) != 1].any()


class TestMergeHeads:
    @given(**HEADS)
    def test_value(self, heads: int, tokens: int, width: int, seed: int) -> None:
        """Column h·d + c of token t is column c of token t in head h."""
        x = normal(seed, heads, tokens, width)
        np.testing.assert_array_equal(merge_heads(x).numpy(), reference.merge_heads(x.numpy()))

    def test_gradient(self) -> None:
        """Merging only moves numbers, and so does its gradient."""
        assert gradcheck(merge_heads, normal(0, 2, 3, 2).requires_grad_())

    @given(**HEADS)
    def test_merging_is_the_inverse_of_splitting(self, heads: int, tokens: int, width: int, seed: int) -> None:
        """Merging after splitting and splitting after merging both give back the input."""
        x = normal(seed, 2, heads, tokens, width)
        torch.testing.assert_close(split_heads(merge_heads(x), heads), x, rtol=0, atol=0)
        y = normal(seed, tokens, heads * width)
        torch.testing.assert_close(merge_heads(split_heads(y, heads)), y, rtol=0, atol=0)


MultiHeadInputs = tuple[Tensor, Tensor, list[Tensor], int, Tensor]


@st.composite
def multi_head_inputs(draw: st.DrawFn) -> MultiHeadInputs:
    """Draw tokens of queries and keys, W_Q, W_K, W_V, W_O, the number of heads, and a mask."""
    heads, d_k, d_v, width = draw(st.tuples(st.integers(1, 3), *[st.integers(1, 3)] * 3))
    queries, keys = draw(st.tuples(*[st.integers(1, 4)] * 2))
    seed = draw(seeds)
    shapes = [(queries, width), (keys, width + 1)]
    shapes += [(width, heads * d_k), (width + 1, heads * d_k), (width + 1, heads * d_v), (heads * d_v, width)]
    x, y, *matrices = (normal(seed + number, *shape) for number, shape in enumerate(shapes))
    return x, y, matrices, heads, draw(masks((), queries, keys))


class TestMultiHeadAttention:
    @given(multi_head_inputs())
    def test_value(self, inputs: MultiHeadInputs) -> None:
        """The result equals the formula in loops, for queries and keys of different lengths and widths."""
        x, y, matrices, heads, keep = inputs
        expected = reference.multi_head_attention(
            x.numpy(), y.numpy(), *(w.numpy() for w in matrices), heads=heads, keep=keep.numpy()
        )
        np.testing.assert_allclose(multi_head_attention(x, y, *matrices, heads, keep).numpy(), expected, atol=1e-9)

    def test_value_of_several_texts(self) -> None:
        """Every text has its own mask, which all its heads share."""
        x, matrices = normal(0, 3, 4, 6), [normal(seed, 6, 6) for seed in range(4)]
        keep = torch.ones(3, 1, 4, dtype=torch.bool)
        keep[0, :, 2:] = False
        found = multi_head_attention(x, x, *matrices, 2, keep)
        for text, own, mask in zip(x, found, keep.expand(3, 4, 4), strict=True):
            expected = reference.multi_head_attention(
                text.numpy(), text.numpy(), *(w.numpy() for w in matrices), heads=2, keep=mask.numpy()
            )
            np.testing.assert_allclose(own.numpy(), expected, atol=1e-9)

    def test_gradient(self) -> None:
        """The first and second derivatives are right with respect to the tokens and all four matrices."""
        leaves = [normal(seed, *shape).requires_grad_() for seed, shape in enumerate([(2, 4), (3, 4), *[(4, 4)] * 4])]
        assert gradcheck(lambda *args: multi_head_attention(*args, heads=2), leaves)
        assert gradgradcheck(lambda *args: multi_head_attention(*args, heads=2), leaves)

    @given(multi_head_inputs(), seeds)
    def test_head_order_has_no_influence(self, inputs: MultiHeadInputs, seed: int) -> None:
        """Permuting the heads in the projections and in W_O alike changes nothing."""
        x, y, (w_q, w_k, w_v, w_o), heads, keep = inputs
        order = torch.randperm(heads, generator=torch.Generator().manual_seed(seed))
        by_columns = [w.unflatten(-1, (heads, -1))[:, order].flatten(-2) for w in (w_q, w_k, w_v)]
        by_rows = w_o.unflatten(0, (heads, -1))[order].flatten(0, 1)
        torch.testing.assert_close(
            multi_head_attention(x, y, *by_columns, by_rows, heads, keep),
            multi_head_attention(x, y, w_q, w_k, w_v, w_o, heads, keep),
        )

    @given(attention_inputs())
    def test_one_head_with_identity_projections_is_plain_attention(self, inputs: AttentionInputs) -> None:
        """With identity matrices for W_Q, W_K, W_V and W_O the result is scaled dot-product attention."""
        x, y, _, keep = inputs
        one = torch.eye(x.shape[-1], dtype=x.dtype)
        torch.testing.assert_close(
            multi_head_attention(x, y, one, one, one, one, 1, keep), scaled_dot_product_attention(x, y, y, keep)
        )

    @given(multi_head_inputs(), st.integers(2, 3))
    def test_copies_of_heads_change_nothing(self, inputs: MultiHeadInputs, copies: int) -> None:
        """Repeating all heads and dividing W_O accordingly changes nothing, because each head scales by its own d_k."""
        x, y, (w_q, w_k, w_v, w_o), heads, keep = inputs
        again = [w.repeat(1, copies) for w in (w_q, w_k, w_v)]
        torch.testing.assert_close(
            multi_head_attention(x, y, *again, w_o.repeat(copies, 1) / copies, heads * copies, keep),
            multi_head_attention(x, y, w_q, w_k, w_v, w_o, heads, keep),
        )

    @given(multi_head_inputs(), st.floats(-2, 2))
    def test_output_is_linear_in_the_output_projection(self, inputs: MultiHeadInputs, factor: float) -> None:
        """Multiplying W_O by c multiplies the output by c."""
        x, y, (w_q, w_k, w_v, w_o), heads, keep = inputs
        torch.testing.assert_close(
            multi_head_attention(x, y, w_q, w_k, w_v, factor * w_o, heads, keep),
            factor * multi_head_attention(x, y, w_q, w_k, w_v, w_o, heads, keep),
        )

    @given(multi_head_inputs())
    def test_sequences_of_a_batch_are_independent(self, inputs: MultiHeadInputs) -> None:
        """Two sequences in a batch, each with its own mask, have the same outputs as separately."""
        x, y, matrices, heads, keep = inputs
        both = multi_head_attention(
            torch.stack([x, -x]), torch.stack([y, 2 * y]), *matrices, heads, torch.stack([keep, torch.ones_like(keep)])
        )
        torch.testing.assert_close(both[0], multi_head_attention(x, y, *matrices, heads, keep))
        torch.testing.assert_close(both[1], multi_head_attention(-x, 2 * y, *matrices, heads))


class LargestTensor(TorchDispatchMode):
    """Measure the number of elements of the largest tensor created inside the `with` block."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.numbers = max(self.numbers, out.numel())
        return out


class TestOnlineSoftmaxAttention:
    @given(attention_inputs(smallest=0), st.integers(1, 6))
    def test_value(self, inputs: AttentionInputs, block_size: int) -> None:
        """The result equals the formula in loops, for every block size."""
        query, key, value, keep = inputs
        out = online_softmax_attention(query, key, value, keep, block_size)
        for index in np.ndindex(query.shape[:-2]):
            expected = reference.attention(*(x[index].numpy() for x in (query, key, value, keep)))
            np.testing.assert_allclose(out[index].numpy(), expected, atol=1e-12)

    @settings(max_examples=20)
    @given(attention_inputs(largest=3), st.integers(1, 4))
    def test_gradient(self, inputs: AttentionInputs, block_size: int) -> None:
        """The derivative is that of the formula."""
        query, key, value, keep = inputs
        leaves = [x.clone().requires_grad_() for x in (query, key, value)]
        assert gradcheck(lambda q, k, v: online_softmax_attention(q, k, v, keep, block_size), leaves)

    def test_gradient_of_the_gradient(self) -> None:
        """The second derivative is that of the formula, over two blocks, with a row in which every key is masked."""
        leaves = [normal(seed, 3, 2).requires_grad_() for seed in range(3)]
        keep = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
        assert gradgradcheck(lambda q, k, v: online_softmax_attention(q, k, v, keep, 2), leaves)

    @given(attention_inputs(largest=9, smallest=0), st.integers(1, 10), st.booleans())
    def test_result_equals_attention_for_every_block_size(self, inputs: AttentionInputs, block_size: int, masked: bool) -> None:
        """Values and gradients are equal, with and without a mask."""
        query, key, value, keep = inputs
        results = []
        for attention in (scaled_dot_product_attention, lambda *args: online_softmax_attention(*args, block_size=block_size)):
            leaves = [x.clone().requires_grad_() for x in (query, key, value)]
            out = attention(*leaves, keep if masked else None)
            (out.square().sum() + sum(0 * leaf.sum() for leaf in leaves)).backward()  # without keys this is the only gradient
            results.append([out, *(leaf.grad for leaf in leaves)])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)

    @given(st.integers(1, 8), st.integers(1, 3), seeds)
    def test_distant_scores_are_exact(self, block_size: int, queries: int, seed: int) -> None:
        """If the scores rise, fall or jump by hundreds between blocks, the running sum is rescaled and does not overflow."""
        key = 1000 * normal(seed, 8, 1)
        query, value = torch.ones(queries, 1, dtype=torch.float64), normal(seed + 1, 8, 2)
        for keys in (key, key.sort(dim=0).values, key.sort(dim=0, descending=True).values):
            torch.testing.assert_close(
                online_softmax_attention(query, keys, value, block_size=block_size),
                scaled_dot_product_attention(query, keys, value),
            )

    @settings(max_examples=20)
    @given(st.integers(1, 16), st.integers(50, 200))
    def test_memory_is_limited_to_one_block_of_scores(self, block_size: int, keys: int) -> None:
        """No intermediate tensor is as large as queries × keys or grows with the number of keys."""
        query, key, value = normal(0, 40, 2), normal(1, keys, 2), normal(2, keys, 2)
        with LargestTensor() as largest:
            online_softmax_attention(query, key, value, block_size=block_size)
        assert largest.numbers <= 40 * max(block_size, 2)

    @pytest.mark.parametrize("shift", [-1e4, -1e3, 1e3, 1e4])
    def test_adding_a_constant_to_all_scores_changes_nothing(self, shift: float) -> None:
        """Also where the exponential of every score itself would be zero or infinite."""
        query, key, value = normal(0, 3, 2, 5, 3)
        moved = torch.cat([key, torch.full((2, 5, 1), shift * 2)], dim=-1)  # the width of 4 divides the scores by 2
        padded, ones = (torch.cat([x, torch.full((2, 5, 1), fill)], dim=-1) for x, fill in ((key, 0.0), (query, 1.0)))
        expected = online_softmax_attention(ones, padded, value, block_size=2)
        torch.testing.assert_close(online_softmax_attention(ones, moved, value, block_size=2), expected, rtol=1e-9, atol=1e-9)

    def test_without_keys_every_query_gets_zeros(self) -> None:
        """As in `scaled_dot_product_attention`."""
        query, key, value = torch.ones(2, 3, 4), torch.ones(2, 0, 4), torch.ones(2, 0, 5)
        assert online_softmax_attention(query, key, value).equal(torch.zeros(2, 3, 5))

    def test_a_block_has_64_keys(self) -> None:
        """Unless another size is given: so few scores fit into a fast memory."""
        with mock.patch("minibert.equations.attention.torch.exp", wraps=torch.exp) as exp:
            online_softmax_attention(torch.ones(1, 2), torch.ones(150, 2), torch.ones(150, 2))
        blocks = [call.args[0].shape[-1] for call in exp.call_args_list if call.args[0].shape[-1] > 1]
        assert blocks == [64, 64, 22]

    def test_block_size_of_zero_raises(self) -> None:
        """A block size of 0 would give an endless loop."""
        with pytest.raises(ValueError, match="at least 1 key"):
            online_softmax_attention(torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1), block_size=0)


def names_in_graph(result: Tensor) -> set[str]:
    """Return the names of the operations that the gradient of a result goes through."""
    found, waiting = set(), [result.grad_fn]
    while waiting:
        if (node := waiting.pop()) is not None:
            found.add(node.name())
            waiting += [each for each, _ in node.next_functions]
    return found


def test_gradients_do_not_go_through_the_maximum() -> None:
    """It cancels, so nothing is computed for its gradient. A function without this has the same numbers, in more time."""
    query, key, value = (normal(seed, 3, 2).requires_grad_() for seed in range(3))
    for result in (softmax(query), online_softmax_attention(query, key, value, block_size=2)):
        names = names_in_graph(result)
        assert "ExpBackward0" in names
        assert "AmaxBackward0" not in names
