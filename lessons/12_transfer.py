# %% [markdown]
# # 12 · Transfer: fine-tuning, frozen features, LoRA, distillation
#
# Fine-tuning teaches a network a task from few examples, and makes it forget what it knew before. Can it learn the one and
# keep the other?
#
# You need lessons 9 and 10. At the end you can choose which parameters of a pretrained network to train, compute LoRA and an
# adapter by hand, and say which of their matrices must not begin with zeros.

# %%
import math
import tempfile
import warnings
from dataclasses import replace

import numpy as np
import torch

import minibert
from minibert import BertConfig, BertForMaskedLM, BertForSequenceClassification, equations
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.model.adapters.lora import LoRALinear, lora_modules, merge
from minibert.text.masking import mask_tokens
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

# %% [markdown]
# ## Something goes wrong
#
# First we pretrain a small BERT on the invented language of lesson 9: *the old dog barks in the garden .* There are eight
# animals with their sounds. The network learns to fill masks, without any labels.

# %%
SOUNDS = {
    "dog": "barks", "cat": "meows", "bird": "sings", "cow": "moos",
    "horse": "neighs", "pig": "grunts", "duck": "quacks", "bee": "hums",
}  # fmt: skip
ADJECTIVES, PLACES = ["old", "young", "big", "small", "black", "white"], ["garden", "house", "field"]
tokenizer = build_tokenizer([*SPECIAL_TOKENS, "the", "in", ".", *ADJECTIVES, *PLACES, *SOUNDS, *SOUNDS.values()])
ids_of = tokenizer.get_vocab()
WIDTH, ANIMAL = 48, 3  # the width of the vectors, and the position of the animal


def sentences(count, seed, share_true=1.0):
    """Return the ids of random sentences, and two labels of each: is it true, and is it about the garden?"""
    generator = np.random.default_rng(seed)
    rows, labels = [], []
    for _ in range(count):
        animal, place = generator.choice(list(SOUNDS)), generator.choice(PLACES)
        is_true = generator.random() < share_true
        sound = SOUNDS[animal] if is_true else generator.choice([SOUNDS[other] for other in SOUNDS if other != animal])
        rows.append(tokenizer.encode(f"the {generator.choice(ADJECTIVES)} {animal} {sound} in the {place} .").ids)
        labels.append([float(is_true), float(place == "garden")])
    return torch.tensor(rows), torch.tensor(labels)


