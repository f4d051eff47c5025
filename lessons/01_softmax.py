# %% [markdown]
# # 1 · Dot products and softmax
#
# How does a network turn comparisons of vectors, which can give any number, into shares that sum to one?
#
# You need Python, a little linear algebra and derivatives, and no other lesson. At the end you can compute a softmax by hand,
# say why it uses the number e, why its code subtracts a maximum, and why a network can learn with it.

# %%
import math

import torch

from minibert import equations
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.study.drawing import BLUE, GREEN, ORANGE

# %% [markdown]
# ## Something goes wrong
#
# *The cat drank the milk because it was thirsty.* What does "it" stand for: the cat or the milk? You know that it is the cat.
# A network must compute it.
#
# A network does not see words. Its text is a list of **tokens**: words, or pieces of words. Here each word is one token.
#
# A network works with numbers, so each token becomes a **vector**: a list of numbers. Ours have only two numbers, written by
# hand. The first number says how much the word has to do with living things, the second how much with liquids. (In a real
# network a vector has hundreds of numbers, and training chooses them. Nobody can say in one word what each of them means.)

# %%
words = ["cat", "milk", "drank"]
vectors = torch.tensor(  # a tensor is PyTorch's table of numbers: here three rows of two numbers
    [
        [2.0, 0.0],  # cat: living, not liquid
        [0.0, 2.0],  # milk: liquid, not living
        [1.0, 1.0],  # drank: has to do with both
    ]
)

# %% [markdown]
# The word "it" gets a vector too. It says what the word searches for: something living (2), and nothing liquid (−1). Such a
# vector is called a **query**, because it asks. A vector that is compared with the query is called a **key**. Here the keys
# are the vectors of the three words.
#
# To compare the query with a word, we multiply the first numbers, multiply the second numbers, and add the two products. For
# "cat" this is 2·2 + (−1)·0 = 4. This is the **dot product** of the two vectors. We call it the **score** of the word. A high
# score means that the word is what the query searches for.
#
# The network then computes a new vector for "it", which should contain what "it" stands for. It mixes the vectors of the
# words: much of a word with a high score, little of a word with a low score. For this it needs **shares**: how much of each
# word, in parts of one. A first idea is to divide each score by the sum of all scores, as one does with votes. We try it with
# our query, and with two other queries that search for nearly the same.


# %%
def divide_by_sum(scores):
    return scores / scores.sum()


rows = []
for query in [[2.0, -1.0], [1.1, -1.0], [1.0, -1.0]]:
    scores = vectors @ torch.tensor(query)  # @ computes the dot product of each row of `vectors` with the query
    shares = divide_by_sum(scores)
    # .tolist() makes Python numbers of a tensor, .item() makes one
    rows.append([str(query), *scores.tolist(), *shares.tolist(), shares.sum().item()])
show_table(
    ["query", *[f"score of {word}" for word in words], *[f"share of {word}" for word in words], "sum of the shares"], rows
)
assert not torch.isfinite(shares).any()  # those of the last query

# %% [markdown]
# The scores are reasonable: "cat" is always first, and "milk" is always last. The shares are not. In the first row "cat" has a
# share of 1.333, more than everything, and "milk" has a negative share. In the second row the query searches for nearly the
# same, and the share of "cat" is 7.333, more than seven times the whole. In the third row the sum of the scores is 0. A number
# divided by zero gives infinity (`inf`) or "not a number" (`nan`).
#
# **Question.** Scores can be negative, and their sum can be zero. Which function turns **any** numbers into shares?

# %% [markdown]
# ## The dot product
#
# First, why is the dot product a comparison? For two vectors $q$ and $k$ with $d$ numbers each,
#
# $$q \cdot k = \sum_{i=1}^{d} q_i k_i = \lvert q \rvert \, \lvert k \rvert \cos\theta$$
#
# - $q_i$ is number $i$ of the vector $q$, and $k_i$ is number $i$ of the vector $k$. They are also called the **entries** of
#   the vector.
# - $d$ is the **width** of the vectors: how many entries they have. Both must have the same width.
# - $\sum_{i=1}^{d}$ means: compute what follows for each $i$ from 1 to $d$, and add the results.
# - $\lvert q \rvert$ is the **length** of $q$ as an arrow: the square root of the sum of its squared entries.
# - $\theta$ is the angle between the two arrows, and $\cos$ is the cosine. It is 1 for the same direction, 0 for a right
#   angle, and −1 for opposite directions.
#
# So a dot product measures two things at once: how well the directions agree, and how long the arrows are. The table computes
# it in both ways.

