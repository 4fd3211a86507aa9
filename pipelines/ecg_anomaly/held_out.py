"""Scores of test beats that travel with a model, so that a later one can be compared with it.

A served detector may have learnt from every recording, so it cannot be tested on any. What can be compared are the
scores that detectors gave to patients whom they had not seen. Recordings are named by a digest: whoever has the bundle
alone learns nothing about whose they were.
"""

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.ecg_anomaly.config import EcgConfig
from pipelines.ecg_anomaly.evaluate import ABNORMAL, NORMAL
from pipelines.ecg_anomaly.predictions import SCORE
from shared.evaluation.binary import roc_auc
from shared.evaluation.compare import paired_bootstrap

TEST_SCORES = "test_scores.parquet"
_KEY = ("recording", "number")
# Less in common than this, and two models were not tested on the same question.
_LEAST_IN_COMMON = 0.5


def scores_to_keep(table: pl.DataFrame) -> bytes:
    """The scores of a table of predictions, see `predictions.predict_fold`, as a Parquet file."""
    file = io.BytesIO()
    keyed(table).select(*_KEY, pl.col(SCORE).cast(pl.Float32)).write_parquet(file)
    return file.getvalue()


def keyed(table: pl.DataFrame) -> pl.DataFrame:
    """The table with what names a beat: a digest of its recording's name and number of beats, and its own number."""
    counts = dict(table.group_by("record").len().iter_rows())
    digests = {
        name: hashlib.sha256(f"{name}\0{count}".encode()).hexdigest()[:16] for name, count in counts.items()
    }
    return table.with_columns(
        recording=pl.col("record").replace_strict(digests, return_dtype=pl.String),
        number=pl.int_range(pl.len()).over("record"),
    )


def compare(mine: pl.DataFrame, theirs: pl.DataFrame, config: EcgConfig) -> Mapping[str, Any] | None:
    """The difference in AUROC of two models on the beats that both were tested on; None where these are too few.

    mine: predictions of the challenger. theirs: what `scores_to_keep` wrote for the champion. Patients are drawn anew.
    """
    known = keyed(mine).filter(pl.col("beat_class").is_in((NORMAL, *ABNORMAL)))
    both = known.join(theirs.rename({SCORE: "champion"}), on=_KEY, how="inner")
    if both.height < _LEAST_IN_COMMON * known.height:
        return None
    comparison = paired_bootstrap(
        roc_auc,
        (both["beat_class"] != NORMAL).to_numpy().astype(int),
        both[SCORE].to_numpy(),
        both["champion"].to_numpy(),
        groups=both["patient"].to_numpy(),
        num_replicates=config.evaluation.num_bootstraps,
        seed=config.seed,
    )
    return comparison.to_json() | {"metric": "AUROC"}