def trained(model, batches, learning_rate, loss_of):
    """Train a network on batches of inputs and labels, and return it."""
    optimizer = minibert.adamw(model, learning_rate)  # leaves out frozen parameters
    schedule = minibert.warmup_linear(optimizer, len(batches))  # lesson 10
    model.train()
    for inputs, labels in batches:
        loss = loss_of(model(inputs).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def masked_batch(seed):
    """Return 64 true sentences with masks, and the labels of masked language modeling."""
    ids, generator = sentences(64, seed)[0].numpy(), np.random.default_rng(seed)
    is_word = ~np.isin(ids, [ids_of["[CLS]"], ids_of["[SEP]"]])
    words = np.arange(len(SPECIAL_TOKENS), len(ids_of))
    return map(torch.from_numpy, mask_tokens(ids, is_word, ids_of["[MASK]"], words, generator.random((*ids.shape, 3))))


torch.manual_seed(0)
config = BertConfig(
    vocab_size=len(ids_of),
    hidden_size=WIDTH,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=96,
    max_position_embeddings=16,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
batches = [masked_batch(1000 + step) for step in range(400)]
pretrained = trained(BertForMaskedLM(config), batches, 3e-3, equations.masked_lm_loss)
FOLDER = tempfile.mkdtemp()
pretrained.save_pretrained(FOLDER)

# %% [markdown]
# Then we want something else: two yes-or-no questions about a sentence. *Is it true*, that is, does the animal make this
# sound? *Is it about the garden?* We have labels for 64 sentences only. Half of them are not true, such as *the old dog meows
# in the garden .*
#
# **Fine-tuning** replaces the head of the network by a new one with one score, and trains everything with the labels: a copy
# of the network for each question. We test with new sentences. Then we put the old head on the fine-tuned network, and ask it
# to fill in masked animals, as before. For comparison, a network with new weights, which was not pretrained, is trained in the
# same way.

# %%
LABELED, NEW = sentences(64, seed=1, share_true=0.5), sentences(400, seed=7, share_true=0.5)


def new_classifier():
    """Load the pretrained network with a new head for one question."""
    torch.manual_seed(0)
    with warnings.catch_warnings(action="ignore"):  # the head is new: this is what we want
        return BertForSequenceClassification.from_pretrained(FOLDER, labels=["yes"])


def classifier_without_pretraining():
    """Return the same network with new weights."""
    torch.manual_seed(0)
    return BertForSequenceClassification(new_classifier().config)


def yes_or_no_loss(logits, labels):
    """Return the mean loss of the answers to one question."""
    return equations.binary_cross_entropy(logits[:, 0], labels).mean()


def filled(encoder):
    """Return the share of masked animals that an encoder, with the old head, finds."""
    ids = sentences(200, seed=99)[0]
    inputs = ids.clone()
    inputs[:, ANIMAL] = ids_of["[MASK]"]
    old, pretrained.bert = pretrained.bert, encoder
    with torch.no_grad():
        predictions = pretrained(inputs).logits[:, ANIMAL].argmax(dim=-1)
    pretrained.bert = old
    return (predictions == ids[:, ANIMAL]).float().mean().item()


def finetuned(new_network, learning_rate):
    """Fine-tune a network for each question. Return a row of the table, and both networks."""
    networks, right = [], []
    for question in (0, 1):
        network, labels = new_network(), LABELED[1][:, question]
        networks.append(trained(network, [(LABELED[0], labels)] * 150, learning_rate, yes_or_no_loss))
        with torch.no_grad():
            answers = network(NEW[0]).logits[:, 0] > 0
        right.append((answers == (NEW[1][:, question] > 0.5)).float().mean().item())
    count = sum(parameter.numel() for parameter in networks[0].parameters() if parameter.requires_grad)
    return [count, *right, sum(filled(network.bert) for network in networks) / 2], networks


HEADER = ["", "trained parameters", "true?", "garden?", "masks filled"]
results = {"pretrained": [0, "", "", filled(pretrained.bert)]}
results["no pretraining"] = [*finetuned(classifier_without_pretraining, 2e-3)[0][:3], ""]
results["full fine-tuning"], _ = finetuned(new_classifier, 2e-3)
show_table(HEADER, [[name, *row] for name, row in results.items()])
assert results["pretrained"][3] > 0.95
assert min(results["full fine-tuning"][1:3]) > 0.8
assert results["no pretraining"][1] < results["full fine-tuning"][1] - 0.1
assert results["full fine-tuning"][3] < 0.6

# %% [markdown]
# The table has the share of right answers to both questions, and the share of masks that are filled correctly. The question
# about the garden is easy: one word decides. For the other one, the pretrained network is much better. What it learned without
# labels, which word goes with which, is of use for a new task: this is **transfer**.
#
# But look at the last column. Before fine-tuning, the network filled every mask. Now it has **forgotten** most of it: the
# gradient of the new task has changed the weights that the old task needs. And we have two large networks, one for each
# question.
#
# **Question.** Can a network learn the task and forget nothing? And how many parameters must we train for it?
#
# ## The loss of yes and no
#
# A question with the answers yes and no needs one score $z$. The probability of yes is $\sigma(z)$, the **sigmoid**. The loss
# is the **binary cross-entropy**:
#
# $$\ell(z, y) = -\,y \log \sigma(z) - (1 - y) \log(1 - \sigma(z)), \qquad
# \frac{\partial \ell}{\partial z} = \sigma(z) - y, \qquad \sigma(z) = \frac{1}{1 + e^{-z}}$$
#
# $y$ is the label: 1 for yes, 0 for no. Only one of the two terms counts. The gradient is the error of the probability.
#
# **By hand.** With $z$ = 0 the probability is 1/2, so the loss is ln 2 = 0.693, for both labels. With $z$ = −3 it is 1/(1 +
# e³) = 0.0474. If the right answer is yes, the loss is −ln 0.0474 = 3.049, and the gradient is 0.0474 − 1 = −0.9526: the score
# must grow.

# %%
scores, yes = torch.tensor([0.0, -3.0], requires_grad=True), torch.ones(2)
losses = equations.binary_cross_entropy(scores, yes)
losses.sum().backward()
for name, values in (("probability", torch.sigmoid(scores)), ("loss", losses), ("gradient", scores.grad)):
    print(f"{name:11}", [round(value, 4) for value in values.tolist()])
show_code(equations.binary_cross_entropy)

# %% [markdown]
# The code computes $\log(1 - \sigma(z))$ as $\log \sigma(-z)$. Both are the same, but the first becomes the logarithm of zero
# if $z$ is large.
#
# ## Frozen features
#
# The simplest way not to forget is not to change. The encoder is **frozen**: its weights get no gradient. Only what is new is
# trained: the head, and the linear map before it, which makes the vector of `[CLS]` ready for the head (the **pooler**). The
# vectors of the encoder are fixed **features** of the sentence.
#
# **By hand.** The pooler has a matrix of 48 · 48 and 48 biases: 2,352 parameters. The head has 48 weights and one bias: 49.
# Together 2,401.
#
# **Prediction.** Is this as good as full fine-tuning? Remember what the vector of `[CLS]` was trained for in this network.

# %% tags=["prediction"]
print(f"{WIDTH * WIDTH + WIDTH:,} + {WIDTH + 1} = {WIDTH * WIDTH + WIDTH + WIDTH + 1:,}")


def frozen_network():
    """Load the pretrained network, and freeze its encoder."""
    network = new_classifier()
    minibert.Transfer(network, minibert.TransferConfig(freeze="encoder"))
    return network


results["frozen features"], _ = finetuned(frozen_network, 1e-2)
show_table(HEADER, [[name, *row] for name, row in results.items()])
assert results["frozen features"][0] == 2401
assert results["frozen features"][3] == results["pretrained"][3]
assert results["frozen features"][2] < 0.75

# %% [markdown]
# It forgets nothing, and one question is answered well. But the easy question about the garden is not: always no would be
# right in two of three cases. `[CLS]` is never masked, so no loss has trained its vector, and it hardly contains the place.
# With frozen features, the head can use only what is in the vector by chance.
#
# ## LoRA
#
# So the encoder has to change a little. **LoRA** (low-rank adaptation) leaves each matrix $W_0$ as it is and adds a second
# path beside it:
#
# $$h = W_0 x + s\,B A x$$
#
# This is equation 3 of Hu et al. 2021. In words: $x$ is the input and $h$ the output of a linear map. $W_0$ is frozen. $A$
# makes a few numbers from $x$, and $B$ makes a vector of the full width from these. How few is the **rank** $r$: $A$ has $r$
# rows, and $B$ has $r$ columns. $s$ is a fixed factor. Only $A$ and $B$ are trained. (In the code each token is a row, so the
# matrices are transposed and the order is reversed.)

# %%
show_code(equations.lora)

# %% [markdown]
# **By hand.** $W_0$ is the identity, $x$ = (1, 2), $A$ is one row (1, 1), $B$ is one column (10, 0), and $s$ = 2. Then $Ax$ =
# 1 + 2 = 3. $B$ makes (30, 0) of it. Times 2, this is (60, 0). With $W_0 x$ = (1, 2) the result is (61, 2).

# %%
x, a, b = torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 1.0]]), torch.tensor([[10.0], [0.0]])
print("Ax", (a @ x).tolist(), "BAx", (b @ a @ x).tolist(), "sBAx", (2 * b @ a @ x).tolist())
print("h", equations.lora(x, torch.nn.Identity(), a, b, scale=2.0).tolist())

