"""The results of the quickstart as numbers, figures and one HTML page."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minibert.files import write_atomically
from minibert.model import BertForPreTraining
from minibert.study import figures, report
from minibert.study.fill_mask import Prediction, fill_mask
from minibert.study.introspection import AttentionHead, masked_sentences, sharpest_head
from minibert.study.quickstart import FINE_TUNING_SEEDS, LABELS_PER_CLASS, QuickstartData, majority_accuracy, test_texts
from minibert.text.module_families import MODULE_FAMILIES
from minibert.training.loop import Score
from minibert.training.pretraining import PRETRAINING
from minibert.training.pretraining_text import UNIFORM, UNIGRAM
from minibert.training.records import RunRecord, format_metric

SENTENCES = 8


@dataclass(frozen=True)
class QuickstartReport:
    """All numbers of the report, each computed once."""

    record: RunRecord
    baselines: dict[str, float]
    scores: dict[str, Score]
    accuracies: dict[str, list[float]]
    majority: float
    length_accuracy: float | None
    """Accuracy of next-sentence prediction from segment lengths alone."""
    predictions: list[tuple[str, str, list[Prediction]]]
    """Sentence with [MASK], the true word, and the most probable tokens."""
    head: AttentionHead

    @classmethod
    def create(
        cls,
        model: BertForPreTraining,
        scores: dict[str, Score],
        data: QuickstartData,
        accuracies: dict[str, list[float]],
        record: RunRecord,
    ) -> "QuickstartReport":
        """Predict masked words with the pretrained model and record one attention head.

        Args:
            scores: scores on all validation documents.
            accuracies: test accuracies of fine-tuning, by start, one per seed.
            record: the record of pretraining.
        """
        sentences = masked_sentences(data.validation_documents, data.tokenizer, SENTENCES)
        predictions = [
            (sentence.text, sentence.truth, fill_mask(model, data.tokenizer, sentence.text)[0]) for sentence in sentences
        ]
        complete = sentences[0].text.replace("[MASK]", sentences[0].truth)
        head = sharpest_head(model, data.tokenizer, complete)
        majority = majority_accuracy(test_texts(data))
        return cls(record, data.baselines, scores, accuracies, majority, data.length_accuracy, predictions, head)

    def rows(self) -> list[tuple[str, str, str]]:
        """Build the table of results: metric, value, comparison."""
        mlm, nsp, unigram = self.scores["mlm"], self.scores["nsp"], self.baselines[UNIGRAM]
        return [
            ("validation MLM loss", f"{format_metric(mlm.loss, '.2f')} nats", _difference(mlm.loss, unigram)),
            ("  baseline: unigram entropy", f"{unigram:.2f} nats", "token frequencies only"),
            ("  baseline: ln V", f"{self.baselines[UNIFORM]:.2f} nats", "uniform prediction"),
            ("validation MLM accuracy", format_metric(mlm.accuracy, ".1%"), ""),
            ("validation NSP accuracy", format_metric(nsp.accuracy, ".1%"), ""),
            ("  baseline: segment lengths alone", format_metric(self.length_accuracy, ".1%"), "50% by chance"),
            *(
                (f"fine-tuning test accuracy, {start}", _mean_and_deviation(values), f"{len(values)} seeds")
                for start, values in self.accuracies.items()
            ),
            ("  baseline: most frequent class", f"{self.majority:.1%}", f"{len(MODULE_FAMILIES)} classes"),
        ]

    def verdict(self) -> str:
        """Summarize in one sentence if pretraining helped. Both starts have the same labeled texts for each seed."""
        pairs = zip(self.accuracies["pretrained"], self.accuracies["from scratch"], strict=True)
        gains = [pretrained - scratch for pretrained, scratch in pairs]
        gain, deviation = statistics.mean(gains), statistics.stdev(gains)
        outcome = "more" if gain > deviation else "not more"
        return (
            f"Pretraining changes the accuracy by {gain:+.1%} ± {deviation:.1%} (per seed): {outcome} than the variation "
            f"between seeds."
        )

    def summary(self) -> str:
        """Format the results and some predictions as plain text, for the terminal."""
        lines = [f"  {name:<42}{number:>16}   {note}" for name, number, note in self.rows()]
        predictions = [
            f"  {text}\n      {truth}: " + ", ".join(f"{guess.piece} {guess.probability:.0%}" for guess in guesses)
            for text, truth, guesses in self.predictions[:3]
        ]
        heading = "  Validation sentences with the true word and the predictions:"
        return "\n".join(["", *lines, "", f"  {self.verdict()}", "", heading, *predictions])

    def write(self, directory: Path) -> None:
        """Write `results.json`, `loss.png`, `attention.png`, `transfer.png`, `quickstart.png` and `report.html`."""
        write_atomically(directory / "results.json", json.dumps(self._results(), indent=2, ensure_ascii=False) + "\n")
        drawings = {"loss": self._losses(), "attention": self._attention(), "transfer": self._transfer()}
        for name, drawing in drawings.items():
            figures.save_png(figures.figure(drawing), directory / f"{name}.png")
        figures.save_png(figures.figure(*drawings.values(), size=(5.2, 3.6)), directory / "quickstart.png")
        write_atomically(directory / "report.html", self._page(drawings))

    def _results(self) -> dict[str, Any]:
        return {
            "baselines": self.baselines,
            "pretraining": {term: asdict(score) for term, score in self.scores.items()},
            "fine_tuning": {**self.accuracies, "majority": self.majority},
            "predictions": [
                {"text": text, "truth": truth, "predictions": [asdict(guess) for guess in guesses]}
                for text, truth, guesses in self.predictions
            ],
        }

    def _losses(self) -> figures.Draw:
        training, validation = (self.record.curve(key) for key in (PRETRAINING.training_loss, PRETRAINING.validation_loss))
        return figures.loss_curves([step for step, _ in training], [loss for _, loss in training], validation, self.baselines)

    def _attention(self) -> figures.Draw:
        title = f"Attention weights of layer {self.head.layer}, head {self.head.head}"
        return figures.attention_heatmap(self.head.weights, self.head.tokens, title)

    def _transfer(self) -> figures.Draw:
        return figures.transfer_chart(self.accuracies, self.majority, "most frequent class")

    def _page(self, drawings: Mapping[str, figures.Draw]) -> str:
        captions = {
            "loss": "The loss starts near ln V, the loss of a uniform prediction. It falls to the unigram entropy, the loss of "
            "predicting every token from its frequency alone, and below it as the model uses context. The validation documents "
            "are from other modules than the training documents.",
            "attention": "Each row is a query token, each column a key token. The weights of a row sum to 1. Of all "
            "heads, this is the one with the largest weights between different tokens.",
            "transfer": f"Classification of docstrings by module family: {', '.join(MODULE_FAMILIES)}. There are "
            f"{LABELS_PER_CLASS} labeled texts for each of the {len(MODULE_FAMILIES)} families. The test texts are from "
            f"modules that were used neither in pretraining nor in fine-tuning. Each dot is one of {len(FINE_TUNING_SEEDS)} "
            f"seeds, which also have different labeled texts. {self.verdict()}",
        }
        headings = {"loss": "Pretraining", "attention": "Attention of one head", "transfer": "The effect of pretraining"}
        return report.page(
            "minibert: results of the quickstart",
            [
                report.table(("metric", "value", "comparison"), self.rows()),
                *(report.figure_section(headings[name], figures.figure(drawings[name]), captions[name]) for name in drawings),
                report.text_section(
                    "Masked words", "Randomly chosen validation sentences. Correct predictions are highlighted."
                ),
                report.predictions_table(self.predictions),
            ],
        )


def _difference(loss: float | None, unigram: float) -> str:
    return "" if loss is None else f"{abs(unigram - loss):.2f} {'below' if loss < unigram else 'above'} unigram"


def _mean_and_deviation(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.1%} ± {statistics.stdev(values):.1%}"