# %%
query = torch.tensor([2.0, -1.0])
scores = vectors @ query


def direction(vector):
    """Return the angle between the arrow of a vector and the first axis, in radians."""
    return math.atan2(vector[1], vector[0])


rows = []
for word, vector, score in zip(words, vectors, scores, strict=True):
    angle = abs(direction(vector) - direction(query))
    by_angle = query.norm() * vector.norm() * math.cos(angle)  # .norm() is the length
    rows.append([word, score.item(), math.degrees(angle), math.cos(angle), by_angle.item()])
show_table(["word", "sum of products", "angle to the query in degrees", "cosine", "length · length · cosine"], rows)

# %% tags=["hide-input"]


def draw(axes):
    arrows = {"it (query)": ((2, -1), ORANGE), "cat": ((2, 0), BLUE), "milk": ((0, 2), BLUE), "drank": ((1, 1), BLUE)}
    for name, (end, color) in arrows.items():
        axes.annotate("", xy=end, xytext=(0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2})
        axes.text(end[0] + 0.08, end[1] + 0.06, name, color=color)
    axes.axhline(0, color="gray", linewidth=0.5)
    axes.axvline(0, color="gray", linewidth=0.5)
    axes.set(xlim=(-0.5, 3), ylim=(-1.4, 2.4), aspect="equal", title="The query and the words as arrows")
    axes.set(xlabel="first entry: living", ylabel="second entry: liquid")


show_figure(
    draw, alt="The arrow of the query is nearest to cat, farther from drank, and points away from milk.", size=(4.2, 3.6)
)

# %% [markdown]
# **Prediction.** Suppose that the vector of "drank" is ten times as long: (10, 10). Its direction does not change. What is its
# score? Which word now has the highest score?

# %% tags=["prediction"]
longer = vectors.clone()  # a copy
longer[2] = torch.tensor([10.0, 10.0])
show_table(words, [(longer @ query).tolist()])

# %% [markdown]
# A long vector can win against a better direction. Networks use this: a word can make itself important by its length. It is
# also a danger, because wide vectors are long. Lesson 2 begins with it.
#
# ## What we want from shares
#
# 1. No share is negative, and the shares sum to one.
# 2. A higher score never gives a lower share.
# 3. If the same number is added to **all** scores, the shares do not change.
# 4. If a score changes a little, the shares change a little, but they do change. A network cannot learn otherwise. We will see
#    why.
#
# The third wish needs a reason. Suppose that the same vector $c$ is added to the vectors of all words. It says nothing about
# which word fits better. The score of each word becomes $q \cdot (k + c) = q \cdot k + q \cdot c$. So the same number,
# $q \cdot c$, is added to all scores. Only the **differences** between scores should matter.
#
# Here are five functions. The table shows the shares of our scores 4, −2 and 1, and the shares after 10 is added to each of
# them. The last function is the one that we are looking for; its formula follows.


# %%
def without_negatives(scores):
    return divide_by_sum(scores.clamp(min=0))  # negative scores become 0


def squares(scores):
    return divide_by_sum(scores**2)


def maximum(scores):
    return (scores == scores.max()).float()  # 1 for the highest score, 0 for all others


functions = [divide_by_sum, without_negatives, squares, maximum, equations.softmax]
rows = [[function.__name__, *function(scores).tolist(), *function(scores + 10).tolist()] for function in functions]
show_table(["function", *words, *[f"{word}, 10 added" for word in words]], rows)
torch.testing.assert_close(equations.softmax(scores), equations.softmax(scores + 10))

# %% [markdown]
# - `divide_by_sum` breaks wish 1, and also wish 3: after the addition of 10, "cat" has less than half.
# - `without_negatives` repairs wish 1, but not wish 3. It also breaks wish 4: a negative score can change, and its share stays
#   0.
# - `squares` breaks wish 2: the square of −2 is 4, so "milk" gets a higher share than "drank". It breaks wish 3, too.
# - `maximum` fulfills wishes 1 to 3, if only one score is the highest. It breaks wish 4: if a score changes a little, its
#   shares usually do not change at all.
# - `softmax` fulfills all four. Its shares are the same in both halves of the table.

