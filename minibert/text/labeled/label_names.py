"""Names of classes: their order, those of a checkpoint, and classes without examples."""

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from minibert.text.labeled.column_roles import listed
from minibert.text.labeled.duplicates import finding_at, place
from minibert.text.labeled.findings import Finding, LabeledData, LabeledDataError
from minibert.text.labeled.label_reader import labels_of, rename
from minibert.text.labeled.label_values import number, skeleton
from minibert.text.labeled.text_rows import TextRow

PLACEHOLDER = re.compile(r"LABEL_[0-9]+")
"""Name that Hugging Face's configs give to a class without a name."""
CLASSES_LISTED = 5
"""Number of classes that have a finding of their own."""


def label_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return different labels in order: by value if all are numbers, else by their characters.

    >>> label_order(["10", "9", "-1", "9"]), label_order(["b", "10", "9"])
    (('-1', '9', '10'), ('10', '9', 'b'))
    """
    unique = {*labels}
    if all(number(label) is not None for label in unique):
        return tuple(sorted(unique, key=lambda label: (Decimal(label), label)))
    return tuple(sorted(unique))


@dataclass(frozen=True)
class LabelMatch:
    """Labels of data, and those of a model with the same meaning."""

    labels: tuple[str, ...]
    """Labels of the model, in the order of its logits."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Labels of the data that are written in another way in the model, with their names in the model."""
    note: str = ""
    """Description of the match, for display; "" for none."""

    def rename(self, row: TextRow) -> TextRow:
        """Return a row with the labels of the model."""
        return rename(row, self.names)


def labels_to_train(found: Collection[str], stored: Sequence[str]) -> LabelMatch:
    """Choose the labels of a model that is trained on data, from a checkpoint that has labels.

    The labels of the checkpoint are kept, in their order, if all labels of the data are among them.

    Args:
        found: labels of the data.
        stored: labels of the checkpoint, in the order of its logits. LABEL_0 and the like are no names, but may be the
            numbers of the data.

    Raises: LabeledDataError if the data have numbers, and the checkpoint has names: which means which is not known.
    """
    names = _match(found, stored)
    if len(names) == len(found):
        changed = {label: name for label, name in names.items() if label != name}
        note = f"labels: {listed(stored)}, in the order of the checkpoint" + (f"; {_renamed(changed)}" if changed else "")
        return LabelMatch(tuple(stored), changed, note)
    order = label_order(found)
    if has_names(stored):
        _refuse_numbers(found, stored)
        others = f"those of the checkpoint are {listed(stored)}, so its output layer is replaced"
        return LabelMatch(order, {}, f"labels: {listed(order)}; {others}")
    if [f"LABEL_{label}" for label in order] == [*stored]:
        return LabelMatch(order, {}, f"labels: {listed(order)}, which the checkpoint calls {listed(stored)}")
    return LabelMatch(order, {}, f"labels: {listed(order)}")


def labels_to_score(found: Collection[str], stored: Sequence[str]) -> LabelMatch:
    """Match the labels of data by name with those of a model that has been trained.

    Labels of the data that the model does not have are not renamed: its predictions for their texts are wrong.

    Raises: LabeledDataError that lists both, if no label of the data is one of the model, or if both have the same count of
        numbers, but not the same numbers, such as 1, 2, 3 and 0, 1, 2.
    """
    names = _match(found, stored)
    note = ""
    if not names and not has_names(stored):
        names = {label: f"LABEL_{label}" for label in found if f"LABEL_{label}" in stored}
        names = names if len(names) == len(found) else {}
        note = f"the model has no names of labels: {_renamed(names)}" if names else ""
    numbered = all(number(label) is not None for label in (*found, *stored))
    if found and (not names or (numbered and len(names) < len(found) == len(stored))):
        _refuse_numbers(found, stored)
        raise LabeledDataError(
            f"the labels of the data are {listed(label_order(found))}, and those of the model {listed(stored)}; "
            f"give each label its name in the model: --label-names {_example(found)}"
        )
    changed = {label: name for label, name in names.items() if label != name}
    return LabelMatch(tuple(stored), changed, note or (f"labels of the model: {_renamed(changed)}" if changed else ""))


def has_names(stored: Sequence[str]) -> bool:
    """Return True if the labels of a model are names, and not LABEL_0, LABEL_1, …"""
    return not all(map(PLACEHOLDER.fullmatch, stored))


