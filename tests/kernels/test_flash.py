"""Tests of FlashAttention in Triton: values and gradients equal those of the explicit formula.

Without a CUDA device, Triton's interpreter runs the kernels (conftest.py sets TRITON_INTERPRET). It takes about 10 ms for a
block of queries and a block of keys, so that the inputs are small, and the blocks too.
"""

import importlib.util
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from minibert import Bert, BertConfig, equations, record
from minibert.kernels import choose_attention, flash, flash_attention, fused_attention, ragged_flash_attention
from tests.kernels.test_kernels import value_and_gradients
from tests.meta import OnMeta, meta
from tests.strategies import masks, normal, seeds

pytest.importorskip("triton")
from minibert.kernels import triton_attention

Inputs = tuple[Tensor, Tensor, Tensor]
interpreted = pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device runs the kernels")
TINY = BertConfig(
    vocab_size=23, hidden_size=12, num_attention_heads=3, intermediate_size=20, num_hidden_layers=1, max_position_embeddings=8
)


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Iterator[None]:
    """Several blocks for short sequences."""
    with mock.patch.object(triton_attention, "LARGEST_BLOCK", 16):
        yield


def assert_equal(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-10) -> None:
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, other.abs().max().item() if other.numel() else 0.0)
        torch.testing.assert_close(one / scale, other / scale, rtol=0, atol=tolerance)


def check(inputs: Inputs, keep: Tensor | None = None, bias: Tensor | None = None, tolerance: float = 1e-10) -> None:
    """Compare the output and the three gradients."""
    found, expected = (
        value_and_gradients(lambda *x, f=function: f(*x, keep, bias=bias), *inputs)
        for function in (flash_attention, equations.scaled_dot_product_attention)
    )
    assert_equal(found, expected, tolerance)


def make_inputs(batch: tuple[int, ...], queries: int, keys: int, width: int, value_width: int, seed: int = 0) -> Inputs:
    shapes = (queries, width), (keys, width), (keys, value_width)
    query, key, value = (normal(seed + number, *batch, *shape) for number, shape in enumerate(shapes))
    return query, key, value


@st.composite
def flash_inputs(draw: st.DrawFn, longest: int, widest: int) -> tuple[Inputs, Tensor | None]:
    """Draw inputs with one or more blocks, no queries or no keys, and a mask of a smaller shape that is broadcast."""
    batch = draw(st.sampled_from([(), (2,), (1, 2), (2, 1), (0, 2)]))
    queries, keys = draw(st.tuples(*[st.integers(0, longest)] * 2))
    width, value_width = draw(st.tuples(*[st.integers(1, widest)] * 2))
    inputs = make_inputs(batch, queries, keys, width, value_width, draw(seeds))
    mask_batch = draw(st.sampled_from([batch, tuple(1 for _ in batch), ()]))
    keep = draw(masks(mask_batch, draw(st.sampled_from([1, queries])), keys))
    return inputs, draw(st.sampled_from([None, keep]))


@interpreted
@settings(max_examples=12)
@given(flash_inputs(longest=20, widest=20))
def test_values_and_gradients_equal_the_equation(drawn: tuple[Inputs, Tensor | None]) -> None:
    """In float64, for any shape and mask, also for queries that may attend to nothing."""
    check(*drawn)


@interpreted
@pytest.mark.slow
@settings(max_examples=60)
@given(
    flash_inputs(longest=50, widest=70), st.sampled_from([(torch.float64, 1e-10), (torch.float32, 2e-5), (torch.float16, 5e-3)])
)
def test_values_and_gradients_of_larger_inputs(
    drawn: tuple[Inputs, Tensor | None], precision: tuple[torch.dtype, float]
) -> None:
    """With up to four blocks of queries and of keys, in every data type of the interpreter."""
    inputs, keep = drawn
    query, key, value = (each.to(precision[0]) for each in inputs)
    check((query, key, value), keep, tolerance=precision[1])


@interpreted
@pytest.mark.parametrize("masked", [False, True])
def test_bias_is_added_to_the_scores(masked: bool) -> None:
    """It is broadcast over the batch, and a mask may exclude keys too."""
    keep = torch.arange(19) < torch.tensor([12, 0])[:, None, None, None]
    check(make_inputs((2, 2), 5, 19, 3, 4), keep if masked else None, normal(7, 2, 5, 19).float())


