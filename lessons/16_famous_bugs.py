# %% [markdown]
# # 16 · The museum of famous bugs
#
# Every bug in this museum was in code or in a tutorial that many people trusted. Which test would have found it?
#
# You need lessons 2, 5, 8, 9 and 10. At the end you can say, for a piece of code that you did not write, which inputs to try
# first, and you have seen why a single comparison on one input is never enough.

# %%
import numpy as np
import torch

from minibert import PRESETS, Bert, equations
from minibert.classroom import checking
from minibert.classroom.exercises import find_exercise
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.classroom.mistakes import MISTAKES, Kind, variant_of
from minibert.study.drawing import BLUE
from minibert.text.wordpiece_encoding import split_word

# %% [markdown]
# ## Something goes wrong
#
# A popular implementation of BERT computed the loss of next-sentence prediction with `ignore_index=0`. In word prediction, 0
# is the id of padding, and padding must not count. But in next-sentence prediction, 0 is one of the two classes. The report of
# this bug was open for years (codertimo/BERT-pytorch, issues `#32`, `#49` and `#98`).
#
# The catalogue of mistakes of minibert has this bug as an edit of the right function. `variant_of` applies the edit:


# %%
def bug(name):
    """Return the right function of minibert, and the function with a mistake of the catalogue."""
    mistake = MISTAKES[name]
    return mistake.function, variant_of(mistake.function, mistake)


right, wrong = bug("label zero ignored")
show_code(right)
for old, new in MISTAKES["label zero ignored"].edits:
    print(f"right: {old}\nwrong: {new}")

# %% [markdown]
# Somebody tests the loss. The logits are random, the right class is 1, and both functions agree in all digits:

# %%
torch.manual_seed(0)
logits = torch.randn(4, 2)
ones = torch.ones(4, dtype=torch.int64)
ordinary = (right(logits, ones) - wrong(logits, ones)).abs().max().item()
print("difference with label 1:", ordinary)
assert ordinary == 0.0

# %% [markdown]
# So we train with it. The network is as small as possible: it has to distinguish vectors near 2 (class 1) from vectors near 1
# (class 0).


# %%
def trained(loss_function):
    """Train a linear map with two classes. Return the losses, and the accuracy for each class."""
    torch.manual_seed(0)
    network = torch.nn.Linear(4, 2)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    losses = []
    for _ in range(200):
        labels = torch.randint(0, 2, (64,))
        vectors = torch.randn(64, 4) * 0.3 + 1 + labels[:, None]
        loss = loss_function(network(vectors), labels).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    predictions = network(vectors).argmax(dim=-1)
    return losses, [(predictions[labels == label] == label).float().mean().item() for label in (0, 1)]


losses_right, accuracy_right = trained(right)
losses_wrong, accuracy_wrong = trained(wrong)
rows = [["right", losses_right[-1], *accuracy_right], ["with the bug", losses_wrong[-1], *accuracy_wrong]]
show_table(["", "last loss", "accuracy for class 0", "accuracy for class 1"], rows)
assert losses_wrong[-1] < losses_right[-1]
assert accuracy_wrong == [0.0, 1.0]
assert min(accuracy_right) > 0.9

# %% [markdown]
# The loss with the bug is lower than the right one. The network answers "1" every time. Nothing that it predicts for class 0
# costs anything, so it learned to ignore the input.
#
# **Question.** The test with label 1 was not wrong. It was the wrong test. For a given piece of code, how do we find the input
# that shows the mistake?
#
# ## First hall: well-known code
#
# Each room has a bug, an ordinary input on which it cannot be seen, and an input that shows it. **Before you open a room,
# predict which input that is.**
#
# ### Room 1: right numbers, wrong gradients
#
# Layer normalization (lesson 5), for a vector $h$ of width $d$:
#
# $$\mathrm{LayerNorm}(h) = g \odot \frac{h - \mu}{\sqrt{\sigma^2 + \varepsilon}} + b$$
#
# $\mu$ is the mean of the vector and $\sigma^2$ its variance, $\varepsilon$ a tiny number; $g$ and $b$ are the gain and the
# bias, and $\odot$ multiplies number by number. The reference solution of a well-known course detached $\mu$ and $\sigma$:
# they were computed, but no gradient went through them.

