# %% [markdown]
# # 11 · Pretraining a small BERT and reading its curve
#
# The loss of a run falls quickly and then stays where it is. Has the network learned all that it can, or nothing?
#
# You need lessons 9 and 10. At the end you can set up a pretraining run in Python, draw the lines that belong into its curve,
# and say from the curve what the network knows: nothing, frequencies, the language, or the training text by heart.

# %%
import json
import math
from functools import partial

import numpy as np
import torch

import minibert
from minibert import equations, text
from minibert.classroom.lesson import exercise, show, show_code, show_figure, show_table
from minibert.text.corpus import Document
from minibert.text.examples import format_examples
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training import reference_runs

# %% [markdown]
# ## Something surprising
#
# We pretrain BERT on an invented language, as in lesson 9. This time the text has **documents**: each is a story of six
# sentences about one animal. A sentence names the animal and its sound. The adjective is drawn at random. In half of the
# sentences there is a place.

# %%
SOUNDS = {
    "dog": "barks", "cat": "meows", "bird": "sings", "cow": "moos",
    "horse": "neighs", "pig": "grunts", "duck": "quacks", "bee": "hums",
}  # fmt: skip
ADJECTIVES, PLACES = ["old", "young", "big", "small", "black", "white"], ["garden", "house", "field"]
tokenizer = build_tokenizer([*SPECIAL_TOKENS, "the", "in", ".", *ADJECTIVES, *PLACES, *SOUNDS, *SOUNDS.values()])
ids_of = tokenizer.get_vocab()


def sentence(animal, generator):
    """Return a random sentence about an animal."""
    place = f" in the {generator.choice(PLACES)}" if generator.random() < 0.5 else ""
    return f"the {generator.choice(ADJECTIVES)} {animal} {SOUNDS[animal]}{place} ."


def stories(count, seed):
    """Return random documents, tokenized."""
    generator = np.random.default_rng(seed)
    animals = generator.choice(list(SOUNDS), count)
    documents = [Document("story", tuple(sentence(animal, generator) for _ in range(6))) for animal in animals]
    return text.TokenizedCorpus.from_documents(documents, tokenizer)


train, validation = stories(600, seed=1), stories(40, seed=2)

# %% [markdown]
# `TrainingRun` connects the parts of a run: the network, the examples, the **objective** (the losses), the optimizer and the
# schedule. The examples are pairs of segments with masks, made by `PretrainingExamples` (lesson 9). The **validation** stories
# are never used for training. Every ten steps we compute the loss on them.

# %%
EXAMPLES = text.ExampleConfig(max_length=19)
STEPS = 300
batches_of_32 = partial(text.batches_by_count, batch_size=32)
validation_epoch = text.PretrainingExamples(validation, tokenizer, EXAMPLES).epoch(0)
validation_batches = list(text.epoch_batches(validation_epoch, batches_of_32))


