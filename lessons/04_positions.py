# %% [markdown]
# # 4 · Positions
#
# Attention does not see the order of the tokens. How can their positions be put into its numbers, and what should a score
# depend on?
#
# You need lessons 1 to 3. At the end you can say why a Transformer needs positions, compute the usual ways to give them
# by hand, and say which of them depend on the place in the text and which only on the distance.

# %%
import math

import torch

from minibert import PRESETS, equations
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.study.drawing import BLUE, GREEN, ORANGE
from minibert.study.plots import alibi_slopes, position_vectors, rotation
from minibert.study.subject import load_subject

# %% [markdown]
# ## Something goes wrong
#
# *Dog bites man* is no news. *Man bites dog* is. The two sentences have the same words, and another meaning.
#
# We take a small BERT and give it both sentences. BERT is a stack of layers with attention (lessons 2 and 3). Before the first
# layer it looks up a vector for each word in a table, and adds a second vector for the **position** of the word: 0 for the
# first token, 1 for the second, and so on. Now we set all position vectors to zero. This is a BERT without positions.
#
# BERT puts a special token `[CLS]` before the text and `[SEP]` after it. The vector of `[CLS]` in the last layer stands for
# the whole sentence. (Lesson 8 is about both.) The weights of this BERT are random; a trained one would show the same, as you
# will see.

# %%
sentences = ["dog bites man", "man bites dog"]
model, tokenizer = load_subject(preset="tiny", texts=sentences)


@torch.no_grad()
def vectors_of(sentence):
    """Return the vector of each token after the last layer, by token."""
    encoding = tokenizer.encode(sentence)
    output = model.bert(torch.tensor([encoding.ids]))  # an id is the row of a token in the table of words
    return dict(zip(encoding.tokens, output.last_hidden_state[0], strict=True))


def differences():
    """Return, for each token, the largest difference between its vectors in the two sentences."""
    first, second = (vectors_of(sentence) for sentence in sentences)
    return {token: (first[token] - second[token]).abs().max().item() for token in first}


with_positions = differences()
positions = model.bert.embeddings.positions.weight
kept_positions = positions.detach().clone()
positions.data.zero_()
without_positions = differences()
positions.data.copy_(kept_positions)  # give the positions back

rows = [[token, f"{with_positions[token]:.3f}", f"{without_positions[token]:.6f}"] for token in with_positions]
show_table(["token", "difference with positions", "difference without positions"], rows)
assert max(without_positions.values()) < 1e-5
assert min(with_positions.values()) > 1e-4

# %% [markdown]
# With positions, every token has another vector in each sentence. (Only "dog" and "man" change much. The others stand at the
# same position in both, and the matrices of an untrained network are small.) Without positions, every token has the same
# vector in both sentences. So has `[CLS]`. Nothing that is computed from these vectors can tell who bit whom. More training or
# more layers cannot help.
#
# **Question.** Why does attention not see the order? And how do we add it?

# %% [markdown]
# ## Why attention does not see the order
#
# For a query $q$, attention computes the scores $q \cdot k_j / \sqrt{d_k}$ with all keys, a softmax, and the average of the
# values:
#
# $$\mathrm{context} = \sum_j a_j v_j, \qquad a_j = \frac{e^{q \cdot k_j / \sqrt{d_k}}}{\sum_m e^{q \cdot k_m / \sqrt{d_k}}}$$
#
# - $k_j$ and $v_j$ are key and value of token $j$, $a_j$ is its attention weight, and $d_k$ is the width of a key.
# - Both sums run over **all** tokens. A sum does not depend on the order of its terms: 3 + 5 = 5 + 3.
# - The score of a token depends on its vector. The number $j$ itself is nowhere in the computation.
#
# So a text is for attention a **bag of tokens**. The other parts of a layer work on each token for itself, so they do not see
# the order either.
#
# **Prediction.** We compute attention for five tokens, and for the same tokens in the opposite order. What happens to the five
# outputs?

