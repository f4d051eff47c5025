"""`minibert embed`: one vector per text, to a file, and search with a query."""

import textwrap
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError, check_text
from minibert.commands.progress import progress
from minibert.commands.terminal import input_lines, report, say, say_json, say_table
from minibert.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from minibert.study.embedding import EmbeddedBlock, Match, Search, TextEmbedder

DEFAULT_COLUMN = "text"
MAX_CHARACTERS = 300
"""Number of characters of a text that are printed in the table."""
STANDARD_INPUT = Path("-")


@dataclass(frozen=True)
class Embed:
    """Compute one vector per text with a BERT or a relative, and write them to a file, or search with a query.

    The settings of a sentence-transformers model (pooling, normalization, maximum length) are obeyed.
    """

    checkpoint: Positional[str]
    """A folder with a checkpoint and its tokenizer, or the id of a model on the Hugging Face hub."""
    file: Annotated[Positional[Path], arg(metavar="FILE|-")] = STANDARD_INPUT
    """Texts: one per line, or a column of a .tsv, .csv, .jsonl or .parquet file; .gz is possible. "-": the standard input."""
    column: str | None = None
    """Column with the texts, in a file with columns. Default: text."""
    pooling: Literal["auto", "mean", "cls", "max"] = "auto"
    """mean: of the vectors of all tokens. cls: the vector of the first token, [CLS] or <s>. max: the largest value of each
    component. auto: as the files of the checkpoint say, or mean."""
    normalize: bool = False
    """Scale the vectors to length 1, also if the files of the checkpoint do not say so."""
    max_length: int | None = None
    """Maximum number of tokens; the end of a longer text is cut off. Default: as the files of the checkpoint say."""
    out: Annotated[Path | None, arg(metavar="FILE")] = None
    """File to write: .npy for the vectors alone, .parquet for texts and vectors."""
    nearest: Annotated[str | None, arg(metavar="QUERY")] = None
    """Print the texts that are most similar to this query."""
    top: Annotated[int, arg(aliases=["-k"], metavar="N")] = 5
    """Number of texts to print."""
    json: bool = False
    """Print the most similar texts as JSON."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if it is available, else the CPU."""


def run(options: Embed) -> int:
    """Embed all texts, write the vectors, and print the texts that are most similar to the query."""
    _check(options)
    from minibert.study.embedding import Search, TextEmbedder
    from minibert.study.embedding_output import write_vectors
    from minibert.training.distributed import choose_device

    try:
        texts, device = _read_texts(options), choose_device(options.device)
        pooling = None if options.pooling == "auto" else options.pooling
        embedder = TextEmbedder.from_pretrained(options.checkpoint, pooling, options.normalize or None, options.max_length)
        embedder.model.to(device)
        search = Search(embedder, options.nearest, options.top) if options.nearest is not None else None
        blocks = _blocks(embedder, texts, search, quiet=options.json)
        cut = sum(block.cut for block in blocks) if options.out is None else write_vectors(options.out, blocks, len(texts))
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    if cut:
        report(f"note: {cut:,} of {len(texts):,} texts have more than {embedder.length} tokens; their ends were cut off")
    if options.out is not None and not options.json:
        how = f"{embedder.width} dimensions, {' and '.join(embedder.pooling)} pooling"
        say(f"{len(texts):,} texts, {how} → {printable(options.out)}")
    if search is not None:
        _show(search.matches, options.json)
    return 0


def _check(options: Embed) -> None:
    """Raise UsageError for options that do not fit together."""
    if options.out is None and options.nearest is None:
        raise UsageError("give --out FILE for the vectors, or --nearest QUERY to search, or both")
    if options.out is not None and options.out.suffix not in (".npy", ".parquet"):
        raise UsageError(f"--out {options.out}: must end in .npy (vectors) or .parquet (texts and vectors)")
    if options.out is not None and options.out.is_dir():
        raise UsageError(f"--out {options.out}: is a folder, where a file is needed")
    if options.nearest is not None:
        check_text(options.nearest)
    elif options.json:
        raise UsageError("--json is for the results of --nearest QUERY")
    if options.top < 1:
        raise UsageError(f"--top must be at least 1, not {options.top}")


def _read_texts(options: Embed) -> list[str]:
    """Read all texts. Raises: UsageError if there is none, or for a column of a file without columns."""
    from minibert.text.columns import TABLES, read_column
    from minibert.text.file_formats import check_plain_text, extension, numbered_lines

    if extension(options.file) in TABLES:
        texts = list(read_column(options.file, options.column or DEFAULT_COLUMN))
    elif options.column is not None:
        raise UsageError(f"--column {options.column}: {options.file} has no columns; they need one of {', '.join(TABLES)}")
    elif options.file == STANDARD_INPUT:
        texts = input_lines()
    else:
        check_plain_text(options.file)
        texts = [line.rstrip("\n") for _, line in numbered_lines(options.file)]
    if not texts:
        raise UsageError(f"{'the standard input' if options.file == STANDARD_INPUT else options.file}: has no texts")
    return texts


def _blocks(embedder: "TextEmbedder", texts: list[str], search: "Search | None", quiet: bool) -> "Iterator[EmbeddedBlock]":
    """Yield the vectors block by block, add them to the search, and show the progress of long work."""
    from minibert.study.embedding import TEXTS_PER_BLOCK

    total = -(-len(texts) // TEXTS_PER_BLOCK)
    with nullcontext() if quiet or total == 1 else progress("Embedding", total) as advance:
        for block in embedder.embed_blocks(texts):
            if search is not None:
                search.add(block)
            if advance is not None:
                advance()
            yield block


def _show(matches: "list[Match]", as_json: bool) -> None:
    """Print the matches, with the numbers of their texts in the file, which start at 1."""
    if as_json:
        say_json([{"number": match.index + 1, "similarity": match.similarity, "text": match.text} for match in matches])
        return
    from rich.table import Table

    table = Table()
    for title in ("similarity", "number"):
        table.add_column(title, justify="right")
    table.add_column("text", overflow="fold")
    for match in matches:
        table.add_row(
            f"{match.similarity:.3f}",
            f"{match.index + 1:,}",
            printable(textwrap.shorten(match.text, MAX_CHARACTERS, placeholder=" …")),
        )
    say_table(table)