def pretrained(learning_rate, corpus=train, examples=EXAMPLES, steps=STEPS, seed=0):
    """Pretrain a small BERT. Return the network and its curves, one row for every ten steps."""
    torch.manual_seed(seed)
    config = minibert.BertConfig(
        vocab_size=len(ids_of),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    run = minibert.TrainingRun(
        model=minibert.BertForPreTraining(config),
        examples=text.PretrainingExamples(corpus, tokenizer, examples, seed),
        objective=minibert.PretrainingObjective(),
        batch_sampler=batches_of_32,
        optimizer=partial(minibert.adamw, learning_rate=learning_rate),
        schedule=partial(minibert.warmup_linear, steps=steps),  # warm-up over the first tenth of the steps
        steps=steps,
    )
    rows, losses = [], []
    for step in run.run():
        losses.append(step.losses["mlm"])
        if step.number % 10 == 0:
            scores = run.evaluate(validation_batches)
            rows.append([step.number, step.learning_rate, np.mean(losses[-10:]), scores["mlm"].loss, scores["nsp"].loss])
    return run.model.eval(), np.array(rows)


STEP, RATE, TRAINING, VALIDATION, NSP = range(5)  # the columns of the curves

# %% [markdown]
# Two runs differ in one number, the learning rate. These are their validation losses of masked language modeling after 20
# steps. Both began with 3.5.

# %%
network_a, curve_a = pretrained(learning_rate=5e-3)
network_b, curve_b = pretrained(learning_rate=4e-2)


def validation_loss(curve, step):
    """Return the validation loss after a step."""
    return float(curve[curve[:, STEP] == step, VALIDATION][0])


show_table(["", "after 20 steps"], [["run A", validation_loss(curve_a, 20)], ["run B", validation_loss(curve_b, 20)]])
assert validation_loss(curve_b, 20) < validation_loss(curve_a, 20) - 0.1

# %% [markdown]
# B is ahead. You have time for one of the two runs only.
#
# **Prediction.** Which run do you keep? Which loss do you expect of it after 300 steps?

# %% tags=["prediction"]
last_a, last_b = validation_loss(curve_a, STEPS), validation_loss(curve_b, STEPS)
show_table(
    ["", "after 20 steps", "after 300 steps"],
    [["run A", validation_loss(curve_a, 20), last_a], ["run B", validation_loss(curve_b, 20), last_b]],
)
assert last_a < 1.6
assert last_b > 2.7

# %% [markdown]
# B has become worse. Its loss rose to about 2.9 and has stayed there. There was no error message, no infinite number, and the
# loss is clearly lower than at the start: a curve that falls and flattens, like most curves that you see.
#
# **Question.** What does a network with this loss know? And could we have seen it in the curve of B alone, without A?
#
# ## What is trained
#
# One batch holds examples such as this one. The network has to predict the tokens at the masked positions, and if B (the
# second segment) follows A (the first) in the same story.

# %%
example = text.PretrainingExamples(train, tokenizer, EXAMPLES).epoch(0).batch(np.array([0]))
show(format_examples([example], tokenizer)[0])

# %% [markdown]
# The loss of BERT is the sum of the two losses of lesson 9 (Devlin et al. 2019, section A.2):
#
# $$L = L_{\mathrm{MLM}} + L_{\mathrm{NSP}}$$
#
# $L_{\mathrm{MLM}}$ is the mean cross-entropy at the hidden positions. $L_{\mathrm{NSP}}$ is the mean cross-entropy of the
# answers "B is next" and "B is not next". The objective computes both sums; the training loop of lesson 10 divides them by the
# numbers of targets.

# %%
show_code(minibert.PretrainingObjective)

# %% [markdown]
# ## Two lines that belong into every curve
#
# A loss alone says little. Two losses are known **before** training.
#
# **All tokens equal.** New weights are small, so the first scores are all about equal. The network gives each of the $V$
# tokens of the vocabulary the probability $1/V$, and the loss is $\ln V$. For the pairs there are two classes, so the loss is
# $\ln 2$.
#
# **Frequencies alone.** Suppose that a network cannot see the sentence at all. The best that it can do is to predict how often
# each token occurs. Its loss is the **unigram entropy** (lesson 9), with the counts $c$ in the training text:
#
# $$H = -\frac{1}{N} \sum_{n=1}^{N} \log\left(\frac{c(w_n) + 1}{\sum_v (c(v) + 1)}\right)$$
#
# $N$ is the number of tokens of the validation text, and $w_n$ is one of them.
#
# **By hand.** A training text is *the the dog cat*, and its vocabulary has these three tokens and *bee*. The validation text
# is *the dog*. With the added ones, the counts are 3, 2, 2 and 1, and their sum is 8. So the loss for *the* is −ln(3/8) =
# 0.981, and for *dog* it is −ln(2/8) = 1.386. The mean is 1.184. Is this better than ln 4 = 1.386?

# %%
by_hand = [-math.log(3 / 8), -math.log(2 / 8)]
mean = equations.unigram_entropy(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1]), vocab_size=4).item()
print(f"{by_hand[0]:.3f}, {by_hand[1]:.3f}, mean {mean:.3f}; ln 4 = {math.log(4):.3f}")
assert math.isclose(mean, sum(by_hand) / 2, abs_tol=1e-6)

