"""Explanations: they add up, find what was planted, and speak the language of an analyst."""

import numpy as np
import polars as pl
import pytest

from pipelines.fraud_detection import explain
from pipelines.fraud_detection.reasons import title_of, value_text
from pipelines.fraud_detection.train import not_known_as_fraud


@pytest.fixture(scope="module")
def rows(small) -> pl.DataFrame:
    return explain.rows_to_check(small.scorer, small.parts.test, 30)


def test_reconstruction_errors_sum_to_the_score_of_the_autoencoder(small, rows):
    errors = small.scorer.errors(rows)
    assert (errors >= 0).all()
    np.testing.assert_allclose(errors.sum(1), small.scorer.anomalies(rows), rtol=1e-6)


def test_contributions_sum_to_the_score(small, rows):
    attribution = small.scorer.explain(rows)
    np.testing.assert_allclose(attribution.output, small.scorer.scores(rows), rtol=0, atol=1e-9)
    assert attribution.completeness_error < 1e-4
    assert attribution.base_value == pytest.approx(small.scorer.scores(small.scorer.usual).mean())


def test_contributions_of_the_autoencoder_alone_sum_to_its_score(alone, rows):
    attribution = alone.explain(rows)
    assert attribution.unit == "times usual"
    np.testing.assert_allclose(attribution.output, alone.anomalies(rows), rtol=1e-6)
    assert attribution.completeness_error < 1e-5 * np.abs(attribution.output).max()


def test_explanation_is_better_than_a_random_order(small, rows):
    attribution = explain.checked_explanation(small.scorer, rows, seed=0)
    assert attribution.faithful, attribution.warning


def test_planted_feature_ranks_first_in_nine_of_ten_cases(small):
    found = explain.planted_anomalies(small.scorer, not_known_as_fraud(small.parts.test), seed=0)
    assert found["contribution"] >= 0.9
    assert not {"during_night", "during_weekend"} & found["features"].keys()


def test_explained_are_the_most_suspicious_and_others(small, rows):
    scores = np.sort(small.scorer.scores(small.parts.test))
    explained = np.sort(small.scorer.scores(rows))
    assert rows["transaction_id"].n_unique() == 30
    np.testing.assert_allclose(explained[-15:], scores[-15:], rtol=1e-6)
    assert explained[0] < np.median(scores)


def test_expected_values_are_in_the_units_of_the_features(small):
    genuine = not_known_as_fraud(small.parts.train)
    expected = small.scorer.normal(genuine)
    amounts = genuine["amount"].to_numpy()
    assert np.corrcoef(expected[:, small.names.index("amount")], amounts)[0, 1] > 0.5


def test_reasons_name_what_speaks_for_and_against_and_what_would_be_normal(small, rows):
    attribution = small.scorer.explain(rows)
    for found, up in zip(small.scorer.reasons(rows, attribution), attribution.top(3, "up"), strict=True):
        assert found.contributing is not None
        titles = [part.split(": ")[0] for part in found.contributing.split("; ")]
        assert titles == [title_of(name) for name, _ in up]
        assert [part.split(": ")[0] for part in found.normal.split("; ")] == titles
        assert not set(titles) & {part.split(": ")[0] for part in (found.offsetting or "").split("; ")}


def test_examples_hold_the_strongest_transactions_with_sums(small, rows):
    attribution = small.scorer.explain(rows)
    examples = explain.examples(small.scorer, rows, attribution)
    assert examples[0]["score"] == small.scorer.scores(rows).max()
    for example in examples:
        parts = example["features"]
        assert sum(part["error"] for part in parts) == pytest.approx(example["anomaly"])
        assert sum(part["contribution"] for part in parts) + example["base_value"] == pytest.approx(
            example["score"]
        )


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("amount", "amount"),
        ("customer_count_1d", "customer payments, 1 day"),
        ("terminal_risk_30d", "terminal fraud share, 30 days"),
        ("customer_share_of_entry_mode", "customer payments with this entry mode"),
        ("entry_mode_risk_30d", "fraud share of this entry mode, 30 days"),
        ("something_else", "something_else"),
    ],
)
def test_titles_are_words(name, title):
    assert title_of(name) == title


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("during_night", 0.8, "yes"),
        ("terminal_risk_7d", 0.254, "25%"),
        ("terminal_risk_7d", 1.3, "100%"),
        ("customer_share_of_country", 0.03, "3%"),
        ("country_count_risk_30d", 0.5, "50%"),
        ("customer_count_7d", -0.4, "0"),
        ("amount", 12.345, "12.35"),
        ("amount", 12345.6, "12,346"),
    ],
    ids=[
        "yes",
        "share",
        "more_than_all",
        "share_of_category",
        "risk_of_category",
        "less_than_none",
        "cents",
        "thousands",
    ],
)
def test_values_have_as_many_digits_as_they_deserve(name, value, text):
    assert value_text(name, value) == text
