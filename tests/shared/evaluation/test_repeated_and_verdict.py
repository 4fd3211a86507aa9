import math

import numpy as np
import pytest

from shared.evaluation.compare import Comparison
from shared.evaluation.metric import Metric, undefined
from shared.evaluation.repeated import repeated_comparison, repeated_metric
from shared.evaluation.verdict import verdict

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


def difference(value, low, high, higher_is_better=True):
    outside = low > 0 or high < 0
    return Comparison("roc_auc", value, low, high, 200, outside, 0.5, higher_is_better)


NETWORK = Metric("test/roc_auc", 0.781, 0.767, 0.795, n=3000)


def test_verdict_reads_as_one_sentence_strongest_baseline_first():
    result = verdict(
        "The network",
        NETWORK,
        {
            "logistic_regression": difference(0.016, 0.009, 0.023),
            "boosting": difference(0.002, -0.006, 0.010),
        },
        baseline_names={"boosting": "gradient boosting"},
    )
    assert result.sentence == (
        "The network (ROC-AUC 0.781, 0.767 to 0.795) is within noise of gradient boosting "
        "(difference +0.002, -0.006 to +0.010) and beats logistic regression by 0.016 (0.009 to 0.023)."
    )
    assert (result.beats, result.best_baseline) == ("within noise", "boosting")


def test_verdict_admits_defeat():
    result = verdict("The network", NETWORK, {"boosting": difference(-0.02, -0.03, -0.01)})
    assert result.beats == "no"
    assert "is worse than boosting by 0.020 (0.010 to 0.030)" in result.sentence


def test_verdict_knows_that_a_lower_error_is_better():
    error = Metric("test/rmse", 12.5, 11.0, 14.0, "cycles", False, 100)
    result = verdict("The network", error, {"mean": difference(-3.0, -4.0, -2.0, higher_is_better=False)})
    assert result.beats == "yes"
    assert result.sentence.startswith(
        "The network (RMSE 12.5 cycles, 11.0 to 14.0) beats mean by 3.0 (2.0 to 4.0)"
    )


def test_verdict_does_not_invent_what_could_not_be_measured():
    nan = math.nan
    result = verdict("The network", NETWORK, {"a": Comparison("m", nan, nan, nan, 0, False, nan)})
    assert "could not be compared with a" in result.sentence
    result = verdict("The network", undefined("roc_auc", "only one class"), {"a": difference(0, -1, 1)})
    assert "undefined on this split (only one class)" in result.sentence
    with pytest.raises(ValueError, match="baseline"):
        verdict("The network", NETWORK, {})
