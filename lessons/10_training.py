# %% [markdown]
# # 10 · AdamW, warm-up and the training loop
#
# Multiply the loss by 1,000. One optimizer fails at once, the other does not notice. Why?
#
# You need lesson 5. At the end you can compute one step of AdamW by hand, say what warm-up, clipping and weight decay are for,
# and read the training loop with which all models of minibert are trained.

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F

from minibert import BertConfig, equations, record
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.model.layers import EncoderLayer
from minibert.training.loop import train

# %% [markdown]
# ## Something surprising
#
# We train one encoder layer (lesson 5) and a linear map behind it. The input is six random vectors, and each output has to be
# the mean of the first four numbers of all six vectors. So the layer has to learn to attend to all of them.
#
# An **optimizer** is the rule that changes the weights. **SGD** (stochastic gradient descent) is the simplest: subtract the
# gradient, multiplied by the **learning rate**. **AdamW** is the rule with which BERT was trained. We train with both, and
# multiply the loss by a factor before the gradients are computed. The factor changes nothing in the task: the best weights are
# the same.

# %%
CONFIG = BertConfig(
    vocab_size=8,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
STEPS = 200


def make_batch(seed, size=64):
    """Return random inputs and their targets."""
    inputs = torch.randn(size, 6, 16, generator=torch.Generator().manual_seed(seed))
    return inputs, inputs[..., :4].mean(dim=1, keepdim=True).expand(-1, 6, -1)


def new_network():
    """Return a layer and the linear map behind it, always with the same weights."""
    torch.manual_seed(0)
    return nn.Sequential(EncoderLayer(CONFIG), nn.Linear(16, 4))


def losses_of(optimizer_class, factor, warmup=0, **options):
    """Train, and return the loss of each step, without the factor."""
    network = new_network()
    optimizer = optimizer_class(network.parameters(), **options)
    learning_rate, losses = options["lr"], []
    for step in range(1, STEPS + 1):
        optimizer.param_groups[0]["lr"] = learning_rate * min(1.0, step / max(1, warmup))
        inputs, targets = make_batch(step)
        loss = F.mse_loss(network(inputs), targets)
        optimizer.zero_grad()
        (factor * loss).backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


FACTORS = [0.001, 1.0, 1000.0]
sgd = [losses_of(torch.optim.SGD, factor, lr=0.5) for factor in FACTORS]
adamw = [losses_of(torch.optim.AdamW, factor, lr=0.03) for factor in FACTORS]
rows = [[f"loss times {factor:g}", a[-1], b[-1]] for factor, a, b in zip(FACTORS, sgd, adamw, strict=True)]
show_table(["", "SGD, last loss", "AdamW, last loss"], rows)
assert not math.isfinite(sgd[2][-1])
assert sgd[0][-1] > 0.3
assert max(losses[-1] for losses in adamw) < 0.005

# %% [markdown]
# With SGD, the training fails if the factor is large (`nan` means "not a number": the weights have become infinite), and does
# not move if it is small. With AdamW, all three trainings are nearly the same.
#
# **Question.** What does AdamW do with the gradient, so that its size does not matter? And if not the gradient, what decides
# how far a step goes?
#
# ## The equation
#
# $$m' = \beta_1 m + (1 - \beta_1) g, \qquad v' = \beta_2 v + (1 - \beta_2) g^2$$
#
# $$\hat m = \frac{m'}{1 - \beta_1^t}, \qquad \hat v = \frac{v'}{1 - \beta_2^t}$$
#
# $$\theta' = \theta - \eta\left(\frac{\hat m}{\sqrt{\hat v} + \varepsilon} + \lambda\theta\right)$$
#
# This is algorithm 2 of Loshchilov and Hutter 2019, without its schedule. Each weight is treated alone. In words:
#
# - $\theta$ is the weight, and $\theta'$ the weight after the step. $g$ is its gradient.
# - $m$ is the **first moment**: a running mean of the gradients. $\beta_1$ is 0.9: the mean keeps nine tenths of its value and
#   takes one tenth of the new gradient.
# - $v$ is the **second moment**: a running mean of the squared gradients, with $\beta_2$ = 0.999.
# - $t$ is the number of the step, from 1. Both means begin with zero, so in the first steps they are too small. $\hat m$ and
#   $\hat v$ are **corrected** for this.
# - $\eta$ is the learning rate. $\varepsilon$ is a tiny number, $10^{-8}$, which prevents a division by zero.
# - $\lambda$ is the **weight decay**: each step makes the weight a little smaller.
#
# The code, line by line:

# %%
show_code(equations.adamw_step)

# %% [markdown]
# **By hand.** The first step, with a gradient of 250. $m'$ = 0.1 · 250 = 25. $v'$ = 0.001 · 250² = 62.5. The corrections:
# $\hat m$ = 25/(1 − 0.9) = 250 and $\hat v$ = 62.5/(1 − 0.999) = 62500. The root of 62500 is 250. So the weight moves by
# $\eta$ · 250/250 = $\eta$ · 1.
#
# **Prediction.** Another weight has the gradient −0.5. How far does it move in the first step, and in which direction?

# %% tags=["prediction"]
parameter, gradient, zeros = torch.tensor([1.0, 1.0]), torch.tensor([250.0, -0.5]), torch.zeros(2)
with record() as recording:
    updated, *_ = equations.adamw_step(parameter, gradient, zeros, zeros, step=1, learning_rate=0.1, weight_decay=0.0)
for name in recording.paths:
    print(f"{name:24}", [round(value, 6) for value in recording[name].tolist()])
assert torch.allclose(updated, torch.tensor([0.9, 1.1]))

# %% [markdown]
# Both weights move by the learning rate, one down and one up. In the first step, the direction is the **sign** of the
# gradient. If a factor multiplies all gradients, $\hat m$ and $\sqrt{\hat v}$ are both multiplied by it, and their quotient
# does not change. This is the answer to the first question.
#
# And the second: the learning rate of AdamW is a length. In one step, a weight moves by about this length, or less. So we can
# compare it with the size of the weights. Those of BERT begin with a standard deviation of 0.02. A step of 0.001 is one
# twentieth of that.

# %%
deviation, step = CONFIG.initializer_range, 0.001
print(f"standard deviation of BERT's first weights: {deviation}; divided by a step of {step}: {deviation / step:.0f}")

# %% [markdown]
# ## Should a small gradient count as much as a large one?
#
# If the size of a gradient does not matter, a weight with a gradient of one millionth moves as far as one with a gradient of
# one. Is this small gradient worth following? Perhaps it is only noise: another batch would give another sign.
#
# We can measure it. At the first weights, we compute the gradients of many batches, and from the first $t$ of them the
# direction $\hat m/\sqrt{\hat v}$ of AdamW. How similar are two such directions, if they come from different batches? The
# **cosine** is 1 for equal directions, and 0 for directions that have nothing in common.


# %%
def gradient_of(seed):
    """Return the gradient of all weights for one batch of 4, as one vector."""
    network = new_network()
    inputs, targets = make_batch(seed, size=4)
    F.mse_loss(network(inputs), targets).backward()
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


def directions(seeds):
    """Return the direction of AdamW after each gradient."""
    moments, results = (torch.tensor(0.0), torch.tensor(0.0)), []
    for step, seed in enumerate(seeds, start=1):
        with record() as recording:
            _, *moments = equations.adamw_step(torch.zeros(()), gradient_of(seed), *moments, step=step, learning_rate=0.0)
        results.append(recording["direction"])
    return results


one, another = directions(range(100, 150)), directions(range(200, 250))
agreement = [F.cosine_similarity(a, b, dim=0).item() for a, b in zip(one, another, strict=True)]
show_table(["gradients seen", "cosine of two directions"], [[count, agreement[count - 1]] for count in (1, 5, 20, 50)])
assert agreement[0] + 0.1 < agreement[19]

# %% [markdown]
# After one gradient, the two directions have little in common: much of the first step is chance, but it has the full length.
# After some gradients, noise has become small, because it cancels in the mean $m$, while its size is still a part of $v$. So
# it is wise to begin with short steps. This is **warm-up**: the learning rate rises from zero over the first steps. BERT's
# schedule rises linearly for $w$ steps, and then falls linearly to zero at step $T$:
#
# $$\eta_t = \min\!\left(\frac{t}{w},\; \frac{T - t + 1}{T - w}\right)$$
#
# Does it matter? We repeat the first training with AdamW and a learning rate that is ten times larger.

# %%
without, with_warmup = (losses_of(torch.optim.AdamW, 1.0, warmup=steps, lr=0.3) for steps in (0, 50))
show_table(["learning rate 0.3", "last loss"], [["without warm-up", without[-1]], ["warm-up of 50 steps", with_warmup[-1]]])
assert without[-1] > 5 * with_warmup[-1]

# %% [markdown]
# The same learning rate works with warm-up, and fails without it: the first long steps, mostly chance, have destroyed the
# layer, and the training never recovers.
#
# The 2017 Transformer has another schedule (Vaswani et al. 2017, equation 3). It falls with the inverse square root of the
# step, and wider models, with a larger $d_{\mathrm{model}}$, get smaller steps:
#
# $$\eta_t = d_{\mathrm{model}}^{-0.5} \cdot \min\!\left(t^{-0.5},\; t \cdot w^{-1.5}\right)$$
#
# **By hand**, for the schedule of BERT with $T$ = 6 and $w$ = 2. Step 1: 1/2 = 0.5. Step 2: 2/2 = 1. Step 3: 4/4 = 1, because
# 6 − 3 + 1 = 4 and 6 − 2 = 4. Step 4: 3/4 = 0.75.

# %%
factors = [equations.warmup_linear_schedule(step, total_steps=6, warmup_steps=2) for step in range(1, 7)]
print(factors)
assert factors[:4] == [0.5, 1.0, 1.0, 0.75]

# %% tags=["hide-input"]


def draw_schedules(axes):
    steps = range(1, 1001)
    linear = [equations.warmup_linear_schedule(step, 1000, 100) for step in steps]
    noam = [equations.noam_schedule(step, 512, 100) for step in steps]
    axes.plot(steps, linear, label="BERT: linear")
    axes.plot(steps, [value / max(noam) for value in noam], label="2017: inverse square root")
    axes.set(title="Warm-up of 100 steps, then decay", xlabel="step", ylabel="learning rate, relative to the largest")
    axes.legend(frameon=False)


def draw_noise(axes):
    axes.plot(range(1, 51), agreement)
    axes.set(title="How much two directions agree", xlabel="gradients seen", ylabel="cosine", ylim=(0, 1))


show_figure(
    draw_noise,
    draw_schedules,
    alt="Left: the agreement rises with the number of gradients. Right: two schedules that rise for 100 steps and then fall.",
)

# %% [markdown]
# ## Weight decay that does not depend on the loss
#
# There are two ways to make weights smaller. The old one adds a term to the loss, so that $\lambda\theta$ is added to the
# gradient. It then goes through $m$ and $v$ like any gradient. AdamW subtracts it from the weight directly: it is
# **decoupled**.
#
# **Prediction.** PyTorch's `Adam` with `weight_decay` is the old way. Does the training still not depend on the factor of the
# loss?

# %% tags=["prediction"]
old, new = (
    [losses_of(kind, factor, lr=0.01, weight_decay=0.01)[-1] for factor in FACTORS]
    for kind in (torch.optim.Adam, torch.optim.AdamW)
)
rows = [[f"loss times {factor:g}", a, b] for factor, a, b in zip(FACTORS, old, new, strict=True)]
show_table(["", "Adam, decay in the gradient", "AdamW"], rows)
assert max(new) < 1.2 * min(new)
assert max(old) > 3 * min(old)

# %% [markdown]
# <details><summary>Explanation</summary>
#
# In the old way, the size of the gradient decides how much the decay counts: if all gradients are small, most of the direction
# is decay, and the network is pulled to zero instead of learning. A weight with small gradients decays more than one with
# large gradients. Decoupled decay is the same for all.
#
# </details>
#
# ## Gradients through one layer
#
# Where does a gradient come from? `record(gradients=True)` shows it at each step of the layer. The gradient is computed from
# the last step to the first; each step multiplies it by its own derivative (lesson 5).

# %%
network = new_network()
inputs, targets = make_batch(1)
with record(network, gradients=True) as recording:
    loss = F.mse_loss(network(inputs), targets)
loss.backward()
steps = [
    path
    for path in recording.paths
    if path.endswith(("query", "scores", "weights", "context", "attention_norm", "activation", "output"))
]
show_table(
    ["step of the layer", "norm of the gradient"], [[path, recording.gradient(path).norm().item()] for path in reversed(steps)]
)

# %% [markdown]
# The gradients of queries and scores are much smaller than those of the outputs: the softmax of nearly equal scores passes on
# only small differences. For SGD, the weights of the queries would need a much larger learning rate than the others. AdamW
# gives each weight its own scale.
#
# A gradient predicts what a small step does. If each weight $\theta_k$ changes by $\Delta_k$, the loss changes by about
# $\sum_k g_k \Delta_k$. We check it with one small step of AdamW:

# %%
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, weight_decay=0.0)
before = [parameter.detach().clone() for parameter in network.parameters()]
gradients = [parameter.grad.clone() for parameter in network.parameters()]
optimizer.step()
moved = [parameter.detach() - old for parameter, old in zip(network.parameters(), before, strict=True)]
predicted = sum((gradient * change).sum() for gradient, change in zip(gradients, moved, strict=True)).item()
measured = (F.mse_loss(network(inputs), targets) - loss).item()
print(f"predicted change of the loss {predicted:.2e}, measured {measured:.2e}")
assert abs(predicted - measured) < 0.05 * abs(measured)

