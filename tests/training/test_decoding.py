"""Translation of lines with a trained Transformer, and the scores of the outputs."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu import corpus_bleu
from tokenizers import Tokenizer
from torch import Tensor, nn

from minibert import Transformer, TransformerConfig
from minibert.text.letters import ALPHABET
from minibert.text.spacing import Spacing
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training import decoding
from minibert.training.decoding import as_the_tokenizer_writes, bleu, exact_match, round_trip, similar_lengths, translate
from tests.strategies import seeds

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET, ".", "##b"])
INVISIBLE = ["", " ", "\t", "\u200b", "\ufeff", "\u00ad", "\u2060", "\x01\x7f", "\ufffd", "\u3000"]


def random_model(seed: int = 0, **changed: object) -> Transformer:
    """Create a tiny model with random parameters, in float64 and in evaluation mode, that rarely ends an output early."""
    sizes = {"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 20, "encoder_layers": 1, "decoder_layers": 1}
    torch.manual_seed(seed)
    model = Transformer(TransformerConfig(vocab_size=TOKENIZER.get_vocab_size(), **sizes, **changed)).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


class Requests(Transformer):
    """A model on a device without memory. It records what it has to generate, and generates nothing."""

    def __init__(self) -> None:
        with torch.device("meta"):
            super().__init__(random_model().config)
        self.shapes: list[tuple[int, ...]] = []
        self.options: list[tuple[int, float]] = []

    def generate(self, input_ids: Tensor, attention_mask: Tensor, beams: int, alpha: float) -> list[SimpleNamespace]:
        assert input_ids.device == attention_mask.device == torch.device("meta")
        self.shapes.append(tuple(input_ids.shape))
        self.options.append((beams, alpha))
        return [SimpleNamespace(tokens=[])] * len(input_ids)


class TestTranslate:
    def test_the_search_is_that_of_the_paper_unless_another_is_asked_for(self) -> None:
        """Four beams and α = 0.6 (Vaswani et al. 2017, section 6.1)."""
        model = Requests()
        translate(model, TOKENIZER, ["a"])
        translate(model, TOKENIZER, ["a"], 2, 0.1)
        assert model.options == [(4, 0.6), (2, 0.1)]

    @pytest.mark.parametrize(("beams", "shapes"), [(1, [(4, 5)]), (2, [(2, 3), (2, 5)]), (5, [(1, 3), (1, 3), (1, 5), (1, 5)])])
    def test_batches_have_lines_of_similar_lengths(
        self, monkeypatch: pytest.MonkeyPatch, beams: int, shapes: list[tuple[int, int]]
    ) -> None:
        """Each beam is a row of a batch. A line whose beams are too many is computed by itself."""
        monkeypatch.setattr(decoding, "BATCH_SIZE", 4)
        model = Requests()
        translate(model, TOKENIZER, ["a", "a b c", "", "b", "c b a"], beams)
        assert model.shapes == shapes

    @pytest.mark.parametrize("beams", [0, -1])
    def test_a_search_without_beams_is_refused(self, beams: int) -> None:
        with pytest.raises(ValueError, match=f"beams is {beams}, but must be from 1"):
            translate(random_model(), TOKENIZER, ["a"], beams)

    @settings(max_examples=3, deadline=None)
    @given(seeds, st.lists(st.text("abc .", max_size=12), min_size=2, max_size=3), st.sampled_from([1, 2]))
    def test_a_line_alone_and_in_a_batch_have_the_same_translation(self, seed: int, lines: list[str], beams: int) -> None:
        """The other lines of a batch change neither the padding, nor the maximum length, nor the place of an output."""
        model = random_model(seed)
        assert translate(model, TOKENIZER, lines, beams) == [translate(model, TOKENIZER, [line], beams)[0] for line in lines]

    def test_a_line_of_which_the_tokenizer_leaves_nothing_has_an_empty_translation(self) -> None:
        """Nothing is made up for it, alone and among others, which keep their places."""
        model = random_model()
        found = translate(model, TOKENIZER, ["a b", *INVISIBLE, "c"], beams=1)
        assert [bool(translation) for translation in found] == [True, *[False] * len(INVISIBLE), True]
        assert [translate(model, TOKENIZER, [line]) for line in INVISIBLE] == [[""]] * len(INVISIBLE)

    def test_no_lines(self) -> None:
        assert translate(random_model(), TOKENIZER, []) == []

    def test_literal_special_tokens_are_text(self) -> None:
        """A line of [SEP] is not the end of a source, but three unknown words."""
        model = random_model()
        assert translate(model, TOKENIZER, ["[SEP]"], 1) == translate(model, TOKENIZER, ["学 学 学"], 1) != [""]

    def test_lines_that_are_too_long_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message has the number of the line. Without learned positions there is a maximum too, that memory sets.

        A line of exactly the maximum is translated.
        """
        lines = ["a", "a " * 9]
        with pytest.raises(ValueError, match="line 2 has 11 tokens; this model has learned positions for 10: split it"):
            translate(random_model(positions="learned", max_position_embeddings=10), TOKENIZER, lines)
        monkeypatch.setattr(decoding, "MAX_LINE_TOKENS", 10)
        with pytest.raises(ValueError, match="line 2 has 11 tokens; the maximum is 10: split it into sentences"):
            translate(random_model(), TOKENIZER, lines)
        assert len(translate(random_model(), TOKENIZER, ["a", "a " * 8], beams=1)) == 2

    def test_spacing_joins_the_words(self) -> None:
        """Without it, the tokenizer's decoder does."""
        tokens = ["a", "##b", ".", "c", "."]
        ids = [TOKENIZER.token_to_id(token) for token in tokens]
        assert decoding.decode(ids, TOKENIZER, Spacing({"before .": True, ". a": True})) == "ab.c."
        assert decoding.decode(ids, TOKENIZER, None) == "ab. c."


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), max_size=200))
def test_batches_of_similar_lengths_are_limited(lengths: list[tuple[int, int]]) -> None:
    """Every example is in one batch. A batch has a maximum number of examples and of padded tokens."""
    sides = torch.tensor(lengths, dtype=torch.long).reshape(-1, 2).numpy()
    batches = similar_lengths(sides)
    assert sorted(index for batch in batches for index in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= decoding.BATCH_SIZE
        assert len(batch) == 1 or len(batch) * sides[batch].max(axis=0).sum() <= decoding.BATCH_TOKENS


class TestScores:
    def test_values(self) -> None:
        """BLEU is that of sacrebleu; exact match compares whole outputs."""
        assert exact_match(["a b", "c", "c d"], ["a b", "d", "cd"]) == pytest.approx(1 / 3)
        assert exact_match([], []) is None
        targets = ["a small dog runs over the green grass", "two men are here"]
        assert bleu(targets, targets) == pytest.approx(100)
        assert bleu(["the the the", "no"], targets) < 5

    def test_bleu_of_chinese_counts_characters(self) -> None:
        """Otherwise a sentence without spaces would be one word, and every small difference a complete failure."""
        targets = ["我们学习机器翻译很多年了。", "今天的天气非常好。"]
        assert bleu(targets, targets) == pytest.approx(100)
        assert bleu(["我们学习机器翻译很多年。", "今天的天气很好。"], targets) > 50

    @pytest.mark.parametrize(("target", "tokenizer"), [("北京 大学 学习 a b c", "13a"), ("北京 大学 学习班 a b c", "zh")])
    def test_text_is_chinese_if_it_has_more_characters_than_words(self, target: str, tokenizer: str) -> None:
        """As many characters as words are not enough: they may be names in another language."""
        outputs = [target.replace("京", "方")]
        assert bleu(outputs, [target]) == pytest.approx(corpus_bleu(outputs, [[target]], tokenize=tokenizer).score)

    def test_round_trip_shows_what_the_tokenizer_loses(self) -> None:
        """Unknown words and spaces between punctuation marks."""
        spacing = Spacing({"before .": True})
        assert round_trip(["a b.", "c . d", "学 a", "\u200b"], TOKENIZER, spacing) == ["a b.", "c. d", "a", ""]

    def test_characters_of_the_tokenizer(self) -> None:
        """Lower case, no accents, no control characters; but no spaces around Chinese characters."""
        lower, cased = (build_tokenizer([*SPECIAL_TOKENS], lowercase) for lowercase in (True, False))
        line = "Ein Café\u200b: 学习"
        assert as_the_tokenizer_writes(line, lower) == "ein cafe: 学习"
        assert as_the_tokenizer_writes(line, cased) == "Ein Café: 学习"
        plain = Tokenizer.from_str(cased.to_str())
        plain.normalizer = None
        assert as_the_tokenizer_writes(line, plain) == line