# %% [markdown]
# ## The equation
#
# $$\mathrm{softmax}(s)_i = \frac{e^{s_i}}{\sum_j e^{s_j}}$$
#
# - $s$ is the list of scores, and $s_i$ is score number $i$.
# - $e$ = 2.718… is Euler's number. $e^{s_i}$ is the **exponential** of the score. It is positive for every score, also for a
#   negative one: $e^{-2} = 1/e^2$.
# - $\sum_j e^{s_j}$ is the sum of the exponentials of all scores. It is positive, so we never divide by zero.
# - $\mathrm{softmax}(s)_i$ is the share of choice $i$. In a Transformer it is called a **weight**; in a network that chooses
#   between classes it is called a **probability**.
#
# In words: make every score positive by the exponential, then divide by the sum.
#
# **By hand.** Our scores are 4 for "cat", −2 for "milk" and 1 for "drank".
#
# 1. The exponentials: $e^4$ = 54.598, $e^{-2}$ = 0.135, $e^1$ = 2.718.
# 2. Their sum: 54.598 + 0.135 + 2.718 = 57.452. (The last digit may differ on your calculator, because the three numbers are
#    rounded.)
# 3. The shares: 54.598 / 57.452 = 0.950, 0.135 / 57.452 = 0.002, and 2.718 / 57.452 = 0.047.
#
# Do it with a calculator before you run the next cell.

# %%
exponentials = torch.exp(scores)
shares = equations.softmax(scores)
print("exponentials", [round(number, 3) for number in exponentials.tolist()], "sum", round(exponentials.sum().item(), 3))
print("shares      ", [round(number, 3) for number in shares.tolist()])
torch.testing.assert_close(shares, exponentials / exponentials.sum())

# %% [markdown]
# Below is the code of minibert, which all its networks use. It is an exercise at the end of this lesson, so it is folded. What
# you need to write it, or to read it:
#
# - A **tensor** is PyTorch's word for a table of numbers with any number of **axes**. A vector has one axis, a matrix has two.
#   `Float[Tensor, "*batch choices"]` says: a tensor of decimal numbers whose last axis has one score for each choice. `*batch`
#   stands for any number of axes before it. So one call can compute the shares of many queries.
# - `dim=-1` means: along the last axis. `.sum(dim=-1, keepdim=True)` adds the numbers along this axis; `keepdim=True` keeps
#   the axis, with one entry, so that the division works for every row.
# - `.amax(dim=-1, keepdim=True)` is the maximum along the last axis. **The formula has no maximum**, but the code has one. A
#   section below says why.

# %%
show_code(equations.softmax)

# %% [markdown]
# <details><summary>The code, line by line</summary>
#
# - `@in_single_precision` says: numbers with few digits (half precision, see below) are converted to a more exact type first.
#   In the exercise you need not do this.
# - The `if` returns an empty tensor as it is.
# - The next line subtracts the maximum. `detach()` tells PyTorch to treat it as a constant when it computes gradients. This is
#   correct, because it cancels, as you will see.
#
# </details>
#
# ## Why the exponential
#
# Wishes 1 and 2 allow many functions: any function that is positive and rises. It is wish 3 that chooses the exponential.
# Powers have the rule $e^{a + c} = e^a \cdot e^c$: an **addition** in the exponent is a **multiplication** of the result. If
# $c$ is added to all scores,
#
# $$\frac{e^{s_i + c}}{\sum_j e^{s_j + c}}
# = \frac{e^{s_i}\, e^c}{\left(\sum_j e^{s_j}\right) e^c}
# = \frac{e^{s_i}}{\sum_j e^{s_j}}$$
#
# The factor $e^c$ is in the numerator and in the denominator, so it **cancels**. The same rule tells us what a difference
# between two scores means. The ratio of two shares is
#
# $$\frac{\mathrm{softmax}(s)_i}{\mathrm{softmax}(s)_k} = \frac{e^{s_i}}{e^{s_k}} = e^{s_i - s_k}$$
#
# The score of "cat" is 3 higher than that of "drank". So the share of "cat" is $e^3$ = 20.1 times the share of "drank".

