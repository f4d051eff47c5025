"""A small network for the tests of the experiments."""

from minibert.model import BertConfig
from minibert.text.tokenizer import vocabulary_size
from tests.training.test_pretraining import TOKENIZER

CONFIG = BertConfig(
    vocab_size=vocabulary_size(TOKENIZER),
    hidden_size=8,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
    initializer_range=0.5,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
