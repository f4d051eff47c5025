"""Files in other encodings: the message names the encoding, or several with what the text would be in each, or none."""

import shutil
import subprocess
from pathlib import Path

import pytest

from minibert.text.encodings import describe_binary, describe_encoding
from minibert.text.file_formats import CorpusError, numbered_lines

GERMAN, FRENCH = "Er kaufte Äpfel für 5 € – „sofort“.\n", "Il a mangé à Noël près du château.\n"
RUSSIAN, GREEK = "Это книга. Мама мыла раму, а потом уехала в Москву.\n", "Πού πας; Πάω σπίτι. Ωραία!\n"
JAPANESE, CHINESE = "これは本です。日本語の文章を書いてみます。\n", "机器学习很有趣。我们用Python写程序。\n"
TEXTS = {
    "cp1252": ["The “quick” brown fox—jumps. It’s fine.\n", GERMAN, FRENCH, "naïve\n"],
    "latin1": [FRENCH],
    "cp1250": ["Łódź jest dużym miastem. Zażółć gęślą jaźń.\n", "Příliš žluťoučký kůň úpěl ďábelské ódy.\n"],
    "cp1254": ["İstanbul büyük bir şehirdir. Şimdi ne yapıyorsun?\n"],
    "koi8-r": [RUSSIAN],
    "cp866": [RUSSIAN],
    "macintosh": [GERMAN, FRENCH],
    "cp1251": [RUSSIAN],
    "cp1253": [GREEK],
    "cp1255": ["זה ספר. מה שלומך? טוב, תודה.\n"],
    "cp1256": ["هذا كتاب. هل أنت بخير؟ نعم، أنا بخير!\n"],
    "cp874": ["นี่คือหนังสือ ฉันชอบอ่านหนังสือ\n"],
    "cp932": [JAPANESE],
    "euc-jp": [JAPANESE],
    "gb18030": [CHINESE],
    "big5": ["機器學習很有趣。我們用程式寫程式。\n"],
    "cp949": ["한국어 문장을 써 봅니다. 오늘은 날씨가 좋네요.\n"],
    "utf-16le": [GERMAN, RUSSIAN, CHINESE],
    "utf-16be": [GERMAN, RUSSIAN, CHINESE],
    "utf-32le": [GERMAN, CHINESE],
    "utf-32be": [GERMAN, CHINESE],
    "utf-16": [GERMAN, CHINESE],
    "utf-32": [GERMAN, CHINESE],
}


@pytest.mark.parametrize(("encoding", "text"), [(encoding, text) for encoding, texts in TEXTS.items() for text in texts])
def test_the_right_encoding_is_named(tmp_path: Path, encoding: str, text: str) -> None:
    """If the message names one encoding, it is right, and its command converts the file. Otherwise the right one is listed."""
    text = "An English line.\n" * 3 + text
    (tmp_path / "a file.txt").write_bytes(text.encode(encoding))
    with pytest.raises(CorpusError, match="is not UTF-8") as error:
        list(numbered_lines(tmp_path / "a file.txt"))
    message = str(error.value)
    if ", or " in message:
        assert f"as {'cp1252' if encoding == 'latin1' else encoding}" in message
        assert "for example" in message
        return
    command = message.partition("convert it: ")[2]
    assert command.startswith("iconv -f ")
    if shutil.which("iconv"):
        subprocess.run(command, shell=True, check=True, cwd=tmp_path)
        assert (tmp_path / "a file.utf8.txt").read_text(encoding="utf-8-sig") == text


@pytest.mark.parametrize("encoding", ["cp437", "cp850"])
def test_an_unknown_encoding_is_not_named(encoding: str) -> None:
    description = describe_encoding("naïve café\n".encode(encoding), "a.txt")
    assert "iconv -f ENCODING" in description or ", or " in description


def test_damaged_utf_8_is_not_another_encoding() -> None:
    sample = ("Это книга. " * 30).encode()[:-2] + b"\n"
    assert describe_encoding(sample, "a.txt").endswith("iconv -c -f utf-8 -t utf-8 a.txt > a.utf8.txt")


