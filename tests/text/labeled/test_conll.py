"""CoNLL files, whole and damaged: the rows are right, or there is an error with the file and the line."""

import gzip
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minibert.text.file_formats import CorpusError
from minibert.text.labeled.conll import ConllFile, has_conll_columns
from minibert.text.labeled.tag_schemes import SCHEMES, entities_of, parse_tag, write_tags
from minibert.text.labeled.tagged import MAX_WORDS, MIN_SENTENCES

GOOD = "EU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\nBlackburn NNP I-PER\n"
SENTENCES = [(("EU", "rejects"), ("B-ORG", "O")), (("Peter", "Blackburn"), ("B-PER", "I-PER"))]


def read(folder: Path, content: str | bytes, name: str = "data.conll", **options: object) -> ConllFile:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return ConllFile(path, **options)


def sentences(file: ConllFile) -> list[tuple[tuple[str, ...], tuple[str, ...] | None]]:
    return [(row.words, row.tags) for row in file.read.rows]


def test_a_good_file_has_rows_with_lines_and_no_repairs(tmp_path: Path) -> None:
    file = read(tmp_path, GOOD)
    assert sentences(file) == SENTENCES
    assert [row.line for row in file.read.rows] == [1, 4]
    assert {row.file for row in file.read.rows} == {str(tmp_path / "data.conll")}
    assert [str(finding) for finding in file.log.findings] == [
        f"{tmp_path / 'data.conll'}: only one entity has the type ORG, PER"
    ]
    assert file.repaired().decode() == GOOD
    assert file.note == (
        f"{tmp_path / 'data.conll'}: 2 sentences, 4 words; words in column 1 of 3, tags in column 3. "
        "Tag scheme BIO: 0 of 3 tags of entities are invalid in it (IOB1: 2, IOBES: 2)"
    )


REPAIRED = {
    "CR LF": (GOOD.replace("\n", "\r\n"), 1, "ends with CR LF"),
    "one CR LF": (GOOD.replace("O\n", "O\r\n"), 2, "ends with CR LF"),
    "CR": (GOOD.replace("\n", "\r"), 1, "ends with CR, "),
    "CR CR LF": (GOOD.replace("\n", "\r\r\n"), 1, "ends with CR CR LF"),
    "byte-order mark": ("\ufeff" + GOOD, 1, "begins with a byte-order mark"),
    "byte-order mark before a blank line": ("\ufeff\n" + GOOD, 1, "begins with a byte-order mark"),
    "byte-order mark of a joined file": (GOOD.replace("Peter", "\ufeffPeter"), 4, "begins with a byte-order mark"),
    "byte-order mark before a boundary": ("\ufeff-DOCSTART- X O\n\n" + GOOD, 1, "begins with a byte-order mark"),
    "byte-order mark read as cp1252": ("\u00ef\u00bb\u00bf" + GOOD, 1, "begins with a byte-order mark"),
    "boundary after a misread mark": ("\u00ef\u00bb\u00bf-DOCSTART- X O\n\n" + GOOD, 1, "begins with a byte-order mark"),
    "tag with a zero-width space": (GOOD.replace("O\n", "O\u200b\n"), 2, "is read as 'O'"),
    "byte-order mark and CR LF": ("\ufeff" + GOOD.replace("\n", "\r\n"), 1, "ends with CR LF"),
    "no final newline": (GOOD.removesuffix("\n"), 5, "is the last line and has no end"),
    "blank line of spaces": (GOOD.replace("\n\n", "\n  \n"), 3, "contains only blanks"),
    "blank line of tabs": (GOOD.replace("\n\n", "\n\t\t\n"), 3, "contains only blanks"),
    "blank line of U+3000": (GOOD.replace("\n\n", "\n\u3000\n"), 3, "white space other than blanks"),
    "blank line of a form feed": (GOOD.replace("\n\n", "\n\f\n"), 3, "white space other than blanks"),
    "header": ("word pos tag\n" + GOOD, 1, "is a header"),
    "header in capitals, and a blank line": ("Token POS NER\n\n" + GOOD, 1, "is a header"),
    "second header of a joined file": ("word pos tag\n" + GOOD.replace("\n\n", "\n\nword pos tag\n"), 1, "(also in line 5)"),
    "lower-case o": (GOOD.replace("O\n", "o\n"), 2, "the tag 'o' is read as 'O'"),
    "zero": (GOOD.replace("O\n", "0\n"), 2, "the tag '0' is read as 'O'"),
    "underscore": (GOOD.replace("O\n", "_\n"), 2, "the tag '_' is read as 'O'"),
    "Cyrillic O": (GOOD.replace("O\n", "\u041e\n"), 2, "is read as 'O'"),
    "lower-case prefixes": (GOOD.replace("B-", "b-").replace("I-", "i-"), 1, "the tag 'b-ORG' is read as 'B-ORG'"),
    "underscores in tags": (GOOD.replace("-", "_"), 5, "the tag 'I_PER' is read as 'I-PER'"),
    "types before prefixes": (GOOD.replace("B-ORG", "ORG-B").replace("B-PER", "PER-B").replace("I-PER", "PER-I"), 1, "'ORG-B'"),
    "dash of a text editor": (GOOD.replace("B-ORG", "B\u2013ORG"), 1, "is read as 'B-ORG'"),
}