# %% tags=["prediction"]
right, wrong = bug("mean and variance detached")
gain, bias = torch.ones(8), torch.zeros(8)


def value_and_gradient(function):
    """Return the result of a layer norm, and the gradient of its input."""
    torch.manual_seed(1)
    hidden = torch.randn(3, 8, requires_grad=True)
    result = function(hidden, gain, bias)
    (result * torch.randn(3, 8)).sum().backward()
    return result.detach(), hidden.grad


def relative(one, other):
    """Return the norm of a difference, relative to the norm of the first."""
    return ((one - other).norm() / one.norm()).item()


(value_right, gradient_right), (value_wrong, gradient_wrong) = value_and_gradient(right), value_and_gradient(wrong)
detached = [relative(value_right, value_wrong), relative(gradient_right, gradient_wrong)]
show_table(["", "values", "gradients"], [["relative difference", *detached]])
assert detached[0] == 0.0
assert detached[1] > 0.2

# %% [markdown]
# **Lesson of the room:** compare gradients, not only values.
#
# ### Room 2: a width that hides it
#
# A famous tutorial divides the variance by $d - 1$ instead of $d$. With BERT's width of 768, who would notice? The factor
# between the two results is $\sqrt{(d - 1)/d}$.
#
# **By hand.** For $d$ = 4: √(3/4) = 0.866, so the result is 13% too small. For $d$ = 768: √(1 − 1/768) = 0.9993, which is
# 0.07% too small.

# %% tags=["prediction"]
right, wrong = bug("variance divided by d - 1")
rows = []
for width in (4, 64, 768):
    hidden = torch.randn(5, width, generator=torch.Generator().manual_seed(0))
    ones, zeros = torch.ones(width), torch.zeros(width)
    measured = (wrong(hidden, ones, zeros) / right(hidden, ones, zeros)).mean().item()
    rows.append([width, f"{measured:.4f}", f"{((width - 1) / width) ** 0.5:.4f}", f"{1 - measured:.2%}"])
show_table(["width", "measured factor", "√((d - 1)/d)", "too small by"], rows)
assert rows[0][1] == rows[0][2] == "0.8660"

# %% [markdown]
# **Lesson of the room:** test with small sizes. They are faster, and they show more. A tolerance of 1% would pass this bug at
# width 768 and nothing else.
#
# ### Room 3: a shape that hides it
#
# Weights of another framework are stored transposed. A converter forgets to transpose one matrix, or does it twice. BERT's
# matrices for queries, keys and values have as many rows as columns, so nothing fails.

# %% tags=["prediction"]
tokens = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
square, tall = (
    torch.randn(4, 4, generator=torch.Generator().manual_seed(1)),
    torch.randn(4, 6, generator=torch.Generator().manual_seed(2)),
)
print(f"square matrix, transposed: no error, relative difference {relative(tokens @ square, tokens @ square.T):.2f}")
try:
    tokens @ tall.T
except RuntimeError as error:
    print("matrix of 4 rows and 6 columns, transposed:", error)

# %% [markdown]
# **Lesson of the room:** give every axis another size. Then most mistakes of shape are errors, and not wrong numbers.
#
# ### Room 4: three dice instead of one
#
# The masks of lesson 9: of the selected tokens, 80% become `[MASK]`, 10% a random token, and 10% stay. A popular annotated
# implementation draws the second and third case independently.

# %% tags=["prediction"]
right, wrong = bug("80/10/10 drawn independently")
count = 200_000
ids = np.full((1, count), 7)
numbers = np.random.default_rng(0).random((1, count, 3))
rows = []
for name, function in (("right", right), ("with the bug", wrong)):
    inputs, labels = function(ids, np.ones((1, count), dtype=bool), 4, np.arange(10, 30), numbers)
    selected = labels != equations.IGNORE_INDEX
    shares = [(inputs[selected] == 4).mean(), (inputs[selected] >= 10).mean(), (inputs[selected] == 7).mean(), selected.mean()]
    rows.append([name, *(f"{share:.1%}" for share in shares)])
show_table(["", "[MASK]", "random", "unchanged", "selected"], rows)
assert rows[0][1:4] != rows[1][1:4]

# %% [markdown]
# No single sentence shows it. The shares of many do: with the bug, too few tokens are selected.
#
# **Lesson of the room:** randomness is tested by counting, with enough draws that the difference is larger than chance.
#
# ### Room 5: a large number is not infinity
#
# Google's BERT adds `-10000` to the scores of padding, and Hugging Face did the same for years. Minus infinity would be exact.

