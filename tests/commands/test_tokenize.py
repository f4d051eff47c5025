"""`minibert tokenize`: pieces, ids and explanations."""

import json
import unicodedata
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from minibert.commands import main
from minibert.text.byte_alphabet import to_byte_letters
from minibert.text.tokenizer import SPECIAL_TOKENS, build_byte_pair_tokenizer, build_tokenizer, save_tokenizer
from tests.commands.test_cli import imported_by

PIECES = [*SPECIAL_TOKENS, "un", "##aff", "##able", "de", "##ja", "-", "学", "习", "!", "a", "b"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_tokenizer(build_tokenizer(PIECES), tmp_path)
    return tmp_path


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "own.txt"
    path.write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return path


def shown_for(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["tokenize", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_pieces_and_ids_in_two_lines(folder: Path, vocabulary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder and a bare vocabulary give the same pieces, with [CLS] and [SEP] around them."""
    expected = "[CLS] un ##aff ##able [MASK] 学 习 ! [UNK] [SEP]\n2 5 6 7 4 11 12 13 1 3\n"
    assert shown_for(capsys, folder, "Unaffable [MASK]学习! x") == expected
    assert shown_for(capsys, vocabulary, "Unaffable [MASK]学习! x") == expected


@pytest.mark.parametrize("removed", [[], ["tokenizer.json"], ["tokenizer.json", "tokenizer_config.json"]])
def test_a_folder_and_its_vocabulary_agree(folder: Path, capsys: pytest.CaptureFixture[str], removed: list[str]) -> None:
    """Both use the settings in the folder, such as cased text and added tokens."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, "Ab", "ab", "##é", "##e", "", "x"], lowercase=False)
    tokenizer.add_tokens(["new"])
    save_tokenizer(tokenizer, folder)
    for name in removed:
        (folder / name).unlink()
    of_folder = shown_for(capsys, folder, "Abé abe new x", "--explain")
    assert shown_for(capsys, folder / "vocab.txt", "Abé abe new x", "--explain") == of_folder
    assert of_folder.endswith("2 6 8 6 8 1 10 3\n" if len(removed) == 2 else "2 5 7 6 8 11 10 3\n")


def test_a_vocabulary_that_differs_from_tokenizer_json_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "Ab", "##é"]), encoding="utf-8")
    assert main(["tokenize", str(folder / "vocab.txt"), "a"]) == 2
    assert "vocab.txt: differs from the vocabulary in tokenizer.json next to it" in capsys.readouterr().err


def test_a_vocabulary_with_another_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A vocabulary with a capital letter is cased."""
    (tmp_path / "own.txt").write_text("\n".join([*SPECIAL_TOKENS, "Ab", "##é"]), encoding="utf-8")
    assert shown_for(capsys, tmp_path / "own.txt", "Abé abé") == "[CLS] Ab ##é [UNK] [SEP]\n2 5 6 1 3\n"


def test_stored_truncation_and_padding_are_ignored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tokenizer file may contain truncation and padding. The command prints all pieces and no padding."""
    tokenizer = build_tokenizer(PIECES)
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=20)
    save_tokenizer(tokenizer, folder)
    assert shown_for(capsys, folder, "a b a b").splitlines()[0] == "[CLS] a b a b [SEP]"
    assert json.loads(shown_for(capsys, folder, "a b a b", "--explain", "--json"))["agrees"]