@pytest.mark.parametrize(("content", "line", "message"), REPAIRED.values(), ids=REPAIRED)
def test_repaired_files_have_the_rows_of_a_good_one(tmp_path: Path, content, line, message) -> None:
    """The fault is a finding with its line. The repaired copy has the same rows and nothing that could be repaired."""
    file = read(tmp_path, content)
    assert sentences(file) == SENTENCES
    assert [finding.line for finding in file.log.findings if finding.is_repaired and message in finding.message] == [line]
    copy = read(tmp_path, file.repaired(), "copy.conll")
    assert sentences(copy) == SENTENCES
    assert not [finding for finding in copy.log.findings if finding.is_repaired or finding.is_error]
    assert not content.isascii() or copy.repaired().decode().strip() == GOOD.strip()


SAME = {
    "boundaries": "-DOCSTART- -X- O\n\n" + GOOD.replace("\n\n", "\n\n-DOCSTART- -X- O\n\n"),
    "boundary with another number of columns": "-DOCSTART-\n" + GOOD,
    "boundary without blank lines": GOOD.replace("\n\n", "\n-DOCSTART- -X- O\n"),
    "boundary in lower case": "-docstart-\tO\n" + GOOD,
    "many blank lines": "\n\n\n" + GOOD.replace("\n\n", "\n\n\n\n") + "\n\n",
    "tabs": GOOD.replace(" ", "\t"),
    "runs of spaces": GOOD.replace(" ", "   "),
    "runs of tabs": GOOD.replace(" ", "\t\t\t").replace("VBZ\t\t\t", "VBZ\t"),
    "tabs and spaces": GOOD.replace("NNP ", "NNP \t "),
    "one tab among spaces": GOOD.replace("EU NNP B", "EU NNP\tB"),
    "spaces at the ends of lines": GOOD.replace("\n", "  \n").replace("  \n  \n", "  \n\n"),
    "spaces at the starts of lines": "  " + GOOD.replace("\nB", "\n  B"),
    "boundary in quotation marks": '"-DOCSTART-" O\n\n' + GOOD + "\nDOCEND\n",
    "boundaries at both ends of a document": "-DOCSTART- O\n\n" + GOOD + "\n-DOCEND- O\n",
    "a space and a tab at the ends of lines": GOOD.replace("O\n", "O \t\n"),
    "tabs at the ends of lines": GOOD.replace(" ", "\t").replace("O\n", "O\t\n"),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME)
def test_arrangements_that_mean_the_same(tmp_path: Path, content) -> None:
    file = read(tmp_path, content)
    assert sentences(file) == SENTENCES
    assert not [finding for finding in file.log.findings if finding.is_error or finding.line is not None]


