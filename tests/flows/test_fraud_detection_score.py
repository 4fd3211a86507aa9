"""Scoring with the published model: every transaction gets its place on the list of its day, within the budget."""

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

ALERTS_PER_DAY = 8
REASONS = ("contributing_features", "offsetting_features", "normal_values")
SETTINGS = (
    f"decision.alerts_per_day={ALERTS_PER_DAY}", "protocol.num_folds=1", "evaluation.num_bootstraps=50",
    "explanation.num_checked=20",
)  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory, fieldwork_in):
    """The command in a home with one published model."""
    fieldwork = fieldwork_in(tmp_path_factory.mktemp("published") / "home")
    options = [part for setting in SETTINGS for part in ("--set", setting)]
    fieldwork("run", "fraud_detection", "--preset", "tiny", *options, "--quiet").require_success()
    return fieldwork


@pytest.fixture(scope="module")
def week() -> pl.DataFrame:
    """The last seven days of the table that `--preset tiny` generates, as long as labels take: none tells anything."""
    from pipelines.fraud_detection.config import tiny
    from pipelines.fraud_detection.generator import generate

    data = tiny().data
    frame = generate(data.num_customers, data.num_terminals, data.num_days, tiny().seed).frame
    first = frame["time"].max().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=6)
    return frame.filter(pl.col("time") >= first).drop("scenario")


def score(fieldwork: Any, source: Any, out: Any, *options: str):
    return fieldwork("score", "fraud_detection", source, "--out", out, *options)


def scored(
    fieldwork: Any, table: pl.DataFrame, folder: Any, *options: str
) -> tuple[dict[str, Any], pl.DataFrame]:
    """The summary and the alerts for a table."""
    table.write_parquet(folder / "new.parquet")
    outcome = score(fieldwork, folder / "new.parquet", folder / "out.parquet", "--json", "-", *options)
    return outcome.require_success().document, pl.read_parquet(folder / "out.parquet")


@pytest.fixture(scope="module")
def explained(published, week, tmp_path_factory) -> tuple[dict[str, Any], pl.DataFrame]:
    """The week with reasons, scored once for all tests that only look at it."""
    return scored(published, week, tmp_path_factory.mktemp("explained"), "--explain")


def test_every_transaction_is_scored_in_its_order(explained, week):
    document, alerts = explained
    assert document["rows"] == {
        "in": len(week), "quarantined": 0, "scored": len(week), "alerts": alerts["alert"].sum(),
    }  # fmt: skip
    columns = ["transaction_id", "time", "customer_id", "terminal_id", "amount"]
    assert alerts.select(columns).equals(week.select(columns))


def test_ranks_of_each_day_begin_at_one_and_follow_the_score(explained):
    _, alerts = explained
    days = alerts.sort("rank_of_day").group_by(pl.col("time").dt.date(), maintain_order=True)
    for ranks, scores in days.agg("rank_of_day", "score").select("rank_of_day", "score").iter_rows():
        assert ranks == list(range(1, len(ranks) + 1))
        assert scores == sorted(scores, reverse=True)


def test_alerts_are_the_first_of_each_day_and_no_more_than_the_budget(explained):
    _, alerts = explained
    days = alerts.group_by(pl.col("time").dt.date()).agg(
        alerts=pl.col("alert").sum(), last=pl.col("rank_of_day").filter("alert").max()
    )
    assert len(days) == 7
    assert 0 < days["alerts"].max() <= ALERTS_PER_DAY
    assert days.filter(pl.col("alerts") > 0).select((pl.col("alerts") == pl.col("last")).all()).item()


def test_probabilities_rise_with_the_score_and_find_fraud(explained, week):
    _, alerts = explained
    np.testing.assert_allclose(
        alerts["probability"], 1 / (1 + np.exp(-alerts["score"].to_numpy())), rtol=1e-9
    )
    is_fraud = week["is_fraud"] == 1
    assert alerts.filter(is_fraud)["probability"].mean() > 5 * alerts.filter(~is_fraud)["probability"].mean()


def test_alerts_alone_have_reasons(explained):
    _, alerts = explained
    inside, outside = alerts.filter("alert"), alerts.filter(~pl.col("alert"))
    assert inside["contributing_features"].str.contains(r"^[a-z].*: ").all()
    assert inside["normal_values"].null_count() == 0
    assert all(outside[name].null_count() == len(outside) for name in REASONS)


