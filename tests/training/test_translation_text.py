"""What is printed about the text of a translation run: a line for each fact."""

import pytest

from minibert.text.parallel import ParallelExamples, ParallelText
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.text.unknown import UnknownText
from minibert.training.translation_text import describe_parallel

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *"abcd"])
UNKNOWN = (UnknownText(8, 0), UnknownText(8, 2))
SIZES = ["Training: 3 pairs, 17 tokens; vocabulary: 9", "Validation: 1 pairs"]


def lines(training: str, validation: str = "d=b", bleu_ceiling: float | None = None) -> list[str]:
    """Describe pairs, which are written as `source=target`, with commas between them."""
    parts = []
    for pairs in (training, validation):
        sides = [pair.split("=") for pair in pairs.split(",") if pair]
        text = ParallelText([source for source, _ in sides], [target for _, target in sides])
        parts.append(ParallelExamples(text, TOKENIZER, 0, max_length=4))
    return [*describe_parallel(*parts, UNKNOWN, TOKENIZER, bleu_ceiling)]


def test_of_usual_text_the_sizes_and_the_unknown_characters_are_printed() -> None:
    assert lines("a=b,b c=c,c=a b") == [
        *SIZES,
        f"Training sources: {UNKNOWN[0].describe()}",
        f"Training targets: {UNKNOWN[1].describe()}",
    ]


@pytest.mark.parametrize(
    ("training", "validation", "bleu_ceiling", "line"),
    [
        ("a=b", "d=b", 98.76, "Ceiling of BLEU: 98.8, that of the validation targets themselves, tokenized and decoded."),
        ("a=b", "d=b", 0.0, "Ceiling of BLEU: 0.0, that of the validation targets themselves, tokenized and decoded."),
        ("a=b", "", None, "There will be no evaluation: use --validation, or raise --validation-fraction."),
        ("a=b,a=", "d=b", None, "Skipped in training: 1 pairs with an empty side."),
        ("a=b", "d=b,=b", None, "Skipped in validation: 1 pairs with an empty side."),
        ("a=x b,b=x,c=d", "d=b", None, "2 training targets contain [UNK], which is not learned."),
        ("a=b,c=d", "a=b,a=d,c=d", None, "Warning: 2 validation pairs are also in the training text."),
        ("a=a,b=b,c=d", "d=b", None, "Warning: in 2 pairs source and target are equal."),
    ],
)
def test_other_facts_have_a_line_of_their_own(training: str, validation: str, bleu_ceiling: float | None, line: str) -> None:
    found = lines(training, validation, bleu_ceiling)
    assert found.count(line) == 1
    assert len(found) == len(SIZES) + len(UNKNOWN) + 1


def test_half_of_the_pairs_with_equal_sides_are_no_reason_to_warn() -> None:
    assert "equal" not in lines("a=a,c=d")[-1]
