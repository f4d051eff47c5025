"""Inputs from bug reports of other projects. Each case names its report: the repository and the number on GitHub.

Only cases that no other test covers are here.
"""

import codecs
import copy
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import safetensors.torch
import torch
from pyarrow import parquet
from torch import Tensor, nn

from minibert import BertConfig, BertForMaskedLM, load_tokenizer
from minibert.classroom.diagnosis import diagnose_attention
from minibert.commands import main
from minibert.equations import scaled_dot_product_attention, top_p_filter
from minibert.model import load
from minibert.model.generation import most_likely, sampler
from minibert.study.verify.user_attention import probes
from minibert.text.columns import read_column
from minibert.text.file_formats import CorpusError
from minibert.text.parallel import read_parallel
from minibert.text.tokenizer import SPECIAL_TOKENS, vocabulary_size
from minibert.training.decoding import bleu

CONFIG = BertConfig(
    vocab_size=40,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=9,
    initializer_range=0.5,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
CASED, UNCASED = {"do_lower_case": False}, {"do_lower_case": True}
CAT = {"content": "cat", "single_word": True, "lstrip": False, "rstrip": True, "normalized": False, "special": False}


def write_tokenizer(folder: Path, pieces: list[str], settings: dict[str, Any]) -> None:
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in [*SPECIAL_TOKENS, *pieces]), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", **settings}))


@pytest.mark.parametrize(
    ("pieces", "settings", "text", "tokens", "words"),
    [
        pytest.param(
            ["á", "a", "##\u0301"],
            CASED,
            "\u00e1 a\u0301",
            ["á", "a", "##\u0301"],
            ["\u00e1", "a", "\u0301"],
            id="transformers#5738: composed and decomposed accents",
        ),
        pytest.param(
            ["istanbul", "ı", "i"],
            UNCASED,
            "İSTANBUL ı I",
            ["istanbul", "ı", "i"],
            ["İSTANBUL", "ı", "I"],
            id="transformers#6680: Turkish letters",
        ),
        pytest.param(
            ["con", "##cat", "a"],
            CASED | {"added_tokens_decoder": {"8": CAT}},
            "a cat  concat",
            ["a", "cat  ", "con", "##cat"],
            ["a", "cat  ", "con", "cat"],
            id="tokenizers#917: an added word that is a part of another",
        ),
        pytest.param(
            ["a", "\u2028", "\x85", "b"],
            CASED,
            "a b",
            ["a", "b"],
            ["a", "b"],
            id="BertTokenizers#27: line separators in the vocabulary",
        ),
        pytest.param(
            ["💩", "##💩"], CASED, "💩💩 💩", ["💩", "##💩", "💩"], ["💩", "💩", "💩"], id="tokenizers#404: emoji in a row"
        ),
        pytest.param(
            ["ハ", "##ハ", "バ"], UNCASED, "バハ", ["ハ", "##ハ"], ["バ", "ハ"], id="tokenizers#215: Japanese voicing marks"
        ),
        pytest.param(
            ["naive", "where", "is"],
            UNCASED,
            "naïve  where [MASK]  is",
            ["naive", "where", "[MASK]", "is"],
            ["naïve", "where", "[MASK]", "is"],
            id="transformers#3058, PaddleNLP#880: places after an accent and two spaces",
        ),
        pytest.param(
            ["un", "##want", "##ed"],
            UNCASED,
            "unwantedX unwanted",
            ["[UNK]", "un", "##want", "##ed"],
            ["unwantedX", "un", "want", "ed"],
            id="google-research/bert#763: a word with an unknown end",
        ),
    ],
)
def test_tokens_and_their_places(
    tmp_path: Path, pieces: list[str], settings: dict[str, Any], text: str, tokens: list[str], words: list[str]
) -> None:
    """The tokens are those of transformers' BertTokenizer, and the offsets of each are a part of the original text."""
    write_tokenizer(tmp_path, pieces, settings)
    encoding = load_tokenizer(tmp_path).encode(text, add_special_tokens=False)
    assert encoding.tokens == tokens
    assert [text[start:end] for start, end in encoding.offsets] == words


def test_repeated_lines_of_a_vocabulary(tmp_path: Path) -> None:
    """OpenNMT-tf#910: of equal lines the last one counts, as in transformers, and no other id moves."""
    write_tokenizer(tmp_path, ["a", "b", "a", "c"], UNCASED)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("a b c", add_special_tokens=False).ids == [7, 6, 8]
    assert vocabulary_size(tokenizer) == 9


def test_byte_order_mark_of_a_vocabulary_is_named(tmp_path: Path) -> None:
    """FixMap#296: the mark is a part of the first token, so [PAD] was said to be missing."""
    write_tokenizer(tmp_path, ["a"], UNCASED)
    file = tmp_path / "vocab.txt"
    file.write_bytes(codecs.BOM_UTF8 + file.read_bytes())
    with pytest.raises(ValueError, match=r"vocab\.txt: begins with a byte-order mark"):
        load_tokenizer(tmp_path)


