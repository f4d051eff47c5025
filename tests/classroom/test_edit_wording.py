"""Edits in words: the whole title and the whole message of each kind."""

import ast

import pytest

from minibert.classroom import edit_wording as wording
from minibert.classroom.edit_wording import LONGEST_QUOTE, Wording, shortened

WORDS = Wording("a title", "You did this.")


def test_a_template_needs_the_code_in_its_title_or_in_its_message() -> None:
    assert Wording("`{old}`", "no code").is_template
    assert Wording("no code", "You have `{new}`.").is_template
    assert not Wording("{old}", "{new}").is_template
    assert Wording("`{old}`", "`{new}`").filled("a", "b") == Wording("`a`", "`b`")
    assert WORDS.filled("a", "b") == WORDS


def test_a_place_and_a_part_are_added_to_the_title_and_to_the_message() -> None:
    assert WORDS.at("x + y") == Wording("a title in `x + y`", "You did this. The place is `x + y`.")
    assert WORDS.at("") == Wording("a title, in one place", "You did this. It is so in one place.")
    assert WORDS.inside("f") == Wording("a title, in `f`", "You did this. This belongs to the part `f` of the formula.")


@pytest.mark.parametrize("more", [0, 1])
def test_code_is_cut_off_if_it_is_longer_than_the_longest_quote(more) -> None:
    code = "a" * 40 + "\n  " + "b" * (LONGEST_QUOTE - 41 + more)
    whole = "a" * 40 + " " + "b" * (LONGEST_QUOTE - 41)
    short = "a" * 40 + " …"
    assert shortened(code) == (short if more else whole)


LONG = "f(" + ", ".join(["argument"] * 40) + ")"


def cut_off() -> list[Wording]:
    return [
        WORDS.at(LONG),
        Wording("`{old}`", "`{new}`").filled(LONG, LONG),
        wording.left_out(LONG),
        wording.sign_left_out("-", LONG),
        wording.keyword_left_out(ast.keyword("dim", ast.parse(LONG, mode="eval").body)),
        wording.condition_left_out(LONG),
        wording.branch_left_out(LONG),
        wording.returned_early(LONG),
        wording.rounds_left_out("first", LONG),
        wording.ended_after_the_first_round(LONG),
        wording.statements_exchanged(LONG, LONG),
    ]


def test_no_sentence_quotes_more_than_it_can_show() -> None:
    for words in cut_off():
        for text in (words.title, words.message):
            assert "…`" in text
            assert len(text) < 2 * LONGEST_QUOTE + 100


def keyword(code: str) -> ast.keyword:
    call = ast.parse(f"f({code})", mode="eval").body
    assert isinstance(call, ast.Call)
    return call.keywords[0]


ENDING = "Your numbers are those of `{new}`. The formula has `{old}`."