# %% [markdown]
# **Prediction.** The vocabulary of our language has 33 entries. Compute the first loss. Then guess the second one, and compare
# both with run B.

# %% tags=["prediction"]
special = [ids_of[token] for token in SPECIAL_TOKENS]  # they are never masked, so they do not count
train_ids, validation_ids = (torch.from_numpy(corpus.first_tokens(special)) for corpus in (train, validation))
uniform, unigram = math.log(len(ids_of)), equations.unigram_entropy(train_ids, validation_ids, len(ids_of)).item()
show_table(
    ["", "loss", "perplexity"],
    [
        [name, loss, math.exp(loss)]
        for name, loss in (
            (f"all {len(ids_of)} tokens equal", uniform),
            ("frequencies alone", unigram),
            ("run B", last_b),
            ("run A", last_a),
        )
    ],
)
assert abs(last_b - unigram) < 0.15
assert last_a < unigram - 1

# %% tags=["hide-input"]


def draw_baselines(axes):
    axes.axhline(uniform, color="gray", linestyle=":", linewidth=1)
    axes.axhline(unigram, color="gray", linestyle="--", linewidth=1)
    axes.text(STEPS, uniform + 0.04, "all tokens equal", ha="right", color="gray")
    axes.text(STEPS, unigram - 0.25, "frequencies alone", ha="right", color="gray")


def draw(axes):
    draw_baselines(axes)
    axes.plot(curve_a[:, STEP], curve_a[:, VALIDATION], label="run A")
    axes.plot(curve_b[:, STEP], curve_b[:, VALIDATION], label="run B")
    axes.set(title="Masked language modeling", xlabel="step", ylabel="validation loss (nats per token)", ylim=(0, 4))
    axes.legend(frameon=False, loc="lower left")


def draw_pairs(axes):
    axes.axhline(math.log(2), color="gray", linestyle=":", linewidth=1)
    axes.text(STEPS, math.log(2) - 0.08, "both answers equal", ha="right", color="gray")
    axes.plot(curve_a[:, STEP], curve_a[:, NSP], label="run A")
    axes.set(title="Next-sentence prediction", xlabel="step", ylabel="validation loss (nats per pair)", ylim=(0, 1))
    axes.legend(frameon=False, loc="lower left")


show_figure(
    draw,
    draw_pairs,
    alt="Left: run A falls far below the loss of frequencies alone, run B ends exactly on it. Right: the loss of next-sentence "
    "prediction stays at ln 2.",
)

# %% [markdown]
# Run B ends on the second line. This suggests an answer: the network of B knows the frequencies of the tokens, and nothing
# else. A suspicion that comes from a curve should be tested.
#
# **Prediction.** We ask both networks about two masks: *the old [MASK] barks .* and *the old dog barks in the [MASK] .* What
# does the network of B answer, if we are right? And what would you like A to answer?

# %% tags=["prediction"]


def predicted(network, masked_text):
    """Return the probabilities of all tokens at the mask of a text."""
    ids = torch.tensor([tokenizer.encode(masked_text).ids])
    with torch.no_grad():
        logits = network(ids).prediction_logits[0, ids[0].tolist().index(ids_of["[MASK]"])]
    return equations.softmax(logits)


TEXTS = ["the old [MASK] barks .", "the old dog barks in the [MASK] ."]
KINDS = {"the": ["the"], ".": ["."], "dog": ["dog"], "any animal": list(SOUNDS), "any place": PLACES}


def row_of(title, probabilities):
    """Return the row of a table: the probability of each kind of token."""
    return [title, *(sum(probabilities[ids_of[token]].item() for token in tokens) for tokens in KINDS.values())]


