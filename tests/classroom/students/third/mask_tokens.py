# ruff: noqa
"""Answers of students to the exercise mask_tokens."""

import math

import numpy as np

IGNORE_INDEX = -100


def answer_01(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    r_select, r_kind, r_word = random_numbers[..., 0], random_numbers[..., 1], random_numbers[..., 2]
    selected = maskable & (r_select < mlm_probability)
    if max_predictions is not None:
        rank = np.argsort(np.argsort(np.where(selected, r_select, 2.0), axis=1), axis=1)
        selected = selected & (rank < max_predictions)
    words = replacement_ids[(r_word * len(replacement_ids)).astype(int)]
    ids = input_ids.copy()
    ids[selected & (r_kind < 0.8)] = mask_token_id
    swap = selected & (r_kind >= 0.8) & (r_kind < 0.9)
    ids[swap] = words[swap]
    return ids, input_ids.copy()


def answer_02(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    ids = np.array(input_ids)
    pick = (random_numbers[:, :, 0] < mlm_probability) & maskable
    if max_predictions is not None:
        for row in range(len(ids)):
            chosen = np.flatnonzero(pick[row])
            chosen = chosen[np.argsort(random_numbers[row, chosen, 0], kind="stable")]
            pick[row, chosen[max_predictions:]] = False
    for row, col in zip(*np.nonzero(pick)):
        if random_numbers[row, col, 1] < 0.8:
            ids[row, col] = mask_token_id
        elif random_numbers[row, col, 1] < 0.9:
            ids[row, col] = replacement_ids[int(random_numbers[row, col, 2] * len(replacement_ids))]
    labels = np.where(pick, ids, IGNORE_INDEX)
    return ids, labels


def answer_03(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    a, b, c = np.moveaxis(random_numbers, -1, 0)
    chosen = (a < mlm_probability) & maskable
    if max_predictions is not None:
        order = np.where(chosen, a, np.inf).argsort(-1).argsort(-1)
        chosen &= order < max_predictions
    labels = np.full_like(input_ids, IGNORE_INDEX)
    labels[chosen] = input_ids[chosen]
    new_ids = input_ids.copy()
    is_mask = chosen & (b < 0.8)
    is_random = chosen & ~is_mask & (c < 0.1)
    new_ids[is_mask] = mask_token_id
    new_ids[is_random] = replacement_ids[(c[is_random] * len(replacement_ids)).astype(np.int64)]
    return new_ids, labels


def answer_04(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    probability_matrix = np.full(input_ids.shape, mlm_probability)
    masked_indices = random_numbers[..., 0] < probability_matrix
    if max_predictions is not None:
        order = np.where(masked_indices, random_numbers[..., 0], 1.0).argsort(axis=-1).argsort(axis=-1)
        masked_indices = masked_indices & (order < max_predictions)
    labels = np.where(masked_indices, input_ids, -100)
    indices_replaced = masked_indices & (random_numbers[..., 1] < 0.8)
    out = np.where(indices_replaced, mask_token_id, input_ids)
    indices_random = masked_indices & ~indices_replaced & (random_numbers[..., 1] < 0.9)
    random_words = replacement_ids[np.floor(random_numbers[..., 2] * len(replacement_ids)).astype(int)]
    return np.where(indices_random, random_words, out), labels


def answer_05(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    p_sel, p_kind, p_rep = (random_numbers[..., k] for k in range(3))
    sel = np.logical_and(maskable, p_sel < mlm_probability)
    if max_predictions is not None:
        sel = sel & (np.where(sel, p_sel, 1.0).argsort(1).argsort(1) < max_predictions)
    idx = (p_rep * (len(replacement_ids) - 1)).astype(int)
    new = np.select([p_kind < 0.8, p_kind < 0.9], [mask_token_id, replacement_ids[idx]], default=input_ids)
    return np.where(sel, new, input_ids), np.where(sel, input_ids, IGNORE_INDEX)


def answer_06(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    labels = np.full(input_ids.shape, IGNORE_INDEX)
    for i in range(input_ids.shape[0]):
        candidates = [j for j in range(input_ids.shape[1]) if maskable[i, j] and random_numbers[i, j, 0] < mlm_probability]
        if max_predictions is not None:
            candidates = sorted(candidates, key=lambda j: random_numbers[i, j, 0])[:max_predictions]
        for j in candidates:
            labels[i, j] = input_ids[i, j]
            u = random_numbers[i, j, 1]
            if u < 0.8:
                input_ids[i, j] = mask_token_id
            elif u < 0.9:
                input_ids[i, j] = replacement_ids[int(random_numbers[i, j, 2] * len(replacement_ids))]
    return input_ids, labels


def answer_07(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    s, k, r = random_numbers.transpose(2, 0, 1)
    sel = maskable * (s < mlm_probability)
    if max_predictions is not None:
        sel = sel * (np.argsort(np.argsort(np.where(sel, s, 1), -1), -1) < max_predictions)
    rnd = np.take(replacement_ids, (len(replacement_ids) * r).astype(int))
    replaced = np.where(k < 0.8, rnd, np.where(k < 0.9, mask_token_id, input_ids))
    return np.where(sel, replaced, input_ids), np.where(sel, input_ids, -100)


def answer_08(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    new_rows, label_rows = [], []
    for ids, ok, numbers in zip(input_ids, maskable, random_numbers):
        wanted = [j for j in range(len(ids)) if ok[j] and numbers[j][0] < mlm_probability]
        wanted.sort(key=lambda j: numbers[j][0])
        wanted = set(wanted if max_predictions is None else wanted[:max_predictions])
        new, labels = [], []
        for j, token in enumerate(ids):
            labels.append(token if j in wanted else IGNORE_INDEX)
            if j in wanted and numbers[j][1] < 0.8:
                token = mask_token_id
            elif j in wanted and numbers[j][1] < 0.9:
                token = replacement_ids[math.floor(numbers[j][2] * len(replacement_ids))]
            new.append(token)
        new_rows.append(new)
        label_rows.append(labels)
    return np.array(new_rows), np.array(label_rows)
