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
# `PretrainingExamples` makes pairs of segments with masks from the stories (lesson 9). One pass through all of them is an
# **epoch**, and each epoch has new pairs and new masks. `TrainingRun` connects the parts of a run: the network, the examples,
# the **objective** (the losses), the optimizer and the schedule. `partial` fixes some arguments of a function; `TrainingRun`
# adds the others. The **validation** stories are never used for training. Every ten steps we compute the loss on them.

# %%
EXAMPLES = text.ExampleConfig(max_length=19)  # [CLS], [SEP], [SEP] and two sentences of up to 8 tokens
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
            training = np.nanmean(np.array(losses[-10:], float))  # the loss of a batch without any mask is not a number
            rows.append([step.number, step.learning_rate, training, scores["mlm"].loss, scores["nsp"].loss])
    return run.model.eval(), np.array(rows)


STEP, RATE, TRAINING, VALIDATION, NSP = range(5)  # the columns of the curves

# %% [markdown]
# Two runs differ in one number, the learning rate. These are their validation losses of masked language modeling after ten
# steps. Both began with about 3.5.

# %%
network_a, curve_a = pretrained(learning_rate=5e-3)
network_b, curve_b = pretrained(learning_rate=12e-2)


def validation_loss(curve, step):
    """Return the validation loss after a step."""
    return float(curve[curve[:, STEP] == step, VALIDATION][0])


first_a, first_b = validation_loss(curve_a, 10), validation_loss(curve_b, 10)
show_table(["", "after 10 steps"], [["run A", first_a], ["run B", first_b]])
assert first_b < first_a - 0.1

# %% [markdown]
# B is ahead. You have time for one of the two runs only.
#
# **Prediction.** Which run do you keep? Which loss do you expect of it after 300 steps?

# %% tags=["prediction"]
last_a, last_b = validation_loss(curve_a, STEPS), validation_loss(curve_b, STEPS)
show_table(["", "after 10 steps", "after 300 steps"], [["run A", first_a, last_a], ["run B", first_b, last_b]])
assert last_a < 1.6
assert abs(last_b - first_b) < 0.15

# %% [markdown]
# B has learned nothing more: its loss is about what it was after ten steps. There was no error message, no infinite number,
# and the loss is clearly lower than at the start. Many curves look like this: they fall quickly, and then they are flat.
#
# **Question.** What does a network with this loss know? And could we have seen it in the curve of B alone, without A?
#
# ## What is trained
#
# One batch holds examples such as this one. The network has to predict the tokens at the masked positions. And it has to
# predict if the second segment (called B in the output) follows the first one in the same story. Segments that are too long
# are cut at the front or at the end.

# %%
example = text.PretrainingExamples(train, tokenizer, EXAMPLES).epoch(0).batch(np.array([0]))
show(format_examples([example], tokenizer)[0])

# %% [markdown]
# The loss of BERT is the sum of the two losses of lesson 9 (Devlin et al. 2019, section A.2):
#
# $$L = L_{\mathrm{MLM}} + L_{\mathrm{NSP}}$$
#
# $L_{\mathrm{MLM}}$ is the mean cross-entropy at the hidden positions. $L_{\mathrm{NSP}}$ is the mean cross-entropy of the
# answers "next" and "not next". The objective computes both sums; the training loop of lesson 10 divides them by the numbers
# of targets. (`self.pairs` is the name of the second loss, here `"nsp"`.)

# %%
show_code(minibert.PretrainingObjective.loss_sums)

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
# $N$ is the number of tokens of the validation text, and $w_n$ is one of them. $v$ runs through the vocabulary. The added one
# gives a token that does not occur in the training text a small probability: a probability of zero would cost an infinite
# loss.
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
# **The next token.** A network that predicts the next token, as GPT-2 does, sees the token before it. So its baseline is the
# **bigram entropy**: $p(w \mid v)$ is how often $w$ follows $v$ in the training text. A pair that does not occur there gets a
# share of the frequency of $w$ alone (Witten and Bell 1991). By hand: after *the*, the training text has two tokens, *the* and
# *dog*, and both are different. So $c(v) = 2$ and $T(v) = 2$, and *dog* after *the* has the probability
# (1 + 2 · 2/8) / (2 + 2) = 0.375. Its loss is −ln 0.375 = 0.981.

