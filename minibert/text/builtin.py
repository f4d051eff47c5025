"""The built-in corpus: the docstrings of Python's standard library and of torch, which are always installed.

A document is one docstring, split into sentences. Code, doctests, directives and tables are removed. A sentence that occurs
several times is kept only once, so that no validation sentence also occurs in the training documents.
"""

import ast
import gc
import hashlib
import importlib.util
import inspect
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from minibert.files import cache_directory, write_atomically
from minibert.text.corpus import Corpus, Document
from minibert.text.sentences import split_sentences

CORPUS_NAME = "docstrings of Python and torch"
NOT_PROSE = re.compile(r">>>|^\s*(\.\.\.|\.\. |\$ |@|[-=~^+*|#]{3,}|\|.*\|)|\s{3,}\S+\s{3,}", re.MULTILINE)
LIST_ITEM = re.compile(
    r"""^\s*(?: [-*+•]\s+                                       # bullet
              | \d+[.)]\s+                                      # number
              | :\w+(?:\s[\w*]+)*:\s*                           # :param name:
              | [`*\w.,\s]{1,40}?(?:\s*\([^)]*\))?\s*:(?:\s+|$) # "name (type):", as below "Args:"
              )""",
    re.VERBOSE,
)
MARKUP: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(r":math:`([^`]*)`"), lambda match: match[1] if match[1].isalnum() else "$"),
    (re.compile(r":[\w:]+:`~?([^`<]*?)\s*(?:<[^`]*>)?`"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*<[^`]*>`_+"), r"\1"),
    (re.compile(r"`+([^`]*)`+_*"), r"\1"),
    (re.compile(r"\*+(\S(?:[^*]*\S)?)\*+"), r"\1"),
]
PLAIN_WORD = re.compile(r"[(\"']*(?:[A-Za-z]+(?:['’-][A-Za-z]+)*|\d+)[.,;:!?)\"']*")
MIN_PLAIN_WORD_FRACTION = 0.75
MIN_WORDS = 4
EXCLUDED_FOLDERS = {"site-packages", "test", "tests", "idle_test", "testing", "_vendor"}


def docstring_sentences(docstring: str) -> list[str]:
    """Return the sentences of a docstring, without markup, code and tables.

    >>> docstring_sentences("Returns a :class:`Tensor` of ones. It shares no memory.\\n\\n    >>> x.clone()\\n")
    ['Returns a Tensor of ones.', 'It shares no memory.']
    """
    return [
        sentence
        for paragraph in _paragraphs(inspect.cleandoc(docstring))
        for sentence in split_sentences(_without_markup(paragraph))
        if _is_prose(sentence)
    ]


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs and list items of a docstring. A block that is indented below a line ending in "::" is code."""
    code_indent: int | None = None  # blocks with a larger indent are code
    for block in re.split(r"\n\s*\n", text):
        indent = len(block) - len(block.lstrip())
        if code_indent is not None and indent > code_indent:
            continue
        lines = block.splitlines()
        code_indent = _indent(lines[-1]) if lines and lines[-1].rstrip().endswith("::") else None
        if NOT_PROSE.search(block):
            continue
        item: list[str] = []
        for line in lines:
            start = LIST_ITEM.match(line)
            if start:
                yield " ".join(item)
                item = []
            item.append(line[start.end() :].strip() if start else line.strip())
        yield " ".join(item)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _without_markup(text: str) -> str:
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def _is_prose(sentence: str) -> bool:
    words = sentence.split()
    plain = sum(PLAIN_WORD.fullmatch(word) is not None for word in words)
    return len(words) >= MIN_WORDS and plain >= MIN_PLAIN_WORD_FRACTION * len(words)


def builtin_corpus() -> Corpus:
    """Return the docstrings of the installed Python standard library and torch: about 600,000 words.

    The source and the group of a document is its module. The same installation always gives the same documents in the same
    order. Extraction takes a few seconds; the result is cached.
    """
    fingerprint = _fingerprint()
    cache = cache_directory() / f"corpus-{fingerprint}.jsonl"
    try:
        documents = _documents(cache.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError, TypeError):  # not in the cache, or damaged
        lines = _extract()
        documents = _documents(lines)
        with suppress(OSError):  # the cache may be read-only
            write_atomically(cache, "\n".join(lines))
    return Corpus(CORPUS_NAME, fingerprint, documents, ("one document per docstring",))


def _documents(lines: Sequence[str]) -> list[Document]:
    """Parse lines of `_extract`. Raises: ValueError or TypeError for other lines, and for none."""
    if not lines:
        raise ValueError("there are no documents")
    return [Document(module, tuple(found), group=module) for module, found in map(json.loads, lines)]


def _extract() -> list[str]:
    """Return one line of JSON, [module, sentences], per document. Source files are parsed in parallel processes.

    Only the first occurrence of each sentence is kept.
    """
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        outputs = pool.map(_scan_in_subprocess, range(workers), [workers] * workers)
    seen: set[str] = set()
    lines = []
    for module, _, found in sorted(json.loads(line) for output in outputs for line in output.splitlines()):
        new = [sentence for sentence in dict.fromkeys(found) if sentence not in seen]
        seen.update(new)
        if new:
            lines.append(json.dumps([module, new], ensure_ascii=False))
    return lines


def _scan_in_subprocess(worker: int, workers: int) -> bytes:
    """Return the output of `_scan` in a subprocess. A multiprocessing pool would run the caller's script again."""
    package_root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", f"from minibert.text.builtin import _scan; _scan({worker}, {workers})"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([package_root, os.environ.get("PYTHONPATH", "")])}
    # A new session keeps Ctrl-C from the subprocess, which ends soon anyway; so the command itself handles the interruption.
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, start_new_session=True).stdout


def _scan(worker: int, workers: int) -> None:
    """Print one line of JSON, [module, number, sentences], per docstring. A worker parses every `workers`-th source file."""
    gc.disable()  # syntax trees have no reference cycles, and garbage collection takes a third of the time
    for module, path in list(_source_files())[worker::workers]:
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        for number, docstring in enumerate(_docstrings(tree)):
            if found := docstring_sentences(docstring):
                print(json.dumps([module, number, found]))


def _source_files() -> Iterator[tuple[str, Path]]:
    """Yield the module name and path of each file of the standard library and torch, without tests and vendored packages."""
    roots = {"": Path(sysconfig.get_path("stdlib"))}
    torch = importlib.util.find_spec("torch")
    if torch and torch.origin:
        roots["torch."] = Path(torch.origin).parent
    for prefix, root in roots.items():
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if EXCLUDED_FOLDERS.isdisjoint(parts):
                yield prefix + ".".join(parts).removesuffix(".__init__"), path


def _docstrings(node: ast.AST) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and its functions, including those that torch adds with `add_docstr`."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield ast.get_docstring(node, clean=False) or ""
    for child in getattr(node, "body", []):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.If | ast.Try | ast.With):
            yield from _docstrings(child)
        elif isinstance(child, ast.Expr) and isinstance(child.value, ast.Call):
            yield from _attached_docstrings(child.value)


def _attached_docstrings(call: ast.Call) -> Iterator[str]:
    """Yield the docstrings in a call such as `add_docstr(torch.add, "...")`."""
    if ast.unparse(call.func).endswith(("add_docstr", "add_docstr_all")):
        for argument in call.args[1:]:
            for part in ast.walk(argument):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def _fingerprint() -> str:
    """Return a hash of the versions of Python and torch and of the code that extracts the corpus."""
    versions = f"{platform.python_version()} {metadata.version('torch')}".encode()
    code = Path(__file__).read_bytes() + Path(inspect.getfile(inspect.unwrap(split_sentences))).read_bytes()
    return hashlib.sha256(versions + code).hexdigest()[:16]