# %% tags=["prediction"]
torch.manual_seed(0)
tokens = torch.randn(5, 4)
forward = equations.scaled_dot_product_attention(tokens, tokens, tokens)
backward = equations.scaled_dot_product_attention(tokens.flip(0), tokens.flip(0), tokens.flip(0))
print("first output of the tokens in order:        ", [round(number, 3) for number in forward[0].tolist()])
print("last output of the tokens in opposite order:", [round(number, 3) for number in backward[-1].tolist()])
torch.testing.assert_close(forward, backward.flip(0))

# %% [markdown]
# The outputs are the same vectors in the opposite order. One says: attention is **equivariant** under permutations. If the
# inputs change places, the outputs change places with them, and nothing else happens.
#
# **Try it.** [The positions are off](../docs/live_page.html#experiment=Word+order) in a small trained BERT, which computes on
# a page. Choose a word and move it. Which numbers change? Now switch the positions on.
#
# There are two places where a position can be put in: into the **vector** of a token before the first layer, or into the
# **score** of a pair of tokens. We look at two ways for each.

# %% [markdown]
# ## First way: a learned vector for each position
#
# $$x_t = e_t + P_t, \qquad P \in \mathbb{R}^{n \times d}$$
#
# - $t$ is the position of a token, counted from 0.
# - $e_t$ is the vector of the word at this position, its **word embedding**.
# - $P$ is a table of parameters with $n$ rows and $d$ columns; $\mathbb{R}^{n \times d}$ is the set of all such tables of
#   numbers. $P_t$ is row $t$.
# - $x_t$ is the vector that enters the first layer.
#
# The table begins with random numbers, and training chooses them. This is the way of BERT and GPT-2. "dog" at position 1 is
# now another vector than "dog" at position 3.

# %%
show_code(equations.learned_positions)

# %%
table = torch.tensor([[0.0, 0.1], [0.2, 0.3], [0.4, 0.5]])  # three positions, width 2
# the vectors of the positions 2, 0 and 1:
print(equations.learned_positions(table, torch.tensor([2, 0, 1])))

# %% [markdown]
# **Prediction.** BERT's table has 512 rows. What happens with a text of 513 tokens?

# %% tags=["prediction"]
print("rows of the table of BERT:", PRESETS["base"].max_position_embeddings)
try:
    equations.learned_positions(torch.randn(512, 4), torch.arange(513))
except IndexError as error:
    print(type(error).__name__, "-", error)

# %% [markdown]
# There is no vector for position 512 (the 513th token), because nothing was learned there. This is the limit of learned
# positions: **the longest text is decided before the training**. And a row that is seldom used, because most texts are short,
# is badly trained.

# %% [markdown]
# ## Second way: waves
#
# The paper of 2017 computes the vector of a position instead of learning it:
#
# $$PE_{(t,\,2i)} = \sin\!\left(\frac{t}{10000^{2i/d}}\right), \qquad
# PE_{(t,\,2i+1)} = \cos\!\left(\frac{t}{10000^{2i/d}}\right)$$
#
# - $PE_{(t,\,c)}$ is entry $c$ of the vector of position $t$. It is added to the word embedding, as $P_t$ above.
# - $d$ is the width of the vector. Its columns form **pairs**; $i$ is the number of the pair, counted from 0. Column $2i$ is a
#   sine, column $2i + 1$ a cosine.
# - $t / 10000^{2i/d}$ is an angle in radians. In the first pair ($i = 0$) the divisor is 1, so the angle is $t$ itself. In
#   later pairs the divisor is larger, so the angle grows more slowly.
#
# A pair of sine and cosine is the hand of a clock. The first pair is a fast hand, the last pair a very slow one. All hands
# together show the position, as hours, minutes and seconds show the time. Any position has a vector, however long the text is.
#
# To write the code you need three tools: `positions[:, None]` adds an axis, so that each position is a row.
# `torch.stack([a, b], dim=-1)` puts two tensors next to each other along a new last axis, and `.flatten(-2)` makes one axis of
# the last two. Together they put the entries of `a` and `b` in turns.

