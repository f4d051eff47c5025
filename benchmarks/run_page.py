"""The record of a pretraining run as a page: its settings, curve, validation scores, speed, and ten guesses at hidden words.

python benchmarks/run_page.py FOLDER --text PATH … [--machine "2 cores of …"] [--name mini]

Writes docs/runs/NAME.md and docs/runs/NAME.png. The sentences are drawn blindly from the documents that were held out.
"""

import argparse
import json
from pathlib import Path

from minibert.study import figures as plots
from minibert.study.fill_mask import fill_mask, load_masked_lm
from minibert.study.introspection import masked_sentences
from minibert.text.options import TextOptions
from minibert.text.source import open_corpus
from minibert.text.splits import split_documents
from minibert.text.tokenized import TokenizedCorpus
from minibert.training.baselines import baselines
from minibert.training.records import RunRecord, loss_figure

DOCS = Path(__file__).resolve().parents[1] / "docs" / "runs"
GUESSES = 10


def main() -> None:
    """Reads the run and its text, and writes page and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--text", type=Path, nargs="*", default=())
    parser.add_argument("--machine", default="two CPU cores")
    parser.add_argument("--name", default="mini")
    options = parser.parse_args()
    record = RunRecord.read(options.folder)
    model, tokenizer = load_masked_lm(options.folder)
    corpus = open_corpus(TextOptions(text=tuple(options.text)))
    train, validation = split_documents(corpus.documents, record.about["corpus"]["validation"])
    encoded = [TokenizedCorpus.from_documents(some, tokenizer) for some in (train, validation)]
    marks = baselines(*encoded, tokenizer)
    DOCS.mkdir(parents=True, exist_ok=True)
    plots.save_png(loss_figure(record, marks), DOCS / f"{options.name}.png")
    last = record.evaluations[-1]
    words = sum(len(sentence.split()) for document in train for sentence in document.sentences)
    operations = sum(entry["operations"] for entry in record.metrics) / record.seconds
    read = sum(entry["tokens"] for entry in record.metrics)
    lines = [
        f"# A run for real: {record.about['recipe']['preset']} on {words / 1e6:.1f} million words",
        "",
        f"Text: {corpus.name}. {len(train)} documents were learned from, {len(validation)} held out. Made on {options.machine}.",
        "",
        "| measured | | beside |",
        "|---|--:|---|",
        f"| masked-LM loss, held out | {last['validation_mlm']:.3f} nats | perplexity {last['validation_perplexity']:,.0f} |",
        *(f"| {name} | {value:.3f} nats | |" for name, value in marks.items()),
        f"| hidden pieces found, held out | {last['validation_mlm_accuracy']:.1%} | |",
        f"| next sentence told, held out | {last['validation_nsp_accuracy']:.1%} | 50% by chance |",
        f"| tokens a second | {record.tokens_per_second:,.0f} | {operations / 1e9:,.0f} GFLOP/s |",
        f"| tokens read | {read / 1e6:.1f} million | {read / len(encoded[0].ids):.1f} times the text |",
        f"| time in training steps | {record.seconds / 60:.0f} minutes | {len(record.metrics):,} steps |",
        "",
        f"![The masked-LM loss beside its landmarks]({options.name}.png)",
        "",
        "## Ten guesses",
        "",
        "Sentences drawn blindly from what was held out, one word of each hidden.",
        "",
        "| sentence | the word | guesses |",
        "|---|---|---|",
    ]
    for some in masked_sentences(validation, tokenizer, GUESSES):
        guesses = ", ".join(
            f"**{guess.piece}** {guess.probability:.0%}"
            if guess.piece == some.truth
            else f"{guess.piece} {guess.probability:.0%}"
            for guess in fill_mask(model, tokenizer, some.text)[0]
        )
        lines.append(f"| {some.text.replace('|', '/')} | {some.truth} | {guesses} |")
    settings = json.dumps(record.about, indent=2)
    lines += ["", "## The settings", "", "```json", settings, "```", ""]
    page = "\n".join(lines)
    (DOCS / f"{options.name}.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
