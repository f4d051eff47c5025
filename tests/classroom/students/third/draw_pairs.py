# ruff: noqa
"""Answers of students to the exercise draw_pairs."""

import numpy as np

from minibert.text.pairs import Pairs

IGNORE_INDEX, IS_NEXT, NOT_NEXT = -100, 0, 1
SHORT_SEQ_PROBABILITY = 0.1


def _cut(segment_a, segment_b, max_tokens, generator):
    """Remove one token at a time from a random end of the longer segment."""
    a, b = list(segment_a), list(segment_b)
    while (a[1] - a[0]) + (b[1] - b[0]) > max_tokens:
        longer = a if a[1] - a[0] > b[1] - b[0] else b
        if generator.random() < 0.5:
            longer[0] += 1
        else:
            longer[1] -= 1
    return (*a, *b)


def _sentences(corpus):
    starts = [int(s) for s in corpus.sentence_starts]
    documents = [int(s) for s in corpus.document_starts]
    result = []
    for first, following in zip(documents[:-1], documents[1:]):
        result.append([(starts[i], starts[i + 1]) for i in range(first, following - 1)])
    return result


def _columns(rows):
    return Pairs(*np.array(rows, dtype=np.int64).T)


def answer_01(corpus, max_tokens, generator):
    documents = _sentences(corpus)
    rows = []
    for d, document in enumerate(documents):
        i = 0
        while i < len(document):
            target = max_tokens
            if generator.random() < SHORT_SEQ_PROBABILITY:
                target = int(generator.integers(2, max_tokens + 1))
            j, length = i, 0
            while j < len(document) and length < target:
                length += document[j][1] - document[j][0]
                j += 1
            if j - i == 1:
                rows.append((*_cut(document[i], (document[i][1], document[i][1]), max_tokens, generator), IGNORE_INDEX))
                i = j
                continue
            split = int(generator.integers(i + 1, j))
            a = (document[i][0], document[split - 1][1])
            if generator.random() < 0.5:
                rows.append((*_cut(a, (document[split][0], document[j - 1][1]), max_tokens, generator), NOT_NEXT))
                i = j
            else:
                other = int(generator.integers(0, len(documents) - 1))
                other += other >= d
                k = int(generator.integers(0, len(documents[other])))
                start, end = documents[other][k]
                k += 1
                while k < len(documents[other]) and end - start < target - (a[1] - a[0]):
                    end = documents[other][k][1]
                    k += 1
                rows.append((*_cut(a, (start, end), max_tokens, generator), IS_NEXT))
                i = split
    return _columns(rows)


def answer_02(corpus, max_tokens, generator):
    documents = _sentences(corpus)
    rows = []
    for document in documents:
        i = 0
        while i < len(document):
            target = max_tokens if generator.random() >= SHORT_SEQ_PROBABILITY else int(generator.integers(2, max_tokens + 1))
            j, length = i, 0
            while j < len(document) and length < target:
                length += document[j][1] - document[j][0]
                j += 1
            if j - i == 1:
                rows.append((*_cut(document[i], (document[i][1], document[i][1]), max_tokens, generator), IGNORE_INDEX))
                i = j
                continue
            split = int(generator.integers(i + 1, j))
            a = (document[i][0], document[split - 1][1])
            if generator.random() < 0.5:
                rows.append((*_cut(a, (document[split][0], document[j - 1][1]), max_tokens, generator), IS_NEXT))
                i = j
            else:
                other = documents[int(generator.integers(0, len(documents)))]
                k = int(generator.integers(0, len(other)))
                start, end = other[k]
                k += 1
                while k < len(other) and end - start < target - (a[1] - a[0]):
                    end = other[k][1]
                    k += 1
                rows.append((*_cut(a, (start, end), max_tokens, generator), NOT_NEXT))
                i = split
    return _columns(rows)


def answer_03(corpus, max_tokens, generator):
    documents = _sentences(corpus)
    rows = []
    for d, document in enumerate(documents):
        i = 0
        while i < len(document):
            target = max_tokens
            if generator.random() < SHORT_SEQ_PROBABILITY:
                target = int(generator.integers(2, max_tokens + 1))
            j, length = i, 0
            while j < len(document) and length < target:
                length += document[j][1] - document[j][0]
                j += 1
            if j - i == 1:
                rows.append((*_cut(document[i], (document[i][1], document[i][1]), max_tokens, generator), IGNORE_INDEX))
                i = j
                continue
            split = int(generator.integers(i + 1, j))
            a = (document[i][0], document[split - 1][1])
            b, label = (document[split][0], document[j - 1][1]), IS_NEXT
            if generator.random() < 0.5:
                label = NOT_NEXT
                other = int(generator.integers(0, len(documents) - 1))
                other += other >= d
                k = int(generator.integers(0, len(documents[other])))
                start, end = documents[other][k]
                k += 1
                while k < len(documents[other]) and end - start < target - (a[1] - a[0]):
                    end = documents[other][k][1]
                    k += 1
                b = (start, end)
            rows.append((*_cut(a, b, max_tokens, generator), label))
            i = j
    return _columns(rows)


def answer_04(corpus, max_tokens, generator):
    documents = _sentences(corpus)
    rows = []
    for d, document in enumerate(documents):
        i = 0
        while i < len(document):
            target = max_tokens
            if generator.random() < SHORT_SEQ_PROBABILITY:
                target = int(generator.integers(2, max_tokens + 1))
            j, length = i, 0
            while j < len(document) and length < target:
                length += document[j][1] - document[j][0]
                j += 1
            if j - i == 1:
                rows.append((*_cut(document[i], (document[i][1], document[i][1]), max_tokens, generator), IGNORE_INDEX))
                i = j
                continue
            split = int(generator.integers(i + 1, j))
            a = (document[i][0], document[split - 1][1])
            if generator.random() < 0.5:
                rows.append((*_cut(a, (document[split][0], document[j - 1][1]), max_tokens, generator), IS_NEXT))
                i = j
                continue
            other = int(generator.integers(0, len(documents) - 1))
            other += other >= d
            k = int(generator.integers(0, len(documents[other])))
            start, end = documents[other][k]
            k += 1
            while k < len(documents[other]) and end - start < target - (a[1] - a[0]):
                end = documents[other][k][1]
                k += 1
            rows.append((*_cut(a, (start, end), max_tokens, generator), NOT_NEXT))
            i = split
    return _columns(rows)
