"""Conformal quantiles keep the coverage that they promise, also for new groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.evaluation.conformal import conformal_quantile, interval_scores


def test_of_nineteen_rows_the_largest_is_not_exceeded_in_95_percent() -> None:
    scores = np.arange(19.0)
    assert conformal_quantile(scores, 0.95) == 18.0
    assert conformal_quantile(scores, 0.90) == 17.0


def test_too_few_groups_promise_nothing() -> None:
    assert conformal_quantile(np.arange(18.0), 0.95) == np.inf
    assert conformal_quantile(np.arange(100.0), 0.9, groups=np.repeat(np.arange(5), 20)) == np.inf


def test_a_group_with_many_rows_weighs_no_more_than_one_with_few() -> None:
    long, short = np.full(1000, 5.0), np.arange(9.0)
    scores = np.concatenate([long, short])
    groups = np.concatenate([np.zeros(1000), np.arange(1, 10)])
    assert conformal_quantile(scores, 0.5, groups=groups) == 5.0
    assert conformal_quantile(scores, 0.4, groups=groups) == 4.0


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    coverage=st.floats(0.05, 0.95),
    num_groups=st.integers(1, 30),
)
def test_the_quantile_is_a_score_that_enough_groups_stay_below(
    seed: int, coverage: float, num_groups: int
) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(num_groups), rng.integers(1, 8, num_groups))
    scores = rng.normal(size=len(groups))
    found = conformal_quantile(scores, coverage, groups=groups)
    below = sum(np.mean(scores[groups == group] <= found) for group in range(num_groups))
    if np.isinf(found):
        assert coverage * (num_groups + 1) > num_groups - 1e-6
    else:
        assert found in scores
        assert below >= coverage * (num_groups + 1) - 1e-6


def test_coverage_of_new_groups_is_as_promised() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        shift = rng.normal(size=40)
        groups = np.repeat(np.arange(40), 10)
        scores = shift[groups] + 0.3 * rng.normal(size=len(groups))
        bound = conformal_quantile(scores, 0.9, groups=groups)
        covered.append(rng.normal() + 0.3 * rng.normal() <= bound)
    assert 0.86 < np.mean(covered) < 0.95


def test_scores_of_intervals_are_negative_inside() -> None:
    target = np.array([0.0, 5.0, 12.0])
    scores = interval_scores(target, np.array([1.0, 1.0, 1.0]), np.array([10.0, 10.0, 10.0]))
    np.testing.assert_array_equal(scores, [1.0, -4.0, 2.0])


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5], ids=str)
def test_impossible_coverage_is_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match="Expected a coverage"):
        conformal_quantile(np.ones(3), coverage)


@pytest.mark.parametrize("scores", [np.array([]), np.array([1.0, np.nan])], ids=["none", "nan"])
def test_scores_that_say_nothing_are_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Expected finite scores"):
        conformal_quantile(scores, 0.9)
