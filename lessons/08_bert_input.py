# %% [markdown]
# # 8 · BERT's input and embeddings
#
# The same sentence gets other vectors if it is computed together with another sentence. Why?
#
# You need lessons 5 and 7. At the end you can build BERT's input for a sentence and for a pair, compute an embedding by hand,
# and say what each of the three inputs `input_ids`, `token_type_ids` and `attention_mask` is for, and what happens without it.

# %%
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from minibert import equations, record
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.model.embeddings import BertEmbeddings
from minibert.study.plots import attention_head
from minibert.study.subject import load_subject

# %% [markdown]
# ## Something goes wrong
#
# Here is a small BERT with random weights. Its vocabulary is the words of our sentences, so that each word is one token. (With
# trained weights the same happens.)

# %%
SHORT = "the dog bites the man"
OTHER = "the dog bites the cat"
LONG = "the man sleeps , and the dog eats all of the food that the cat left on the table"
model, tokenizer = load_subject(preset="tiny", texts=[SHORT, OTHER, LONG])
bert = model.bert.eval()  # the network below the heads of lesson 9
print(tokenizer.encode(SHORT).tokens)
print(tokenizer.encode(SHORT).ids)

# %% [markdown]
# The tokenizer adds two **special tokens**: `[CLS]` at the beginning, whose vector stands for the whole input, and `[SEP]` at
# the end. Each token has a whole number, its **id**.
#
# A network computes several sentences at a time: a **batch**. A batch is one table of ids, so all its rows need the same
# length. Shorter sentences are filled up with `[PAD]`, whose id is 0. We compute the vector of `[CLS]` for the same sentence
# twice: alone, and filled up to the length of the long one.


# %%
def as_batch(*texts):
    """Return the ids of sentences, filled up with 0, and the mask that is 1 for tokens and 0 for padding."""
    rows = [tokenizer.encode(text).ids for text in texts]
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    return ids, mask


@torch.no_grad()
def first_vector(ids, mask=None):
    """Return the vector of [CLS] of the first sentence of a batch."""
    return bert(ids, attention_mask=mask).last_hidden_state[0, 0]


alone, _ = as_batch(SHORT)
other, _ = as_batch(OTHER)
batch, mask = as_batch(SHORT, LONG)
changed_by_padding = (first_vector(batch) - first_vector(alone)).norm().item()
changed_by_a_word = (first_vector(other) - first_vector(alone)).norm().item()
rows = [
    ["man → cat, another meaning", changed_by_a_word],
    ["the same sentence in a batch with a longer one", changed_by_padding],
]
show_table(["what changes", "distance of the two [CLS] vectors"], rows)
assert changed_by_padding > 3 * changed_by_a_word

# %% [markdown]
# The neighbor in the batch changes the vector more than another meaning does. A program that classifies sentences by this
# vector gives an answer that depends on which sentences happen to be computed together.
#
# **Question.** Which part of the network lets the padding in, and how is it kept out?

# %% [markdown]
# ## From ids to vectors
#
# To answer this, we follow the input. The first layer of BERT makes a vector for each token. It is a sum of three:
#
# $$x_t = \mathrm{LayerNorm}(E^{\mathrm{word}}_{\mathrm{id}_t} + E^{\mathrm{position}}_{t} + E^{\mathrm{segment}}_{s_t})$$
#
# This is figure 2 of the BERT paper (Devlin et al. 2019), with the normalization that its code has. In words:
#
# - $t$ is the position of the token in the input, from 0.
# - $E^{\mathrm{word}}$ is a table with one row for each entry of the vocabulary. $\mathrm{id}_t$ is the id of the token, and
#   $E^{\mathrm{word}}_{\mathrm{id}_t}$ is the row with this number.
# - $E^{\mathrm{position}}$ is a table with one row for each position. Without it, the order of the words would be lost (lesson
#   4).
# - $E^{\mathrm{segment}}$ has two rows. $s_t$ is 0 for the first sentence of a pair, and 1 for the second.
# - $\mathrm{LayerNorm}$ gives each vector mean 0 and variance 1, then a gain and a bias (lesson 5).
#
# All three tables are parameters: they are learned like all other weights.

# %%
show_code(BertEmbeddings.forward)

# %% [markdown]
# **By hand.** Take vectors of width 2. The word has the row (1, 4), the position (2, 0), the segment (0, 2). The sum is (3,
# 6). Its mean is 4.5. The differences from the mean are −1.5 and 1.5, and the variance is 1.5² = 2.25. The root of the
# variance is 1.5. So the normalized vector is (−1, 1).

# %%
word, position, segment = torch.tensor([1.0, 4.0]), torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
total = word + position + segment
normalized = equations.layer_norm(total, gain=torch.ones(2), bias=torch.zeros(2), eps=0.0)
print("sum", total.tolist(), " mean", total.mean().item(), " differences", (total - total.mean()).tolist())
print("variance", total.var(unbiased=False).item(), " root", total.std(unbiased=False).item(), " result", normalized.tolist())
assert normalized.tolist() == [-1.0, 1.0]

