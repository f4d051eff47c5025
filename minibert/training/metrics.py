"""How much work training is: floating-point operations, counted from the formulas."""

from collections.abc import Iterable

from minibert.equations import IGNORED
from minibert.model import BertConfig
from minibert.text.pretraining import PretrainingBatch


def training_operations(config: BertConfig, batches: Iterable[PretrainingBatch]) -> tuple[int, int]:
    """The tokens in some batches, padding left out, and the floating-point operations that training on them takes.

    A product of matrices takes two operations for each pair of numbers, and the way back twice as many as the way there.
    What is not a product of matrices is not counted, and neither is work on padding.

    Source: Kaplan et al. 2020, section 2.1, with attention and the masked-LM head.
    """
    width, layers = config.hidden_size, config.num_hidden_layers
    for_a_token = layers * (4 * width**2 + 2 * width * config.intermediate_size)
    for_a_guess = width**2 + width * config.vocab_size
    tokens = products = 0
    for batch in batches:
        if not ((batch.labels != IGNORED).any() or (batch.next_sentence_label != IGNORED).any()):
            continue  # what a process is given that has nothing to do
        lengths = batch.attention_mask.sum(dim=1)
        tokens += int(lengths.sum())
        products += for_a_token * int(lengths.sum())
        products += layers * 2 * width * int(lengths.square().sum())  # scores, and the weighted values
        products += for_a_guess * int((batch.labels != IGNORED).sum())
    return tokens, 3 * 2 * products
