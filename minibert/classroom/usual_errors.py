"""Explanations of usual errors of Python and PyTorch, each with the change that is needed."""

import re

WITH_INDICES = ("max", "min", "topk", "sort", "median", "nanmedian", "mode", "kthvalue", "cummax", "cummin")
"""Functions of PyTorch that return values and indices."""
SHORTER = {"max": ", or use `amax`", "min": ", or use `amin`"}
TRUTH_VALUE = r"truth value|Boolean value of Tensor"
ONE_ANSWER = "needs one answer, true or false, and this tensor has many"
EXPLANATIONS: tuple[tuple[str, str, str], ...] = (
    (
        TRUTH_VALUE,
        r"\b(max|min)\(",
        f"Python's `{{0}}` compares whole tensors: it {ONE_ANSWER}. For each number there are `torch.maximum`, `clamp`, and "
        "functions that are arguments, such as `activation`.",
    ),
    (
        TRUTH_VALUE,
        r"\b(?:if|while) +(?:not +)?(\w+) *(?::|else\b|$)",
        f"`if` {ONE_ANSWER}. To ask whether an argument is given, write `if {{0}} is not None`. "
        "To choose for each number, use `torch.where` or `masked_fill`.",
    ),
    (
        TRUTH_VALUE,
        r"\b(and|or|not)\b",
        f"`{{0}}` {ONE_ANSWER}. For each number, write `&` (and), `|` (or) and `~` (not), with parentheses around comparisons.",
    ),
    (
        TRUTH_VALUE,
        r"",
        f"Here Python {ONE_ANSWER}. For each number, use `torch.where` or `masked_fill`.",
    ),
    (
        r"'NoneType'|not NoneType|, NoneType|must be Tensor, not None",
        r"",
        "A value in this line is None: an argument that is not given, or the result of a function without `return`.",
    ),
    (
        r"'Tensor' object is not callable",
        r"",
        "Parentheses after a tensor call it. A product needs `*` or `@`, and a part of it needs square brackets.",
    ),
    (
        r"'(?:builtin_function_or_method|method)'|not (?:builtin_function_or_method|method)\b",
        r"",
        "A method needs parentheses, as in `x.sum()`: without them it is not called.",
    ),
    (
        r"must be Tensor, not (?:int|float)\b",
        r"",
        "This function takes tensors only. For one number there is `math`, as in `math.sqrt(64)`.",
    ),
    (
        r"must match the (?:size of tensor|existing size)",
        r"",
        "Sizes are compared from the last axis on: two sizes must be equal, or one of them must be 1.",
    ),
)
"""A pattern of the error, one of the line that raised it, and a sentence with the first group of the line in it."""


def explanation(error: str, line: str) -> str:
    """Return the meaning of an error and the change that is needed; empty if the error is no usual one.

    Args:
        error: type and text of an exception, in one line.
        line: the line of the learner's code that raised it.

    >>> explanation("TypeError: unsupported operand type(s) for -: 'Tensor' and 'torch.return_types.min'", "x - x.min(-1)")
    '`min` with an axis returns values and indices: take its `.values`, or use `amin`.'
    """
    if found := re.search(r"\btorch\.return_types\.(\w+)", error):
        return _several_results(found[1])
    for of_error, of_line, sentence in EXPLANATIONS:
        place = re.search(of_line, line)
        if re.search(of_error, error) and place:
            return sentence.format(next(filter(None, place.groups()), ""))
    return ""


def _several_results(name: str) -> str:
    if name not in WITH_INDICES:
        return f"`{name}` returns several tensors in a tuple: take the one that you need."
    axis = " with an axis" if name in ("max", "min", "median", "nanmedian") else ""
    return f"`{name}`{axis} returns values and indices: take its `.values`{SHORTER.get(name, '')}."