# %%
bigram = equations.bigram_entropy(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1]), vocab_size=4).item()
print(f"(1 + 2 · 2/8) / (2 + 2) = {(1 + 2 * 2 / 8) / (2 + 2):.3f}; loss {bigram:.3f}")
assert math.isclose(bigram, -math.log(0.375), abs_tol=1e-6)

# %% [markdown]
# **Prediction.** The vocabulary of our language has 33 entries. Compute the first loss. Is the second one higher or lower? And
# near which of the two is the last loss of run B?

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
    axes.text(STEPS, unigram - 0.37, "frequencies alone", ha="right", color="gray")


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
    alt="Left: run A falls far below the loss of frequencies alone, run B ends near it. Right: the loss of next-sentence "
    "prediction stays at ln 2.",
)

# %% [markdown]
# Run B ends near the second line. (Not exactly on it: the loss of a run is measured at the masked tokens alone, a random
# sample of the text.) This suggests an answer: the network of B knows the frequencies of the tokens, and no more. A suspicion
# that comes from a curve should be tested.
#
# **Prediction.** We ask both networks about two masks: *the old [MASK] barks .* and *the old dog barks in the [MASK] .* What
# does the network of B answer, if we are right? And what do you expect of A?

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
# What a network knows gives its loss a **floor**: the lowest loss that is possible with this knowledge. We can compute the
# floors of our language. If only the kinds are known, each token of a kind with $k$ words costs $\ln k$. If the animal and its
# sound are known too, only the adjective and the place cost something.

# %%
words = [tokenizer.id_to_token(index) for index in validation_ids.tolist()]


def floor(*kinds):
    """Return the mean loss if only the words of some kinds cost something: ln k each, if the kind has k words."""
    costs = {word: math.log(len(kind)) for kind in kinds for word in kind}
    return float(np.mean([costs.get(word, 0.0) for word in words]))


kinds_known, all_known = floor(ADJECTIVES, PLACES, SOUNDS.keys(), SOUNDS.values()), floor(ADJECTIVES, PLACES)
show_table(
    ["the network knows", "loss"],
    [["nothing", uniform], ["frequencies", unigram], ["kinds of words", kinds_known], ["animals and their sounds", all_known]],
)
assert all_known < kinds_known < last_a < unigram - 1

# %% [markdown]
# With its loss of 1.3, A has left the second floor and comes near the third. If you train for longer, it leaves this one as
# well: see "Change it" below. In a real language nobody can compute the lower floors. But the second one, the unigram entropy,
# can always be computed. **A loss clearly below it shows that the network uses more than frequencies. A loss that stays near
# it is a reason to suspect that it does not.**
#
# For next-sentence prediction, the first floor is ln 2, and A has not left it (the right figure). This is no fault: to see
# that two segments are about two animals, the network must know the animals first.
#
# ## What has happened inside
#
# Look at B from the beginning. In the warm-up (the first 30 steps) the learning rate rises. At first the network learns. Then
# the steps become too long.

# %%
rows = [
    [int(row[STEP]), row[RATE], row[VALIDATION], validation_loss(curve_a, row[STEP])] for row in curve_b[[0, 1, 2, 3, 5, 9, 29]]
]
show_table(["step", "learning rate of B", "validation loss of B", "validation loss of A"], rows)

# %% [markdown]
# A step of AdamW moves each weight by about the learning rate (lesson 10). The weights of BERT begin with a standard deviation
# of 0.02. One step of B, with the learning rate `0.12`, moves them by six times as much. After some such steps in the same
# direction, the weights are far too large.
#
# What does such a network compute? We compare the vectors that it gives to our two masks. The cosine (lesson 10) of two equal
# directions is 1.


# %%
def vector_at_mask(network, masked_text):
    """Return the vector that the network gives to the mask of a text."""
    ids = tokenizer.encode(masked_text).ids
    with torch.no_grad():
        return network.bert(torch.tensor([ids])).last_hidden_state[0, ids.index(ids_of["[MASK]"])]


def similarity(network):
    """Return the cosine of the vectors of both masks."""
    return torch.cosine_similarity(*(vector_at_mask(network, masked) for masked in TEXTS), dim=0).item()


show_table(["", "cosine of the two masks"], [["run A", similarity(network_a)], ["run B", similarity(network_b)]])
assert similarity(network_b) > 0.9
assert similarity(network_a) < 0.7

