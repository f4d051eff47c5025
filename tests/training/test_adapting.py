"""Fine-tuning with adapters: the steps of LoRA equal peft's; what moves; resuming, and the files of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import peft
import pytest
import torch
import transformers

from minibert import Bert, Checkpoints, load
from minibert.model import read_checkpoint
from minibert.model.adapters import Adapter, BitFit, Bottleneck, LoRA
from minibert.model.heads import BertWithHead
from minibert.text.options import InvalidOption
from minibert.training.adapter_options import AdapterConfig
from minibert.training.adapting import check_adapter, make_adapter
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.finetuning import FineTuning
from minibert.training.options import DeviceOptions
from minibert.training.run import TrainingRun
from tests.training.test_against_transformers import MODEL, STEPS, TASKS, TOKENIZER, TRAINING, Training, batches_of

pytestmark = pytest.mark.filterwarnings("ignore:.*newly initialized")
LORA = AdapterConfig(adapter="lora", rank=3, alpha=5, targets=("query", "value", "intermediate"))
ADAPTERS = {
    "lora": replace(LORA, lora_dropout=0.2),
    "bitfit": AdapterConfig(adapter="bitfit"),
    "bottleneck": AdapterConfig(adapter="bottleneck", bottleneck_size=4),
}
every_adapter = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)


def make_run(task: str, adapter: AdapterConfig, folder: Path, dropout: float = 0.0, **changes: Any) -> TrainingRun[Any, Any]:
    """Create the run of a task with an adapter, from a checkpoint of the encoder without a pooler."""
    base = folder / "base"
    if not base.exists():
        torch.manual_seed(0)
        Bert(MODEL, pooler=False).double().save_pretrained(base)
    task_type, rows = TASKS[task]()

    def new_model() -> BertWithHead:
        config = replace(task_type.model_config(MODEL), hidden_dropout_prob=dropout)
        return cast("BertWithHead", read_checkpoint(base).load(task_type.network, adjust=lambda stored: config))

    config = replace(TRAINING, adapter=adapter, **({"steps": STEPS} | changes))
    finetuning = FineTuning(task_type, config, new_model, TOKENIZER, rows, validation_rows=())
    return finetuning.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)


def weights(run: TrainingRun[Any, Any]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in run.model.state_dict().items()}


@pytest.mark.parametrize(
    ("config", "adapter"),
    [
        (AdapterConfig(), None),
        (
            AdapterConfig("lora", 3, 5.0, True, 0.2, targets=("key",), target_layers=(1,), also_train=("pooler",)),
            LoRA(rank=3, alpha=5.0, rank_stabilized=True, dropout=0.2, targets=("key",), layers=(1,), train=("head", "pooler")),
        ),
        (AdapterConfig("bitfit", targets=("key",), also_train=("pooler",)), BitFit(targets=("key",), train=("head", "pooler"))),
        (
            AdapterConfig("bottleneck", bottleneck_size=4, targets=("feed_forward",), also_train=("pooler",)),
            Bottleneck(size=4, targets=("feed_forward",), train=("head", "pooler")),
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_every_option_is_a_setting_of_the_adapter(config: AdapterConfig, adapter: Adapter | None) -> None:
    assert make_adapter(config) == adapter


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"adapter": "lora", "rank": 0}, "rank 0: must be at least 1"),
        ({"adapter": "bottleneck", "bottleneck_size": 0}, "bottleneck_size 0: must be at least 1"),
        ({"adapter": "lora", "lora_dropout": 1.0}, "lora_dropout 1: must be at least 0 and below 1"),
        ({"adapter": "lora", "lora_dropout": -0.1}, "lora_dropout -0.1: must be"),
        ({"adapter": "lora", "alpha": 0.0}, "alpha 0: must be a number above 0"),
        ({"adapter": "lora", "alpha": float("inf")}, "alpha inf: must be a number above 0"),
    ],
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        AdapterConfig(**wrong)
    AdapterConfig("lora", rank=1, lora_dropout=0.0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", TASKS)
def test_thirty_steps_of_lora_equal_those_of_peft(task: str, tmp_path: Path) -> None:
    """With the same matrices and heads at the start: losses and final weights differ by at most 1e-8."""
    run = make_run(task, LORA, tmp_path)
    run.export(tmp_path / "start")
    frozen = getattr(transformers, run.model.architecture).from_pretrained(
        tmp_path / "base", config=transformers.AutoConfig.from_pretrained(tmp_path / "start"), dtype=torch.float64
    )
    theirs = peft.PeftModel.from_pretrained(frozen, str(tmp_path / "start/adapter"), is_trainable=True).train()
    # Not `theirs` itself: peft's class for question answering does not pass on token_type_ids.
    expected = Training().losses(theirs.base_model, batches_of(run))
    losses = [step.losses[run.objective.term] for step in run.run()]
    assert losses == pytest.approx(expected, rel=0, abs=1e-8)
    assert np.mean(expected[-6:]) < np.mean(expected[:6])
    theirs.save_pretrained(tmp_path / "theirs")
    ours, others = run.model.state_dict(), load(tmp_path / "theirs").state_dict()
    assert ours.keys() == others.keys()
    assert max(float((ours[name] - others[name]).abs().max()) for name in ours) < 1e-8


@every_adapter
def test_only_the_parameters_of_the_adapter_move(adapter: AdapterConfig, tmp_path: Path) -> None:
    """In a whole run, with weight decay. All of them move, but for the biases of the keys, which have no influence."""
    run = make_run("classification", adapter, tmp_path, dropout=0.1, steps=8)
    before = weights(run)
    list(run.run())
    moved = {name for name, tensor in weights(run).items() if not torch.equal(tensor, before[name])}
    trained = {*run.model.adapter_parameters}
    assert moved <= trained
    assert all("key.bias" in name for name in trained - moved)
    assert {"classifier.weight", "bert.pooler.dense.weight"} < moved


@every_adapter
def test_run_resumes_bit_for_bit(adapter: AdapterConfig, tmp_path: Path) -> None:
    """With dropout, after 5 of 10 steps."""
    whole = make_run("classification", adapter, tmp_path, dropout=0.1, steps=10)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    losses = []
    for step in whole.run():
        losses.append(step.losses)
        if step.number == 5:
            whole.save(checkpoints, TOKENIZER)
    resumed = make_run("classification", adapter, tmp_path, dropout=0.1, steps=10)
    newest = checkpoints.newest()
    assert newest is not None
    resumed.resume(newest)
    assert [step.losses for step in resumed.run()] == losses[5:]
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])


@every_adapter
def test_files_of_a_run(adapter: AdapterConfig, tmp_path: Path) -> None:
    """The folder of a run, its checkpoint, and the adapter alone are loaded as the same model, with tokenizer and task."""
    run = make_run("classification", adapter, tmp_path, steps=4)
    list(run.run())
    run.export(tmp_path / "run", TOKENIZER)
    run.save(Checkpoints(tmp_path / "checkpoints"), TOKENIZER)
    batch = batches_of(run)[0]
    run.model.eval()
    expected = run.model(*batch.inputs).logits
    for folder in ("run", "run/adapter", "checkpoints/step-000004", "checkpoints/step-000004/adapter"):
        torch.testing.assert_close(load(tmp_path / folder)(*batch.inputs).logits, expected, rtol=0, atol=1e-12)
        assert (tmp_path / folder / "task.json").is_file()
        assert (tmp_path / folder / "tokenizer.json").is_file()
    assert load(tmp_path / "run/adapter").config == run.model.config
    (adapter_file,) = (tmp_path / "run/adapter").glob("*.safetensors")
    assert adapter_file.stat().st_size < (tmp_path / "base/model.safetensors").stat().st_size / 2


def test_dropout_of_frozen_modules_is_on(tmp_path: Path) -> None:
    """As in peft, where the whole network is in training mode: also in the embeddings and feed-forward networks."""
    run = make_run("classification", replace(LORA, targets=("query",)), tmp_path, dropout=0.1)
    next(run.run())
    assert all(module.training for module in run.model.modules())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@every_adapter
def test_other_precisions(adapter: AdapterConfig, precision: str, tmp_path: Path) -> None:
    """The adapter has the type of the other weights, and all of it moves."""
    run = make_run("classification", adapter, tmp_path, precision=precision, steps=3)
    assert {parameter.dtype for parameter in run.model.parameters()} == {torch.float32}
    before = weights(run)
    list(run.run())
    moved = {name for name, tensor in weights(run).items() if not torch.equal(tensor, before[name])}
    assert {name for name in run.model.adapter_parameters if "key.bias" not in name} <= moved


def test_targets_are_checked_before_the_run() -> None:
    """Without memory for the weights."""
    task_type, _ = TASKS["classification"]()
    large = replace(MODEL, hidden_size=64_000, vocab_size=1_000_000)
    check_adapter(LORA, task_type, large)
    with pytest.raises(ValueError, match="target 'qurey' matches no module; similar names: query"):
        check_adapter(replace(LORA, targets=("qurey",)), task_type, large)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 4}, "--rank: is for --adapter lora, not none"),
        ({"adapter": "bitfit", "bottleneck_size": 3}, "--bottleneck-size: is for --adapter bottleneck, not bitfit"),
        ({"targets": ("query",)}, "--targets: is for --adapter lora or bitfit or bottleneck, not none"),
        ({"adapter": "lora", "rank": 0}, "rank 0: must be at least 1"),
        ({"adapter": "lora", "lora_dropout": 1.0}, "lora_dropout 1: must be at least 0 and below 1"),
        ({"adapter": "lora", "alpha": -1.0}, "alpha -1: must be a number above 0"),
    ],
)
def test_options_that_have_no_effect_are_rejected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        AdapterConfig(**options)
