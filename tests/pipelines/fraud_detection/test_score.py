"""One scorer: the same numbers from evaluation, batch and stream, after a restart too."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from pipelines.fraud_detection.live import LiveScorer
from pipelines.fraud_detection.score import OUTPUT_CONTRACT, Scorer
from pipelines.fraud_detection.streaming import Transaction
from shared.contracts.contract import load
from shared.contracts.table import check_table

_GIVEN = ("transaction_id", "time", "customer_id", "terminal_id", "amount")


@pytest.fixture(scope="module")
def week(small) -> pl.DataFrame:
    """Everything that came in from the first day of the test on, with labels, in the order of time."""
    return small.frame.filter(pl.col("time") >= small.parts.fold.test_start).drop("scenario")


def _observe(live: LiveScorer, frame: pl.DataFrame) -> list[float]:
    rows = frame.select(_GIVEN[1:]).iter_rows()
    return [live.observe(Transaction(*row)).score for row in rows]


def test_scores_of_a_table_equal_those_of_the_evaluation(small, week):
    scored = small.scorer.score(week).join(
        small.parts.test.select("transaction_id", evaluated=pl.Series(small.scorer.scores(small.parts.test))),
        on="transaction_id",
    )
    assert scored.height == small.parts.test.height
    np.testing.assert_allclose(scored["score"], scored["evaluated"], rtol=1e-6, atol=1e-6)


def test_transactions_that_are_in_the_history_already_count_once(small, week):
    scorer = small.scorer.with_history(small.frame.drop("scenario"))
    np.testing.assert_allclose(
        scorer.score(week)["score"], small.scorer.score(week)["score"], rtol=0, atol=1e-9
    )


def test_saved_scorer_gives_the_same_scores(small, week, tmp_path):
    small.scorer.save(tmp_path)
    loaded = Scorer.load(tmp_path)
    assert loaded.labelled
    assert loaded.decision == small.scorer.decision
    np.testing.assert_allclose(
        loaded.score(week)["score"], small.scorer.score(week)["score"], rtol=0, atol=1e-12
    )


def test_output_keeps_its_contract_with_and_without_reasons(small, week):
    week = week[:300]
    plain = check_table(small.scorer.score(week), load(OUTPUT_CONTRACT)).require()
    explained, contributions = small.scorer.explained(small.scorer.features_of(week), plain)
    explained = check_table(explained, load(OUTPUT_CONTRACT)).require()
    assert plain["transaction_id"].to_list() == week["transaction_id"].to_list()
    assert plain["contributing_features"].null_count() == 300
    assert explained["alert"].any()
    assert explained["contributing_features"].is_not_null().to_list() == explained["alert"].to_list()
    assert contributions["transaction_id"].to_list() == explained.filter("alert")["transaction_id"].to_list()


def test_alerts_are_the_first_of_their_day_within_the_budget(small, week):
    alerts = small.scorer.score(week)
    day = pl.col("time").dt.date()
    budget = small.config.decision.alerts_per_day
    assert alerts.filter("alert").group_by(day).len()["len"].max() <= budget
    first = alerts.filter(pl.col("rank_of_day") == 1)
    assert (
        first["score"].to_list()
        == alerts.group_by(day).agg(pl.col("score").max()).sort("time")["score"].to_list()
    )


def test_one_at_a_time_equals_the_batch(small, week):
    """The state learns labels as they become known, as the batch reads them from the table."""
    week = week[:1500]
    live = LiveScorer.begin(small.scorer)
    np.testing.assert_allclose(_observe(live, week), small.scorer.score(week)["score"], rtol=1e-6, atol=1e-6)


def test_state_survives_a_restart(small, week, tmp_path):
    before, after = week[:200], week[200:500]
    live = LiveScorer.begin(small.scorer)
    _observe(live, before)
    live.save(tmp_path / "state.parquet")
    resumed = LiveScorer.load(small.scorer, tmp_path / "state.parquet")
    assert _observe(resumed, after) == _observe(live, after)


def test_fraud_that_becomes_known_makes_its_terminal_more_suspicious(small):
    first = small.scorer.history.filter(pl.col("is_fraud") == 0)[-1]
    now = small.parts.fold.test_start
    transaction = Transaction(now, first["customer_id"][0], first["terminal_id"][0], first["amount"][0])
    quiet, warned = (LiveScorer.begin(small.scorer) for _ in range(2))
    for hours in range(1, 4):
        warned.learn_label(transaction.terminal_id, now - timedelta(days=8), now - timedelta(hours=hours))
    assert warned.observe(transaction).score > quiet.observe(transaction).score


def test_without_labels_scores_have_no_probability(unlabelled):
    week = unlabelled.frame.filter(pl.col("time") >= unlabelled.parts.fold.test_start)[:200]
    alerts = check_table(unlabelled.scorer.score(week), load(OUTPUT_CONTRACT)).require()
    assert alerts["probability"].null_count() == 200
    live = LiveScorer.begin(unlabelled.scorer)
    assert live.observe(Transaction(*week.select(_GIVEN[1:]).row(0))).probability is None


def test_probability_is_the_logistic_function_of_the_score(small, week):
    alerts = small.scorer.score(week[:200])
    np.testing.assert_allclose(
        alerts["probability"], 1 / (1 + np.exp(-alerts["score"].to_numpy())), rtol=1e-9
    )


def test_empty_table_gives_an_empty_table(small, week):
    scored = small.scorer.score(week[:0])
    explained, contributions = small.scorer.explained(small.scorer.features_of(week[:0]), scored)
    assert scored.is_empty()
    assert explained.is_empty()
    assert contributions.is_empty()
