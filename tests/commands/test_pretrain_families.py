"""`minibert pretrain --family`: the networks of all families in the same command."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from minibert import load
from minibert.commands import main
from minibert.model import PRESETS
from minibert.study.run_figures import loss_figure
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.training.options import FamilyName
from minibert.training.pretraining_families import METHODS
from minibert.training.pretraining_tasks import PREPARATIONS
from minibert.training.records import RunRecord, compare_runs, read_metrics, read_settings
from tests.processes import ForkedCommand

transformers = pytest.importorskip("transformers")
WORDS = [f"{a}{b}" for a in "abcdef" for b in "uvwxyz"]
TEXT = "\n\n".join(
    "\n".join(" ".join(WORDS[(5 * d + 3 * s + w) % len(WORDS)] for w in range(6)) + "." for s in range(4)) for d in range(30)
)
SHORT = ["--batch-size", "4", "--max-length", "16", "--vocab-size", "280", "--device", "cpu", "--layout", "lines"]
SMALL = replace(PRESETS["tiny"], hidden_size=8, num_attention_heads=2, intermediate_size=12)
METHOD_OF_EACH = [(family, pairs) for family, methods in METHODS.items() for pairs in methods]


@pytest.fixture(autouse=True)
def small_presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every command of this file quick, in a folder with a text."""
    monkeypatch.setitem(PRESETS, "tiny", SMALL)
    monkeypatch.chdir(tmp_path)
    Path("corpus.txt").write_text(TEXT)


def make_small() -> None:
    """Do the same in another process."""
    PRESETS["tiny"] = SMALL


def pretrain(*words: str, out: str = "out", steps: int = 2) -> int:
    command = ["pretrain", "--text", "corpus.txt", "--out", out, "--steps", f"{steps}", *SHORT]
    return main([*command, *words])


def test_the_options_name_the_families_with_a_method() -> None:
    assert get_args(FamilyName) == tuple(PREPARATIONS)


@pytest.mark.parametrize(("family", "pairs"), METHOD_OF_EACH)
def test_transformers_loads_the_network_and_computes_the_same(family: str, pairs: str) -> None:
    """Without --pairs, a family is trained with the first of its tasks."""
    is_default = pairs == next(iter(METHODS[family]))
    assert pretrain("--family", family, *([] if is_default else ["--pairs", pairs])) == 0
    settings = read_settings(Path("out"))["training"]
    assert (settings["family"], settings["examples"]["pairs"]) == (family, pairs)
    for file in Path("out").rglob("config.json"):
        if "checkpoints" not in file.parts:
            assert_equal_in_transformers(file.parent)


def assert_equal_in_transformers(folder: Path) -> None:
    """Compare the outputs in double precision."""
    ours = load(folder, dtype=torch.float64)
    kind = getattr(transformers, ours.architecture)
    theirs, report = kind.from_pretrained(folder, dtype=torch.float64, output_loading_info=True)
    assert not report["missing_keys"]
    ids = load_tokenizer(folder).encode("au bv cw.").ids
    inputs = {"input_ids": torch.tensor([ids, ids[::-1]])}
    outputs = [value for value in vars(ours(**inputs)).values() if value is not None]
    for one, other in zip(outputs, theirs.eval()(**inputs).to_tuple(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["--family", "albert"], {"embedding_size": 8, "num_hidden_groups": 1, "num_hidden_layers": 2}),
        (
            ["--family", "albert", "--embedding-size", "4", "--num-hidden-groups", "2"],
            {"embedding_size": 4, "layer_groups": 2},
        ),
        (["--family", "electra", "--embedding-size", "5"], {"embedding_size": 5, "hidden_size": 8}),
        (["--family", "distilbert"], {"num_hidden_layers": 1, "max_position_embeddings": 16}),
        (
            ["--family", "roberta"],
            {"max_position_embeddings": 18, "type_vocab_size": 1, "pad_token_id": 1},
        ),
    ],
)
def test_the_sizes_are_those_of_the_preset_and_of_the_family(words: list[str], fields: dict[str, Any]) -> None:
    assert pretrain(*words, steps=1) == 0
    config = load("out").config
    assert {name: getattr(config, name) for name in fields} == fields
    assert (config.hidden_size, config.max_tokens) == (8, 16)


