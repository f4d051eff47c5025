# %% [markdown]
# # 13 · Tags and answers
#
# A tagger gives more than nine of ten words the right tag, and its loss becomes small. Why does it find almost no names?
#
# You need lessons 7 and 9. At the end you can measure a tagger by its entities, put tags at the right word pieces, and predict
# the answer to a question as the best pair of a start and an end.

# %%
from dataclasses import replace

import numpy as np
import torch

from minibert import BertConfig, BertForQuestionAnswering, BertForTokenClassification, equations
from minibert.classroom.lesson import exercise, show_code, show_figure, show_table
from minibert.equations import IGNORE_INDEX
from minibert.text.labeled.examples import make_batch
from minibert.text.labeled.squad_checks import Answer, Question
from minibert.text.labeled.tag_schemes import entities_of, parse_tag
from minibert.text.labeled.tagged import TaggedSentence
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training.answering import Answering, AnsweringObjective
from minibert.training.best_answers import best_spans
from minibert.training.metrics.counts import f1, total
from minibert.training.metrics.entities import entity_counts
from minibert.training.tagging import Tagging

# %% [markdown]
# ## Something goes wrong
#
# **Named entities** are names of persons, places, and so on. A network that finds them gives each word a **tag**:
#
# - `B-PER`: the first word of a person's name (B: begin). `I-PER`: one of its other words (I: inside).
# - `B-LOC` and `I-LOC`: the same for a place (LOC: location).
# - `O`: any other word (O: outside).
#
# Names are rare, and most of them do not occur in the training text. So our language has names that are made of random
# syllables. A person stands after *of*, a place after *in*. Only one sentence in ten has a person, and one in ten a place.

# %%
ADJECTIVES, ANIMALS = ["old", "young", "big", "small"], ["dog", "cat", "bird", "cow", "horse", "pig", "duck", "bee"]
VERBS, PLACES = ["sleep", "eat", "play", "wait"], ["garden", "house", "field"]
SYLLABLES = ["to", "ra", "be", "lim", "mi", "ka", "no", "su", "pel", "dor"]
WORDS = ["the", "in", "of", "and", "who", "where", ".", "?", *ADJECTIVES, *ANIMALS, *VERBS, *PLACES]
tokenizer = build_tokenizer([*SPECIAL_TOKENS, *WORDS, "##s", *SYLLABLES, *(f"##{each}" for each in SYLLABLES)])
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
SEED = 1
SHARE = 0.1  # of the sentences with a person, and of those with a place


def random_name(generator):
    """Return the words of a name: one or two words of two or three syllables."""
    sizes = generator.integers(2, 4, size=generator.integers(1, 3))
    return ["".join(generator.choice(SYLLABLES, size)) for size in sizes]


def tagged_sentence(generator):
    """Return a random sentence with its tags."""
    draw = generator.choice
    parts = [("O", ["the", draw(ADJECTIVES), draw(ANIMALS)])]
    if generator.random() < SHARE:
        parts += [("O", ["of"]), ("PER", random_name(generator))]
    parts.append(("O", [draw(VERBS) + "s", "in"]))
    if generator.random() < SHARE:
        parts.append(("LOC", random_name(generator)))
    else:
        parts.append(("O", ["the", draw(PLACES)]))
    words, tags = [], []
    for kind, part in [*parts, ("O", ["."])]:
        words += map(str, part)
        tags += ["O"] * len(part) if kind == "O" else [f"B-{kind}"] + [f"I-{kind}"] * (len(part) - 1)
    return TaggedSentence(tuple(words), tuple(tags))


generator = np.random.default_rng(3)
example = tagged_sentence(generator)
while not {"B-PER", "B-LOC"} <= {*example.tags}:  # one with a person and a place
    example = tagged_sentence(generator)
show_table(example.words, [example.tags])

