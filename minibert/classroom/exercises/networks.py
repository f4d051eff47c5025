"""Exercises about the layers of BERT and their training. The first argument, `self`, is the module with its parameters."""

import copy
import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import LARGE_NUMBERS, Arguments, Case, Exercise, Invariant, Role, without
from minibert.classroom.exercises.attention import HUGE, mask_with_padding, with_an_empty_row
from minibert.classroom.exercises.invariants import FIRST_ROW, HEADS_REVERSED, equal, first_rows_equal
from minibert.classroom.references import Schedule, attention_layer_of_equations, training_steps
from minibert.equations import IGNORE_INDEX
from minibert.model import BertConfig, BertForMaskedLM
from minibert.model.attention import MultiHeadAttention
from minibert.model.embeddings import BertEmbeddings
from minibert.model.heads import MaskedLMHead
from minibert.model.layers import DecoderLayer, EncoderLayer

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class FixedDropout(nn.Module):
    """A dropout that drops every third number, the same in every call."""

    def forward(self, x: Tensor) -> Tensor:
        keep = (torch.arange(x.numel()).reshape(x.shape) + 1) % 3 > 0
        return 1.5 * keep * x if self.training else x


def randomized(module: ModuleT, draw: Draw) -> ModuleT:
    """Give all parameters numbers that differ: also gains, which begin as ones, and biases, which begin as zeros."""
    with torch.no_grad():
        for parameter in module.parameters():
            width = parameter.shape[-1] if parameter.ndim > 1 else 4
            parameter.copy_(1.5 * draw.numbers(*parameter.shape) / math.sqrt(width))
    return module


def with_fixed_dropout(module: ModuleT) -> ModuleT:
    """Replace every dropout inside a module."""
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout):
                setattr(parent, name, FixedDropout().train(child.training))
    return module


