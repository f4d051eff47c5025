"""Documents as token ids: one long array, which stays on the disk where it is long, and where everything begins in it."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from minibert.files import cache_directory, write_atomically
from minibert.text.batching import IntArray
from minibert.text.corpus import Corpus, Document
from minibert.text.splits import in_validation
from minibert.text.tokenizer import SEP, token_id

CHARACTERS_AT_ONCE = 4_000_000
IDS, SENTENCES, DOCUMENTS, ABOUT = "ids.bin", "sentence-starts.npy", "document-starts.npy", "corpus.json"


class _Part(NamedTuple):
    """Some documents, encoded: their ids, the lengths of their sentences in ids, and of the documents in sentences."""

    ids: NDArray[Any]
    sentences: IntArray
    documents: IntArray


@dataclass(frozen=True)
class TokenizedCorpus:
    """All documents as one array of ids, and where their sentences and the documents themselves begin.

    A separator stands after each document, as a sentence of one token that belongs to it: document `d` has the sentences
    from `document_starts[d]` to `document_starts[d + 1] - 1`, and then the separator. Both arrays of starts have one place
    more than there are: the end of the last.
    """

    ids: NDArray[Any]
    sentence_starts: IntArray
    document_starts: IntArray
    digest: str = ""
    """Of the ids, where they are on the disk: the same for the same text in the same pieces, wherever it lies."""

    @classmethod
    def from_documents(cls, documents: Iterable[Document], tokenizer: Tokenizer) -> "TokenizedCorpus":
        """Encodes every sentence of every document, in memory."""
        parts = list(_encode(documents, tokenizer))
        return cls(
            np.concatenate([np.empty(0, dtype=np.uint16), *(part.ids for part in parts)]),
            _starts([part.sentences for part in parts]),
            _starts([part.documents for part in parts]),
        )

    @classmethod
    def write(cls, directory: Path, documents: Iterable[Document], tokenizer: Tokenizer) -> "TokenizedCorpus":
        """Encodes every sentence of every document into files, of which `load` gives this again without reading them."""
        directory.mkdir(parents=True, exist_ok=True)
        sentences, lengths, dtype, digest = [], [], np.dtype(np.uint16), hashlib.sha256()
        with (directory / IDS).open("wb") as file:
            for part in _encode(documents, tokenizer):
                part.ids.tofile(file)
                digest.update(part.ids.tobytes())
                sentences.append(part.sentences)
                lengths.append(part.documents)
                dtype = part.ids.dtype
            file.flush()
            os.fsync(file.fileno())
        np.save(directory / SENTENCES, _starts(sentences))
        np.save(directory / DOCUMENTS, _starts(lengths))
        write_atomically(directory / ABOUT, json.dumps({"dtype": dtype.name, "digest": digest.hexdigest()[:16]}))  # last
        return cls.load(directory)

    @classmethod
    def load(cls, directory: Path) -> "TokenizedCorpus":
        """What `write` has written, mapped into memory. Raises: OSError if it is not there, ValueError if it is not whole."""
        about = json.loads((directory / ABOUT).read_text())
        sentences, documents = (np.load(directory / name, mmap_mode="r") for name in (SENTENCES, DOCUMENTS))
        size = (directory / IDS).stat().st_size
        if size != sentences[-1] * np.dtype(about["dtype"]).itemsize:
            raise ValueError(f"{directory / IDS}: has {size} bytes, and not as many as its sentences need")
        ids = np.memmap(directory / IDS, about["dtype"], mode="r") if size else np.empty(0, about["dtype"])
        return cls(ids, sentences, documents, about["digest"])

    def sample(self, separator: int, most: int = 10_000_000) -> IntArray:
        """The first ids, up to `most`, without separators: enough to count how frequent each piece is."""
        some: IntArray = self.ids[:most].astype(np.int64)
        words: IntArray = some[some != separator]
        return words


def tokenize_corpus(corpus: Corpus, tokenizer: Tokenizer, validation_share: float) -> tuple[TokenizedCorpus, TokenizedCorpus]:
    """The documents to learn from and those held out, encoded; kept in the cache, so it is done once.

    Where either would have fewer than two documents, nothing is held out.
    """
    settings = [corpus.fingerprint, tokenizer.to_str(), validation_share, Path(__file__).read_text(encoding="utf-8")]
    fingerprint = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    directory = cache_directory() / "tokens" / fingerprint
    try:
        return TokenizedCorpus.load(directory / "learned"), TokenizedCorpus.load(directory / "validation")
    except (OSError, ValueError):  # not there, or damaged
        shutil.rmtree(directory, ignore_errors=True)
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{fingerprint}.") as temporary:
            made = Path(temporary) / "made"
            _write_both(made, corpus, tokenizer, validation_share)
            with suppress(OSError):  # another process has been as quick, with the same
                made.rename(directory)
    return TokenizedCorpus.load(directory / "learned"), TokenizedCorpus.load(directory / "validation")


def _write_both(directory: Path, corpus: Corpus, tokenizer: Tokenizer, share: float) -> None:
    train = (document for document in corpus.documents if not in_validation(document.source, share))
    validation = (document for document in corpus.documents if in_validation(document.source, share))
    written = [
        TokenizedCorpus.write(directory / name, documents, tokenizer)
        for name, documents in (("learned", train), ("validation", validation))
    ]
    if share and min(len(some.document_starts) for some in written) < 3:
        _write_both(directory, corpus, tokenizer, 0.0)


def _encode(documents: Iterable[Document], tokenizer: Tokenizer) -> Iterator[_Part]:
    """Some documents at a time, on all cores; sentences without any piece are left out, and so are documents."""
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.uint32
    separator = [token_id(tokenizer, SEP)]
    for some in _portions(documents):
        texts = [sentence for document in some for sentence in document.sentences]
        encoded = iter(tokenizer.encode_batch_fast(texts, add_special_tokens=False))
        pieces = [[ids for _ in document.sentences if (ids := next(encoded).ids)] for document in some]
        whole: list[list[Sequence[int]]] = [[*found, separator] for found in pieces if found]
        flat = list(chain.from_iterable(whole))
        yield _Part(
            np.fromiter(chain.from_iterable(flat), dtype=dtype),
            np.array([len(ids) for ids in flat], dtype=np.int64),
            np.array([len(document) for document in whole], dtype=np.int64),
        )


def _portions(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Some documents at a time, of about `CHARACTERS_AT_ONCE` together."""
    some, size = [], 0
    for document in documents:
        some.append(document)
        size += sum(map(len, document.sentences))
        if size >= CHARACTERS_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _starts(lengths: Sequence[IntArray]) -> IntArray:
    return np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, dtype=np.int64), *lengths]))]).astype(np.int64)
