"""`minibert finetune multi`."""

import re
from pathlib import Path

import pytest

from minibert.commands import main
from minibert.commands.errors import UsageError
from minibert.commands.finetune_multi import parse_tasks
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from tests.trained_models import write_checkpoint
from tests.training.test_multitask import CONFIG, WORDS


def test_each_task_has_its_own_options() -> None:
    parsed = parse_tasks(("one=classify --train 'a b.tsv' --max-length 9", "two=classify --train c.tsv --regression"))
    assert [*parsed] == ["one", "two"]
    command, data, options = parsed["one"]
    assert (command, data.train, options.max_length, options.regression) == ("classify", (Path("a b.tsv"),), 9, False)
    assert parsed["two"][2].regression


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (("a=classify",), "at least two tasks"),
        ((), "at least two tasks"),
        (("a=classify", "a=classify"), "must be unique"),
        (("../a=classify", "b=classify"), "only letters"),
        (("=classify", "b=classify"), "only letters"),
        (("a=", "b=classify"), "NAME=TASK OPTIONS"),
        (("classify", "b=classify"), "NAME=TASK OPTIONS"),
        (("a=sort", "b=classify"), "tasks: classify"),
        (("a=classify 'x", "b=classify"), "No closing quotation"),
        (("a=classify --multi-label --regression", "b=classify"), "a: --multi-label and --regression"),
    ],
)
def test_tasks_that_cannot_be_parsed(tasks: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_tasks(tasks)


def test_the_command_writes_a_checkpoint_for_each_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from minibert.model import BertForMaskedLM

    start, out = tmp_path / "start", tmp_path / "out"
    BertForMaskedLM(CONFIG).save_pretrained(start)
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *WORDS]), start)
    rows = [f"{letter} {other}\t{letter}" for letter in "ab" for other in WORDS]
    (tmp_path / "letters.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    numbers = [f"{letter} {other}\t{number}.5" for number, letter in enumerate("cd") for other in WORDS]
    (tmp_path / "numbers.tsv").write_text("\n".join(["text\tscore", *numbers]) + "\n")
    tasks = [f"letter=classify --train {tmp_path}/letters.tsv", f"number=classify --regression --train {tmp_path}/numbers.tsv"]
    command = ["finetune", "multi", *tasks, "--from", str(start), "--out", str(out), "--batch-size", "4", "--device", "cpu"]
    assert main(command) == 0, capsys.readouterr().err
    shown = " ".join(capsys.readouterr().out.split())
    assert "letter: accuracy" in shown
    assert re.search(r"run: \d+ steps \(3 epochs of \d+ steps\), batch size 4, peak learning rate 0.001 \(warm-up", shown)
    assert shown.count("peak learning rate") == 1
    for name in ("letter", "number"):
        assert f"minibert predict {out}/{name} FILE" in shown
        assert {path.name for path in (out / name).iterdir()} >= {
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "task.json",
        }
    assert main(["predict", str(out), str(tmp_path / "letters.tsv")]) == 2
    assert f"there are models in its subfolders: {out}/letter, {out}/number" in " ".join(capsys.readouterr().err.split())
    assert main([*command, "--resume"]) == 0
    assert "steps of this run are done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\tlabel\na b\tx\nc\nd\ty\n", "broken.tsv, line 3: has 1 column instead of 2"),
        ("text\tlabel\na b\tx\nc d\tx\n", "all training rows have the label 'x'"),
        ("text\tlabel\n", "broken.tsv"),
    ],
)
def test_damaged_data_of_one_task_are_refused_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    start = write_checkpoint(tmp_path / "start", WORDS)
    (tmp_path / "good.tsv").write_text("text\tlabel\n" + "".join(f"{a} {b}\t{a}\n" for a in "ab" for b in WORDS))
    (tmp_path / "broken.tsv").write_text(content)
    tasks = [f"{name}=classify --train {tmp_path}/{name}.tsv --validation-fraction 0" for name in ("good", "broken")]
    command = ["finetune", "multi", *tasks, "--from", str(start), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(command) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert shown.startswith("minibert: broken: ")
    assert message in shown
