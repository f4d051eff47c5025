"""ALBERT's two ways to save parameters: layers that share them, and narrow embeddings (Lan et al. 2020).

python -m benchmarks.ideas.sharing

All networks but the last one have the same depth and width, and are trained on the same text. The last one has a single layer:
as many parameters as two layers that share all of theirs.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from matplotlib.axes import Axes

from benchmarks.ideas.common import SEEDS, STAR, Result, Row, change, data
from benchmarks.ideas.short_runs import ONLY, mlm_loss, new_masked_lm, short_config, short_run
from minibert.model import BertForMaskedLM
from minibert.model.families import ElectraConfig
from minibert.training.pretraining_text import UNIGRAM

ATTENTION = ("attention", "attention_norm")
FEED_FORWARD = ("feed_forward", "feed_forward_norm")


def shared(parts: tuple[str, ...]) -> BertForMaskedLM:
    """Initialize a network in which all layers have these parts of the first layer."""
    model = new_masked_lm()
    first, *others = model.bert.layers
    for layer in others:
        for part in parts:
            setattr(layer, part, getattr(first, part))
    return model


def narrow(width: int) -> BertForMaskedLM:
    """Initialize a network with embeddings of this width, and a linear map to that of the layers."""
    # The config of BERT has no field for the width of the embeddings. That of ELECTRA has one, and its layers are the same.
    return new_masked_lm(ElectraConfig(**vars(short_config()), embedding_size=width))


def shallow() -> BertForMaskedLM:
    """Initialize a network with one layer."""
    return new_masked_lm(replace(short_config(), num_hidden_layers=1))


WIDTHS = (64, 32, 16)
"""Widths of narrow embeddings. The layers have width 128."""
WAYS: dict[str, tuple[str, Callable[[], BertForMaskedLM]]] = {
    "nothing": ("masks-15", new_masked_lm),
    "attention": ("shared-attention", partial(shared, ATTENTION)),
    "feed-forward network": ("shared-feed-forward", partial(shared, FEED_FORWARD)),
    "all of a layer": ("shared-all", partial(shared, ATTENTION + FEED_FORWARD)),
    **{f"nothing, E = {width}": (f"narrow-{width}", partial(narrow, width)) for width in WIDTHS},
    "nothing, but one layer": ("one-layer", shallow),
}
"""Parts that the layers share. For each: the name of the trained networks, and a function that initializes one."""


def parameters(model: BertForMaskedLM) -> int:
    """Count the parameters, those that are shared once."""
    return sum(each.numel() for each in model.parameters())


def main() -> None:
    """Pretrain all networks."""
    table = []
    for shares, (name, new_model) in WAYS.items():
        networks = [short_run(name, seed, new_model) for seed in SEEDS]
        setting: dict[str, str | float] = {"shared by the layers": shares, "parameters": f"{parameters(networks[0]):,}"}
        values = {name: [mlm_loss(network, share) for network in networks] for name, share in (("MLM loss", None), (ONLY, 1.0))}
        table.append(Row(setting, values))

    def draw(axes: Axes) -> None:
        for row, form in zip(table, "osD^v<>x", strict=True):
            count = int(str(row.setting["parameters"]).replace(",", "")) / 1e6
            losses = row.values["MLM loss"]
            axes.plot([count] * len(losses), losses, form, markersize=4, label=str(row.setting["shared by the layers"]))
        axes.set_xlabel("parameters, in millions")
        axes.set_ylabel("held-out MLM loss, nats")
        axes.legend(frameon=False, fontsize=7, title="shared", title_fontsize=7)

    Result(
        "sharing",
        "Fewer parameters",
        "Which parameters can layers share, and how narrow can embeddings be?",
        "Lan et al. 2020 (table 4, E = 128), average of five tasks: 81.6 with 89 million parameters without sharing, 81.7 with "
        "64 million and shared attention, 80.2 with 38 million and shared feed-forward networks, 80.1 with 12 million and all "
        "shared. Table 3, without sharing: 82.3 for E = 768, 81.7 for E = 128, and 81.3 for E = 64. Here E is 128 unless the "
        f"table says otherwise. The unigram entropy, the loss without context, is {data().baselines[UNIGRAM]:.2f}.",
        table,
        {"MLM loss": ".3f", ONLY: ".3f"},
        finding,
    ).save(draw)


def finding(rows: list[Row]) -> str:
    """Compare with the network that shares nothing, and shared layers with a single one."""
    whole, attention, feed_forward, everything, *narrow_ones, single = rows
    loss = partial(change, name="MLM loss")
    least = min(row.mean(ONLY) for row in rows)
    narrow_losses = ", ".join(f"{loss(row, whole)} with E = {width}" for width, row in zip(WIDTHS, narrow_ones, strict=True))
    return (
        f"The loss changes by {loss(attention, whole)} with shared attention, by {loss(feed_forward, whole)} with shared "
        f"feed-forward networks, and by {loss(everything, whole)} with both. Narrow embeddings change it by {narrow_losses}. "
        f"Compared with one layer, two layers that share all parameters change it by {loss(everything, single)}. {STAR} "
        f"With [MASK] alone in the evaluation, the lowest loss is {least:.2f}."
    )


if __name__ == "__main__":
    main()
