"""What the steps say of a table in words, before anything is trained."""

from datetime import timedelta

import polars as pl
import pytest

from pipelines.fraud_detection import steps
from pipelines.fraud_detection.config import DataConfig, FeatureConfig, ProtocolConfig
from pipelines.fraud_detection.generator import generate

TEST_DAYS = 7


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return generate(300, 600, 70, seed=0).frame.drop("scenario")


def divided(frame: pl.DataFrame, path, *, use_head: bool = True) -> steps.Divided:
    frame.write_parquet(path)
    data, features = DataConfig(), FeatureConfig()
    ingested = steps.ingest.function(steps.identify(str(path), data), data, 0)
    featured = steps.featurise.function(ingested, features, data.categories)
    return steps.split.function(featured, ProtocolConfig(num_folds=2), features, use_head)


def last_days(frame: pl.DataFrame) -> pl.Expr:
    return pl.col("time").dt.date() > frame["time"].max().date() - timedelta(days=TEST_DAYS)


def without_labels(frame: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(is_fraud=pl.when(where).then(None).otherwise("is_fraud"))


def test_newest_week_without_labels_is_named_as_not_measured_and_all_the_rest_learns_with_labels(
    frame, tmp_path
):
    found = divided(without_labels(frame, last_days(frame)), tmp_path / "own.parquet")
    assert found.with_head
    [note] = found.notes
    assert f"in the test from {found.folds[-1].test_start:%Y-%m-%d} on" in note
    assert divided(frame, tmp_path / "own.parquet").notes == ()


def test_training_week_without_labels_says_that_the_autoencoder_is_served(frame, tmp_path):
    fold = divided(frame, tmp_path / "own.parquet").folds[-1]
    where = pl.col("time").is_between(fold.train_start, fold.train_end, closed="left")
    found = divided(without_labels(frame, where), tmp_path / "own.parquet")
    assert not found.with_head
    [note] = found.notes
    assert "no model with labels is trained" in note


def test_table_without_any_label_needs_no_note(frame, tmp_path):
    for table in (frame.drop("is_fraud"), without_labels(frame, pl.lit(True))):
        found = divided(table, tmp_path / "own.parquet")
        assert found.notes == ()
        assert not found.with_head
