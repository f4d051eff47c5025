"""Functions that are exercises, and that minibert has in a longer form only: training steps, a decoder, and greedy decoding.

Tests show that they equal `training.loop.train`, `model.stacks.Decoder` and `model.generation.greedy_search`. Two more are
other forms of exercises, written with the equation of attention.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from minibert.equations import masked_lm_loss, merge_heads, scaled_dot_product_attention, split_heads
from minibert.model.attention import MultiHeadAttention
from minibert.model.stacks import Decoder

Batch = Mapping[str, Tensor]
"""`input_ids`, `attention_mask` and `labels` of shape (batch, tokens)."""


@dataclass
class Schedule:
    """A learning rate for each step. As with PyTorch's schedules, `step` sets that of the next one."""

    optimizer: Optimizer
    learning_rates: Sequence[float]
    number: int = 0

    def step(self) -> None:
        """Set the learning rate of the next step."""
        self.number += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rates[self.number]


def training_steps(
    model: nn.Module, batches: Sequence[Batch], optimizer: Optimizer, schedule: Schedule, max_grad_norm: float = 1.0
) -> list[float]:
    r"""Put the model into training mode, and run one training step of masked language modeling for each batch.

    Source: Devlin et al. 2019, section A.2.
    Differs: the loss of a batch without a target, in which every label is `IGNORE_INDEX`, is 0; that of PyTorch is NaN.
    Tests: tests/classroom/test_references.py::TestTrainingSteps

    Args:
        model: a `BertForMaskedLM`. It comes in evaluation mode, without dropout: call `model.train()` first.
            `model(input_ids, attention_mask).logits` are its predictions.
        batches: `input_ids`, `attention_mask` and `labels` of each step.
        optimizer: `optimizer.step()` updates the parameters, `optimizer.zero_grad()` forgets the gradients.
        schedule: `schedule.step()` sets the learning rate of the next step.
        max_grad_norm: maximum joint norm of all gradients, for clipping.

    Returns: the loss of each batch, before its update.
    """
    model.train()
    losses = []
    for batch in batches:
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        loss = masked_lm_loss(logits, batch["labels"])
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def decoder(
    self: Decoder,
    words: Float[Tensor, "batch tokens width"],
    keep: Bool[Tensor, "batch tokens"],
    memory: Float[Tensor, "batch sources width"],
    memory_keep: Bool[Tensor, "batch sources"],
) -> Float[Tensor, "batch tokens width"]:
    r"""Compute a decoder: positions, and layers in which each token attends to itself, to earlier tokens and to the source.

    Source: Vaswani et al. 2017, section 3.1 and figure 1, right.
    Tests: tests/classroom/test_references.py::TestDecoder

    Args:
        self: the decoder. `self.embed(words, positions)` adds the vectors of the positions, of shape (1, tokens), to the words.
            `self.layers(hidden, mask, memory=memory, memory_keep=memory_mask)` computes all layers. A mask is True where a
            query may attend to a key, and it must fit the shape (batch, heads, queries, keys).
        words: word embeddings of the target.
        keep: False for the padding of the target. Padding counts in the positions.
        memory: the encoder output.
        memory_keep: False for the padding of the source.
    """
    tokens = words.shape[1]
    hidden = self.embed(words, torch.arange(tokens)[None])
    earlier = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    mask, memory_mask = earlier & keep[:, None, None, :], memory_keep[:, None, None, :]
    output: Tensor = self.layers(hidden, mask, memory=memory, memory_keep=memory_mask)
    return output


@torch.no_grad()
def greedy_decoding(
    next_logits: Callable[[Int[Tensor, "batch tokens"]], Float[Tensor, "batch vocabulary"]],
    prompt: Int[Tensor, "batch prompt"],
    eos_token_id: int,
    max_new_tokens: int,
    pad_token_id: int = 0,
) -> Int[Tensor, "batch new"]:
    r"""Append the most likely token to every text, until all have the end token or `max_new_tokens` new tokens.

    Source: Sutskever et al. 2014, section 3.2, with one hypothesis.
    Tests: tests/classroom/test_references.py::TestGreedyDecoding

    Args:
        next_logits: the model: from all tokens so far to the logits of the next one.
        eos_token_id: the end token. It is the last token of a finished text, and padding follows it.

    Returns: the new tokens, without the prompt.
    """
    tokens = prompt
    finished = torch.zeros(len(prompt), dtype=torch.bool)
    for _ in range(max_new_tokens):
        chosen = next_logits(tokens).argmax(dim=-1).masked_fill(finished, pad_token_id)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
        finished = finished | (chosen == eos_token_id)
        if finished.all():
            break
    return tokens[:, prompt.shape[1] :]


def attention_in_one_block(
    query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, block_size: int = 64
) -> Float[Tensor, "*batch queries value_width"]:
    """Compute attention without blocks, which gives the result of `online_softmax_attention` for every `block_size`."""
    return scaled_dot_product_attention(query, key, value, keep)


def attention_layer_of_equations(
    self: MultiHeadAttention,
    queries_from: Tensor,
    keys_from: Tensor | tuple[Tensor, Tensor],
    keep: Tensor | None = None,
) -> Float[Tensor, "batch queries width"]:
    """Compute `MultiHeadAttention.forward`, without dropout, by the equation of attention."""
    query = split_heads(self.query(queries_from), self.heads)
    if isinstance(keys_from, tuple):
        key, value = keys_from
    else:
        key, value = (split_heads(project(keys_from), self.heads) for project in (self.key, self.value))
    output: Tensor = self.output(merge_heads(scaled_dot_product_attention(query, key, value, keep)))
    return output