def test_byte_order_marks_of_json_files_are_ignored(tmp_path: Path) -> None:
    """QzoneExporter#32, CowAgent#1743: Windows Notepad writes a mark into the JSON files that it saves."""
    model = BertForMaskedLM(CONFIG)
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "part.safetensors")
    index = {"weight_map": dict.fromkeys(safetensors.torch.load_file(tmp_path / "part.safetensors"), "part.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    write_tokenizer(tmp_path, ["A", "a"], CASED)
    for file in tmp_path.glob("*.json"):
        file.write_bytes(codecs.BOM_UTF8 + file.read_bytes())
    assert torch.equal(load(tmp_path).state_dict()["mlm.bias"], model.mlm.bias)
    assert load_tokenizer(tmp_path).encode("A", add_special_tokens=False).tokens == ["A"]


def test_safetensors_of_other_programs(tmp_path: Path) -> None:
    """mlx#743: a file without metadata, or with another format, loads. ComfyUI#15602: bytes after the tensors are an error."""
    model = BertForMaskedLM(CONFIG)
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    for metadata in (None, {"format": "mlx"}):
        safetensors.torch.save_file(tensors, file, metadata)
        assert torch.equal(load(tmp_path).state_dict()["mlm.bias"], model.mlm.bias)
    file.write_bytes(file.read_bytes() + bytes(16))
    with pytest.raises(ValueError, match=r"is not a complete safetensors file \(.*file not fully covered\)"):
        load(tmp_path)


def test_empty_tensors_of_sharded_training_are_named(tmp_path: Path) -> None:
    """transformers#20082: the weights of DeepSpeed's stage 3, saved by one process, have the shape (0,)."""
    model = BertForMaskedLM(CONFIG)
    model.config.save_json(tmp_path / "config.json", "BertForMaskedLM")
    tensors = model.export_weights(model.state_dict(), model.config)
    torch.save({name: torch.empty(0) for name in tensors}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"embeddings\.word_embeddings\.weight is empty: its values are in the files of other"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("bert_config.json", "bert_model.ckpt.index"),
            r"no config\.json\. bert_model\.ckpt\.index is of another library: load it there and save it for PyTorch",
        ),
        (
            ("bert_config.json", "pytorch_model.bin"),
            r"no config\.json\. If its weights are PyTorch's, copy bert_config\.json to config\.json",
        ),
    ],
    ids=["google-research/bert#955", "DeepPavlov#1390"],
)
def test_folders_with_googles_file_names(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    """The released folders have no config.json. The message says what to do, also for the file with the weights."""
    for name in names:
        (tmp_path / name).write_bytes(b"\x00\x01\x02\xff")
    with pytest.raises(FileNotFoundError, match=message):
        load(tmp_path)
    if "ckpt" in names[1]:
        with pytest.raises(FileNotFoundError, match="is of another library"):
            load(tmp_path / names[1])


@pytest.mark.parametrize("values", [["a", None, "b"], [None, None]])
@pytest.mark.parametrize("kind", [pyarrow.string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())], ids=str)
def test_types_of_text_in_parquet(tmp_path: Path, kind: pyarrow.DataType, values: list[str | None]) -> None:
    """hyparquet#72: a column of categories is text. datasets#7059: null is an empty text, and moves no other row."""
    parquet.write_table(pyarrow.table({"text": pyarrow.array(values, kind)}), tmp_path / "a.parquet")
    assert list(read_column(tmp_path / "a.parquet", "text")) == [value or "" for value in values]


def test_two_columns_of_one_name_in_parquet(tmp_path: Path) -> None:
    """datafusion#24381, polars#27393: a join leaves two columns of one name; the last one was read without a word."""
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match=r"a\.parquet: has 2 columns 'text'; rename them"):
        list(read_column(tmp_path / "a.parquet", "text"))


def test_lines_of_jsonl(tmp_path: Path) -> None:
    """arrow#45394: one line without a line end is a row. polars#27647: a comma at the end of a line is not JSON."""
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "x"}')
    assert list(read_column(file, "text")) == ["x"]
    file.write_text('{"text": "x"}\n{"text": "y"},\n')
    with pytest.raises(CorpusError, match=r"a\.jsonl, line 2: is not JSON \(Extra data in column 14\)"):
        list(read_column(file, "text"))


def test_lines_of_parallel_text(tmp_path: Path) -> None:
    """nmt-en-vi#6: a line that is empty on one side removes the pair. transformers#4010: U+2028 and U+0085 end no line."""
    source, target = tmp_path / "en", tmp_path / "vi"
    source.write_text("a\n\nb\u2028b\nc\n", encoding="utf-8")
    target.write_text("1\n2\n3\x853\n\n", encoding="utf-8")
    text = read_parallel((source, target))
    assert [*zip(text.sources, text.targets, strict=True)] == [("a", "1"), ("b\u2028b", "3\x853")]
    assert text.skipped == 2


