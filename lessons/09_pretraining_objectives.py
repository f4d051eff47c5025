# %% [markdown]
# # 9 · What BERT learns from
#
# A masked language model reaches a loss of almost zero after two hundred steps. Why does it know nothing?
#
# You need lessons 7 and 8. At the end you can compute both losses of BERT by hand, say why some tokens are masked, some
# replaced and some left alone, and judge a loss: is it good, bad, or too good to be true?

# %%
import math

import numpy as np
import torch

from minibert import BertConfig, BertForMaskedLM, equations
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.equations import IGNORE_INDEX
from minibert.text.masking import mask_tokens
from minibert.text.spans import choose_spans, corrupt_spans
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

# %% [markdown]
# ## Something goes wrong
#
# BERT is trained on text alone, without labels. Some words are hidden, and the network has to predict them from the words
# around. This is **masked language modeling**.
#
# We train on a language that is so small that we know everything about it. Each sentence has the form *the old dog barks in
# the garden .* There are eight animals, and each makes its own sound. The adjective and the place are drawn at random: nothing
# in the sentence says which.

# %%
SOUNDS = {
    "dog": "barks", "cat": "meows", "bird": "sings", "cow": "moos",
    "horse": "neighs", "pig": "grunts", "duck": "quacks", "bee": "hums",
}  # fmt: skip
ADJECTIVES, PLACES = ["old", "young", "big", "small", "black", "white"], ["garden", "house", "field"]
tokenizer = build_tokenizer([*SPECIAL_TOKENS, "the", "in", ".", *ADJECTIVES, *PLACES, *SOUNDS, *SOUNDS.values()])
ids_of = tokenizer.get_vocab()
ADJECTIVE, ANIMAL, SOUND = 2, 3, 4  # positions in "[CLS] the old dog barks in the garden . [SEP]"


def sentences(count, generator):
    """Return the token ids of random sentences."""
    draw = generator.choice
    animals = draw(list(SOUNDS), count)
    texts = [f"the {draw(ADJECTIVES)} {animal} {SOUNDS[animal]} in the {draw(PLACES)} ." for animal in animals]
    return np.array([tokenizer.encode(text).ids for text in texts])


ids = sentences(3, np.random.default_rng(0))
for row in ids:
    print(tokenizer.decode(row.tolist()))

# %% [markdown]
# Two networks are trained on such sentences. They differ in one line: how the input and the labels of a batch are made. You
# will look at this line later. Here are their losses.


# %%
def masked(ids, generator, always=False):
    """Return the inputs and labels of masked language modeling. `always`: replace all selected tokens by [MASK]."""
    maskable = ~np.isin(ids, [ids_of["[CLS]"], ids_of["[SEP]"]])
    random_numbers = generator.random((*ids.shape, 3))
    if always:
        random_numbers[..., 1] = 0.0
    return mask_tokens(ids, maskable, ids_of["[MASK]"], np.arange(len(SPECIAL_TOKENS), len(ids_of)), random_numbers)


def unmasked(ids, generator):
    """Return inputs and labels without masks."""
    return ids, np.where(np.isin(ids, [ids_of["[CLS]"], ids_of["[SEP]"]]), IGNORE_INDEX, ids)


STEPS = 300


