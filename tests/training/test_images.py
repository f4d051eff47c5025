"""Training on labeled images."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import minibert
from minibert import ViTConfig, ViTForImageClassification
from minibert.equations import IGNORE_INDEX
from minibert.text import batches_by_count
from minibert.training.checkpoints import Checkpoints
from minibert.training.images import ImageBatch, ImageClassificationObjective, ImageExamples
from minibert.training.loop import evaluate
from minibert.training.run import TrainingRun

STEPS = 12


def bars(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw images with a horizontal bar (class 0) or a vertical one (class 1), and noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (count,), generator=generator)
    pixels = 0.3 * torch.randn(count, 1, 4, 4, generator=generator)
    for image, label, place in zip(pixels, labels, torch.randint(0, 4, (count,), generator=generator), strict=True):
        image[0, place, :] += 1 - label.item()
        image[0, :, place] += label.item()
    return pixels, labels


def run_of(steps: int = STEPS, **options: int) -> TrainingRun[ViTForImageClassification, ImageBatch]:
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=4,
        patch_size=2,
        num_channels=1,
        hidden_size=16,
        num_attention_heads=2,
        num_hidden_layers=1,
        intermediate_size=32,
        initializer_range=0.2,
    )
    return TrainingRun(
        model=ViTForImageClassification(config),
        examples=ImageExamples(*bars(40)),
        objective=ImageClassificationObjective(),
        batch_sampler=partial(batches_by_count, batch_size=16),
        optimizer=partial(minibert.adamw, learning_rate=1e-2),
        schedule=partial(minibert.warmup_linear, steps=steps),
        steps=steps,
        **options,
    )


def test_an_epoch_has_every_image_once_in_an_order_of_its_own() -> None:
    examples = ImageExamples(*bars(40))
    orders = []
    for number in (0, 1, 0):
        epoch = examples.epoch(number)
        batches = [epoch.batch(indices) for indices in epoch.batch_indices(partial(batches_by_count, batch_size=16))]
        assert [len(batch.labels) for batch in batches] == [16, 16, 8]
        assert len(torch.cat([batch.pixel_values for batch in batches]).flatten(1).unique(dim=0)) == 40
        orders.append(torch.cat([batch.labels for batch in batches]).tolist())
    assert orders[0] == orders[2] != orders[1]


def test_an_empty_batch_is_an_image_without_a_label() -> None:
    """A process without images then takes part in a step."""
    batch = ImageExamples(*bars(3)).epoch(0).batch(np.array([], dtype=np.int64))
    assert batch.labels.tolist() == [IGNORE_INDEX]
    assert ImageClassificationObjective().target_counts(batch)["classification"] == 0
    assert ImageClassificationObjective().loss_sums(run_of().model, batch)["classification"].loss == 0


def test_a_model_learns_bars() -> None:
    """The loss of new images falls far below that of a guess, ln 2."""
    run, held_out = run_of(steps=60), ImageBatch(*bars(60, seed=1))
    *_, last = run.run()
    score = run.evaluate([held_out])["classification"]
    assert last.losses["classification"] < 0.3
    assert score.loss < 0.4
    assert score.accuracy > 0.8
    assert score.accuracy == (run.model.eval()(held_out.pixel_values).logits.argmax(-1) == held_out.labels).double().mean()


def test_the_loss_is_that_of_the_network() -> None:
    run, batch = run_of(), ImageBatch(*bars(10))
    score = evaluate(run.model, [batch], ImageClassificationObjective())["classification"]
    assert score.loss == pytest.approx(run.model.eval()(batch.pixel_values, labels=batch.labels).loss.item(), rel=1e-5)


def test_micro_batches_and_a_resumed_run_give_the_same_model(tmp_path: Path) -> None:
    whole, parts, resumed = run_of(), run_of(micro_batch_size=5), run_of()
    for run in (whole, parts):
        assert [step.number for step in run.run()][-1] == STEPS
    interrupted = run_of()
    for step in interrupted.run():
        if step.number == 5:
            interrupted.save(Checkpoints(tmp_path))
            break
    resumed.resume(Checkpoints(tmp_path).newest())
    assert [step.number for step in resumed.run()] == [*range(6, STEPS + 1)]
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], weight)
    one, other = (run.model.eval()(bars(9)[0]).logits for run in (whole, parts))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_the_best_model_is_a_checkpoint(tmp_path: Path) -> None:
    run = run_of()
    run.export(tmp_path)
    loaded = minibert.load(tmp_path)
    assert torch.equal(loaded(bars(3)[0]).logits, run.model.eval()(bars(3)[0]).logits)


@pytest.mark.usefixtures("without_shape_checks")
def test_labels_are_one_whole_number_for_each_image() -> None:
    pixels, labels = bars(4)
    with pytest.raises(ValueError, match=r"labels has shape \(3,\), expected \(4,\)"):
        ImageExamples(pixels, labels[:3])
    with pytest.raises(TypeError, match="labels has the type float32, expected int64"):
        ImageExamples(pixels, labels.float())
