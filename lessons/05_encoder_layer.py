# %% [markdown]
# # 5 · The encoder layer
#
# Attention cannot be stacked: after a few layers of it, all tokens have the same vector. What must be added to it so that
# twelve layers work, and what is each addition good for?
#
# You need lessons 1 to 3. The lesson has two parts, for two days. At the end of the first, with its exercises, you can say
# what residual connections, layer normalization and the feed-forward network do, and compute each of them by hand. In the
# second, you follow a gradient back through a whole encoder layer, step by step.

# %%
import math

import torch
from torch.nn import functional as F

from minibert import BertConfig, equations, record
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.model.layers import EncoderLayer
from minibert.study.drawing import BLUE, GREEN, ORANGE

# %% [markdown]
# ## Something goes wrong
#
# A Transformer is a **stack of layers**: the output of one layer is the input of the next. Suppose that a layer is multi-head
# attention and nothing else. We give 16 random token vectors to 12 such layers with random matrices. After each layer we
# measure two things:
#
# - the mean **cosine** between two different tokens. It is 1 if all vectors have the same direction, and near 0 for random
#   vectors (lesson 1);
# - the **size** of the numbers: the square root of the mean of their squares.


# %%
WIDTH, HEADS, LAYERS = 64, 4, 12


def random_attention(factor):
    """Return a multi-head attention with random matrices times a factor, as a function of the token vectors."""
    matrices = [factor * torch.randn(WIDTH, WIDTH) / math.sqrt(WIDTH) for _ in range(4)]
    return lambda tokens: equations.multi_head_attention(tokens, tokens, *matrices, heads=HEADS)


def cosine_and_size(tokens):
    directions = tokens / tokens.norm(dim=-1, keepdim=True)
    cosines = directions @ directions.T  # of each token with each token
    count = len(tokens)
    return (cosines.sum() - cosines.trace()).item() / (count * (count - 1)), tokens.square().mean().sqrt().item()


def stack(layer, factor=1.0, seed=0):
    """Return cosine and size before the first layer and after each of the layers."""
    torch.manual_seed(seed)
    tokens = torch.randn(16, WIDTH)
    measured = [cosine_and_size(tokens)]
    for _ in range(LAYERS):
        tokens = layer(tokens, random_attention(factor))
        measured.append(cosine_and_size(tokens))
    return measured


alone = stack(lambda tokens, attention: attention(tokens))
show_table(["after layer", "mean cosine", "size"], [[layer, *alone[layer]] for layer in [0, 1, 2, 3, 6, 12]])
assert alone[3][0] > 0.99

# %% [markdown]
# After three layers all 16 vectors point in the same direction. All later layers compute with 16 copies of one vector.
#
# The reason is the average. The output of attention is an average of values, and an average of averages of averages is nearly
# the same for every token.
#
# Such a network cannot be trained either. In the next task, 8 tokens have a content of 8 signs: each sign is 1 or −1. Each
# token must output two things: the signs of the token **before** it, and the **products** of its own signs with those of the
# token before. The loss of each is the mean squared error; a network that knows nothing, and outputs 0, has a loss of 1. Again
# each token also has a place vector, so that attention can find the token before.
#
# `EncoderLayer` is minibert's class of a finished layer, and `BertConfig` holds its sizes. For now we use only one part of it,
# `layer.attention`. The other parts follow one after another. At the end of the network, `torch.nn.Linear` computes the 16
# outputs of each token: it multiplies the vector by a matrix and adds a vector.