def pretrained(inputs_and_labels):
    """Train a small BERT. Return the network and the loss of each step."""
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    config = BertConfig(
        vocab_size=len(ids_of),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertForMaskedLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, 1, total_iters=30)
    losses = []
    for _ in range(STEPS):
        inputs, labels = map(torch.from_numpy, inputs_and_labels(sentences(64, generator), generator))
        loss = model(inputs, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warmup.step()
        losses.append(loss.item())
    return model.eval(), losses


model_a, losses_a = pretrained(masked)
model_b, losses_b = pretrained(unmasked)
last_a, last_b = np.mean(losses_a[-50:]), np.mean(losses_b[-50:])
show_table(["", "mean loss of the last 50 steps"], [["network A", float(last_a)], ["network B", float(last_b)]])

# %% [markdown]
# B looks a hundred times better. Now we ask both to fill in a masked animal: *the old [MASK] barks in the garden .* Everybody
# who knows the language can: it is the dog.


# %%
def accuracy(model, position, hide=True):
    """Return the share of correct predictions at a position of 200 new sentences."""
    ids = sentences(200, np.random.default_rng(99))
    inputs = ids.copy()
    if hide:
        inputs[:, position] = ids_of["[MASK]"]
    with torch.no_grad():
        predictions = model(torch.from_numpy(inputs)).logits[:, position].argmax(dim=-1).numpy()
    return float((predictions == ids[:, position]).mean())


rows = [
    [name, accuracy(model, ANIMAL), accuracy(model, SOUND)] for name, model in (("network A", model_a), ("network B", model_b))
]
show_table(["correct predictions", "masked animal", "masked sound"], rows)
assert min(rows[0][1:]) > 0.95
assert max(rows[1][1:]) < 0.4
assert last_b < 0.05 < last_a

# %% [markdown]
# Network A is right every time. Network B is about as good as chance: there are eight animals, and one of them is right.
#
# **Question.** How can the network with the loss of almost zero know nothing? And is the loss of A good?

# %% [markdown]
# ## The loss
#
# The network gives each entry of the vocabulary a score. The softmax makes probabilities of the scores. The loss at one
# position is the **cross-entropy**: minus the logarithm of the probability of the right token.
#
# $$\ell(z, y) = -\log \mathrm{softmax}(z)_y = \log \sum_j e^{z_j} - z_y$$
#
# In words: $z$ is the vector of scores (they are called **logits**), $y$ is the id of the right token, the **label**, and
# $z_y$ is its score. The loss is 0 if the right token has probability 1, and large if its probability is small. The unit is
# the **nat**, because the logarithm is the natural one.
#
# **By hand.** A network cannot decide between two tokens and gives each a probability of 1/2. Its loss is −ln(1/2) = ln 2 =
# 0.693. If it gives all 8 animals the same probability, the loss is ln 8 = 2.079.

# %%
for count in (2, 8):
    loss = equations.cross_entropy(torch.zeros(1, count), torch.tensor([0])).item()
    print(
        f"{count} equally probable tokens: loss {loss:.3f}, ln {count} = {math.log(count):.3f}, e^loss = {math.exp(loss):.1f}"
    )

# %% [markdown]
# The last column is the **perplexity**, $\mathrm{PPL} = e^{L}$: the number of equally probable tokens that would give the same
# loss $L$. It is the loss in a unit that is easier to imagine.
#
# The loss of masked language modeling is the mean over the positions that were hidden:
#
# $$L_{\mathrm{MLM}} = -\frac{1}{|M|} \sum_{i \in M} \log p(w_i \mid \tilde w)$$
#
# $M$ is the set of hidden positions and $|M|$ their number. $w_i$ is the original token at position $i$, and $\tilde w$ is the
# sentence with masks, which the network gets. All other positions have the label `IGNORE_INDEX`, and do not count.

# %%
show_code(equations.cross_entropy, equations.masked_lm_loss)

# %% [markdown]
# ## Too good to be true
#
# What is the best loss that any network can reach in our language? The adjective is one of 6, drawn at random. Nobody can
# predict it better than with a loss of ln 6. The place is one of 3, so the loss is ln 3. The six other words follow from the
# rest of the sentence (if the animal and its sound are not hidden together), so their loss can be 0.
#
# **Prediction.** Each of the 8 words of a sentence (with the full stop) is hidden equally often. Compute the best mean loss.

# %% tags=["prediction"]
best = (math.log(6) + math.log(3) + 6 * 0.0) / 8
print(f"(ln 6 + ln 3) / 8 = ({math.log(6):.3f} + {math.log(3):.3f}) / 8 = {best:.3f}")
print(f"network A: {last_a:.3f}, network B: {last_b:.3f}")
assert last_b < best / 5 < best < last_a < best + 0.2

# %% [markdown]
# The loss of A is close to the best possible. The loss of B is below what is possible. This is the proof that something is
# wrong: B must see the answer.
#
# And so it is. Look at `unmasked` above: the labels are the tokens of the input. Nothing was hidden. B has learned to copy
# each token to its output, for which it needs no attention and no language. Nobody gets an error message, and the curve is
# beautiful.

# %% tags=["hide-input"]


def draw(axes):
    axes.plot(losses_a, label="network A")
    axes.plot(losses_b, label="network B")
    axes.axhline(best, color="gray", linestyle="--", linewidth=1)
    axes.text(STEPS, best + 0.05, "best possible loss", ha="right", color="gray")
    axes.set(title="A loss can be too good", xlabel="step", ylabel="loss (nats per token)", ylim=(0, None))
    axes.legend(frameon=False)


show_figure(
    draw, alt="The loss of A falls to slightly above the best possible loss. The loss of B falls far below it, nearly to zero."
)

# %% [markdown]
# In a real language nobody knows the best possible loss. But there are **baselines**, which you should always draw into a loss
# curve: the loss of predicting all tokens with equal probability, ln V for a vocabulary of V, and the **unigram entropy**, the
# loss of a model that only knows how frequent each token is:
#
# $$H = -\frac{1}{N} \sum_{n=1}^{N} \log\left(\frac{c(w_n) + 1}{\sum_v (c(v) + 1)}\right)$$
#
# Here $N$ is the number of tokens of the validation text, $w_n$ is one of them, and $c(w)$ is how often a token $w$ occurs in
# the training text. A network that is better than this baseline must use the context.

# %%
train, validation = (torch.from_numpy(sentences(500, np.random.default_rng(seed))[:, 1:-1].flatten()) for seed in (1, 2))
uniform, unigram = math.log(len(ids_of)), equations.unigram_entropy(train, validation, len(ids_of)).item()
show_table(
    ["", "loss", "perplexity"],
    [
        [name, loss, math.exp(loss)]
        for name, loss in (
            ("all tokens equal", uniform),
            ("frequencies alone", unigram),
            ("network A", float(last_a)),
            ("best possible", best),
        )
    ],
)
assert best < last_a < unigram < uniform

# %% [markdown]
# ## Why not all of them become [MASK]
#
# Devlin et al. 2019 select 15% of the tokens. Of these, 80% are replaced by `[MASK]`, 10% by a random token, and 10% stay as
# they are. All of them are predicted. This is the code:

# %%
show_code(mask_tokens)
many = np.tile(sentences(1, np.random.default_rng(0)), (20_000, 1))
inputs, labels = masked(many, np.random.default_rng(1))
selected = labels != IGNORE_INDEX
became_mask, unchanged = inputs[selected] == ids_of["[MASK]"], inputs[selected] == labels[selected]
shares = [selected[:, 1:-1].mean(), became_mask.mean(), unchanged.mean(), 1 - became_mask.mean() - unchanged.mean()]
show_table(["selected", "of these [MASK]", "unchanged", "another token"], [[f"{share:.1%}" for share in shares]])
assert abs(shares[0] - 0.15) < 0.005
assert abs(shares[1] - 0.8) < 0.01

# %% [markdown]
# The number of unchanged tokens is a little above 10%, because the random token is sometimes the same one.
#
# Why so complicated? Let us train a third network, C, for which all selected tokens become `[MASK]`. It fills masks as well as
# A. But when BERT is used, for example to classify sentences, there are **no** masks in the input.
#
# **Prediction.** We give both networks whole sentences, without a mask, and look at their prediction for a word that they can
# see. Is it this word?

# %% tags=["prediction"]
model_c, losses_c = pretrained(lambda ids, generator: masked(ids, generator, always=True))
rows = [
    [name, accuracy(model, ANIMAL), accuracy(model, ANIMAL, hide=False), accuracy(model, SOUND, hide=False)]
    for name, model in (("A: 80, 10, 10", model_a), ("C: always [MASK]", model_c))
]
show_table(["correct predictions", "masked animal", "visible animal", "visible sound"], rows)
assert min(rows[0][1:]) > 0.95
assert rows[1][1] > 0.95 > min(rows[1][2:]) + 0.1

# %% [markdown]
# <details><summary>Explanation</summary>
#
# C never had to predict a token that is visible. So its vectors at visible tokens can be anything; only what other positions
# need from them was trained. But these are the vectors that the user wants. A cannot know which visible tokens are right: one
# in ten selected tokens is a random one. So its vectors have to keep the word, and to check it against the context, at every
# position.
#
# </details>
#
# **Change it.** Replace `random_numbers[..., 1] = 0.0` by `0.85` (always a random token) or `0.95` (always unchanged). Predict
# what each network can and cannot do before you run the last cell again.
#
# <details><summary>Answer</summary>
#
# Always a random token: the network never gets a mask in training, and fills fewer of them than A. Always unchanged: every
# visible word is right, and masks are filled by chance. This is network B once more.
#
# </details>
#
# **Try it.** [A small pretrained BERT on a page](../docs/live_page.html#step=mlm.probabilities) predicts a masked word. It
# was trained on the docstrings of Python. Move the mask to another word: which words are easy?
#
# ## Is this the next sentence?
#
# BERT has a second objective. It gets two pieces of text, A and B, and predicts if B follows A in the original text (label 0),
# or is from another document (label 1). The vector of `[CLS]` gets a head with two scores:
#
# $$L_{\mathrm{NSP}} = -\frac{1}{N} \sum_{n=1}^{N} \log p(y_n \mid \mathrm{A}_n, \mathrm{B}_n)$$
#
# $N$ is the number of pairs, and $y_n$ the label of pair $n$. It is the same cross-entropy, with two classes.
#
# **Prediction.** A network is sure with logits (2, 0) for two pairs. The first has label 0, the second label 1. Which loss is
# larger, and what is their mean? ($e^2$ = 7.389.)

# %% tags=["prediction"]
logits, pair_labels = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
print(f"e² = {math.exp(2):.3f}, probabilities", [round(value, 3) for value in equations.softmax(logits)[0].tolist()])
print("losses", [round(value, 3) for value in equations.cross_entropy(logits, pair_labels).tolist()])
print(f"mean {equations.next_sentence_loss(logits, pair_labels):.3f}; both 1/2: ln 2 = {math.log(2):.3f}")

# %% [markdown]
# A network that has learned nothing gives both classes 1/2, and gets the loss 0.693. This is the baseline of the second loss.
# If a network is sure and right, its loss is a little lower: 0.127. If it is sure and wrong, its loss is much higher: 2.127.
#
# Later models left this objective out (RoBERTa, Liu et al. 2019) or replaced it (ALBERT, Lan et al. 2020, asks if A and B were
# swapped): a B from another document often has another topic, so the task can be solved without understanding how two
# sentences are connected.
#
# ## Which tokens are replaced?
#
# Of 100 tokens, BERT learns from the 15 that are masked. ELECTRA (Clark et al. 2020) learns from all of them. A small network
# with a masked-LM head, the generator, proposes a token for each masked position: one is drawn from its probabilities. The
# network that is trained, the discriminator, sees the text with these tokens, and predicts for each token if it was replaced.
#
# To draw from probabilities, take a random number $u$ from 0 to 1, and go through the vocabulary until the sum of the
# probabilities exceeds $u$. If the generator draws the original token, that token counts as original:
#
# $$\hat x = \min\Big\{k : \sum_{j \le k} p_j > u\Big\}, \qquad y_t = 1\big[x^{\mathrm{corrupt}}_t \ne x_t\big]$$
#
# **Prediction.** The tokens of a small vocabulary have the probabilities 0.5, 0.2 and 0.3. Which tokens do the random numbers
# 0.4, 0.6 and 0.9 draw?

# %% tags=["prediction"]
logits = torch.tensor([0.5, 0.2, 0.3]).log().expand(3, 3)
drawn = equations.sample_tokens(logits, torch.tensor([0.4, 0.6, 0.9]))
print("tokens", drawn.tolist())
original, keep = torch.tensor([0, 2, 2]), torch.tensor([True, True, True])
replaced = equations.replaced_token_labels(drawn, original, keep)
print("original", original.tolist(), "labels", replaced.tolist())

# %% [markdown]
# The sums are 0.5, 0.7 and 1. The first and the third token are the original ones, so only the second has the label 1.
#
# The loss of the discriminator is the binary cross-entropy of all tokens. The generator is trained with its own masked-LM loss
# at the same time, and gets no gradient from the discriminator: a drawn token has none. The discriminator's loss is much
# smaller, so it gets the weight $\lambda$ = 50:
#
# $$L = L_{\mathrm{MLM}} + \lambda L_{\mathrm{Disc}}$$
#
# **Prediction.** The discriminator has learned nothing and gives every token the score 0, so the probability 1/2. The generator
# has the loss 7. What is $L$?

# %% tags=["prediction"]
discriminator_loss = equations.replaced_token_loss(torch.zeros(3), replaced)
print(f"discriminator {discriminator_loss:.3f}")
print(f"together {equations.electra_loss(torch.tensor(7.0), discriminator_loss):.2f}")

# %% [markdown]
# With a score of 0 the loss is ln 2 = 0.693 for both labels, and 7 + 50 · 0.693 = 41.66. Most tokens are original, so a network
# that always answers "original" has a high accuracy. It is the baseline of the discriminator.
#
# ## Spans instead of words
#
# T5 (Raffel et al. 2020) is an encoder with a decoder (lesson 6). Every task is **text to text**, pretraining included. Some
# **spans** of a text are removed. A span is one or more tokens in a row. In the source, a **sentinel** stands for each span:
# `<0>` for the first, `<1>` for the second, and so on. The target is each sentinel, and then the span that belongs to it. One
# more sentinel ends it.
#
# **By hand.** Take the sentence of the paper's figure 2, *Thank you for inviting me to your party last week*, and remove *for
# inviting* and *last*. Write down the source and the target before you run the cell. (`</s>` is the end of a text.)

# %%
words = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "</s>", "<0>", "<1>", "<2>"]
sentence, sentinels = np.arange(10), np.array([11, 12, 13])
source, target = corrupt_spans(sentence, np.isin(sentence, [2, 3, 8]), sentinels, end=10)
print("source:", *(words[token] for token in source))
print("target:", *(words[token] for token in target))

