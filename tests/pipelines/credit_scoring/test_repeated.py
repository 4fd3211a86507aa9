import math

import numpy as np
import pytest

from pipelines.credit_scoring.repeated import repeated_comparison, repeated_metric

FIVE_BY_TWO = {"num_train": 500, "num_test": 500}


def test_corrected_interval_of_five_times_two_folds():
    values = np.array([[0.78, 0.80], [0.79, 0.77], [0.81, 0.78], [0.80, 0.79], [0.77, 0.81]])
    result = repeated_metric("roc_auc", values, **FIVE_BY_TWO)
    deviation = values.std(ddof=1)
    # t(0.975, 9) = 2.2622; variance factor 1/10 + 1.
    assert result.metric.high - result.metric.value == pytest.approx(
        2.2622 * deviation * np.sqrt(1.1), rel=1e-4
    )
    assert result.standard_deviation == pytest.approx(deviation)
    assert (result.metric.n, len(result.values)) == (1000, 10)


def test_interval_is_cut_to_the_possible_range():
    result = repeated_metric("roc_auc", [0.99, 0.999, 0.97], bounds=(0, 1), **FIVE_BY_TWO)
    assert result.metric.high == 1


def test_undefined_or_missing_splits_give_no_number():
    assert not repeated_metric("m", [], **FIVE_BY_TWO).metric.is_defined
    result = repeated_metric("m", [0.8, math.nan], **FIVE_BY_TWO)
    assert "1 of 2" in result.metric.reason
    assert not repeated_metric("m", [0.8], **FIVE_BY_TWO).metric.has_interval


def test_equal_values_differ_by_nothing():
    comparison = repeated_comparison("m", [0.8, 0.7], [0.8, 0.7], **FIVE_BY_TWO)
    assert (comparison.difference, comparison.outside_noise, comparison.p_value) == (0, False, 1)


def test_paired_splits_find_a_steady_difference():
    generator = np.random.default_rng(0)
    hard = generator.normal(0.8, 0.05, size=10)
    steady = repeated_comparison("m", hard + generator.normal(0.02, 0.002, size=10), hard, **FIVE_BY_TWO)
    assert steady.outside_noise
    shaky = repeated_comparison("m", hard + generator.normal(0.02, 0.03, size=10), hard, **FIVE_BY_TWO)
    assert not shaky.outside_noise


def test_different_splits_cannot_be_paired():
    with pytest.raises(ValueError, match="same splits"):
        repeated_comparison("m", [0.8], [0.8, 0.7], **FIVE_BY_TWO)
    with pytest.raises(ValueError, match="training"):
        repeated_metric("m", [0.8, 0.9], num_train=0, num_test=5)
