# %% [markdown]
# # 3 · Multi-head attention
#
# Why does a Transformer split its attention into several heads, although this adds no parameter?
#
# You need lessons 1 (dot products and softmax) and 2 (scaled dot-product attention). At the end you can compute multi-head
# attention by hand, say what one head cannot do, and recognize the most frequent mistake in code that splits heads.

# %%
import math

import torch
from torch.nn import functional as F

from minibert import PRESETS, equations, record
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.study.drawing import BLUE, GREEN, ORANGE
from minibert.study.plots import attention_head

# %% [markdown]
# ## Something goes wrong
#
# *The dog chased the cat.* The word "chased" must know two things: who chased, and who was chased. Attention as in lesson 2
# gives it **one** weighted average of the other words. It is one mixture, and which part came from which word cannot be seen
# any more. Who chased whom is lost.
#
# We make a small task of this, so that we can measure it. Eight tokens stand in a circle. Each token has a **content**: 8
# random numbers, new ones in every example. Each token must output the content of the token before it **and** the content of
# the token after it: 16 numbers. Each token also has a **place vector**, which is the same in all examples, so that attention
# can find the neighbors. (Lesson 4 is about place vectors.)
#
# The network below is one multi-head attention, which we will take apart in this lesson. Its only parameters are four
# matrices. We train it with 1, 2, 4 and 8 heads. The loss is the mean squared error of lesson 2. All contents have mean 0 and
# variance 1. So a network that knows nothing, and always outputs 0, has a loss of 1. (In the code, read only the sentences in
# quotes now. The rest becomes clear in this lesson.)

# %%
TOKENS, CONTENT, WIDTH = 8, 8, 64
NEIGHBORS = [1, -1]  # Change it (see below). 1 is the token before, -1 is the token after.
STEPS = 300


def random_examples(places, count):
    """Return random tokens (count, TOKENS, WIDTH), and what each token must output."""
    contents = torch.randn(count, TOKENS, CONTENT)
    tokens = torch.cat([contents, places.expand(count, -1, -1)], dim=-1)  # the content, then the place vector
    return tokens, torch.cat([contents.roll(shift, dims=1) for shift in NEIGHBORS], dim=-1)  # roll: along the circle


def learn(heads, attention=equations.multi_head_attention, seed=0):
    """Return the loss of each step, the place vectors, and the four trained matrices."""
    torch.manual_seed(seed)
    places = torch.randn(TOKENS, WIDTH - CONTENT)
    shapes = [(WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, CONTENT * len(NEIGHBORS))]
    # W_Q, W_K, W_V and W_O. Divided by √WIDTH, so that the projections have a variance of about 1, as the tokens have
    matrices = [torch.nn.Parameter(torch.randn(shape) / math.sqrt(WIDTH)) for shape in shapes]
    optimizer = torch.optim.Adam(matrices, lr=0.01)  # chooses the size of each step by itself: lesson 10
    losses = []
    for _ in range(STEPS):
        tokens, target = random_examples(places, count=32)
        loss = F.mse_loss(attention(tokens, tokens, *matrices, heads), target)
        optimizer.zero_grad()  # forget the gradients of the step before
        loss.backward()  # compute the gradient of the loss for each parameter
        optimizer.step()  # change each parameter a little
        losses.append(loss.item())
    return losses, places, matrices


def final(losses):
    """Return the mean loss of the last 20 steps, because each step has other random examples."""
    return sum(losses[-20:]) / 20


runs = {heads: learn(heads) for heads in [1, 2, 4, 8]}
rows = []
for heads, (losses, _, matrices) in runs.items():
    rows.append([heads, sum(matrix.numel() for matrix in matrices), losses[0], round(final(losses), 4)])
show_table(["heads", "parameters", "loss of the first step", "loss at the end"], rows)

# %% tags=["hide-input"]


