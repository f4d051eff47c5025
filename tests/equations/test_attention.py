"""Softmax, masks, attention and heads: values, gradients and the theorems that follow from the formulas."""

import math

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
        """Equals the formula in loops."""
        np.testing.assert_allclose(softmax(x).numpy(), reference.softmax(x.numpy()), atol=1e-12)

    def test_gradient(self) -> None:
        """First and second derivative are those of the formula."""
        x = normal(0, 2, 5).requires_grad_()
        assert gradcheck(softmax, x)
        assert gradgradcheck(softmax, x)

    @given(tensors(axes=3, magnitude=1e4, smallest=0))
    def test_it_is_a_distribution(self, x: Tensor) -> None:
        """Whatever the scores, every weight is at least zero and they sum to one along the last axis."""
        weights = softmax(x)
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))

    @given(tensors(axes=2), st.floats(-1e3, 1e3))
    def test_a_shift_changes_nothing(self, x: Tensor, shift: float) -> None:
        """softmax(x + c) = softmax(x), for a c that differs from row to row."""
        shifts = shift * torch.arange(len(x), dtype=x.dtype)[:, None]
        torch.testing.assert_close(softmax(x + shifts), softmax(x))

    @given(tensors(axes=2))
    def test_log_ratios_are_differences(self, x: Tensor) -> None:
        """log(p_i / p_j) = x_i - x_j."""
        logs = softmax(x).log()
        torch.testing.assert_close(logs - logs[:, :1], x - x[:, :1])

    @given(tensors(axes=3))
    def test_rows_do_not_see_each_other(self, x: Tensor) -> None:
        """A row by itself has the same softmax."""
        torch.testing.assert_close(softmax(x)[0, 0], softmax(x[0, 0]))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_the_largest_scores_are_finite(self, dtype: torch.dtype) -> None:
        """A score at the end of the range of its type neither overflows nor turns to NaN; nor does its gradient."""
        largest = torch.finfo(dtype).max
        x = torch.tensor([largest, -largest], dtype=dtype, requires_grad=True)
        torch.testing.assert_close(softmax(x), torch.tensor([1.0, 0.0], dtype=dtype))
        softmax(x)[0].backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()

    def test_of_nothing_is_nothing(self) -> None:
        """No choices: no weights, and no error."""
        assert softmax(torch.zeros(3, 0)).shape == (3, 0)


class TestCausalMask:
    @given(st.integers(0, 8))
    def test_value(self, tokens: int) -> None:
        """Equals the definition in loops."""
        np.testing.assert_array_equal(causal_mask(tokens).numpy(), reference.causal_mask(tokens))

    @given(st.integers(1, 8), st.data(), seeds)
    def test_the_future_cannot_matter_and_the_present_does(self, tokens: int, data: st.DataObject, seed: int) -> None:
        """Another value at place t changes what every query from t on reads, and nothing before."""
        place = data.draw(st.integers(0, tokens - 1))
        x = normal(seed, tokens, 3)
        changed = x.clone()
        changed[place] += 1
        before, after = (scaled_dot_product_attention(x, x, value, causal_mask(tokens)) for value in (x, changed))
        different = (before != after).any(-1)
        assert not different[:place].any()
        assert different[place:].all()


class TestPaddingMask:
    @given(st.lists(st.integers(0, 6), max_size=4))
    def test_value(self, lengths: list[int]) -> None:
        """Equals the definition in loops, with axes for the batch and for the queries."""
        keep = padding_mask(torch.tensor(lengths, dtype=torch.int64), tokens=6)
        np.testing.assert_array_equal(keep.numpy(), reference.padding_mask(lengths, 6))

    @given(st.integers(1, 5), st.integers(0, 4), seeds)
    def test_padding_changes_nothing(self, length: int, padding: int, seed: int) -> None:
        """A sequence reads the same with padding behind it as without; what stands in the padding does not matter."""
        x = normal(seed, length + padding, 3)
        keep = padding_mask(torch.tensor(length), length + padding)
        padded = scaled_dot_product_attention(x, x, x, keep)[:length]
        torch.testing.assert_close(padded, scaled_dot_product_attention(x[:length], x[:length], x[:length]))


