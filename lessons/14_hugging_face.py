# %% [markdown]
# # 14 · The same numbers as Hugging Face
#
# Five copies of a network are loaded without an error, and four of them answer every question correctly. Which of them are
# right?
#
# You need lessons 2, 5 and 9. At the end you can compare two networks stage by stage, distinguish rounding from a mistake, and
# name the cause of a difference from its size and its place.

# %%
import copy
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from minibert import BertConfig, BertForMaskedLM, equations, load
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.classroom.mistakes import variant
from minibert.model import read_checkpoint
from minibert.study.verify.comparison import compare, difference
from minibert.study.verify.diagnosis import Names
from minibert.study.verify.report import verdict_lines
from minibert.study.verify.stages import minibert_stages, transformers_stages
from minibert.text.masking import mask_tokens
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

# %% [markdown]
# ## Something goes wrong
#
# Trained weights are shared as files, called a **checkpoint**. They are worth nothing without code that computes the same
# network. We first need a trained network. As in lesson 9, it is a small BERT, trained with masked language modeling on
# sentences such as *the old dog barks in the garden .* Each animal makes its own sound.

# %%
SOUNDS = {
    "dog": "barks", "cat": "meows", "bird": "sings", "cow": "moos",
    "horse": "neighs", "pig": "grunts", "duck": "quacks", "bee": "hums",
}  # fmt: skip
ADJECTIVES, PLACES = ["old", "young", "big", "small", "black", "white"], ["garden", "house", "field"]
tokenizer = build_tokenizer([*SPECIAL_TOKENS, "the", "in", ".", *ADJECTIVES, *PLACES, *SOUNDS, *SOUNDS.values()])
ids_of = tokenizer.get_vocab()
MASK = ids_of["[MASK]"]
ANIMAL, SOUND = 3, 4  # positions in "[CLS] the old dog barks in the garden . [SEP]"


def sentences(count, generator):
    """Return the token ids of random sentences."""
    draw = generator.choice
    animals = draw(list(SOUNDS), count)
    texts = [f"the {draw(ADJECTIVES)} {animal} {SOUNDS[animal]} in the {draw(PLACES)} ." for animal in animals]
    return np.array([tokenizer.encode(text).ids for text in texts])