def test_compressed_files_are_converted_in_a_pipe() -> None:
    assert describe_encoding("“Yes.”".encode("cp1252"), "a b.txt.gz").endswith(
        "gunzip -c 'a b.txt.gz' | iconv -f cp1252 -t utf-8 > 'a b.utf8.txt'"
    )


def test_text_with_a_few_control_characters_is_text() -> None:
    for head in (
        b"",
        b"a\0b.",
        "Привет,\0мир".encode(),
        "中文\0".encode(),
        b"A \x00 byte.\n",
        b"page one\x0cpage two",
        b"\x1b[1mbold\x1b[0m",
        "Привет".encode(),
        b"n\xefve",
    ):
        assert describe_binary(head, "a.txt") is None


def test_a_line_of_a_single_byte_is_described(tmp_path: Path) -> None:
    """In cp866, byte 0xff is a blank, so that the line has no words."""
    for byte in range(128, 256):
        (tmp_path / "a.txt").write_bytes(bytes([byte]) + b"\n")
        with pytest.raises(CorpusError, match="line 1: is not UTF-8"):
            list(numbered_lines(tmp_path / "a.txt"))


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be"])
def test_latin_letters_decide_between_two_plausible_orders_of_bytes(encoding: str) -> None:
    """Without line ends, the letters with exchanged bytes are Chinese characters."""
    head = "An English line".encode(encoding)
    assert str(describe_binary(head, "a.txt")).startswith(f"is not UTF-8 but {encoding.upper()}; ")


@pytest.mark.parametrize(("common", "is_listed"), [("ï", False), ("ïn", False), ("ïna", True)])
def test_a_reading_is_listed_if_it_has_more_than_half_of_the_frequent_characters_of_the_best(
    monkeypatch: pytest.MonkeyPatch, common: str, is_listed: bool
) -> None:
    monkeypatch.setattr("minibert.text.encodings.COMMON", frozenset(common))
    assert ("'naďve' as cp1250" in describe_encoding("naïve".encode("cp1252"), "a.txt")) == is_listed


@pytest.mark.parametrize(("text", "is_listed"), [("ab ж", True), ("abc ж", False)])
def test_at_least_a_third_of_the_letters_are_of_the_script_of_an_encoding(text: str, is_listed: bool) -> None:
    assert ("'ж' as cp1251" in describe_encoding(text.encode("cp1251"), "a.txt")) == is_listed


@pytest.mark.parametrize(("text", "encoding", "example"), [("naïve", "cp1252", "cp1252"), ("Łódź jest", "cp1250", "ENCODING")])
def test_the_example_of_a_conversion_is_for_cp1252_if_that_is_likely(text: str, encoding: str, example: str) -> None:
    assert f"for example: iconv -f {example} -t utf-8" in describe_encoding(text.encode(encoding), "a.txt")


def test_a_long_word_is_shown_by_its_first_twenty_characters() -> None:
    assert "reads 'ошибкаошибкаошибкаош' as" in describe_encoding(("ошибка" * 5).encode("cp1251"), "a.txt")


def test_the_encoding_is_estimated_from_the_text_around_the_first_byte(tmp_path: Path) -> None:
    """The line may be long, with the byte in the middle or at the end."""
    for after in ("", " and more" * 1000):
        (tmp_path / "a.txt").write_bytes(("one line, " * 1000 + "fácil" + after).encode("cp1252"))
        with pytest.raises(CorpusError, match=r"byte 0xe1 in column 10002\)\. It reads 'fácil' as cp1252"):
            list(numbered_lines(tmp_path / "a.txt"))


def test_a_file_is_binary_by_its_first_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters after them are text."""
    monkeypatch.setattr("minibert.text.file_formats.HEAD_BYTES", 10)
    (tmp_path / "a.txt").write_bytes(b"some text\n" + bytes(50))
    assert len([*numbered_lines(tmp_path / "a.txt")]) == 2
    (tmp_path / "a.txt").write_bytes(b"some \0\0\0\0\n")
    with pytest.raises(CorpusError, match="a binary file"):
        list(numbered_lines(tmp_path / "a.txt"))
