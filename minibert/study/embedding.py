"""Text embeddings: one vector per text, from the token vectors of a BERT or a relative, and search with them.

A sentence-transformers folder is obeyed: its pooling, its dense layers, normalization, maximum length and prompts.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from tokenizers.normalizers import Lowercase
from tokenizers.normalizers import Sequence as Normalizers
from torch import Tensor, nn

from minibert.kernels import worthwhile_sequences
from minibert.model import Bert, BertConfig
from minibert.model.checkpoints.loading import read_checkpoint
from minibert.model.families import FAMILIES
from minibert.model.modes import evaluation_mode
from minibert.model.pooling import POOLING
from minibert.study.embedding_files import EmbeddingFiles, Normalize
from minibert.text.batching import pad_rows, split_by_tokens
from minibert.text.tokenizer import PAD, check_id, token_id
from minibert.text.tokenizer_loading import load_tokenizer

TEXTS_PER_BLOCK = 1024
"""Number of texts that are tokenized together, and sorted by length."""
TOKENS_PER_BATCH = 8192
MIN_LENGTH = 3
"""Tokens of the shortest text that is not empty: [CLS], a token and [SEP]."""


@dataclass(frozen=True)
class EmbeddedBlock:
    """Some consecutive texts and their vectors."""

    texts: Sequence[str]
    vectors: Float[np.ndarray, "texts width"]
    cut: int
    """Number of texts whose end was cut off."""


@dataclass(frozen=True)
class Match:
    """A text that was found."""

    index: int
    text: str
    similarity: float
    """Cosine of the angle between the vectors of the text and of the query."""


@dataclass(frozen=True)
class TextEmbedder:
    """An encoder with pooling: from a text to one vector (Reimers and Gurevych 2019).

    >>> embedder = TextEmbedder.from_pretrained("runs/quickstart")            # doctest: +SKIP
    >>> vectors = embedder.embed(["a tensor", "a list of files"])             # doctest: +SKIP
    >>> embedder.nearest("a matrix", ["a tensor", "a list of files"], top=1)  # doctest: +SKIP
    [Match(index=0, text='a tensor', similarity=0.91)]
    """

    model: Bert
    tokenizer: Tokenizer
    pooling: tuple[str, ...] = ("mean",)
    """Names of pooling functions in `POOLING`. The vectors of several are joined."""
    after: tuple[nn.Module, ...] = ()
    """Modules that are applied to the pooled vectors."""
    max_length: int | None = None
    """Maximum number of tokens. The end of a longer text is cut off. None: the number of positions of the model."""
    prompt: str = ""
    """Beginning that is added to each text."""
    query_prompt: str = ""
    """Beginning that is added to a query."""

    def __post_init__(self) -> None:
        positions = self.model.config.max_tokens
        if not MIN_LENGTH <= self.length <= positions:
            raise ValueError(f"the maximum length must be from {MIN_LENGTH} to {positions} tokens, not {self.length}")

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens"] | None = None,
        normalize: bool | None = None,
        max_length: int | None = None,
    ) -> "TextEmbedder":
        """Load a BERT, or another of its family, with or without heads, and its tokenizer.

        Args:
            source: a folder, or the id of a model on the hub. The settings of a sentence-transformers model are obeyed.
            pooling: pooling function. None: that of the files, or the mean.
            normalize: scale the vectors to length 1. None: as the files say.
            max_length: maximum number of tokens. None: that of the files, at most the number of positions of the model.

        Raises: FileNotFoundError for a missing file; ValueError for files that cannot be used.
        """
        files = EmbeddingFiles.read(source)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="(?s).*(not used by|newly initialized)")  # heads and the pooler
            model = _load_encoder(files.encoder)
        tokenizer = load_tokenizer(files.encoder)
        if files.lowercase:
            stages = [Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
            tokenizer.normalizer = Normalizers(stages)
        after = list(files.after)
        if normalize is not None:
            after = [module for module in after if not isinstance(module, Normalize)] + [Normalize()] * normalize
        positions = model.config.max_tokens
        length = min(files.max_length or positions, positions) if max_length is None else max_length
        modes = files.pooling if pooling is None else (pooling,)
        return cls(model, tokenizer, modes, tuple(after), length, files.prompt, files.query_prompt)

    @property
    def length(self) -> int:
        """Maximum number of tokens of a text."""
        return self.model.config.max_tokens if self.max_length is None else self.max_length

    @cached_property
    def width(self) -> int:
        """Size of the vectors."""
        return int(self.embed([""]).shape[1])

    def embed(self, texts: Sequence[str]) -> Float[np.ndarray, "texts width"]:
        """Compute one vector per text."""
        blocks = [block.vectors for block in self.embed_blocks(texts)]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.width), dtype=np.float32)

    def embed_blocks(self, texts: Sequence[str], prompt: str | None = None) -> Iterator[EmbeddedBlock]:
        """Compute the vectors of `TEXTS_PER_BLOCK` texts at a time, in the order of the texts.

        Args:
            prompt: beginning that is added to each text. Default: `self.prompt`.
        """
        beginning = self.prompt if prompt is None else prompt
        tokenizer = Tokenizer.from_str(self.tokenizer.to_str())
        tokenizer.encode_special_tokens = self.tokenizer.encode_special_tokens
        tokenizer.enable_truncation(self.length)
        for start in range(0, len(texts), TEXTS_PER_BLOCK):
            block = texts[start : start + TEXTS_PER_BLOCK]
            encodings = tokenizer.encode_batch([beginning + text for text in block])
            yield EmbeddedBlock(block, self._vectors(encodings), sum(bool(encoding.overflowing) for encoding in encodings))

    def nearest(self, query: str, texts: Sequence[str], top: int = 5) -> list[Match]:
        """Return the texts that are most similar to the query, the most similar one first."""
        search = Search(self, query, top)
        for block in self.embed_blocks(texts):
            search.add(block)
        return search.matches

    @torch.no_grad()
    def _vectors(self, encodings: Sequence[Encoding]) -> NDArray[np.floating]:
        """Compute the vectors of tokenized texts, in batches of similar length."""
        lengths = np.array([len(encoding.ids) for encoding in encodings], dtype=np.int64)
        batches = split_by_tokens(np.argsort(-lengths, kind="stable"), lengths[:, None], TOKENS_PER_BATCH)
        device = self.model.embeddings.words.weight.device
        with evaluation_mode(self.model):
            vectors = torch.cat([self._pool([encodings[row] for row in batch], device).cpu() for batch in batches])
        in_order = np.argsort(np.concatenate(batches))
        result: NDArray[np.floating] = vectors.numpy()[in_order]
        return result

    def _pool(self, encodings: Sequence[Encoding], device: torch.device) -> Float[Tensor, "batch width"]:
        """Encode one batch and pool the vectors of its tokens."""
        input_ids, keep = pad_rows([encoding.ids for encoding in encodings], token_id(self.tokenizer, PAD))
        check_id(self.tokenizer, int(input_ids.max()), self.model.config.vocab_size)
        mask = worthwhile_sequences(keep) or keep  # pooling does not read padding
        hidden = self.model(input_ids.to(device), mask.to(device)).last_hidden_state
        keep = keep.to(device)
        vectors = torch.cat([POOLING[name](hidden, keep) for name in self.pooling], dim=-1)
        for module in self.after:
            vectors = module.to(device)(vectors)
        return vectors.to(torch.promote_types(vectors.dtype, torch.float32))  # numpy has no bfloat16


def _load_encoder(source: str | Path) -> Bert:
    """Load the encoder of a checkpoint. Raises: ValueError for a family without an encoder of text; otherwise as `load`."""
    checkpoint = read_checkpoint(source)
    if checkpoint.model_type not in (*BertConfig.model_types, *FAMILIES):
        titles = ", ".join(family.title for family in FAMILIES.values())
        raise ValueError(
            f"{source}: its family is {checkpoint.model_type}, but text embeddings need an encoder of text: BERT, {titles}"
        )
    return cast("Bert", checkpoint.load(Bert.head))


class Search:
    """Search for the texts that are most similar to a query. Blocks of texts are added one after the other."""

    def __init__(self, embedder: TextEmbedder, query: str, top: int) -> None:
        (block,) = embedder.embed_blocks([query], prompt=embedder.query_prompt)
        self.query, self.top, self.seen = block.vectors[0], top, 0
        self.matches: list[Match] = []

    def add(self, block: EmbeddedBlock) -> None:
        """Add the next texts."""
        similarities = cosine_similarities(self.query, block.vectors)
        best = np.argsort(-similarities, kind="stable")[: self.top]
        found = [Match(self.seen + int(i), block.texts[i], float(similarities[i])) for i in best]
        self.matches = sorted([*self.matches, *found], key=lambda match: -match.similarity)[: self.top]
        self.seen += len(block.texts)


def cosine_similarities(
    query: Float[np.ndarray, " width"], vectors: Float[np.ndarray, "texts width"]
) -> Float[np.ndarray, " texts"]:
    """Compute the cosine of the angle between the query and each vector; 0 for a vector of zeros.

    >>> cosine_similarities(np.array([1.0, 0.0]), np.array([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
    array([1., 0., 0.])
    """
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    similarities: NDArray[np.floating] = np.divide(vectors @ query, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return similarities
