"""Tests of span corruption: the choice of spans, sources and targets, and examples that do not depend on their batch."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import batches_by_count
from minibert.text.byte_pair_training import count_byte_words, train_byte_pairs
from minibert.text.corpus import Document
from minibert.text.from_options import BYTE_PAIR_TOKENS
from minibert.text.spans import DOCUMENTS, SpanExamples, choose_spans, corrupt_spans, sentinel_ids, span_count
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import build_byte_pair_tokenizer, name_special_tokens
from tests.strategies import seeds

TEXTS = [Document(str(number), ("the cat sat on the mat. " * (1 + number % 3), "a dog ran.")) for number in range(9)]
MERGES = train_byte_pairs(count_byte_words(["the cat sat on the mat. a dog ran."] * 3), 380, BYTE_PAIR_TOKENS["t5"].values())
TOKENIZER = build_byte_pair_tokenizer(MERGES, BYTE_PAIR_TOKENS["t5"])
CORPUS = TokenizedCorpus.from_documents(TEXTS, TOKENIZER, DOCUMENTS)
SENTINELS, END = np.arange(1000, 1100), 1


def spans_of(removed: np.ndarray) -> list[int]:
    """Return the length of each span."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], removed, [False]]).astype(int)))
    return (edges[1::2] - edges[::2]).tolist()


class TestChooseSpans:
    @given(seeds, st.integers(1, 300), st.sampled_from([0.0, 0.15, 0.5, 1.0]), st.sampled_from([1.0, 3.0, 10.0]))
    def test_numbers_of_tokens_and_spans(self, seed: int, tokens: int, density: float, mean_length: float) -> None:
        """They are fixed; a text begins with a token that stays, and spans do not touch. One token has no span."""
        removed = choose_spans(tokens, np.random.default_rng(seed), density, mean_length)
        assert len(removed) == tokens
        assert not removed[0]
        expected = span_count(tokens, density, mean_length)
        assert (int(removed.sum()), len(spans_of(removed))) == expected
        assert expected[0] == min(max(round(tokens * density), 1), tokens - 1)

    def test_value_of_the_numbers(self) -> None:
        """15% in spans of 3 tokens: of 512 tokens, 77 in 26 spans, as in the authors' code."""
        assert span_count(512) == (77, 26)
        assert [span_count(tokens) for tokens in (1, 2, 10, 128)] == [(0, 0), (1, 1), (2, 1), (19, 6)]

    def test_every_division_has_the_same_probability(self) -> None:
        """Of 8 tokens, 4 in 2 spans: lengths 1 + 3, 2 + 2 and 3 + 1 of both kinds, so nine masks."""
        generator = np.random.default_rng(0)
        draws = [tuple(choose_spans(8, generator, 0.5, 2.0).tolist()) for _ in range(3600)]
        counts = [draws.count(mask) for mask in {*draws}]
        assert len(counts) == 9
        assert all(abs(each - 400) < 100 for each in counts)  # five standard deviations


class TestCorruptSpans:
    @given(seeds, st.integers(1, 60), st.sampled_from([0.15, 0.5]))
    def test_source_and_target_together_are_the_text(self, seed: int, tokens: int, density: float) -> None:
        """Each sentinel of the source, replaced by what follows it in the target, gives the text."""
        ids = np.arange(10, 10 + tokens)
        removed = choose_spans(tokens, np.random.default_rng(seed), density)
        source, target = corrupt_spans(ids, removed, SENTINELS, END)
        assert source[-1] == target[-1] == END
        spans: dict[int, list[int]] = {}
        for token in target[:-1].tolist():
            if token >= 1000:
                spans[token] = []
            else:
                spans[[*spans][-1]].append(token)
        *used, last = spans
        assert spans[last] == []
        assert [token for token in source.tolist() if token >= 1000] == used == [*range(1000, last)]
        assert [each for token in source[:-1].tolist() for each in spans.get(token, [token])] == ids.tolist()


