"""What a pretrained BERT would put in the place of [MASK]."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from minibert.equations import softmax
from minibert.model import BertForPreTraining, load
from minibert.text.tokenizer import MASK, UNK, load_tokenizer, token_id


@dataclass(frozen=True)
class Guess:
    """One word piece that could stand at a [MASK]."""

    piece: str
    probability: float


def load_masked_lm(directory: str | Path) -> tuple[BertForPreTraining, Tokenizer]:
    """A checkpoint that can guess masked words, with its tokenizer.

    Raises: FileNotFoundError if there is no checkpoint or no tokenizer, ValueError if it has no masked-LM head.
    """
    return load(directory, BertForPreTraining, new_head=False), load_tokenizer(directory)


@torch.no_grad()
def fill_mask(model: BertForPreTraining, tokenizer: Tokenizer, text: str, top: int = 5) -> list[list[Guess]]:
    """For each [MASK] in `text`, the `top` most probable pieces, most probable first.

    Raises: ValueError if there is no [MASK] in the text, or the text is longer than the model's positions.
    """
    encoding = tokenizer.encode(text)
    input_ids = torch.tensor([encoding.ids])
    masked = input_ids.eq(token_id(tokenizer, MASK))
    if not masked.any():
        raise ValueError(f"there is no {MASK} in the text: write {MASK} where a word is to be guessed")
    model.eval()
    probabilities = softmax(model(input_ids, predict_at=masked).prediction_logits)
    best = probabilities.topk(min(top, probabilities.shape[-1]))
    return [
        [Guess(tokenizer.id_to_token(piece) or UNK, probability) for piece, probability in zip(pieces, values, strict=True)]
        for pieces, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