# %% [markdown]
# 15% of the tokens are removed, in spans of 3 tokens on average. So the number of removed tokens and the number of spans are
# fixed. The positions and the lengths of the spans are drawn at random.
#
# **Prediction.** A text has 100 tokens. How many spans are removed? How long are the source and the target, with sentinels and
# ends?

# %% tags=["prediction"]
removed = choose_spans(100, np.random.default_rng(0))
source, target = corrupt_spans(np.arange(100), removed, np.arange(1000, 1100), end=1)
print(int(removed.sum()), "tokens in", int((source >= 1000).sum()), "spans")
print("length of the source", len(source), "and of the target", len(target))
print("".join("▁" if gone else "·" for gone in removed))

# %% [markdown]
# The source has the other tokens, 5 sentinels and the end. The target has the 15 removed tokens, 6 sentinels and the end. So
# the target, which the decoder predicts token by token, is short, and the source is shorter than the text. This is one reason
# for spans: with a sentinel for each single token, both would be longer, and training would take more time.
#
# ## Exercises

# %%
exercise("cross_entropy")

# %%
exercise("masked_lm_loss")

# %%
exercise("mask_tokens")

# %%
exercise("perplexity")

# %%
exercise("next_sentence_loss")

# %% [markdown]
# ## Seen in well-known code
#
# - **A loss over all tokens.** If the labels of positions that were not selected are not set to `-100`, most of the loss is
#   copying, as for network B. The curve looks better, and the network learns less from each step.
# - **Three independent random numbers.** If 80%, 10% and 10% are drawn one after the other, independently, the shares are 81%,
#   10% and 9%, or worse.
# - **Special tokens that are masked.** `[CLS]`, `[SEP]` and `[PAD]` must not be selected, and the random token must not be one
#   of them.
# - **The label of the second objective.** 0 means "is the next one". Tutorials often have it the other way round, which works
#   until they load BERT's weights.
# - **Softmax twice.** A cross-entropy that expects logits gets probabilities. The loss can then never come near 0. With two
#   classes, the lowest possible value is 0.313.

# %%
perfect = torch.tensor([[1.0, 0.0]])  # probabilities in place of logits
print(f"{equations.cross_entropy(perfect, torch.tensor([0])).item():.3f}")

# %% [markdown]
# ## Further reading
#
# - Devlin et al. 2019, *BERT*, sections 3.1 and A.1, and table 8: what the 80, 10, 10 are worth.
# - Taylor 1953, *Cloze procedure*: the same task for people.
# - Liu et al. 2019, *RoBERTa*: which parts of the recipe matter.
# - Clark et al. 2020, *ELECTRA*: what learning from all tokens is worth.
# - Raffel et al. 2020, *T5*, section 3: objectives of pretraining compared, with spans of several lengths.
# - Next: lesson 10, the steps of the optimizer.
