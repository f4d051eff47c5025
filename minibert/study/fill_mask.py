"""Masked-token prediction with a pretrained BERT."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from minibert.equations import softmax
from minibert.model import BertForMaskedLM, BertForPreTraining, read_checkpoint
from minibert.model.modes import evaluation_mode
from minibert.text.tokenizer import MASK, UNK, check_id, special_token, token_id
from minibert.text.tokenizer_loading import load_tokenizer


@dataclass(frozen=True)
class Prediction:
    """A word piece predicted at a [MASK]."""

    piece: str
    probability: float


def load_masked_lm(source: str | Path) -> tuple[BertForMaskedLM, Tokenizer]:
    """Load a BERT, or one of its relatives, with its masked-LM head, and its tokenizer.

    Args:
        source: a folder with a checkpoint and its tokenizer, or the id of a model on the Hugging Face hub.

    Raises: FileNotFoundError if there is no checkpoint or no tokenizer. ValueError if there is no masked-LM head.
    """
    checkpoint = read_checkpoint(source)
    if not any(network.head == BertForMaskedLM.head for network in checkpoint.networks):
        raise ValueError(
            f"{source}: a model of type {checkpoint.model_type!r} does not predict masked words; give a checkpoint of BERT or "
            "of one of its relatives, or use `minibert generate` for GPT-2 and T5"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*not used by")  # weights of other heads
        model = checkpoint.load(BertForMaskedLM.head, new_head=False)
    assert isinstance(model, BertForMaskedLM)
    return model, load_tokenizer(source)


@torch.no_grad()
def fill_mask(
    model: BertForMaskedLM | BertForPreTraining, tokenizer: Tokenizer, text: str, top: int = 5
) -> list[list[Prediction]]:
    """Predict the most probable pieces at each [MASK] of a text, in order of probability.

    Args:
        top: the number of predictions per [MASK].

    Raises: ValueError if the text has no [MASK] or more tokens than the model has positions, and for a tokenizer that has no
    [MASK] or belongs to another model.
    """
    encoding = tokenizer.encode(text)
    input_ids, mask = torch.tensor([encoding.ids]), special_token(tokenizer, MASK)
    masked = input_ids.eq(token_id(tokenizer, MASK))
    if not masked.any():
        if mask in text:
            raise ValueError(f"the tokenizer does not treat {mask} as a special token: set mask_token in tokenizer_config.json")
        raise ValueError(f"the text has no {mask}: put {mask} in place of the word to predict")
    check_id(tokenizer, max(encoding.ids), model.config.vocab_size)
    with evaluation_mode(model):
        hidden = model.bert(input_ids).last_hidden_state[masked]
        probabilities = softmax(model.mlm(hidden, model.bert.embeddings.words.weight))
    best = probabilities.topk(min(top, probabilities.shape[-1]))
    return [
        [Prediction(piece_of(tokenizer, index), value) for index, value in zip(indices, values, strict=True)]
        for indices, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def unknown_words(tokenizer: Tokenizer, text: str) -> tuple[list[str], int]:
    """Return the words of a text that the tokenizer replaces by [UNK], and the number of all its tokens but [MASK].

    A model that gets only [UNK] still returns probabilities, which say nothing about the text.
    """
    encoding = tokenizer.encode(text, add_special_tokens=False)
    unknown, mask = (tokenizer.token_to_id(special_token(tokenizer, name)) for name in (UNK, MASK))
    tokens = [(index, text[start:end]) for index, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)]
    return [word for index, word in tokens if index == unknown], sum(index != mask for index, _ in tokens)


def piece_of(tokenizer: Tokenizer, index: int) -> str:
    """Return the piece of an id. An id without a piece, as in a vocabulary padded to a round number, is shown as a number."""
    return tokenizer.id_to_token(index) or f"(id {index}, no piece)"