def draw(axes):
    for (heads, (losses, _, _)), color, style in zip(
        runs.items(), [ORANGE, BLUE, GREEN, "gray"], ["-", "-", "--", ":"], strict=True
    ):
        axes.plot(losses, style, color=color, label=f"{heads} head{'s' * (heads > 1)}")
    axes.set(title="Learning the contents of both neighbors", xlabel="step", ylabel="mean squared error", ylim=(0, 1.4))
    axes.legend(frameon=False)


show_figure(draw, alt="With one head the error stays at one half; with two, four and eight heads it falls to zero.")

# %% [markdown]
# With one head the loss stops near 0.5, however long we train. With two or more heads it falls to zero. Yet all four networks
# have the **same number of parameters**.
#
# **Question.** What can two heads do that one head of the same size cannot do? And why does the loss of one head stop at 0.5,
# of all numbers?

# %% [markdown]
# ## The equation
#
# $$\mathrm{MultiHead}(Q, K, V) = \mathrm{Concat}(\mathrm{head}_1, \ldots, \mathrm{head}_h)\, W^O$$
#
# $$\mathrm{head}_i = \mathrm{Attention}(QW_i^Q,\; KW_i^K,\; VW_i^V)$$
#
# This is section 3.2.2 of "Attention is all you need".
#
# - $Q$, $K$ and $V$ are matrices with one row for each token. In this lesson all three are the same matrix: each token attends
#   to all tokens of its own text. This is called **self-attention**.
# - $h$ is the number of **heads**. A head is one attention of its own.
# - $W_i^Q$, $W_i^K$ and $W_i^V$ are matrices of parameters. $QW_i^Q$ multiplies each token vector by a matrix: each entry of
#   the result is a dot product of the token vector and one column of the matrix. This is called a **projection**. It makes the
#   queries of head $i$ from the tokens; the two others make its keys and its values.
# - $\mathrm{Attention}$ is the equation of lesson 2, with the softmax and the division by $\sqrt{d_k}$. Here $d_k$ is the
#   width of **one head**.
# - $\mathrm{Concat}$ writes the results of the heads for a token one after another into one long vector.
# - $W^O$ is one more matrix of parameters, the **output projection**. It mixes the results of the heads.
#
# If the token vectors have width $d$ and there are $h$ heads, each head has width $d / h$. So the head matrices $W_i^Q$ have
# $d$ rows and $d/h$ columns. Written next to each other, the $h$ matrices are one matrix with $d$ rows and $d$ columns. Its
# size does not depend on $h$.
#
# **Prediction.** A multi-head attention has a width of 64, and its output has a width of 64 too. How many parameters do the
# three matrices of **one** head have, if there is one head, and if there are 8? And how many parameters have all matrices
# together?

# %% tags=["prediction"]
rows = []
for heads in [1, 2, 4, 8]:
    head_width = 64 // heads
    of_one_head = 3 * (64 * head_width)
    rows.append([heads, head_width, of_one_head, heads * of_one_head + 64 * 64])
show_table(["heads", "width of a head", "parameters of a head", "all parameters"], rows)

# %% [markdown]
# All matrices together have 4 · 64 · 64 = 16,384 parameters in every case, and one head has fewer, the more heads there are.
# (The networks above have fewer, because their output has 16 columns instead of 64.) Heads are not added to the network. The
# width that is there is **divided** between them. The number of multiplications is nearly the same, too.
#
# ## The code
#
# The code keeps the matrices of all heads together as one matrix, computes one large projection, and then splits the result
# into heads. It needs three functions. In the names of the axes, `*batch` stands for any number of axes, here the examples.
#
# - `queries_from` has the vectors of the tokens that attend, `keys_from` those of the tokens that are attended to. In this
#   lesson they are the same.
# - `split_heads` gives each head its part of the columns. Its argument `heads` is the number of heads. In its result, the axis
#   of the heads comes before the axis of the tokens. Then attention, which works on the last two axes, works on tokens and
#   columns of one head.
# - `merge_heads` does the opposite: it writes the columns of the heads one after another. Its argument `heads` is the tensor
#   with the results of all heads.
# - `multi_head_attention` uses both. Every head gets the same mask.
#
# Methods of a tensor that help: `reshape` gives the same numbers other axes; `transpose(-2, -3)` exchanges two axes;
# `flatten(-2)` makes one axis of the last two; `unsqueeze(-3)` adds an axis with one entry before the last two.

