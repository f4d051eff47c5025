"""Tokenized corpora: all documents as one array of token ids, in memory or memory-mapped from files."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from minibert.files import cache_directory, cached
from minibert.text.batching import IntArray
from minibert.text.corpus import Corpus, Document
from minibert.text.layout import word_prefix
from minibert.text.splits import is_validation, split_key
from minibert.text.tokenizer import SEP, UNK, sentinels, token_id, vocabulary_size, without_special_tokens
from minibert.text.unknown import UnknownText, unknown_in

CHARACTERS_PER_CHUNK, TOKENS_PER_CHUNK = 4_000_000, 1_000_000
IDS_FILE, METADATA_FILE = "ids.bin", "corpus.json"
SENTENCES_FILE, DOCUMENTS_FILE, DIGESTS_FILE = "sentence-starts.npy", "document-starts.npy", "document-digests.npy"
TRAIN, VALIDATION = "train", "validation"
"""Names of the folders in the cache."""


class Ends(NamedTuple):
    """Text that is added to each sentence, such as a line end, and the token after each document."""

    sentence: str = ""
    document: str = SEP


PLAIN = Ends()
"""Sentences as they are, and BERT's [SEP] after each document."""


class _Chunk(NamedTuple):
    """Several tokenized documents."""

    ids: NDArray[Any]
    sentence_lengths: IntArray
    """Number of tokens of each sentence."""
    document_lengths: IntArray
    """Number of sentences of each document."""
    document_digests: NDArray[np.uint64]
    """Hash of the ids of each document."""
    unknown: UnknownText


@dataclass(frozen=True)
class TokenizedCorpus:
    """Documents as one array of token ids, and the start of each sentence and document.

    Each document ends with a separator, stored as a sentence of one token. So document `d` has the sentences
    `document_starts[d]` to `document_starts[d + 1] - 2`, and sentence `document_starts[d + 1] - 1` is its separator. The last
    element of both arrays of starts is the end of the last sentence or document.
    """

    ids: NDArray[Any]
    sentence_starts: IntArray
    """Index in `ids` of the first token of each sentence."""
    document_starts: IntArray
    """Index of the first sentence of each document."""
    document_digests: NDArray[np.uint64]
    """Hash of the ids of each document, which is the same for copies."""
    digest: str = ""
    """Hash of the ids, for a corpus loaded from files. It identifies text and tokenization."""
    unknown: UnknownText = field(default_factory=UnknownText)
    """Characters that became [UNK]."""

    @classmethod
    def from_documents(cls, documents: Iterable[Document], tokenizer: Tokenizer, ends: Ends = PLAIN) -> "TokenizedCorpus":
        """Tokenize documents in memory."""
        chunks = list(_tokenize(documents, tokenizer, ends))
        return cls(
            np.concatenate([np.empty(0, dtype=np.uint16), *(chunk.ids for chunk in chunks)]),
            _starts([chunk.sentence_lengths for chunk in chunks]),
            _starts([chunk.document_lengths for chunk in chunks]),
            np.concatenate([np.empty(0, dtype=np.uint64), *(chunk.document_digests for chunk in chunks)]),
            unknown=sum((chunk.unknown for chunk in chunks), UnknownText()),
        )

    @classmethod
    def write(
        cls, directory: Path, documents: Iterable[Document], tokenizer: Tokenizer, ends: Ends = PLAIN
    ) -> "TokenizedCorpus":
        """Tokenize documents into files, and load these as `load` does. The corpus may be larger than memory."""
        directory.mkdir(parents=True, exist_ok=True)
        sentence_lengths, document_lengths, dtype, digest = [], [], np.dtype(np.uint16), hashlib.sha256()
        unknown = UnknownText()
        document_digests = [np.empty(0, dtype=np.uint64)]
        with (directory / IDS_FILE).open("wb") as file:
            for chunk in _tokenize(documents, tokenizer, ends):
                file.write(chunk.ids.data)
                digest.update(chunk.ids.tobytes())
                sentence_lengths.append(chunk.sentence_lengths)
                document_lengths.append(chunk.document_lengths)
                document_digests.append(chunk.document_digests)
                dtype, unknown = chunk.ids.dtype, unknown + chunk.unknown
        np.save(directory / SENTENCES_FILE, _starts(sentence_lengths))
        np.save(directory / DOCUMENTS_FILE, _starts(document_lengths))
        np.save(directory / DIGESTS_FILE, np.concatenate(document_digests))
        metadata = {"dtype": dtype.name, "digest": digest.hexdigest()[:16], "unknown": asdict(unknown)}
        (directory / METADATA_FILE).write_text(json.dumps(metadata))
        return cls.load(directory)

    @classmethod
    def load(cls, directory: Path) -> "TokenizedCorpus":
        """Memory-map a corpus from the files of `write`.

        Raises: OSError if there are no such files, ValueError if they are incomplete.
        """
        metadata = json.loads((directory / METADATA_FILE).read_text())
        sentence_starts, document_starts, document_digests = (
            np.load(directory / name, mmap_mode="r") for name in (SENTENCES_FILE, DOCUMENTS_FILE, DIGESTS_FILE)
        )
        size, expected = (directory / IDS_FILE).stat().st_size, sentence_starts[-1] * np.dtype(metadata["dtype"]).itemsize
        if size != expected:
            raise ValueError(f"{directory / IDS_FILE}: has {size} bytes instead of {expected}")
        dtype = metadata["dtype"]
        ids = np.memmap(directory / IDS_FILE, dtype, mode="r") if size else np.empty(0, dtype)
        return cls(
            ids, sentence_starts, document_starts, document_digests, metadata["digest"], UnknownText(**metadata["unknown"])
        )

    @cached_property
    def document_contents(self) -> IntArray:
        """Number of the text of each document, starting at 0. Copies of a document have the same number."""
        _, first, inverse = np.unique(self.document_digests, return_index=True, return_inverse=True)
        numbers: IntArray = np.argsort(np.argsort(first))[inverse]
        return numbers

    def first_documents(self, max_tokens: int) -> "TokenizedCorpus":
        """Return the first documents, with about `max_tokens` tokens together, but all of a corpus of two documents."""
        count = max(2, int(np.searchsorted(self.sentence_starts[self.document_starts], max_tokens, side="right")) - 1)
        document_starts = self.document_starts[: count + 1]
        sentence_starts = self.sentence_starts[: document_starts[-1] + 1]
        return TokenizedCorpus(self.ids[: sentence_starts[-1]], sentence_starts, document_starts, self.document_digests[:count])

    def count(self, tokens: IntArray) -> int:
        """Count how often some tokens occur. The corpus is read in parts, because it may be larger than memory."""
        starts = range(0, len(self.ids), TOKENS_PER_CHUNK)
        return sum(int(np.isin(self.ids[start : start + TOKENS_PER_CHUNK], tokens).sum()) for start in starts)

    def first_tokens(self, excluded: Sequence[int], limit: int = 10_000_000) -> IntArray:
        """Return the tokens among the first `limit` ids, without those excluded: a sample to estimate token frequencies."""
        ids: IntArray = self.ids[:limit].astype(np.int64)
        tokens: IntArray = ids[~np.isin(ids, excluded)]
        return tokens


