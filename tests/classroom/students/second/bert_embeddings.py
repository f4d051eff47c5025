# ruff: noqa
"""Answers of students to the exercise bert_embeddings."""

import math

import torch
from torch.nn import functional as F


def answer_01(self, input_ids, token_type_ids, position_ids):
    e = self.words(input_ids) + self.positions(position_ids) + self.segments(token_type_ids)
    return self.dropout(e)


def answer_02(self, input_ids, token_type_ids, position_ids):
    e = self.words(input_ids) + self.positions(position_ids)
    return self.dropout(self.norm(e))


def answer_03(self, input_ids, token_type_ids, position_ids):
    pos = torch.arange(input_ids.shape[1], device=input_ids.device)
    e = self.words(input_ids) + self.positions(pos) + self.segments(token_type_ids)
    return self.dropout(self.norm(e))


def answer_04(self, input_ids, token_type_ids, position_ids):
    w = self.words(input_ids)
    w = w * math.sqrt(w.size(-1))
    e = w + self.positions(position_ids) + self.segments(token_type_ids)
    return self.dropout(self.norm(e))


def answer_05(self, input_ids, token_type_ids, position_ids):
    e = self.words(input_ids) + self.positions(position_ids) + self.segments(token_type_ids)
    return self.norm(self.dropout(e))


def answer_06(self, input_ids, token_type_ids, position_ids):
    total = self.positions(position_ids) + self.segments(token_type_ids)
    total = total + self.words(input_ids)
    return self.dropout(self.norm(total))


def answer_07(self, input_ids, token_type_ids, position_ids):
    w = F.embedding(input_ids, self.words.weight)
    p = self.positions.weight[position_ids]
    s = self.segments.weight[token_type_ids]
    return self.dropout(self.norm(w + p + s))
