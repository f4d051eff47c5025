# %% [markdown]
# # 2 · Scaled dot-product attention
#
# Why are the scores of attention divided by √d_k, and what happens without it?
#
# You need lesson 1 (dot products and softmax). At the end you can compute attention by hand, say what each step is for, and
# follow one gradient back through it.

# %%
import math

import torch
from torch.nn import functional as F

from minibert import equations, record
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table

# %% [markdown]
# ## Something goes wrong
#
# A query is a vector that asks for something. A key is a vector that says what a token has to offer. The softmax of their dot
# products gives weights that sum to one (lesson 1).
#
# Here are 16 random keys and many random queries. Nothing connects them, so no key deserves more weight than another. We
# measure the largest of the 16 weights of each query, and show the median over 1,000 queries. If all keys had the same weight,
# it would be 1/16.

# %%
torch.manual_seed(0)
KEYS = 16


def largest_weight(width, divide):
    """Return the largest attention weight of a typical query: the median over 1,000 random queries."""
    queries, keys = torch.randn(1000, width), torch.randn(KEYS, width)
    dot_products = queries @ keys.T
    scores = dot_products / math.sqrt(width) if divide else dot_products
    return equations.softmax(scores).amax(dim=-1).median().item()


widths = [8, 64, 512]
rows = [[width, largest_weight(width, divide=False), largest_weight(width, divide=True)] for width in widths]
show_table(["width of the vectors", "without division", "divided by √width"], rows)

# %% [markdown]
# Without the division, one random key gets nearly all of the weight when the vectors are wide, and the other 15 keys get
# nothing. The choice has no reason: the numbers are random. With the division, the largest weight is about 0.2 at every width.
#
# **Question.** Why does the width of the vectors change the weights? And is it bad if one key gets all the weight?

# %% [markdown]
# ## The equation
#
# $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}}\right) V$$
#
# This is equation 1 of "Attention is all you need" (Vaswani et al. 2017). In words:
#
# - $Q$ is the matrix of the **queries**. It has one row for each token that asks.
# - $K$ is the matrix of the **keys**. It has one row for each token that can be attended to.
# - $V$ is the matrix of the **values**. It has one row for each key: what the token passes on if it is attended to. In lesson
#   1 the keys themselves were mixed. Here a token has two vectors, because what it is found by is often not what it should
#   say.
# - $K^\top$ is $K$ with rows and columns exchanged. So $QK^\top$ has one row for each query and one column for each key, and
#   each number in it is the dot product of a query and a key.
# - $d_k$ is the **width** of a key: the number of its entries. Queries have the same width.
# - $\mathrm{softmax}$ turns each row into positive numbers that sum to one: the **attention weights** of one query.
# - The product with $V$ is, for each query, the average of the values with these weights. It is called the **context** of the
#   query.
#
# Below is the code that all networks of minibert use, from BERT to GPT-2. In PyTorch, `key.mT` is $K^\top$, and `@` is the
# product of two matrices.

# %%
show_code(equations.scaled_dot_product_attention)

# %% [markdown]
# <details><summary>The code, line by line</summary>
#
# - Each line is one part of the equation. `observe` gives a number a name, so that we can look at it later, and does nothing
#   else.
# - `keep` is a mask. The section "Tokens that may not be attended to" explains it, and the two `masked_fill`.
# - Two arguments are not needed yet, and not in the exercise: `dropout` sets some random weights to zero in training (lesson
#   5), and `bias` adds a number to each score that depends on the distance of the two tokens (lesson 4).
#
# </details>
#
# ## By hand
#
# Take one query, two keys of width 4, and two values of width 1.

# %%
query = torch.tensor([[1.0, 2.0, 0.0, 1.0]])
keys = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 0.0]])
values = torch.tensor([[10.0], [20.0]])

# %% [markdown]
# 1. **Dot products.** With the first key: 1·1 + 2·1 + 0·1 + 1·1 = 4. With the second key: 1·0 + 2·1 + 0·2 + 1·0 = 2.
# 2. **Scores.** The width is 4, and √4 = 2. So the scores are 4/2 = 2 and 2/2 = 1.
# 3. **Weights.** $e^2$ = 7.389 and $e^1$ = 2.718. Their sum is 10.107, so the weights are 7.389/10.107 = 0.731 and
#    2.718/10.107 = 0.269.
# 4. **Context.** 0.731 · 10 + 0.269 · 20 = 12.69.
#
# Try it on paper before you run the next cell. In minibert's code these steps have names, and `record` collects their numbers.

# %%
with record() as recording:
    context = equations.scaled_dot_product_attention(query, keys, values)