def _match(found: Collection[str], stored: Sequence[str]) -> dict[str, str]:
    """Return the labels of a model by those of data: with the same name, else the only one that differs in case or blanks."""
    alike = Counter(map(skeleton, stored)) + Counter(map(skeleton, {*found} - {*stored}))
    by_skeleton = {skeleton(name): name for name in stored if name not in found}
    names = {label: label if label in stored else by_skeleton.get(skeleton(label)) for label in found}
    return {label: name for label, name in names.items() if name is not None and (label == name or alike[skeleton(label)] == 2)}


def _refuse_numbers(found: Collection[str], stored: Sequence[str]) -> None:
    if all(number(label) is not None for label in found) and not any(number(label) is not None for label in stored):
        raise LabeledDataError(
            f"the labels of the data are the numbers {listed(label_order(found))}, and those of the checkpoint are names: "
            f"{listed(stored)}. Give the name of each number: --label-names {_example(found)}"
        )


def _example(found: Collection[str]) -> str:
    return shlex.quote(",".join(f"{label}=NAME" for label in label_order(found)[:CLASSES_LISTED]))


def _renamed(names: Mapping[str, str]) -> str:
    return ", ".join(f"{label!r} is {name!r}" for label, name in [*names.items()][:CLASSES_LISTED])


def check_labels(train: LabeledData[TextRow], validation: LabeledData[TextRow]) -> list[Finding]:
    """Return findings about classes: only one, one with a single text, and classes that are only in the validation data."""
    rows: dict[str, list[TextRow]] = {}
    for row in train.rows:
        for label in labels_of(row):
            rows.setdefault(label, []).append(row)
    findings = []
    is_single_label = any(isinstance(row.label, str) for row in train.rows)
    if train.rows and not rows:
        findings.append(Finding(train.name, None, "no text has a label", is_error=True))
    if len(rows) == 1 and is_single_label:
        message = f"all training rows have the label {next(iter(rows))!r}; a classifier needs texts of at least two classes"
        findings.append(Finding(train.name, None, message, is_error=True))
    single = [(label, found[0]) for label, found in rows.items() if len(found) == 1]
    for label, row in single[:CLASSES_LISTED]:
        hint = "; delete it if it is a header" if row.line == 1 and row.unit == "line" else ""
        findings.append(finding_at(row, f"is the only training text with the label {label!r}{hint}"))
    if more := len(single) - len(single[:CLASSES_LISTED]):
        findings.append(Finding(train.name, None, f"{more:,} more labels have only one text"))
    return findings + _check_validation(rows.keys(), validation)


def find_similar(rows: Iterable[TextRow]) -> list[Finding]:
    """Return findings about labels that differ only in the way they are written, in one file or in several."""
    first: dict[str, TextRow] = {}
    for row in rows:
        for label in labels_of(row):
            first.setdefault(label, row)
    are_scores = any(number(label) is not None and "." in label for label in first)
    findings = []
    spellings: dict[str, str] = {}
    for label, row in first.items():
        if are_scores and number(label) is not None:
            continue
        other = spellings.setdefault(skeleton(label), label)
        if other != label:
            where = f"{other!r} in {place(first[other], row)}"
            message = f"the label {label!r} and {where} differ only in the way they are written; they are two classes"
            findings.append(finding_at(row, message))
    return findings


def check_pairs(train: LabeledData[TextRow], validation: LabeledData[TextRow]) -> list[Finding]:
    """Return an error if some rows are pairs of texts and others are single texts."""
    rows = [*train.rows, *validation.rows]
    row = next((row for row in rows if (row.pair is None) != (rows[0].pair is None)), None)
    if row is None:
        return []
    texts = ("one text", "pairs") if row.pair is None else ("a pair of texts", "one text")
    message = f"has {texts[0]}, where other rows have {texts[1]}; choose the same columns with --text-column and --pair-column"
    return [finding_at(row, message, is_error=True)]


def _check_validation(known: Collection[str], validation: LabeledData[TextRow]) -> list[Finding]:
    unknown: dict[str, list[TextRow]] = {}
    for row in validation.rows:
        for label in labels_of(row):
            if label not in known:
                unknown.setdefault(label, []).append(row)
    alike = {skeleton(label): label for label in known}
    findings = []
    for label, found in unknown.items():
        hint = f"; the training data have {alike[skeleton(label)]!r}" if skeleton(label) in alike else ""
        message = (
            f"the label {label!r} is not in the training data{hint}; predictions for it count as wrong ({len(found):,} rows)"
        )
        findings.append(finding_at(found[0], message))
    found_labels = {label for row in validation.rows for label in labels_of(row)}
    if len(found_labels) == 1 and len(known) > 1:
        findings.append(Finding(validation.name, None, f"all validation rows have the label {next(iter(found_labels))!r}"))
    return findings
