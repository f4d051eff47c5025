"""Ragged batches: what is computed without padding equals what the rectangle gives at every token, in values and gradients."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minibert import equations
from minibert.kernels import (
    Sequences,
    flash_attention,
    fused_attention,
    pad,
    ragged_attention,
    select_outputs,
    unfused_attention,
    unpad,
)
from minibert.kernels.ragged import has_varlen_kernel, padded_attention, varlen_attention, worthwhile_sequences
from tests.sampling import slow
from tests.strategies import normal, seeds

masks = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4).map(torch.tensor)
"""Masks of up to four sequences of six tokens, with holes, and with sequences of one token and of none."""
FUNCTIONS = [equations.scaled_dot_product_attention, fused_attention, unfused_attention, slow(flash_attention)]


def heads_of(mask: Tensor, seed: int) -> list[Tensor]:
    """Draw queries, keys and values of two heads for all tokens of the rectangle."""
    return [normal(seed + number, len(mask), 6, 2, 3).requires_grad_() for number in range(3)]


def in_one_row(function: Callable[..., Tensor], rectangles: list[Tensor], sequences: Sequences) -> Tensor:
    """Call a function of queries, keys and values in one row."""
    return function(*(unpad(each, sequences).transpose(1, 2) for each in rectangles), sequences).transpose(1, 2)


@given(masks, seeds)
def test_pad_is_the_inverse_of_unpad(mask: Tensor, seed: int) -> None:
    """Padding becomes zero and has no gradient."""
    padded, sequences = normal(seed, *mask.shape, 3).requires_grad_(), Sequences.of(mask)
    again = pad(unpad(padded, sequences), sequences)
    assert torch.equal(again, padded * mask[..., None])
    again.sum().backward()
    assert torch.equal(padded.grad, mask[..., None].expand_as(padded).double())


@given(masks)
def test_sequences_say_where_the_tokens_are(mask: Tensor) -> None:
    sequences = Sequences.of(mask)
    assert torch.equal(sequences.mask, mask)
    assert sequences.lengths == sequences.query_lengths == tuple(map(sum, mask.tolist()))
    offsets = sequences.query_offsets.tolist()
    numbers = unpad(torch.arange(len(mask))[:, None].expand_as(mask), sequences)[0].tolist()
    assert [numbers[start:end] for start, end in pairwise(offsets)] == [
        [row] * length for row, length in enumerate(sequences.lengths)
    ]


@pytest.mark.parametrize("attend", FUNCTIONS)
@pytest.mark.parametrize("ragged", [ragged_attention, padded_attention])
@given(mask=masks, seed=seeds)
def test_attention_within_sequences_equals_that_of_the_rectangle(ragged, attend, mask: Tensor, seed: int) -> None:
    sequences, keep = Sequences.of(mask), mask[:, None, None, :]
    rectangles, weights = heads_of(mask, seed), normal(seed + 9, *mask.shape, 2, 3) * mask[..., None, None]
    whole = equations.scaled_dot_product_attention(*(each.transpose(1, 2) for each in rectangles), keep).transpose(1, 2)
    expected = torch.autograd.grad((whole * weights).sum(), rectangles)
    context = in_one_row(partial(ragged, attend), rectangles, sequences)
    found = torch.autograd.grad((pad(context, sequences) * weights).sum(), rectangles)
    torch.testing.assert_close(context, unpad(whole, sequences))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("ragged", [ragged_attention, padded_attention])
@given(mask=masks.filter(lambda mask: bool(mask.any(dim=1).all())), seed=seeds)
def test_some_queries_attend_to_all_tokens_of_their_sequence(ragged, mask: Tensor, seed: int) -> None:
    """Two places of each sequence are wanted, perhaps the same."""
    sequences = Sequences.of(mask)
    rectangles = heads_of(mask, seed)
    columns = [row.nonzero()[:, 0].tolist() for row in mask]
    output_at = torch.tensor([[6 * row + each[0], 6 * row + each[-1]] for row, each in enumerate(columns)])
    attend = partial(ragged, equations.scaled_dot_product_attention)
    query, key, value = (unpad(each, sequences).transpose(1, 2) for each in rectangles)
    flat, selected = select_outputs(query.transpose(1, 2).flatten(2), sequences, output_at)
    assert selected.query_offsets.tolist() == [2 * row for row in range(len(mask) + 1)]
    context = attend(flat.unflatten(2, (2, 3)).transpose(1, 2), key, value, selected).transpose(1, 2)
    whole = pad(in_one_row(attend, rectangles, sequences), sequences).flatten(0, 1)
    torch.testing.assert_close(context[0], whole[output_at.flatten()])


def test_dropout_and_no_mask_are_passed_to_each_sequence() -> None:
    """Each sequence has no padding, so its attention needs no mask."""
    calls = []

    def attend(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None, dropout: float) -> Tensor:
        calls.append((query.shape[2], key.shape[2], keep, dropout))
        return value

    mask = torch.arange(6) < torch.tensor([[2], [0], [6]])
    in_one_row(partial(ragged_attention, attend, dropout=0.3), heads_of(mask, 0), Sequences.of(mask))
    assert calls == [(2, 2, None, 0.3), (0, 0, None, 0.3), (6, 6, None, 0.3)]


@pytest.mark.cuda
@given(mask=masks, seed=seeds)
def test_the_kernel_of_a_gpu_equals_the_rectangle(mask: Tensor, seed: int) -> None:
    sequences = Sequences.of(mask).to(torch.device("cuda"))
    heads = [normal(seed + each, len(mask), 6, 2, 16).cuda().half().requires_grad_() for each in range(3)]
    contexts = [
        pad(in_one_row(partial(function, fused_attention), heads, sequences), sequences)
        for function in (ragged_attention, padded_attention)
    ]
    gradients = [torch.autograd.grad(context.float().sum(), heads) for context in contexts]
    torch.testing.assert_close(*contexts, rtol=0, atol=1e-2)
    torch.testing.assert_close(*gradients, rtol=0, atol=3e-2)


def test_the_kernel_of_a_gpu_is_not_for_a_cpu() -> None:
    assert not has_varlen_kernel(torch.zeros(1, 2, 3, 8, dtype=torch.bfloat16))


class OnGpu(Tensor):
    """A tensor that says that it is on a GPU."""

    is_cuda = True


@pytest.mark.parametrize(
    ("capability", "width", "is_built", "is_enabled", "expected"),
    [
        ((8, 0), 256, True, True, True),
        ((9, 0), 264, True, True, False),
        ((8, 6), 192, True, True, True),
        ((8, 6), 256, True, True, False),
        ((7, 5), 64, True, True, False),
        ((9, 0), 64, False, True, False),
        ((9, 0), 64, True, False, False),
    ],
)
def test_the_kernel_of_a_gpu_is_for_some_gpus_widths_and_builds(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    width: int,
    is_built: bool,
    is_enabled: bool,
    expected: bool,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: is_built)
    monkeypatch.setattr(torch.backends.cuda, "flash_sdp_enabled", lambda: is_enabled)
    query = torch.zeros(1, 2, 3, width, dtype=torch.bfloat16)
    assert has_varlen_kernel(query.as_subclass(OnGpu)) == expected


@pytest.mark.cuda
def test_the_kernel_of_a_gpu_needs_half_precision_and_a_suitable_width() -> None:
    assert has_varlen_kernel(torch.zeros(1, 2, 3, 8, dtype=torch.bfloat16, device="cuda"))
    assert not has_varlen_kernel(torch.zeros(1, 2, 3, 8, device="cuda"))
    assert not has_varlen_kernel(torch.zeros(1, 2, 3, 12, dtype=torch.bfloat16, device="cuda"))
    assert not has_varlen_kernel(torch.zeros(1, 2, 3, 264, dtype=torch.bfloat16, device="cuda"))


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_the_kernel_of_a_gpu_gets_the_tokens_as_rows_and_says_where_sequences_begin(
    monkeypatch: pytest.MonkeyPatch, dropout: float
) -> None:
    """Its arguments are rows of heads, where sequences begin, the longest lengths, and the dropout, without a causal mask."""

    def on_a_cpu(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        query_begins: Tensor,
        key_begins: Tensor,
        queries: int,
        keys: int,
        probability: float,
        *others: bool,
    ) -> tuple[Tensor, None]:
        assert (queries, keys) == (int(query_begins.diff().max()), int(key_begins.diff().max()))
        assert probability == dropout
        assert others == (False, False)
        contexts = []
        for (begin, end), (first, last) in zip(pairwise(query_begins.tolist()), pairwise(key_begins.tolist()), strict=True):
            heads = (each.transpose(0, 1) for each in (query[begin:end], key[first:last], value[first:last]))
            contexts.append(equations.scaled_dot_product_attention(*heads).transpose(0, 1))
        return torch.cat(contexts), None

    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", on_a_cpu)
    mask = torch.arange(6) < torch.tensor([[2], [6], [1]])
    rectangles, sequences = heads_of(mask, 0), Sequences.of(mask)
    explicit = partial(ragged_attention, equations.scaled_dot_product_attention)
    found = in_one_row(partial(varlen_attention, dropout=dropout), rectangles, sequences)
    torch.testing.assert_close(found, in_one_row(explicit, rectangles, sequences))


@pytest.mark.cuda
def test_the_dropout_of_a_gpu_is_the_same_in_the_backward_pass() -> None:
    """The context is linear in the values, so that its change is that of the gradient; its mean is that without dropout."""
    mask = torch.arange(70) < torch.tensor([[70], [17], [0], [1]])
    sequences = Sequences.of(mask).to(torch.device("cuda"))
    query, key, value, weight = (torch.randn(1, 2, 88, 16, device="cuda", dtype=torch.float16) for _ in range(4))

    def context(values: Tensor, dropout: float = 0.3) -> Tensor:
        torch.manual_seed(0)
        return varlen_attention(query, key, values, sequences, dropout).float()

    change = torch.randn_like(value)
    (gradient,) = torch.autograd.grad((context(value.requires_grad_()) * weight).sum(), value)
    expected = ((context(value + change) - context(value)) * weight).sum()
    assert abs(float((gradient * change).float().sum() - expected)) < 0.02 * float(weight.float().norm())
    drawn = [varlen_attention(query, key, value, sequences, 0.3).float() for _ in range(400)]
    torch.testing.assert_close(torch.stack(drawn).mean(dim=0), context(value, 0.0), rtol=0, atol=0.3)


def test_flash_attention_is_asked_once_for_all_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told where the sequences begin, and the longest length, and returns the vectors."""
    asked: list[tuple[list[int], float, int]] = []

    def recorded(query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, dropout: float, longest: int) -> Tensor:
        asked.append((offsets.tolist(), dropout, longest))
        return query + 2 * key + 4 * value

    monkeypatch.setattr("minibert.kernels.ragged.ragged_flash_attention", recorded)
    mask = torch.arange(6) < torch.tensor([[2], [6], [1]])
    rectangles, sequences = heads_of(mask, 0), Sequences.of(mask)
    found = in_one_row(partial(ragged_attention, flash_attention, dropout=0.25), rectangles, sequences)
    query, key, value = (unpad(each, sequences) for each in rectangles)
    torch.testing.assert_close(found, query + 2 * key + 4 * value)
    assert asked == [([0, 2, 8, 9], 0.25, 6)]


