# %% [markdown]
# # 7 · WordPiece by hand
#
# A network has a vector for each entry of its vocabulary. What does it do with a word that is not in there?
#
# This lesson needs no other. At the end you can train a WordPiece vocabulary on paper, split a word as BERT does, and explain
# why a larger vocabulary can make a word unknown. You can do the same with the bytes of GPT-2 and RoBERTa, where nothing is.

# %%
from collections import Counter
from itertools import pairwise

from minibert import PRESETS
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.text.builtin import builtin_corpus
from minibert.text.byte_alphabet import BYTE_LETTERS, to_byte_letters
from minibert.text.byte_pair_encoding import apply_merges, cut_words, merge_steps
from minibert.text.byte_pair_training import count_byte_words, train_byte_pairs
from minibert.text.wordpiece_encoding import encode, match_steps, normalize, pre_tokenize, split_word
from minibert.text.wordpiece_training import count_words, train_wordpiece

# %% [markdown]
# ## Something goes wrong
#
# The first idea is to use words. Count the words of many texts, and give a vector to each of the 2,000 most frequent ones. All
# other words share one vector, which is called `[UNK]`, for "unknown".
#
# Here is a corpus that every machine with Python has: the documentation strings of its libraries. One half is for counting,
# the other half for testing.

# %%
documents = list(builtin_corpus().documents)
first_half = count_words(sentence for document in documents[::2] for sentence in document.sentences)
second_half = count_words(sentence for document in documents[1::2] for sentence in document.sentences)
SIZE = 2000


def unknown_share(known):
    """Return the share of the words of the second half that are not in a set."""
    return sum(count for word, count in second_half.items() if word not in known) / second_half.total()


known_words = {word for word, _ in first_half.most_common(SIZE)}
print(f"{second_half.total():,} words, {len(second_half):,} of them different")
print(f"unknown with the {SIZE} most frequent words: {unknown_share(known_words):.1%}")
print("some unknown words:", [word for word, count in second_half.most_common() if word not in known_words][:1000:125])
assert 0.03 < unknown_share(known_words) < 0.25

# %% [markdown]
# Between one word in twenty and one word in ten is unknown, although the texts are of the same kind. The rare words are often
# the important ones. More words do not solve it: the number of different words grows with every text, and each needs a vector
# that is trained by few examples.
#
# The second idea is to use characters. Nothing is unknown then, but a sentence becomes four times as long, and the network
# first has to learn to spell.
#
# **Question.** Is there a vocabulary of only 2,000 entries with which (almost) nothing is unknown, and sentences stay short?

# %% [markdown]
# ## Pieces of words
#
# Yes: frequent words are one entry, and rare words are made of **pieces**. This is called WordPiece (Schuster and Nakajima
# 2012). A piece that continues a word begins with `##`. So `hugs` can be `hug` and `##s`. The same letters at the beginning of
# a word and inside of it are two different entries.
#
# In the following, a **token** is an entry of the vocabulary in a text: a word, a piece, or a sign.
#
# ### Training, by hand
#
# The vocabulary is learned from counted words. Each word is first split into its characters. Then, again and again, the most
# frequent pair of neighbors is merged into one piece, until the vocabulary is large enough. As a formula:
#
# $$(a, b) = \operatorname*{arg\,max}_{(a, b)} \; \sum_{w} n_w \; \#_w(a, b)$$
#
# In words: choose the pair $(a, b)$ for which the sum is largest. The sum is over all words $w$. $n_w$ is how often the word
# occurs in the text, and $\#_w(a, b)$ is how often $a$ is followed by $b$ in the pieces of this word.
#
# Take three words: `hug` 10 times, `pug` 5 times, `hugs` 5 times.
#
# | word | count | pieces |
# |---|---|---|
# | hug | 10 | h ##u ##g |
# | pug | 5 | p ##u ##g |
# | hugs | 5 | h ##u ##g ##s |
#
# Count the pairs. (h, ##u) is in `hug` and `hugs`: 10 + 5 = 15. (##u, ##g) is in all three: 10 + 5 + 5 = 20. (p, ##u): 5.
# (##g, ##s): 5.
#
# The most frequent pair is (##u, ##g). So the first merged piece is `##ug`.

# %%
counts = {"hug": 10, "pug": 5, "hugs": 5}
pairs = Counter()
for word, count in counts.items():
    characters = [word[0], *(f"##{character}" for character in word[1:])]
    for pair in pairwise(characters):
        pairs[pair] += count
print(pairs.most_common())
assert pairs.most_common(1) == [(("##u", "##g"), 20)]

# %% [markdown]
# **Prediction.** Replace `##u ##g` by `##ug` in the table, and count again. What are the next two merges? (If two pairs have
# the same count, take the first in the alphabet; `#` is before all letters.)

