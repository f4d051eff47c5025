"""FlashAttention in Triton, forward and backward: attention on a GPU without storing the scores. A file to learn from.

Source: Dao et al. 2022, algorithms 2 and 4; Dao 2023 (FlashAttention-2), algorithms 1 and 2.

The scores of n queries and n keys are n² numbers, far more than the n × d numbers of the inputs. The explicit formula stores
them in the slow memory of the GPU. Here they exist only in blocks, in the fast memory of one processor. A *program* is one
run of a kernel. It handles one block of rows, and many programs run in parallel:

- `_forward`, for a block of queries: the loop of `equations.online_softmax_attention` over the blocks of keys, with its names
  m (`row_max`), ℓ (`row_sum`) and o (`output`). It also stores L = m + log ℓ, one number for each query (`logsumexp`).
- `_backward_query`, for a block of queries, and `_backward_key_value`, for a block of keys, compute the weights again. They
  need no maximum and no sum, because P = exp(S - L) is already divided by the sum.

With the scores S = Q Kᵀ / √d, the weights P = softmax(S), the output O = P V, and a loss whose gradient for O is dO:

    dV = Pᵀ dO,   dP = dO Vᵀ,   dS = P ∘ (dP - D),   dQ = dS K / √d,   dK = dSᵀ Q / √d

D is one number for each query. The gradient of the softmax has Dᵢ = Σⱼ Pᵢⱼ dPᵢⱼ. It equals Oᵢ · dOᵢ, without a sum over keys.
Dropout multiplies the weights by random factors Z: O = (P ∘ Z) V, dV = (P ∘ Z)ᵀ dO, dP = (dO Vᵀ) ∘ Z.

All sequences of all heads are the rows of one matrix, and `begins` says where each of them begins. So sequences of different
lengths need no padding. In a batch with padding, all lengths are equal.

Values and gradients equal those of the explicit formula to 1e-10 in float64 (tests/kernels/test_flash.py, in Triton's
interpreter on a CPU, which takes any data type except bfloat16). `benchmarks/attention.py` measures speed and memory on CUDA.
"""

from typing import Any

import torch
import triton
from torch import Tensor
from triton import language as tl

from minibert.precision import at_least_float32, autocast_dtype

LARGEST_BLOCK = 64
"""Number of queries and keys in a block, at most. It is a power of two, and at least 16."""
BLOCK_BYTES = 2**13
"""Size of a block of queries or keys, at most: several have to fit into the fast memory, which has 100 to 200 KB."""


# fmt: off
@triton.jit
def _load(matrix, begin, rows, length, width, padded_width: tl.constexpr):
    """Load rows of a sequence. Rows and columns outside of it are zeros: sizes of blocks are powers of two."""
    columns = tl.arange(0, padded_width)
    inside = (rows < length)[:, None] & (columns < width)[None, :]
    return tl.load(matrix + (begin + rows[:, None]) * width + columns[None, :], mask=inside, other=0.0)


@triton.jit
def _store(matrix, numbers, begin, rows, length, width, padded_width: tl.constexpr):
    columns = tl.arange(0, padded_width)
    inside = (rows < length)[:, None] & (columns < width)[None, :]
    tl.store(matrix + (begin + rows[:, None]) * width + columns[None, :], numbers, mask=inside)


@triton.jit
def _span(begins, z):
    """Return the first row of sequence z and its length."""
    return tl.load(begins + z), tl.load(begins + z + 1) - tl.load(begins + z)


