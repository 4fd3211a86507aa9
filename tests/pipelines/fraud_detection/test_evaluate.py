"""Metrics over folds and days, checked against the definitions and against themselves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from pipelines.fraud_detection.baselines import SUPERVISED, UNSUPERVISED, fit_baselines
from pipelines.fraud_detection.config import tiny
from pipelines.fraud_detection.evaluate import (
    AUTOENCODER,
    HEAD,
    SEQUENCE,
    TestResults,
    evaluation_document,
    models_in,
    predict_fold,
)
from pipelines.fraud_detection.leakage import leakage
from pipelines.fraud_detection.metrics import card_precision_at_k
from pipelines.fraud_detection.over_folds import OverFolds, merged
from shared.evaluation.binary import average_precision, roc_auc

CONFIG = tiny()
START = datetime(2024, 1, 1, tzinfo=UTC)


def _table(seed=0, *, num_folds=2, labelled=True):
    """Two weeks with scores of two models, of which the first knows more."""
    rng = np.random.default_rng(seed)
    size = 1400
    y = (rng.random(size) < 0.1).astype(np.int64)
    frame = pl.DataFrame(
        {
            "fold": np.repeat(np.arange(1, num_folds + 1), size // num_folds).astype(np.int32),
            "transaction_id": [f"t{row}" for row in range(size)],
            "time": [START + timedelta(minutes=row * 14) for row in range(size)],
            "customer_id": [f"c{row}" for row in rng.integers(300, size=size)],
            "amount": rng.uniform(1, 100, size),
            "is_fraud": y,
            AUTOENCODER: y + rng.normal(size=size),
            "mahalanobis": 0.5 * y + rng.normal(size=size),
        }
    )
    return frame if labelled else frame.with_columns(is_fraud=pl.lit(None, dtype=pl.Int64))


@pytest.fixture(scope="module")
def predictions(small) -> pl.DataFrame:
    return predict_fold(small.scorer, small.parts.train, small.parts.test, 1, with_head=True)


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60))
@settings(max_examples=100, deadline=None)
def test_merging_scores_between_frauds_changes_no_metric(pairs):
    scores = np.array([score for score, _ in pairs], dtype=float)
    y = np.array([label for _, label in pairs], dtype=np.int64)
    few = merged(y, scores)
    assert len(np.unique(few)) <= 2 * y.sum() + 1
    for statistic in (average_precision, roc_auc):
        np.testing.assert_allclose(statistic(y, few), statistic(y, scores), rtol=1e-12)


def test_metrics_are_means_of_the_folds():
    table = _table()
    results = TestResults(table, CONFIG)
    folds = [fold for _, fold in table.group_by("fold", maintain_order=True)]
    expected = {
        "test/average_precision": [average_precision_score(f["is_fraud"], f[AUTOENCODER]) for f in folds],
        "test/roc_auc": [roc_auc_score(f["is_fraud"], f[AUTOENCODER]) for f in folds],
    }
    metrics = results.metrics(AUTOENCODER)
    for name, values in expected.items():
        assert metrics[name].value == pytest.approx(np.mean(values))
        assert metrics[name].low < metrics[name].value < metrics[name].high
        assert metrics[name].n == table["time"].dt.date().n_unique()


def test_card_precision_forgets_found_cards_between_folds():
    table = _table()
    results = TestResults(table, CONFIG)
    by_hand = [
        card_precision_at_k(
            fold["time"], fold["customer_id"], fold[AUTOENCODER].to_numpy(), fold["is_fraud"].to_numpy()
        )
        for _, fold in table.group_by("fold", maintain_order=True)
    ]
    expected = np.concatenate([found.values for found in by_hand]).mean()
    assert results.metrics(AUTOENCODER)["test/card_precision_at_100"].value == pytest.approx(expected)


def test_a_model_is_no_better_than_itself_and_better_than_one_that_knows_less():
    over = OverFolds.of(_table(), [AUTOENCODER, "mahalanobis"], average_precision, num_replicates=200, seed=0)
    same, better = (over.compare(AUTOENCODER, other) for other in (AUTOENCODER, "mahalanobis"))
    assert same.difference == 0
    assert not same.outside_noise
    assert better.difference > 0
    assert better.outside_noise


def test_without_labels_nothing_is_measured_and_the_verdict_says_so(unlabelled):
    table = predict_fold(unlabelled.scorer, unlabelled.parts.train, unlabelled.parts.test, 1, with_head=False)
    document, daily = evaluation_document(table, CONFIG, with_head=False)
    assert daily.is_empty()
    assert document["alerts"] is None
    assert document["per_fold"] == []
    assert document["verdict"]["sentence"].startswith("The autoencoder cannot be judged")
    for metrics in document["metrics"].values():
        assert all(metric["value"] is None and metric["reason"] for metric in metrics.values())


def test_every_baseline_stands_beside_the_networks(predictions):
    assert models_in(predictions) == [HEAD, AUTOENCODER, *SUPERVISED, *UNSUPERVISED]


def test_sequence_autoencoder_is_one_that_the_autoencoder_has_to_beat():
    table = _table()
    better = table.with_columns((pl.col(AUTOENCODER) + 2 * pl.col("is_fraud")).alias(SEQUENCE))
    verdict, compared = TestResults(better, CONFIG).judge(AUTOENCODER, [SEQUENCE, "mahalanobis"])
    assert verdict.best_baseline == SEQUENCE
    assert "sequence autoencoder" in verdict.sentence
    assert compared.keys() == {SEQUENCE, "mahalanobis"}
    _, without = TestResults(table, CONFIG).judge(AUTOENCODER, [SEQUENCE, "mahalanobis"])
    assert without.keys() == {"mahalanobis"}


def test_verdict_is_on_the_served_model_and_on_the_autoencoder(predictions):
    document, _ = evaluation_document(predictions, CONFIG, with_head=True)
    sentence = document["verdict"]["sentence"]
    assert sentence.startswith("The network with labels (average precision ")
    assert " The autoencoder (average precision " in sentence
    assert document["comparisons"][HEAD].keys() == {AUTOENCODER, *SUPERVISED, *UNSUPERVISED}
    assert document["unsupervised_verdict"]["best_baseline"] in UNSUPERVISED


def test_each_baseline_finds_fraud_better_than_chance(predictions):
    y = predictions["is_fraud"].to_numpy()
    for model in models_in(predictions):
        assert roc_auc(y, predictions[model].to_numpy()) > 0.6, model


def test_mahalanobis_is_the_distance_of_its_definition(small):
    genuine = small.parts.train.filter(pl.col("is_fraud") == 0)
    names = ("amount", "customer_count_7d", "terminal_count_30d")
    score = fit_baselines(genuine, names, small.config, supervised=False)["mahalanobis"]
    values = genuine.select(names).to_numpy()
    difference = values[5] - values.mean(0)
    by_hand = difference @ np.linalg.inv(np.cov(values, rowvar=False)) @ difference
    assert score(genuine[5:6])[0] == pytest.approx(by_hand)


def test_leakage_keeps_the_cards_and_the_rows_that_it_says(small):
    table = small.frame.join(
        pl.concat([small.parts.train, small.parts.test]).select("transaction_id"),
        on="transaction_id",
        how="semi",
    )
    table = table.join(
        pl.concat([small.parts.train, small.parts.test]).select("transaction_id", *small.names[1:]),
        on="transaction_id",
    )
    strict, kept, random = leakage(table, small.parts, small.names, small.config)
    assert strict["rows"] == small.parts.test.height <= kept["rows"]
    assert random["rows"] == table.height - small.parts.train.height
    assert [row["protocol"] for row in (strict, kept, random)] == [
        "strict",
        "compromised_kept",
        "random_split",
    ]


@pytest.mark.parametrize("label", [None, 0], ids=["not-known", "all-genuine"])
def test_leakage_is_not_measured_on_a_test_without_both_classes(small, label):
    parts = replace(small.parts, test=small.parts.test.with_columns(is_fraud=pl.lit(label, dtype=pl.Int64)))
    table = pl.concat([parts.train, parts.test])
    assert leakage(table, parts, small.names, small.config) is None