@interpreted
@settings(max_examples=8)
@given(st.lists(st.integers(0, 20), max_size=4), st.integers(1, 2), st.booleans(), seeds)
def test_ragged_sequences_attend_to_themselves_only(lengths: list[int], heads: int, causal: bool, seed: int) -> None:
    """Values and gradients are those of each sequence alone. Lengths may be 0 and 1, and there may be no sequence."""
    check_ragged(lengths, heads, causal, seed)


@interpreted
@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(st.integers(0, 50), max_size=8), st.integers(1, 3), st.booleans(), seeds)
def test_many_ragged_sequences(lengths: list[int], heads: int, causal: bool, seed: int) -> None:
    check_ragged(lengths, heads, causal, seed)


def check_ragged(lengths: list[int], heads: int, causal: bool, seed: int) -> None:
    offsets = torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32)
    inputs = make_inputs((1, heads), sum(lengths), sum(lengths), 3, 5, seed)

    def one_by_one(*tensors: Tensor) -> Tensor:
        parts = zip(*(each.split(lengths, dim=2) for each in tensors), strict=True) if lengths else [tensors]
        keep = equations.causal_mask if causal else lambda tokens: None
        return torch.cat([equations.scaled_dot_product_attention(*part, keep(part[0].shape[2])) for part in parts], dim=2)

    for longest in (None, max(lengths, default=0) + 20):
        found = value_and_gradients(lambda *x, most=longest: ragged_flash_attention(*x, offsets, causal, longest=most), *inputs)
        assert_equal(found, value_and_gradients(one_by_one, *inputs))


@interpreted
def test_dropout_changes_the_result() -> None:
    query, key, value = make_inputs((1,), 3, 3, 2, 2)
    assert not torch.allclose(flash_attention(query, key, value, dropout=0.9), flash_attention(query, key, value))


