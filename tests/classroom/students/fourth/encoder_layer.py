# ruff: noqa
"""Answers of students to the exercise encoder_layer."""


def answer_01(self, hidden, keep=None):
    x = self.attention_norm(hidden)
    hidden = hidden + self.dropout(self.attention(x, x, keep))
    return hidden + self.dropout(self.feed_forward(self.feed_forward_norm(hidden)))


def answer_02(self, hidden, keep=None):
    a = self.attention(hidden, hidden, keep)
    n = self.attention_norm(hidden + self.dropout(a))
    f = self.feed_forward(n)
    return self.feed_forward_norm(hidden + self.dropout(f))


def answer_03(self, hidden, keep=None):
    hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    hidden = self.attention_norm(hidden + self.dropout(self.feed_forward(hidden)))
    return hidden


def answer_04(self, hidden, keep=None):
    def residual(x, f, norm):
        return norm(x + self.dropout(f(x)))

    n = residual(hidden, lambda x: self.attention(x, x, keep), self.attention_norm)
    return residual(n, self.feed_forward, self.feed_forward_norm)