# %% tags=["prediction"]
vocabulary = train_wordpiece(counts, vocab_size=14)
print("special tokens:", vocabulary[:5])
print("characters:    ", vocabulary[5:10])
print("merged:        ", vocabulary[10:])

# %% [markdown]
# <details><summary>The calculation</summary>
#
# After the first merge: hug = h ##ug, pug = p ##ug, hugs = h ##ug ##s. The pairs are (h, ##ug) 15, (p, ##ug) 5, (##ug, ##s) 5.
# So the second merge gives `hug`. Now hug = hug, pug = p ##ug, hugs = hug ##s. The pairs (hug, ##s) and (p, ##ug) both have 5.
# `hug` is first in the alphabet, so the third merge gives `hugs`, and the fourth `pug`.
#
# </details>
#
# This is the code. `PairCounts` keeps the counts up to date, so that not all words are counted again after each merge.

# %%
show_code(train_wordpiece)

# %% [markdown]
# ### Does it answer the question?

# %%
pieces = set(train_wordpiece(first_half, SIZE))
splits = {word: split_word(word, pieces) for word in second_half}
unknown = sum(count for word, count in second_half.items() if splits[word] == ("[UNK]",)) / second_half.total()
tokens_per_word = sum(count * len(splits[word]) for word, count in second_half.items()) / second_half.total()
characters_per_word = sum(count * len(word) for word, count in second_half.items()) / second_half.total()
rows = [
    ["words", f"{unknown_share(known_words):.2%}", "1.00"],
    ["characters", "0.00%", f"{characters_per_word:.2f}"],
    ["WordPiece", f"{unknown:.2%}", f"{tokens_per_word:.2f}"],
]
show_table([f"vocabulary of {SIZE}", "unknown", "tokens per word"], rows)
assert unknown < 0.005
assert tokens_per_word < 1.6
assert characters_per_word > 3

# %% [markdown]
# Yes. Almost nothing is unknown, and a sentence is only a little longer than its words. The price is that a rare word has
# several vectors, which the network has to put together. Here are some words that were unknown above:

# %%
rare = [word for word, _ in second_half.most_common() if word not in known_words and len(word) > 7][:6]
show_table(["word", "pieces"], [[word, " ".join(splits[word])] for word in rare])

# %% tags=["hide-input"]
sizes = [500, 1000, 2000, 4000]
lengths = []
for size in sizes:
    vocabulary = set(train_wordpiece(first_half, size))
    used = sum(count * len(split_word(word, vocabulary)) for word, count in second_half.items())
    lengths.append(used / second_half.total())


def draw(axes):
    axes.plot(sizes, lengths, "o-")
    axes.set(title="Larger vocabularies make shorter sentences", xlabel="entries of the vocabulary", ylabel="tokens per word")
    axes.set(ylim=(1, None))


show_figure(draw, alt="Tokens per word fall from about two at 500 entries to about 1.1 at 4,000 entries.")
assert lengths == sorted(lengths, reverse=True)

# %% [markdown]
# The size is a compromise: each entry costs a vector in the table of embeddings (lesson 8). The vocabulary of BERT-base:

# %%
base = PRESETS["base"]
print(f"{base.vocab_size:,} entries of width {base.hidden_size}: {base.vocab_size * base.hidden_size:,} numbers")

# %% [markdown]
# ## From a word to its pieces
#
# BERT does not repeat the merges to split a word. It uses a rule that is simpler: take the **longest** piece of the vocabulary
# that the word begins with, cut it off, and go on with the rest (Wu et al. 2016, section 4.1).

# %%
show_code(split_word, match_steps)

# %% [markdown]
# Here are the steps for `unaffable` with the vocabulary {`un`, `##aff`, `##able`}. The rule begins with the whole word and
# removes the last letter until the candidate is in the vocabulary. Only the last candidates of each step are shown.

# %%
small = {"un", "##aff", "##able"}
for step in match_steps("unaffable", small):
    print(" → ".join(step.candidates[-4:]), "   piece:", step.piece)
assert split_word("unaffable", small) == ("un", "##aff", "##able")

# %% [markdown]
# **Prediction.** Now we add one more entry, `una`. More entries should never hurt. What are the pieces of `unaffable` now?

# %% tags=["prediction"]
print(split_word("unaffable", small | {"una"}))
for step in match_steps("unaffable", small | {"una"}):
    print(" → ".join(step.candidates[-3:]), "   piece:", step.piece)
assert split_word("unaffable", small | {"una"}) == ("[UNK]",)