frequencies = torch.bincount(train_ids, minlength=len(ids_of)) / len(train_ids)
answers = {name: [predicted(network, masked) for masked in TEXTS] for name, network in (("A", network_a), ("B", network_b))}
rows = [row_of(f"run {name}: {masked}", each) for name in "AB" for masked, each in zip(TEXTS, answers[name], strict=True)]
show_table(["probability of", *KINDS], [*rows, row_of("frequency in the training text", frequencies)])
assert (answers["B"][0] - answers["B"][1]).abs().max() < 0.02
assert (answers["B"][0] - frequencies).abs().max() < 0.08
assert min(rows[0][4], rows[1][5]) > 0.8
assert rows[0][3] < 0.5

# %% [markdown]
# The network of B gives both masks the same answer, and the answer is a table of frequencies. It has two layers, eight
# attention heads and thousands of weights, and it does what one line with `bincount` does.
#
# A is better, but look again. It knows that the first mask is an animal and the second a place. It does not know that the
# animal that barks is a dog: `dog` gets about as much as each of the eight animals. So A has learned the **kinds** of words,
# and not yet the words.
#
# A loss falls from floor to floor. We can compute the floors of our language. If all kinds are known, each token of a kind
# with $k$ words costs $\ln k$. If the animal and its sound are known too, only the adjective and the place cost something.

# %%
SIZES = [{word: len(kind) for word in kind} for kind in (ADJECTIVES, PLACES, list(SOUNDS), list(SOUNDS.values()))]
words = [tokenizer.id_to_token(index) for index in validation_ids.tolist()]


def floor(sizes):
    """Return the mean loss if a word of a kind with k words costs ln k, and all other words cost nothing."""
    known = {word: size for kind in sizes for word, size in kind.items()}
    return float(np.mean([math.log(known.get(word, 1)) for word in words]))


kinds_known, all_known = floor(SIZES), floor(SIZES[:2])
show_table(
    ["the network knows", "loss"],
    [["nothing", uniform], ["frequencies", unigram], ["kinds of words", kinds_known], ["animals and their sounds", all_known]],
)
assert all_known < kinds_known < last_a < unigram - 1

# %% [markdown]
# A is close to the third line. If you train for longer, it leaves this floor as well: see "Change it" below. In a real
# language nobody can compute the lower floors. But the second one, the unigram entropy, is always known. **A loss below it
# shows that the network looks at more than frequencies. A loss that stays on it shows that it does not.** In a real run this
# floor is reached within some hundred steps, and it looks like the end of training.
#
# For next-sentence prediction, the first floor is ln 2, and A has not left it (the right figure). This is no fault: to see
# that two segments are about two animals, the network must know the animals first.
#
# ## What has happened inside
#
# Look at B from the beginning. During warm-up the learning rate rises, and the network learns. Then the steps become too long.

# %%
show_table(
    ["step", "learning rate of B", "validation loss of B", "validation loss of A"],
    [
        [int(row[STEP]), row[RATE], row[VALIDATION], validation_loss(curve_a, row[STEP])]
        for row in curve_b[[0, 1, 2, 3, 5, 9, 29]]
    ],
)
assert curve_b[1, VALIDATION] + 0.2 < curve_b[-1, VALIDATION]

# %% [markdown]
# A step of AdamW moves each weight by about the learning rate (lesson 10). The weights of BERT begin with a standard deviation
# of 0.02. One step of B, with the learning rate `0.04`, moves them by twice as much. After some such steps in the same
# direction, the weights are far too large.
#
# What does such a network compute? We compare the vectors that it gives to the tokens of a sentence. The cosine (lesson 10) of
# two equal directions is 1.

# %%


def similarity(network):
    """Return the mean cosine of the vectors of two different tokens in a sentence."""
    ids = torch.tensor([tokenizer.encode("the old dog barks in the garden .").ids])
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(network.bert(ids).last_hidden_state[0], dim=-1)
    count = len(vectors)
    return ((vectors @ vectors.T).sum().item() - count) / (count * (count - 1))