def trained_network(steps, seed=0):
    """Train a small BERT as in lesson 9."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
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
    candidates = np.arange(len(SPECIAL_TOKENS), len(ids_of))
    for _ in range(steps):
        ids = sentences(64, generator)
        maskable = ~np.isin(ids, [ids_of["[CLS]"], ids_of["[SEP]"]])
        inputs, labels = mask_tokens(ids, maskable, MASK, candidates, generator.random((*ids.shape, 3)))
        loss = model(torch.from_numpy(inputs), labels=torch.from_numpy(labels)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warmup.step()
    return model.eval()


directory = tempfile.TemporaryDirectory()  # it is deleted when the lesson ends
folder = Path(directory.name)
trained_network(steps=300).save_pretrained(folder)
print("files of the checkpoint:", sorted(file.name for file in folder.iterdir()))

# %% [markdown]
# The checkpoint has two files: the sizes of the network (`config.json`), and all its weights (`model.safetensors`).
#
# The next cell loads it six times: once correctly, which we call the **original**, and five more times, each time in another
# way. On the page this cell is folded. Do not open it yet.

# %% tags=["hide-input"]


def adjusted(**changes):
    """Return a function that loads the checkpoint with other settings."""
    return lambda dtype: read_checkpoint(folder).load(adjust=lambda config: replace(config, **changes), dtype=dtype)


def loaded_by_shape(dtype):
    """Load a file that stores matrices as (in, out), like TensorFlow. Transpose each matrix that has the wrong shape."""
    model = load(folder, dtype=dtype)
    stored = {name: tensor.T if is_matrix(model, name) else tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        parameter.data = (stored[name].T if stored[name].shape != parameter.shape else stored[name]).contiguous()
    return model


def is_matrix(model, name):
    """Return True for the matrix of a linear layer."""
    return name.endswith("weight") and isinstance(model.get_submodule(name.removesuffix(".weight")), torch.nn.Linear)


COPIES = {
    "A": lambda dtype: load(folder, attention="fused", dtype=dtype),
    "B": adjusted(layer_norm_eps=1e-8),
    "C": adjusted(hidden_act="gelu_new"),
    "D": lambda dtype: load(folder, attention=variant("no scale"), dtype=dtype),
    "E": loaded_by_shape,
}

# %% [markdown]
# None of these gives an error or a warning. So we test them. In 200 new sentences we mask the animal, then its sound, and
# count the correct predictions. We also look at the **logits**, the scores before the softmax, and take the largest absolute
# difference between a copy and the original. (`2e-06` is short for $2 \cdot 10^{-6}$.)


# %%
def load_all(dtype):
    """Return the original and the five copies."""
    return load(folder, attention="explicit", dtype=dtype), {name: make(dtype) for name, make in COPIES.items()}


def accuracy(model):
    """Return the share of correct predictions of masked animals and masked sounds."""
    ids = sentences(200, np.random.default_rng(99))
    shares = []
    for position in (ANIMAL, SOUND):
        inputs = ids.copy()
        inputs[:, position] = MASK
        with torch.no_grad():
            predictions = model(torch.from_numpy(inputs)).logits[:, position].argmax(dim=-1).numpy()
        shares.append((predictions == ids[:, position]).mean())
    return float(np.mean(shares))


def logit_difference(one, other):
    """Return the largest absolute difference between the logits of two networks."""
    with torch.no_grad():
        return (one(**inputs).logits - other(**inputs).logits).abs().max().item()


ids = torch.from_numpy(sentences(8, np.random.default_rng(5)))
ids[:, ANIMAL] = MASK
inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

original, copies = load_all(torch.float32)
accuracies = {name: accuracy(model) for name, model in copies.items()}
differences = {name: logit_difference(original, model) for name, model in copies.items()}
rows = [[f"copy {name}", accuracies[name], f"{differences[name]:.0e}"] for name in COPIES]
show_table(["", "correct predictions", "largest difference of logits"], [["original", accuracy(original), "0"], *rows])
assert min(accuracies[name] for name in "ABCD") > 0.97
assert accuracies["E"] < 0.4
assert differences["A"] < 2e-5
assert differences["B"] < 2e-5
assert 1e-4 < differences["C"] < 1e-2
assert differences["D"] > 0.5

# %% [markdown]
# E is broken. A, B, C and D give the right answers. But their logits are not those of the original: in D they differ by more
# than a whole unit, and nobody would see it in the accuracy.
#
# Does this matter, if the answers are right? The test is easy. On harder examples, or after more training, a wrong step may
# make predictions wrong. The network then looks a little worse than it is, and nobody knows why.
#
# **Question.** Only one of the five copies has no mistake. Which one? And what is wrong in the other four, in which line?
#
# ## What rounding does
#
# Two programs rarely compute exactly the same digits. So we first need to know which difference is allowed. A computer stores
# a number with a fixed number of digits and rounds after every operation:
#
# $$\mathrm{fl}(x \circ y) = (x \circ y)\,(1 + \delta), \qquad |\delta| \le u$$
#
# In words: $\circ$ is an addition, a subtraction, a multiplication or a division. $\mathrm{fl}(\dots)$ is the result that the
# computer stores. It differs from the true result by a relative error $\delta$ (delta), whose size is at most $u$, the **unit
# roundoff**. This is the standard model of Higham 2002, section 2.2. In single precision, `torch.float32`, $u = 2^{-24}$,
# about 6e-8. In double precision, `torch.float64`, $u = 2^{-53}$, about 1e-16.
#
# So the **order** of operations matters. **By hand.** Add 100000000, −100000000 and 1.
#
# - From the left: (100000000 − 100000000) + 1 = 0 + 1 = 1.
# - From the right: 100000000 + (−100000000 + 1). The true value in the bracket is −99999999. It has eight digits, and needs 27
#   binary ones. Single precision has 24, so it is rounded to −100000000. The result is 0.

# %%
big, one = torch.tensor(100000000.0), torch.tensor(1.0)
print("from the left: ", ((big - big) + one).item())
print("from the right:", (big + (-big + one)).item())
print("in float64:    ", (big.double() + (-big.double() + one)).item())
print("binary digits of 99999999:", (99999999).bit_length())
assert (big + (-big + one)).item() == 0

# %% [markdown]
# Two correct programs add numbers in different orders: another library, another number of threads, a faster formula. Their
# results differ by rounding, and none of them is the only right one.
#
# So differences of about 1e-6 in float32 are normal. It is tempting to say: up to 1e-5 is rounding, more is a mistake.
#
# **Prediction.** We repeat everything in float64. Which differences become smaller? Decide for each of the copies A, B, C, D.

# %% tags=["prediction"]
exact, exact_copies = load_all(torch.float64)
exact_differences = {name: logit_difference(exact, model) for name, model in exact_copies.items()}
rows = [[f"copy {name}", f"{differences[name]:.0e}", f"{exact_differences[name]:.0e}"] for name in COPIES]
show_table(["largest difference of logits", "float32", "float64"], rows)
assert exact_differences["A"] < 1e-12
assert exact_differences["B"] > 1e-7
assert abs(exact_differences["D"] / differences["D"] - 1) < 0.01

# %% [markdown]
# Only A has become smaller, by several hundred million times. Its difference comes from $u$, and $u$ has become smaller by
# $2^{29}$, which is 536,870,912. The differences of B, C, D and E have hardly changed. They do not come from rounding. They
# come from another formula, and this one is different in any precision.
#
# So A is the copy without a mistake. B has one, although in float32 its difference was about as small as that of A. **The size
# alone does not distinguish a mistake from rounding. The change from float32 to float64 does.**

# %%
print(f"{2**29:,}")
assert 2**-24 / 2**-53 == 2**29

# %% [markdown]
# ## The first stage that differs
#
# Now we know that something is wrong in B, C, D and E. To find where, we do not search in the code. We compare every number in
# between.
#
# Each step of the network has a name, and `record` collects them (lesson 2). `compare` goes through the steps in the order of
# computation. Everything after a wrong step is wrong too, so only the **first** different stage matters. This function
# measures the difference of one stage:

# %%
show_code(difference)

# %% [markdown]
# It returns three numbers: the largest absolute difference; the relative difference, which is the first one divided by the
# largest value of the stage, but never by less than 1; and the **cosine**, which is 1 if two tensors point in the same
# direction. We use the second one.


# %%
def compared(name, original, copies):
    """Compare a copy with the original, stage by stage."""
    model = copies[name]
    names = Names("the original", f"copy {name}")
    return compare(minibert_stages(original, inputs), minibert_stages(model, inputs), inputs, model, names)


comparisons = {name: compared(name, original, copies) for name in COPIES}
exact_comparisons = {name: compared(name, exact, exact_copies) for name in COPIES}

# %% tags=["hide-input"]
SHOWN = [stage.name for stage in exact_comparisons["C"].stages]
PARTS = {"embeddings": "embeddings", "layers.0": "layer 0", "layers.1": "layer 1", "mlm": "head"}


def chart_of(comparisons, title):
    """Return a function that draws the difference of each stage."""

    def draw(axes):
        for name, marker in zip("ABCDE", "os^Dv", strict=True):
            stages = [stage for stage in comparisons[name].stages if stage.relative > 0]
            places = [SHOWN.index(stage.name) for stage in stages]
            axes.plot(places, [stage.relative for stage in stages], marker=marker, markersize=3, linewidth=1, label=name)
        axes.set(title=title, xlabel="stage, in the order of computation", ylabel="relative difference", yscale="log")
        axes.set(ylim=(1e-17, 1e3), xlim=(-1, len(SHOWN)))
        starts = [next(n for n, stage in enumerate(SHOWN) if stage.startswith(part)) for part in PARTS]
        for start in starts[1:]:
            axes.axvline(start - 0.5, color="gray", linewidth=0.5)
        centers = [(start + end - 1) / 2 for start, end in pairwise([*starts, len(SHOWN)])]
        axes.set_xticks(centers, PARTS.values(), fontsize="small")
        axes.tick_params(axis="x", length=0)
        axes.legend(frameon=False, ncols=5, loc="upper center", fontsize="small", handletextpad=0.3, columnspacing=1)

    return draw


show_figure(
    chart_of(comparisons, "float32"),
    chart_of(exact_comparisons, "float64"),
    alt="In float32, the lines of A and B are both near 1e-6. In float64, A falls to 1e-15, and B, C, D and E stay where "
    "they are. Each line begins at another stage: B in the embeddings, C in the feed-forward network, D and E in attention.",
)

# %% [markdown]
# A line begins at the first stage with a difference that is not zero. In float64 the picture is clear: A lies at 1e-15, which
# is rounding, and each of the other lines begins somewhere else. (Stages with a difference of exactly zero cannot be drawn on
# a logarithmic axis.)

# %%
rows = []
for name in "BCDE":
    first = exact_comparisons[name].first_difference
    rows.append([f"copy {name}", first.name, f"{first.relative:.0e}"])
show_table(["", "first stage that differs", "relative difference"], rows)
assert [row[1] for row in rows] == [
    "embeddings.output",
    "layers.0.activation",
    "layers.0.attention.scores",
    "layers.0.attention.query",
]

# %% [markdown]
# ## Naming the cause
#
# The place shows which line to look at. The pattern of the difference shows what is wrong in it. The method is always the
# same: take the **input** of the wrong step from the original, repeat the step with the mistake that you suspect, and look if
# you get the numbers of the copy.
#
# ### D: the scores of attention
#
# The queries and keys agree and the scores do not. If we divide the scores of the original by those of D, we get the same
# number everywhere. So D has forgotten a factor.

# %%
steps, steps_of = minibert_stages(exact, inputs), {name: minibert_stages(model, inputs) for name, model in exact_copies.items()}
scores = "layers.0.attention.scores"
ratios = steps[scores] / steps_of["D"][scores]
width = steps["layers.0.attention.query"].shape[-1]
print(f"ratios from {ratios.min():.4f} to {ratios.max():.4f}; 1 / √{width} = {width**-0.5:.4f}")
assert ratios.std() < 1e-6

# %% [markdown]
# The width of a head is 48/4 = 12, and the factor is 1/√12: the division by √d_k of lesson 2 is missing.
#
# ### C: the activation
#
# The input of the activation agrees, its output differs a little. There are two functions with the name GELU (lesson 5): the
# exact one uses the error function, erf, and an old approximation of it uses tanh.
#
# $$\mathrm{GELU}(x) = \frac{x}{2}\left(1 + \mathrm{erf}(x / \sqrt 2)\right)
# \approx \frac{x}{2}\left(1 + \tanh\!\left[\sqrt{2/\pi}\,(x + 0.044715\,x^3)\right]\right)$$
#
# $x$ is one number of the hidden layer of the feed-forward network. erf is a curve from −1 to 1 that belongs to the normal
# distribution. tanh is a similar curve that was faster to compute. Which of the two functions does C use?

# %%
before, after = steps["layers.0.intermediate"], steps_of["C"]["layers.0.activation"]
rows = [[f.__name__, f"{(f(before) - after).abs().max().item():.0e}"] for f in (equations.gelu, equations.gelu_tanh)]
show_table(["function", "largest difference from copy C"], rows)
assert torch.allclose(equations.gelu_tanh(before), after, rtol=0, atol=1e-12)
assert not torch.allclose(equations.gelu(before), after, rtol=0, atol=1e-5)

# %% [markdown]
# Hugging Face calls the exact function `"gelu"` and the approximation `"gelu_new"`. Google's BERT repository calls its
# approximation `gelu`. It is easy to take the wrong one.
#
# ### B: layer normalization
#
# The sum of the embeddings agrees, and after layer normalization there is a small difference:
#
# $$y = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} \odot g + b$$
#
# $\mu$ and $\sigma^2$ are the mean and the variance of one token's vector $x$, $g$ and $b$ are the trained gain and bias, and
# $\odot$ multiplies entry by entry (lesson 5). $\varepsilon$ (epsilon) is a tiny constant that avoids a division by zero. BERT
# uses 1e-12. PyTorch's default is 1e-5. What does another $\varepsilon$ change? If it is small compared to the variance, then
#
# $$\frac{1}{\sqrt{\sigma^2 + \varepsilon}} \approx \frac{1}{\sigma}\left(1 - \frac{\varepsilon}{2\sigma^2}\right)$$
#
# **By hand.** Take the vector (0.01, −0.01), without gain and bias. Its mean is 0 and its variance is 0.0001. With
# $\varepsilon$ = 0.00001, the first entry becomes 0.01/√(0.0001 + 0.00001) = 0.01/0.010488 = 0.953. Without $\varepsilon$ it
# is 1. The formula says 1 − 0.00001/(2 · 0.0001) = 0.95.
#
# Now take (1, −1), whose variance is 1. The formula says 1 − 0.00001/2 = 0.999995.

# %%
gain, bias = torch.ones(2), torch.zeros(2)
for value in (0.01, 1.0):
    normalized = equations.layer_norm(torch.tensor([value, -value]), gain, bias, eps=0.00001)[0].item()
    print(f"±{value}: variance {value**2:g}, first entry {normalized:.6f}, by the formula {1 - 1e-5 / (2 * value**2):.6f}")
print(f"root of 0.00011: {0.00011**0.5:.6f}")

# %% [markdown]
# So the same mistake is large where the variance is small, and hides among the rounding errors where the variance is large.
# This is why it is found in the embeddings: their values are small, those after a residual connection are not. The pattern
# names the mistake: the relative difference of a token is proportional to one over its variance.

# %% tags=["hide-input"]
variance = steps["embeddings.sum"].var(dim=-1, correction=0).flatten()
norm = exact.bert.embeddings.norm
normalized, of_copy = (steps["embeddings.output"], steps_of["B"]["embeddings.output"])
change = ((1 - (of_copy - norm.bias) / (normalized - norm.bias)).abs().median(dim=-1).values).flatten().detach()


def draw(axes):
    axes.scatter(variance, change * 1e6, s=14, label="a token of the input")
    line = torch.linspace(variance.min(), variance.max(), 100)
    axes.plot(line, 1e-8 / (2 * line) * 1e6, linewidth=1, color="gray", label="ε / (2 σ²) with ε = 1e-8")
    axes.set(title="Copy B after the first LayerNorm", xlabel="variance σ² of the token", ylim=(0, None))
    axes.set(ylabel="relative difference, in millionths")
    axes.legend(frameon=False)


show_figure(draw, alt="The relative differences of the tokens lie on the curve of epsilon over two times the variance.")
torch.testing.assert_close(change, 1e-8 / (2 * variance), rtol=0.01, atol=0)

# %% [markdown]
# The points lie on the curve of $\varepsilon$ = 1e-8. The author of copy B took the $\varepsilon$ of another formula: 1e-8 is
# the one of the optimizer Adam (lesson 10).
#
# ### E: the queries
#
# In E, the embeddings agree and the queries do not. A query is a product of a matrix and the embedding. So we try the matrix,
# and the same matrix with rows and columns exchanged.

# %%
layer = exact.bert.layers[0].attention.query
before, after = steps["embeddings.output"], equations.merge_heads(steps_of["E"]["layers.0.attention.query"])
for title, matrix in (("the matrix", layer.weight), ("transposed", layer.weight.T)):
    print(f"{title}: largest difference from copy E {(before @ matrix.T + layer.bias - after).abs().max().item():.0e}")
assert torch.allclose(before @ layer.weight + layer.bias, after)

# %% [markdown]
# The matrix is transposed. Now open the folded cell at the top and look at `loaded_by_shape`. PyTorch stores the matrix of a
# linear layer as (out, in). TensorFlow, and the code of GPT-2, store it as (in, out). The author of this function transposes a
# matrix if its shape does not fit.
#
# **Prediction.** Which matrices of this network does the function load correctly, and which not?
#
# <details><summary>Answer</summary>
#
# The two matrices of each feed-forward network are 96 × 48 and 48 × 96. Transposed, they do not fit, so they are corrected.
# The matrices of the queries, keys, values and of the output of attention are 48 × 48: they fit in both ways, and stay wrong.
# They are square in every BERT, so no test of shapes can find this mistake.
#
# </details>
#
# ## The same from minibert
#
# `minibert verify` does what we have done: it compares, finds the first stage that differs, and repeats its step with known
# mistakes. These are its sentences:

# %%
for name in COPIES:
    print(f"\nCopy {name}:", *verdict_lines(exact_comparisons[name]), sep="\n")
assert "eps" in exact_comparisons["B"].cause
assert "gelu_new" in exact_comparisons["C"].cause
assert "scale" in exact_comparisons["D"].cause
assert "transposed" in exact_comparisons["E"].cause
assert comparisons["B"].agrees  # in float32 nothing is seen
assert exact_comparisons["A"].agrees

# %% [markdown]
# The tolerance of `minibert verify` is 2e-5 in float32 and 1e-10 in float64. In float32 it would have accepted B. The command
# is
#
# `minibert verify FOLDER --dtype float64`
#
# It compares with transformers, the library of Hugging Face. With `--against OTHER` it compares two checkpoints.
#
# ## Names
#
# The numbers of a file have names, and each library has its own. minibert calls a matrix `layers.0.attention.query.weight`,
# transformers calls it `encoder.layer.0.attention.self.query.weight`. To load a file, one needs a table of names. This is the
# part of it for the embeddings and for attention in the first layer:

# %%
names = BertForMaskedLM.names
ours = [names.relative(name) for name in original.state_dict() if name.endswith("weight")]
show_table(["minibert", "transformers"], [[name, names.theirs(name)] for name in ours[:9]])

# %% [markdown]
# What happens to a tensor of the network whose name is not in the file? It keeps its first values, which are random numbers,
# or 1 and 0. minibert reports it. PyTorch's `load_state_dict` raises an error, but `strict=False` switches this off.
#
# Old files, made from those of TensorFlow, call the gain and the bias of layer normalization `gamma` and `beta`. A program
# that does not know these names loads all the rest.
#
# **Prediction.** All gains of layer normalization are then 1 and all biases 0, as before training. How many predictions are
# correct? And which stage differs first?

# %% tags=["prediction"]
unnamed = {
    name.replace("norm.weight", "norm.gamma").replace("norm.bias", "norm.beta"): tensor
    for name, tensor in exact.state_dict().items()
}
incomplete = BertForMaskedLM(exact.config).double().eval()
report = incomplete.load_state_dict(unnamed, strict=False)
comparison = compared("F", exact, {"F": incomplete})
print(f"not found: {len(report.missing_keys)} of {len(exact.state_dict())} tensors, such as {report.missing_keys[0]}")
print(f"correct predictions: {accuracy(incomplete):.1%}")
print(f"first stage that differs: {comparison.first_difference.name}, by {comparison.first_difference.relative:.1g}")
assert comparison.first_difference.name == "embeddings.output"
assert accuracy(incomplete) > 0.9

# %% [markdown]
# The predictions do not show it. The first stage that differs is the same as in B, layer normalization in the embeddings, but
# the difference is not tiny. Place and size together name the cause.
#
# **Change it.** In copy G, one matrix is transposed. Try also `bert.layers.0.attention.key.weight`,
# `bert.layers.1.attention.value.weight` and `mlm.transform.weight`. Which of them would you find by testing the predictions?

# %%
TRANSPOSED = "bert.layers.0.attention.query.weight"

suspect = copy.deepcopy(exact)
suspect.get_parameter(TRANSPOSED).data = exact.get_parameter(TRANSPOSED).data.T.contiguous()
comparison = compared("G", exact, {"G": suspect})
print(f"{TRANSPOSED} is transposed. Correct predictions: {accuracy(suspect):.1%}", *verdict_lines(comparison), sep="\n")
assert "transposed" in comparison.cause

# %% [markdown]
# <details><summary>Answer</summary>
#
# A transposed query or key of the first layer changes none of these predictions: the residual connections carry the vectors
# past attention (lesson 5), and the second layer does the work. The value of the second layer or the transform of the head
# makes about one third of them wrong. With other first weights, other matrices would be harmless. So a test of the predictions
# finds some of these mistakes. The comparison of stages finds all of them.
#
# </details>
#
# ## And Hugging Face?
#
# The checkpoint has the format of transformers. So transformers can load it, and we can compare its numbers with ours, stage
# by stage. The next cell needs transformers (`pip install 'minibert[verify]'`), and does nothing without it.

# %%
if find_spec("transformers"):
    stages = transformers_stages(read_checkpoint(folder), exact, inputs)
    comparison = compare(stages, minibert_stages(exact, inputs), inputs, exact)
    print(*verdict_lines(comparison), sep="\n")
    assert comparison.agrees
else:
    print("transformers is not installed.")

# %% [markdown]
# The two libraries were written by different people, and agree in each stage, to rounding. That is what "the same numbers"
# means: not equal last digits, but differences that become smaller in a higher precision.
#
# minibert is checked in this way with trained networks; the results are in `docs/agreement.md`.
#
# ## Exercises

# %%
exercise("gelu_tanh")

# %%
exercise("multi_head_attention_layer")

# %%
exercise("masked_lm_head")

# %% [markdown]
# ## Seen in well-known code
#
# - **Two functions of one name.** Google's BERT repository computes GELU with tanh, transformers loads its weights with the
#   exact function.
# - **Positions that begin at 2.** RoBERTa gives its first token the position 2, because its code counts on from the id of the
#   padding. With its weights, the code of BERT gives every token the vector of another position. The first stage that differs
#   is the position embedding.
# - **Matrices as (in, out).** The code of GPT-2 stores them so. To copy them to linear layers of PyTorch, one needs a list of
#   the matrices to transpose.
# - **A test that does not run.** In November 2025, TransformerLens began to skip its comparison of BERT with transformers,
#   because it needs a download. A comparison can use a small network with random weights instead.
# - **A test that accepts a wrong ε.** The test of AdamW in Stanford's course CS336 passes three variants with a wrong ε. A
#   test in float32 accepts copy B too.
#
# ## Further reading
#
# - Higham 2002, *Accuracy and Stability of Numerical Algorithms*, section 2.2: the standard model of rounding.
# - Goldberg 1991, *What every computer scientist should know about floating-point arithmetic*.
# - Hendrycks and Gimpel 2016, *Gaussian error linear units*, section 2: both forms of GELU.
# - Liu et al. 2019, *RoBERTa*.
# - Next: lesson 15, attention without the large matrix.