# %% [markdown]
# ### Pairs
#
# The input of BERT can also be a pair, such as a question and a text. Both are in one input, with `[SEP]` after each.

# %%
pair = tokenizer.encode("the dog sleeps", "the cat eats")
show_table(
    ["", *map(str, range(len(pair.tokens)))],
    [["token", *pair.tokens], ["input_ids", *pair.ids], ["token_type_ids", *pair.type_ids]],
)

# %% [markdown]
# **Prediction.** Somebody forgets `token_type_ids`, so that all segments are 0. Does an error appear? Does the result change?

# %% tags=["prediction"]
ids, segments = torch.tensor([pair.ids]), torch.tensor([pair.type_ids])
with torch.no_grad():
    forgotten = bert(ids).last_hidden_state
    given = bert(ids, token_type_ids=segments).last_hidden_state
print(f"no error; largest difference of the outputs: {(forgotten - given).abs().max():.3f}")
assert not torch.allclose(forgotten, given)

# %% [markdown]
# **Try it.** [A pair of texts](../docs/live_page.html#step=embeddings.segments&text=how+old+are+you+?&pair=i+am+six+.) on a
# page with a small BERT. Which rows of the segments are equal? Type one word more into sentence B.
#
# ## Where the padding gets in
#
# Padding tokens are tokens: they have a row in the table of words, a position and a segment. The embeddings of the real tokens
# do not change, because each token is embedded alone.
#
# **Prediction.** The next steps of the first layer are queries, keys and values, attention, the residual connection, and the
# feed-forward network. We add padding. At which of these steps do the numbers of `[CLS]` change first?


# %% tags=["prediction"]
def recorded(ids, mask=None):
    """Return a recording of the forward pass."""
    with record(bert) as recording, torch.no_grad():
        bert(ids, attention_mask=mask)
    return recording


steps = ["embeddings.output", "layers.0.attention.query", "layers.0.attention.context", "layers.0.output"]
short_recording, padded_recording = recorded(alone), recorded(batch)
rows = []
for step in steps:
    before, after = short_recording[step][0], padded_recording[step][0]
    before, after = (before[0], after[0]) if before.ndim == 2 else (before[:, 0], after[:, 0])  # the row of [CLS]
    rows.append([step, (before - after).abs().max().item()])
show_table(["step", "largest change at [CLS]"], [[step, round(change, 4)] for step, change in rows])
assert max(change for _, change in rows[:2]) < 1e-5 < 1e-2 < min(change for _, change in rows[2:])

# %% [markdown]
# It is attention. All other steps compute each token alone. Attention is the only place where tokens exchange information, and
# so it is the only place where padding can do harm. The softmax gives each key a positive weight, also to `[PAD]`.
#
# So the padding has to be masked, as in lesson 2: its scores become minus infinity. For a sentence of $n$ tokens the mask is
#
# $$\mathrm{keep}_{ij} = [\,j < n\,]$$
#
# In words: query $i$ may attend to key $j$ if $j$ is one of the first $n$ tokens. The condition does not depend on $i$.

# %%
show_code(equations.padding_mask)
print(equations.padding_mask(torch.tensor([3, 1]), tokens=4).int())

# %% [markdown]
# BERT gets this mask as `attention_mask`, a table of 1 (token) and 0 (padding). With it, the neighbor in the batch has no
# influence:

# %%
with_mask = (first_vector(batch, mask) - first_vector(alone)).norm().item()
print(f"distance without mask: {changed_by_padding:.4f}, with mask: {with_mask:.6f}")
assert with_mask < 1e-4

# %% tags=["hide-input"]
masked_recording = recorded(batch, mask)
tokens = [tokenizer.id_to_token(token) for token in batch[0].tolist()]


def draw_weights(recording, title):
    """Return a function that draws the weights of head 0 of the first layer."""

    def draw(axes):
        attention_head(axes, recording["layers.0.attention.weights"][0, 0], tokens, title=title)

    return draw


show_figure(
    draw_weights(padded_recording, "without mask"),
    draw_weights(masked_recording, "with attention_mask"),
    size=(5.2, 4.4),
    alt="Attention weights of the short sentence in the batch. Without the mask all tokens attend to [PAD]; with it none does.",
)

# %% [markdown]
# Look at the lower rows of the right figure. The `[PAD]` tokens themselves still attend to the sentence, and get vectors. The
# mask hides them as keys, not as queries. Their vectors are never used by other tokens. But your own code could use them by
# mistake.
#
# **Try it.** [Padding without its mask](../docs/live_page.html#experiment=Mask) in a small trained BERT, which computes on a
# page. Which numbers of the other tokens change? Switch the mask on and off.
#
# **Change it.** A popular vector for a sentence is the mean of all its token vectors. Compute it with `bert(batch,
# attention_mask=mask).last_hidden_state[0].mean(dim=0)`, and the same for `alone`. Are they equal? Repair it.
#
# <details><summary>Answer</summary>
#
# They differ, although the mask was given: the mean includes the vectors of `[PAD]`. Multiply by the mask, sum, and divide by
# the number of real tokens.
#
# </details>

