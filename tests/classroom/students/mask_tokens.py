# ruff: noqa: B905
"""Answers of students to the exercise mask_tokens."""

import numpy as np


def answer_01(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    draw, action, which = random_numbers[..., 0], random_numbers[..., 1], random_numbers[..., 2]
    chosen = maskable & (draw < mlm_probability)
    chosen = _limit(chosen, draw, max_predictions)
    labels = np.where(chosen, input_ids, -100)
    out = input_ids.copy()
    out[chosen & (action < 0.8)] = mask_token_id
    randoms = replacement_ids[(which * len(replacement_ids)).astype(int)]
    replace = chosen & (action < 0.1)
    out[replace] = randoms[replace]
    return out, labels


def _limit(chosen, draw, maximum):
    """Keep the chosen tokens with the smallest numbers of each example."""
    if maximum is None:
        return chosen
    rank = np.argsort(np.argsort(np.where(chosen, draw, 2.0), axis=-1, kind="stable"), axis=-1, kind="stable")
    return chosen & (rank < maximum)


def answer_02(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    draw, action, which = np.moveaxis(random_numbers, -1, 0)
    picked = _limit(maskable & (draw < mlm_probability), draw, max_predictions)
    randoms = replacement_ids[(which * len(replacement_ids)).astype(int)]
    new = np.where(picked & (action < 0.8), mask_token_id, input_ids)
    new = np.where(picked & (action >= 0.8) & (action < 0.9), randoms, new)
    return new, input_ids.copy()


def answer_03(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    draw, action, which = np.moveaxis(random_numbers, -1, 0)
    picked = _limit(maskable & (draw < mlm_probability), draw, max_predictions)
    randoms = replacement_ids[(which * len(replacement_ids)).astype(int)]
    new = input_ids.copy()
    new[picked] = np.where(action < 0.8, mask_token_id, randoms)[picked]
    return new, np.where(picked, input_ids, -100)


def answer_04(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    draw, action, which = np.moveaxis(random_numbers, -1, 0)
    picked = _limit(draw < mlm_probability, draw, max_predictions)
    randoms = replacement_ids[(which * len(replacement_ids)).astype(int)]
    new = np.where(action < 0.8, mask_token_id, np.where(action < 0.9, randoms, input_ids))
    return np.where(picked, new, input_ids), np.where(picked, input_ids, -100)


def answer_05(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    ids = input_ids.copy()
    draw, action, which = np.moveaxis(random_numbers, -1, 0)
    picked = _limit(maskable & (draw < mlm_probability), draw, max_predictions)
    ids[picked & (action < 0.8)] = mask_token_id
    swap = picked & (action >= 0.8) & (action < 0.9)
    ids[swap] = replacement_ids[(which[swap] * len(replacement_ids)).astype(int)]
    # the labels of the masked positions
    labels = np.where(picked, ids, -100)
    return ids, labels


def answer_06(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    draw, action, which = np.moveaxis(random_numbers, -1, 0)
    picked = _limit(maskable & (draw < mlm_probability), draw, max_predictions)
    ids = np.where(picked & (action < 0.8), mask_token_id, input_ids)
    ids = np.where(picked & (action >= 0.8), replacement_ids[(which * len(replacement_ids)).astype(int)], ids)
    return ids, input_ids.copy()


def answer_07(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    """One token after the other."""
    new, labels = [], []
    for ids, allowed, numbers in zip(input_ids.tolist(), maskable.tolist(), random_numbers.tolist()):
        candidates = [i for i in range(len(ids)) if allowed[i] and numbers[i][0] < mlm_probability]
        candidates.sort(key=lambda i: numbers[i][0])
        if max_predictions is not None:
            candidates = candidates[:max_predictions]
        row, targets = list(ids), [-100] * len(ids)
        for i in candidates:
            targets[i] = ids[i]
            if numbers[i][1] < 0.8:
                row[i] = mask_token_id
            elif numbers[i][1] < 0.9:
                row[i] = replacement_ids[int(numbers[i][2] * len(replacement_ids))]
        new.append(row)
        labels.append(targets)
    return np.array(new).reshape(input_ids.shape), np.array(labels).reshape(input_ids.shape)


def answer_08(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    draw, action, which = np.moveaxis(random_numbers, -1, 0)
    picked = _limit(maskable & (draw < mlm_probability), draw, max_predictions)
    case = np.digitize(action, [0.8, 0.9])
    randoms = np.take(replacement_ids, np.floor(which * len(replacement_ids)).astype(int))
    choices = np.choose(case, [np.full_like(input_ids, mask_token_id), randoms, input_ids])
    ids, labels = input_ids.copy(), np.full_like(input_ids, -100)
    np.copyto(ids, choices, where=picked)
    np.copyto(labels, input_ids, where=picked)
    return ids, labels