# %% [markdown]
# `Tagging` is minibert's code for this task, and `BertForTokenClassification` is BERT with one linear layer: it gives each
# token a score for each tag. We train two networks, A and B. They differ in one thing: how the tags are written next to the
# tokens. This is in the next cell, which is folded on the page. Do not open it yet.

# %% tags=["hide-input"]
tagging = Tagging(TAGS, max_length=64, overlap=8)


def encoded(rows):
    """Return model inputs with the labels of network B."""
    return tagging.encode(rows, tokenizer)


def encoded_in_order(rows):
    """Return model inputs with the labels of network A."""
    padding = [TAGS.index("O")] * tagging.max_length
    examples = encoded(rows)
    for n, row in enumerate(rows):
        labels = tagging.tag_set.targets(row.tags) + padding
        examples[n] = replace(examples[n], targets={"labels": labels[: len(examples[n].input_ids)]})
    return examples


# %% [markdown]
# The training is that of lesson 9.


# %%
def trained(network, task, draw, encode, steps):
    """Train a small BERT with a head. Return the network and the loss of each step."""
    torch.manual_seed(SEED)
    generator = np.random.default_rng(SEED)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = network(task.model_config(config))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, 1, total_iters=30)
    losses = []
    for _ in range(steps):
        batch = make_batch(encode([draw(generator) for _ in range(32)]), pad_id=0)
        loss = model(*batch.inputs, **batch.targets).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warmup.step()
        losses.append(loss.item())
    return model.eval(), losses


def predictions_of(model, task, rows):
    """Return the predictions for some rows."""
    examples = task.encode(rows, tokenizer)
    with torch.no_grad():
        logits = task.logits(model(*make_batch(examples, pad_id=0).inputs))
    return task.predict(rows, examples, logits.numpy())


model_a, losses_a = trained(BertForTokenClassification, tagging, tagged_sentence, encoded_in_order, steps=200)
model_b, losses_b = trained(BertForTokenClassification, tagging, tagged_sentence, encoded, steps=200)

# %% tags=["hide-input"]


def draw_losses(axes):
    axes.plot(losses_a, label="network A")
    axes.plot(losses_b, label="network B")
    axes.set(title="Training of two taggers", xlabel="step", ylabel="loss (nats per label)", ylim=(0, None))
    axes.legend(frameon=False)


show_figure(draw_losses, alt="The loss of both networks falls from above one and a half to nearly zero.")

# %% [markdown]
# Both curves look as they should. Now we tag 400 new sentences, and compare with the right tags.

# %%
generator = np.random.default_rng(99)
test = [tagged_sentence(generator) for _ in range(400)]
gold = [row.tags for row in test]
always_o = [["O"] * len(row.words) for row in test]
tags_a, tags_b = ([each["tags"] for each in predictions_of(model, tagging, test)] for model in (model_a, model_b))


def tag_accuracy(predicted):
    """Return the share of words with the right tag."""
    pairs = [pair for one, other in zip(gold, predicted, strict=True) for pair in zip(one, other, strict=True)]
    return sum(one == other for one, other in pairs) / len(pairs)


RESULTS = {"network A": tags_a, "network B": tags_b, "always O": always_o}
show_table(["", "words with the right tag"], [[name, f"{tag_accuracy(tags):.1%}"] for name, tags in RESULTS.items()])
rows = [["right", *example.tags]]
for name, model in (("network A", model_a), ("network B", model_b)):
    rows.append([name, *predictions_of(model, tagging, [example])[0]["tags"]])
show_table(["", *example.words], rows)
assert tag_accuracy(tags_b) > 0.99
assert 0.9 < tag_accuracy(tags_a) < tag_accuracy(always_o) < 0.98