# %%
with torch.no_grad():
    vectors = bert(batch, attention_mask=mask).last_hidden_state[0]
    right = bert(alone).last_hidden_state[0].mean(dim=0)
weights = mask[0, :, None]
wrong, repaired = vectors.mean(dim=0), (vectors * weights).sum(dim=0) / weights.sum()
print(f"distance of the mean: {(wrong - right).norm():.3f}; of the mean without padding: {(repaired - right).norm():.6f}")
assert (repaired - right).norm() < 1e-4 < 1e-2 < (wrong - right).norm()

# %% [markdown]
# ## An image as tokens
#
# The input of BERT's layers is a vector for each token. It does not matter to them that the tokens were words. In ViT
# (Dosovitskiy et al. 2021) the input is an image. It is cut into rectangles of pixels, the **patches**, and each patch becomes
# a token:
#
# $$z_0 = [x_\mathrm{class};\; x_p^1 E;\; x_p^2 E;\; \ldots;\; x_p^N E] + E_\mathrm{pos}$$
#
# This is equation 1 of that paper. In words:
#
# - $x_p^i$ is patch $i$: its numbers, one after another. There are $N$ patches.
# - $E$ is a learned matrix. It makes a vector of each patch, as the table of words makes one of each id.
# - $x_\mathrm{class}$ is a learned vector that is put in front. It takes the place of `[CLS]`.
# - $E_\mathrm{pos}$ is the table of positions, as above. Without it, the order of the patches would not matter.
#
# Here are a small image with the pixels 0 to 7, and a real one: a handwritten digit of 8 × 8 pixels.

# %%
show_code(equations.patches)
print(equations.patches(torch.arange(8.0).view(1, 2, 4), height=2, width=2).tolist())
digit = torch.tensor(load_digits().images[3]).float()[None]  # (channels, height, width), with one channel
cut = equations.patches(digit, height=2, width=2)
print("image", tuple(digit.shape), " patches", tuple(cut.shape))
assert torch.equal(cut.flatten().sort().values, digit.flatten().sort().values)  # each pixel is there once

# %% tags=["hide-input"]
show_figure(
    lambda axes: axes.imshow(digit[0], cmap="gray_r"),
    lambda axes: axes.imshow(cut, cmap="gray_r", aspect="auto"),
    size=(3.2, 3.2),
    alt="Left: the digit 3 in gray pixels. Right: its patches, a table with one row for each patch, one column for each pixel.",
)

# %% [markdown]
# A linear map of patches is a convolution whose kernel has the size of a patch, and which moves by one patch at a time. Each
# row of the matrix, written as a rectangle, is one kernel. So most programs have a convolution in this place.

# %%
matrix = torch.randn(5, 4)  # five features of a patch
as_convolution = F.conv2d(digit[None], matrix.view(5, 1, 2, 2), stride=2)[0]
assert torch.allclose(cut @ matrix.T, as_convolution.flatten(1).T, atol=1e-4)

# %% [markdown]
# All other layers are those of BERT in pre-norm order (lesson 5). [The page about ViT](../docs/vit.md) trains one on these
# digits.
#
# ## Exercises

# %%
exercise("padding_mask")

# %%
exercise("bert_embeddings")

# %% [markdown]
# RoBERTa does not count padding: a text has the same positions with padding on either side (lesson 4). Write the positions
# without a loop. They come from the ids alone, not from the mask.

# %%
exercise("positions_without_padding")

# %%
exercise("patches")

# %% [markdown]
# ## Seen in well-known code
#
# - **No mask.** transformers computes without an error if you forget `attention_mask`, as in our first table. It prints a
#   warning once, if it finds `[PAD]` in the input.
# - **Google's mask is not exact.** Google's BERT adds `-10000` to the scores of padding. If all other scores of a row are
#   below that, padding gets weight. In practice this does not happen in float32.
# - **The mean with padding.** Several tutorials for sentence vectors take the mean over all positions. The vectors then depend
#   on the batch, as above.
# - **Padding on the left.** Then the real tokens have other positions, and other position embeddings. A mask does not repair
#   this; `position_ids` does. RoBERTa computes its positions from the ids, so it needs no `position_ids`.
# - **Special tokens twice.** A text that already contains "[CLS]" and is tokenized again gets two of them.
#
# ## Further reading
#
# - Devlin et al. 2019, *BERT: Pre-training of deep bidirectional transformers for language understanding*, section 3 and
#   figure 2.
# - Dosovitskiy et al. 2021, *An image is worth 16x16 words: Transformers for image recognition at scale*, section 3.1.
# - Reimers and Gurevych 2019, *Sentence-BERT*: which vector stands for a sentence.
# - Next: lesson 9, what BERT learns from.