# %%
show_code(equations.split_heads, equations.merge_heads, equations.multi_head_attention)

# %% [markdown]
# <details><summary>The code, line by line</summary>
#
# - In `split_heads`, `reshape` cuts the last axis into two: heads, and columns of a head. Then `transpose` exchanges heads and
#   tokens. `merge_heads` exchanges them back.
# - In `multi_head_attention`, `unsqueeze(-3)` gives the mask of lesson 2 an axis for the heads.
#
# </details>
#
# ## By hand
#
# Two tokens of width 2, and two heads. So each head has a width of 1, and $\sqrt{d_k} = 1$. The first three matrices are the
# identity matrix, which changes nothing: head 1 gets the first column of the tokens as queries, keys and values, head 2 gets
# the second column. We compute the output of the first token.

# %%
tokens = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
identity = torch.eye(2)
w_o = torch.tensor([[1.0, 1.0], [0.0, 1.0]])

# %% [markdown]
# 1. **Head 1** has the query 2 and the keys 2 and 1. The scores are 2 · 2 = 4 and 2 · 1 = 2. Their difference is 2, so the
#    weights have the ratio $e^2$ = 7.389 to 1: they are 7.389/8.389 = 0.881 and 1/8.389 = 0.119. The values are 2 and 1, so
#    the result is 0.881 · 2 + 0.119 · 1 = 1.881.
# 2. **Head 2** has the query 1 and the keys 1 and 2. The scores are 1 and 2. The weights are 0.269 and 0.731, and the result
#    is 0.269 · 1 + 0.731 · 2 = 1.731.
# 3. **Concat.** The two results, one after another: (1.881, 1.731).
# 4. **Output projection.** Multiply by the columns of $W^O$. First column (1, 0): 1.881 · 1 + 1.731 · 0 = 1.881. Second column
#    (1, 1): 1.881 + 1.731 = 3.612.
#
# Head 1 attends most to the first token, head 2 most to the second one. The same token attends to **two tokens at once**. Each
# head averages values, but the results of the two heads are not averaged with each other.

# %%
with record() as recording:
    output = equations.multi_head_attention(tokens, tokens, identity, identity, identity, w_o, heads=2)

for name in ["scores", "weights", "context"]:
    for head in range(2):
        print(f"head {head + 1} {name:8}", [round(number, 3) for number in recording[name][head, 0].tolist()])
print(
    "output         ",
    [round(number, 3) for number in output[0].tolist()],
    f"(e² = {math.exp(2):.3f}, e² + 1 = {math.exp(2) + 1:.3f})",
)
assert [round(number, 3) for number in output[0].tolist()] == [1.881, 3.612]

# %% [markdown]
# ## Why one head stops at 0.5
#
# One head has one set of weights for a token. **All** columns of its values are averaged with the same weights. Say that the
# head gives the weight $a$ to the token before and $b$ to the token after, with $a + b = 1$. If the content of the token
# before is $p$ and that of the token after is $n$, the head passes on $a p + b n$, and nothing else. From this one mixture the
# output projection must compute both $p$ and $n$.
#
# **Prediction.** Which weights are best: 0.5 and 0.5, or 1 and 0, or something between? Remember that the loss is the mean of
# two errors, that of $p$ and that of $n$.
#
# The next cell tries five weights. For each it computes the best possible factor from the mixture to $p$, and to $n$, for many
# random numbers.

# %% tags=["prediction"]
torch.manual_seed(0)
before, after = torch.randn(2, 1_000_000)
rows = []
for a in [1.0, 0.75, 0.5, 0.25, 0.0]:
    mixture = a * before + (1 - a) * after
    errors = []
    for target in [before, after]:
        best_factor = (mixture @ target) / (mixture @ mixture)  # the factor with the smallest mean squared error
        errors.append(F.mse_loss(best_factor * mixture, target).item())
    rows.append([a, 1 - a, *errors, sum(errors) / 2])
    assert abs(sum(errors) / 2 - 0.5) < 0.01
