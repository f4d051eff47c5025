# %% [markdown]
# # 6 · The encoder–decoder and the causal mask
#
# A translation model has a wonderful loss and writes nonsense. What is wrong with it?
#
# You need lessons 2 to 5. At the end you can say what an encoder, a decoder and cross-attention do, why a decoder has a causal
# mask, and how a model writes a text, one token after the other. You also have a test that finds a wrong mask within seconds.

# %%
import math
from unittest import mock

import torch

from minibert import Transformer, TransformerConfig, equations, record
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.model.encoder_decoder import shift_right
from minibert.model.layers import DecoderLayer
from minibert.study.plots import attention_head

# %% [markdown]
# ## Something goes wrong
#
# The first Transformer (Vaswani et al. 2017) translates. Its input is a **source** sequence, such as an English sentence. Its
# output is a **target** sequence, such as the same sentence in German. We give it a smaller task that works in the same way:
# the source has five letters, and the target is the same letters in reversed order. The target ends with a special token,
# `<end>`, so that the model can say when it is finished.
#
# Here are two trainings. They differ in one character of one function, which you will find yourself. All other code, the first
# weights and the data are the same. (`mock.patch` puts another function in place of `causal_mask` for a while.)

# %%
LETTERS, LENGTH, STEPS = 8, 5, 300
PADDING, START, END, FIRST = 0, 2, 3, 4  # token ids; the letters are 4, 5, 6, …


def make_batch(size, seed):
    """Return random sources and their reversed targets with an end token."""
    sources = torch.randint(FIRST, FIRST + LETTERS, (size, LENGTH), generator=torch.Generator().manual_seed(seed))
    return sources, torch.cat([sources.flip(1), torch.full((size, 1), END)], dim=1)


def trained(mask):
    """Train a small Transformer with a mask in place of `causal_mask`. Return the model and the loss of each step."""
    torch.manual_seed(0)
    config = TransformerConfig(
        vocab_size=FIRST + LETTERS,
        hidden_size=64,
        num_attention_heads=4,
        intermediate_size=128,
        encoder_layers=1,
        decoder_layers=1,
        hidden_dropout_prob=0.0,
        max_position_embeddings=16,
    )
    model = Transformer(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, 1, total_iters=50)
    losses = []
    with mock.patch("minibert.model.stacks.causal_mask", mask):
        for step in range(STEPS):
            sources, targets = make_batch(64, seed=step)
            loss = model(sources, labels=targets).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            warmup.step()
            losses.append(loss.item())
    return model.eval(), losses


def mystery_mask(tokens, device=None):
    """Compute the mask of the second training."""
    return torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril(1)


model_a, losses_a = trained(equations.causal_mask)
model_b, losses_b = trained(mystery_mask)

# %% tags=["hide-input"]


def draw(axes):
    axes.plot(losses_a, label="model A")
    axes.plot(losses_b, label="model B")
    axes.set(title="Training loss of two models", xlabel="step", ylabel="loss (nats per token)", ylim=(0, None))
    axes.legend(frameon=False)


show_figure(draw, alt="Both losses fall from about 3.8 to nearly zero. That of model B falls earlier.")

# %% [markdown]
# Model B learns faster. Its last loss is close to zero, like that of model A. If you had only the curves, you would choose
# model B. Now let both models write.

# %%
NAMES = {PADDING: "", END: "<end>", **{FIRST + number: "abcdefgh"[number] for number in range(LETTERS)}}


def spell(tokens):
    """Return token ids as text."""
    return " ".join(NAMES.get(token, "?") for token in tokens)


def written(model, mask, count=100):
    """Let a model write the targets of new sources, with its own mask. Return sources, targets, and what it wrote."""
    sources, targets = make_batch(count, seed=-1)
    with mock.patch("minibert.model.stacks.causal_mask", mask):
        outputs = model.generate(sources, max_new_tokens=LENGTH + 1)
    return sources.tolist(), targets.tolist(), [output.tokens for output in outputs]


