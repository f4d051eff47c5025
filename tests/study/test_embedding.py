"""Text embeddings against sentence-transformers, for its pooling functions and the modules that follow."""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from minibert import BertForPreTraining, TextEmbedder
from minibert.study.embedding import cosine_similarities
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from tests.trained_models import write_checkpoint

WORDS = ["the", "cat", "sits", "out", "##side", "a", "film", "was", "good", "猫", "坐", "在", "外", "面", "Cat", "."]
TEXTS = [
    "The cat sits outside.",
    "",
    "   ",
    "猫坐在外面",
    "a good film was the film " * 30,  # longer than the model
    "cat",
    "[MASK] cat [SEP] unknownword",
    *(f"the {'film ' * n}was good" for n in range(12)),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random BERT with its pretraining heads, and its tokenizer."""
    settings = {"lowercase": False, "max_position_embeddings": 48, "initializer_range": 0.5}
    return write_checkpoint(tmp_path_factory.mktemp("bert"), WORDS, BertForPreTraining, **settings)


Save = Callable[..., "tuple[Path, np.ndarray]"]


@pytest.fixture
def save(checkpoint: Path, tmp_path: Path) -> Save:
    """A function that saves a sentence-transformers model and returns its folder and its vectors of `TEXTS`."""
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    from sentence_transformers.sentence_transformer import modules

    def save(
        pooling: object, *after: str, prompts: dict[str, object] | None = None, **settings: object
    ) -> tuple[Path, np.ndarray]:
        torch.manual_seed(1)
        folder, pooled = tmp_path / "model", modules.Pooling(32, pooling_mode=pooling)
        parts: list[torch.nn.Module] = [modules.Transformer(str(checkpoint)), pooled]
        make = {"Normalize": modules.Normalize, "Dense": lambda: modules.Dense(pooled.get_embedding_dimension(), 8)}
        parts += [make[name]() for name in after]
        sentence_transformers.SentenceTransformer(modules=parts, device="cpu", **(prompts or {})).save(str(folder))
        file = folder / "sentence_bert_config.json"  # as older versions wrote it
        file.write_text(json.dumps(json.loads(file.read_text()) | settings))
        return folder, sentence_transformers.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)

    return save


@pytest.mark.parametrize(
    ("pooling", "after", "settings"),
    [
        ("mean", [], {}),
        ("mean", ["Normalize"], {"max_seq_length": 16}),
        ("cls", ["Dense", "Normalize"], {}),
        ("max", [], {"do_lower_case": True}),
        ("mean_sqrt_len_tokens", ["Dense"], {}),
        (("max", "mean", "cls"), ["Normalize"], {"max_seq_length": 5}),
    ],
)
def test_vectors_equal_those_of_sentence_transformers(
    save: Save, pooling: object, after: list[str], settings: dict[str, object]
) -> None:
    """For batches with padding, empty texts, texts longer than the maximum, Chinese, and special tokens in the text."""
    folder, expected = save(pooling, *after, **settings)
    vectors = TextEmbedder.from_pretrained(folder).embed(TEXTS)
    np.testing.assert_allclose(vectors, expected, atol=1e-5, rtol=0)


def test_prompts_of_sentence_transformers_are_used(save: Save) -> None:
    """The default prompt begins each text; a query has a prompt of its own."""
    prompts = {"prompts": {"query": "the cat ", "passage": "a film "}, "default_prompt_name": "passage"}
    folder, expected = save("mean", prompts=prompts)
    embedder = TextEmbedder.from_pretrained(folder)
    np.testing.assert_allclose(embedder.embed(TEXTS), expected, atol=1e-5, rtol=0)
    plain = TextEmbedder(embedder.model, embedder.tokenizer)
    texts = ["a film sits", "the cat sits"]
    similarities = cosine_similarities(plain.embed(["the cat sits"])[0], embedder.embed(texts))
    found = embedder.nearest("sits", texts)
    assert [match.index for match in found] == list(np.argsort(-similarities))
    assert [match.similarity for match in found] == pytest.approx(sorted(similarities, reverse=True), abs=1e-5)


def test_plain_checkpoint_has_mean_pooling_as_in_sentence_transformers(checkpoint: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sentence_transformers.SentenceTransformer(str(checkpoint), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(TextEmbedder.from_pretrained(checkpoint).embed(TEXTS), expected, atol=1e-5, rtol=0)


def test_minilm_equals_sentence_transformers() -> None:
    """The real all-MiniLM-L6-v2, with its pooling, normalization and maximum length."""
    folder = os.environ.get("MINIBERT_MINILM")
    if not folder:
        pytest.skip("set MINIBERT_MINILM to the folder of all-MiniLM-L6-v2")
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    texts = [*TEXTS, "word " * 400, "Ünïcödé ﬁ İ 🙂", "x" * 300]
    expected = sentence_transformers.SentenceTransformer(folder, device="cpu").encode(texts)
    np.testing.assert_allclose(TextEmbedder.from_pretrained(folder).embed(texts), expected, atol=1e-5, rtol=0)


def test_a_vector_depends_neither_on_the_other_texts_nor_on_their_order(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small blocks and batches give the same vectors, in the order of the texts."""
    embedder = TextEmbedder.from_pretrained(checkpoint)
    one_by_one = np.concatenate([embedder.embed([text]) for text in TEXTS])
    monkeypatch.setattr("minibert.study.embedding.TEXTS_PER_BLOCK", 4)
    monkeypatch.setattr("minibert.study.embedding.TOKENS_PER_BATCH", 50)
    np.testing.assert_allclose(embedder.embed(TEXTS), one_by_one, atol=1e-5, rtol=0)
    assert [block.cut for block in embedder.embed_blocks(TEXTS)] == [0, 1, 0, 0, 0]


def test_options_replace_the_settings_of_the_files(checkpoint: Path) -> None:
    cls = TextEmbedder.from_pretrained(checkpoint, pooling="cls", normalize=True, max_length=5)
    (block,) = cls.embed_blocks(["cat cat cat", "cat cat cat cat"])
    assert block.cut == 1
    np.testing.assert_allclose(block.vectors[0], block.vectors[1], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(block.vectors, axis=1), 1, atol=1e-6)
    with torch.no_grad():
        hidden = cls.model(torch.tensor([cls.tokenizer.encode("cat cat cat").ids])).last_hidden_state[0, 0].numpy()
    np.testing.assert_allclose(block.vectors[0], hidden / np.linalg.norm(hidden), atol=1e-5)


def test_no_texts_have_no_vectors(checkpoint: Path) -> None:
    embedder = TextEmbedder.from_pretrained(checkpoint)
    assert embedder.embed([]).shape == (0, 32)
    assert embedder.nearest("cat", []) == []


def test_normalization_can_be_turned_off(save: Save) -> None:
    folder, _ = save("mean", "Normalize")
    assert not np.allclose(np.linalg.norm(TextEmbedder.from_pretrained(folder, normalize=False).embed(TEXTS), axis=1), 1)


@pytest.mark.parametrize("length", [2, 49, 0])
def test_a_length_that_the_model_does_not_have_is_refused(checkpoint: Path, length: int) -> None:
    with pytest.raises(ValueError, match=f"the maximum length must be from 3 to 48 tokens, not {length}"):
        TextEmbedder.from_pretrained(checkpoint, max_length=length)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modules.json", "{", "must contain a list of modules"),
        ("modules.json", "[1]", "must contain a list of modules"),
        (
            "modules.json",
            '[{"type": "a.Transformer", "path": ""}, {"type": "a.LSTM", "path": "1"}]',
            "Transformer, LSTM are not",
        ),
        (
            "modules.json",
            '[{"type": "Transformer", "path": ""}, {"type": "Pooling", "path": "1_Pooling"}, {"type": "CNN", "path": "2"}]',
            "a module of type 'CNN' is not supported",
        ),
        (
            "1_Pooling/config.json",
            '{"pooling_mode_lasttoken": true}',
            "the pooling 'lasttoken' is not supported, only mean, cls",
        ),
        ("1_Pooling/config.json", "[", "is not JSON"),
        ("sentence_bert_config.json", '{"max_seq_length": "many"}', "max_seq_length must be a number"),
        ("config_sentence_transformers.json", '{"prompts": 3}', "prompts must"),
    ],
)
def test_files_that_are_not_supported_are_named(save: Save, file: str, content: str, message: str) -> None:
    folder, _ = save("mean")
    (folder / file).write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        TextEmbedder.from_pretrained(folder)
    assert file in str(error.value)


def test_older_files_with_one_switch_per_pooling_are_read(save: Save) -> None:
    folder, _ = save("mean")
    before = TextEmbedder.from_pretrained(folder, pooling="cls").embed(TEXTS)
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    np.testing.assert_allclose(TextEmbedder.from_pretrained(folder).embed(TEXTS), before, atol=1e-6)


def test_the_tokenizer_of_another_model_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    model = TextEmbedder.from_pretrained(checkpoint).model
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *WORDS, "dog"])
    embedder = TextEmbedder(model, tokenizer)
    assert embedder.embed(["cat"]).shape == (1, 32)
    with pytest.raises(ValueError, match="the tokenizer gives 'dog' the id 21, but the model has only 21 embeddings"):
        embedder.embed(["dog"])
