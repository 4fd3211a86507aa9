"""The Handbook's transactions: read whole, with its features, its folds and its numbers for Mahalanobis' distance."""

import os
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from pipelines.fraud_detection.audit import audit_folds
from pipelines.fraud_detection.config import DataConfig, FeatureConfig, ProtocolConfig
from pipelines.fraud_detection.data import load_transactions
from pipelines.fraud_detection.features import compute_features
from pipelines.fraud_detection.metrics import card_precision_at_k
from pipelines.fraud_detection.protocol import Fold, Parts, divide, folds, unlabelled_periods
from pipelines.fraud_detection.streaming import FeatureState, Transaction
from shared.contracts.contract import load
from shared.contracts.table import check_table

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("FIELDWORK_DATA" not in os.environ, reason="needs FIELDWORK_DATA"),
]

CONFIG = FeatureConfig()
DELAY = CONFIG.label_delay_days
WINDOWS = CONFIG.windows_days
HANDBOOK_FEATURES = (
    "amount",
    "during_weekend",
    "during_night",
    *(f"customer_{what}_{days}d" for days in WINDOWS for what in ("count", "mean_amount")),
    *(f"terminal_{what}_{days}d" for days in WINDOWS for what in ("count", "risk")),
)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    transactions = load_transactions("fraud_handbook", DataConfig(), seed=0)
    return check_table(transactions.frame, load("card_transactions")).require()


@pytest.fixture(scope="module")
def features(frame) -> pl.DataFrame:
    return compute_features(frame, CONFIG)


@pytest.fixture(scope="module")
def prequential(frame) -> list[Fold]:
    return folds(frame["time"], ProtocolConfig(first_train_day=date(2018, 7, 25)), DELAY)


@pytest.fixture(scope="module")
def single_split(frame, features, prequential) -> Parts:
    """Training 2018-07-11 to 17, test 07-25 to 31: the validation of the first fold."""
    table = pl.concat([frame, features.drop("transaction_id", "amount")], how="horizontal")
    return divide(table, prequential[0].validation, DELAY)


def test_the_published_table_is_read_whole(frame):
    until_september = frame.filter(pl.col("time") < datetime(2018, 9, 8, tzinfo=UTC))
    assert until_september.height == 1_533_268
    assert frame["transaction_id"][0] == "0"
    assert until_september.select(pl.col("customer_id", "terminal_id").n_unique()).row(0) == (4989, 10_000)
    assert frame.filter(is_fraud=1)["scenario"].min() == 1


def test_folds_and_parts_are_those_of_the_reference(prequential, single_split):
    assert [fold.train_start.date() for fold in prequential] == [
        date(2018, 7, 25), date(2018, 8, 1), date(2018, 8, 8), date(2018, 8, 15),
    ]  # fmt: skip
    assert single_split.fold.train_start == datetime(2018, 7, 11, tzinfo=UTC)
    assert single_split.fold.test_start == datetime(2018, 7, 25, tzinfo=UTC)
    assert single_split.train.height == 66_928


