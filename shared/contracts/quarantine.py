"""The quarantined rows: as given, with their row number and, in words, every rule that they break."""

from collections.abc import Sequence

import polars as pl

from shared.contracts.consistency import RESERVED_NAMES
from shared.contracts.rules import RowRule

MAX_VALUE_CHARACTERS = 40
# Reasons are built for this many rows and rules at a time: all texts of a broken table of a million
# rows would be larger than it, and one expression over 10,000 columns takes minutes to plan (205 s).
ROWS_PER_BATCH = 20_000
RULES_PER_GROUP = 64


def any_broken(failures: Sequence[RowRule], num_rows: int) -> pl.Series:
    """Which rows break at least one rule."""
    broken = pl.repeat(False, num_rows, dtype=pl.Boolean, eager=True)
    for failure in failures:
        broken = broken | failure.broken
    return broken


def quarantined_rows(
    frame: pl.DataFrame, in_quarantine: pl.Series, failures: Sequence[RowRule]
) -> pl.DataFrame:
    """The rows of the mask with `row_number` (1-based) and `broken_rules`, in the order of the input."""
    rows = frame.filter(in_quarantine)
    masks = [failure.broken.filter(in_quarantine) for failure in failures]
    reasons = [
        _reasons(
            rows.slice(start, ROWS_PER_BATCH), [mask.slice(start, ROWS_PER_BATCH) for mask in masks], failures
        )
        for start in range(0, rows.height, ROWS_PER_BATCH)
    ]
    return rows.drop(RESERVED_NAMES, strict=False).with_columns(
        (in_quarantine.arg_true().cast(pl.Int64) + 1).alias("row_number"),
        (pl.concat(reasons) if reasons else pl.Series(dtype=pl.String)).alias("broken_rules"),
    )


def _reasons(rows: pl.DataFrame, masks: Sequence[pl.Series], failures: Sequence[RowRule]) -> pl.Series:
    """One text per row, over groups of rules."""
    broken = [(mask, failure) for mask, failure in zip(masks, failures, strict=True) if mask.any()]
    groups = [
        _joined([_reason(rows, mask, failure) for mask, failure in broken[start : start + RULES_PER_GROUP]])
        for start in range(0, len(broken), RULES_PER_GROUP)
    ]
    return _joined(groups)


def _reason(rows: pl.DataFrame, mask: pl.Series, failure: RowRule) -> pl.Series:
    """The rule in words where the mask is true, else null."""
    start = f"{failure.column}: {failure.rule} (expected {failure.expected}"
    if failure.received is None:
        text = pl.Series([f"{start})"]).new_from_index(0, len(mask))
    else:
        text = f"{start}, received " + _texts(rows[failure.received]) + ")"
    return text.set(mask.not_(), None)


def _joined(texts: Sequence[pl.Series]) -> pl.Series:
    frame = pl.DataFrame([text.alias(str(position)) for position, text in enumerate(texts)])
    joined = frame.select(pl.concat_str(pl.all(), separator="; ", ignore_nulls=True)).to_series()
    return joined.set(joined.str.len_bytes() == 0, None)


def shown(values: pl.Series) -> list[str]:
    """Values as they appear in messages: text quoted, cut at 40 characters, control characters taken out."""
    return _texts(values).to_list()


def _texts(values: pl.Series) -> pl.Series:
    if values.dtype.is_nested() or values.dtype == pl.Binary:
        return pl.Series(["a nested value"]).new_from_index(0, len(values)).set(values.is_null(), "null")
    text = values.cast(pl.String)
    if values.dtype.base_type() in (pl.String, pl.Categorical, pl.Enum):
        # A terminal or a log must not obey what a data file says.
        clean = text.str.slice(0, MAX_VALUE_CHARACTERS + 1).str.replace_all(r"\p{C}", " ")
        too_long = (clean.str.len_chars() > MAX_VALUE_CHARACTERS).fill_null(False)
        cut = clean.zip_with(too_long.not_(), clean.str.slice(0, MAX_VALUE_CHARACTERS) + "…")
        text = "'" + cut + "'"
    return text.fill_null("null")