# %% [markdown]
# ## Clipping
#
# Sometimes a batch has a very large gradient. **Clipping** scales all gradients by one factor, so that their joint norm is at
# most $c$ (1 for BERT):
#
# $$g' = g \cdot \min\!\left(1, \frac{c}{\lVert g \rVert}\right), \qquad \lVert g \rVert^2 = \sum_k \lVert g_k \rVert^2$$
#
# **By hand.** Two weights have the gradients 3 and 4. The norm is √(9 + 16) = 5. So both are multiplied by 1/5: 0.6 and 0.8.
# The direction stays the same.

# %%
clipped, norm = equations.clip_by_global_norm([torch.tensor([3.0]), torch.tensor([4.0])])
print(norm.item(), [round(value.item(), 3) for value in clipped])

# %% [markdown]
# For AdamW, one very large gradient would not make the next step too long, but it would stay in $v$ for about a thousand steps
# and make all of them too short.
#
# ## The loop
#
# All of this is one loop. It trains BERT, the 2017 Transformer and every classifier of minibert:

# %%
show_code(train)

# %% [markdown]
# Look for the five lines of every training step: the forward pass (`objective.loss_sums`), the backward pass,
# `clip_gradients`, `optimizer.step`, `schedule.step`. The other lines make sure that several small batches give the gradient
# of one large batch: the loss is divided by the number of targets of the **whole** step.
#
# **Prediction.** A batch is too large for the memory, so it is split into two. The first half has 1 target with a loss of 4,
# the second has 3 targets with a loss of 0 each. Somebody takes the mean of the two mean losses. Is this the mean loss of the
# whole batch?