def small_config(draw: Draw, heads: int = 2) -> BertConfig:
    return BertConfig(
        vocab_size=9 + draw.size(3),
        hidden_size=heads * draw.size(3, least=2),
        num_hidden_layers=1,
        num_attention_heads=heads,
        intermediate_size=draw.size(5),
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def padding_mask(draw: Draw, batch: int, keys: int) -> Tensor:
    """A mask of shape (batch, 1, 1, keys) that hides the last key of the first text."""
    lengths = draw.integers(1, keys + 1, batch)
    lengths[0] = max(1, keys - 1)
    return (torch.arange(keys) < lengths[:, None])[:, None, None, :]


def in_training(inputs: Callable[[Draw], Arguments]) -> Case:
    """Return the case in which the dropout of a module is in use."""

    def recipe(draw: Draw) -> Arguments:
        arguments = inputs(draw)
        arguments["self"].train()
        return arguments

    return Case("training", recipe)


def without_mask(inputs: Callable[[Draw], Arguments], mask: str) -> Case:
    """Return the case in which a mask is not given."""
    return Case(f"without {mask}", lambda draw: without(inputs(draw), mask), Role.EDGE, gradients=False)


def attention_layer(draw: Draw) -> Arguments:
    """Self-attention with padding."""
    config, batch, tokens = small_config(draw), draw.size(2), draw.size(4, least=2)
    layer = randomized(MultiHeadAttention(config.hidden_size, config.num_attention_heads, attention="explicit"), draw).eval()
    hidden = draw.numbers(batch, tokens, config.hidden_size)
    return {"self": layer, "queries_from": hidden, "keys_from": hidden.clone(), "keep": padding_mask(draw, batch, tokens)}


def cross_attention_layer(draw: Draw) -> Arguments:
    """Queries from other tokens than the keys, as many of both. Each query has its own mask."""
    inputs = attention_layer(draw)
    batch, tokens, _ = inputs["keys_from"].shape
    keep = mask_with_padding(draw, batch, 1, tokens, tokens)
    return {**inputs, "queries_from": draw.numbers(*inputs["keys_from"].shape), "keep": keep}


def cross_attention_of_other_lengths(draw: Draw) -> Arguments:
    inputs = attention_layer(draw)
    batch, tokens, width = inputs["keys_from"].shape
    return {**inputs, "queries_from": draw.numbers(batch, tokens + 2, width)}


def attention_to_given_keys(draw: Draw) -> Arguments:
    """The keys and values are given, as when decoding with a cache."""
    inputs = cross_attention_layer(draw)
    given = inputs["self"].keys_and_values(inputs["keys_from"])
    return {**inputs, "keys_from": tuple(tensor.detach() for tensor in given)}


def large_scores(draw: Draw) -> Arguments:
    inputs = attention_layer(draw)
    return {**inputs, **{name: HUGE * inputs[name] for name in ("queries_from", "keys_from")}}


def encoder_layer(draw: Draw, layer_type: type[EncoderLayer] = EncoderLayer) -> Arguments:
    """A layer in evaluation mode, and a batch with padding."""
    config, batch, tokens = small_config(draw), draw.size(2), draw.size(4, least=2)
    layer = with_fixed_dropout(layer_type(config, "explicit"))
    hidden = draw.numbers(batch, tokens, config.hidden_size)
    return {"self": randomized(layer, draw).eval(), "hidden": hidden, "keep": padding_mask(draw, batch, tokens)}


def decoder_layer(draw: Draw) -> Arguments:
    """A causal mask for the tokens, and an encoder output with padding, which has other tokens."""
    inputs = encoder_layer(draw, DecoderLayer)
    batch, tokens, width = inputs["hidden"].shape
    causal = torch.ones(tokens, tokens, dtype=torch.bool).tril()[None, None]
    sources = tokens + 1
    memory_keep = padding_mask(draw, batch, sources)
    return {**inputs, "keep": causal, "memory": draw.numbers(batch, sources, width), "memory_keep": memory_keep}


def embeddings(draw: Draw) -> Arguments:
    """Two segments in every text. No id is that of the padding."""
    config, batch, tokens = small_config(draw), draw.size(2), draw.size(4, least=2)
    module = with_fixed_dropout(BertEmbeddings(config))
    segments = (torch.arange(tokens) >= tokens // 2).long().expand(batch, tokens)
    return {
        "self": randomized(module, draw).eval(),
        "input_ids": draw.integers(1, config.vocab_size, batch, tokens),
        "token_type_ids": segments.clone(),
        "position_ids": torch.arange(tokens)[None],
    }


def embeddings_at_other_positions(draw: Draw) -> Arguments:
    """Positions that do not begin with 0, as for texts with padding on the left."""
    inputs = embeddings(draw)
    return {**inputs, "position_ids": inputs["position_ids"] + 3}


def embeddings_of_padding(draw: Draw) -> Arguments:
    """The first text ends with padding. Its row of the table has no gradient in PyTorch, so gradients are not compared."""
    inputs = embeddings(draw)
    inputs["input_ids"][0, -1] = 0
    return inputs


def masked_lm_head(draw: Draw) -> Arguments:
    config, batch, tokens = small_config(draw), draw.size(2), draw.size(3)
    hidden = draw.numbers(batch, tokens, config.hidden_size)
    embeddings = draw.numbers(config.vocab_size, config.hidden_size)
    return {"self": randomized(MaskedLMHead(config), draw).eval(), "hidden": hidden, "embeddings": embeddings}


def training(draw: Draw, max_grad_norm: float) -> Arguments:
    """Three batches with padding and few masked positions. The dropout is the same in every call."""
    config, batch, tokens = small_config(draw), draw.size(2), draw.size(4, least=3)
    model = with_fixed_dropout(randomized(BertForMaskedLM(config, "explicit"), draw)).eval()
    batches = []
    for _ in range(3):
        labels = draw.integers(0, config.vocab_size, batch, tokens)
        labels[draw.integers(0, 2, batch, tokens) == 0] = IGNORE_INDEX
        labels[0, :2] = torch.tensor([3, IGNORE_INDEX])
        ids = draw.integers(0, config.vocab_size, batch, tokens)
        keep = padding_mask(draw, batch, tokens)[:, 0, 0].long()
        batches.append({"input_ids": ids, "attention_mask": keep, "labels": labels.masked_fill(keep == 0, IGNORE_INDEX)})
    rates = (0.2, 0.1, 0.3, 0.05)
    optimizer = torch.optim.SGD(model.parameters(), lr=rates[0])
    schedule = Schedule(optimizer, rates)
    return {
        "model": model,
        "batches": batches,
        "optimizer": optimizer,
        "schedule": schedule,
        "max_grad_norm": max_grad_norm,
    }


def long_gradients(draw: Draw) -> Arguments:
    return training(draw, 0.5)


def short_gradients(draw: Draw) -> Arguments:
    return training(draw, 1000.0)


def no_masked_position(draw: Draw) -> Arguments:
    """The second batch has no masked position."""
    inputs = training(draw, 0.5)
    labels = inputs["batches"][1]["labels"]
    labels.fill_(IGNORE_INDEX)
    return inputs


def large_logits(draw: Draw) -> Arguments:
    """The biases of the vocabulary are so large that the exponential of a logit overflows."""
    inputs = training(draw, 0.5)
    with torch.no_grad():
        inputs["model"].mlm.bias[::2] = 200.0
    return inputs


def permute_heads(arguments: Arguments) -> Arguments:
    """Reverse the order of the heads: of their queries, keys and values, and of their columns in the output projection."""
    layer = copy.deepcopy(arguments["self"])
    order = torch.arange(layer.query.out_features).view(layer.heads, -1).flip(0).flatten()
    with torch.no_grad():
        for projection in (layer.query, layer.key, layer.value):
            projection.weight.copy_(projection.weight[order].clone())
            projection.bias.copy_(projection.bias[order].clone())
        layer.output.weight.copy_(layer.output.weight[:, order].clone())
    given = arguments["keys_from"]
    keys_from = tuple(tensor.flip(1) for tensor in given) if isinstance(given, tuple) else given
    return {**arguments, "self": layer, "keys_from": keys_from}


def one_text(arguments: Arguments) -> Arguments | None:
    """Keep the first text of a batch only. In training, the dropout of a smaller batch is another one."""
    if arguments["self"].training or isinstance(arguments.get("keys_from"), tuple):
        return None
    tensors = {name: value[:1] for name, value in arguments.items() if isinstance(value, Tensor) and len(value) > 1}
    tables = {name: arguments[name] for name in ("embeddings",) if name in arguments}
    return {**arguments, **tensors, **tables}


HEADS = Invariant("heads can be permuted", permute_heads, equal, HEADS_REVERSED)
TEXTS = Invariant("texts of a batch are independent", one_text, first_rows_equal, FIRST_ROW)

NETWORK_EXERCISES = [
    Exercise(
        "multi_head_attention_layer",
        MultiHeadAttention.forward,
        (
            Case("self-attention", attention_layer),
            Case("cross-attention", cross_attention_layer),
            Case("more queries than keys", cross_attention_of_other_lengths, Role.EDGE),
            Case("no mask", lambda draw: {**attention_layer(draw), "keep": None}, Role.EDGE),
            Case("given keys and values", attention_to_given_keys, Role.EDGE),
            Case(
                "a query that may attend to nothing",
                lambda draw: with_an_empty_row(cross_attention_layer(draw)),
                Role.LIMIT,
                gradients=False,
            ),
            Case("large scores", large_scores, Role.LIMIT, gradients=False),
        ),
        questions=("Which tokens do the keys come from, and which the values?", "Which shape do the vectors of a head have?"),
        invariants=(HEADS, TEXTS),
        needs=("scaled_dot_product_attention", "split_heads", "merge_heads"),
        other_forms=(attention_layer_of_equations,),
    ),
    Exercise(
        "encoder_layer",
        EncoderLayer.forward,
        (Case("evaluation", encoder_layer), in_training(encoder_layer), without_mask(encoder_layer, "keep")),
        questions=("What is added to the output of each of the two sublayers?", "Where are the two normalizations?"),
        invariants=(TEXTS,),
    ),
    Exercise(
        "decoder_layer",
        DecoderLayer.forward,
        (
            Case("evaluation", decoder_layer),
            in_training(decoder_layer),
            *(without_mask(decoder_layer, mask) for mask in ("keep", "memory_keep")),
        ),
        questions=("Which tokens do the keys of cross-attention come from?",),
        invariants=(TEXTS,),
    ),
    Exercise(
        "bert_embeddings",
        BertEmbeddings.forward,
        (
            Case("evaluation", embeddings),
            in_training(embeddings),
            Case("other positions", embeddings_at_other_positions, Role.EDGE),
            Case("padding", embeddings_of_padding, Role.EDGE, gradients=False),
        ),
        questions=("Which three vectors does each token have, and what follows their sum?",),
    ),
    Exercise(
        "masked_lm_head",
        MaskedLMHead.forward,
        (Case("token vectors", masked_lm_head),),
        questions=("Which steps come before the dot product with the word embeddings?",),
        invariants=(TEXTS,),
    ),
    Exercise(
        "training_steps",
        training_steps,
        (
            Case("long gradients", long_gradients, gradients=False),
            Case("short gradients", short_gradients, gradients=False),
            Case("no masked position", no_masked_position, Role.LIMIT, gradients=False),
            Case("large logits", large_logits, Role.LIMIT, tolerance=LARGE_NUMBERS, gradients=False),
        ),
        questions=("What happens to the gradients of a step after it?", "Which call comes between `backward` and `step`?"),
        changes=frozenset({"model", "optimizer", "schedule"}),
        needs=("masked_lm_loss",),
    ),
]