@pytest.mark.parametrize("family", METHODS)
def test_a_checkpoint_of_any_family_is_trained_further(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its family and the family's task are those of the checkpoint. A run that contradicts them is refused."""
    assert pretrain("--family", family) == 0
    words = ["pretrain", "--text", "corpus.txt", "--from", "out", "--out", "more", "--max-length", "16", "--device", "cpu"]
    assert main([*words, "--steps", "1", "--layout", "lines"]) == 0
    assert read_settings(Path("more"))["training"]["family"] == family
    assert load("more").config == replace(load("out").config)
    other = next(name for name in METHODS if name != family)
    assert main([*words, "--family", other, "--out", "third"]) == 2
    assert f"out: its family is {family}, not {other}; leave out --family" in capsys.readouterr().err


@pytest.mark.parametrize("family", [name for name in METHODS if name != "bert"])
def test_a_run_that_is_resumed_gives_the_same_results(family: str) -> None:
    """Bit for bit, with dropout. The stored options name the family."""
    assert pretrain("--family", family, "--checkpoint-every", "2", steps=4) == 0
    whole = Path("out").rename("whole")
    shutil.copytree(whole, "out")
    shutil.rmtree("out/checkpoints/step-000004")
    Path("out/model.safetensors").unlink()
    assert main(["pretrain", "--out", "out", "--resume"]) == 0
    assert [losses_of(entry) for entry in read_metrics(Path("out"))] == [losses_of(entry) for entry in read_metrics(whole)]
    for file in whole.rglob("*.safetensors"):
        assert (Path("out") / file.relative_to(whole)).read_bytes() == file.read_bytes()


def losses_of(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "seconds"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--family", "roberta", "--pairs", "nsp"],
            "--pairs nsp: the family roberta is pretrained without it; use --pairs none",
        ),
        (["--family", "distilbert", "--pairs", "sop"], "use --pairs none"),
        (["--family", "electra", "--num-hidden-groups", "2"], "--num-hidden-groups: is for --family albert, not for electra"),
        (["--family", "albert", "--embedding-size", f"{10**12}"], "embedding_size 1000000000000: must be at most 16,384"),
        (["--family", "gpt2", "--embedding-size", "4"], "--embedding-size: is for --family albert and electra, not for gpt2"),
        (["--embedding-size", "4"], "--embedding-size: is for --family albert and electra, not for bert"),
        (["--from", "x", "--num-hidden-groups", "1"], "--num-hidden-groups and --from: give only one"),
        (["--family", "albert", "--num-hidden-groups", "9"], "num_hidden_groups must be at most num_hidden_layers, 2, not 9"),
        (["--family", "roberta", "--vocab-size", "60"], "vocab_size 60 is too small: special tokens and bytes need 261"),
    ],
)
def test_what_does_not_fit_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain(*words) == 2
    assert message in capsys.readouterr().err


def test_the_figure_has_the_accuracy_of_the_discriminator_and_its_baseline() -> None:
    assert pretrain("--family", "electra", "--evaluate-every", "2", "--validation-fraction", "0.2", steps=4) == 0
    record = RunRecord.read(Path("out"))
    _, accuracies = loss_figure(record, {}).axes
    names = ("validation_replaced_accuracy", "validation_original_share")
    assert [[*line.get_ydata()] for line in accuracies.lines] == [[each[name] for each in record.evaluations] for name in names]
    assert [each["step"] for each in record.evaluations] == [2, 4]


def test_the_table_of_runs_has_the_loss_of_both_networks_of_electra() -> None:
    assert pretrain("--family", "electra", "--evaluate-every", "2", "--validation-fraction", "0.2", "--patience", "9") == 0
    record = RunRecord.read(Path("out"))
    generator, discriminator = (record.last_evaluation[f"validation_{term}_loss"] for term in ("mlm", "replaced"))
    assert compare_runs([record])[0]["total loss"] == f"{generator + 50 * discriminator:.3f}"


@pytest.mark.slow
def test_the_discriminator_is_better_than_its_baseline() -> None:
    """In a text in which each word follows from its neighbors."""
    steps = ["--max-length", "32", "--batch-size", "32", "--dropout", "0", "--learning-rate", "1e-2"]
    assert pretrain("--family", "electra", *steps, "--validation-fraction", "0.2", steps=300) == 0
    scores = RunRecord.read(Path("out")).last_evaluation
    assert scores["validation_replaced_accuracy"] > scores["validation_original_share"] + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_two_processes_train_electra_as_one_does(sharding: str) -> None:
    """The shared embeddings, too. A sharded run resumes, with the same results."""
    exact = ["--family", "electra", "--dropout", "0", "--precision", "float64", "--checkpoint-every", "2"]
    assert pretrain(*exact, steps=4, out="one") == 0
    command = ["pretrain", "--text", "corpus.txt", "--out", "two", "--steps", "4", *SHORT, *exact, "--sharding", sharding]
    small = "from tests.commands.test_pretrain_families import make_small; make_small()"
    for more in ([], ["--resume"]):
        process = ForkedCommand([*command, *more], setup=small, processes=2)
        shown, _ = process.communicate(timeout=300)
        assert process.returncode == 0, shown
        one, two = (
            [[each[name] for name in ("mlm_loss", "replaced_loss", "gradient_norm")] for each in read_metrics(Path(folder))]
            for folder in ("one", "two")
        )
        assert two == [pytest.approx(each, rel=1e-10) for each in one]
        shutil.rmtree("two/checkpoints/step-000004")
        Path("two/model.safetensors").unlink()
