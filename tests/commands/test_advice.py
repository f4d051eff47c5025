"""Advice names options that exist: in every message of the package, and in every command of the documentation.

The messages are collected from the source: all strings that name an option, except docstrings.
"""

import ast
import inspect
import io
import math
import re
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

import minibert
from minibert import equations
from minibert.commands import COMMANDS, main
from minibert.commands.finetune import TASKS
from minibert.study.equations.registry import registry
from minibert.training.loop import MAX_SKIPPED_STEPS

PACKAGE = Path(minibert.__file__).parent
OPTION = re.compile(r"(?<![\w}\[-])--[a-z][a-z-]+")
NAMED_COMMAND = re.compile(r"minibert ((?:(?:finetune|class|docs) )?[a-z-]+)((?: (?!minibert)[^`\n]*)?)")
TRAINING = ("pretrain", "train-letters", "train-translator")
FINE_TUNING = tuple(f"finetune {name}" for name in TASKS)
FIGURES = ("attention", "embeddings", "lens", "positions", "rotation")
PRINTED_BY: dict[str, tuple[str, ...]] = {
    "commands/check.py": ("check",),
    "commands/class_new.py": ("class new",),
    "commands/distill.py": ("distill",),
    "commands/docs.py": ("docs build",),
    "commands/embed.py": ("embed",),
    "commands/class_grade.py": ("class grade",),
    "commands/class_gradescope.py": ("class gradescope",),
    "commands/class_nbgrader.py": ("class nbgrader",),
    "commands/class_release.py": ("class release",),
    "commands/exercises.py": ("check", "hint", "reveal", "reset", "progress"),
    "commands/equations.py": ("equations",),
    "commands/evaluate.py": ("evaluate",),
    "commands/evaluation_report.py": ("evaluate",),
    "commands/fill_mask.py": ("fill-mask",),
    "commands/finetune_several.py": FINE_TUNING,
    "commands/finetune.py": FINE_TUNING,
    "commands/finetune_multi.py": ("finetune multi",),
    "commands/generate.py": ("generate",),
    "commands/lessons.py": ("lessons",),
    "commands/plot.py": ("plot",),
    "commands/predict.py": ("predict",),
    "commands/pretrain.py": ("pretrain",),
    "commands/quickstart.py": ("quickstart",),
    "commands/reveal.py": ("reveal",),
    "classroom/swap": ("swap",),
    "commands/study": ("study",),
    "study/user_code.py": ("study", "verify"),
    "commands/swap.py": ("swap",),
    "commands/subject.py": ("plot attention", "plot embeddings", "plot lens"),
    "commands/tokenize": ("tokenize",),
    "commands/train_transformer.py": ("train-letters", "train-translator"),
    "commands/failures.py": TRAINING,
    "text/options.py": ("pretrain",),
    "commands/training.py": TRAINING,
    "commands/translate.py": ("translate",),
    "commands/verify.py": ("verify",),
    "docs": ("docs build",),
    "study/learning_curve.py": FINE_TUNING,
    "study/page": ("study",),
    "study/stepthrough": ("study",),
    "study/verify": ("verify",),
    **{
        f"text/labeled/{name}.py": ("finetune classify",)
        for name in ("column_roles", "label_names", "label_reader", "problem_types", "tables")
    },
    "text/labeled/conll.py": ("finetune tag",),
    "text/labeled/tag": ("finetune tag",),
    "text/labeled/token_tables.py": ("finetune tag",),
    "text/labeled": FINE_TUNING,
    "text/pair": ("pretrain",),
    "text/spans.py": ("pretrain",),
    "text/parallel.py": ("train-translator",),
    "text/unknown.py": ("pretrain", "train-translator"),
    "training/adapt": FINE_TUNING,
    "training/answering.py": ("evaluate",),
    "training/classification.py": ("finetune classify",),
    "training/distillation": ("distill",),
    "training/distributed.py": (*TRAINING, *FINE_TUNING, "translate"),
    "training/finetuning_options.py": ("finetune classify",),
    "training/features.py": FINE_TUNING,
    "training/finetuning": FINE_TUNING,
    "training/job.py": TRAINING,
    "training/letters.py": ("train-letters",),
    "training/multitask.py": ("finetune multi",),
    "training/next_token": ("pretrain",),
    "training/pretraining": ("pretrain",),
    "training/span_corruption": ("pretrain",),
    "training/task_type.py": FINE_TUNING,
    "training/transfer": (*FINE_TUNING, "finetune multi"),
    "training/translation": ("train-translator",),
}
"""The commands that print the messages of a module or package. A module with a new message about an option is added here.

The quickstart uses `training/job.py`, too, but always resumes, so it never prints a message about --resume.
"""
ARGUMENTS = {f"--{name}" for equation in registry() for name in inspect.signature(getattr(equations, equation)).parameters}
"""The arguments of the equations are options of `minibert equations NAME`."""
NOT_OURS = {"--nproc-per-node", "--version"}
"""Options of torchrun, and of minibert without a command."""