show_table(["", "mean cosine of two tokens"], [["run A", similarity(network_a)], ["run B", similarity(network_b)]])
assert similarity(network_b) > 0.99
assert similarity(network_a) < 0.7

# %% [markdown]
# In the network of B, all tokens have the same vector. Whatever the sentence is, the head gets the same input, so its output
# cannot depend on the sentence. The only thing that it can still learn is one number for each token of the vocabulary, and the
# best such numbers are the logarithms of the frequencies. This is why the loss is exactly the unigram entropy. Such a network
# is **collapsed**. At the end of the run the learning rate was nearly zero again. This did not help: differences between
# tokens that are lost give no gradient.
#
# ## The best training loss of all
#
# A third run, C, has a normal learning rate, but only 20 stories. `dupe_factor=1` lets it see the same masks in every epoch,
# as if the masks had been written into the data once.
#
# **Prediction.** Order the three runs by their **training** loss. What does the validation loss of C do?

# %% tags=["prediction"]
FEW = 20
network_c, curve_c = pretrained(
    5e-3, corpus=stories(FEW, seed=1), examples=text.ExampleConfig(max_length=19, dupe_factor=1), steps=200
)
rows = [
    [f"run {name}", *map(float, curve[-1, [TRAINING, VALIDATION]])]
    for name, curve in (("A", curve_a), ("B", curve_b), ("C", curve_c))
]
show_table(["at the end", "training loss", "validation loss"], rows)
assert rows[2][1] < all_known
assert rows[2][2] > uniform > min(curve_c[:, VALIDATION]) + 0.5
assert abs(rows[0][1] - rows[0][2]) < 0.3

# %% tags=["hide-input"]


def draw_few(axes):
    draw_baselines(axes)
    axes.plot(curve_c[:, STEP], curve_c[:, TRAINING], label="run C, training")
    axes.plot(curve_c[:, STEP], curve_c[:, VALIDATION], label="run C, validation")
    axes.set(title="Twenty stories", xlabel="step", ylabel="loss (nats per token)", ylim=(0, None), xlim=(0, STEPS))
    axes.legend(frameon=False, loc="center right")


show_figure(
    draw_few, alt="The training loss of C falls to nearly zero. Its validation loss falls at first and then rises above ln V."
)

# %% [markdown]
# The training loss of C is below the lowest floor: C predicts adjectives that were drawn at random. So it has learned the
# stories by heart. On new stories it is sure and wrong, and that costs more than guessing: its validation loss ends above the
# line of a network that knows nothing. The validation loss was lowest early in the run. This is **overfitting**, and the
# training loss alone shows the opposite of it.
#
# Now you can read four curves:
#
# | validation loss | training loss | what it means |
# |---|---|---|
# | stays near ln V | the same | nothing is learned: learning rate too small, or no gradient |
# | stays on the unigram entropy | the same | frequencies alone: learning rate too large, or no way to see the sentence |
# | falls from floor to floor | about the same | it learns the language; longer training helps |
# | falls, then rises | falls on | it learns the text by heart: more text, new masks in every epoch, or stop earlier |
#
# ## On track?
#
# A real run takes hours, and you want to know early if it is right. The best comparison is a run of somebody else with the
# same settings. But two right runs differ as well, by their random numbers. So minibert compares with **three seeds**: a run
# is on track if its loss is in their range, made wider on both sides by the size of the range, but by at least 0.05 nats.
#
# **By hand.** Of three runs of `minibert pretrain --preset tiny`, the best ended with 6.0075 nats and the worst with 6.0207.
# The range is 0.0132, which is less than 0.05. So the lowest loss that is still on track is 6.0075 − 0.05 = 5.9575, and the
# highest is 6.0207 + 0.05 = 6.0707.

