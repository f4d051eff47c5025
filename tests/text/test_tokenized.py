"""Encoded documents: what stands where, in memory and on the disk."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.text import tokenized
from minibert.text.corpus import Corpus, Document
from minibert.text.tokenized import TokenizedCorpus, tokenize_corpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *"abcdef"])
SEP = 3
texts = st.lists(st.lists(st.text("abcdef \x00", max_size=9), max_size=4), max_size=6)


def make(documents: list[list[str]]) -> list[Document]:
    return [Document(f"d{number}", tuple(sentences)) for number, sentences in enumerate(documents)]


@given(texts)
def test_every_sentence_is_where_the_starts_say(documents: list[list[str]]) -> None:
    """A document's sentences and then its separator; sentences and documents without any piece are left out."""
    corpus = TokenizedCorpus.from_documents(make(documents), TOKENIZER)
    encoded = [[TOKENIZER.encode(text, add_special_tokens=False).ids for text in document] for document in documents]
    expected = [[ids for ids in document if ids] for document in encoded]
    found = []
    for first, end in zip(corpus.document_starts, corpus.document_starts[1:], strict=False):
        spans = zip(corpus.sentence_starts[first:end], corpus.sentence_starts[first + 1 : end + 1], strict=True)
        sentences = [corpus.ids[a:b].tolist() for a, b in spans]
        assert sentences.pop() == [SEP]
        found.append(sentences)
    assert found == [document for document in expected if document]
    assert corpus.sentence_starts[-1] == len(corpus.ids)
    assert corpus.document_starts[-1] == len(corpus.sentence_starts) - 1


def test_on_the_disk_it_is_the_same(tmp_path: Path) -> None:
    """Mapped, not read; and in parts, where it is long."""
    documents = make([["abc de", "f"], ["a"], ["b c", "d", "e"]])
    whole = TokenizedCorpus.from_documents(documents, TOKENIZER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenized, "CHARACTERS_PER_CHUNK", 5)
        written = TokenizedCorpus.write(tmp_path, iter(documents), TOKENIZER)
    for name in ("ids", "sentence_starts", "document_starts"):
        np.testing.assert_array_equal(getattr(written, name), getattr(whole, name))
        assert isinstance(getattr(written, name), np.memmap)
    assert written.ids.dtype == np.uint16
    empty = TokenizedCorpus.write(tmp_path / "empty", [], TOKENIZER)
    assert len(empty.ids) == 0


def test_tokenizing_is_done_once_and_again_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another text, another vocabulary or another share held out is another corpus."""
    documents = make([["a b", "c"]] * 40)
    corpus = Corpus("", "fingerprint of this test", documents)
    train, validation = tokenize_corpus(corpus, TOKENIZER, 0.2)
    assert len(train.document_starts) + len(validation.document_starts) == 42
    assert len(validation.document_starts) > 3
    with monkeypatch.context() as patch:
        patch.setattr(tokenized, "_write_splits", lambda *_: pytest.fail("tokenized again"))
        again, _ = tokenize_corpus(corpus, TOKENIZER, 0.2)
        np.testing.assert_array_equal(train.ids, again.ids)
        for other in (
            (Corpus("", "another", documents), TOKENIZER, 0.2),
            (corpus, build_tokenizer([*SPECIAL_TOKENS, *"abc"]), 0.2),
            (corpus, TOKENIZER, 0.3),
        ):
            with pytest.raises(pytest.fail.Exception, match="tokenized again"):
                tokenize_corpus(*other)


def test_with_few_documents_nothing_is_validation() -> None:
    """Two documents are both learned from: pairs need them."""
    train, validation = tokenize_corpus(Corpus("", "two", make([["a", "b"], ["c", "d"]])), TOKENIZER, 0.5)
    assert len(train.document_starts) == 3
    assert len(validation.document_starts) == 1
    assert len(validation.ids) == 0


def test_what_is_damaged_in_the_cache_is_made_again() -> None:
    """A file that is too short is not trusted, and not in the way."""
    corpus = Corpus("", "damaged", make([["a b", "c"]] * 40))
    train, _ = tokenize_corpus(corpus, TOKENIZER, 0.2)
    expected = train.ids.tolist()
    os.truncate(train.ids.filename, 4)
    again, _ = tokenize_corpus(corpus, TOKENIZER, 0.2)
    assert again.ids.tolist() == expected
    assert again.digest == train.digest != ""


def test_the_sample_has_no_separators() -> None:
    corpus = TokenizedCorpus.from_documents(make([["ab"], ["c"]]), TOKENIZER)
    words = [piece for piece in corpus.ids.tolist() if piece != SEP]
    assert corpus.sample(SEP).tolist() == words
    assert len(corpus.sample(SEP, most=2)) <= 2