class TestScaledDotProductAttention:
    @given(attention_inputs(smallest=0))
    def test_value(self, inputs: AttentionInputs) -> None:
        """Equals the formula in loops, rows with nothing kept included; and any number of axes may stand in front."""
        query, key, value, keep = inputs
        out = scaled_dot_product_attention(query, key, value, keep)
        for place in np.ndindex(query.shape[:-2]):
            expected = reference.attention(*(x[place].numpy() for x in (query, key, value, keep)))
            np.testing.assert_allclose(out[place].numpy(), expected, atol=1e-12)

    @given(attention_inputs(), seeds)
    def test_value_with_a_bias(self, inputs: AttentionInputs, seed: int) -> None:
        """It is added to the scores, before the softmax, and moves nothing where a key is masked."""
        query, key, value, keep = inputs
        bias = normal(seed, *keep.shape)
        out = scaled_dot_product_attention(query, key, value, keep, bias=bias)
        for place in np.ndindex(query.shape[:-2]):
            expected = reference.attention(*(x[place].numpy() for x in (query, key, value, keep, bias)))
            np.testing.assert_allclose(out[place].numpy(), expected, atol=1e-12)

    @given(seeds, st.sampled_from([0.1, 0.5, 0.9]))
    def test_value_with_dropout(self, seed: int, dropout: float) -> None:
        """A weight that is not dropped is the formula's over 1 - p; values are unit vectors, so the output is the weights."""
        query, key, value = normal(seed, 3, 2), normal(seed + 1, 4, 2), torch.eye(4, dtype=torch.float64)
        torch.manual_seed(seed)
        weights = scaled_dot_product_attention(query, key, value, dropout=dropout).numpy()
        expected = reference.attention(query.numpy(), key.numpy(), value.numpy(), np.ones((3, 4), dtype=bool)) / (1 - dropout)
        np.testing.assert_allclose(weights, np.where(weights == 0, 0.0, expected), atol=1e-12)

    @settings(max_examples=20)
    @given(attention_inputs(largest=3))
    def test_gradient(self, inputs: AttentionInputs) -> None:
        """The derivative is that of the formula; it is zero, not NaN, for a query that may attend to nothing."""
        query, key, value, keep = inputs
        leaves = [x.clone().requires_grad_() for x in (query, key, value)]
        assert gradcheck(lambda q, k, v: scaled_dot_product_attention(q, k, v, keep), leaves)

    def test_gradient_of_the_gradient(self) -> None:
        """The second derivative, with a row of which nothing is kept."""
        leaves = [normal(seed, 3, 2).requires_grad_() for seed in range(3)]
        keep = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
        assert gradgradcheck(lambda q, k, v: scaled_dot_product_attention(q, k, v, keep), leaves)

    @given(attention_inputs())
    def test_no_mask_means_all_kept(self, inputs: AttentionInputs) -> None:
        """`keep=None` and a mask of True only are the same."""
        query, key, value, keep = inputs
        everything = scaled_dot_product_attention(query, key, value, torch.ones_like(keep))
        torch.testing.assert_close(scaled_dot_product_attention(query, key, value), everything)

    @given(attention_inputs(), seeds)
    def test_a_masked_key_cannot_matter(self, inputs: AttentionInputs, seed: int) -> None:
        """If key j is masked for every query, its key and value change neither the output nor any other gradient."""
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
    def test_a_constant_added_to_a_querys_scores_changes_nothing(self, inputs: AttentionInputs, seed: int) -> None:
        """All keys moved along the same vector add the same q·c to each score of a query: the output stays."""
        query, key, value, keep = inputs
        moved = key + normal(seed, key.shape[-1])
        torch.testing.assert_close(
            scaled_dot_product_attention(query, moved, value, keep), scaled_dot_product_attention(query, key, value, keep)
        )

    @given(attention_inputs())
    def test_the_output_is_a_convex_combination_of_the_kept_values(self, inputs: AttentionInputs) -> None:
        """It lies between the smallest and the largest kept value; weights sum to 1, or to 0 where nothing is kept."""
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
    def test_key_order_does_not_matter_and_query_order_carries_through(self, inputs: AttentionInputs, seed: int) -> None:
        """Keys shuffled together with their values: the same output. Queries shuffled: the output shuffled alike."""
        query, key, value, keep = inputs
        generator = torch.Generator().manual_seed(seed)
        out = scaled_dot_product_attention(query, key, value, keep)
        order = torch.randperm(key.shape[-2], generator=generator)
        shuffled = scaled_dot_product_attention(query, key[..., order, :], value[..., order, :], keep[..., order])
        torch.testing.assert_close(shuffled, out)
        order = torch.randperm(query.shape[-2], generator=generator)
        shuffled = scaled_dot_product_attention(query[..., order, :], key, value, keep[..., order, :])
        torch.testing.assert_close(shuffled, out[..., order, :])

    @given(st.integers(1, 20), st.integers(2, 5), seeds)
    def test_log_ratios_of_weights_are_differences_over_the_root_of_the_width(self, width: int, keys: int, seed: int) -> None:
        """log(w_i / w_j) = q·(k_i - k_j) / √d_k: the values are unit vectors, so the output is the weights."""
        query, key = normal(seed, 1, width), normal(seed + 1, keys, width)
        logs = scaled_dot_product_attention(query, key, torch.eye(keys, dtype=torch.float64)).log()
        expected = (query @ (key - key[:1]).T) / width**0.5
        torch.testing.assert_close(logs - logs[:, :1], expected)

    @given(attention_inputs())
    def test_the_scale_grows_with_the_root_of_the_width(self, inputs: AttentionInputs) -> None:
        """Vectors written twice, one copy beside the other, have scores √2 times as large: not 2, and not 1."""
        query, key, value, keep = inputs
        twice = scaled_dot_product_attention(torch.cat([query, query], -1), torch.cat([key, key], -1), value, keep)
        torch.testing.assert_close(twice, scaled_dot_product_attention(math.sqrt(2) * query, key, value, keep))

    @given(attention_inputs())
    def test_where_nothing_is_kept_zeros_come_out_and_no_gradient_goes_in(self, inputs: AttentionInputs) -> None:
        """A query that may attend to nothing reads zeros (transformers gives other, finite values), and learns nothing."""
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
    def test_half_precision_is_near_and_finite(self, inputs: AttentionInputs, dtype: torch.dtype) -> None:
        """Within a few units of its last place, gradients finite, whatever is masked."""
        query, key, value, keep = inputs
        leaves = [x.to(dtype).requires_grad_() for x in (query, key, value)]
        out = scaled_dot_product_attention(*leaves, keep)
        expected = scaled_dot_product_attention(*(x.detach().double() for x in leaves), keep)
        scores = (query.abs() @ key.abs().mT).amax().item()
        error = (out.double() - expected).abs().max().item()
        assert error <= 16 * torch.finfo(dtype).eps * (1 + scores) * value.abs().max().item() + 1e-6
        out.sum().backward()
        assert all(leaf.grad.isfinite().all() for leaf in leaves)

    @given(half_precisions, st.floats(1e3, 3e4))
    def test_a_mask_beats_any_score(self, dtype: torch.dtype, score: float) -> None:
        """A masked key gets nothing even if its score is larger by tens of thousands: no constant such as -1e4 is enough."""
        query, key = torch.tensor([[1.0]], dtype=dtype), torch.tensor([[-score], [score]], dtype=dtype)
        value = torch.tensor([[1.0], [5.0]], dtype=dtype)
        assert scaled_dot_product_attention(query, key, value, torch.tensor([[True, False]])).item() == 1.0

    def test_dropout_drops_weights_and_keeps_the_mean(self) -> None:
        """With probability p a weight is zero, else it is 1/(1-p) as large."""
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
        """Each head has its own columns of every token, with axes in front or without."""
        x = normal(seed, 2, tokens, heads * width)
        for batch in range(2):
            expected = reference.split_heads(x[batch].numpy(), heads)
            np.testing.assert_array_equal(split_heads(x, heads)[batch].numpy(), expected)
            np.testing.assert_array_equal(split_heads(x[batch], heads).numpy(), expected)

    def test_gradient(self) -> None:
        """Splitting only moves numbers about, and their gradients."""
        assert gradcheck(lambda x: split_heads(x, 2), normal(0, 3, 4).requires_grad_())

    @given(st.integers(1, 4), st.integers(2, 5), st.integers(1, 4), seeds)
    def test_a_token_stays_with_itself(self, heads: int, tokens: int, width: int, seed: int) -> None:
        """Changing one token changes that token in every head, and no other token in any."""
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
        """Merging only moves numbers about, and their gradients."""
        assert gradcheck(merge_heads, normal(0, 2, 3, 2).requires_grad_())

    @given(**HEADS)
    def test_it_is_the_inverse_of_splitting(self, heads: int, tokens: int, width: int, seed: int) -> None:
        """Both ways round."""
        x = normal(seed, 2, heads, tokens, width)
        torch.testing.assert_close(split_heads(merge_heads(x), heads), x, rtol=0, atol=0)
        y = normal(seed, tokens, heads * width)
        torch.testing.assert_close(merge_heads(split_heads(y, heads)), y, rtol=0, atol=0)