# %%
stored = json.loads(reference_runs.FILE.read_text(encoding="utf-8"))["tiny"]["bands"]
LOSS = "validation_mlm_loss"
show_table(
    ["step", "lowest", "highest"],
    [[step, *(f"{value:.4f}" for value in stored[step][LOSS])] for step in ("100", "300", "1000")],
)
lowest, highest = 6.0075, 6.0207
margin = max(round(highest - lowest, 4), least := reference_runs.MIN_MARGIN[LOSS])
print(f"range {highest - lowest:.4f}, at least {least}, so {lowest - margin:.4f} to {highest + margin:.4f}")
assert [round(lowest - margin, 4), round(highest + margin, 4)] == stored["1000"][LOSS]
show_code(reference_runs.Reference.verdict)

# %% [markdown]
# **Prediction.** Your run of `tiny` has a validation loss of 6.3 after 300 steps. Is it on track? And one that has still 6.3
# after 1,000 steps? And 5.5 after 1,000 steps, which is much better than all three?

# %% tags=["prediction"]
reference = reference_runs.Reference(settings={}, bands={step: {LOSS: band[LOSS]} for step, band in stored.items()})
verdicts = [reference.verdict(step, {LOSS: loss}) for step, loss in ((300, 6.3), (1000, 6.3), (1000, 5.5))]
print(*verdicts, sep="\n")
assert [verdict.startswith("on track") for verdict in verdicts] == [True, False, False]

# %% [markdown]
# A loss that is too good is off track, too. Perhaps the validation text is in the training text, or a mask lets the network
# see the answer (lesson 9).
#
# `minibert pretrain --out runs/tiny` trains this network on the docstrings of Python and torch, in some minutes, and says "on
# track" at each evaluation. Its curve, with both baselines, is in `runs/tiny/loss.png`.
#
# **Change it.** Set `STEPS` to `1500`. This takes about half a minute. (Some `assert`s then fail: they are statements about
# 300 steps.) Which floors does A leave, and in which order? When does next-sentence prediction leave ln 2? Then find the
# largest learning rate with which A does not collapse: try `0.01`, `0.02` and `0.03`.
#
# <details><summary>Answer</summary>
#
# A goes on to the last floor: it learns which animal makes which sound. Next-sentence prediction stays at ln 2 for more than
# half of the steps, then falls quickly. By then the network knows the animals. With `0.01`, A is at least as good as with
# `0.005`; `0.02` is slower, and `0.03` collapses. So the best learning rate is not far below the one that destroys everything.
# This is common, and one reason for warm-up and clipping (lesson 10).
#
# </details>
#
# ## Exercises

# %%
exercise("unigram_entropy")

# %%
exercise("draw_pairs")

# %%
exercise("masked_lm_head")

# %% [markdown]
# ## Seen in well-known code
#
# - **The same masks in every epoch.** Google's BERT writes the masks into its data files, in several copies of the text
#   (`dupe_factor`). RoBERTa draws them again each time (Liu et al. 2019, section 4.1). On little text, the first way ends as
#   run C.
# - **One number for two losses.** Many scripts print only the sum. For BERT's vocabulary of 30,522 tokens it starts near ln
#   30,522 + ln 2 = 11.02. A first loss that is far from this number shows an error before any training.
# - **Accuracy of pairs from their lengths.** If documents are short, segments from other documents have other lengths. A
#   network can then predict more than half of the pairs without reading them. `minibert pretrain` prints what lengths alone
#   give.
# - **A mean over batches.** A validation loss is a mean over tokens. A mean of the means of batches gives a small last batch
#   too much weight.
# - **Spikes.** The loss of a very large network can jump up, hundreds of steps after it looked safe. The makers of PaLM went
#   back to an earlier checkpoint and left out some batches (Chowdhery et al. 2022, section 5.1).

# %%
print(f"ln {30_522:,} + ln 2 = {math.log(30_522) + math.log(2):.2f}")

# %% [markdown]
# ## Further reading
#
# - Devlin et al. 2019, *BERT*, section A.2: the settings of the pretraining.
# - Liu et al. 2019, *RoBERTa*: what longer training and more text are worth.
# - Shannon 1951, *Prediction and entropy of printed English*: the same floors for people and letters.
# - Next: lesson 12, what to do with a pretrained network.
