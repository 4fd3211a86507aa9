"""Labels of a user's own table as the names of a task, whatever they are written as."""

from collections.abc import Sequence

import polars as pl

from pipelines.social_sentiment.config import DataConfig
from pipelines.social_sentiment.schema import LABELS
from shared.data.identifiers import ids_as_text
from shared.errors import RequestError

_MAX_LABELS = 50
_NUM_SHOWN = 8
_WAY_OUT = "say what they mean, --set data.label_names=[VALUE=NAME,VALUE=NAME] and data.labels=[NAME,NAME]"


def named_labels(values: pl.Series, config: DataConfig) -> tuple[pl.Series, tuple[str, ...], tuple[str, ...]]:
    """The values as names of labels, the labels in their order, and notes.

    By `data.label_names` first; then a name in any case is that name; whole numbers count the labels from 0, or are -1,
    0 and 1 for three. Without `data.labels` the labels are those of negative, neutral and positive that are there, or,
    where none is, all values. What is no label is left as it is, for the contract to judge. Raises RequestError for
    numbers that can be read in two ways, and for fewer than two labels.
    """
    given = ids_as_text(values).cast(pl.String).str.strip_chars()
    texts = given.set(given == "", None).replace(config.label_names or {})
    there = texts.drop_nulls().unique(maintain_order=True).to_list()
    if _are_whole_numbers(there):
        labels = config.labels or LABELS
        names = _counted_from(sorted(map(int, there)), labels)
        note = f"Labels are read as {', '.join(f'{number} {name}' for number, name in names.items())}."
        return texts.replace(names), labels, (note,)
    labels = config.labels or _own_labels(there)
    spelt = {label.casefold(): label for label in labels}
    names = {text: spelt[text.casefold()] for text in there if text.casefold() in spelt}
    named = texts.replace(names)
    notes = () if set(labels) == set(LABELS) else (f"The labels are {', '.join(labels)}, in this order.",)
    return named, labels, notes


def _are_whole_numbers(texts: Sequence[str]) -> bool:
    return bool(texts) and all(text.removeprefix("-").isdecimal() and text.isascii() for text in texts)


def _counted_from(numbers: Sequence[int], labels: Sequence[str]) -> dict[str, str]:
    """Name of each number. Only all numbers of one way of counting say that it is this one."""
    for first in (0, -1) if len(labels) == 3 else (0,):
        if list(numbers) == list(range(first, first + len(labels))):
            return {str(first + place): label for place, label in enumerate(labels)}
    shown = ", ".join(map(str, numbers[:_NUM_SHOWN]))
    raise RequestError(
        f"Expected labels by name, or numbers from 0 to {len(labels) - 1} for {', '.join(labels)}. Received {shown}: "
        f"{_WAY_OUT}."
    )


def _own_labels(texts: Sequence[str]) -> tuple[str, ...]:
    folded = {text.casefold() for text in texts}
    usual = tuple(label for label in LABELS if label in folded)
    if usual or not texts:
        return usual if len(usual) > 1 else LABELS
    found = tuple(sorted(set(texts)))
    if not 2 <= len(found) <= _MAX_LABELS:
        shown = ", ".join(repr(text[:40]) for text in found[:_NUM_SHOWN])
        raise RequestError(
            f"Expected 2 to {_MAX_LABELS} different labels. Received {len(found):,} ({shown}): name the column of the "
            f"labels with data.columns, or {_WAY_OUT}."
        )
    return found
