"""The record of a pretraining run as a page: its settings, curve, held-out scores, speed, and ten guesses at hidden words.

python benchmarks/run_page.py FOLDER --text PATH … [--machine "2 cores of …"] [--name mini]

Writes docs/runs/NAME.md and docs/runs/NAME.png. The sentences are drawn blindly from the documents that were held out.
"""

import argparse
import json
from pathlib import Path

from minibert.study import plots
from minibert.study.fill_mask import fill_mask, load_masked_lm
from minibert.study.inside import masked_sentences
from minibert.study.landmarks import landmarks
from minibert.study.runs import RunRecord, loss_figure
from minibert.text.held_out import split_held_out
from minibert.text.settings import TextSource
from minibert.text.source import open_corpus
from minibert.text.tokenized import TokenizedCorpus

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
    corpus = open_corpus(TextSource(text=tuple(options.text)))
    learnt, held_out = split_held_out(corpus.documents, record.about["corpus"]["held_out"])
    encoded = [TokenizedCorpus.from_documents(some, tokenizer) for some in (learnt, held_out)]
    marks = landmarks(*encoded, tokenizer)
    DOCS.mkdir(parents=True, exist_ok=True)
    plots.save_png(loss_figure(record, marks), DOCS / f"{options.name}.png")
    last = record.evaluations[-1]
    words = sum(len(sentence.split()) for document in learnt for sentence in document.sentences)
    operations = sum(entry["operations"] for entry in record.metrics) / record.seconds
    read = sum(entry["tokens"] for entry in record.metrics)
    lines = [
        f"# A run for real: {record.about['recipe']['preset']} on {words / 1e6:.1f} million words",
        "",
        f"Text: {corpus.name}. {len(learnt)} documents were learnt from, {len(held_out)} held out. Made on {options.machine}.",
        "",
        "| measured | | beside |",
        "|---|--:|---|",
        f"| masked-LM loss, held out | {last['held_out_mlm']:.3f} nats | perplexity {last['held_out_perplexity']:,.0f} |",
        *(f"| {name} | {value:.3f} nats | |" for name, value in marks.items()),
        f"| hidden pieces found, held out | {last['held_out_mlm_accuracy']:.1%} | |",
        f"| next sentence told, held out | {last['held_out_nsp_accuracy']:.1%} | 50% by chance |",
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
    for some in masked_sentences(held_out, tokenizer, GUESSES):
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