def test_contributions_of_each_alert_sum_to_its_score(explained):
    document, alerts = explained
    contributions = pl.read_parquet(document["explanations"])
    inside = alerts.filter("alert")
    assert contributions["transaction_id"].equals(inside["transaction_id"])
    sums = contributions.drop("transaction_id").sum_horizontal()
    base = (inside["score"] - sums).to_numpy()
    np.testing.assert_allclose(
        base, base[0], rtol=0, atol=1e-5, err_msg="all start from the usual transactions"
    )


def test_alerts_keep_the_output_contract_and_name_that_of_the_input(published, week, tmp_path):
    week.write_csv(tmp_path / "new.csv")
    score(published, tmp_path / "new.csv", tmp_path / "out.csv", "--explain").require_success()
    check = published("contract", "check", "fraud_alerts", tmp_path / "out.csv").require_success()
    assert f"{len(week):,} rows in, {len(week):,} valid, 0 to quarantine" in check.stdout
    alerts = pl.read_csv(tmp_path / "out.csv", schema_overrides={"model_version": pl.String})
    assert alerts["model_version"].unique().to_list() == ["1"]
    [contract] = alerts["contract"].unique()
    assert contract.startswith("card_transactions@"), "what the transactions were checked against"


def test_order_of_rows_missing_labels_and_format_change_no_score(published, explained, week, tmp_path):
    expected = explained[1].select("transaction_id", "score", "alert").sort("transaction_id")
    shuffled = week.drop("is_fraud").sample(fraction=1.0, shuffle=True, seed=2)
    shuffled.write_csv(tmp_path / "shuffled.csv")
    score(published, tmp_path / "shuffled.csv", tmp_path / "out.csv").require_success()
    found = pl.read_csv(tmp_path / "out.csv")
    assert found["transaction_id"].equals(shuffled["transaction_id"])
    assert all(found[name].null_count() == len(found) for name in REASONS), "nobody asked for reasons"
    found = found.sort("transaction_id")
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-6, atol=1e-6)
    assert found["alert"].equals(expected["alert"])


def test_strangers_at_unknown_terminals_are_scored(published, week, tmp_path):
    strangers = week.head(50).with_columns(
        transaction_id="new-" + pl.col("transaction_id"), customer_id="new-" + pl.col("customer_id"),
        terminal_id=pl.lit("unheard-of"),
    )  # fmt: skip
    document, alerts = scored(published, strangers, tmp_path)
    assert document["rows"]["scored"] == 50
    assert alerts["score"].is_finite().all()
    assert alerts["probability"].is_between(0, 1).all()


def test_broken_rows_go_to_quarantine_and_the_others_are_scored(published, week, tmp_path):
    broken = pl.int_range(pl.len()) % 50 == 7
    table = week.with_columns(amount=pl.when(broken).then(-1.0).otherwise("amount"))
    document, alerts = scored(published, table, tmp_path)
    quarantine = pl.read_parquet(document["quarantine"])
    num_broken = (table["amount"] < 0).sum()
    assert document["rows"]["quarantined"] == len(quarantine) == num_broken > 10
    assert alerts["transaction_id"].equals(table.filter(~broken)["transaction_id"])
    assert set(quarantine.columns) - set(table.columns), "the quarantine names the rule that each row broke"


def test_week_of_the_training_table_has_not_drifted_and_another_currency_has(
    published, explained, week, tmp_path
):
    assert explained[0]["drift"] == {"drifted": False, "columns": []}
    dearer = week.with_columns(pl.col("amount") * 100)
    drift = scored(published, dearer, tmp_path)[0]["drift"]
    assert drift["drifted"] is True
    assert "amount" in drift["columns"]


@pytest.mark.parametrize("what", ["quarantine", "explanations"])
def test_scoring_never_writes_over_its_input(published, week, tmp_path, what):
    source = tmp_path / f"out.{what}.parquet"
    week.write_parquet(source)
    score(published, source, tmp_path / "out.csv", "--explain").require_plain_failure(2, source.name)
    score(published, source, source).require_plain_failure(2, "OUTPUT other than the INPUT")
    assert pl.read_parquet(source).equals(week)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop("amount"), ["amount"]),
        (lambda table: table[:0], ["row"]),
        (lambda table: table.with_columns(customer_id=pl.lit(None)), ["customer_id"]),
        (lambda table: table.with_columns(time=pl.lit("lately")), ["time"]),
    ],
    ids=["column-missing", "no-rows", "no-customers", "wrong-type"],
)
def test_table_that_breaks_the_contract_as_a_whole_is_refused(published, week, tmp_path, change, parts):
    change(week).write_csv(tmp_path / "new.csv")
    outcome = score(published, tmp_path / "new.csv", tmp_path / "out.csv")
    outcome.require_plain_failure(2, *parts, most_lines=3)
    assert not (tmp_path / "out.csv").exists()
