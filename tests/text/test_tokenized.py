"""Tokenized corpora, in memory and in files."""

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
from minibert.text.unknown import UnknownText

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *"abcdef"])
UNK, SEP = 1, 3
texts = st.lists(st.lists(st.text("abcdef \x00", max_size=9), max_size=4), max_size=6)


def make_documents(documents: list[list[str]]) -> list[Document]:
    return [Document(f"d{number}", tuple(sentences)) for number, sentences in enumerate(documents)]


@given(texts)
def test_starts_of_sentences_and_documents(documents: list[list[str]]) -> None:
    """A document is its sentences and a separator. Sentences and documents without tokens are skipped."""
    corpus = TokenizedCorpus.from_documents(make_documents(documents), TOKENIZER)
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


def test_files_contain_the_same_corpus(tmp_path: Path) -> None:
    """The arrays are memory-mapped. Documents are written in several chunks."""
    documents = make_documents([["abc de", "f"], ["a"], ["b c", "d", "e"]])
    whole = TokenizedCorpus.from_documents(documents, TOKENIZER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenized, "CHARACTERS_PER_CHUNK", 5)
        written = TokenizedCorpus.write(tmp_path, iter(documents), TOKENIZER)
    for name in ("ids", "sentence_starts", "document_starts", "document_digests"):
        np.testing.assert_array_equal(getattr(written, name), getattr(whole, name))
        assert isinstance(getattr(written, name), np.memmap)
    assert written.ids.dtype == np.uint16
    empty = TokenizedCorpus.write(tmp_path / "empty", [], TOKENIZER)
    assert len(empty.ids) == 0


def test_the_digest_identifies_the_ids(tmp_path: Path) -> None:
    corpora = [[["a b", "c"]], [["a b"], ["c"]], [["a b", "d"]], [["a b", "c"]]]
    first, split, other, again = (
        TokenizedCorpus.write(tmp_path / str(number), make_documents(documents), TOKENIZER).digest
        for number, documents in enumerate(corpora)
    )
    assert first == again
    assert len({first, split, other}) == 3


def test_ids_have_two_bytes_if_the_vocabulary_allows_it() -> None:
    for size, dtype in ((2**16, np.uint16), (2**16 + 1, np.uint32)):
        tokenizer = build_tokenizer([*SPECIAL_TOKENS, *(f"w{number}" for number in range(5, size))])
        corpus = TokenizedCorpus.from_documents(make_documents([[f"w{size - 1}"]]), tokenizer)
        assert corpus.ids.tolist() == [size - 1, SEP]
        assert corpus.ids.dtype == dtype


@pytest.mark.parametrize(
    ("documents", "sizes"),
    [
        ([], []),
        (["abcde"], [1]),
        (["abcde", "f"], [1, 1]),
        (["abcd", "e"], [2]),
        (["abcdef", "a", "b", "cde", "f"], [1, 3, 1]),
        (["", ""], [2]),
    ],
)
def test_a_chunk_ends_with_the_document_that_completes_it(
    monkeypatch: pytest.MonkeyPatch, documents: list[str], sizes: list[int]
) -> None:
    """No chunk is empty."""
    monkeypatch.setattr(tokenized, "CHARACTERS_PER_CHUNK", 5)
    given_documents = make_documents([[text] for text in documents])
    chunks = [*tokenized._chunks(given_documents)]
    assert [document for chunk in chunks for document in chunk] == given_documents
    assert [len(chunk) for chunk in chunks] == sizes


def test_copies_of_a_document_have_the_same_content_number() -> None:
    """The division into sentences does not matter; the order of the words does."""
    documents = [["a b", "c"], ["c"], ["a", "b c"], ["c", "a b"], ["c"], ["", "c"]]
    corpus = TokenizedCorpus.from_documents(make_documents(documents), TOKENIZER)
    assert corpus.document_contents.tolist() == [0, 1, 0, 2, 1, 1]


def test_held_out_documents_have_no_copies_in_the_training_documents() -> None:
    """With 100 pages in 8 copies, under different names, no text is in both parts."""
    documents = [
        Document(f"{copy}/{page}", (f"{page:b}".replace("0", "a ").replace("1", "b "), "c"))
        for copy in range(8)
        for page in range(100)
    ]
    train, validation = tokenize_corpus(Corpus("", "copies", documents), TOKENIZER, 0.1)
    assert len(validation.document_digests) > 16
    assert {*train.document_digests.tolist()}.isdisjoint(validation.document_digests.tolist())
    assert len(train.document_digests) + len(validation.document_digests) == 800


def test_cache_depends_on_corpus_tokenizer_and_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    """A different corpus, vocabulary or validation fraction is tokenized again."""
    documents = make_documents([[f"{number:b}".replace("0", "a").replace("1", "b"), "c"] for number in range(40)])
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


def test_few_documents_are_all_training_documents() -> None:
    """Both of two documents are used for training, because sentence pairs need two."""
    train, validation = tokenize_corpus(Corpus("", "two", make_documents([["a", "b"], ["c", "d"]])), TOKENIZER, 0.5)
    assert len(train.document_starts) == 3
    assert len(validation.document_starts) == 1
    assert len(validation.ids) == 0


def test_damaged_cache_is_replaced() -> None:
    """A file that is too short is detected and written again."""
    corpus = Corpus("", "damaged", make_documents([["a b", "c"]] * 40))
    train, _ = tokenize_corpus(corpus, TOKENIZER, 0.2)
    expected = train.ids.tolist()
    os.truncate(train.ids.filename, 4)
    again, _ = tokenize_corpus(corpus, TOKENIZER, 0.2)
    assert again.ids.tolist() == expected
    assert again.digest == train.digest != ""


def test_first_tokens_without_excluded_ids() -> None:
    corpus = TokenizedCorpus.from_documents(make_documents([["a bx"], ["c"]]), TOKENIZER)
    tokens = [token for token in corpus.ids.tolist() if token not in (SEP, UNK)]
    assert corpus.first_tokens([SEP, UNK]).tolist() == tokens == [5, 7]
    assert len(corpus.first_tokens([SEP], limit=2)) <= 2


def test_special_tokens_in_a_document_are_text() -> None:
    """A literal [MASK], [PAD] or [SEP] becomes a word in brackets. An added token without a role is still found."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, "[", "]", "mask", "pad", "sep", "[E1]"])
    tokenizer.add_special_tokens(["[E1]"])
    corpus = TokenizedCorpus.from_documents(make_documents([["[MASK][E1] [PAD]", "[SEP]"]]), tokenizer)
    assert corpus.ids.tolist() == [5, 7, 6, 10, 5, 8, 6, 5, 9, 6, SEP]
    assert tokenizer.encode("[MASK]").ids == [2, 4, 3]


def test_unknown_characters_are_counted(tmp_path: Path) -> None:
    """In memory, in files, and over several chunks."""
    documents = make_documents([["a bx x", "c" * 101], ["d"]])
    expected = UnknownText(characters=106, unknown=104, in_long_words=101)
    assert TokenizedCorpus.from_documents(documents, TOKENIZER).unknown == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenized, "CHARACTERS_PER_CHUNK", 5)
        assert TokenizedCorpus.write(tmp_path, documents, TOKENIZER).unknown == expected
    assert TokenizedCorpus.load(tmp_path).unknown == expected
