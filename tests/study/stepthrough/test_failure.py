"""A walk through a forward pass that fails shows everything until there."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from minibert import BertConfig, BertForMaskedLM, Transformer, TransformerConfig
from minibert.equations import scaled_dot_product_attention
from minibert.model.pretrained import PretrainedModel
from minibert.observe import observe
from minibert.study import walk
from minibert.study.page.data import PageData
from minibert.study.stepthrough.arithmetic import UnknownOperation, evaluate
from minibert.study.stepthrough.step import Failure, Walk
from minibert.study.subject import random_network, tokenizer_of

TEXT = "the cat sat on the [MASK] ."
TOKENIZER = tokenizer_of([TEXT])
CONFIG = BertConfig(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=16, max_position_embeddings=16
)
INPUTS = ["layers.0.attention.query", "layers.0.attention.key", "layers.0.attention.value"]


def no_transpose(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    scale = query * 0.5
    scores = scale @ key
    return scores.softmax(-1) @ value


def observes(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    scores = observe("scores", query @ key.mT / math.sqrt(query.shape[-1]))
    weights = scores.softmax(-1)
    return weights @ value.mT


def heads_last(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    return ((query @ key.mT).softmax(-1) @ value).transpose(1, 2)


def not_a_number(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    scores = query @ key.mT - math.inf
    exponentials = torch.exp(scores)
    return exponentials / exponentials.sum(-1, keepdim=True) @ value


def in_place(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    query /= 2
    return (query @ key.mT).softmax(-1) @ value


def in_double(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    return value.double()


def nothing(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, dropout: float = 0.0) -> None:
    observe("weights", (query @ key.mT).softmax(-1))


def a_tuple(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, dropout: float = 0.0) -> Any:
    return value, key


def misspelled(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    scores = query @ key.mT  # noqa: F841
    return score @ value  # type: ignore[name-defined,no-any-return] # noqa: F821


def three_arguments(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return value


def walked(attention: Callable[..., Any], model: PretrainedModel | None = None) -> Walk:
    model = model or random_network(BertForMaskedLM, CONFIG, TOKENIZER)
    found = walk(model.set_attention(attention), TOKENIZER, TEXT)
    assert model.attention_in_use().startswith(getattr(attention, "__name__", "a function"))
    return found


def failed(attention: Callable[..., Any]) -> tuple[list[str], Failure]:
    found = walked(attention)
    assert found.failure is not None
    return [*found], found.failure


def test_exception_in_the_learners_attention() -> None:
    """The failing operation is named with the shapes that did not fit, and the results before it are steps."""
    paths, failure = failed(no_transpose)
    assert paths[-4:] == [*INPUTS, "layers.0.attention.scale"]
    assert failure.path == "layers.0.attention"
    assert (failure.operation, failure.arguments) == ("matmul", ("scale (1, 3, 9, 8)", "key (1, 3, 9, 8)"))
    assert failure.line == "scores = scale @ key"
    assert failure.code.startswith("tests/study/stepthrough/test_failure.py:")
    assert failure.error.startswith("RuntimeError: ")
    assert all(part in str(failure) for part in ("layers.0.attention", failure.code, failure.line, "scale (1, 3, 9, 8)"))


def test_steps_that_the_learner_observed_have_the_documentation_of_the_equation() -> None:
    """Later results that have no name with `observe` follow, each with its own operation and axes."""
    found = walked(observes)
    scores, weights, _ = found.steps[-3:]
    assert scores.path == "layers.0.attention.scores"
    assert scores.formula.startswith("S =")
    assert [axis.labels is not None for axis in scores.axes] == [False, False, True, True]
    assert weights.path == "layers.0.attention.weights"
    assert [axis.name for axis in weights.axes] == ["batch", "heads", "queries", "keys"]
    assert [leaf.name for leaf in weights.inputs] == [scores.path]
    assert "observe" in weights.explanation
    torch.testing.assert_close(weights.output, scores.output.softmax(-1))


@pytest.mark.parametrize(
    ("attention", "operation", "error"),
    [
        (heads_last, "", r"returned a tensor of shape \(1, 9, 3, 8\): it must be \(1, 3, 9, 8\)"),
        (not_a_number, "div", r"returned a tensor in which 216 of 216 numbers are NaN or infinite"),
        (in_place, "", "changed its argument query in place"),
        (in_double, "", r"returned a tensor of torch\.float64: it must be torch\.float32"),
        (nothing, "", "returned None: is a return statement missing"),
        (a_tuple, "", "returned a tuple of 2"),
        (misspelled, "", "NameError: name 'score' is not defined"),
        (three_arguments, "", "Define it as def three_arguments"),
    ],
)
def test_invalid_result_or_signature(attention: Callable[..., Any], operation: str, error: str) -> None:
    """The recorded inputs keep their numbers, also if the function changes its arguments."""
    found = walked(attention)
    correct = walked(scaled_dot_product_attention)
    assert found.failure is not None
    assert found.failure.operation == operation
    assert error.replace("\\", "") in found.failure.error
    assert attention.__name__ in found.failure.line or attention is misspelled
    assert not any(path.startswith("layers.1") or path == "layers.0.attention.context" for path in found)
    for path in INPUTS:
        assert torch.equal(found[path].output, correct[path].output)


def test_returned_tensor_of_a_wrong_shape_is_the_last_step() -> None:
    last = walked(heads_last).steps[-1]
    assert last.path == "layers.0.attention.result"
    assert last.output.shape == (1, 9, 3, 8)
    assert [axis.name for axis in last.axes] == ["batch", "queries", "heads", "value_width"]


def test_attention_without_mistakes_has_a_context() -> None:
    """A function that observes nothing, one of PyTorch, and the equation itself, whose context is observed twice."""
    plain = walked(lambda query, key, value, *_: (query @ key.mT / math.sqrt(8)).softmax(-1) @ value)
    for attention in (scaled_dot_product_attention, functional.scaled_dot_product_attention):
        correct = walked(attention)
        assert correct.failure is plain.failure is None
        for path in ("layers.1.attention.context", "mlm.probabilities"):
            torch.testing.assert_close(plain[path].output, correct[path].output)
    assert plain["layers.0.attention.context"].formula
    assert walked(scaled_dot_product_attention)["layers.0.attention.context"].equation == "scaled_dot_product_attention"


def test_fused_attention_is_replaced() -> None:
    """The formula has more steps. The choice of the model stays."""
    model = random_network(BertForMaskedLM, CONFIG, TOKENIZER).set_attention("fused")
    assert "layers.1.attention.weights" in walk(model, TOKENIZER, TEXT)
    assert model.attention_in_use().startswith("fused")


def test_other_code_that_fails() -> None:
    """A module of the user has a wrong width: the addition behind it fails."""

    class Narrow(nn.Module):
        def forward(self, hidden: Tensor) -> Tensor:
            return hidden[..., :-1]

    model = random_network(BertForMaskedLM, CONFIG, TOKENIZER)
    model.bert.layers[1].feed_forward = Narrow()
    found = walk(model, TOKENIZER, TEXT)
    assert found.failure is not None
    assert (found.failure.path, found.failure.operation) == ("layers.1", "add")
    assert found.failure.arguments == ("attention_norm (1, 9, 24)", "getitem (1, 9, 23)")
    assert found.failure.code.startswith("minibert/model/layers.py:")


def test_attention_that_fails_in_a_decoder_without_a_target() -> None:
    """The target is generated with minibert's attention."""
    config = TransformerConfig(hidden_size=24, num_attention_heads=3, intermediate_size=16, encoder_layers=1, decoder_layers=1)
    found = walked(no_transpose, random_network(Transformer, config, TOKENIZER))
    assert found.failure is not None
    assert found.failure.path == "encoder.layers.0.attention"