class TestSpanExamples:
    def test_examples_do_not_depend_on_their_batch(self) -> None:
        """Nor on the micro-batch; they change from epoch to epoch."""
        epoch = SpanExamples(CORPUS, TOKENIZER, length=12).epoch(3)
        numbers = np.arange(len(epoch.lengths))
        together = epoch.batch(numbers)
        for number in numbers:
            alone = epoch.batch(numbers[number : number + 1])
            for name in ("input_ids", "labels", "decoder_input_ids"):
                row, single = getattr(together, name)[number], getattr(alone, name)[0]
                assert row[: len(single)].tolist() == single.tolist()
        again = SpanExamples(CORPUS, TOKENIZER, length=12).epoch(3).batch(numbers)
        assert again.input_ids.equal(together.input_ids)
        other = SpanExamples(CORPUS, TOKENIZER, length=12).epoch(4).batch(numbers[:1])
        assert other.input_ids.tolist() != together.input_ids[:1].tolist()

    def test_every_token_is_in_one_example(self) -> None:
        """Source and target of an epoch have each token of the corpus once, besides sentinels and ends."""
        epoch = SpanExamples(CORPUS, TOKENIZER, length=12).epoch(0)
        batches = [epoch.batch(indices) for indices in epoch.batch_indices(partial(batches_by_count, batch_size=4))]
        found = []
        for batch in batches:
            for source, keep, labels in zip(batch.input_ids, batch.attention_mask, batch.labels, strict=True):
                found += source[keep].tolist()[:-1] + labels[labels != IGNORE_INDEX].tolist()[:-1]
        ordinary = [each for each in found if each not in sentinel_ids(TOKENIZER)]
        assert sorted(ordinary) == sorted(CORPUS.ids.tolist())

    def test_the_decoder_input_is_the_target_after_the_padding_piece(self) -> None:
        batch = SpanExamples(CORPUS, TOKENIZER, length=12).epoch(0).batch(np.array([0, 1]))
        for inputs, labels in zip(batch.decoder_input_ids.tolist(), batch.labels.tolist(), strict=True):
            assert inputs == [0, *(max(0, label) for label in labels[:-1])]
        empty = SpanExamples(CORPUS, TOKENIZER, length=12).epoch(0).batch(np.array([], dtype=np.int64))
        assert (empty.labels == IGNORE_INDEX).all()
        assert empty.attention_mask.all()

    def test_too_few_sentinels_are_refused(self) -> None:
        with pytest.raises(ValueError, match="needs 104 sentinels such as <extra_id_0>, but the tokenizer has 100"):
            SpanExamples(CORPUS, TOKENIZER, length=2050)
        without = build_byte_pair_tokenizer([])
        with pytest.raises(ValueError, match="the tokenizer has 0"):
            SpanExamples(CORPUS, without, length=12)

    def test_a_sentinel_in_the_text_is_text(self) -> None:
        """So is a literal </s>. The tokenizer itself still reads both as tokens, as that of transformers does."""
        literal = "the <extra_id_0> cat.</s> a dog"
        corpus = TokenizedCorpus.from_documents([Document("a", (literal,)), *TEXTS], TOKENIZER, DOCUMENTS)
        first = corpus.ids[: corpus.sentence_starts[2]]
        assert np.isin(first, [*sentinel_ids(TOKENIZER), END]).nonzero()[0].tolist() == [len(first) - 1]
        assert TOKENIZER.decode(first.tolist(), skip_special_tokens=False) == f"{literal}</s>"
        SpanExamples(corpus, TOKENIZER, length=12)
        assert TOKENIZER.encode(literal).tokens.count("<extra_id_0>") == 1
        assert TOKENIZER.encode(literal).tokens.count("</s>") == 2

    @pytest.mark.parametrize("part", [1, 3, 1000])
    def test_a_sentinel_in_the_text_is_refused_where_it_is_a_piece_of_the_model(
        self, part: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in published vocabularies of T5, which have the sentinels among the pieces of a unigram model."""
        monkeypatch.setattr("minibert.text.tokenized.TOKENS_PER_CHUNK", part)
        pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("a", -1.0), ("<extra_id_0>", 0.0), ("<extra_id_1>", 0.0)]
        tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
        tokenizer.add_special_tokens([piece for piece, score in pieces if score == 0])
        name_special_tokens(tokenizer, {"[PAD]": "<pad>", "[UNK]": "<unk>"})
        corpus = TokenizedCorpus.from_documents([Document("a", ("aa<extra_id_0>aa<extra_id_1>a",))], tokenizer, DOCUMENTS)
        with pytest.raises(ValueError, match=r"the text has sentinels such as <extra_id_0> in 2 places, .* remove them"):
            SpanExamples(corpus, tokenizer, length=4)

    def test_the_tokenizer_has_the_ids_of_t5(self) -> None:
        """<pad>, </s> and <unk> are 0, 1 and 2; </s> ends each text."""
        assert TOKENIZER.encode("the cat").tokens == ["the", "Ġcat", "</s>"]
        assert [TOKENIZER.token_to_id(token) for token in ("<pad>", "</s>", "<unk>")] == [0, 1, 2]
        assert sentinel_ids(TOKENIZER).tolist() == [*range(3, 103)]
