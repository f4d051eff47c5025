# ruff: noqa
"""Answers of students to the exercise mask_tokens."""

import numpy as np

from minibert.equations import IGNORE_INDEX


def answer_01(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    r = np.asarray(random_numbers)
    ids = np.asarray(input_ids)
    pick = r[..., 0]
    selected = (pick < mlm_probability) & np.asarray(maskable)
    if max_predictions is not None:
        rank = np.where(selected, pick, 2.0).argsort(-1, kind="stable").argsort(-1)
        selected &= rank < max_predictions
    labels = ids.copy()
    rand = np.asarray(replacement_ids)[(r[..., 2] * len(replacement_ids)).astype(int)]
    out = np.where(selected & (r[..., 1] < 0.8), mask_token_id, ids)
    out = np.where(selected & (r[..., 1] >= 0.8) & (r[..., 1] < 0.9), rand, out)
    return out, labels


def answer_02(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    r = np.asarray(random_numbers)
    ids = np.asarray(input_ids)
    pick = r[..., 0]
    selected = (pick < mlm_probability) & np.asarray(maskable)
    if max_predictions is not None:
        rank = np.where(selected, pick, 2.0).argsort(-1, kind="stable").argsort(-1)
        selected &= rank < max_predictions
    labels = np.where(selected, ids, IGNORE_INDEX)
    return np.where(selected, mask_token_id, ids), labels


def answer_03(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    r = np.asarray(random_numbers)
    ids = np.asarray(input_ids)
    pick = r[..., 0]
    selected = pick < mlm_probability
    if max_predictions is not None:
        rank = np.where(selected, pick, 2.0).argsort(-1, kind="stable").argsort(-1)
        selected &= rank < max_predictions
    labels = np.where(selected, ids, IGNORE_INDEX)
    rand = np.asarray(replacement_ids)[(r[..., 2] * len(replacement_ids)).astype(int)]
    out = np.where(selected & (r[..., 1] < 0.8), mask_token_id, ids)
    out = np.where(selected & (r[..., 1] >= 0.8) & (r[..., 1] < 0.9), rand, out)
    return out, labels


def answer_04(input_ids, maskable, mask_token_id, replacement_ids, random_numbers, mlm_probability=0.15, max_predictions=None):
    r = np.asarray(random_numbers)
    ids = np.asarray(input_ids)
    pick = r[..., 0]
    selected = (pick < mlm_probability) & np.asarray(maskable)
    if max_predictions is not None:
        rank = np.where(selected, pick, 2.0).argsort(-1, kind="stable").argsort(-1)
        selected &= rank < max_predictions
    labels = np.where(selected, ids, IGNORE_INDEX)
    rand = np.asarray(replacement_ids)[(r[..., 2] * len(replacement_ids)).astype(int)]
    out = np.where(selected & (r[..., 1] < 0.8), mask_token_id, ids)
    out = np.where(selected & (r[..., 1] >= 0.8) & (r[..., 1] < 0.9), rand, out)
    return out, labels
