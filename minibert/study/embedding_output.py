"""Files of text vectors: .npy with the vectors, or .parquet with the texts and their vectors."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minibert.files import atomic_file
from minibert.study.embedding import EmbeddedBlock


def write_vectors(path: Path, blocks: Iterable[EmbeddedBlock], texts: int) -> int:
    """Write the vectors of all blocks, one block after the other, and return the number of texts that were cut.

    Args:
        path: a file that ends in .npy, or else a Parquet file. It gets its name when all vectors are in it.
        blocks: at least one block.
        texts: number of texts in all blocks.
    """
    with atomic_file(path) as file:
        return _write_npy(file, blocks, texts) if path.suffix == ".npy" else _write_parquet(file, blocks)


def _write_npy(file: BinaryIO, blocks: Iterable[EmbeddedBlock], texts: int) -> int:
    """Write one matrix with a row per text, as `np.load` reads it. Its header comes first, with the number of rows."""
    cut, rest = 0, iter(blocks)
    first = next(rest)
    description, shape = np.lib.format.dtype_to_descr(first.vectors.dtype), (texts, first.vectors.shape[1])
    np.lib.format.write_array_header_1_0(file, {"descr": description, "fortran_order": False, "shape": shape})
    for block in chain([first], rest):
        file.write(np.ascontiguousarray(block.vectors).data)
        cut += block.cut
    return cut


def _write_parquet(file: BinaryIO, blocks: Iterable[EmbeddedBlock]) -> int:
    """Write the columns "text" and "vector", a list of numbers that has the same length in each row."""
    import pyarrow
    from pyarrow import parquet

    cut, rest = 0, iter(blocks)
    first = next(rest)
    vector = pyarrow.list_(pyarrow.from_numpy_dtype(first.vectors.dtype), first.vectors.shape[1])
    schema = pyarrow.schema({"text": pyarrow.string(), "vector": vector})
    with parquet.ParquetWriter(file, schema) as writer:
        for block in chain([first], rest):
            vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(block.vectors.ravel()), type=vector)
            writer.write_table(pyarrow.table([pyarrow.array(block.texts, pyarrow.string()), vectors], schema=schema))
            cut += block.cut
    return cut
