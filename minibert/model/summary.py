"""The HTML that a notebook shows for a network: its config, and its modules with their numbers of parameters."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import groupby

from torch import nn

from minibert.display import escape, table
from minibert.model.config import ModelConfig

MAX_LENGTH = 60
"""Maximum length of a value of the config."""


def network_html(network: nn.Module, config: ModelConfig, source: str | None) -> str:
    """Return a paragraph about the network and a table of its modules. Equal layers share a row."""
    total = count_parameters(network.parameters())
    trained = count_parameters(parameter for parameter in network.parameters() if parameter.requires_grad)
    facts = [f"{total:,} parameters", *([f"{trained:,} of them trained"] if trained < total else [])]
    facts += [f"loaded from {source}"] if source else []
    rows = [(name, type(module).__name__, module.extra_repr(), f"{size:,}") for name, module, size in modules(network)]
    return (
        f"<p><b>{escape(type(network).__name__)}</b>: {escape(', '.join(facts))}<br>{escape(describe(config))}</p>\n"
        + table(["module", "type", "settings", "parameters"], rows)
    )


def describe(config: ModelConfig) -> str:
    """Return the fields of a config in one line. Of the classes, their number; a field without a value is left out."""
    values = {field.name: getattr(config, field.name) for field in fields(config) if field.repr}
    values = {name: f"{len(value)} classes" if isinstance(value, dict) else value for name, value in values.items()}
    return ", ".join(f"{name}={str(value)[:MAX_LENGTH]}" for name, value in values.items() if value is not None)


def modules(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module, int]]:
    """Yield path, module, and number of parameters in it, of each module with settings or parameters of its own.

    Consecutive equal modules of a list, such as the layers of BERT, are yielded once, as "layers.0-11", with the parameters of
    all of them. The modules in the first of them follow.
    """
    for _, group in groupby(network.named_children(), key=lambda item: repr(item[1]) if item[0].isdigit() else item[0]):
        members = [*group]
        (first, module), (last, _) = members[0], members[-1]
        path = f"{prefix}.{first}".lstrip(".")
        name = path if first == last else f"{path}-{last}"
        size = count_parameters(parameter for _, member in members for parameter in member.parameters())
        if size and (first != last or module.extra_repr() or any(True for _ in module.parameters(recurse=False))):
            yield name, module, size
        yield from modules(module, name)


def count_parameters(parameters: Iterable[nn.Parameter]) -> int:
    """Return the number of numbers in some parameters."""
    return sum(parameter.numel() for parameter in parameters)
