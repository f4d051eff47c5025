"""Write a page about a pretraining run: settings, loss curve, validation metrics, speed, and ten predictions of masked words.

python benchmarks/run_page.py FOLDER --text PATH … [--machine "2 cores of …"] [--name mini]

Writes docs/runs/NAME.md and docs/runs/NAME.png. The sentences are drawn at random from the validation documents.
"""

import argparse
import json
from pathlib import Path

from minibert.study.drawing import save
from minibert.study.fill_mask import fill_mask, load_masked_lm
from minibert.study.introspection import masked_sentences
from minibert.study.run_figures import loss_figure
from minibert.text.from_options import open_corpus
from minibert.text.options import TextOptions
from minibert.text.splits import split_documents
from minibert.text.tokenized import TokenizedCorpus
from minibert.training.pretraining_text import mlm_baselines
from minibert.training.records import RunRecord

DOCS = Path(__file__).resolve().parents[1] / "docs" / "runs"
SENTENCES = 10


def main() -> None:
    """Read the run and its text, and write the page and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--text", type=Path, nargs="*", default=())
    parser.add_argument("--machine", default="two CPU cores")
    parser.add_argument("--name", default="mini")
    options = parser.parse_args()
    record = RunRecord.read(options.folder)
    model, tokenizer = load_masked_lm(options.folder)
    corpus = open_corpus(TextOptions(text=tuple(options.text)))
    train, validation = split_documents(corpus.documents, record.settings["corpus"]["validation_fraction"])
    encoded = [TokenizedCorpus.from_documents(some, tokenizer) for some in (train, validation)]
    baselines = mlm_baselines(*encoded, tokenizer)
    DOCS.mkdir(parents=True, exist_ok=True)
    save(loss_figure(record, baselines), DOCS / f"{options.name}.png")
    last = record.evaluations[-1]
    words = sum(len(sentence.split()) for document in train for sentence in document.sentences)
    operations = sum(entry["operations"] for entry in record.metrics) / record.seconds
    tokens = sum(entry["tokens"] for entry in record.metrics)
    lines = [
        f"# Pretraining {record.settings['training']['preset']} on {words / 1e6:.1f} million words",
        "",
        f"Text: {corpus.name}; {len(train)} training and {len(validation)} validation documents. Machine: {options.machine}.",
        "",
        "| metric | value | comparison |",
        "|---|--:|---|",
        f"| validation MLM loss | {last['validation_mlm_loss']:.3f} nats | perplexity {last['validation_perplexity']:,.0f} |",
        *(f"| baseline: {name} | {value:.3f} nats | |" for name, value in baselines.items()),
        f"| validation MLM accuracy | {last['validation_mlm_accuracy']:.1%} | |",
        f"| validation NSP accuracy | {last['validation_nsp_accuracy']:.1%} | "
        f"{last['validation_nsp_length_accuracy']:.1%} from segment lengths alone |",
        f"| tokens per second | {record.tokens_per_second:,.0f} | {operations / 1e9:,.0f} GFLOP/s |",
        f"| training tokens | {tokens / 1e6:.1f} million | {tokens / len(encoded[0].ids):.1f} times the text |",
        f"| time in training steps | {record.seconds / 60:.0f} minutes | {len(record.metrics):,} steps |",
        "",
        f"![The MLM loss and its baselines]({options.name}.png)",
        "",
        "## Ten predictions",
        "",
        "Random sentences of the validation documents, each with one masked word.",
        "",
        "| sentence | masked word | predictions |",
        "|---|---|---|",
    ]
    for sentence in masked_sentences(validation, tokenizer, SENTENCES):
        predictions = ", ".join(
            f"**{prediction.piece}** {prediction.probability:.0%}"
            if prediction.piece == sentence.truth
            else f"{prediction.piece} {prediction.probability:.0%}"
            for prediction in fill_mask(model, tokenizer, sentence.text)[0]
        )
        lines.append(f"| {sentence.text.replace('|', '/')} | {sentence.truth} | {predictions} |")
    settings = json.dumps(record.settings, indent=2)
    lines += ["", "## Settings", "", "```json", settings, "```", ""]
    page = "\n".join(lines)
    (DOCS / f"{options.name}.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