# %%
print(f"e³ = {math.exp(3):.1f}, ratio of the shares: {(shares[0] / shares[2]).item():.1f}")

# %% [markdown]
# Another base, such as 2, would also fulfill all wishes. The number e is chosen because the derivative of $e^x$ is $e^x$,
# without a factor.
#
# **Prediction.** We change the scores 4, −2, 1 in four ways: subtract 4 from each, multiply each by 2, multiply each by 0,
# multiply each by −1. Which of these leave the shares as they are? What are the shares after the multiplication by 0?

# %% tags=["prediction"]
changes = {"scores": scores, "4 subtracted": scores - 4, "times 2": scores * 2, "times 0": scores * 0, "times −1": scores * -1}
show_table(["", *words], [[name, *equations.softmax(changed).tolist()] for name, changed in changes.items()])

# %% [markdown]
# Only a subtraction or an addition leaves the shares as they are. A multiplication changes the differences between the scores:
# with a factor above 1, the highest score gets more; with a factor of 0, all differences are 0, and all shares are equal.

# %%
LARGEST_FACTOR = 2  # Change it.
factors = torch.linspace(0, LARGEST_FACTOR, 101)  # 101 numbers from 0 to the largest factor
by_factor = equations.softmax(factors[:, None] * scores)  # one row of three shares for each factor

# %% tags=["hide-input"]


def draw(axes):
    for word, line, color in zip(words, by_factor.T, [BLUE, ORANGE, GREEN], strict=True):
        axes.plot(factors, line, color=color, label=word)
    axes.set(title="Shares of the scores 4, −2, 1 times a factor", xlabel="factor", ylabel="share", ylim=(-0.02, 1.02))
    axes.legend(frameon=False)


show_figure(
    draw, alt="At factor 0 all three shares are one third; the share of cat rises towards one, the others fall to zero."
)

# %% [markdown]
# With a large factor, the highest score gets nearly everything, as with the function `maximum`. This is where the name comes
# from: a **soft** maximum.
#
# **Change it.** Set `LARGEST_FACTOR` to `0.2` and then to `20`, and run the two cells again. Then set it to `1`: at which
# factor does "cat" get more than 0.9? Use the rule for the ratio of two shares to say why.
#
# <details><summary>Answer</summary>
#
# At a factor of about 0.77. The difference between "cat" and "drank" is then 0.77 · 3 = 2.31, and $e^{2.31}$ is about 10. So
# "cat" has ten parts, "drank" has one part, and "milk" has nearly nothing: "cat" has about 10/11 of the whole.
#
# </details>

# %% tags=["prediction"]
tried = torch.linspace(0, 1, 101)
factor = tried[equations.softmax(tried[:, None] * scores)[:, 0] > 0.9][0].item()  # the first with more than 0.9 for "cat"
print(f"factor {factor:.2f}; e to the power of {factor * 3:.2f} is {math.exp(factor * 3):.2f}")

# %% [markdown]
# ## Why not the maximum itself?
#
# If a word fits best, why not take it alone? Because of wish 4. A network begins with random numbers, and **training** changes
# them in small steps. The rule of one step is:
#
# 1. Compute the **loss**: a number that is large if the result is wrong. Here the loss is 1 minus the share of the right word,
#    "cat".
# 2. For each number that may be changed (a **parameter**), measure by how much the loss changes if the number grows a little
#    and all others stay, and divide by how much the number grew. This is a derivative of the loss. For a parameter $p$ and the
#    loss $L$ it is written $\partial L / \partial p$. All these derivatives together are the **gradient**.
# 3. Change each parameter by a small amount, so that the loss falls: if its derivative is positive, make the parameter
#    smaller; if it is negative, make it larger. The amount is the derivative times a constant, the **learning rate**.
#
# We let a query learn. It begins with (−1, 1): it searches for a liquid, so it must turn around. The function `gradient`
# measures the derivatives exactly as step 2 says: `small` is how much each entry grows.


# %%
def loss_of(query, function):
    return 1 - function(vectors.double() @ query)[0]  # 1 minus the share of cat; .double() keeps more digits


def gradient(query, function, small=1e-6):
    changes = small * torch.eye(
        2, dtype=torch.float64
    )  # eye: the identity matrix. Its rows change the first entry a little, or the second
    return torch.stack([loss_of(query + change, function) - loss_of(query, function) for change in changes]) / small


