# %% [markdown]
# # 15 · Fast attention
#
# Attention computes one number for each pair of tokens, and uses each of them once. Can it do without storing them?
#
# You need lessons 1 and 2. At the end you can compute a softmax whose scores arrive in blocks, count the bytes and the
# operations of an attention, and say which of the two limits its speed.

# %%
import math

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from minibert import equations, kernels
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.classroom.mistakes import variant
from minibert.study.drawing import BLUE, GRAY, ORANGE, SKY

# %% [markdown]
# ## Something goes wrong
#
# The attention of lesson 2 has a matrix of scores, with one row for each query and one column for each key. Let us count its
# bytes for a network with the size of BERT, but for longer texts: 12 heads and 4,096 tokens. A number in single precision
# (float32) takes 4 bytes.
#
# **By hand.**
#
# 1. The scores of one head: 4,096 · 4,096 = 16,777,216 numbers.
# 2. The scores of 12 heads: 12 · 16,777,216 = 201,326,592 numbers.
# 3. Their bytes: 4 · 201,326,592 = 805,306,368. This is 0.8 GB for **one** text in **one** layer.
#
# Usually 16 texts or more are processed together. The result of the attention is small: one vector of width 768 for each
# token.

# %%
TEXTS, HEADS, TOKENS, WIDTH = 16, 12, 4096, 768
BYTES_OF_FLOAT32 = 4
GPU_MEMORY = 24e9  # bytes of a common graphics card