def test_explanation_as_text(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The output has every stage and, for each word, the last pieces tried and the piece that matched."""
    monkeypatch.setenv("COLUMNS", "160")
    shown = shown_for(capsys, folder, "Unaffable déjà-学 [MASK] unx " + "a" * 101, "--explain")
    lines = shown.splitlines()
    assert lines[0].startswith("text        'Unaffable déjà-学 [MASK]")
    assert lines[1].startswith("normalized  'unaffable deja- 学  [MASK]")
    assert lines[2].startswith("words       unaffable | deja | - | 学 | [MASK] | unx | aaa")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines[3:-2]]
    assert ["unaffable", "unaffable, …, una: no; un: yes", "un ##aff ##able", "5 6 7"] in rows
    assert ["", "##affable, …, ##affa: no; ##aff: yes", "", ""] in rows
    assert ["学", "学: yes", "学", "11"] in rows
    assert ["[MASK]", "added token: found before the text is split into words", "[MASK]", "4"] in rows
    assert ["unx", "unx: no; un: yes", "[UNK]", "1"] in rows
    assert ["", "##x: no; the whole word becomes [UNK]", "", ""] in rows
    assert any(row[1:] == ["not searched: longer than 100 characters", "[UNK]", "1"] for row in rows)
    assert lines[-2] == "[CLS] un ##aff ##able de ##ja - 学 [MASK] [UNK] [UNK] [SEP]"
    assert lines[-1] == "2 5 6 7 8 9 10 11 4 1 1 3"
    assert "newer" not in shown


def test_explanation_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(shown_for(capsys, folder, "Unb [MASK]", "--explain", "--json"))
    assert found["pieces"] == ["[CLS]", "[UNK]", "[MASK]", "[SEP]"]
    assert found["ids"] == [2, 1, 4, 3]
    assert found["stages"] == {
        "text": "Unb [MASK]",
        "normalized": "unb [MASK]",
        "words": ["unb", "[MASK]"],
        "pieces": [["[UNK]"], ["[MASK]"]],
        "ids": [1, 4],
        "added": [False, True],
    }
    assert found["matches"] == [[{"candidates": ["unb", "un"], "piece": "un"}, {"candidates": ["##b"], "piece": None}], []]
    assert found["agrees"] is True
    assert json.loads(shown_for(capsys, folder, "a" * 101, "--explain", "--json"))["matches"] == [[]]
    assert json.loads(shown_for(capsys, folder, "a", "--json")) == {"pieces": ["[CLS]", "a", "[SEP]"], "ids": [2, 14, 3]}


def test_a_difference_from_tokenizers_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """U+2E43 is punctuation since Unicode 9. The tables of `tokenizers` are older."""
    shown = shown_for(capsys, folder, "a\u2e43b", "--explain")
    assert "newer than the Unicode tables" in shown
    assert shown.endswith("[CLS] [UNK] [SEP]\n2 1 3\n")
    assert json.loads(shown_for(capsys, folder, "a\u2e43b", "--explain", "--json"))["agrees"] is False


def test_added_tokens_and_settings_are_explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Special and other added tokens, a setting that is not the default, and another name of [UNK]."""
    tokenizer = build_tokenizer(PIECES)
    tokenizer.model.unk_token = "un"
    tokenizer.add_special_tokens(["[E1]"])
    tokenizer.add_tokens(["Newword"])
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    save_tokenizer(tokenizer, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"unk_token": "un"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    found = json.loads(shown_for(capsys, folder, "á[E1]b NEWWORDz", "--explain", "--json"))
    assert found["stages"]["pieces"] == [["un"], ["[E1]"], ["b"], ["Newword"], ["un"]]
    assert found["stages"]["added"] == [False, True, False, True, False]
    assert found["agrees"]
    shown = shown_for(capsys, folder, "NEWWORDz", "--explain")
    assert "added token: found" in shown
    assert "the whole word becomes un" in " ".join(shown.split())


@pytest.fixture
def roberta(tmp_path: Path) -> Path:
    save_tokenizer(build_byte_pair_tokenizer([("Ġ", "h"), ("u", "g"), ("Ġh", "ug"), ("Ã", "©")]), tmp_path)
    return tmp_path


def test_byte_pairs_as_text(roberta: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The output has the bytes of each word as numbers and letters, and every merge with its rank."""
    monkeypatch.setenv("COLUMNS", "600")
    shown = shown_for(capsys, roberta, "hug hugs é\x1b <mask> " + "a" * 101, "--explain")
    lines = shown.splitlines()
    assert lines[0].startswith("text        'hug hugs é\\x1b <mask> aaa")
    assert lines[1].startswith("words       'hug' | ' hugs' | ' é' | '\\x1b' | ' <mask>' | ' aaa")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines[2:-2]]
    start = rows.index(["' hugs'", "20 68 75 67 73", "Ġ h u g s", "Ġhug s", "263 87"])
    assert [row[2] for row in rows[start + 1 : start + 4]] == ["0: Ġh u g s", "1: Ġh ug s", "2: Ġhug s"]
    assert ["' é'", "20 c3 a9", "Ġ Ã ©", "Ġ Ã©", "225 264"] in rows
    assert ["'\\x1b'", "1b", "ě", "ě", "220"] in rows
    assert ["' <mask>'", "", "added token: found before the text is split into words", "<mask>", "4"] in rows
    assert any("not shown: longer than 100 bytes" in row for row in rows)
    assert lines[-1].startswith("0 76 262 263 87 225 264 220 4 225 69 69")
    assert "newer" not in shown


def test_byte_pairs_as_json(roberta: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(shown_for(capsys, roberta, "hug hug", "--explain", "--json"))
    assert found["stages"] == {
        "text": "hug hug",
        "words": ["hug", " hug"],
        "letters": ["hug", "Ġhug"],
        "pieces": [["h", "ug"], ["Ġhug"]],
        "ids": [76, 262, 263],
        "added": [False, False],
    }
    assert found["merges"] == [
        [{"rank": 1, "pair": ["u", "g"], "pieces": ["h", "ug"]}],
        [
            {"rank": 0, "pair": ["Ġ", "h"], "pieces": ["Ġh", "u", "g"]},
            {"rank": 1, "pair": ["u", "g"], "pieces": ["Ġh", "ug"]},
            {"rank": 2, "pair": ["Ġh", "ug"], "pieces": ["Ġhug"]},
        ],
    ]
    assert found["agrees"] is True
    assert json.loads(shown_for(capsys, roberta, "a" * 101, "--explain", "--json"))["merges"] == [[]]


def test_the_settings_of_byte_pairs_are_explained(roberta: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A space before the text, and special tokens that are text."""
    config = json.loads((roberta / "tokenizer_config.json").read_text())
    config |= {"add_prefix_space": True, "split_special_tokens": True}
    (roberta / "tokenizer_config.json").write_text(json.dumps(config))
    found = json.loads(shown_for(capsys, roberta, "hug<mask>", "--explain", "--json"))
    assert found["stages"]["words"] == [" hug", "<", "mask", ">"]
    assert found["agrees"]


def test_a_letter_that_is_newer_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """U+1C89 is a letter since Unicode 16. It is in one word with a letter, or not, and so the merge fits or not."""
    save_tokenizer(build_byte_pair_tokenizer([(to_byte_letters("\u1c89")[-1], "a")]), tmp_path)
    agrees = json.loads(shown_for(capsys, tmp_path, "\u1c89a", "--explain", "--json"))["agrees"]
    assert agrees == (unicodedata.category("\u1c89") == "Lu")


def other(kind: str) -> Tokenizer:
    if kind == "model":
        return Tokenizer(models.BPE({"a": 0}, [], unk_token="a"))
    tokenizer = build_tokenizer(PIECES)
    if kind == "normalizer":
        tokenizer.normalizer = normalizers.NFC()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("model", 'byte-level BPE has pre_tokenizer.type "ByteLevel"; this tokenizer has null'),
        ("normalizer", 'BERT\'s WordPiece has normalizer.type "BertNormalizer"; this tokenizer has "NFC"'),
        ("pre_tokenizer", 'BERT\'s WordPiece has pre_tokenizer.type "BertPreTokenizer"; this tokenizer has "Whitespace"'),
    ],
)
def test_other_tokenizers_are_printed_but_not_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, message: str
) -> None:
    (tmp_path / "tokenizer.json").write_text(other(kind).to_str())
    assert "a" in shown_for(capsys, tmp_path, "a")
    assert main(["tokenize", str(tmp_path), "a", "--explain"]) == 2
    shown = capsys.readouterr().err
    prefix = f"minibert: {tmp_path}: --explain supports BERT's WordPiece and byte-level BPE; "
    assert shown == f"{prefix}{message}. Leave out --explain\n"