# %% tags=["prediction"]
whole, of_means = (4.0 + 3 * 0.0) / 4, (4.0 / 1 + 0.0 / 3) / 2
print(f"whole batch {whole}, mean of two means {of_means}")
assert of_means == 2 * whole

# %% [markdown]
# The target in the small half counts three times as much as each of the others. This mistake was in well-known training
# libraries until 2024.
#
# The 2017 Transformer also smooths its labels: the right class gets the target probability $1 - \varepsilon$, and
# $\varepsilon$ is shared by all $K$ classes. It hurts the loss and helps the translations (Vaswani et al. 2017, section 5.4):
#
# $$L = \frac{1}{N} \sum_n \Big[(1 - \varepsilon)\,\ell(z_n, y_n) + \frac{\varepsilon}{K} \sum_{k=1}^{K} \ell(z_n, k)\Big]$$

# %%
logits, labels = torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([0])
rows = [[epsilon, equations.label_smoothing_loss(logits, labels, label_smoothing=epsilon).item()] for epsilon in (0.0, 0.1)]
show_table(["ε", "loss of a network that is sure and right"], rows)

# %% [markdown]
# **Change it.** In the first experiment, set `lr` of AdamW to `0.003`: what is the price of a small learning rate? Then find
# the shortest warm-up with which the learning rate 0.3 works. (An `assert` that fails is a statement of this text that is no
# longer true.)
#
# <details><summary>Answer</summary>
#
# With the small learning rate, the loss after all steps is about ten times as large, for every factor: the training is safe,
# and slow. A warm-up of 20 steps is too short, and one of 50 is enough.
#
# </details>
#
# ## Exercises