def test_some_queries_have_gradients() -> None:
    """Also where the rectangle is computed."""
    mask = torch.arange(6) < torch.tensor([[2], [6]])
    sequences, rectangles = Sequences.of(mask), heads_of(mask, 0)
    query, key, value = (unpad(each, sequences).transpose(1, 2) for each in rectangles)
    flat, selected = select_outputs(query.transpose(1, 2).flatten(2), sequences, torch.tensor([[0, 1], [6, 9]]))
    gradients = []
    for ragged in (ragged_attention, padded_attention):
        context = ragged(
            equations.scaled_dot_product_attention, flat.unflatten(2, (2, 3)).transpose(1, 2), key, value, selected
        )
        gradients.append(torch.autograd.grad(context.pow(2).sum(), rectangles, retain_graph=True))
    torch.testing.assert_close(*gradients)


def test_little_padding_is_not_worthwhile() -> None:
    """Leaving out a tenth of the tokens saves time; less does not."""
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[0, 9] = False
    assert worthwhile_sequences(mask) is None
    mask[0, 8] = False
    found = worthwhile_sequences(mask)
    assert found is not None
    assert found.lengths == (8, 10)


def test_batches_and_places_of_other_sequences_are_refused(without_shape_checks: None) -> None:
    sequences = Sequences.of(torch.tensor([[True, True, False]]))
    with pytest.raises(ValueError, match=r"the batch has shape \(1, 2\), but its sequences are those of \(1, 3\)"):
        unpad(torch.zeros(1, 2, 4), sequences)
    with pytest.raises(ValueError, match="output_at has the position of padding"):
        select_outputs(torch.zeros(1, 2, 4), sequences, torch.tensor([[0, 2]]))
    with pytest.raises(TypeError, match="mask has the type int64, expected bool"):
        Sequences.of(torch.ones(1, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"mask has shape \(2,\), expected \(batch, tokens\)"):
        Sequences.of(torch.ones(2, dtype=torch.bool))
