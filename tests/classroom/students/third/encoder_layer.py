# ruff: noqa
"""Answers of students to the exercise encoder_layer."""

import torch


def answer_01(self, hidden, keep=None):
    a = self.dropout(self.attention(hidden, hidden, keep))
    x = self.attention_norm(hidden + a)
    f = self.dropout(self.feed_forward(x))
    return self.feed_forward_norm(hidden + f)


def answer_02(self, hidden, keep=None):
    attn_out = self.attention(hidden, hidden)
    hidden = self.attention_norm(hidden + self.dropout(attn_out))
    ff_out = self.feed_forward(hidden)
    return self.feed_forward_norm(hidden + self.dropout(ff_out))


def answer_03(self, hidden, keep=None):
    n = self.attention_norm(hidden)
    x = hidden + self.dropout(self.attention(n, n, keep))
    n = self.feed_forward_norm(x)
    return x + self.dropout(self.feed_forward(n))


def answer_04(self, hidden, keep=None):
    src2 = self.attention(hidden, hidden, keep)
    src = self.attention_norm(hidden + self.dropout(src2))
    src2 = self.feed_forward(src)
    src = self.feed_forward_norm(self.dropout(src + src2))
    return src


def answer_05(self, hidden, keep=None):
    def sublayer(x, f):
        return self.attention_norm(x + self.dropout(f(x)))

    hidden = sublayer(hidden, lambda x: self.attention(x, x, keep))
    return sublayer(hidden, self.feed_forward)


def answer_06(self, hidden, keep=None):
    out = self.attention_norm(self.dropout(self.attention(hidden, hidden, keep)) + hidden)
    out = self.feed_forward_norm(self.dropout(self.feed_forward(out)))
    return out


def answer_07(self, hidden, keep=None):
    for function, norm in (
        (lambda x: self.attention(x, x, keep), self.attention_norm),
        (self.feed_forward, self.feed_forward_norm),
    ):
        hidden = norm(torch.add(hidden, self.dropout(function(hidden))))
    return hidden


def answer_08(self, hidden, keep=None):
    o = self.dropout(self.attention(queries_from=hidden, keys_from=hidden, keep=keep))
    r = o + hidden
    n = self.attention_norm(r)
    return self.feed_forward_norm(sum([n, self.dropout(self.feed_forward(n))]))


def answer_09(self, hidden, keep=None):
    x = hidden
    x = self.attention_norm(x + self.attention(x, x, keep))
    return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


def answer_10(self, hidden, keep=None):
    r = hidden + self.dropout(self.attention(hidden, hidden, keep))
    n = self.attention_norm(r)
    r2 = n + self.dropout(self.feed_forward(r))
    return self.feed_forward_norm(r2)
