"""The quarantined rows: as given, with their row number and, in words, every rule that they break."""

from collections.abc import Sequence

import polars as pl

from shared.contracts.properties import RESERVED_NAMES
from shared.contracts.rules import RowRule

MAX_VALUE_CHARACTERS = 40
# Reasons are built for this many rows at a time: the text of one rule for all rows of a broken 10-million-row
# table would be larger than the table.
ROWS_PER_BATCH = 100_000


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
    texts = []
    for mask, failure in zip(masks, failures, strict=True):
        if not mask.any():
            continue
        start = f"{failure.column}: {failure.rule} (expected {failure.expected}"
        text = pl.lit(f"{start})")
        if failure.received is not None:
            received = _value_text(pl.col(failure.received), rows.schema[failure.received])
            text = pl.concat_str(pl.lit(f"{start}, received "), received, pl.lit(")"))
        texts.append(pl.when(mask).then(text))
    return rows.select(pl.concat_str(texts, separator="; ", ignore_nulls=True)).to_series()


def shown(values: pl.Series) -> list[str]:
    """Values as they appear in messages: text quoted, cut at 40 characters, control characters taken out."""
    return values.to_frame("value").select(_value_text(pl.col("value"), values.dtype)).to_series().to_list()


def _value_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_nested() or dtype == pl.Binary:
        return pl.when(value.is_null()).then(pl.lit("null")).otherwise(pl.lit("a nested value"))
    text = value.cast(pl.String)
    if dtype.base_type() in (pl.String, pl.Categorical, pl.Enum):
        # A terminal or a log must not obey what a data file says.
        clean = text.str.slice(0, MAX_VALUE_CHARACTERS + 1).str.replace_all(r"\p{C}", " ")
        too_long = clean.str.len_chars() > MAX_VALUE_CHARACTERS
        cut = pl.when(too_long).then(clean.str.slice(0, MAX_VALUE_CHARACTERS) + "…").otherwise(clean)
        text = pl.concat_str(pl.lit("'"), cut, pl.lit("'"))
    return text.fill_null("null")