def learn(function, steps=60, learning_rate=1.0):
    """Return the share of "cat" at the start and after each step, and the query after the last step."""
    query, shares = start, [1 - loss_of(start, function).item()]
    for _ in range(steps):
        query = query - learning_rate * gradient(query, function)
        shares.append(1 - loss_of(query, function).item())
    return shares, query


start = torch.tensor([-1.0, 1.0], dtype=torch.float64)
print("scores of the query at the start:", dict(zip(words, (vectors.double() @ start).tolist(), strict=True)))

# %% [markdown]
# **Prediction.** Which of the three functions lets the query learn that the word is "cat"?

# %% tags=["prediction"]
for function in [maximum, without_negatives, equations.softmax]:
    print(
        f"{function.__name__:18} gradient at the start: {[round(number, 4) for number in gradient(start, function).tolist()]}"
    )
learned = {function.__name__: learn(function) for function in [maximum, without_negatives, equations.softmax]}
show_table(
    ["function", "share of cat at the start", "after 60 steps", "query at the end"],
    [
        [name, shares[0], shares[-1], str([round(number, 2) for number in end.tolist()])]
        for name, (shares, end) in learned.items()
    ],
)
assert learned["softmax"][0][-1] > 0.9
assert learned["maximum"][0][-1] == learned["without_negatives"][0][-1] == 0

# %% tags=["hide-input"]


def draw(axes):
    axes.plot(learned["softmax"][0], color=BLUE, label="softmax")
    axes.plot(learned["maximum"][0], color=ORANGE, label="maximum")
    axes.plot(learned["without_negatives"][0], "--", color=GREEN, label="without negatives")
    axes.set(title="A query learns to find the word “cat”", xlabel="step", ylabel="share of cat", ylim=(-0.04, 1.04))
    axes.legend(frameon=False)


show_figure(
    draw, alt="With the softmax the share of cat rises from nearly zero to nearly one; with the two others it stays zero."
)

# %% [markdown]
# At the start the scores are −2 for "cat", 2 for "milk" and 0 for "drank". With the maximum, "cat" has the share 0. If the
# query changes a little, "milk" still has the highest score, so the share of "cat" is still 0. The gradient is 0, and nothing
# is ever learned. A negative score that was replaced by 0 has the same problem.
#
# The softmax gives **every** word a share, however small. At the start "cat" has 0.016. This is enough for a gradient, and the
# gradient says in which direction the query must go. At the end the query searches for something living and nothing liquid, as
# ours did.

# %% [markdown]
# ## The formula as it is printed can fail
#
# We have chosen the softmax because it works for any scores. Let us try large ones.


# %%
def as_printed(scores):
    return torch.exp(scores) / torch.exp(scores).sum()


rows = []
for factor in [1, 10, 100]:
    large = factor * scores
    rows.append([str(large.tolist()), *as_printed(large).tolist(), *equations.softmax(large).tolist()])
show_table(["scores", *[f"{word}, as printed" for word in words], *[f"{word}, minibert" for word in words]], rows)
assert as_printed(100 * scores).isnan().any()
assert not equations.softmax(100 * scores).isnan().any()

# %% [markdown]
# With the scores 400, −200 and 100 the printed formula gives `nan`: not a number. In mathematics $e^{400}$ is a number, but
# the computer's type for decimal numbers has a largest value. The usual type, float32, has about seven digits and a largest
# value near $3.4 \cdot 10^{38}$. Its smaller relative, float16 (half precision), is fast. Its largest value is 65,504. A
# larger result becomes infinity; this is an **overflow**. And infinity divided by infinity is `nan`. ("milk" gets 0, because a
# finite number divided by infinity is 0.)

# %%
for dtype in [torch.float32, torch.float16]:
    largest = torch.finfo(dtype).max
    print(f"{dtype}: largest number {largest:,.6g}, so the largest exponent is {math.log(largest):.2f}")
print(f"float16: largest number {torch.finfo(torch.float16).max:,.0f}; e to the power of 12 is {math.exp(12):,.0f}")

