"""`minibert study`: the list of steps, one step, choices that do not exist, and plain output."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from minibert import BertForPreTraining
from minibert.commands import main
from tests.sampling import slow
from tests.trained_models import write_checkpoint

TEXT = "the cat sat on the [MASK] ."
Run = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("study") / "bert"
    return str(write_checkpoint(folder, ["the", "cat", "sat", "on", "mat", "."], BertForPreTraining))


@pytest.fixture
def study(checkpoint: str, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `minibert study` with the checkpoint. Return what it prints."""

    def run(text: str, *arguments: str, code: int = 0) -> tuple[str, str]:
        assert main(["study", text, "--checkpoint", checkpoint, *arguments]) == code
        out, err = capfd.readouterr()
        return out, err

    return run


def test_the_steps_and_the_predictions_are_listed(study: Run) -> None:
    lines = study(TEXT, "--top", "3")[0].splitlines()
    assert "step 1: text.characters, characters 27" in lines
    assert any(
        re.fullmatch(r"step \d+: layers\.1\.attention\.scores, heads 2, queries 9, keys 9, S = P/√d_k", line) for line in lines
    )
    ranks = [line for line in lines if re.match(r"mlm\.probabilities for 0 \[MASK\], rank \d: \S+ \d+\.\d+%$", line)]
    assert len(ranks) == 3
    assert any(line.startswith("nsp.probabilities, rank 1: B is ") for line in lines)


def test_one_step_is_shown_with_the_arithmetic_of_a_cell(study: Run) -> None:
    lines = study(TEXT, "--step", "scores", "--layer", "1", "--head", "1", "--cell", "3,5")[0].splitlines()
    assert "path: layers.1.attention.scores" in lines
    assert "head: 1 (heads 0 to 1)" in lines
    assert "cell: 3,5: queries 3 sat, keys 5 the" in lines
    assert "calculation: S[1,3,5] = P[1,3,5] / 4" in lines
    assert len([line for line in lines if re.match(r"queries \d \S+, keys \d \S+: [+-]\d\.\d+(e-\d\d)?$", line)]) == 81


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--step scoers", "there is no step 'scoers'. Similar: scores"),
        ("--head 1 --cell 0,0", "--head, --cell: give --step, too"),
        ("--top 0", "--top must be from 1"),
        ("--step scores --terms 0", "--terms must be from 1"),
        ("--preset tiny", "give a model: either --checkpoint CHECKPOINT or --preset PRESET"),
        ("--against my.py --cell 1,2", "--against shows the step that differs: leave out --cell"),
        ("--against my.py --step scores --predict --backward", "leave out --step, --predict, --backward"),
        (
            "--diff a b --layer 0 --predict",
            "--diff names both checkpoints and shows all steps: leave out --checkpoint, --layer, --predict",
        ),
        ("--time-limit 5", "--time-limit is for your own code: give --against FILE.py, too"),
        ("--against my.py --time-limit 0", "--time-limit must be above 0 and at most 86400 seconds, not 0"),
        ("--open", "--open is for a page: give --out FILE.html, too"),
        ("--layers all", "--layers is for a page: give --out FILE.html, too"),
        ("--out page.html --layers 0,2", "--layers 2: the model has the layers 0 to 1"),
        ("--out page.html --layers x", "--layers x: the model has the layers 0 to 1"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused(study: Run, arguments: str, message: str) -> None:
    out, err = study(TEXT, *arguments.split(), code=2)
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_text_that_is_too_long_is_refused(study: Run) -> None:
    assert "32" in study("cat " * 600, code=2)[1]


def test_a_text_can_come_from_a_pipe(study: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the cat\n")))
    assert "step 1: text.characters, characters 7" in study("-")[0]


def test_a_preset_needs_no_checkpoint(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["study", TEXT, "--preset", "tiny", "--step", "embeddings.output"]) == 0
    assert "calculation: x[" in capfd.readouterr().out


def test_a_checkpoint_without_a_head_ends_at_its_last_step(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from minibert import Bert

    folder = write_checkpoint(tmp_path / "bert", ["the", "cat"], Bert)
    assert main(["study", "the cat", "--checkpoint", str(folder)]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "The checkpoint has no head. Its last step is pooler."


def test_the_backward_pass_has_steps_like_the_forward_pass(study: Run) -> None:
    backward = ("--backward", "--truth", "mat")
    lines = study(TEXT, *backward)[0].splitlines()
    assert any(re.match(r"step \d+: loss, .*L = ", line) for line in lines)
    assert any(re.match(r"step \d+: adamw\.layers\.1\.attention\.query\.weight\.updated_parameter", line) for line in lines)
    shown = study(TEXT, *backward, "--step", "gradient.weights", "--layer", "0", "--cell", "6,2")[0].splitlines()
    assert "path: gradient.layers.0.attention.weights" in shown
    assert "formula: dA = dC Vᵀ" in shown
    assert "path: layers.0.attention.weights" in study(TEXT, *backward, "--step", "weights", "--layer", "0")[0].splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--truth", "mat"), "give --backward, too"),
        (("--backward", "--truth", "the cat"), "has 2 pieces"),
        (("--backward", "--update", "layers.0.attention.querry.weight"), "Similar names"),
    ],
)
def test_a_truth_or_an_update_that_cannot_be_used_is_refused(study: Run, arguments: tuple[str, ...], message: str) -> None:
    assert message in study(TEXT, *arguments, code=2)[1]


@pytest.mark.parametrize("layers", [("--layers", "all"), ("--layers", "0", "1"), ("--layers", "0,1"), ()])
def test_a_page_is_written_and_opened(
    study: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: tuple[str, ...]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    file = tmp_path / "page.html"
    out, err = study("the cat", "--out", str(file), "--open", *layers)
    live = "" if layers else "live: you can change the text and the parts of the model in the page\n"
    assert (out, err) == (f"page: {file}\n{live}", "")
    assert opened == [file.as_uri()]
    assert "layers.1.attention.scores" in file.read_text(encoding="utf-8")


def is_live(file: Path) -> bool:
    return '"network":' in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), True),
        slow(("--live",), True),
        (("--recorded",), False),
        slow(("--layers", "0"), False),
        slow(("--backward",), False),
        (("--live", "--pair", "the mat", "--step", "scores"), True),
    ],
)
def test_kind_of_page(study: Run, tmp_path: Path, arguments: tuple[str, ...], expected: bool) -> None:
    """A small BERT gets a page that computes, unless recorded numbers are asked for."""
    file = tmp_path / "page.html"
    out, err = study(TEXT, "--out", str(file), *arguments)
    assert out.splitlines()[0] == f"page: {file}"
    assert err == ""
    assert is_live(file) is expected
    assert ("live: you can change" in out) is expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--live",), "--live is for a page: give --out FILE.html, too"),
        (("--recorded",), "--recorded is for a page: give --out FILE.html, too"),
        (("--live", "--recorded", "--out", "page.html"), "--live and --recorded are two kinds of page: give one of them"),
        (("--live", "--backward", "--out", "page.html"), "in full: leave out --backward"),
        (("--live", "--layers", "0", "--out", "page.html"), "in full: leave out --layers"),
        (("--live", "--against", "my.py", "--out", "page.html"), "in full: leave out --against"),
    ],
)
def test_kinds_of_page_that_do_not_fit(study: Run, arguments: tuple[str, ...], message: str) -> None:
    assert message in study(TEXT, *arguments, code=2)[1]