# %% [markdown]
# In the network of B, both masks have the same vector, although the sentences and the positions differ. So the head always
# gets the same input, and its output cannot depend on the sentence. It can still learn one number for each token of the
# vocabulary. The best such numbers are the logarithms of the frequencies. This is why the loss ends near the unigram entropy.
#
# Such a network is **collapsed**. The short steps at the end of the run, where the learning rate is nearly zero again, did not
# bring it back.
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
# stories by heart. On new stories it is sure and wrong, and that costs more than equal probabilities: its validation loss ends
# above ln V. It was lowest early in the run. This is **overfitting**. The training loss alone looks like success.
#
# Now you can read four curves:
#
# | validation loss | training loss | what it means |
# |---|---|---|
# | stays near ln V | the same | nothing is learned: learning rate too small, or no gradient |
# | stays near the unigram entropy | the same | frequencies alone: not trained for long, or collapsed |
# | falls from floor to floor | about the same | it learns the language; longer training helps |
# | falls, then rises | falls on | it learns the text by heart: more text, new masks, or stop earlier |
#
# ## On track?
#
# In a real language the lower floors are not known. Then the best comparison is another run with the same settings. But two
# right runs differ as well, by their random numbers. So minibert compares with three runs, which differ in their seeds: a run
# is **on track** if its loss is in the range of the three. The range is made wider on both sides by its own size, and by at
# least 0.05 nats. These are the ranges of `minibert pretrain --preset tiny`:

# %%
stored = json.loads(reference_runs.FILE.read_text(encoding="utf-8"))["tiny"]["bands"]
LOSS = "validation_mlm_loss"
ranges = {step: {LOSS: stored[step][LOSS]} for step in ("100", "300", "1000")}
rows = [[step, *(f"{value:.2f}" for value in losses[LOSS])] for step, losses in ranges.items()]
show_table(["step", "lowest loss", "highest loss"], rows)
print("least margin:", reference_runs.MIN_MARGIN[LOSS])

# %% [markdown]
# **Prediction.** Your run of `tiny` has a validation loss of 6.3 after 300 steps. Is it on track? And one that has still 6.3
# after 1,000 steps? And 5.5 after 1,000 steps, which is much better than all three?

# %% tags=["prediction"]
reference = reference_runs.Reference(settings={}, bands=ranges)
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
# **Change it.** Set `STEPS` to `1500` and run the cells up to the first figure again. This takes about half a minute. (Some
# `assert`s then fail: they are statements about 300 steps.) Which floors does A leave? When does next-sentence prediction
# leave ln 2? Then set `STEPS` back to `300`, and give A the learning rates `0.01`, `0.02` and `0.03`. Which of them are too
# large?
#
# <details><summary>Answer</summary>
#
# A goes on nearly to the last floor: it learns which animal makes which sound. Next-sentence prediction stays at ln 2 for more
# than half of the steps and then falls. By then the network knows the animals.
#
# With `0.01`, A ends about as with `0.005`. With `0.02`, its last loss is much higher, and with `0.03` it collapses. So a good
# learning rate and one that destroys everything may differ by a factor of three. This is one reason for warm-up and clipping
# (lesson 10).
#
# </details>
#
# ## Exercises

# %%
exercise("unigram_entropy")

# %%
exercise("perplexity")

# %%
exercise("draw_pairs")

# %% [markdown]
# ## Seen in well-known code
#
# - **The same masks in every epoch.** Google's BERT writes the masks into its data files, in several copies of the text
#   (`dupe_factor`). RoBERTa draws them again each time (Liu et al. 2019, section 4.1).
# - **One number for two losses.** `BertForPreTraining` of transformers returns only the sum. For BERT's vocabulary of 30,522
#   tokens it starts near ln 30,522 + ln 2 = 11.02. A first loss that is far from this number shows an error before any
#   training.
# - **Spikes.** The loss of PaLM jumped up about 20 times, sometimes late in the training. Its authors went back to an earlier
#   checkpoint and left out some batches (Chowdhery et al. 2022, section 5.1).

# %%
print(f"ln {30_522:,} + ln 2 = {math.log(30_522) + math.log(2):.2f}")

# %% [markdown]
# ## Further reading
#
# - Devlin et al. 2019, *BERT*, section A.2: the settings of the pretraining.
# - Liu et al. 2019, *RoBERTa*: what longer training and more text are worth.
# - Shannon 1951, *Prediction and entropy of printed English*: how well people can predict the next letter.
# - Next: lesson 12, what to do with a pretrained network.
