"""Distillation: its objective, the student at the beginning, and runs that are resumed."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from minibert import load
from minibert.commands import main
from minibert.model import BertConfig, BertForMaskedLM, BertForPreTraining, BertForSequenceClassification
from minibert.model.families import NETWORKS
from minibert.model.layer_selection import select_layers
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.text.options import ExampleConfig, InvalidOption, TextOptions
from minibert.text.tokenizer import save_tokenizer, vocabulary_size
from minibert.training.checkpoints import Checkpoints
from minibert.training.distillation import DistillationObjective, DistillationTask, prepare_distillation
from minibert.training.distillation_options import DistillationConfig
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.loop import train
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.options import DeviceOptions
from minibert.training.records import RunRecord, read_metrics
from minibert.training.run import TrainingRun
from tests.trained_models import write_gpt2
from tests.training.test_pretraining import TOKENIZER, corpus, documents

EXAMPLES = ExampleConfig(max_length=16, pairs="none")
CONFIG = BertConfig(
    vocab_size=vocabulary_size(TOKENIZER),
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
    initializer_range=0.5,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


def teacher_network(**changes: object) -> BertForMaskedLM:
    torch.manual_seed(0)
    return BertForMaskedLM(replace(CONFIG, **changes)).double()


def padded_batch(mask_share: float | None = None) -> PretrainingBatch:
    """Return short and long texts, so that there is padding."""
    epoch = PretrainingExamples(corpus(), TOKENIZER, EXAMPLES, mask_share=mask_share).epoch(0)
    order = epoch.lengths.argsort()
    return epoch.batch(order[[0, 1, -1, -2]])


@pytest.fixture
def batch() -> PretrainingBatch:
    return padded_batch()


@pytest.fixture
def text(tmp_path: Path) -> TextOptions:
    file = tmp_path / "corpus.txt"
    file.write_text("\n\n".join("\n".join(each.sentences) for each in documents(40)))
    return TextOptions((file,), layout="lines", validation_fraction=0.2)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    torch.manual_seed(0)
    BertForPreTraining(CONFIG).save_pretrained(tmp_path / "teacher")
    save_tokenizer(TOKENIZER, tmp_path / "teacher")
    return str(tmp_path / "teacher")


def test_the_terms_are_those_of_the_code_of_distilbert(batch) -> None:
    """Its formulas, with torch's functions: KLDivLoss times T², the cross-entropy, and CosineEmbeddingLoss over all tokens."""
    teacher = teacher_network()
    student = select_layers(teacher, [1])
    objective = DistillationObjective(teacher, temperature=3.0)
    sums, counts = objective.loss_sums(student, batch), objective.target_counts(batch)
    with torch.no_grad():
        ours, theirs = (
            model(batch.input_ids, batch.attention_mask, batch.token_type_ids, with_vectors=True)
            for model in (student, teacher)
        )
    masked, keep = batch.labels != -100, batch.attention_mask
    soft = F.kl_div(
        F.log_softmax(ours.logits[masked] / 3, dim=-1), F.softmax(theirs.logits[masked] / 3, dim=-1), reduction="batchmean"
    )
    vectors = [output.last_hidden_state[keep] for output in (ours, theirs)]
    expected = {
        "soft": soft * 9,
        "mlm": F.cross_entropy(ours.logits[masked], batch.labels[masked]),
        "cosine": F.cosine_embedding_loss(*vectors, torch.ones(int(keep.sum()))),
    }
    assert sums.keys() == counts.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(sums[name].loss / counts[name], value)
    assert sums["mlm"].correct == (ours.logits[masked].argmax(-1) == batch.labels[masked]).sum()
    assert sums["soft"].correct is sums["cosine"].correct is None