# %% [markdown]
# The word has become unknown. `una` is longer than `un`, so it is taken. The rest is `ffable`, and no piece begins like this.
# The rule never goes back and tries the shorter `un`. And one missing part makes the **whole** word unknown, not only this
# part.
#
# In a trained vocabulary this is rare, because each single character is an entry too: `##f` would be there. It happens with
# characters that were not in the training text, such as an emoji.
#
# **Change it.** Which smallest vocabulary splits `unaffable` into exactly four pieces? Write it into `small` above, and run
# the cells again. (An `assert` that fails is a statement of this text that is no longer true.) Then find a vocabulary with
# which the word could have fewer pieces than the rule finds.
#
# <details><summary>A solution of the second task</summary>
#
# With `una`, `##f`, `##fable`, `un` and `##affable`, the rule takes `una`, then `##f`, then `##fable`: three pieces. But `un`
# and `##affable` would be two. The rule is fast, and it does not always find the shortest solution.
#
# </details>
#
# **Try it.** [A page with a small BERT](../docs/live_page.html#step=text.pieces) splits what you type into pieces, with a
# vocabulary of 2,000. Which words of yours are one piece, and which need many?

# %%
greedy = {"una", "##f", "##fable", "un", "##affable"}
print(split_word("unaffable", greedy))
assert len(split_word("unaffable", greedy)) == 3

# %% [markdown]
# ## Before the words
#
# A text has to be split into words first, and BERT also cleans it: control characters disappear, and in "uncased" models,
# capital letters become small and accents are removed. Then it splits at spaces, and every punctuation character is a word of
# its own. Chinese characters are words of their own, too: Chinese has no spaces between words.
#
# **Prediction.** What are the words of `Déjà-vu, don't! 机器学习`?

# %% tags=["prediction"]
text = "Déjà-vu, don't! 机器学习"
print(normalize(text))
print(pre_tokenize(normalize(text)))

# %% [markdown]
# All stages together, with the vocabulary that we trained:

# %%
ids = {piece: number for number, piece in enumerate(train_wordpiece(first_half, SIZE))}
encoded = encode("Returns the tokenized copies.", ids)
print(encoded.normalized)
print(encoded.words)
print(encoded.pieces)
print(encoded.ids)

# %% [markdown]
# The last line is all that the network gets: one whole number for each token. In the next lesson, each number becomes a
# vector.

# %% [markdown]
# ## Bytes instead of characters
#
# One thing is still unknown: a character that was not in the training text.

# %%
print(split_word("😀", pieces))
assert split_word("😀", pieces) == ("[UNK]",)

# %% [markdown]
# GPT-2 and RoBERTa leave no character out, with an alphabet of only 256 entries (Radford et al. 2019, section 2.2). A computer
# stores every text as **bytes**, numbers from 0 to 255: an English letter is one byte, `é` is two, a Chinese character three,
# and an emoji four. So bytes can spell everything. To print a byte, it is written as a letter. A byte that has no letter of its
# own, such as the space, gets another one: `Ġ`.

# %%
print("bytes:", len(BYTE_LETTERS), "from", BYTE_LETTERS.index("Ā"), "to", BYTE_LETTERS.index("ÿ"))
examples = [" hug", "é", "机", "😀"]
rows = [[repr(text), " ".join(map(str, text.encode())), " ".join(to_byte_letters(text))] for text in examples]
show_table(["text", "bytes", "written as"], rows)
assert [len(text.encode()) for text in examples] == [4, 2, 3, 4]

# %% [markdown]
# The text is not cleaned. A pattern cuts it into words, and a word **keeps the space before it**. So there is no `##`: a piece
# that begins with `Ġ` begins a word. And nothing is lost: the words, one after the other, are the text.

# %%
text = "They're 22, déjà  vu!"
print(cut_words(text))
assert "".join(cut_words(text)) == text

# %% [markdown]
# The training is the one that you know, merge for merge (Sennrich et al. 2016). It is called byte-pair encoding, **BPE**. Two
# things differ. If two pairs have the same count, the one whose pieces are older is merged. And the result is not only the set
# of the pieces: it is the list of the **merges**, in their order.

# %%
show_code(train_byte_pairs)

# %% [markdown]
# **Prediction.** What are the first three merges of the words `hug`, `pug` and `hugs`, with the counts from above?

# %% tags=["prediction"]
merges = train_byte_pairs(counts, vocab_size=len(BYTE_LETTERS) + 3, special_tokens=[])
for rank, (first, second) in enumerate(merges):
    print(f"{rank}: {first} + {second}")
assert merges == [("u", "g"), ("h", "ug"), ("p", "ug")]

# %% [markdown]
# <details><summary>The calculation</summary>
#
# The counts are those of WordPiece, and so are the first two merges. Then (`p`, `ug`) and (`hug`, `s`) both occur 5 times. The
# bytes are the oldest pieces, and `hug` is newer. So the third merge is that of `p` and `ug`.
#
# </details>
#
# ### From a word to its pieces, again
#
# WordPiece looks for the longest piece. BPE **repeats the training**: of all neighbors in the word that were ever merged, it
# merges those that were merged first, until no merge fits. The number of a merge is called its rank. Here are all merges of one
# word, learned from the first half of the corpus:

