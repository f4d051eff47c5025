# ruff: noqa: RET504
"""Answers of students to the exercises encoder_layer and bert_embeddings."""

import torch
from torch.nn import functional as F


def encoder_01(self, hidden, keep=None):
    x = self.attention_norm(self.dropout(self.attention(hidden, hidden, keep)))
    return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


def encoder_02(self, hidden, keep=None):
    attended = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    return self.feed_forward_norm(hidden + self.dropout(self.feed_forward(attended)))


def encoder_03(self, hidden, keep=None):
    x = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    x = self.attention_norm(x + self.dropout(self.feed_forward(x)))
    return x


def encoder_04(self, hidden, keep=None):
    hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden)))
    return self.feed_forward_norm(hidden + self.dropout(self.feed_forward(hidden)))


def encoder_05(self, hidden, keep=None):
    # pre-norm
    normed = self.attention_norm(hidden)
    hidden = hidden + self.dropout(self.attention(normed, normed, keep))
    return hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))


def encoder_06(self, hidden, keep=None):
    h = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden)))
    return self.attention_norm(h + self.dropout(self.feed_forward(h)))


def encoder_07(self, hidden, keep=None):
    def sublayer(x, function, norm):
        return norm(x + self.dropout(function(x)))

    x = sublayer(hidden, lambda h: self.attention(h, h, keep), self.attention_norm)
    return sublayer(x, self.feed_forward, self.feed_forward_norm)


def encoder_08(self, hidden, keep=None):
    def norm(module, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + 1e-12) * module.weight + module.bias

    summed = torch.stack([hidden, self.dropout(self.attention(hidden, hidden, keep))]).sum(0)
    n = norm(self.attention_norm, summed)
    return norm(self.feed_forward_norm, torch.add(self.dropout(self.feed_forward(n)), n))


def embeddings_01(self, input_ids, token_type_ids, position_ids):
    e = self.words(input_ids) + self.positions(position_ids)
    return self.dropout(self.norm(e))


def embeddings_02(self, input_ids, token_type_ids, position_ids):
    seq_len = input_ids.size(1)
    position_ids = torch.arange(seq_len).unsqueeze(0)
    emb = self.words(input_ids) + self.positions(position_ids) + self.segments(token_type_ids)
    return self.dropout(self.norm(emb))


def embeddings_03(self, input_ids, token_type_ids, position_ids):
    w = self.words(input_ids) * self.words.embedding_dim**0.5
    return self.dropout(self.norm(w + self.positions(position_ids) + self.segments(token_type_ids)))


def embeddings_04(self, input_ids, token_type_ids, position_ids):
    return self.dropout(self.words(input_ids) + self.positions(position_ids))


def embeddings_05(self, input_ids, token_type_ids, position_ids):
    parts = [
        (self.words, input_ids),
        (self.positions, position_ids.expand(input_ids.shape)),
        (self.segments, token_type_ids),
    ]
    total = sum(F.one_hot(ids, table.num_embeddings).to(table.weight.dtype) @ table.weight for table, ids in parts)
    return self.dropout(self.norm(total))


def embeddings_06(self, input_ids, token_type_ids, position_ids):
    e = self.words.weight[input_ids]
    e = e + self.segments.weight[token_type_ids]
    e = e + self.positions.weight[position_ids]
    return self.dropout(F.layer_norm(e, (e.size(-1),), self.norm.weight, self.norm.bias, 1e-12))


def embeddings_07(self, input_ids, token_type_ids, position_ids):
    return self.dropout(self.norm(self.words(input_ids)) + self.positions(position_ids) + self.segments(token_type_ids))
