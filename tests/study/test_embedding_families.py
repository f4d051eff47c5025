"""Text embeddings of BERT's relatives, against transformers and sentence-transformers."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from minibert import TextEmbedder
from minibert.commands import main
from minibert.model.families import NETWORKS
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer
from tests.study.test_embedding import TEXTS, WORDS
from tests.text.test_family_tokenizers import albert, roberta
from tests.trained_models import write_gpt2

transformers = pytest.importorskip("transformers")
LENGTH = 24
"""Tokens of the longest text of each model."""
CASES = {
    "RobertaForMaskedLM": {"type_vocab_size": 1, "pad_token_id": 1, "max_position_embeddings": LENGTH + 2},
    "AlbertForPreTraining": {"embedding_size": 6, "num_hidden_layers": 3},
    "ElectraForPreTraining": {"embedding_size": 6},
    "ElectraModel": {"embedding_size": 16},
    "DistilBertForMaskedLM": {},
    "RobertaForSequenceClassification": {"pad_token_id": 1, "max_position_embeddings": LENGTH + 2},
}
"""Networks that are saved, and fields of their configs."""
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": LENGTH,
    "initializer_range": 0.5,
}


@pytest.fixture(params=CASES)
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small model with random weights, and the tokenizer of its family."""
    folder = tmp_path / "model"
    if request.param.startswith("Roberta"):
        roberta(folder, model_max_length=LENGTH)
    elif request.param.startswith("Albert"):
        albert(folder, model_max_length=LENGTH)
    else:
        save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *WORDS]), folder, LENGTH)
    network = NETWORKS[request.param]
    vocab_size = load_tokenizer(folder).get_vocab_size()
    torch.manual_seed(0)
    sizes = {**SIZES, "vocab_size": vocab_size, **CASES[request.param]}
    network(network.config_class(**sizes)).save_pretrained(folder)
    return folder


def of_transformers(folder: Path) -> list[torch.Tensor]:
    """Return the vectors of all tokens of `TEXTS`, one text after the other."""
    tokenizer, model = (kind.from_pretrained(folder) for kind in (transformers.AutoTokenizer, transformers.AutoModel))
    inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
    with torch.no_grad():
        hidden = model.eval()(**inputs).last_hidden_state
    return [vectors[mask.bool()] for vectors, mask in zip(hidden, inputs["attention_mask"], strict=True)]


def test_vectors_equal_those_of_transformers(checkpoint: Path) -> None:
    """For texts of all lengths, the mean over the tokens that are no padding, and the first token."""
    expected = of_transformers(checkpoint)
    assert len({len(each) for each in expected}) > 5
    assert max(len(each) for each in expected) == LENGTH
    for pooling, pooled in (("mean", [each.mean(0) for each in expected]), ("cls", [each[0] for each in expected])):
        embedder = TextEmbedder.from_pretrained(checkpoint, pooling=pooling)
        assert embedder.length == LENGTH
        np.testing.assert_allclose(embedder.embed(TEXTS), torch.stack(pooled), atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_equal_those_of_sentence_transformers(checkpoint: Path, tmp_path: Path, pooling: str) -> None:
    """A folder with modules.json, which sentence-transformers has written."""
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    from sentence_transformers.sentence_transformer import modules

    parts = [modules.Transformer(str(checkpoint)), modules.Pooling(16, pooling_mode=pooling), modules.Normalize()]
    folder = str(tmp_path / "sentences")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sentence_transformers.SentenceTransformer(modules=parts, device="cpu").save(folder)
        expected = sentence_transformers.SentenceTransformer(folder, device="cpu").encode(TEXTS)
    vectors = TextEmbedder.from_pretrained(folder).embed(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors, expected, atol=1e-5, rtol=0)


def test_the_command(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It writes the vectors, and finds a text that equals the query."""
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    words = ["embed", str(checkpoint), str(tmp_path / "texts.txt"), "--out", str(tmp_path / "v.npy"), "--nearest", "cat"]
    assert main(words) == 0, capsys.readouterr().err
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), TextEmbedder.from_pretrained(checkpoint).embed(TEXTS))
    assert "1.000" in capsys.readouterr().out
    assert main([*words, "--max-length", str(LENGTH + 1)]) == 2
    assert f"from 3 to {LENGTH} tokens, not {LENGTH + 1}" in capsys.readouterr().err


def test_a_family_without_an_encoder_of_text_is_refused(tmp_path: Path) -> None:
    folder = write_gpt2(tmp_path / "gpt2", ["a cat"])
    with pytest.raises(ValueError, match=r"its family is gpt2, but .* an encoder of text: BERT, RoBERTa, ALBERT"):
        TextEmbedder.from_pretrained(folder)