sources, targets, from_a = written(model_a, equations.causal_mask)
*_, from_b = written(model_b, mystery_mask)
show_table(
    ["source", "right", "model A", "model B"],
    [[spell(row[number]) for row in (sources, targets, from_a, from_b)] for number in range(4)],
)
correct = [sum(output == target for output, target in zip(outputs, targets, strict=True)) for outputs in (from_a, from_b)]
print(f"last losses: A {losses_a[-1]:.3f}, B {losses_b[-1]:.3f}")
print(f"correct, of 100 new sources: A {correct[0]}, B {correct[1]}")
assert losses_b[-1] < 0.1
assert correct[0] > 95
assert correct[1] < 5

# %% [markdown]
# **Question.** How can a model that predicts nearly every token in training be wrong every time when it writes?

# %% [markdown]
# ## What a decoder computes
#
# A text is written one token after the other. The probability of a whole target $y$ of $n$ tokens, for a source $x$, is a
# product:
#
# $$P(y \mid x) = \prod_{t=1}^{n} P(y_t \mid y_1, \ldots, y_{t-1}, x)$$
#
# In words: $y_t$ is token number $t$ of the target. $P(y_t \mid \ldots)$ is its probability if we know everything behind the
# bar: the tokens that were written before it, and the source. The sign $\prod$ is a product of all $n$ probabilities. No
# approximation is made: every probability of a sequence can be written like this.
#
# The network has two parts.
#
# - The **encoder** computes one vector for each token of the source. It is the encoder layer of lesson 5, and every token may
#   attend to every other.
# - The **decoder** computes, at each position of the target, scores for the next token. It has attention to its own earlier
#   tokens, and **cross-attention**: its queries come from the decoder, and the keys and values come from the output of the
#   encoder.
#
# This is one decoder layer. Compare it with the encoder layer: one sublayer is new.

# %%
show_code(DecoderLayer.forward)

# %% [markdown]
# In training we know the whole target. So all positions can be computed at once, and we do not have to wait for the model to
# write. The decoder's input is the target, **shifted** by one position: at each position it has the previous token, and it has
# to predict the present one. This is called **teacher forcing**.

# %%
show_code(shift_right)
labels = make_batch(1, seed=-1)[1]
print("input: ", shift_right(labels, START, PADDING)[0].tolist())
print("labels:", labels[0].tolist())

# %% [markdown]
# Look at the two lines. Each label is also the input at the **next** position. If position $t$ could attend to position $t +
# 1$, it would find its own label there.
#
# ## The causal mask
#
# So position $i$ may attend to position $j$ only if $j$ is not later:
#
# $$\mathrm{keep}_{ij} = [\,j \le i\,]$$
#
# The brackets mean: `True` if the condition holds, else `False`. The paper describes this in section 3.2.3. The row is the
# query $i$, the column is the key $j$.

# %%
show_code(equations.causal_mask, folded=False)
print(equations.causal_mask(4).int())

# %% [markdown]
# **By hand.** A target has four tokens, so the input has positions 0 to 3. Write down the row of position 1: it may attend to
# the positions 0 and 1, and not to 2 and 3. The row is `1 1 0 0`. It is the second row of the matrix.
#
# How many of the 16 entries are 1? Row $i$ has $i + 1$ of them: 1 + 2 + 3 + 4 = 10.

# %%
assert equations.causal_mask(4).sum().item() == 10
assert equations.causal_mask(4)[1].int().tolist() == [1, 1, 0, 0]

# %% [markdown]
# ## A test that finds the fault
#
# If the mask is right, a later token cannot change an earlier output. This is a property that we can test, without knowing the
# code of the mask: change the token at one position, and look at which outputs change.
#
# **Prediction.** We change the input token at position 3. Which outputs change in model A? Which ones in model B?