def some(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """All transactions of every tenth member, with their rows, in the order of time."""
    is_tenth = pl.col(key).cast(pl.Int64) % 10 == 0
    return frame.with_row_index("row").filter(is_tenth).sort("time", maintain_order=True)


def test_windows_of_customers_are_those_of_polars_rolling(frame, features):
    at = some(frame, "customer_id")
    for days in WINDOWS:
        period = f"{days}d"
        customers = at.rolling("time", period=period, group_by="customer_id").agg(
            pl.col("row").last(), mean=pl.col("amount").mean(), count=pl.len()
        )
        # of equal times Polars counts all, the features only those before: in seconds that is rare
        computed = features[customers["row"].to_numpy()]
        same = computed[f"customer_count_{days}d"].to_numpy() == customers["count"].to_numpy()
        assert same.mean() > 0.999
        mean = computed[f"customer_mean_amount_{days}d"].to_numpy()
        np.testing.assert_allclose(mean[same], customers["mean"].to_numpy()[same], rtol=1e-9)


def test_risk_of_terminals_is_the_handbooks_difference_of_two_windows(frame, features):
    """Frauds of delay + w days less those of the delay, over the same of transactions (their chapter 3)."""
    at = some(frame, "terminal_id")
    recent = at.rolling("time", period=f"{DELAY}d", group_by="terminal_id").agg(
        pl.col("row").last(), frauds=pl.col("is_fraud").sum(), count=pl.len()
    )
    for days in WINDOWS:
        longer = at.rolling("time", period=f"{DELAY + days}d", group_by="terminal_id").agg(
            pl.col("row").last(), frauds=pl.col("is_fraud").sum(), count=pl.len()
        )
        count = (longer["count"].cast(pl.Int64) - recent["count"].cast(pl.Int64)).to_numpy()
        risk = (longer["frauds"] - recent["frauds"]).to_numpy() / np.maximum(count, 1)
        computed = features[longer["row"].to_numpy()]
        assert (computed[f"terminal_count_{days}d"].to_numpy() == count).all()
        np.testing.assert_allclose(computed[f"terminal_risk_{days}d"].to_numpy(), risk, rtol=1e-12)


def test_mahalanobis_on_the_handbooks_features_has_the_numbers_of_the_reference(single_split):
    train, test = single_split.train, single_split.test
    genuine = train.filter(is_fraud=0).select(HANDBOOK_FEATURES).to_numpy()
    center, spread = genuine.mean(axis=0), genuine.std(axis=0)
    inverse = np.linalg.pinv(np.cov(((genuine - center) / spread).T))
    deviation = (test.select(HANDBOOK_FEATURES).to_numpy() - center) / spread
    distance = ((deviation @ inverse) * deviation).sum(axis=1)
    labels = test["is_fraud"].to_numpy()
    assert roc_auc_score(labels, distance) == pytest.approx(0.852, abs=0.001)
    assert average_precision_score(labels, distance) == pytest.approx(0.416, abs=0.003)
    precision = card_precision_at_k(test["time"], test["customer_id"], distance, labels)
    assert precision.mean == pytest.approx(0.239, abs=0.001)


def test_the_audit_passes_and_finds_labels_that_came_too_early(frame, features, prequential):
    parts = [divide(frame, fold, DELAY) for fold in prequential]
    assert audit_folds(parts, frame, features, CONFIG).require().findings == ()
    impatient = features.with_columns(
        compute_features(frame, FeatureConfig(label_delay_days=0)).select(pl.col("^terminal_risk_.*$"))
    )
    found = audit_folds(parts[:1], frame, impatient, CONFIG).findings
    assert [finding.check for finding in found] == ["later_knowledge"]


def test_only_a_month_whose_labels_were_taken_away_is_reported(frame):
    assert unlabelled_periods(frame) == []
    inside = pl.col("time").dt.month() == 6
    (period,) = unlabelled_periods(
        frame.with_columns(pl.when(inside).then(0).otherwise("is_fraud").alias("is_fraud"))
    )
    assert (period.first_day.date(), period.last_day.date()) == (date(2018, 6, 1), date(2018, 6, 30))


def test_the_stream_continues_the_batch_for_a_day(frame, features):
    midnight = datetime(2018, 9, 1, tzinfo=UTC)
    before = frame.filter(pl.col("time") < midnight)
    state = FeatureState.after(before, CONFIG, labelled=True)
    is_day = pl.col("time").is_between(midnight, midnight + timedelta(days=1), closed="left")
    day = frame.with_row_index("row").filter(is_day)
    streamed = []
    for row in day.iter_rows(named=True):
        transaction = Transaction(row["time"], row["customer_id"], row["terminal_id"], row["amount"])
        streamed.append(list(state.observe(transaction).values()))
    expected = features[day["row"].to_numpy()].drop("transaction_id").to_numpy()
    np.testing.assert_allclose(np.array(streamed), expected, rtol=1e-9, atol=1e-9)