# %% tags=["prediction"]
right, wrong = bug("mask of minus ten thousand")
generator = torch.Generator().manual_seed(0)
query, key, value = (torch.randn(1, 4, 8, generator=generator) for _ in range(3))
keep, nothing = torch.tensor([True, True, True, False]), torch.zeros(4, dtype=torch.bool)
opposite = torch.full((1, 4, 8), 100.0), torch.tensor([-100.0, -100.0, -100.0, 0.0])[:, None].expand(1, 4, 8)
cases = {
    "ordinary": (query, key, keep),
    "all allowed scores below -10000": (*opposite, keep),
    "a query that may attend to nothing": (query, key, nothing),
}
rows = []
for name, (queries, keys, mask) in cases.items():
    one, other = (function(queries, keys, value, mask) for function in (right, wrong))
    rows.append([name, (one - other).abs().max().item()])
show_table(["input", "largest difference"], rows)
assert rows[0][1] < 1e-6 < 0.1 < min(rows[1][1], rows[2][1])

# %% [markdown]
# **Lesson of the room:** try the limits. Nothing to attend to, one token, very large numbers, very small ones, an empty batch.
#
# ### Room 6: the text says one thing, and the code another
#
# The Annotated Transformer describes normalization after each sum, as in the paper, and its code normalizes before each
# sublayer. Both are good networks, but the weights of one give nonsense in the other. No test finds this if the code is its
# own reference. It needs a comparison with **another** implementation, or with the formula.
#
# ## What the rooms have in common
#
# The classroom checks a function in a fixed order: does it run, shape, data type, properties, values, gradients. Let us see at
# which of these stages each bug is found. Two more are added: a causal mask that shows the future (lesson 6), and the ε of
# AdamW inside the root (lesson 10).

# %%
ROOMS = {
    "label zero ignored": "cross_entropy",
    "mean and variance detached": "layer_norm",
    "variance divided by d - 1": "layer_norm",
    "80/10/10 drawn independently": "mask_tokens",
    "mask of minus ten thousand": "scaled_dot_product_attention",
    "causal mask of the future": "causal_mask",
    "eps inside the root": "adamw_step",
}
rows = []
for name, exercise_name in ROOMS.items():
    found = find_exercise(exercise_name)
    report = checking.check(variant_of(found.reference, MISTAKES[name]), found)
    rows.append([name, report.failed or "a warning about limits", report.mistakes[0].name == name])
show_table(["bug", "found at the stage", "named"], rows)
assert all(row[-1] for row in rows)

# %% [markdown]
# All seven are found, because the inputs were chosen for them: labels of every class, gradients, small widths, many draws,
# rows with nothing to attend to, gradients near epsilon.
#
# How good is an input that was not chosen? The catalogue has many mistakes in scaled dot-product attention. We compute each of
# them on three inputs, and count how many give another result (or an error).
#
# **Prediction.** The first input is a single token without a mask. Which share of the mistakes does it show: a third, two
# thirds, or nearly all?

# %% tags=["prediction"]
attention = equations.scaled_dot_product_attention
entries = [mistake for mistake in find_exercise("attention").mistakes if mistake.kind is Kind.BUG]


