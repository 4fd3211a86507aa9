"""The simulator keeps its contract at any size, and its equation is the truth that it is said to be."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.credit_scoring.generator import NEVER_DELINQUENT, SCHEMA, generate, true_log_odds
from pipelines.credit_scoring.schema import COMMON_COLUMNS
from shared.contracts.table import check_table


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**32 - 1))
def test_every_generated_row_keeps_the_contract(num_rows, seed):
    frame = generate(num_rows, seed)
    checked = check_table(frame, SCHEMA.contract())
    assert frame.height == num_rows
    assert not checked.violations
    assert checked.ignored_columns == ()


def test_a_large_portfolio_keeps_the_contract_in_its_rarest_rows():
    checked = check_table(generate(200_000, 1), SCHEMA.contract())
    assert [item.line() for item in checked.violations] == []


def test_the_same_seed_gives_the_same_portfolio_and_another_seed_another():
    assert generate(500, 5).equals(generate(500, 5))
    assert not generate(500, 5).drop("application_id").equals(generate(500, 6).drop("application_id"))


def test_the_observed_default_rate_is_the_true_probability_in_every_band():
    frame = generate(60_000, 2)
    probability = 1 / (1 + np.exp(-true_log_odds(frame)))
    outcome = frame["defaulted"].to_numpy()
    for band in np.array_split(np.argsort(probability), 12):
        expected, deviation = (
            probability[band].mean(),
            np.sqrt((probability * (1 - probability))[band].mean()),
        )
        assert outcome[band].mean() == pytest.approx(expected, abs=4 * deviation / np.sqrt(len(band)))
    assert 0.1 < outcome.mean() < 0.35


def test_high_income_helps_only_while_debts_are_bearable():
    frame = generate(400, 3).with_columns(loan_amount=pl.lit(8000.0))

    def gain(ratio):
        poor, rich = (
            true_log_odds(
                # the loan grows with income: what is left is the effect of income itself
                frame.with_columns(
                    debt_to_income=pl.lit(ratio),
                    monthly_income=pl.lit(income),
                    loan_amount=pl.lit(4 * income),
                )
            )
            for income in (1500.0, 6000.0)
        )
        return (poor - rich).mean()

    assert gain(0.1) > 1.0
    assert abs(gain(1.5)) < 0.01


def test_a_guarantor_matters_most_where_employment_is_short():
    frame = generate(400, 3)

    def effect(years):
        with_years = frame.with_columns(employment_years=pl.lit(years))
        without, backed = (
            true_log_odds(with_years.with_columns(guarantor=pl.lit(name))) for name in ("none", "guarantor")
        )
        return (without - backed).mean()

    assert effect(0.0) > 2 * effect(20.0) > 0


def test_protected_attributes_do_not_act_directly_though_they_move_income():
    frame = generate(20_000, 4)
    swapped = frame.with_columns(
        sex=pl.when(pl.col("sex") == "f").then(pl.lit("m")).otherwise(pl.lit("f")), age=100.0 - pl.col("age")
    )
    assert np.array_equal(true_log_odds(frame), true_log_odds(swapped))
    income = frame.group_by("sex").agg(pl.col("monthly_income").mean()).sort("sex")["monthly_income"]
    assert income[0] < 0.95 * income[1]


def test_protected_and_common_columns_are_no_features():
    protected = {column.name for column in SCHEMA.protected}
    assert protected == {"sex", "age"}
    assert not {*protected, *COMMON_COLUMNS} & set(SCHEMA.feature_names)


def test_an_empty_savings_field_tells_of_small_savings_and_minus_nine_of_none_delinquent():
    frame = generate(40_000, 5)
    stated = frame.with_columns(odds=pl.Series(true_log_odds(frame)))
    risk = stated.group_by(pl.col("savings").is_null()).agg(pl.col("odds").mean()).sort("savings")["odds"]
    assert risk[1] > risk[0]
    never, recent = (
        true_log_odds(frame.with_columns(months_since_delinquency=pl.lit(months))).mean()
        for months in (NEVER_DELINQUENT, 1.0)
    )
    assert never < recent - 1