@interpreted
@pytest.mark.parametrize("ragged", [False, True])
def test_dropout_is_the_same_in_the_backward_pass(ragged: bool) -> None:
    """With a unit matrix as values, the output shows which weights are dropped. The gradients are those of the same weights."""
    query, key, value = make_inputs((1, 2), 20, 20, 3, 4)
    offsets = torch.tensor([0, 20])

    def dropped(*inputs: Tensor) -> Tensor:
        torch.manual_seed(3)
        if ragged:
            return ragged_flash_attention(*inputs, offsets, dropout=0.25)
        return flash_attention(*inputs, dropout=0.25)

    weights = equations.softmax(query @ key.mT / math.sqrt(3))
    factors = dropped(query, key, torch.eye(20).double().expand(1, 2, 20, 20)) / weights
    kept = factors.round().bool()
    torch.testing.assert_close(factors, kept.double() / 0.75)
    assert abs(kept.double().mean() - 0.75) < 0.05
    assert (kept[0, 0] != kept[0, 1]).any()

    def explicit(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (equations.softmax(q @ k.mT / math.sqrt(3)) * kept / 0.75) @ v

    assert_equal(value_and_gradients(dropped, query, key, value), value_and_gradients(explicit, query, key, value))
    torch.manual_seed(4)
    assert (flash_attention(query, key, value, dropout=0.25) != dropped(query, key, value)).any()


VARIANTS = {
    "no scale": ("* scale\n    allowed", "\n    allowed"),
    "mask inverted": ("entries != 0", "entries == 0"),
    "mask of another sequence": ("(z // heads) * strides[0]", "(z % heads) * strides[0]"),
    "mask of another head": ("(z % heads) * strides[1]", "(z // heads) * strides[1]"),
    "no limit of the keys": ("& (j < keys)[None, :]", ""),
    "output not rescaled": ("correction[:, None] * output + ", "output + "),
    "sum not rescaled": ("correction * row_sum", "row_sum"),
    "maximum of the last block": ("tl.maximum(row_max, tl.max(scores, 1))", "tl.max(scores, 1)"),
    "not divided by the sum": ("output / row_sum[:, None]", "output"),
    "NaN for a query without keys": ('tl.where(new_max == float("-inf"), 0.0, new_max)', "new_max"),
    "L without the maximum": ("row_max + tl.log(row_sum)", "tl.log(row_sum)"),
    "L = -inf for a query without keys": ("tl.where(is_empty, 0.0, row_max + tl.log(row_sum))", "row_max + tl.log(row_sum)"),
    "weights not normalized in the backward pass": ("scores - log_sum[:, None]", "scores"),
    "dS without D": ("(d_weights - d[:, None])", "d_weights"),
    "D of the squared output": ("at_least_float32(d_context)).sum", "at_least_float32(context)).sum"),
    "dQ without scale": ("dq * scale", "dq"),
    "dK without scale": ("dk * scale", "dk"),
    "dV from dS": ("tl.trans(weights.to(do.dtype))", "tl.trans(ds.to(do.dtype))"),
    "dQ of the last block only": ("dq += ", "dq = "),
    "dK of the last block only": ("dk += ", "dk = "),
    "dV of the last block only": ("dv += ", "dv = "),
}
"""Wrong kernels: what is wrong, the right code, and the code in its place."""


def variant(folder: Path, right: str, wrong: str) -> ModuleType:
    """Import the kernels with a change."""
    source = Path(triton_attention.__file__).read_text(encoding="utf-8")
    assert source.count(right) == 1, right
    path = folder / "variant.py"
    path.write_text(source.replace(right, wrong), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("variant", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.LARGEST_BLOCK = 16
    return module


def fails(wrong: ModuleType, test: Callable[[], None]) -> bool:
    """Return True if a test fails with other kernels."""
    with mock.patch.object(flash, "triton_kernels", return_value=wrong.run_kernels):
        try:
            test()
        except AssertionError:
            return True
    return False


def known_case() -> None:
    """A batch of masks that differ for sequences, heads and queries; one query attends to nothing."""
    keep = torch.rand(2, 2, 18, 19, generator=torch.Generator().manual_seed(0)) < 0.5
    keep[0, 0, 0] = False
    check(make_inputs((2, 2), 18, 19, 3, 4), keep)
    check(make_inputs((1, 1), 2, 3, 3, 4), None)


@interpreted
def test_known_case() -> None:
    """The kernels pass the test that all wrong variants fail."""
    known_case()


@interpreted
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", VARIANTS)
def test_wrong_kernels_are_detected(name: str, tmp_path: Path) -> None:
    assert fails(variant(tmp_path, *VARIANTS[name]), known_case)


@interpreted
@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("j[None, :] <= i[:, None]", "j[None, :] < i[:, None]"),
        ("first if causal else 0", "first + block if causal else 0"),
        ("(begin + rows[:, None]) * width + columns[None, :], mask", "rows[:, None] * width + columns[None, :], mask"),
    ],
)
def test_wrong_ragged_kernels_are_detected(right: str, wrong: str, tmp_path: Path) -> None:
    assert fails(variant(tmp_path, right, wrong), lambda: check_ragged([3, 18], 2, causal=True, seed=0))


@interpreted
def test_a_model_computes_the_same() -> None:
    """Its outputs are those of the formula, its choice has a reason, and only the context is recorded."""
    torch.manual_seed(0)
    model = Bert(TINY).eval()
    ids, keep = torch.tensor([[5, 6, 7, 8], [5, 9, 4, 0]]), torch.tensor([[True] * 4, [True, True, True, False]])
    expected = model.set_attention("explicit")(ids, keep).last_hidden_state
    assert model.set_attention("triton").attention_in_use() == "triton: as requested"
    torch.testing.assert_close(model(ids, keep).last_hidden_state, expected)
    with record(model) as recording:
        model(ids, keep)
    assert "layers.0.attention.context" in recording
    assert "layers.0.attention.scores" not in recording
    assert choose_attention("triton")[0] is flash_attention


@interpreted
def test_bfloat16_is_refused_by_the_interpreter() -> None:
    """Its products would be wrong."""
    x = torch.zeros(1, 1, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="wrong products in bfloat16"):
        flash_attention(x, x, x)


@pytest.mark.parametrize("ragged", [False, True])
def test_places_of_sequences_are_computed_on_the_device(monkeypatch: pytest.MonkeyPatch, ragged: bool) -> None:
    """No number is copied from the host in a forward pass: a GPU would wait for each copy."""
    seen: list[Tensor] = []

    def kernels(inputs: list[Tensor], begins: list[Tensor], *others: object, **options: object) -> Tensor:
        seen.extend(begins)
        return inputs[0]

    monkeypatch.setattr(flash, "triton_kernels", lambda: kernels)
    query, offsets = torch.zeros(1, 2, 9, 4), torch.tensor([0, 2, 9], dtype=torch.int32)
    attend = partial(ragged_flash_attention, longest=7) if ragged else flash_attention
    more = (offsets,) if ragged else ()
    attend(*[query] * 3, *more)
    expected = [0, 2, 9, 11, 18] if ragged else [0, 9, 18]
    assert [each.tolist() for each in seen] == [expected] * 2
    for place, name in ((torch, "tensor"), (torch, "as_tensor"), (Tensor, "new_tensor")):
        monkeypatch.setattr(place, name, mock.Mock(side_effect=AssertionError("a tensor is made of numbers of the host")))
    with OnMeta():
        attend(*meta([query] * 3), *meta(more))


@interpreted
@pytest.mark.usefixtures("without_shape_checks")
def test_a_compiled_program_calls_the_kernels_outside_of_its_graph() -> None:
    """With fullgraph=True, the error says so."""
    inputs = make_inputs((1, 2), 5, 5, 3, 4)

    def attention(*x: Tensor) -> Tensor:
        return flash_attention(*x).sin()

    found = value_and_gradients(torch.compile(attention, backend="eager"), *inputs)
    assert_equal(found, value_and_gradients(attention, *inputs))
    with pytest.raises(RuntimeError, match='"triton" is not part of a compiled graph: compile without fullgraph=True'):
        torch.compile(attention, backend="eager", fullgraph=True)(*inputs)


def test_the_kernels_are_not_compiled_again_for_another_seed() -> None:
    """Triton would compile another kernel for each seed that is a multiple of 16."""
    code = (
        "from minibert.kernels import triton_attention as t\n"
        "for kernel in (t._forward, t._backward_query, t._backward_key_value):\n"
        "    print([each.name for each in kernel.params if each.do_not_specialize])"
    )
    assert run_without_interpreter(code).stdout.splitlines() == ["['seed']"] * 3


def test_gradient_of_a_bias_is_refused() -> None:
    x = torch.zeros(1, 1)
    with pytest.raises(ValueError, match='no gradient of the bias: choose "fused"'):
        flash_attention(x, x, x, bias=x.clone().requires_grad_())


def test_second_derivatives_are_refused() -> None:
    """They would be wrong without an error. The loss may be linear in the output, so that its gradient is a constant."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.ones(1, 1, device=device, requires_grad=True)
    context = flash_attention(x, x, x)
    for loss in (context.square().sum(), context.sum()):
        with pytest.raises(RuntimeError, match='"triton" computes no second derivatives: choose "explicit"'):
            torch.autograd.grad(loss, x, create_graph=True)
    assert torch.autograd.grad(context.sum(), x)[0].isfinite().all()


def test_without_triton_the_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "minibert.kernels.triton_attention")
    with pytest.raises(ImportError, match="pip install triton"):
        Bert(TINY).set_attention("triton")


def run_without_interpreter(code: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_tensors_on_a_cpu_are_refused_without_the_interpreter() -> None:
    code = "import torch; from minibert.kernels import flash_attention as f; x = torch.zeros(1, 1); f(x, x, x)"
    error = run_without_interpreter(code).stderr.splitlines()[-1]
    assert "needs a CUDA device, and the tensors are on cpu" in error
    assert "TRITON_INTERPRET=1" in error


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from minibert.kernels import triton_attention as kernels

def compile(kernel, dtype, bytes, width, mask, causal, dropout, architecture):
    block = min(kernels.LARGEST_BLOCK, max(16, kernels.BLOCK_BYTES // (width * bytes)))
    constants = dict(scale=0.1, causal=causal, dropout=dropout, block=block, padded_width=width, padded_value_width=width)
    constants |= {} if mask else {"mask": None}
    types = {"logsumexp": "*fp32", "delta": "*fp32", "mask": mask, "strides": ("i32",) * 4}
    types |= dict.fromkeys(constants, "constexpr") | dict.fromkeys(("query_begins", "key_begins"), "*i64")
    types |= dict.fromkeys(("heads", "seed", "width", "value_width"), "i32")
    source = ASTSource(
        kernel, {name: types.get(name, "*" + dtype) for name in kernel.arg_names},
        {(kernel.arg_names.index(name),): value for name, value in constants.items()},
    )
    print(triton.compile(source, target=GPUTarget("cuda", architecture, 32)).metadata.shared)

for kernel in (kernels._forward, kernels._backward_query, kernels._backward_key_value):
    compile(kernel, "bf16", 2, 64, "*u8", False, 0.1, 90)
    compile(kernel, "fp16", 2, 128, None, True, 0.0, 86)
    compile(kernel, "fp32", 4, 64, "*fp32", False, 0.0, 80)
"""


@pytest.mark.slow
def test_kernels_compile_for_gpus() -> None:
    """A GPU is not needed for this. Their shared memory is that of any GPU since 2020: 99 KB."""
    result = run_without_interpreter(COMPILE)
    assert result.returncode == 0, result.stderr
    sizes = [int(line) for line in result.stdout.splitlines()]
    assert len(sizes) == 9
    assert max(sizes) <= 99 * 1024


CUDA_PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)]
)