@cache
def options_of(command: str) -> set[str]:
    """Return the options that the help of a command lists."""
    with redirect_stdout(io.StringIO()) as shown, pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    lines = [line.strip("│ ") for line in shown.getvalue().splitlines()]
    listed = {option for line in lines if line.startswith("-") for option in OPTION.findall(line.partition("  ")[0])}
    if command == "plot":
        return listed.union(*(options_of(f"plot {figure}") for figure in FIGURES))
    return listed | (ARGUMENTS if command == "equations" else set())


def messages() -> list[tuple[str, str]]:
    """Return file and text of every string of the package that names an option and is not a docstring."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not OPTION.search(source):
            continue
        tree = ast.parse(source)
        docstrings = {
            id(statement.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            for statement in node.body
            if isinstance(statement, ast.Expr)
        }
        for node in ast.walk(tree):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
            if is_text and set(OPTION.findall(node.value)) - NOT_OURS:
                found.append((path.relative_to(PACKAGE).as_posix(), node.value))
    return found


def commands_of(file: str, message: str) -> tuple[str, ...]:
    """Return the command that a message names, or else the commands that print it."""
    named = [command for command, _ in NAMED_COMMAND.findall(message) if command in COMMANDS]
    return tuple(named) or next((commands for part, commands in PRINTED_BY.items() if file.startswith(part)), ())


@pytest.mark.parametrize(("file", "message"), messages())
def test_an_option_in_a_message_is_one_of_the_command(file: str, message: str) -> None:
    commands = commands_of(file, message)
    assert commands, f"{file} is not in PRINTED_BY"
    for command in commands:
        assert set(OPTION.findall(message)) - NOT_OURS <= options_of(command), command


def documented_commands() -> list[tuple[str, str, str]]:
    """Return file, command and arguments of every command in the code of README.md and docs/.

    Quoted text is left out: a text, or a task of `finetune multi` with its own options.
    """
    root, found = PACKAGE.parent, []
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        code = re.findall(r"```sh\n(.*?)```|`([^`\n]+)`", path.read_text(encoding="utf-8"), re.DOTALL)
        for text in ("".join(parts).replace("\\\n", " ") for parts in code):
            lines = [re.sub('"[^"]*"', "", line.partition(" #")[0]) for line in text.splitlines()]
            calls = [call for line in lines for call in re.split(r"&&|\||;", line)]
            found += [(path.name, *match) for call in calls for match in NAMED_COMMAND.findall(call) if match[0] in COMMANDS]
    return found


@pytest.mark.parametrize(("file", "command", "arguments"), documented_commands())
def test_an_option_in_the_documentation_is_one_of_the_command(file: str, command: str, arguments: str) -> None:
    outside_quotes = re.sub(r'"[^"]*"', "", arguments)  # `finetune multi` has words with the options of a task
    assert set(OPTION.findall(outside_quotes)) <= options_of(command)


@pytest.mark.parametrize("command", TRAINING)
def test_a_run_that_diverges_names_the_learning_rate_of_its_command(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("\n".join(f"a b c {number}\nd e\n" for number in range(30)))
    text = {
        "pretrain": ["--text", str(tmp_path / "text"), "--vocab-size", "30", "--batch-size", "4", "--max-length", "16"],
        "train-letters": ["sort", "--letters", "2"],
        "train-translator": ["--text", *[str(tmp_path / "text")] * 2, "--vocab-size", "30"],
    }
    words = [command, *text[command], "--device", "cpu", "--steps", str(MAX_SKIPPED_STEPS)]
    never_finite = SimpleNamespace(**vars(math) | {"isfinite": lambda value: False})
    monkeypatch.setattr("minibert.training.loop.math", never_finite)
    monkeypatch.setattr("minibert.training.letters.VALIDATION_EXAMPLES", 10)
    assert main([*words, "--out", str(tmp_path / "diverged")]) == 1
    (option,) = re.findall(r"use a lower (--[a-z-]+), in another --out", capsys.readouterr().err)
    assert option in options_of(command)