# %% [markdown]
# Network A has the right tag for more than nine of ten words. But a program of one line, which answers `O` to everything, is
# better.
#
# **Question.** How should we measure a tagger? And what is wrong with A, whose loss has become so small?
#
# ## Count entities, not words
#
# Nobody wants to know how many words are not a name. We want the names. An entity is found if its type, its first word and its
# last word are all right. There are two questions: how many of the predicted entities are right (**precision**, $P$), and how
# many of the true entities are found (**recall**, $R$)? One number for both is
#
# $$F_1 = \frac{2 P R}{P + R} = \frac{2\,c}{p + g}, \qquad P = \frac{c}{p}, \quad R = \frac{c}{g}$$
#
# In words: $c$ is the number of **correct** entities, $p$ the number of **predicted** ones, and $g$ the number of true ones
# (**gold**). $F_1$ is the harmonic mean of $P$ and $R$: it is near 0 if one of the two is. This is the measure of the
# CoNLL-2003 task, a well-known competition (Tjong Kim Sang and De Meulder 2003).
#
# In the code, `position` is the letter in front: B, I or O. (E is the end of an entity in another scheme.)

# %%
show_code(entities_of, f1)

# %% [markdown]
# **By hand.** A sentence has ten words. The right tags are `O B-PER I-PER O O B-LOC O O O O`. A tagger predicts `O B-PER O O O
# B-LOC O O O O`.
#
# 1. Nine of ten tags are right: the accuracy is 0.9.
# 2. The true entities are a person (words 1 and 2) and a place (word 5), counted from 0. So $g$ = 2.
# 3. The predicted ones are a person (word 1 only) and the place. So $p$ = 2.
# 4. Only the place is right, because the person ends too early. So $c$ = 1.
# 5. $P$ = 1/2, $R$ = 1/2, and $F_1$ = 2 · 1/(2 + 2) = 0.5.

# %%
right = ["O", "B-PER", "I-PER", "O", "O", "B-LOC", "O", "O", "O", "O"]
found = ["O", "B-PER", "O", "O", "O", "B-LOC", "O", "O", "O", "O"]


def entity_f1(gold, predicted):
    """Return F1 of all entities."""
    counts = total(entity_counts(gold, predicted)[1]).micro  # micro: the entities of all types together
    return f1(counts).item() if counts.predicted + counts.gold else 0.0


print("accuracy", np.mean([one == other for one, other in zip(right, found, strict=True)]))
print("entities", [tuple(entity) for entity in entities_of(map(parse_tag, found))])
print("F1", entity_f1([right], [found]))
assert entity_f1([right], [found]) == 0.5

# %% [markdown]
# **Prediction.** What is the $F_1$ of always O? And of networks A and B?

# %% tags=["prediction"]
rows = [[name, f"{tag_accuracy(tags):.1%}", f"{entity_f1(gold, tags):.1%}"] for name, tags in RESULTS.items()]
show_table(["", "words with the right tag", "F1 of the entities"], rows)
assert entity_f1(gold, always_o) == 0
assert entity_f1(gold, tags_a) < 0.2
assert entity_f1(gold, tags_b) > 0.8

# %% [markdown]
# The accuracy of A and B differs by a few percent. Their $F_1$ differs by nearly everything.
#
# **Prediction.** A tagger may give a word an `I-` tag without a `B-` tag before it. How many entities are in `O I-LOC I-LOC
# B-LOC I-PER`? Use the code above.

# %% tags=["prediction"]
for entity in entities_of(map(parse_tag, ["O", "I-LOC", "I-LOC", "B-LOC", "I-PER"])):
    print(f"{entity.type}: words {entity.start} to {entity.end - 1}")

# %% [markdown]
# <details><summary>Explanation</summary>
#
# There are three. An `I-` without a beginning begins an entity: this is the rule of `conlleval`, the script of the task, and
# of the library seqeval. A stricter rule would count only `B-LOC` here. A result without its rule cannot be compared.
#
# </details>
#
# ## Tags and word pieces
#
# So network A finds almost no names, and its loss is small. Look at what it was trained with. (You may open the folded cell
# now.) These are the tokens of a sentence, and the labels of both networks. `-` stands for −100: this position does not count
# in the loss (lesson 9).