def test_network_that_a_live_page_cannot_compute(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With --live, the work fails. Without it, the page has recorded numbers, and one line says why."""
    checkpoint = str(write_checkpoint(tmp_path / "bert", ["the"], max_position_embeddings=8))
    file = tmp_path / "page.html"
    command = ["study", "the", "--checkpoint", checkpoint, "--out", str(file)]
    assert main([*command, "--live"]) == 1
    reason = "a live page needs a network with at least 9 positions; this one has 8"
    assert capfd.readouterr() == ("", f"minibert: --live: {reason}\n")
    assert not file.exists()
    assert main(command) == 0
    assert capfd.readouterr() == (f"the page shows recorded numbers: {reason}\npage: {file}\n", "")
    assert not is_live(file)


@pytest.mark.slow
def test_other_networks_and_large_ones_get_recorded_numbers(
    study: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "page.html"
    assert main(["study", "the cat", "--preset", "transformer-tiny", "--out", str(file)]) == 0
    reason = "a live page needs BERT, a relative of it or GPT-2, and this model is a Transformer"
    assert f"recorded numbers: {reason}\n" in capfd.readouterr().out
    study(TEXT, "--out", str(file), "--live")
    assert is_live(file)
    size = file.stat().st_size
    for limit, expected in ((50_000, False), (size - 1, False), (size, True)):
        monkeypatch.setattr("minibert.commands.study_page.MAX_LIVE", limit)
        out, _ = study(TEXT, "--out", str(file))
        assert is_live(file) is expected
        shown = re.escape(f"and the limit is {limit / 1e6:g} MB; --live writes it all the same")
        assert bool(re.search(rf"recorded numbers: a page that computes would have 0\.\d MB, {shown}", out)) is not expected


def test_every_fact_is_one_line(study: Run) -> None:
    """A text with line ends cannot look like other facts."""
    for arguments in ((), ("--step", "characters")):
        lines = study("the\ncat\nstep 1: mat\u2028", *arguments)[0].splitlines()
        assert "text: the\\u000acat\\u000astep 1: mat\\u2028" in lines
        assert all(re.match("[a-z_.]+[ :,]", line) for line in lines), lines
        assert not any(line.startswith("step 1: mat") for line in lines)


def test_a_page_opens_at_the_step_and_cell(study: Run, tmp_path: Path) -> None:
    """The terminal shows the same step. Without such a step, no page is written."""
    file = tmp_path / "page.html"
    out, _ = study(TEXT, "--step", "scores", "--layer", "1", "--head", "1", "--cell", "2,3", "--out", str(file))
    assert f"page: {file}\n" in out
    assert "path: layers.1.attention.scores\n" in out
    assert '"start":"#step=layers.1.attention.scores\\u0026slice=1\\u0026cell=2,3"' in file.read_text(encoding="utf-8")
    file.unlink()
    assert "there is no step" in study(TEXT, "--step", "nothing", "--out", str(file), code=2)[1]
    assert not file.exists()


def test_a_page_of_the_backward_pass_is_written(study: Run, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    study(TEXT, "--backward", "--truth", "mat", "--out", str(file))
    assert "gradient.layers.1.attention.weights" in file.read_text(encoding="utf-8")
