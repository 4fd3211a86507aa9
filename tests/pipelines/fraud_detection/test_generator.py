"""The simulator is reproducible, has the prevalence and the kinds of fraud it says, and its truth is the truth."""

import numpy as np
import polars as pl
import pytest

from pipelines.fraud_detection.generator import Generated, generate
from shared.contracts.contract import load
from shared.contracts.table import check_table


@pytest.fixture(scope="module")
def generated() -> Generated:
    return generate(1000, 2000, 120, seed=0)


def test_the_table_keeps_the_contract_and_the_order_of_time(generated):
    checked = check_table(generated.frame, load("card_transactions"))
    assert checked.require().height == generated.frame.height
    assert generated.frame["time"].is_sorted()


def test_the_same_arguments_give_the_same_table_and_another_seed_another(generated):
    assert generate(1000, 2000, 120, seed=0).frame.equals(generated.frame)
    assert not generate(1000, 2000, 120, seed=1).frame.head(100).equals(generated.frame.head(100))


@pytest.mark.parametrize("sizes", [(500, 1000, 90), (2000, 4000, 70), (1000, 500, 90)], ids=str)
def test_every_size_has_the_prevalence_of_the_original(sizes):
    prevalence = np.mean([generate(*sizes, seed).frame["is_fraud"].mean() for seed in range(2)])
    assert 0.006 < prevalence < 0.010


def test_customers_pay_1_9_times_a_day_around_noon(generated):
    frame = generated.frame
    assert frame.height / (1000 * 120) == pytest.approx(2 * 0.969, rel=0.06)
    hours = frame["time"].dt.hour()
    assert hours.mean() == pytest.approx(11.5, abs=0.1)
    assert (hours.is_between(8, 15)).mean() > 2 * (hours.is_between(0, 3) | hours.is_between(20, 23)).mean()


def test_customers_stay_near_home(generated):
    terminals = generated.frame.group_by("customer_id").agg(pl.col("terminal_id").n_unique(), pl.len())
    assert terminals.filter(pl.col("len") > 200)["terminal_id"].max() < 140


def test_every_amount_over_220_is_fraud_and_no_genuine_one(generated):
    assert generated.frame.filter((pl.col("amount") > 220) & (pl.col("is_fraud") == 0)).is_empty()
    assert (generated.frame.filter(scenario=1)["amount"] > 220).all()


def test_a_terminal_that_was_taken_over_has_only_frauds_for_28_days(generated):
    first = (
        generated.frame.filter(scenario=2)
        .group_by("terminal_id")
        .agg(pl.col("time").min().dt.truncate("1d").alias("since"))
    )
    after = generated.frame.join(first, on="terminal_id").with_columns(
        days=(pl.col("time").dt.truncate("1d") - pl.col("since")).dt.total_days()
    )
    # the first fraud can be some days after the take-over, when nobody paid there before
    assert after.filter(pl.col("days").is_between(0, 14))["is_fraud"].mean() > 0.97
    assert (
        after.filter((pl.col("days") > 28) & (pl.col("scenario") == 2)).height
        < 0.2 * after.filter(scenario=2).height
    )


def test_frauds_with_leaked_credentials_are_five_times_the_customers_amounts(generated):
    genuine = (
        generated.frame.filter(is_fraud=0).group_by("customer_id").agg(pl.col("amount").mean().alias("usual"))
    )
    leaked = generated.frame.filter(scenario=3).join(genuine, on="customer_id")
    assert (leaked["amount"].sum() / leaked["usual"].sum()) == pytest.approx(5.0, rel=0.15)


def test_the_truth_names_each_fraud_and_the_features_it_moved(generated):
    frauds = generated.frame.filter(is_fraud=1)
    assert generated.truth["transaction_id"].to_list() == frauds["transaction_id"].to_list()
    families = dict(generated.truth.select("scenario", "family").unique().rows())
    assert families == {1: "amount", 2: "terminal", 3: "amount"}


def test_the_smallest_table_can_be_made():
    assert generate(50, 20, 70, seed=0).frame.height > 1000