# %%
exercise("adamw_step")

# %%
exercise("warmup_linear_schedule")

# %%
exercise("clip_by_global_norm")

# %%
exercise("training_steps")

# %%
exercise("label_smoothing_loss")

# %% [markdown]
# ## Seen in well-known code
#
# - **No bias correction.** Google's BERT leaves it out. The first step is then √10 = 3.16 times as long. This is a convention,
#   and one more reason for its warm-up.
# - **Epsilon.** Google's BERT has `1e-6`, PyTorch `1e-8`. Inside of the root it would be something else again: for tiny
#   gradients, the steps are then much shorter.
# - **`optimizer.zero_grad()` forgotten.** The gradients of all steps add up. The loss still falls for a while.
# - **The order of two lines.** `schedule.step()` before `optimizer.step()` skips the first learning rate. Clipping after
#   `optimizer.step()` clips nothing.
# - **Decay of everything.** BERT's code does not decay biases and the gains of layer normalization.

# %%
uncorrected = equations.adamw_step(
    torch.zeros(1), torch.ones(1), torch.zeros(1), torch.zeros(1), 1, 1.0, bias_correction=False
)[0]
print(f"first step without bias correction: {-uncorrected.item():.2f} times the learning rate")

# %% [markdown]
# ## Further reading
#
# - Kingma and Ba 2015, *Adam: a method for stochastic optimization*.
# - Loshchilov and Hutter 2019, *Decoupled weight decay regularization*.
# - Liu et al. 2020, *On the variance of the adaptive learning rate and beyond*: why the first steps are noisy.
# - Next: lesson 11, pretraining a small BERT.