MultiHeadInputs = tuple[Tensor, Tensor, list[Tensor], int, Tensor]


@st.composite
def multi_head_inputs(draw: st.DrawFn) -> MultiHeadInputs:
    """Tokens that read, tokens that are read, W_Q, W_K, W_V, W_O, heads and a mask."""
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
        """Equals the formula in loops, where queries and keys have other lengths and widths."""
        x, y, matrices, heads, keep = inputs
        expected = reference.multi_head_attention(
            x.numpy(), y.numpy(), *(w.numpy() for w in matrices), heads=heads, keep=keep.numpy()
        )
        np.testing.assert_allclose(multi_head_attention(x, y, *matrices, heads, keep).numpy(), expected, atol=1e-9)

    def test_gradient(self) -> None:
        """With respect to the tokens and all four matrices; the second order too."""
        leaves = [normal(seed, *shape).requires_grad_() for seed, shape in enumerate([(2, 4), (3, 4), *[(4, 4)] * 4])]
        assert gradcheck(lambda *args: multi_head_attention(*args, heads=2), leaves)
        assert gradgradcheck(lambda *args: multi_head_attention(*args, heads=2), leaves)

    @given(multi_head_inputs(), seeds)
    def test_the_order_of_heads_does_not_matter(self, inputs: MultiHeadInputs, seed: int) -> None:
        """Heads shuffled in the projections and in W_O alike: the same output."""
        x, y, (w_q, w_k, w_v, w_o), heads, keep = inputs
        order = torch.randperm(heads, generator=torch.Generator().manual_seed(seed))
        by_columns = [w.unflatten(-1, (heads, -1))[:, order].flatten(-2) for w in (w_q, w_k, w_v)]
        by_rows = w_o.unflatten(0, (heads, -1))[order].flatten(0, 1)
        torch.testing.assert_close(
            multi_head_attention(x, y, *by_columns, by_rows, heads, keep),
            multi_head_attention(x, y, w_q, w_k, w_v, w_o, heads, keep),
        )

    @given(attention_inputs())
    def test_one_head_that_projects_nothing_is_plain_attention(self, inputs: AttentionInputs) -> None:
        """With identities for W_Q, W_K, W_V and W_O."""
        x, y, _, keep = inputs
        one = torch.eye(x.shape[-1], dtype=x.dtype)
        torch.testing.assert_close(
            multi_head_attention(x, y, one, one, one, one, 1, keep), scaled_dot_product_attention(x, y, y, keep)
        )

    @given(multi_head_inputs(), st.integers(2, 3))
    def test_equal_heads_read_the_same(self, inputs: MultiHeadInputs, copies: int) -> None:
        """All heads written again beside themselves, and W_O halved: nothing changes, since each head scales by its own d_k."""
        x, y, (w_q, w_k, w_v, w_o), heads, keep = inputs
        again = [w.repeat(1, copies) for w in (w_q, w_k, w_v)]
        torch.testing.assert_close(
            multi_head_attention(x, y, *again, w_o.repeat(copies, 1) / copies, heads * copies, keep),
            multi_head_attention(x, y, w_q, w_k, w_v, w_o, heads, keep),
        )

    @given(multi_head_inputs(), st.floats(-2, 2))
    def test_it_is_linear_in_the_last_projection(self, inputs: MultiHeadInputs, factor: float) -> None:
        """W_O times c: the output times c."""
        x, y, (w_q, w_k, w_v, w_o), heads, keep = inputs
        torch.testing.assert_close(
            multi_head_attention(x, y, w_q, w_k, w_v, factor * w_o, heads, keep),
            factor * multi_head_attention(x, y, w_q, w_k, w_v, w_o, heads, keep),
        )

    @given(multi_head_inputs())
    def test_batches_do_not_see_each_other(self, inputs: MultiHeadInputs) -> None:
        """Two sequences at once, with a mask each, read what each reads by itself."""
        x, y, matrices, heads, keep = inputs
        both = multi_head_attention(
            torch.stack([x, -x]), torch.stack([y, 2 * y]), *matrices, heads, torch.stack([keep, torch.ones_like(keep)])
        )
        torch.testing.assert_close(both[0], multi_head_attention(x, y, *matrices, heads, keep))
        torch.testing.assert_close(both[1], multi_head_attention(-x, 2 * y, *matrices, heads))


