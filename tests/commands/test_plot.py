"""`minibert plot`: a file for every figure, every network and any text."""

from pathlib import Path

import pytest

from minibert import BertForSequenceClassification, BertForTokenClassification, Transformer
from minibert.commands import main
from minibert.study.subject import random_network, tokenizer_of
from minibert.text.tokenizer import save_tokenizer
from tests.study.plots.test_plots import TRANSFORMER
from tests.trained_models import write_checkpoint

SPECIAL = r"$x_1^{2}$ \frac{a}{b} 100% <script>alert('&')</script> 机器 🙂 שלום [MASK]"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("bert"), ["one", "two", "$", "_"])


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, tokenizer = tmp_path_factory.mktemp("transformer"), tokenizer_of(["one two"])
    random_network(Transformer, TRANSFORMER, tokenizer).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


def plot(*words: object) -> int:
    return main(["plot", *map(str, words)])


@pytest.mark.parametrize(
    "figure",
    [
        ["attention"],
        ["attention", "--layer", 1],
        ["attention", "--layer", 1, "--head", 0],
        ["embeddings"],
        ["lens"],
    ],
    ids=lambda words: " ".join(map(str, words)),
)
@pytest.mark.filterwarnings("ignore:no installed font")
def test_every_figure_of_a_checkpoint_and_of_a_preset(figure: list[object], bert: Path, tmp_path: Path) -> None:
    """Of any text, also in SVG, where it is data: no element and no formula."""
    assert plot(*figure, "--checkpoint", bert, "--text", "one [MASK] two", "--pair", "two", "--out", tmp_path / "a.pdf") == 0
    assert plot(*figure, "--preset", "tiny", "--text", SPECIAL, "--out", tmp_path / "b.svg") == 0
    drawn = (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert "<script>" not in drawn
    assert "[MASK]" in drawn or figure == ["attention"]
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("part", ["encoder", "decoder", "cross"])
def test_every_attention_of_an_encoder_decoder(part: str, transformer: Path, tmp_path: Path) -> None:
    options = ["--checkpoint", transformer, "--text", "one two", "--part", part, "--layer", 1, "--head", 0]
    assert plot("attention", *options, "--pair", "two", "--out", tmp_path / "a.svg") == 0
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert ("[SEP]" in drawn) == (part != "decoder")  # the decoder input ends before it


@pytest.mark.parametrize("figure", ["lens", "embeddings"])
def test_an_encoder_decoder_generates_the_target(figure: str, transformer: Path, tmp_path: Path) -> None:
    assert plot(figure, "--checkpoint", transformer, "--text", "one two", "--out", tmp_path / "a.png") == 0


def test_positions(bert: Path, tmp_path: Path) -> None:
    for number, options in enumerate(
        [
            [],
            ["--kind", "rotary"],
            ["--kind", "alibi", "--width", "4"],
            ["--checkpoint", bert],
            ["--preset", "transformer-tiny"],
        ]
    ):
        assert plot("positions", *options, "--positions", 9, "--out", tmp_path / f"{number}.png") == 0
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")


def test_rotation(tmp_path: Path) -> None:
    assert plot("rotation", "--width", 2, "--positions", 1, "--out", tmp_path / "a.png") == 0
    assert plot("rotation", "--out", tmp_path / "a.svg") == 0
    assert "0.1 radians per position" in (tmp_path / "a.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attention", "--preset", "tiny", "--text", "a", "--out", "a.jpg"], "must end with .png, .svg or .pdf"),
        (["rotation", "--out", "a"], "must end with .png, .svg or .pdf"),
        (["attention", "--preset", "tiny", "--out", "a.png"], "--text TEXT"),
        (["lens", "--text", "a", "--out", "a.png"], "either --checkpoint CHECKPOINT or --preset PRESET"),
        (["lens", "--text", "a", "--preset", "tiny", "--checkpoint", "b", "--out", "a.png"], "either --checkpoint"),
        (["lens", "--text", "a", "--preset", "huge", "--out", "a.png"], "there is no preset 'huge', only tiny, mini"),
        (["lens", "--text", "a", "--checkpoint", "nowhere", "--out", "a.png"], "nowhere"),
        (["lens", "--text", "a", "--preset", "tiny", "--out", "a.png"], "the text has no [MASK]"),
        (
            ["lens", "--text", "a", "--preset", "tiny", "--position", "3", "--out", "a.png"],
            "have the numbers 0 to 2",
        ),
        (["attention", "--text", "a", "--preset", "tiny", "--layer", "2", "--out", "a.png"], "has the layers 0 to 1"),
        (["attention", "--text", "a", "--preset", "tiny", "--head", "0", "--out", "a.png"], "give the layer too, with --layer"),
        (
            ["attention", "--text", "a", "--preset", "tiny", "--layer", "0", "--head", "-1", "--out", "a.png"],
            "the heads 0 to 1",
        ),
        (["attention", "--text", "a", "--preset", "tiny", "--part", "cross", "--out", "a.png"], "has only encoder"),
        (["embeddings", "--text", "a " * 600, "--preset", "tiny", "--out", "a.png"], "max_position_embeddings is 512"),
        (["positions", "--kind", "rotary", "--preset", "tiny", "--out", "a.png"], "give only one"),
        (["positions", "--positions", "0", "--out", "a.png"], "--positions 0: must be from 1"),
        (["positions", "--width", "3", "--out", "a.png"], "must be even"),
        (["rotation", "--width", "7", "--out", "a.png"], "--width 7: must be even"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_wrong_options_are_refused(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with advice, and without a file."""
    monkeypatch.chdir(tmp_path)
    assert plot(*words) == 2
    assert message in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("network", [BertForSequenceClassification, BertForTokenClassification])
def test_a_classifier_has_no_logit_lens_but_attention(
    network: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_checkpoint(tmp_path / "model", ["one"], network)
    assert plot("lens", "--checkpoint", folder, "--text", "one [MASK]", "--out", tmp_path / "a.png") == 2
    assert "no head that predicts tokens" in capsys.readouterr().err
    assert plot("attention", "--checkpoint", folder, "--text", "one", "--out", tmp_path / "a.png") == 0


@pytest.mark.parametrize("words", [["runs", "."], ["verify", "nowhere"]])
def test_figures_of_other_commands_have_the_format_of_their_name(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--figure", "a.jpeg"]) == 2
    assert "a.jpeg: the name of a figure must end with .png, .svg or .pdf" in capsys.readouterr().err