# %%
show_code(equations.sinusoidal_positions)

# %% [markdown]
# **By hand.** Width 4, position 1. There are two pairs. Pair 0 has the divisor $10000^{0} = 1$ and the angle 1. Pair 1 has the
# divisor $10000^{2/4} = 100$ and the angle 1/100 = 0.01. So the vector is (sin 1, cos 1, sin 0.01, cos 0.01) = (0.8415,
# 0.5403, 0.0100, 0.99995). For position 0 all angles are 0. What is its vector?

# %%
waves = equations.sinusoidal_positions(torch.tensor([0.0, 1.0]), width=4)
for position, vector in enumerate(waves.tolist()):
    print(f"position {position}:", [round(number, 4) for number in vector])
print(f"sin 1 = {math.sin(1):.4f}, cos 1 = {math.cos(1):.4f}, sin 0.01 = {math.sin(0.01):.4f}, cos 0.01 = {math.cos(0.01):.5f}")
print(f"divisor of pair 1: {10000 ** (2 / 4):.0f}")

# %% [markdown]
# In the figure, each row is the vector of a position. On the left, the columns change quickly from row to row; on the right
# they hardly change.

# %% tags=["hide-input"]
many = equations.sinusoidal_positions(torch.arange(128.0), width=64)
show_figure(
    lambda axes: position_vectors(axes, many[:64], title="Vectors of the first positions"),
    alt="Stripes that are narrow in the first columns and become wider to the right.",
    size=(5.6, 3.6),
)

# %% [markdown]
# **What is the use of a clock?** Each hand has its own angle per token, and turns by it at every position alike: one token
# later, the first hand has turned by 1, wherever it was.
#
# **Prediction.** How does the dot product of two position vectors change with their distance? And is it the same for the
# positions 3 and 8 as for 103 and 108?

# %% tags=["prediction"]
rows = [
    [distance, (many[3] @ many[3 + distance]).item(), (many[100] @ many[100 + distance]).item()]
    for distance in [0, 1, 2, 5, 6, 20]
]
show_table(["distance", "from position 3", "from position 100"], rows)
torch.testing.assert_close(many[3] @ many[8], many[103] @ many[108])

# %% [markdown]
# Near positions have similar vectors, and only the distance matters. (The dot product does not fall in every step: compare the
# distances 5 and 6.) The reason: for one pair of columns with the angles $\alpha$ and $\beta$, the dot product is
# $\sin\alpha \sin\beta + \cos\alpha \cos\beta = \cos(\alpha - \beta)$. It depends only on the difference of the angles, which
# grows with the distance. At distance 0 each of the 32 pairs gives $\cos 0 = 1$, and their sum is 32.
#
# But this is true for the position vectors alone. In a network they are **added** to word embeddings. The score of two tokens
# with the word vectors $e$ and $f$ has the form (without the matrices that make query and key)
#
# $$(e + P_s) \cdot (f + P_t) = e \cdot f + e \cdot P_t + P_s \cdot f + P_s \cdot P_t$$
#
# The two terms in the middle mix a word with a position. They depend on the place in the text, not on the distance. (With
# matrices between the vectors, the last term depends on the place, too.) So the same two words get other scores if the
# sentence stands later in the text. The next two ways avoid this.

