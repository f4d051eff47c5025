"""Masked-token prediction with a pretrained BERT."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from minibert.equations import softmax
from minibert.model import BertForMaskedLM, BertForPreTraining, load
from minibert.model.modes import evaluation_mode
from minibert.text.tokenizer import MASK, UNK, load_tokenizer, token_id


@dataclass(frozen=True)
class Prediction:
    """A word piece predicted at a [MASK]."""

    piece: str
    probability: float


def load_masked_lm(source: str | Path) -> tuple[BertForMaskedLM, Tokenizer]:
    """Load a BERT with its masked-LM head, and its tokenizer.

    Args:
        source: a folder with a checkpoint and its tokenizer, or the id of a model on the Hugging Face hub.

    Raises: FileNotFoundError if there is no checkpoint or no tokenizer. ValueError if there is no masked-LM head.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*not used by")  # weights of other heads
        model = load(source, BertForMaskedLM, new_head=False)
    return model, load_tokenizer(source)


@torch.no_grad()
def fill_mask(
    model: BertForMaskedLM | BertForPreTraining, tokenizer: Tokenizer, text: str, top: int = 5
) -> list[list[Prediction]]:
    """Predict the most probable pieces at each [MASK] of a text, in order of probability.

    Args:
        top: the number of predictions per [MASK].

    Raises: ValueError if the text has no [MASK] or more tokens than the model has positions.
    """
    encoding = tokenizer.encode(text)
    input_ids = torch.tensor([encoding.ids])
    masked = input_ids.eq(token_id(tokenizer, MASK))
    if not masked.any():
        raise ValueError(f"the text has no {MASK}: put {MASK} in place of the word to predict")
    with evaluation_mode(model):
        hidden = model.bert(input_ids).last_hidden_state[masked]
        probabilities = softmax(model.mlm(hidden, model.bert.embeddings.words.weight))
    best = probabilities.topk(min(top, probabilities.shape[-1]))
    return [
        [Prediction(tokenizer.id_to_token(piece) or UNK, value) for piece, value in zip(pieces, values, strict=True)]
        for pieces, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
