"""Time and memory for training a vocabulary of 30,522 tokens: minibert compared with `tokenizers`.

    python -m benchmarks.tokenizer              with 100 million words: print a table, write tokenizer.json next to this file
    python -m benchmarks.tokenizer --only byte-pairs   only byte-level BPE; the results of WordPiece stay in the file
    python -m benchmarks.tokenizer --words 10_000_000 [--out FILE]   with 10 million words: print a table, write it to --out

The text is real text (the books and articles in $MINIBERT_DATA/data, or else the docstrings of Python and torch), repeated.
From the second repetition on, synthetic words are inserted, so that the number of distinct words grows as in real text.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import accumulate, cycle
from pathlib import Path
from typing import Any

from benchmarks.output import result_path, write_result
from minibert.text.byte_alphabet import Merge, byte_pair_vocabulary
from minibert.text.byte_pair_training import (
    count_byte_words,
    train_byte_pairs,
    train_byte_pairs_with_tokenizers,
)
from minibert.text.wordpiece_training import count_words, train_with_tokenizers, train_wordpiece

WORDS, VOCAB_SIZE = 100_000_000, 30_522
SPECIAL = ["<|endoftext|>"]
LETTERS = re.compile(r"[^\W\d_]+")
CONTEXT = 3
"""Number of preceding letters that determine the probabilities of the next letter of a synthetic word."""


def real_lines() -> list[str]:
    """Return sentences or paragraphs, one per line."""
    folder = Path(os.environ.get("MINIBERT_DATA", ".")) / "data"
    paths = sorted(folder.glob("gutenberg/*.txt")) + sorted(folder.glob("wiki/*.txt"))
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    if not lines:
        from minibert.text.builtin import builtin_corpus

        lines = [sentence for document in builtin_corpus().documents for sentence in document.sentences]
    return [line for line in lines if line.strip()]


def heaps(words: float) -> float:
    """Return the number of distinct words in a text (Heaps's law): a million in a hundred million words."""
    return 1e6 * (words / 1e8) ** 0.7


class SyntheticWords:
    """Words that resemble those of a text but do not occur in it."""

    def __init__(self, lines: list[str], generator: random.Random) -> None:
        self.generator = generator
        self.seen = {word for line in lines for word in LETTERS.findall(line.lower())}
        self.used: list[str] = []
        following = defaultdict[str, Counter[str]](Counter)
        for word in sorted(self.seen):
            spelled = " " * CONTEXT + word + " "
            for position in range(CONTEXT, len(spelled)):
                following[spelled[position - CONTEXT : position]][spelled[position]] += 1
        self.following = {before: (list(after), list(accumulate(after.values()))) for before, after in following.items()}

    def new(self) -> str:
        """Generate a word that has not occurred before."""
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
        """Repeat a word with a probability proportional to its count (Simon 1955), which gives the long tail of real text."""
        self.used.append(self.generator.choice(self.used))
        return self.used[-1]


def synthetic_lines(lines: list[str], words: int, seed: int = 0) -> Iterator[str]:
    """Yield lines with `words` words in total: the real text, then repetitions of it with synthetic words."""
    generator = random.Random(seed)
    synthetic = SyntheticWords(lines, generator)
    real_words = sum(len(line.split()) for line in lines)
    written = inserted = 0
    for line in cycle(lines):
        if written >= words:
            return
        chunks = line.split()
        written += len(chunks)
        while written > real_words and inserted < heaps(written) - heaps(real_words):
            inserted += 1
            for word in (synthetic.new(), synthetic.old()):
                position = generator.randrange(len(chunks))
                chunks[position] = LETTERS.sub(word, chunks[position], count=1)
        yield " ".join(chunks) + "\n"


def read_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from file


def wordpiece(path: Path) -> dict[str, Any]:
    return timed(path, count_words, lambda words: train_wordpiece(words, VOCAB_SIZE))


def byte_pairs(path: Path) -> dict[str, Any]:
    return timed(path, count_byte_words, lambda words: tokens(train_byte_pairs(words, VOCAB_SIZE, SPECIAL)))


def timed(
    path: Path, count: Callable[[Iterator[str]], Counter[str]], train: Callable[[Counter[str]], list[str]]
) -> dict[str, Any]:
    """Time both parts of the training by minibert."""
    start = time.perf_counter()
    words = count(read_lines(path))
    counted_at = time.perf_counter()
    vocabulary = train(words)
    end = time.perf_counter()
    result = {"words": words.total(), "distinct_words": len(words), "vocabulary": vocabulary}
    return result | {"count_s": counted_at - start, "train_s": end - counted_at, "total_s": end - start}


def wordpiece_by_tokenizers(path: Path) -> dict[str, Any]:
    start = time.perf_counter()
    vocabulary = train_with_tokenizers(read_lines(path), VOCAB_SIZE)
    return {"vocabulary": vocabulary, "total_s": time.perf_counter() - start}


def byte_pairs_by_tokenizers(path: Path) -> dict[str, Any]:
    start = time.perf_counter()
    vocabulary = tokens(train_byte_pairs_with_tokenizers(read_lines(path), VOCAB_SIZE, SPECIAL))
    return {"vocabulary": vocabulary, "total_s": time.perf_counter() - start}


def tokens(merges: list[Merge]) -> list[str]:
    """Return the vocabulary of merges, in their order."""
    return byte_pair_vocabulary(merges, SPECIAL)


ALGORITHMS = {"wordpiece": (wordpiece, wordpiece_by_tokenizers), "byte-pairs": (byte_pairs, byte_pairs_by_tokenizers)}


def measure(work: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    """Run `work` and add the processor time and peak memory of this process to its result."""
    result, usage = work(path), resource.getrusage(resource.RUSAGE_SELF)
    return result | {"processor_s": usage.ru_utime + usage.ru_stime, "peak_gb": usage.ru_maxrss * 1024 / 1e9}


def measure_in_subprocess(work: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    """Call `measure` in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(measure, work, path).result()


def compare(name: str, path: Path) -> dict[str, Any]:
    """Train with both programs, print a table, and return the results."""
    ours, theirs = (measure_in_subprocess(work, path) for work in ALGORITHMS[name])
    our_vocabulary, their_vocabulary = ours.pop("vocabulary"), theirs.pop("vocabulary")
    shared = len({*our_vocabulary} & {*their_vocabulary}) / len(their_vocabulary)
    print(f"\n{name}: {ours['words']:,} words including punctuation, {ours['distinct_words']:,} of them distinct")
    print(f"{shared:.1%} of {len(their_vocabulary):,} tokens are in both vocabularies", end="")
    print(", in the same order" if our_vocabulary == their_vocabulary else "")
    print("\n| | counting, s | training, s | total, s | processor time, s | peak memory, GB |\n|---|--:|--:|--:|--:|--:|")
    for program, result in (("minibert", ours), ("tokenizers", theirs)):
        numbers = [result.get(part) for part in ("count_s", "train_s", "total_s", "processor_s", "peak_gb")]
        print(f"| {program} | {' | '.join('' if number is None else f'{number:.1f}' for number in numbers)} |", flush=True)
    return {"shared": shared, "minibert": ours, "tokenizers": theirs}


def main() -> None:
    """Run the benchmark, print the tables and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=WORDS)
    parser.add_argument("--only", nargs="+", choices=ALGORITHMS, default=[*ALGORITHMS])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    words, file = options.words, result_path(parser, options, Path(__file__).with_suffix(".json"), inputs=("only",))
    report = json.loads(file.read_text(encoding="utf-8")) if file is not None and file.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        path, start = Path(folder) / "corpus.txt", time.perf_counter()
        with path.open("w", encoding="utf-8") as corpus:
            corpus.writelines(synthetic_lines(real_lines(), words))
        seconds, megabytes = time.perf_counter() - start, path.stat().st_size / 1e6
        print(f"{words:,} words, {megabytes:,.0f} MB, written in {seconds:.0f} s", flush=True)
        for name in options.only:
            about = {"words": words, "vocab_size": VOCAB_SIZE, "cores": os.cpu_count()}
            report[name] = about | compare(name, path)
            write_result(file, report)


if __name__ == "__main__":
    main()