# %%
row = TaggedSentence(
    ("the", "dog", "of", "tora", "belim", "sleeps", "in", "nosu", "."),
    ("O", "O", "O", "B-PER", "I-PER", "O", "O", "B-LOC", "O"),
)
in_order, aligned = encoded_in_order([row])[0], encoded([row])[0]


def names_of(labels):
    """Return the tags of labels, and - for a label that does not count."""
    return ["-" if label == IGNORE_INDEX else TAGS[label] for label in labels]


tokens = [tokenizer.id_to_token(token) for token in aligned.input_ids]
of_a, of_b = names_of(in_order.targets["labels"]), names_of(aligned.targets["labels"])
show_table(["token", "labels of A", "labels of B"], list(zip(tokens, of_a, of_b, strict=True)))
assert of_a[:3] == ["O", "O", "O"]
assert of_b[0] == "-"

# %% [markdown]
# There are nine words and 15 tokens. The labels of A are written one after the other, from the first token on. `[CLS]` gets
# the tag of the first word, and every word of several pieces moves the labels of all words after it. The rest is filled with
# `O`. The label `B-PER` stands at *of*.
#
# Nothing fails, because each token may have any label. And A has learned to predict these labels, as far as they can be
# predicted. That is why its loss is small. A loss measures the agreement with the labels, not with the truth.
#
# The rule of Devlin et al. 2019 (section 5.3): the tag of a word stands at its **first piece**. All other pieces, `[CLS]` and
# `[SEP]` have no label:
#
# $$L = -\frac{1}{|F|} \sum_{i \in F} \log \mathrm{softmax}(W x_i + b)_{y_i}$$
#
# $F$ is the set of the positions of first pieces and $|F|$ their number, $x_i$ is BERT's vector at position $i$, $W$ and $b$
# are the weights of the linear layer, and $y_i$ is the number of the tag. The prediction of a word is read at the same place.
# $L$ is the mean over the positions with a label, as in masked language modeling (lesson 9).

# %%
show_code(BertForTokenClassification.apply_head)

# %% [markdown]
# **Change it.** In `encoded_in_order`, write `labels = [IGNORE_INDEX] + tagging.tag_set.targets(row.tags) + padding`, so that
# `[CLS]` has no label, and run the cells from there on. Is A right now? Then also take the suffix `"s"` from all verbs (in
# `tagged_sentence`). Is it right now?
#
# <details><summary>Answer</summary>
#
# No. With the first change, the labels of the first words are right, but every word of several pieces still moves all labels
# after it, and *sleeps* has two pieces. With the second change, many names are found: the first name of a sentence has its
# label at the right place, if it is one word. What comes after it is still wrong. In a text where every word is one piece,
# nothing is moved, and the mistake stays hidden.
#
# </details>
#
# ## The answer is a pair of positions
#
# The same network with another head answers questions. The input is the question and a text, and the answer is a part of the
# text. So it is enough to predict two positions: the first and the last token of the answer. BERT has one vector $S$ for the
# start and one vector $E$ for the end (Devlin et al. 2019, section 4.2):
#
# $$P^{\mathrm{start}}_i = \frac{e^{S \cdot T_i}}{\sum_j e^{S \cdot T_j}}, \qquad
# P^{\mathrm{end}}_i = \frac{e^{E \cdot T_i}}{\sum_j e^{E \cdot T_j}}$$
#
# $T_i$ is BERT's vector of token $i$, and the dots are dot products. These are two softmaxes, but not over classes: each is
# over all **positions** of the text. The loss is the mean of the two cross-entropies.

# %%
show_code(AnsweringObjective.losses)

# %% [markdown]
# **By hand.** A text has the tokens 0, 1, 2, 3. The start scores are 0, 1, 5, 2 and the end scores 4, 6, 1, 5. The largest
# start score is at token 2. The largest end score is at token 1. But an answer cannot end before it starts.
#
# So we need the best **pair**, with start ≤ end. Its score is the sum. From 2 to 3: 5 + 5 = 10. From 1 to 1: 1 + 6 = 7. From 3
# to 3: 2 + 5 = 7. From 0 to 1: 0 + 6 = 6. The answer is the text from token 2 to token 3.