@pytest.mark.parametrize(
    ("name", "content", "text", "message"),
    [
        ("nowhere", None, "a", "nowhere: no such folder or file"),
        ("nowhere.txt", None, "a", "nowhere.txt: file not found"),
        (".", None, "a", "has no tokenizer"),
        ("tokenizer.json", "{}", "a", "tokenizer.json: is not a tokenizer"),
        ("vocab.txt", "a\nb", "a", "vocab.txt: has no [PAD]"),
        ("own.txt", "a\nb", "a", "own.txt: not a WordPiece vocabulary (the vocabulary has no [PAD], [UNK]"),
        ("vocab.txt", "\n".join(PIECES), "a\udcff", "the text is not UTF-8 (at character 2: 'a\\udcff'); give it in UTF-8"),
        ("tokenizer.json", Tokenizer(models.WordPiece({"a": 0})).to_str(), "b", "cannot encode a text (WordPiece error: "),
    ],
)
def test_a_usage_error_is_one_line_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str | None, text: str, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert main(["tokenize", str(tmp_path / name), text]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.startswith("minibert: ")
    assert shown.count("\n") == 1


def test_it_needs_no_torch(vocabulary: Path) -> None:
    """The command starts fast because it does not import torch, numpy or transformers."""
    text, modules = imported_by("tokenize", str(vocabulary), "a b", "--explain")
    assert "2 14 15 3" in text
    assert modules.isdisjoint({"torch", "numpy", "transformers"})