# %% [markdown]
# How many parameters are trained? A matrix of 48 · 48 has 2,304. With rank 4, $A$ and $B$ have 4 · 48 each, together 384. LoRA
# is added to the matrices of queries and values, in two layers: four times 384 is 1,536. With pooler and head, this makes
# 3,937.
#
# **Prediction.** Four matrices get 4 rows and 4 columns of new parameters. Where will LoRA be in the table: near the frozen
# features, or near full fine-tuning?

# %% tags=["prediction"]
RANK, ALPHA = 4, 8


def network_with_lora():
    """Load the pretrained network, and add LoRA to its queries and values."""
    network = new_classifier()
    minibert.LoRA(rank=RANK, alpha=ALPHA, targets=["query", "value"]).apply(network)
    return network


print(f"{WIDTH * WIDTH:,} or {2 * RANK * WIDTH}; {4 * 2 * RANK * WIDTH:,} in four matrices")
results["LoRA"], (with_lora, _) = finetuned(network_with_lora, 1e-2)
for module in lora_modules(with_lora).values():
    module.scale = 0.0  # switch LoRA off
results["LoRA, switched off"] = [0, "", "", filled(with_lora.bert)]
for module in lora_modules(with_lora).values():
    module.scale = equations.lora_scale(ALPHA, RANK)