def tokenize_corpus(
    corpus: Corpus, tokenizer: Tokenizer, validation_fraction: float, ends: Ends = PLAIN
) -> tuple[TokenizedCorpus, TokenizedCorpus]:
    """Tokenize a corpus, and return its training and validation documents. The result is cached.

    All documents are training documents if either part would have fewer than two.
    """
    inputs = [corpus.fingerprint, tokenizer.to_str(), validation_fraction, ends, Path(__file__).read_text(encoding="utf-8")]
    fingerprint = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]
    return cached(
        cache_directory() / "tokens" / fingerprint,
        lambda folder: _write_splits(folder, corpus, tokenizer, validation_fraction, ends),
        lambda folder: (TokenizedCorpus.load(folder / TRAIN), TokenizedCorpus.load(folder / VALIDATION)),
    )


def _write_splits(directory: Path, corpus: Corpus, tokenizer: Tokenizer, validation_fraction: float, ends: Ends) -> None:
    train = (document for document in corpus.documents if not is_validation(split_key(document), validation_fraction))
    validation = (document for document in corpus.documents if is_validation(split_key(document), validation_fraction))
    splits = [
        TokenizedCorpus.write(directory / name, documents, tokenizer, ends)
        for name, documents in ((TRAIN, train), (VALIDATION, validation))
    ]
    if validation_fraction and min(len(split.document_starts) - 1 for split in splits) < 2:
        _write_splits(directory, corpus, tokenizer, 0.0, ends)


def _tokenize(documents: Iterable[Document], tokenizer: Tokenizer, ends: Ends) -> Iterator[_Chunk]:
    """Tokenize documents chunk by chunk, on all cores. Sentences and documents without tokens are skipped.

    A literal [MASK], [SEP] or sentinel in a document is text, not a special token. If a space is a part of the first piece of
    a word, a sentence that follows another one begins with it, but not after a line end.
    """
    dtype = np.uint16 if vocabulary_size(tokenizer) <= 2**16 else np.uint32
    separator, unknown = [token_id(tokenizer, ends.document)], token_id(tokenizer, UNK)
    space = "" if ends.sentence else word_prefix(tokenizer)
    tokenizer = without_special_tokens(tokenizer, [ends.document, *sentinels(tokenizer)])
    for chunk in _chunks(documents):
        texts = [
            (space if number else "") + sentence + ends.sentence
            for document in chunk
            for number, sentence in enumerate(document.sentences)
        ]
        encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
        encoded = iter(encodings)
        sentences = [[ids for _ in document.sentences if (ids := next(encoded).ids)] for document in chunk]
        tokenized: list[list[Sequence[int]]] = [[*found, separator] for found in sentences if found]
        flat = list(chain.from_iterable(tokenized))
        yield _Chunk(
            np.fromiter(chain.from_iterable(flat), dtype=dtype),
            np.array([len(ids) for ids in flat], dtype=np.int64),
            np.array([len(document) for document in tokenized], dtype=np.int64),
            np.array([_digest(document) for document in tokenized], dtype=np.uint64),
            unknown_in(texts, encodings, unknown),
        )


def _digest(sentences: Sequence[Sequence[int]]) -> int:
    """Return a hash of the ids of a document, which does not depend on their division into sentences."""
    ids = np.fromiter(chain.from_iterable(sentences), dtype=np.uint32)
    return int.from_bytes(hashlib.blake2b(ids.tobytes(), digest_size=8).digest())


def _chunks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Split documents into chunks of about `CHARACTERS_PER_CHUNK`."""
    chunk, size = [], 0
    for document in documents:
        chunk.append(document)
        size += sum(map(len, document.sentences))
        if size >= CHARACTERS_PER_CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _starts(lengths: Sequence[IntArray]) -> IntArray:
    return np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, dtype=np.int64), *lengths]))]).astype(np.int64)
