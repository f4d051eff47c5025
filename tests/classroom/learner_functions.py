"""Functions as learners write them, right and wrong, in a file of their own whose lines a check can name."""

import math

import numpy as np
import torch
from torch.nn import functional as F


def loops(query, key, value, keep=None):
    scores = torch.zeros(*query.shape[:-1], key.shape[-2])
    for i in range(query.shape[-2]):
        for j in range(key.shape[-2]):
            scores[..., i, j] = (query[..., i, :] * key[..., j, :]).sum(-1) / math.sqrt(key.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep, -math.inf)
    return normalized(scores).nan_to_num() @ value


def normalized(scores):
    exponentials = [torch.exp(row - row.amax(-1, keepdim=True)) for row in scores]
    return torch.stack([row / row.sum(-1, keepdim=True) for row in exponentials])


def arrays(q, k, v, mask=None):
    q, k, v = (np.asarray(x) for x in (q, k, v))
    s = q @ k.swapaxes(-1, -2)
    s = s / np.sqrt(q.shape[-1])
    if mask is not None:
        s = np.where(mask.numpy(), s, -1e30)
    e = np.exp(s - s.max(-1, keepdims=True))
    w = e / e.sum(-1, keepdims=True)
    if mask is not None:
        w = w * mask.numpy()
    return w @ v


def no_scale(q, k, v, mask=None):
    s = torch.matmul(q, k.transpose(-2, -1))  # the line
    if mask is not None:
        s = s.masked_fill(~mask, float("-inf"))
    w = F.softmax(s, dim=-1)
    return w @ v


def shifted_and_stretched(q, k, v, mask=None):
    s = q @ k.mT / math.sqrt(q.shape[-1])
    s = 1.7 * s + torch.arange(s.shape[-1])  # the line
    if mask is not None:
        s = s.masked_fill(~mask, float("-inf"))
    return F.softmax(s, dim=-1) @ v


def heads_in_a_loop(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
    width, value_width = w_q.shape[1] // heads, w_v.shape[1] // heads
    results = []
    for head in range(heads):
        columns, value_columns = slice(head * width, (head + 1) * width), slice(head * value_width, (head + 1) * value_width)
        scores = queries_from @ w_q[:, columns] @ (keys_from @ w_k[:, columns]).mT / math.sqrt(width) * (1 + 0.3 * head)
        scores = scores if keep is None else scores.masked_fill(~keep, -math.inf)
        results.append(scores.softmax(-1).nan_to_num() @ (keys_from @ w_v[:, value_columns]))
    return torch.cat(results, -1) @ w_o


def loop_after_the_scores(q, k, v, mask=None):
    s = q @ k.mT / math.sqrt(q.shape[-1])
    masked = s if mask is None else s.masked_fill(~mask, -math.inf)
    rows = []
    for row in range(s.shape[-2]):
        e = torch.exp(masked[..., row, :] * 1.7)
        rows.append((e[..., None] * v).sum(-2) / (0.3 + e.sum(-1, keepdim=True)))
    return torch.stack(rows, -2)


def zero_instead_of_infinity(q, k, v, mask=None):
    q, k, v = (np.asarray(x) for x in (q, k, v))
    s = np.einsum("bhqd,bhkd->bhqk", q, k) / np.sqrt(q.shape[-1])
    if mask is not None:
        s = np.where(mask.numpy(), s, 0)  # the line
    e = np.exp(s)
    return e / e.sum(-1, keepdims=True) @ v


def sample_deviation(hidden, gain, bias, eps=1e-12):
    centered = hidden - hidden.mean(-1, keepdim=True)
    deviation = hidden.std(-1, keepdim=True)  # the line
    return gain * centered / (deviation + eps) + bias


def no_bias(hidden, gain, bias, eps=1e-12):
    mean = hidden.mean(-1, keepdim=True)
    variance = hidden.var(-1, keepdim=True, correction=0)
    return gain * (hidden - mean) / torch.sqrt(variance + eps)  # the line


def in_place(scores):
    scores -= scores.amax(-1, keepdim=True)  # the line
    exponentials = scores.exp()
    return exponentials / exponentials.sum(-1, keepdim=True)


def recursive(scores):
    if len(scores) == 1:
        return (2 * scores).softmax(-1)
    return torch.cat([recursive(scores[:1]), recursive(scores[1:])])


def wrong_end_of_a_loop(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    ids, done = prompt, torch.zeros(len(prompt), dtype=torch.bool)
    for _ in range(max_new_tokens):
        new = torch.where(done, pad_token_id, next_logits(ids).argmax(-1))
        ids = torch.cat([ids, new[:, None]], dim=1)
        done |= new == eos_token_id
        if done.any():
            break
    return ids[:, prompt.shape[1] :]


def scale_after_the_softmax(query, key, value, keep=None):
    scores = query @ key.transpose(-2, -1)
    if keep is not None:
        scores = scores.masked_fill(~keep, float("-inf"))
    weights = torch.softmax(scores, dim=-1).nan_to_num(0.0)
    weights = weights / math.sqrt(query.size(-1))
    return weights @ value


def label_with_its_full_weight(logits, labels, label_smoothing=0.1):
    log_probabilities = logits.float().log_softmax(-1)
    kept = labels != -100
    own = -log_probabilities.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    loss = own + label_smoothing * -log_probabilities.mean(-1)
    return torch.where(kept, loss, 0.0).sum() / kept.sum().clamp(min=1)


def positions_from_zero(self, input_ids, token_type_ids, position_ids):
    positions = torch.arange(input_ids.shape[1])  # the line
    total = self.words(input_ids) + self.positions(positions) + self.segments(token_type_ids)
    return self.dropout(self.norm(total))


def special_tokens_selected(
    input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None
):
    selection, kind, choice = np.moveaxis(np.asarray(random_numbers), -1, 0)
    ids = np.asarray(input_ids)
    selected = selection < mlm_probability  # the line
    if max_predictions is not None:
        order = np.where(selected, selection, 2.0).argsort(-1, kind="stable").argsort(-1)
        selected &= order < max_predictions
    labels = np.where(selected, ids, -100)
    random_ids = np.asarray(replacement_ids)[(choice * len(replacement_ids)).astype(int)]
    new = np.where(selected & (kind < 0.8), mask_token_id, ids)
    new = np.where(selected & (kind >= 0.8) & (kind < 0.9), random_ids, new)
    return new, labels


def labels_of_all_tokens(
    input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None
):
    selection, kind, choice = np.moveaxis(np.asarray(random_numbers), -1, 0)
    ids = np.asarray(input_ids)
    selected = (selection < mlm_probability) & np.asarray(maskable)
    if max_predictions is not None:
        order = np.where(selected, selection, 2.0).argsort(-1, kind="stable").argsort(-1)
        selected &= order < max_predictions
    labels = ids.copy()
    random_ids = np.asarray(replacement_ids)[(choice * len(replacement_ids)).astype(int)]
    new = np.where(selected & (kind < 0.8), mask_token_id, ids)
    new = np.where(selected & (kind >= 0.8) & (kind < 0.9), random_ids, new)
    return new, labels


def sum_of_all_rows(scores):
    exponentials = torch.exp(scores - torch.max(scores))
    return exponentials / exponentials.sum()  # the line


def mask_transposed_with_a_large_number(query, key, value, keep=None):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if keep is not None:
        scores = scores.masked_fill(~keep.transpose(-2, -1), -1e9)  # the line
    return torch.softmax(scores, dim=-1) @ value
