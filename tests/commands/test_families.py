"""Fine-tuning and prediction with the relatives of BERT, from a checkpoint with a tokenizer of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from minibert import load
from minibert.commands import main
from minibert.model.families import FAMILIES, NETWORKS
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer, vocabulary_size
from minibert.text.tokenizer_loading import load_tokenizer
from tests.sampling import slow
from tests.text.test_family_tokenizers import albert, roberta

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PAIRS = "text_a\ttext_b\tlabel\nnice film\tfine movie\tsame\nnice film\tpoor movie\tother\n" * 3
TOKENIZERS: dict[str, Callable[[Path], object]] = {"roberta": roberta, "albert": albert}
SIZES = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 12}


def word_pieces(folder: Path) -> None:
    """Save a tokenizer of BERT whose pieces are letters."""
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]), folder)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a small masked LM of a family to the folder "start", and pairs of texts to "pairs.tsv"."""
    monkeypatch.chdir(tmp_path)
    start = Path("start")
    start.mkdir()
    TOKENIZERS.get(request.param, word_pieces)(start)
    torch.manual_seed(0)
    network = NETWORKS[next(name for name in FAMILIES[request.param].networks.values() if name.endswith("ForMaskedLM"))]
    size = vocabulary_size(load_tokenizer(start))
    network(network.config_class(**SIZES, vocab_size=size, max_position_embeddings=66)).save_pretrained(start)
    Path("pairs.tsv").write_text(PAIRS)
    return str(request.param)


def finetune(*more: str) -> int:
    command = ["finetune", "classify", "--from", "start", "--train", "pairs.tsv", "--out", "out", "--steps", "2"]
    return main([*command, "--validation-fraction", "0", "--device", "cpu", *more])


@pytest.mark.parametrize("more", [(), slow(("--feature-extraction",)), slow(("--adapter", "lora"))])
def test_pairs_are_classified(family: str, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """The trained model is a checkpoint of transformers with the same scores, which `minibert predict` uses."""
    assert finetune(*more) == 0
    model, tokenizer = load("out"), load_tokenizer("out")
    architecture = next(name for name in FAMILIES[family].networks.values() if name.endswith("SequenceClassification"))
    assert type(model) is NETWORKS[architecture]
    encoding = tokenizer.encode("nice film", "poor movie")
    inputs = {"input_ids": torch.tensor([encoding.ids])}
    if model.config.has_segments and family != "roberta":
        inputs["token_type_ids"] = torch.tensor([encoding.type_ids])
    theirs = getattr(transformers, architecture).from_pretrained("out")
    torch.testing.assert_close(model(**inputs).logits, theirs(**inputs).logits, rtol=1e-4, atol=1e-5)
    capsys.readouterr()
    assert main(["predict", "out", "pairs.tsv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= len(PAIRS.splitlines()) - 1


def test_a_mask_is_filled(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    mask = "<mask>" if family == "roberta" else "[MASK]"
    assert main(["fill-mask", "start", f"a nice {mask}", "--top", "3"]) == 0
    assert capsys.readouterr().out.count("%") == 3
    assert main(["fill-mask", "start", "a nice film"]) == 2
    assert f"the text has no {mask}" in capsys.readouterr().err