show_table(HEADER, [[name, *row] for name, row in results.items()])
assert results["LoRA"][0] == 3937
assert min(results["LoRA"][1:3]) > 0.75
assert results["LoRA"][3] < 0.95
assert results["LoRA, switched off"][3] == results["pretrained"][3]

# %% [markdown]
# LoRA is as good as full fine-tuning here, with less than a tenth of the parameters. While it is switched on, it disturbs the
# old task, too. But $W_0$ has not changed at all: switched off, the old network is back. So one large network serves both
# questions, and each question is a small file with LoRA, pooler and head.

# %% tags=["hide-input"]


def draw_results(axes):
    names = ["full fine-tuning", "frozen features", "LoRA"]
    places = np.arange(len(names))
    for shift, column, label in ((-0.2, 1, "true?"), (0.2, 2, "garden?")):
        axes.barh(places + shift, [results[name][column] for name in names], height=0.36, label=label)
    axes.set(title="64 labeled sentences", xlabel="share of right answers", xlim=(0, 1.5), yticks=places)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticklabels(names)
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="center right")


show_figure(
    draw_results,
    alt="Right answers of three ways to train. Frozen features are worse than the others in the question about the garden.",
)

# %% [markdown]
# ## Zeros
#
# At the start, LoRA should change nothing: the network should begin as the pretrained one. So $BA$ must be zero. There are
# three ways: $A$ is zero, $B$ is zero, or both are. Let us try all of them on one linear map that has to learn an update of
# rank one.

# %%
torch.manual_seed(0)
linear = torch.nn.Linear(8, 8, bias=False)
inputs = torch.randn(64, 8)
targets = linear(inputs).detach() + inputs @ torch.randn(8, 1) @ torch.randn(1, 8)