show_table(["weight of before", "weight of after", "error of before", "error of after", "mean"], rows)

# %% [markdown]
# All weights are equally bad. With the weights 1 and 0 the head knows everything about one neighbor and nothing about the
# other: errors of 0 and 1. With equal weights it knows half of both. The mean is always 0.5.
#
# Where does the best factor $f$ come from? The derivative of the mean of $(f m - p)^2$ is 0 where $f$ is the mean of $m p$,
# divided by the mean of $m^2$. For $m = 0.75\, p + 0.25\, n$ these means are $0.75$ and $0.75^2 + 0.25^2 = 0.625$. The error
# that remains is $1 - 0.75^2 / 0.625 = 0.1$ for $p$, and $1 - 0.25^2 / 0.625 = 0.9$ for $n$.
#
# So this is the limit of one head: **one mixture for each token**. More training does not help, and more columns do not help.
# (The weights may also depend on the contents, so a loss can be a little below such a limit.)
#
# Two heads make two mixtures. One can attend to the token before, and the other to the token after. Did they? We look at the
# weights of the trained networks. Each row of a figure is a token that attends (the query), each column is a token that is
# attended to (the key).


# %%
def attention_of(heads):
    """Return the attention weights of each head of a trained network for one example."""
    _, places, matrices = runs[heads]
    tokens, _ = random_examples(places, count=1)
    with torch.no_grad(), record() as recording:  # no_grad: without computing gradients
        equations.multi_head_attention(tokens, tokens, *matrices, heads)
    return recording["weights"][0]


weights_of_one, weights_of_two = attention_of(1), attention_of(2)

# %% tags=["hide-input"]
labels = [str(token) for token in range(TOKENS)]
show_figure(
    lambda axes: attention_head(axes, weights_of_one[0], labels, title="One head", colorbar=False),
    lambda axes: attention_head(axes, weights_of_two[0], labels, title="Two heads: head 1", colorbar=False),
    lambda axes: attention_head(axes, weights_of_two[1], labels, title="Two heads: head 2"),
    alt="Each of the two heads attends to one neighbor only; the one head attends to a mixture.",
    size=(2.9, 3.0),
)

# %%
for number, weights in enumerate(weights_of_two, start=1):
    to_before = weights.diagonal(offset=-1).mean().item()
    to_after = weights.diagonal(offset=1).mean().item()
    print(f"head {number}: mean weight of the token before {to_before:.2f}, of the token after {to_after:.2f}")
    assert max(to_before, to_after) > 0.9

# %% [markdown]
# The one head mixes its two neighbors in some proportion, because all proportions are equally good. Of the two heads, each has
# chosen one neighbor. Nobody told them which: the random numbers at the start decide. (Token 0 stands beside token 7, because
# the tokens stand in a circle.)
#
# **Change it.** Let each token output **three** contents: set `NEIGHBORS` to `[1, -1, 4]`, where 4 is the token on the
# opposite side of the circle. First decide: at which of the four numbers of heads does the loss fall to zero? What is the loss
# with one head, and with two? Then run the cell with the task, and the cell below the answer. (In the cells between, an
# `assert` can fail: it describes the first task.) At the end, **set `NEIGHBORS` back** to `[1, -1]` and run the cell with the
# task again. The rest of the lesson needs it.
#
# <details><summary>Answer</summary>
#
# One head knows one of the three contents, or a mixture that is as good as one. So two thirds are missing, and its loss is
# near 2/3. With two heads one third is missing. With four heads the loss is zero. In general, with $h$ heads and $n$ contents
# the loss is near $(n - h)/n$, if $h$ is smaller than $n$.
#
# </details>

# %%
for heads, (losses, _, _) in runs.items():
    missing = max(0, len(NEIGHBORS) - heads) / len(NEIGHBORS)
    print(f"{heads} heads: a part of {missing:.2f} is missing, the loss is {final(losses):.2f}")
    assert abs(final(losses) - missing) < 0.1

