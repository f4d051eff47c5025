"""Sentences to guess in, and the head that is shown."""

import torch

from minibert import BertConfig, BertForPreTraining, record
from minibert.study.introspection import masked_sentences, sharpest_head
from minibert.text.corpus import Document
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS])


def test_one_known_word_of_each_sentence_is_hidden() -> None:
    """Putting the truth back gives the sentence; short sentences and unknown words are passed over; always the same draw."""
    sentence, unknown = " ".join(WORDS), " ".join(word.upper() + "x" for word in WORDS)
    documents = [Document("m", (sentence, "one two", unknown))] * 5
    found = masked_sentences(documents, TOKENIZER, 3)
    assert len(found) == 3
    assert all(some.text.replace("[MASK]", some.truth) == sentence for some in found)
    assert all(some.text.count("[MASK]") == 1 for some in found)
    assert found == masked_sentences(documents, TOKENIZER, 3)


def test_the_head_that_looks_hardest_at_other_tokens_is_shown() -> None:
    """Layer 1's second head reads one token only, and is found with its weights; layer 0's first reads itself, and is not."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=13, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    model = BertForPreTraining(config).eval()
    with torch.no_grad():
        model.bert.layers[1].attention.query.weight[4:] *= 1e5
        alike = model.bert.layers[0].attention
        alike.query.weight[:4] *= 1e3
        alike.key.weight[:4] = alike.query.weight[:4]
    view = sharpest_head(model, TOKENIZER, "one two three")
    assert (view.layer, view.head) == (1, 1)
    assert view.tokens == ["[CLS]", "one", "two", "three", "[SEP]"]
    with record(model) as recording:
        model(torch.tensor([TOKENIZER.encode("one two three").ids]))
    torch.testing.assert_close(view.weights, recording["layers.1.attention.weights"][0, 1])
