"""Tests of the checks of model inputs, and of the conversion of attention masks."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from minibert import Bert, BertConfig
from minibert.equations import padding_mask
from minibert.model.inputs import check_batch, check_ids, check_outputs, keep_mask, select_positions

TOKENS = torch.zeros(2, 3, dtype=torch.long)
INTEGERS = [torch.uint8, torch.uint16, torch.int8, torch.int16, torch.int32, torch.int64]


class TestKeepMask:
    @given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=3))
    def test_value_of_boolean_masks(self, mask: list[list[bool]]) -> None:
        """A Boolean mask is returned unchanged."""
        keep = keep_mask(torch.tensor(mask), torch.zeros(len(mask), 4))
        assert keep.tolist() == mask

    @pytest.mark.parametrize("dtype", INTEGERS)
    @given(mask=st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=1, max_size=3))
    def test_value_of_integer_masks(self, dtype: torch.dtype, mask: list[list[int]]) -> None:
        """1 means "may be attended to"."""
        keep = keep_mask(torch.tensor(mask, dtype=dtype), torch.zeros(len(mask), 4))
        assert keep.dtype == torch.bool
        assert keep.tolist() == [[number != 0 for number in row] for row in mask]

    def test_value_without_mask(self) -> None:
        """Without a mask, all tokens may be attended to."""
        keep = keep_mask(None, TOKENS)
        assert keep.dtype == torch.bool
        assert keep.tolist() == [[True] * 3] * 2

    @given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.sampled_from([torch.bool, *INTEGERS]))
    def test_padding_at_the_end_equals_padding_mask(self, lengths: list[int], dtype: torch.dtype) -> None:
        """For masks made from lengths, the result equals `equations.padding_mask`."""
        mask = torch.tensor([[1] * length + [0] * (5 - length) for length in lengths], dtype=dtype)
        assert torch.equal(keep_mask(mask, torch.zeros(mask.shape))[:, None], padding_mask(torch.tensor(lengths), tokens=5))


@pytest.mark.parametrize("wrong", [-10000, -1, 2, 255])
def test_mask_with_other_numbers_is_rejected(wrong: int) -> None:
    """A number such as -10000 belongs to a mask that is added to the scores, in which 0 has the opposite meaning."""
    with pytest.raises(ValueError, match=rf"attention_mask has the value {wrong}: pass True or 1 where"):
        keep_mask(torch.tensor([[0, 1, 0], [0, wrong, 0]]), TOKENS)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("mask", [[[1, 1, 1], [1, 1, 0]], np.ones((2, 3)), 1])
def test_mask_that_is_not_a_tensor_is_rejected(mask: object) -> None:
    with pytest.raises(TypeError, match=rf"attention_mask is a {type(mask).__name__}: pass a tensor, such as torch.tensor"):
        keep_mask(mask, TOKENS)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64])
def test_floating_point_mask_is_rejected(dtype: torch.dtype) -> None:
    message = rf"attention_mask is {dtype}: pass Boolean or integer values, True or 1 where a token may be attended to"
    with pytest.raises(TypeError, match=message):
        keep_mask(torch.ones(2, 3, dtype=dtype), TOKENS)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("shape", [(2, 2), (2, 4), (1, 3), (3, 2), (3,), (2, 1, 3), (2, 1, 3, 3)])
def test_mask_of_another_shape_is_rejected(shape: tuple[int, ...]) -> None:
    """No mask is broadcast, not even one that could be."""
    with pytest.raises(ValueError, match=r"attention_mask has shape \(.*\), expected \(2, 3\)") as error:
        keep_mask(torch.ones(shape, dtype=torch.bool), TOKENS)
    assert f"shape {shape}," in str(error.value)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_batch_of_sequences_is_accepted(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    check_batch("input_ids", torch.zeros(shape, dtype=dtype))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3,), "labels has shape (3,), expected (batch, tokens): for one text, pass labels[None]"),
        ((0,), "labels has shape (0,), expected (batch, tokens): for one text, pass labels[None]"),
        ((), "labels has shape (), expected (batch, tokens)"),
        ((0, 3), "labels has shape (0, 3), expected (batch, tokens), both at least 1"),
        ((2, 0), "labels has shape (2, 0), expected (batch, tokens), both at least 1"),
        ((2, 3, 4), "labels has shape (2, 3, 4), expected (batch, tokens)"),
    ],
)
def test_other_shapes_are_rejected(shape: tuple[int, ...], message: str) -> None:
    """The message has the name and the shape of the tensor, and a hint for a single text."""
    with pytest.raises(ValueError, match="expected") as error:
        check_batch("labels", torch.zeros(shape, dtype=torch.long))
    assert str(error.value) == message


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[1, 2]], "input_ids is a list: pass a tensor, such as torch.tensor(input_ids)"),
        (np.array([[1, 2]]), "input_ids is a ndarray: pass a tensor, such as torch.tensor(input_ids)"),
        (None, "input_ids is a NoneType: pass a tensor, such as torch.tensor(input_ids)"),
        (torch.ones(1, 2), "input_ids has the type float32, expected int32 or int64: convert it with input_ids.long()"),
        (torch.ones(1, 2).bool(), "input_ids has the type bool, expected int32 or int64: convert it with input_ids.long()"),
        (torch.ones(1, 2).byte(), "input_ids has the type uint8, expected int32 or int64: convert it with input_ids.long()"),
    ],
)
def test_other_types_of_ids_are_rejected(ids: object, message: str) -> None:
    """The message has the type that was passed, and the conversion."""
    with pytest.raises(TypeError) as error:
        check_batch("input_ids", ids)
    assert str(error.value) == message


@pytest.mark.parametrize("ids", [[[0, 9], [5, 5]], [[], []]])
def test_ids_in_the_table_are_accepted(ids: list[list[int]]) -> None:
    check_ids("input_ids", torch.tensor(ids, dtype=torch.long), nn.Embedding(10, 1), "vocab_size")


@pytest.mark.parametrize(
    ("ids", "wrong"),
    [([[0, 10]], 10), ([[3, 99], [98, 1]], 99), ([[0, -1]], -1), ([[-100, 3]], -100), ([[-1, 10]], -1)],
)
def test_ids_outside_the_table_are_rejected(ids: list[list[int]], wrong: int) -> None:
    """The message has the most extreme id: the smallest one if it is negative, else the largest one."""
    with pytest.raises(ValueError, match="has the id") as error:
        check_ids("token_type_ids", torch.tensor(ids), nn.Embedding(10, 1), "type_vocab_size")
    assert str(error.value) == f"token_type_ids has the id {wrong}, but type_vocab_size is 10"


def test_ids_are_not_checked_while_compiling_or_on_another_device() -> None:
    """The check needs the values of the ids. On a GPU this would synchronize; in a compiled model it would break the graph."""
    table, ids = nn.Embedding(10, 1), torch.tensor([[10]])
    check_ids("input_ids", ids.to("meta"), table, "vocab_size")
    with mock.patch("torch.compiler.is_compiling", return_value=True):
        check_ids("input_ids", ids, table, "vocab_size")


BERT = Bert(BertConfig(vocab_size=10, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4))


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"token_type_ids": TOKENS[:1]}, ValueError, r"token_type_ids has shape \(1, 3\), expected \(2, 3\)"),
        ({"token_type_ids": TOKENS[0]}, ValueError, r"token_type_ids has shape \(3,\), expected \(2, 3\)"),
        ({"token_type_ids": TOKENS[:, :1]}, ValueError, r"token_type_ids has shape \(2, 1\), expected \(2, 3\)"),
        ({"token_type_ids": TOKENS.float()}, TypeError, "token_type_ids has the type float32"),
        ({"token_type_ids": TOKENS.tolist()}, TypeError, "token_type_ids is a list"),
        ({"token_type_ids": TOKENS + 2}, ValueError, "token_type_ids has the id 2, but type_vocab_size is 2"),
        ({"position_ids": TOKENS[:, :1]}, ValueError, r"position_ids has shape \(2, 1\), expected \(2, 3\)"),
        ({"position_ids": TOKENS[:, 0]}, ValueError, r"position_ids has shape \(2,\), expected \(2, 3\)"),
        ({"position_ids": torch.cat([TOKENS, TOKENS])}, ValueError, r"position_ids has shape \(4, 3\), expected \(2, 3\)"),
        ({"position_ids": TOKENS.bool()}, TypeError, "position_ids has the type bool"),
        ({"position_ids": TOKENS - 1}, ValueError, "position_ids has the id -1, but max_position_embeddings is 512"),
    ],
)
def test_wrong_segments_and_positions_are_rejected(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    """Nothing is broadcast over the batch except positions that are the same for every text."""
    with pytest.raises(error, match=message):
        BERT(TOKENS, **arguments)


@pytest.mark.parametrize("positions", [torch.arange(3), torch.arange(3)[None], torch.arange(3).expand(2, 3)])
def test_positions_may_be_given_once_for_all_texts(positions: Tensor) -> None:
    outputs = [BERT.eval()(TOKENS, position_ids=given).last_hidden_state for given in (positions, None)]
    torch.testing.assert_close(*outputs)


@pytest.mark.parametrize(
    ("output_at", "error", "message"),
    [
        (torch.tensor([[0.0], [5.0]]), TypeError, "output_at has the type float32, expected int64"),
        (torch.tensor([0, 5]), ValueError, r"output_at has shape \(2,\), expected \(2, outputs\)"),
        (torch.tensor([[0], [5], [9]]), ValueError, r"output_at has shape \(3, 1\), expected \(2, outputs\)"),
        (torch.zeros(2, 0, dtype=torch.int64), ValueError, "at least 1 output"),
        (torch.tensor([[0], [4]]), ValueError, "positions of this sequence in ascending order"),
        (torch.tensor([[0], [10]]), ValueError, "positions of this sequence in ascending order"),
        (torch.tensor([[0, 3], [7, 6]]), ValueError, "positions of this sequence in ascending order"),
    ],
)
def test_outputs_that_cannot_be_computed(
    without_shape_checks: None, output_at: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_outputs(output_at, torch.Size([2, 5]))


@pytest.mark.parametrize("position", [2, 4, 9, -1, 10])
def test_predictions_are_among_the_outputs(position: int) -> None:
    output_at = torch.tensor([[0, 3], [5, 8]])
    with pytest.raises(ValueError, match="predict_at has a position that is not in output_at"):
        select_positions(torch.zeros(2, 2, 4), None, torch.tensor([3, position]), output_at)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("output_at", [None, torch.tensor([[0, 2], [3, 5]])])
@pytest.mark.parametrize(
    ("predict_at", "error", "message"),
    [
        (torch.tensor([True, False]), TypeError, "predict_at is a Boolean mask, expected positions"),
        (torch.tensor([0, 2], dtype=torch.int32), TypeError, "predict_at has the type int32, expected int64"),
        (torch.tensor([[0], [3]]), ValueError, r"predict_at has shape \(2, 1\), expected one axis"),
    ],
)
def test_positions_have_one_axis_and_are_numbers(
    output_at: Tensor | None, predict_at: Tensor, error: type[Exception], message: str
) -> None:
    hidden = torch.zeros(2, 3 if output_at is None else 2, 4)
    with pytest.raises(error, match=message):
        select_positions(hidden, None, predict_at, output_at)


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.lists(st.integers(0, 5), max_size=6))
def test_positions_are_selected_from_the_outputs(more: list[bool], predict_at: list[int]) -> None:
    """In any order, also twice: the vectors are those of the positions of the batch, and so are the labels."""
    hidden, labels = torch.arange(12.0).view(2, 3, 2), torch.arange(6).view(2, 3)
    positions = torch.tensor(predict_at, dtype=torch.int64)
    expected = hidden.flatten(0, 1)[positions], positions
    torch.testing.assert_close(select_positions(hidden, labels, positions), expected)
    output_at = torch.arange(6)[torch.tensor(more) | torch.isin(torch.arange(6), positions)][None]
    computed = hidden.flatten(0, 1)[output_at]
    torch.testing.assert_close(select_positions(computed, labels, positions, output_at), expected)
