"""Examples that show what a pretrained model computes: masked sentences, and the attention weights of one head."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from tokenizers import Tokenizer
from torch import Tensor

from minibert.model import BertForPreTraining
from minibert.model.modes import evaluation_mode
from minibert.observe import record
from minibert.text.corpus import Document
from minibert.text.tokenizer import MASK


@dataclass(frozen=True)
class MaskedSentence:
    """A sentence with one masked word."""

    text: str
    """The sentence, with [MASK] in place of the word."""
    truth: str
    """The masked word, in lower case."""


def masked_sentences(documents: Sequence[Document], tokenizer: Tokenizer, count: int) -> list[MaskedSentence]:
    """Draw random sentences and mask one random word in each.

    Sentences have 7 to 14 words. The masked word is a single piece of the vocabulary, because one [MASK] stands for one
    piece. The seed is fixed: the same documents give the same sentences.
    """
    generator = np.random.default_rng(0)
    sentences = [sentence for document in documents for sentence in document.sentences]
    examples: list[MaskedSentence] = []
    for index in generator.permutation(len(sentences)):
        words = sentences[index].split()
        masked = int(generator.integers(1, max(2, len(words) - 1)))
        if 7 <= len(words) <= 14 and tokenizer.token_to_id(words[masked].lower()) is not None:
            text = " ".join([*words[:masked], MASK, *words[masked + 1 :]])
            examples.append(MaskedSentence(text, words[masked].lower()))
        if len(examples) == count:
            break
    return examples


@dataclass(frozen=True)
class AttentionHead:
    """The attention weights of one head on one sentence."""

    layer: int
    head: int
    tokens: list[str]
    weights: Float[Tensor, "queries keys"]


@torch.no_grad()
def sharpest_head(model: BertForPreTraining, tokenizer: Tokenizer, text: str) -> AttentionHead:
    """Find the head whose queries put the most weight on a single other token, averaged over the tokens of `text`.

    Weights of a token on itself do not count.
    """
    encoding = tokenizer.encode(text)
    with evaluation_mode(model), record(model) as recording:
        model(torch.tensor([encoding.ids], device=model.mlm.bias.device))
    layers = range(model.config.num_hidden_layers)
    weights = torch.stack([recording[f"layers.{layer}.attention.weights"][0] for layer in layers])
    diagonal = torch.eye(len(encoding.ids), dtype=torch.bool, device=weights.device)
    sharpness = weights.masked_fill(diagonal, 0.0).amax(dim=-1).mean(dim=-1)
    layer, head = divmod(int(sharpness.argmax()), weights.shape[1])
    return AttentionHead(layer, head, encoding.tokens, weights[layer, head].cpu())
