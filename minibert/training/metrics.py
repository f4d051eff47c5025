"""How much work training is: floating-point operations, counted from the formulas."""

from collections.abc import Iterable

from minibert.equations import IGNORE_INDEX
from minibert.model import BertConfig, TransformerConfig
from minibert.text.examples import PretrainingBatch
from minibert.text.parallel import ParallelBatch


def pretraining_cost(config: BertConfig, batches: Iterable[PretrainingBatch]) -> tuple[int, int]:
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
        if not ((batch.labels != IGNORE_INDEX).any() or (batch.next_sentence_label != IGNORE_INDEX).any()):
            continue  # what a process is given that has nothing to do
        lengths = batch.attention_mask.sum(dim=1)
        tokens += int(lengths.sum())
        products += for_a_token * int(lengths.sum())
        products += layers * 2 * width * int(lengths.square().sum())  # scores, and the weighted values
        products += for_a_guess * int((batch.labels != IGNORE_INDEX).sum())
    return tokens, 3 * 2 * products


def translation_cost(config: TransformerConfig, batches: Iterable[ParallelBatch]) -> tuple[int, int]:
    """The same for an encoder-decoder; its tokens are those of sources and targets."""
    width, network = config.hidden_size, 2 * config.hidden_size * config.intermediate_size
    tokens = products = 0
    for batch in batches:
        sources, targets = batch.attention_mask.sum(dim=1), (batch.labels != IGNORE_INDEX).sum(dim=1)
        if not targets.any():
            continue
        source, target = int(sources.sum()), int(targets.sum())
        tokens += source + target
        products += config.encoder_layers * ((4 * width**2 + network) * source + 2 * width * int(sources.square().sum()))
        for_a_target, for_a_source = 6 * width**2 + network, 2 * width**2  # keys and values of the source, once in each layer
        products += config.decoder_layers * (for_a_target * target + for_a_source * source)
        products += config.decoder_layers * 2 * width * int((targets.square() + targets * sources).sum())
        products += width * config.vocab_size * target
    return tokens, 3 * 2 * products