# %% [markdown]
# ## Third way: turn queries and keys
#
# A word has the same relation to its neighbor at every place of the text. So it would be good if a score depended on the two
# words and on their **distance**, and on nothing else. Rotary positions (Su et al. 2021) do not add anything to the word
# vectors. They turn the query and the key of each token by an angle that grows with its position.
#
# Take a pair of columns $(x_0, x_1)$ of a query or a key as an arrow in a plane. Turning it by the angle $t\theta$ gives
#
# $$R_t x = \left(x_0 \cos t\theta - x_1 \sin t\theta,\;\; x_0 \sin t\theta + x_1 \cos t\theta\right)$$
#
# - $t$ is the position, $\theta$ (theta) is the angle per position. Pair $i$ has the angle $\theta_i = 10000^{-2i/d}$. These
#   are the clock hands of the second way.
# - $R_t$ is the rotation for position $t$. It changes the direction of an arrow, not its length.
#
# Now the important property. The dot product of two arrows depends on the angle **between** them (lesson 1). If the query at
# position $s$ is turned by $s\theta$ and the key at position $t$ by $t\theta$, the angle between them changes by
# $(t - s)\theta$. So
#
# $$(R_s q) \cdot (R_t k) = q \cdot (R_{t-s}\, k)$$
#
# The score depends on the distance $t - s$ only. If there are several pairs of columns, the dot product is the sum over the
# pairs, so this holds for the sum, too.
#
# In PyTorch, `vectors[..., 0::2]` are the even columns and `vectors[..., 1::2]` the odd ones: the first and second entries of
# the pairs. `...` stands for all axes before.

# %%
show_code(equations.rotary_positions)

# %% [markdown]
# **By hand.** The width is 2, so there is one pair with θ = 1. Query and key are both (1, 0). The query is at position 1, the
# key at position 3.
#
# 1. The query, turned by the angle 1: (cos 1, sin 1) = (0.540, 0.841).
# 2. The key, turned by the angle 3: (cos 3, sin 3) = (−0.990, 0.141).
# 3. The dot product: 0.540 · (−0.990) + 0.841 · 0.141 = −0.416.
# 4. The distance is 2, and cos 2 = −0.416: the same.

# %%
arrow = torch.tensor([[1.0, 0.0]])
query, key = (equations.rotary_positions(arrow, torch.tensor([position]))[0] for position in [1.0, 3.0])
print("query", [round(number, 3) for number in query.tolist()], "key", [round(number, 3) for number in key.tolist()])
print(f"dot product {query @ key:.3f}, cos 2 = {math.cos(2):.3f}")
torch.testing.assert_close((query @ key).item(), math.cos(2))

# %% [markdown]
# **Prediction.** The query moves to position 501 and the key to position 503. What is the dot product?

# %% tags=["prediction"]
query, key = (equations.rotary_positions(arrow, torch.tensor([position]))[0] for position in [501.0, 503.0])
print("query", [round(number, 3) for number in query.tolist()], "key", [round(number, 3) for number in key.tolist()])
print(f"dot product {query @ key:.3f}")
assert abs((query @ key).item() - math.cos(2)) < 1e-3

# %% [markdown]
# The figure shows the arrow (1, 0) at the positions 0 to 7, for a width of 8: on the left in the first pair of columns, on the
# right in the second.

# %% tags=["hide-input"]
show_figure(
    lambda axes: rotation(axes, width=8, pair=0, positions=8).set_title("First pair: angle 1 per position"),
    lambda axes: rotation(axes, width=8, pair=1, positions=8).set_title("Second pair: angle 0.1 per position"),
    alt="In the first pair the arrow turns around the circle in six positions; in the second pair it turns slowly.",
    size=(3.4, 3.6),
)

# %% [markdown]
# ## Fourth way: a penalty for distance
#
# ALiBi (attention with linear biases, Press et al. 2022) is the simplest way. It changes no vector. It subtracts a number from
# each score: the distance times a constant.
#
# $$s_{ij} = \frac{q_i \cdot k_j}{\sqrt{d_k}} - m_h\,\lvert i - j \rvert, \qquad m_h = 2^{-8h/H}$$
#
# - $s_{ij}$ is the score of the query at position $i$ and the key at position $j$, and $\lvert i - j \rvert$ is their
#   distance.
# - $h$ is the number of the head, from 1 to $H$, and $H$ is the number of heads.
# - $m_h$ is the **slope** of the head. It is not learned.
#
# A score that is 1 lower makes a weight $e$ times smaller (lesson 1). So far tokens get less weight. A head with a large slope
# sees only near tokens, one with a small slope sees nearly the whole text.