@pytest.mark.cuda
@CUDA_PRECISIONS
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("queries", "keys", "width"), [(1, 1, 1), (100, 70, 12), (128, 128, 64), (257, 300, 80)])
def test_values_and_gradients_equal_sdpa_on_cuda(
    queries: int, keys: int, width: int, masked: bool, dtype: torch.dtype, tolerance: float
) -> None:
    """The expected numbers are those of PyTorch's fused attention in float64."""
    query, key, value = (x.to("cuda", dtype) for x in make_inputs((2, 3), queries, keys, width, width))
    keep = (torch.arange(keys) < torch.tensor([keys // 2, keys])[:, None, None, None]).cuda() if masked else None
    found = value_and_gradients(lambda *x: flash_attention(*x, keep), query, key, value)
    exact = value_and_gradients(lambda *x: fused_attention(*x, keep), query.double(), key.double(), value.double())
    assert_equal([each.double() for each in found], exact, tolerance)


@pytest.mark.cuda
@CUDA_PRECISIONS
@pytest.mark.parametrize("causal", [False, True])
def test_ragged_sequences_equal_sdpa_on_cuda(causal: bool, dtype: torch.dtype, tolerance: float) -> None:
    """For lengths 0 and 1, and for several blocks."""
    lengths = [0, 1, 130, 64, 0, 77]
    offsets = torch.tensor([0, *itertools.accumulate(lengths)], device="cuda")
    inputs = [x.to("cuda", dtype) for x in make_inputs((1, 3), sum(lengths), sum(lengths), 64, 64)]

    def one_by_one(*tensors: Tensor) -> Tensor:
        parts = zip(*(each.split(lengths, dim=2) for each in tensors), strict=True)
        return torch.cat([F.scaled_dot_product_attention(*part, is_causal=causal) for part in parts if part[0].shape[2]], dim=2)

    found = value_and_gradients(lambda *x: ragged_flash_attention(*x, offsets, causal), *inputs)
    exact = value_and_gradients(one_by_one, *(each.double() for each in inputs))
    assert_equal([each.double() for each in found], exact, tolerance)


@pytest.mark.cuda
def test_dropout_on_cuda_preserves_the_mean_and_its_gradient() -> None:
    """With equal weights and values of one, outputs and sums of gradients are the shares of weights that are kept."""
    query, key, value = (torch.zeros(1, 1, 256, 64, device="cuda") for _ in range(3))
    value = (value + 1).requires_grad_()
    out = flash_attention(query, key, value, dropout=0.25)
    out.sum().backward()
    assert value.grad is not None
    assert abs(out.mean().item() - 1) < 0.02
    torch.testing.assert_close(value.grad.sum(), out.sum().detach())


@pytest.mark.cuda
def test_memory_on_cuda_grows_linearly() -> None:
    """For 8,192 tokens, the scores of one head would take 128 MiB. The inputs, output and gradients take 1 MiB each."""
    query, key, value = (torch.randn(1, 1, 8192, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    flash_attention(query, key, value).sum().backward()
    assert torch.cuda.max_memory_allocated() - before < 16 * 2**20
