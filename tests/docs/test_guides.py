"""Every command and every block of Python in the guides runs as it is printed, with small models and small data.

A line that is new in a guide runs, too. If it cannot, its reason must be in `NOT_RUN`.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from minibert.commands import COMMANDS, main
from minibert.docs.layout import REPOSITORY
from tests.docs.guides import CONSOLE, PAGES, PYTHON, SHOWN, Block, blocks_in, overview, programs, text_of
from tests.docs.reader import OWN_ATTENTION, run_line, small_corpus, write_files
from tests.sampling import slow

NOT_RUN = {
    "pip install": "packages are downloaded; `.ci/run` runs the command of the README",
    "minibert quickstart": "takes minutes; tests/commands/test_quickstart.py runs it with fewer steps",
    "minibert docs build": "takes minutes; tests/docs/test_whole_site.py builds the site",
    "--compile": "takes hours on a GPU",
    "bash try/source/run_autograder": "starts processes; tests/classroom/teaching/gradescope/test_autograder.py runs it",
    "torchrun ": "needs several GPUs; tests/commands/test_pretrain.py starts two processes",
    "nbgrader generate_assignment": "nbgrader is not installed; tests/classroom/teaching/test_nbgrader.py does the same",
    "nbgrader autograde": "nbgrader is not installed",
    "python benchmarks/agreement.py": "needs checkpoints that are downloaded",
    "python -m tests.classroom.students.report": "takes minutes",
    "python -m benchmarks.run": "takes half an hour",
    "pytest -m cuda": "needs a GPU",
    "python -m benchmarks.attention": "takes minutes",
    "python -m benchmarks.ideas": "trains for minutes",
    "export MALLOC_": "is for processes that begin later",
}
"""Parts of the lines that no test runs, each with the reason. Commands of minibert in them are parsed."""
CHECKS = "CONTRIBUTING"
"""A page whose commands are the tests themselves, which `.ci/run` runs."""
OWN_TESTS = {
    "finetuning": ("tests/commands/test_finetuning_page.py", "tests/commands/test_finetune_answer.py"),
    "pretraining": ("tests/training/test_script.py",),
    "classroom": ("tests/docs/test_classroom_page.py",),
}
"""Tests that check results, too. A section that is named in one of them in a call of `blocks` is run there."""
SHORTER = {
    "pretrain": ["--steps", "2", "--max-length", "32"],
    "distill": ["--steps", "2", "--max-length", "32"],
    "train-letters": ["--steps", "2", "--letters", "4"],
    "train-translator": ["--steps", "2", "--vocab-size", "60"],
    "swap": ["--seconds", "0.1"],
    "bench": ["--tokens", "64", "--rounds", "1"],
}
"""Options that are added to long commands."""
LONG = ("README", "classroom", "gpt2", "pretraining", "speed", "study", "transformer", "verify", "vit")
"""Pages whose commands take seconds."""
CONTINUES = {"recording": "start"}
"""Pages that use the variables of another one."""
NAMES = {"classroom": "from minibert.equations import softmax\nmy_function = softmax", "study": OWN_ATTENTION}
"""Code that the reader has written before."""


def blocks_of(page: str) -> list[Block]:
    return [*(overview() if page == "README" else []), *blocks_in(text_of(page))]


def reason(line: str) -> str | None:
    """Return why a line is not run."""
    return next((why for part, why in NOT_RUN.items() if part in line), None)


def is_run_by_its_own_test(page: str, block: Block) -> bool:
    call = f'blocks("{page}", "{block.language}", "{block.heading}")'
    return any(call in (REPOSITORY / file).read_text(encoding="utf-8") for file in OWN_TESTS.get(page, ()))


def shorter(line: str) -> list[str]:
    """Return the options that are added to a line."""
    return next((more for command, more in SHORTER.items() if f"minibert {command} " in f"{line} "), [])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder in which a reader works."""
    pytest.importorskip("transformers", reason="transformers is not installed (pip install minibert[verify])")
    monkeypatch.chdir(tmp_path)
    for module in ("text.from_options", "classroom.small_pretraining"):
        monkeypatch.setattr(f"minibert.{module}.builtin_corpus", small_corpus)
    monkeypatch.setattr("minibert.training.letters.VALIDATION_EXAMPLES", 50)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    write_files()


@pytest.mark.parametrize(
    "page",
    [
        slow(page) if page in LONG else page
        for page in PAGES
        if page != CHECKS and any(block.steps() for block in blocks_of(page))
    ],
)
def test_a_guide_runs_from_the_top_to_the_bottom(folder: None, page: str) -> None:
    names: dict[str, Any] = {"torch": torch}
    exec(NAMES.get(page, ""), names)
    blocks = [block for block in blocks_of(page) if not is_run_by_its_own_test(page, block)]
    earlier = [block for block in blocks_of(CONTINUES.get(page, page)) if page in CONTINUES and block.language in PYTHON]
    for block in [*earlier, *blocks]:
        for step in block.steps():
            if block.language in PYTHON:
                exec(step, names)
            elif not reason(step):
                run_line(step, shorter(step), entered="0\n")


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_not_run_are_complete(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser of the command line accepts them."""
    monkeypatch.setattr("minibert.commands.COMMANDS", {name: (kind, lambda options: 0) for name, (kind, _) in COMMANDS.items()})
    for step in (step for block in blocks_of(page) if block.language not in PYTHON for step in block.steps()):
        for _, words in programs(step):
            if "minibert" in words and (reason(step) or page == CHECKS):
                arguments = words[words.index("minibert") + 1 :]
                assert main([word for word in arguments if word != "…"]) == 0, step


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist(page: str) -> None:
    """A group of commands, such as `minibert finetune`, may be named, too."""
    groups = {name.partition(" ")[0] for name in COMMANDS} | {"COMMAND", "--help", "--version"}
    text = re.sub(r"^ *(`{3,})\w.*?^ *\1 *$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    for name in re.findall(r"`minibert\s+([^`\s]+)", text):
        assert name in groups, f"{page}: minibert {name}"


@pytest.mark.parametrize("page", PAGES)
def test_the_language_of_a_block_says_if_it_can_be_run(page: str) -> None:
    assert {block.language for block in blocks_of(page)} <= {*CONSOLE, *PYTHON, *SHOWN}


def test_every_exception_is_needed() -> None:
    lines = [step for page in PAGES for block in blocks_of(page) if block.language not in PYTHON for step in block.steps()]
    assert [part for part in NOT_RUN if not any(part in line for line in lines)] == []
    for page, files in OWN_TESTS.items():
        for file in files:
            calls = re.findall(rf'blocks\("{page}", "(\w+)", "(.*?)"\)', (REPOSITORY / file).read_text(encoding="utf-8"))
            assert calls, file
            assert {(language, heading) for language, heading in calls} <= {
                (each.language, each.heading) for each in blocks_of(page)
            }


NEW = """# A guide

## New

```sh
$ echo 1  # with a prompt
minibert trian \\
    --steps 2
```

````markdown
```python
1 / 0
```
````

```text
$ minibert learn
printed
```
"""


def test_a_new_line_is_found() -> None:
    """With an old or a new language of the block. Blocks inside of others are shown."""
    assert [step for block in blocks_in(NEW) for step in block.steps()] == [
        "$ echo 1  # with a prompt",
        "minibert trian      --steps 2",
        "minibert learn",
    ]
