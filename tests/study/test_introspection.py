"""Masked sentences, and the attention head that a report shows."""

import torch

from minibert import BertConfig, BertForPreTraining, record
from minibert.study.introspection import masked_sentences, sharpest_head
from minibert.text.corpus import Document
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS])


def test_one_word_of_the_vocabulary_is_masked_in_each_sentence() -> None:
    """Restoring the word gives the sentence. Short sentences and unknown words are skipped. Two draws are equal."""
    sentence, unknown = " ".join(WORDS), " ".join(word.upper() + "x" for word in WORDS)
    documents = [Document("m", (sentence, "one two", unknown))] * 5
    examples = masked_sentences(documents, TOKENIZER, 3)
    assert len(examples) == 3
    assert all(example.text.replace("[MASK]", example.truth) == sentence for example in examples)
    assert all(example.text.count("[MASK]") == 1 for example in examples)
    assert examples == masked_sentences(documents, TOKENIZER, 3)


def test_the_head_with_the_sharpest_attention_to_other_tokens_is_returned() -> None:
    """Head 1 of layer 1 attends to one other token. Head 0 of layer 0 attends to the token itself, which does not count."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=13, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    model = BertForPreTraining(config).eval()
    with torch.no_grad():
        model.bert.layers[1].attention.query.weight[4:] *= 1e5
        attention = model.bert.layers[0].attention
        attention.query.weight[:4] *= 1e3
        attention.key.weight[:4] = attention.query.weight[:4]
    head = sharpest_head(model, TOKENIZER, "one two three")
    assert (head.layer, head.head) == (1, 1)
    assert head.tokens == ["[CLS]", "one", "two", "three", "[SEP]"]
    with record(model) as recording:
        model(torch.tensor([TOKENIZER.encode("one two three").ids]))
    torch.testing.assert_close(head.weights, recording["layers.1.attention.weights"][0, 1])