for name in ["dot_products", "scores", "weights", "context"]:
    print(f"{name:12}", [round(number, 3) for number in recording[name].flatten().tolist()])

exponentials = torch.exp(recording["scores"])
print(
    "exponentials", [round(number, 3) for number in exponentials.flatten().tolist()], "sum", round(exponentials.sum().item(), 3)
)
assert round(context.item(), 2) == 12.69

# %% [markdown]
# ## Why the width matters
#
# A dot product of vectors of width $d_k$ is a sum of $d_k$ products. Suppose that all entries are random numbers with mean 0
# and variance 1, and do not depend on each other. Then each product $xy$ has mean 0, and its variance is the mean of
# $x^2 y^2$: the mean of $x^2$ times that of $y^2$, which is 1. The variance of a sum of independent numbers is the sum of
# their variances. So the variance of the dot product is $d_k$, and its standard deviation is $\sqrt{d_k}$.
#
# **Prediction.** The width grows from 8 to 64 and to 512: each time it is 8 times as large. By which factor does the standard
# deviation of the dot products grow each time? And what happens to it after the division by $\sqrt{d_k}$? Decide before you
# look at the output of the next cell.

# %% tags=["prediction"]
rows = []
for width in [8, 64, 512]:
    dot_products = torch.randn(1000, width) @ torch.randn(1000, width).T
    rows.append([width, math.sqrt(width), dot_products.std().item(), (dot_products / math.sqrt(width)).std().item()])
show_table(["width", "√width", "standard deviation of the dot products", "after the division"], rows)

# %% [markdown]
# The division makes the spread of the scores 1 at every width. It does not make the model better by itself. It makes the
# **beginning** of training the same for narrow and for wide vectors.
#
# Now the first question has its answer. Without the division, the variance of a score at width 512 is 512. The variance of the
# **difference** of two independent scores is the sum of their variances, 512 + 512 = 1,024. So two scores typically differ by
# √1,024 = 32. A difference of 32 between two scores is a factor of $e^{32}$ between their weights, a number with 14 digits.
# The softmax becomes a maximum: the largest score gets the weight 1, all others get 0.
#
# **Try it.** [The scale is off](../docs/live_page.html#experiment=Scale) in this small trained BERT, which computes on a
# page. How do the largest weights of the rows change? Switch the scale on and off.

# %%
difference = math.sqrt(512 + 512)
print(f"√{512 + 512:,} = {difference:.0f}; e to the power of {difference:.0f} is {math.exp(difference):,.0f}")

scores = torch.randn(1000, 512) @ torch.randn(1000, 512).T  # 1,000 scores for each query
differences = scores[:, :500] - scores[:, 500:]  # of two scores of the same query
print(f"standard deviation of the scores {scores.std():.1f}, of their differences {differences.std():.1f}")
assert abs(differences.std() - difference) < 1

# %% [markdown]
# ## Is it bad?
#
# A trained network may well give one key all the weight. The problem is to get there: training follows the gradient. Let us
# look at the gradient of the softmax. Weight $i$ is $a_i = e^{s_i} / Z$. Here $s_i$ is its score, and $Z = \sum_j e^{s_j}$. If
# $s_i$ grows, numerator and denominator change, and the derivative of both is $e^{s_i}$. By the quotient rule,
#
# $$\frac{\partial a_i}{\partial s_i} = \frac{e^{s_i} Z - e^{s_i} e^{s_i}}{Z^2} = a_i - a_i^2 = a_i\,(1 - a_i)$$
#
# If the score $s_j$ of **another** key grows, only the denominator changes: $\partial a_i / \partial s_j = -a_i a_j$.
#
# **Prediction.** A weight of 0.5 changes by 0.25 times the change of its score. How much does a weight of 0.9998 change, which
# is nearly 1? And one of 0.0001? Decide which of the three can be learned fastest.

# %% tags=["prediction"]
show_table(["weight a", "a (1 - a)"], [[weight, weight * (1 - weight)] for weight in [0.5, 0.9998, 0.0001]])

# %% [markdown]
# A weight near 1 hardly moves, and a weight near 0 hardly moves. If nearly all the weight is on a wrong key, the gradient that
# would correct the mistake is almost zero. The softmax is **saturated**.
#
# So we can predict what a training run does. In the next one, 16 tokens have random vectors of width 256 and random values.
# Token $i$ has to output the value of token $i - 1$: it has to learn to attend to the token before it. The only parameters are
# the two matrices that make queries and keys. Both runs start from the same numbers. Only one of them divides by √256 = 16.
#
# The loop trains as in lesson 1, with the same rule, which is called `SGD` (stochastic gradient descent). PyTorch computes the
# derivatives. `Parameter` marks a tensor that may be changed. The loss `F.mse_loss` is the **mean squared error**: the mean of
# the squared differences between the output and the target.

