"""Tokens and floating-point operations of training, for the throughput that is printed and stored in metrics.jsonl."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from minibert.equations import IGNORE_INDEX
from minibert.model import BertConfig, GPT2Config, TransformerConfig
from minibert.model.electra import ElectraWithGenerator
from minibert.model.heads import BertWithHead
from minibert.model.multitask import MultiTaskBert
from minibert.model.t5_config import T5Config
from minibert.text.examples import PretrainingBatch
from minibert.text.labeled.examples import LabeledBatch
from minibert.text.packing import NextTokenBatch
from minibert.text.parallel import ParallelBatch
from minibert.training.objective import count_targets


def pretraining_cost(config: BertConfig, batches: Iterable[PretrainingBatch]) -> tuple[int, int]:
    """Compute the number of tokens in `batches`, without padding, and the floating-point operations of training on them.

    A multiplication and an addition per pair of numbers in each matrix product, and twice that in the backward pass. Only
    matrix products are counted, no padding, and in the last layer the tokens only whose output is read.

    Source: Kaplan et al. 2020, section 2.1, with attention and the masked-LM head added.
    """
    tokens = products = 0
    for batch in batches:
        if not (len(batch.predict_at) or count_targets(batch.next_sentence_label)):
            continue  # the empty batch of a process without examples in this step
        lengths = outputs = batch.attention_mask.sum(dim=1)
        if batch.output_at is not None:
            sequences = batch.predict_at // batch.input_ids.shape[1]
            outputs = 1 + sequences.bincount(minlength=len(lengths))  # [CLS] and the masked tokens
        tokens += int(lengths.sum())
        products += (config.num_hidden_layers - 1) * layer_products(config, lengths, lengths)
        products += layer_products(config, lengths, outputs)
        products += projection_products(config, lengths)
        products += config.embedding_width * (config.hidden_size + config.vocab_size) * len(batch.predict_at)
    return tokens, 3 * 2 * products


def electra_cost(model: ElectraWithGenerator, batches: Sequence[PretrainingBatch]) -> tuple[int, int]:
    """Compute the same of a generator and a discriminator: `pretraining_cost` of one, and of the other one all tokens."""
    config = model.config
    tokens, operations = pretraining_cost(model.generator.config, batches)
    products = 0
    for lengths in (batch.attention_mask.sum(dim=1) for batch in batches):
        products += config.num_hidden_layers * layer_products(config, lengths, lengths)
        products += projection_products(config, lengths) + (config.hidden_size**2 + config.hidden_size) * int(lengths.sum())
    return tokens, operations + 3 * 2 * products


def projection_products(config: BertConfig, lengths: Tensor) -> int:
    """Count the multiplications of the linear map after the embeddings, if there is one."""
    return config.embedding_width * config.hidden_size * int(lengths.sum()) if config.projects_embeddings else 0


def next_token_cost(config: GPT2Config, batches: Iterable[NextTokenBatch]) -> tuple[int, int]:
    """Compute the number of tokens in `batches`, without padding, and the floating-point operations of training on them.

    Counted in the same way as `pretraining_cost`, with the scores of all pairs of tokens.
    """
    tokens = products = 0
    for batch in batches:
        lengths = (batch.next_tokens != IGNORE_INDEX).sum(dim=1)
        tokens += int(lengths.sum())
        products += config.num_hidden_layers * layer_products(config, lengths, lengths)
        products += config.hidden_size * config.vocab_size * int(lengths.sum())
    return tokens, 3 * 2 * products


def layer_products(config: BertConfig | GPT2Config, lengths: Tensor, outputs: Tensor) -> int:
    """Count the multiplications in one layer of BERT or GPT-2 for sequences of these lengths.

    Args:
        outputs: number of tokens of each sequence whose output is computed.
    """
    width = config.hidden_size
    per_output = 2 * width**2 + 2 * width * config.intermediate_size  # queries, output projection, feed-forward network
    per_token = 2 * width**2  # keys and values
    attention = 2 * width * int((outputs * lengths).sum())  # scores, and weighted values
    return per_output * int(outputs.sum()) + per_token * int(lengths.sum()) + attention


def layer_passes(model: BertWithHead | MultiTaskBert) -> list[float]:
    """Return how many times a training step computes the matrix products of each encoder layer.

    Forward, once. Backward, once for the gradients of the activations, if the layer or a part below it is trained; and once
    for those of the weights, as far as they are trained.
    """
    passes = []
    has_gradient = any(parameter.requires_grad for parameter in model.bert.embeddings.parameters())
    for layer in model.bert.layers.passes:
        parameters = [*layer.parameters()]
        has_gradient = has_gradient or any(each.requires_grad for each in parameters)
        matrices = [each for each in parameters if each.ndim == 2]
        trained = sum(each.numel() for each in matrices if each.requires_grad) / sum(each.numel() for each in matrices)
        passes.append(1 + has_gradient + trained)
    return passes


def finetuning_cost(model: BertWithHead | MultiTaskBert, batches: Iterable[LabeledBatch]) -> tuple[int, int]:
    """Compute the number of tokens in `batches`, without padding, and the floating-point operations of training on them.

    Counted in the same way as `pretraining_cost`, without the heads. Frozen layers have no gradients of their weights.
    """
    tokens, products = 0, 0.0
    *lower, last = layer_passes(model)
    first_token_only = isinstance(model, BertWithHead) and model.first_token_only
    for batch in batches:
        if any(count_targets(target) for target in batch.targets.values()):
            lengths = batch.attention_mask.sum(dim=1)
            outputs = torch.ones_like(lengths) if first_token_only else lengths
            tokens += int(lengths.sum())
            products += sum(lower) * layer_products(model.config, lengths, lengths)
            products += last * layer_products(model.config, lengths, outputs)
    return tokens, round(2 * products)


def translation_cost(config: TransformerConfig | T5Config, batches: Iterable[ParallelBatch]) -> tuple[int, int]:
    """Compute the number of tokens in `batches`, of sources and targets, and the floating-point operations of training.

    Counted in the same way as `pretraining_cost`.
    """
    width, feed_forward = config.hidden_size, 2 * config.hidden_size * config.intermediate_size
    tokens = products = 0
    for batch in batches:
        sources, targets = batch.attention_mask.sum(dim=1), (batch.labels != IGNORE_INDEX).sum(dim=1)
        if not targets.any():
            continue  # the empty batch of a process without examples in this step
        source, target = int(sources.sum()), int(targets.sum())
        tokens += source + target
        products += config.encoder_layers * ((4 * width**2 + feed_forward) * source + 2 * width * int(sources.square().sum()))
        per_target, per_source = 6 * width**2 + feed_forward, 2 * width**2  # each decoder layer projects keys and values
        products += config.decoder_layers * (per_target * target + per_source * source)
        products += config.decoder_layers * 2 * width * int((targets.square() + targets * sources).sum())
        products += width * config.vocab_size * target
    return tokens, 3 * 2 * products