# %% [markdown]
# ## Why the output projection?
#
# Without $W^O$, head 1 would always write the first columns of the output, and head 2 the next ones. The following layers
# would find everything that head 1 has found in the first columns only. With $W^O$, each head can write to all columns.
#
# Now cut $W^O$ into $h$ blocks of rows, one for each head: $W_1^O$ to $W_h^O$. The product of a long vector with a matrix is
# the sum of the products of its parts. So
#
# $$\mathrm{Concat}(\mathrm{head}_1, \ldots, \mathrm{head}_h)\, W^O = \sum_{i=1}^{h} \mathrm{head}_i\, W_i^O$$
#
# Multi-head attention is a **sum** of $h$ small attentions. Each head adds its part to the output, and no head needs the
# others. This is why one can remove a single head from a trained network and measure what it was good for.

# %%
_, places, matrices = runs[2]
w_q, w_k, w_v, w_o = matrices
tokens, _ = random_examples(places, count=1)
with torch.no_grad():
    together = equations.multi_head_attention(tokens, tokens, w_q, w_k, w_v, w_o, heads=2)
    columns = [slice(0, WIDTH // 2), slice(WIDTH // 2, WIDTH)]  # the columns of head 1, and those of head 2
    parts = [equations.multi_head_attention(tokens, tokens, w_q[:, c], w_k[:, c], w_v[:, c], w_o[c], heads=1) for c in columns]
torch.testing.assert_close(together, parts[0] + parts[1])
print("largest difference between the whole and the sum of the heads:", f"{(together - sum(parts)).abs().max():.0e}")

# %% [markdown]
# ## A split that mixes tokens
#
# Now the most frequent mistake of those who write this code. `split_heads` needs a `reshape` and a `transpose`. One can reach
# the same **shape** by a `reshape` alone.
#
# **Prediction.** Two tokens have the vectors (1, 2, 3, 4) and (5, 6, 7, 8). We split them into two heads of width 2. Which
# numbers should head 1 get for the two tokens? Which does it get from a `reshape` to (2 heads, 2 tokens, 2 columns), which
# cuts the numbers 1 to 8 in their order?

# %% tags=["prediction"]
tokens = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])