# %%
WIDTH, TOKENS, STEPS = 256, 16, 200
LEARNING_RATE = 0.1  # Change it. Is there a learning rate at which the run without division learns the task?


def losses_with(scale):
    """Return the loss of each step. `scale` is the number that the dot products are multiplied with."""
    torch.manual_seed(1)
    tokens, values = torch.randn(TOKENS, WIDTH), torch.randn(TOKENS, 8)
    target = values.roll(1, dims=0)  # roll: each row moves down by one, so row i has the value of the token before
    to_query, to_key = (torch.nn.Parameter(torch.randn(WIDTH, WIDTH) / math.sqrt(WIDTH)) for _ in range(2))
    optimizer = torch.optim.SGD([to_query, to_key], lr=LEARNING_RATE)
    losses = []
    for _ in range(STEPS):
        scores = (tokens @ to_query) @ (tokens @ to_key).T * scale
        loss = F.mse_loss(equations.softmax(scores) @ values, target)
        optimizer.zero_grad()  # forget the gradients of the step before
        loss.backward()  # compute the gradient of the loss for each parameter
        optimizer.step()  # change each parameter a little
        losses.append(loss.item())
    return losses


divided, not_divided = losses_with(1 / math.sqrt(WIDTH)), losses_with(1)

# %% tags=["hide-input"]


def draw(axes):
    axes.plot(not_divided, label="without division")
    axes.plot(divided, label=f"divided by √{WIDTH}")
    axes.set(title="Learning to attend to the token before", xlabel="step", ylabel="mean squared error", ylim=(0, None))
    axes.legend(frameon=False)


show_figure(draw, alt="The error with the division falls to zero within 100 steps; the error without it stays near one.")

# %%
show_table(
    ["", "first step", "last step"], [["divided", divided[0], divided[-1]], ["not divided", not_divided[0], not_divided[-1]]]
)
assert divided[-1] < 0.001
assert not_divided[-1] > 1

# %% [markdown]
# With the division, the error falls to zero. Without it, the error falls in the first few steps only. Then many queries have
# all their weight on a wrong key, and it stays there, because the gradients are zero. (Other random numbers give other errors,
# and the same picture.)
#
# **Change it.** Set `LEARNING_RATE` to `0.01`, `0.03`, `0.3` and `1`, and run the three cells with training, figure and table
# again. (An `assert` that fails is a statement of this text that is no longer true.) Does any of them help the run without
# division? Then set `LEARNING_RATE` back to `0.1`, and set `WIDTH` to `8`. Now the run without division is not the worse one.
# Why?
#
# <details><summary>Answer</summary>
#
# No learning rate helps: the error without division always stays above 1. A smaller one does not help, because the gradient is
# too small, not too large. (With division, a small learning rate is only slower: the error is still falling at the end. With
# `1` the steps are so large that one query gets all its weight on a wrong key, and stays there.)
#
# At width 8 neither run learns the task in these 200 steps: both end with an error near one half. (With other random numbers,
# the run without division is even the better one.) The dot products have a standard deviation of √8, which is less than 3. So
# the weights are much less saturated at the start, with or without the division. This is why the mistake is hard to see in a
# small model, and why the paper says that the division matters "for larger values of $d_k$".
#
# </details>

# %% [markdown]
# ## Tokens that may not be attended to
#
# Some keys must get no weight: the padding behind a short sentence (lesson 8), or the tokens that come later in a text that is
# being generated (lesson 6). The mask `keep` says which ones: `True` means "this query may attend to this key". The scores of
# all other keys become minus infinity **before** the softmax. Since $e^{-\infty} = 0$, their weights are exactly zero, and the
# other weights still sum to one.
#
# **Prediction.** What would happen if we set the weights to zero **after** the softmax?

# %% tags=["prediction"]
scores = torch.tensor([[2.0, 1.0, 3.0]])
keep = torch.tensor([[True, True, False]])
before = equations.softmax(scores.masked_fill(~keep, -math.inf))
after = equations.softmax(scores).masked_fill(~keep, 0.0)
rows = [
    ["masked before the softmax", *before[0].tolist(), before.sum().item()],
    ["masked after it", *after[0].tolist(), after.sum().item()],
]
show_table(["", "key 1", "key 2", "key 3", "sum"], rows)

