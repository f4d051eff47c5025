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
