"""What a first run has found: as numbers, as figures, as one page."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from minibert.files import write_atomically
from minibert.model import BertForPreTraining
from minibert.study import figures as plots
from minibert.study import report
from minibert.study.fill_mask import Guess, fill_mask
from minibert.study.introspection import HeadView, masked_sentences, sharpest_head
from minibert.study.quickstart import (
    FINE_TUNING_SEEDS,
    LABELS_PER_CLASS,
    LabeledTask,
    QuickstartData,
)
from minibert.text.labeled import MODULE_FAMILIES
from minibert.training.baselines import UNIFORM, UNIGRAM
from minibert.training.loop import Score

EXAMPLES = 8


@dataclass(frozen=True)
class QuickstartReport:
    """Every number that is shown, each computed once."""

    metrics: list[dict[str, float]]
    baselines: dict[str, float]
    scores: dict[str, Score]
    accuracies: dict[str, list[float]]
    majority: float
    guesses: list[tuple[str, str, list[Guess]]]
    head: HeadView

    @classmethod
    def of(
        cls,
        model: BertForPreTraining,
        scores: dict[str, Score],
        material: QuickstartData,
        accuracies: dict[str, list[float]],
        metrics: list[dict[str, float]],
    ) -> "QuickstartReport":
        """Lets the pretrained model guess, and looks into one head; `scores` are those on all validation documents."""
        tokenizer = material.tokenizer
        sentences = masked_sentences(material.validation_documents, tokenizer, EXAMPLES)
        guesses = [(some.text, some.truth, fill_mask(model, tokenizer, some.text)[0]) for some in sentences]
        shown = sentences[0].text.replace("[MASK]", sentences[0].truth)
        majority = LabeledTask.draw(material, seed=0).majority_accuracy()
        return cls(
            metrics,
            material.baselines,
            scores,
            accuracies,
            majority,
            guesses,
            sharpest_head(model, tokenizer, shown),
        )

    def rows(self) -> list[tuple[str, str, str]]:
        """What was measured, the number, and what to hold it against."""
        mlm, nsp, unigram = self.scores["mlm"], self.scores["nsp"], self.baselines[UNIGRAM]
        below = unigram - mlm.loss
        return [
            (
                "masked-LM loss, held out",
                f"{mlm.loss:.2f} nats",
                f"{below:.2f} below" if below > 0 else f"{-below:.2f} above",
            ),
            ("  of who knows word frequencies only", f"{unigram:.2f} nats", "unigram entropy"),
            ("  of who knows nothing", f"{self.baselines[UNIFORM]:.2f} nats", "ln V"),
            ("masked words found, held out", f"{mlm.accuracy:.1%}", ""),
            ("next sentence told, held out", f"{nsp.accuracy:.1%}", "50% by chance"),
            *(
                (f"fine-tuning accuracy, {start}", _mean_and_spread(values), f"{len(values)} seeds")
                for start, values in self.accuracies.items()
            ),
            ("  of who names the most frequent class", f"{self.majority:.1%}", f"{len(MODULE_FAMILIES)} classes"),
        ]

    def verdict(self) -> str:
        """Whether pretraining helped, in a sentence. Seed by seed, as both starts have the same labeled texts in each."""
        pairs = zip(self.accuracies["pretrained"], self.accuracies["from scratch"], strict=True)
        gains = [pretrained - scratch for pretrained, scratch in pairs]
        gain, spread = statistics.mean(gains), statistics.stdev(gains)
        outcome = "more" if gain > spread else "not more"
        return f"Pretraining adds {gain:+.1%} ± {spread:.1%} of accuracy, seed by seed: {outcome} than the seeds differ."

    def summary(self) -> str:
        """The numbers and some guesses as plain text, for a terminal."""
        lines = [f"  {name:<42}{number:>16}   {note}" for name, number, note in self.rows()]
        guesses = [
            f"  {text}\n      {truth}: " + ", ".join(f"{guess.piece} {guess.probability:.0%}" for guess in places)
            for text, truth, places in self.guesses[:3]
        ]
        return "\n".join(
            ["", *lines, "", f"  {self.verdict()}", "", "  Held-out sentences, the truth and its guesses:", *guesses]
        )

    def write(self, directory: Path) -> None:
        """Writes `results.json`, `loss.png`, `attention.png`, `transfer.png`, `quickstart.png` and `report.html`."""
        results = {
            "baselines": self.baselines,
            "pretraining": {term: asdict(score) for term, score in self.scores.items()},
            "fine_tuning": {**self.accuracies, "majority": self.majority},
            "guesses": [
                {"text": text, "truth": truth, "guesses": [asdict(guess) for guess in places]}
                for text, truth, places in self.guesses
            ],
        }
        write_atomically(directory / "results.json", json.dumps(results, indent=2, ensure_ascii=False) + "\n")
        drawings = {"loss": self._losses(), "attention": self._attention(), "transfer": self._transfer()}
        for name, drawing in drawings.items():
            plots.save_png(plots.figure(drawing), directory / f"{name}.png")
        plots.save_png(plots.figure(*drawings.values(), size=(5.2, 3.6)), directory / "quickstart.png")
        write_atomically(directory / "report.html", self._page(drawings))

    def _losses(self) -> plots.Draw:
        validation = [(int(entry["step"]), entry["validation_mlm"]) for entry in self.metrics if "validation_mlm" in entry]
        steps = [int(entry["step"]) for entry in self.metrics]
        return plots.losses(steps, [entry["mlm"] for entry in self.metrics], validation, self.baselines)

    def _attention(self) -> plots.Draw:
        title = f"Attention of layer {self.head.layer}, head {self.head.head}"
        return plots.attention(self.head.weights, self.head.tokens, title)

    def _transfer(self) -> plots.Draw:
        return plots.transfer(self.accuracies, self.majority, "most frequent class")

    def _page(self, drawings: Mapping[str, plots.Draw]) -> str:
        captions = {
            "loss": "The loss starts near ln V, where nothing is known, falls to the unigram entropy, where it is "
            "known how frequent each piece is, and goes below it as the words around are read. Held out are whole modules.",
            "attention": "Each row is a token that reads, each column a token that is read; the rows sum to one. Of all "
            "heads this is the one in which tokens look hardest at one other token each.",
            "transfer": f"Which family of modules does a docstring come from? {LABELS_PER_CLASS} labeled texts of each of "
            f"{len(MODULE_FAMILIES)} families ({', '.join(MODULE_FAMILIES)}), tested on modules that neither pretraining "
            f"nor fine-tuning has seen. Every dot is one of {len(FINE_TUNING_SEEDS)} seeds, which differ in the labeled "
            f"texts too. {self.verdict()}",
        }
        headings = {"loss": "Pretraining", "attention": "Looking inside", "transfer": "What pretraining is worth"}
        return report.page(
            "minibert: a first run",
            [
                report.table(("measured", "", "beside"), self.rows()),
                *(report.figure_section(headings[name], plots.figure(drawings[name]), captions[name]) for name in drawings),
                report.text_section("Guessed words", "Held-out sentences, drawn blindly; a right guess is marked."),
                report.guesses_table(self.guesses),
            ],
        )


def _mean_and_spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.1%} ± {statistics.stdev(values):.1%}"