# %% [markdown]
# <details><summary>Explanation</summary>
#
# After the softmax, the masked key has already taken its share: the rest, 0.2447 and 0.0900, sums to 0.3348. Worse, the share
# depends on the masked key. A token that should have no influence makes all other values smaller.
#
# </details>
#
# A query that may attend to no key has no weights at all: every score is minus infinity, and the softmax would be 0/0. The
# paper does not define this case. In minibert the weights are then zero, and the context is zero. (This needs a second
# `masked_fill`, after the softmax.)
#
# **Try it.** [One score is overwritten by a large negative
# number](../docs/live_page.html#experiment=Large+negative+score), as Google's BERT does with padding. Which weights change, and
# which stay the same?

# %% [markdown]
# ## One gradient, step by step
#
# Training needs the gradient of the loss for every number. PyTorch computes them, and `record(gradients=True)` keeps those of
# the steps in between. We follow one of them: the gradient of the weight of the second key.
#
# The loss of our example is the context itself: $L = a_1 v_1 + a_2 v_2$. So $\partial L / \partial a_2 = v_2$: if the second
# weight grows by a small amount, the loss grows by 20 times this amount.

# %%
query.requires_grad_()  # compute gradients of everything that depends on the query
with record(gradients=True) as recording:
    loss = equations.scaled_dot_product_attention(query, keys, values).sum()  # one number: sum() only removes the axes
loss.backward()  # compute the gradients

weights = recording["weights"].detach()[0]  # detach: the numbers alone, without their gradient
of_weights, of_scores = recording.gradient("weights")[0], recording.gradient("scores")[0]
print("gradient of the weights:", of_weights.tolist())
print("gradient of the scores: ", [round(number, 3) for number in of_scores.tolist()])

# %% [markdown]
# The gradient of a score needs one more thought. If the second score grows, the second weight grows, but the first one becomes
# smaller, because they sum to one. So the score $s_j$ changes the loss through **all** weights, and we add these changes. The
# derivatives of the weights are those of the section "Is it bad?": $a_j - a_j^2$ for weight $j$, and $-a_i a_j$ for each other
# weight $i$. Together:
#
# $$\frac{\partial L}{\partial s_j} = \sum_i \frac{\partial L}{\partial a_i} \frac{\partial a_i}{\partial s_j}
# = a_j \left(\frac{\partial L}{\partial a_j} - \sum_i a_i \frac{\partial L}{\partial a_i}\right)$$
#
# The bracket compares: how much larger is this value than the average that we have now? (The value adds to the loss, so larger
# is worse.)
#
# For the second key: the average is the context, 12.69. So the gradient is 0.269 · (20 − 12.69) = 1.966. For the first key:
# 0.731 · (10 − 12.69) = −1.966. The two sum to zero, as always: the softmax does not change if all scores grow together.

# %%
by_hand = weights * (of_weights - (weights * of_weights).sum())
print("by hand:                ", [round(number, 3) for number in by_hand.tolist()])
torch.testing.assert_close(by_hand, of_scores)

# %% [markdown]
# The factor $a_j$ in front is the reason for everything above: a key with a weight of zero gets no gradient, whatever its
# value is. It is the $a\,(1 - a)$ of the section "Is it bad?", for more than one key.
#
# ## Exercises
#
# Each of them is a function of minibert. Write it yourself; the check says which mistake it has. The first one is the mask of
# a network that generates a text, such as the **decoder** of lesson 6: a token may attend to itself and to earlier tokens. The
# bracket $[j \le i]$ in its formula is 1 (here `True`) if the statement is true, and else 0.

# %%
exercise("causal_mask")

# %%
exercise("scaled_dot_product_attention")

# %% [markdown]
# ## Seen in well-known code
#
# - **Large negative numbers instead of minus infinity.** Google's BERT adds `-10000` to the scores of masked keys. This works
#   while all other scores are much larger. In half precision, `-1e9` does not exist: it becomes minus infinity, and a row of
#   only such scores becomes NaN.
# - **The opposite meaning of `True`.** In `torch.nn.MultiheadAttention`, `True` in a mask means "may **not** attend". In
#   `torch.nn.functional.scaled_dot_product_attention` it means "may attend". Read the documentation of every function that you
#   give a mask to.
# - **No division at all.** T5 leaves out √d_k on purpose, and starts from smaller weights of the query instead. This is a
#   convention, not a mistake. It becomes a mistake when its weights are used in code that divides.
#
# ## Further reading
#
# - Vaswani et al. 2017, *Attention is all you need*, section 3.2.1 with its footnote 4.
# - Bahdanau et al. 2015, *Neural machine translation by jointly learning to align and translate*: attention before the dot
#   product.
# - Next: lesson 3, several heads.