def inputs_of(queries, keys, keep=None):
    """Return random queries, keys and values with 2 heads of width 4 (values: 3)."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((queries, 4), (keys, 4), (keys, 3))
    return *(torch.randn(1, 2, *shape, generator=generator) for shape in shapes), keep


def shows(mistake, inputs):
    """Return True if a mistake changes the result, or fails."""
    try:
        result = variant_of(attention, mistake)(*inputs)
    except Exception:
        return True
    expected = attention(*inputs)
    return result.shape != expected.shape or not torch.allclose(result, expected, atol=1e-5)


padding = torch.tensor([True, True, True, False, False])
INPUTS = {
    "one token": inputs_of(1, 1),
    "five tokens": inputs_of(5, 5),
    "five tokens, padding": inputs_of(5, 5, padding),
}
shares = [sum(shows(mistake, inputs) for mistake in entries) / len(entries) for inputs in INPUTS.values()]
rows = [[name, f"{share:.0%}"] for name, share in zip(INPUTS, shares, strict=True)]
show_table(["input", f"shown, of {len(entries)} mistakes"], rows)
print("not shown with padding:", *(mistake.name for mistake in entries if not shows(mistake, INPUTS["five tokens, padding"])))
assert shares == sorted(shares)
assert shares[0] < 0.5 < shares[-1]

# %% tags=["hide-input"]


def draw(axes):
    axes.barh([*INPUTS][::-1], shares[::-1], color=BLUE)
    axes.set(title="Mistakes in attention that an input shows", xlabel="share of the mistakes of the catalogue", xlim=(0, 1))


show_figure(
    draw,
    size=(7.5, 2.2),
    alt="Bars: the share of mistakes that are shown grows from one token to five tokens, and to five tokens with padding.",
)

# %% [markdown]
# With one token, the softmax has one score, and its weight is 1 whatever the score is. Everything before the softmax could be
# wrong. Without padding, no mistake in a mask can show. The one mistake that is left is in dropout, which is off here.
#
# **Change it.** How small can an input be that shows as many mistakes as five tokens with padding? Add `inputs_of(1, 3,
# padding[1:4])` and `inputs_of(1, 2, padding[2:4])` to `INPUTS`. (The `assert` about the order may then fail.)
#
# <details><summary>Answer</summary>
#
# One query and three keys are enough, if one of the keys is masked. Two keys, one of them masked, show much less: only one key
# is left, and its weight is 1, as for one token.
#
# </details>
#
# ## Second hall: well-meant tutorials
#
# These are not bugs of one line. The code runs, and it is something else than its text says.
#
# ### Room 7: a sigmoid over two sentence vectors
#
# A tutorial explains next-sentence prediction like this: compute a vector for each sentence alone, and take the sigmoid of
# their dot product. What can such a model not do?
#
# **Prediction.** Somebody swaps the two sentences. What does the model of the tutorial answer? What does BERT?

# %% tags=["prediction"]
torch.manual_seed(0)
bert = Bert(PRESETS["tiny"]).eval()
a, b = [7, 8, 9], [10, 11, 12, 13]


@torch.no_grad()
def first_vector(*segments):
    """Return the vector of [CLS] for one segment or two."""
    ids = [101, *(token for segment in segments for token in (*segment, 102))]
    types = [0] + [number for number, segment in enumerate(segments) for _ in range(len(segment) + 1)]
    return bert(torch.tensor([ids]), token_type_ids=torch.tensor([types])).last_hidden_state[0, 0]


# 0.01: a smaller dot product, so that the sigmoid is not rounded to 1
tutorial = [torch.sigmoid(0.01 * first_vector(x) @ first_vector(y)).item() for x, y in ((a, b), (b, a))]
together = relative(first_vector(a, b), first_vector(b, a))
print("tutorial: A then B", round(tutorial[0], 6), "  B then A", round(tutorial[1], 6))
print(f"BERT: relative difference of the vectors for (A, B) and (B, A): {together:.3f}")
assert abs(tutorial[0] - tutorial[1]) < 1e-6
assert together > 1e-3

# %% [markdown]
# A dot product is symmetric, so the tutorial's model cannot say which sentence comes first. And no word of A can attend to a
# word of B. In BERT both are in one input.
#
# ### Room 8: two sentences swapped
#
# Many texts say that the negative examples of next-sentence prediction are "two sentences in the wrong order". They are not:
# in next-sentence prediction, B comes from **another document** (Devlin et al. 2019). Two consecutive sentences in the wrong
# order are the task of ALBERT, **sentence-order prediction** (Lan et al. 2020). The difference matters: a sentence of another
# document can be recognized by its topic; the order cannot.
#
# ### Room 9: the weights that are transposed on paper
#
# A vector of a token is a row $x$ of width $d$. The query is $x W_Q$, and $W_Q$ has $d$ rows and $d_k$ columns. A tutorial
# writes $W_Q^\top x$ for it and gives $W_Q$ the shape $d_k \times d$. For a column vector $x$ and $W_Q$ of shape $d \times
# d_k$, $W_Q^\top x$ is right. With the tutorial's shape it does not exist, unless $d_k = d$: room 3 again. PyTorch's
# `Linear(d, d_k)` stores a matrix of $d_k$ rows and $d$ columns and computes $x W^\top$, which adds to the confusion. **Write
# the shapes next to every formula.**
#
# ### Room 10: Monte Carlo
#
# A tutorial calls masked language modeling "Monte Carlo sampling". What is random, and what is not? The **positions** of the
# masks are drawn at random, so the loss of a batch is a random estimate of the mean over all possible masks. The network
# itself draws nothing: it computes probabilities, and the loss is computed from them exactly. To call the method "denoising"
# is right: a part of the input is destroyed, and the network restores it.
#
# ### Room 11: a table that cannot be true
#
# A tutorial on named entities ends with a table like this one. (The numbers here are invented.) The **support** of a row is
# the number of true entities of its class, the F1 score is the harmonic mean of precision and recall, 2PR/(P + R).

# %%
TABLE = {"PER": (0.90, 0.80, 0.85, 120), "LOC": (0.88, 0.92, 0.90, 75), "ORG": (0.70, 0.60, 0.71, 55)}
TOTAL = (0.84, 0.80, 0.82, 260)
show_table(["class", "precision", "recall", "F1", "support"], [[name, *row] for name, row in (*TABLE.items(), ("all", TOTAL))])

# %% [markdown]
# **Prediction.** Two numbers in this table contradict the others. Which ones? Use a pencil before you open the next cell.

# %% tags=["prediction"]
for name, (precision, recall, f1, _) in TABLE.items():
    print(f"{name}: 2PR/(P + R) = {2 * precision * recall / (precision + recall):.2f}, the table says {f1:.2f}")
total_support = sum(row[-1] for row in TABLE.values())
print(
    f"sum of the supports: {' + '.join(str(row[-1]) for row in TABLE.values())} = {total_support}, the table says {TOTAL[-1]}"
)
assert total_support != TOTAL[-1]

# %% [markdown]
# F1 lies between precision and recall, always. ORG's cannot be 0.71. And the supports sum to 250. When supports do not add up,
# entities were lost between reading and counting: long texts that were cut off, or labels that did not match their tokens, as
# in the last room.
#
# ### Room 12: one word, three pieces, one label
#
# The labels of named entities belong to words. BERT has pieces. A tutorial gives the first label to the first piece, the
# second label to the second piece, and so on.

# %% tags=["prediction"]
pieces = {"mar", "##ie", "cu", "##rie", "lived", "in", "paris"}
words, labels = ["marie", "curie", "lived", "in", "paris"], ["B-PER", "I-PER", "O", "O", "B-LOC"]
split = [split_word(word, pieces) for word in words]
flat = [piece for parts in split for piece in parts]
naive = [*labels, *["O"] * (len(flat) - len(labels))]
aligned = [label if number == 0 else "-100" for label, parts in zip(labels, split, strict=True) for number in range(len(parts))]
show_table(["piece", *flat], [["one after the other", *naive], ["first piece of each word", *aligned]])
assert naive[flat.index("paris")] == "O"
assert aligned[flat.index("paris")] == "B-LOC"

# %% [markdown]
# In the first row, the surname is no part of a person any more, "lived" is a place, and Paris is nothing. The training runs,
# and the accuracy looks good, because most labels are O. In the second row, each word's label is at its first piece, and the
# other pieces do not count. Lesson 13 shows the consequences.
#
# ## A list for your own code
#
# 1. Compare with something independent: the formula in a loop, another library, numbers by hand.
# 2. Small sizes, and every axis another one.
# 3. Gradients, not only values.
# 4. The limits: nothing, one, very large, very small.
# 5. Properties that must hold: rows sum to one, masked tokens have no influence, the order of a batch does not matter.
# 6. Randomness by counting.
# 7. A loss that is too good is a bug until you know why (lessons 6 and 9).
#
# ## Exercises

# %%
exercise("layer_norm")

# %%
exercise("draw_pairs")

# %%
exercise("binary_cross_entropy")

# %% [markdown]
# ## Further reading
#
# - The [catalogue of mistakes](../docs/mistakes.md): all of them, with why each matters.
# - Karpathy 2019, *A recipe for training neural networks*: how to find mistakes that do not fail.
# - Claessen and Hughes 2000, *QuickCheck*: tests of properties instead of examples.
# - This is the last lesson. Take any function of minibert, break it in a way of your own, and see if the tests notice: that
#   would be room 13.