def split_by_reshape(hidden, heads):
    *batch, tokens, width = hidden.shape
    return hidden.reshape(*batch, heads, tokens, width // heads)


right, wrong = equations.split_heads(tokens, heads=2), split_by_reshape(tokens, heads=2)
rows = [
    [head + 1, token + 1, str(right[head, token].tolist()), str(wrong[head, token].tolist())]
    for head in range(2)
    for token in range(2)
]
show_table(["head", "token", "correct", "reshape alone"], rows)
assert right.shape == wrong.shape

# %% [markdown]
# After the `reshape` alone, head 1 has two pieces of the **first** token, and calls the second piece token 2. Head 2 has two
# pieces of the second token. The tokens are mixed, and each head attends inside of one token.
#
# The shape is right, so no error is raised. Does the network notice? We train it again on our task, with this split and the
# merge that belongs to it: the `reshape` that writes the numbers back in the same order.


# %%
def attention_with_wrong_split(queries_from, keys_from, w_q, w_k, w_v, w_o, heads):
    query, key, value = (split_by_reshape(part, heads) for part in (queries_from @ w_q, keys_from @ w_k, keys_from @ w_v))
    context = equations.scaled_dot_product_attention(query, key, value)
    return context.reshape(*queries_from.shape[:-1], -1) @ w_o


# %% [markdown]
# **Prediction.** With the correct split, more heads were at least as good as fewer in this task. With the wrong split and 8
# tokens, what does each of 8 heads see? What is the loss then? (A network that knows nothing has a loss of 1.)

# %% tags=["prediction"]
rows = []
for heads in [1, 2, 4, 8]:
    wrong_loss = final(learn(heads, attention_with_wrong_split)[0])
    rows.append([heads, TOKENS // heads, round(final(runs[heads][0]), 4), wrong_loss])
show_table(["heads", "tokens that a wrong head sees", "loss, correct split", "loss, reshape alone"], rows)
assert wrong_loss > 0.9

# %% [markdown]
# With 8 heads, each head sees the pieces of one token only. It cannot learn anything about the neighbors. With 4 heads, each
# sees two tokens that stand next to each other: of each token it knows one neighbor of two, so half is missing, and the loss
# is near 0.5. With 2 heads, each sees half of the circle, and only the two tokens at the ends of the half lack a neighbor. Of
# the 8 neighbors of these four tokens 2 are missing, so the loss is near 0.25.
#
# So there is a sign of this mistake: **more heads make the network worse**, although the task needs them. And there is a test:
# change one token. With the correct split, only the query of this token changes. With the wrong split, the queries of other
# tokens change too.

# %%
tokens = torch.arange(1.0, 17.0).reshape(4, 4)  # four tokens
changed = tokens.clone()
changed[0] += 100  # change token 1
for name, split in [("correct split", equations.split_heads), ("reshape alone", split_by_reshape)]:
    different = (split(tokens, 2) != split(changed, 2)).any(dim=-1).any(dim=0)  # in any column, in any head
    print(f"{name}: the vectors that change are those of the tokens {[token + 1 for token in range(4) if different[token]]}")

# %% [markdown]
# ## Real networks
#
# BERT (Devlin et al. 2019) is the network that the later lessons build. It has several **layers**, one after another; each has
# a multi-head attention and the parts that lesson 5 adds. There are BERTs of several sizes. The width of a head is always 64.

# %%
sizes = {name: PRESETS[name] for name in ["tiny", "base", "large"]}
rows = [
    [name, size.hidden_size, size.num_attention_heads, size.hidden_size // size.num_attention_heads, size.num_hidden_layers]
    for name, size in sizes.items()
]
show_table(["BERT", "width", "heads in a layer", "width of a head", "layers"], rows)
assert all(row[3] == 64 for row in rows)

# %% [markdown]
# What do the heads of a trained BERT attend to? Clark et al. 2019 looked at its heads. Some attend to the next token, some to
# the token before, some to the mark at the end of a sentence. A few attend from a verb to its object, or from a pronoun such
# as "it" to its noun. Not all heads are needed: Michel et al. 2019 removed many heads of trained networks, and the results
# hardly became worse.
#
# **Try it.** [One head is off](../docs/live_page.html#experiment=One+head+off) in a small trained BERT, which computes on a
# page. Which columns of the merged heads are zero? Does the first prediction change? Find a head that the prediction needs.
#
# ## Exercises
#
# Write the three functions of this lesson. For the last one you may call the other two, and
# `equations.scaled_dot_product_attention` of lesson 2. In its stub, `all_heads` and `all_values` are the columns of all heads
# together.

# %%
exercise("split_heads")

# %%
exercise("merge_heads")

# %%
exercise("multi_head_attention")

# %% [markdown]
# ## Seen in well-known code
#
# - **Other orders of the axes.** FlashAttention expects the axes (batch, tokens, heads, width), PyTorch's
#   `scaled_dot_product_attention` expects (batch, heads, tokens, width). Both accept the other order without an error. The
#   result is then an attention between the heads of one token. This is a convention, not a mistake, but read the
#   documentation.
# - **Transposed matrices.** The paper writes $xW$. `torch.nn.Linear` stores the transpose of $W$ and computes $xW^\top$. If
#   all matrices are square, weights that are copied without a transpose have the right shape, and the numbers are wrong.
# - **The scale.** The scores are divided by the root of the width of **one head**. Code that divides by the root of the whole
#   width has the same result with one head, and another one with several.
#
# ## Further reading
#
# - Vaswani et al. 2017, *Attention is all you need*, section 3.2.2, and rows A of table 3: one head is worse than eight, and
#   too many are worse too.
# - Clark et al. 2019, *What does BERT look at?*
# - Michel et al. 2019, *Are sixteen heads really better than one?*
# - Next: lesson 4, positions.