# %%
start, end = np.array([0.0, 1.0, 5.0, 2.0]), np.array([4.0, 6.0, 1.0, 5.0])
print("two maxima: from", start.argmax(), "to", end.argmax())
for score, first, last in best_spans(start, end, count=4, max_tokens=4):
    print(f"best pairs: from {first} to {last}, score {score:g}")
assert best_spans(start, end, count=1, max_tokens=4) == [(10.0, 2, 3)]

# %% [markdown]
# Now with a network. The text is a sentence of our language, with a person or none, and with up to two places: *the old dog of
# tora sleeps in belim and in nosu .* The question is *who ?* or *where ?* If there are two places, both answers are right, and
# the training label is one of them, drawn at random.
#
# If there is no answer, the label is position 0 for the start and the end: that is the token `[CLS]`.


# %%
def question(generator):
    """Return a random question about a random sentence, with all its right answers."""
    draw = generator.choice
    people = [" ".join(random_name(generator))] if generator.random() < 0.6 else []
    places = [" ".join(random_name(generator)) for _ in range(generator.integers(0, 3))]
    owner, place = " ".join(f"of {name}" for name in people), " and ".join(f"in {name}" for name in places)
    context = f"the {draw(ADJECTIVES)} {draw(ANIMALS)} {owner} {draw(VERBS)}s {place} ."
    context = " ".join(context.split())  # no double spaces
    word, names, before = ("who", people, " of ") if generator.random() < 0.4 else ("where", places, " in ")
    answers = [Answer(name, context.index(f"{before}{name} ") + len(before)) for name in names]
    generator.shuffle(answers)  # the first one is the label
    return Question("", f"{word} ?", context, tuple(answers))


answering = Answering(max_length=64, overlap=16, n_best=5, max_answer_tokens=6, threshold=0.0)
answerer, losses = trained(
    BertForQuestionAnswering, answering, question, lambda rows: answering.encode(rows, tokenizer), steps=400
)
generator = np.random.default_rng(99)
questions = [question(generator) for _ in range(300)]
predictions = predictions_of(answerer, answering, questions)
for row, prediction in zip(questions[:4], predictions[:4], strict=True):
    print(f"{row.context}  {row.question}  answer: {prediction['answer'] or '(none)'}")

# %% [markdown]
# We compare two ways to choose the answer. The first takes the two maxima, each for itself. The second takes the best pair of
# at most six tokens. The next cell makes the texts of both and counts the right ones.

# %%
examples = answering.encode(questions, tokenizer)
with torch.no_grad():
    output = answerer(*make_batch(examples, pad_id=0).inputs)
starts, ends = (each.argmax(dim=-1).tolist() for each in (output.start_logits, output.end_logits))


def text_between(row, window, first, last):
    """Return the text from one token to another; None if it is not in the context, "" for [CLS]."""
    if first == last == 0:
        return ""
    first, last = first - window.first, last - window.first  # window.first: the first token of the context
    is_inside = 0 <= first <= last < len(window.spans)  # spans: the characters of each token
    return row.context[window.spans[first][0] : window.spans[last][1]] if is_inside else None


separate = [text_between(*each) for each in zip(questions, examples, starts, ends, strict=True)]
together = [each["answer"] for each in predictions]


def is_right(row, text):
    """Return True for a right answer. "" is right if there is none."""
    return text in [answer.text for answer in row.answers] if row.answers else text == ""


def share_right(texts, count):
    """Return the share of right answers to the questions with this number of right answers."""
    pairs = zip(questions, texts, strict=True)
    return float(np.mean([is_right(row, text) for row, text in pairs if len(row.answers) == count]))


# %% [markdown]
# **Prediction.** For which questions do the two ways differ most: those with no answer, with one, or with two?