# %% tags=["prediction"]
def changes(model, mask):
    """Return for each changed position (row) how much each output (column) changes."""
    sources, targets = make_batch(1, seed=-1)
    inputs = shift_right(targets, START, PADDING)
    with mock.patch("minibert.model.stacks.causal_mask", mask), torch.no_grad():
        before = model(sources, decoder_input_ids=inputs).logits
        rows = []
        for position in range(inputs.shape[1]):
            changed = inputs.clone()
            changed[0, position] = FIRST + (changed[0, position] - FIRST + 1) % LETTERS
            rows.append((model(sources, decoder_input_ids=changed).logits - before).abs().amax(dim=-1)[0])
    return torch.stack(rows)


changes_a, changes_b = changes(model_a, equations.causal_mask), changes(model_b, mystery_mask)
positions = range(LENGTH + 1)
for name, table in (("model A", changes_a), ("model B", changes_b)):
    print(f"{name}: a change at position 3 changes the outputs", [position for position in positions if table[3, position] > 0])
assert changes_a.tril(-1).max() == 0  # below the diagonal: outputs before the changed token
assert changes_b.tril(-1).max() > 1

# %% tags=["hide-input"]


def draw_changes(table, title):
    """Return a function that draws which outputs change."""

    def draw(axes):
        axes.imshow(table > 0, cmap="cividis", vmin=0, vmax=1)
        axes.set(title=title, xlabel="output at position", ylabel="changed token", xticks=positions, yticks=positions)

    return draw


show_figure(
    draw_changes(changes_a, "model A"),
    draw_changes(changes_b, "model B"),
    alt="Two 6 by 6 tables; yellow where an output changes. Model A: on and above the diagonal. Model B: also just below it.",
)

# %% [markdown]
# In model B, a change at position 3 also changes the output at position 2. So position 2 can see the token of position 3, and
# this token is its label. Model B has not learned to reverse letters. It has learned to copy its own answer.
#
# Look at `mystery_mask` at the top. `tril()` keeps the entries on the diagonal and below it. `tril(1)` keeps one diagonal
# more. This is the only difference.
#
# Now both curves are explained. The loss of model B is low because the answer is in the input. It falls faster because copying
# is easier than reversing. And when model B writes, there is no later token that it could copy: the sequence ends at the
# position that it has to predict.
#
# A wonderful loss is a reason to be careful. Neither the loss on training data nor the loss on validation data shows this
# mistake: both are computed with teacher forcing, so the answer is in the input. Only writing shows it, or a test of the
# property.
#
# **Change it.** Replace `tril(1)` by `tril(-1)`: now a position cannot see itself. At position 0 there is then nothing to
# attend to. What do you expect from the loss, and from writing? Run the cells again. (An `assert` that fails is a statement of
# this text that is no longer true.)
#
# <details><summary>Answer</summary>
#
# The input at position $t$ is the previous token. With `tril(-1)` the model does not attend to the token before, but the
# residual connection still carries it. So this model can learn the task. In this task, the token before is not needed at all:
# which letter comes next depends on the source and on the position only. Masks that hide too much are less dangerous than
# masks that show too much: they cost some quality, but the loss is honest.
#
# </details>

# %% [markdown]
# ## What model A has learned
#
# Cross-attention shows it. Each row is a position of the target, and each column a letter of the source. To reverse the
# letters, position 0 has to attend to the last letter, position 1 to the letter before it, and so on.

# %%
sources, targets = make_batch(1, seed=-1)
with record(model_a) as recording, torch.no_grad():
    model_a(sources, decoder_input_ids=shift_right(targets, START, PADDING))
weights = recording["decoder.layers.0.cross_attention.weights"][0].mean(dim=0)  # the mean of the four heads
attended = weights[:LENGTH].argmax(dim=-1).tolist()
print("most attended source position at each target position:", attended)
assert attended == [4, 3, 2, 1, 0]

# %% tags=["hide-input"]


def draw_weights(axes):
    attention_head(axes, weights, ["<start>", *spell(targets[0, :-1].tolist()).split()], spell(sources[0].tolist()).split())


show_figure(
    draw_weights, alt="Cross-attention weights: the largest weights lie on the diagonal from the upper right to the lower left."
)

