"""Many means at once are the same numbers as one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.evaluation.bootstrap import metric_with_interval
from shared.evaluation.compare import paired_bootstrap
from shared.evaluation.means import Means


def mean(values: np.ndarray) -> float:
    return float(values.mean())


def paired_mean(_: np.ndarray, values: np.ndarray) -> float:
    return float(values.mean())


COLUMNS = {
    "skewed": np.random.default_rng(0).exponential(2.0, 60),
    "rates": np.random.default_rng(1).integers(0, 2, 60).astype(float),
    "constant": np.full(60, 0.1),
}


@pytest.mark.parametrize("name", sorted(COLUMNS))
@pytest.mark.parametrize("num_replicates", [50, 64, 130])
def test_each_mean_and_interval_equal_those_measured_alone(name, num_replicates):
    means = Means(COLUMNS, num_replicates=num_replicates, seed=5)
    found = means.metric(name, "test/x", unit="EUR", higher_is_better=False)
    alone = metric_with_interval(
        "test/x", mean, COLUMNS[name],
        unit="EUR", higher_is_better=False, num_replicates=num_replicates, seed=5,
    )  # fmt: skip
    for field in ("value", "low", "high"):
        assert getattr(found, field) == pytest.approx(getattr(alone, field), abs=1e-12)
    assert (found.name, found.unit, found.higher_is_better, found.n) == ("test/x", "EUR", False, 60)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=30),
    st.booleans(),
    st.integers(0, 9),
)
def test_each_difference_equals_the_paired_bootstrap(rows, higher_is_better, seed):
    first, second = np.array(rows).T
    means = Means({"a": first, "b": second}, num_replicates=70, seed=seed)
    found = means.compare("a", "b", "x", higher_is_better=higher_is_better)
    alone = paired_bootstrap(
        paired_mean, first, first, second,
        name="x", higher_is_better=higher_is_better, num_replicates=70, seed=seed,
    )  # fmt: skip
    for field in ("difference", "low", "high"):
        assert getattr(found, field) == pytest.approx(getattr(alone, field), abs=1e-9)
    assert (found.name, found.n, found.higher_is_better) == (alone.name, alone.n, alone.higher_is_better)


def test_decisions_equal_the_paired_bootstrap_where_a_difference_is_clear_or_absent():
    random = np.random.default_rng(3)
    first = random.normal(0, 1, 100)
    for shift in (0.0, 0.05, 0.5):
        second = first + random.normal(shift, 0.3, 100)
        found = Means({"a": first, "b": second}, seed=1).compare("a", "b", "x")
        alone = paired_bootstrap(paired_mean, first, first, second, name="x", higher_is_better=True, seed=1)
        assert found.outside_noise == alone.outside_noise
        assert found.p_value == pytest.approx(alone.p_value, abs=0.003)


def test_a_column_does_not_differ_from_itself_and_mirrors_against_another():
    means = Means(COLUMNS, num_replicates=80)
    same = means.compare("skewed", "skewed", "x")
    assert (same.difference, same.low, same.high, same.outside_noise) == (0.0, 0.0, 0.0, False)
    one, other = means.compare("skewed", "rates", "x"), means.compare("rates", "skewed", "x")
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-12)
    assert one.p_value == pytest.approx(other.p_value)


def test_same_seed_same_numbers_whatever_the_other_columns_are():
    alone = Means({"rates": COLUMNS["rates"]}, num_replicates=90, seed=2).metric("rates")
    among = Means(COLUMNS, num_replicates=90, seed=2).metric("rates")
    assert alone.to_json() == pytest.approx(among.to_json(), abs=1e-12)
    assert Means(COLUMNS, num_replicates=90, seed=3).metric("rates") != among


def test_intervals_hold_their_value_and_cover_the_truth():
    random = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        metric = Means({"x": random.normal(1.0, 1.0, 40)}, num_replicates=200, seed=seed).metric("x")
        assert metric.low <= metric.value <= metric.high
        inside += metric.low <= 1.0 <= metric.high
    assert 0.88 <= inside / 200 <= 0.98


def test_one_unit_has_a_value_and_a_difference_without_intervals():
    means = Means({"a": [2.0], "b": [0.5]})
    metric, comparison = means.metric("a"), means.compare("a", "b", "x")
    assert (metric.value, metric.n, metric.has_interval) == (2.0, 1, False)
    assert comparison.difference == 1.5
    assert np.isnan(comparison.low)
    assert not comparison.outside_noise
    assert comparison.to_json()["low"] is None


def test_no_units_are_undefined_with_a_reason():
    means = Means({"a": [], "b": []})
    assert means.metric("a").reason == "no units"
    comparison = means.compare("a", "b", "x")
    assert np.isnan(comparison.difference)
    assert not comparison.outside_noise


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match="Expected finite values in every column"):
        Means({"a": [1.0, 2.0], "b": [1.0, bad]})


@pytest.mark.parametrize(
    ("columns", "lengths"),
    [({"a": [1.0], "b": [1.0, 2.0]}, r"\[1, 2\]"), ({}, r"\[\]")],
    ids=["ragged", "none"],
)
def test_columns_of_different_length_are_refused(columns, lengths):
    with pytest.raises(ValueError, match=f"Expected columns of one length. Received lengths {lengths}"):
        Means(columns)