# %% tags=["prediction"]
rows = [[f"{count} right answers", share_right(separate, count), share_right(together, count)] for count in (0, 1, 2)]
show_table(["questions with", "two maxima", "best pair"], rows)
impossible = np.mean([last < first for first, last in zip(starts, ends, strict=True)])
print(f"The end is before the start in {impossible:.1%} of all questions.")
assert rows[2][2] > rows[2][1] + 0.05
assert min(rows[0][1:]) > 0.9

# %% tags=["hide-input"]
chosen = next(n for n, row in enumerate(questions) if len(row.answers) == 2 and not is_right(row, separate[n]))
ids = examples[chosen].input_ids
probabilities = [equations.softmax(each[chosen, : len(ids)]) for each in (output.start_logits, output.end_logits)]


def draw_probabilities(axes):
    for values, marker, title in zip(probabilities, "os", ("start", "end"), strict=True):
        axes.plot(values, marker=marker, markersize=5, linewidth=1, label=title)
    axes.set_xticks(range(len(ids)), [tokenizer.id_to_token(token) for token in ids], rotation=90)
    axes.set(title="A question with two right answers", ylabel="probability", ylim=(0, 1))
    axes.legend(frameon=False)


show_figure(draw_probabilities, alt="Both curves have peaks at both places.", size=(7, 3.2))

# %% [markdown]
# With two right answers, the network divides the probability between them: both starts are probable, and both ends. The two
# maxima are chosen separately, so the start may come from one answer and the end from the other. The result is a text that is
# too long, or one that ends before it starts. The best pair must be in order and short, so it is right more often. It is not
# always right: the two softmaxes are independent, and nothing in the loss connects them.
#
# ## No answer
#
# The score of "no answer" is the start score plus the end score of `[CLS]`. It is compared with that of the best pair:
#
# $$s_{\mathrm{null}} = S \cdot T_0 + E \cdot T_0, \qquad
# \hat s = \max_{j \ge i} \; (S \cdot T_i + E \cdot T_j)$$
#
# The network answers if $\hat s > s_{\mathrm{null}} + \tau$ (section 4.3). The threshold $\tau$ (tau) is not trained, but
# chosen on validation data.
#
# **Prediction.** What happens if we leave out this comparison, and always take the best pair?

# %% tags=["prediction"]
forced = [each["answer"] for each in predictions_of(answerer, replace(answering, threshold=None), questions)]
unanswerable = [text for row, text in zip(questions, forced, strict=True) if not row.answers]
print(f"questions without an answer: {len(unanswerable)}, answered: {sum(map(bool, unanswerable))}")
print("such as:", unanswerable[:4])
assert all(unanswerable)

# %% [markdown]
# It always answers, whatever the text says. SQuAD 2.0 (Rajpurkar et al. 2018) has questions without an answer for this reason.
#
# ## Exercises

# %%
exercise("cross_entropy")

# %%
exercise("masked_lm_loss")

# %% [markdown]
# ## Seen in well-known code
#
# - **Tags that are not aligned with word pieces.** Some tutorials give the labels of the words to a network that gets pieces.
#   It runs, as network A does. Tokenizers of Hugging Face have `word_ids()`, which gives the number of the word of each token.
# - **An F1 that counts words.** The classification report of scikit-learn, used on tags, counts each word of an entity. This
#   is another number than the F1 of entities, and a higher one if long names are found in part.
# - **Another rule for `I-` at the beginning.** seqeval counts it as an entity by default, and does not with `mode="strict"`.
#   The same predictions have two values of $F_1$.
#
# ## Further reading
#
# - Devlin et al. 2019, *BERT*, section 4.2, section 4.3 and section 5.3.
# - Tjong Kim Sang and De Meulder 2003, *Introduction to the CoNLL-2003 shared task*.
# - Rajpurkar et al. 2016, *SQuAD*, and 2018, *Know what you don't know*.
# - Next: lesson 14, the same numbers as Hugging Face.
