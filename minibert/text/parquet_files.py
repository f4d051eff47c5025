"""Opening Parquet files."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minibert.files import reason_of
from minibert.text.file_formats import CorpusError, open_file


@contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """Open a Parquet file as a `pyarrow.parquet.ParquetFile`. Raises: CorpusError if it is not one, also while it is read."""
    import pyarrow
    from pyarrow import parquet

    try:
        with open_file(path) as file:
            yield parquet.ParquetFile(file)
    except CorpusError:
        raise
    except (pyarrow.ArrowException, OSError, EOFError, ValueError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise CorpusError(f"{path}: cannot be read ({reason_of(error)})") from None
        raise CorpusError(f"{path}: is not Parquet, or damaged ({' '.join(str(error).split())[:200]})") from None