class LargestTensor(TorchDispatchMode):
    """Notes how many numbers the largest tensor has that is made inside the block."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.numbers = max(self.numbers, out.numel())
        return out


class TestOnlineSoftmaxAttention:
    @given(attention_inputs(smallest=0), st.integers(1, 6))
    def test_value(self, inputs: AttentionInputs, block: int) -> None:
        """Equals the formula in loops, for every size of a block."""
        query, key, value, keep = inputs
        out = online_softmax_attention(query, key, value, keep, block)
        for place in np.ndindex(query.shape[:-2]):
            expected = reference.attention(*(x[place].numpy() for x in (query, key, value, keep)))
            np.testing.assert_allclose(out[place].numpy(), expected, atol=1e-12)

    @settings(max_examples=20)
    @given(attention_inputs(largest=3), st.integers(1, 4))
    def test_gradient(self, inputs: AttentionInputs, block: int) -> None:
        """The derivative is that of the formula: the largest score cancels, so it needs none."""
        query, key, value, keep = inputs
        leaves = [x.clone().requires_grad_() for x in (query, key, value)]
        assert gradcheck(lambda q, k, v: online_softmax_attention(q, k, v, keep, block), leaves)

    def test_gradient_of_the_gradient(self) -> None:
        """The second derivative, over two blocks, with a row of which nothing is kept."""
        leaves = [normal(seed, 3, 2).requires_grad_() for seed in range(3)]
        keep = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
        assert gradgradcheck(lambda q, k, v: online_softmax_attention(q, k, v, keep, 2), leaves)

    @given(attention_inputs(largest=9, smallest=0), st.integers(1, 10), st.booleans())
    def test_it_is_attention_whatever_the_block(self, inputs: AttentionInputs, block: int, masked: bool) -> None:
        """Values and gradients, with a mask and without."""
        query, key, value, keep = inputs
        results = []
        for attention in (scaled_dot_product_attention, lambda *args: online_softmax_attention(*args, block=block)):
            leaves = [x.clone().requires_grad_() for x in (query, key, value)]
            out = attention(*leaves, keep if masked else None)
            (out.square().sum() + sum(0 * leaf.sum() for leaf in leaves)).backward()  # with no keys nothing else has one
            results.append([out, *(leaf.grad for leaf in leaves)])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)

    @given(st.integers(1, 8), st.integers(1, 3), seeds)
    def test_scores_far_apart_stay_exact(self, block: int, queries: int, seed: int) -> None:
        """Rising, falling or jumping by hundreds from block to block: the running sum is rescaled, and never overflows."""
        key = 1000 * normal(seed, 8, 1)
        query, value = torch.ones(queries, 1, dtype=torch.float64), normal(seed + 1, 8, 2)
        for keys in (key, key.sort(dim=0).values, key.sort(dim=0, descending=True).values):
            torch.testing.assert_close(
                online_softmax_attention(query, keys, value, block=block), scaled_dot_product_attention(query, keys, value)
            )

    @settings(max_examples=20)
    @given(st.integers(1, 16), st.integers(50, 200))
    def test_it_never_holds_more_than_a_block_of_scores(self, block: int, keys: int) -> None:
        """No tensor on the way is as large as queries × keys, or grows with the number of keys."""
        query, key, value = normal(0, 40, 2), normal(1, keys, 2), normal(2, keys, 2)
        with LargestTensor() as largest:
            online_softmax_attention(query, key, value, block=block)
        assert largest.numbers <= 40 * max(block, 2)

    def test_a_block_of_nothing_is_refused(self) -> None:
        """It would never end."""
        with pytest.raises(ValueError, match="at least 1 key"):
            online_softmax_attention(torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1), block=0)