# %%
bytes_of_first_half = count_byte_words(sentence for document in documents[::2] for sentence in document.sentences)
merges = train_byte_pairs(bytes_of_first_half, SIZE, special_tokens=["<|endoftext|>"])
ranks = {pair: rank for rank, pair in enumerate(merges)}
steps = list(merge_steps(to_byte_letters(" returns"), ranks))
show_table(["rank", "merge", "pieces"], [[step.rank, " + ".join(step.pair), " ".join(step.pieces)] for step in steps])
assert [step.rank for step in steps] == sorted(step.rank for step in steps)
assert steps[-1].pieces == apply_merges("Ġreturns", ranks)

# %%
show_code(apply_merges, merge_steps)

# %% [markdown]
# **Prediction.** In `unaffable`, one more piece made the whole word unknown. Can one more merge do this?

# %% tags=["prediction"]
few = {("u", "n"): 1, ("a", "f"): 2, ("af", "f"): 3, ("a", "b"): 4, ("ab", "l"): 5, ("abl", "e"): 6}
print(apply_merges("unaffable", few))
print(apply_merges("unaffable", {("n", "a"): 0, **few}))
assert apply_merges("unaffable", few) == ("un", "aff", "able")
assert apply_merges("unaffable", {("n", "a"): 0, **few}) == ("u", "na", "f", "f", "able")

# %% [markdown]
# No. The pieces become worse: the new merge is the first one, it takes the `n` and the `a`, and `un` and `aff` no longer come
# about. But what is left are bytes, and every byte is in the vocabulary.
#
# The second half of the corpus once more, with a vocabulary of the same size:

# %%
second_bytes = count_byte_words(sentence for document in documents[1::2] for sentence in document.sentences)
tokens = {
    "WordPiece": tokens_per_word * second_half.total(),
    "byte-level BPE": sum(count * len(apply_merges(word, ranks)) for word, count in second_bytes.items()),
}
share_unknown = {"WordPiece": unknown, "byte-level BPE": 0}
show_table(
    [f"vocabulary of {SIZE}", "unknown", "tokens of the text"],
    [[name, f"{share_unknown[name]:.2%}", f"{count:,.0f}"] for name, count in tokens.items()],
)
assert 1 < tokens["byte-level BPE"] / tokens["WordPiece"] < 1.5

# %% [markdown]
# The text is a little longer. Here `Return`, `return`, ` Return` and ` return` are four different words, and an eighth of the
# entries are single bytes, most of which English never uses. In return, capital letters and spaces are not lost. In a language
# whose letters have two or three bytes, each letter first has to be merged from its bytes.
#
# **Try it.** `minibert tokenize CHECKPOINT "your text" --explain` prints the bytes, the words and all merges of a checkpoint of
# RoBERTa or GPT-2. For one of BERT, it prints what is looked up.

# %% [markdown]
# ## Exercises
#
# The check of `split_word` includes words that cannot be split, and words of more than 100 characters, which BERT does not try
# to split.

# %%
exercise("split_word")

# %%
exercise("apply_merges")

# %%
exercise("unigram_entropy")

# %% [markdown]
# The third exercise measures how well one can predict a token if one knows only how frequent each is. It is the first
# baseline of lesson 9.
#
# ## Seen in well-known code
#
# - **Merged by count, or by likelihood.** Schuster and Nakajima merge the pair that makes the training text most probable.
#   Google did not publish the code with which BERT's vocabulary was trained. The `tokenizers` library merges the most frequent
#   pair, as this lesson does.
# - **A space too few.** In GPT-2 and RoBERTa, `return` at the beginning of a text and ` return` inside of it are two different
#   tokens. Programs that tokenize words one by one, without the spaces before them, give the network pieces that it has hardly
#   seen.
# - **The wrong tokenizer.** A "cased" model with a tokenizer that lowercases gets `[UNK]` or other pieces for every name, and
#   no error. The setting is in `tokenizer_config.json`, and it is lost if only `vocab.txt` is copied.
# - **Labels for words, and tokens for pieces.** A word with three pieces has three vectors, but one label. Lesson 13 shows
#   what goes wrong.
#
# ## Further reading
#
# - Schuster and Nakajima 2012, *Japanese and Korean voice search*: the first WordPiece.
# - Sennrich et al. 2016, *Neural machine translation of rare words with subword units*: byte-pair encoding.
# - Radford et al. 2019, *Language models are unsupervised multitask learners*, section 2.2: its alphabet of bytes.
# - Wu et al. 2016, *Google's neural machine translation system*, section 4.1.
# - Next: lesson 8, BERT's input and embeddings.
