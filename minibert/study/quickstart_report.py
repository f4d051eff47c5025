"""The results of the quickstart as numbers, figures and one HTML page."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from minibert.files import write_atomically
from minibert.model import BertForPreTraining
from minibert.study import figures, report
from minibert.study.drawing import Draw, figure, save
from minibert.study.fill_mask import Prediction, fill_mask
from minibert.study.introspection import AttentionHead, masked_sentences, sharpest_head
from minibert.study.page.live import STUDY_FILE
from minibert.study.plots.attention import attention_head
from minibert.study.quickstart import QuickstartData, majority_accuracy, test_texts
from minibert.text.module_families import MODULE_FAMILIES
from minibert.training.loop import Score
from minibert.training.pretraining import PRETRAINING
from minibert.training.pretraining_text import UNIFORM, UNIGRAM
from minibert.training.records import RunRecord, format_metric

SENTENCES = 8
Accuracies = Mapping[str, Mapping[int, Sequence[float]]]
"""Test accuracies of fine-tuning, by start and labels per class: one per seed."""


@dataclass(frozen=True)
class QuickstartReport:
    """All numbers of the report, each computed once."""

    record: RunRecord
    baselines: dict[str, float]
    scores: dict[str, Score]
    accuracies: Accuracies
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
        accuracies: Accuracies,
        record: RunRecord,
    ) -> "QuickstartReport":
        """Predict masked words with the pretrained model and record one attention head.

        Args:
            scores: scores on all validation documents.
            accuracies: test accuracies of fine-tuning.
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
                (
                    f"fine-tuning, {labels} labels per class",
                    _mean_and_deviation(pretrained),
                    f"from scratch {_mean_and_deviation(self.accuracies['from scratch'][labels])}",
                )
                for labels, pretrained in self.accuracies["pretrained"].items()
            ),
            ("  baseline: most frequent class", f"{self.majority:.1%}", f"{len(MODULE_FAMILIES)} classes"),
        ]

    def verdict(self) -> str:
        """Summarize in a sentence or two if pretraining helped, and how good the classifier is that has the most labels."""
        pretrained, scratch = self.accuracies["pretrained"], self.accuracies["from scratch"]
        pairs = [pair for labels in pretrained for pair in zip(pretrained[labels], scratch[labels], strict=True)]
        gains = [with_pretraining - without for with_pretraining, without in pairs]
        most = max(pretrained)
        return (
            f"Pretraining changes the accuracy by {statistics.mean(gains):+.1%} on average; it is better in "
            f"{sum(gain > 0 for gain in gains)} of {len(gains)} pairs of runs with the same labeled texts. With {most} labels "
            f"per class, the pretrained model is right for {statistics.mean(pretrained[most]):.0%} of the docstrings from "
            f"other modules; always predicting the most frequent class is right for {self.majority:.0%}."
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
            save(figure(drawing), directory / f"{name}.png")
        save(figure(*drawings.values(), size=(5.2, 3.6)), directory / "quickstart.png")
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

    def _losses(self) -> Draw:
        training, validation = (self.record.curve(key) for key in (PRETRAINING.training_loss, PRETRAINING.validation_loss))
        return figures.loss_curves([step for step, _ in training], [loss for _, loss in training], validation, self.baselines)

    def _attention(self) -> Draw:
        title = f"Attention weights of layer {self.head.layer}, head {self.head.head}"
        return partial(attention_head, weights=self.head.weights, queries=self.head.tokens, title=title)

    def _transfer(self) -> Draw:
        return figures.learning_curves(
            self.accuracies,
            "Fine-tuning: test accuracy",
            f"labeled docstrings for each of {len(MODULE_FAMILIES)} classes",
            "accuracy",
            {f"most frequent class: {self.majority:.0%}": self.majority},
        )

    def _page(self, drawings: Mapping[str, Draw]) -> str:
        captions = {
            "loss": "The loss starts near ln V, the loss of a uniform prediction. It falls to the unigram entropy, the loss of "
            "predicting every token from its frequency alone, and below it as the model uses context. The validation documents "
            "are from other modules than the training documents.",
            "attention": "Each row is a query token, each column a key token. The weights of a row sum to 1. Of all "
            "heads, this is the one with the largest weights between different tokens.",
            "transfer": f"Classification of docstrings by module family: {', '.join(MODULE_FAMILIES)}. The pretrained model "
            "and one with random weights are fine-tuned on the same labeled docstrings, a few or many. The test texts are from "
            "modules that were used neither in pretraining nor in fine-tuning. Each dot is one seed, which has labeled texts "
            f"of its own; lines are means, bands one standard deviation. {self.verdict()}",
        }
        headings = {"loss": "Pretraining", "attention": "Attention of one head", "transfer": "The effect of pretraining"}
        return report.page(
            "minibert: results of the quickstart",
            [
                report.table(("metric", "value", "comparison"), self.rows()),
                *(report.figure_section(headings[name], figure(drawings[name]), captions[name]) for name in drawings),
                report.text_section(
                    "Masked words", "Randomly chosen validation sentences. Correct predictions are highlighted."
                ),
                report.predictions_table(self.predictions),
                report.link_section(
                    "Look inside",
                    "The next page computes this model in your browser: type a text, switch off a head or a layer, overwrite a "
                    "number, and see every step and the prediction change.",
                    STUDY_FILE,
                ),
            ],
        )


def _difference(loss: float | None, unigram: float) -> str:
    return "" if loss is None else f"{abs(unigram - loss):.2f} {'below' if loss < unigram else 'above'} unigram"


def _mean_and_deviation(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.1%}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1%}{deviation}"