# %% [markdown]
# Wish 3 repairs it. We may add the same number to all scores, so we may also subtract the largest score $m$ from all of them:
#
# $$\mathrm{softmax}(s)_i = \frac{e^{s_i - m}}{\sum_j e^{s_j - m}}, \qquad m = \max_j s_j$$
#
# Now the largest exponent is 0, and $e^0 = 1$. No exponential is above 1, so nothing overflows. The sum is at least 1, so
# there is no division by zero. An exponential that is too small becomes 0, which is as good as correct. The code of minibert
# does this.
#
# **Prediction.** Compute the softmax of the scores 1000 and 999 by hand. You need only the number $e^{-1}$ = 0.368.

# %% tags=["prediction"]
print(f"e to the power of -1 is {math.exp(-1):.3f}")
print("shares", [round(number, 3) for number in equations.softmax(torch.tensor([1000.0, 999.0])).tolist()])
print("the same for 1 and 0", [round(number, 3) for number in equations.softmax(torch.tensor([1.0, 0.0])).tolist()])

# %% [markdown]
# <details><summary>Explanation</summary>
#
# Subtract 1000: the scores are 0 and −1. The exponentials are 1 and 0.368, their sum is 1.368. The shares are 1/1.368 = 0.731
# and 0.368/1.368 = 0.269. Only the difference of 1 matters.
#
# </details>

# %%
print(f"sum {1 + math.exp(-1):.3f}")

# %% [markdown]
# ## A score of minus infinity
#
# Sometimes a choice must get no share at all. In mathematics no finite score gives a share of exactly zero, but minus infinity
# does: $e^{-\infty} = 0$. The other shares still sum to one. Lesson 2 uses this for words that may not be looked at.
#
# Another use: a language model computes one score for every word that could come next. (Scores that go into a softmax are also
# called **logits**.) When it writes a text, it should not take one of the thousands of bad words. So only the $k$ highest
# scores stay, and all others become minus infinity. This is called top-k sampling, and the second exercise is its filter.
# These two methods of a tensor help:

# %%
print(scores.topk(2).values)  # the two highest scores, the highest first
print(scores.masked_fill(scores < 0, -math.inf))  # a copy in which the scores below 0 are minus infinity
print(equations.softmax(scores.masked_fill(scores < 0, -math.inf)))

# %% [markdown]
# **Prediction.** What is the softmax if **all** scores are minus infinity? Think of the sum.

# %% tags=["prediction"]
print(equations.softmax(torch.tensor([-math.inf, -math.inf])))

# %% [markdown]
# There is nothing to choose from: the formula divides 0 by 0. Attention must treat this case separately, as you will see in
# lesson 2.
#
# ## Exercises
#
# Each exercise is a function of minibert. Write it yourself before you open the code above. The check computes your function
# for many inputs and says which mistake it has.
#
# Your softmax must work for tensors with several axes: the shares along the **last** axis sum to one. It should also work for
# large scores; if it does not, the check warns.

# %%
exercise("softmax")

# %% [markdown]
# The filter keeps the $k$ highest logits. If $k$ is larger than the number of choices, it keeps all of them. (The check passes
# a function that fails there, but warns.) If several logits are equal to the k-th highest one, it keeps them all.

# %%
exercise("top_k_filter")

# %% [markdown]
# ## Seen in well-known code
#
# - **The wrong axis.** `torch.softmax(scores, dim=0)` is a frequent mistake: the shares of a column sum to one, those of a row
#   do not. If the matrix is square, nothing fails. If no axis is given, `torch.nn.functional.softmax` chooses one itself and
#   warns.
# - **The softmax twice.** `torch.nn.CrossEntropyLoss` computes the softmax itself. Many programs give it shares instead of
#   scores. The result is a softmax of a softmax, whose shares are too equal: they lie between 0 and 1 as scores, so the
#   highest can be at most e times the lowest.
# - **Powers of two.** The fast attention kernel FlashAttention computes $2^x$ instead of $e^x$, because the graphics processor
#   does it faster. It multiplies the scores by $\log_2 e$ first, so the result is the same. Code that copies the power of two
#   without this factor has other shares.
#
# ## Further reading
#
# - Goodfellow, Bengio and Courville 2016, *Deep learning*, section 4.1 (overflow and underflow) and section 6.2.2.3 (the
#   softmax and its gradient).
# - Bridle 1990, *Probabilistic interpretation of feedforward classification network outputs*: the paper that gave the softmax
#   its name.
# - Next: lesson 2, scaled dot-product attention.
