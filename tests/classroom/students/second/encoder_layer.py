# ruff: noqa
"""Answers of students to the exercise encoder_layer."""


def answer_01(self, hidden, keep=None):
    if self.pre_norm:
        n = self.attention_norm(hidden)
        r = hidden + self.dropout(self.attention(n, n, keep))
        return r + self.dropout(self.feed_forward(self.feed_forward_norm(r)))
    x = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    return self.feed_forward_norm(hidden + self.dropout(self.feed_forward(x)))


def answer_02(self, hidden, keep=None):
    if self.pre_norm:
        n = self.attention_norm(hidden)
        r = hidden + self.dropout(self.attention(n, n))
        return r + self.dropout(self.feed_forward(self.feed_forward_norm(r)))
    x = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden)))
    return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


def answer_03(self, hidden, keep=None):
    if self.pre_norm:
        n = self.attention_norm(hidden)
        r = hidden + self.dropout(self.attention(n, n, keep))
        return r + self.dropout(self.feed_forward(self.attention_norm(r)))
    x = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    return self.attention_norm(x + self.dropout(self.feed_forward(x)))


def answer_04(self, hidden, keep=None):
    x = self.attention_norm(hidden + self.dropout(self.attention(hidden, hidden, keep)))
    return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


def answer_05(self, hidden, keep=None):
    def attend(x):
        return self.dropout(self.attention(queries_from=x, keys_from=x, keep=keep))

    def feed(x):
        return self.dropout(self.feed_forward(x))

    for sub, norm in ((attend, self.attention_norm), (feed, self.feed_forward_norm)):
        hidden = hidden + sub(norm(hidden)) if self.pre_norm else norm(hidden + sub(hidden))
    return hidden
