"""SemEval-2017 task 4A as published: tab-separated id, label and text, in a file for each year and part.

Rosenthal, Farra, Nakov (2017), "SemEval-2017 Task 4: Sentiment Analysis in Twitter".
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipelines.social_sentiment.lines import as_written, read_lines
from shared.contracts.convert import UTC_MICROSECONDS

SEMEVAL = "semeval2017"
_FILES = ("twitter-*-A.tsv", "twitter-*-A.txt")
# From November 2010 on ids hold milliseconds since this moment above their lower 22 bits; before, they were counted.
_EPOCH_MS = 1_288_834_974_657
_LAST_COUNTED = 30_000_000_000


def semeval_files(folder: Path) -> tuple[Path, ...]:
    """The files of the task in a folder, ascending; none where it holds something else."""
    return tuple(sorted({path for pattern in _FILES for path in folder.glob(pattern)}))


def read_semeval(folder: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """post_id, text, time and label of all tweets, each id once, and notes. Fields that a row lacks are null.

    An id with two labels is left out altogether, since nothing says which one is right. Raises RequestError for files
    that are not UTF-8 text.
    """
    files = semeval_files(folder)
    raw = pl.concat(_rows(path) for path in files)
    once, notes = _each_id_once(raw)
    text, changed = as_written(once["text"])
    frame = once.with_columns(text, tweet_times(once["post_id"]).alias("time"))
    read = f"{raw.height:,} rows in {len(files)} files of SemEval-2017."
    return frame.select("post_id", "text", "time", "label"), (read, *notes, *changed)


def tweet_times(ids: pl.Series) -> pl.Series:
    """When tweets of these ids were posted, UTC; null for ids of before November 2010 and for what is no id."""
    numbers = ids.cast(pl.Int64, strict=False)
    counted = (numbers <= _LAST_COUNTED).fill_null(False)
    milliseconds = numbers.set(counted, None) // (1 << 22) + _EPOCH_MS
    return (milliseconds * 1000).cast(UTC_MICROSECONDS)


def _rows(path: Path) -> pl.DataFrame:
    """Only two tabs part fields: a text may hold further ones, and in one file all end with one."""
    fields = pl.Series("fields", read_lines(path)).str.splitn("\t", 3).struct.unnest()
    return fields.rename({"field_0": "post_id", "field_1": "label", "field_2": "text"}).with_columns(
        pl.col("post_id", "label").str.strip_chars()
    )


def _each_id_once(raw: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    labels = raw.group_by("post_id").agg(pl.col("label").n_unique().alias("labels"))
    conflicting = labels.filter(pl.col("labels") > 1)["post_id"]
    agreeing = raw.filter(~pl.col("post_id").is_in(conflicting.implode()))
    once = agreeing.unique("post_id", keep="first", maintain_order=True)
    return once, tuple(_notes(agreeing.height - once.height, len(conflicting), raw.height - agreeing.height))


def _notes(num_repeated: int, num_conflicting: int, num_rows: int) -> Iterator[str]:
    if num_repeated:
        yield f"{num_repeated:,} rows repeat an id with the same label: read once."
    if num_conflicting:
        yield f"{num_conflicting:,} ids come with different labels: their {num_rows:,} rows are left out."
