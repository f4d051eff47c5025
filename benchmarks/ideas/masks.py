"""Masking: the number of masked tokens, what replaces them, and other choices of BERT that later papers have changed.

python -m benchmarks.ideas.masks

Every network is evaluated with BERT's masks: 15% of the tokens, of which 80% are [MASK], 10% random and 10% unchanged. A
network that was trained with [MASK] alone has not learned the other 20%, so there is a loss with [MASK] alone, too. The
accuracy after fine-tuning has no masks at all. Static masks are those of the first epoch. They need many epochs, and so the
last two networks are trained on a sixteenth of the text.
"""

from dataclasses import dataclass, replace
from functools import cache, partial

from matplotlib.axes import Axes

from benchmarks.ideas.common import SEEDS, STAR, Result, Row, bars, change, data, dots
from benchmarks.ideas.short_runs import FULL_SENTENCES, ONLY, initial, mlm_loss, new_masked_lm, short_run, tuned_accuracy
from minibert.model import BertForMaskedLM
from minibert.text.options import ExampleConfig
from minibert.text.tokenized import TokenizedCorpus
from minibert.training.pretraining_text import UNIGRAM

PART = 16
"""The part of the text for static masks: one of so many documents."""


@dataclass(frozen=True)
class Masks:
    """A way to mask."""

    name: str
    """Name of its trained networks."""
    examples: ExampleConfig
    mask_share: float | None = None
    """The share of the selected tokens that become [MASK]; None for BERT's."""
    is_part: bool = False
    """True for a part of the text."""


WAYS = {
    "BERT: 15%, pieces, 80/10/10": Masks("masks-15", FULL_SENTENCES),
    "30% of the tokens": Masks("masks-30", replace(FULL_SENTENCES, mlm_probability=0.3)),
    "40% of the tokens": Masks("masks-40", replace(FULL_SENTENCES, mlm_probability=0.4)),
    "100% [MASK]": Masks("masks-only", FULL_SENTENCES, mask_share=1.0),
    "whole words": Masks("masks-words", replace(FULL_SENTENCES, whole_word_masking=True)),
    "part of the text, dynamic": Masks("masks-dynamic", FULL_SENTENCES, is_part=True),
    "part of the text, static": Masks("masks-static", replace(FULL_SENTENCES, dupe_factor=1), is_part=True),
}
"""The ways to mask. Each differs from the first one in one setting."""


@cache
def part_of_the_text() -> TokenizedCorpus:
    """Tokenize one of `PART` documents."""
    return TokenizedCorpus.from_documents(data().train_documents[::PART], data().tokenizer)


def network(masks: Masks, seed: int) -> BertForMaskedLM:
    """Pretrain with one way to mask."""
    corpus = part_of_the_text() if masks.is_part else None
    return short_run(masks.name, seed, new_masked_lm, examples=masks.examples, corpus=corpus, mask_share=masks.mask_share)


def main() -> None:
    """Pretrain and fine-tune in all ways."""
    names = ("MLM loss", ONLY, "accuracy")
    table = [Row({"masks": way}, {name: [] for name in names}) for way in ("no pretraining", *WAYS)]
    for seed in SEEDS:
        for row, masks in zip(table, (None, *WAYS.values()), strict=True):
            model = initial(seed) if masks is None else network(masks, seed)
            row.values["MLM loss"].append(mlm_loss(model))
            row.values[ONLY].append(mlm_loss(model, mask_share=1.0))
            row.values["accuracy"].append(tuned_accuracy("initial" if masks is None else masks.name, seed, model))

    def losses(axes: Axes) -> None:
        for name, form in (("MLM loss", "o"), (ONLY, "s")):
            dots(axes, [str(row.setting["masks"]) for row in table[1:]], table[1:], name, fmt=form, label=name)
        axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        axes.set_xlabel("held-out MLM loss, nats")

    def draw(axes: Axes) -> None:
        bars(axes, [str(row.setting["masks"]) for row in table], table, "accuracy")
        axes.set_xlabel("test accuracy after fine-tuning")

    Result(
        "masks",
        "Which tokens are masked",
        "How many tokens should be masked, and what should replace them? Is it better to mask whole words, or to draw new "
        "masks in each epoch? With BERT's masks, some of the predicted tokens are still in the text and can be copied. So "
        "there is also a loss with [MASK] alone. The last two networks are trained on one sixteenth of the text for many "
        "epochs, with new masks in each epoch (dynamic) or always the same masks (static).",
        "Wettig et al. 2023: 40% is better than 15% for networks as large as BERT-large, on GLUE and SQuAD. Devlin et al. 2019 "
        "(table 8), MNLI: 84.2 for 80/10/10 and 84.3 for 100% [MASK]. Whole words (the README of BERT's code), BERT-large on "
        "MNLI: 87.07 instead of 86.05. Liu et al. 2019 (table 1), MNLI: 84.0 for dynamic and 84.3 for static masks, which were "
        "ten versions of each text. Here, there is one.",
        table,
        {"MLM loss": ".3f", ONLY: ".3f", "accuracy": ".1%"},
        finding,
    ).save(losses, draw)


def finding(rows: list[Row]) -> str:
    """Compare with BERT's masks, and static masks with dynamic ones."""
    none, bert, *others, dynamic, static = rows
    only = next(row for row in others if row.setting["masks"] == "100% [MASK]")
    losses = ", ".join(f"{change(row, bert, 'MLM loss')} for {row.setting['masks']}" for row in others)
    points = partial(change, name="accuracy", form="+.1f", factor=100)
    scores = ", ".join(f"{points(row, bert)} for {row.setting['masks']}" for row in others)
    least, without_context = min(row.mean(ONLY) for row in rows), data().baselines[UNIGRAM]
    remarks = []
    if least > without_context - 0.1:
        remarks.append("So the networks have learned hardly any context in so few steps.")
    elif only.mean(ONLY) > (least + without_context) / 2:
        remarks.append(
            f"The network with 100% [MASK], {only.mean(ONLY):.2f}, has learned little more than the frequencies of tokens. It "
            "learns more slowly here, and its accuracy says nothing about longer training."
        )
    if static.mean(ONLY) > none.mean(ONLY):
        remarks.append(
            "With static masks, the loss on other texts is larger than that of a network that has learned nothing. It is a "
            "sign that the network knows its masked tokens by heart."
        )
    return (
        f"Compared with BERT's masks, the loss changes by {losses}. The loss with [MASK] alone changes by "
        f"{change(only, bert, ONLY)} for 100% [MASK]. The accuracy changes by {scores} (in points). Compared with no "
        f"pretraining, BERT's masks change it by {points(bert, none)}. On a part of the text, static masks change the loss by "
        f"{change(static, dynamic, 'MLM loss')} and the accuracy by {points(static, dynamic)}, compared with dynamic ones. "
        f"{STAR} The lowest loss with [MASK] alone is {least:.2f}. The loss without context, the unigram entropy, is "
        f"{without_context:.2f}. {' '.join(remarks)}".rstrip()
    )


if __name__ == "__main__":
    main()