@triton.jit
def _scores(q, k, i, j, queries, keys, z, mask, strides, heads, scale: tl.constexpr, causal: tl.constexpr):
    """Compute the scores of queries i and keys j of sequence z: -inf where a query may not attend."""
    scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
    allowed = (i < queries)[:, None] & (j < keys)[None, :]
    if causal:
        allowed = allowed & (j[None, :] <= i[:, None])
    if mask is not None:
        first = mask + (z // heads) * strides[0] + (z % heads) * strides[1]
        entries = tl.load(first + i[:, None] * strides[2] + j[None, :] * strides[3], mask=allowed, other=0)
        if mask.dtype.element_ty == tl.uint8:
            allowed = allowed & (entries != 0)
        else:
            scores = scores + entries.to(scores.dtype)  # a bias; -inf where it also masks
    return tl.where(allowed, scores, float("-inf"))


@triton.jit
def _drop(numbers, i, j, keys, z, seed, dropout: tl.constexpr):
    """Multiply by the factors Z. They depend on the seed and the position only: the backward pass draws the same again."""
    if dropout > 0:
        numbers = tl.where(tl.rand(seed + z, i[:, None] * keys + j[None, :]) >= dropout, numbers / (1 - dropout), 0.0)
    return numbers


@triton.jit(do_not_specialize=["seed"])
def _forward(query, key, value, context, logsumexp, query_begins, key_begins, mask, strides, heads, seed, width, value_width,
             scale: tl.constexpr, causal: tl.constexpr, dropout: tl.constexpr, block: tl.constexpr,
             padded_width: tl.constexpr, padded_value_width: tl.constexpr):
    """Compute the outputs of one block of queries, in a loop over the blocks of keys."""
    z = tl.program_id(0).to(tl.int64)
    query_begin, queries = _span(query_begins, z)
    key_begin, keys = _span(key_begins, z)
    first = tl.program_id(1).to(tl.int64) * block
    if first >= queries:  # this sequence is shorter than the longest one
        return
    i = first + tl.arange(0, block)
    q = _load(query, query_begin, i, queries, width, padded_width)
    row_max = tl.full([block], float("-inf"), logsumexp.dtype.element_ty)
    row_sum = tl.zeros([block], logsumexp.dtype.element_ty)
    output = tl.zeros([block, padded_value_width], logsumexp.dtype.element_ty)
    for start in range(0, tl.minimum(keys, first + block) if causal else keys, block):
        j = start + tl.arange(0, block)
        k = _load(key, key_begin, j, keys, width, padded_width)
        v = _load(value, key_begin, j, keys, value_width, padded_value_width)
        scores = _scores(q, k, i, j, queries, keys, z, mask, strides, heads, scale, causal)
        new_max = tl.maximum(row_max, tl.max(scores, 1))
        shift = tl.where(new_max == float("-inf"), 0.0, new_max)  # no allowed key so far: -inf - -inf would be NaN
        correction = tl.exp(row_max - shift)
        exponentials = tl.exp(scores - shift[:, None])
        row_sum = correction * row_sum + tl.sum(exponentials, 1)  # dropout comes after the softmax: not in this sum
        dropped = _drop(exponentials, i, j, keys, z, seed, dropout)
        output = correction[:, None] * output + tl.dot(dropped.to(v.dtype), v, input_precision="ieee")
        row_max = new_max
    is_empty = row_sum == 0  # a query without keys: with L = 0, its weights exp(-inf - 0) are zeros in the backward pass
    row_sum = tl.where(is_empty, 1.0, row_sum)
    tl.store(logsumexp + query_begin + i, tl.where(is_empty, 0.0, row_max + tl.log(row_sum)), mask=i < queries)
    _store(context, output / row_sum[:, None], query_begin, i, queries, value_width, padded_value_width)


@triton.jit
def _weights_and_d_scores(q, k, v, do, log_sum, d, i, j, queries, keys, z, mask, strides, heads, seed,
                          scale: tl.constexpr, causal: tl.constexpr, dropout: tl.constexpr):
    """Compute P ∘ Z and dS for a block of queries and a block of keys."""
    scores = _scores(q, k, i, j, queries, keys, z, mask, strides, heads, scale, causal)
    weights = tl.exp(scores - log_sum[:, None])
    d_weights = _drop(tl.dot(do, tl.trans(v), input_precision="ieee"), i, j, keys, z, seed, dropout)
    return _drop(weights, i, j, keys, z, seed, dropout), weights * (d_weights - d[:, None])


@triton.jit(do_not_specialize=["seed"])
def _backward_query(query, key, value, d_context, logsumexp, delta, d_query, query_begins, key_begins, mask, strides, heads,
                    seed, width, value_width, scale: tl.constexpr, causal: tl.constexpr, dropout: tl.constexpr,
                    block: tl.constexpr, padded_width: tl.constexpr, padded_value_width: tl.constexpr):
    """Compute dQ of one block of queries, in a loop over the blocks of keys."""
    z = tl.program_id(0).to(tl.int64)
    query_begin, queries = _span(query_begins, z)
    key_begin, keys = _span(key_begins, z)
    first = tl.program_id(1).to(tl.int64) * block
    if first >= queries:
        return
    i = first + tl.arange(0, block)
    q = _load(query, query_begin, i, queries, width, padded_width)
    do = _load(d_context, query_begin, i, queries, value_width, padded_value_width)
    log_sum = tl.load(logsumexp + query_begin + i, mask=i < queries, other=0.0)
    d = tl.load(delta + query_begin + i, mask=i < queries, other=0.0)
    dq = tl.zeros([block, padded_width], logsumexp.dtype.element_ty)
    for start in range(0, tl.minimum(keys, first + block) if causal else keys, block):
        j = start + tl.arange(0, block)
        k = _load(key, key_begin, j, keys, width, padded_width)
        v = _load(value, key_begin, j, keys, value_width, padded_value_width)
        _, ds = _weights_and_d_scores(q, k, v, do, log_sum, d, i, j, queries, keys, z, mask, strides, heads, seed,
                                      scale, causal, dropout)
        dq += tl.dot(ds.to(k.dtype), k, input_precision="ieee")
    _store(d_query, dq * scale, query_begin, i, queries, width, padded_width)


@triton.jit(do_not_specialize=["seed"])
def _backward_key_value(query, key, value, d_context, logsumexp, delta, d_key, d_value, query_begins, key_begins, mask, strides,
                        heads, seed, width, value_width, scale: tl.constexpr, causal: tl.constexpr, dropout: tl.constexpr,
                        block: tl.constexpr, padded_width: tl.constexpr, padded_value_width: tl.constexpr):
    """Compute dK and dV of one block of keys, in a loop over the blocks of queries."""
    z = tl.program_id(0).to(tl.int64)
    query_begin, queries = _span(query_begins, z)
    key_begin, keys = _span(key_begins, z)
    first = tl.program_id(1).to(tl.int64) * block
    if first >= keys:
        return
    j = first + tl.arange(0, block)
    k = _load(key, key_begin, j, keys, width, padded_width)
    v = _load(value, key_begin, j, keys, value_width, padded_value_width)
    dk = tl.zeros([block, padded_width], logsumexp.dtype.element_ty)
    dv = tl.zeros([block, padded_value_width], logsumexp.dtype.element_ty)
    for start in range(first if causal else 0, queries, block):  # earlier queries do not attend to these keys
        i = start + tl.arange(0, block)
        q = _load(query, query_begin, i, queries, width, padded_width)
        do = _load(d_context, query_begin, i, queries, value_width, padded_value_width)
        log_sum = tl.load(logsumexp + query_begin + i, mask=i < queries, other=0.0)
        d = tl.load(delta + query_begin + i, mask=i < queries, other=0.0)
        weights, ds = _weights_and_d_scores(q, k, v, do, log_sum, d, i, j, queries, keys, z, mask, strides, heads, seed,
                                            scale, causal, dropout)
        dv += tl.dot(tl.trans(weights.to(do.dtype)), do, input_precision="ieee")
        dk += tl.dot(tl.trans(ds.to(q.dtype)), q, input_precision="ieee")
    _store(d_key, dk * scale, key_begin, j, keys, width, padded_width)
    _store(d_value, dv, key_begin, j, keys, value_width, padded_value_width)
# fmt: on


class _FlashAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, grids: Any, options: dict[str, Any]) -> Tensor:
        context, logsumexp = value.new_empty(len(query), value.shape[1]), at_least_float32(query.new_empty(len(query)))
        with torch.cuda.device_of(query):
            _forward[grids[0]](query, key, value, context, logsumexp, **options)
        ctx.save_for_backward(query, key, value, context, logsumexp)
        ctx.grids, ctx.options = grids, options
        return context

    @staticmethod
    def backward(ctx: Any, d_context: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # by create_graph=True
            raise RuntimeError('attention="triton" computes no second derivatives: choose "explicit"')
        query, key, value, context, logsumexp = ctx.saved_tensors
        delta = (at_least_float32(context) * at_least_float32(d_context)).sum(dim=-1)
        inputs = (query, key, value, d_context.contiguous(), logsumexp, delta)
        d_query, d_key, d_value = (torch.empty_like(each) for each in (query, key, value))
        _backward_query[ctx.grids[0]](*inputs, d_query, **ctx.options)
        _backward_key_value[ctx.grids[1]](*inputs, d_key, d_value, **ctx.options)
        return d_query, d_key, d_value, None, None


@torch.compiler.disable(reason='attention="triton" is not part of a compiled graph: compile without fullgraph=True')
def run_kernels(inputs: list[Tensor], begins: list[Tensor], longest: list[int], mask: Tensor | None, **options: Any) -> Tensor:
    """Compute attention for sequences that begin at given rows of query, key and value.

    Args:
        begins: the first row of each sequence, and last the number of all rows: those of the queries, then those of the keys.
        longest: the largest number of queries, and of keys.
        mask: bytes, 1 where a query may attend, or a bias; with axes for sequences, heads, queries and keys.
        options: `heads`, `causal` and `dropout`.
    """
    device, dtype = inputs[0].device, autocast_dtype(inputs[0].device) or inputs[0].dtype
    if (is_compiled := isinstance(_forward, triton.JITFunction)) and device.type != "cuda":
        hint = 'Choose "auto"; or set TRITON_INTERPRET=1 before Python starts, to compute slowly on a CPU'
        raise ValueError(f'attention="triton" needs a CUDA device, and the tensors are on {device}. {hint}')
    if not is_compiled and dtype == torch.bfloat16:
        raise ValueError("Triton's interpreter (TRITON_INTERPRET=1) computes wrong products in bfloat16: choose float32")
    query, key, value = (each.to(dtype).reshape(-1, each.shape[-1]).contiguous() for each in inputs)
    padded, padded_value = (max(16, triton.next_power_of_2(each.shape[1])) for each in (query, value))  # 16: for `tl.dot`
    block = min(LARGEST_BLOCK, max(16, BLOCK_BYTES // (max(padded, padded_value) * query.element_size())))
    options |= {"query_begins": begins[0], "key_begins": begins[1], "width": query.shape[1], "value_width": value.shape[1]}
    options |= {"scale": query.shape[1] ** -0.5, "block": block, "padded_width": padded, "padded_value_width": padded_value}
    options |= {"mask": mask, "strides": (0, 0, 0, 0) if mask is None else mask.stride()}
    options["seed"] = int(torch.randint(2**31, ())) if options["dropout"] else 0  # drawn on the CPU: no wait for the GPU
    grids = [(len(each) - 1, triton.cdiv(length, block)) for each, length in zip(begins, longest, strict=True)]
    context: Tensor = _FlashAttention.apply(query, key, value, grids, options)
    return context.view(*inputs[0].shape[:-1], context.shape[-1])
