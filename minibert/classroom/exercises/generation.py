"""Exercises about choosing the next token, and about decoders."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import Arguments, Case, Exercise, Invariant, Role
from minibert.classroom.exercises.invariants import FIRST_ROW, first_rows_equal
from minibert.classroom.exercises.networks import in_training, padding_mask, randomized, small_config, with_fixed_dropout
from minibert.classroom.references import decoder, greedy_decoding
from minibert.equations import IGNORE_INDEX, length_penalty, top_k_filter, top_p_filter
from minibert.model.encoder_decoder import shift_right
from minibert.model.stacks import Decoder

PADDING, END = 0, 1


def output_length(draw: Draw, shortest: int) -> Arguments:
    return {"length": shortest + draw.size(1), "alpha": draw.choice([0.6, 1.0, 1.5])}


def output_with_the_usual_alpha(draw: Draw) -> Arguments:
    return {"length": 5 + draw.size(1)}


def logits_without_ties(draw: Draw) -> Tensor:
    """Logits of a batch in random order, all different in a row. Each row has another spread and mean.

    The last row does not have the lowest mean, so its threshold is not the lowest of the batch.
    """
    batch, vocabulary = draw.size(3), draw.size(6, least=4)
    order, row = torch.stack([draw.numbers(vocabulary).argsort() for _ in range(batch)]), torch.arange(batch)[:, None]
    row[-2:] = row[-2:].flip(0)
    return torch.linspace(-2, 2, vocabulary)[order] * (1 + row / 4) - 1.5 * row


def most_likely_tokens(draw: Draw) -> Arguments:
    return {"logits": logits_without_ties(draw), "k": 1 + int(draw.integers(1, 3))}


def one_token(draw: Draw) -> Arguments:
    return {"logits": logits_without_ties(draw), "k": 1}


def equal_logits(draw: Draw) -> Arguments:
    """The second and the third token are equally likely."""
    logits = logits_without_ties(draw)
    values = logits.sort(dim=-1, descending=True).values
    return {"logits": torch.where(logits == values[:, 2:3], values[:, 1:2], logits), "k": 2}


def more_than_all_tokens(draw: Draw) -> Arguments:
    logits = logits_without_ties(draw)
    return {"logits": logits, "k": logits.shape[-1] + 3}


def nucleus(draw: Draw, size: int) -> Arguments:
    """A probability between the sums of `size - 1` and of `size` tokens."""
    logits = 1.5 * logits_without_ties(draw)
    sums = logits[0].sort(descending=True).values.softmax(dim=0).cumsum(dim=0)
    before = sums[size - 2].item() if size > 1 else 0.0
    return {"logits": logits, "p": before + 0.6 * (sums[size - 1].item() - before)}


def whole_probability(draw: Draw) -> Arguments:
    return {"logits": logits_without_ties(draw), "p": 1.0}


@dataclass
class ScriptedModel:
    """A model whose logits depend on all tokens of a text. The first token is the number of new tokens, with the end token."""

    table: Tensor
    """Logits for each sum of the tokens, of shape (sums, vocabulary)."""
    prompt_length: int

    def __call__(self, tokens: Tensor) -> Tensor:
        logits = self.table[tokens.sum(dim=1) % len(self.table)]
        ends = tokens[:, 0] == tokens.shape[1] - self.prompt_length + 1
        return torch.where(torch.arange(logits.shape[1]) == END, torch.where(ends, 99.0, -99.0)[:, None], logits)


def texts_to_continue(draw: Draw, lengths: Sequence[int]) -> Arguments:
    """One text for each length. A text longer than 6 new tokens is not finished."""
    prompt = torch.cat([torch.tensor(lengths)[:, None], draw.integers(2, 9, len(lengths), draw.size(2))], dim=1)
    sums, vocabulary = 17, 6 + draw.size(3)
    table = torch.stack([draw.numbers(vocabulary).argsort() for _ in range(sums)]).float()
    table[:, PADDING] = -5.0
    model = ScriptedModel(table, prompt.shape[1])
    return {"next_logits": model, "prompt": prompt, "eos_token_id": END, "max_new_tokens": 6, "pad_token_id": PADDING}


def without_padding(result: Any) -> Tensor:
    """Return generated tokens without padding at the end, so that a loop may end when all texts have ended, or go on."""
    rows = [torch.as_tensor(row) for row in result]
    tokens: Tensor = pad_sequence(rows, batch_first=True, padding_value=PADDING)
    used = (tokens != PADDING).any(dim=0).nonzero()
    return tokens[:, : int(used.max()) + 1 if len(used) else 0]


def rows_of_tokens(tokens: Tensor, arguments: Arguments) -> str:
    """Return the tokens of each text, without padding at its end."""
    rows = ([*map(str, row)] for row in tokens.reshape(-1, tokens.shape[-1]).tolist()) if tokens.ndim else []
    return "\n".join(f"[{' '.join(row)}]" for row in rows)


def targets(draw: Draw) -> Arguments:
    """Labels of two texts or more. The first is shorter than the others."""
    batch, tokens = draw.size(2, least=2), draw.size(4, least=3)
    labels = draw.integers(3, 20, batch, tokens)
    labels[0, -2:] = IGNORE_INDEX
    return {"labels": labels, "start": 2, "padding": 0}


def target_and_source(draw: Draw) -> Arguments:
    """Two layers, a target with padding on the left, and a longer source with padding."""
    config, batch, tokens = small_config(draw), draw.size(2, least=2), draw.size(4, least=3)
    module = randomized(with_fixed_dropout(Decoder(config, 2, "learned", attention="explicit")), draw).eval()
    keep = torch.arange(tokens) >= draw.integers(0, 2, batch)[:, None]
    keep[0, 0] = False
    return {
        "self": module,
        "words": draw.numbers(batch, tokens, config.hidden_size),
        "keep": keep,
        "memory": draw.numbers(batch, tokens + 1, config.hidden_size),
        "memory_keep": padding_mask(draw, batch, tokens + 1)[:, 0, 0],
    }


def one_row(arguments: Arguments) -> Arguments:
    """Keep the first text of a batch only."""
    return {**arguments, "logits": arguments["logits"][:1]}


ROWS = Invariant("rows of a batch are independent", one_row, first_rows_equal, FIRST_ROW)

GENERATION_EXERCISES = [
    Exercise(
        "length_penalty",
        length_penalty,
        (
            Case("a short output", partial(output_length, shortest=1)),
            Case("a long output", partial(output_length, shortest=20)),
            Case("the usual α", output_with_the_usual_alpha),
        ),
        questions=("Which penalty has an output of one token?",),
    ),
    Exercise(
        "top_k_filter",
        top_k_filter,
        (
            Case("some tokens", most_likely_tokens, gradients=False),
            Case("one token", one_token, Role.EDGE, gradients=False),
            Case("equal logits", equal_logits, Role.LIMIT, gradients=False),
            Case("more than all tokens", more_than_all_tokens, Role.LIMIT, gradients=False),
        ),
        questions=("Which logit is the smallest one that is kept?",),
        invariants=(ROWS,),
    ),
    Exercise(
        "top_p_filter",
        top_p_filter,
        (
            Case("three tokens", partial(nucleus, size=3), gradients=False),
            Case("two tokens", partial(nucleus, size=2), gradients=False),
            Case("one token", partial(nucleus, size=1), Role.EDGE, gradients=False),
            Case("all tokens", whole_probability, Role.LIMIT, gradients=False),
        ),
        questions=(
            "Is the token that reaches the probability p kept?",
            "In which order are the sums, and in which the result?",
        ),
        invariants=(ROWS,),
    ),
    Exercise(
        "shift_right",
        shift_right,
        (Case("targets", targets),),
        questions=("Which token does a decoder get at the position of its first target?",),
    ),
    Exercise(
        "decoder",
        decoder,
        (
            Case("padding", target_and_source),
            in_training(target_and_source),
        ),
        questions=("Which tokens may a token of the target attend to, and which tokens of the source?",),
        needs=("causal_mask", "padding_mask", "decoder_layer"),
    ),
    Exercise(
        "greedy_decoding",
        greedy_decoding,
        (
            Case("texts of different lengths", partial(texts_to_continue, lengths=(3, 9, 2)), gradients=False),
            Case("all texts end", partial(texts_to_continue, lengths=(4, 2)), gradients=False),
            Case("a text that ends at once", partial(texts_to_continue, lengths=(1, 9)), Role.EDGE, gradients=False),
        ),
        questions=("What follows the end token of a text while other texts go on?", "Which tokens does the model get?"),
        read=without_padding,
        write=rows_of_tokens,
    ),
]
