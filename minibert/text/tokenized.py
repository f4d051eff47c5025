"""Documents as token ids: one long array, which stays on the disk where it is long, and where everything begins in it."""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from minibert.files import cache_directory, write_atomically
from minibert.text.batching import IntArray
from minibert.text.corpus import Corpus, Document, is_held_out
from minibert.text.tokenizer import SEP, token_id

DOCUMENTS_AT_ONCE = 1000
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
        sentences, lengths, dtype = [], [], np.dtype(np.uint16)
        with (directory / IDS).open("wb") as file:
            for part in _encode(documents, tokenizer):
                part.ids.tofile(file)
                sentences.append(part.sentences)
                lengths.append(part.documents)
                dtype = part.ids.dtype
        np.save(directory / SENTENCES, _starts(sentences))
        np.save(directory / DOCUMENTS, _starts(lengths))
        write_atomically(directory / ABOUT, json.dumps({"dtype": dtype.name}))  # last: what has it is whole
        return cls.load(directory)

    @classmethod
    def load(cls, directory: Path) -> "TokenizedCorpus":
        """What `write` has written, mapped into memory. Raises: FileNotFoundError if it is not there, or not whole."""
        dtype = json.loads((directory / ABOUT).read_text())["dtype"]
        empty = (directory / IDS).stat().st_size == 0  # which cannot be mapped
        return cls(
            np.empty(0, dtype) if empty else np.memmap(directory / IDS, dtype, mode="r"),
            np.load(directory / SENTENCES, mmap_mode="r"),
            np.load(directory / DOCUMENTS, mmap_mode="r"),
        )

    def sample(self, separator: int, most: int = 10_000_000) -> IntArray:
        """The first ids, up to `most`, without separators: enough to count how frequent each piece is."""
        some: IntArray = self.ids[:most].astype(np.int64)
        words: IntArray = some[some != separator]
        return words


def tokenize(corpus: Corpus, tokenizer: Tokenizer, held_out_share: float) -> tuple[TokenizedCorpus, TokenizedCorpus]:
    """The documents to learn from and those held out, encoded; kept in the cache, so it is done once.

    Where either would have fewer than two documents, nothing is held out.
    """
    settings = [corpus.fingerprint, tokenizer.to_str(), held_out_share, Path(__file__).read_text(encoding="utf-8")]
    fingerprint = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    directory = cache_directory() / "tokens" / fingerprint
    if not directory.is_dir():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{fingerprint}.") as temporary:
            made = Path(temporary) / "made"
            _write_both(made, corpus, tokenizer, held_out_share)
            with suppress(OSError):  # another process has been as quick, with the same
                made.rename(directory)
    return TokenizedCorpus.load(directory / "learnt"), TokenizedCorpus.load(directory / "held-out")


def _write_both(directory: Path, corpus: Corpus, tokenizer: Tokenizer, share: float) -> None:
    learnt = (document for document in corpus.documents if not is_held_out(document.source, share))
    held_out = (document for document in corpus.documents if is_held_out(document.source, share))
    written = [
        TokenizedCorpus.write(directory / name, documents, tokenizer)
        for name, documents in (("learnt", learnt), ("held-out", held_out))
    ]
    if share and min(len(some.document_starts) for some in written) < 3:
        _write_both(directory, corpus, tokenizer, 0.0)


def _encode(documents: Iterable[Document], tokenizer: Tokenizer) -> Iterator[_Part]:
    """Some documents at a time, on all cores; sentences without any piece are left out, and so are documents."""
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.uint32
    separator = [token_id(tokenizer, SEP)]
    stream = iter(documents)
    while some := list(islice(stream, DOCUMENTS_AT_ONCE)):
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


def _starts(lengths: Sequence[IntArray]) -> IntArray:
    return np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, dtype=np.int64), *lengths]))]).astype(np.int64)