def test_invalid_input_is_an_error() -> None:
    """No step has been computed."""
    with pytest.raises(ValueError, match="16"):
        walk(random_network(BertForMaskedLM, CONFIG, TOKENIZER), TOKENIZER, "the " * 40)


def test_interruption_is_no_failure() -> None:
    def interrupted(*_: Any) -> Iterator[Tensor]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walked(interrupted)


def test_code_without_a_file(tmp_path: Path) -> None:
    """Such as a cell of a notebook whose text is not available."""
    scope: dict[str, Any] = {}
    exec(compile("def attention(query, key, value, keep, dropout):\n    return query @ key", "<cell>", "exec"), scope)
    _, failure = failed(scope["attention"])
    assert (failure.code, failure.line, failure.operation) == ("<cell>:2", "", "matmul")


def test_operations_that_the_views_cannot_repeat() -> None:
    """The page has the numbers without an expression. Axes may be named."""

    def attention(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> Tensor:
        scores = torch.cumsum(query @ key.transpose(dim0=-2, dim1=-1), -1)
        return observe("weights", scores.softmax(-1)) @ value @ value

    found = walked(attention)
    steps = {step["path"]: step for step in PageData(found).to_json()["steps"]}
    assert steps["layers.0.attention.weights"]["expression"] is None
    with pytest.raises(UnknownOperation, match="cumsum is not known"):
        evaluate(found["layers.0.attention.weights"].expression)
    assert steps["layers.0.attention.query"]["expression"] is not None


def test_text_and_page_show_the_failure() -> None:
    """The page has it at the last step."""
    found = walked(heads_last)
    assert "then the forward pass failed in layers.0.attention" in found.summary
    assert "returned a tensor of shape (1, 9, 3, 8)" in str(found)
    steps = PageData(found, None, {}, {}).to_json()["steps"]
    assert [step["path"] for step in steps if step["failure"] is not None] == ["layers.0.attention.result"]
    assert steps[-1]["failure"] == str(found.failure)
