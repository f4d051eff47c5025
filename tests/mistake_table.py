"""Mistake × test, as a page. `python -m tests.mistake_table > docs/mistakes.md` writes it anew."""

import functools

from minibert.classroom.mistakes import MISTAKES, Kind, Mistake, variant
from tests.mistake_detection import is_value_test, killers

VALUE, PROPERTY = "✗", "●"
"""Signs of the tests that notice a mistake."""


@functools.cache
def _outcome(name: str) -> dict[str, bool]:
    mistake = MISTAKES[name]
    return killers(mistake.function, variant(mistake), mistake.tests)


def outcome_of(mistake: Mistake) -> dict[str, bool]:
    """By test of the right function, whether it notices the mistake."""
    return _outcome(mistake.name)


def page() -> str:
    """A table for every function: its mistakes, and which test notices which."""
    counts = {kind: sum(mistake.kind == kind for mistake in MISTAKES.values()) for kind in Kind}
    lines = [
        "# The mistakes, and what gives each away",
        "",
        "Made by `python -m tests.mistake_table > docs/mistakes.md`; a test keeps it true.",
        "",
        f"{len(MISTAKES)} variants of the right code, by kind: "
        + ", ".join(f"{kind} {count}" for kind, count in counts.items())
        + ".",
        f"Every bug is noticed by at least one *value* test ({VALUE}: the formula in loops, or its gradient) and at least one",
        f"*property* test ({PROPERTY}: a theorem that follows from the formula); nothing equivalent is noticed by any.",
    ]
    by_function: dict[str, list[Mistake]] = {}
    for mistake in MISTAKES.values():
        by_function.setdefault(mistake.function.__qualname__, []).append(mistake)
    for function, mistakes in by_function.items():
        lines += ["", f"## {function}", "", f"`pytest {' '.join(mistakes[0].tests)}`", ""]
        tests = list(outcome_of(mistakes[0]))
        lines += [f"{number}. {_sentence(test)}" for number, test in enumerate(tests, start=1)]
        lines += ["", "| mistake | kind | " + " | ".join(str(number) for number in range(1, len(tests) + 1)) + " |"]
        lines += ["|---|---|" + ":-:|" * len(tests)]
        for mistake in mistakes:
            signs = [_sign(test, killed) for test, killed in outcome_of(mistake).items()]
            lines += [f"| {mistake.name} | {mistake.kind} | " + " | ".join(signs) + " |"]
        lines += [""]
        lines += [f"- **{m.name}** ({m.kind}; {m.seen_in}). {m.description} {m.consequence}" for m in mistakes]
    return "\n".join(lines) + "\n"


def _sentence(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ")


def _sign(test: str, killed: bool) -> str:
    return (VALUE if is_value_test(test) else PROPERTY) if killed else ""


if __name__ == "__main__":
    import conftest  # noqa: F401 - the same examples and checks as under pytest

    print(page(), end="")
