"""Labels that a model gave to its test posts, which travel with it so that a later one can be compared with it.

The posts of a champion's test may be in the training of its challenger, and the other way round: what can be compared
is what both said of posts that were new to both. Posts are named by a digest: a bundle holds no text.
"""

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.social_sentiment.classes import ClassResults, macro_recall
from pipelines.social_sentiment.config import SentimentConfig
from pipelines.social_sentiment.predictions import NETWORK

TEST_LABELS = "test_labels.parquet"
_KEY, _CHAMPION = "digest", "champion"
# Less in common than this, and two models were not tested on the same question.
_LEAST_IN_COMMON = 0.5


def labels_to_keep(table: pl.DataFrame, texts: pl.Series) -> bytes:
    """Number of the label of each test post as a Parquet file; table: see `predictions.predict_test`."""
    file = io.BytesIO()
    _keyed(table, texts).select(_KEY, pl.col(NETWORK).cast(pl.Int32)).write_parquet(file)
    return file.getvalue()


def compare(
    mine: pl.DataFrame, texts: pl.Series, theirs: pl.DataFrame, num_labels: int, config: SentimentConfig
) -> Mapping[str, Any] | None:
    """The difference of two models in macro-recall on the posts that both were tested on; None where these are few.

    mine, texts: the challenger's test table and its posts. theirs: what `labels_to_keep` wrote for the champion. Groups
    of posts that say the same are drawn anew.
    """
    both = _keyed(mine, texts).join(theirs.rename({NETWORK: _CHAMPION}), on=_KEY, how="inner")
    if both.height < _LEAST_IN_COMMON * mine.height:
        return None
    results = ClassResults(
        both["truth"].to_numpy(),
        {NETWORK: both[NETWORK].to_numpy(), _CHAMPION: both[_CHAMPION].to_numpy()},
        num_labels,
        groups=both["group"].to_numpy(),
        num_replicates=config.evaluation.num_bootstraps,
        seed=config.seed,
    )
    found = results.compare(NETWORK, _CHAMPION, macro_recall, "macro_recall")
    return found.to_json() | {"metric": "macro-recall"}


def _keyed(table: pl.DataFrame, texts: pl.Series) -> pl.DataFrame:
    """By number and text: the numbers of rows say nothing once a table has grown."""
    digests = [
        hashlib.sha256(f"{post_id}\0{text}".encode()).hexdigest()[:16]
        for post_id, text in zip(table["post_id"], texts, strict=True)
    ]
    return table.with_columns(pl.Series(_KEY, digests, dtype=pl.String))
