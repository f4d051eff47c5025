# ruff: noqa
"""Answers of students to the exercise decoder_layer."""

import torch


def answer_01(self, hidden, keep=None, *, memory, memory_keep=None):
    x = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    x = self.cross_attention_norm(x + self.dropout(self.cross_attention(x, x, keep)))
    return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


def answer_02(self, hidden, keep=None, *, memory, memory_keep=None):
    tgt2 = self.attention(hidden, hidden, keep)
    tgt = self.attention_norm(hidden + self.dropout(tgt2))
    tgt2 = self.cross_attention(tgt, memory)
    tgt = self.cross_attention_norm(tgt + self.dropout(tgt2))
    tgt2 = self.feed_forward(tgt)
    return self.feed_forward_norm(tgt + self.dropout(tgt2))


def answer_03(self, hidden, keep=None, *, memory, memory_keep=None):
    self_att = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    cross = self.dropout(self.cross_attention(hidden, memory, memory_keep))
    c = self.cross_attention_norm(self_att + cross)
    return self.feed_forward_norm(c + self.dropout(self.feed_forward(c)))


def answer_04(self, hidden, keep=None, *, memory, memory_keep=None):
    add_norm = lambda x, y, norm: norm(x + self.dropout(y))
    h = add_norm(hidden, self.attention(hidden, hidden, keep), self.cross_attention_norm)
    h = add_norm(h, self.cross_attention(h, memory, memory_keep), self.attention_norm)
    return add_norm(h, self.feed_forward(h), self.feed_forward_norm)


def answer_05(self, hidden, keep=None, *, memory, memory_keep=None):
    hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    hidden = self.cross_attention_norm(self.dropout(self.cross_attention(hidden, memory, memory_keep)))
    hidden = self.feed_forward_norm(hidden + self.dropout(self.feed_forward(hidden)))
    return hidden


def answer_06(self, hidden, keep=None, *, memory, memory_keep=None):
    cross = self.cross_attention(hidden, memory, memory_keep)
    hidden = self.cross_attention_norm(hidden + self.dropout(cross))
    own = self.attention(hidden, hidden, keep)
    hidden = self.attention_norm(hidden + self.dropout(own))
    ff = self.feed_forward(hidden)
    return self.feed_forward_norm(hidden + self.dropout(ff))


def answer_07(self, hidden, keep=None, *, memory, memory_keep=None):
    sublayers = [
        (self.attention_norm, lambda x: self.attention(x, x, keep)),
        (self.cross_attention_norm, lambda x: self.cross_attention(x, memory, memory_keep)),
        (self.feed_forward_norm, lambda x: self.feed_forward(x)),
    ]
    for norm, f in sublayers:
        hidden = norm(hidden + self.dropout(f(hidden)))
    return hidden


def answer_08(self, hidden, keep=None, *, memory, memory_keep=None):
    a = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    c = self.cross_attention_norm(a + self.dropout(self.cross_attention(a, memory, memory_keep)))
    return self.feed_forward_norm(a + self.dropout(self.feed_forward(c)))


def answer_09(self, hidden, keep=None, *, memory, memory_keep=None):
    y = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden)))
    y = self.cross_attention_norm(y + self.dropout(self.cross_attention(y, memory, memory_keep)))
    y = self.feed_forward_norm(y + self.dropout(self.feed_forward(y)))
    return y


def answer_10(self, hidden, keep=None, *, memory, memory_keep=None):
    y = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    y = self.cross_attention_norm(y + self.dropout(self.cross_attention(y, memory, memory_keep)))
    return y + self.dropout(self.feed_forward(y))