scores_of_one_text = BYTES_OF_FLOAT32 * HEADS * TOKENS * TOKENS
scores = TEXTS * scores_of_one_text
contexts = BYTES_OF_FLOAT32 * TEXTS * TOKENS * WIDTH
print(f"numbers of one head: {TOKENS**2:,}, of {HEADS} heads: {HEADS * TOKENS**2:,}")
print(f"bytes of the scores of one text: {scores_of_one_text:,} = {scores_of_one_text / 1e9:.1f} GB")
rows = [["scores", f"{scores:,}", f"{scores / GPU_MEMORY:.0%}"], ["context", f"{contexts:,}", f"{contexts / GPU_MEMORY:.0%}"]]
show_table(["one layer, 16 texts", "bytes", "share of a GPU with 24 GB"], rows)
print("scores per number of the context:", scores // contexts)
assert scores > GPU_MEMORY / 2

# %% [markdown]
# The scores of one layer fill more than half of the memory of the graphics card. They are 64 times as large as the context.
# After the context is computed, nobody looks at the scores again. And if the texts are twice as long, the scores take four
# times as many bytes.
#
# Could we compute the scores in **blocks**, for example for 64 keys at a time, and forget each block before the next one? The
# average of the values is a sum, and a sum can be computed piece by piece. But the weights come from the softmax:
#
# $$a_i = \frac{e^{s_i - m}}{\sum_j e^{s_j - m}}, \qquad m = \max_j s_j$$
#
# $s_j$ are the scores of one query, $a_i$ is the weight of key $i$, and $m$ is the largest score. It is subtracted so that no
# exponential is too large for the computer (lesson 1). The maximum and the sum need **all** scores of the row. So the first
# weight is not known before the last score.
#
# **Question.** Can we compute the context exactly, although we never see all scores of a row at the same time?

# %% [markdown]
# ## The idea
#
# We do not need the weights. We need the average of the values, and an average is one sum divided by another:
#
# $$\mathrm{Attention} = \frac{\sum_j e^{s_j - m}\, v_j}{\sum_j e^{s_j - m}} = \frac{o}{\ell}$$
#
# $v_j$ is the value of key $j$. We call the upper sum $o$ (the context before the division), and the lower sum $\ell$. Both
# sums can grow block by block. Only the maximum $m$ is a problem: a later block may have a larger score.
#
# Suppose that the maximum so far is $m$, and the new one is $m'$. All exponentials that we have added so far were $e^{s_j-m}$.
# They should have been $e^{s_j-m'}$. All of them are wrong by the same factor:
#
# $$e^{s_j - m'} = e^{m - m'} \cdot e^{s_j - m}$$
#
# So we correct the two sums, and not each exponential. This is the **online softmax**:
#
# $$m' = \max(m, \max_j s_j), \qquad \ell' = e^{m-m'}\,\ell + \sum_j e^{s_j-m'}, \qquad
# o' = e^{m-m'}\, o + \sum_j e^{s_j-m'}\, v_j$$
#
# Here $j$ runs over the keys of the new block only. $m$, $\ell$ and $o$ are the maximum, the sum and the context so far, and
# $m'$, $\ell'$ and $o'$ are the new ones. The factor $e^{m-m'}$ is the **correction**. After the last block, the attention is
# $o/\ell$. Before the first block, $m$ is minus infinity and the sums are zero.
#
# Nothing here is an approximation. (Milakov and Gimelshein 2018, algorithm 3, for the softmax; Dao et al. 2022, algorithm 1,
# for attention: it is called FlashAttention.) In the code, `row_max`, `row_sum` and `output` are $m$, $\ell$ and $o$.

# %%
show_code(equations.online_softmax_attention)

# %% [markdown]
# ## By hand
#
# One query has four keys, in two blocks. The scores are logarithms, so that their exponentials are whole numbers: ln 1, ln 2
# in the first block, and ln 4, ln 1 in the second one. The values are 10, 20, 30 and 40.
#
# **First block.** The maximum is ln 2. The exponentials are $e^{\ln 1 - \ln 2}$ = 1/2 and $e^{\ln 2 - \ln 2}$ = 1.
#
# - sum: 0.5 + 1 = 1.5
# - context: 0.5 · 10 + 1 · 20 = 25
#
# **Second block.** Its largest score is ln 4, so this is the new maximum. The correction is $e^{\ln 2 - \ln 4}$ = 1/2. The
# exponentials are 1 and 1/4.
#
# - sum: 0.5 · 1.5 + 1 + 0.25 = 2
# - context: 0.5 · 25 + 1 · 30 + 0.25 · 40 = 52.5
#
# **At the end.** The attention is 52.5/2 = 26.25.
#
# Now with all scores at once: the exponentials of the scores are 1, 2, 4, 1, and their sum is 8. The weights are 1/8, 2/8,
# 4/8, 1/8. So the attention is (1 · 10 + 2 · 20 + 4 · 30 + 1 · 40)/8 = 210/8 = 26.25. It is the same number, and no weight was
# ever known.

# %%
scores, values = [math.log(1), math.log(2), math.log(4), math.log(1)], [10.0, 20.0, 30.0, 40.0]

largest, total, context = -math.inf, 0.0, 0.0
rows = []
for block in ([0, 1], [2, 3]):
    new_largest = max(largest, *(scores[j] for j in block))
    correction = math.exp(largest - new_largest)
    exponentials = {j: math.exp(scores[j] - new_largest) for j in block}
    total = correction * total + sum(exponentials.values())
    context = correction * context + sum(exponentials[j] * values[j] for j in block)
    largest = new_largest
    shown = ", ".join(f"{number:.2f}" for number in exponentials.values())
    rows.append([math.exp(largest), correction, shown, total, context, context / total])
show_table(["e to the maximum", "correction", "exponentials", "sum", "context", "context / sum"], rows)

all_at_once = sum(math.exp(score) * value for score, value in zip(scores, values, strict=True))
print(f"all at once: {all_at_once:.0f}/{sum(map(math.exp, scores)):.0f} = {all_at_once / sum(map(math.exp, scores)):.2f}")
assert math.isclose(context / total, 26.25)

# %% [markdown]
# The last column has a meaning, too: after each block it is the attention to the keys **so far**.
#
# ## Exact
#
# Addition in a computer rounds, so we cannot expect that all digits are equal. But there should be no other difference. We
# compare with the attention of lesson 2 in double precision (float64), which has about 16 digits.
#
# **Prediction.** 300 keys are processed in blocks of 1, 7, 64 or 1,000 keys. How does the difference depend on the size of the
# block?

# %% tags=["prediction"]
torch.manual_seed(0)
query, key, value = (3 * torch.randn(300, 64, dtype=torch.float64) for _ in range(3))


def largest_difference(attention, block_size, order=slice(None), query=query):
    """Return the largest difference from the exact attention. `order` is the order of the keys."""
    result = attention(query, key[order], value[order], block_size=block_size)
    return (result - equations.scaled_dot_product_attention(query, key, value)).abs().max().item()


differences = [[size, largest_difference(equations.online_softmax_attention, size)] for size in (1, 7, 64, 1000)]
show_table(["keys in a block", "largest difference"], differences)
assert max(difference for _, difference in differences) < 1e-12

# %% [markdown]
# There is no difference but rounding, for every size of the block. The size is free, so we can choose it for the machine.
#
# **Prediction.** Without the maximum ($m$ always 0), no correction would be needed. Why not leave it out? (The largest number
# of single precision is about $e^{88.7}$.)

# %% tags=["prediction"]
for score in (80.0, 90.0):
    print(f"e to the power of {score:.0f} in single precision:", torch.exp(torch.tensor(score)).item())
assert torch.exp(torch.tensor(90.0)).isinf()

# %% [markdown]
# ## The forgotten correction
#
# What happens if both corrections are forgotten? In our example by hand, the sum is 1.5 + 1.25 = 2.75 and the context is 25 +
# 40 = 65, and 65/2.75 = 23.64 instead of 26.25. The first block gets too much weight.
#
# Often only one of the two is forgotten. Here are all three variants, on 300 keys and one query. `variant` makes them from the
# code of minibert.

# %%
SUM, OUTPUT = "sum of earlier blocks not rescaled", "output of earlier blocks not rescaled"
VARIANTS = {
    "correct": equations.online_softmax_attention,
    "both forgotten": variant(SUM, OUTPUT),
    "sum forgotten": variant(SUM),
    "context forgotten": variant(OUTPUT),
}
example = {
    name: attention(torch.ones(1, 1), torch.tensor(scores)[:, None], torch.tensor(values)[:, None], block_size=2).item()
    for name, attention in VARIANTS.items()
}
show_table(["", "our example"], [[name, f"{result:.2f}"] for name, result in example.items()])
print(f"without correction: sum {1.5 + 1.25}, context {25 + 40}, attention {65 / 2.75:.2f}")

# %% [markdown]
# **Prediction.** A test of such an attention uses keys in three orders: the scores rise, they fall, or they fall but the
# largest one comes last. In which order does the test **not** find the mistakes?

# %% tags=["prediction"]
one_query = query[:1]
rising = (one_query @ key.T)[0].argsort()
falling = rising.flip(0)
ORDERS = {"rising": rising, "falling": falling, "falling, but largest last": falling.roll(-1)}
rows = [
    [name, *(largest_difference(attention, 64, order, one_query) for order in ORDERS.values())]
    for name, attention in VARIANTS.items()
]
show_table(["largest difference", *ORDERS], rows)
assert max(row[2] for row in rows) < 1e-12
assert min(row[order] for row in rows[1:] for order in (1, 3)) > 0.1

# %% [markdown]
# <details><summary>Explanation</summary>
#
# If the scores fall, the first block has the largest one. The maximum never changes, every correction is $e^0 = 1$, and
# nothing is forgotten. The same is true if all keys fit into one block. A good test has several blocks **and** a larger score
# in a later block.
#
# </details>
#
# **Prediction.** With a mask, the first block may have no key that the query may attend to. All scores are minus infinity, and
# so is the maximum. What is $e^{s_j - m}$ then?

# %% tags=["prediction"]
print("minus infinity minus minus infinity:", -math.inf - -math.inf)
keep = torch.tensor([[False, False, True, True]])
arguments = torch.ones(1, 1), torch.tensor(scores)[:, None], torch.tensor(values)[:, None], keep, 2
print("not handled:", variant("NaN after a masked block")(*arguments).item())
print("handled:    ", equations.online_softmax_attention(*arguments).item())
assert math.isclose(equations.online_softmax_attention(*arguments).item(), (4 * 30 + 1 * 40) / 5, rel_tol=1e-5)

# %% [markdown]
# The right answer is (4 · 30 + 1 · 40)/5 = 32. NaN ("not a number") is the result of a computation without a meaning, and
# every number that is computed from it is NaN, too. In the code above, the variable `shift` prevents it.
#
# ## Fewer bytes
#
# Now we measure. The class in the next cell counts the bytes of all tensors that a function creates and that exist at the same
# time. You need not read it. `peak` is the largest number during the computation.

# %% tags=["hide-input"]


class Memory(TorchDispatchMode):
    """Count the bytes of the tensors that are created inside of `with` and still exist."""

    def __init__(self):
        super().__init__()
        self.created = {}
        self.peak = 0

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        result = operation(*arguments, **(options or {}))
        given = {storage._cdata for storage in self.storages((arguments, options))}
        for storage in self.storages(result):
            if storage._cdata not in given:  # not a view of an argument
                self.created[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak = max(self.peak, self.now())
        return result

    def storages(self, items):
        return [item.untyped_storage() for item in tree_leaves(items) if isinstance(item, torch.Tensor)]

    def now(self):
        self.created = {data: (weak, size) for data, (weak, size) in self.created.items() if not weak.expired()}
        return sum(size for _, size in self.created.values())


# %%
def in_tiles(query, key, value):
    """Compute attention in blocks of queries and, for each of them, in blocks of keys."""
    return torch.cat([equations.online_softmax_attention(block, key, value) for block in query.split(64, dim=-2)], dim=-2)


METHODS = {
    "explicit": equations.scaled_dot_product_attention,
    "blocks of keys": equations.online_softmax_attention,
    "tiles": in_tiles,
}
LENGTHS = [256, 512, 1024, 2048]


def memory(attention, tokens, training=False):
    """Return two numbers of bytes for one text and one head of width 64: the peak, and what is kept after the computation."""
    inputs = [torch.randn(1, 1, tokens, 64, requires_grad=training) for _ in range(3)]
    with Memory() as counter:
        context = attention(*inputs)
        kept = counter.now() - context.nbytes
    return counter.peak, kept


peaks = {name: [memory(attention, tokens)[0] for tokens in LENGTHS] for name, attention in METHODS.items()}
show_table(
    ["tokens", *METHODS],
    [[f"{tokens:,}", *(f"{bytes_:,}" for bytes_ in row)] for tokens, *row in zip(LENGTHS, *peaks.values(), strict=True)],
)
assert peaks["explicit"][-1] > 3.9 * peaks["explicit"][-2]
assert max(peaks[name][-1] / peaks[name][-2] for name in ("blocks of keys", "tiles")) < 2.1

# %% tags=["hide-input"]


def draw(axes):
    for (name, sizes), color in zip(peaks.items(), (ORANGE, SKY, BLUE), strict=True):
        axes.loglog(LENGTHS, sizes, marker="o", markersize=4, color=color, label=name)
    axes.set(title="Peak memory of one head", xlabel="tokens", ylabel="bytes")
    axes.set_xticks(LENGTHS, [f"{tokens:,}" for tokens in LENGTHS])
    axes.minorticks_off()
    axes.legend(frameon=False)


show_figure(draw, alt="On logarithmic axes, the line of explicit attention is above the two others and twice as steep.")

# %% [markdown]
# If the length doubles, the explicit attention needs four times as many bytes, and the others two times as many. At 2,048
# tokens, a matrix of scores has 2,048 · 2,048 · 4 = 16,777,216 bytes. The explicit attention has four such matrices at the
# same time: the dot products, the scores, the scores minus the maximum, and their exponentials.
#
# The third method needs an explanation. The rows of the scores do not depend on each other, so the queries can be divided into
# blocks, too. The scores are then computed in **tiles**: for 64 queries and 64 keys at a time. What grows with the length is
# only the result itself.
#
# A tile can be chosen as small as the machine needs it. A GPU has a large memory outside of the chip that computes, and a
# small, much faster one on it. In an A100 of NVIDIA, the large memory has 40 GB, and the small one has 192 KB for each of its
# processors (1 KB = 1,024 bytes).
#
# **By hand.** A tile of 64 · 64 scores in single precision has 64 · 64 · 4 = 16,384 bytes = 16 KB. With heads of width 64, a
# block of queries, of keys, of values and of the context has 16 KB each. Together: 5 · 16 = 80 KB. This fits.
#
# **Prediction.** Do tiles of 128 · 128 fit? Remember that a block of 128 queries is 128 · 64 numbers.

# %% tags=["prediction"]
for size in (64, 128):
    tile, block = size * size * 4, size * 64 * 4
    together = (tile + 4 * block) / 1024
    print(f"tile {tile:,} bytes, block {block:,} bytes, together {together:.0f} KB; in half precision {together / 2:.0f} KB")

# %% [markdown]
# In single precision they do not fit: 64 + 4 · 32 = 192 KB, and nothing is left for anything else. In half precision (2 bytes
# per number) they need 96 KB, and fit.
#
# ## And in training?
#
# In training, the backward pass needs the weights again: you saw in lesson 2 that they are in the formula of the gradient. So
# PyTorch keeps the tensors that it needs for this.
#
# **Prediction.** `online_softmax_attention` forgets each block before the next one. How many bytes are kept for the backward
# pass, compared with the scores (2,048 · 2,048 · 4 = 16,777,216 bytes)?

# %% tags=["prediction"]


def recomputed(query, key, value):
    """Compute attention in blocks. Its backward pass computes all blocks again."""
    return checkpoint(equations.online_softmax_attention, query, key, value, use_reentrant=False)


TRAINING = {
    "explicit": equations.scaled_dot_product_attention,
    "blocks of keys": equations.online_softmax_attention,
    "blocks of keys, recomputed": recomputed,
}
kept = {name: memory(attention, 2048, training=True)[1] for name, attention in TRAINING.items()}
print(f"one matrix of scores: {2048 * 2048 * 4:,} bytes")
show_table(["", "bytes kept for the backward pass"], [[name, f"{size:,}"] for name, size in kept.items()])
assert kept["blocks of keys"] > 2048 * 2048 * 4
assert kept["blocks of keys, recomputed"] < 2048 * 2048 * 4 / 10

# %% [markdown]
# <details><summary>Explanation</summary>
#
# The explicit attention keeps two matrices: the exponentials and the weights. The code in blocks forgets `exponentials`, but
# the gradient of `exponentials @ value` needs it, so PyTorch keeps the exponentials of every block. All blocks together are
# one whole matrix again. So blocks save memory when the network is used, but hardly when it is trained.
#
# The way out is to keep nothing, and to compute the scores **a second time** in the backward pass. `checkpoint` of PyTorch
# does this for any function. FlashAttention does it inside: it keeps one number for each query, $m + \ln \ell$, from which
# each weight follows by $a_j = e^{s_j - (m + \ln \ell)}$.
#
# </details>
#
# So the attention that needs less memory does **more** multiplications. It should be slower. But Dao et al. 2022 measured that
# it is several times faster on a GPU. Why?
#
# ## Operations per byte
#
# A machine has two speeds. One is the number of operations (multiplications and additions) that it computes in a second. The
# other is the number of bytes that it moves between memory and chip in a second. Both happen at the same time, and a
# computation is finished when both are done. So the slower one decides.
#
# The **arithmetic intensity** of a computation is its number of operations per byte that is moved. Let it be $I$. Then
#
# $$\text{operations per second} \le \min(P,\; I \cdot B)$$
#
# $P$ is the peak of the machine in operations per second, and $B$ is its bandwidth, the bytes per second. This is the
# **roofline** (Williams et al. 2009): in a figure, the bound looks like a roof. Below the intensity $P/B$, the memory limits
# the speed, and the units that multiply have to wait. Above it, these units limit the speed.

# %%
PEAK = 312e12  # Change it. Operations per second of an A100 in half precision (NVIDIA's data sheet)
BANDWIDTH = 1.555e12  # Change it. Bytes per second of its memory (40 GB)
BYTES, HEAD_WIDTH, BLOCK = 2, 64, 128  # bytes of a number, width of a head, queries in a tile
print(f"P/B = {PEAK / BANDWIDTH:.0f} operations per byte")

# %% [markdown]
# Now count, for one head with $N$ tokens and heads of width $d$. Both kinds of attention multiply the same matrices. $QK^\top$
# has $N^2$ numbers, and each needs $d$ multiplications and $d$ additions: $2N^2d$ operations. The product with $V$ needs the
# same. Together $4N^2d$. (The softmax needs a few operations per score, much fewer than $4d$ = 256. We leave them out.)
#
# The bytes are different:
#
# - **Explicit.** Read $Q$ and $K$, write the scores; read the scores, write the weights; read the weights and $V$, write the
#   context. This is $4N^2 + 4Nd$ numbers.
# - **Fused** means that one program on the chip does everything, tile by tile. Read $Q$ once, write the context once: $2Nd$
#   numbers. Read $K$ and $V$ once for each block of $b$ queries: $2Nd \cdot N/b$ numbers.
#
# **Prediction.** For large $N$, the term with $N^2$ is the only one that counts. What is the intensity of each, with 2 bytes
# per number, $d$ = 64 and $b$ = 128? Does it grow with $N$?


# %% tags=["prediction"]
def operations(tokens):
    """Return the multiplications and additions of attention."""
    return 4 * tokens**2 * HEAD_WIDTH


def explicit_bytes(tokens):
    """Return the bytes that attention moves if scores and weights are stored."""
    return BYTES * (4 * tokens**2 + 4 * tokens * HEAD_WIDTH)


def fused_bytes(tokens):
    """Return the bytes that attention moves if they are not stored."""
    return BYTES * (2 * tokens * HEAD_WIDTH + 2 * tokens * HEAD_WIDTH * math.ceil(tokens / BLOCK))


def bound(intensity):
    """Return the roofline: the largest possible number of operations per second."""
    return min(PEAK, intensity * BANDWIDTH)


lengths = [64, 256, 1024, 4096, 16384]
intensities = {
    "explicit": [operations(tokens) / explicit_bytes(tokens) for tokens in lengths],
    "fused": [operations(tokens) / fused_bytes(tokens) for tokens in lengths],
}
show_table(
    ["tokens", "explicit: operations per byte", "share of the peak", "fused: operations per byte", "share of the peak"],
    [
        [f"{tokens:,}", f"{one:.1f}", f"{bound(one) / PEAK:.0%}", f"{other:.1f}", f"{bound(other) / PEAK:.0%}"]
        for tokens, one, other in zip(lengths, *intensities.values(), strict=True)
    ],
)

# %% tags=["hide-input"]


def draw_roofline(axes):
    ends = [4, PEAK / BANDWIDTH, 4096]
    axes.loglog(ends, [bound(intensity) / 1e12 for intensity in ends], color=GRAY)
    matrix_product = 2 * 4096**3 / (BYTES * 3 * 4096**2)  # of two matrices with 4,096 rows and columns: n³ multiplications
    axes.plot(matrix_product, bound(matrix_product) / 1e12, "s", color=GRAY)
    axes.annotate(
        "product of two\nlarge matrices", (matrix_product, bound(matrix_product) / 1e12), (0, -30),
        textcoords="offset points", ha="center", color=GRAY,
    )  # fmt: skip
    for (name, points), color, offset, side in zip(
        intensities.items(), (ORANGE, BLUE), ((-7, 3), (7, -9)), ("right", "left"), strict=True
    ):
        axes.plot(points, [bound(point) / 1e12 for point in points], "o", color=color, label=f"{name} attention")
        for number in (0, -1):
            axes.annotate(
                f"{lengths[number]:,}", (points[number], bound(points[number]) / 1e12), offset,
                textcoords="offset points", ha=side, color=color,
            )  # fmt: skip
    axes.set(title="Roofline", xlabel="operations per byte", ylabel="10¹² operations per second")
    axes.set_xticks([10, 100, 1000], ["10", "100", "1,000"])
    axes.set_yticks([10, 100], ["10", "100"])
    axes.legend(frameon=False, loc="lower right")


show_figure(
    draw_roofline,
    alt="The roof rises with the intensity and is flat above P/B operations per byte. On an A100, all points of explicit "
    "attention lie on the rising part, below those of fused attention. A product of large matrices lies on the flat part.",
    size=(6.0, 3.6),
)

# %% [markdown]
# The numbers at the points are the numbers of tokens. The gray square is for comparison: a product of two large matrices reads
# each number once and uses it thousands of times, so it reaches the peak.
#
# - Explicit: $4N^2d$ operations and $2 \cdot 4N^2$ bytes. The intensity is $d/2$ = 32, at most. More tokens do not help. The
#   machine can use 16% of its peak.
# - Fused: $4N^2d$ operations and $2 \cdot 2N^2d/b$ bytes. The intensity is $b$ = 128, at most. That is four times as much.
#
# So the fused attention may do some multiplications twice and still be faster: the units that multiply were waiting before.
# This is the main idea of FlashAttention: count the bytes, not the multiplications. (Real kernels can be even better than our
# count: if several blocks of queries need the same keys at the same time, a cache on the chip serves them.)

# %%
assert max(intensities["explicit"]) < 32 < PEAK / BANDWIDTH
assert intensities["fused"][-1] > 3.9 * intensities["explicit"][-1]
training_operations, training_operations_recomputed = 6, 7  # products of matrices, forward and backward
print(f"more operations in training: {training_operations_recomputed / training_operations - 1:.0%}")

# %% [markdown]
# The price in training: the forward pass has 2 products of matrices, and the backward pass has 4. Recomputing the scores adds
# one. So 7 instead of 6: 17% more operations.
#
# **Change it.**
#
# - Set `HEAD_WIDTH` to `128`. Which of the two intensities changes, and why?
# - Set `BLOCK` to `32`. Then the fused attention is as slow as the explicit one, although it stores no score. Why? How large
#   must `BLOCK` be until the operations are the limit?
# - Set `PEAK` and `BANDWIDTH` to those of your own computer. For a laptop, `5e11` and `5e10` are a reasonable guess. Is
#   explicit attention limited by the memory there?
#
# (An `assert` that fails is a statement of this text that is no longer true.)
#
# <details><summary>Answer</summary>
#
# - The explicit one: it doubles. Wider heads need more operations for each score, and a score has the same bytes. The fused
#   one stays: operations and bytes both double.
# - With 32 queries in a block, keys and values are read so often that these bytes are as many as those of the scores. `BLOCK`
#   must be larger than $P/B$ = 201, for example 256.
# - $P/B$ is 10 for this laptop. Explicit attention has an intensity above it, so the operations are the limit. The memory is
#   still needed, but it does not decide the speed.
#
# </details>
#
# ## What minibert does
#
# Blocks in Python are slow: each operation of `online_softmax_attention` is a program of its own, which reads its tensors from
# the memory and writes its result there. A fused attention must be **one** program. PyTorch has several, written for CPUs and
# GPUs, and minibert calls them. `attention="auto"` chooses.

# %%
show_code(kernels.fused_attention, kernels.choose_attention)

# %%
inputs = [torch.randn(2, 12, 300, 64) for _ in range(3)]
difference = (kernels.fused_attention(*inputs) - equations.scaled_dot_product_attention(*inputs)).abs().max().item()
print("largest difference from the explicit attention in single precision:", f"{difference:.1e}")
assert difference < 1e-5

# %% [markdown]
# Sometimes somebody does look at the weights: you, in the other lessons. They use `record`, and during a recording the
# explicit attention runs. A fused attention has no weights to show.
#
# ## Exercises

# %%
exercise("online_softmax_attention")

# %%
exercise("scaled_dot_product_attention")

# %% [markdown]
# ## Seen in well-known code
#
# - **Weights that nobody asked for.** `torch.nn.MultiheadAttention` returns the attention weights by default
#   (`need_weights=True`). Then it cannot use a fused attention. PyTorch's documentation advises `need_weights=False`.
# - **Rows without a key.** If all keys of a query are masked, fused attentions gave NaN in some versions of PyTorch, and zeros
#   in others. See the comment in the code above.
# - **A division after every block.** Algorithm 1 of Dao et al. 2022 divides the context by the sum after each block, and
#   multiplies by the old sum in the next one. The result is the same. FlashAttention-2 divides once, at the end, like the code
#   above: fewer operations that are not products of matrices. A mixture of the two gives a wrong result.
# - **The last block.** If the number of keys is not a multiple of the size of the block, some keys are left. Code that
#   processes complete blocks only loses them.
#
# ## Further reading
#
# - Milakov and Gimelshein 2018, *Online normalizer calculation for softmax*, section 3.
# - Rabe and Staats 2021, *Self-attention does not need O(n²) memory*: the same idea, with recomputation.
# - Dao et al. 2022, *FlashAttention: fast and memory-efficient exact attention with IO-awareness*, sections 2 and 3.
# - Dao 2023, *FlashAttention-2: faster attention with better parallelism and work partitioning*.
# - Williams, Waterman and Patterson 2009, *Roofline: an insightful visual performance model for multicore architectures*.
# - Next: lesson 16, the museum of famous bugs.