def test_a_header_in_another_order_is_kept_in_a_repaired_copy(tmp_path: Path) -> None:
    """It says where the tags are. A second one is left out."""
    columns = re.sub(r"(?m)^(\S+) (\S+) (\S+)$", r"\3 \1 \2", GOOD)
    file = read(tmp_path, "tag word pos\r\n" + columns + "\ntag word pos\n")
    kept, left_out = [finding for finding in file.log.findings if "is a header" in finding.message]
    assert (kept.line, kept.is_repaired, left_out.line, left_out.is_repaired) == (1, False, 8, True)
    copy = read(tmp_path, file.repaired(), "copy.conll")
    assert sentences(file) == sentences(copy) == SENTENCES
    assert copy.repaired().decode().strip() == "tag word pos\n" + columns.strip()
    assert not [finding for finding in copy.log.findings if finding.is_repaired]


ERRORS = {
    "no tag": (GOOD.replace("rejects VBZ O", "rejects"), 2, "has 1 column instead of 3"),
    "no tag, but a part of speech": (GOOD.replace("rejects VBZ O", "rejects VBZ"), 2, "has 2 columns instead of 3"),
    "one column too many": (GOOD.replace("rejects VBZ", "re jects VBZ"), 2, "has 4 columns instead of 3"),
    "U+00A0 between columns": (GOOD.replace("rejects VBZ O", "rejects\u00a0VBZ O"), 2, "another character than a tab"),
    "empty word": (GOOD.replace(" ", "\t").replace("rejects", ""), 2, "has an empty word"),
    "empty tag": (GOOD.replace(" ", "\t").replace("VBZ\tO", "VBZ\t"), 2, "has no tag"),
    "type without a prefix": (GOOD.replace("I-PER", "PER"), 5, "the tag 'PER' has no prefix"),
    "prefix without a type": (GOOD.replace("I-PER", "I-"), 5, "the tag 'I-' has no type"),
    "unknown prefix": (GOOD.replace("I-PER", "X-PER"), 5, "the tag 'X-PER' has no prefix"),
    "numbers": (
        GOOD.replace("B-ORG", "3").replace("B-PER", "1").replace("I-PER", "2").replace("O\n", "0\n"),
        1,
        "the tags are numbers (0, 1, 2, 3)",
    ),
    "header with other columns": ("word\ttag\n" + GOOD, 1, "has 2 columns instead of 3"),
    "quotation marks around cells": (re.sub(r"(\S+)", r'"\1"', GOOD), 1, "in quotation marks"),
    "prefixes without types": (re.sub("-[A-Z]+", "-", GOOD), 1, "the tag 'B-' has no type"),
    "tags in the first column": (
        re.sub(r"(?m)^(\S+) (\S+) (\S+)$", r"\3 \2 \1", GOOD),
        1,
        "give --tag-column 1 --word-column 2",
    ),
    "tags in the middle": (re.sub(r"(?m)^(\S+) (\S+) (\S+)$", r"\1 \3 \2", GOOD), 1, "give --tag-column 2"),
    "brackets": ("EU NNP (ORG*)\nrejects VBZ *\n\nPeter NNP (PER*\nBlackburn NNP *)\n", 1, "in brackets"),
    "commas": (GOOD.replace(" ", ","), 1, "They seem to be separated by ','"),
    "semicolons": (GOOD.replace(" ", ";"), 1, "They seem to be separated by ';'"),
    "only words": ("EU\nrejects\n\nPeter\n", 1, "most lines have one column"),
    "a sentence per line": ("EU rejects German call to boycott\nPeter Blackburn\n", 2, "has 2 columns instead of 6"),
    "conflict of git": (GOOD.replace("\n\n", "\n\n<<<<<<< HEAD\n"), 4, "has 2 columns instead of 3"),
    "shifted columns": (GOOD.replace("rejects VBZ O", "rejects O VBZ"), 2, "the tag 'VBZ' has no prefix"),
    "empty": ("", None, "has no sentences"),
    "only blank lines": ("\n\n \n", None, "has no sentences"),
    "only boundaries": ("-DOCSTART- -X- O\n\n", None, "has no sentences"),
    "only a header": ("word pos tag\n", None, "has no sentences"),
    "only comments": ("# a comment\n# another one\n", None, "has no sentences"),
}