@pytest.mark.parametrize(
    ("make", "code", "title", "message"),
    [
        (wording.left_out, ("+ b",), "left out: `+ b`", "You left out `+ b`."),
        (wording.sign_left_out, ("~", "a"), "left out: `~` before `a`", "You left out the logical not (`~`) before `a`."),
        (wording.sign_left_out, ("?", "a"), "left out: `?` before `a`", "You left out the sign `?` before `a`."),
        (
            wording.keyword_left_out,
            (keyword("dim=0"),),
            "left out: `dim=0`",
            "You left out `dim=0`, so the operation runs over all axes.",
        ),
        (wording.keyword_left_out, (keyword("out=x"),), "left out: `out=x`", "You left out `out=x`."),
        (wording.keyword_left_out, (keyword("**x"),), "left out: `**x`", "You left out `**x`."),
        (
            wording.condition_left_out,
            ("a > 0",),
            "left out: the condition `a > 0`",
            "You left out the condition `a > 0`: you always do what depends on it.",
        ),
        (
            wording.branch_left_out,
            ("a > 0",),
            "left out: the code for `if a > 0`",
            "You left out the case `a > 0`: the code for it is missing.",
        ),
        (
            wording.gain_and_bias_left_out,
            ("self.norm",),
            "left out: gain and bias of `self.norm`",
            "You normalized without the gain and the bias of `self.norm`.",
        ),
        (
            wording.weight_not_transposed,
            ("self.key",),
            "not transposed: the weight of `self.key`",
            "You did not transpose the weight of `self.key`. `nn.Linear` computes `x @ weight.mT + bias`.",
        ),
        (
            wording.other_operator,
            ("**", "@"),
            "another operator: `{new}` instead of `{old}`",
            f"You took a power where the formula takes the matrix product. {ENDING}",
        ),
        (
            wording.other_operator,
            ("<", "<="),
            "another operator: `{new}` instead of `{old}`",
            "You compared with `<`. The formula compares with `<=`: `{old}`.",
        ),
        (
            wording.other_operator,
            ("+", "<"),
            "another operator: `{new}` instead of `{old}`",
            "You compared with `+`. The formula compares with `<`: `{old}`.",
        ),
        (
            wording.other_operator,
            ("<", "+"),
            "another operator: `{new}` instead of `{old}`",
            "You compared with `<`. The formula compares with `+`: `{old}`.",
        ),
        (
            wording.other_function,
            ("max", "min"),
            "another function: `{new}` instead of `{old}`",
            f"You used `max` where the formula uses `min`. {ENDING}",
        ),
        (
            wording.softmax_over_another_axis,
            ("log_softmax",),
            "another axis: `log_softmax` over `dim=-2`",
            "You took the log_softmax over the second axis from the end (dim=-2). The formula takes it over the last (dim=-1).",
        ),
        (
            wording.other_keyword,
            ("dim", "0", "(-1)"),
            "another axis: `dim=0` instead of `dim=(-1)`",
            "You computed along the first axis (dim=0). The formula computes along the last axis (dim=(-1)).",
        ),
        (
            wording.other_keyword,
            ("dim", "a", "-1"),
            "another axis: `dim=a` instead of `dim=-1`",
            "You used `dim=a`. The formula has `dim=-1`.",
        ),
        (
            wording.other_keyword,
            ("dim", "-1", "a"),
            "another axis: `dim=-1` instead of `dim=a`",
            "You used `dim=-1`. The formula has `dim=a`.",
        ),
        (
            wording.other_keyword,
            ("eps", "0", "1"),
            "another value: `eps=0` instead of `eps=1`",
            "You used `eps=0`. The formula has `eps=1`.",
        ),
        (
            wording.other_size,
            ("-1", "5"),
            "another axis: `{new}` instead of `{old}`",
            "You used the size of the last axis. The formula uses that of the sixth axis: `{old}`, not `{new}`.",
        ),
        (
            wording.other_size,
            ("-6", "6"),
            "another axis: `{new}` instead of `{old}`",
            "You used the size of the sixth axis from the end. The formula uses that of axis 6: `{old}`, not `{new}`.",
        ),
        (
            wording.other_size,
            ("-7", "(-2)"),
            "another axis: `{new}` instead of `{old}`",
            "You used the size of axis -7. The formula uses that of the second axis from the end: `{old}`, not `{new}`.",
        ),
        (wording.other_size, ("a", "-1"), "another axis: `{new}` instead of `{old}`", f"You used another size. {ENDING}"),
        (wording.other_size, ("-1", "a"), "another axis: `{new}` instead of `{old}`", f"You used another size. {ENDING}"),
        (
            wording.other_number,
            ("True", "False"),
            "another number: `{new}` instead of `{old}`",
            f"You used True where the formula has False. {ENDING}",
        ),
        (
            wording.other_number,
            ("False", "True"),
            "another number: `{new}` instead of `{old}`",
            f"You used False where the formula has True. {ENDING}",
        ),
        (
            wording.other_number,
            ("3", "2"),
            "another number: `{new}` instead of `{old}`",
            f"You used the number 3 where the formula has 2. {ENDING}",
        ),
        (
            wording.other_default,
            ("eps", "1", "2"),
            "another default: `eps=1` instead of `eps=2`",
            "You used the default value eps = 1. The formula has eps = 2.",
        ),
        (
            wording.other_size_of_number,
            ("2 / 2", "2"),
            "another number: `{new}` instead of `{old}`",
            f"You used 2 / 2 where the formula has 2. {ENDING}",
        ),
        (wording.added, ("+ 1e-3",), "added a number: `{new}` instead of `{old}`", f"You added 1e-3. {ENDING}"),
        (wording.added, ("- 1",), "added a number: `{new}` instead of `{old}`", f"You subtracted 1. {ENDING}"),
        (
            wording.other_name,
            ("a", "b"),
            "another variable: `{new}` instead of `{old}`",
            f"You used `a` where the formula has `b`. {ENDING}",
        ),
        (
            wording.detached,
            ("a",),
            "detached: `a`",
            "You cut `a` off from the graph, as `detach()` does, so no gradient flows through it.",
        ),
        (
            wording.returned_early,
            ("a = b",),
            "returned early: after `a = b`",
            "You returned the result of `a = b`. The formula goes on after it.",
        ),
        (
            wording.rounds_left_out,
            ("last", "for a in b"),
            "left out: the last round of `for a in b`",
            "You left out the last round of the loop `for a in b`.",
        ),
        (
            wording.ended_after_the_first_round,
            ("for a in b",),
            "ended early: `for a in b`",
            "You ended the loop `for a in b` after its first round, as `return` in a loop does.",
        ),
        (
            wording.statements_exchanged,
            ("a()", "b()"),
            "another order: `a()` before `b()`",
            "You did two steps in the other order: `a()` came before `b()`.",
        ),
        (
            wording.names_exchanged,
            ("a", "b"),
            "exchanged: `a` and `b`",
            "You used `a` in the place of `b`, and `b` in that of `a`.",
        ),
    ],
)
def test_a_learner_reads_these_words(make, code, title, message) -> None:
    assert make(*code) == Wording(title, message)