# %%
TOKENS, CONTENT, STEPS = 8, 8, 200
STD, LEARNING_RATE = 0.05, 0.003  # size of the random numbers in the matrices at the start, and of the steps
sizes = BertConfig(
    hidden_size=32,  # the width of the token vectors
    num_attention_heads=4,
    intermediate_size=64,  # the width inside of the feed-forward network, see below
    hidden_act="relu",
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


def learn(layer_function, std=STD, learning_rate=LEARNING_RATE, seed=0):
    """Train six layers on the task. Return the two losses: mean of the last 20 steps."""
    torch.manual_seed(seed)
    places = torch.randn(TOKENS, sizes.hidden_size - CONTENT)
    layers = torch.nn.ModuleList(EncoderLayer(sizes) for _ in range(6))  # a list of layers with their parameters
    for parameter in layers.parameters():
        if parameter.ndim == 2:  # a matrix, not a vector
            torch.nn.init.normal_(parameter, std=std)  # new random numbers
    output = torch.nn.Linear(sizes.hidden_size, 2 * CONTENT)
    optimizer = torch.optim.Adam([*layers.parameters(), *output.parameters()], lr=learning_rate, fused=True)
    history = []
    for _ in range(STEPS):
        signs = torch.randn(32, TOKENS, CONTENT).sign()  # 32 examples
        before = signs.roll(1, dims=1)
        hidden = torch.cat([signs, places.expand(32, -1, -1)], dim=-1)
        for layer in layers:
            hidden = layer_function(layer, hidden)  # the output of a layer is the input of the next
        neighbor, product = output(hidden).chunk(2, dim=-1)  # the first and the second half of the columns
        losses = [F.mse_loss(neighbor, before), F.mse_loss(product, signs * before)]
        optimizer.zero_grad()
        sum(losses).backward()
        optimizer.step()
        history.append([loss.item() for loss in losses])
    return torch.tensor(history[-20:]).mean(dim=0).tolist()


def attention_alone(layer, hidden):
    return layer.attention(hidden, hidden)


ladder = {"attention alone": learn(attention_alone)}
show_table(
    ["six layers of", "loss of the neighbor", "loss of the product"], [[name, *losses] for name, losses in ladder.items()]
)
assert min(ladder["attention alone"]) > 0.8

# %% [markdown]
# Both losses stay near 1. Six layers learn nothing, although **one** layer of attention learned to copy from a neighbor in
# lesson 3.
#
# **Question.** What does attention lack?
#
# We will find three things, and add them one after another.

# %% [markdown]
# ## First addition: the residual connection
#
# The first idea is small. The output of attention does not replace the vector of the token. It is **added** to it:
#
# $$r = x + \mathrm{Attention}(x)$$
#
# Here $x$ are the vectors that enter the layer, and $r$ the sum. This is called a **residual connection**, because attention
# must only compute the rest (the residual): what should change. Each token keeps what it was.
#
# **Prediction.** With the residual connection, what happens to the mean cosine after 3 layers, which was 1? What happens to
# the size after 12 layers, if each layer adds something?

# %% tags=["prediction"]
added = stack(lambda tokens, attention: tokens + attention(tokens))
rows = [[layer, alone[layer][0], added[layer][0], alone[layer][1], added[layer][1]] for layer in [0, 1, 2, 3, 6, 12]]
show_table(["after layer", "cosine alone", "cosine with residual", "size alone", "size with residual"], rows)
assert added[3][0] < 0.6
assert added[12][1] > 5

# %% [markdown]
# The tokens stay different for longer, but not through 12 layers. We come back to this below. And something else goes wrong:
# the numbers **grow**. The values are the vectors of the tokens times a matrix, so a layer adds more to larger vectors. It
# **multiplies** the size, and 12 layers do so one after another.
#
# Lesson 2 has shown why this is bad. Scores are products of two vectors, so they grow with the square of the size. With large
# scores the softmax is saturated: one key gets all the weight, and the gradient is zero.

# %% [markdown]
# ## Second addition: layer normalization
#
# The second idea: after each sum, bring every vector back to a fixed size.
#
# $$\mathrm{LayerNorm}(x) = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} \odot g + b, \qquad
# \mu = \frac{1}{d}\sum_{i=1}^{d} x_i, \qquad \sigma^2 = \frac{1}{d}\sum_{i=1}^{d} (x_i - \mu)^2$$
#
# - $x$ is the vector of **one** token, and $x_i$ are its $d$ entries.
# - $\mu$ (mu) is the **mean** of the entries.
# - $\sigma^2$ (sigma squared) is their **variance**: the mean of the squared distances from the mean. Its root $\sigma$ is the
#   **standard deviation**: the typical distance from the mean.
# - $\varepsilon$ (epsilon) is a tiny number. It prevents a division by zero if all entries are equal.
# - $g$ is the **gain** and $b$ the **bias**: vectors of parameters. At the start of training $g$ is 1 and $b$ is 0 in every
#   entry.
# - $\odot$ multiplies two vectors entry by entry.
#
# In words: subtract the mean, divide by the standard deviation. The result has mean 0 and variance 1. Then training may choose
# another scale ($g$) and another zero ($b$) for each entry. Each token is normalized for itself; other tokens do not matter.
# In PyTorch, `.mean(dim=-1, keepdim=True)` is the mean of each token: `dim=-1` is the last axis, that of the entries.

# %%
show_code(equations.layer_norm)

# %% [markdown]
# **By hand.** Take the vector (2, 4, 4, 4, 5, 5, 7, 9), with $g$ = 1 and $b$ = 0.
#
# 1. The sum is 40, and there are 8 entries. So the mean is 5.
# 2. The distances from the mean are −3, −1, −1, −1, 0, 0, 2, 4. Their squares are 9, 1, 1, 1, 0, 0, 4, 16, with the sum 32. So
#    the variance is 32/8 = 4, and the standard deviation is 2.
# 3. Divide the distances by 2: (−1.5, −0.5, −0.5, −0.5, 0, 0, 1, 2).

# %%
vector = torch.tensor([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
ones, zeros = torch.ones(8), torch.zeros(8)
print("sum", vector.sum().item(), "sum of the squared distances", (vector - vector.mean()).square().sum().item())
print("normalized", equations.layer_norm(vector, gain=ones, bias=zeros).tolist())
torch.testing.assert_close(
    equations.layer_norm(vector, ones, zeros), torch.tensor([-1.5, -0.5, -0.5, -0.5, 0.0, 0.0, 1.0, 2.0])
)

# %% [markdown]
# **Prediction.** What is the result if each entry of the vector is ten times as large? And if 100 is added to each entry?

# %% tags=["prediction"]
print("ten times as large", equations.layer_norm(10 * vector, ones, zeros).tolist())
print("100 added         ", equations.layer_norm(100 + vector, ones, zeros).tolist())

# %% [markdown]
# The result is always the same. Layer normalization forgets the mean and the size of a vector, and keeps the rest.
#
# A layer now has the form that the paper calls "Add & Norm":
#
# $$y = \mathrm{LayerNorm}(x + \mathrm{Sublayer}(x))$$
#
# A **sublayer** is a part of the layer such as attention. The function of minibert is one line:

# %%
show_code(equations.add_and_norm)

# %%
gain, bias = torch.ones(WIDTH), torch.zeros(WIDTH)
normalized = stack(lambda tokens, attention: equations.add_and_norm(tokens, attention, gain, bias))

# %% tags=["hide-input"]


def draw_sizes(axes):
    for measured, label, color in [
        (alone, "attention alone", ORANGE),
        (added, "with residual", BLUE),
        (normalized, "with residual and norm", GREEN),
    ]:
        axes.plot([size for _, size in measured], color=color, label=label)
    axes.set(title="Size of the numbers", xlabel="layers", ylabel="size", yscale="log")
    axes.legend(frameon=False)


def draw_cosines(axes):
    for measured, color in [(alone, ORANGE), (added, BLUE), (normalized, GREEN)]:
        axes.plot([cosine for cosine, _ in measured], color=color)
    axes.set(title="Mean cosine between tokens", xlabel="layers", ylabel="cosine", ylim=(-0.05, 1.05))


show_figure(
    draw_sizes,
    draw_cosines,
    alt="Without the norm the size grows to more than ten; with it the size is one. The cosine of attention alone is soon one.",
    size=(4.4, 3.2),
)

# %% [markdown]
# With the norm the size is 1 after every layer. But on the right, all three cosines end near 1. What attention adds is an
# average, nearly the same for all tokens. If each layer adds much of it, it covers in time what made the tokens different. So
# a layer should change the vectors only a little. In real networks it does: training begins with smaller matrices than ours.
#
# **Prediction.** All matrices are half as large. What is the mean cosine after 12 layers of attention alone, with the residual
# connection, and with residual and norm?

# %% tags=["prediction"]
kinds = {
    "attention alone": (alone, lambda tokens, attention: attention(tokens)),
    "with residual": (added, lambda tokens, attention: tokens + attention(tokens)),
    "with residual and norm": (normalized, lambda tokens, attention: equations.add_and_norm(tokens, attention, gain, bias)),
}
rows = []
for name, (full, layer) in kinds.items():
    half = [stack(layer, factor=0.5, seed=seed)[12] for seed in range(3)]  # with three sets of random numbers
    rows.append([name, full[12][0], *[round(cosine, 3) for cosine, _ in half], half[0][1]])
header = ["cosine", *[f"cosine, half, seed {seed}" for seed in range(3)], "size, half, seed 0"]
show_table(["after 12 layers", *header], rows)
assert min(rows[0][2:5]) > 0.99
assert max(rows[1][2:5] + rows[2][2:5]) < 0.2
assert abs(normalized[12][1] - 1) < 0.01

# %% [markdown]
# Attention alone is not saved: all its tokens are equal, and its numbers are nearly zero. With the residual connection, the
# tokens stay different through all twelve layers. This is the first half of the answer: **each token keeps its own vector, and
# each layer changes it a little**. The norm is not needed for it. It holds the size when training makes the matrices larger;
# we will test this below.
#
# Now the task again. Attention can copy from a neighbor. So the first loss should fall.
#
# **Prediction.** What about the second one: the product of two signs $p$ and $q$? Attention adds vectors, each times a number.
# So try to find two numbers $\alpha$ and $\beta$ for which $\alpha p + \beta q = p q$, for all four pairs of signs.


# %%
def with_residual(layer, hidden):
    return hidden + layer.attention(hidden, hidden)


def with_residual_and_norm(layer, hidden):
    return layer.attention_norm(hidden + layer.attention(hidden, hidden))


# %% tags=["prediction"]
ladder["with residual"] = learn(with_residual)
ladder["with residual and norm"] = learn(with_residual_and_norm)
show_table(
    ["six layers of", "loss of the neighbor", "loss of the product"], [[name, *losses] for name, losses in ladder.items()]
)
assert ladder["with residual and norm"][0] < 0.05
assert ladder["with residual and norm"][1] > 0.3

# %% [markdown]
# The neighbor is learned. The product is not, or only a small part of it: something is still missing.

# %% [markdown]
# ## Third addition: the feed-forward network
#
# Attention computes **averages** of values, and values are projections. Averages and projections are **linear**: they multiply
# by numbers and add. A product of two signs is not linear. No choice of $\alpha$ and $\beta$ makes $\alpha p + \beta q$ equal
# to $p q$ for all signs: for $p = q = 1$ the sum $\alpha + \beta$ would have to be 1, and for $p = q = -1$ the sum
# $-\alpha - \beta$ would have to be 1, too.
#
# One part of attention is not linear: the **weights**, because the softmax makes them. A network can use them to compute a
# part of a product, but with much effort.
#
# So each token needs a computation of its own that is not linear. This is the **feed-forward network**, equation 2 of the
# paper:
#
# $$\mathrm{FFN}(x) = \max(0,\; x W_1 + b_1)\, W_2 + b_2$$
#
# - $W_1$ and $W_2$ are matrices of parameters, $b_1$ and $b_2$ vectors of parameters.
# - $x W_1 + b_1$ makes a longer vector from the token vector, in BERT four times as long. Its entries are called **features**.
# - $\max(0, u)$ keeps positive numbers and replaces negative ones by 0, for each entry. This function is called **ReLU**
#   (rectified linear unit). It is the only part that is not linear. Such a part is called an **activation function**.
# - $W_2$ brings the vector back to its old width.
#
# The same network is used for every token, and no token sees another one.

# %%
show_code(equations.relu, folded=False)
show_code(equations.feed_forward)

# %% [markdown]
# **By hand.** Two features are enough for the product of two signs $p$ and $q$: the features are $p + q$ and $-p - q$, and the
# output is the sum of their positive parts, minus 1.
#
# - $p = 1$, $q = 1$: the features are 2 and −2. ReLU makes 2 and 0. The output is 2 + 0 − 1 = 1.
# - $p = 1$, $q = -1$: the features are 0 and 0. The output is 0 + 0 − 1 = −1.
# - The other two cases are the same with other signs. Compute them before you run the cell.

# %%
signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
w_1, b_1 = torch.tensor([[1.0, -1.0], [1.0, -1.0]]), torch.zeros(2)
w_2, b_2 = torch.tensor([[1.0], [1.0]]), torch.tensor([-1.0])
products = equations.feed_forward(signs, w_1, b_1, w_2, b_2)
show_table(["p", "q", "output"], [[*pair.tolist(), product.item()] for pair, product in zip(signs, products, strict=True)])
torch.testing.assert_close(products[:, 0], signs[:, 0] * signs[:, 1])

# %% [markdown]
# BERT uses a smooth relative of ReLU, **GELU** (Gaussian error linear unit). If $\Phi(x)$ is the probability that a random
# number from the standard normal distribution is below $x$, then
#
# $$\mathrm{GELU}(x) = x\,\Phi(x) \approx \frac{x}{2}\left(1 + \tanh\!\left[\sqrt{2/\pi}\,(x + 0.044715\,x^3)\right]\right)$$
#
# The middle is the exact function, `equations.gelu`. The right side is an approximation, `equations.gelu_tanh`, which Google's
# BERT computes. The two differ by less than a thousandth.

# %% tags=["hide-input"]
numbers = torch.linspace(-4, 4, 401)


def draw(axes):
    axes.plot(numbers, equations.relu(numbers), color=ORANGE, label="ReLU")
    axes.plot(numbers, equations.gelu(numbers), color=BLUE, label="GELU")
    axes.set(title="Two activation functions", xlabel="x", ylabel="f(x)")
    axes.legend(frameon=False)


show_figure(
    draw, alt="ReLU is zero for negative numbers and x for positive ones. GELU follows it in a smooth curve.", size=(4.2, 3.0)
)

# %%
difference = (equations.gelu(numbers) - equations.gelu_tanh(numbers)).abs().max().item()
print(f"largest difference between GELU and its approximation: {difference:.5f}")
assert difference < 0.001

# %% [markdown]
# ## The whole layer
#
# With the third addition the layer is complete. Each of the two sublayers has a residual connection and a normalization:
#
# 1. multi-head attention: tokens get information from other tokens;
# 2. add and norm;
# 3. feed-forward network: each token computes with what it has;
# 4. add and norm.
#
# Does it learn the product? And, as a counter-check: does the whole layer still learn if we take the residual connections away
# again?


# %%
def whole_layer(layer, hidden):
    return layer(hidden)


def whole_layer_without_residual(layer, hidden):
    hidden = layer.attention_norm(layer.attention(hidden, hidden))
    return layer.feed_forward_norm(layer.feed_forward(hidden))


ladder["the whole layer"] = learn(whole_layer)
ladder["the whole layer without residual"] = learn(whole_layer_without_residual)
show_table(
    ["six layers of", "loss of the neighbor", "loss of the product"], [[name, *losses] for name, losses in ladder.items()]
)
assert max(ladder["the whole layer"]) < 0.1
assert min(ladder["the whole layer without residual"]) > 0.8

# %% [markdown]
# Yes, and no. The whole layer learns both. Without the residual connections it learns nothing.
#
# And the norm: is it needed? We take the two normalizations away, first with the small matrices that we have used so far, then
# with matrices six times as large.
#
# **Prediction.** When will the norm matter?


# %% tags=["prediction"]
def whole_layer_without_norm(layer, hidden):
    hidden = hidden + layer.attention(hidden, hidden)
    return hidden + layer.feed_forward(hidden)


rows = []
for std in [STD, 6 * STD]:
    with_norm, without_norm = learn(whole_layer, std), learn(whole_layer_without_norm, std)
    rows.append([std, *with_norm, *without_norm])
header = ["neighbor, with norm", "product, with norm", "neighbor, without norm", "product, without norm"]
show_table(["std of the matrices", *header], rows)
assert max(rows[1][1:3]) < 1.5
assert min(rows[1][3:]) > 100

# %% [markdown]
# With small matrices this network does not need the norm. With larger ones the loss without the norm is enormous: the numbers
# grow in each layer, and the gradients with them. With the norm the loss stays near 1. The network has not learned the task in
# 200 steps, but nothing has exploded.
#
# So the norm does not make a network better by itself, and it does not make it learn. It makes it **less sensitive** to the
# size of its numbers. In a deep network that is trained for a long time, nobody can keep all matrices small.
#
# **Change it.** In the cell with the task, set `LEARNING_RATE` to `0.03`, ten times as large, and run the notebook from there
# to here. Which rows of the tables explode, and which do not? Then set it back, and set `STD` to `0.1`. (If an `assert` fails,
# put a `#` before it: it describes the first numbers.)
#
# <details><summary>Answer</summary>
#
# **Large steps.** Two rows without the norm explode, with losses above a million: attention alone, and the whole layer without
# norm. The row "with residual", which has no norm either, does not have to explode: without the norm the result depends on
# luck. All rows with the norm stay near 1. They learn nothing, because the steps are too large, but nothing explodes.
#
# **Larger matrices.** The whole layer learns the neighbor, and the product more slowly: at this size the norm slows the
# learning down. In the last table the larger matrices are now too large for the network without norm: its numbers overflow,
# and the losses are `nan` (lesson 1). With the norm they stay near 1.
#
# </details>
#
# ### The code of the layer
#
# Below is the layer of minibert, as it is used in BERT. It has one more part, **dropout**: it sets some random entries to zero
# in training, so that the network does not rely on single entries. In use it does nothing.

# %%
show_code(EncoderLayer.forward)

# %% [markdown]
# <details><summary>The code, line by line</summary>
#
# - The last six lines are the four steps.
# - The lines after `if self.pre_norm` are another order of the same parts. The section "Pre-norm and post-norm" in the second
#   part explains it.
# - `keep` is the mask of lesson 2, with an axis for the heads. `relative_positions` belongs to lesson 4 and `cache` to lesson
#   6; BERT needs neither.
#
# </details>
#
# **Try it.** [The residual connection around attention is off](../docs/live_page.html#experiment=Residual+connection) in a
# small trained BERT, which computes on a page. What is missing in the sum? And [a whole layer is
# off](../docs/live_page.html#experiment=A+layer+off): which step has the same numbers as its output?
#
# ## Exercises
#
# Write the parts of the layer, and then the layer. The variance divides by $d$; note that `torch.var` divides by $d - 1$ if
# you do not say otherwise. `feed_forward` gets its activation function as an argument: call it.

# %%
exercise("layer_norm")

# %%
exercise("add_and_norm")

# %%
exercise("feed_forward")

# %% [markdown]
# In the last one you put the parts of the layer together in the right order: each normalization comes after the sum, as in
# BERT. It is the method `forward` of a class, so its first argument `self` is the layer, and its parts are `self.attention`
# and so on. Attention gets the mask `keep`, which already has an axis for the heads. Call `self.dropout` with the output of
# each sublayer, before the sum. (In the check it always sets the same entries to zero, so that results can be compared.)

# %%
exercise("encoder_layer")

# %%
exercise("rms_norm")

# %% [markdown]
# ## Second part: backpropagation, step by step
#
# This is a good place for a break. The second part needs only the layer that you have just seen.
#
# Training needs the gradient of the loss for every parameter in every layer. It is computed from the end to the start: from
# the gradient of the **output** of a step follows the gradient of its **inputs**. This is the chain rule of derivatives, and
# is called **backpropagation**. For a number that is used in several places the rule says: take each number that was computed
# from it, multiply the gradient of that number by its derivative, and add all these products.
#
# We follow it through one layer, with numbers. The layer is small: three tokens of width 4, one head, six features, ReLU.
# `record(gradients=True)` keeps the gradient of every step, so we can check each of ours.
#
# The loss is a number $L$. Here it is the sum of all outputs, each times a fixed random number: $L = \sum G \odot y$. So the
# gradient of the output $y$ is $G$. (In a real network $G$ comes from the layer above.)
#
# A **bar** over a name means the gradient of the loss for it: $\bar y = \partial L / \partial y$. It has the same shape as
# $y$. Its entry says: if this entry of $y$ grows a little, by how much does the loss grow?

# %%
torch.manual_seed(3)
small = BertConfig(
    hidden_size=4,
    num_attention_heads=1,
    intermediate_size=6,
    hidden_act="relu",
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
layer = EncoderLayer(small).double()  # double: more digits, so that we see small errors
x = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)  # one text with three tokens
G = torch.randn(3, 4, dtype=torch.float64)

with record(layer, gradients=True) as recording:
    y = layer(x)
(G * y).sum().backward()
print(*recording.paths, sep=", ")


def number(path):
    """Return a recorded tensor without the axes of batch and head, which have one entry here."""
    return recording[path].detach().squeeze()


def compare(name, ours, gradient):
    """Compare our gradient with that of PyTorch, and print its first row."""
    torch.testing.assert_close(ours, gradient.squeeze())
    print(f"{name:28} {[round(value, 3) + 0.0 for value in ours[0].tolist()]}")


# %% [markdown]
# These are the names of the steps, in the order of the forward pass. In the formulas below they are letters:
#
# | name of the step | letter | what it is |
# | --- | --- | --- |
# | `attention.query`, `attention.key`, `attention.value` | $Q$, $K$, $V$ | the three projections of the input $x$ |
# | `attention.scores`, `attention.weights` | $S$, $A$ | the scores and the attention weights |
# | `attention.context` | $C$ | the average of the values |
# | `attention.output` | $O$ | the output projection |
# | `attention_residual` | $r$ | the sum $x + O$ |
# | `attention_norm` | $n$ | the first normalization of this sum |
# | `intermediate` | $u$ | the features, before ReLU |
# | `activation` | $a$ | the features, after ReLU |
# | `feed_forward` | $F$ | the output of the feed-forward network |
# | `feed_forward_residual` | $r'$ | the sum $n + F$ |
# | `feed_forward_norm` | $y$ | the second normalization: the output of the layer |
#
# We go through them from the last to the first.
#
# **1. The second normalization.** Its input is the sum $r'$, its output is $y$. Let $\hat r$ be the normalized vector, before
# gain and bias, and let $\bar{r}_g$ be its gradient. In this step $\sigma$ stands for the whole root
# $\sqrt{\sigma^2 + \varepsilon}$. The gradient of a vector of one token is
#
# $$\bar{r}' = \frac{1}{\sigma}\left(\bar{r}_g - \mathrm{mean}(\bar{r}_g)
# - \hat r \, \mathrm{mean}(\bar{r}_g \odot \hat r)\right), \qquad \bar{r}_g = \bar y \odot g$$
#
# The formula has a meaning. The normalization forgets the mean and the size. So a change of the mean cannot change the loss,
# and this part of the gradient is subtracted. A change of the size cannot change it either, and this part is subtracted too.
# The rest is divided by $\sigma$: if the vector was large, a change of it has a smaller effect.
#
# <details><summary>Where the formula comes from</summary>
#
# Take the vector $x$ of one token, and $\hat x_i = (x_i - \mu)/\sigma$. An entry $x_j$ changes $\hat x_i$ in three ways:
# directly if $i = j$, through the mean, and through the deviation. The mean changes by $\partial \mu / \partial x_j = 1/d$.
# From $\sigma^2 = \frac{1}{d}\sum_i (x_i - \mu)^2$ follows
# $\partial \sigma / \partial x_j = (x_j - \mu)/(d\sigma) = \hat x_j / d$. Together:
#
# $$\frac{\partial \hat x_i}{\partial x_j}
# = \frac{1}{\sigma}\left([i = j] - \frac{1}{d} - \frac{\hat x_i\, \hat x_j}{d}\right)$$
#
# Here $[i = j]$ is 1 if $i$ and $j$ are equal, and 0 otherwise. Multiply by the gradient of $\hat x_i$, and add for all $i$:
# the first term gives the gradient itself, the second its mean, the third the mean of its products with $\hat x$, times
# $\hat x_j$.
#
# </details>


# %%
def backward_of_norm(vectors, norm, of_output):
    deviation = torch.sqrt(vectors.var(dim=-1, correction=0, keepdim=True) + norm.eps)  # correction=0: divide by d
    normalized = (vectors - vectors.mean(dim=-1, keepdim=True)) / deviation
    scaled = of_output * norm.weight.detach()  # the weight is the gain
    without_mean = scaled - scaled.mean(dim=-1, keepdim=True)
    return (without_mean - normalized * (scaled * normalized).mean(dim=-1, keepdim=True)) / deviation


of_sum_2 = backward_of_norm(number("feed_forward_residual"), layer.feed_forward_norm, G)
compare("sum of the feed-forward part", of_sum_2, recording.gradient("feed_forward_residual"))
print("sum of the entries of each token:", [f"{abs(value):.0e}" for value in of_sum_2.sum(dim=-1).tolist()])
assert of_sum_2.sum(dim=-1).abs().max() < 1e-12

# %% [markdown]
# As predicted: the gradient of each token sums to zero, up to rounding.
#
# **2. The second residual connection.** $r' = n + F$, where $F$ is the output of the feed-forward network and $n$ its input.
# If an entry of $F$ grows, the same entry of $r'$ grows by the same amount. So $\bar F = \bar{r}'$: **the gradient of a sum
# goes to both of its parts, unchanged**.
#
# **3. The feed-forward network.** Its three steps are $u = nW_1 + b_1$, then $a = \max(0, u)$, then $F = aW_2 + b_2$. Going
# back:
#
# $$\bar a = \bar F\, W_2^\top, \qquad \bar u = \bar a \odot [u > 0], \qquad \bar n = \bar{r}' + \bar u\, W_1^\top$$
#
# - Through a matrix, the gradient goes with the transposed matrix: feature $j$ has changed output $k$ by the factor $W_{jk}$,
#   so it gets $W_{jk}$ times the gradient of output $k$, summed over all outputs.
# - $[u > 0]$ is 1 where $u$ is positive, and 0 elsewhere. A feature that ReLU has set to zero gets no gradient.
# - $n$ was used twice: in the sum and in the network. Its gradient is the **sum of both paths**.
#
# The parameters get their gradient too. $W_2$ was multiplied by $a$, so $\bar W_2 = a^\top \bar F$: a sum over all tokens.
# (`torch.nn.Linear` stores the transpose of each matrix. So `weight` below is $W^\top$.)

# %%
compare("output of the network", of_sum_2, recording.gradient("feed_forward"))
of_activation = of_sum_2 @ layer.feed_forward.output.weight.detach()
compare("activation", of_activation, recording.gradient("activation"))
of_features = of_activation * (number("intermediate") > 0)
compare("features", of_features, recording.gradient("intermediate"))
of_n = of_sum_2 + of_features @ layer.feed_forward.intermediate.weight.detach()
compare("first norm", of_n, recording.gradient("attention_norm"))
compare("matrix W2", number("activation").T @ of_sum_2, layer.feed_forward.output.weight.grad.T)

# %% [markdown]
# **4. The first normalization and the first residual connection** work as the second ones. The sum is $r = x + O$, where $O$
# is the output of attention. So $\bar O = \bar r$, and $\bar r$ also goes directly to $x$.
#
# **5. The output projection** is a matrix: $O = H W_O + b_O$, where $H$ are the results of the heads. There is one head, so
# $H$ is its context $C$, and $\bar C = \bar O\, W_O^\top$.

# %%
of_sum_1 = backward_of_norm(number("attention_residual"), layer.attention_norm, of_n)
compare("sum of the attention part", of_sum_1, recording.gradient("attention_residual"))
of_context = of_sum_1 @ layer.attention.output.weight.detach()
compare("context", of_context, recording.gradient("attention.context"))

# %% [markdown]
# **6. The weights and the values.** $C = A V$: the context is the average of the values $V$ with the weights $A$. So
#
# $$\bar A = \bar C\, V^\top, \qquad \bar V = A^\top \bar C$$
#
# Look at **one** attention weight: the weight that the first token gives to the second one. If it grows by a small amount, the
# context of the first token grows by this amount times the value of the second token. So its gradient is the dot product of
# $\bar C$ of the first token and the value of the second token: it is positive if this value would increase the loss.

# %%
query_token, key_token = 0, 1
gradient_of_context, value = of_context[query_token], number("attention.value")[key_token]
for ours, theirs in zip(gradient_of_context.tolist(), value.tolist(), strict=True):
    print(f"{ours:7.3f} · {theirs:7.3f} = {ours * theirs:7.3f}")
print(f"sum = {(gradient_of_context @ value).item():.3f} (computed with all digits)")

of_weights = of_context @ number("attention.value").T
compare("weights", of_weights, recording.gradient("attention.weights"))
of_values = number("attention.weights").T @ of_context
compare("values", of_values, recording.gradient("attention.value"))
torch.testing.assert_close(gradient_of_context @ value, recording.gradient("attention.weights")[0, 0, query_token, key_token])

# %% [markdown]
# **7. The softmax and the scores.** This is the formula of lesson 2: a score gets a gradient only if the gradient of its
# weight is larger or smaller than the average of these gradients.
#
# $$\bar S_{ij} = A_{ij}\left(\bar A_{ij} - \sum_k A_{ik} \bar A_{ik}\right)$$
#
# The scores are $S = QK^\top / \sqrt{d_k}$, with $d_k = 4$. Each query was multiplied by the keys, and each key by the
# queries:
#
# $$\bar Q = \bar S\, K / \sqrt{d_k}, \qquad \bar K = \bar S^\top Q / \sqrt{d_k}$$

# %%
weights = number("attention.weights")
of_scores = weights * (of_weights - (weights * of_weights).sum(dim=-1, keepdim=True))
compare("scores", of_scores, recording.gradient("attention.scores"))
of_queries = of_scores @ number("attention.key") / math.sqrt(4)
compare("queries", of_queries, recording.gradient("attention.query"))
of_keys = of_scores.T @ number("attention.query") / math.sqrt(4)
compare("keys", of_keys, recording.gradient("attention.key"))

# %% [markdown]
# **8. The input.** As for $n$ in step 3, the gradient of $x$ has one term for each use of $x$ in the layer.
#
# **Prediction.** For what was $x$ used? How many terms does its gradient have, and which of them has no matrix?

# %% tags=["prediction"]
projections = layer.attention
of_x = (
    of_sum_1
    + of_queries @ projections.query.weight.detach()
    + of_keys @ projections.key.weight.detach()
    + of_values @ projections.value.weight.detach()
)
compare("input of the layer", of_x, x.grad)

# %% [markdown]
# Four terms: $x$ was used in the residual connection, for the queries, for the keys, and for the values. The first one,
# `of_sum_1`, comes through the residual connection and has no matrix. We have computed all gradients of the layer, and PyTorch
# agrees in every step.

# %% [markdown]
# ## Why this matters for deep networks
#
# Every other path multiplies the gradient by matrices, and in a deep network it is multiplied again in every layer. If the
# matrices are small, the gradient becomes smaller with each layer. The path through the residual connections has no matrix.
#
# **Prediction.** We measure the size of the gradient at the input of the first, fourth and last of 12 layers, before any
# training. How do the rows differ?


# %% tags=["prediction"]
def gradient_sizes(layer_function, depth=12):
    torch.manual_seed(0)
    layers = [EncoderLayer(sizes) for _ in range(depth)]
    hidden = torch.randn(1, TOKENS, sizes.hidden_size, requires_grad=True)
    target = torch.randn(1, TOKENS, sizes.hidden_size)
    inputs = []
    for layer in layers:
        inputs.append(hidden)
        hidden = layer_function(layer, hidden)
    gradients = torch.autograd.grad((hidden * target).sum(), inputs)  # for the input of each layer
    return [gradient.norm().item() for gradient in gradients]


rows = []
for name, function in [
    ("attention alone", attention_alone),
    ("with residual", with_residual),
    ("the whole layer", whole_layer),
]:
    lengths = gradient_sizes(function)
    rows.append([name, lengths[0], lengths[3], lengths[-1]])
show_table(["12 layers of", "at layer 1", "at layer 4", "at layer 12"], rows)
assert rows[0][1] < 1e-3 * rows[0][3]
assert rows[1][1] > 0.5 * rows[1][3]

# %% [markdown]
# With attention alone, the gradient has nearly vanished on its way to the first layer: this layer cannot learn. With the
# residual connections it arrives. (With larger matrices it arrives without them, too. Then attention alone still learns
# nothing, for the first reason: all tokens are equal.)
#
# ## Pre-norm and post-norm
#
# The paper and BERT normalize **after** each sum: $\mathrm{LayerNorm}(x + \mathrm{Sublayer}(x))$. This is called
# **post-norm**. Then every path, also the residual one, goes through the normalizations. GPT-2 and most later networks
# normalize the **input of the sublayer**: $x + \mathrm{Sublayer}(\mathrm{LayerNorm}(x))$. This is called **pre-norm**. Its
# residual path goes from the first layer to the last without any step between. Xiong et al. 2020 compare the two: with
# pre-norm very deep networks are easier to train, and post-norm needs a careful start of training (lesson 10).
#
# ## Only the size: RMSNorm
#
# Layer normalization does two things: it subtracts the mean, and it divides by the size of what remains. Zhang and Sennrich
# 2019 leave the first one out. Their **RMSNorm** divides each vector by the root of the mean of its squares, and multiplies by
# a gain. T5 (Raffel et al. 2020) and most of today's large language models use it, before each sublayer:
#
# $$y = \frac{x}{\sqrt{\frac{1}{d}\sum_i x_i^2 + \varepsilon}} \odot g$$
#
# **By hand.** The vector is (1, 7), and the gain is 1. The squares are 1 and 49, their mean is 25, and its root is 5. So the
# result is (0.2, 1.4). Layer normalization would subtract the mean 4 first, and give (−1, 1).
#
# **Prediction.** All numbers of the vector are multiplied by 10. What changes? And if 10 is added to all of them?

# %% tags=["prediction"]
vector = torch.tensor([1.0, 7.0])
ones, zeros = torch.ones(2), torch.zeros(2)
print("squares", vector.square().tolist(), "mean", vector.square().mean().item())
rows = []
for name, changed in [("x", vector), ("10 x", 10 * vector), ("x + 10", vector + 10)]:
    results = equations.rms_norm(changed, ones), equations.layer_norm(changed, ones, zeros)
    rows.append([name, *(str([round(number, 3) for number in result.tolist()]) for result in results)])
show_table(["vector", "RMSNorm", "LayerNorm"], rows)
torch.testing.assert_close(equations.rms_norm(10 * vector, ones), equations.rms_norm(vector, ones))

# %% [markdown]
# A factor changes neither of them. A number that is added to all entries changes RMSNorm, because it does not subtract the
# mean. It does not change layer normalization. RMSNorm has half of the parameters: a gain, but no bias.

# %% [markdown]
# ## Seen in well-known code
#
# - **Text and code that differ.** *The Annotated Transformer*, the best-known explanation of the paper, describes post-norm in
#   its text, and its code is pre-norm.
# - **The variance with d − 1.** The same code computes the standard deviation with `torch.std`, which divides by $d - 1$, and
#   adds $\varepsilon$ outside of the root. At the width of real networks the difference is small; at width 4 it is large.
# - **The right output and the wrong gradient.** A course's reference solution of LayerNorm treated mean and deviation as
#   constants in the backward pass. Its outputs are right, and its gradients are not: the two terms that are subtracted in step
#   1 above are missing. Tests must compare gradients too.
# - **Two values of ε.** The default of `torch.nn.LayerNorm` is 1e-5, BERT uses 1e-12. Weights that are loaded into a network
#   with the other value give slightly other results.
#
# ## Further reading
#
# - Vaswani et al. 2017, *Attention is all you need*, section 3.1 and section 3.3.
# - Ba, Kiros and Hinton 2016, *Layer normalization*, section 3.
# - He et al. 2016, *Deep residual learning for image recognition*: residual connections, before the Transformer.
# - Dong, Cordonnier and Loukas 2021, *Attention is not all you need: pure attention loses rank doubly exponentially with
#   depth*.
# - Xiong et al. 2020, *On layer normalization in the Transformer architecture*.
# - Zhang and Sennrich 2019, *Root mean square layer normalization*.
# - Next: lesson 6, the encoder–decoder and the causal mask.
