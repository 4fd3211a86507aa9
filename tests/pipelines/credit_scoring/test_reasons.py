"""Reasons speak against the applicant, few, strongest first, each once, in words that fit the value."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.credit_scoring.declared import PUBLIC_FILES, column_map
from pipelines.credit_scoring.generator import NEVER_DELINQUENT, SCHEMA, true_log_odds
from pipelines.credit_scoring.reasons import adverse_reasons, reason_code, reason_text, value_text
from pipelines.credit_scoring.schema import CategoricalColumn, LenderSchema, NumericColumn
from shared.interpretability.attribution import Attribution

THREE_DELAYS = LenderSchema(
    name="delays",
    numeric=(
        *(
            NumericColumn(name=f"delay_{month}", reason="Delinquent obligations")
            for month in ("may", "june", "july")
        ),
        NumericColumn(name="limit", reason="Limit too low"),
    ),
    categorical=(CategoricalColumn(name="housing"),),
)
ROW = pl.DataFrame(
    {"delay_may": [1.0], "delay_june": [2.0], "delay_july": [0.0], "limit": [5.0], "housing": ["rent"]}
)


def attributed(values, names=THREE_DELAYS.feature_names):
    return Attribution(
        values=np.asarray(values, dtype=float).reshape(1, -1),
        names=tuple(names),
        target="log-odds of default",
        baseline="reference",
        method="test",
        unit="log-odds",
    )


def given_reasons(values, num_reasons=4, minimum=0.05):
    (reasons,) = adverse_reasons(
        THREE_DELAYS, ROW, attributed(values), num_reasons=num_reasons, minimum=minimum
    )
    return reasons


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=5, max_size=5), st.integers(1, 4), st.floats(0, 1))
def test_reasons_are_adverse_few_distinct_ordered_and_large_enough(values, num_reasons, minimum):
    reasons = given_reasons(values, num_reasons, minimum)
    weights = [reason.log_odds for reason in reasons]
    assert len(reasons) <= num_reasons
    assert all(weight > 0 and weight >= minimum for weight in weights)
    assert weights == sorted(weights, reverse=True)
    assert len({reason.code for reason in reasons}) == len(reasons)
    joint = [sum(values[:3]), values[3], values[4]]
    assert len(reasons) == min(num_reasons, sum(weight > 0 and weight >= minimum for weight in joint))


def test_columns_with_one_phrase_are_one_reason_with_their_joint_weight_and_the_strongest_value():
    (reason,) = given_reasons([0.1, 0.5, 0.2, -1.0, 0.0])
    assert reason.log_odds == pytest.approx(0.8)
    assert reason.text == "Delinquent obligations (delay june: 2)"


def test_months_that_cancel_each_other_are_no_reason():
    assert given_reasons([0.5, -0.3, -0.3, -1.0, -0.1]) == []


def test_what_helped_is_never_a_reason_even_where_nothing_is_too_small():
    assert given_reasons([0.0, 0.0, 0.0, -0.2, 0.0], minimum=0.0) == []


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (NumericColumn(name="savings", unit="EUR"), None, "savings: not stated"),
        (SCHEMA.feature("months_since_delinquency"), NEVER_DELINQUENT, "never delinquent"),
        (NumericColumn(name="income", unit="EUR/month"), 12345.678, "income: 12,346 EUR/month"),
        (NumericColumn(name="ratio"), 0.4567, "ratio: 0.46"),
        (NumericColumn(name="ratio"), 0.00042, "ratio: 0.00042"),
        (NumericColumn(name="ratio"), 0.0, "ratio: 0"),
        (CategoricalColumn(name="k", label="Housing", levels={"r": "rented"}), "r", "Housing: rented"),
        (CategoricalColumn(name="k"), "unseen", "k: unseen"),
        (CategoricalColumn(name="k"), None, "k: not stated"),
    ],
)
def test_values_are_written_as_people_read_them(column, value, text):
    assert text in value_text(column, value)


def test_free_text_and_long_names_fit_the_record_of_a_decision():
    column = CategoricalColumn(name="remark" * 100)
    assert len(value_text(CategoricalColumn(name="remark"), "x" * 5000)) < 200
    assert len(reason_code(reason_text(column), "1.0.0")) <= 200


def test_codes_are_stable_and_change_with_the_major_version_alone():
    assert (
        reason_code("Savings insufficient, or not stated", "1.4.2") == "V1-SAVINGS_INSUFFICIENT_OR_NOT_STATED"
    )
    assert (
        reason_code("Savings", "2.0.0") != reason_code("Savings", "1.0.0") == reason_code("Savings", "1.9.9")
    )


@pytest.mark.parametrize("schema", [SCHEMA, *(column_map(name).to_schema(name) for name in PUBLIC_FILES)])
def test_different_phrases_have_different_codes(schema):
    phrases = {reason_text(column) for column in schema.features}
    assert len({reason_code(phrase, schema.phrases_version) for phrase in phrases}) == len(phrases)


def test_reasons_of_a_trained_model_are_about_features_alone(small):
    rows = small.test[:200]
    explained = small.scorer.explain(rows)
    reasons = small.scorer.reasons(rows, explained)
    known = {reason_code(reason_text(column), "1.0.0") for column in SCHEMA.features}
    assert {reason.code for given in reasons for reason in given} <= known
    assert max(len(given) for given in reasons) == 4


def better_value(column, value, training):
    """A step in the direction in which the applicant would look better to any lender."""
    quantile = {"debt_to_income": 0.1, "card_utilisation": 0.1, "loan_amount": 0.2, "monthly_income": 0.9,
                "savings": 0.9, "employment_years": 0.9, "recent_inquiries": 0.05, "loan_months": 0.1}  # fmt: skip
    if column not in quantile:
        return None
    target = training[column].quantile(quantile[column])
    improves = target < value if quantile[column] < 0.5 else target > value
    return target if improves else None


def test_following_the_first_reason_lowers_the_risk(small):
    """Recourse consistency: all of the estimates and 99 % of the true risks fell here (2026-11)."""
    decisions = small.scorer.rule.decide(small.scorer.probability(small.test))
    rows = small.test.filter(pl.Series(decisions != "approve"))[:150]
    explained = small.scorer.explain(rows)
    lowered, truly = [], []
    for row, given_for_row in enumerate(small.scorer.reasons(rows, explained)):
        applicant = rows[row : row + 1]
        column = explained.names[int(np.argmax(explained.values[row]))]
        value = applicant[column][0]
        better = None if value is None or not given_for_row else better_value(column, value, small.training)
        if better is not None:
            changed = applicant.with_columns(pl.lit(float(better)).alias(column))
            lowered.append(small.scorer.probability(changed)[0] < small.scorer.probability(applicant)[0])
            truly.append(true_log_odds(changed)[0] < true_log_odds(applicant)[0])
    assert len(lowered) > 60
    assert np.mean(lowered) > 0.95
    assert np.mean(truly) > 0.9