@pytest.mark.parametrize("name", ["soft", "mlm", "cosine"])
def test_the_weight_of_a_term_is_that_of_its_gradient(name: str, batch) -> None:
    """The losses in the log are without it. With the weight 0, a term has no influence."""
    teacher = teacher_network()
    gradients, losses = [], []
    for weight in (0.0, 1.0, 3.0):
        student = select_layers(teacher, [1])
        objective = DistillationObjective(
            teacher, **{f"{each}_weight": 0.0 for each in ("soft", "mlm", "cosine")} | {f"{name}_weight": weight}
        )
        sums = objective.loss_sums(student, batch)
        torch.stack([term.loss for term in sums.values()]).sum().backward()
        gradients.append(student.bert.layers[0].feed_forward.output.weight.grad)
        losses.append(float(sums[name].loss))
    assert losses[0] == losses[1] == losses[2]
    assert not gradients[0].any()
    assert gradients[1].any()
    torch.testing.assert_close(gradients[2], 3 * gradients[1])


def test_a_student_with_all_layers_is_perfect(batch) -> None:
    teacher = teacher_network()
    sums = DistillationObjective(teacher).loss_sums(copy.deepcopy(teacher), batch)
    torch.testing.assert_close(sums["soft"].loss, torch.tensor(0.0).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(sums["cosine"].loss, torch.tensor(0.0).double(), rtol=0, atol=1e-9)
    assert sums["mlm"].loss > 0


def test_the_teacher_does_not_change_and_has_no_dropout(batch) -> None:
    """A training step of the student leaves its weights, its gradients and its mode."""
    teacher = teacher_network(hidden_dropout_prob=0.5).train()
    before, student = copy.deepcopy(teacher.state_dict()), select_layers(teacher_network(), [0])
    objective = DistillationObjective(teacher)
    losses = {float(objective.loss_sums(student, batch)["soft"].loss) for _ in range(3)}
    assert len(losses) == 1
    optimizer = adamw(student, 0.01)
    next(train(student, [[batch]], objective, optimizer, warmup_linear(optimizer, 4)))
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert teacher.training


def test_the_student_learns_from_the_teacher(batch) -> None:
    teacher = teacher_network()
    student = select_layers(teacher, [1])
    optimizer = adamw(student, 0.02)
    objective = DistillationObjective(teacher, mlm_weight=0.0)
    steps = [*train(student, [[batch]] * 60, objective, optimizer, warmup_linear(optimizer, 60))]
    assert steps[-1].losses["soft"] < 0.1 * steps[0].losses["soft"]
    assert steps[-1].losses["cosine"] < 0.3 * steps[0].losses["cosine"]


def test_a_student_begins_with_every_other_layer(text: TextOptions, checkpoint: str, tmp_path: Path) -> None:
    config = DistillationConfig(steps=2, batch_size=4, examples=ExampleConfig(max_length=16))
    task = prepare_distillation(text, config, tmp_path / "out", create_tokenizer=True, source=checkpoint)
    run = task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)
    teacher = load(checkpoint, BertForMaskedLM)
    assert run.model.config.num_hidden_layers == 1
    assert torch.equal(run.model.bert.layers[0].attention.query.weight, teacher.bert.layers[0].attention.query.weight)
    assert torch.equal(run.model.bert.embeddings.words.weight, teacher.bert.embeddings.words.weight)
    assert isinstance(run.objective, DistillationObjective)
    assert "Teacher: 2 layers" in task.summary
    assert "Student: 1 layer," in task.summary
    assert "its first weights are those of the teacher's layer 0" in task.summary
    assert 0 < task.baselines["teacher"] < 10
    assert task.settings["training"]["layers"] == 1
    assert task.settings["training"]["temperature"] == 2.0
    assert task.settings["training"]["start_from"] == checkpoint
    list(run.run())
    assert task.cost(run)[1] > super(type(task), task).cost(run)[1]
    with pytest.raises(ValueError, match=r"--layers 3: .* has 2 layers, so choose 2 or fewer"):
        prepare_distillation(text, replace(config, layers=3), tmp_path / "out", create_tokenizer=True, source=checkpoint)


