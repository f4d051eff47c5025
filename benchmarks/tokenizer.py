"""How long it takes to learn a vocabulary of 30,522 pieces, and how much memory: minibert beside the trainer of `tokenizers`.

    python benchmarks/tokenizer.py              100 million words: prints a table, writes tokenizer.json beside itself
    python benchmarks/tokenizer.py 10_000_000   so many

The text is real (the books and articles in $MINIBERT_DATA/data, else the docstrings of Python and torch), over and over; from
the second time on, made-up words stand in it, so that the number of distinct words grows as in real text.
"""

import json
import multiprocessing
import os
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import accumulate, cycle
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from minibert.text.wordpiece_training import count_words, train_with_tokenizers, train_wordpiece  # noqa: E402

WORDS, SIZE = 100_000_000, 30_522
LETTERS = re.compile(r"[^\W\d_]+")
CONTEXT = 3
"""A made-up word's next letter depends on so many before it."""


def real_lines() -> list[str]:
    """Sentences or paragraphs, one a line."""
    folder = Path(os.environ.get("MINIBERT_DATA", ".")) / "data"
    paths = sorted(folder.glob("gutenberg/*.txt")) + sorted(folder.glob("wiki/*.txt"))
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    if not lines:
        from minibert.text.builtin import builtin_corpus

        lines = [sentence for document in builtin_corpus().documents for sentence in document.sentences]
    return [line for line in lines if line.strip()]


def heaps(words: float) -> float:
    """How many distinct words so many words of text have (Heaps's law): a million in a hundred million."""
    return 1e6 * (words / 1e8) ** 0.7


class MadeUpWords:
    """Words that look like those of a text but are not in it, new ones and old ones again."""

    def __init__(self, lines: list[str], generator: random.Random) -> None:
        self.generator = generator
        self.seen = {word for line in lines for word in LETTERS.findall(line.lower())}
        self.used: list[str] = []
        following = defaultdict[str, Counter[str]](Counter)
        for word in sorted(self.seen):
            padded = " " * CONTEXT + word + " "
            for place in range(CONTEXT, len(padded)):
                following[padded[place - CONTEXT : place]][padded[place]] += 1
        self.following = {before: (list(after), list(accumulate(after.values()))) for before, after in following.items()}

    def new(self) -> str:
        """A word that has not been there before."""
        word = ""
        while len(word) < 2 or word in self.seen:
            spelled = " " * CONTEXT
            while len(spelled) == CONTEXT or spelled[-1] != " ":
                letters, weights = self.following[spelled[-CONTEXT:]]
                spelled += self.generator.choices(letters, cum_weights=weights)[0]
            word = spelled.strip()
        self.seen.add(word)
        self.used.append(word)
        return word

    def old(self) -> str:
        """One of those that have been, the more often used the likelier (Simon 1955): that gives the long tail of real text."""
        self.used.append(self.generator.choice(self.used))
        return self.used[-1]


def synthetic(lines: list[str], words: int, seed: int = 0) -> Iterator[str]:
    """Lines of `words` words: the real text once, then again and again with made-up words in it."""
    generator = random.Random(seed)
    made_up = MadeUpWords(lines, generator)
    once = sum(len(line.split()) for line in lines)
    written = made = 0
    for line in cycle(lines):
        if written >= words:
            return
        chunks = line.split()
        written += len(chunks)
        while written > once and made < heaps(written) - heaps(once):
            made += 1
            for word in (made_up.new(), made_up.old()):
                place = generator.randrange(len(chunks))
                chunks[place] = LETTERS.sub(word, chunks[place], count=1)
        yield " ".join(chunks) + "\n"


def lines_of(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from file


def with_minibert(path: Path) -> dict[str, Any]:
    began = time.perf_counter()
    words = count_words(lines_of(path))
    counted = time.perf_counter()
    vocabulary = train_wordpiece(words, SIZE)
    facts = {"words": words.total(), "distinct_words": len(words), "vocabulary": vocabulary}
    return facts | {"count_s": counted - began, "train_s": time.perf_counter() - counted}


def with_tokenizers(path: Path) -> dict[str, Any]:
    began = time.perf_counter()
    vocabulary = train_with_tokenizers(lines_of(path), SIZE)
    return {"vocabulary": vocabulary, "total_s": time.perf_counter() - began}


def measured(work: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    """What `work` returns, with the processor time and the most memory that its process has had."""
    found, used = work(path), resource.getrusage(resource.RUSAGE_SELF)
    return found | {"processor_s": used.ru_utime + used.ru_stime, "peak_gb": used.ru_maxrss * 1024 / 1e9}


def apart(work: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    """`measured` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(measured, work, path).result()


def main(words: int) -> None:
    """Prints the table, and writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.txt"
        began = time.perf_counter()
        with path.open("w", encoding="utf-8") as file:
            file.writelines(synthetic(real_lines(), words))
        seconds, megabytes = time.perf_counter() - began, path.stat().st_size / 1e6
        print(f"{words:,} words, {megabytes:,.0f} MB, written in {seconds:.0f} s", flush=True)
        ours, theirs = apart(with_minibert, path), apart(with_tokenizers, path)
    ours["total_s"] = ours["count_s"] + ours["train_s"]
    shared = len(set(ours.pop("vocabulary")) & set(theirs.pop("vocabulary"))) / SIZE
    print(f"{ours['words']:,} with punctuation, {ours['distinct_words']:,} distinct; {shared:.1%} of {SIZE:,} pieces in both")
    print("\n| | counting, s | training, s | both, s | processor time, s | peak memory, GB |\n|---|--:|--:|--:|--:|--:|")
    for name, found in (("minibert", ours), ("tokenizers", theirs)):
        numbers = [found.get(part) for part in ("count_s", "train_s", "total_s", "processor_s", "peak_gb")]
        print(f"| {name} | {' | '.join('' if number is None else f'{number:.1f}' for number in numbers)} |")
    result = {"words": words, "size": SIZE, "cores": os.cpu_count(), "shared": shared, "minibert": ours, "tokenizers": theirs}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else WORDS)