@pytest.mark.parametrize(("content", "line", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_have_a_line(tmp_path: Path, content, line, message) -> None:
    file = read(tmp_path, content)
    assert [(error.line, message in error.message) for error in file.log.errors][:1] == [(line, True)]
    assert not [row for row in sentences(file) if row not in SENTENCES], "the sentences without errors are right"
    assert file.read.rows or file.note == f"{file.path}: 0 sentences, 0 words"


@pytest.mark.parametrize(
    ("content", "end"),
    [
        ("EU\nrejects\n\nPeter\n", "but a word and its tag are needed"),
        (GOOD.replace(" ", ","), "are needed. They seem to be separated by ','; use a tab or a space"),
        (GOOD.replace("rejects VBZ O", "rejects"), "has 1 column instead of 3, as most lines have"),
        (
            GOOD.replace("VBZ O", "VBZ\u3000O"),
            "as most lines have; some are separated by another character than a tab or a space",
        ),
    ],
)
def test_another_separator_is_named_only_where_there_is_one(tmp_path: Path, content: str, end: str) -> None:
    assert read(tmp_path, content).log.errors[0].message.endswith(end)


def test_no_sentence_is_read_if_the_tags_are_in_another_column(tmp_path: Path) -> None:
    file = read(tmp_path, "B-ORG NNP EU\nO VBZ rejects\n\nO UH Yes\n")
    advice = "give --tag-column 1 --word-column 2"
    assert [error.message for error in file.log.errors] == [
        f"has no tag in the last column but 'EU', and a tag in another: {advice}"
    ]
    assert not file.read.rows


UNREADABLE = {
    "Latin-1": (GOOD.replace("EU", "é").encode("latin-1"), "line 1: is not UTF-8"),
    "Latin-1 in a later line": (GOOD.replace("Blackburn", "Blackbürn").encode("latin-1"), "line 5: is not UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), "is not UTF-8 but UTF-16"),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), "is not UTF-8 but UTF-16LE"),
    "GB18030": ("北 NN B-LOC\n京 NN I-LOC\n".encode("gb18030"), "line 1: is not UTF-8"),
    "gzip without its extension": (gzip.compress(GOOD.encode()), "compressed with gzip"),
    "zip": (b"PK\x03\x04" + bytes(100), "a zip archive"),
    "Parquet": (b"PAR1" + bytes(100), "a Parquet file"),
    "binary": (bytes(range(256)), "binary file"),
}


@pytest.mark.parametrize(("content", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_files_that_are_not_text_are_refused(tmp_path: Path, content, message) -> None:
    with pytest.raises(CorpusError, match=message) as caught:
        read(tmp_path, content)
    assert str(tmp_path / "data.conll") in str(caught.value)


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot be decompressed"):
        read(tmp_path, gzip.compress(GOOD.encode())[:-12], "data.conll.gz")


def test_all_errors_of_a_file_are_found_and_the_other_sentences_are_read(tmp_path: Path) -> None:
    content = GOOD + "\n" + "one\n\ntwo NN X-Y\nthree NN PER\n\n" + GOOD
    file = read(tmp_path, content)
    assert [error.line for error in file.log.errors] == [7, 9, 10]
    assert sentences(file) == SENTENCES * 2
    assert [row.line for row in file.read.rows] == [1, 4, 12, 15]


def test_compressed_files(tmp_path: Path) -> None:
    assert sentences(read(tmp_path, gzip.compress(GOOD.encode()), "data.conll.gz")) == SENTENCES


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("MINIBERT_DATA"), reason="MINIBERT_DATA is not set")
def test_conll_2003() -> None:
    """Numbers of sentences, words and entities as in Tjong Kim Sang and De Meulder 2003, tables 1 and 2; without the 216 lines
    of -DOCSTART-."""
    file = ConllFile(Path(os.environ["MINIBERT_DATA"], "data/conll2003/valid.txt"))
    assert (len(file.read.rows), sum(len(row.words) for row in file.read.rows)) == (3250, 51362)
    types = Counter(entity.type for row in file.read.rows for entity in entities_of(map(parse_tag, row.tags or ())))
    assert types == {"LOC": 1837, "MISC": 922, "ORG": 1341, "PER": 1842}
    assert not file.log.findings
    assert file.repaired() == file.path.read_bytes()


@pytest.mark.parametrize(
    "word", ["a\u00a0b", "\u3000", "a\u2028b", "\u200b", "\u00ad", "\u0301", "\0", "a\x1cb", "a\x85b", '"', "#", "#EU"]
)
def test_unusual_words_are_words(tmp_path: Path, word) -> None:
    """Only tabs and spaces separate columns, and only line ends separate lines."""
    for separator in " \t":
        file = read(tmp_path, GOOD.replace("EU", word).replace(" ", separator))
        assert sentences(file)[0] == ((word, "rejects"), ("B-ORG", "O"))
        assert not file.log.errors
        assert file.repaired().decode() == GOOD.replace("EU", word).replace(" ", separator)


def test_words_with_spaces_are_kept_between_tabs_and_named(tmp_path: Path) -> None:
    file = read(tmp_path, "New York\tB-LOC\n \tO\nis\tO\n")
    assert sentences(file) == [(("New York", " ", "is"), ("B-LOC", "O", "O"))]
    assert [(finding.line, finding.message) for finding in file.log.findings if finding.line] == [
        (1, "has a word with a space in it")
    ]


@pytest.mark.parametrize("content", [" New York \tB-LOC \nis\tO\n", " New York \t\tB-LOC \nis\tO\n"], ids=["a tab", "tabs"])
def test_blanks_at_the_ends_of_a_cell_are_not_in_the_word(tmp_path: Path, content: str) -> None:
    assert sentences(read(tmp_path, content)) == [(("New York", "is"), ("B-LOC", "O"))]


def test_a_line_with_a_number_sign_and_a_tag_of_the_file_is_a_word(tmp_path: Path) -> None:
    """Also if the tags have no prefixes."""
    assert sentences(read(tmp_path, "Ann NNP PER\n# NN PER\n# NN ORG\nis VBZ O\n"))[0][0] == ("Ann", "#", "is")


def test_comments_are_left_out_where_they_cannot_be_words(tmp_path: Path) -> None:
    content = "# newdoc id = 1\n# text = EU rejects\n" + GOOD.replace("\n\n", "\n# NN O\n\n#begin document (x);\n")
    file = read(tmp_path, content)
    assert sentences(file) == [(("EU", "rejects", "#"), ("B-ORG", "O", "O")), SENTENCES[1]]
    [comment] = [finding for finding in file.log.findings if finding.line]
    assert str(comment).endswith("line 1: is read as a comment (also in 2 lines: 2, 7)")
    assert file.repaired().decode() == content


def test_a_hashtag_without_a_tag_is_no_comment(tmp_path: Path) -> None:
    assert [error.line for error in read(tmp_path, GOOD.replace("rejects VBZ O", "#EU")).log.errors] == [2]


def test_numbers_of_words_are_no_words(tmp_path: Path) -> None:
    """GermEval 2014 and CoNLL-U number the words of each sentence in the first column."""
    content = "# from the news\n1\t-DOCSTART-\tO\n\n1\tEU\tB-ORG\n2\trejects\tO\n\n1\tPeter\tB-PER\n2\tBlackburn\tI-PER\n"
    file = read(tmp_path, content)
    assert sentences(file) == SENTENCES
    assert "the first column has the numbers of the words" in str(file.log.findings[0])
    file = read(tmp_path, content, word_column=1)
    assert sentences(file)[0][0] == ("1", "2")
    assert not [finding for finding in file.log.findings if "first column" in finding.message]


def test_words_are_in_the_column_that_a_header_names_also_next_to_numbers_of_words(tmp_path: Path) -> None:
    file = read(tmp_path, "id\tpos\tword\ttag\n1\tNNP\tEU\tB-ORG\n2\tVBZ\trejects\tO\n")
    assert sentences(file) == SENTENCES[:1]
    assert not [finding for finding in file.log.findings if "first column" in finding.message]


@pytest.mark.parametrize(("words", "others"), [("1 2 4", "2 1"), ("1 may 4", "1 2")])
def test_numbers_as_words_are_words(tmp_path: Path, words: str, others: str) -> None:
    content = "\n\n".join("".join(f"{word}\tX\tO\n" for word in line.split()) for line in (words, others))
    assert sentences(read(tmp_path, content))[0][0] == tuple(words.split())


def test_columns_are_named_in_a_header_or_given(tmp_path: Path) -> None:
    named = read(tmp_path, "tag\tword\tpos\nB-ORG\tEU\tNNP\nO\trejects\tVBZ\n")
    assert sentences(named) == SENTENCES[:1]
    given_columns = read(tmp_path, "B-ORG\tEU\tNNP\nO\trejects\tVBZ\n", word_column=2, tag_column=1)
    assert sentences(given_columns) == SENTENCES[:1]
    assert sentences(read(tmp_path, GOOD, tag_column=-1)) == SENTENCES
    for columns in ({"tag_column": 4}, {"tag_column": 0}, {"word_column": -4}, {"word_column": 3}):
        with pytest.raises(CorpusError, match=r"has no column|cannot both be in column"):
            read(tmp_path, GOOD, **columns)


def test_words_without_tags_are_read_for_predictions(tmp_path: Path) -> None:
    file = read(tmp_path, "EU\nrejects\n\nPeter\n", labeled=False)
    assert sentences(file) == [(("EU", "rejects"), None), (("Peter",), None)]
    assert not file.log.findings
    assert sentences(read(tmp_path, GOOD, labeled=False))[0] == (("EU", "rejects"), None)


def test_numbers_of_tags_can_be_named(tmp_path: Path) -> None:
    content = "EU NNP 1\nrejects VBZ 0\n\nPeter NNP 3\nBlackburn NNP 4\n"
    names = ("O", "B-ORG", "I-ORG", "B-PER", "I-PER")
    assert sentences(read(tmp_path, content, tag_names=names)) == SENTENCES


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_invalid_sequences_are_findings_with_lines(tmp_path: Path, separator: str) -> None:
    content = (GOOD + "\n" + GOOD + "\nLondon NNP I-LOC\nand CC O\nRome NNP I-LOC\n").replace(" ", separator)
    file = read(tmp_path, content)
    assert sentences(file)[-1][1] == ("B-LOC", "O", "B-LOC")
    [finding] = [finding for finding in file.log.findings if finding.is_repaired]
    assert (finding.line, finding.message) == (13, "I-LOC cannot stand here in BIO; read as B-LOC (also in line 15)")
    assert file.repaired().decode() == content.replace("I-LOC", "B-LOC")


def test_invalid_sequences_of_bilou_are_repaired_in_its_letters(tmp_path: Path) -> None:
    content = "a U-X\nb B-X\nc L-X\nd O\ne B-Y\nf O\ng B-Y\nh I-Y\ni L-Y\n"
    file = read(tmp_path, content)
    assert sentences(file)[0][1] == ("B-X", "B-X", "I-X", "O", "B-Y", "O", "B-Y", "I-Y", "I-Y")
    assert file.repaired().decode() == content.replace("e B-Y", "e U-Y")
    assert "Tag scheme BILOU (IOBES): 1 of 7" in file.note
    assert file.note.endswith("Converted to BIO")


ODDITIES = {
    "no entities": ("a O\nb O\n", "every tag is O"),
    "no O": ("a OTHER\nb OTHER\nc PER\n", "67% of the words have the type 'OTHER'"),
    "types in two cases": ("a B-PER\nb B-Per\nc O\n", "the types PER and Per differ only in upper and lower case"),
    "one entity": ("a B-PER\nb B-PER\nc B-LOC\nd O\n", "only one entity has the type LOC"),
    "a blank line after each word": ("a O\n\nb B-X\n\nc O\n\nd O\n\ne O\n", "every sentence has one word"),
    "a giant sentence": ("a B-X\n" * (MAX_WORDS + 1), "a sentence of 1,001 words begins here"),
    "numbers of sentences": ("s1 a O\ns1 b B-X\ns1 c O\ns2 d B-X\ns2 e O\n", "the same values in successive lines"),
    "another column": ("".join(f"a{n} X{n}\n" for n in range(300)), "has 300 types of entities"),
    "ten entities": ("".join(f"a B-{n}\n" for n in "abcdefghij"), "only one entity has the type a, b, c, d, e, f, g, h, i, j"),
    "more": ("".join(f"a B-{n}\n" for n in "abcdefghijk"), "only one entity has the type a, b, c, d, e, f, g, h, i, j, …"),
}


@pytest.mark.parametrize(("content", "message"), ODDITIES.values(), ids=ODDITIES)
def test_oddities_are_named(tmp_path: Path, content, message) -> None:
    file = read(tmp_path, content)
    assert [finding for finding in file.log.findings if message in finding.message and not finding.is_error]
    assert file.repaired().decode() == content


@pytest.mark.parametrize("content", ["a B-X\n" * MAX_WORDS, "a O\n\n" * (MIN_SENTENCES - 1) + "a B-X\n\nb B-X\nc O\n"])
def test_long_sentences_and_short_ones_may_be_right(tmp_path: Path, content: str) -> None:
    findings = read(tmp_path, content).log.findings
    assert not [finding for finding in findings if "blank lines" in finding.message]


@pytest.mark.parametrize(
    ("content", "has_columns"),
    [
        (GOOD, True),
        (GOOD.replace(" ", "\t"), True),
        ("-DOCSTART-\n\n" + GOOD, True),
        ("a O\n" * 100 + "The first lines are enough.\n", True),
        ("a O\n" * 99 + "The first lines are enough.\n", False),
        ("a O\nb c O\n", False),
        ("a O\nb c\n", False),
        ("a b\nc d\n", False),
        ("O\nO\n", False),
        ("\n \n", False),
        ("", False),
    ],
)
def test_a_file_has_conll_columns_if_its_first_lines_have(tmp_path: Path, content: str, has_columns: bool) -> None:
    (tmp_path / "data.txt").write_text(content)
    assert has_conll_columns(tmp_path / "data.txt") == has_columns


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=" \ufeff#-"), min_size=1, max_size=3)
TAGS = st.sampled_from(["O", "B-X", "I-X", "B-y-z"])


@settings(max_examples=50)
@given(st.lists(st.lists(st.tuples(WORDS, TAGS), min_size=1, max_size=5), min_size=1, max_size=4), st.sampled_from([*SCHEMES]))
def test_any_words_in_any_scheme_are_read_back(tmp_path_factory, rows, scheme) -> None:
    """The entities are the same after writing them in any scheme and reading them, twice."""
    folder = tmp_path_factory.mktemp("conll")
    expected = [(tuple(word for word, _ in row), entities_of([parse_tag(tag) for _, tag in row])) for row in rows]
    written = [zip(words, write_tags(entities, len(words), scheme), strict=True) for words, entities in expected]
    file = read(folder, "\n".join("".join(f"{word}\t{tag}\n" for word, tag in sentence) for sentence in written))
    for each in (file, read(folder, file.repaired())):
        assert [(words, entities_of(map(parse_tag, tags))) for words, tags in sentences(each)] == expected


@given(st.text("aB-IO\t #\n\r\ufeff0_", max_size=60), st.booleans())
@example("0 0\r\t#\ufeff", True)
@example("0\t\r\t#\ufeff", True)
def test_any_text_is_read_or_has_errors(tmp_path_factory, text, labeled) -> None:
    """No text causes an exception, and the repaired copy has the same rows and nothing that could be repaired."""
    folder = tmp_path_factory.mktemp("conll")
    file = read(folder, text, labeled=labeled)
    assert file.read.rows or file.log.errors
    copy = read(folder, file.repaired(), labeled=labeled)
    assert sentences(copy) == sentences(file)
    assert len(copy.log.errors) == len(file.log.errors)
    assert not [finding for finding in copy.log.findings if finding.is_repaired]