def test_the_command_writes_a_checkpoint_of_the_student(
    checkpoint: str, text: TextOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["distill", checkpoint, "--text", str(text.text[0]), "--batch-size", "4", "--max-length", "16", "--device", "cpu"]
    words += [
        "--layout",
        "lines",
        "--validation-fraction",
        "0.2",
        "--layers",
        "1",
        "--steps",
        "3",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(words) == 0, capsys.readouterr().err
    assert "minibert fill-mask" in capsys.readouterr().out
    assert load(tmp_path / "out", BertForMaskedLM).config.num_hidden_layers == 1
    assert {"soft_loss", "mlm_loss", "mlm_accuracy", "cosine_loss"} <= read_metrics(tmp_path / "out")[0].keys()
    evaluation = RunRecord.read(tmp_path / "out").evaluations[-1]
    assert {"validation_soft_loss", "validation_mlm_loss", "validation_cosine_loss"} <= evaluation.keys()


def test_a_resumed_run_has_the_same_numbers(checkpoint: str, text: TextOptions, tmp_path: Path) -> None:
    """Bit for bit, with dropout. The student comes from the checkpoint of the run, the teacher from its own."""
    config = DistillationConfig(steps=4, batch_size=4, examples=ExampleConfig(max_length=16), dropout=0.1)

    def new_run(folder: Path, create: bool) -> tuple[DistillationTask, TrainingRun]:
        task = prepare_distillation(text, config, folder, create, checkpoint)
        return task, task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)

    whole = [step.losses for step in new_run(tmp_path / "whole", create=True)[1].run()]
    task, run = new_run(tmp_path / "parts", create=True)
    steps = run.run()
    found = [next(steps).losses for _ in range(2)]
    checkpoints = Checkpoints(tmp_path / "parts" / "checkpoints")
    run.save(checkpoints, task.tokenizer)
    steps.close()
    folder = checkpoints.newest()
    _, resumed = new_run(folder, create=False)
    resumed.resume(folder)
    assert found + [step.losses for step in resumed.run()] == whole


def words_for(teacher: object, text: TextOptions, out: Path, *others: str) -> list[str]:
    """Return the words of a short run."""
    words = ["distill", str(teacher), "--text", str(text.text[0]), "--layout", "lines", "--validation-fraction", "0.2"]
    words += ["--batch-size", "4", "--max-length", "16", "--device", "cpu", "--steps", "2"]
    return [*words, *others, "--out", str(out)]


@pytest.fixture
def teacher_of(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a checkpoint of a family."""

    def write(architecture: str, **changes: object) -> Path:
        network, folder = NETWORKS[architecture], tmp_path / architecture
        sizes = {"max_position_embeddings": 20, "pad_token_id": CONFIG.pad_token_id, **changes}
        torch.manual_seed(0)
        network(network.config_class.of_size(CONFIG, **{"vocab_size": CONFIG.vocab_size, **sizes})).save_pretrained(folder)
        save_tokenizer(TOKENIZER, folder)
        return folder

    return write


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("RobertaForMaskedLM", "roberta"),
        ("AlbertForMaskedLM", "albert"),
        ("AlbertForPreTraining", "albert"),
        ("DistilBertForMaskedLM", "distilbert"),
    ],
)
def test_teachers_of_other_families(
    architecture: str,
    kind: str,
    teacher_of: Callable[..., Path],
    text: TextOptions,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The student has the family and the sizes of its teacher, and so do the settings of the run."""
    layers = {"num_hidden_layers": 2}
    teacher = teacher_of(architecture, **layers | ({"embedding_size": 4} if kind == "albert" else {}))
    assert main(words_for(teacher, text, tmp_path / "out", "--layers", "1")) == 0, capsys.readouterr().err
    student, config = load(tmp_path / "out", "mlm").config, load(teacher, "mlm").config
    dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), DistillationConfig().dropout)
    assert student == replace(config, num_hidden_layers=1, **dropout)
    task = prepare_distillation(
        text, DistillationConfig(steps=1, examples=ExampleConfig(max_length=16)), tmp_path / "new", True, str(teacher)
    )
    assert task.config.family == task.settings["training"]["family"] == kind


