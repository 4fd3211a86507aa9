"""What is known of frauds, and since when."""

from datetime import timedelta

import polars as pl


def has_labels(frame: pl.DataFrame) -> bool:
    """Whether it is known of any transaction if it was fraud."""
    return "is_fraud" in frame.columns and frame["is_fraud"].null_count() < frame.height


def known_at(columns: list[str], delay_days: int) -> pl.Expr:
    """The moment at which the label of a transaction became known, for a table with these columns.

    Where the table does not say, `delay_days` after the transaction. Never before or at the moment of the transaction
    itself: no label can tell about its own transaction, nor about one that came in at the same instant.
    """
    after_delay = pl.col("time") + timedelta(days=delay_days)
    stated = pl.coalesce("label_time", after_delay) if "label_time" in columns else after_delay
    return pl.max_horizontal(stated, pl.col("time") + timedelta(microseconds=1))