# %% [markdown]
# ## From probabilities to a text
#
# The decoder only gives probabilities. Something has to choose. **Greedy decoding** takes the most probable token each time,
# appends it to the input, and computes again, until the end token comes.
#
# Greedy decoding can miss the most probable sequence: a good first token may have only bad continuations. **Beam search**
# keeps several unfinished sequences and continues all of them. It compares sequences by their log-probability: the logarithm
# of the product above, which is a sum of logarithms. They are negative, so every further token makes the sum smaller, and
# short sequences win. To correct this, the log-probability is divided by a **length penalty** that is larger for longer
# sequences (Wu et al. 2016, equation 14):
#
# $$lp(Y) = \left(\frac{5 + |Y|}{6}\right)^{\alpha}$$
#
# $|Y|$ is the number of tokens of the output $Y$, and $\alpha$ is a number between 0 (no correction) and 1. By hand, for
# $\alpha$ = 1: seven tokens give (5 + 7)/6 = 2.

# %%
assert equations.length_penalty(7, alpha=1.0) == 2.0
rows = [
    [f"{tokens} tokens, log-probability {score}", score, score / equations.length_penalty(tokens)]
    for tokens, score in ((4, -4.0), (8, -4.8))
]
show_table(["output", "without penalty", "with α = 0.6"], rows)

# %% [markdown]
# Without the penalty, the short output is better. With it, the long one is.
#
# For a story, the most probable text is dull and repeats itself. GPT-2 draws the next token at random instead, but never one
# of the unlikely ones. Two filters are common. **Top-k** keeps the $k$ tokens with the largest scores $z$ (Fan et al. 2018):
#
# $$z'_i = z_i \;\text{if}\; \lvert\{j : z_j > z_i\}\rvert < k, \;\text{else}\; -\infty$$
#
# In words: a token keeps its score if fewer than $k$ tokens have a larger score. **Top-p** keeps the most probable tokens
# until their probabilities sum to $p$ (Holtzman et al. 2020), so that it keeps few tokens where the model is sure, and many
# where it is not. Minus infinity becomes a probability of zero in the softmax, as in the mask of lesson 2.

# %%
sure, unsure = torch.tensor([6.0, 2.0, 1.0, 0.0]), torch.tensor([1.0, 0.9, 0.8, 0.7])
rows = []
for name, scores in (("sure", sure), ("not sure", unsure)):
    kept = [
        int((filtered > -math.inf).sum())
        for filtered in (equations.top_k_filter(scores, 2), equations.top_p_filter(scores, 0.9))
    ]
    rows.append([name, *kept])
show_table(["the model is", "tokens kept by top-k, k = 2", "tokens kept by top-p, p = 0.9"], rows)
assert [row[2] for row in rows] == [1, 4]

# %% [markdown]
# ## Exercises

# %%
exercise("shift_right")

# %%
exercise("decoder_layer")

# %%
exercise("greedy_decoding")

# %%
exercise("length_penalty")

# %%
exercise("top_p_filter")

# %% [markdown]
# ## Seen in well-known code
#
# - **Both shifts, or none.** Some models shift the labels themselves (GPT-2 in transformers), others expect shifted inputs (T5
#   makes them from the labels). If you shift in your code and the model shifts again, it learns to predict the token after the
#   next one. If nobody shifts, it learns to copy its input: the loss is wonderful, as for model B.
# - **The mask of PyTorch.** `torch.nn.Transformer` masks nothing if it gets no `tgt_mask`. And `True` in its masks means "may
#   **not** attend".
# - **A mask that is right for the wrong reason.** With one token per sequence, or with padding on the left, many wrong masks
#   give right results. Test with several tokens, and with padding.
#
# ## Further reading
#
# - Vaswani et al. 2017, *Attention is all you need*, sections 3.1, 3.2.3 and 6.1, and figure 1.
# - Sutskever et al. 2014, *Sequence to sequence learning with neural networks*: the encoder–decoder before attention.
# - Holtzman et al. 2020, *The curious case of neural text degeneration*: why the most probable text is dull.
# - Next: lesson 7, how text becomes tokens.