@pytest.mark.parametrize("option", ["embedding-size", "num-hidden-groups", "pairs", "preset", "family"])
def test_there_is_no_option_for_what_the_teacher_decides(
    option: str, checkpoint: str, text: TextOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["distill", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "--temperature" in shown
    assert f"--{option}" not in shown
    value = {"family": "bert", "preset": "tiny", "pairs": "none"}.get(option, "1")
    with pytest.raises(SystemExit) as stopped:
        main(words_for(checkpoint, text, tmp_path / "out", f"--{option}", value))
    assert stopped.value.code == 2
    assert f"--{option}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "architecture",
    [
        "BertForSequenceClassification",
        "RobertaForSequenceClassification",
        "AlbertForTokenClassification",
        "DistilBertForQuestionAnswering",
        "RobertaModel",
    ],
)
def test_a_teacher_without_a_masked_lm_head_is_refused(
    architecture: str,
    teacher_of: Callable[..., Path],
    text: TextOptions,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The student would learn from a head of random numbers."""
    if architecture.startswith("Bert"):
        folder = tmp_path / "classifier"
        BertForSequenceClassification(CONFIG).save_pretrained(folder)
        save_tokenizer(TOKENIZER, folder)
    else:
        folder = teacher_of(architecture)
    assert main(words_for(folder, text, tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert f"{folder}: has no masked-LM head" in error
    assert "heads found: encoder" in error
    assert "choose a pretrained checkpoint" in error
    assert "initialized" not in error
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_teacher_with_half_a_masked_lm_head_is_refused(
    checkpoint: str, text: TextOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(checkpoint) / "model.safetensors"
    weights = {name: each for name, each in load_file(file).items() if "transform.dense" not in name}
    save_file(weights, file, {"format": "pt"})
    assert main(words_for(checkpoint, text, tmp_path / "out")) == 2
    assert "its mlm head has no cls.predictions.transform.dense" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("architecture", "family", "reason"),
    [
        ("ElectraForPreTraining", "electra", "belongs to its generator, which is trained together with a discriminator"),
        ("ElectraForMaskedLM", "electra", "belongs to its generator, which is trained together with a discriminator"),
        ("GPT2LMHeadModel", "gpt2", "a GPT-2 predicts the next token"),
    ],
)
def test_a_family_without_teachers(
    architecture: str,
    family: str,
    reason: str,
    teacher_of: Callable[..., Path],
    text: TextOptions,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = teacher_of(architecture) if family == "electra" else write_gpt2(tmp_path / "gpt2", ["a cat"])
    assert main(words_for(folder, text, tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert f"{folder}: its family is {family}, and a teacher is one of bert, roberta, albert, distilbert: " in error
    assert reason in error
    assert "initialized" not in error


def test_groups_of_layers_cannot_be_selected(
    teacher_of: Callable[..., Path], text: TextOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = teacher_of("AlbertForMaskedLM", num_hidden_layers=4, num_hidden_groups=2)
    assert main(words_for(folder, text, tmp_path / "out")) == 2
    assert f"{folder}: its 4 layers share 2 groups of parameters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "layers 0: must be at least 1"),
        ({"temperature": 0.0}, "temperature 0: must be above 0"),
        ({"temperature": float("nan")}, "temperature nan: must be above 0"),
        ({"soft_weight": -1.0}, "soft_weight -1: must be at least 0"),
        ({"cosine_weight": float("nan")}, "cosine_weight nan: must be at least 0"),
        ({"soft_weight": 0.0, "mlm_weight": 0.0, "cosine_weight": 0.0}, "all weights of the losses are 0"),
        ({"preset": "tiny"}, "preset: leave it out"),
        (
            {"embedding_size": 16},
            "embedding_size: leave it out, all sizes of the student but --layers are",
        ),
        ({"num_hidden_groups": 2}, "num_hidden_groups: leave it out"),
        ({"examples": ExampleConfig(pairs="nsp")}, "pairs nsp: distillation has no task for sentence pairs"),
        ({"steps": 0}, "steps 0: must be at least 1"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        DistillationConfig(**options)


def test_the_learning_rate_is_that_of_distilbert() -> None:
    assert DistillationConfig().peak_learning_rate == 5e-4
    assert DistillationConfig(learning_rate=0.1).peak_learning_rate == 0.1
