"""Sentence splitters compared: minibert's, Unicode's rules (uniseg, ICU) and pysbd.

pip install uniseg pysbd pyicu
python -m benchmarks.sentences [--lines FILE …] [--out FILE]

The benchmark prints a table and writes sentences.json; without --lines, only --out. The sentences of sentences.txt are
joined to paragraphs and split again.
Each FILE, with one sentence per line, is joined five lines at a time, with its capital letters and without. Reported are the
precision and recall of the sentence ends, and the speed.
"""

import argparse
import gzip
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import icu
import pysbd
from uniseg.sentencebreak import sentences as uniseg_sentences

from benchmarks.output import result_path, write_result
from minibert.text.sentences import split_sentences

GOLD = Path(__file__).with_suffix(".txt")
Splitter = Callable[[str], list[str]]


def split_with_icu(text: str) -> list[str]:
    """Split with the rules of Unicode Standard Annex 29 in ICU, for English."""
    iterator = icu.BreakIterator.createSentenceInstance(icu.Locale("en"))
    encoded = icu.UnicodeString(text)
    iterator.setText(encoded)
    starts = [0, *iterator]
    return [str(encoded[start:end]) for start, end in pairwise(starts)]


SPLITTERS: dict[str, Splitter] = {
    "minibert": split_sentences,
    "uniseg (UAX 29)": lambda text: list(uniseg_sentences(text)),
    "ICU (UAX 29)": split_with_icu,
    "pysbd, English": pysbd.Segmenter(language="en", clean=False).segment,
}


def gold_paragraphs() -> Iterable[tuple[str, list[str]]]:
    """Yield the texts and sentences of the gold file."""
    for block in GOLD.read_text(encoding="utf-8").split("\n= ")[1:]:
        _, *lines = block.strip().splitlines()
        yield " ".join(lines).replace(" +", ""), [line.removeprefix("+") for line in lines]


def joined_lines(file: Path, lowercase: bool) -> Iterable[tuple[str, list[str]]]:
    """Yield five lines of a file at a time, joined to one text, and separately."""
    content = (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()).decode()
    lines = [line.strip() for line in (content.lower() if lowercase else content).splitlines() if line.strip()]
    for start in range(0, len(lines), 5):
        yield " ".join(lines[start : start + 5]), lines[start : start + 5]


def sentence_ends(sentences: Iterable[str]) -> set[int]:
    """Return the positions of the ends of sentences, counted without white space."""
    ends, position = set(), 0
    for sentence in sentences:
        position += len("".join(sentence.split()))
        ends.add(position)
    return ends


def measure(splitter: Splitter, paragraphs: list[tuple[str, list[str]]]) -> dict[str, float]:
    """Return precision, recall, and million characters per second."""
    start = time.perf_counter()
    results = [splitter(text) for text, _ in paragraphs]
    seconds = time.perf_counter() - start
    found, gold = map(sentence_ends, results), (sentence_ends(sentences) for _, sentences in paragraphs)
    pairs = list(zip(found, gold, strict=True))
    correct = sum(len(a & b) for a, b in pairs)
    return {
        "precision": correct / sum(len(a) for a, _ in pairs),
        "recall": correct / sum(len(b) for _, b in pairs),
        "million characters per second": sum(len(text) for text, _ in paragraphs) / seconds / 1e6,
    }


def main() -> None:
    """Measure all splitters on all texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    committed, missing = Path(__file__).with_suffix(".json"), "" if options.lines else "--lines"
    path = result_path(parser, options, committed, inputs=("lines",), missing=missing)
    texts = {"hand-made, 29 languages": list(gold_paragraphs())}
    for file in options.lines:
        texts[file.name] = list(joined_lines(file, lowercase=False))
        texts[f"{file.name}, lower case"] = list(joined_lines(file, lowercase=True))
    results = {name: {who: measure(splitter, text) for who, splitter in SPLITTERS.items()} for name, text in texts.items()}
    for name, rows in results.items():
        print(name)
        for who, scores in rows.items():
            print(f"  {who:<16}", ", ".join(f"{metric} {value:.3f}" for metric, value in scores.items()))
    write_result(path, results)


if __name__ == "__main__":
    main()