# %%
show_code(equations.alibi_bias)

# %% [markdown]
# **By hand.** With $H = 8$ heads, $m_1 = 2^{-1} = 1/2$, $m_2 = 1/4$, and so on until $m_8 = 2^{-8} = 1/256$. A token at
# distance 4 gets the bias −2 in head 1, and $-4/256$ = −0.015625 in head 8. So in head 1 its weight is multiplied by $e^{-2}$
# = 0.135, compared with a token at distance 0 and the same dot product.
#
# **Prediction.** With $H = 2$ heads, what are the two slopes?

# %% tags=["prediction"]
here, there = torch.tensor([0.0]), torch.tensor([4.0])
print(
    "8 heads, distance 4:",
    equations.alibi_bias(here, there, heads=8).flatten().tolist(),
    f"e to the power of -2 is {math.exp(-2):.3f}",
)
print(
    "2 heads, distance 1:",
    equations.alibi_bias(here, torch.tensor([1.0]), heads=2).flatten().tolist(),
)

# %% tags=["hide-input"]


def draw(axes):
    alibi_slopes(axes, heads=8, distance=32)
    axes.legend([f"head {head}" for head in range(1, 9)], frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


show_figure(
    draw,
    alt="Eight lines that fall with the distance, the first steeply, the last hardly at all.",
    size=(5.6, 3.2),
)

# %% [markdown]
# With two heads the slopes are $2^{-4} = 1/16$ and $2^{-8} = 1/256$. ALiBi does not tell before from after: the distance has
# no sign. In a network that generates text, tokens may attend to earlier tokens only (lesson 6), so this does not matter. In a
# BERT they attend to both sides.
#
# **Prediction.** A BERT gets ALiBi instead of position vectors. Can it tell "dog bites man" from "man bites dog"? Think of the
# distances in both sentences, with `[CLS]` before and `[SEP]` after.
#
# <details><summary>Answer</summary>
#
# Yes, but only because of the tokens at the ends. "dog" and "man" have the same distance from "bites" in both sentences, and
# from each other. But "dog" is nearer to `[CLS]` in the first one. Without `[CLS]` and `[SEP]` the second sentence is the
# first one in a mirror, and ALiBi cannot see a difference.
#
# </details>

# %%
words = torch.randn(3, 8)  # dog, bites, man


def attend_with_alibi(tokens):
    places = torch.arange(float(len(tokens)))
    bias = equations.alibi_bias(places, places, heads=8)[0]  # head 1 of 8
    return equations.scaled_dot_product_attention(tokens, tokens, tokens, bias=bias)


mirrored = attend_with_alibi(words.flip(0)).flip(0)
print(f"largest difference, three words alone: {(attend_with_alibi(words) - mirrored).abs().max():.6f}")
cls, sep = torch.randn(2, 1, 8)
sentence, other = (torch.cat([cls, order, sep]) for order in [words, words.flip(0)])
difference = (attend_with_alibi(sentence)[0] - attend_with_alibi(other)[0]).abs().max().item()
print(f"largest difference of [CLS], with both special tokens: {difference:.6f}")
torch.testing.assert_close(attend_with_alibi(words), mirrored)
assert difference > 1e-4

# %% [markdown]
# ## What does a score depend on?
#
# We compare all four. Two words have random vectors; they are query and key. We measure their score at the positions 3 and 5,
# and at places further back in the text, always at distance 2.

# %%
SHIFTS = [0, 50, 400]  # Change it. Keep the 0 at the start: all others are compared with it.
WIDTH = 64
torch.manual_seed(0)
first_word, second_word = torch.randn(2, WIDTH)
learned_table = torch.randn(512, WIDTH)


def scores_at(first, second):
    """Return the score of the two words at two positions, for each of the four ways."""
    places = torch.tensor([first, second])
    embeddings = torch.stack([first_word, second_word])
    learned = embeddings + equations.learned_positions(learned_table, places)
    waves = embeddings + equations.sinusoidal_positions(places.float(), WIDTH)
    rotated = equations.rotary_positions(embeddings, places.float())
    bias = equations.alibi_bias(places[:1].float(), places[1:].float(), heads=8)[0].item()  # of head 1
    dot_products = [pair[0] @ pair[1] for pair in (learned, waves, rotated, embeddings)]
    scores = [(product / math.sqrt(WIDTH)).item() for product in dot_products]
    scores[3] += bias
    return scores


names = ["learned", "sinusoidal", "rotary", "ALiBi"]
by_shift = [scores_at(3 + shift, 5 + shift) for shift in SHIFTS]
show_table(
    ["positions", *names], [[f"{3 + shift} and {5 + shift}", *scores] for shift, scores in zip(SHIFTS, by_shift, strict=True)]
)
for way, depends_on_place in enumerate([True, True, False, False]):
    change = max(abs(scores[way] - by_shift[0][way]) for scores in by_shift)
    assert (change > 0.01) == depends_on_place

# %% tags=["hide-input"]


def draw(axes):
    places = range(101)
    scores = torch.tensor([scores_at(place, place + 2) for place in places])
    for name, column, color in zip(names, scores.T, ["gray", ORANGE, BLUE, GREEN], strict=True):
        axes.plot(places, column, color=color, label=name, linewidth=1 if name == "learned" else 2)
    axes.set(title="Score of two words at distance 2", xlabel="position of the first word", ylabel="score")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


show_figure(
    draw,
    alt="With learned and sinusoidal positions the score changes along the text; with rotary and ALiBi it is constant.",
    size=(5.6, 3.2),
)

# %% [markdown]
# The learned and the sinusoidal vectors are **absolute** positions: the score depends on the place. Rotary positions and ALiBi
# are **relative**: the score depends on the distance only.
#
# **Change it.** Set `SHIFTS` to `[0, 1]`: one place further. Which scores change? Then set it to `[0, 5000]`. Now one of the
# four ways fails, and the cell ends with an error. Which one, and why?
#
# <details><summary>Answer</summary>
#
# With `[0, 1]` the learned and the sinusoidal scores change, also after one step. With `[0, 5000]` the cell ends with
# `IndexError: index out of range`. This comes from the learned positions: their table has 512 rows, so there is no vector for
# these positions. The other three compute their numbers, and work at any position. (Whether a trained network works well with
# longer texts than it has seen is another question.)
#
# </details>
#
# Which way is best? The 2017 paper found learned and sinusoidal positions equally good (table 3, row E). BERT and GPT-2 use
# learned ones. Most large language models of today use rotary positions.
#
# ## Exercises
#
# Write the four ways, before you open their code. For the sinusoidal and the rotary one, begin with the angles: position
# divided by $10000^{2i/d}$, for $i = 0, 1, \ldots, d/2 - 1$.

# %%
exercise("learned_positions")

# %%
exercise("sinusoidal_positions")

# %%
exercise("rotary_positions")

# %%
exercise("alibi_bias")

# %%
exercise("relative_position_buckets")

# %% [markdown]
# ## Positions and padding
#
# BERT counts every token, and padding too. RoBERTa does not: the position of a token is the number of real tokens up to it,
# plus the id of the padding piece, which is `1`. All padding has the position `1`. So a text has the same positions with
# padding on either side. The positions are an exercise of lesson 8.

# %%
texts = torch.tensor([[5, 6, 7, 1, 1], [1, 1, 5, 6, 7]])
print(equations.positions_without_padding(texts, pad_id=1))

# %% [markdown]
# ## A learned number for each distance
#
# T5 (Raffel et al. 2020) adds a number to each score, as ALiBi does. But the number is **learned**: each head has a small table
# of numbers for distances. A table for all distances would have thousands of rows, so far distances share one. Each row is for
# a **bucket** of distances.
#
# T5 has 32 buckets: 16 for the token itself and the tokens before it, and 16 for the tokens after it. On each side the first
# 8 buckets are for one distance each, 0 to 7. The other 8 become wider and wider: the number of the bucket grows with the
# logarithm of the distance $r$. The last one, number 15, also has all distances from 128 on:
#
# $$\mathrm{bucket}(r) = \min\left(15,\; 8 + \left\lfloor \frac{\ln(r / 8)}{\ln(128 / 8)} \cdot 8 \right\rfloor\right),
# \qquad r \ge 8$$
#
# (The brackets round down.) In a decoder the tokens after are masked, so all 32 buckets are for the tokens before. In T5 all
# layers share one table, and nothing is added to the word embeddings.
#
# **By hand.** For the distance 20, $\ln(20/8) = 0.916$ and $\ln(16) = 2.773$. So the bucket is 8 + 2.64, rounded down: 10.
#
# **Prediction.** Which bucket has the token 20 places **after** the query? And how many distances are in the bucket of 50?

# %% tags=["prediction"]
query = torch.tensor([0])
print(f"ln(20/8) = {math.log(20 / 8):.3f}, ln(16) = {math.log(16):.3f}, together {math.log(20 / 8) / math.log(16) * 8:.2f}")
print("before:", equations.relative_position_buckets(query, torch.tensor([0, -1, -7, -8, -20, -50, -5000])).tolist()[0])
print("after: ", equations.relative_position_buckets(query, torch.tensor([0, 1, 7, 8, 20, 50, 5000])).tolist()[0])
of_before = equations.relative_position_buckets(query, -torch.arange(128))[0]
in_bucket = (of_before == of_before[50]).nonzero().flatten().tolist()
print(f"in the bucket of 50: {len(in_bucket)} distances, from {in_bucket[0]} to {in_bucket[-1]}")

# %% [markdown]
# The tokens after the query have the numbers of those before, plus 16: bucket 26. Near distances have a bucket each. Far ones
# share: 18 distances, from 46 to 63, are in the bucket of 50. All of them get the same number.

# %% [markdown]
# ## Seen in well-known code
#
# - **Sines first.** The paper takes sine and cosine in turns. Google's own code of 2017 (tensor2tensor) writes all sines first
#   and then all cosines. A network learns equally well with both. But weights that were trained with one order do not work
#   with the other.
# - **Two ways to form pairs.** The rotary paper pairs neighboring columns. GPT-NeoX, LLaMA and Hugging Face pair column $i$
#   with column $i + d/2$. Code that mixes both computes wrong scores without any error.
# - **Positions that do not begin at 0.** RoBERTa counts from 2, for a reason in the code that it was built with. Its table has
#   `514` rows for 512 tokens. Who counts from 0 loads the right table and uses wrong rows.
# - **ALiBi and the number of heads.** If the number of heads is not a power of two, the authors' code combines the slopes of
#   two powers of two, so it differs from the formula of the paper.
#
# ## Further reading
#
# - Vaswani et al. 2017, *Attention is all you need*, section 3.5.
# - Gehring et al. 2017, *Convolutional sequence to sequence learning*, section 3.1: learned positions.
# - Su et al. 2021, *RoFormer: enhanced Transformer with rotary position embedding*, section 3.
# - Press et al. 2022, *Train short, test long: attention with linear biases enables input length extrapolation*, section 3.
# - Raffel et al. 2020, *Exploring the limits of transfer learning with a unified text-to-text Transformer* (T5), section 2.1.
# - Next: lesson 5, the encoder layer.
