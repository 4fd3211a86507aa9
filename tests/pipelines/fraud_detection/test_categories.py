"""Declared categories all the way: learnt from, audited, scored in a batch and one at a time, missed when absent."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from pipelines.fraud_detection.audit import audit_folds
from pipelines.fraud_detection.config import DataConfig, FeatureConfig
from pipelines.fraud_detection.explain import usual_rows
from pipelines.fraud_detection.features import compute_features, feature_names
from pipelines.fraud_detection.live import LiveScorer
from pipelines.fraud_detection.protocol import Parts, divide
from pipelines.fraud_detection.score import Scorer
from pipelines.fraud_detection.streaming import Transaction
from pipelines.fraud_detection.train import Trainer, not_known_as_fraud
from shared.errors import RequestError

CATEGORIES = ("shop", "country")


@pytest.fixture(scope="module")
def frame(small) -> pl.DataFrame:
    """Payments of which most frauds are abroad; a country is not always known."""
    number = pl.int_range(pl.len())
    country = pl.when((pl.col("is_fraud") == 1) & (number % 3 > 0)).then(pl.lit("abroad"))
    country = country.when(number % 5 > 0).then(pl.lit("home"))
    return small.frame.with_columns(shop=pl.col("terminal_id").str.tail(1), country=country)


@pytest.fixture(scope="module")
def parts(small, frame) -> Parts:
    return divide(_with_features(frame, small.config.features), small.parts.fold, 7)


@pytest.fixture(scope="module")
def scorer(small, frame, parts) -> Scorer:
    config = small.config.model_copy(
        update={
            "data": DataConfig(categories=CATEGORIES),
            "training": small.config.training.model_copy(update={"epochs": 2}),
        }
    )
    names = feature_names(config.features, True, CATEGORIES)
    fitted = Trainer(config, names).fit_fold(parts, with_head=False)
    usual = usual_rows(not_known_as_fraud(parts.train), names, 20, seed=0)
    history = frame.filter(pl.col("time") < parts.fold.test_start)
    return Scorer.of(fitted, usual, history, config, labelled=True)


@pytest.fixture(scope="module")
def week(frame, parts) -> pl.DataFrame:
    return frame.filter(pl.col("time") >= parts.fold.test_start).drop("scenario")


def _with_features(frame: pl.DataFrame, config: FeatureConfig) -> pl.DataFrame:
    features = compute_features(frame, config, True, CATEGORIES)
    return pl.concat([frame, features.drop("transaction_id", "amount")], how="horizontal")


def test_scores_of_a_table_equal_those_of_the_evaluation(scorer, parts, week):
    evaluated = pl.Series(scorer.scores(parts.test))
    scored = scorer.score(week).join(
        parts.test.select("transaction_id", evaluated=evaluated), on="transaction_id"
    )
    assert scored.height == parts.test.height
    np.testing.assert_allclose(scored["score"], scored["evaluated"], rtol=1e-6, atol=1e-6)


def test_one_at_a_time_equals_the_batch_after_a_restart_too(scorer, week, tmp_path):
    week = week[:300]
    scorer.save(tmp_path)
    scorer = Scorer.load(tmp_path)
    live, found = LiveScorer.begin(scorer), []
    for number, row in enumerate(week.to_dicts()):
        if number == 150:
            live.save(tmp_path / "state.parquet")
            live = LiveScorer.load(scorer, tmp_path / "state.parquet")
        given = [row[name] for name in ("time", "customer_id", "terminal_id", "amount")]
        found.append(live.observe(Transaction(*given, {name: row[name] for name in CATEGORIES})).score)
    np.testing.assert_allclose(found, scorer.score(week)["score"], rtol=1e-6, atol=1e-6)


def test_a_label_makes_its_categories_more_suspicious(scorer, week):
    now = week["time"][0]
    quiet, warned = (LiveScorer.begin(scorer) for _ in range(2))
    warned.learn_label("elsewhere", now, now, {"shop": "0", "country": "nowhere"})
    transaction = Transaction(now, "c", "m", 10.0, {"shop": "1", "country": "nowhere"})
    later = transaction._replace(time=week["time"][1])
    assert warned.observe(later).score > quiet.observe(later).score


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_table_without_one_of_the_categories_is_refused_by_its_name(scorer, week, category):
    with pytest.raises(RequestError, match=f"without {category}"):
        scorer.score(week.drop(category))


def test_a_reason_names_the_category(scorer, week):
    abroad = week.filter(country="abroad")[:20]
    scored = scorer.score(abroad).with_columns(alert=True)
    explained, contributions = scorer.explained(scorer.features_of(abroad), scored)
    assert set(feature_names(scorer.config.features, True, CATEGORIES)) < set(contributions.columns)
    texts = explained["contributing_features"].drop_nulls().str.join(" ").item()
    assert "this country" in texts


def test_features_of_categories_are_audited_and_a_leak_into_them_is_found(small, frame, parts):
    table = _with_features(frame, small.config.features)
    assert not audit_folds([parts], table, table, small.config.features, CATEGORIES).findings
    hasty = _with_features(frame, FeatureConfig(label_delay_days=0))
    risk = "country_risk_30d"
    leaking = table.with_columns(hasty[risk])
    test = divide(leaking, small.parts.fold, 7).test
    [finding] = audit_folds(
        [replace(parts, test=test)], frame, leaking, small.config.features, CATEGORIES
    ).findings
    assert finding.check == "later_knowledge"
    assert risk in finding.message


def test_a_category_that_is_named_twice_is_refused():
    with pytest.raises(ValidationError, match="Expected distinct columns"):
        DataConfig(categories=("shop", "shop"))