def test_text_in_words_that_are_too_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """bert_tokenization_for_java#1, transformers#17551: a word of more than 100 characters is [UNK], here all of a text.

    Sequences of DNA are such words. All documents had the same ids and were said to be copies of one, or nothing was learned.
    """
    documents = ["ACGT" * 30 + "CA" * number for number in range(6)]
    (tmp_path / "dna.txt").write_text("\n\n".join(f"{document}\n{document[::-1]}" for document in documents))
    (tmp_path / "names.txt").write_text("".join(f"gene {number}\n" for number in range(6)))
    (tmp_path / "dna.lines").write_text("".join(f"{document}\n" for document in documents))
    out = ["--out", str(tmp_path / "run"), "--steps", "1", "--vocab-size", "60"]
    pairs = ["train-translator", "--text", str(tmp_path / "names.txt"), str(tmp_path / "dna.lines"), *out]
    for arguments in (["pretrain", "--text", str(tmp_path / "dna.txt"), *out], pairs):
        assert main(arguments) == 2
        assert "all of the characters become [UNK]; most are in words of more than 100 characters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("outputs", "targets", "score"),
    [
        pytest.param(["", "B C D E"], ["A B C D", "B C D E"], 100 * math.exp(-1), id="sacrebleu#239: an empty output"),
        pytest.param(["a b c d", "x"], ["a b c d", ""], 100 * (4 / 5) ** 0.25, id="sacrebleu#161: an empty reference"),
        pytest.param(["Zhongjian Plaza"], ["Zhongjian Plaza"], 0.0, id="sacrebleu#278: fewer than four words"),
    ],
)
def test_bleu(outputs: list[str], targets: list[str], score: float) -> None:
    """The definition: e^(1 - r/c) times the geometric mean of four precisions, which are over the whole text."""
    assert bleu(outputs, targets) == pytest.approx(score)


def test_nan_in_masked_keys() -> None:
    """pytorch#101967: scores that are NaN, of keys that no query may attend to, change no output."""
    query, key, value = torch.randn(3, 1, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    keep = torch.tensor([[[True, False], [True, False]]])
    damaged = key.clone()
    damaged[0, 1, 0] = math.nan
    expected = scaled_dot_product_attention(query, key, value, keep)
    torch.testing.assert_close(scaled_dot_product_attention(query, damaged, value, keep), expected, rtol=0, atol=0)


def test_whole_networks_can_be_copied_and_pickled() -> None:
    """pytorch#115122 (deepcopy): the outputs are equal, and the copy's word embeddings are those of its output layer."""
    model, ids = BertForMaskedLM(CONFIG).eval(), torch.tensor([[5, 6, 7]])
    expected = model(ids).logits
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(ids).logits, expected)
        nn.init.zeros_(other.bert.embeddings.words.weight)
        assert torch.equal(other(ids).logits, other.mlm.bias.expand_as(expected))
    assert torch.equal(model(ids).logits, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_settings_that_leave_one_token(dtype: torch.dtype) -> None:
    """mlx-lm#1912, vllm#1623: the smallest top_p and temperatures give the most likely token, in any type."""
    logits = torch.randn(3, 4096, generator=torch.Generator().manual_seed(0)).to(dtype)
    for settings in ({"top_p": 1e-8}, {"top_p": 1e-4}, {"temperature": 1e-8}, {"temperature": 1e-4, "top_p": 1e-4}):
        assert torch.equal(sampler(seed=0, **settings)(logits), most_likely(logits))


def test_a_sum_equal_to_p_is_enough() -> None:
    """transformers#18976: 1/2 + 1/4 reach p = 3/4, so there is no third token."""
    kept = top_p_filter(torch.tensor([0.25, 0.125, 0.125, 0.5], dtype=torch.float64).log(), 0.75)
    assert kept.isfinite().tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("masked", "whole_width", "mistake"),
    [
        pytest.param(lambda scores, keep: scores + keep, False, "mask added to the scores", id="pytorch#21518"),
        pytest.param(
            lambda scores, keep: scores.masked_fill(~keep, -1e20),
            True,
            "scores divided by the root of the whole width",
            id="aladdinpersson/Machine-Learning-Collection#159",
        ),
        pytest.param(
            lambda scores, keep: scores.masked_fill(keep == 0, -1e-12),
            False,
            "mask multiplied with the scores",
            id="hyunwoongko/transformer#10",
        ),
        pytest.param(
            lambda scores, keep: scores.masked_fill(keep, -math.inf),
            False,
            "mask inverted",
            id="TransformerTranslation#2",
        ),
    ],
)
def test_mistakes_in_attention_are_named(masked: Callable[[Tensor, Tensor], Tensor], whole_width: bool, mistake: str) -> None:
    """Attention as written in tutorials: a mask of zeros and ones that is added, and the width of the model as the scale."""

    def attention(query: Tensor, key: Tensor, value: Tensor, keep: Tensor) -> Tensor:
        width = query.shape[-1] * (query.shape[-3] if whole_width else 1)
        return torch.softmax(masked(query @ key.mT / width**0.5, keep), -1) @ value

    diagnosis = diagnose_attention({name: attention(*inputs) for name, inputs in probes(torch.float32).items()})
    assert diagnosis is not None
    assert [found.name for found in diagnosis.mistakes] == [mistake]
