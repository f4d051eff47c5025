"""Looking into a pretrained model: sentences for it to guess in, and what a head of its attention reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from tokenizers import Tokenizer
from torch import Tensor

from minibert.model import BertForPreTraining
from minibert.observe import record
from minibert.text.corpus import Document
from minibert.text.tokenizer import MASK


@dataclass(frozen=True)
class MaskedSentence:
    """A sentence with one word hidden."""

    text: str
    truth: str


def masked_sentences(documents: Sequence[Document], tokenizer: Tokenizer, count: int) -> list[MaskedSentence]:
    """Sentences of 7 to 14 words of the documents, drawn blindly, one word of each hidden, blindly as well.

    Only that the word is one piece of the vocabulary is asked for: a [MASK] stands for one piece.
    """
    generator = np.random.default_rng(0)
    sentences = [sentence for document in documents for sentence in document.sentences]
    found: list[MaskedSentence] = []
    for place in generator.permutation(len(sentences)):
        words = sentences[place].split()
        hidden = int(generator.integers(1, max(2, len(words) - 1)))
        if 7 <= len(words) <= 14 and tokenizer.token_to_id(words[hidden].lower()) is not None:
            text = " ".join([*words[:hidden], MASK, *words[hidden + 1 :]])
            found.append(MaskedSentence(text, words[hidden].lower()))
        if len(found) == count:
            break
    return found


@dataclass(frozen=True)
class HeadView:
    """What one attention head of one layer reads in a sentence."""

    layer: int
    head: int
    tokens: list[str]
    weights: Float[Tensor, "queries keys"]


@torch.no_grad()
def sharpest_head(model: BertForPreTraining, tokenizer: Tokenizer, text: str) -> HeadView:
    """The head in which the tokens of `text` look hardest at one other token each: that a token reads itself says little."""
    encoding = tokenizer.encode(text)
    model.eval()
    with record(model) as recording:
        model(torch.tensor([encoding.ids]))
    layers = range(model.config.num_hidden_layers)
    weights = torch.stack([recording[f"layers.{layer}.attention.weights"][0] for layer in layers])
    itself = torch.eye(len(encoding.ids), dtype=torch.bool)
    hardest = weights.masked_fill(itself, 0.0).amax(dim=-1).mean(dim=-1)
    layer, head = divmod(int(hardest.argmax()), weights.shape[1])
    return HeadView(layer, head, encoding.tokens, weights[layer, head])