def lora_losses(deviation_a, deviation_b, steps=100):
    """Train LoRA of rank 2 from random matrices. Return the norms of both gradients in the first step, and the losses."""
    generator = torch.Generator().manual_seed(1)
    a = torch.nn.Parameter(deviation_a * torch.randn(2, 8, generator=generator))
    b = torch.nn.Parameter(deviation_b * torch.randn(8, 2, generator=generator))
    optimizer, losses = torch.optim.AdamW([a, b], lr=0.05, weight_decay=0.0), []
    for step in range(steps):
        loss = (equations.lora(inputs, linear, a, b) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            norms = [a.grad.norm().item(), b.grad.norm().item()]
        optimizer.step()
        losses.append(loss.item())
    return norms, losses


# %% [markdown]
# **Prediction.** Which of the three learns? The gradients are, for one input $x$ and the gradient $g$ of the loss for the
# output $h$:
#
# $$\frac{\partial L}{\partial B} = s\,g\,(A x)^\top, \qquad \frac{\partial L}{\partial A} = s\,B^\top g\,x^\top$$

# %% tags=["prediction"]
starts = {
    "B is zero": lora_losses(0.35, 0.0),
    "A is zero": lora_losses(0.0, 0.35),
    "both are zero": lora_losses(0.0, 0.0),
}
rows = [[name, *norms, losses[0], losses[-1]] for name, (norms, losses) in starts.items()]
show_table(["", "gradient of A", "gradient of B", "first loss", "last loss"], rows)
assert rows[2][1:3] == [0.0, 0.0]
assert rows[2][3] == rows[2][4]
assert max(rows[0][4], rows[1][4]) < 0.1 * rows[0][3]

# %% tags=["hide-input"]


def draw_starts(axes):
    for (name, (_, losses)), style in zip(starts.items(), ("-", "--", "-"), strict=True):
        axes.plot(losses, style, label=name)
    axes.set(title="LoRA from three starts", xlabel="step", ylabel="mean squared error", ylim=(0, None))
    axes.legend(frameon=False, loc="center right")


show_figure(
    draw_starts, alt="The loss falls if one of the two matrices begins with random numbers, and never moves if both are zero."
)

# %% [markdown]
# Each gradient has the other matrix as a factor. If both are zero, both gradients are zero, at every step. The loss never
# moves, and there is no error message. If one matrix is random, the other one has a gradient. After its first step it is no
# longer zero, and both learn. In the paper, and in most code, $A$ is random and $B$ is zero:

# %%
show_code(LoRALinear.initialize_update)

# %% [markdown]
# ## The factor
#
# $$s = \frac{\alpha}{r}$$
#
# $\alpha$ is a number that you choose once, and $r$ is the rank. Why divide by the rank? Look at the first step of AdamW with
# $B$ = 0. Each entry of $B$ moves by the learning rate, whatever the size of its gradient (lesson 10). Then $BAx$ is a sum of
# $r$ terms of about the same size, all with the sign that lowers the loss.
#
# **Prediction.** The rank grows from 4 to 16. How much further does the output move in the first step, without the factor? And
# with it?

# %% tags=["prediction"]


def first_move(rank, scale):
    """Return how far one step of AdamW moves the output of LoRA, for one input."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.nn.Linear(512, 512, bias=False)
    x, target = (torch.randn(1, 512, generator=generator) for _ in range(2))
    a = torch.randn(rank, 512, generator=generator) / math.sqrt(512)
    b = torch.zeros(512, rank, requires_grad=True)
    before = equations.lora(x, wide, a, b, scale)
    (before - target).square().mean().backward()
    torch.optim.AdamW([b], lr=0.01, weight_decay=0.0).step()
    return (equations.lora(x, wide, a, b, scale) - before).norm().item()


rows = [
    [rank, first_move(rank, 1.0), first_move(rank, equations.lora_scale(ALPHA, rank)), equations.lora_scale(ALPHA, rank)]
    for rank in (4, 16, 64)
]
show_table(["rank", "move without a factor", f"move with α/r, α = {ALPHA}", "α/r"], rows)
assert rows[2][1] > 10 * rows[0][1]
assert max(row[2] for row in rows) < 2 * min(row[2] for row in rows)
show_code(equations.lora_scale, folded=False)

# %% [markdown]
# Without the factor, the move grows with the rank, and a learning rate that is right for rank 4 is too large for rank 64. With
# $\alpha/r$ it stays about the same. Over many steps the terms agree less. For large ranks, Kalajdzievski 2023 divides by
# $\sqrt r$ instead (`rank_stabilized`).
#
# **Change it.** In the last cell, use `equations.lora_scale(ALPHA, rank, rank_stabilized=True)`. What happens to the first
# move? Then set `RANK` to `1` and to `16`. How many parameters are trained, and how good are the answers? (The `assert` about
# 3,937 then fails, as it should.)
#
# <details><summary>Answer</summary>
#
# With √r, the first move still grows: four times the rank gives about twice the move. Rank 1 trains `2785` parameters and rank
# 16 trains `8545`. With all three ranks, both questions are answered well. Hu et al. found the same for much larger networks:
# a small rank is often enough.
#
# </details>
#
# ## Merged
#
# In use, the second path costs time. But $BA$ is a matrix of the same shape as $W_0$, and both are multiplied with the same
# $x$. So they can be added once, after the training:
#
# $$W = W_0 + s\,B A$$

# %%
show_code(equations.lora_merged_weight)
with torch.no_grad():
    with_path = with_lora(NEW[0]).logits
    merge(with_lora)
    difference = (with_lora(NEW[0]).logits - with_path).abs().max().item()
print("largest difference is below 0.0001:", difference < 1e-4)
assert difference < 1e-4

# %% [markdown]
# The merged network is an ordinary BERT. Its outputs differ only by rounding.
#
# An older idea cannot be merged. A **bottleneck adapter** (Houlsby et al. 2019) is a small network with two layers. It stands
# after attention, and after the feed-forward network, of each frozen layer:
#
# $$y = x + f(x W_{\mathrm{down}} + b_{\mathrm{down}})\,W_{\mathrm{up}} + b_{\mathrm{up}}$$
#
# $W_{\mathrm{down}}$ makes a few numbers from $x$, $f$ is an activation function such as GELU, and $W_{\mathrm{up}}$ goes back
# to the full width. The input $x$ is added.

# %%
show_code(equations.bottleneck_adapter)

# %% [markdown]
# **By hand.** $x$ = (1, 2), both weights down are 1, both weights up are 10, and $f$ is the ReLU. Then $f(1 + 2)$ = 3, and $y$
# = (1 + 30, 2 + 30) = (31, 32).
#
# **Prediction.** What is $y$ if $W_{\mathrm{up}}$ and $b_{\mathrm{up}}$ are zero? And why can this adapter not be added to a
# matrix?

# %% tags=["prediction"]
ones, zero = torch.ones(2, 1), torch.zeros(1)
print(equations.bottleneck_adapter(x, ones, zero, 10 * ones.mT, torch.zeros(2), activation=torch.relu).tolist())
print(equations.bottleneck_adapter(x, ones, zero, 0 * ones.mT, torch.zeros(2), activation=torch.relu).tolist())

# %% [markdown]
# <details><summary>Explanation</summary>
#
# With zeros, $y = x$: the adapter does nothing, as it should at the start. Because of $f$ it is not a linear map, so no matrix
# does the same. Without $f$ it would be LoRA on the identity.
#
# </details>
#
# ## A small network learns from a large one
#
# A trained network can teach. For a masked word it does not name one answer, it gives a probability to each. *The old dog
# barks in the* [MASK]: garden, house and field are equally good, and the label names only one of them. **Distillation** (Hinton
# et al. 2015) trains a student with the teacher's probabilities in place of labels. Both are computed with a temperature $T$,
# which divides the scores:
#
# $$\ell(z, t) = T^2 \sum_k p_k \log\frac{p_k}{q_k}, \qquad p = \mathrm{softmax}(t / T), \quad q = \mathrm{softmax}(z / T)$$
#
# Here $t$ are the scores of the teacher and $z$ those of the student.

# %%
show_code(equations.soft_target_loss, folded=False)

# %% [markdown]
# **By hand.** The teacher has the scores 0 and ln 3, so with $T = 1$ its probabilities are 1/4 and 3/4. The student has the
# scores 0 and 0, so it takes both for equally likely. The loss is $\frac14 \ln\frac12 + \frac34 \ln\frac32$.

# %%
print(f"{math.log(1 / 2) / 4 + 3 * math.log(3 / 2) / 4:.4f}")
scores = torch.tensor([0.0, math.log(3)])
print(f"{equations.soft_target_loss(torch.zeros(2), scores, temperature=1.0):.4f}")

# %% [markdown]
# Now the network from the beginning of this lesson teaches a student with one layer. Both students below see the same few
# sentences with the same masks. One gets the labels of the masked words. The other one gets the teacher's probabilities, at
# every position.
#
# **Prediction.** Which student finds more masked animals in new sentences? Is the difference small or large?

# %% tags=["prediction"]
texts = [[tensor.clone() for tensor in masked_batch(1000 + number)] for number in range(2)]
with torch.no_grad():
    answers = [(ids, pretrained(ids).logits) for ids, _ in texts]


def student(lessons, loss_of):
    """Train a network with one layer and new weights on these texts, for 150 steps."""
    torch.manual_seed(1)
    return trained(BertForMaskedLM(replace(config, num_hidden_layers=1)), 75 * lessons, 3e-3, loss_of)


unseen = sentences(200, seed=7)[0]
with_gap = unseen.clone()
with_gap[:, ANIMAL] = ids_of["[MASK]"]
rows = []
for name, network in {
    "teacher, two layers": pretrained,
    "student with labels": student(texts, equations.masked_lm_loss),
    "student of the teacher": student(answers, lambda z, t: equations.soft_target_loss(z, t, temperature=2.0).mean()),
}.items():
    with torch.no_grad():
        found = network(with_gap).logits[:, ANIMAL].argmax(dim=-1)
    rows.append([name, (found == unseen[:, ANIMAL]).double().mean().item()])
show_table(["network", "masked animals that are found"], rows)
assert rows[2][1] > 0.9
assert rows[1][1] < 0.6

# %% [markdown]
# <details><summary>Explanation</summary>
#
# From the labels of so few sentences, the student learns them by heart. The teacher knows more than these sentences say, and
# its probabilities tell the student about every word of every sentence: which words are likely here, and how likely.
#
# </details>
#
# DistilBERT (Sanh et al. 2019) is made like this, from BERT. Two more losses are added: that of masked language modeling, and
# one minus the cosine of the last vectors of student and teacher (`equations.cosine_loss`). The student begins with every other
# layer of its teacher. `minibert distill` does the same with your own checkpoint.

# %%
show_code(equations.cosine_loss, folded=False)
print(equations.cosine_loss(torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0])).item())

# %% [markdown]
# The second vector is twice the first one, so that the directions are the same.
#
# ## Exercises

# %%
exercise("binary_cross_entropy")

# %%
exercise("lora")

# %%
exercise("lora_initialization")

# %%
exercise("lora_merged_weight")

# %%
exercise("bottleneck_adapter")

# %% [markdown]
# ## Seen in well-known code
#
# - **Merged by a change of mode.** The authors' code (loralib) merges in `eval()` and takes the update out again in `train()`.
#   Weights that are saved after `eval()` contain the update. Code that adds it again computes another network.
# - **Sigmoid twice.** `BCEWithLogitsLoss` expects scores. If it gets probabilities, no probability of yes can come below 1/2.
# - **Frozen, but not constant.** In PyTorch, `requires_grad = False` does not switch off dropout. In training mode, the frozen
#   features change in every step.
# - **Different defaults.** In peft, α is 8 by default; in minibert it is 16. The same files of weights with another α are
#   another network.
#
# ## Further reading
#
# - Devlin et al. 2019, *BERT*, section 4: fine-tuning; section 5.3: frozen features.
# - Hinton et al. 2015, *Distilling the knowledge in a neural network*, section 2.
# - Houlsby et al. 2019, *Parameter-efficient transfer learning for NLP*.
# - Hu et al. 2021, *LoRA*, sections 4 and 7.
# - Kalajdzievski 2023, *A rank stabilization scaling factor for fine-tuning with LoRA*.
# - McCloskey and Cohen 1989, *Catastrophic interference in connectionist networks*: forgetting.
# - Sanh et al. 2019, *DistilBERT, a distilled version of BERT*.
# - Next: lesson 13, tagging and question answering.
