import json

import numpy as np
import pytest

from shared.evaluation.binary import brier, roc_auc
from shared.evaluation.compare import compare_auc, paired_bootstrap
from shared.evaluation.delong import auc_metric


def two_models(n=600, seed=0, noise=1.0):
    generator = np.random.default_rng(seed)
    y = (generator.random(n) < 0.3).astype(int)
    a = generator.normal(size=n) + y
    return y, a, a + noise * generator.normal(size=n)


def test_fast_auc_comparison_agrees_with_the_bootstrap():
    y, a, b = two_models(1500)
    fast, slow = compare_auc(y, a, b), paired_bootstrap(roc_auc, y, a, b, num_replicates=3000)
    assert fast.difference == pytest.approx(slow.difference)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=0.006)
    assert fast.outside_noise is slow.outside_noise is True


def test_pairing_sees_a_difference_that_two_intervals_hide():
    y, a, b = two_models(2000, noise=0.5)
    of_a, of_b = auc_metric("a", y, a), auc_metric("b", y, b)
    assert of_a.low < of_b.value < of_b.high
    assert compare_auc(y, a, b).outside_noise


def test_models_that_rank_alike_do_not_differ():
    y, a, _ = two_models()
    for comparison in (compare_auc(y, a, np.exp(a)), paired_bootstrap(roc_auc, y, a, np.exp(a))):
        assert comparison.difference == pytest.approx(0, abs=1e-12)
        assert not comparison.outside_noise
        assert comparison.p_value == pytest.approx(1)


@pytest.mark.parametrize("use_bootstrap", [True, False])
def test_false_discoveries_are_as_rare_as_the_confidence_says(use_bootstrap):
    found = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        y = (generator.random(150) < 0.4).astype(int)
        a, b = (y + generator.normal(size=(2, 150))).round(1)
        result = (
            paired_bootstrap(roc_auc, y, a, b, num_replicates=200, seed=seed)
            if use_bootstrap
            else compare_auc(y, a, b)
        )
        found += result.outside_noise
    assert 0.01 <= found / 200 <= 0.095


def test_swapping_the_models_mirrors_the_result():
    y, a, b = two_models()
    for forward, back in (
        (compare_auc(y, a, b), compare_auc(y, b, a)),
        (paired_bootstrap(roc_auc, y, a, b), paired_bootstrap(roc_auc, y, b, a)),
    ):
        assert (back.difference, back.low, back.high) == pytest.approx(
            (-forward.difference, -forward.high, -forward.low)
        )


def test_advantage_turns_round_where_lower_is_better():
    y, a, _ = two_models()
    sharp, flat = 1 / (1 + np.exp(0.5 - a)), np.full(y.size, 0.5)
    comparison = paired_bootstrap(brier, y, sharp, flat)
    assert comparison.difference < 0 < comparison.advantage
    assert comparison.advantage_interval[0] <= comparison.advantage <= comparison.advantage_interval[1]
    assert comparison.name == "brier"


def test_groups_widen_the_interval_of_a_difference():
    y, a, b = (np.repeat(values, 8) for values in two_models(80))
    groups = np.repeat(np.arange(80), 8)
    grouped, naive = compare_auc(y, a, b, groups=groups), compare_auc(y, a, b)
    assert grouped.n == 80
    assert (grouped.high - grouped.low) > 2 * (naive.high - naive.low)


@pytest.mark.parametrize("y", [[], [1, 1, 1], [0]])
def test_undefined_comparison_is_no_finding_and_json_safe(y):
    score = np.arange(len(y)) / 10
    for comparison in (compare_auc(y, score, score), paired_bootstrap(roc_auc, y, score, score)):
        assert not comparison.outside_noise
        json.dumps(comparison.to_json(), allow_nan=False)


def test_general_statistic_needs_a_direction():
    with pytest.raises(ValueError, match="higher_is_better"):
        paired_bootstrap(lambda y, p: 0.0, [0, 1], [0, 1], [0, 1])
