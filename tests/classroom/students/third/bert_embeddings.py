# ruff: noqa
"""Answers of students to the exercise bert_embeddings."""

import torch
from torch.nn import functional as F


def answer_01(self, input_ids, token_type_ids, position_ids):
    x = self.words(input_ids) + self.positions(token_type_ids)
    x = x + self.segments(token_type_ids)
    return self.dropout(self.norm(x))


def answer_02(self, input_ids, token_type_ids, position_ids):
    e = self.words(input_ids) + self.positions(position_ids) + self.segments(token_type_ids)
    return self.norm(self.dropout(e))


def answer_03(self, input_ids, token_type_ids, position_ids):
    seq_len = input_ids.size(1)
    pos = torch.arange(seq_len, dtype=torch.long)
    pos = pos.unsqueeze(0).expand_as(input_ids)
    embedding = self.words(input_ids) + self.positions(pos) + self.segments(token_type_ids)
    return self.dropout(self.norm(embedding))


def answer_04(self, input_ids, token_type_ids, position_ids):
    w = self.words(input_ids)
    w = w * w.size(-1) ** 0.5
    p = self.positions(position_ids)
    s = self.segments(token_type_ids)
    return self.dropout(self.norm(w + p + s))


def answer_05(self, input_ids, token_type_ids, position_ids):
    h = self.norm(self.words(input_ids) + self.positions(position_ids))
    h = h + self.segments(token_type_ids)
    return self.dropout(h)


def answer_06(self, input_ids, token_type_ids, position_ids):
    words = F.embedding(input_ids, self.words.weight)
    positions = F.embedding(position_ids, self.positions.weight)
    is_b = token_type_ids.unsqueeze(-1).bool()
    segments = torch.where(is_b, self.segments.weight[0], self.segments.weight[1])
    return self.dropout(self.norm(words + positions + segments))


def answer_07(self, input_ids, token_type_ids, position_ids):
    total = self.words.weight[input_ids]
    total = total + self.positions.weight[position_ids]
    total = total + self.segments.weight[token_type_ids]
    return self.dropout(self.norm(total))


def answer_08(self, input_ids, token_type_ids, position_ids):
    parts = [
        self.norm(self.words(input_ids)),
        self.norm(self.positions(position_ids)),
        self.norm(self.segments(token_type_ids)),
    ]
    return self.dropout(sum(parts))


def answer_09(self, input_ids, token_type_ids, position_ids):
    e = self.words(input_ids) + self.positions(position_ids) + self.segments(token_type_ids)
    e = e * (input_ids != 0).unsqueeze(-1)
    return self.dropout(self.norm(e))
